/* SPDX-License-Identifier: MIT
 * Conversions block by block: what they lose adds up. tv_cast_checked is in test_cast.c, every pair
 * of dtypes in test_npy_elements.c. */
#include "losses.h"

#include <math.h>
#include <stddef.h>

#include "check.h"

TEST(losses_of_blocks_add_up) {
  double x[] = {1, 1e300, .1, (double)NAN};
  float y[4];
  tv_cast_report lost = TV_CAST_REPORT;
  const tvi_cast cast = {TV_F64, TV_F32, 0, true};
  OK(tvi_cast_counted("x", &cast, x, y, 4, 100, &lost));
  OK(tvi_cast_counted("x", &cast, x, y, 4, 104, &lost));
  EQUAL(lost.n_overflow, 2);
  EQUAL(lost.n_inexact, 2);
  EQUAL(lost.n_nan_to_integer, 0);
  EQUAL(lost.first, 101);
  CHECK(y[0] == 1 && isinf(y[1]) && y[2] == .1f && isnan(y[3]));
}

TEST(nobody_need_count) {
  double x[] = {1e300, .1};
  float y[2];
  tv_cast_report lost = TV_CAST_REPORT;
  const tvi_cast cast = {TV_F64, TV_F32, 0, false},
                 strict = {TV_F64, TV_F32, TV_REFUSE_OVERFLOW, false};
  OK(tvi_cast_counted("x", &cast, x, y, 2, 0, &lost));
  EQUAL(lost.first, -1);
  OK(tvi_cast_counted("x", &strict, x + 1, y, 1, 1, &lost)); /* a quick look shows no infinity */
  CHECK(!tvi_cast_is_refused(&strict, &lost));
  OK(tvi_cast_counted("x", &strict, x, y, 2, 2, &lost));
  EQUAL(lost.n_overflow, 1);
  EQUAL(lost.first, 2);
  CHECK(tvi_cast_is_refused(&strict, &lost));
  CHECK(!tvi_cast_is_refused(&cast, &lost));
  FAILS_STATUS(TV_EVALUE, "x: from float64 to float32: overflow, first at 2",
               tvi_cast_refuse("x", &strict, &lost));
}

TEST(infinities_that_were_there_are_no_loss) {
  double x[] = {(double)INFINITY, -(double)INFINITY, 3};
  float y[3];
  tv_cast_report lost = TV_CAST_REPORT;
  const tvi_cast cast = {TV_F64, TV_F32, TV_REFUSE_OVERFLOW, false};
  OK(tvi_cast_counted("x", &cast, x, y, 3, 0, &lost));
  EQUAL(lost.n_overflow, 0);
}

TEST(a_quick_look_misses_none) {
  static const tv_dtype targets[] = {TV_F32, TV_F16, TV_BF16, TV_C64};
  double x[80];
  uint64_t y[80];
  for (int t = 0; t < 4; t++) {
    const tvi_cast cast = {TV_F64, targets[t], TV_REFUSE_OVERFLOW, false};
    for (int64_t n = 1; n <= 40; n++) {
      for (int64_t at = 0; at < n; at++) {
        tv_cast_report lost = TV_CAST_REPORT;
        for (int64_t i = 0; i < n; i++) x[i] = i == at ? -1e300 : (double)NAN;
        OK(tvi_cast_counted("x", &cast, x, y, n, 0, &lost));
        EQUAL(lost.first, at);
        EQUAL(lost.n_overflow, 1);
      }
    }
  }
}

TEST(older_reports_are_filled_as_far_as_they_go) {
  const tv_cast_report lost = {0, 1, 2, 3, 4};
  tv_cast_report out = {offsetof(tv_cast_report, n_nan_to_integer), 0, 0, -7, -7};
  tvi_cast_tell(&lost, &out);
  EQUAL(out.size, offsetof(tv_cast_report, n_nan_to_integer));
  EQUAL(out.n_inexact, 2);
  EQUAL(out.n_nan_to_integer, -7);
}

TEST_MAIN("losses", CASE(losses_of_blocks_add_up), CASE(nobody_need_count),
          CASE(infinities_that_were_there_are_no_loss), CASE(a_quick_look_misses_none),
          CASE(older_reports_are_filled_as_far_as_they_go))
