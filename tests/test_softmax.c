/* SPDX-License-Identifier: MIT
 * softmax and log-softmax: values known by hand, axes, rows that would overflow, halves, refusals,
 * gradients of both orders. */
#include <math.h>

#include "differences.h"

static tv_tensor *table(int64_t rows, int64_t columns, const double *values) {
  return OK(tv_tensor_from_memory(values, TV_F64, TV_SHAPE(rows, columns), NULL));
}

/* exp(1 .. 3) / their sum, and its logarithms (mpmath). */
static const double shares[] = {.090030573170380458, .24472847105479764, .66524095577482187};
static const double logs[] = {-2.4076059644443806, -1.4076059644443804, -.40760596444438046};

TEST(known_rows) {
  tv_tensor *const x = table(2, 3, (double[]){1, 2, 3, 3, 2, 1});
  CLOSE(tv_softmax(x, -1),
        table(2, 3, (double[]){shares[0], shares[1], shares[2], shares[2], shares[1], shares[0]}),
        2);
  CLOSE(tv_log_softmax(x, 1),
        table(2, 3, (double[]){logs[0], logs[1], logs[2], logs[2], logs[1], logs[0]}), 2);
  HOLDS(tv_softmax(tv_zeros(TV_F32, TV_SHAPE(2, 4)), 1), .25, .25, .25, .25, .25, .25, .25, .25);
  HOLDS(tv_log_softmax(tv_ones(TV_F32, TV_SHAPE(3, 1)), 1), 0, 0, 0);
}

TEST(any_axis) {
  tv_tensor *const x = table(2, 3, (double[]){1, 2, 3, 3, 2, 1});
  SAME(tv_softmax(tv_matrix_transpose(x), 0), tv_matrix_transpose(tv_softmax(x, 1)));
  tv_tensor *const cube = OK(tv_random_normal((tv_key){1, 2}, TV_F64, TV_SHAPE(3, 40, 5)));
  for (int64_t axis = -3; axis < 3; axis++) {
    tv_tensor *const y = OK(tv_softmax(cube, axis));
    SHAPE_IS(y, TV_SHAPE(3, 40, 5));
    CLOSE(tv_log(y), tv_log_softmax(cube, axis), 64);
  }
  SHAPE_IS(tv_softmax(tv_zeros(TV_F32, TV_SHAPE(4, 0)), 1), TV_SHAPE(4, 0));
  SHAPE_IS(tv_log_softmax(tv_zeros(TV_F32, TV_SHAPE(0, 4)), 1), TV_SHAPE(0, 4));
}

TEST(nothing_overflows) {
  tv_tensor *const x = table(3, 2, (double[]){1e308, -1e308, 1000, 1000, -HUGE_VAL, 0});
  HOLDS(tv_softmax(x, 1), 1, 0, .5, .5, 0, 1);
  const double half = -.69314718055994531;
  HOLDS(tv_log_softmax(x, 1), 0, -HUGE_VAL, half, half, -HUGE_VAL, 0);
  tv_tensor *const closed = table(2, 2, (double[]){-HUGE_VAL, -HUGE_VAL, nan(""), 0});
  HOLDS(tv_softmax(closed, 1), nan(""), nan(""), nan(""), nan(""));
}

TEST(halves_are_rounded_once) {
  tv_tensor *const x = OK(tv_random_normal((tv_key){5, 2}, TV_F32, TV_SHAPE(7, 600)));
  for (int k = 0; k < 2; k++) {
    const tv_dtype dtype = k ? TV_BF16 : TV_F16;
    tv_tensor *const narrow = OK(tv_astype(x, dtype)), *const wide = OK(tv_astype(narrow, TV_F32));
    SAME(tv_softmax(narrow, -1), tv_astype(tv_softmax(wide, -1), dtype));
    SAME(tv_log_softmax(narrow, -1), tv_astype(tv_log_softmax(wide, -1), dtype));
  }
}

TEST(what_does_not_fit) {
  tv_tensor *const x = tv_zeros(TV_F32, TV_SHAPE(2, 3));
  FAILS(TV_EDTYPE, "softmax: does not take int32", tv_softmax(tv_zeros(TV_I32, TV_SHAPE(2)), 0));
  FAILS(TV_EDTYPE, "log_softmax: does not take complex64",
        tv_log_softmax(tv_zeros(TV_C64, TV_SHAPE(2)), 0));
  FAILS(TV_EDTYPE, "softmax: does not take bool", tv_softmax(tv_zeros(TV_BOOL, TV_SHAPE(2)), 0));
  CHECK(!tv_softmax(x, 2));
  EQUAL(tv_error(), TV_EINDEX);
  tv_error_clear();
  CHECK(!tv_softmax(NULL, 0));
  EQUAL(tv_error(), TV_EVALUE);
  tv_error_clear();
}

static tv_tensor *along_rows(tv_tensor *x) { return tv_softmax(x, 1); }
static tv_tensor *along_columns(tv_tensor *x) { return tv_softmax(x, 0); }
static tv_tensor *logs_along_rows(tv_tensor *x) { return tv_log_softmax(x, -1); }
static tv_tensor *logs_along_columns(tv_tensor *x) { return tv_log_softmax(x, -2); }

TEST(gradients) {
  tv_tensor *const x = OK(tv_random_normal((tv_key){1, 9}, TV_F64, TV_SHAPE(3, 4)));
  DIFFERENCES(along_rows, x);
  DIFFERENCES(along_columns, x);
  DIFFERENCES(logs_along_rows, x);
  DIFFERENCES(logs_along_columns, x);
}

TEST(memory_may_run_out) {
  tv_tensor *const x = OK(tv_random_normal((tv_key){1, 9}, TV_F64, TV_SHAPE(3, 4)));
  STARVED(along_rows, x);
  STARVED(logs_along_columns, x);
}

TEST_MAIN("softmax", CASE(known_rows), CASE(any_axis), CASE(nothing_overflows),
          CASE(halves_are_rounded_once), CASE(what_does_not_fit), CASE(gradients),
          CASE(memory_may_run_out))
