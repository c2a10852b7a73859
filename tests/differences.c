/* SPDX-License-Identifier: MIT
 * Central differences: (f(x + h) - f(x - h)) / 2h, element by element. */
#include "differences.h"

#include <math.h>
#include <stdlib.h>

#include "memory.h"

/* 1, 2, 3, ... in the shape and dtype of x. */
static tv_tensor *counted(tv_tensor *x) {
  tv_tensor *numbers = tv_arange_int(TV_I64, 1, tv_tensor_size(x) + 1, 1);
  return tv_reshape(tv_astype(numbers, tv_tensor_dtype(x)), tv_tensor_rank(x), tv_tensor_shape(x));
}

static tv_tensor *weighted(tv_tensor *y) { return tv_sum(tv_multiply(y, counted(y)), TV_ALL_AXES); }

static tv_tensor *squares(check_op *op, tv_tensor *x) {
  tv_tensor *y = op(x);
  return y ? weighted(tv_square(y)) : NULL;
}

tv_tensor *check_gradient(check_op *op, tv_tensor *x) {
  tv_tensor *g = NULL;
  tv_tape *tape = tv_tape_begin(NULL);
  tv_tensor *y = tv_tape_watch(tape, x) ? NULL : op(x);
  if (y) tv_tape_gradient_of(tape, weighted(y), 1, &x, &g);
  tv_tape_end(tape);
  return g;
}

/* The gradient of the squares by x. */
static tv_tensor *slope(check_op *op, tv_tensor *x) {
  tv_tensor *g = NULL;
  tv_tape *tape = tv_tape_begin(NULL);
  tv_tape_watch(tape, x);
  tv_tensor *target = squares(op, x);
  if (target) tv_tape_gradient_of(tape, target, 1, &x, &g);
  tv_tape_end(tape);
  return g;
}

/* The gradient of the weighted sum of the gradient. */
static tv_tensor *curvature(check_op *op, tv_tensor *x) {
  tv_tensor *g = NULL;
  tv_tape *tape = tv_tape_begin(NULL);
  tv_tape_watch(tape, x);
  tv_tensor *first = slope(op, x);
  if (first) tv_tape_gradient_of(tape, weighted(first), 1, &x, &g);
  tv_tape_end(tape);
  return g;
}

/* The objective, of whichever order, where element i of x is moved by h. */
static double moved(check_op *op, tv_tensor *x, double *values, int64_t i, double h,
                    bool is_second) {
  double result = nan("");
  tv_scope scope;
  tv_scope_begin(&scope);
  const double before = values[i];
  values[i] += h;
  tv_tensor *at =
      tv_tensor_from_memory(values, TV_F64, tv_tensor_rank(x), tv_tensor_shape(x), NULL);
  values[i] = before;
  tv_item_f64(is_second ? weighted(slope(op, at)) : squares(op, at), &result);
  tv_scope_end(&scope, NULL);
  return result;
}

void check_differences(const char *file, int line, const char *what, check_op *op, tv_tensor *x) {
  const double h = 1e-5;
  const int64_t n = tv_tensor_size(x);
  double *values = malloc(sizeof(double[2]) * (size_t)(n + 1)), *got = values + n;
  if (!values) check_fail(file, line, "%s: no memory", what);
  for (int order = 1; order <= 2; order++) {
    tv_tensor *gradient = order == 1 ? slope(op, x) : curvature(op, x);
    if (!gradient || tv_tensor_copy_out(x, values, n * 8) ||
        tv_tensor_copy_out(gradient, got, n * 8)) {
      free(values);
      check_fail(file, line, "%s: gradient %d: %s", what, order, tv_error_text());
    }
    for (int64_t i = 0; i < n; i++) {
      const double want =
          (moved(op, x, values, i, h, order == 2) - moved(op, x, values, i, -h, order == 2)) /
          (2 * h);
      const double is = got[i];
      if (fabs(is - want) <= 1e-6 * (1 + fabs(want))) continue;
      free(values);
      check_fail(file, line, "%s: gradient %d, element %lld is %.12g, by differences %.12g", what,
                 order, (long long)i, is, want);
    }
  }
  free(values);
}

void check_starved(const char *file, int line, const char *what, check_op *op, tv_tensor *x) {
  for (int64_t fail = 1;; fail++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    tvi_memory_fail(fail, false);
    const bool is_done = check_gradient(op, x) != NULL;
    const bool has_failed = tvi_memory_calls() >= fail;
    tvi_memory_fail(0, false);
    if (is_done == has_failed || tv_error() != (has_failed ? TV_ENOMEM : TV_OK))
      check_fail(file, line, "%s: allocation %lld failed, and it %s: %s", what, (long long)fail,
                 is_done ? "succeeds" : "fails", tv_error_text());
    tv_error_clear();
    tv_scope_end(&scope, NULL);
    if (!has_failed) return;
  }
}
