/* SPDX-License-Identifier: MIT
 * Copies between host and a CUDA device: sizes around the slots of the rings, plain and pinned
 * memory, many in flight; the host side is free when a call returns. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cuda_device.h"

static void fill(unsigned char *bytes, int64_t n, unsigned seed) {
  for (int64_t k = 0; k < n; k++)
    bytes[k] = (unsigned char)(((unsigned)k * 2654435761u + seed) >> 13);
}

static void there_and_back(int64_t n, bool is_pinned) {
  unsigned char *const from = is_pinned ? tv_pinned_new(cuda(), n) : malloc((size_t)n);
  unsigned char *const back = is_pinned ? tv_pinned_new(cuda(), n) : malloc((size_t)n);
  unsigned char *const want = malloc((size_t)n);
  tv_scope scope;
  CHECK(from && back && want);
  fill(from, n, (unsigned)n);
  memcpy(want, from, (size_t)n);
  tv_scope_begin(&scope);
  tv_memory_options options = TV_MEMORY_OPTIONS;
  options.device = cuda();
  tv_tensor *const x = tv_tensor_from_memory(from, TV_U8, TV_SHAPE(n), &options);
  CHECK(x);
  memset(from, 0, (size_t)n); /* it is ours again */
  OK(tv_tensor_copy_out(x, back, n));
  CHECK(!memcmp(back, want, (size_t)n));
  OK(tv_scope_end(&scope, NULL));
  free(want);
  if (is_pinned) {
    tv_pinned_release(cuda(), from);
    tv_pinned_release(cuda(), back);
  } else {
    free(from);
    free(back);
  }
}

static const int64_t sizes[] = {1,
                                63,
                                65535,
                                65536,
                                65537,
                                1 << 20,
                                (8 << 20) - 1,
                                8 << 20,
                                (8 << 20) + 1,
                                30000001,
                                (80 << 20) + 5 /* more than all slots */};

TEST(plain_memory) {
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) there_and_back(sizes[k], false);
}

TEST(pinned_memory) {
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) there_and_back(sizes[k], true);
}

TEST(pinned_memory_is_counted) {
  fakecuda_counts before, during, after;
  if (!fake_counts(&before)) SKIP("a real driver has no books");
  void *const block = tv_pinned_new(cuda(), 1000);
  CHECK(block && (uintptr_t)block % 64 == 0);
  fake_counts(&during);
  EQUAL(during.pinned - before.pinned, 1);
  tv_pinned_release(cuda(), block);
  fake_counts(&after);
  EQUAL(after.pinned, before.pinned);
}

TEST(many_small_copies_in_flight) {
  enum { N = 200 };
  tv_tensor *all[N];
  int64_t value;
  for (int k = 0; k < N; k++) all[k] = tv_to(tv_full(TV_I64, TV_SHAPE(3), tv_scalar(k)), cuda());
  for (int k = 0; k < N; k++) {
    OK(tv_item_i64(tv_slice(all[k], "2"), &value));
    EQUAL(value, k);
  }
}

/* Threads share the rings: more than all slots are wanted at once, both ways. */
static void *to_and_fro(void *seed) {
  for (int64_t n = 1; n < 3; n++) there_and_back((n * 12 << 20) + *(int *)seed, false);
  for (int k = 0; k < 20; k++) there_and_back(1 + *(int *)seed + k * 1000, false);
  return NULL;
}

TEST(threads_share_the_rings) {
  enum { THREADS = 4 };
  pthread_t threads[THREADS];
  int seeds[THREADS] = {1, 2, 3, 4};
  for (int k = 0; k < THREADS; k++)
    CHECK(!pthread_create(&threads[k], NULL, to_and_fro, &seeds[k]));
  for (int k = 0; k < THREADS; k++) pthread_join(threads[k], NULL);
}

TEST(parts_and_layouts) {
  tv_tensor *const x = tv_reshape(tv_arange(TV_F64, 0, 24, 1), TV_SHAPE(4, 6));
  tv_tensor *const far = tv_to(tv_matrix_transpose(x), cuda());
  SAME(tv_to(far, TV_CPU), tv_matrix_transpose(x));
  SAME(tv_to(tv_flip(tv_matrix_transpose(far), TV_AXES(0)), TV_CPU), tv_flip(x, TV_AXES(0)));
  SAME(tv_to(tv_to(tv_slice(x, "0:0"), cuda()), TV_CPU), tv_slice(x, "0:0"));
  OK(tv_npy_save("cuda.npy", tv_matrix_transpose(far), NULL));
  SAME(tv_npy_load("cuda.npy", NULL), x);
  remove("cuda.npy");
}

TEST_MAIN("cuda_transfer", CASE(plain_memory), CASE(pinned_memory), CASE(pinned_memory_is_counted),
          CASE(many_small_copies_in_flight), CASE(threads_share_the_rings), CASE(parts_and_layouts))
