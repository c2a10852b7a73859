/* SPDX-License-Identifier: MIT
 * Counts per thread add up: while threads run, after they end, and for those never registered. */
#include "tally.h"

#include <pthread.h>

#include "check.h"

enum { THREADS = 8, ROUNDS = 1000 };

static void *count_registered(void *unused) {
  tv_scope scope;
  (void)unused;
  tv_scope_begin(&scope);
  for (int k = 0; k < ROUNDS; k++) tvi_count(TVI_RESERVED, 1);
  tv_scope_end(&scope, NULL);
  return NULL;
}

static void *count_unregistered(void *unused) {
  (void)unused;
  for (int k = 0; k < ROUNDS; k++) tvi_count(TVI_RESERVED, 1);
  return NULL;
}

TEST(counts_of_all_threads_add_up) {
  pthread_t threads[2 * THREADS];
  const int64_t before = tvi_counted(TVI_RESERVED);
  for (int k = 0; k < 2 * THREADS; k++)
    EQUAL(pthread_create(&threads[k], NULL, k % 2 ? count_registered : count_unregistered, NULL),
          0);
  CHECK(tvi_counted(TVI_RESERVED) <= before + 2 * THREADS * ROUNDS); /* a question meanwhile */
  for (int k = 0; k < 2 * THREADS; k++) pthread_join(threads[k], NULL);
  EQUAL(tvi_counted(TVI_RESERVED), before + 2 * THREADS * ROUNDS);
}

TEST(joining_and_leaving_keep_the_sum) {
  tvi_tally one = {0};
  const int64_t before = tvi_counted(TVI_LIVE);
  tvi_tally_join(&one);
  atomic_store(&one.count[TVI_LIVE], 5);
  EQUAL(tvi_counted(TVI_LIVE), before + 5);
  tvi_tally_leave(&one);
  EQUAL(tvi_counted(TVI_LIVE), before + 5);
  tvi_count(TVI_LIVE, -5);
  EQUAL(tvi_counted(TVI_LIVE), before);
}

TEST_MAIN("tally", CASE(counts_of_all_threads_add_up), CASE(joining_and_leaving_keep_the_sum))
