/* SPDX-License-Identifier: MIT
 * Streams of the CUDA module: results are ordered with no help, in and out of place; events; copies
 * that come later; one current stream a thread. On the driver that needs no GPU streams run only
 * when they are waited for, so an order that is not asked for is a wrong value every time. */
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "cuda_device.h"

enum { N = 3000 };

static double last_of(tv_tensor *x) {
  double value = -1;
  OK(tv_item_f64(tv_slice(x, "-1"), &value));
  return value;
}

TEST(a_reader_waits_for_the_writer) {
  OK(tv_device_set(cuda()));
  tv_stream *const a = tv_stream_new(cuda()), *const b = tv_stream_new(cuda());
  OK(tv_stream_set(a));
  tv_tensor *const x = tv_full(TV_F32, TV_SHAPE(N), tv_scalar(3));
  OK(tv_stream_set(b));
  tv_tensor *const y = tv_add(x, x);
  OK(tv_stream_set(NULL));
  tv_tensor *const z = tv_multiply(y, x);
  CHECK(last_of(z) == 18);
  OK(tv_stream_synchronize(a));
  OK(tv_stream_synchronize(b));
  tv_stream_release(a);
  tv_stream_release(b);
}

TEST(every_kind_of_op_waits) {
  OK(tv_device_set(cuda()));
  tv_stream *const side = tv_stream_new(cuda());
  tv_tensor *const x = tv_reshape(tv_arange(TV_F32, 0, 64, 1), TV_SHAPE(8, 8));
  OK(tv_stream_set(side));
  tv_tensor *const made[] = {tv_to(tv_matmul(x, x), TV_CPU), tv_to(tv_sum(x, TV_AXES(0)), TV_CPU),
                             tv_to(tv_astype(x, TV_F64), TV_CPU),
                             tv_to(tv_take(x, tv_arange_int(TV_I64, 1, 3, 1), 0), TV_CPU),
                             tv_to(tv_concat(2, (tv_tensor *[]){x, x}, 1), TV_CPU)};
  OK(tv_stream_set(NULL));
  OK(tv_device_set(TV_CPU));
  tv_tensor *const near = tv_reshape(tv_arange(TV_F32, 0, 64, 1), TV_SHAPE(8, 8));
  tv_tensor *const want[] = {tv_matmul(near, near), tv_sum(near, TV_AXES(0)),
                             tv_astype(near, TV_F64),
                             tv_take(near, tv_arange_int(TV_I64, 1, 3, 1), 0),
                             tv_concat(2, (tv_tensor *[]){near, near}, 1)};
  for (size_t k = 0; k < sizeof want / sizeof *want; k++) SAME(made[k], want[k]);
  tv_stream_release(side);
}

/* A Variable is written in place on one stream, behind the readers on another. */
TEST(in_place_writes_wait_for_readers) {
  OK(tv_device_set(cuda()));
  tv_stream *const side = tv_stream_new(cuda());
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(N)), NULL);
  tv_tensor *y = NULL, *z = NULL;
  tv_scope scope;
  OK(tv_variable_assign_add(v, tv_scalar(1)));
  tv_scope_begin(&scope);
  y = tv_add(tv_read(v), tv_scalar(10));
  tv_scope_end(&scope, &y);
  OK(tv_stream_set(side));
  OK(tv_variable_assign_add(v, tv_scalar(1)));
  OK(tv_variable_assign_slice(v, "-1:", tv_scalar(5)));
  OK(tv_stream_set(NULL));
  tv_scope_begin(&scope);
  z = tv_add(tv_read(v), tv_scalar(10));
  tv_scope_end(&scope, &z);
  CHECK(last_of(z) == 15);
  CHECK(last_of(tv_slice(z, ":-1")) == 12);
  CHECK(last_of(y) == 11);
  tv_variable_release(v);
  tv_stream_release(side);
}

TEST(events_mark_and_order) {
  OK(tv_device_set(cuda()));
  tv_event *const from = tv_event_new(cuda()), *const to = tv_event_new(cuda());
  bool is_done = false;
  double elapsed = -1;
  OK(tv_event_wait(from));
  OK(tv_event_synchronize(from));
  OK(tv_event_query(from, &is_done));
  CHECK(is_done);
  OK(tv_event_record(from));
  tv_tensor *const x = tv_exp(tv_zeros(TV_F32, TV_SHAPE(N)));
  OK(tv_event_record(to));
  OK(tv_event_wait(to));
  OK(tv_event_synchronize(to));
  OK(tv_event_query(to, &is_done));
  CHECK(is_done);
  OK(tv_event_elapsed(from, to, &elapsed));
  CHECK(elapsed >= 0);
  CHECK(last_of(x) == 1);
  tv_event *const near = tv_event_new(TV_CPU);
  FAILS_STATUS(TV_EVALUE, "event_elapsed: events of cuda:0 and of cpu",
               tv_event_elapsed(from, near, &elapsed));
  tv_event_release(near);
  tv_event_release(from);
  tv_event_release(to);
}

TEST(copies_come_later) {
  OK(tv_device_set(cuda()));
  tv_tensor *const x = tv_full(TV_F32, TV_SHAPE(N), tv_scalar(4));
  float *const out = tv_pinned_new(cuda(), N * 4);
  CHECK(out);
  memset(out, 0, N * 4);
  OK(tv_tensor_copy_out_later(tv_square(x), out, N * 4));
  fakecuda_counts counts;
  if (fake_counts(&counts)) CHECK(out[0] == 0); /* nobody has waited yet */
  OK(tv_device_synchronize(cuda()));
  CHECK(out[0] == 16 && out[N - 1] == 16);
  FAILS_STATUS(TV_EVALUE, "tensor_copy_out_later: room for 4 bytes, there are 12000",
               tv_tensor_copy_out_later(x, out, 4));
  OK(tv_tensor_copy_out(x, out, N * 4)); /* into pinned memory, at once */
  CHECK(out[N - 1] == 4);
  tv_pinned_release(cuda(), out);
}

TEST(streams_are_lent_again) {
  tv_stream *all[63];
  for (int round = 0; round < 3; round++) {
    for (int k = 0; k < 63; k++) CHECK((all[k] = tv_stream_new(cuda())) != NULL);
    FAILS(TV_EVALUE, "stream_new: 63 streams of cuda:0 are in use", tv_stream_new(cuda()));
    for (int k = 0; k < 63; k++) tv_stream_release(all[k]);
  }
  fakecuda_counts counts;
  if (fake_counts(&counts)) EQUAL(counts.streams, 64);
}

static void *work(void *number) {
  const double k = *(double *)number;
  tv_stream *const mine = tv_stream_new(cuda());
  tv_scope scope;
  OK(tv_device_set(cuda()));
  OK(tv_stream_set(mine));
  tv_stream_release(mine);
  for (int round = 0; round < 20; round++) {
    tv_scope_begin(&scope);
    tv_tensor *x = tv_full(TV_F64, TV_SHAPE(N), tv_scalar(k));
    for (int step = 0; step < 5; step++) x = tv_add(x, tv_scalar(1));
    CHECK(last_of(x) == k + 5);
    tv_scope_end(&scope, NULL);
  }
  return NULL;
}

TEST(threads_have_streams_of_their_own) {
  enum { THREADS = 3 };
  pthread_t threads[THREADS];
  double numbers[THREADS] = {1, 20, 300};
  for (int k = 0; k < THREADS; k++) CHECK(!pthread_create(&threads[k], NULL, work, &numbers[k]));
  for (int k = 0; k < THREADS; k++) pthread_join(threads[k], NULL);
}

TEST_MAIN("cuda_stream", CASE(a_reader_waits_for_the_writer), CASE(every_kind_of_op_waits),
          CASE(in_place_writes_wait_for_readers), CASE(events_mark_and_order),
          CASE(copies_come_later), CASE(streams_are_lent_again),
          CASE(threads_have_streams_of_their_own))
