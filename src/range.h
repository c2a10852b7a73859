/* SPDX-License-Identifier: MIT
 * Numbers that a caller gives, and what they may be. */
#ifndef TVI_RANGE_H
#define TVI_RANGE_H

#include <stdbool.h>

typedef enum {
  TVI_AT_LEAST_0, /* all of these finite */
  TVI_ABOVE_0,
  TVI_AT_LEAST_1,
  TVI_ABOVE_1,
  TVI_FROM_0_BELOW_1,
  TVI_FROM_0_TO_1,
  TVI_BETWEEN_0_AND_1
} tvi_range;

bool tvi_is_in(double x, tvi_range range);
/* The same; if not TV_EVALUE, "sgd_new: momentum is 1.5, expected 0 or more and below 1". */
bool tvi_in_range(const char *who, const char *name, double x, tvi_range range);

/* The fewest digits that read back to x, in any locale. Returns out. */
enum { TVI_REAL_SIZE = 32 };
const char *tvi_real_text(double x, char out[TVI_REAL_SIZE]);

#endif
