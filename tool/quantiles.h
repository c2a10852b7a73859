/* SPDX-License-Identifier: MIT
 * Quantiles of an array of any size, exactly, in bounded memory. */
#ifndef TOOL_QUANTILES_H
#define TOOL_QUANTILES_H
#include "rows.h"

enum { MOST_QUANTILES = 32 };

/** Put the quantiles `at`, n of them from 0 to 1, of the `count` numbers of r that are no NaN into
 *  `values`; NaN if there are none. False after a failure. */
bool quantiles(rows *r, int64_t count, int n, const double *at, double *values);
#endif
