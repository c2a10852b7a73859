/* SPDX-License-Identifier: MIT
 * Linear regression in float64 on the diabetes data of Efron, Hastie, Johnstone and Tibshirani
 * (2004): fitted by gradients, and compared with the closed form.
 *
 *     fit_diabetes DATA
 *
 * reads DATA/diabetes_features.npy and DATA/diabetes_target.npy. Prints both fits, and how far
 * apart they are; exit status 1 if that is more than 1e-6 of the largest coefficient. */
#include <math.h>
#include <stdio.h>
#include <tensorvar/tensorvar.h>

enum { FEATURES = 10, STEPS = 4000 };

/* Columns of mean 0 and deviation 1, and a column of ones for the intercept. */
static tv_tensor *design_matrix(tv_tensor *x) {
  tv_reduce_options keep = TV_REDUCE_OPTIONS;
  keep.keepdims = true;
  tv_tensor *const centred = tv_subtract(x, tv_mean_with(x, TV_AXES(0), &keep));
  tv_tensor *const deviation = tv_sqrt(tv_mean_with(tv_square(centred), TV_AXES(0), &keep));
  tv_tensor *const ones = tv_ones_like(tv_slice(x, ":, :1"));
  return tv_concat(2, (tv_tensor *[]){tv_divide(centred, deviation), ones}, 1);
}

static tv_tensor *squared_error(tv_tensor *x, tv_tensor *w, tv_tensor *y) {
  return tv_mean(tv_square(tv_subtract(tv_matmul(x, w), y)), TV_ALL_AXES);
}

/* Steps against the gradient, with momentum. */
static void fit(tv_variable *w, tv_tensor *x, tv_tensor *y) {
  tv_sgd_options options = TV_SGD_OPTIONS;
  options.learning_rate = .05;
  options.momentum = .9;
  tv_optimizer *const sgd = tv_sgd_new(&options);
  for (int step = 0; step < STEPS && !tv_error(); step++) {
    tv_scope outer, pass;
    tv_tensor *g;
    tv_scope_begin(&outer);
    tv_scope_begin(&pass);
    tv_tape *const tape = tv_tape_begin(NULL);
    tv_tape_gradient(tape, squared_error(x, tv_read(w), y), 1, &w, &g);
    tv_tape_end(tape);
    tv_scope_keep(g);
    tv_scope_end(&pass, NULL);
    tv_optimizer_step(sgd, 1, &w, &g);
    tv_scope_end(&outer, NULL);
  }
  tv_optimizer_release(sgd);
}

/* Solve a [n, n] w = b [n] for a symmetric positive definite a, in place, by Cholesky's method. */
static void solve(int n, double *a, double *b) {
  for (int j = 0; j < n; j++) {
    for (int k = 0; k < j; k++)
      for (int i = j; i < n; i++) a[i * n + j] -= a[i * n + k] * a[j * n + k];
    const double pivot = sqrt(a[j * n + j]);
    for (int i = j; i < n; i++) a[i * n + j] /= pivot;
  }
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < i; k++) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (int i = n - 1; i >= 0; i--) {
    for (int k = i + 1; k < n; k++) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
}

/* The normal equations, x^T x w = x^T y. */
static tv_tensor *closed_form(tv_tensor *x, tv_tensor *y) {
  enum { N = FEATURES + 1 };
  double a[N * N], b[N];
  tv_tensor *const xt = tv_matrix_transpose(x);
  if (tv_tensor_copy_out(tv_matmul(xt, x), a, sizeof a) ||
      tv_tensor_copy_out(tv_matmul(xt, y), b, sizeof b))
    return NULL;
  solve(N, a, b);
  return tv_tensor_from_memory(b, TV_F64, TV_SHAPE(N), NULL);
}

static tv_status run(const char *data, double *distance) {
  char path[4096];
  tv_scope scope;
  tv_scope_begin(&scope);
  snprintf(path, sizeof path, "%s/diabetes_features.npy", data);
  tv_tensor *const x = design_matrix(tv_npy_load(path, NULL));
  snprintf(path, sizeof path, "%s/diabetes_target.npy", data);
  tv_tensor *const y = tv_npy_load(path, NULL);

  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.name = "coefficients";
  tv_variable *const w = tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(FEATURES + 1)), &options);
  fit(w, x, y);
  tv_tensor *const exact = closed_form(x, y);
  tv_tensor *const apart = tv_max(tv_abs(tv_subtract(tv_read(w), exact)), TV_ALL_AXES);
  tv_tensor *const largest = tv_max(tv_abs(exact), TV_ALL_AXES);
  double error = 0;
  tv_item_f64(tv_divide(apart, largest), distance);
  tv_item_f64(squared_error(x, tv_read(w), y), &error);
  if (!tv_error()) {
    tv_variable_print(stdout, w);
    fputs("closed form: ", stdout);
    tv_print(stdout, exact);
    printf("mean squared error %.6f; coefficients differ by %.1e of the largest\n", error,
           *distance);
  }
  tv_variable_release(w);
  return tv_scope_end(&scope, NULL);
}

int main(int argc, char **argv) {
  double distance = HUGE_VAL;
  if (argc != 2) {
    fputs("usage: fit_diabetes DATA\n", stderr);
    return 2;
  }
  if (run(argv[1], &distance)) {
    fprintf(stderr, "fit_diabetes: %s\n", tv_error_text());
    return 1;
  }
  return distance <= 1e-6 ? 0 : 1;
}
