/* SPDX-License-Identifier: MIT
 * Projections: values worked out by hand and from the formulas of Keras and of Duchi et al. (2008),
 * what stays to the last bit, every dtype, and a device without slots of its own. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "far.h"

static tv_variable *held(tv_constraint constraint, tv_tensor *value) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.name = "w";
  o.constraint = constraint;
  return tv_variable_new(value, &o);
}

static tv_tensor *f64(int rank, const int64_t *shape, const double *data) {
  return tv_tensor_from_memory(data, TV_F64, rank, shape, NULL);
}

static int64_t moved(tv_variable *v) {
  int64_t n = -1;
  OK(tv_variable_moved(v, &n));
  return n;
}

TEST(unit_norm_divides_by_the_norm) {
  static const double a[] = {3, 0, 4, 0, 0, 0, 5, 12};
  tv_variable *v =
      held(tv_constraint_unit_norm(TV_ON_EVERY_WRITE, TV_AXES(1)), f64(TV_SHAPE(2, 2, 2), a));
  HOLDS(tv_read(v), .6, 0, .8, 0, 0, 0, 1, 1); /* columns of each 2 x 2; zero stays zero */
  EQUAL(moved(v), 4);
  tv_variable_release(v);
  v = held(tv_constraint_unit_norm(TV_ON_EVERY_WRITE, TV_AXES(-1)), f64(TV_SHAPE(4, 2), a));
  HOLDS(tv_slice(tv_read(v), "0"), 1, 0);
  CLOSE(tv_slice(tv_read(v), "3"), f64(TV_SHAPE(2), (const double[]){5. / 13, 12. / 13}), 1);
  tv_variable_release(v);
  v = held(tv_constraint_unit_norm(TV_ON_EVERY_WRITE, TV_ALL_AXES), f64(TV_SHAPE(2), a + 6));
  CLOSE(tv_read(v), f64(TV_SHAPE(2), (const double[]){5. / 13, 12. / 13}), 1);
  tv_variable_release(v);
}

TEST(max_norm_leaves_what_is_within) {
  static const double a[] = {3, 4, .6, .8, -6, 8};
  tv_variable *const v =
      held(tv_constraint_max_norm(TV_ON_EVERY_WRITE, 2, TV_AXES(1)), f64(TV_SHAPE(3, 2), a));
  CLOSE(tv_read(v), f64(TV_SHAPE(3, 2), (const double[]){1.2, 1.6, .6, .8, -1.2, 1.6}), 1);
  HOLDS(tv_slice(tv_read(v), "1"), .6, .8);
  EQUAL(moved(v), 4);
  tv_variable_release(v);
}

TEST(min_max_norm_lifts_what_is_short) {
  static const double a[] = {3, 4, .06, .08, 0, 0, .6, .8};
  tv_variable *const v = held(tv_constraint_min_max_norm(TV_ON_EVERY_WRITE, .5, 2, TV_AXES(1)),
                              f64(TV_SHAPE(4, 2), a));
  CLOSE(tv_read(v), f64(TV_SHAPE(4, 2), (const double[]){1.2, 1.6, .3, .4, 0, 0, .6, .8}), 1);
  EQUAL(moved(v), 4);
  tv_variable_release(v);
}

/* Sorted 1.2, .5, -.3: two stay above (1.7 - 1) / 2 = .35. */
TEST(simplex_is_the_nearest_point) {
  static const double a[] = {.5, 1.2, -.3, 7, 7, 7, .25, .25, .5};
  tv_variable *const v = held(tv_constraint_simplex(TV_ON_EVERY_WRITE, -1), f64(TV_SHAPE(3, 3), a));
  CLOSE(tv_read(v),
        f64(TV_SHAPE(3, 3), (const double[]){.15, .85, 0, 1. / 3, 1. / 3, 1. / 3, .25, .25, .5}),
        4);
  EQUAL(moved(v), 6);
  tv_variable_release(v);
}

/* What tells the nearest point: w = max(a - t, 0) for one t, and the sum is 1. */
TEST(simplex_of_many) {
  tv_tensor *const a =
      tv_multiply(tv_random_normal((tv_key){.seed = 7}, TV_F64, TV_SHAPE(500, 40)), tv_scalar(3));
  tv_variable *const v = held(tv_constraint_simplex(TV_ON_EVERY_WRITE, 0), a);
  tv_tensor *const w = tv_read(v), *const is_in = tv_greater(w, tv_scalar(0));
  tv_tensor *const sums = tv_sum(w, TV_AXES(0));
  double off = 1, least = -1;
  OK(tv_item_f64(tv_max(tv_abs(tv_subtract(sums, tv_scalar(1))), TV_ALL_AXES), &off));
  OK(tv_item_f64(tv_min(w, TV_ALL_AXES), &least));
  CHECK(off < 1e-14 && least == 0);
  tv_tensor *const t = tv_subtract(a, w); /* t where w > 0; elsewhere a, which is below t */
  tv_tensor *const high = tv_max(tv_where(is_in, t, tv_scalar(-INFINITY)), TV_AXES(0));
  tv_tensor *const low = tv_min(tv_where(is_in, t, tv_scalar(INFINITY)), TV_AXES(0));
  OK(tv_item_f64(tv_max(tv_subtract(high, low), TV_ALL_AXES), &off));
  CHECK(off < 1e-14);
  tv_tensor *const rest = tv_max(tv_where(is_in, tv_scalar(-INFINITY), a), TV_AXES(0));
  OK(tv_item_f64(tv_max(tv_subtract(rest, high), TV_ALL_AXES), &off));
  CHECK(off < 1e-14);
  tv_variable_release(v);
}

TEST(non_negative_keeps_nan_and_minus_zero) {
  static const double a[] = {-1, -0., (double)NAN, 2};
  tv_variable *const v = held(tv_constraint_non_negative(TV_ON_EVERY_WRITE), f64(TV_SHAPE(4), a));
  const double *const now = tv_tensor_data(tv_read(v));
  CHECK(now[0] == 0 && !signbit(now[0]) && signbit(now[1]) && isnan(now[2]) && now[3] == 2);
  EQUAL(moved(v), 1);
  tv_variable_release(v);
}

/* |w|^2 is beyond f64 and below it. */
TEST(norms_neither_overflow_nor_vanish) {
  static const double a[] = {3e200, 4e200, 3e-200, 4e-200};
  tv_variable *const v =
      held(tv_constraint_unit_norm(TV_ON_EVERY_WRITE, TV_AXES(1)), f64(TV_SHAPE(2, 2), a));
  CLOSE(tv_read(v), f64(TV_SHAPE(2, 2), (const double[]){.6, .8, .6, .8}), 2);
  tv_variable_release(v);
}

TEST(complex_norm_turns_nothing) {
  tv_tensor *const z = tv_full(TV_C64, TV_SHAPE(1), tv_scalar_complex(3, -4));
  tv_variable *const v = held(tv_constraint_max_norm(TV_ON_EVERY_WRITE, 1, TV_ALL_AXES), z);
  CLOSE(tv_real(tv_read(v)), tv_full(TV_F32, TV_SHAPE(1), tv_scalar(.6)), 1);
  CLOSE(tv_imag(tv_read(v)), tv_full(TV_F32, TV_SHAPE(1), tv_scalar(-.8)), 1);
  EQUAL(tv_tensor_dtype(tv_read(v)), TV_C64);
  tv_variable_release(v);
}

/* A second projection moves nothing, in any dtype; nor does VALIDATE_ONLY refuse the first. */
static void twice(intptr_t is_far) {
  static const tv_dtype dtypes[] = {TV_F16, TV_BF16, TV_F32, TV_F64};
  if (is_far) OK(tv_device_set(far_device()));
  static const int64_t n = 700;
  for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
    for (int kind = 0; kind < 4; kind++) {
      tv_scope scope;
      tv_scope_begin(&scope);
      tv_constraint c = kind == 0   ? tv_constraint_unit_norm(TV_ON_EVERY_WRITE, TV_AXES(1))
                        : kind == 1 ? tv_constraint_max_norm(TV_ON_EVERY_WRITE, .75, TV_AXES(1))
                        : kind == 2
                            ? tv_constraint_min_max_norm(TV_ON_EVERY_WRITE, 2, 3, TV_AXES(1))
                            : tv_constraint_simplex(TV_ON_EVERY_WRITE, 1);
      tv_tensor *const a = tv_random_normal((tv_key){.seed = 3}, TV_F32, TV_SHAPE(20, n));
      tv_variable *const v = held(c, tv_astype(a, dtypes[d]));
      CHECK(moved(v) > 100);
      tv_tensor *const first = tv_read(v);
      OK(tv_variable_assign_mul(v, tv_scalar(1)));
      EQUAL(moved(v), 0);
      SAME(tv_read(v), first);
      c.policy = TV_VALIDATE_ONLY;
      tv_variable *const checked = held(c, first);
      CHECK(checked);
      tv_variable_release(checked);
      tv_variable_release(v);
      tv_scope_end(&scope, NULL);
    }
  OK(tv_device_set(check_device()));
}

TEST(nothing_to_project) {
  tv_variable *v = held(tv_constraint_unit_norm(TV_ON_EVERY_WRITE, TV_AXES(0)),
                        tv_zeros(TV_F32, TV_SHAPE(0, 3)));
  OK(tv_variable_assign_add(v, tv_scalar(1)));
  EQUAL(moved(v), 0);
  tv_variable_release(v);
  v = held(tv_constraint_unit_norm(TV_ON_EVERY_WRITE, TV_ALL_AXES),
           tv_full(TV_F32, TV_SCALAR_SHAPE, tv_scalar(-7)));
  HOLDS(tv_read(v), -1);
  tv_variable_release(v);
}

TEST_MAIN("projection", CASE(unit_norm_divides_by_the_norm), CASE(max_norm_leaves_what_is_within),
          CASE(min_max_norm_lifts_what_is_short), CASE(simplex_is_the_nearest_point),
          CASE(simplex_of_many), CASE(non_negative_keeps_nan_and_minus_zero),
          CASE(norms_neither_overflow_nor_vanish), CASE(complex_norm_turns_nothing),
          ROW("projecting_twice_moves_nothing", twice, 0),
          ROW("projecting_twice_moves_nothing_elsewhere", twice, 1), CASE(nothing_to_project))
