/* SPDX-License-Identifier: MIT
 * What gpu-check times of this library: cases that loop in C, opened and run by check.py through
 * ctypes, so that both libraries run in one process. Inputs are random and rotate beyond the cache
 * of the GPU; a case is first run small, on the GPU and on the CPU, and the two are compared. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorvar/tensorvar.h>
#include <time.h>

enum { MOST_COPIES = 8, INPUTS = 3 };
static const int64_t cache =
    256 << 20; /* bytes that rotation goes round: four times an H200's L2 */

typedef struct bench bench;
typedef tv_tensor *maker(const bench *b, tv_key key, int input);
typedef void runner(bench *b, tv_tensor *const *in, tv_tensor **out);
typedef struct kind {
  const char *name;
  int inputs;
  maker *make;
  runner *run;
} kind;

struct bench {
  const kind *is;
  tv_dtype dtype;
  tv_device device;
  int64_t sizes[4];
  int copies, next;
  tv_tensor *in[MOST_COPIES][INPUTS];
  tv_variable **variables; /* of training */
  tv_tensor **gradients;
  int n_variables;
  tv_optimizer *optimizer;
};

static char message[600];
const char *bench_message(void) { return message; }

/* Inputs ------------------------------------------------------------------------------------------
 */

static tv_tensor *normal(const bench *b, tv_key key, int rank, const int64_t *shape) {
  return tv_astype(tv_random_normal(key, TV_F32, rank, shape), b->dtype);
}
static tv_tensor *flat(const bench *b, tv_key key, int input) {
  (void)input;
  return normal(b, key, 1, b->sizes);
}
static tv_tensor *matrix(const bench *b, tv_key key, int input) {
  (void)input;
  return normal(b, key, 2, b->sizes);
}
static tv_tensor *matrix_and_row(const bench *b, tv_key key, int input) {
  return input ? normal(b, key, 1, b->sizes + 1) : matrix(b, key, 0);
}
static tv_tensor *matrix_and_column(const bench *b, tv_key key, int input) {
  return input ? normal(b, key, 2, (int64_t[]){b->sizes[0], 1}) : matrix(b, key, 0);
}
static tv_tensor *logits_and_labels(const bench *b, tv_key key, int input) {
  if (!input) return matrix(b, key, 0);
  tv_tensor *const u = tv_random_uniform(key, TV_F32, 1, b->sizes);
  return tv_astype(tv_multiply(u, tv_scalar(b->sizes[1])), TV_I64);
}
/* sizes: m, n, k, batch (0: none) */
static tv_tensor *factors(const bench *b, tv_key key, int input) {
  const int64_t rows = b->sizes[input ? 2 : 0], columns = b->sizes[input ? 1 : 2];
  return b->sizes[3] ? normal(b, key, 3, (int64_t[]){b->sizes[3], rows, columns})
                     : normal(b, key, 2, (int64_t[]){rows, columns});
}
static tv_tensor *nothing(const bench *b, tv_key key, int input) {
  (void)b, (void)key, (void)input;
  return tv_scalar(0);
}

/* Work --------------------------------------------------------------------------------------------
 */

#define RUN(name, value)                                              \
  static void name(bench *b, tv_tensor *const *in, tv_tensor **out) { \
    (void)b, (void)in;                                                \
    *out = value;                                                     \
  }
RUN(run_add, tv_add(in[0], in[1]))
RUN(run_exp, tv_exp(in[0]))
RUN(run_tanh, tv_tanh(in[0]))
RUN(run_transpose, tv_reshape(tv_matrix_transpose(in[0]), TV_SHAPE(-1)))
RUN(run_sum_all, tv_sum(in[0], TV_ALL_AXES))
RUN(run_sum_rows, tv_sum(in[0], TV_AXES(1)))
RUN(run_sum_columns, tv_sum(in[0], TV_AXES(0)))
RUN(run_softmax, tv_softmax(in[0], -1))
RUN(run_matmul, tv_matmul(in[0], in[1]))
RUN(run_uniform, tv_random_uniform(tv_key_from_seed(7), b->dtype, 1, b->sizes))

static void run_cross_entropy(bench *b, tv_tensor *const *in, tv_tensor **out) {
  (void)b;
  tv_tensor *logits = in[0];
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tape_watch(tape, logits);
  tv_tensor *const loss = tv_mean(tv_softmax_cross_entropy(logits, in[1]), TV_ALL_AXES);
  tv_tape_gradient_of(tape, loss, 1, &logits, out);
  tv_tape_end(tape);
}

static void run_adam(bench *b, tv_tensor *const *in, tv_tensor **out) {
  (void)in;
  tv_optimizer_step(b->optimizer, b->n_variables, b->variables, b->gradients);
  *out = tv_read(b->variables[0]);
}

/* 784-512-512-10: forward, loss, gradient, step. */
static void run_perceptron(bench *b, tv_tensor *const *in, tv_tensor **out) {
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *x = in[0], *gradients[6];
  for (int layer = 0; layer < 3; layer++) {
    x = tv_add(tv_matmul(x, tv_read(b->variables[2 * layer])),
               tv_read(b->variables[2 * layer + 1]));
    if (layer < 2) x = tv_relu(x);
  }
  tv_tensor *const loss = tv_mean(tv_softmax_cross_entropy(x, in[1]), TV_ALL_AXES);
  tv_tape_gradient(tape, loss, 6, b->variables, gradients);
  tv_tape_end(tape);
  tv_optimizer_step(b->optimizer, 6, b->variables, gradients);
  *out = loss;
}
static tv_tensor *images_and_labels(const bench *b, tv_key key, int input) {
  if (!input) return normal(b, key, 2, (int64_t[]){b->sizes[0], 784});
  tv_tensor *const u = tv_random_uniform(key, TV_F32, 1, b->sizes);
  return tv_astype(tv_multiply(u, tv_scalar(10)), TV_I64);
}

static const kind kinds[] = {
    {"add", 2, flat, run_add},
    {"add_row", 2, matrix_and_row, run_add},
    {"add_column", 2, matrix_and_column, run_add},
    {"exp", 1, flat, run_exp},
    {"tanh", 1, flat, run_tanh},
    {"transpose", 1, matrix, run_transpose},
    {"sum_all", 1, flat, run_sum_all},
    {"sum_rows", 1, matrix, run_sum_rows},
    {"sum_columns", 1, matrix, run_sum_columns},
    {"softmax", 1, matrix, run_softmax},
    {"cross_entropy", 2, logits_and_labels, run_cross_entropy},
    {"matmul", 2, factors, run_matmul},
    {"uniform", 0, nothing, run_uniform},
    {"adam", 0, nothing, run_adam},
    {"perceptron", 2, images_and_labels, run_perceptron},
};

/* Open and close ----------------------------------------------------------------------------------
 */

void bench_close(bench *b) {
  if (!b) return;
  for (int copy = 0; copy < MOST_COPIES; copy++)
    for (int k = 0; k < INPUTS; k++) tv_release(b->in[copy][k]);
  for (int k = 0; k < b->n_variables; k++) {
    tv_variable_release(b->variables[k]);
    if (b->gradients) tv_release(b->gradients[k]);
  }
  free(b->variables);
  free(b->gradients);
  tv_optimizer_release(b->optimizer);
  free(b);
}

static bool add_variable(bench *b, tv_tensor *value, bool has_gradient) {
  b->variables = realloc(b->variables, (size_t)(b->n_variables + 1) * sizeof *b->variables);
  b->gradients = realloc(b->gradients, (size_t)(b->n_variables + 1) * sizeof *b->gradients);
  if (!b->variables || !b->gradients) return false;
  b->variables[b->n_variables] = tv_variable_new(value, NULL);
  b->gradients[b->n_variables] =
      has_gradient ? tv_retain(tv_multiply(value, tv_scalar(.01))) : NULL;
  return b->variables[b->n_variables++] != NULL;
}

/* sizes of adam: elements of a Variable, Variables */
static bool prepare(bench *b) {
  const bool is_adam = !strcmp(b->is->name, "adam"), is_mlp = !strcmp(b->is->name, "perceptron");
  static const int64_t widths[] = {784, 512, 512, 10};
  if (!is_adam && !is_mlp) return true;
  b->optimizer = tv_adam_new(NULL);
  for (int64_t k = 0; is_adam && k < b->sizes[1]; k++)
    if (!add_variable(b, normal(b, tv_key_from_seed((uint64_t)k), 1, b->sizes), true)) return false;
  for (int k = 0; is_mlp && k < 3; k++) {
    tv_tensor *const w = normal(b, tv_key_from_seed((uint64_t)k), 2, widths + k);
    if (!add_variable(b, tv_multiply(w, tv_scalar(.05)), false) ||
        !add_variable(b, tv_zeros(b->dtype, 1, widths + k + 1), false))
      return false;
  }
  return b->optimizer != NULL;
}

static bool fill(bench *b) {
  int64_t bytes = 0;
  for (int copy = 0; copy == 0 || (copy < MOST_COPIES && copy * bytes < cache); copy++) {
    bytes = 0;
    for (int k = 0; k < b->is->inputs; k++) {
      b->in[copy][k] =
          tv_retain(b->is->make(b, tv_key_fold(tv_key_from_seed((uint64_t)copy), (uint64_t)k), k));
      bytes += tv_tensor_bytes(b->in[copy][k]);
    }
    b->copies = copy + 1;
    if (bytes == 0) break;
  }
  return tv_error() == TV_OK;
}

/* NULL: bench_message says why. */
bench *bench_open(const char *name, const char *device, int dtype, const int64_t *sizes) {
  tv_scope scope;
  bench *const b = calloc(1, sizeof *b);
  tv_scope_begin(&scope);
  for (size_t k = 0; b && k < sizeof kinds / sizeof *kinds; k++)
    if (!strcmp(kinds[k].name, name)) b->is = &kinds[k];
  bool is_open = b && b->is && !tv_device_find(device, &b->device) && !tv_device_set(b->device);
  if (is_open) {
    b->dtype = (tv_dtype)dtype;
    memcpy(b->sizes, sizes, sizeof b->sizes);
    is_open = prepare(b) && fill(b);
  }
  snprintf(message, sizeof message, "%s: %s", name, tv_error_text());
  tv_scope_end(&scope, NULL);
  tv_device_set(TV_CPU);
  if (is_open) return b;
  bench_close(b);
  return NULL;
}

/* Run ---------------------------------------------------------------------------------------------
 */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* Milliseconds for one run of `runs`, by events on the device; *enqueue: those the host took. Below
 * 0 after a failure. The result of the latest one is in *out, if that is not NULL, and the
 * caller's. */
double bench_run(bench *b, int runs, double *enqueue, tv_tensor **out) {
  double elapsed = -1;
  tv_tensor *last = NULL;
  tv_event *const from = tv_event_new(b->device), *const to = tv_event_new(b->device);
  tv_device_set(b->device);
  tv_event_record(from);
  const double begun = now();
  for (int k = 0; k < runs; k++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    tv_tensor *y = NULL;
    b->is->run(b, b->in[b->next], &y);
    b->next = (b->next + 1) % b->copies;
    if (k == runs - 1 && out) last = tv_retain(y);
    if (tv_scope_end(&scope, NULL)) break;
  }
  *enqueue = (now() - begun) / runs;
  tv_event_record(to);
  tv_event_synchronize(to);
  if (tv_error() || tv_event_elapsed(from, to, &elapsed)) elapsed = -runs;
  snprintf(message, sizeof message, "%s: %s", b->is->name, tv_error_text());
  tv_error_clear();
  tv_event_release(from);
  tv_event_release(to);
  tv_device_set(TV_CPU);
  if (out) *out = last;
  return elapsed / runs;
}

/* The largest difference of a case's first result on two devices, over the largest magnitude; NaN
 * counts as infinite. Below 0 after a failure. */
double bench_difference(const char *name, const char *device, int dtype, const int64_t *sizes) {
  tv_scope scope;
  tv_tensor *of[2] = {NULL, NULL};
  double difference = -1, scale = 1, enqueue;
  tv_scope_begin(&scope);
  for (int k = 0; k < 2; k++) {
    bench *const b = bench_open(name, k ? "cpu" : device, dtype, sizes);
    if (!b) break;
    if (bench_run(b, 1, &enqueue, &of[k]) < 0 || !of[k]) {
      bench_close(b);
      break;
    }
    tv_tensor *const y = tv_astype(tv_to(of[k], TV_CPU), TV_F64);
    tv_release(of[k]);
    of[k] = y;
    bench_close(b);
  }
  if (of[0] && of[1]) {
    tv_item_f64(tv_max(tv_abs(tv_subtract(of[0], of[1])), TV_ALL_AXES), &difference);
    tv_item_f64(tv_max(tv_abs(of[1]), TV_ALL_AXES), &scale);
    difference = difference == difference ? difference / fmax(scale, 1e-30) : (double)INFINITY;
  }
  if (tv_error()) snprintf(message, sizeof message, "%s: %s", name, tv_error_text());
  tv_scope_end(&scope, NULL);
  tv_error_clear();
  return difference;
}

/* Transfers ---------------------------------------------------------------------------------------
 */

/* Milliseconds for `bytes` to the device (direction 0) or back (1), from pinned or plain memory. */
double bench_transfer(const char *device, int64_t bytes, int direction, int pinned) {
  tv_scope scope;
  tv_device d;
  double begun = 0, elapsed = -1;
  if (tv_device_find(device, &d)) return -1;
  char *const host = pinned ? tv_pinned_new(d, bytes) : malloc((size_t)bytes);
  tv_scope_begin(&scope);
  if (host) {
    memset(host, 1, (size_t)bytes);
    tv_memory_options options = TV_MEMORY_OPTIONS;
    options.device = d;
    begun = now();
    tv_tensor *const x = tv_tensor_from_memory(host, TV_U8, 1, &bytes, &options);
    tv_device_synchronize(d);
    elapsed = now() - begun;
    if (direction && x) {
      begun = now();
      tv_tensor_copy_out(x, host, bytes);
      elapsed = now() - begun;
    }
  }
  snprintf(message, sizeof message, "transfer: %s", tv_error_text());
  if (tv_scope_end(&scope, NULL)) elapsed = -1;
  tv_error_clear();
  if (pinned)
    tv_pinned_release(d, host);
  else
    free(host);
  return elapsed;
}

/* Milliseconds to load a .npy file straight to the device. */
double bench_load(const char *device, const char *path) {
  tv_scope scope;
  tv_device d;
  if (tv_device_find(device, &d)) return -1;
  tv_npy_options options = TV_NPY_OPTIONS;
  options.device = d;
  tv_scope_begin(&scope);
  const double begun = now();
  tv_npy_load(path, &options);
  tv_device_synchronize(d);
  const double elapsed = now() - begun;
  snprintf(message, sizeof message, "load: %s", tv_error_text());
  const tv_status status = tv_scope_end(&scope, NULL);
  tv_error_clear();
  return status ? -1 : elapsed;
}

/* Memory
 * ------------------------------------------------------------------------------------------- */

/* The allocator alone: the module is started once more, with tables of our own. */
static const tv_backend *seen;
static void *seen_self;
static tv_status note_failure(tv_status status, const char *format, ...) {
  (void)format;
  return status;
}
static tv_status note_backend(const tv_backend *backend, void *self, const char *name,
                              tv_device *device) {
  if (!strcmp(name, "cuda:0")) seen = backend, seen_self = self;
  *device = 1;
  return TV_OK;
}
static void one_after_another(int64_t n, void (*task)(void *context, int64_t i), void *context) {
  for (int64_t i = 0; i < n; i++) task(context, i);
}
static void *lend(int64_t bytes) { return calloc(1, (size_t)bytes); }

/* Nanoseconds for a pair of reserve and release, over sizes from 1 kB to 1 GB, once all are cached.
 */
double bench_allocate(const char *module, int rounds) {
  static const tv_host host = {sizeof host,       TV_BACKEND_ABI, note_failure,
                               note_backend,      tv_op_count,    tv_op_name,
                               one_after_another, lend,           free};
  enum { BLOCKS = 7 };
  const tv_module *(*entry)(void);
  void *const library = dlopen(module, RTLD_NOW | RTLD_LOCAL);
  void *const address = library ? dlsym(library, TV_MODULE_SYMBOL) : NULL;
  if (!address) return -1;
  memcpy(&entry, &address, sizeof entry);
  if (!seen && entry()->start(&host)) return -1;
  double begun = 0;
  for (int round = -1; round < rounds; round++) {
    void *blocks[BLOCKS];
    if (round == 0) begun = now();
    for (int k = 0; k < BLOCKS; k++)
      if (seen->reserve(seen_self, (int64_t)1000 << (k * 20 / (BLOCKS - 1)), NULL, &blocks[k]))
        return -1;
    for (int k = 0; k < BLOCKS; k++)
      seen->release(seen_self, blocks[k], (int64_t)1000 << (k * 20 / (BLOCKS - 1)), NULL, 0, NULL);
  }
  return 1e6 * (now() - begun) / rounds / BLOCKS;
}
