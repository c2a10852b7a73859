/* SPDX-License-Identifier: MIT
 * The inner loops for processors of level x86-64-v2: SSE4.2. cpu.c chooses the level. The bits are
 * those of the portable level, as there is no fma. */
#include "level.h"

#ifdef TVI_HAS_LEVELS
#include <immintrin.h>
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("sse3,ssse3,sse4.1,sse4.2,popcnt"))), \
                             apply_to = function)
#else
#pragma GCC target("sse3,ssse3,sse4.1,sse4.2,popcnt")
#endif
#define LEVEL tvi_level_v2
#include "level_body.h"
#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
