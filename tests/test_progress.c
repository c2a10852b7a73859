/* SPDX-License-Identifier: MIT
 * What callers are told of long reads and writes: when, how much, and that they may stop them. */
#include "io/progress.h"

#include "check.h"

static struct {
  int calls, stop_at;
  int64_t done, total;
} seen;

static bool note(void *user, int64_t done, int64_t total) {
  CHECK(user == &seen);
  seen.done = done;
  seen.total = total;
  return ++seen.calls != seen.stop_at;
}

enum { STEP = TVI_PROGRESS_STEP };

TEST(it_is_told_at_the_start_in_steps_and_at_the_end) {
  tvi_progress p;
  seen.calls = seen.stop_at = 0;
  OK(tvi_progress_begin(&p, "x", note, &seen, 3 * STEP));
  EQUAL(seen.calls, 1);
  EQUAL(seen.done, 0);
  EQUAL(seen.total, 3 * STEP);
  OK(tvi_progress_add(&p, "x", STEP - 1));
  EQUAL(seen.calls, 1);
  OK(tvi_progress_add(&p, "x", 1));
  EQUAL(seen.calls, 2);
  OK(tvi_progress_add(&p, "x", 2 * STEP));
  EQUAL(seen.calls, 3);
  EQUAL(seen.done, 3 * STEP);
  OK(tvi_progress_add(&p, "x", 0));
  EQUAL(seen.calls, 3);
  OK(tvi_progress_begin(&p, "x", note, &seen, 0)); /* nothing to do is told once */
  OK(tvi_progress_add(&p, "x", 0));
  EQUAL(seen.calls, 4);
}

TEST(nobody_need_listen) {
  tvi_progress p;
  OK(tvi_progress_begin(&p, "x", NULL, NULL, 3 * STEP));
  OK(tvi_progress_add(&p, "x", 3 * STEP));
}

TEST(false_stops_it) {
  tvi_progress p;
  seen.calls = 0;
  seen.stop_at = 1;
  FAILS_STATUS(TV_ECANCELED, "x: stopped by the caller after 0 of 9 bytes",
               tvi_progress_begin(&p, "x", note, &seen, 9));
  seen.calls = 0;
  seen.stop_at = 2;
  OK(tvi_progress_begin(&p, "x", note, &seen, 9));
  OK(tvi_progress_add(&p, "x", 4));
  FAILS_STATUS(TV_ECANCELED, "x: stopped by the caller after 9 of 9 bytes",
               tvi_progress_add(&p, "x", 5));
}

TEST(parts_are_told_of_as_one) {
  tv_npy_options o = TV_NPY_OPTIONS;
  tvi_progress_part part;
  OK(tvi_progress_share(&part, "x", &o, 10));
  CHECK(!o.progress);
  OK(tvi_progress_passed(&part, "x", 10));
  o.progress = note;
  o.progress_user = &seen;
  seen.calls = seen.stop_at = 0;
  OK(tvi_progress_share(&part, "x", &o, 10));
  EQUAL(seen.calls, 1);
  EQUAL(seen.done, 0);
  CHECK(o.progress(o.progress_user, 0, 4)); /* which has been told */
  EQUAL(seen.calls, 1);
  CHECK(o.progress(o.progress_user, 3, 4));
  EQUAL(seen.done, 3);
  EQUAL(seen.total, 10);
  OK(tvi_progress_passed(&part, "x", 4));
  EQUAL(seen.done, 4);
  CHECK(o.progress(o.progress_user, 1, 6));
  OK(tvi_progress_passed(&part, "x", 6)); /* of which no more was told */
  EQUAL(seen.done, 10);
  EQUAL(seen.calls, 5);
  seen.calls = 0;
  seen.stop_at = 2;
  o.progress = note;
  o.progress_user = &seen;
  OK(tvi_progress_share(&part, "x", &o, 10));
  FAILS_STATUS(TV_ECANCELED, "x: stopped by the caller after 4 of 10 bytes",
               tvi_progress_passed(&part, "x", 4));
  seen.calls = 0;
  seen.stop_at = 1;
  o.progress = note;
  o.progress_user = &seen;
  FAILS_STATUS(TV_ECANCELED, "x: stopped by the caller after 0 of 10 bytes",
               tvi_progress_share(&part, "x", &o, 10));
}

TEST_MAIN("progress", CASE(it_is_told_at_the_start_in_steps_and_at_the_end),
          CASE(nobody_need_listen), CASE(false_stops_it), CASE(parts_are_told_of_as_one))
