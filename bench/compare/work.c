/* SPDX-License-Identifier: MIT
 * libtensorvar at work, for bench/compare:
 *
 *     compare_work FOLDER THREADS
 *
 * serves the lines that worker.c reads. FOLDER has the inputs, `a_1e7.npy` for operand a at size
 * 1e7. The result of a call is kept while the next one is computed, and each call computes all of
 * its result. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorvar/tensorvar.h>

#include "worker.h"

enum { OPERANDS = 8, MANY = 1000 }; /* MANY: ops in one call, where an op is too short to time */

static const char *folder;
static tv_tensor *in[OPERANDS];
static tv_tensor *kept;
static tv_variable *variables[OPERANDS];
static int n_variables;
static tv_optimizer *optimizer;

/* Elementwise ---------------------------------------------------------------------------------- */

static tv_tensor *add(void) { return tv_add(in[0], in[1]); }
static tv_tensor *multiply(void) { return tv_multiply(in[0], in[1]); }
static tv_tensor *relu(void) { return tv_relu(in[0]); }
static tv_tensor *cast(void) { return tv_astype(in[0], TV_F32); }
static tv_tensor *gather(void) { return tv_take(in[0], in[1], 0); }
static tv_tensor *exponential(void) { return tv_exp(in[0]); }
static tv_tensor *sigmoid(void) { return tv_sigmoid(in[0]); }
static tv_tensor *hyperbolic_tangent(void) { return tv_tanh(in[0]); }
static tv_tensor *multiply_add(void) { return tv_add(tv_multiply(in[0], in[1]), in[2]); }
static tv_tensor *where(void) { return tv_where(tv_greater(in[0], tv_scalar(0)), in[1], in[2]); }

static tv_tensor *selected(void) { return tv_boolean_mask(in[0], tv_greater(in[0], tv_scalar(0))); }

/* -(t log p + (1 - t) log(1 - p)), p = sigmoid(x) */
static tv_tensor *bce(void) {
  tv_tensor *const p = tv_sigmoid(in[0]), *const t = in[1], *const one = tv_scalar(1);
  return tv_negative(tv_add(tv_multiply(t, tv_log(p)),
                            tv_multiply(tv_subtract(one, t), tv_log(tv_subtract(one, p)))));
}

/* x / 2 (1 + tanh(sqrt(2 / pi) (x + .044715 x^3))) */
static tv_tensor *gelu(void) {
  tv_tensor *const x = in[0], *const cube = tv_multiply(tv_multiply(x, x), x);
  tv_tensor *const inner =
      tv_multiply(tv_scalar(.7978845608028654), tv_add(x, tv_multiply(tv_scalar(.044715), cube)));
  return tv_multiply(tv_multiply(tv_scalar(.5), x), tv_add(tv_scalar(1), tv_tanh(inner)));
}

/* Reductions and rows -------------------------------------------------------------------------- */

static tv_tensor *sum(void) { return tv_sum(in[0], TV_ALL_AXES); }
static tv_tensor *sum0(void) { return tv_sum(in[0], TV_AXES(0)); }
static tv_tensor *sum1(void) { return tv_sum(in[0], TV_AXES(1)); }
static tv_tensor *mean(void) { return tv_mean(in[0], TV_ALL_AXES); }
static tv_tensor *mean0(void) { return tv_mean(in[0], TV_AXES(0)); }
static tv_tensor *mean1(void) { return tv_mean(in[0], TV_AXES(1)); }
static tv_tensor *maximum(void) { return tv_max(in[0], TV_ALL_AXES); }
static tv_tensor *maximum0(void) { return tv_max(in[0], TV_AXES(0)); }
static tv_tensor *maximum1(void) { return tv_max(in[0], TV_AXES(1)); }
static tv_tensor *softmax(void) { return tv_softmax(in[0], -1); }
static tv_tensor *matmul(void) { return tv_matmul(in[0], in[1]); }

/* A view has no result of its own: its elements in C order are what is asked for. */
static tv_tensor *transpose(void) {
  tv_tensor *const y = tv_matrix_transpose(in[0]);
  return tv_tensor_data(y) ? y : NULL;
}

/* One element ---------------------------------------------------------------------------------- */

static tv_tensor *one(void) {
  tv_tensor *y = NULL;
  for (int k = 0; k < MANY; k++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    y = tv_add(in[0], in[1]);
    tv_evaluate(1, &y);
    tv_scope_end(&scope, k == MANY - 1 ? &y : NULL);
  }
  return y;
}

/* y = v v v ..., a node for each product; with its gradient by v, or without. */
static tv_tensor *product_chain(bool with_gradient) {
  tv_tensor *g = NULL;
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const x = tv_read(variables[0]);
  tv_tensor *y = x;
  for (int k = 0; k < MANY; k++) y = tv_multiply(y, x);
  if (with_gradient) tv_tape_gradient(tape, y, 1, variables, &g);
  tv_tape_end(tape);
  return with_gradient ? g : y;
}
static tv_tensor *recorded(void) { return product_chain(false); }
static tv_tensor *chain(void) { return product_chain(true); }

/* Steps ---------------------------------------------------------------------------------------- */

static const char *cell(int operand, bool trainable) {
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.trainable = trainable;
  tv_release(kept);
  kept = NULL;
  tv_variable *const v = tv_variable_new(in[operand], &options);
  if (!v) return tv_error_text();
  variables[n_variables++] = v;
  tv_release(in[operand]); /* so that the Variable alone holds the bytes, and writes in place */
  in[operand] = NULL;
  return NULL;
}

static const char *one_cell(void) { return cell(0, true); }

/* Like the worker of every peer: momentum .9 and rate .01, Adam by its defaults. */
static const char *sgd_for(int first) {
  const char *wrong = NULL;
  tv_sgd_options options = TV_SGD_OPTIONS;
  options.momentum = .9;
  for (int k = first; k < OPERANDS && in[k] && !wrong; k++) wrong = cell(k, true);
  if (!wrong && !(optimizer = tv_sgd_new(&options))) wrong = tv_error_text();
  return wrong;
}
static const char *adam_for(int first, int count) {
  const char *wrong = NULL;
  for (int k = first; k < first + count && k < OPERANDS && in[k] && !wrong; k++)
    wrong = cell(k, true);
  if (!wrong && !(optimizer = tv_adam_new(NULL))) wrong = tv_error_text();
  return wrong;
}
static const char *adam_cells(void) { return adam_for(0, 1); }
static const char *perceptron_sgd(void) { return sgd_for(2); }
static const char *perceptron_adam(void) { return adam_for(2, OPERANDS); }

static tv_tensor *update(void) {
  tv_optimizer_step(optimizer, 1, variables, &in[1]);
  return NULL;
}

/* The first step gives one momentum in 16 the smallest normal number; then its gradient is 0. Steps
 * until it has come down to where .9 m rounds to m: ln(2^23) / -ln(.9) of them. */
static const char *stuck_cells(void) {
  const char *wrong = adam_for(0, 1);
  if (!wrong && tv_optimizer_step(optimizer, 1, variables, &in[2])) wrong = tv_error_text();
  for (int k = 0; k < 170 && !wrong; k++)
    if (tv_optimizer_step(optimizer, 1, variables, &in[1])) wrong = tv_error_text();
  return wrong;
}

/* Cross entropy of a perceptron with relu: in[0] rows, in[1] labels, weights and biases in turn. */
static tv_tensor *perceptron_step(void) {
  tv_tensor *gradients[OPERANDS];
  tv_scope pass;
  tv_scope_begin(&pass);
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *y = in[0];
  for (int k = 0; k < n_variables; k += 2) {
    const tv_activation activation = k + 2 < n_variables ? TV_RELU : TV_LINEAR;
    y = tv_dense(y, tv_read(variables[k]), tv_read(variables[k + 1]), activation);
  }
  tv_tensor *const loss = tv_mean(tv_softmax_cross_entropy(y, in[1]), TV_ALL_AXES);
  tv_tape_gradient(tape, loss, n_variables, variables, gradients);
  tv_tape_end(tape);
  for (int k = 0; k < n_variables; k++) tv_scope_keep(gradients[k]);
  tv_scope_end(&pass, NULL);
  tv_optimizer_step(optimizer, n_variables, variables, gradients);
  return NULL;
}

/* What there is -------------------------------------------------------------------------------- */

/* Operands are files; a step's result is the value of its first Variable after `steps` of them. */
static const struct row {
  const char *op, *operands;
  tv_tensor *(*run)(void);
  const char *(*begin)(void);
  int steps;
} rows[] = {
    {"add", "a b", add, NULL, 0},
    {"multiply", "a b", multiply, NULL, 0},
    {"relu", "x", relu, NULL, 0},
    {"cast", "d", cast, NULL, 0},
    {"broadcast", "column row", add, NULL, 0},
    {"gather", "table index", gather, NULL, 0},
    {"exp", "x", exponential, NULL, 0},
    {"sigmoid", "x", sigmoid, NULL, 0},
    {"tanh", "x", hyperbolic_tangent, NULL, 0},
    {"muladd", "a b c", multiply_add, NULL, 0},
    {"bce", "x u", bce, NULL, 0},
    {"gelu", "x", gelu, NULL, 0},
    {"where", "x a b", where, NULL, 0},
    {"select", "x", selected, NULL, 0},
    {"sum", "rows", sum, NULL, 0},
    {"sum0", "rows", sum0, NULL, 0},
    {"sum1", "rows", sum1, NULL, 0},
    {"mean", "rows", mean, NULL, 0},
    {"mean0", "rows", mean0, NULL, 0},
    {"mean1", "rows", mean1, NULL, 0},
    {"max", "rows", maximum, NULL, 0},
    {"max0", "rows", maximum0, NULL, 0},
    {"max1", "rows", maximum1, NULL, 0},
    {"softmax", "square", softmax, NULL, 0},
    {"transpose", "square", transpose, NULL, 0},
    {"one", "p q", one, NULL, 0},
    {"recorded", "v", recorded, one_cell, 0},
    {"chain", "v", chain, one_cell, 0},
    {"matmul", "p q", matmul, NULL, 0},
    {"adam", "w g", update, adam_cells, 3},
    {"adam_stuck", "w stuck tiny", update, stuck_cells, 1},
    {"sgd_step", "x labels w1 b1 w2 b2 w3 b3", perceptron_step, perceptron_sgd, 3},
    {"adam_step", "x labels w1 b1 w2 b2 w3 b3", perceptron_step, perceptron_adam, 3},
};

static const struct row *row;

static const char *load(const char *names, const char *size) {
  char path[4096];
  tv_scope scope;
  tv_scope_begin(&scope);
  for (int k = 0; *names; k++) {
    const size_t length = strcspn(names, " ");
    snprintf(path, sizeof path, "%s/%.*s_%s.npy", folder, (int)length, names, size);
    FILE *const file = fopen(path, "rb");
    if (!file && k > 0) break; /* a perceptron of two layers has no w3 */
    if (file) fclose(file);
    in[k] = tv_retain(tv_npy_load(path, NULL));
    names += length + (names[length] == ' ');
  }
  return tv_scope_end(&scope, NULL) ? tv_error_text() : NULL;
}

static const char *prepare(const char *op, const char *size) {
  row = NULL;
  for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
    if (!strcmp(rows[k].op, op)) row = &rows[k];
  if (!row) return "libtensorvar has no such op";
  const char *const wrong = load(row->operands, size);
  return wrong ? wrong : row->begin ? row->begin() : NULL;
}

static const char *run(int64_t calls) {
  tv_scope outer, call;
  tv_scope_begin(&outer);
  for (int64_t i = 0; i < calls; i++) {
    tv_scope_begin(&call);
    tv_tensor *y = row->run();
    if (y && tv_evaluate(1, &y) == TV_OK) {
      tv_tensor *const last = kept;
      kept = tv_retain(y);
      tv_release(last);
    }
    if (tv_scope_end(&call, NULL)) break;
  }
  return tv_scope_end(&outer, NULL) ? tv_error_text() : NULL;
}

static const char *check(const char *path) {
  const tv_npy_save_options scratch = {sizeof scratch, false};
  const char *const wrong = run(row->steps ? row->steps : 1);
  if (wrong) return wrong;
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_npy_save(path, row->steps ? tv_read(variables[0]) : kept, &scratch);
  return tv_scope_end(&scope, NULL) ? tv_error_text() : NULL;
}

static void drop(void) {
  tv_release(kept);
  kept = NULL;
  for (int k = 0; k < OPERANDS; k++) {
    tv_release(in[k]);
    in[k] = NULL;
  }
  while (n_variables) tv_variable_release(variables[--n_variables]);
  tv_optimizer_release(optimizer);
  optimizer = NULL;
}

static int64_t held(void) {
  tv_memory_stats stats;
  return tv_device_memory(TV_CPU, &stats) ? -1 : stats.held;
}

static const char *hello(void) {
  static char text[2048];
  snprintf(text, sizeof text,
           ",\"version\":\"%s\",\"threads\":%d,\"blas\":\"%s\",\"kernel\":\"%s\"", tv_version(),
           tv_threads(), tv_blas_name(), tv_blas_kernel());
  return text;
}

int main(int argc, char **argv) {
  static const worker ours = {"libtensorvar", hello, prepare, check, run, drop, held};
  if (argc != 3 || tv_threads_set((int)strtol(argv[2], NULL, 10))) {
    fputs("usage: compare_work FOLDER THREADS\n", stderr);
    return 2;
  }
  folder = argv[1];
  return worker_serve(&ours);
}
