/* SPDX-License-Identifier: MIT
 * A training with everything that a checkpoint holds: two Variables, an optimizer of any kind, a
 * key that draws the data, a counter. Its bits tell whether it went on as if it had never stopped.
 */
#ifndef TV_TESTS_TRAINING_H
#define TV_TESTS_TRAINING_H

#include "check.h"

enum { TRAINING_KINDS = 9 };

typedef struct training {
  tv_variable *w, *b;
  tv_optimizer *optimizer;
  tv_key key;
  int64_t step;
  double mean; /* of something, over the steps */
  tv_checkpoint *checkpoint;
} training;

static inline tv_optimizer *training_optimizer(int kind) {
  tv_sgd_options sgd = TV_SGD_OPTIONS;
  tv_adam_options adam = TV_ADAM_OPTIONS;
  tv_rmsprop_options rmsprop = TV_RMSPROP_OPTIONS;
  sgd.momentum = .9;
  sgd.nesterov = kind == 2;
  adam.amsgrad = kind == 4;
  rmsprop.centered = true;
  rmsprop.momentum = .5;
  switch (kind) {
    case 0:
      return tv_sgd_new(NULL);
    case 1:
    case 2:
      return tv_sgd_new(&sgd);
    case 3:
    case 4:
      return tv_adam_new(&adam);
    case 5:
      return tv_adamw_new(NULL);
    case 6:
      return tv_rmsprop_new(&rmsprop);
    case 7:
      return tv_adagrad_new(NULL);
    default:
      return tv_lion_new(NULL);
  }
}

/* At a place that stays: the checkpoint borrows the key and the counter. */
static inline void training_begin(training *t, int kind, tv_device device) {
  tv_variable_options w = TV_VARIABLE_OPTIONS, b = TV_VARIABLE_OPTIONS;
  *t = (training){.optimizer = training_optimizer(kind), .key = tv_key_from_seed(7)};
  w.name = "w";
  b.name = "b";
  t->w = tv_variable_new(
      tv_to(tv_random_normal(tv_key_from_seed(1), TV_F32, TV_SHAPE(3, 2)), device), &w);
  t->b = tv_variable_new(tv_to(tv_zeros(TV_F64, TV_SHAPE(2)), device), &b);
  t->checkpoint = tv_checkpoint_new();
  OK(tv_checkpoint_add_variable(t->checkpoint, NULL, t->w));
  OK(tv_checkpoint_add_variable(t->checkpoint, "layer/b", t->b));
  OK(tv_checkpoint_add_optimizer(t->checkpoint, "optimizer", t->optimizer));
  OK(tv_checkpoint_add_key(t->checkpoint, "key", &t->key));
  OK(tv_checkpoint_add_counter(t->checkpoint, "step", &t->step));
  OK(tv_checkpoint_add_number(t->checkpoint, "mean", &t->mean));
}

/* Gradients are drawn, and depend on the values. */
static inline void training_run(training *t, int steps) {
  for (int i = 0; i < steps; i++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    t->key = tv_key_fold(t->key, 1);
    const tv_device device = tv_variable_device(t->w);
    tv_tensor *const g[] = {
        tv_add(tv_read(t->w), tv_to(tv_random_normal(t->key, TV_F32, TV_SHAPE(3, 2)), device)),
        tv_add(tv_read(t->b), tv_to(tv_random_normal(t->key, TV_F64, TV_SHAPE(2)), device))};
    tv_variable *const v[] = {t->w, t->b};
    OK(tv_evaluate(2, g));
    OK(tv_optimizer_step(t->optimizer, 2, v, g));
    t->step++;
    t->mean += (1 / 3. - t->mean) / (double)t->step;
    if (t->step == 4) OK(tv_optimizer_set_learning_rate(t->optimizer, .05));
    tv_scope_end(&scope, NULL);
  }
}

/* Everything that there is to compare. */
static inline void training_same(training *got, training *want) {
  SAME(tv_to(tv_read(got->w), TV_CPU), tv_to(tv_read(want->w), TV_CPU));
  SAME(tv_to(tv_read(got->b), TV_CPU), tv_to(tv_read(want->b), TV_CPU));
  EQUAL(tv_optimizer_steps(got->optimizer), tv_optimizer_steps(want->optimizer));
  CHECK(tv_optimizer_learning_rate(got->optimizer) == tv_optimizer_learning_rate(want->optimizer));
  EQUAL(got->key.seed, want->key.seed);
  EQUAL(got->key.stream, want->key.stream);
  EQUAL(got->step, want->step);
  CHECK(got->mean == want->mean);
}

static inline void training_end(training *t) {
  tv_checkpoint_release(t->checkpoint);
  tv_optimizer_release(t->optimizer);
  tv_variable_release(t->w);
  tv_variable_release(t->b);
}

#endif
