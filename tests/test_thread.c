/* SPDX-License-Identifier: MIT
 * What belongs to a thread, and its end. */
#include "thread.h"

#include <pthread.h>

#include "check.h"

static void *two_ids(void *out) {
  uint64_t *const ids = out;
  ids[0] = tvi_next_id();
  ids[1] = tvi_next_id();
  return NULL;
}

TEST(ids_are_never_given_twice) {
  uint64_t ids[4][2];
  pthread_t threads[4];
  for (int k = 0; k < 4; k++) EQUAL(pthread_create(&threads[k], NULL, two_ids, ids[k]), 0);
  for (int k = 0; k < 4; k++) pthread_join(threads[k], NULL);
  for (int k = 0; k < 4; k++) {
    CHECK(ids[k][0] != 0 && ids[k][1] > ids[k][0]);
    for (int j = 0; j < k; j++) CHECK(ids[j][0] >> 40 != ids[k][0] >> 40);
  }
}

static void *fail(void *unused) {
  (void)unused;
  tv_promotion_set(TV_PROMOTION_STRICT);
  return (void *)(intptr_t)(tv_error() == TV_OK && tv_promotion_set((tv_promotion)9) == TV_EVALUE &&
                            tv_error() == TV_EVALUE);
}

TEST(errors_and_settings_are_the_threads_own) {
  pthread_t thread;
  void *is_right = NULL;
  EQUAL(pthread_create(&thread, NULL, fail, NULL), 0);
  pthread_join(thread, &is_right);
  CHECK(is_right);
  EQUAL(tv_error(), TV_OK);
  EQUAL(tvi_self.promotion, TV_PROMOTION_NUMPY);
}

/* A thread that ends in the middle of things takes all of them along: the case demands it. */
static void *leave_open(void *unused) {
  tv_scope scope;
  (void)unused;
  for (int k = 0; k < 100; k++) tv_scope_begin(&scope);
  tv_tape_begin(NULL);
  tv_square(tv_ones(TV_F32, TV_SHAPE(1000)));
  return NULL;
}

TEST(the_end_of_a_thread_closes_its_scopes) {
  pthread_t thread;
  EQUAL(pthread_create(&thread, NULL, leave_open, NULL), 0);
  pthread_join(thread, NULL);
}

TEST(registering_twice_is_registering_once) {
  OK(tvi_thread_register());
  OK(tvi_thread_register());
}

TEST_MAIN("thread", CASE(ids_are_never_given_twice), CASE(errors_and_settings_are_the_threads_own),
          CASE(the_end_of_a_thread_closes_its_scopes), CASE(registering_twice_is_registering_once))
