/* SPDX-License-Identifier: MIT
 * Reads of several Variables: what one gives, what it refuses, and that it never sees part of a
 * write of several. */
#include <pthread.h>
#include <stdatomic.h>

#include <time.h>

#include "check.h"
#include "far.h"
#include "faults.h"
#include "memory.h"
#include "variable/variable.h"

enum { MANY = 40 };

static tv_variable *valued(double value, bool has_concurrent_readers) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.concurrent_readers = has_concurrent_readers;
  o.name = has_concurrent_readers ? "served" : "plain";
  return tv_variable_new(tv_full(TV_F64, TV_SHAPE(3), tv_scalar(value)), &o);
}

TEST(each_value_is_a_snapshot) {
  for (int n = 0; n <= MANY; n += n < 3 ? 1 : 37) {
    tv_variable *v[MANY] = {NULL};
    tv_tensor *x[MANY] = {NULL};
    for (int k = 0; k < n; k++) v[k] = valued(k, k % 2);
    OK(tv_read_all(n, v, x));
    for (int k = 0; k < n; k++) {
      CHECK(tv_tensor_shares(x[k], tv_read(v[k])));
      OK(tv_variable_assign_add(v[k], tv_scalar(1)));
      HOLDS(x[k], k, k, k);
      tv_variable_release(v[k]);
    }
  }
}

TEST(order_is_the_callers_and_twice_is_allowed) {
  tv_variable *const a = valued(1, false), *const b = valued(2, true);
  tv_tensor *x[5];
  OK(tv_read_all(5, (tv_variable *[]){b, a, b, a, a}, x));
  const double wanted[] = {2, 1, 2, 1, 1};
  for (int k = 0; k < 5; k++) HOLDS(x[k], wanted[k], wanted[k], wanted[k]);
  tv_variable_release(a);
  tv_variable_release(b);
}

TEST(other_devices_are_read_where_they_are) {
  tv_variable *const v[] = {tv_variable_new(tv_to(tv_arange(TV_F64, 0, 3, 1), far_device()), NULL),
                            valued(7, false)};
  tv_tensor *x[2];
  OK(tv_read_all(2, v, x));
  EQUAL(tv_tensor_device(x[0]), far_device());
  HOLDS(tv_to(x[0], TV_CPU), 0, 1, 2);
  HOLDS(x[1], 7, 7, 7);
  tv_variable_release(v[0]);
  tv_variable_release(v[1]);
}

/* d(sum(a b)) = b da + a db, also when the Variables were written since. */
TEST(tapes_see_reads) {
  tv_variable *const v[] = {valued(2, false), valued(5, true)};
  tv_tensor *x[2], *g[2];
  tv_tape *const tape = tv_tape_begin(NULL);
  OK(tv_read_all(2, v, x));
  OK(tv_variable_assign_add(v[0], tv_scalar(100)));
  OK(tv_tape_gradient(tape, tv_sum(tv_multiply(x[0], x[1]), TV_ALL_AXES), 2, v, g));
  HOLDS(g[0], 5, 5, 5);
  HOLDS(g[1], 2, 2, 2);
  OK(tv_tape_end(tape));
  tv_variable_release(v[0]);
  tv_variable_release(v[1]);
}

/* A forward that is run again sees what it saw the first time. */
static tv_tensor *product(void *user, int n_in, tv_tensor *const *in) {
  tv_tensor *x[2];
  (void)n_in;
  if (tv_read_all(2, user, x)) return NULL;
  return tv_multiply(tv_multiply(x[0], x[1]), in[0]);
}

TEST(recomputation_reads_the_same_again) {
  tv_variable *v[] = {valued(2, false), valued(5, true)};
  tv_tensor *g[2];
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const one = tv_ones(TV_F64, TV_SHAPE(3));
  tv_custom c = TV_CUSTOM;
  c.forward = product;
  c.user = v;
  tv_tensor *const y = OK(tv_recompute(&c, 1, &one));
  OK(tv_variable_assign_add(v[0], tv_scalar(100)));
  OK(tv_tape_gradient(tape, y, 2, v, g));
  HOLDS(g[0], 5, 5, 5);
  HOLDS(g[1], 2, 2, 2);
  OK(tv_tape_end(tape));
  tv_variable_release(v[0]);
  tv_variable_release(v[1]);
}

TEST(bad_arguments_are_named) {
  tv_variable *const v[] = {valued(1, false), NULL};
  tv_tensor *x[2] = {tv_ones(TV_F32, TV_SHAPE(1)), tv_ones(TV_F32, TV_SHAPE(1))};
  FAILS_STATUS(TV_EVALUE, "read_all: n is -1", tv_read_all(-1, v, x));
  FAILS_STATUS(TV_EVALUE, "read_all: variables is NULL", tv_read_all(1, NULL, x));
  FAILS_STATUS(TV_EVALUE, "read_all: values is NULL", tv_read_all(1, v, NULL));
  CHECK(x[0] && x[1]);
  FAILS_STATUS(TV_EVALUE, "read_all: a Variable is NULL", tv_read_all(2, v, x));
  CHECK(!x[0] && !x[1]);
  OK(tv_read_all(0, NULL, NULL));
  tv_variable_release(v[0]);
}

TEST(mapped_exclusively_is_refused_and_all_others_stay_free) {
  void *data;
  for (int concurrent = 0; concurrent < 2; concurrent++) {
    tv_variable *const v[] = {valued(1, false), valued(2, concurrent), valued(3, true)};
    tv_tensor *x[3];
    OK(tv_variable_map(v[1], true, &data));
    FAILS_STATUS(TV_EBUSY,
                 concurrent ? "read_all: Variable 'served' is mapped exclusively"
                            : "read_all: Variable 'plain' is mapped exclusively",
                 tv_read_all(3, v, x));
    CHECK(!x[0] && !x[1] && !x[2]);
    OK(tv_variable_unmap(v[1]));
    for (int k = 0; k < 3; k++) OK(tv_variable_assign_add(v[k], tv_scalar(1)));
    OK(tv_read_all(3, v, x));
    HOLDS(x[1], 3, 3, 3);
    for (int k = 0; k < 3; k++) tv_variable_release(v[k]);
  }
}

/* A constraint's callback asks for its own Variable. */
typedef struct {
  tv_variable *v[2];
  tv_status status;
} asking;

static tv_tensor *ask(void *user, tv_tensor *value) {
  asking *const a = user;
  tv_tensor *x[2];
  if (!a->v[1]) return value; /* it is being made */
  a->status = tv_read_all(2, a->v, x);
  tv_error_clear();
  return value;
}

TEST(variable_being_written_by_this_thread_is_refused) {
  asking a = {{valued(1, false), NULL}, TV_OK};
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.constraint = tv_constraint_callback(TV_ON_EVERY_WRITE, ask, &a, NULL);
  tv_variable *const v = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(3)), &o);
  a.v[1] = v;
  OK(tv_variable_assign_add(v, tv_scalar(1)));
  EQUAL(a.status, TV_EBUSY);
  OK(tv_variable_assign_add(a.v[0], tv_scalar(1))); /* its lock was given back */
  tv_variable_release(v);
  tv_variable_release(a.v[0]);
}

TEST(failed_allocation_gives_nothing) {
  tv_variable *v[MANY];
  int points = 0;
  for (int k = 0; k < MANY; k++) v[k] = valued(k, k % 2);
  for (int64_t fail = 1;; fail++) {
    tv_scope scope;
    tv_tensor *x[MANY] = {NULL};
    tv_scope_begin(&scope);
    tv_tape *const tape = tv_tape_begin(NULL);
    tvi_memory_fail(fail, fail % 2);
    const tv_status status = tv_read_all(MANY, v, x);
    tvi_memory_fail(0, false);
    for (int k = 0; k < MANY; k++) CHECK(!x[k] == (status != TV_OK));
    if (status) EQUAL(status, TV_ENOMEM);
    tv_error_clear();
    OK(tv_read_all(MANY, v, x)); /* no lock stayed behind */
    OK(tv_tape_end(tape));
    tv_scope_end(&scope, NULL);
    points++;
    if (!status) break;
  }
  CHECK(points > MANY);
  for (int k = 0; k < MANY; k++) tv_variable_release(v[k]);
}

/* Of a thread that has begun none. */
static void *read_without_scope(void *user) {
  tv_tensor *x[2];
  return (void *)(intptr_t)tv_read_all(2, user, x);
}

TEST(no_scope_is_an_error) {
  tv_variable *v[] = {valued(1, false), valued(2, true)};
  pthread_t thread;
  void *status;
  CHECK(!pthread_create(&thread, NULL, read_without_scope, v));
  CHECK(!pthread_join(thread, &status));
  EQUAL((intptr_t)status, TV_ESCOPE);
  tv_variable_release(v[0]);
  tv_variable_release(v[1]);
}

/* Writes of several: while somebody looks at one of the Variables, none of them changes. ----------
 */

enum { STEP, SWAP_AVERAGES, RESTORE, LBFGS };

typedef struct {
  tv_variable *v[2]; /* by rising address */
  tv_optimizer *optimizer;
  tv_average *average;
  tv_checkpoint *checkpoint;
  tv_lbfgs *lbfgs;
  int what;
  tv_status status;
} together;

/* Reads nothing, so that only the write is waited for. */
static tv_status slope(void *user, int n, tv_variable *const *variables, double *loss,
                       tv_tensor **gradients) {
  (void)user, (void)variables;
  for (int k = 0; k < n; k++) gradients[k] = tv_ones(TV_F64, TV_SHAPE(3));
  *loss = 1;
  return TV_OK;
}

static tv_status write_together(together *t) {
  tv_tensor *const one = tv_ones(TV_F64, TV_SHAPE(3));
  switch (t->what) {
    case STEP:
      return tv_optimizer_step(t->optimizer, 2, t->v, (tv_tensor *[]){one, one});
    case SWAP_AVERAGES:
      return tv_average_swap(t->average, 2, t->v);
    case RESTORE:
      return tv_checkpoint_restore(t->checkpoint, "both.npz", NULL);
    default:
      return tv_lbfgs_step(t->lbfgs, 2, t->v, slope, NULL, NULL);
  }
}

static void *write_both(void *user) {
  together *const t = user;
  tv_scope scope;
  tv_scope_begin(&scope);
  t->status = write_together(t);
  tv_scope_end(&scope, NULL);
  return NULL;
}

static void changes_at_once(intptr_t what) {
  tv_lbfgs_options options = TV_LBFGS_OPTIONS;
  options.iterations = 1;
  options.line_search = false;
  together t = {.v = {valued(1, true), valued(1, true)},
                .optimizer = tv_sgd_new(NULL),
                .average = tv_average_new(NULL),
                .checkpoint = tv_checkpoint_new(),
                .lbfgs = tv_lbfgs_new(&options),
                .what = (int)what};
  if ((uintptr_t)t.v[0] > (uintptr_t)t.v[1]) {
    tv_variable *const first = t.v[1];
    t.v[1] = t.v[0];
    t.v[0] = first;
  }
  OK(tv_average_update(t.average, 2, t.v));
  OK(tv_checkpoint_add_variable(t.checkpoint, "a", t.v[0]));
  OK(tv_checkpoint_add_variable(t.checkpoint, "b", t.v[1]));
  folder_enter();
  OK(tv_checkpoint_save(t.checkpoint, "both.npz", NULL));
  pthread_t writer;
  pthread_mutex_lock(&t.v[1]->swap);
  const bool has_writer = pthread_create(&writer, NULL, write_both, &t) == 0;
  nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
  const uint64_t meanwhile = tv_variable_version(t.v[0]);
  pthread_mutex_unlock(&t.v[1]->swap);
  if (has_writer) pthread_join(writer, NULL);
  folder_leave();
  CHECK(has_writer);
  EQUAL(meanwhile, 0);
  EQUAL(t.status, TV_OK);
  for (int k = 0; k < 2; k++) {
    EQUAL(tv_variable_version(t.v[k]), 1);
    tv_variable_release(t.v[k]);
  }
  tv_lbfgs_release(t.lbfgs);
  tv_checkpoint_release(t.checkpoint);
  tv_average_release(t.average);
  tv_optimizer_release(t.optimizer);
}

/* Threads: readers, a trainer, somebody who swaps averages in and out, one who writes alone. ------
 */

enum { STEPS = 300, MODEL = 3 };

typedef struct {
  tv_variable *v[MODEL];
  tv_optimizer *optimizer;
  tv_average *average;
  atomic_bool is_over;
  atomic_int failures;
} serving;

static void *train(void *user) {
  serving *const s = user;
  for (int k = 0; k < STEPS; k++) {
    tv_scope scope;
    tv_tensor *g[MODEL];
    tv_scope_begin(&scope);
    for (int j = 0; j < MODEL; j++) g[j] = tv_ones(TV_F64, TV_SHAPE(3));
    if (tv_optimizer_step(s->optimizer, MODEL, s->v, g)) atomic_fetch_add(&s->failures, 1);
    tv_scope_end(&scope, NULL);
  }
  return NULL;
}

/* Averages of equal histories are equal: so are those swapped in. */
static void *swap(void *user) {
  serving *const s = user;
  for (int k = 0; k < STEPS; k++) {
    if (tv_average_swap(s->average, MODEL, s->v)) atomic_fetch_add(&s->failures, 1);
    if (tv_average_swap(s->average, MODEL, s->v)) atomic_fetch_add(&s->failures, 1);
  }
  return NULL;
}

/* All Variables hold one number, whatever the moment. */
static void *serve(void *user) {
  serving *const s = user;
  tv_variable *const reversed[MODEL] = {s->v[2], s->v[1], s->v[0]};
  while (!atomic_load(&s->is_over)) {
    tv_scope scope;
    tv_tensor *x[MODEL];
    tv_scope_begin(&scope);
    int n_failed = tv_read_all(MODEL, reversed, x) != TV_OK;
    double first = 0;
    if (!n_failed) n_failed = tv_item_f64(tv_slice(x[0], "0"), &first) != TV_OK;
    for (int j = 0; j < MODEL && !n_failed; j++) {
      const double *const at = (tv_tensor_data)(x[j]);
      for (int i = 0; i < 3; i++) n_failed += at[i] > first || at[i] < first;
    }
    if (n_failed) atomic_fetch_add(&s->failures, 1);
    tv_scope_end(&scope, NULL);
  }
  return NULL;
}

static void reads_are_whole(intptr_t concurrent) {
  serving s = {.optimizer = tv_sgd_new(NULL), .average = tv_average_new(NULL)};
  for (int k = 0; k < MODEL; k++) {
    tv_variable_options o = TV_VARIABLE_OPTIONS;
    o.concurrent_readers = (concurrent >> k) & 1;
    s.v[k] = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(3)), &o);
  }
  OK(tv_average_update(s.average, MODEL, s.v));
  pthread_t trainer, swapper, readers[2];
  CHECK(!pthread_create(&trainer, NULL, train, &s));
  CHECK(!pthread_create(&swapper, NULL, swap, &s));
  for (int k = 0; k < 2; k++) CHECK(!pthread_create(&readers[k], NULL, serve, &s));
  pthread_join(trainer, NULL);
  pthread_join(swapper, NULL);
  atomic_store(&s.is_over, true);
  for (int k = 0; k < 2; k++) pthread_join(readers[k], NULL);
  EQUAL(atomic_load(&s.failures), 0);
  for (int k = 0; k < MODEL; k++) {
    EQUAL(tv_variable_version(s.v[k]), 3 * STEPS);
    tv_variable_release(s.v[k]);
  }
  tv_average_release(s.average);
  tv_optimizer_release(s.optimizer);
}

TEST_MAIN("moment", CASE(each_value_is_a_snapshot), CASE(order_is_the_callers_and_twice_is_allowed),
          CASE(other_devices_are_read_where_they_are), CASE(tapes_see_reads),
          CASE(recomputation_reads_the_same_again), CASE(bad_arguments_are_named),
          CASE(mapped_exclusively_is_refused_and_all_others_stay_free),
          CASE(variable_being_written_by_this_thread_is_refused),
          CASE(failed_allocation_gives_nothing), CASE(no_scope_is_an_error),
          ROW("a_step_changes_all_at_once", changes_at_once, STEP),
          ROW("a_swap_of_averages_changes_all_at_once", changes_at_once, SWAP_AVERAGES),
          ROW("a_restored_checkpoint_changes_all_at_once", changes_at_once, RESTORE),
          ROW("a_point_of_lbfgs_changes_all_at_once", changes_at_once, LBFGS),
          ROW("whole_moments_of_plain_variables", reads_are_whole, 0),
          ROW("whole_moments_with_concurrent_readers", reads_are_whole, 7),
          ROW("whole_moments_of_both_kinds", reads_are_whole, 2))
