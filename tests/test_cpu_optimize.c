/* SPDX-License-Identifier: MIT
 * The CPU's optimize slot: the bits of single ops, which a far device without the slot composes, on
 * any number of threads; what is below the smallest normal number; and writes in place, which no
 * snapshot sees and no failure leaves half done. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "check.h"
#include "far.h"
#include "memory.h"

enum { MOST = 600 };

/* Pairs of Variables with the same values, one on each device. */
typedef struct {
  int n;
  tv_variable *here[MOST], *there[MOST];
} pairs;

static void add(pairs *p, tv_dtype dtype, int64_t n) {
  tv_tensor *const x = tv_random_normal((tv_key){(uint64_t)p->n, 1}, TV_F64, TV_SHAPE(n));
  tv_tensor *const y = tv_random_normal((tv_key){(uint64_t)p->n, 2}, TV_F64, TV_SHAPE(n));
  tv_tensor *const value = OK(
      tv_astype(dtype >= TV_C64 ? tv_add(x, tv_multiply(y, tv_scalar_complex(0, 1))) : x, dtype));
  p->here[p->n] = tv_variable_new(value, NULL);
  p->there[p->n] = tv_variable_new(OK(tv_to(value, far_device())), NULL);
  CHECK(p->here[p->n] && p->there[p->n]);
  p->n++;
}

static void forget(pairs *p) {
  for (int k = 0; k < p->n; k++) {
    tv_variable_release(p->here[k]);
    tv_variable_release(p->there[k]);
  }
  p->n = 0;
}

/* Gradients that are tiny in places and zero in others, so that moments decay below normal. */
static tv_tensor *gradient_of(tv_variable *v, int step) {
  tv_scope scope;
  OK(tv_scope_begin(&scope)); /* the snapshot is gone when the step comes */
  tv_tensor *const w = tv_read(v), *const z = tv_subtract(w, tv_flip(w, TV_AXES(0)));
  const double scale = step % 3 == 0 ? .5 : step % 3 == 1 ? 0 : 3e-38;
  tv_tensor *g = OK(tv_astype(tv_multiply(z, tv_scalar(scale)), tv_variable_dtype(v)));
  OK(tv_scope_end(&scope, &g));
  return g;
}

/* Both optimizers are released. */
static void run(pairs *p, tv_optimizer *here, tv_optimizer *there, int steps) {
  static tv_tensor *gradients[MOST], *copies[MOST];
  static const int threads[] = {1, 2, 3, 7};
  for (int step = 0; step < steps; step++) {
    tv_scope scope;
    OK(tv_threads_set(threads[step % 4]));
    OK(tv_scope_begin(&scope));
    for (int k = 0; k < p->n; k++) {
      gradients[k] = gradient_of(p->here[k], step);
      copies[k] = OK(tv_to(gradients[k], far_device()));
    }
    if (step % 2) /* snapshots: not in place */
      for (int k = 0; k < p->n; k++) OK(tv_read(p->here[k]));
    OK(tv_optimizer_step(here, p->n, p->here, gradients));
    OK(tv_optimizer_step(there, p->n, p->there, copies));
    for (int k = 0; k < p->n; k++)
      SAME(OK(tv_read(p->here[k])), OK(tv_to(tv_read(p->there[k]), TV_CPU)));
    OK(tv_scope_end(&scope, NULL));
  }
  OK(tv_threads_set(0));
  tv_optimizer_release(here);
  tv_optimizer_release(there);
}

static tv_optimizer *sgd(double momentum, bool nesterov) {
  tv_sgd_options o = TV_SGD_OPTIONS;
  o.learning_rate = .1;
  o.momentum = momentum;
  o.nesterov = nesterov;
  return tv_sgd_new(&o);
}

static void sizes(pairs *p) {
  static const int64_t all[] = {1, 0, 255, 8192, 8193};
  for (size_t k = 0; k < sizeof all / sizeof *all; k++)
    for (tv_dtype dtype = TV_F16; dtype <= TV_C128; dtype++) add(p, dtype, all[k]);
}

TEST(sgd_agrees) {
  static const double momenta[] = {0, .9, .9};
  for (int k = 0; k < 3; k++) {
    pairs p = {0};
    sizes(&p);
    run(&p, sgd(momenta[k], k == 2), sgd(momenta[k], k == 2), 5);
    forget(&p);
  }
}

TEST(adam_agrees) {
  pairs p = {0};
  sizes(&p);
  run(&p, tv_adam_new(NULL), tv_adam_new(NULL), 5);
  forget(&p);
}

/* Each option by itself and all together, as far as they go together: the loops for more than a
 * plain step. */
TEST(sgd_with_options_agrees) {
  for (int k = 0; k < 7; k++) {
    tv_sgd_options o = TV_SGD_OPTIONS;
    o.learning_rate = .1;
    o.momentum = k == 5 ? 0 : .9;
    o.dampening = k == 0 ? .3 : 0;
    o.rate_in_momentum = k == 1 || k == 2;
    o.nesterov = k == 2 || k == 6;
    o.weight_decay = k == 3 || k >= 5 ? .01 : 0;
    o.decoupled_decay = k >= 4 ? .02 : 0;
    o.maximize = k >= 5;
    pairs p = {0};
    sizes(&p);
    run(&p, tv_sgd_new(&o), tv_sgd_new(&o), 4);
    forget(&p);
  }
}

TEST(adam_with_options_agrees) {
  for (int k = 0; k < 6; k++) {
    tv_adam_options o = TV_ADAM_OPTIONS;
    o.amsgrad = k == 0 || k == 5;
    o.epsilon_hat = k == 1 || k == 5;
    o.weight_decay = k == 2 || k == 5 ? .01 : 0;
    o.decoupled_decay = k == 3 || k == 5 ? .02 : 0;
    o.maximize = k >= 4;
    pairs p = {0};
    sizes(&p);
    run(&p, tv_adam_new(&o), tv_adam_new(&o), 4);
    forget(&p);
  }
}

/* More than one batch takes, and a large one that threads share. ThreadSanitizer can follow 63
 * locks. */
TEST(many_and_large_variables) {
#ifdef __SANITIZE_THREAD__
  enum { MANY = 50 };
#else
  enum { MANY = 520 };
#endif
  pairs p = {0};
  for (int k = 0; k < MANY; k++) add(&p, TV_F32, 1 + k % 7);
  add(&p, TV_F32, 300001);
  run(&p, tv_adam_new(NULL), tv_adam_new(NULL), 2);
  forget(&p);
}

static tv_status step(tv_optimizer *o, tv_variable *v, double gradient) {
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  tv_tensor *const g = tv_full(tv_variable_dtype(v), TV_SHAPE(4), tv_scalar(gradient));
  const tv_status status = tv_optimizer_step(o, 1, &v, &g);
  tv_scope_end(&scope, NULL);
  return status;
}

/* With momentum 1/2 and rate 1, w ends at 1 less the sum of a row of halves, cut where b becomes
 * subnormal: exactly, since w holds every bit of it. */
TEST(a_slot_below_the_smallest_normal_number_is_zero) {
  static const tv_dtype dtypes[] = {TV_F32, TV_F64, TV_C64};
  for (int k = 0; k < 3; k++) {
    const double tiny = dtypes[k] == TV_F64 ? DBL_MIN : (double)FLT_MIN;
    tv_sgd_options options = TV_SGD_OPTIONS;
    options.learning_rate = 1;
    options.momentum = .5;
    tv_optimizer *const o = tv_sgd_new(&options);
    tv_variable *const v = tv_variable_new(tv_zeros(dtypes[k], TV_SHAPE(4)), NULL);
    OK(step(o, v, 4 * tiny));
    for (int n = 0; n < 5; n++) OK(step(o, v, 0)); /* b = 2, 1, 0, 0, 0 tiny */
    HOLDS(tv_real(tv_read(v)), -7 * tiny, -7 * tiny, -7 * tiny, -7 * tiny);
    OK(step(o, v, -tiny / 2)); /* flushed at once */
    HOLDS(tv_real(tv_read(v)), -7 * tiny, -7 * tiny, -7 * tiny, -7 * tiny);
    tv_optimizer_release(o);
    tv_variable_release(v);
  }
}

static const void *bytes_of(tv_variable *v) {
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  const void *const data = tv_tensor_data(OK(tv_read(v)));
  OK(tv_scope_end(&scope, NULL));
  return data;
}

TEST(values_nobody_holds_are_written_in_place) {
  tv_variable *const v = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(4)), NULL);
  tv_optimizer *const o = sgd(.5, false);
  OK(step(o, v, 0));
  const void *const data = bytes_of(v);
  OK(step(o, v, 1));
  CHECK(bytes_of(v) == data);
  tv_tensor *const snapshot = OK(tv_read(v));
  OK(step(o, v, 1));
  CHECK(bytes_of(v) != data);
  const float old = 1 - .1f, moved = old - (.5f * 1 + 1) * .1f;
  HOLDS(snapshot, (double)old, (double)old, (double)old, (double)old);
  HOLDS(tv_read(v), (double)moved, (double)moved, (double)moved, (double)moved);
  EQUAL(tv_variable_version(v), 3);
  tv_optimizer_release(o);
  tv_variable_release(v);
}

/* The second of two is refused by its constraint, after the first was ready: neither has moved, nor
 * has the momentum of the first. */
TEST(a_refused_step_moves_nothing) {
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.constraint = (tv_constraint)TV_CLIP(0, 2, TV_VALIDATE_ONLY);
  tv_variable *const both[] = {tv_variable_new(tv_ones(TV_F32, TV_SHAPE(4)), NULL),
                               tv_variable_new(tv_ones(TV_F32, TV_SHAPE(4)), &options)};
  tv_optimizer *const o = sgd(.5, false);
  tv_tensor *const one = tv_ones(TV_F32, TV_SHAPE(4)), *const far = tv_full(TV_F32, TV_SHAPE(4),
                                                                            tv_scalar(100));
  OK(tv_optimizer_step(o, 2, both, (tv_tensor *[]){one, one}));
  EQUAL(tv_optimizer_step(o, 2, both, (tv_tensor *[]){one, far}), TV_ECONSTRAINT);
  tv_error_clear();
  const float first = 1 - .1f, second = first - (.5f * 1 + 1) * .1f;
  for (int k = 0; k < 2; k++)
    HOLDS(tv_read(both[k]), (double)first, (double)first, (double)first, (double)first);
  OK(tv_optimizer_step(o, 2, both, (tv_tensor *[]){one, one}));
  for (int k = 0; k < 2; k++)
    HOLDS(tv_read(both[k]), (double)second, (double)second, (double)second, (double)second);
  EQUAL(tv_optimizer_steps(o), 2);
  tv_optimizer_release(o);
  for (int k = 0; k < 2; k++) tv_variable_release(both[k]);
}

TEST(memory_may_run_out_between_steps) {
  for (int64_t fail = 1;; fail++) {
    tv_scope scope;
    OK(tv_scope_begin(&scope));
    tv_variable_options options = TV_VARIABLE_OPTIONS;
    options.constraint = (tv_constraint)TV_CLIP(0, 2, TV_ON_STEP);
    tv_variable *const both[] = {tv_variable_new(tv_ones(TV_F32, TV_SHAPE(4)), NULL),
                                 tv_variable_new(tv_ones(TV_F32, TV_SHAPE(4)), &options)};
    tv_tensor *const g[] = {tv_ones(TV_F32, TV_SHAPE(4)), tv_ones(TV_F32, TV_SHAPE(4))};
    tv_optimizer *const o = sgd(.5, false);
    OK(tv_optimizer_step(o, 2, both, g));
    tvi_memory_fail(fail, fail % 2);
    const tv_status status = tv_optimizer_step(o, 2, both, g);
    tvi_memory_fail(0, false);
    if (status) {
      EQUAL(status, TV_ENOMEM);
      tv_error_clear();
      OK(tv_optimizer_step(o, 2, both, g));
    }
    const float want = 1 - .1f - (.5f * 1 + 1) * .1f;
    for (int k = 0; k < 2; k++)
      HOLDS(tv_read(both[k]), (double)want, (double)want, (double)want, (double)want);
    for (int k = 0; k < 2; k++) tv_variable_release(both[k]);
    tv_optimizer_release(o);
    OK(tv_scope_end(&scope, NULL));
    if (!status) break;
  }
}

TEST_MAIN("cpu_optimize", CASE(sgd_agrees), CASE(adam_agrees), CASE(sgd_with_options_agrees),
          CASE(adam_with_options_agrees), CASE(many_and_large_variables),
          CASE(a_slot_below_the_smallest_normal_number_is_zero),
          CASE(values_nobody_holds_are_written_in_place), CASE(a_refused_step_moves_nothing),
          CASE(memory_may_run_out_between_steps))
