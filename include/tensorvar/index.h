/* SPDX-License-Identifier: MIT
 * Parts of a tensor by position: slices (views), rows by index and by mask, one-hot rows. */
#ifndef TENSORVAR_INDEX_H
#define TENSORVAR_INDEX_H

#include <tensorvar/tensor.h>
TV_BEGIN_C

/* Not inside tv_index: C++ would take the names for members of it. */
typedef enum tv_index_kind {
  TV_INDEX_AT,
  TV_INDEX_RANGE,
  TV_INDEX_NEW_AXIS,
  TV_INDEX_ELLIPSIS
} tv_index_kind;

/** One term of an index. Begin with one of the macros below. */
typedef struct tv_index {
  tv_index_kind kind;
  int64_t start; /* the position of TV_INDEX_AT */
  int64_t stop;
  int64_t step;
  bool has_start, has_stop; /* a bound left out is the end that step comes from or goes to */
} tv_index;
/** x[i]: the axis is dropped. */
#define TV_AT(i) \
  { TV_INDEX_AT, (i), 0, 1, true, false }
/** x[a:b:s], x[:], None and "..." of NumPy. */
#define TV_RANGE(a, b, s) \
  { TV_INDEX_RANGE, (a), (b), (s), true, true }
#define TV_WHOLE_AXIS \
  { TV_INDEX_RANGE, 0, 0, 1, false, false }
#define TV_NEW_AXIS \
  { TV_INDEX_NEW_AXIS, 0, 0, 1, false, false }
#define TV_ELLIPSIS \
  { TV_INDEX_ELLIPSIS, 0, 0, 1, false, false }

/**
 * Part of x, in NumPy's notation without the brackets. A view.
 *
 *     tv_slice(x, "1:5, ..., ::-1")
 *
 * Integers drop their axis, `None` adds one, one `...` stands for the axes not named; bounds are
 * clipped, negative ones count from the end. Blanks may stand between tokens.
 *
 * Gradient  g in place, zeros elsewhere.
 * Errors    - TV_EVALUE   text that is no index; step 0; two `...`
 *           - TV_EINDEX   an integer out of range, or more terms than axes
 * Source    NumPy basic indexing.
 */
TV_API tv_tensor *tv_slice(tv_tensor *x, const char *text);

/** tv_slice with computed bounds. */
TV_API tv_tensor *tv_slice_with(tv_tensor *x, int n, const tv_index *index);

/**
 * The entries of x along `axis` at `indices`, which takes the place of that axis.
 *
 * Shapes    x [a..., n, b...] with indices [k...] gives [a..., k..., b...]
 * Dtypes    indices: any integer; -n <= i < n
 * Gradient  g added into zeros, in the order of the indices
 * Errors    - TV_EINDEX   an index out of range, naming its position and value; or the axis
 *           - TV_EDTYPE   indices are not integers
 * Source    array API 2024.12 `take`.
 */
TV_API tv_tensor *tv_take(tv_tensor *x, tv_tensor *indices, int64_t axis);

/**
 * What tuples of indices name: each row of `indices` is one, into the first K axes of x.
 *
 *     tv_gather_nd(x, at)     // at [n, 2]: x[at[i, 0], at[i, 1]] for each i
 *
 * Shapes    x [n1..., nK, b...] with indices [k..., K], 1 <= K <= rank of x, gives [k..., b...]
 * Dtypes    indices: any integer; -n <= i < n on each axis
 * Gradient  g added into zeros, in the order of the indices
 * Errors    - TV_EINDEX   an index out of range, naming axis, position and value
 *           - TV_EDTYPE   indices are not integers
 *           - TV_ESHAPE   K is not among 1 to the rank of x; 65 axes
 * Source    TensorFlow `gather_nd`; negative indices as NumPy's.
 */
TV_API tv_tensor *tv_gather_nd(tv_tensor *x, tv_tensor *indices);

/**
 * What a mask chooses of x: one axis, in C order, takes the place of the mask's axes.
 *
 *     tv_boolean_mask(x, tv_greater(x, tv_scalar(0)))
 *
 * The size of the result depends on the elements of the mask, so it is computed, and waited for.
 *
 * Shapes    x [n..., b...] with mask [n...] gives [count, b...]
 * Dtypes    mask: bool
 * Device    The one that x and the mask are both on
 * Gradient  g in the places that were chosen, zeros elsewhere
 * Errors    - TV_EDTYPE   the mask is not bool
 *           - TV_ESHAPE   x does not begin with the mask's shape; 65 axes
 *           - TV_EDEVICE  x and the mask are on different devices
 * Source    TensorFlow `boolean_mask`, NumPy `x[mask]`.
 */
TV_API tv_tensor *tv_boolean_mask(tv_tensor *x, tv_tensor *mask);

/** Rows of `classes` elements, 1 at the index and 0 elsewhere, along a new last axis.
 *  TV_EINDEX unless 0 <= i < classes, TV_EDTYPE unless integers, TV_EVALUE for classes < 0. */
TV_API tv_tensor *tv_one_hot(tv_tensor *indices, int64_t classes, tv_dtype dtype);

TV_END_C
#endif
