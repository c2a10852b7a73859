/* SPDX-License-Identifier: MIT
 * Rows: a tensor that is zero but for a few rows of axis 0, and knows which.
 *
 * The gradient of tv_take along axis 0 is one: of a table of a million rows and a batch of a
 * hundred, it is a hundred rows. To every op it is the dense tensor, of the dense shape: elements
 * that are asked for are computed, once, and equal what a dense gradient would be. What looks
 * inside never makes the dense tensor: sums of gradients on a tape, clipping, scaling,
 * accumulation, and optimizers.
 *
 * An optimizer makes of rows what it would make of the dense gradient: where untouched elements
 * change all the same (momenta decay, weights do) it writes them all, but needs no memory for a
 * gradient of zeros (it takes some where that is cheaper: the table is at most 32 KiB, or half of
 * its rows are touched). With `lazy` it updates the touched rows alone, in time proportional to
 * them, as PyTorch's SparseAdam: moments, weight decay and all else of a row then stand still until
 * it is touched. SGD without momentum and Adagrad, without decay, are the same either way. */
#ifndef TENSORVAR_ROWS_H
#define TENSORVAR_ROWS_H

#include <tensorvar/tensor.h>
TV_BEGIN_C

/**
 * Zeros of [n, b...] to which values are added at the rows that indices name, in their order.
 *
 * Shapes    indices [k...] with values [k..., b...]
 * Dtypes    indices: any integer; -n <= i < n
 * Device    The one that both are on
 * Gradient  Of values: tv_take(g, indices, 0)
 * Errors    - TV_ESHAPE   values do not begin with the shape of indices
 *           - TV_EINDEX   an index out of range, naming its position and value
 *           - TV_EDTYPE   indices are not integers
 *           - TV_EVALUE   n is negative
 * Source    TensorFlow `IndexedSlices`, PyTorch `sparse_coo_tensor` with one sparse axis.
 */
TV_API tv_tensor *tv_scatter_rows(tv_tensor *indices, tv_tensor *values, int64_t n);

/** Whether x knows its rows. False for NULL. */
TV_API bool tv_is_rows(tv_tensor *x);

/** The parts of x: indices [k], int64, 0 <= i < n, and values [k, b...], in order of occurrence.
 *  Nothing is recorded. TV_EVALUE: x is not rows; both are then NULL. */
TV_API tv_status tv_rows_parts(tv_tensor *x, tv_tensor **indices, tv_tensor **values);

/** x with each row once, indices rising: duplicates are summed in order of occurrence. TV_EVALUE: x
 *  is not rows. Gradient: g. */
TV_API tv_tensor *tv_rows_summed(tv_tensor *x);

/** x with all its elements, which are computed, and no knowledge of rows; of another tensor a view
 *  of it. Gradient: g. */
TV_API tv_tensor *tv_to_dense(tv_tensor *x);

TV_END_C
#endif
