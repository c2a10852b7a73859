/* SPDX-License-Identifier: MIT
 * Constraints: when each policy acts, on every way to write. */
#include <math.h>

#include "check.h"
#include "far.h"
#include "memory.h"

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

/* Policies and messages of the other kinds, and callbacks
 * ------------------------------------------ */

static tv_variable *held(tv_constraint constraint, tv_tensor *value) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.name = "w";
  o.constraint = constraint;
  return tv_variable_new(value, &o);
}

static int64_t moved(tv_variable *v) {
  int64_t n = -1;
  OK(tv_variable_moved(v, &n));
  return n;
}

TEST(every_kind_validates) {
  static const double a[] = {.6, .8, 0, 1}, b[] = {.5, .5, 1.25, -.25};
  tv_tensor *const unit = tv_tensor_from_memory(a, TV_F64, TV_SHAPE(2, 2), NULL);
  tv_tensor *const split = tv_tensor_from_memory(b, TV_F64, TV_SHAPE(2, 2), NULL);
  tv_variable *v = held(tv_constraint_unit_norm(TV_VALIDATE_ONLY, TV_AXES(1)), unit);
  FAILS_STATUS(TV_ECONSTRAINT,
               "variable_assign_slice: unit_norm refuses Variable 'w': the norm at [1, :] is 2.0",
               tv_variable_assign_slice(v, "1, 1", tv_scalar(2)));
  FAILS_STATUS(TV_ECONSTRAINT,
               "variable_assign_slice: unit_norm refuses Variable 'w': the norm at [0, :] is 0.0",
               tv_variable_assign_slice(v, "0", tv_scalar(0)));
  FAILS_STATUS(TV_ECONSTRAINT,
               "variable_assign_slice: unit_norm refuses Variable 'w': the norm at [0, :] is nan",
               tv_variable_assign_slice(v, "0, 0", tv_scalar((double)NAN)));
  OK(tv_variable_assign_slice(v, "1", tv_slice(unit, "0")));
  EQUAL(moved(v), 0);
  tv_variable_release(v);
  v = held(tv_constraint_max_norm(TV_VALIDATE_ONLY, 1.5, TV_ALL_AXES), unit);
  FAILS_STATUS(TV_ECONSTRAINT,
               "variable_assign_mul: max_norm(1.5) refuses Variable 'w': the norm at [:, :] is "
               "2.8284271247461903",
               tv_variable_assign_mul(v, tv_scalar(2)));
  tv_variable_release(v);
  v = held(tv_constraint_min_max_norm(TV_VALIDATE_ONLY, .5, 1.5, TV_AXES(0)), unit);
  FAILS_STATUS(TV_ECONSTRAINT,
               "variable_scatter_update: min_max_norm(0.5, 1.5) refuses Variable 'w': the norm at "
               "[:, 0] is 0.0",
               tv_variable_scatter_update(v, tv_scalar(0), tv_slice(unit, "1")));
  tv_variable_release(v);
  v = held(tv_constraint_non_negative(TV_VALIDATE_ONLY), unit);
  FAILS_STATUS(TV_ECONSTRAINT,
               "variable_scatter_sub: non_negative refuses Variable 'w': element [1, 0] is -1.0",
               tv_variable_scatter_sub(v, tv_scalar(1), tv_scalar(1)));
  tv_variable_release(v);
  CHECK(!held(tv_constraint_simplex(TV_VALIDATE_ONLY, 1), split));
  SAME_TEXT(tv_error_text(), "variable_new: simplex refuses Variable 'w': element [1, 1] is -0.25");
  tv_error_clear();
  v = held(tv_constraint_simplex(TV_VALIDATE_ONLY, 1), tv_slice(split, ":1"));
  FAILS_STATUS(TV_ECONSTRAINT,
               "variable_assign_mul: simplex refuses Variable 'w': the sum at [0, :] is 0.5",
               tv_variable_assign_mul(v, tv_scalar(.5)));
  EQUAL(tv_variable_version(v), 0);
  tv_variable_release(v);
}

/* What a step of -(-1) makes of [3, 4], and what a plain write does not. */
TEST(every_kind_waits_for_a_step) {
  static const double a[] = {3, 4};
  static const double want[][2] = {{0, 0}, {.8, .6}, {1.6, 1.2}, {4, 3}, {1, 0}};
  for (int kind = 0; kind < 5; kind++) {
    const tv_constraint_policy policy = TV_ON_STEP;
    tv_variable *const v = held(kind == 0   ? tv_constraint_non_negative(policy)
                                : kind == 1 ? tv_constraint_unit_norm(policy, TV_ALL_AXES)
                                : kind == 2 ? tv_constraint_max_norm(policy, 2, TV_ALL_AXES)
                                : kind == 3 ? tv_constraint_min_max_norm(policy, 1, 9, TV_AXES(0))
                                            : tv_constraint_simplex(policy, 0),
                                tv_tensor_from_memory(a, TV_F64, TV_SHAPE(2), NULL));
    HOLDS(tv_read(v), 3, 4);
    OK(tv_variable_assign_slice(v, "1", tv_scalar(2)));
    HOLDS(tv_read(v), 3, 2);
    EQUAL(moved(v), 0);
    if (kind == 0) OK(tv_variable_assign_sub(v, tv_scalar(9)));
    step(v, -1); /* [4, 3], or [-5, -6] */
    CLOSE(tv_read(v), tv_tensor_from_memory(want[kind], TV_F64, TV_SHAPE(2), NULL), 2);
    EQUAL(moved(v), kind == 3 ? 0 : 2);
    tv_variable_release(v);
  }
}

TEST(tolerance_is_a_part_of_the_bound) {
  tv_constraint c = tv_constraint_max_norm(TV_VALIDATE_ONLY, 10, TV_ALL_AXES);
  c.tolerance = .01;
  tv_variable *const v = held(c, tv_full(TV_F64, TV_SHAPE(1), tv_scalar(10.09)));
  CHECK(v);
  CHECK(tv_variable_assign_add(v, tv_scalar(.02)) == TV_ECONSTRAINT);
  tv_error_clear();
  tv_variable_release(v);
}

TEST(number_of_values_changed_is_told) {
  static const double a[] = {-2, 0, 3};
  tv_tensor *const x = tv_tensor_from_memory(a, TV_F64, TV_SHAPE(3), NULL);
  tv_variable *const v = clipped(TV_ON_EVERY_WRITE, -1, 1, x);
  int64_t n;
  EQUAL(moved(v), 2);
  OK(tv_variable_assign(v, tv_zeros(TV_F64, TV_SHAPE(3))));
  EQUAL(moved(v), 0);
  OK(tv_variable_assign(v, x));
  EQUAL(moved(v), 2);
  CHECK(tv_variable_assign_add(v, tv_scalar_complex(0, 1)) == TV_EDTYPE); /* no write: as it was */
  tv_error_clear();
  EQUAL(moved(v), 2);
  FAILS_STATUS(TV_EVALUE, "variable_moved: variable is NULL", tv_variable_moved(NULL, &n));
  tv_variable_release(v);
  tv_variable *const w = clipped(TV_ON_STEP, -1, 1, tv_full(TV_F64, TV_SHAPE(2), tv_scalar(3)));
  EQUAL(moved(w), 0);
  step(w, 0);
  EQUAL(moved(w), 2);
  tv_variable_release(w);
}

/* Of 10 rows only those that are written are looked at: the others keep what no one constrained. */
static void rows_alone(intptr_t is_far) {
  static const int64_t at[] = {7, -9, 7};
  if (is_far) OK(tv_device_set(far_device()));
  tv_constraint c = tv_constraint_max_norm(TV_ON_EVERY_WRITE, 5, TV_AXES(-1));
  tv_variable *const v = held(c, tv_zeros(TV_F32, TV_SHAPE(10, 2)));
  tv_tensor *const rows = tv_tensor_from_memory(at, TV_I64, TV_SHAPE(3), NULL);
  tv_tensor *const before = tv_read(v);
  OK(tv_variable_scatter_add(v, rows, tv_scalar(3)));
  EQUAL(moved(v), 2); /* row 7 twice 3, 1 once */
  const double half = sqrt(12.5);
  CLOSE(tv_slice(tv_read(v), "7"), tv_full(TV_F32, TV_SHAPE(2), tv_scalar(half)), 1);
  HOLDS(tv_slice(tv_read(v), "1"), 3, 3);
  HOLDS(tv_slice(tv_read(v), "0"), 0, 0);
  HOLDS(tv_sum(before, TV_ALL_AXES), 0);
  OK(tv_variable_scatter_nd_update(v, tv_reshape(rows, TV_SHAPE(3, 1)), tv_scalar(0)));
  EQUAL(moved(v), 0);
  tv_variable_release(v);
  c = tv_constraint_max_norm(TV_ON_EVERY_WRITE, 5, TV_AXES(0)); /* rows are mixed: all of it */
  tv_variable *const w = held(c, tv_ones(TV_F32, TV_SHAPE(16, 1)));
  OK(tv_variable_scatter_update(w, tv_scalar(0), tv_scalar(7)));
  EQUAL(moved(w), 16);
  tv_variable_release(w);
  c = tv_constraint_non_negative(TV_VALIDATE_ONLY);
  tv_variable *const x = held(c, tv_ones(TV_F32, TV_SHAPE(10, 2)));
  FAILS_STATUS(TV_ECONSTRAINT,
               "variable_scatter_update: non_negative refuses Variable 'w': element [7, 0] is -1.0",
               tv_variable_scatter_update(x, tv_scalar(7), tv_scalar(-1)));
  OK(tv_variable_scatter_update(x, tv_zeros(TV_I64, TV_SHAPE(0)),
                                tv_zeros(TV_F32, TV_SHAPE(0, 2))));
  OK(tv_variable_scatter_update(x, tv_scalar(7), tv_scalar(2)));
  HOLDS(tv_slice(tv_read(x), "7"), 2, 2);
  tv_variable_release(x);
  c = tv_constraint_max_norm(TV_ON_STEP, 5, TV_AXES(1));
  tv_variable *const y = held(c, tv_full(TV_F32, TV_SHAPE(10, 2), tv_scalar(8)));
  tv_optimizer *const sgd = tv_sgd_new(NULL);
  tv_tensor *const g = tv_scatter_rows(rows, tv_zeros(TV_F32, TV_SHAPE(3, 2)), 10);
  OK(tv_optimizer_step(sgd, 1, &y, &g));
  EQUAL(moved(y), 4);
  CLOSE(tv_slice(tv_read(y), "1"), tv_full(TV_F32, TV_SHAPE(2), tv_scalar(half)), 1);
  HOLDS(tv_slice(tv_read(y), "0"), 8, 8);
  tv_optimizer_release(sgd);
  tv_variable_release(y);
  OK(tv_device_set(check_device()));
}

/* A large table is not copied for two rows of it; and what refuses them has written nothing. */
TEST(few_rows_are_constrained_where_they_are) {
  static const int64_t at[] = {2, 70, 2}, pairs[] = {5, 1, 80, 0, 5, 1};
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_variable *const v = held(tv_constraint_max_norm(TV_ON_EVERY_WRITE, 5, TV_AXES(1)),
                              tv_zeros(TV_F64, TV_SHAPE(100, 2)));
  tv_variable *const w =
      held(tv_constraint_non_negative(TV_VALIDATE_ONLY), tv_ones(TV_F64, TV_SHAPE(100, 2)));
  tv_scope_end(&scope, NULL);
  tv_scope_begin(&scope);
  OK(tv_variable_assign_add(v, tv_scalar(0)));
  OK(tv_variable_assign_add(w, tv_scalar(0)));
  tv_scope_end(&scope, NULL);
  tv_tensor *const rows = tv_tensor_from_memory(at, TV_I64, TV_SHAPE(3), NULL);
  tv_tensor *const tuples = tv_tensor_from_memory(pairs, TV_I64, TV_SHAPE(3, 2), NULL);
  tv_scope_begin(&scope);
  const void *const bytes = tv_tensor_data(tv_read(v));
  tv_scope_end(&scope, NULL);
  OK(tv_variable_scatter_add(v, rows, tv_scalar(3)));
  tv_scope_begin(&scope);
  CHECK(check_device() != TV_CPU || tv_tensor_data(tv_read(v)) == bytes);
  tv_scope_end(&scope, NULL);
  EQUAL(moved(v), 2);
  tv_scope_begin(&scope);
  CLOSE(tv_slice(tv_read(v), "2"), tv_full(TV_F64, TV_SHAPE(2), tv_scalar(sqrt(12.5))), 1);
  HOLDS(tv_slice(tv_read(v), "70"), 3, 3);
  HOLDS(tv_slice(tv_read(v), "1"), 0, 0);
  tv_scope_end(&scope, NULL);
  OK(tv_variable_scatter_nd_sub(w, tuples, tv_scalar(.25)));
  tv_scope_begin(&scope);
  HOLDS(tv_slice(tv_read(w), "5"), 1, .5);
  HOLDS(tv_slice(tv_read(w), "80"), .75, 1);
  HOLDS(tv_sum(tv_read(w), TV_ALL_AXES), 199.25);
  tv_scope_end(&scope, NULL);
  FAILS_STATUS(TV_ECONSTRAINT,
               "variable_scatter_nd_sub: non_negative refuses Variable 'w': element [5, 1] is -0.5",
               tv_variable_scatter_nd_sub(w, tuples, tv_scalar(.5)));
  HOLDS(tv_sum(tv_read(w), TV_ALL_AXES), 199.25);
  EQUAL(tv_variable_version(w), 2);
  tv_variable_release(v);
  tv_variable_release(w);
}

/* A callback, and what it may not do. */
typedef struct {
  enum { HALVES, FAILS_ITSELF, GIVES_NULL, GIVES_ANOTHER_SHAPE, GIVES_ANOTHER_DTYPE, ASKS } does;
  tv_variable *v;
  int calls, releases;
} caller;

static tv_tensor *project(void *user, tv_tensor *value) {
  caller *const c = user;
  c->calls++;
  switch (c->does) {
    case HALVES:
      return tv_multiply(value, tv_scalar(.5));
    case FAILS_ITSELF:
      return tv_add(value, tv_ones(TV_F64, TV_SHAPE(7)));
    case GIVES_NULL:
      return NULL;
    case GIVES_ANOTHER_SHAPE:
      return tv_sum(value, TV_ALL_AXES);
    case GIVES_ANOTHER_DTYPE:
      return tv_astype(value, TV_F32);
    default:
      return tv_read(c->v);
  }
}

static void release(void *user) { ((caller *)user)->releases++; }

TEST(callback_makes_the_value) {
  caller c = {.does = HALVES};
  tv_tensor *const x = tv_full(TV_F64, TV_SHAPE(2), tv_scalar(8));
  tv_variable *const v = held(tv_constraint_callback(TV_ON_EVERY_WRITE, project, &c, release), x);
  c.v = v;
  HOLDS(tv_read(v), 4, 4);
  EQUAL(moved(v), 2);
  OK(tv_variable_scatter_update(v, tv_scalar(0), tv_scalar(2)));
  HOLDS(tv_read(v), 1, 2);
  EQUAL(c.calls, 2);
  c.does = FAILS_ITSELF;
  FAILS_STATUS(TV_ESHAPE, "add: shapes do not broadcast: [2] and [7]", tv_variable_assign(v, x));
  c.does = GIVES_NULL;
  FAILS_STATUS(TV_EVALUE, "variable_assign: the callback of the constraint gave NULL",
               tv_variable_assign(v, x));
  c.does = GIVES_ANOTHER_SHAPE;
  FAILS_STATUS(TV_ESHAPE, "variable_assign: the callback of the constraint made [] of [2]",
               tv_variable_assign(v, x));
  c.does = GIVES_ANOTHER_DTYPE;
  FAILS_STATUS(TV_EDTYPE,
               "variable_assign: the callback of the constraint gave another dtype or device",
               tv_variable_assign(v, x));
  c.does = ASKS;
  FAILS_STATUS(TV_EBUSY, "read: Variable 'w' is being written by this very thread",
               tv_variable_assign(v, x));
  HOLDS(tv_read(v), 1, 2);
  EQUAL(tv_variable_version(v), 1);
  EQUAL(c.releases, 0);
  tv_variable_release(v);
  EQUAL(c.releases, 1);
}

TEST(callback_that_would_change_a_value_refuses_it) {
  caller c = {.does = HALVES};
  tv_variable *const v = held(tv_constraint_callback(TV_VALIDATE_ONLY, project, &c, release),
                              tv_zeros(TV_F64, TV_SHAPE(2)));
  FAILS_STATUS(TV_ECONSTRAINT,
               "variable_assign_slice: callback refuses Variable 'w': element [1] is 3.0",
               tv_variable_assign_slice(v, "1", tv_scalar(3)));
  HOLDS(tv_read(v), 0, 0);
  tv_variable_release(v);
  EQUAL(c.releases, 1);
}

TEST(callback_is_released_when_no_variable_is_made) {
  caller c = {.does = GIVES_NULL};
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.constraint = tv_constraint_callback(TV_ON_EVERY_WRITE, project, &c, release);
  CHECK(!tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(2)), &o));
  EQUAL(c.releases, 1);
  CHECK(!tv_variable_new(NULL, &o));
  EQUAL(c.releases, 2);
  CHECK(!tv_variable_new_from_npy("no/such.npy", NULL, &o));
  EQUAL(c.releases, 3);
  CHECK(!tv_variable_new_from_memory(NULL, TV_F32, TV_SHAPE(2), &o));
  EQUAL(c.releases, 4);
  tv_error_clear();
}

TEST(bounds_and_axes_without_a_meaning_are_refused) {
  static const int64_t many[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  tv_tensor *const x = tv_ones(TV_F32, TV_SHAPE(2, 2)), *const n = tv_ones(TV_I32, TV_SHAPE(2));
  CHECK(!held(tv_constraint_max_norm(TV_ON_STEP, -1, TV_AXES(0)), x));
  SAME_TEXT(tv_error_text(), "constraint: max_norm: norms are from 0 to something finite");
  tv_error_clear();
  CHECK(!held(tv_constraint_min_max_norm(TV_ON_STEP, 2, 1, TV_AXES(0)), x));
  tv_error_clear();
  CHECK(!held(tv_constraint_unit_norm(TV_ON_STEP, 9, many), x));
  SAME_TEXT(tv_error_text(), "constraint: unit_norm: more than 8 axes");
  tv_error_clear();
  CHECK(!held(tv_constraint_unit_norm(TV_ON_STEP, TV_AXES(2)), x) && tv_error() == TV_EINDEX);
  SAME_TEXT(tv_error_text(), "constraint: unit_norm: axis 2 of 2");
  tv_error_clear();
  CHECK(!held(tv_constraint_unit_norm(TV_ON_STEP, TV_AXES(0)), n));
  SAME_TEXT(tv_error_text(), "constraint: unit_norm does not take int32");
  tv_error_clear();
  CHECK(!held(tv_constraint_callback(TV_ON_STEP, NULL, NULL, NULL), x));
  SAME_TEXT(tv_error_text(), "constraint: callback: project is NULL");
  tv_error_clear();
}

/* The k-th allocation fails, for every k: the write succeeds, or nothing has changed. */
TEST(failed_allocation_changes_nothing) {
  static const int64_t at[] = {5, 2, 5};
  for (int way = 0; way < 6; way++)
    for (int64_t fail = 1;; fail++) {
      const int kind = way / 2;
      tv_scope scope;
      tv_scope_begin(&scope);
      tv_variable *const v =
          held(kind == 0   ? tv_constraint_max_norm(TV_ON_EVERY_WRITE, 1, TV_AXES(1))
               : kind == 1 ? tv_constraint_simplex(TV_ON_EVERY_WRITE, 0)
                           : tv_constraint_non_negative(TV_VALIDATE_ONLY),
               tv_full(TV_F64, TV_SHAPE(8, 2), tv_scalar(.125)));
      OK(tv_variable_assign_add(v, tv_scalar(0))); /* bytes that nobody else holds */
      tv_tensor *const before = way % 2 ? tv_read(v) : NULL, *const two = tv_scalar(2);
      tv_tensor *const rows = tv_tensor_from_memory(at, TV_I64, TV_SHAPE(3), NULL);
      tvi_memory_fail(fail, fail % 2);
      const tv_status status = tv_variable_scatter_add(v, rows, two);
      tvi_memory_fail(0, false);
      if (status) {
        EQUAL(status, TV_ENOMEM);
        tv_error_clear();
        HOLDS(tv_sum(tv_read(v), TV_ALL_AXES), 2);
        HOLDS(tv_max(tv_read(v), TV_ALL_AXES), .125);
      }
      EQUAL(tv_variable_version(v), 1 + !status);
      if (before) HOLDS(tv_sum(before, TV_ALL_AXES), 2);
      tv_variable_release(v);
      tv_scope_end(&scope, NULL);
      if (!status) break;
    }
}

TEST_MAIN("constraint", CASE(on_step_acts_after_a_step_only),
          CASE(on_every_write_acts_on_all_verbs), CASE(validate_only_refuses_and_names_the_element),
          CASE(refused_step_changes_no_variable), CASE(nan_passes_a_clip_as_nan),
          CASE(integers_clip_to_whole_bounds), CASE(impossible_constraints_are_refused),
          CASE(every_kind_validates), CASE(every_kind_waits_for_a_step),
          CASE(tolerance_is_a_part_of_the_bound), CASE(number_of_values_changed_is_told),
          CASE(few_rows_are_constrained_where_they_are), CASE(callback_makes_the_value),
          CASE(callback_that_would_change_a_value_refuses_it),
          CASE(callback_is_released_when_no_variable_is_made),
          CASE(failed_allocation_changes_nothing),
          CASE(bounds_and_axes_without_a_meaning_are_refused),
          ROW("rows_alone_are_projected", rows_alone, 0),
          ROW("rows_alone_are_projected_elsewhere", rows_alone, 1))
