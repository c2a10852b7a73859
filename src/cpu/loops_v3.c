/* SPDX-License-Identifier: MIT
 * The loops of loops.c for processors of level x86-64-v3: AVX2. cpu.c chooses the level at the
 * start.
 *
 * The bits are the same at every level: nothing is reordered, libm is called for the same
 * functions, and nothing is contracted: src/CMakeLists.txt has an option for a fault of gcc 12. */
#include "loops.h"

#ifdef TVI_HAS_LEVELS
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx,avx2,bmi,bmi2,f16c,lzcnt,movbe,popcnt"))), \
                             apply_to = function)
#else
#pragma GCC target("avx,avx2,bmi,bmi2,f16c,lzcnt,movbe,popcnt")
#endif
#define TVI_LOOPS tvi_loops_v3
#include "loops.c"
#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
