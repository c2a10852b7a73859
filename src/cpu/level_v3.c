/* SPDX-License-Identifier: MIT
 * The inner loops for processors of level x86-64-v3: AVX2. cpu.c chooses the level.
 *
 * The bits are those of every other level, but for elementary functions, which have those of levels
 * with an fma: nothing is reordered, and nothing is contracted that does not say so itself (fma.h):
 * src/CMakeLists.txt has an option for a fault of gcc 12. */
#define TVI_HAS_FMA 1
#include "level.h"

#ifdef TVI_HAS_LEVELS
#include <immintrin.h>
#ifdef __clang__
#pragma clang attribute push( \
    __attribute__((target("avx,avx2,bmi,bmi2,f16c,fma,lzcnt,movbe,popcnt"))), apply_to = function)
#else
#pragma GCC target("avx,avx2,bmi,bmi2,f16c,fma,lzcnt,movbe,popcnt")
#endif
#define LEVEL tvi_level_v3
#include "level_body.h"
#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
