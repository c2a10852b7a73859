/* SPDX-License-Identifier: MIT
 * The CUDA allocator: cached blocks, splitting and joining, statistics, trim, the limit, memory
 * that other streams still use, and running out. On the driver that needs no GPU. */
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "cuda_device.h"

static tv_memory_stats books(void) {
  tv_memory_stats m;
  OK(tv_device_memory(cuda(), &m));
  return m;
}

static tv_tensor *bytes(int64_t n) { return tv_zeros(TV_U8, TV_SHAPE(n)); }

TEST(blocks_are_cut_from_segments) {
  tv_scope scope;
  OK(tv_device_set(cuda()));
  OK(tv_device_trim(cuda()));
  EQUAL(books().held, 0);
  tv_scope_begin(&scope);
  bytes(1);
  EQUAL(books().held, 2 << 20);
  EQUAL(books().held_free, (2 << 20) - 512);
  bytes(1000);
  EQUAL(books().held_free, (2 << 20) - 512 - 1024);
  bytes((1 << 20) + 1); /* over 1 MiB: from a segment of 20 MiB */
  EQUAL(books().held, 22 << 20);
  bytes((30 << 20) + 1); /* over 10 MiB: one of its own, in whole 2 MiB */
  EQUAL(books().held, (22 + 32) << 20);
  tv_scope_end(&scope, NULL);
  EQUAL(books().bytes, 0);
  EQUAL(books().held, 54 << 20);
  EQUAL(books().held_free, 54 << 20);
  EQUAL(books().largest_free, 32 << 20); /* neighbours have joined */
  OK(tv_device_trim(cuda()));
  EQUAL(books().held, 0);
  EQUAL(books().held_peak, 54 << 20);
  EQUAL(fake_allocations(), 0);
}

TEST(a_block_is_used_again_at_once) {
  OK(tv_device_set(cuda()));
  tv_scope scope;
  int64_t held = 0;
  for (int k = 0; k < 100; k++) {
    tv_scope_begin(&scope);
    tv_tensor *const x = tv_full(TV_F32, TV_SHAPE(100000), tv_scalar(k));
    double last = 0;
    OK(tv_item_f64(tv_slice(x, "-1"), &last));
    CHECK(last == k);
    tv_scope_end(&scope, NULL);
    if (k == 0) held = books().held;
    EQUAL(books().held, held);
  }
}

TEST(a_trim_keeps_what_is_in_use) {
  OK(tv_device_set(cuda()));
  tv_tensor *const x = tv_arange(TV_F32, 0, 1000, 1);
  OK(tv_device_trim(cuda()));
  EQUAL(books().held, 2 << 20);
  double last = 0;
  OK(tv_item_f64(tv_slice(x, "-1"), &last));
  CHECK(last == 999);
}

TEST(the_limit_is_hard) {
  OK(tv_device_set(cuda()));
  OK(tv_device_trim(cuda()));
  OK(tv_device_limit(cuda(), 8 << 20));
  EQUAL(books().limit, 8 << 20);
  tv_tensor *const kept = bytes(100);
  CHECK(!bytes(30 << 20));
  EQUAL(tv_error(), TV_ENOMEM);
  CHECK(strstr(tv_error_text(),
               "cuda:0: no memory for 31457280 bytes: 512 handed out, 2097152 held "
               "(limit 8388608), 2096640 of it free, largest piece 2096640; "));
  tv_error_clear();
  double first = 1;
  OK(tv_item_f64(tv_slice(kept, "0"), &first)); /* as before */
  CHECK(first == 0);
  OK(tv_device_limit(cuda(), 0));
  CHECK(bytes(30 << 20));
}

/* What is cached for other sizes is given back before the limit is an error. */
TEST(caches_make_room) {
  OK(tv_device_set(cuda()));
  OK(tv_device_trim(cuda()));
  OK(tv_device_limit(cuda(), 64 << 20));
  tv_scope scope;
  for (int k = 0; k < 4; k++) {
    tv_scope_begin(&scope);
    CHECK(bytes((int64_t)(40 + 4 * k) << 20));
    tv_scope_end(&scope, NULL);
  }
  OK(tv_device_limit(cuda(), 0));
}

/* Kernels take memory of the device too: a launch without any is tried again when the cache has
 * given its own back. */
TEST(launches_are_given_room) {
  void (*fail_call)(int64_t, int, fakecuda_how);
  const char *(*name_of)(int64_t);
  void *const address = fake_symbol("fakecuda_fail"), *const names =
                                                          fake_symbol("fakecuda_call_name");
  if (!address) SKIP("a real driver fails when it must");
  memcpy(&fail_call, &address, sizeof fail_call);
  memcpy(&name_of, &names, sizeof name_of);
  OK(tv_device_set(cuda()));
  tv_tensor *const x = tv_ones(TV_F32, TV_SHAPE(100));
  int launches = 0;
  tv_add(x, x); /* its kernel is loaded */
  for (int64_t k = 1; k <= 6; k++) {
    fakecuda_counts before;
    tv_scope scope;
    double last = 0;
    tv_scope_begin(&scope);
    bytes(30 << 20);
    tv_scope_end(&scope, NULL); /* something to give back */
    fake_counts(&before);
    fail_call(k, 2, FAKECUDA_ONCE);
    tv_tensor *const y = tv_add(x, x);
    const char *const failed = name_of(before.calls + k); /* NULL: it has not come to that */
    if (failed && !strcmp(failed, "cuLaunchKernel")) {
      launches++;
      CHECK(y);
      EQUAL(tv_error(), TV_OK);
      EQUAL(books().held, 2 << 20);
    }
    fail_call(0, 0, FAKECUDA_ONCE);
    tv_error_clear();
    OK(tv_item_f64(tv_slice(tv_add(x, x), "-1"), &last));
    CHECK(last == 2);
  }
  EQUAL(launches, 1);
}

/* The bytes of x are read on a second stream, late; they are not given out before. */
TEST(blocks_wait_for_other_streams) {
  OK(tv_device_set(cuda()));
  tv_stream *const side = tv_stream_new(cuda());
  for (int k = 0; k < 20; k++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    tv_tensor *const x = tv_full(TV_F32, TV_SHAPE(5000), tv_scalar(k));
    OK(tv_stream_set(side));
    tv_tensor *y = tv_add(x, tv_scalar(1));
    OK(tv_stream_set(NULL));
    tv_scope_end(&scope, &y); /* x is released here */
    tv_tensor *const other = tv_full(TV_F32, TV_SHAPE(5000), tv_scalar(-7));
    double last = 0;
    OK(tv_device_synchronize(cuda()));
    OK(tv_item_f64(tv_slice(y, "-1"), &last));
    CHECK(last == k + 1);
    OK(tv_item_f64(tv_slice(other, "-1"), &last));
    CHECK(last == -7);
  }
  tv_stream_release(side);
}

static void *churn(void *unused) {
  (void)unused;
  tv_scope scope;
  OK(tv_device_set(cuda()));
  for (int k = 0; k < 200; k++) {
    tv_scope_begin(&scope);
    tv_tensor *const x = tv_full(TV_I32, TV_SHAPE(1 + k * 37 % 3000), tv_scalar(k));
    int64_t value = 0;
    OK(tv_item_i64(tv_slice(x, "-1"), &value));
    EQUAL(value, k);
    tv_scope_end(&scope, NULL);
  }
  return NULL;
}

TEST(threads_share_the_cache) {
  enum { THREADS = 4 };
  pthread_t threads[THREADS];
  for (int k = 0; k < THREADS; k++) CHECK(!pthread_create(&threads[k], NULL, churn, NULL));
  for (int k = 0; k < THREADS; k++) pthread_join(threads[k], NULL);
  EQUAL(books().bytes, 0);
  OK(tv_device_trim(cuda()));
  EQUAL(fake_allocations(), 0);
}

TEST_MAIN("cuda_memory", CASE(blocks_are_cut_from_segments), CASE(a_block_is_used_again_at_once),
          CASE(a_trim_keeps_what_is_in_use), CASE(the_limit_is_hard), CASE(caches_make_room),
          CASE(launches_are_given_room), CASE(blocks_wait_for_other_streams),
          CASE(threads_share_the_cache))
