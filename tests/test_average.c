/* SPDX-License-Identifier: MIT
 * Moving averages: TensorFlow's rule, and swapping them in and out. */
#include <math.h>

#include "check.h"
#include "memory.h"

static tv_variable *variable(tv_dtype dtype, double x) {
  return tv_variable_new(tv_full(dtype, TV_SHAPE(2), tv_scalar(x)), NULL);
}
static void assign(tv_variable *v, double x) {
  OK(tv_variable_assign(v, tv_full(tv_variable_dtype(v), TV_SHAPE(2), tv_scalar(x))));
}
static tv_average *average(double decay, bool is_early) {
  tv_average_options o = TV_AVERAGE_OPTIONS;
  o.decay = decay;
  o.is_early = is_early;
  return tv_average_new(&o);
}
static void is_near(tv_tensor *x, double want) {
  double got;
  OK(tv_item_f64(tv_slice(x, "1"), &got));
  if (!(fabs(got - want) < 1e-15)) check_fail(CHECK_HERE, "%.17g, not %.17g", got, want);
}

/* shadow = decay shadow + (1 - decay) value; is_early is TensorFlow's num_updates. */
TEST(averages_follow_values) {
  for (int early = 0; early < 2; early++) {
    tv_average *const a = average(.9, early);
    tv_variable *const v = variable(TV_F64, 1);
    double want = 1;
    for (int k = 0; k < 200; k++) {
      tv_scope scope;
      OK(tv_scope_begin(&scope));
      assign(v, 1 + .5 * k);
      OK(tv_average_update(a, 1, &v));
      const double decay = early ? fmin(.9, (1. + k) / (10. + k)) : .9;
      if (k) want = decay * want + (1 - decay) * (1 + .5 * k);
      double got;
      OK(tv_item_f64(tv_slice(tv_average_read(a, v), "0"), &got));
      CHECK(fabs(got - want) < 1e-12 * want);
      OK(tv_scope_end(&scope, NULL));
    }
    EQUAL(tv_average_updates(a), 200);
    tv_average_release(a);
    tv_variable_release(v);
  }
}

TEST(averages_go_in_and_out) {
  tv_average *const a = average(.5, false);
  tv_variable *const both[] = {variable(TV_F64, 1), variable(TV_F16, 1)};
  OK(tv_average_update(a, 2, both));
  for (int k = 0; k < 2; k++) assign(both[k], 2.001);
  OK(tv_average_update(a, 2, both));
  tv_tensor *const before[] = {tv_read(both[0]), tv_read(both[1])};
  tv_tensor *const averages[] = {tv_average_read(a, both[0]), tv_average_read(a, both[1])};
  is_near(averages[0], 1.5005);
  EQUAL(tv_tensor_dtype(averages[1]), TV_F16);
  OK(tv_average_swap(a, 2, both));
  for (int k = 0; k < 2; k++) {
    SAME(tv_read(both[k]), averages[k]);
    SAME(tv_average_read(a, both[k]), averages[k]);
    EQUAL(tv_variable_version(both[k]), 2);
  }
  FAILS_STATUS(TV_EVALUE, "average_update: Variable 'Variable' is swapped",
               tv_average_update(a, 2, both));
  assign(both[0], 9); /* is lost */
  OK(tv_average_swap(a, 2, both));
  for (int k = 0; k < 2; k++) SAME(tv_read(both[k]), before[k]);
  OK(tv_average_update(a, 2, both));
  is_near(tv_average_read(a, both[0]), 1.75075);
  OK(tv_average_swap(a, 1, both)); /* released while swapped */
  tv_average_release(tv_average_retain(a));
  tv_average_release(a);
  tv_average_release(NULL);
  for (int k = 0; k < 2; k++) tv_variable_release(both[k]);
}

TEST(what_cannot_be_is_refused) {
  tv_average *const a = average(.5, false);
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.constraint = (tv_constraint)TV_CLIP(1, 3, TV_VALIDATE_ONLY);
  tv_variable *const v = variable(TV_F32, 1), *const i = variable(TV_I32, 1);
  tv_variable *const c = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), &options);
  FAILS_STATUS(TV_EDTYPE,
               "average_update: Variable 'Variable' is int32, of which there is no average",
               tv_average_update(a, 2, (tv_variable *[]){v, i}));
  FAILS(TV_EVALUE, "average_read: Variable 'Variable' has not been met", tv_average_read(a, v));
  EQUAL(tv_average_updates(a), 0);
  FAILS_STATUS(TV_EVALUE, "average_swap: Variable 'Variable' has not been met",
               tv_average_swap(a, 1, &v));
  FAILS_STATUS(TV_EVALUE, "average_update: Variable 'Variable' is given twice",
               tv_average_update(a, 2, (tv_variable *[]){v, v}));
  FAILS_STATUS(TV_EVALUE, "average_update: a Variable is NULL",
               tv_average_update(a, 1, (tv_variable *[]){NULL}));
  OK(tv_average_update(a, 2, (tv_variable *[]){v, c}));
  void *data;
  OK(tv_variable_map(c, false, &data));
  FAILS_STATUS(TV_EBUSY, "average_swap: Variable 'Variable' is mapped",
               tv_average_swap(a, 2, (tv_variable *[]){v, c}));
  EQUAL(tv_variable_version(v), 0);
  OK(tv_variable_unmap(c));
  tv_average_release(a);
  tv_variable_release(v);
  tv_variable_release(i);
  tv_variable_release(c);
  CHECK(!average(2, false));
  SAME_TEXT(tv_error_text(), "average_new: decay is 2, expected 0 to 1");
  tv_error_clear();
}

TEST(failed_allocation_changes_nothing) {
  int points = 0;
  for (int64_t fail = 1;; fail++) {
    tv_scope scope;
    OK(tv_scope_begin(&scope));
    tv_average *const a = average(.5, false);
    tv_variable *const both[] = {variable(TV_F32, 1), variable(TV_F16, 1)};
    OK(tv_average_update(a, 1, both));
    assign(both[0], 3);
    tvi_memory_fail(fail, fail % 2);
    tv_status status = tv_average_update(a, 2, both);
    if (!status) status = tv_average_swap(a, 2, both);
    tvi_memory_fail(0, false);
    if (status) {
      EQUAL(status, TV_ENOMEM);
      tv_error_clear();
      HOLDS(tv_read(both[0]), 3, 3);
      EQUAL(tv_variable_version(both[1]), 0);
      if (tv_average_updates(a) == 1) OK(tv_average_update(a, 2, both));
      OK(tv_average_swap(a, 2, both));
    }
    HOLDS(tv_read(both[0]), 2, 2);
    tv_average_release(a);
    for (int k = 0; k < 2; k++) tv_variable_release(both[k]);
    tv_scope_end(&scope, NULL);
    points++;
    if (!status) break;
  }
  CHECK(points > 10);
}

TEST_MAIN("average", CASE(averages_follow_values), CASE(averages_go_in_and_out),
          CASE(what_cannot_be_is_refused), CASE(failed_allocation_changes_nothing))
