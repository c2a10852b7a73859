/* SPDX-License-Identifier: MIT
 * Steps of optimizers on the GPU, one launch for many Variables: the bits are those of the CPU,
 * which takes them in one pass of its own. */
#include <math.h>
#include <stdlib.h>

#include "cuda_device.h"

enum { MOST = 800 };

/* Pairs of Variables with the same values, one on each device. */
typedef struct {
  int n;
  tv_variable *on_cpu[MOST], *on_gpu[MOST];
} pairs;

static void add(pairs *p, tv_dtype dtype, int64_t n) {
  tv_tensor *const x = tv_random_normal((tv_key){(uint64_t)p->n, 1}, TV_F64, TV_SHAPE(n));
  tv_tensor *const y = tv_random_normal((tv_key){(uint64_t)p->n, 2}, TV_F64, TV_SHAPE(n));
  tv_tensor *const value = OK(
      tv_astype(dtype >= TV_C64 ? tv_add(x, tv_multiply(y, tv_scalar_complex(0, 1))) : x, dtype));
  p->on_cpu[p->n] = tv_variable_new(value, NULL);
  p->on_gpu[p->n] = tv_variable_new(OK(tv_to(value, cuda())), NULL);
  CHECK(p->on_cpu[p->n] && p->on_gpu[p->n]);
  p->n++;
}

static void forget(pairs *p) {
  for (int k = 0; k < p->n; k++) {
    tv_variable_release(p->on_cpu[k]);
    tv_variable_release(p->on_gpu[k]);
  }
  p->n = 0;
}

/* A GPU has a hypot of its own: complex steps of Adam are then only close. */
static void agree(pairs *p) {
  fakecuda_counts counts;
  const double ulps = fake_counts(&counts) ? 0 : 64;
  for (int k = 0; k < p->n; k++) {
    tv_tensor *const got = OK(tv_to(tv_read(p->on_gpu[k]), TV_CPU)), *const want =
                                                                         tv_read(p->on_cpu[k]);
    if (tv_tensor_dtype(want) >= TV_C64)
      CLOSE(got, want, ulps);
    else
      SAME(got, want);
  }
}

/* Steps with the same gradients on both sides; `takes` is released. */
static void run(pairs *p, tv_optimizer *here, tv_optimizer *there, int steps) {
  static tv_tensor *gradients[MOST], *copies[MOST];
  for (int step = 0; step < steps; step++) {
    tv_scope scope;
    OK(tv_scope_begin(&scope));
    for (int k = 0; k < p->n; k++) {
      tv_tensor *const w = tv_read(p->on_cpu[k]);
      /* Not what was stepped on before, and zeros among them. */
      gradients[k] = OK(tv_multiply(tv_subtract(w, tv_flip(w, TV_AXES(0))), tv_scalar(.5 + step)));
      copies[k] = OK(tv_to(gradients[k], cuda()));
    }
    OK(tv_optimizer_step(here, p->n, p->on_cpu, gradients));
    OK(tv_optimizer_step(there, p->n, p->on_gpu, copies));
    agree(p);
    OK(tv_scope_end(&scope, NULL));
  }
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

static void all_dtypes(pairs *p, int64_t n) {
  for (tv_dtype dtype = TV_F16; dtype <= TV_C128; dtype++) add(p, dtype, n);
}

static void sizes(pairs *p) {
  static const int64_t all[] = {1, 0, 255, 1025, 5000};
  for (size_t k = 0; k < sizeof all / sizeof *all; k++) all_dtypes(p, all[k]);
}

TEST(sgd_plain) {
  pairs p = {0};
  sizes(&p);
  run(&p, sgd(0, false), sgd(0, false), 2);
  forget(&p);
}

TEST(sgd_with_momentum) {
  for (int nesterov = 0; nesterov < 2; nesterov++) {
    pairs p = {0};
    sizes(&p);
    run(&p, sgd(.9, nesterov), sgd(.9, nesterov), 3);
    forget(&p);
  }
}

TEST(adam) {
  pairs p = {0};
  sizes(&p);
  run(&p, tv_adam_new(NULL), tv_adam_new(NULL), 4);
  forget(&p);
}

/* Each option by itself and all together, as far as they go together. */
TEST(sgd_with_options) {
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
    run(&p, tv_sgd_new(&o), tv_sgd_new(&o), 3);
    forget(&p);
  }
}

TEST(adam_with_options) {
  for (int k = 0; k < 6; k++) {
    tv_adam_options o = TV_ADAM_OPTIONS;
    o.amsgrad = k == 0 || k == 5;
    o.epsilon_hat = k == 1 || k == 5;
    o.weight_decay = k == 2 || k == 5 ? .01 : 0;
    o.decoupled_decay = k == 3 || k == 5 ? .02 : 0;
    o.maximize = k >= 4;
    pairs p = {0};
    sizes(&p);
    run(&p, tv_adam_new(&o), tv_adam_new(&o), 3);
    forget(&p);
  }
}

/* More than one launch takes of small parameters, of large ones, and of any. A step holds the locks
 * of all Variables, and ThreadSanitizer can follow 63. */
TEST(many_variables) {
#ifdef __SANITIZE_THREAD__
  static const int counts[] = {36, 37, 60};
#else
  static const int counts[] = {36, 37, 310, 311, 730};
#endif
  for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
    pairs p = {0};
    for (int k = 0; k < counts[c]; k++) add(&p, TV_F32, 1 + k % 7);
    run(&p, tv_adam_new(NULL), tv_adam_new(NULL), 2);
    forget(&p);
  }
}

/* Several chunks of a tensor, and several sizes of chunks. */
TEST(large_variables) {
  pairs p = {0};
  add(&p, TV_F32, 70001);
  add(&p, TV_F32, 3);
  add(&p, TV_F32, 2500000);
  run(&p, sgd(.5, true), sgd(.5, true), 1);
  forget(&p);
}

TEST(one_launch_for_all) {
  fakecuda_counts before, after;
  pairs p = {0};
  tv_tensor *gradients[30];
  for (int k = 0; k < 30; k++) {
    add(&p, TV_F32, 100);
    gradients[k] = OK(tv_to(tv_ones(TV_F32, TV_SHAPE(100)), cuda()));
  }
  tv_optimizer *const o = tv_adam_new(NULL);
  const bool counts = fake_counts(&before);
  OK(tv_optimizer_step(o, p.n, p.on_gpu, gradients));
  fake_counts(&after);
  if (counts) EQUAL(after.launches - before.launches, 1);
  tv_optimizer_release(o);
  forget(&p);
}

/* A step over both devices, a constraint, and a gradient that does not fit: then nothing changed.
 */
TEST(devices_may_be_mixed) {
  pairs p = {0};
  add(&p, TV_F32, 10);
  tv_variable *both[] = {p.on_gpu[0], p.on_cpu[0]};
  tv_tensor *const g = tv_ones(TV_F32, TV_SHAPE(10));
  tv_tensor *gradients[] = {OK(tv_to(g, cuda())), g};
  tv_optimizer *const o = sgd(0, false);
  OK(tv_optimizer_step(o, 2, both, gradients));
  agree(&p);
  tv_tensor *const before = OK(tv_read(p.on_gpu[0]));
  gradients[1] = tv_ones(TV_F32, TV_SHAPE(11));
  EQUAL(tv_optimizer_step(o, 2, both, gradients), TV_ESHAPE);
  tv_error_clear();
  EQUAL(tv_variable_version(p.on_gpu[0]), 1);
  SAME(tv_to(tv_read(p.on_gpu[0]), TV_CPU), tv_to(before, TV_CPU));
  tv_optimizer_release(o);
  forget(&p);
}

/* No memory for the second of two: both are as before, and a step with room goes on from there. */
TEST(all_or_nothing) {
  pairs p = {0};
  tv_memory_stats m;
  OK(tv_device_trim(cuda()));
  add(&p, TV_F32, 1000);
  add(&p, TV_F32, 4 << 20);
  tv_tensor *const small = OK(tv_to(tv_ones(TV_F32, TV_SHAPE(1000)), cuda()));
  tv_tensor *const large = OK(tv_to(tv_ones(TV_F32, TV_SHAPE(4 << 20)), cuda()));
  tv_tensor *gradients[] = {small, large};
  tv_optimizer *const o = tv_adam_new(NULL);
  OK(tv_device_memory(cuda(), &m));
  OK(tv_device_limit(cuda(), m.held));
  EQUAL(tv_optimizer_step(o, 2, p.on_gpu, gradients), TV_ENOMEM);
  tv_error_clear();
  OK(tv_device_limit(cuda(), 0));
  agree(&p);
  EQUAL(tv_optimizer_steps(o), 0);
  OK(tv_optimizer_step(o, 2, p.on_gpu, gradients));
  EQUAL(tv_variable_version(p.on_gpu[1]), 1);
  tv_optimizer_release(o);
  forget(&p);
}

TEST(constraints_hold) {
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.constraint = (tv_constraint)TV_CLIP(0, 1, TV_ON_STEP);
  tv_tensor *const x = tv_full(TV_F32, TV_SHAPE(3), tv_scalar(.5));
  tv_variable *v = tv_variable_new(tv_to(x, cuda()), &options);
  tv_tensor *g = OK(tv_to(tv_full(TV_F32, TV_SHAPE(3), tv_scalar(100.)), cuda()));
  tv_optimizer *const o = sgd(0, false);
  OK(tv_optimizer_step(o, 1, &v, &g));
  HOLDS(tv_to(tv_read(v), TV_CPU), 0, 0, 0);
  tv_optimizer_release(o);
  tv_variable_release(v);
}

TEST(gradients_are_clipped_where_they_are) {
  fakecuda_counts before, after;
  tv_tensor *x[3], *y[3], *clipped[3], *clipped_there[3];
  double norm = 0, norm_there = 0;
  for (int k = 0; k < 3; k++) {
    x[k] = OK(tv_astype(tv_random_normal((tv_key){9, (uint64_t)k}, TV_F32, TV_SHAPE(700, 3)),
                        k == 1 ? TV_F16 : TV_F32));
    y[k] = OK(tv_to(x[k], cuda()));
  }
  OK(tv_clip_by_global_norm(3, x, 2, clipped, &norm));
  const bool counts = fake_counts(&before);
  OK(tv_clip_by_global_norm(3, y, 2, clipped_there, &norm_there));
  fake_counts(&after);
  CHECK(norm == norm_there);
  if (counts) EQUAL(after.bytes_out - before.bytes_out, 8);
  for (int k = 0; k < 3; k++) SAME(tv_to(clipped_there[k], TV_CPU), clipped[k]);
}

TEST_MAIN("cuda_optimize", CASE(sgd_plain), CASE(sgd_with_momentum), CASE(adam),
          CASE(sgd_with_options), CASE(adam_with_options), CASE(many_variables),
          CASE(large_variables), CASE(one_launch_for_all), CASE(devices_may_be_mixed),
          CASE(all_or_nothing), CASE(constraints_hold), CASE(gradients_are_clipped_where_they_are))
