/* SPDX-License-Identifier: MIT
 * What a step does to gradients first: the same as the caller would by hand, in the order unscale,
 * clip, update; and nothing at all where it fails or is left out. */
#include <math.h>

#include "check.h"
#include "far.h"
#include "memory.h"

enum { N = 3 };

static void make(tv_variable **v, tv_device device) {
  for (int k = 0; k < N; k++) {
    tv_tensor *const x = tv_random_normal((tv_key){1, (uint64_t)k}, TV_F32, TV_SHAPE(20, 2));
    v[k] = tv_variable_new(OK(tv_to(x, device)), NULL);
  }
}

/* The last of them rows. */
static void gradients_of(tv_tensor **g, int step, tv_device device) {
  const int64_t at[] = {3, 9, 3};
  for (int k = 0; k < N; k++)
    g[k] = tv_to(tv_multiply(tv_random_normal((tv_key){2, (uint64_t)(N * step + k)}, TV_F32,
                                              TV_SHAPE(k == 2 ? 3 : 20, 2)),
                             tv_scalar(1024)),
                 device);
  g[2] = tv_scatter_rows(tv_to(tv_tensor_from_memory(at, TV_I64, TV_SHAPE(3), NULL), device), g[2],
                         20);
  for (int k = 0; k < N; k++) OK(g[k]);
}

static void release(tv_variable **v) {
  for (int k = 0; k < N; k++) tv_variable_release(v[k]);
}

TEST(it_is_what_one_would_do_by_hand) {
  for (int there = 0; there < 2; there++) {
    const tv_device device = there ? far_device() : TV_CPU;
    tv_variable *v[N], *w[N];
    make(v, device);
    make(w, device);
    tv_optimizer *const a = tv_adam_new(NULL), *const b = tv_adam_new(NULL);
    tv_scaler_options options = TV_SCALER_OPTIONS;
    options.scale = 1024;
    tv_scaler *const scaler = tv_scaler_new(&options);
    double norm = 0, by_hand = 0;
    tv_step_options with = TV_STEP_OPTIONS;
    with.scaler = scaler;
    with.clip_value = 1.5;
    with.clip_norm = 4;
    with.clip_global_norm = 5;
    with.norm = &norm;
    for (int step = 0; step < 3; step++) {
      tv_tensor *g[N];
      gradients_of(g, step, device);
      OK(tv_optimizer_step_with(a, N, v, g, &with));
      for (int k = 0; k < N; k++) g[k] = tv_multiply(g[k], tv_scalar(1. / 1024));
      OK(tv_clip_by_value(N, g, 1.5, g));
      OK(tv_clip_by_norm(N, g, 4, g));
      OK(tv_clip_by_global_norm(N, g, 5, g, &by_hand));
      OK(tv_optimizer_step(b, N, w, g));
      CHECK(norm > 5 && fabs(norm - by_hand) < 1e-6);
      for (int k = 0; k < N; k++)
        CLOSE(tv_to(tv_read(v[k]), TV_CPU), tv_to(tv_read(w[k]), TV_CPU), 4);
    }
    tv_scaler_release(scaler);
    tv_optimizer_release(a);
    tv_optimizer_release(b);
    release(v);
    release(w);
  }
}

TEST(a_norm_that_is_not_finite_fails_or_skips) {
  tv_variable *v = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), NULL);
  tv_tensor *const g = tv_full(TV_F32, TV_SHAPE(2), tv_scalar((double)INFINITY));
  tv_optimizer *const o = tv_sgd_new(NULL);
  for (int joint = 0; joint < 2; joint++) {
    bool is_skipped = true;
    double norm = 0;
    tv_step_options with = TV_STEP_OPTIONS;
    *(joint ? &with.clip_global_norm : &with.clip_norm) = 1;
    with.is_skipped = &is_skipped;
    with.norm = &norm;
    FAILS_STATUS(TV_EVALUE, "optimizer_step: the norm of a gradient is not finite",
                 tv_optimizer_step_with(o, 1, &v, &g, &with));
    CHECK(!is_skipped);
    with.skip_not_finite = true;
    OK(tv_optimizer_step_with(o, 1, &v, &g, &with));
    CHECK(is_skipped && isinf(norm) == joint);
  }
  HOLDS(tv_read(v), 1, 1);
  EQUAL(tv_optimizer_steps(o), 0);
  EQUAL(tv_variable_version(v), 0);
  tv_step_options with = TV_STEP_OPTIONS;
  with.clip_value = -1;
  FAILS_STATUS(TV_EVALUE, "optimizer_step: clip_value is -1, expected 0 or more and finite",
               tv_optimizer_step_with(o, 1, &v, &g, &with));
  with.size = 0;
  CHECK(tv_optimizer_step_with(o, 1, &v, &g, &with) == TV_EVALUE);
  tv_error_clear();
  tv_optimizer_release(o);
  tv_variable_release(v);
}

TEST(failed_allocation_changes_nothing) {
  int points = 0;
  tv_scaler_options options = TV_SCALER_OPTIONS;
  options.interval = 1;
  for (int64_t fail = 1;; fail++) {
    tv_scope scope;
    OK(tv_scope_begin(&scope));
    tv_variable *v[N], *w[N];
    tv_tensor *g[N];
    make(v, TV_CPU);
    make(w, TV_CPU);
    gradients_of(g, 0, TV_CPU);
    tv_optimizer *const o = tv_adamw_new(NULL);
    tv_scaler *const scaler = tv_scaler_new(&options);
    tv_step_options with = TV_STEP_OPTIONS;
    with.scaler = scaler;
    with.clip_value = with.clip_norm = with.clip_global_norm = 1;
    tvi_memory_fail(fail, fail % 2);
    const tv_status status = tv_optimizer_step_with(o, N, v, g, &with);
    tvi_memory_fail(0, false);
    if (status) {
      EQUAL(status, TV_ENOMEM);
      tv_error_clear();
      for (int k = 0; k < N; k++) SAME(tv_read(v[k]), tv_read(w[k]));
      CHECK(tv_scaler_factor(scaler) == 65536 && tv_optimizer_steps(o) == 0);
    } else {
      CHECK(tv_scaler_factor(scaler) == 131072);
    }
    tv_scaler_release(scaler);
    tv_optimizer_release(o);
    release(v);
    release(w);
    tv_scope_end(&scope, NULL);
    points++;
    if (!status) break;
  }
  CHECK(points > 40);
}

TEST_MAIN("treatment", CASE(it_is_what_one_would_do_by_hand),
          CASE(a_norm_that_is_not_finite_fails_or_skips), CASE(failed_allocation_changes_nothing))
