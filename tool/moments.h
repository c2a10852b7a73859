/* SPDX-License-Identifier: MIT
 * Counts, extremes, mean and spread of numbers that come in blocks. */
#ifndef TOOL_MOMENTS_H
#define TOOL_MOMENTS_H
#include <stdbool.h>
#include <stdint.h>

/** Of the numbers so far. Begins as MOMENTS. NaN are counted, and left out of all else. */
typedef struct moments {
  int64_t n_finite, n_nan, n_above, n_below; /* finite, NaN, +inf, -inf */
  int64_t n_zero;
  double least, most;       /* of what is no NaN */
  int64_t least_i, most_i;  /* the same of int64 */
  uint64_t least_u, most_u; /* and of uint64, exactly */
  double mean, m2;          /* of finite ones: mean, and sum of (x - mean)^2 */
} moments;
extern const moments MOMENTS;

/** Add n numbers, `step` elements apart; `kind` is 'f' for double, 'i' for int64, 'u' for uint64.
 */
void moments_add(moments *m, char kind, const void *numbers, int64_t n, int64_t step);

/** Of all numbers that are no NaN; NaN if there are none. The standard deviation divides by their
 *  count less `ddof`. */
int64_t moments_count(const moments *m);
double moments_mean(const moments *m);
double moments_deviation(const moments *m, int64_t ddof);
#endif
