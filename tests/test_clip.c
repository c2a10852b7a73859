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
  FAILS_STATUS(TV_EVALUE, "clip_by_global_norm: limit is not above 0, or not finite",
               tv_clip_by_global_norm(1, &g, 0, &clipped, NULL));
}

TEST_MAIN("clip", CASE(clipping_scales_to_the_joint_norm),
          CASE(clipping_refuses_what_is_not_finite))
