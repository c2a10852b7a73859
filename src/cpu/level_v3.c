/* SPDX-License-Identifier: MIT
 * The inner loops for processors of level x86-64-v3: AVX2. cpu.c chooses the level.
 *
 * The bits are the same at every level: nothing is reordered, libm is called for the same
 * functions, and nothing is contracted: src/CMakeLists.txt has an option for a fault of gcc 12. */
#include "level.h"

#ifdef TVI_HAS_LEVELS
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx,avx2,bmi,bmi2,f16c,lzcnt,movbe,popcnt"))), \
                             apply_to = function)
#else
#pragma GCC target("avx,avx2,bmi,bmi2,f16c,lzcnt,movbe,popcnt")
#endif
#define LEVEL tvi_level_v3
#include "level_body.h"
#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
