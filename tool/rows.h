/* SPDX-License-Identifier: MIT
 * An array in pieces of rows, so that one larger than memory can be looked at through a map. */
#ifndef TOOL_ROWS_H
#define TOOL_ROWS_H
#include <tensorvar/tensorvar.h>

#include "arguments.h"
#include "view.h"

/** What of complex elements is looked at. */
typedef enum part { PART_NONE, PART_ABS, PART_REAL, PART_IMAG } part;

typedef struct rows {
  const view *v; /* borrowed; NULL: rows of x */
  tv_tensor *x;
  int axis; /* of v, along which rows are taken */
  tv_dtype dtype;
  part part;
  int64_t n, at, step; /* rows in all, passed, and in a piece */
  int64_t row;         /* elements in a row */
} rows;

/** Begin at the first row of x; an array without axes is a row of one element. */
void rows_begin(rows *r, tv_tensor *x, part p);

/** Begin at the first row of a view. `any_order`: the elements may come in any order, and then each
 *  row has one element where that can be. */
void rows_begin_view(rows *r, view *v, part p, bool any_order);

/** The next piece, [rows, ...], as `dtype`, or with TV_DTYPE_NONE as it is; NULL at the end, and
 * after a failure. */
tv_tensor *rows_next(rows *r, tv_dtype dtype);

/** Give each piece to `take` as `dtype` in host memory, in C order, with progress. False after a
 *  failure, or where a signal asked to stop. */
bool rows_each(rows *r, tv_dtype dtype,
               void (*take)(void *user, const void *elements, int64_t n_rows), void *user);

/** --part of the command line, for elements of `dtype`. -1 after a message: complex without a part,
 *  or no such part. */
int part_wanted(const arguments *a, tv_dtype dtype, const char *label);
#endif
