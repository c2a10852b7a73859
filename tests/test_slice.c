/* SPDX-License-Identifier: MIT
 * Slices: NumPy's notation and its structs, what they refuse, gradients. What is expected was
 * worked out by hand from Python's rules; every range is held against a plain loop besides. */
#include <stdio.h>
#include <string.h>

#include "differences.h"
#include "slice.h"
#include "writer.h"

/* 0 .. n - 1 */
static tv_tensor *row(int64_t n) { return OK(tv_arange(TV_F64, 0, (double)n, 1)); }
static tv_tensor *block(void) { return OK(tv_reshape(row(24), TV_SHAPE(2, 3, 4))); }

TEST(integers_drop_their_axis) {
  HOLDS(tv_slice(block(), "1, 2"), 20, 21, 22, 23);
  HOLDS(tv_slice(block(), "-1, -3, -4"), 12);
  SHAPE_IS(tv_slice(block(), "0"), TV_SHAPE(3, 4));
  SHAPE_IS(tv_slice(block(), "0,0,0"), TV_SCALAR_SHAPE);
}

TEST(ranges_keep_theirs) {
  tv_tensor *x = row(10);
  HOLDS(tv_slice(x, "2:5"), 2, 3, 4);
  HOLDS(tv_slice(x, "7:"), 7, 8, 9);
  HOLDS(tv_slice(x, ":3"), 0, 1, 2);
  HOLDS(tv_slice(x, "::4"), 0, 4, 8);
  HOLDS(tv_slice(x, "::-3"), 9, 6, 3, 0);
  HOLDS(tv_slice(x, "-3:"), 7, 8, 9);
  HOLDS(tv_slice(x, "8:2:-2"), 8, 6, 4);
  HOLDS(tv_slice(x, "1::-1"), 1, 0);
  HOLDS(tv_slice(x, "-1:0:-4"), 9, 5, 1);
  SAME(tv_slice(x, ":"), x);
  SAME(tv_slice(x, "::"), x);
  SHAPE_IS(tv_slice(block(), "1:, ::2, :0"), TV_SHAPE(1, 2, 0));
}

TEST(bounds_are_clipped) {
  tv_tensor *x = row(10);
  SHAPE_IS(tv_slice(x, "20:"), TV_SHAPE(0));
  HOLDS(tv_slice(x, "-100:3"), 0, 1, 2);
  HOLDS(tv_slice(x, "8:100"), 8, 9);
  SHAPE_IS(tv_slice(x, "5:5"), TV_SHAPE(0));
  SHAPE_IS(tv_slice(x, "5:2"), TV_SHAPE(0));
  SHAPE_IS(tv_slice(x, "2:5:-1"), TV_SHAPE(0));
  HOLDS(tv_slice(x, "100:-100:-5"), 9, 4);
  HOLDS(tv_slice(x, "9:99999999999999999999999"), 9);
  HOLDS(tv_slice(x, "-99999999999999999999999:1"), 0);
  HOLDS(tv_slice(x, "3::99999999999999999999999"), 3);
  HOLDS(tv_slice(x, "3::-99999999999999999999999"), 3);
  HOLDS(tv_slice(x, "-9223372036854775808:1"), 0);
  HOLDS(tv_slice(x, "9:9223372036854775807:9223372036854775807"), 9);
  HOLDS(tv_slice(x, "1::-9223372036854775808"), 1);
}

/* The loop that range(start, stop, step) is in Python. */
TEST(every_range_is_as_pythons) {
  char text[64];
  double want[8];
  for (int n = 0; n <= 4; n++)
    for (int start = -6; start <= 6; start++)
      for (int stop = -6; stop <= 6; stop++)
        for (int step = -3; step <= 3; step++) {
          if (step == 0) continue;
          int from = start < 0 ? start + n : start, to = stop < 0 ? stop + n : stop, k = 0;
          const int low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
          from = from < low ? low : from > high ? high : from;
          to = to < low ? low : to > high ? high : to;
          for (int i = from; step > 0 ? i < to : i > to; i += step) want[k++] = i;
          tv_scope scope;
          tv_scope_begin(&scope);
          snprintf(text, sizeof text, "%d:%d:%d", start, stop, step);
          tv_tensor *y = tv_slice(row(n), text);
          check_holds(__FILE__, __LINE__, text, y, k, want);
          tv_index index = TV_RANGE(start, stop, step);
          SAME(tv_slice_with(row(n), 1, &index), y);
          tv_scope_end(&scope, NULL);
        }
}

TEST(ellipsis_and_new_axes) {
  tv_tensor *x = block();
  HOLDS(tv_slice(x, "..., 0"), 0, 4, 8, 12, 16, 20);
  SHAPE_IS(tv_slice(x, "..., 1:3"), TV_SHAPE(2, 3, 2));
  SHAPE_IS(tv_slice(x, "0, ..., 0"), TV_SHAPE(3));
  SHAPE_IS(tv_slice(x, "0, 0, 0, ..."), TV_SCALAR_SHAPE);
  SHAPE_IS(tv_slice(x, "..."), TV_SHAPE(2, 3, 4));
  SHAPE_IS(tv_slice(x, "None, ..., None, 0"), TV_SHAPE(1, 2, 3, 1));
  SHAPE_IS(tv_slice(x, "0, None, :, None"), TV_SHAPE(1, 3, 1, 4));
  HOLDS(tv_slice(x, "1:5, ..., ::-1"), 15, 14, 13, 12, 19, 18, 17, 16, 23, 22, 21, 20);
  SHAPE_IS(tv_slice(tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(2)), "..."), TV_SCALAR_SHAPE);
  SHAPE_IS(tv_slice(tv_scalar(2), "None, None"), TV_SHAPE(1, 1));
}

TEST(blanks_stand_between_tokens) {
  tv_tensor *x = block();
  SAME(tv_slice(x, " \t1 ,\n - 1 : : - 1 , ... ,"), tv_slice(x, "1,-1::-1"));
  SAME(tv_slice(x, "+1"), tv_slice(x, "1"));
  SAME(tv_slice(x, "None:None:None"), x);
  SAME(tv_slice(x, "None :1"), tv_slice(x, ":1"));
}

TEST(text_that_is_no_index) {
  tv_tensor *x = block();
  static const struct {
    const char *text;
    int at;
  } bad[] = {{"", 1},    {" ", 2},     {",", 1},       {"1,,2", 3},  {"1;2", 2},  {"a", 1},
             {"1 2", 3}, {"--1", 2},   {"1:2:3:4", 6}, {"..", 1},    {"....", 4}, {"Nonesuch", 5},
             {"1.5", 2}, {"-", 2},     {"1:-", 4},     {"1:,a", 4},  {"0x1", 2},  {"None None", 6},
             {"[1]", 1}, {"none", 1},  {"1,, ", 3},    {"...:1", 4}, {"1\v", 2},  {":\xc3\xa9", 2},
             {"07", 2},  {"1:-007", 6}};
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
    char want[128], escaped[64];
    snprintf(want, sizeof want, "slice: no index at character %d of \"%s\"", bad[k].at,
             tvi_escape(escaped, sizeof escaped, bad[k].text, strlen(bad[k].text)));
    FAILS(TV_EVALUE, want, tv_slice(x, bad[k].text));
  }
}

TEST(slices_refuse) {
  tv_tensor *x = block();
  FAILS(TV_EVALUE, "slice: x is NULL", tv_slice(NULL, ":"));
  FAILS(TV_EVALUE, "slice: text is NULL", tv_slice(x, NULL));
  FAILS(TV_EVALUE, "slice: the step of axis 1 is 0", tv_slice(x, "0, ::0"));
  FAILS(TV_EVALUE, "slice: more than one ...", tv_slice(x, "..., 1, ..."));
  FAILS(TV_EINDEX, "slice: index 2 is out of range of axis 0 with size 2", tv_slice(x, "2"));
  FAILS(TV_EINDEX, "slice: index -5 is out of range of axis 2 with size 4", tv_slice(x, "..., -5"));
  FAILS(TV_EINDEX, "slice: index 9223372036854775807 is out of range of axis 0 with size 2",
        tv_slice(x, "99999999999999999999"));
  FAILS(TV_EINDEX, "slice: 4 indices for shape [2, 3, 4]", tv_slice(x, "0, 0, 0, 0"));
  FAILS(TV_EINDEX, "slice: 4 indices for shape [2, 3, 4]", tv_slice(x, "..., :, :, :, :"));
  char many[8 * (TV_MAX_RANK + 1)] = "None";
  for (int k = 0; k < TV_MAX_RANK; k++) snprintf(many + 4 + 5 * k, 6, ",None");
  FAILS(TV_ESHAPE, "slice: the result has more than 64 axes", tv_slice(x, many));
  many[5 * TV_MAX_RANK - 6] = '\0'; /* 63 new axes, and two of x that the text does not name */
  FAILS(TV_ESHAPE, "slice: the result has more than 64 axes", tv_slice(x, many));
}

TEST(structs_say_the_same) {
  tv_tensor *x = block();
  const tv_index index[] = {TV_NEW_AXIS, TV_AT(-1), TV_ELLIPSIS, TV_RANGE(3, 0, -2)};
  SAME(tv_slice_with(x, 4, index), tv_slice(x, "None, -1, ..., 3:0:-2"));
  const tv_index whole[] = {TV_WHOLE_AXIS, TV_AT(0)};
  SAME(tv_slice_with(x, 2, whole), tv_slice(x, ":, 0"));
  SAME(tv_slice_with(x, 0, NULL), x);
  FAILS(TV_EVALUE, "slice_with: index is NULL", tv_slice_with(x, 1, NULL));
  FAILS(TV_EVALUE, "slice_with: -1 terms", tv_slice_with(x, -1, index));
  tv_index odd = TV_AT(0);
  odd.kind = (tv_index_kind)9;
  FAILS(TV_EVALUE, "slice_with: 9 is no kind of index", tv_slice_with(x, 1, &odd));
  odd = (tv_index)TV_RANGE(0, 1, 0);
  FAILS(TV_EVALUE, "slice_with: the step of axis 0 is 0", tv_slice_with(x, 1, &odd));
}

TEST(slices_are_views) {
  tv_tensor *x = block(), *y = OK(tv_slice(x, "1, ::-1, ::2"));
  CHECK(tv_tensor_shares(x, y) && !tv_tensor_is_contiguous(y));
  HOLDS(y, 20, 22, 16, 18, 12, 14);
  HOLDS(tv_slice(y, "1:, 1"), 18, 14);
  CHECK(tv_tensor_is_contiguous(OK(tv_slice(x, "1:"))));
}

TEST(a_view_without_scope_is_the_callers) {
  tv_tensor *x = block(), *y = tvi_slice_view("variable_assign_slice", x, "0, 1", 0, NULL);
  HOLDS(y, 4, 5, 6, 7);
  tv_release(y);
  FAILS(TV_EINDEX, "variable_assign_slice: index 7 is out of range of axis 0 with size 2",
        tvi_slice_view("variable_assign_slice", x, "7", 0, NULL));
}

static tv_tensor *part(tv_tensor *x) { return tv_slice(x, "1, ..., None, ::-2"); }
static tv_tensor *part_of_part(tv_tensor *x) {
  return tv_slice(tv_slice(x, "..., 1:3"), "-1, 1:, 0");
}
static tv_tensor *nothing(tv_tensor *x) { return tv_slice(x, "5:"); }
static tv_tensor *single(tv_tensor *x) { return tv_slice(x, "0, 1, 2"); }

TEST(gradients_are_put_in_place) {
  tv_tensor *x = OK(tv_add(block(), tv_scalar(.5)));
  DIFFERENCES(part, x);
  DIFFERENCES(part_of_part, x);
  DIFFERENCES(single, x);
  DIFFERENCES(nothing, x);
  HOLDS(check_gradient(part, x), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 4, 0, 3, 0, 6,
        0, 5);
}

TEST(a_failed_allocation_leaves_nothing) {
  STARVED(part, block());
  STARVED(part_of_part, block());
}

TEST_MAIN("slice", CASE(integers_drop_their_axis), CASE(ranges_keep_theirs),
          CASE(bounds_are_clipped), CASE(every_range_is_as_pythons), CASE(ellipsis_and_new_axes),
          CASE(blanks_stand_between_tokens), CASE(text_that_is_no_index), CASE(slices_refuse),
          CASE(structs_say_the_same), CASE(slices_are_views),
          CASE(a_view_without_scope_is_the_callers), CASE(gradients_are_put_in_place),
          CASE(a_failed_allocation_leaves_nothing))
