/* SPDX-License-Identifier: MIT
 * Ranges: which numbers they hold, and what is said of the others. */
#include "range.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "check.h"

TEST(numbers_read_back) {
  static const double xs[] = {0,        -0.0,
                              1,        -1,
                              1.5,      .1,
                              1e-4,     9.9e-5,
                              1e15,     999999999999999,
                              DBL_MAX,  -DBL_MAX,
                              DBL_MIN,  5e-324,
                              -1.0 / 3, 2.0 / 3 * 1e-300};
  char text[TVI_REAL_SIZE];
  for (size_t k = 0; k < sizeof xs / sizeof *xs; k++)
    CHECK(strtod(tvi_real_text(xs[k], text), NULL) == xs[k]);
  SAME_TEXT(tvi_real_text(-1, text), "-1");
  SAME_TEXT(tvi_real_text(.001, text), "0.001");
  SAME_TEXT(tvi_real_text(1e-5, text), "1e-5");
  SAME_TEXT(tvi_real_text(2.5e20, text), "2.5e+20");
  SAME_TEXT(tvi_real_text((double)NAN, text), "nan");
  SAME_TEXT(tvi_real_text(-(double)INFINITY, text), "-inf");
}

TEST(ranges_hold_what_they_say) {
  static const struct {
    tvi_range range;
    double in[3], out[3];
    const char *expected;
  } rows[] = {{TVI_AT_LEAST_0, {0, 1, 1e300}, {-5e-324, -1, -1e300}, "0 or more and finite"},
              {TVI_ABOVE_0, {5e-324, 1, 1e300}, {0, -1, -1e300}, "above 0 and finite"},
              {TVI_AT_LEAST_1, {1, 2, 1e300}, {.5, 0, -1}, "1 or more and finite"},
              {TVI_ABOVE_1, {1.5, 2, 1e300}, {1, 0, -2}, "above 1 and finite"},
              {TVI_FROM_0_BELOW_1, {0, .5, .999}, {1, -.5, 2}, "0 or more and below 1"},
              {TVI_FROM_0_TO_1, {0, .5, 1}, {1.5, -.5, 2}, "0 to 1"},
              {TVI_BETWEEN_0_AND_1, {.5, 5e-324, .999}, {0, 1, -1}, "above 0 and below 1"}};
  for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
    for (int j = 0; j < 3; j++) {
      CHECK(tvi_in_range("f", "x", rows[k].in[j], rows[k].range));
      CHECK(!tvi_is_in(rows[k].out[j], rows[k].range));
    }
    CHECK(!tvi_is_in((double)NAN, rows[k].range) && !tvi_is_in((double)INFINITY, rows[k].range));
    char text[TVI_REAL_SIZE], whole[128];
    snprintf(whole, sizeof whole, "f: x is %s, expected %s", tvi_real_text(rows[k].out[1], text),
             rows[k].expected);
    CHECK(!tvi_in_range("f", "x", rows[k].out[1], rows[k].range));
    SAME_TEXT(tv_error_text(), whole);
    tv_error_clear();
  }
}

TEST_MAIN("range", CASE(numbers_read_back), CASE(ranges_hold_what_they_say))
