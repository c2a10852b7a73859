/* SPDX-License-Identifier: MIT
 * The inner loops in plain C for whatever the compiler is asked for: the baseline of x86-64, or
 * another processor. */
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#define LEVEL tvi_level_portable
#include "level_body.h"
