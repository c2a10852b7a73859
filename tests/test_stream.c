/* SPDX-License-Identifier: MIT
 * Streams, events and pinned memory of a device without queues: there, and always done. Of one with
 * queues: test_cuda_stream. */
#include <pthread.h>
#include <string.h>

#include "check.h"

TEST(streams_have_owners) {
  const int64_t live = tv_live_handles();
  tv_stream *const s = tv_stream_new(TV_CPU);
  CHECK(s);
  CHECK(tv_stream_current() == NULL);
  OK(tv_stream_set(s));
  CHECK(tv_stream_current() == s);
  tv_stream_release(s); /* the thread retains it */
  OK(tv_stream_synchronize(s));
  EQUAL(tv_live_handles() - live, 1);
  OK(tv_stream_set(NULL));
  CHECK(tv_stream_current() == NULL);
  EQUAL(tv_live_handles(), live);
  CHECK(tv_stream_retain(NULL) == NULL);
  tv_stream_release(NULL);
}

static void *leave_current(void *unused) {
  (void)unused;
  tv_stream *const s = tv_stream_new(TV_CPU);
  OK(tv_stream_set(s));
  tv_stream_release(s);
  return NULL;
}

TEST(a_thread_lets_go_of_its_stream) {
  const int64_t live = tv_live_handles();
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, leave_current, NULL) == 0);
  pthread_join(thread, NULL);
  EQUAL(tv_live_handles(), live);
}

TEST(events_are_reached_at_once) {
  tv_event *const a = tv_event_new(TV_CPU), *const b = tv_event_retain(tv_event_new(TV_CPU));
  bool is_done = false;
  double elapsed = -1;
  OK(tv_event_wait(a)); /* not recorded: nothing to wait for */
  OK(tv_event_query(a, &is_done));
  CHECK(is_done);
  OK(tv_event_record(a));
  FAILS_STATUS(TV_EVALUE, "event_elapsed: an event is not recorded",
               tv_event_elapsed(a, b, &elapsed));
  OK(tv_event_record(b));
  OK(tv_event_synchronize(b));
  OK(tv_event_wait(b));
  OK(tv_event_elapsed(a, b, &elapsed));
  CHECK(elapsed >= 0 && elapsed < 1e4);
  tv_event_release(b);
  tv_event_release(b);
  tv_event_release(a);
  tv_event_release(NULL);
}

TEST(pinned_memory_is_memory) {
  char *const block = tv_pinned_new(TV_CPU, 100);
  CHECK(block && (uintptr_t)block % 64 == 0);
  memset(block, 7, 100);
  tv_pinned_release(TV_CPU, block);
  tv_pinned_release(TV_CPU, NULL);
  FAILS(TV_EVALUE, "pinned_new: 0 bytes", tv_pinned_new(TV_CPU, 0));
}

TEST(copies_out_later_are_copies) {
  float out[3] = {0};
  OK(tv_tensor_copy_out_later(tv_arange(TV_F32, 1, 4, 1), out, sizeof out));
  CHECK(out[0] == 1 && out[2] == 3);
  FAILS_STATUS(TV_EVALUE, "tensor_copy_out: room for 4 bytes, there are 12",
               tv_tensor_copy_out_later(tv_arange(TV_F32, 1, 4, 1), out, 4));
}

TEST(mistakes_are_named) {
  bool is_done;
  double elapsed;
  FAILS(TV_EDEVICE, "stream_new: no device has the number 9: there are 1", tv_stream_new(9));
  FAILS(TV_EDEVICE, "event_new: no device has the number 9: there are 1", tv_event_new(9));
  FAILS(TV_EDEVICE, "pinned_new: no device has the number 9: there are 1", tv_pinned_new(9, 1));
  FAILS_STATUS(TV_EVALUE, "stream_synchronize: stream is NULL", tv_stream_synchronize(NULL));
  FAILS_STATUS(TV_EVALUE, "event_record: event is NULL", tv_event_record(NULL));
  FAILS_STATUS(TV_EVALUE, "event_wait: event is NULL", tv_event_wait(NULL));
  FAILS_STATUS(TV_EVALUE, "event_synchronize: event is NULL", tv_event_synchronize(NULL));
  FAILS_STATUS(TV_EVALUE, "event_query: event is NULL", tv_event_query(NULL, &is_done));
  FAILS_STATUS(TV_EVALUE, "event_elapsed: from is NULL", tv_event_elapsed(NULL, NULL, &elapsed));
  FAILS_STATUS(TV_EVALUE, "tensor_copy_out_later: x is NULL",
               tv_tensor_copy_out_later(NULL, &elapsed, 8));
}

TEST_MAIN("stream", CASE(streams_have_owners), CASE(a_thread_lets_go_of_its_stream),
          CASE(events_are_reached_at_once), CASE(pinned_memory_is_memory),
          CASE(copies_out_later_are_copies), CASE(mistakes_are_named))
