/* SPDX-License-Identifier: MIT
 * L-BFGS: that it gets to the bottom, and what it leaves where it fails. Its steps are compared
 * with PyTorch's in tests/conformance/test_optimizers.py. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "far.h"
#include "memory.h"

static tv_lbfgs *lbfgs(int iterations) {
  tv_lbfgs_options o = TV_LBFGS_OPTIONS;
  o.iterations = iterations;
  return tv_lbfgs_new(&o);
}

/* Rosenbrock's valley of two Variables: (1 - x)^2 + 100 (y - x^2)^2, least at (1, 1). */
static tv_status valley(void *user, int n, tv_variable *const *variables, double *loss,
                        tv_tensor **gradients) {
  int *const calls = user;
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const x = tv_read(variables[0]), *const y = tv_read(variables[1]);
  tv_tensor *const a = tv_square(tv_subtract(tv_scalar(1), x));
  tv_tensor *const b = tv_square(tv_subtract(y, tv_square(x)));
  tv_tensor *const sum = tv_sum(tv_add(a, tv_multiply(b, tv_scalar(100))), TV_ALL_AXES);
  tv_tape_gradient(tape, sum, n, variables, gradients);
  tv_tape_end(tape);
  if (calls) ++*calls;
  return tv_item_f64(sum, loss);
}

static void begin(tv_variable **v, tv_dtype dtype, tv_device device) {
  for (int k = 0; k < 2; k++)
    v[k] = tv_variable_new(OK(tv_to(tv_full(dtype, TV_SHAPE(1), tv_scalar(k ? 1. : -1.2)), device)),
                           NULL);
}
static void release(tv_variable **v) {
  for (int k = 0; k < 2; k++) tv_variable_release(v[k]);
}

TEST(it_finds_the_bottom_of_the_valley) {
  static const tv_dtype dtypes[] = {TV_F64, TV_F32};
  for (int k = 0; k < 4; k++) {
    tv_variable *v[2];
    int calls = 0;
    begin(v, dtypes[k % 2], k < 2 ? TV_CPU : far_device());
    tv_lbfgs *const l = lbfgs(100);
    double loss = 0, x = 0, y = 0;
    OK(tv_lbfgs_step(l, 2, v, valley, &calls, &loss));
    CHECK(fabs(loss - 24.2) < 1e-5);
    OK(tv_item_f64(tv_read(v[0]), &x));
    OK(tv_item_f64(tv_read(v[1]), &y));
    CHECK(fabs(x - 1) < 1e-3 && fabs(y - 1) < 1e-3);
    EQUAL(tv_lbfgs_evaluations(l), calls);
    CHECK(tv_lbfgs_iterations(l) > 10 && calls < 125);
    CHECK(tv_variable_version(v[0]) == tv_variable_version(v[1]));
    OK(tv_lbfgs_step(l, 2, v, valley, &calls, NULL));
    tv_lbfgs_release(tv_lbfgs_retain(l));
    tv_lbfgs_release(l);
    release(v);
  }
}

/* |w - z|^2: the gradient is 2 (w - z), a complex number. */
static tv_status distance(void *user, int n, tv_variable *const *variables, double *loss,
                          tv_tensor **gradients) {
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const apart = tv_abs(tv_subtract(tv_read(variables[0]), tv_scalar_complex(3, -4)));
  tv_tensor *const sum = tv_sum(tv_square(apart), TV_ALL_AXES);
  (void)user;
  tv_tape_gradient(tape, sum, n, variables, gradients);
  tv_tape_end(tape);
  return tv_item_f64(sum, loss);
}

TEST(complex_variables) {
  tv_variable *v = tv_variable_new(tv_ones(TV_C128, TV_SHAPE(2)), NULL);
  tv_lbfgs *const l = lbfgs(20);
  OK(tv_lbfgs_step(l, 1, &v, distance, NULL, NULL));
  tv_tensor *const rest = tv_abs(tv_subtract(tv_read(v), tv_scalar_complex(3, -4)));
  HOLDS(tv_less(rest, tv_scalar(1e-5)), 1, 1);
  tv_lbfgs_release(l);
  tv_variable_release(v);
}

/* What to do in which call. */
typedef struct {
  int calls, at;
  tv_status status;
  bool no_gradient, no_loss, wrong_shape;
} faulty;

static tv_status fails_at(void *user, int n, tv_variable *const *variables, double *loss,
                          tv_tensor **gradients) {
  faulty *const f = user;
  const tv_status status = valley(NULL, n, variables, loss, gradients);
  if (f->calls++ != f->at) return status;
  if (f->no_gradient) gradients[1] = NULL;
  if (f->wrong_shape) gradients[1] = tv_zeros(TV_F64, TV_SHAPE(2));
  if (f->no_loss) *loss = (double)NAN;
  return f->status ? f->status : status;
}

TEST(a_failed_step_leaves_values_as_they_were) {
  for (int k = 0; k < 12; k++) {
    tv_variable *v[2];
    begin(v, TV_F64, TV_CPU);
    tv_lbfgs *const l = lbfgs(5), *const other = lbfgs(5);
    if (k % 2) OK(tv_lbfgs_step(l, 2, v, valley, NULL, NULL)); /* there is a history */
    tv_tensor *const x = tv_read(v[0]), *const y = tv_read(v[1]);
    const int64_t iterations = tv_lbfgs_iterations(l);
    faulty f = {.at = k / 4 * 2};
    const char *text = "lbfgs_step: the callback failed";
    if (k % 4 < 2) {
      f.status = TV_EIO;
    } else if (k % 4 == 2) {
      f.no_gradient = true;
      text = "lbfgs_step: a gradient of the callback is NULL";
    } else {
      f.wrong_shape = true;
      text = "lbfgs_step: Variable 'Variable' has shape [1], its gradient [2]";
    }
    const tv_status status = tv_lbfgs_step(l, 2, v, fails_at, &f, NULL);
    EQUAL(status, k % 4 < 2 ? TV_EIO : k % 4 == 2 ? TV_EVALUE : TV_ESHAPE);
    SAME_TEXT(tv_error_text(), text);
    tv_error_clear();
    SAME(tv_read(v[0]), x);
    SAME(tv_read(v[1]), y);
    EQUAL(tv_lbfgs_iterations(l), iterations);
    tv_lbfgs_release(l);
    tv_lbfgs_release(other);
    release(v);
  }
}

TEST(a_loss_that_is_no_number_ends_the_step_or_the_search) {
  tv_variable *v[2];
  begin(v, TV_F64, TV_CPU);
  tv_lbfgs *const l = lbfgs(50);
  faulty f = {.at = 0, .no_loss = true};
  FAILS_STATUS(TV_EVALUE, "lbfgs_step: the loss or its gradient is not finite",
               tv_lbfgs_step(l, 2, v, fails_at, &f, NULL));
  f = (faulty){.at = 3, .no_loss = true}; /* within a search: that point is too far */
  OK(tv_lbfgs_step(l, 2, v, fails_at, &f, NULL));
  double x = 0;
  OK(tv_item_f64(tv_read(v[0]), &x));
  CHECK(fabs(x - 1) < 1e-3);
  tv_lbfgs_release(l);
  release(v);
}

TEST(what_cannot_be_is_refused) {
  tv_variable *v[2];
  begin(v, TV_F64, TV_CPU);
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.constraint = (tv_constraint)TV_CLIP(0, 1, TV_ON_STEP);
  tv_variable *const c = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(1)), &options);
  tv_variable *const i = tv_variable_new(tv_ones(TV_I64, TV_SHAPE(1)), NULL);
  tv_lbfgs *const l = lbfgs(1);
  FAILS_STATUS(TV_ECONSTRAINT, "lbfgs_step: Variable 'Variable' has a constraint",
               tv_lbfgs_step(l, 2, (tv_variable *[]){v[0], c}, valley, NULL, NULL));
  FAILS_STATUS(TV_EDTYPE, "lbfgs_step: Variable 'Variable' is int64, which has no gradient",
               tv_lbfgs_step(l, 2, (tv_variable *[]){v[0], i}, valley, NULL, NULL));
  FAILS_STATUS(TV_EVALUE, "lbfgs_step: Variable 'Variable' is given twice",
               tv_lbfgs_step(l, 2, (tv_variable *[]){v[0], v[0]}, valley, NULL, NULL));
  FAILS_STATUS(TV_EVALUE, "lbfgs_step: a Variable is NULL",
               tv_lbfgs_step(l, 2, (tv_variable *[]){v[0], NULL}, valley, NULL, NULL));
  FAILS_STATUS(TV_EVALUE, "lbfgs_step: n is 0", tv_lbfgs_step(l, 0, v, valley, NULL, NULL));
  FAILS_STATUS(TV_EVALUE, "lbfgs_step: callback is NULL", tv_lbfgs_step(l, 2, v, NULL, NULL, NULL));
  void *data;
  OK(tv_variable_map(v[1], false, &data));
  FAILS_STATUS(TV_EBUSY, "lbfgs_step: Variable 'Variable' is mapped",
               tv_lbfgs_step(l, 2, v, valley, NULL, NULL));
  OK(tv_variable_unmap(v[1]));
  OK(tv_lbfgs_step(l, 2, v, valley, NULL, NULL));
  FAILS_STATUS(TV_EVALUE, "lbfgs_step: other Variables than in the first step",
               tv_lbfgs_step(l, 1, v, valley, NULL, NULL));
  tv_lbfgs_release(l);
  tv_lbfgs_release(NULL);
  release(v);
  tv_variable_release(c);
  tv_variable_release(i);
  CHECK(!lbfgs(0));
  SAME_TEXT(tv_error_text(), "lbfgs_new: iterations is 0, expected 1 or more and finite");
  tv_error_clear();
  tv_lbfgs_options o = TV_LBFGS_OPTIONS;
  o.learning_rate = -1;
  CHECK(!tv_lbfgs_new(&o));
  SAME_TEXT(tv_error_text(), "lbfgs_new: learning_rate is -1, expected 0 or more and finite");
  tv_error_clear();
}

/* Every tenth of many points: a step is long. */
TEST(failed_allocation_changes_nothing) {
  int points = 0;
  for (int64_t fail = 1;; fail += 1 + fail / 8) {
    tv_scope scope;
    OK(tv_scope_begin(&scope));
    tv_variable *v[2];
    begin(v, TV_F64, TV_CPU);
    tv_lbfgs *const l = lbfgs(4);
    tvi_memory_fail(fail, fail % 2);
    const tv_status status = tv_lbfgs_step(l, 2, v, valley, NULL, NULL);
    tvi_memory_fail(0, false);
    if (status) {
      EQUAL(status, TV_ENOMEM);
      tv_error_clear();
      HOLDS(tv_read(v[0]), -1.2);
      HOLDS(tv_read(v[1]), 1);
      EQUAL(tv_lbfgs_iterations(l), 0);
    }
    tv_lbfgs_release(l);
    release(v);
    tv_scope_end(&scope, NULL);
    points++;
    if (!status) break;
  }
  CHECK(points > 20);
}

/* Who asks in the middle of a step hears of all of it. */
typedef struct {
  tv_lbfgs *lbfgs;
  int calls;
  atomic_bool is_stepping;
  int64_t evaluations;
} asked;

static tv_status slow_valley(void *user, int n, tv_variable *const *variables, double *loss,
                             tv_tensor **gradients) {
  asked *const a = user;
  atomic_store(&a->is_stepping, true);
  nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
  return valley(&a->calls, n, variables, loss, gradients);
}

static void *ask(void *user) {
  asked *const a = user;
  while (!atomic_load(&a->is_stepping)) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  a->evaluations = tv_lbfgs_evaluations(a->lbfgs);
  return NULL;
}

TEST(who_asks_waits_for_the_step) {
  asked a = {.lbfgs = lbfgs(2)};
  tv_variable *v[2];
  pthread_t thread;
  begin(v, TV_F64, TV_CPU);
  CHECK(!pthread_create(&thread, NULL, ask, &a));
  const tv_status status = tv_lbfgs_step(a.lbfgs, 2, v, slow_valley, &a, NULL);
  atomic_store(&a.is_stepping, true); /* also if it failed at once */
  CHECK(!pthread_join(thread, NULL));
  OK(status);
  CHECK(a.calls > 1);
  EQUAL(a.evaluations, a.calls);
  release(v);
  tv_lbfgs_release(a.lbfgs);
}

TEST_MAIN("lbfgs", CASE(it_finds_the_bottom_of_the_valley), CASE(complex_variables),
          CASE(a_failed_step_leaves_values_as_they_were),
          CASE(a_loss_that_is_no_number_ends_the_step_or_the_search),
          CASE(what_cannot_be_is_refused), CASE(who_asks_waits_for_the_step),
          CASE(failed_allocation_changes_nothing))
