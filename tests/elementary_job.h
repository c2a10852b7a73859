/* SPDX-License-Identifier: MIT
 * For tests of elementary functions: the levels that this computer has. */
#ifndef TV_TESTS_ELEMENTARY_JOB_H
#define TV_TESTS_ELEMENTARY_JOB_H

#include "cpu/level.h"
#include "cpu_job.h"

/* The k-th level, up to the highest here; then NULL. */
static inline const tvi_level *elementary_level(int k, bool *has_fma) {
  *has_fma = k >= 2;
#ifdef TVI_HAS_LEVELS
  static const tvi_level *const all[] = {&tvi_level_portable, &tvi_level_v2, &tvi_level_v3,
                                         &tvi_level_v4};
  return k == 0 || (k < 4 && all[k - 1] != tvi_level_here()) ? all[k] : NULL;
#else
#ifdef TVI_HAS_FMA
  *has_fma = true;
#endif
  return k == 0 ? &tvi_level_portable : NULL;
#endif
}

#define ELEMENTARY_LEVELS(level, has_fma)    \
  for (int k_ = 0, one_ = 1; one_;)          \
    for (bool has_fma; one_ && !(one_ = 0);) \
      for (const tvi_level *level; (level = elementary_level(k_, &has_fma)); k_++)

#endif
