/* SPDX-License-Identifier: MIT
 * The inner loops for the baseline that the compiler is asked for: x86-64, or another processor. */
#define LEVEL tvi_level_v1
#include "level_body.h"
