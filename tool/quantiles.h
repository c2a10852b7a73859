/* SPDX-License-Identifier: MIT
 * Quantiles of an array of any size, exactly, in bounded memory. */
#ifndef TOOL_QUANTILES_H
#define TOOL_QUANTILES_H
#include "rows.h"

enum { MOST_QUANTILES = 32 };

/** A quantile: an element, or a number between two. */
typedef struct quantile {
  char kind;    /* 'f', 'i' or 'u': which of these it is */
  double value; /* for every kind, rounded */
  int64_t i;
  uint64_t u;
} quantile;

/** Put the quantiles `at`, n of them from 0 to 1, of the `count` numbers of r that are no NaN into
 *  `values`; NaN if there are none. `kind` is that of the numbers, as moments_add takes it: an
 *  element of integers is given as one, exactly. False after a failure. */
bool quantiles(rows *r, char kind, int64_t count, int n, const double *at, quantile *values);
#endif
