/* SPDX-License-Identifier: MIT
 * Several Variables under lock: each once, all or none, and a callback that asks for what its own
 * thread has is told so instead of waiting for ever. */
#include "variable/together.h"

#include <pthread.h>
#include <stdint.h>

#include "faults.h"
#include "memory.h"
#include "variable/variable.h"

enum { N = 9 };

static void make(tv_variable **v) {
  static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  for (int k = 0; k < N; k++) {
    o.name = names[k];
    v[k] = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(2)), &o);
  }
}
static void drop(tv_variable **v) {
  for (int k = 0; k < N; k++) tv_variable_release(v[k]);
}

/* Whether another thread finds it free. */
static void *try_lock(void *user) {
  tv_variable *const v = user;
  if (pthread_mutex_trylock(&v->lock)) return NULL;
  pthread_mutex_unlock(&v->lock);
  return user;
}
static bool is_free(tv_variable *v) {
  pthread_t thread;
  void *was_free;
  CHECK(!pthread_create(&thread, NULL, try_lock, v));
  CHECK(!pthread_join(thread, &was_free));
  return was_free != NULL;
}

TEST(all_are_locked_in_order_or_none) {
  tv_variable *v[N], *mixed[N];
  tvi_together t;
  make(v);
  for (int k = 0; k < N; k++) mixed[k] = v[(4 * k + 3) % N];
  OK(tvi_together_new(&t, "test", N, mixed));
  EQUAL(t.n, N);
  for (int k = 1; k < N; k++) CHECK((uintptr_t)t.sorted[k - 1] < (uintptr_t)t.sorted[k]);
  OK(tvi_together_lock(&t, "test"));
  for (int k = 0; k < N; k++) CHECK(!is_free(v[k]));
  FAILS_STATUS(TV_EBUSY, "variable_assign: Variable 'c' is being written by this very thread",
               tv_variable_assign(v[2], tv_ones(TV_F32, TV_SHAPE(2))));
  tvi_together_unlock(&t);
  for (int k = 0; k < N; k++) CHECK(is_free(v[k]));
  for (int k = 0; k < N; k++) { /* whichever of them is not to be had */
#ifdef __SANITIZE_THREAD__ /* it would be told of the wrong order, which one thread alone may take \
                            */
    if (v[k] != t.sorted[0]) continue;
#endif
    char text[80];
    snprintf(text, sizeof text, "test: Variable '%s' is being written by this very thread",
             tv_variable_name(v[k]));
    OK(tvi_variable_lock("test", v[k]));
    FAILS_STATUS(TV_EBUSY, text, tvi_together_lock(&t, "test"));
    for (int j = 0; j < N; j++) CHECK(is_free(v[j]) == (j != k));
    pthread_mutex_unlock(&v[k]->lock);
  }
  tvi_together_free(&t);
  drop(v);
}

TEST(a_variable_given_twice_is_refused) {
  tv_variable *v[N];
  tvi_together t;
  make(v);
  tv_variable *const twice[] = {v[3], v[1], v[4], v[1], v[5]};
  FAILS_STATUS(TV_EVALUE, "test: Variable 'b' is given twice",
               tvi_together_new(&t, "test", 5, twice));
  OK(tvi_together_new(&t, "test", 0, NULL)); /* none is fine */
  OK(tvi_together_lock(&t, "test"));
  tvi_together_unlock(&t);
  tvi_together_free(&t);
  tvi_memory_fail(1, false);
  FAILS_STATUS(TV_ENOMEM, "test: no memory for 3 Variables",
               tvi_together_new(&t, "test", 3, twice));
  tvi_memory_fail(0, false);
  tvi_together_free(&t);
  drop(v);
}

/* A constraint's callback, run under the locks of a step, that asks for all of what is locked. */
typedef struct {
  tv_variable *v[2];
  tv_optimizer *optimizer;
  tv_average *average;
  tv_checkpoint *checkpoint;
  int n_asked;
  bool is_swap; /* run by the average instead */
} asking;

static tv_tensor *ask(void *user, tv_tensor *x) {
  asking *const a = user;
  tv_tensor *const g[] = {tv_ones(TV_F32, TV_SHAPE(2)), tv_ones(TV_F32, TV_SHAPE(2))};
  if (!a->checkpoint) return x;
  a->n_asked++;
  if (a->is_swap) {
    FAILS_STATUS(TV_EBUSY, "average_swap: the average is in use, and a callback does not wait",
                 tv_average_swap(a->average, 2, a->v));
    FAILS(TV_EBUSY, "average_read: the average is in use, and a callback does not wait",
          tv_average_read(a->average, a->v[0]));
    EQUAL(tv_average_updates(a->average), 0);
    tv_error_clear();
    return x;
  }
  FAILS_STATUS(TV_EBUSY, "checkpoint_save: the optimizer is in use, and a callback does not wait",
               tv_checkpoint_save(a->checkpoint, "y.npz", NULL));
  FAILS_STATUS(TV_EBUSY,
               "checkpoint_restore: x.npz: the optimizer is in use, and a callback does not wait",
               tv_checkpoint_restore(a->checkpoint, "x.npz", NULL));
  FAILS_STATUS(TV_EBUSY, "optimizer_step: the optimizer is in use, and a callback does not wait",
               tv_optimizer_step(a->optimizer, 2, a->v, g));
  FAILS_STATUS(TV_EBUSY,
               "optimizer_set_learning_rate: the optimizer is in use, and a callback does not wait",
               tv_optimizer_set_learning_rate(a->optimizer, 1));
  FAILS_STATUS(TV_EBUSY,
               "optimizer_set_schedule: the optimizer is in use, and a callback does not wait",
               tv_optimizer_set_schedule(a->optimizer, NULL));
  FAILS_STATUS(TV_EBUSY,
               "optimizer_set_group: the optimizer is in use, and a callback does not wait",
               tv_optimizer_set_group(a->optimizer, 2, a->v, NULL));
  FAILS(TV_EBUSY, "optimizer_slot: the optimizer is in use, and a callback does not wait",
        tv_optimizer_slot(a->optimizer, a->v[0], "momentum_buffer"));
  EQUAL(tv_optimizer_steps(a->optimizer), 0);
  EQUAL(tv_optimizer_learning_rate(a->optimizer) > 0, false);
  tv_error_clear();
  FAILS_STATUS(TV_EBUSY, "average_update: Variable 'Variable' is being written by this very thread",
               tv_average_update(a->average, 1, &a->v[1]));
  return x;
}

TEST(a_callback_that_asks_for_what_its_step_holds_is_told) {
  folder_enter();
  tv_sgd_options sgd = TV_SGD_OPTIONS;
  sgd.momentum = .5;
  sgd.learning_rate = 1;
  asking a = {.optimizer = tv_sgd_new(&sgd), .average = tv_average_new(NULL)};
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.constraint = tv_constraint_callback(TV_ON_EVERY_WRITE, ask, &a, NULL);
  for (int k = 0; k < 2; k++) {
    a.v[k] = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), k ? NULL : &o);
    CHECK(a.v[k]);
  }
  tv_checkpoint *const c = tv_checkpoint_new();
  OK(tv_checkpoint_add_variable(c, "v", a.v[0]));
  OK(tv_checkpoint_add_variable(c, "w", a.v[1]));
  OK(tv_checkpoint_add_optimizer(c, "sgd", a.optimizer));
  OK(tv_checkpoint_save(c, "x.npz", NULL));
  tv_tensor *const g[] = {tv_ones(TV_F32, TV_SHAPE(2)), tv_ones(TV_F32, TV_SHAPE(2))};
  OK(tv_average_update(a.average, 2, a.v));
  a.checkpoint = c;
  OK(tv_optimizer_step(a.optimizer, 2, a.v, g));
  EQUAL(a.n_asked, 1);
  HOLDS(tv_read(a.v[0]), 0, 0);
  a.is_swap = true;
  OK(tv_average_swap(a.average, 2, a.v));
  EQUAL(a.n_asked, 2);
  HOLDS(tv_read(a.v[0]), 1, 1);
  EQUAL(folder_files(), 1);
  a.checkpoint = NULL;
  OK(tv_checkpoint_save(c, "y.npz", NULL)); /* nothing was left locked */
  tv_checkpoint_release(c);
  tv_average_release(a.average);
  tv_optimizer_release(a.optimizer);
  for (int k = 0; k < 2; k++) tv_variable_release(a.v[k]);
  folder_leave();
}

/* The loss of an L-BFGS may read and write Variables, but not ask for the L-BFGS. */
static tv_lbfgs *searching;
static tv_status loss(void *user, int n, tv_variable *const *variables, double *value,
                      tv_tensor **gradients) {
  tv_tensor *const x = tv_read(variables[0]);
  EQUAL(n, 1);
  EQUAL(tv_lbfgs_iterations(searching) + tv_lbfgs_evaluations(searching), 0);
  tv_error_clear();
  FAILS_STATUS(TV_EBUSY, "lbfgs_step: the L-BFGS is in use, and a callback does not wait",
               tv_lbfgs_step(searching, n, variables, loss, user, NULL));
  gradients[0] = tv_multiply(x, tv_scalar(2));
  return tv_item_f64(tv_sum(tv_square(x), TV_ALL_AXES), value);
}

TEST(a_loss_that_asks_for_its_lbfgs_is_told) {
  tv_variable *const v = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(2)), NULL);
  double first;
  searching = tv_lbfgs_new(NULL);
  OK(tv_lbfgs_step(searching, 1, &v, loss, NULL, &first));
  CHECK(first == 2);
  CHECK(tv_lbfgs_iterations(searching) > 0);
  tv_variable *const twice[] = {v, v};
  FAILS_STATUS(TV_EVALUE, "lbfgs_step: Variable 'Variable' is given twice",
               tv_lbfgs_step(searching, 2, twice, loss, NULL, NULL));
  tv_lbfgs_release(searching);
  tv_variable_release(v);
}

TEST_MAIN("together", CASE(all_are_locked_in_order_or_none),
          CASE(a_variable_given_twice_is_refused),
          CASE(a_callback_that_asks_for_what_its_step_holds_is_told),
          CASE(a_loss_that_asks_for_its_lbfgs_is_told))
