/* SPDX-License-Identifier: MIT
 * Matrix products: shapes, dtypes, layouts, refusals, gradients. */
#include "differences.h"
#include "second.h"

/* first, first + 1, ... */
static tv_tensor *numbers(double first, int rank, const int64_t *shape) {
  int64_t n = 1;
  for (int k = 0; k < rank; k++) n *= shape[k];
  return OK(tv_reshape(tv_arange(TV_F64, first, first + (double)n, 1), rank, shape));
}

/* The product by its definition, of exact numbers in f64. a [m, k], b [k, n] */
static tv_tensor *plain(tv_tensor *a, tv_tensor *b) {
  return tv_sum(tv_multiply(tv_expand_dims(a, -1), tv_expand_dims(b, -3)), TV_AXES(-2));
}

TEST(product_of_two_matrices) {
  tv_tensor *a = numbers(1, TV_SHAPE(2, 3)), *b = numbers(1, TV_SHAPE(3, 2));
  tv_tensor *y = OK(tv_matmul(a, b));
  SHAPE_IS(y, TV_SHAPE(2, 2));
  HOLDS(y, 22, 28, 49, 64);
}

TEST(vectors_are_padded_and_stripped) {
  tv_tensor *a = numbers(1, TV_SHAPE(2, 3)), *v = numbers(1, TV_SHAPE(3)),
            *w = numbers(1, TV_SHAPE(2));
  tv_tensor *y = OK(tv_matmul(a, v));
  SHAPE_IS(y, TV_SHAPE(2));
  HOLDS(y, 14, 32);
  y = OK(tv_matmul(w, a));
  SHAPE_IS(y, TV_SHAPE(3));
  HOLDS(y, 9, 12, 15);
  y = OK(tv_matmul(v, v));
  SHAPE_IS(y, TV_SCALAR_SHAPE);
  HOLDS(y, 14);
  tv_tensor *stack = numbers(0, TV_SHAPE(4, 3, 3));
  SHAPE_IS(tv_matmul(v, stack), TV_SHAPE(4, 3));
  SHAPE_IS(tv_matmul(stack, v), TV_SHAPE(4, 3));
}

TEST(leading_axes_broadcast) {
  tv_tensor *a = numbers(0, TV_SHAPE(2, 1, 2, 3)), *b = numbers(-5, TV_SHAPE(3, 3, 2));
  tv_tensor *y = OK(tv_matmul(a, b));
  SHAPE_IS(y, TV_SHAPE(2, 3, 2, 2));
  SAME(y, plain(a, b));
  SAME(tv_matmul(b, numbers(0, TV_SHAPE(2, 4))), plain(b, numbers(0, TV_SHAPE(2, 4))));
  tv_tensor *same = OK(tv_broadcast_to(numbers(1, TV_SHAPE(3, 2)), TV_SHAPE(5, 3, 2)));
  SAME(tv_matmul(numbers(0, TV_SHAPE(2, 3)), same), plain(numbers(0, TV_SHAPE(2, 3)), same));
}

TEST(any_layout_will_do) {
  tv_tensor *a = numbers(0, TV_SHAPE(6, 8)), *b = numbers(3, TV_SHAPE(8, 6));
  tv_tensor *at = OK(tv_matrix_transpose(a)), *bt = OK(tv_matrix_transpose(b));
  SAME(tv_matmul(at, bt), plain(at, bt));
  SAME(tv_matmul(a, tv_flip(b, TV_ALL_AXES)), plain(a, tv_flip(b, TV_ALL_AXES)));
  tv_tensor *odd = OK(tv_slice(a, "::2, ::-2")), *few = OK(tv_slice(b, "1:8:2, ::3"));
  SAME(tv_matmul(odd, few), plain(odd, few));
  tv_tensor *row = OK(tv_broadcast_to(numbers(1, TV_SHAPE(1, 8)), TV_SHAPE(4, 8)));
  SAME(tv_matmul(row, b), plain(row, b));
  tv_tensor *turned = OK(tv_permute_dims(numbers(0, TV_SHAPE(3, 4, 5)), TV_AXES(1, 2, 0)));
  SAME(tv_matmul(turned, numbers(0, TV_SHAPE(3, 2))), plain(turned, numbers(0, TV_SHAPE(3, 2))));
}

TEST(sizes_of_zero) {
  tv_tensor *y = OK(tv_matmul(tv_ones(TV_F32, TV_SHAPE(2, 0)), tv_ones(TV_F32, TV_SHAPE(0, 3))));
  SHAPE_IS(y, TV_SHAPE(2, 3));
  HOLDS(y, 0, 0, 0, 0, 0, 0);
  HOLDS(tv_matmul(tv_ones(TV_I8, TV_SHAPE(0)), tv_ones(TV_I8, TV_SHAPE(0))), 0);
  SHAPE_IS(tv_matmul(tv_ones(TV_F32, TV_SHAPE(0, 3)), tv_ones(TV_F32, TV_SHAPE(3, 2))),
           TV_SHAPE(0, 2));
  SHAPE_IS(tv_matmul(tv_ones(TV_F32, TV_SHAPE(0, 2, 3)), tv_ones(TV_F32, TV_SHAPE(3, 2))),
           TV_SHAPE(0, 2, 2));
  SHAPE_IS(tv_matmul(tv_ones(TV_F32, TV_SHAPE(1, 2, 3)), tv_ones(TV_F32, TV_SHAPE(0, 3, 2))),
           TV_SHAPE(0, 2, 2));
}

TEST(every_dtype_multiplies) {
  for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++) {
    tv_tensor *a = OK(tv_astype(numbers(0, TV_SHAPE(2, 2)), (tv_dtype)dtype));
    tv_tensor *y = OK(tv_matmul(a, a));
    EQUAL(tv_tensor_dtype(y), dtype);
    if (dtype == TV_BOOL)
      HOLDS(y, 1, 1, 1, 1); /* or of ands: [[0, 1], [1, 1]] twice */
    else
      HOLDS(tv_real(y), 2, 3, 6, 11);
  }
  tv_tensor *y = OK(tv_matmul(tv_full(TV_I8, TV_SHAPE(1, 4), tv_scalar(100)),
                              tv_full(TV_I8, TV_SHAPE(4, 1), tv_scalar(100))));
  HOLDS(y, 64); /* 40000 mod 256 */
  EQUAL(tv_tensor_dtype(tv_matmul(tv_ones(TV_I32, TV_SHAPE(2)), tv_ones(TV_F32, TV_SHAPE(2)))),
        TV_F64);
  EQUAL(tv_tensor_dtype(tv_matmul(tv_ones(TV_F16, TV_SHAPE(0)), tv_ones(TV_BF16, TV_SHAPE(0)))),
        TV_F32);
}

TEST(halves_accumulate_in_f32) {
  tv_tensor *ones = OK(tv_ones(TV_F16, TV_SHAPE(4096)));
  HOLDS(tv_matmul(ones, ones), 4096); /* in f16 it would stop at 2048 */
}

TEST(complex_products_do_not_conjugate) {
  tv_tensor *i = OK(tv_full(TV_C64, TV_SHAPE(1, 1), tv_scalar_complex(0, 1)));
  HOLDS(tv_real(tv_matmul(i, i)), -1);
}

TEST(matmul_refuses) {
  tv_tensor *a = OK(tv_ones(TV_F32, TV_SHAPE(2, 3))), *b = OK(tv_ones(TV_F32, TV_SHAPE(4, 4)));
  FAILS(TV_EVALUE, "matmul: a is NULL", tv_matmul(NULL, b));
  FAILS(TV_EVALUE, "matmul: b is NULL", tv_matmul(a, NULL));
  FAILS(TV_ESHAPE, "matmul: inner sizes differ: [2, 3] by [4, 4]", tv_matmul(a, b));
  FAILS(TV_ESHAPE, "matmul: inner sizes differ: [2, 3] by [2]",
        tv_matmul(a, tv_ones(TV_F32, TV_SHAPE(2))));
  FAILS(TV_ESHAPE, "matmul: leading axes do not broadcast: [2, 1, 3] by [3, 3, 1]",
        tv_matmul(tv_ones(TV_F32, TV_SHAPE(2, 1, 3)), tv_ones(TV_F32, TV_SHAPE(3, 3, 1))));
  FAILS(TV_ESHAPE, "matmul: b is 0-d: use tv_multiply", tv_matmul(a, tv_scalar(2)));
  FAILS(TV_ESHAPE, "matmul: a is 0-d: use tv_multiply", tv_matmul(tv_scalar(2), a));
  FAILS(TV_EDEVICE, "matmul: a is on cpu, b on second",
        tv_matmul(a, elsewhere(tv_matrix_transpose(a))));
  OK(tv_promotion_set(TV_PROMOTION_STRICT));
  tv_tensor *mixed = tv_matmul(a, tv_ones(TV_F64, TV_SHAPE(3)));
  OK(tv_promotion_set(TV_PROMOTION_NUMPY));
  FAILS(TV_EDTYPE, "matmul: dtypes differ under strict promotion: float32 and float64", mixed);
}

/* Gradients: the other operand by shape, a case each. */
static tv_tensor *other;
static tv_tensor *left(tv_tensor *x) { return tv_matmul(x, other); }
static tv_tensor *right(tv_tensor *x) { return tv_matmul(other, x); }
static tv_tensor *both(tv_tensor *x) { return tv_matmul(x, tv_matrix_transpose(tv_square(x))); }
/* Real numbers as the parts of complex ones, and back. x [2, ...] */
static tv_tensor *to_complex(tv_tensor *x) {
  return tv_add(tv_slice(x, "0"), tv_multiply(tv_slice(x, "1"), tv_scalar_complex(0, 1)));
}
static tv_tensor *complex_left(tv_tensor *x) {
  tv_tensor *y = tv_matmul(to_complex(x), to_complex(other));
  return tv_stack(2, (tv_tensor *[]){tv_real(y), tv_imag(y)}, 0);
}
static tv_tensor *complex_right(tv_tensor *x) {
  tv_tensor *y = tv_matmul(to_complex(other), to_complex(x));
  return tv_stack(2, (tv_tensor *[]){tv_real(y), tv_imag(y)}, 0);
}
static tv_tensor *wave(int rank, const int64_t *shape) {
  return OK(tv_sin(numbers(1, rank, shape)));
}

TEST(gradients_of_matrices) {
  other = wave(TV_SHAPE(3, 2));
  DIFFERENCES(left, wave(TV_SHAPE(2, 3)));
  DIFFERENCES(left, wave(TV_SHAPE(2, 2, 3)));
  DIFFERENCES(right, wave(TV_SHAPE(2, 4)));
  DIFFERENCES(both, wave(TV_SHAPE(2, 3)));
}

TEST(gradients_of_vectors) {
  other = wave(TV_SHAPE(3));
  DIFFERENCES(left, wave(TV_SHAPE(3)));
  DIFFERENCES(right, wave(TV_SHAPE(3)));
  DIFFERENCES(left, wave(TV_SHAPE(2, 3)));
  DIFFERENCES(right, wave(TV_SHAPE(3, 2)));
  DIFFERENCES(left, wave(TV_SHAPE(2, 2, 3)));
  DIFFERENCES(right, wave(TV_SHAPE(2, 3, 2)));
  other = wave(TV_SHAPE(2, 3, 2));
  DIFFERENCES(left, wave(TV_SHAPE(3)));
  DIFFERENCES(right, wave(TV_SHAPE(2)));
}

TEST(gradients_of_stacks_are_summed_where_they_broadcast) {
  other = wave(TV_SHAPE(2, 1, 3, 2));
  DIFFERENCES(left, wave(TV_SHAPE(2, 3)));
  DIFFERENCES(left, wave(TV_SHAPE(3, 2, 3)));
  DIFFERENCES(right, wave(TV_SHAPE(1, 2, 2, 1)));
}

TEST(gradients_of_nothing) {
  other = OK(tv_zeros(TV_F64, TV_SHAPE(0, 2)));
  tv_tensor *g = OK(check_gradient(left, tv_zeros(TV_F64, TV_SHAPE(3, 0))));
  SHAPE_IS(g, TV_SHAPE(3, 0));
  other = OK(tv_zeros(TV_F64, TV_SHAPE(0, 3)));
  HOLDS(check_gradient(right, tv_ones(TV_F64, TV_SHAPE(3, 1))), 0, 0, 0);
}

TEST(gradients_of_complex_products_conjugate) {
  other = wave(TV_SHAPE(2, 2, 3));
  DIFFERENCES(complex_left, wave(TV_SHAPE(2, 3, 2)));
  DIFFERENCES(complex_right, wave(TV_SHAPE(2, 3, 2)));
  other = wave(TV_SHAPE(2, 3));
  DIFFERENCES(complex_left, wave(TV_SHAPE(2, 3)));
  DIFFERENCES(complex_right, wave(TV_SHAPE(2, 3)));
}

TEST(gradients_of_mixed_dtypes) {
  tv_tensor *a = OK(tv_ones(TV_F32, TV_SHAPE(1, 2))), *b = OK(tv_ones(TV_F64, TV_SHAPE(2, 1))),
            *g[2];
  tv_tape *tape = tv_tape_begin(NULL);
  OK(tv_tape_watch(tape, a));
  OK(tv_tape_watch(tape, b));
  OK(tv_tape_gradient_of(tape, tv_matmul(a, b), 2, (tv_tensor *[]){a, b}, g));
  EQUAL(tv_tensor_dtype(g[0]), TV_F32);
  EQUAL(tv_tensor_dtype(g[1]), TV_F64);
  HOLDS(g[0], 1, 1);
  OK(tv_tape_end(tape));
}

TEST(a_failed_allocation_leaves_nothing) {
  other = OK(tv_astype(wave(TV_SHAPE(3)), TV_F32));
  STARVED(left, wave(TV_SHAPE(2, 3)));
  STARVED(right, wave(TV_SHAPE(3, 2)));
}

TEST(precision_is_the_threads) {
  EQUAL(tv_matmul_precision_current(), TV_MATMUL_STRICT);
  OK(tv_matmul_precision_set(TV_MATMUL_TF32));
  EQUAL(tv_matmul_precision_current(), TV_MATMUL_TF32);
  tv_tensor *const x = tv_full(TV_F32, TV_SHAPE(1, 1), tv_scalar(1 + 0x1p-20));
  SAME(tv_matmul(x, tv_ones(TV_F32, TV_SHAPE(1, 1))), x); /* the CPU is always strict */
  FAILS_STATUS(TV_EVALUE, "matmul_precision_set: 7 is no precision",
               tv_matmul_precision_set((tv_matmul_precision)7));
  OK(tv_matmul_precision_set(TV_MATMUL_STRICT));
}

TEST_MAIN("linalg", CASE(precision_is_the_threads), CASE(product_of_two_matrices),
          CASE(vectors_are_padded_and_stripped), CASE(leading_axes_broadcast),
          CASE(any_layout_will_do), CASE(sizes_of_zero), CASE(every_dtype_multiplies),
          CASE(halves_accumulate_in_f32), CASE(complex_products_do_not_conjugate),
          CASE(matmul_refuses), CASE(gradients_of_matrices), CASE(gradients_of_vectors),
          CASE(gradients_of_stacks_are_summed_where_they_broadcast), CASE(gradients_of_nothing),
          CASE(gradients_of_complex_products_conjugate), CASE(gradients_of_mixed_dtypes),
          CASE(a_failed_allocation_leaves_nothing))
