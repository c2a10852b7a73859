/* SPDX-License-Identifier: MIT
 * Steps of optimizers: their numbers (PyTorch's, float64: w = 1, gradients .5, .25, -.1, rate .1),
 * and all or nothing. */
#include <math.h>
#include <pthread.h>

#include "check.h"
#include "memory.h"

static const double gradients[] = {.5, .25, -.1};

static tv_variable *scalar(tv_dtype dtype, double value) {
  return tv_variable_new(tv_full(dtype, TV_SCALAR_SHAPE, tv_scalar(value)), NULL);
}

static tv_status step(tv_optimizer *o, tv_variable *v, double gradient) {
  tv_tensor *const g = tv_full(tv_variable_dtype(v), TV_SCALAR_SHAPE, tv_scalar(gradient));
  return tv_optimizer_step(o, 1, &v, &g);
}

static void three_steps(tv_optimizer *o, const double *want) {
  tv_variable *const v = scalar(TV_F64, 1);
  for (int k = 0; k < 3; k++) {
    double w = 0;
    OK(step(o, v, gradients[k]));
    OK(tv_item_f64(tv_read(v), &w));
    if (fabs(w - want[k]) > 1e-12)
      check_fail(CHECK_HERE, "step %d: %.13f, not %.13f", k + 1, w, want[k]);
    EQUAL(tv_variable_version(v), k + 1);
  }
  EQUAL(tv_optimizer_steps(o), 3);
  tv_optimizer_release(o);
  tv_variable_release(v);
}

static tv_optimizer *sgd(double momentum, bool nesterov) {
  tv_sgd_options o = TV_SGD_OPTIONS;
  o.learning_rate = .1;
  o.momentum = momentum;
  o.nesterov = nesterov;
  return tv_sgd_new(&o);
}

TEST(sgd_plain) { three_steps(sgd(0, false), (double[]){.95, .925, .935}); }
TEST(sgd_momentum) { three_steps(sgd(.9, false), (double[]){.95, .88, .827}); }
TEST(sgd_nesterov) { three_steps(sgd(.9, true), (double[]){.905, .817, .7793}); }

TEST(adam) {
  tv_adam_options o = TV_ADAM_OPTIONS;
  o.learning_rate = .1;
  three_steps(tv_adam_new(&o), (double[]){.900000002000, .806782040477, .747110938651});
}

TEST(learning_rate_may_change) {
  tv_optimizer *const o = sgd(.9, false);
  tv_variable *const v = scalar(TV_F64, 1);
  const double rates[] = {.1, .01, .01}, want[] = {.95, .943, .9377};
  for (int k = 0; k < 3; k++) {
    double w = 0;
    OK(tv_optimizer_set_learning_rate(o, rates[k]));
    CHECK(tv_optimizer_learning_rate(o) == rates[k]);
    OK(step(o, v, gradients[k]));
    OK(tv_item_f64(tv_read(v), &w));
    CHECK(fabs(w - want[k]) < 1e-12);
  }
  FAILS_STATUS(TV_EVALUE, "optimizer_set_learning_rate: rate is nan, expected 0 or more and finite",
               tv_optimizer_set_learning_rate(o, (double)NAN));
  tv_optimizer_release(o);
  tv_variable_release(v);
}

/* Moments of half precision are kept in f32: a hundred small steps are not lost. */
TEST(half_precision_gathers_in_f32) {
  tv_optimizer *const o = sgd(.9, false);
  tv_variable *const half = scalar(TV_BF16, 1), *const full = scalar(TV_F32, 1);
  for (int k = 0; k < 20; k++) {
    OK(step(o, half, .01));
    OK(step(o, full, .01));
  }
  double a, b;
  OK(tv_item_f64(tv_read(half), &a));
  OK(tv_item_f64(tv_read(full), &b));
  EQUAL(tv_variable_dtype(half), TV_BF16);
  CHECK(fabs(a - b) < .03);
  tv_optimizer_release(o);
  tv_variable_release(half);
  tv_variable_release(full);
}

TEST(complex_second_moment_is_real) {
  const double z[] = {1, 1};
  tv_adam_options options = TV_ADAM_OPTIONS;
  options.learning_rate = .1;
  tv_optimizer *const o = tv_adam_new(&options);
  tv_variable *const v = tv_variable_new_from_memory(z, TV_C128, TV_SCALAR_SHAPE, NULL);
  tv_tensor *const g = tv_full(TV_C128, TV_SCALAR_SHAPE, tv_scalar_complex(3, 4));
  OK(tv_optimizer_step(o, 1, &v, &g)); /* w -= .1 g / |g| */
  double re, im;
  OK(tv_item_f64(tv_real(tv_read(v)), &re));
  OK(tv_item_f64(tv_imag(tv_read(v)), &im));
  CHECK(fabs(re - .94) < 1e-9 && fabs(im - .92) < 1e-9);
  tv_optimizer_release(o);
  tv_variable_release(v);
}

TEST(gradients_that_do_not_fit_are_refused) {
  tv_optimizer *const o = sgd(0, false);
  tv_variable *const v = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), NULL);
  tv_tensor *g = tv_ones(TV_F64, TV_SHAPE(2));
  FAILS_STATUS(TV_EDTYPE, "optimizer_step: Variable 'Variable' is float32, its gradient float64",
               tv_optimizer_step(o, 1, &v, &g));
  g = tv_ones(TV_F32, TV_SHAPE(3));
  FAILS_STATUS(TV_ESHAPE, "optimizer_step: Variable 'Variable' has shape [2], its gradient [3]",
               tv_optimizer_step(o, 1, &v, &g));
  tv_variable *const n = tv_variable_new(tv_ones(TV_I32, TV_SHAPE(2)), NULL);
  g = tv_ones(TV_I32, TV_SHAPE(2));
  FAILS_STATUS(TV_EDTYPE,
               "optimizer_step: Variable 'Variable' is int32, expected floating or complex",
               tv_optimizer_step(o, 1, &n, &g));
  tv_variable_release(n);
  g = NULL;
  FAILS_STATUS(TV_EVALUE, "optimizer_step: a gradient is NULL", tv_optimizer_step(o, 1, &v, &g));
  tv_variable *const twice[] = {v, v};
  tv_tensor *const ones = tv_ones(TV_F32, TV_SHAPE(2));
  FAILS_STATUS(TV_EVALUE, "optimizer_step: Variable 'Variable' is given twice",
               tv_optimizer_step(o, 2, twice, (tv_tensor *[]){ones, ones}));
  void *data;
  OK(tv_variable_map(v, false, &data));
  FAILS_STATUS(TV_EBUSY, "optimizer_step: Variable 'Variable' is mapped",
               tv_optimizer_step(o, 1, &v, &(tv_tensor *){ones}));
  OK(tv_variable_unmap(v));
  EQUAL(tv_optimizer_steps(o), 0);
  tv_optimizer_release(o);
  tv_variable_release(v);
}

TEST(failed_allocation_changes_no_variable_and_no_slot) {
  int points = 0;
  for (int64_t fail = 1;; fail++) {
    tv_scope scope;
    tv_adam_options options = TV_ADAM_OPTIONS;
    options.learning_rate = .1;
    tv_scope_begin(&scope);
    tv_optimizer *const o = tv_adam_new(&options);
    tv_variable *const both[] = {scalar(TV_F64, 1), scalar(TV_F32, 1)};
    tv_tensor *const g[] = {tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(.5)),
                            tv_full(TV_F32, TV_SCALAR_SHAPE, tv_scalar(.5))};
    tvi_memory_fail(fail, fail % 2);
    const tv_status status = tv_optimizer_step(o, 2, both, g);
    tvi_memory_fail(0, false);
    if (status) {
      EQUAL(status, TV_ENOMEM);
      tv_error_clear();
      for (int k = 0; k < 2; k++) HOLDS(tv_read(both[k]), 1);
      EQUAL(tv_optimizer_steps(o), 0);
      OK(tv_optimizer_step(o, 2, both, g)); /* as if it were the first */
    }
    double w = 0;
    OK(tv_item_f64(tv_read(both[0]), &w));
    CHECK(fabs(w - .900000002) < 1e-12);
    for (int k = 0; k < 2; k++) tv_variable_release(both[k]);
    tv_optimizer_release(o);
    tv_scope_end(&scope, NULL);
    points++;
    if (!status) break;
  }
  CHECK(points > 10);
}

/* Two groups of one optimizer are two optimizers of one group each. */
TEST(groups_are_as_if_by_themselves) {
  tv_adam_options options = TV_ADAMW_OPTIONS, other = options;
  options.learning_rate = .1;
  other.learning_rate = .025;
  other.decoupled_decay = 0;
  other.weight_decay = .3;
  tv_optimizer *const both = tv_adamw_new(&options), *const a = tv_adamw_new(&options),
                      *const b = tv_adamw_new(&other);
  tv_variable *const v[] = {scalar(TV_F64, 1), scalar(TV_F64, 1), scalar(TV_F64, 1)};
  tv_variable *const x = scalar(TV_F64, 1), *const y = scalar(TV_F64, 1);
  tv_group_options group = TV_GROUP_OPTIONS;
  group.rate_factor = .25;
  group.decoupled_decay = 0;
  group.weight_decay = .3;
  OK(tv_optimizer_set_group(both, 1, &v[2], NULL));
  OK(tv_optimizer_set_group(both, 1, &v[1], &group));
  for (int k = 0; k < 3; k++) {
    tv_tensor *const g = tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(gradients[k]));
    OK(tv_optimizer_step(both, 3, v, (tv_tensor *[]){g, g, g}));
    OK(step(a, x, gradients[k]));
    OK(step(b, y, gradients[k]));
    SAME(tv_read(v[0]), tv_read(x));
    SAME(tv_read(v[1]), tv_read(y));
    SAME(tv_read(v[2]), tv_read(x));
  }
  group.rate_factor = -1;
  FAILS_STATUS(TV_EVALUE, "optimizer_set_group: rate_factor is -1, expected 0 or more and finite",
               tv_optimizer_set_group(both, 1, v, &group));
  FAILS_STATUS(TV_EVALUE, "optimizer_set_group: a Variable is NULL",
               tv_optimizer_set_group(both, 1, (tv_variable *[]){NULL}, NULL));
  for (int k = 0; k < 3; k++) tv_variable_release(v[k]);
  tv_variable_release(x);
  tv_variable_release(y);
  tv_optimizer_release(a);
  tv_optimizer_release(b);
  tv_optimizer_release(both);
}

/* Threads ---------------------------------------------------------------------------------------
 */

enum { ROUNDS = 200, SHARED = 3 };

typedef struct {
  tv_optimizer *optimizer;
  tv_average *average; /* NULL: steps */
  tv_variable *variables[SHARED];
  int failures;
} worker;

static void *work(void *context) {
  worker *const w = context;
  for (int k = 0; k < ROUNDS; k++) {
    tv_scope scope;
    if (tv_scope_begin(&scope)) w->failures++;
    tv_tensor *g[SHARED];
    for (int j = 0; j < SHARED; j++) g[j] = tv_ones(TV_F64, TV_SHAPE(9));
    if (w->average ? tv_average_update(w->average, SHARED, w->variables)
                   : tv_optimizer_step(w->optimizer, SHARED, w->variables, g))
      w->failures++;
    tv_tensor *const seen = tv_read(w->variables[k % SHARED]);
    double least = 0, most = 1;
    if (tv_item_f64(tv_min(seen, TV_ALL_AXES), &least) ||
        tv_item_f64(tv_max(seen, TV_ALL_AXES), &most) || least != most)
      w->failures++; /* a snapshot is of one step: all its elements are equal */
    tv_scope_end(&scope, NULL);
  }
  return NULL;
}

/* Two optimizers and an average take the same Variables in different orders. */
TEST(steps_of_several_threads_happen_one_after_another) {
  tv_variable *v[SHARED];
  for (int k = 0; k < SHARED; k++)
    v[k] = tv_variable_new(OK(tv_to(tv_zeros(TV_F64, TV_SHAPE(9)), TV_CPU)), NULL);
  tv_sgd_options options = TV_SGD_OPTIONS;
  options.learning_rate = 0x1p-10;
  tv_optimizer *const one = tv_sgd_new(&options), *const two = tv_sgd_new(&options);
  tv_average *const average = tv_average_new(NULL);
  worker all[] = {{one, NULL, {v[0], v[1], v[2]}, 0},
                  {one, NULL, {v[2], v[0], v[1]}, 0},
                  {two, NULL, {v[1], v[2], v[0]}, 0},
                  {NULL, average, {v[2], v[1], v[0]}, 0}};
  pthread_t threads[4];
  for (int k = 0; k < 4; k++) CHECK(!pthread_create(&threads[k], NULL, work, &all[k]));
  for (int k = 0; k < 4; k++) CHECK(!pthread_join(threads[k], NULL));
  for (int k = 0; k < 4; k++) EQUAL(all[k].failures, 0);
  for (int k = 0; k < SHARED; k++) {
    double w = 0;
    EQUAL(tv_variable_version(v[k]), 3 * ROUNDS);
    OK(tv_item_f64(tv_slice(tv_read(v[k]), "4"), &w));
    CHECK(w == -3 * ROUNDS * 0x1p-10);
    tv_variable_release(v[k]);
  }
  EQUAL(tv_optimizer_steps(one), 2 * ROUNDS);
  EQUAL(tv_average_updates(average), ROUNDS);
  tv_average_release(average);
  tv_optimizer_release(one);
  tv_optimizer_release(two);
}

TEST_MAIN("step", CASE(sgd_plain), CASE(sgd_momentum), CASE(sgd_nesterov), CASE(adam),
          CASE(learning_rate_may_change), CASE(half_precision_gathers_in_f32),
          CASE(complex_second_moment_is_real), CASE(groups_are_as_if_by_themselves),
          CASE(steps_of_several_threads_happen_one_after_another),
          CASE(gradients_that_do_not_fit_are_refused),
          CASE(failed_allocation_changes_no_variable_and_no_slot))
