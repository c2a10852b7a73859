/* SPDX-License-Identifier: MIT
 * Handwritten digits from .npy files: a perceptron of two layers, trained with Adam, its weights
 * kept in
 * [-1, 1] by a constraint.
 *
 *     train_digits [--epochs N] [--threads N] [--device NAME] [--plain] DATA OUT
 *
 * reads DATA/digits_images.npy and DATA/digits_labels.npy; writes weights and predictions to OUT as
 * .npy. The first 1,500 rows are for training; the other 297, by other writers, for the test. The
 * last line of output is JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorvar/tensorvar.h>
#include <time.h>
#include <unistd.h>

enum { TRAINING = 1500, BATCH = 50, PIXELS = 64, HIDDEN = 256, CLASSES = 10, PARAMETERS = 4 };

typedef struct {
  int epochs, threads;
  const char *device, *data, *out;
  bool plain; /* a line per epoch, not one line that changes */
} settings;

/* w1 [64, 256], b1 [256], w2 [256, 10], b2 [10] */
typedef struct {
  tv_variable *w1, *b1, *w2, *b2;
} model;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const char *in_folder(char *path, size_t room, const char *folder, const char *name) {
  snprintf(path, room, "%s/%s", folder, name);
  return path;
}

static tv_tensor *load(const settings *s, const char *name) {
  char path[4096];
  return tv_npy_load(in_folder(path, sizeof path, s->data, name), NULL);
}

/* Normal numbers, scaled for relu (He et al., 2015). */
static tv_tensor *initial_weights(tv_key key, int64_t inputs, int64_t outputs) {
  return tv_multiply(tv_random_normal(key, TV_F32, TV_SHAPE(inputs, outputs)),
                     tv_sqrt(tv_full(TV_F32, TV_SCALAR_SHAPE, tv_scalar(2. / (double)inputs))));
}

static tv_variable *weights(const char *name, tv_tensor *value) {
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.name = name;
  options.constraint = (tv_constraint)TV_CLIP(-1, 1, TV_ON_STEP);
  return tv_variable_new(value, &options);
}

static model model_new(tv_key key) {
  tv_scope scope;
  tv_scope_begin(&scope);
  const model m = {
      .w1 = weights("w1", initial_weights(tv_key_fold(key, 1), PIXELS, HIDDEN)),
      .b1 = weights("b1", tv_zeros(TV_F32, TV_SHAPE(HIDDEN))),
      .w2 = weights("w2", initial_weights(tv_key_fold(key, 2), HIDDEN, CLASSES)),
      .b2 = weights("b2", tv_zeros(TV_F32, TV_SHAPE(CLASSES))),
  };
  tv_scope_end(&scope, NULL);
  return m;
}

static void model_release(model *m) {
  tv_variable_release(m->w1);
  tv_variable_release(m->b1);
  tv_variable_release(m->w2);
  tv_variable_release(m->b2);
}

/* x [n, 64] gives [n, 10] */
static tv_tensor *logits(const model *m, tv_tensor *x) {
  tv_tensor *const hidden = tv_relu(tv_add(tv_matmul(x, tv_read(m->w1)), tv_read(m->b1)));
  return tv_add(tv_matmul(hidden, tv_read(m->w2)), tv_read(m->b2));
}

/* One batch. Snapshots and what the tape keeps live in the inner scope, so that nobody else holds
 * the old weights when the step replaces them. */
static double train_batch(const model *m, tv_optimizer *adam, tv_tensor *x, tv_tensor *labels) {
  double loss_value = 0;
  tv_scope step, pass;
  tv_variable *const variables[PARAMETERS] = {m->w1, m->b1, m->w2, m->b2};
  tv_tensor *gradients[PARAMETERS];
  tv_scope_begin(&step);
  tv_scope_begin(&pass);
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const loss = tv_mean(tv_softmax_cross_entropy(logits(m, x), labels), TV_ALL_AXES);
  tv_tape_gradient(tape, loss, PARAMETERS, variables, gradients);
  tv_tape_end(tape);
  tv_item_f64(loss, &loss_value);
  for (int k = 0; k < PARAMETERS; k++) tv_scope_keep(gradients[k]);
  tv_scope_end(&pass, NULL);
  tv_optimizer_step(adam, PARAMETERS, variables, gradients);
  tv_scope_end(&step, NULL);
  return loss_value;
}

/* One pass over the training rows in random order; the mean loss. */
static double train_epoch(const model *m, tv_optimizer *adam, tv_tensor *x, tv_tensor *labels,
                          tv_key key) {
  double sum = 0;
  int batches = 0;
  tv_scope epoch, batch;
  tv_scope_begin(&epoch);
  tv_tensor *const order = tv_to(tv_random_permutation(key, TRAINING), tv_tensor_device(x));
  for (int64_t first = 0; first < TRAINING && !tv_error(); first += BATCH) {
    const tv_index range = TV_RANGE(first, first + BATCH, 1);
    tv_scope_begin(&batch);
    tv_tensor *const rows = tv_slice_with(order, 1, &range);
    sum += train_batch(m, adam, tv_take(x, rows, 0), tv_take(labels, rows, 0));
    tv_scope_end(&batch, NULL);
    batches++;
  }
  tv_scope_end(&epoch, NULL);
  return sum / batches;
}

static double accuracy(tv_tensor *predicted, tv_tensor *labels) {
  double mean = 0;
  tv_item_f64(tv_mean(tv_equal(predicted, labels), TV_ALL_AXES), &mean);
  return mean;
}

/* What is written to OUT. */
enum { OUTPUTS = 5 };
static const char *const outputs[OUTPUTS] = {"w1.npy", "b1.npy", "w2.npy", "b2.npy",
                                             "predictions.npy"};

static void print_json(const char *text) {
  putchar('"');
  for (; *text; text++) {
    if ((unsigned char)*text < ' ') {
      printf("\\u%04x", (unsigned)*text);
      continue;
    }
    if (*text == '"' || *text == '\\') putchar('\\');
    putchar(*text);
  }
  putchar('"');
}

static tv_status train(const settings *s) {
  const double start = now();
  char path[4096];
  tv_scope scope;
  tv_device device = TV_CPU;
  if (tv_scope_begin(&scope) || tv_device_find(s->device, &device) || tv_device_set(device) ||
      (s->threads && tv_threads_set(s->threads)))
    return tv_error();

  tv_tensor *x = load(s, "digits_images.npy");      /* uint8 [1797, 8, 8], 0 to 16 */
  tv_tensor *labels = load(s, "digits_labels.npy"); /* int64 [1797] */
  x = tv_divide(tv_reshape(tv_astype(x, TV_F32), TV_SHAPE(-1, PIXELS)), tv_scalar(16));
  tv_tensor *const test_x = tv_slice(x, "1500:"), *const test_labels = tv_slice(labels, "1500:");

  const tv_key key = tv_key_from_seed(1998);
  model m = model_new(key);
  tv_optimizer *const adam = tv_adam_new(NULL);
  for (int epoch = 0; epoch < s->epochs && !tv_error(); epoch++) {
    const double loss = train_epoch(&m, adam, x, labels, tv_key_fold(key, 100 + (uint64_t)epoch));
    if (!tv_error())
      fprintf(stderr, "%sepoch %3d/%d  loss %.4f  %.1f s%s", s->plain ? "" : "\r", epoch + 1,
              s->epochs, loss, now() - start, s->plain ? "\n" : "");
  }
  if (!s->plain && !tv_error()) fputc('\n', stderr);

  tv_tensor *const predicted = tv_argmax(logits(&m, test_x), TV_AXES(1));
  const double test_accuracy = accuracy(predicted, test_labels);
  tv_tensor *const results[OUTPUTS] = {tv_read(m.w1), tv_read(m.b1), tv_read(m.w2), tv_read(m.b2),
                                       predicted};
  for (int k = 0; k < OUTPUTS; k++)
    tv_npy_save(in_folder(path, sizeof path, s->out, outputs[k]), results[k], NULL);
  tv_optimizer_release(adam);
  model_release(&m);
  const tv_status status = tv_scope_end(&scope, NULL);
  if (!status) {
    printf(
        "{\"example\": \"train_digits\", \"test_accuracy\": %.4f, \"epochs\": %d, \"seconds\": "
        "%.2f, \"outputs\": [",
        test_accuracy, s->epochs, now() - start);
    for (int k = 0; k < OUTPUTS; k++) {
      if (k) fputs(", ", stdout);
      print_json(in_folder(path, sizeof path, s->out, outputs[k]));
    }
    puts("]}");
  }
  return status;
}

static int usage(void) {
  fputs("usage: train_digits [--epochs N] [--threads N] [--device NAME] [--plain] DATA OUT\n",
        stderr);
  return 2;
}

/* A whole number from 0 to 100000, or -1. */
static int number(const char *text) {
  char *end = NULL;
  const long n = strtol(text, &end, 10);
  return *text && !*end && n >= 0 && n <= 100000 ? (int)n : -1;
}

int main(int argc, char **argv) {
  settings s = {.epochs = 60, .device = "cpu", .plain = !isatty(2)};
  int at = 1;
  for (; at < argc && !strncmp(argv[at], "--", 2); at++) {
    const bool has_value = at + 1 < argc;
    if (!strcmp(argv[at], "--plain"))
      s.plain = true;
    else if (!strcmp(argv[at], "--epochs") && has_value)
      s.epochs = number(argv[++at]);
    else if (!strcmp(argv[at], "--threads") && has_value)
      s.threads = number(argv[++at]);
    else if (!strcmp(argv[at], "--device") && has_value)
      s.device = argv[++at];
    else
      return usage();
  }
  if (argc - at != 2 || s.epochs < 0 || s.threads < 0) return usage();
  s.data = argv[at];
  s.out = argv[at + 1];
  if (access(s.out, W_OK)) { /* before the work, not after it */
    fprintf(stderr, "train_digits: %s: no folder that can be written to\n", s.out);
    return 1;
  }
  if (train(&s)) {
    fprintf(stderr, "train_digits: %s\n", tv_error_text());
    return 1;
  }
  return 0;
}
