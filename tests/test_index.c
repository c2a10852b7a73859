/* SPDX-License-Identifier: MIT
 * Rows by index: take, the gradient that adds them up, one-hot rows. */
#include "differences.h"
#include "second.h"

static tv_tensor *numbers(int rank, const int64_t *shape) {
  int64_t n = 1;
  for (int k = 0; k < rank; k++) n *= shape[k];
  return OK(tv_reshape(tv_arange(TV_F64, 0, (double)n, 1), rank, shape));
}
static tv_tensor *ints(int rank, const int64_t *shape, const int64_t *values) {
  return tv_tensor_from_memory(values, TV_I64, rank, shape, NULL);
}
#define INTS(...) \
  ints(1, &(int64_t){sizeof((int64_t[]){__VA_ARGS__}) / 8}, (int64_t[]){__VA_ARGS__})

TEST(take_along_every_axis) {
  tv_tensor *x = numbers(TV_SHAPE(2, 3, 2)), *at = INTS(2, 0, 2, -1);
  tv_tensor *y = OK(tv_take(x, at, 1));
  SHAPE_IS(y, TV_SHAPE(2, 4, 2));
  HOLDS(y, 4, 5, 0, 1, 4, 5, 4, 5, 10, 11, 6, 7, 10, 11, 10, 11);
  SAME(tv_take(x, at, -2), y);
  HOLDS(tv_take(x, INTS(1), 0), 6, 7, 8, 9, 10, 11);
  HOLDS(tv_take(x, INTS(1, 0), 2), 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10);
}

TEST(indices_of_any_rank_take_the_place_of_the_axis) {
  tv_tensor *x = numbers(TV_SHAPE(3, 2));
  tv_tensor *y = OK(tv_take(x, ints(TV_SHAPE(2, 2), (int64_t[]){0, 2, 1, 0}), 0));
  SHAPE_IS(y, TV_SHAPE(2, 2, 2));
  HOLDS(y, 0, 1, 4, 5, 2, 3, 0, 1);
  y = OK(tv_take(x, tv_scalar(-1), 0));
  SHAPE_IS(y, TV_SHAPE(2));
  HOLDS(y, 4, 5);
  SHAPE_IS(tv_take(x, tv_zeros(TV_I32, TV_SHAPE(0, 4)), 1), TV_SHAPE(3, 0, 4));
  SHAPE_IS(tv_take(tv_zeros(TV_F32, TV_SHAPE(0, 2)), tv_zeros(TV_I8, TV_SHAPE(0)), 0),
           TV_SHAPE(0, 2));
}

TEST(every_integer_dtype_is_an_index) {
  tv_tensor *x = numbers(TV_SHAPE(5));
  static const tv_dtype dtypes[] = {TV_I8, TV_I16, TV_I32, TV_I64, TV_U8, TV_U16, TV_U32, TV_U64};
  for (int k = 0; k < 8; k++) HOLDS(tv_take(x, tv_astype(INTS(4, 0, 1), dtypes[k]), 0), 4, 0, 1);
  for (int k = 0; k < 4; k++) HOLDS(tv_take(x, tv_astype(INTS(-5, -1, 2), dtypes[k]), 0), 0, 4, 2);
  /* Views of indices, and of what is taken from. */
  HOLDS(tv_take(tv_flip(x, TV_ALL_AXES), tv_slice(INTS(0, 9, 1, 9), "::2"), 0), 4, 3);
}

TEST(every_dtype_is_taken) {
  for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++) {
    tv_tensor *x = OK(tv_astype(INTS(0, 1, 1), (tv_dtype)dtype));
    tv_tensor *y = OK(tv_take(x, INTS(2, 0), 0));
    EQUAL(tv_tensor_dtype(y), dtype);
    HOLDS(tv_real(y), 1, 0);
  }
}

TEST(take_refuses) {
  tv_tensor *x = numbers(TV_SHAPE(2, 5));
  FAILS(TV_EVALUE, "take: x is NULL", tv_take(NULL, x, 0));
  FAILS(TV_EVALUE, "take: indices is NULL", tv_take(x, NULL, 0));
  FAILS(TV_EINDEX, "take: index 5 at position 1 is out of range of 5",
        tv_take(x, INTS(0, 5, 9), 1));
  FAILS(TV_EINDEX, "take: index -6 at position 2 is out of range of 5",
        tv_take(x, INTS(0, -5, -6), 1));
  FAILS(TV_EINDEX, "take: index 2 at position 1 is out of range of 2", tv_take(x, INTS(-1, 2), 0));
  FAILS(TV_EINDEX, "take: index 18446744073709551615 at position 0 is out of range of 5",
        tv_take(x, tv_full(TV_U64, TV_SHAPE(1), tv_scalar(UINT64_MAX)), 1));
  FAILS(TV_EINDEX, "take: index 0 at position 0 is out of range of 0",
        tv_take(tv_zeros(TV_F32, TV_SHAPE(0)), INTS(0), 0));
  FAILS(TV_EINDEX, "take: axis 2 of 2", tv_take(x, INTS(0), 2));
  FAILS(TV_EINDEX, "take: axis 0 of 0", tv_take(tv_scalar(1), INTS(0), 0));
  FAILS(TV_EDTYPE, "take: index is float64, not an integer", tv_take(x, x, 0));
  FAILS(TV_EDTYPE, "take: index is bool, not an integer",
        tv_take(x, tv_ones(TV_BOOL, TV_SHAPE(1)), 0));
  FAILS(TV_EDEVICE, "take: index is on second, not on cpu", tv_take(x, elsewhere(INTS(0)), 0));
  int64_t ones[TV_MAX_RANK];
  for (int k = 0; k < TV_MAX_RANK; k++) ones[k] = 1;
  FAILS(TV_ESHAPE, "take: 65 axes: 0 to 64 are possible",
        tv_take(x, tv_zeros(TV_I8, TV_MAX_RANK, ones), 0));
}

static tv_tensor *rows(tv_tensor *x) { return tv_take(x, INTS(0, 0, 1), 0); }
static tv_tensor *table(tv_tensor *x) {
  return tv_take(x, ints(TV_SHAPE(2, 2), (int64_t[]){2, -1, 0, 2}), 1);
}
static tv_tensor *scalar(tv_tensor *x) { return tv_take(x, tv_scalar(1), -1); }
static tv_tensor *nothing(tv_tensor *x) { return tv_take(x, tv_zeros(TV_I64, TV_SHAPE(0)), 0); }

TEST(gradients_add_up_what_was_taken) {
  tv_tensor *x = OK(tv_add(numbers(TV_SHAPE(2, 3, 2)), tv_scalar(.5)));
  DIFFERENCES(rows, x);
  DIFFERENCES(table, x);
  DIFFERENCES(scalar, x);
  DIFFERENCES(nothing, x);
  HOLDS(check_gradient(rows, numbers(TV_SHAPE(2))), 3, 3); /* 1 + 2, 3 */
  HOLDS(check_gradient(nothing, numbers(TV_SHAPE(2))), 0, 0);
}

TEST(one_hot_rows) {
  tv_tensor *y = OK(tv_one_hot(INTS(2, 0), 3, TV_F32));
  EQUAL(tv_tensor_dtype(y), TV_F32);
  SHAPE_IS(y, TV_SHAPE(2, 3));
  HOLDS(y, 0, 0, 1, 1, 0, 0);
  SHAPE_IS(tv_one_hot(tv_scalar(1), 2, TV_BOOL), TV_SHAPE(2));
  HOLDS(tv_one_hot(tv_scalar(1), 2, TV_BOOL), 0, 1);
  SHAPE_IS(tv_one_hot(tv_zeros(TV_U8, TV_SHAPE(0)), 0, TV_I8), TV_SHAPE(0, 0));
  EQUAL(tv_tensor_device(tv_one_hot(elsewhere(INTS(1)), 2, TV_F64)),
        tv_tensor_device(elsewhere(INTS(1))));
  FAILS(TV_EVALUE, "one_hot: indices is NULL", tv_one_hot(NULL, 3, TV_F32));
  FAILS(TV_EINDEX, "one_hot: index 3 at position 1 is out of range of 3",
        tv_one_hot(INTS(0, 3), 3, TV_F32));
  FAILS(TV_EINDEX, "one_hot: index -1 at position 0 is out of range of 3",
        tv_one_hot(INTS(-1), 3, TV_F32));
  FAILS(TV_EDTYPE, "one_hot: index is float64, not an integer",
        tv_one_hot(numbers(TV_SHAPE(2)), 3, TV_F32));
  FAILS(TV_EVALUE, "one_hot: -1 classes", tv_one_hot(INTS(0), -1, TV_F32));
  FAILS(TV_EDTYPE, "one_hot: -1 is no dtype", tv_one_hot(INTS(0), 1, TV_DTYPE_NONE));
}

static tv_tensor *hot(tv_tensor *x) {
  return tv_multiply(x, tv_one_hot(tv_astype(INTS(0, 1), TV_U8), 2, TV_F16));
}

TEST(a_failed_allocation_leaves_nothing) {
  STARVED(rows, numbers(TV_SHAPE(2, 3)));
  STARVED(table, numbers(TV_SHAPE(2, 3, 1)));
  STARVED(hot, numbers(TV_SHAPE(2)));
}

TEST_MAIN("index", CASE(take_along_every_axis),
          CASE(indices_of_any_rank_take_the_place_of_the_axis),
          CASE(every_integer_dtype_is_an_index), CASE(every_dtype_is_taken), CASE(take_refuses),
          CASE(gradients_add_up_what_was_taken), CASE(one_hot_rows),
          CASE(a_failed_allocation_leaves_nothing))
