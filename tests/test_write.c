/* SPDX-License-Identifier: MIT
 * What all writes share: which updates a dtype takes, and what is computed where dtypes differ. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "far.h"
#include "memory.h"

static tv_variable *named(tv_dtype dtype, tv_tensor *value) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.name = "v";
  return tv_variable_new(tv_astype(value, dtype), &o);
}

/* Every verb, one after another: (((((1 + 2) - 4) * 6) / 4 min 1) max -1.25), of the first element.
 */
static void every_verb(intptr_t is_far) {
  if (is_far) OK(tv_device_set(far_device()));
  const double a[] = {1, 10};
  tv_variable *const v = tv_variable_new_from_memory(a, TV_F64, TV_SHAPE(2), NULL);
  OK(tv_variable_assign_add(v, tv_scalar(2)));
  HOLDS(tv_read(v), 3, 12);
  OK(tv_variable_assign_sub(v, tv_scalar(4)));
  HOLDS(tv_read(v), -1, 8);
  OK(tv_variable_assign_mul(v, tv_full(TV_F32, TV_SHAPE(2), tv_scalar(6))));
  HOLDS(tv_read(v), -6, 48);
  OK(tv_variable_assign_div(v, tv_full(TV_I32, TV_SHAPE(2), tv_scalar(4))));
  HOLDS(tv_read(v), -1.5, 12);
  OK(tv_variable_assign_min(v, tv_scalar(1)));
  HOLDS(tv_read(v), -1.5, 1);
  OK(tv_variable_assign_max(v, tv_scalar(-1.25)));
  HOLDS(tv_read(v), -1.25, 1);
  OK(tv_variable_update(v, TV_SET, tv_full(TV_F64, TV_SHAPE(2), tv_scalar(3))));
  HOLDS(tv_read(v), 3, 3);
  EQUAL(tv_variable_version(v), 7);
  tv_variable_release(v);
  OK(tv_device_set(check_device()));
}

TEST(nan_of_either_side_stays) {
  tv_variable *const v = named(TV_F32, tv_ones(TV_F32, TV_SHAPE(1)));
  OK(tv_variable_assign_min(v, tv_scalar((double)NAN)));
  OK(tv_variable_assign_max(v, tv_scalar(5)));
  HOLDS(tv_isnan(tv_read(v)), 1);
  tv_variable_release(v);
}

/* NumPy: `a /= 2` of int64 raises; `a *= b` of bool is and, `a -= b` raises; complex has no order.
 */
TEST(update_that_a_dtype_does_not_take_is_refused) {
  tv_tensor *const one = tv_ones(TV_U8, TV_SHAPE(2));
  tv_variable *const whole = named(TV_I64, one), *const truth = named(TV_BOOL, one);
  tv_variable *const complex = named(TV_C64, one);
  FAILS_STATUS(TV_EDTYPE,
               "variable_assign_div: Variable 'v' is int64, of which divide gives float64: not of "
               "the same kind",
               tv_variable_assign_div(whole, tv_scalar(2)));
  FAILS_STATUS(TV_EDTYPE, "variable_assign_sub: Variable 'v' is bool, which subtract does not take",
               tv_variable_assign_sub(truth, tv_scalar_bool(true)));
  FAILS_STATUS(TV_EDTYPE,
               "variable_assign_max: Variable 'v' is complex64, which maximum does not take",
               tv_variable_assign_max(complex, tv_scalar(1)));
  OK(tv_variable_assign_mul(truth, tv_scalar_bool(false)));
  HOLDS(tv_read(truth), 0, 0);
  OK(tv_variable_assign_add(truth, tv_ones(TV_BOOL, TV_SHAPE(2))));
  HOLDS(tv_read(truth), 1, 1);
  OK(tv_variable_assign_div(complex, tv_scalar(2)));
  HOLDS(tv_real(tv_read(complex)), .5, .5);
  EQUAL(tv_variable_version(whole), 0);
  tv_variable_release(whole);
  tv_variable_release(truth);
  tv_variable_release(complex);
}

/* Together they meet in float64, which does not hold this sum. */
TEST(int64_and_uint64_stay_whole) {
  const int64_t a[] = {INT64_C(9007199254740992), -3};
  const uint64_t b[] = {1, 2};
  tv_variable *const v = tv_variable_new_from_memory(a, TV_I64, TV_SHAPE(2), NULL);
  tv_tensor *const x = tv_tensor_from_memory(b, TV_U64, TV_SHAPE(2), NULL);
  OK(tv_variable_assign_add(v, x));
  OK(tv_variable_assign_slice_add(v, "1:", tv_slice(x, "1:")));
  OK(tv_variable_assign_where_add(v, tv_ones(TV_BOOL, TV_SHAPE(2)), x));
  const int64_t *const now = tv_tensor_data(tv_read(v));
  CHECK(now[0] == INT64_C(9007199254740994) && now[1] == 3);
  tv_variable_release(v);
}

/* A value on another device, a mapped Variable: no verb takes it. */
TEST(mapped_variable_refuses_every_verb) {
  tv_variable *const v = named(TV_F32, tv_ones(TV_F32, TV_SHAPE(2)));
  tv_tensor *const one = tv_scalar(1), *const at = tv_scalar(0);
  void *data;
  OK(tv_variable_map(v, false, &data));
  CHECK(tv_variable_update(v, TV_MULTIPLY, one) == TV_EBUSY);
  CHECK(tv_variable_update_slice(v, TV_ADD, ":", one) == TV_EBUSY);
  CHECK(tv_variable_update_where(v, TV_ADD, tv_ones(TV_BOOL, TV_SHAPE(2)), one) == TV_EBUSY);
  CHECK(tv_variable_scatter_add(v, at, one) == TV_EBUSY);
  CHECK(tv_variable_scatter_nd_add(v, tv_zeros(TV_I64, TV_SHAPE(1, 1)), one) == TV_EBUSY);
  CHECK(tv_variable_batch_scatter_update(v, tv_zeros(TV_I64, TV_SHAPE(1)), one) == TV_EBUSY);
  tv_error_clear();
  OK(tv_variable_unmap(v));
  HOLDS(tv_read(v), 1, 1);
  EQUAL(tv_variable_version(v), 1);
  tv_variable_release(v);
}

/* The k-th allocation fails, for every k: each verb succeeds, or nothing has changed. */
static tv_status one_write(int verb, tv_variable *v, tv_tensor *x, tv_tensor *mask, tv_tensor *at) {
  const tv_index middle[] = {TV_RANGE(1, 3, 1)};
  switch (verb) {
    case 0:
      return tv_variable_assign_mul(v, x);
    case 1:
      return tv_variable_assign_slice_add(v, "1:3", tv_scalar(2));
    case 2:
      return tv_variable_update_slice_with(v, TV_MAXIMUM, 1, middle, tv_slice(x, "1:3"));
    case 3:
      return tv_variable_assign_where_sub(v, mask, x);
    case 4:
      return tv_variable_scatter_mul(v, at, x);
    case 5:
      return tv_variable_scatter_nd_add(v, tv_reshape(at, TV_SHAPE(-1, 1)), x);
    default:
      return tv_variable_batch_scatter_update(v, at, tv_scalar(5));
  }
}

TEST(failed_allocation_changes_nothing) {
  static const int64_t indices[] = {3, 0, 3, -3};
  int points = 0;
  for (int verb = 0; verb <= 6; verb++)
    for (int held = 0; held < 2; held++)
      for (int64_t fail = 1;; fail++) {
        tv_scope scope;
        tv_scope_begin(&scope);
        tv_variable *const v = named(TV_F32, tv_arange(TV_F32, 0, 4, 1));
        tv_tensor *const x = tv_full(TV_F64, TV_SHAPE(4), tv_scalar(2));
        tv_tensor *const mask = tv_greater(x, tv_scalar(1));
        tv_tensor *const at = tv_tensor_from_memory(indices, TV_I64, TV_SHAPE(4), NULL);
        tv_tensor *const snapshot = held ? tv_read(v) : NULL;
        tvi_memory_fail(fail, fail % 2);
        const tv_status status = one_write(verb, v, x, mask, at);
        tvi_memory_fail(0, false);
        if (status) {
          EQUAL(status, TV_ENOMEM);
          tv_error_clear();
          HOLDS(tv_read(v), 0, 1, 2, 3);
          EQUAL(tv_variable_version(v), 0);
        } else {
          EQUAL(tv_variable_version(v), 1);
        }
        if (snapshot) HOLDS(snapshot, 0, 1, 2, 3);
        tv_variable_release(v);
        tv_scope_end(&scope, NULL);
        points++;
        if (!status) break;
      }
  CHECK(points > 50);
}

TEST_MAIN("write", ROW("every_verb_of_the_whole", every_verb, 0),
          ROW("every_verb_of_the_whole_elsewhere", every_verb, 1), CASE(nan_of_either_side_stays),
          CASE(update_that_a_dtype_does_not_take_is_refused), CASE(int64_and_uint64_stay_whole),
          CASE(mapped_variable_refuses_every_verb), CASE(failed_allocation_changes_nothing))
