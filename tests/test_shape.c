/* SPDX-License-Identifier: MIT
 * Views and manipulation: shapes, who shares bytes with whom, refusals, gradients. */
#include <math.h>

#include "differences.h"

/* 0, 1, 2, ... */
static tv_tensor *numbers(int rank, const int64_t *shape) {
  int64_t n = 1;
  for (int k = 0; k < rank; k++) n *= shape[k];
  return OK(tv_reshape(tv_arange(TV_F64, 0, (double)n, 1), rank, shape));
}

/* Reshape ------------------------------------------------------------------------------------ */

TEST(reshape_keeps_c_order_and_bytes) {
  tv_tensor *x = numbers(TV_SHAPE(2, 3)), *y = OK(tv_reshape(x, TV_SHAPE(3, 2)));
  SHAPE_IS(y, TV_SHAPE(3, 2));
  HOLDS(y, 0, 1, 2, 3, 4, 5);
  CHECK(tv_tensor_shares(x, y) && tv_tensor_is_contiguous(y));
}

TEST(reshape_works_one_size_out) {
  tv_tensor *x = numbers(TV_SHAPE(4, 6));
  SHAPE_IS(tv_reshape(x, TV_SHAPE(-1)), TV_SHAPE(24));
  SHAPE_IS(tv_reshape(x, TV_SHAPE(2, -1, 3)), TV_SHAPE(2, 4, 3));
  SHAPE_IS(tv_reshape(x, TV_SHAPE(4, 6, -1)), TV_SHAPE(4, 6, 1));
  tv_tensor *none = OK(tv_zeros(TV_F32, TV_SHAPE(0, 3)));
  SHAPE_IS(tv_reshape(none, TV_SHAPE(-1, 3)), TV_SHAPE(0, 3));
  SHAPE_IS(tv_reshape(none, TV_SHAPE(5, -1)), TV_SHAPE(5, 0));
  SHAPE_IS(tv_reshape(none, TV_SHAPE(7, 0)), TV_SHAPE(7, 0));
}

TEST(reshape_refuses) {
  tv_tensor *x = numbers(TV_SHAPE(2, 3)), *none = OK(tv_zeros(TV_F32, TV_SHAPE(0, 3)));
  FAILS(TV_ESHAPE, "reshape: sizes do not agree: [2, 3] to [4]", tv_reshape(x, TV_SHAPE(4)));
  FAILS(TV_ESHAPE, "reshape: sizes do not agree: [2, 3] to [4, -1]",
        tv_reshape(x, TV_SHAPE(4, -1)));
  FAILS(TV_ESHAPE, "reshape: sizes do not agree: [2, 3] to []", tv_reshape(x, TV_SCALAR_SHAPE));
  FAILS(TV_ESHAPE, "reshape: sizes do not agree: [0, 3] to [0, -1]",
        tv_reshape(none, TV_SHAPE(0, -1)));
  FAILS(TV_ESHAPE, "reshape: sizes do not agree: [2, 3] to [0, -1]",
        tv_reshape(x, TV_SHAPE(0, -1)));
  FAILS(TV_ESHAPE, "reshape: more than one -1 in shape [-1, 3, -1]",
        tv_reshape(x, TV_SHAPE(-1, 3, -1)));
  FAILS(TV_ESHAPE, "reshape: negative size in shape [-2, -3]", tv_reshape(x, TV_SHAPE(-2, -3)));
  FAILS(TV_ESHAPE, "reshape: 65 axes: 0 to 64 are possible", tv_reshape(x, 65, (int64_t[65]){1}));
  FAILS(TV_ESHAPE, "reshape: -1 axes: 0 to 64 are possible", tv_reshape(x, -1, NULL));
  FAILS(TV_EVALUE, "reshape: shape is NULL", tv_reshape(x, 1, NULL));
  FAILS(TV_EVALUE, "reshape: x is NULL", tv_reshape(NULL, TV_SHAPE(1)));
  FAILS(TV_EOVERFLOW,
        "reshape: shape [0, 4611686018427387904, 4611686018427387904] of float32 has more than "
        "2^63 - 1 bytes",
        tv_reshape(none, TV_SHAPE(0, INT64_C(1) << 62, INT64_C(1) << 62)));
}

TEST(reshape_of_a_view_is_a_view_where_steps_allow) {
  tv_tensor *x = numbers(TV_SHAPE(4, 6));
  /* Every other row: rows stay apart, what is inside a row may split. */
  tv_tensor *rows = OK(tv_slice(x, "::2")), *split = OK(tv_reshape(rows, TV_SHAPE(2, 1, 3, 2)));
  CHECK(tv_tensor_shares(x, split));
  HOLDS(split, 0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17);
  tv_tensor *joined = OK(tv_reshape(rows, TV_SHAPE(12)));
  CHECK(!tv_tensor_shares(x, joined) && tv_tensor_is_contiguous(joined));
  HOLDS(joined, 0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17);
  /* Two axes that lie as one, of a tensor whose others do not. */
  tv_tensor *turned = OK(tv_permute_dims(numbers(TV_SHAPE(2, 3, 4)), TV_AXES(2, 0, 1)));
  tv_tensor *merged = OK(tv_reshape(turned, TV_SHAPE(4, 6)));
  CHECK(tv_tensor_shares(turned, merged));
  SAME(merged, tv_matrix_transpose(numbers(TV_SHAPE(6, 4))));
  CHECK(!tv_tensor_shares(turned, OK(tv_reshape(turned, TV_SHAPE(8, 3)))));
  /* Reversed and broadcast axes. */
  tv_tensor *back = OK(tv_flip(numbers(TV_SHAPE(12)), TV_ALL_AXES));
  CHECK(tv_tensor_shares(back, OK(tv_reshape(back, TV_SHAPE(3, 4)))));
  HOLDS(tv_reshape(back, TV_SHAPE(2, 6)), 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  tv_tensor *wide = OK(tv_broadcast_to(tv_full(TV_F64, TV_SHAPE(1), tv_scalar(7)), TV_SHAPE(6)));
  CHECK(tv_tensor_shares(wide, OK(tv_reshape(wide, TV_SHAPE(2, 3)))));
  tv_tensor *repeated = OK(tv_broadcast_to(numbers(TV_SHAPE(3)), TV_SHAPE(2, 3)));
  HOLDS(tv_reshape(repeated, TV_SHAPE(6)), 0, 1, 2, 0, 1, 2);
}

TEST(reshape_of_one_element_takes_any_ones) {
  tv_tensor *x = OK(tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(3)));
  SHAPE_IS(tv_reshape(x, TV_SHAPE(1, 1, 1)), TV_SHAPE(1, 1, 1));
  SHAPE_IS(tv_reshape(tv_reshape(x, TV_SHAPE(1, 1)), TV_SCALAR_SHAPE), TV_SCALAR_SHAPE);
  tv_tensor *ones =
      OK(tv_reshape(tv_slice(numbers(TV_SHAPE(4, 6)), "1:2, ::3"), TV_SHAPE(1, 2, 1)));
  HOLDS(ones, 6, 9);
}

TEST(weak_scalars_become_tensors) {
  tv_tensor *x = OK(tv_reshape(tv_scalar(2.5), TV_SHAPE(1)));
  CHECK(!tv_tensor_is_weak(x) && tv_tensor_dtype(x) == TV_F64);
  HOLDS(x, 2.5);
  HOLDS(tv_broadcast_to(tv_scalar(2), TV_SHAPE(3)), 2, 2, 2);
  EQUAL(tv_tensor_dtype(tv_expand_dims(tv_scalar_bool(true), 0)), TV_BOOL);
}

/* Order of axes ------------------------------------------------------------------------------ */

TEST(permute_moves_axes) {
  tv_tensor *x = numbers(TV_SHAPE(2, 3, 2)), *y = OK(tv_permute_dims(x, TV_AXES(1, -1, 0)));
  SHAPE_IS(y, TV_SHAPE(3, 2, 2));
  HOLDS(y, 0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11);
  CHECK(tv_tensor_shares(x, y));
  SHAPE_IS(tv_permute_dims(tv_scalar(1), TV_NO_AXES), TV_SCALAR_SHAPE);
}

TEST(permute_refuses) {
  tv_tensor *x = numbers(TV_SHAPE(2, 3));
  FAILS(TV_EVALUE, "permute_dims: axes [0] are no permutation of those of shape [2, 3]",
        tv_permute_dims(x, TV_AXES(0)));
  FAILS(TV_EVALUE, "permute_dims: axes [0, 0] are no permutation of those of shape [2, 3]",
        tv_permute_dims(x, TV_AXES(0, 0)));
  FAILS(TV_EVALUE, "permute_dims: axes [0, 2] are no permutation of those of shape [2, 3]",
        tv_permute_dims(x, TV_AXES(0, 2)));
  FAILS(TV_EVALUE, "permute_dims: axes [] are no permutation of those of shape [2, 3]",
        tv_permute_dims(x, TV_ALL_AXES));
  FAILS(TV_EVALUE, "permute_dims: axes is NULL", tv_permute_dims(x, 2, NULL));
}

TEST(transpose_swaps_the_last_two_axes) {
  tv_tensor *x = numbers(TV_SHAPE(2, 2, 3)), *y = OK(tv_matrix_transpose(x));
  SHAPE_IS(y, TV_SHAPE(2, 3, 2));
  HOLDS(y, 0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11);
  FAILS(TV_ESHAPE, "matrix_transpose: shape [3] has fewer than 2 axes",
        tv_matrix_transpose(numbers(TV_SHAPE(3))));
}

TEST(flip_reverses) {
  tv_tensor *x = numbers(TV_SHAPE(2, 3));
  HOLDS(tv_flip(x, TV_AXES(1)), 2, 1, 0, 5, 4, 3);
  HOLDS(tv_flip(x, TV_AXES(-2)), 3, 4, 5, 0, 1, 2);
  HOLDS(tv_flip(x, TV_ALL_AXES), 5, 4, 3, 2, 1, 0);
  HOLDS(tv_flip(x, TV_NO_AXES), 0, 1, 2, 3, 4, 5);
  SAME(tv_flip(tv_flip(x, TV_ALL_AXES), TV_ALL_AXES), x);
  SHAPE_IS(tv_flip(tv_zeros(TV_I8, TV_SHAPE(3, 0)), TV_ALL_AXES), TV_SHAPE(3, 0));
  FAILS(TV_EINDEX, "flip: axis 2 of 2", tv_flip(x, TV_AXES(2)));
  FAILS(TV_EVALUE, "flip: axis 1 is named twice", tv_flip(x, TV_AXES(1, -1)));
  FAILS(TV_EVALUE, "flip: axes is NULL", tv_flip(x, 1, NULL));
}

/* Axes of size 1, and broadcasting ------------------------------------------------------------ */

TEST(expand_and_squeeze_are_inverse) {
  tv_tensor *x = numbers(TV_SHAPE(2, 3));
  SHAPE_IS(tv_expand_dims(x, 0), TV_SHAPE(1, 2, 3));
  SHAPE_IS(tv_expand_dims(x, 1), TV_SHAPE(2, 1, 3));
  SHAPE_IS(tv_expand_dims(x, -1), TV_SHAPE(2, 3, 1));
  SHAPE_IS(tv_expand_dims(x, -3), TV_SHAPE(1, 2, 3));
  tv_tensor *wide = OK(tv_expand_dims(tv_expand_dims(tv_matrix_transpose(x), 0), 2));
  SAME(tv_squeeze(wide, TV_AXES(0, 2)), tv_matrix_transpose(x));
  SAME(tv_squeeze(x, TV_NO_AXES), x);
  SHAPE_IS(tv_squeeze(tv_ones(TV_I8, TV_SHAPE(1, 1)), TV_ALL_AXES), TV_SCALAR_SHAPE);
  FAILS(TV_EINDEX, "expand_dims: axis 3 of 3", tv_expand_dims(x, 3));
  FAILS(TV_EINDEX, "expand_dims: axis -4 of 3", tv_expand_dims(x, -4));
  FAILS(TV_ESHAPE, "squeeze: axis 1 of shape [2, 3] has size 3, not 1", tv_squeeze(x, TV_AXES(1)));
  FAILS(TV_EINDEX, "squeeze: axis -3 of 2", tv_squeeze(x, TV_AXES(-3)));
  int64_t most[TV_MAX_RANK];
  for (int k = 0; k < TV_MAX_RANK; k++) most[k] = 1;
  FAILS(TV_ESHAPE, "expand_dims: 65 axes: 0 to 64 are possible",
        tv_expand_dims(tv_zeros(TV_I8, TV_MAX_RANK, most), 0));
}

TEST(broadcast_repeats_without_copying) {
  tv_tensor *x = numbers(TV_SHAPE(2, 1)), *y = OK(tv_broadcast_to(x, TV_SHAPE(2, 2, 3)));
  HOLDS(y, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1);
  CHECK(tv_tensor_shares(x, y));
  SHAPE_IS(tv_broadcast_to(x, TV_SHAPE(2, 0)), TV_SHAPE(2, 0));
  SAME(tv_broadcast_to(x, TV_SHAPE(2, 1)), x);
  FAILS(TV_ESHAPE, "broadcast_to: shape does not broadcast: [2, 1] to [3, 3]",
        tv_broadcast_to(x, TV_SHAPE(3, 3)));
  FAILS(TV_ESHAPE, "broadcast_to: shape does not broadcast: [2, 1] to [2]",
        tv_broadcast_to(x, TV_SHAPE(2)));
  FAILS(TV_ESHAPE, "broadcast_to: negative size in shape [2, -1]",
        tv_broadcast_to(x, TV_SHAPE(2, -1)));
  FAILS(TV_EOVERFLOW,
        "broadcast_to: shape [4611686018427387904, 2, 1] of float64 has more than 2^63 - 1 bytes",
        tv_broadcast_to(x, TV_SHAPE(INT64_C(1) << 62, 2, 1)));
}

TEST(null_passes_and_the_first_failure_stays) {
  tv_tensor *broken = tv_reshape(numbers(TV_SHAPE(2)), TV_SHAPE(3));
  CHECK(!tv_flip(tv_squeeze(tv_expand_dims(broken, 0), TV_AXES(0)), TV_ALL_AXES));
  SAME_TEXT(tv_error_text(), "reshape: sizes do not agree: [2] to [3]");
  tv_error_clear();
}

/* Gradients ---------------------------------------------------------------------------------- */

static tv_tensor *reshaped(tv_tensor *x) { return tv_reshape(x, TV_SHAPE(3, -1)); }
static tv_tensor *copied(tv_tensor *x) { return tv_reshape(tv_matrix_transpose(x), TV_SHAPE(12)); }
static tv_tensor *permuted(tv_tensor *x) { return tv_permute_dims(x, TV_AXES(2, 0, 1)); }
static tv_tensor *transposed(tv_tensor *x) { return tv_matrix_transpose(x); }
static tv_tensor *flipped(tv_tensor *x) { return tv_flip(x, TV_AXES(0, 2)); }
static tv_tensor *squeezed(tv_tensor *x) { return tv_squeeze(tv_expand_dims(x, 1), TV_AXES(1)); }
static tv_tensor *expanded(tv_tensor *x) { return tv_expand_dims(x, -2); }
static tv_tensor *broadcast(tv_tensor *x) {
  return tv_broadcast_to(tv_slice(x, "..., :1"), TV_SHAPE(2, 2, 3, 4));
}

TEST(gradients_are_the_inverse_movement) {
  tv_tensor *x = OK(tv_add(numbers(TV_SHAPE(2, 3, 2)), tv_scalar(.5)));
  DIFFERENCES(reshaped, x);
  DIFFERENCES(copied, x);
  DIFFERENCES(permuted, x);
  DIFFERENCES(transposed, x);
  DIFFERENCES(flipped, x);
  DIFFERENCES(squeezed, x);
  DIFFERENCES(expanded, x);
  DIFFERENCES(broadcast, x);
  HOLDS(check_gradient(flipped, x), 8, 7, 10, 9, 12, 11, 2, 1, 4, 3, 6, 5);
  HOLDS(check_gradient(permuted, x), 1, 7, 2, 8, 3, 9, 4, 10, 5, 11, 6, 12);
}

TEST(a_failed_allocation_leaves_nothing) {
  tv_tensor *x = numbers(TV_SHAPE(2, 3, 2));
  STARVED(copied, x);
  STARVED(permuted, x);
  STARVED(flipped, x);
  STARVED(broadcast, x);
}

TEST_MAIN("shape", CASE(reshape_keeps_c_order_and_bytes), CASE(reshape_works_one_size_out),
          CASE(reshape_refuses), CASE(reshape_of_a_view_is_a_view_where_steps_allow),
          CASE(reshape_of_one_element_takes_any_ones), CASE(weak_scalars_become_tensors),
          CASE(permute_moves_axes), CASE(permute_refuses), CASE(transpose_swaps_the_last_two_axes),
          CASE(flip_reverses), CASE(expand_and_squeeze_are_inverse),
          CASE(broadcast_repeats_without_copying), CASE(null_passes_and_the_first_failure_stays),
          CASE(gradients_are_the_inverse_movement), CASE(a_failed_allocation_leaves_nothing))
