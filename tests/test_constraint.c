/* SPDX-License-Identifier: MIT
 * Constraints: when each policy acts, on every way to write. */
#include <math.h>

#include "check.h"

static tv_variable *clipped(tv_constraint_policy policy, double low, double high,
                            tv_tensor *value) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.name = "w";
  o.constraint = (tv_constraint)TV_CLIP(low, high, policy);
  return tv_variable_new(value, &o);
}

static void step(tv_variable *v, double gradient) {
  tv_sgd_options o = TV_SGD_OPTIONS;
  o.learning_rate = 1;
  tv_optimizer *const sgd = tv_sgd_new(&o);
  tv_tensor *const g = tv_full(tv_variable_dtype(v), TV_SHAPE(2), tv_scalar(gradient));
  OK(tv_optimizer_step(sgd, 1, &v, &g));
  tv_optimizer_release(sgd);
}

TEST(on_step_acts_after_a_step_only) {
  tv_variable *const v = clipped(TV_ON_STEP, -1, 1, tv_full(TV_F64, TV_SHAPE(2), tv_scalar(3)));
  HOLDS(tv_read(v), 3, 3);
  OK(tv_variable_assign_add(v, tv_scalar(1)));
  HOLDS(tv_read(v), 4, 4);
  step(v, .5);
  HOLDS(tv_read(v), 1, 1);
  tv_variable_release(v);
}

TEST(on_every_write_acts_on_all_verbs) {
  tv_variable *const v =
      clipped(TV_ON_EVERY_WRITE, -1, 1, tv_full(TV_F32, TV_SHAPE(2), tv_scalar(3)));
  void *data;
  HOLDS(tv_read(v), 1, 1);
  OK(tv_variable_assign(v, tv_full(TV_F32, TV_SHAPE(2), tv_scalar(-7))));
  HOLDS(tv_read(v), -1, -1);
  OK(tv_variable_assign_add(v, tv_scalar(5)));
  HOLDS(tv_read(v), 1, 1);
  OK(tv_variable_assign_sub(v, tv_scalar(5)));
  HOLDS(tv_read(v), -1, -1);
  OK(tv_variable_assign_slice(v, "0", tv_scalar(5)));
  HOLDS(tv_read(v), 1, -1);
  OK(tv_variable_assign_where(v, tv_less(tv_read(v), tv_scalar(0)), tv_scalar(9)));
  HOLDS(tv_read(v), 1, 1);
  OK(tv_variable_map(v, true, &data));
  ((float *)data)[0] = -3;
  OK(tv_variable_unmap(v));
  HOLDS(tv_read(v), -1, 1);
  step(v, -8);
  HOLDS(tv_read(v), 1, 1);
  EQUAL(tv_variable_version(v), 7);
  tv_variable_release(v);
}

TEST(validate_only_refuses_and_names_the_element) {
  tv_variable *const v = clipped(TV_VALIDATE_ONLY, -1, 1, tv_zeros(TV_F32, TV_SHAPE(2)));
  void *data;
  FAILS_STATUS(TV_ECONSTRAINT,
               "variable_assign_slice: clip(-1.0, 1.0) refuses Variable 'w': element [1] is 2.5",
               tv_variable_assign_slice(v, "1", tv_scalar(2.5)));
  FAILS_STATUS(TV_ECONSTRAINT,
               "variable_assign_add: clip(-1.0, 1.0) refuses Variable 'w': element [0] is nan",
               tv_variable_assign_add(v, tv_scalar((double)NAN)));
  OK(tv_variable_map(v, true, &data));
  ((float *)data)[1] = -3;
  FAILS_STATUS(TV_ECONSTRAINT,
               "variable_unmap: clip(-1.0, 1.0) refuses Variable 'w': element [1] is -3.0",
               tv_variable_unmap(v));
  HOLDS(tv_read(v), 0, 0);
  EQUAL(tv_variable_version(v), 0);
  OK(tv_variable_assign_add(v, tv_scalar(1)));
  HOLDS(tv_read(v), 1, 1);
  CHECK(!clipped(TV_VALIDATE_ONLY, -1, 1, tv_full(TV_F32, TV_SHAPE(2), tv_scalar(3))));
  SAME_TEXT(tv_error_text(),
            "variable_new: clip(-1.0, 1.0) refuses Variable 'w': element [0] is 3.0");
  tv_error_clear();
  tv_variable_release(v);
}

TEST(refused_step_changes_no_variable) {
  tv_variable *const a = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(2)), NULL);
  tv_variable *const b = clipped(TV_VALIDATE_ONLY, -1, 1, tv_zeros(TV_F32, TV_SHAPE(2)));
  tv_optimizer *const adam = tv_adam_new(NULL);
  tv_variable *const both[] = {a, b};
  tv_tensor *const ones = tv_ones(TV_F32, TV_SHAPE(2));
  OK(tv_optimizer_set_learning_rate(adam, 10));
  CHECK(tv_optimizer_step(adam, 2, both, (tv_tensor *[]){ones, ones}) == TV_ECONSTRAINT);
  tv_error_clear();
  HOLDS(tv_read(a), 0, 0);
  EQUAL(tv_variable_version(a), 0);
  EQUAL(tv_optimizer_steps(adam), 0);
  tv_optimizer_release(adam);
  tv_variable_release(a);
  tv_variable_release(b);
}

TEST(nan_passes_a_clip_as_nan) {
  tv_variable *const v =
      clipped(TV_ON_EVERY_WRITE, -1, 1, tv_full(TV_F32, TV_SHAPE(2), tv_scalar((double)NAN)));
  HOLDS(tv_isnan(tv_read(v)), 1, 1);
  tv_variable_release(v);
}

TEST(integers_clip_to_whole_bounds) {
  const uint8_t a[] = {0, 3, 200};
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.constraint = (tv_constraint)TV_CLIP(.5, 1000, TV_ON_EVERY_WRITE);
  tv_variable *const v = tv_variable_new_from_memory(a, TV_U8, TV_SHAPE(3), &o);
  HOLDS(tv_read(v), 1, 3, 200);
  EQUAL(tv_variable_dtype(v), TV_U8);
  tv_variable_release(v);
}

TEST(impossible_constraints_are_refused) {
  CHECK(!clipped(TV_ON_STEP, 2, 1, tv_zeros(TV_F32, TV_SHAPE(2))));
  SAME_TEXT(tv_error_text(), "constraint: clip: low is not at most high");
  tv_error_clear();
  CHECK(!clipped(TV_ON_STEP, 0, 1, tv_zeros(TV_C64, TV_SHAPE(2))));
  SAME_TEXT(tv_error_text(), "constraint: clip does not take complex64");
  tv_error_clear();
}

TEST_MAIN("constraint", CASE(on_step_acts_after_a_step_only),
          CASE(on_every_write_acts_on_all_verbs), CASE(validate_only_refuses_and_names_the_element),
          CASE(refused_step_changes_no_variable), CASE(nan_passes_a_clip_as_nan),
          CASE(integers_clip_to_whole_bounds), CASE(impossible_constraints_are_refused))
