/* SPDX-License-Identifier: MIT
 * Training steps on a CUDA device: forward, gradient and update, with nothing copied to the host or
 * from it, no memory taken beyond the first steps, and the weights that the CPU comes to. */
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "cuda_device.h"

enum { BATCH = 20, PIXELS = 12, HIDDEN = 16, CLASSES = 5, PARAMETERS = 4 };

typedef struct {
  tv_variable *w[PARAMETERS];
  tv_optimizer *optimizer;
  tv_tensor *x, *labels;
} model;

/* Drawn where they are wanted: the numbers are the same everywhere. */
static model model_on(tv_device device, bool is_adam) {
  static const int64_t shapes[PARAMETERS][2] = {
      {PIXELS, HIDDEN}, {HIDDEN}, {HIDDEN, CLASSES}, {CLASSES}};
  model m;
  OK(tv_device_set(device));
  const tv_key key = tv_key_from_seed(3);
  for (int k = 0; k < PARAMETERS; k++) {
    tv_variable_options options = TV_VARIABLE_OPTIONS;
    options.constraint = (tv_constraint)TV_CLIP(-2, 2, TV_ON_STEP);
    m.w[k] = tv_variable_new(
        tv_random_normal(tv_key_fold(key, (uint64_t)k), TV_F32, k % 2 ? 1 : 2, shapes[k]),
        &options);
    CHECK(m.w[k]);
  }
  tv_sgd_options sgd = TV_SGD_OPTIONS;
  sgd.momentum = .9;
  m.optimizer = is_adam ? tv_adam_new(NULL) : tv_sgd_new(&sgd);
  m.x = tv_random_uniform(tv_key_fold(key, 9), TV_F32, TV_SHAPE(BATCH, PIXELS));
  m.labels = tv_remainder(tv_arange_int(TV_I64, 0, BATCH, 1), tv_scalar(CLASSES));
  return m;
}

static void model_end(model *m) {
  for (int k = 0; k < PARAMETERS; k++) tv_variable_release(m->w[k]);
  tv_optimizer_release(m->optimizer);
}

static void step(model *m) {
  tv_scope scope;
  tv_tensor *gradients[PARAMETERS];
  tv_scope_begin(&scope);
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const hidden = tv_relu(tv_add(tv_matmul(m->x, tv_read(m->w[0])), tv_read(m->w[1])));
  tv_tensor *const logits = tv_add(tv_matmul(hidden, tv_read(m->w[2])), tv_read(m->w[3]));
  tv_tensor *const loss = tv_mean(tv_softmax_cross_entropy(logits, m->labels), TV_ALL_AXES);
  OK(tv_tape_gradient(tape, loss, PARAMETERS, m->w, gradients));
  OK(tv_tape_end(tape));
  OK(tv_optimizer_step(m->optimizer, PARAMETERS, m->w, gradients));
  OK(tv_scope_end(&scope, NULL));
}

static void same_weights(const char *what, const model *far, const model *near) {
  fakecuda_counts counts;
  for (int k = 0; k < PARAMETERS; k++) {
    tv_tensor *const got = tv_to(tv_read(far->w[k]), TV_CPU), *const want = tv_read(near->w[k]);
    if (fake_counts(&counts)) {
      check_same(CHECK_HERE, what, got, want);
    } else { /* exp and products are a real GPU's own */
      double off = HUGE_VAL;
      OK(tv_item_f64(tv_max(tv_abs(tv_subtract(got, want)), TV_ALL_AXES), &off));
      if (!(off < 1e-3)) check_fail(CHECK_HERE, "%s: off by %g", what, off);
    }
  }
}

static void learns_what_the_cpu_learns(intptr_t is_adam) {
  model far = model_on(cuda(), is_adam), near = model_on(TV_CPU, is_adam);
  same_weights("at first", &far, &near);
  for (int k = 0; k < 10; k++) {
    OK(tv_device_set(cuda()));
    step(&far);
    OK(tv_device_set(TV_CPU));
    step(&near);
    same_weights("after a step", &far, &near);
  }
  model_end(&far);
  model_end(&near);
}

static void nothing_is_copied(intptr_t is_adam) {
  fakecuda_counts before, after;
  tv_memory_stats first, last;
  model m = model_on(cuda(), is_adam);
  for (int k = 0; k < 3; k++) step(&m);
  OK(tv_device_memory(cuda(), &first));
  const bool has_books = fake_counts(&before);
  for (int k = 0; k < 5; k++) step(&m);
  fake_counts(&after);
  OK(tv_device_memory(cuda(), &last));
  EQUAL(last.held, first.held);
  EQUAL(last.bytes, first.bytes);
  if (has_books) {
    EQUAL(after.copies_out, before.copies_out);
    EQUAL(after.copies_in, before.copies_in);
    EQUAL(after.allocations, before.allocations);
  }
  model_end(&m);
}

/* The same on a stream of the thread's own, with the evaluation on the main one. */
TEST(a_stream_of_its_own) {
  model far = model_on(cuda(), true), near = model_on(TV_CPU, true);
  tv_stream *const side = tv_stream_new(cuda());
  for (int k = 0; k < 5; k++) {
    OK(tv_device_set(cuda()));
    OK(tv_stream_set(side));
    step(&far);
    OK(tv_stream_set(NULL));
    OK(tv_device_set(TV_CPU));
    step(&near);
    same_weights("after a step", &far, &near);
  }
  tv_stream_release(side);
  model_end(&far);
  model_end(&near);
}

int main(int argc, char **argv) {
  setenv("TV_OPENBLAS", "none", 1); /* which adds in the order of the stand-in */
  static const check_case all[] = {
      ROW("sgd_learns_what_the_cpu_learns", learns_what_the_cpu_learns, 0),
      ROW("adam_learns_what_the_cpu_learns", learns_what_the_cpu_learns, 1),
      ROW("sgd_copies_nothing", nothing_is_copied, 0),
      ROW("adam_copies_nothing", nothing_is_copied, 1), CASE(a_stream_of_its_own)};
  return check_main("cuda_step", (int)(sizeof all / sizeof *all), all, argc, argv);
}
