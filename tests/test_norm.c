/* SPDX-License-Identifier: MIT
 * Layer norm: values computed in long double, the bits of single ops and of a device without the
 * slot, on any number of threads, halves, long rows, refusals, gradients of both orders. */
#include <math.h>

#include "differences.h"
#include "far.h"

enum { ROWS = 3, COLUMNS = 700 };
static const double epsilon = 1e-5;

static tv_tensor *numbers(uint64_t key, tv_dtype dtype, int rank, const int64_t *shape) {
  tv_tensor *const x = tv_random_normal((tv_key){key, 1}, TV_F32, rank, shape);
  return OK(tv_astype(tv_add(tv_multiply(x, tv_scalar(3.)), tv_scalar(.5)), dtype));
}

TEST(values_of_the_definition) {
  tv_tensor *const x = numbers(1, TV_F64, TV_SHAPE(ROWS, COLUMNS));
  tv_tensor *const gamma = numbers(2, TV_F64, TV_SHAPE(COLUMNS));
  tv_tensor *const beta = numbers(3, TV_F64, TV_SHAPE(COLUMNS));
  const double *const in = tv_tensor_data(x), *const scale = tv_tensor_data(gamma),
                      *const shift = tv_tensor_data(beta);
  const double *const got = tv_tensor_data(OK(tv_layer_norm(x, -1, gamma, beta, epsilon)));
  for (int row = 0; row < ROWS; row++) {
    long double mean = 0, variance = 0;
    for (int k = 0; k < COLUMNS; k++) mean += (long double)in[row * COLUMNS + k] / COLUMNS;
    for (int k = 0; k < COLUMNS; k++) {
      const long double z = (long double)in[row * COLUMNS + k] - mean;
      variance += z * z / COLUMNS;
    }
    for (int k = 0; k < COLUMNS; k++) {
      const long double z = (long double)in[row * COLUMNS + k] - mean;
      const long double want = z / sqrtl(variance + (long double)epsilon) * (long double)scale[k] +
                               (long double)shift[k];
      if (fabsl((long double)got[row * COLUMNS + k] - want) > 1e-13L)
        check_fail(CHECK_HERE, "row %d, column %d: %.17g, not %.17Lg", row, k,
                   got[row * COLUMNS + k], want);
    }
  }
  /* PyTorch: layer_norm of 1, 2, 3, 4 is (-1.5, -.5, .5, 1.5) / sqrt(1.25) with epsilon 0. */
  const double four[] = {1, 2, 3, 4}, r = 1.1180339887498949;
  HOLDS(tv_layer_norm(OK(tv_tensor_from_memory(four, TV_F64, TV_SHAPE(4), NULL)), 0, NULL, NULL, 0),
        -1.5 / r, -.5 / r, .5 / r, 1.5 / r);
  HOLDS(tv_layer_norm(tv_ones(TV_F32, TV_SHAPE(2, 2)), 1, NULL, NULL, 1), 0, 0, 0, 0);
}

/* Parts: bit 0 gamma, bit 1 beta. */
static void compare(tv_dtype dtype, int64_t rows, int64_t columns, int parts) {
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  tv_tensor *const x = numbers(4, dtype, TV_SHAPE(rows, columns));
  tv_tensor *const gamma = parts & 1 ? numbers(5, dtype, TV_SHAPE(columns)) : NULL;
  tv_tensor *const beta = parts & 2 ? numbers(6, dtype, TV_SHAPE(columns)) : NULL;
  const tv_device far = far_device();
  tv_tensor *const want =
      OK(tv_to(OK(tv_layer_norm(OK(tv_to(x, far)), 1, gamma ? OK(tv_to(gamma, far)) : NULL,
                                beta ? OK(tv_to(beta, far)) : NULL, epsilon)),
               TV_CPU));
  static const int threads[] = {1, 2, 3, 7};
  for (int k = 0; k < 4; k++) {
    OK(tv_threads_set(threads[k]));
    SAME(OK(tv_layer_norm(x, -1, gamma, beta, epsilon)), want);
  }
  OK(tv_threads_set(0));
  OK(tv_scope_end(&scope, NULL));
}

TEST(a_device_without_the_slot_gives_the_same_bits) {
  static const tv_dtype dtypes[] = {TV_F16, TV_BF16, TV_F32, TV_F64};
  static const int64_t columns[] = {1, 2, 17, 512, 513, 1500};
  for (int dtype = 0; dtype < 4; dtype++)
    for (int k = 0; k < 6; k++) compare(dtypes[dtype], 37, columns[k], (k + dtype) % 4);
  compare(TV_F32, 3000, 64, 3);
  compare(TV_F32, 2, 32768 * 2 + 700, 3);
  compare(TV_F64, 1, 32768 * 3, 1);
  compare(TV_BF16, 1, 100000, 2);
}

TEST(over_several_axes_and_views) {
  tv_tensor *const x = numbers(7, TV_F32, TV_SHAPE(4, 3, 5));
  tv_tensor *const gamma = numbers(8, TV_F32, TV_SHAPE(3, 5));
  SAME(tv_layer_norm(x, 1, gamma, NULL, epsilon),
       tv_reshape(tv_layer_norm(tv_reshape(x, TV_SHAPE(4, 15)), 1, tv_reshape(gamma, TV_SHAPE(15)),
                                NULL, epsilon),
                  TV_SHAPE(4, 3, 5)));
  tv_tensor *const turned = OK(tv_permute_dims(x, 3, (const int64_t[]){1, 0, 2}));
  SAME(tv_layer_norm(turned, 2, NULL, NULL, epsilon),
       tv_permute_dims(tv_layer_norm(x, 2, NULL, NULL, epsilon), 3, (const int64_t[]){1, 0, 2}));
  SHAPE_IS(tv_layer_norm(tv_zeros(TV_F32, TV_SHAPE(0, 4)), 1, NULL, NULL, 0), TV_SHAPE(0, 4));
  SHAPE_IS(tv_layer_norm(tv_zeros(TV_F32, TV_SHAPE(4, 0)), 1, NULL, NULL, 0), TV_SHAPE(4, 0));
}

TEST(what_does_not_fit) {
  tv_tensor *const x = tv_zeros(TV_F32, TV_SHAPE(2, 3)), *const two = tv_ones(TV_F32, TV_SHAPE(2));
  FAILS(TV_EDTYPE, "layer_norm: does not take int32",
        tv_layer_norm(tv_zeros(TV_I32, TV_SHAPE(2)), 0, NULL, NULL, 0));
  FAILS(TV_EDTYPE, "layer_norm: x is float32, beta float64",
        tv_layer_norm(x, 1, NULL, tv_ones(TV_F64, TV_SHAPE(3)), 0));
  FAILS(TV_ESHAPE, "layer_norm: gamma has shape [2], the axes [3]",
        tv_layer_norm(x, 1, two, NULL, 0));
  FAILS(TV_EDEVICE, "layer_norm: x is on cpu, gamma on far:0",
        tv_layer_norm(x, 1, OK(tv_to(tv_ones(TV_F32, TV_SHAPE(3)), far_device())), NULL, 0));
  FAILS(TV_EVALUE, "layer_norm: epsilon is -1, expected 0 or more and finite",
        tv_layer_norm(x, 1, NULL, NULL, -1));
  FAILS(TV_EVALUE, "layer_norm: x is NULL", tv_layer_norm(NULL, 1, NULL, NULL, 0));
  CHECK(!tv_layer_norm(x, 2, NULL, NULL, 0));
  EQUAL(tv_error(), TV_EINDEX);
  tv_error_clear();
}

static tv_tensor *fixed(int64_t n, double from) {
  return tv_arange(TV_F64, from, from + (double)n, 1);
}
static tv_tensor *of_x(tv_tensor *x) { return tv_layer_norm(x, 1, NULL, NULL, .1); }
static tv_tensor *of_x_scaled(tv_tensor *x) {
  return tv_layer_norm(x, 1, fixed(4, .5), fixed(4, -1), .1);
}
static tv_tensor *of_x_shifted(tv_tensor *x) { return tv_layer_norm(x, 1, NULL, fixed(4, -1), .1); }
static tv_tensor *table(void) { return tv_random_normal((tv_key){1, 9}, TV_F64, TV_SHAPE(3, 4)); }
static tv_tensor *of_gamma(tv_tensor *gamma) {
  return tv_layer_norm(table(), 1, gamma, fixed(4, -1), .1);
}
static tv_tensor *of_beta(tv_tensor *beta) { return tv_layer_norm(table(), 1, NULL, beta, .1); }

TEST(gradients) {
  tv_tensor *const x = table(), *const part = fixed(4, .25);
  DIFFERENCES(of_x, x);
  DIFFERENCES(of_x_scaled, x);
  DIFFERENCES(of_x_shifted, x);
  DIFFERENCES(of_gamma, part);
  DIFFERENCES(of_beta, part);
}

TEST(memory_may_run_out) {
  STARVED(of_x_scaled, table());
  STARVED(of_gamma, fixed(4, .25));
}

TEST_MAIN("norm", CASE(values_of_the_definition),
          CASE(a_device_without_the_slot_gives_the_same_bits), CASE(over_several_axes_and_views),
          CASE(what_does_not_fit), CASE(gradients), CASE(memory_may_run_out))
