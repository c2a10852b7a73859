/* SPDX-License-Identifier: MIT
 * Reductions: values, dtypes, empty axes, NaN, layouts, refusals, gradients. */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "differences.h"

static tv_tensor *numbers(tv_dtype dtype, int rank, const int64_t *shape) {
  int64_t n = 1;
  for (int k = 0; k < rank; k++) n *= shape[k];
  return OK(tv_astype(tv_reshape(tv_arange_int(TV_I64, 0, n, 1), rank, shape), dtype));
}
static tv_tensor *of(int64_t n, const double *values) {
  return OK(tv_tensor_from_memory(values, TV_F64, 1, &n, NULL));
}
#define OF(...) \
  of((int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]){__VA_ARGS__})

static const tv_reduce_options kept = {sizeof kept, true, TV_DTYPE_NONE};

TEST(sum_over_axes) {
  tv_tensor *x = numbers(TV_F64, TV_SHAPE(2, 3, 2));
  HOLDS(tv_sum(x, TV_ALL_AXES), 66);
  SHAPE_IS(tv_sum(x, TV_ALL_AXES), TV_SCALAR_SHAPE);
  HOLDS(tv_sum(x, TV_AXES(0)), 6, 8, 10, 12, 14, 16);
  HOLDS(tv_sum(x, TV_AXES(1)), 6, 9, 24, 27);
  HOLDS(tv_sum(x, TV_AXES(-1, 0)), 14, 22, 30);
  HOLDS(tv_sum(x, TV_AXES(0, -1)), 14, 22, 30);
  SAME(tv_sum(x, TV_NO_AXES), x);
  SHAPE_IS(tv_sum_with(x, TV_AXES(1), &kept), TV_SHAPE(2, 1, 2));
  SHAPE_IS(tv_sum_with(x, TV_ALL_AXES, &kept), TV_SHAPE(1, 1, 1));
  HOLDS(tv_sum(tv_scalar(3), TV_ALL_AXES), 3);
}

TEST(sum_dtypes) {
  static const tv_dtype from[] = {TV_BOOL, TV_I8,  TV_I16,  TV_I32, TV_I64, TV_U8,  TV_U16, TV_U32,
                                  TV_U64,  TV_F16, TV_BF16, TV_F32, TV_F64, TV_C64, TV_C128};
  for (int k = 0; k < TV_DTYPE_COUNT; k++) {
    const tv_dtype want = from[k] <= TV_I64 ? TV_I64 : from[k] <= TV_U64 ? TV_U64 : from[k];
    tv_tensor *y = OK(tv_sum(tv_ones(from[k], TV_SHAPE(5)), TV_ALL_AXES));
    EQUAL(tv_tensor_dtype(y), want);
    HOLDS(tv_real(y), 5);
  }
  HOLDS(tv_sum(tv_full(TV_I8, TV_SHAPE(4), tv_scalar(100)), TV_ALL_AXES), 400);
  HOLDS(tv_sum(tv_full(TV_U8, TV_SHAPE(4), tv_scalar(255)), TV_ALL_AXES), 1020);
}

TEST(dtype_of_the_options_comes_first) {
  tv_reduce_options o = TV_REDUCE_OPTIONS;
  o.dtype = TV_I8;
  tv_tensor *y = OK(tv_sum_with(tv_full(TV_I32, TV_SHAPE(4), tv_scalar(100)), TV_ALL_AXES, &o));
  EQUAL(tv_tensor_dtype(y), TV_I8);
  HOLDS(y, -112);
  o.dtype = TV_F32;
  y = OK(tv_mean_with(numbers(TV_I64, TV_SHAPE(4)), TV_ALL_AXES, &o));
  EQUAL(tv_tensor_dtype(y), TV_F32);
  HOLDS(y, 1.5);
  o.dtype = TV_BOOL;
  y = OK(tv_sum_with(numbers(TV_I64, TV_SHAPE(2, 2)), TV_AXES(0), &o));
  EQUAL(tv_tensor_dtype(y), TV_BOOL);
  HOLDS(y, 1, 1);
  HOLDS(tv_sum_with(tv_zeros(TV_F64, TV_SHAPE(2, 0)), TV_AXES(1), &o), 0, 0);
  HOLDS(tv_sum_with(tv_zeros(TV_F64, TV_SHAPE(2, 2)), TV_AXES(1), &o), 0, 0);
  o.dtype = TV_I32;
  HOLDS(tv_max_with(OF(1.5, -3), TV_ALL_AXES, &o), 1);
}

TEST(halves_are_added_wide_and_rounded_once) {
  tv_tensor *ones = OK(tv_broadcast_to(tv_ones(TV_F16, TV_SHAPE(1)), TV_SHAPE(70000)));
  HOLDS(tv_sum(ones, TV_ALL_AXES), HUGE_VAL);
  HOLDS(tv_mean(ones, TV_ALL_AXES), 1);
  EQUAL(tv_tensor_dtype(tv_mean(ones, TV_ALL_AXES)), TV_F16);
  /* Added in f16, 2048 would stay as it is. */
  HOLDS(tv_sum(tv_broadcast_to(tv_ones(TV_F16, TV_SHAPE(1)), TV_SHAPE(4096)), TV_ALL_AXES), 4096);
  HOLDS(tv_sum(tv_broadcast_to(tv_ones(TV_BF16, TV_SHAPE(1)), TV_SHAPE(512)), TV_ALL_AXES), 512);
}

TEST(nothing_sums_to_zero) {
  tv_tensor *x = OK(tv_zeros(TV_F32, TV_SHAPE(2, 0, 3)));
  HOLDS(tv_sum(x, TV_ALL_AXES), 0);
  HOLDS(tv_sum(x, TV_AXES(1)), 0, 0, 0, 0, 0, 0);
  SHAPE_IS(tv_sum(x, TV_AXES(0)), TV_SHAPE(0, 3));
  EQUAL(tv_tensor_dtype(tv_sum(tv_zeros(TV_U8, TV_SHAPE(0)), TV_ALL_AXES)), TV_U64);
  HOLDS(tv_mean(x, TV_AXES(1, 2)), nan(""), nan(""));
  HOLDS(tv_mean(tv_zeros(TV_I32, TV_SHAPE(0)), TV_ALL_AXES), nan(""));
  SHAPE_IS(tv_mean(x, TV_AXES(0)), TV_SHAPE(0, 3));
}

TEST(mean_dtypes) {
  EQUAL(tv_tensor_dtype(tv_mean(tv_ones(TV_BOOL, TV_SHAPE(2)), TV_ALL_AXES)), TV_F64);
  EQUAL(tv_tensor_dtype(tv_mean(tv_ones(TV_I8, TV_SHAPE(2)), TV_ALL_AXES)), TV_F64);
  EQUAL(tv_tensor_dtype(tv_mean(tv_ones(TV_BF16, TV_SHAPE(2)), TV_ALL_AXES)), TV_BF16);
  EQUAL(tv_tensor_dtype(tv_mean(tv_ones(TV_C64, TV_SHAPE(2)), TV_ALL_AXES)), TV_C64);
  HOLDS(tv_mean(numbers(TV_U8, TV_SHAPE(2, 3)), TV_AXES(1)), 1, 4);
  HOLDS(tv_mean(tv_scalar(true), TV_ALL_AXES), 1);
  /* The sum is rounded first: it overflows, as NumPy's. */
  tv_tensor *large = OK(tv_astype(OF(1e38, 3e38), TV_F32));
  HOLDS(tv_mean(large, TV_ALL_AXES), HUGE_VAL);
  tv_reduce_options o = TV_REDUCE_OPTIONS;
  o.dtype = TV_I32;
  FAILS(TV_EDTYPE, "mean: a mean in int32 is no mean: use a floating dtype",
        tv_mean_with(large, TV_ALL_AXES, &o));
}

TEST(max_and_min) {
  tv_tensor *x = OK(tv_reshape(OF(3, -1, 2, 7, 7, -9), TV_SHAPE(2, 3)));
  HOLDS(tv_max(x, TV_ALL_AXES), 7);
  HOLDS(tv_min(x, TV_ALL_AXES), -9);
  HOLDS(tv_max(x, TV_AXES(0)), 7, 7, 2);
  HOLDS(tv_min(x, TV_AXES(1)), -1, -9);
  SAME(tv_max(x, TV_NO_AXES), x);
  SHAPE_IS(tv_min_with(x, TV_AXES(-1), &kept), TV_SHAPE(2, 1));
  HOLDS(tv_max(OF(1, nan(""), 3), TV_ALL_AXES), nan(""));
  HOLDS(tv_min(OF(1, nan(""), 3), TV_ALL_AXES), nan(""));
  double zero;
  OK(tv_item_f64(tv_max(OF(-0., 0., -0.), TV_ALL_AXES), &zero));
  CHECK(!signbit(zero));
  OK(tv_item_f64(tv_min(OF(0., -0., 0.), TV_ALL_AXES), &zero));
  CHECK(signbit(zero));
  EQUAL(tv_tensor_dtype(tv_max(tv_ones(TV_BOOL, TV_SHAPE(2)), TV_ALL_AXES)), TV_BOOL);
  HOLDS(tv_max(tv_full(TV_U64, TV_SHAPE(2), tv_scalar(UINT64_MAX)), TV_ALL_AXES), 0x1p64);
}

TEST(arg_finds_the_first) {
  tv_tensor *x = OK(tv_reshape(OF(3, 7, 2, 7, 7, -9), TV_SHAPE(2, 3)));
  tv_tensor *y = OK(tv_argmax(x, TV_ALL_AXES));
  EQUAL(tv_tensor_dtype(y), TV_I64);
  HOLDS(y, 1);
  HOLDS(tv_argmin(x, TV_ALL_AXES), 5);
  HOLDS(tv_argmax(x, TV_AXES(0)), 1, 0, 0);
  HOLDS(tv_argmax(x, TV_AXES(-1)), 1, 0);
  SHAPE_IS(tv_argmin_with(x, TV_AXES(1), &kept), TV_SHAPE(2, 1));
  HOLDS(tv_argmax(tv_matrix_transpose(x), TV_ALL_AXES), 1); /* C order of what is seen: 3 7 7 7 */
  HOLDS(tv_argmax(OF(1, nan(""), 9, nan("")), TV_ALL_AXES), 1);
  HOLDS(tv_argmin(OF(1, nan(""), -9, nan("")), TV_ALL_AXES), 1);
  HOLDS(tv_argmax(tv_scalar(5), TV_ALL_AXES), 0);
  SHAPE_IS(tv_argmax(tv_zeros(TV_F32, TV_SHAPE(0, 3)), TV_AXES(1)), TV_SHAPE(0));
}

TEST(reductions_refuse) {
  tv_tensor *x = numbers(TV_F32, TV_SHAPE(2, 3)), *none = OK(tv_zeros(TV_F32, TV_SHAPE(0, 3)));
  tv_tensor *z = OK(tv_ones(TV_C64, TV_SHAPE(2)));
  FAILS(TV_EVALUE, "sum: x is NULL", tv_sum(NULL, TV_ALL_AXES));
  FAILS(TV_EVALUE, "sum: axes is NULL", tv_sum(x, 1, NULL));
  FAILS(TV_EINDEX, "sum: axis 2 of 2", tv_sum(x, TV_AXES(2)));
  FAILS(TV_EINDEX, "mean: axis -3 of 2", tv_mean(x, TV_AXES(-3)));
  FAILS(TV_EVALUE, "max: axis 0 is named twice", tv_max(x, TV_AXES(0, -2)));
  FAILS(TV_ESHAPE, "max: no elements to choose from in shape [0, 3]", tv_max(none, TV_AXES(0)));
  FAILS(TV_ESHAPE, "min: no elements to choose from in shape [0, 3]", tv_min(none, TV_ALL_AXES));
  SHAPE_IS(tv_max(none, TV_AXES(1)), TV_SHAPE(0));
  FAILS(TV_ESHAPE, "argmax: no elements to choose from in shape [0, 3]",
        tv_argmax(none, TV_AXES(0)));
  FAILS(TV_EVALUE, "argmax: 2 axes: name one, or TV_ALL_AXES", tv_argmax(x, TV_AXES(0, 1)));
  FAILS(TV_EVALUE, "argmin: 0 axes: name one, or TV_ALL_AXES", tv_argmin(x, TV_NO_AXES));
  FAILS(TV_EDTYPE, "max: does not take complex64", tv_max(z, TV_ALL_AXES));
  FAILS(TV_EDTYPE, "argmin: does not take complex64", tv_argmin(z, TV_ALL_AXES));
  tv_reduce_options o = TV_REDUCE_OPTIONS;
  o.dtype = TV_F32;
  FAILS(TV_EDTYPE, "sum: from complex64 to float32: take tv_real or tv_imag first",
        tv_sum_with(z, TV_ALL_AXES, &o));
  o.dtype = (tv_dtype)99;
  FAILS(TV_EDTYPE, "sum: 99 is no dtype", tv_sum_with(x, TV_ALL_AXES, &o));
  o.size = 0;
  char text[100];
  snprintf(text, sizeof text,
           "sum: options have size 0, this library knows 1 to %zu: begin with their initialiser",
           sizeof o);
  FAILS(TV_EVALUE, text, tv_sum_with(x, TV_ALL_AXES, &o));
}

/* The order of adding follows the index, so a copy with other steps gives the same bits. */
TEST(layout_changes_no_bit) {
  tv_tensor *x =
      OK(tv_divide(tv_scalar(1.), tv_add(numbers(TV_F32, TV_SHAPE(37, 11, 23)), tv_scalar(1))));
  tv_tensor *turned = OK(tv_concat(1, (tv_tensor *[]){tv_permute_dims(x, TV_AXES(2, 1, 0))}, 0));
  tv_tensor *again = OK(tv_permute_dims(turned, TV_AXES(2, 1, 0)));
  CHECK(!tv_tensor_is_contiguous(again));
  SAME(tv_sum(again, TV_ALL_AXES), tv_sum(x, TV_ALL_AXES));
  SAME(tv_sum(again, TV_AXES(0)), tv_sum(x, TV_AXES(0)));
  SAME(tv_sum(again, TV_AXES(1)), tv_sum(x, TV_AXES(1)));
  SAME(tv_mean(again, TV_AXES(0, 2)), tv_mean(x, TV_AXES(0, 2)));
  SAME(tv_argmin(again, TV_AXES(2)), tv_argmin(x, TV_AXES(2)));
  tv_tensor *reversed =
      OK(tv_flip(tv_concat(1, (tv_tensor *[]){tv_flip(x, TV_ALL_AXES)}, 0), TV_ALL_AXES));
  SAME(tv_sum(reversed, TV_AXES(1, 2)), tv_sum(x, TV_AXES(1, 2)));
}

static tv_tensor *sum_all(tv_tensor *x) { return tv_sum(x, TV_ALL_AXES); }
static tv_tensor *sum_some(tv_tensor *x) { return tv_sum(x, TV_AXES(2, 0)); }
static tv_tensor *sum_kept(tv_tensor *x) { return tv_sum_with(x, TV_AXES(1), &kept); }
static tv_tensor *sum_none(tv_tensor *x) { return tv_sum(x, TV_NO_AXES); }
static tv_tensor *mean_some(tv_tensor *x) { return tv_mean(x, TV_AXES(1)); }
static tv_tensor *mean_all(tv_tensor *x) { return tv_mean_with(x, TV_ALL_AXES, &kept); }
static tv_tensor *max_some(tv_tensor *x) { return tv_max(x, TV_AXES(0, 2)); }
static tv_tensor *min_kept(tv_tensor *x) { return tv_min_with(x, TV_AXES(-1), &kept); }

TEST(gradients) {
  tv_tensor *x = OK(tv_sin(tv_add(numbers(TV_F64, TV_SHAPE(2, 3, 2)), tv_scalar(.5))));
  DIFFERENCES(sum_all, x);
  DIFFERENCES(sum_some, x);
  DIFFERENCES(sum_kept, x);
  DIFFERENCES(sum_none, x);
  DIFFERENCES(mean_some, x);
  DIFFERENCES(mean_all, x);
  DIFFERENCES(max_some, x);
  DIFFERENCES(min_kept, x);
}

static tv_tensor *max_all(tv_tensor *x) { return tv_max(x, TV_ALL_AXES); }
static tv_tensor *min_first(tv_tensor *x) { return tv_min(x, TV_AXES(0)); }

TEST(ties_share_equally) {
  HOLDS(check_gradient(max_all, OF(1, 5, 5, 2, 5)), 0, 1. / 3, 1. / 3, 0, 1. / 3);
  tv_tensor *x = OK(tv_reshape(OF(1, 2, 1, 3), TV_SHAPE(2, 2)));
  HOLDS(check_gradient(min_first, x), .5, 2, .5, 0);
  HOLDS(check_gradient(max_all, OF(1, nan(""), 2)), nan(""), nan(""), nan(""));
  HOLDS(check_gradient(max_all, OF(0., -0.)), .5, .5);
  tv_tensor *halves = OK(tv_ones(TV_F16, TV_SHAPE(4)));
  tv_tensor *g = OK(check_gradient(max_all, halves));
  EQUAL(tv_tensor_dtype(g), TV_F16);
  HOLDS(g, .25, .25, .25, .25);
}

TEST(gradients_of_halves_are_halves) {
  /* More ties than a half can count. */
  tv_tensor *ties = OK(tv_ones(TV_F16, TV_SHAPE(70000)));
  SAME(check_gradient(max_all, ties), tv_full(TV_F16, TV_SHAPE(70000), tv_scalar(1. / 70000)));
  tv_tensor *g = OK(check_gradient(mean_all, tv_ones(TV_BF16, TV_SHAPE(2, 2))));
  EQUAL(tv_tensor_dtype(g), TV_BF16);
  HOLDS(g, .25, .25, .25, .25);
}

TEST(a_failed_allocation_leaves_nothing) {
  tv_tensor *x = numbers(TV_F32, TV_SHAPE(2, 3, 2));
  STARVED(sum_some, x);
  STARVED(mean_some, x);
  STARVED(max_some, x);
  STARVED(mean_all, OK(tv_astype(x, TV_F16)));
  STARVED(max_some, OK(tv_astype(x, TV_F16)));
}

TEST_MAIN("reduce", CASE(sum_over_axes), CASE(sum_dtypes), CASE(dtype_of_the_options_comes_first),
          CASE(halves_are_added_wide_and_rounded_once), CASE(nothing_sums_to_zero),
          CASE(mean_dtypes), CASE(max_and_min), CASE(arg_finds_the_first), CASE(reductions_refuse),
          CASE(layout_changes_no_bit), CASE(gradients), CASE(ties_share_equally),
          CASE(gradients_of_halves_are_halves), CASE(a_failed_allocation_leaves_nothing))
