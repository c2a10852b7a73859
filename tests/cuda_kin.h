/* SPDX-License-Identifier: MIT
 * Whether the elementary functions of the CPU and of a GPU have the same bits. Before check.h:
 * ops.def has a kind of row of the name TEST. */
#ifndef TV_TESTS_CUDA_KIN_H
#define TV_TESTS_CUDA_KIN_H

#include "cpu/level.h"
#include "fma.h"

/* They have where the CPU's level has an fma, as a GPU has. */
static inline bool cuda_has_kin(void) {
#if defined(TVI_HAS_LEVELS) && !defined(TVI_HAS_FMA)
  return tvi_level_here() == &tvi_level_v3 || tvi_level_here() == &tvi_level_v4;
#elif defined(TVI_HAS_FMA)
  return true;
#else
  return false;
#endif
}

#endif
