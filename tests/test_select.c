/* SPDX-License-Identifier: MIT
 * tv_boolean_mask: what a mask chooses, and its gradient; on devices with the slots and without. */
#include "differences.h"
#include "far.h"
#include "second.h"

static tv_tensor *numbers(int rank, const int64_t *shape) {
  int64_t n = 1;
  for (int k = 0; k < rank; k++) n *= shape[k];
  return OK(tv_reshape(tv_arange(TV_F64, 0, (double)n, 1), rank, shape));
}
static tv_tensor *truths(int rank, const int64_t *shape, const bool *values) {
  return tv_tensor_from_memory(values, TV_BOOL, rank, shape, NULL);
}
#define TRUTHS(...) truths(1, &(int64_t){sizeof((bool[]){__VA_ARGS__})}, (bool[]){__VA_ARGS__})

TEST(one_axis_takes_the_place_of_the_masks) {
  tv_tensor *x = numbers(TV_SHAPE(2, 3, 2)), *y;
  HOLDS(tv_boolean_mask(numbers(TV_SHAPE(5)), TRUTHS(1, 0, 0, 1, 1)), 0, 3, 4);
  y = OK(tv_boolean_mask(x, TRUTHS(0, 1)));
  SHAPE_IS(y, TV_SHAPE(1, 3, 2));
  HOLDS(y, 6, 7, 8, 9, 10, 11);
  tv_tensor *pairs = truths(TV_SHAPE(2, 3), (bool[]){0, 1, 1, 1, 0, 0});
  y = OK(tv_boolean_mask(x, pairs));
  SHAPE_IS(y, TV_SHAPE(3, 2));
  HOLDS(y, 2, 3, 4, 5, 6, 7);
  HOLDS(tv_boolean_mask(x, tv_greater(tv_remainder(x, tv_scalar(5)), tv_scalar(2))), 3, 4, 8, 9);
  y = OK(tv_boolean_mask(x, TRUTHS(0, 0)));
  SHAPE_IS(y, TV_SHAPE(0, 3, 2));
  SHAPE_IS(tv_boolean_mask(tv_zeros(TV_I8, TV_SHAPE(0, 3)), tv_zeros(TV_BOOL, TV_SHAPE(0))),
           TV_SHAPE(0, 3));
  SHAPE_IS(tv_boolean_mask(tv_zeros(TV_I8, TV_SHAPE(3, 0)), TRUTHS(1, 0, 1)), TV_SHAPE(2, 0));
}

/* NumPy: np.float64(7)[np.True_] is array([7.]), and np.ones((2, 2))[np.False_].shape (0, 2, 2). */
TEST(a_mask_without_axes_adds_one) {
  tv_tensor *yes = truths(0, NULL, (bool[]){1}), *no = truths(0, NULL, (bool[]){0});
  SHAPE_IS(tv_boolean_mask(tv_scalar(7.), yes), TV_SHAPE(1));
  HOLDS(tv_boolean_mask(tv_scalar(7.), yes), 7);
  SHAPE_IS(tv_boolean_mask(tv_scalar(7.), no), TV_SHAPE(0));
  SHAPE_IS(tv_boolean_mask(tv_ones(TV_F32, TV_SHAPE(2, 2)), no), TV_SHAPE(0, 2, 2));
  SHAPE_IS(tv_boolean_mask(tv_ones(TV_F32, TV_SHAPE(2, 2)), yes), TV_SHAPE(1, 2, 2));
}

TEST(views_and_every_dtype_are_chosen_from) {
  tv_tensor *x = numbers(TV_SHAPE(3, 2)), *mask = TRUTHS(1, 0, 1, 0, 0, 1);
  HOLDS(tv_boolean_mask(tv_matrix_transpose(x), TRUTHS(0, 1)), 1, 3, 5);
  HOLDS(tv_boolean_mask(tv_flip(x, TV_ALL_AXES), tv_slice(mask, "::2")), 5, 4, 3, 2);
  HOLDS(tv_boolean_mask(tv_broadcast_to(tv_scalar(3.), TV_SHAPE(6)), mask), 3, 3, 3);
  HOLDS(tv_boolean_mask(x, tv_broadcast_to(TRUTHS(0, 1), TV_SHAPE(3, 2))), 1, 3, 5);
  for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++) {
    tv_tensor *y = OK(tv_boolean_mask(
        tv_astype(tv_minimum(tv_arange(TV_F64, 0, 6, 1), tv_scalar(1.)), (tv_dtype)dtype), mask));
    EQUAL(tv_tensor_dtype(y), dtype);
    HOLDS(tv_real(y), 0, 1, 1);
  }
}

static tv_tensor *random_numbers(int64_t n, uint64_t seed) {
  return OK(tv_random_uniform((tv_key){seed, 0}, TV_F32, 1, &n));
}

/* Deferred inputs, and sizes that threads share; the sum is that of what where() keeps. */
TEST(what_is_chosen_has_the_sum_of_where) {
  for (int64_t n = 1; n < 300000; n = n * 7 + 1) {
    tv_tensor *x = tv_floor(tv_multiply(random_numbers(n, 1), tv_scalar(100)));
    tv_tensor *mask = tv_less(random_numbers(n, 2), tv_scalar(.3));
    double count = 0;
    OK(tv_item_f64(tv_sum(tv_astype(mask, TV_F64), TV_ALL_AXES), &count));
    tv_tensor *y = OK(tv_boolean_mask(x, mask));
    SHAPE_IS(y, TV_SHAPE((int64_t)count));
    SAME(tv_sum(tv_astype(y, TV_I64), TV_ALL_AXES),
         tv_sum(tv_astype(tv_where(mask, x, tv_scalar(0)), TV_I64), TV_ALL_AXES));
  }
}

TEST(boolean_mask_refuses) {
  tv_tensor *x = numbers(TV_SHAPE(2, 3)), *mask = TRUTHS(1, 0);
  FAILS(TV_EVALUE, "boolean_mask: x is NULL", tv_boolean_mask(NULL, mask));
  FAILS(TV_EVALUE, "boolean_mask: mask is NULL", tv_boolean_mask(x, NULL));
  FAILS(TV_EDTYPE, "boolean_mask: mask is float64, not bool", tv_boolean_mask(x, x));
  FAILS(TV_ESHAPE, "boolean_mask: mask has shape [3], the first axes of x [2]",
        tv_boolean_mask(x, TRUTHS(1, 0, 1)));
  FAILS(TV_ESHAPE, "boolean_mask: mask has shape [2, 3, 1], the first axes of x [2, 3]",
        tv_boolean_mask(x, tv_zeros(TV_BOOL, TV_SHAPE(2, 3, 1))));
  FAILS(TV_EDEVICE, "boolean_mask: x is on cpu, mask on second",
        tv_boolean_mask(x, elsewhere(mask)));
  int64_t ones[TV_MAX_RANK];
  for (int k = 0; k < TV_MAX_RANK; k++) ones[k] = 1;
  FAILS(TV_ESHAPE, "boolean_mask: 65 axes: 0 to 64 are possible",
        tv_boolean_mask(tv_zeros(TV_I8, TV_MAX_RANK, ones), truths(0, NULL, (bool[]){1})));
}

static tv_tensor *some_rows(tv_tensor *x) { return tv_boolean_mask(x, TRUTHS(1, 0, 1)); }
static tv_tensor *some_pairs(tv_tensor *x) {
  return tv_boolean_mask(x, truths(TV_SHAPE(3, 2), (bool[]){0, 1, 1, 1, 0, 0}));
}
static tv_tensor *no_rows(tv_tensor *x) { return tv_boolean_mask(x, TRUTHS(0, 0, 0)); }

TEST(gradients_go_where_the_mask_chose) {
  tv_tensor *x = OK(tv_add(numbers(TV_SHAPE(3, 2)), tv_scalar(.5)));
  DIFFERENCES(some_rows, x);
  DIFFERENCES(some_pairs, x);
  DIFFERENCES(no_rows, x);
  HOLDS(check_gradient(some_rows, x), 1, 2, 0, 0, 3, 4);
  HOLDS(check_gradient(some_pairs, x), 0, 1, 2, 3, 0, 0);
  HOLDS(check_gradient(no_rows, x), 0, 0, 0, 0, 0, 0);
}

/* "second" has the slots, "far" sorts and gathers. */
TEST(other_devices_choose_the_same) {
  tv_tensor *x = OK(tv_negative(numbers(TV_SHAPE(4, 3, 2)))); /* -0 among them */
  tv_tensor *rows = TRUTHS(1, 0, 1, 1), *none = TRUTHS(0, 0, 0, 0);
  tv_tensor *pairs = OK(tv_equal(tv_remainder(tv_slice(x, "..., 0"), tv_scalar(4)), tv_scalar(0)));
  tv_tensor *const masks[] = {rows, none, pairs, tv_greater(x, tv_scalar(-9)),
                              truths(0, NULL, (bool[]){1})};
  const tv_device second = tv_tensor_device(elsewhere(x)), devices[] = {second, far_device()};
  for (int m = 0; m < 5; m++)
    for (int d = 0; d < 2; d++) {
      tv_tensor *const there = OK(tv_to(x, devices[d])), *const mask = tv_to(masks[m], devices[d]);
      tv_tensor *const y = OK(tv_boolean_mask(there, mask));
      EQUAL(tv_tensor_device(y), devices[d]);
      SAME(tv_to(y, TV_CPU), tv_boolean_mask(x, masks[m]));
    }
}

static tv_tensor *chosen_by, *chosen_from;
static tv_tensor *by_global(tv_tensor *x) {
  return tv_multiply(tv_boolean_mask(x, chosen_by), tv_scalar(-1.));
}
TEST(other_devices_have_the_same_gradients) {
  chosen_from = numbers(TV_SHAPE(4, 3));
  tv_tensor *const masks[] = {TRUTHS(0, 1, 1, 0), TRUTHS(0, 0, 0, 0),
                              tv_greater(chosen_from, tv_scalar(4))};
  for (int m = 0; m < 3; m++) {
    chosen_by = masks[m];
    tv_tensor *const want = OK(check_gradient(by_global, chosen_from));
    chosen_by = tv_to(masks[m], far_device());
    OK(tv_device_set(far_device()));
    tv_tensor *const got = OK(check_gradient(by_global, tv_to(chosen_from, far_device())));
    OK(tv_device_set(TV_CPU));
    SAME(tv_to(got, TV_CPU), want);
  }
}

TEST(a_failed_allocation_leaves_nothing) {
  STARVED(some_rows, numbers(TV_SHAPE(3, 2)));
  STARVED(some_pairs, OK(tv_matrix_transpose(numbers(TV_SHAPE(2, 3)))));
}

TEST_MAIN("select", CASE(one_axis_takes_the_place_of_the_masks), CASE(a_mask_without_axes_adds_one),
          CASE(views_and_every_dtype_are_chosen_from), CASE(what_is_chosen_has_the_sum_of_where),
          CASE(boolean_mask_refuses), CASE(gradients_go_where_the_mask_chose),
          CASE(other_devices_choose_the_same), CASE(other_devices_have_the_same_gradients),
          CASE(a_failed_allocation_leaves_nothing))
