/* SPDX-License-Identifier: MIT
 * Scopes: who owns what, and every wrong order. */
#include <pthread.h>

#include "check.h"

static tv_tensor *one(void) { return tv_ones(TV_F32, TV_SHAPE(1)); }

TEST(end_releases_what_it_owns) {
  tv_scope scope;
  const int64_t before = tv_live_handles();
  OK(tv_scope_begin(&scope));
  for (int k = 0; k < 200; k++) one();
  CHECK(tv_live_handles() > before + 200);
  OK(tv_scope_end(&scope, NULL));
  EQUAL(tv_live_handles(), before);
}

TEST(kept_tensor_moves_out) {
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  tv_tensor *y = tv_add(one(), one());
  OK(tv_scope_end(&scope, &y));
  HOLDS(y, 2);
}

TEST(any_number_may_be_kept) {
  tv_scope scope;
  tv_tensor *kept[5];
  OK(tv_scope_begin(&scope));
  for (int k = 0; k < 5; k++) {
    one();
    kept[k] = tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(k));
  }
  for (int k = 4; k >= 0; k -= 2) OK(tv_scope_keep(kept[k]));
  OK(tv_scope_keep(NULL));
  OK(tv_scope_end(&scope, NULL));
  for (int k = 4; k >= 0; k -= 2) HOLDS(kept[k], k);
}

TEST(keeping_what_another_scope_owns_does_nothing) {
  tv_scope scope;
  tv_tensor *outer = one();
  OK(tv_scope_begin(&scope));
  OK(tv_scope_keep(outer));
  OK(tv_scope_end(&scope, &outer));
  HOLDS(outer, 1);
}

TEST(retained_tensor_outlives_its_scope) {
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  tv_tensor *const y = tv_retain(one());
  OK(tv_scope_end(&scope, NULL));
  HOLDS(y, 1);
  tv_release(y);
  tv_release(NULL);
  CHECK(!tv_retain(NULL));
}

TEST(scopes_left_open_are_ended_and_named) {
  tv_scope outer, inner;
  OK(tv_scope_begin(&outer));
  OK(tv_scope_begin_at(&inner, "there.c", 42));
  tv_tensor *y = one();
  FAILS_STATUS(TV_ESCOPE, "scope_end: a scope inside is still open: begun at there.c:42",
               tv_scope_end(&outer, &y));
  HOLDS(y, 1); /* through both */
  FAILS_STATUS(TV_ESCOPE, "scope_end: this scope is not open on this thread",
               tv_scope_end(&inner, NULL));
}

TEST(ended_twice_or_never_begun_is_an_error) {
  tv_scope scope, never = {12345};
  OK(tv_scope_begin(&scope));
  OK(tv_scope_end(&scope, NULL));
  FAILS_STATUS(TV_ESCOPE, "scope_end: this scope is not open on this thread",
               tv_scope_end(&scope, NULL));
  FAILS_STATUS(TV_ESCOPE, "scope_end: this scope is not open on this thread",
               tv_scope_end(&never, NULL));
  FAILS_STATUS(TV_EVALUE, "scope_end: scope is NULL", tv_scope_end(NULL, NULL));
  FAILS_STATUS(TV_EVALUE, "scope_begin: scope is NULL", tv_scope_begin(NULL));
}

TEST(end_reports_the_first_failure_inside) {
  tv_scope outer, inner;
  OK(tv_scope_begin(&outer));
  OK(tv_scope_begin(&inner));
  tv_add(one(), tv_ones(TV_F32, TV_SHAPE(2, 3, 4)));
  tv_add(tv_ones(TV_F32, TV_SHAPE(2)), tv_ones(TV_F32, TV_SHAPE(3)));
  EQUAL(tv_scope_end(&inner, NULL), TV_ESHAPE);
  SAME_TEXT(tv_error_text(), "add: shapes do not broadcast: [2] and [3]");
  OK(tv_scope_begin(&inner)); /* a later scope has not failed, though the text is still there */
  one();
  OK(tv_scope_end(&inner, NULL));
  EQUAL(tv_scope_end(&outer, NULL), TV_ESHAPE);
  tv_error_clear();
}

/* What needs no scope around it runs on a thread of its own. */
static void *outermost(void *unused) {
  tv_scope scope;
  intptr_t wrong = 0;
  (void)unused;
  wrong += tv_ones(TV_F32, TV_SHAPE(1)) != NULL || tv_error() != TV_ESCOPE;
  tv_tensor *const x = NULL;
  wrong += tv_exp(x) != NULL || tv_error() != TV_ESCOPE; /* the first failure stays */
  wrong += tv_scope_keep((tv_tensor *)&scope) != TV_ESCOPE;
  tv_scope_begin(&scope); /* outermost: clears the error */
  wrong += tv_error() != TV_OK;
  tv_tensor *y = tv_ones(TV_F32, TV_SHAPE(1));
  wrong += tv_scope_keep(y) != TV_ESCOPE; /* nobody to hand it to */
  wrong += tv_scope_end(&scope, &y) != TV_ESCOPE || y != NULL;
  tv_scope_begin(&scope); /* left open: the thread's end closes it */
  tv_ones(TV_F32, TV_SHAPE(100));
  tv_tape_begin(NULL);
  return (void *)wrong;
}

TEST(outermost_scopes) {
  pthread_t thread;
  void *wrong;
  EQUAL(pthread_create(&thread, NULL, outermost, NULL), 0);
  pthread_join(thread, &wrong);
  EQUAL((intptr_t)wrong, 0);
}

static void *end_of_another(void *scope) { return (void *)(intptr_t)tv_scope_end(scope, NULL); }

TEST(another_thread_cannot_end_it) {
  tv_scope scope;
  pthread_t thread;
  void *status;
  OK(tv_scope_begin(&scope));
  EQUAL(pthread_create(&thread, NULL, end_of_another, &scope), 0);
  pthread_join(thread, &status);
  EQUAL((intptr_t)status, TV_ESCOPE);
  OK(tv_scope_end(&scope, NULL));
}

/* Random sequences of begin, op, keep, end in any order leave nothing behind. */
TEST(random_sequences_leave_nothing) {
  uint32_t state = 1;
  for (int round = 0; round < 10000; round++) {
    tv_scope root, open[8];
    int depth = 0;
    OK(tv_scope_begin(&root));
    tv_tensor *x = one();
    for (int step = 0; step < 12; step++) {
      state = state * 1664525u + 1013904223u;
      switch (state >> 24 & 3) {
        case 0:
          if (depth < 8) tv_scope_begin(&open[depth++]);
          break;
        case 1:
          x = tv_add(one(), tv_scalar(1));
          break;
        case 2:
          tv_scope_keep(x);
          break;
        default:
          if (depth) {
            depth = (int)(state >> 16 & 7) % depth;
            tv_scope_end(&open[depth], NULL);
            x = one();
          }
      }
    }
    tv_scope_end(&root, NULL);
    tv_error_clear();
  }
}

TEST_MAIN("scope", CASE(end_releases_what_it_owns), CASE(kept_tensor_moves_out),
          CASE(any_number_may_be_kept), CASE(keeping_what_another_scope_owns_does_nothing),
          CASE(retained_tensor_outlives_its_scope), CASE(scopes_left_open_are_ended_and_named),
          CASE(ended_twice_or_never_begun_is_an_error), CASE(end_reports_the_first_failure_inside),
          CASE(outermost_scopes), CASE(another_thread_cannot_end_it),
          CASE(random_sequences_leave_nothing))
