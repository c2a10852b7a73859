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
static tv_tensor *other, *bias;
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

/* Dense layers: the bits of their parts, forwards and backwards. */

static tv_tensor *by_parts(tv_tensor *x, tv_tensor *w, tv_tensor *b, tv_activation activation) {
  tv_tensor *const y = b ? tv_add(tv_matmul(x, w), b) : tv_matmul(x, w);
  return activation == TV_RELU      ? tv_relu(y)
         : activation == TV_TANH    ? tv_tanh(y)
         : activation == TV_SIGMOID ? tv_sigmoid(y)
                                    : y;
}

static void check_dense(tv_dtype dtype, int rank, const int64_t *shape, int64_t n, bool has_bias) {
  const int64_t k = shape[rank - 1];
  tv_tensor *const x = tv_astype(tv_sin(numbers(0, rank, shape)), dtype);
  tv_tensor *const w = tv_astype(tv_cos(numbers(1, TV_SHAPE(k, n))), dtype);
  tv_tensor *const b = has_bias ? tv_astype(tv_sin(numbers(2, TV_SHAPE(n))), dtype) : NULL;
  tv_tensor *sources[] = {x, w, b};
  for (int activation = TV_LINEAR; activation <= TV_SIGMOID; activation++) {
    tv_tensor *y[2], *g[2][3];
    for (int k2 = 0; k2 < 2; k2++) {
      tv_tape *const tape = tv_tape_begin(NULL);
      for (int j = 0; j < 2 + has_bias; j++) OK(tv_tape_watch(tape, sources[j]));
      y[k2] = OK((k2 ? by_parts : tv_dense)(x, w, b, (tv_activation)activation));
      OK(tv_tape_gradient_of(tape, tv_sum(tv_square(y[k2]), TV_ALL_AXES), 2 + has_bias, sources,
                             g[k2]));
      OK(tv_tape_end(tape));
    }
    SAME(y[0], y[1]);
    for (int j = 0; j < 2 + has_bias; j++) SAME(g[0][j], g[1][j]);
  }
}

TEST(dense_has_the_bits_of_its_parts) {
  static const tv_dtype dtypes[] = {TV_F32, TV_F64, TV_F16, TV_BF16};
  for (int d = 0; d < 4; d++)
    for (int has_bias = 0; has_bias < 2; has_bias++) {
      check_dense(dtypes[d], 2, (const int64_t[]){3, 5}, 4, has_bias);
      check_dense(dtypes[d], 2, (const int64_t[]){130, 96}, 150, has_bias);
      check_dense(dtypes[d], 3, (const int64_t[]){2, 33, 70}, 65, has_bias);
    }
}

TEST(dense_takes_any_layout_and_what_is_deferred) {
  tv_tensor *const x = tv_matrix_transpose(tv_sin(numbers(0, TV_SHAPE(120, 90))));
  tv_tensor *const w = tv_multiply(numbers(0, TV_SHAPE(120, 80)), tv_scalar(.01));
  tv_tensor *const b = tv_slice(numbers(0, TV_SHAPE(160)), "::2");
  SAME(tv_dense(x, w, b, TV_RELU), by_parts(x, w, b, TV_RELU));
  tv_tensor *const v = numbers(1, TV_SHAPE(120));
  SAME(tv_dense(v, w, b, TV_RELU), by_parts(v, w, b, TV_RELU)); /* by parts itself */
  HOLDS(tv_dense(tv_zeros(TV_F32, TV_SHAPE(2, 0)), tv_zeros(TV_F32, TV_SHAPE(0, 1)),
                 tv_ones(TV_F32, TV_SHAPE(1)), TV_RELU),
        1, 1);
  HOLDS(tv_dense(tv_ones(TV_I32, TV_SHAPE(1, 2)), tv_ones(TV_I32, TV_SHAPE(2, 1)), NULL, TV_LINEAR),
        2);
}

static tv_tensor *dense_of_x(tv_tensor *x) { return tv_dense(x, other, bias, TV_TANH); }
static tv_tensor *dense_of_w(tv_tensor *w) { return tv_dense(other, w, bias, TV_SIGMOID); }
static tv_tensor *dense_of_b(tv_tensor *b) { return tv_dense(other, other, b, TV_TANH); }

TEST(dense_gradients_have_gradients) {
  other = tv_multiply(wave(TV_SHAPE(3, 3)), tv_scalar(.3));
  bias = wave(TV_SHAPE(3));
  DIFFERENCES(dense_of_x, wave(TV_SHAPE(2, 3)));
  DIFFERENCES(dense_of_w, wave(TV_SHAPE(3, 3)));
  DIFFERENCES(dense_of_b, wave(TV_SHAPE(3)));
}

TEST(a_failed_dense_layer_leaves_nothing) {
  other = wave(TV_SHAPE(3, 3));
  bias = wave(TV_SHAPE(3));
  STARVED(dense_of_x, wave(TV_SHAPE(2, 3)));
}

TEST(dense_refuses) {
  tv_tensor *const x = tv_ones(TV_F32, TV_SHAPE(2, 3)), *const w = tv_ones(TV_F32, TV_SHAPE(3, 4));
  FAILS(TV_EVALUE, "dense: w is NULL", tv_dense(x, NULL, NULL, TV_RELU));
  FAILS(TV_EVALUE, "dense: 9 is no activation", tv_dense(x, w, NULL, (tv_activation)9));
  FAILS(TV_ESHAPE, "dense: inner sizes differ: [2, 3] by [2, 3]", tv_dense(x, x, NULL, TV_RELU));
  FAILS(TV_ESHAPE, "dense: bias has shape [3], not [4]",
        tv_dense(x, w, tv_ones(TV_F32, TV_SHAPE(3)), TV_RELU));
  FAILS(TV_EDTYPE, "relu: does not take complex64",
        tv_dense(tv_astype(x, TV_C64), w, NULL, TV_RELU));
}

TEST_MAIN("linalg", CASE(dense_has_the_bits_of_its_parts),
          CASE(dense_takes_any_layout_and_what_is_deferred), CASE(dense_gradients_have_gradients),
          CASE(dense_refuses), CASE(a_failed_dense_layer_leaves_nothing),
          CASE(precision_is_the_threads), CASE(product_of_two_matrices),
          CASE(vectors_are_padded_and_stripped), CASE(leading_axes_broadcast),
          CASE(any_layout_will_do), CASE(sizes_of_zero), CASE(every_dtype_multiplies),
          CASE(halves_accumulate_in_f32), CASE(complex_products_do_not_conjugate),
          CASE(matmul_refuses), CASE(gradients_of_matrices), CASE(gradients_of_vectors),
          CASE(gradients_of_stacks_are_summed_where_they_broadcast), CASE(gradients_of_nothing),
          CASE(gradients_of_complex_products_conjugate), CASE(gradients_of_mixed_dtypes),
          CASE(a_failed_allocation_leaves_nothing))
