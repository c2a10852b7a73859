/* SPDX-License-Identifier: MIT
 * Accumulated gradients: means in the order of the calls, rows as rows, all or nothing. */
#include <pthread.h>

#include "check.h"
#include "memory.h"

static tv_tensor *full(tv_dtype dtype, double x) {
  return tv_full(dtype, TV_SHAPE(2), tv_scalar(x));
}

TEST(means_of_calls) {
  tv_accumulator *const a = tv_accumulator_new();
  tv_tensor *means[2];
  for (int round = 0; round < 2; round++) {
    for (int k = 1; k <= 4; k++) {
      tv_scope scope;
      OK(tv_scope_begin(&scope));
      OK(tv_accumulator_add(a, 2, (tv_tensor *[]){full(TV_F32, k), full(TV_F64, -k)}));
      OK(tv_scope_end(&scope, NULL));
    }
    EQUAL(tv_accumulator_count(a), 4);
    OK(tv_accumulator_mean(a, 2, means));
    HOLDS(means[0], 2.5, 2.5);
    HOLDS(means[1], -2.5, -2.5);
    EQUAL(tv_tensor_dtype(means[0]), TV_F32);
    EQUAL(tv_accumulator_count(a), 0);
  }
  OK(tv_accumulator_add(a, 0, NULL));
  OK(tv_accumulator_mean(a, 0, NULL));
  tv_accumulator_release(tv_accumulator_retain(a));
  tv_accumulator_release(a);
}

/* 2048 + 1 is 2048 in float16: a thousand ones would be lost. */
TEST(half_precision_is_summed_in_single) {
  tv_accumulator *const a = tv_accumulator_new();
  tv_tensor *g = full(TV_F16, 2048), *one = full(TV_F16, 1), *m;
  OK(tv_accumulator_add(a, 1, &g));
  for (int k = 0; k < 2048; k++) OK(tv_accumulator_add(a, 1, &one));
  for (int k = 0; k < 2047; k++) OK(tv_accumulator_add(a, 1, &one));
  OK(tv_accumulator_mean(a, 1, &m));
  EQUAL(tv_tensor_dtype(m), TV_F16);
  HOLDS(m, 1.5, 1.5); /* 6143 / 4096, rounded */
  tv_accumulator_release(a);
}

TEST(rows_stay_rows) {
  tv_accumulator *const a = tv_accumulator_new();
  tv_tensor *mean, *i, *v;
  for (int dtype = 0; dtype < 2; dtype++) {
    for (int64_t k = 0; k < 2; k++) {
      const int64_t at[] = {k, 2};
      tv_tensor *const g =
          tv_scatter_rows(tv_tensor_from_memory(at, TV_I64, TV_SHAPE(2), NULL),
                          tv_full(dtype ? TV_BF16 : TV_F32, TV_SHAPE(2), tv_scalar(k + 1)), 1000);
      OK(tv_accumulator_add(a, 1, &g));
    }
    OK(tv_accumulator_mean(a, 1, &mean));
    CHECK(tv_is_rows(mean) && tv_tensor_dtype(mean) == (dtype ? TV_BF16 : TV_F32));
    OK(tv_rows_parts(tv_rows_summed(mean), &i, &v));
    HOLDS(i, 0, 1, 2);
    HOLDS(v, .5, 1, 1.5);
  }
  tv_accumulator_release(a);
}

TEST(what_does_not_fit_is_refused) {
  tv_accumulator *const a = tv_accumulator_new();
  tv_tensor *both[] = {full(TV_F32, 1), full(TV_F32, 1)}, *means[2] = {both[0], both[0]};
  FAILS_STATUS(TV_EVALUE, "accumulator_mean: nothing was added", tv_accumulator_mean(a, 2, means));
  CHECK(!means[0] && !means[1]);
  OK(tv_accumulator_add(a, 2, both));
  FAILS_STATUS(TV_EVALUE, "accumulator_add: 1 gradients, before there were 2",
               tv_accumulator_add(a, 1, both));
  both[1] = full(TV_F64, 1);
  FAILS_STATUS(TV_EDTYPE, "accumulator_add: a gradient is float64, the one before float32",
               tv_accumulator_add(a, 2, both));
  both[1] = tv_ones(TV_F32, TV_SHAPE(3));
  FAILS_STATUS(TV_ESHAPE, "accumulator_add: a gradient has shape [3], the one before [2]",
               tv_accumulator_add(a, 2, both));
  both[1] = NULL;
  FAILS_STATUS(TV_EVALUE, "accumulator_add: a gradient is NULL", tv_accumulator_add(a, 2, both));
  FAILS_STATUS(TV_EVALUE, "accumulator_mean: 1 gradients, there are 2",
               tv_accumulator_mean(a, 1, means));
  EQUAL(tv_accumulator_count(a), 1);
  OK(tv_accumulator_mean(a, 2, means));
  HOLDS(means[1], 1, 1);
  both[1] = tv_zeros(TV_I64, TV_SHAPE(1));
  FAILS_STATUS(TV_EDTYPE, "accumulator_add: a gradient is int64: it carries none",
               tv_accumulator_add(a, 2, both));
  OK(tv_accumulator_add(a, 1, both));
  tv_accumulator_clear(a);
  EQUAL(tv_accumulator_count(a), 0);
  tv_accumulator_release(a);
  tv_accumulator_release(NULL);
}

TEST(failed_allocation_adds_nothing) {
  int points = 0;
  for (int64_t fail = 1;; fail++) {
    tv_scope scope;
    OK(tv_scope_begin(&scope));
    tv_accumulator *const a = tv_accumulator_new();
    tv_tensor *both[] = {full(TV_F32, 1), full(TV_F16, 1)}, *means[2];
    OK(tv_accumulator_add(a, 2, both));
    tvi_memory_fail(fail, fail % 2);
    tv_status status = tv_accumulator_add(a, 2, both);
    if (!status) status = tv_accumulator_mean(a, 2, means);
    tvi_memory_fail(0, false);
    if (status) {
      EQUAL(status, TV_ENOMEM);
      tv_error_clear();
      CHECK(tv_accumulator_count(a) >= 1);
      OK(tv_accumulator_mean(a, 2, means));
    }
    HOLDS(means[0], 1, 1);
    HOLDS(means[1], 1, 1);
    tv_accumulator_release(a);
    tv_scope_end(&scope, NULL);
    points++;
    if (!status) break;
  }
  CHECK(points > 10);
}

enum { ADDS = 500, ADDERS = 3 };
static void *add_ones(void *accumulator) {
  intptr_t n_failed = 0;
  for (int k = 0; k < ADDS; k++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    tv_tensor *const one = full(TV_F64, 1);
    n_failed += tv_accumulator_add(accumulator, 1, &one) != TV_OK;
    tv_scope_end(&scope, NULL);
  }
  return (void *)n_failed;
}

TEST(threads_add_up) {
  tv_accumulator *const a = tv_accumulator_new();
  pthread_t threads[ADDERS];
  void *n_failed;
  tv_tensor *mean;
  for (int k = 0; k < ADDERS; k++) CHECK(!pthread_create(&threads[k], NULL, add_ones, a));
  for (int k = 0; k < ADDERS; k++) CHECK(!pthread_join(threads[k], &n_failed) && !n_failed);
  EQUAL(tv_accumulator_count(a), ADDERS * ADDS);
  OK(tv_accumulator_mean(a, 1, &mean));
  HOLDS(mean, 1, 1);
  tv_accumulator_release(a);
}

TEST_MAIN("accumulator", CASE(means_of_calls), CASE(threads_add_up),
          CASE(half_precision_is_summed_in_single), CASE(rows_stay_rows),
          CASE(what_does_not_fit_is_refused), CASE(failed_allocation_adds_nothing))
