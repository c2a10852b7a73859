/* SPDX-License-Identifier: MIT
 * A model that answers while it is trained: one thread trains, others serve, and nobody copies or
 * waits for a step.
 *
 *     serve_while_training [--seconds S] [--readers N] [--apart] DATA
 *
 * reads DATA/digits_images.npy and DATA/digits_labels.npy. For the first half of S seconds each
 * reader serves requests: it reads all Variables as of one moment, makes sure that they are of one
 * step, and predicts the digit of an image. For the second half it does nothing but read one
 * Variable, to tell what a read costs. --apart reads the Variables one by one, and shows that this
 * mixes steps. Exit status 1 unless every reader saw whole versions.
 *
 * How a reader can tell: `checksum` is a Variable like the others, and always the sum of all
 * elements of all others. Its gradient is the sum of theirs, and the method is plain SGD, so one
 * step moves both sides by the same number. Weights, gradients and the learning rate are multiples
 * of small powers of two, so that float64 adds them without rounding, in any order: equal means
 * equal to the last bit. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorvar/tensorvar.h>
#include <time.h>

enum { TRAINING = 1500, BATCH = 50, PIXELS = 64, HIDDEN = 32, CLASSES = 10 };
enum { PARAMETERS = 4, CHECKSUM = PARAMETERS, VARIABLES, MOST_READERS = 64 };
#define GRAIN 0x1p-20 /* weights and gradients are multiples of it ... */
#define RATE 0x1p-2   /* ... until they are multiplied by this */

/* w1 [64, 32], b1 [32], w2 [32, 10], b2 [10], checksum [] */
typedef struct {
  tv_variable *variables[VARIABLES];
  tv_tensor *x, *labels; /* [1797, 64] float64, [1797] int64 */
  bool is_apart;
  atomic_bool is_over;
  long steps;
} service;

/* What one reader did. */
typedef struct {
  service *of;
  long requests, mixed, right; /* of requests */
  tv_status status;
  char text[512]; /* of the failure */
} reader;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void sleep_for(double seconds) {
  const struct timespec t = {(time_t)seconds, (long)(fmod(seconds, 1) * 1e9)};
  nanosleep(&t, NULL);
}

/* The nearest multiple of GRAIN. */
static tv_tensor *grained(tv_tensor *x) {
  tv_tensor *const grains = tv_floor(tv_add(tv_divide(x, tv_scalar(GRAIN)), tv_scalar(.5)));
  return tv_multiply(grains, tv_scalar(GRAIN));
}

/* The sum of all elements of the parameters. */
static tv_tensor *sum_of(tv_tensor *const *parameters) {
  tv_tensor *sum = tv_sum(parameters[0], TV_ALL_AXES);
  for (int k = 1; k < PARAMETERS; k++) sum = tv_add(sum, tv_sum(parameters[k], TV_ALL_AXES));
  return sum;
}

static tv_tensor *logits(tv_tensor *const *w, tv_tensor *x) {
  return tv_add(tv_matmul(tv_relu(tv_add(tv_matmul(x, w[0]), w[1])), w[2]), w[3]);
}

/* Made for readers that wait for no write. */
static tv_variable *served(const char *name, tv_tensor *value) {
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.name = name;
  options.concurrent_readers = true;
  return tv_variable_new(value, &options);
}

static tv_status service_open(service *s, const char *folder) {
  char path[4096];
  const tv_key key = tv_key_from_seed(1998);
  snprintf(path, sizeof path, "%s/digits_images.npy", folder);
  s->x = tv_reshape(tv_astype(tv_npy_load(path, NULL), TV_F64), TV_SHAPE(-1, PIXELS));
  s->x = tv_divide(s->x, tv_scalar(16));
  snprintf(path, sizeof path, "%s/digits_labels.npy", folder);
  s->labels = tv_npy_load(path, NULL);
  tv_tensor *const w1 = tv_random_normal(tv_key_fold(key, 1), TV_F64, TV_SHAPE(PIXELS, HIDDEN));
  tv_tensor *const w2 = tv_random_normal(tv_key_fold(key, 2), TV_F64, TV_SHAPE(HIDDEN, CLASSES));
  tv_tensor *const first[PARAMETERS] = {
      grained(tv_divide(w1, tv_scalar(8))), tv_zeros(TV_F64, TV_SHAPE(HIDDEN)),
      grained(tv_divide(w2, tv_scalar(4))), tv_zeros(TV_F64, TV_SHAPE(CLASSES))};
  static const char *const names[PARAMETERS] = {"w1", "b1", "w2", "b2"};
  for (int k = 0; k < PARAMETERS; k++) s->variables[k] = served(names[k], first[k]);
  s->variables[CHECKSUM] = served("checksum", sum_of(first));
  return tv_evaluate(2, (tv_tensor *const[]){s->x, s->labels});
}

static void service_close(service *s) {
  for (int k = 0; k < VARIABLES; k++) tv_variable_release(s->variables[k]);
}

/* Train ---------------------------------------------------------------------------------------- */

static tv_status train_batch(service *s, tv_optimizer *sgd, tv_tensor *rows) {
  tv_tensor *w[PARAMETERS], *g[VARIABLES];
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const x = tv_take(s->x, rows, 0), *const labels = tv_take(s->labels, rows, 0);
  tv_read_all(PARAMETERS, s->variables, w);
  tv_tensor *const loss = tv_mean(tv_softmax_cross_entropy(logits(w, x), labels), TV_ALL_AXES);
  tv_tape_gradient(tape, loss, PARAMETERS, s->variables, g);
  tv_tape_end(tape);
  for (int k = 0; k < PARAMETERS; k++) g[k] = grained(g[k]);
  g[CHECKSUM] = sum_of(g);
  if (!tv_optimizer_step(sgd, VARIABLES, s->variables, g)) s->steps++;
  return tv_scope_end(&scope, NULL);
}

static void *train(void *user) {
  service *const s = user;
  tv_sgd_options options = TV_SGD_OPTIONS;
  options.learning_rate = RATE;
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_optimizer *const sgd = tv_sgd_new(&options);
  tv_status status = sgd ? TV_OK : tv_error();
  for (uint64_t epoch = 0; !status && !atomic_load(&s->is_over); epoch++) {
    tv_scope inner;
    tv_scope_begin(&inner);
    tv_tensor *const order = tv_random_permutation(tv_key_from_seed(epoch), TRAINING);
    for (int64_t at = 0; at < TRAINING && !status && !atomic_load(&s->is_over); at += BATCH) {
      const tv_index range = TV_RANGE(at, at + BATCH, 1);
      status = train_batch(s, sgd, tv_slice_with(order, 1, &range));
    }
    tv_scope_end(&inner, NULL);
  }
  if (status) fprintf(stderr, "serve_while_training: the trainer: %s\n", tv_error_text());
  tv_optimizer_release(sgd);
  tv_scope_end(&scope, NULL);
  return (void *)(intptr_t)status;
}

/* Serve ---------------------------------------------------------------------------------------- */

/* One image, by all Variables as of one moment. */
static tv_status answer(reader *r, int64_t image) {
  service *const s = r->of;
  tv_tensor *w[VARIABLES];
  double off = 1;
  int64_t predicted = -1, label = 0;
  const tv_index row = TV_RANGE(image, image + 1, 1);
  if (s->is_apart)
    for (int k = 0; k < VARIABLES; k++) w[k] = tv_read(s->variables[k]);
  else
    tv_read_all(VARIABLES, s->variables, w);
  tv_item_f64(tv_subtract(sum_of(w), w[CHECKSUM]), &off);
  tv_item_i64(tv_argmax(logits(w, tv_slice_with(s->x, 1, &row)), TV_AXES(1)), &predicted);
  tv_item_i64(tv_slice_with(s->labels, 1, &row), &label);
  r->requests++;
  r->mixed += off > 0 || off < 0;
  r->right += predicted == label;
  return tv_error();
}

/* Nothing but a read. */
static tv_status look(reader *r) {
  r->requests++;
  return tv_read(r->of->variables[0]) ? TV_OK : tv_error();
}

static void *run(reader *r, bool is_serving) {
  for (int64_t image = 0; !r->status && !atomic_load(&r->of->is_over); image++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    r->status = is_serving ? answer(r, TRAINING + image % 297) : look(r);
    if (r->status) snprintf(r->text, sizeof r->text, "%s", tv_error_text());
    tv_scope_end(&scope, NULL);
  }
  return NULL;
}
static void *serve(void *user) { return run(user, true); }
static void *read_one(void *user) { return run(user, false); }

/* Let readers run beside a trainer; what all of them did in *sum, and how long it took. */
static tv_status half(service *s, void *(*work)(void *), int n_readers, double seconds, reader *sum,
                      double *took) {
  pthread_t trainer, threads[MOST_READERS];
  reader readers[MOST_READERS];
  void *trained = NULL;
  int n = 0;
  *sum = (reader){.of = s};
  atomic_store(&s->is_over, false);
  const double start = now();
  const bool has_trainer = pthread_create(&trainer, NULL, train, s) == 0;
  for (; has_trainer && n < n_readers; n++) {
    readers[n] = (reader){.of = s};
    if (pthread_create(&threads[n], NULL, work, &readers[n])) break;
  }
  if (n == n_readers) sleep_for(seconds);
  atomic_store(&s->is_over, true);
  *took = now() - start;
  for (int k = 0; k < n; k++) {
    pthread_join(threads[k], NULL);
    sum->requests += readers[k].requests;
    sum->mixed += readers[k].mixed;
    sum->right += readers[k].right;
    if (!sum->status && readers[k].status) {
      sum->status = readers[k].status;
      fprintf(stderr, "serve_while_training: a reader: %s\n", readers[k].text);
    }
  }
  if (has_trainer) pthread_join(trainer, &trained);
  if (n < n_readers) fputs("serve_while_training: a thread could not be started\n", stderr);
  if (n < n_readers) return TV_ENOMEM;
  return sum->status ? sum->status : (tv_status)(intptr_t)trained;
}

static int usage(void) {
  fputs("usage: serve_while_training [--seconds S] [--readers N] [--apart] DATA\n", stderr);
  return 2;
}

int main(int argc, char **argv) {
  service s = {.is_over = false};
  double seconds = 2;
  int n_readers = 2, at = 1;
  for (; at < argc && !strncmp(argv[at], "--", 2); at++) {
    if (!strcmp(argv[at], "--apart"))
      s.is_apart = true;
    else if (!strcmp(argv[at], "--seconds") && at + 1 < argc)
      seconds = strtod(argv[++at], NULL);
    else if (!strcmp(argv[at], "--readers") && at + 1 < argc)
      n_readers = (int)strtol(argv[++at], NULL, 10);
    else
      return usage();
  }
  if (argc - at != 1 || !(seconds > 0 && seconds < 1e6) || n_readers < 1 ||
      n_readers > MOST_READERS)
    return usage();

  tv_scope scope;
  tv_scope_begin(&scope);
  reader served, looked;
  double took = 0, took_looking = 0;
  if (service_open(&s, argv[at])) {
    fprintf(stderr, "serve_while_training: %s\n", tv_error_text());
    service_close(&s);
    tv_scope_end(&scope, NULL);
    return 1;
  }
  const tv_status status = half(&s, serve, n_readers, seconds / 2, &served, &took);
  const long steps = s.steps;
  const bool is_done =
      !status && !half(&s, read_one, n_readers, seconds / 2, &looked, &took_looking);
  if (is_done) {
    printf("%d readers beside a trainer\n", n_readers);
    printf("serving     %ld steps, %ld requests in %.2f s: %.0f per second, %.1f %% right\n", steps,
           served.requests, took, (double)served.requests / took,
           100. * (double)served.right / (double)(served.requests ? served.requests : 1));
    printf("reading     %ld steps, %ld reads of one Variable in %.2f s: %.2f million per second\n",
           s.steps - steps, looked.requests, took_looking,
           1e-6 * (double)looked.requests / took_looking);
    if (served.mixed)
      printf("%ld of %ld requests saw Variables of two steps\n", served.mixed, served.requests);
    else if (served.requests && steps && s.steps > steps)
      puts("every reader saw whole versions");
  }
  service_close(&s);
  tv_scope_end(&scope, NULL);
  return is_done && served.requests && !served.mixed ? 0 : 1;
}
