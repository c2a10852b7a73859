/* SPDX-License-Identifier: MIT
 * Clipping of gradients. */
#include <math.h>

#include "check.h"

TEST(clipping_scales_to_the_joint_norm) {
  tv_tensor *g[] = {tv_full(TV_F32, TV_SHAPE(2), tv_scalar(3)),
                    tv_full(TV_F64, TV_SHAPE(1), tv_scalar(4))};
  tv_tensor *clipped[2];
  double norm = 0;
  OK(tv_clip_by_global_norm(2, g, 1, clipped, &norm));
  CHECK(fabs(norm - sqrt(34)) < 1e-14);
  CHECK(tv_tensor_dtype(clipped[0]) == TV_F32);
  double x = 0;
  OK(tv_item_f64(clipped[1], &x));
  CHECK(fabs(x - 4 / sqrt(34)) < 1e-15);
  OK(tv_clip_by_global_norm(2, g, 100, g, NULL)); /* in place of the array; nothing to clip */
  HOLDS(g[0], 3, 3);
  tv_tensor *const zero = tv_zeros(TV_F32, TV_SHAPE(2));
  OK(tv_clip_by_global_norm(1, &zero, 1, clipped, &norm));
  CHECK(norm == 0);
  HOLDS(clipped[0], 0, 0);
}

TEST(clipping_refuses_what_is_not_finite) {
  tv_tensor *const g = tv_full(TV_F32, TV_SHAPE(2), tv_scalar((double)INFINITY));
  tv_tensor *clipped;
  double norm = 0;
  FAILS_STATUS(TV_EVALUE, "clip_by_global_norm: the norm is not finite",
               tv_clip_by_global_norm(1, &g, 1, &clipped, &norm));
  CHECK(isinf(norm) && !clipped);
  FAILS_STATUS(TV_EVALUE, "clip_by_global_norm: limit is 0, expected above 0 and finite",
               tv_clip_by_global_norm(1, &g, 0, &clipped, NULL));
}

TEST(clipping_by_value) {
  tv_tensor *g[] = {tv_arange(TV_F32, -3, 4, 1),
                    tv_full(TV_F64, TV_SHAPE(1), tv_scalar((double)NAN))};
  OK(tv_clip_by_value(2, g, 1.5, g));
  HOLDS(g[0], -1.5, -1.5, -1, 0, 1, 1.5, 1.5);
  CHECK(tv_tensor_dtype(g[0]) == TV_F32);
  HOLDS(tv_isnan(g[1]), 1);
  tv_tensor *clipped = g[0], *const z = tv_ones(TV_C64, TV_SHAPE(1));
  CHECK(tv_clip_by_value(1, &z, 1, &clipped) == TV_EDTYPE && !clipped);
  tv_error_clear();
  FAILS_STATUS(TV_EVALUE, "clip_by_value: limit is -1, expected above 0 and finite",
               tv_clip_by_value(2, g, -1, g));
  FAILS_STATUS(TV_EVALUE, "clip_by_value: no gradients", tv_clip_by_value(2, NULL, 1, g));
}

/* Each by itself: (0, 3, 4) has norm 5. */
TEST(clipping_by_norm) {
  const double values[] = {0, 3, 4};
  tv_tensor *const x = tv_tensor_from_memory(values, TV_F64, TV_SHAPE(3), NULL);
  tv_tensor *g[] = {x, tv_full(TV_F64, TV_SHAPE(1), tv_scalar(.5)), tv_zeros(TV_F32, TV_SHAPE(1))};
  tv_tensor *clipped[3];
  OK(tv_clip_by_norm(3, g, 2.5, clipped));
  HOLDS(clipped[0], 0, 1.5, 2);
  HOLDS(clipped[1], .5);
  HOLDS(clipped[2], 0);
  g[1] = tv_full(TV_F64, TV_SHAPE(1), tv_scalar((double)INFINITY));
  FAILS_STATUS(TV_EVALUE, "clip_by_norm: the norm is not finite",
               tv_clip_by_norm(3, g, 2.5, clipped));
  CHECK(!clipped[0] && !clipped[1] && !clipped[2]);
  FAILS_STATUS(TV_EVALUE, "clip_by_norm: a gradient is NULL",
               tv_clip_by_norm(1, (tv_tensor *[]){NULL}, 1, clipped));
}

/* Duplicates 2 + 2 of a row are 4 before they meet the limit. */
TEST(rows_stay_rows) {
  const int64_t at[] = {5, 5, 1};
  const double values[] = {2, 2, -9};
  tv_tensor *const x = tv_scatter_rows(tv_tensor_from_memory(at, TV_I64, TV_SHAPE(3), NULL),
                                       tv_tensor_from_memory(values, TV_F64, TV_SHAPE(3), NULL), 6);
  tv_tensor *y;
  OK(tv_clip_by_value(1, &x, 3, &y));
  CHECK(tv_is_rows(y));
  HOLDS(y, 0, -3, 0, 0, 0, 3);
  OK(tv_clip_by_norm(1, &x, .5 * sqrt(97), &y));
  CHECK(tv_is_rows(y));
  HOLDS(tv_less(tv_abs(tv_subtract(y, tv_multiply(x, tv_scalar(.5)))), tv_scalar(1e-15)), 1, 1, 1,
        1, 1, 1);
}

/* d/dw of clip(2 w, -3, 3) is 2 inside and 0 outside, also through rows. */
TEST(clipping_is_recorded) {
  tv_variable *const v = tv_variable_new(tv_arange(TV_F64, 1, 4, 1), NULL);
  tv_tape *const outer = tv_tape_begin(NULL), *const inner = tv_tape_begin(NULL);
  const int64_t at[] = {0, 2};
  tv_tensor *const w = tv_take(tv_read(v), tv_tensor_from_memory(at, TV_I64, TV_SHAPE(2), NULL), 0);
  tv_tensor *g, *h;
  OK(tv_tape_gradient(inner, tv_sum(tv_square(w), TV_ALL_AXES), 1, &v, &g)); /* 2, 0, 6 */
  CHECK(tv_is_rows(g));
  OK(tv_clip_by_value(1, &g, 3, &g));
  OK(tv_tape_gradient(outer, g, 1, &v, &h));
  HOLDS(h, 2, 0, 0);
  OK(tv_tape_end(inner));
  OK(tv_tape_end(outer));
  tv_variable_release(v);
}

TEST_MAIN("clip", CASE(clipping_scales_to_the_joint_norm),
          CASE(clipping_refuses_what_is_not_finite), CASE(clipping_by_value),
          CASE(clipping_by_norm), CASE(rows_stay_rows), CASE(clipping_is_recorded))
