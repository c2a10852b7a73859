/* SPDX-License-Identifier: MIT
 * Blocks of the CPU: aligned, apart, given back anywhere, kept and reused when small. */
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "cpu/cpu.h"
#include "memory.h"

static void *reserved(int64_t bytes) {
  void *block = NULL;
  OK(tvi_cpu_backend()->reserve(NULL, bytes, NULL, &block));
  return block;
}
static void released(void *block, int64_t bytes) {
  tvi_cpu_backend()->release(NULL, block, bytes, NULL, 0, NULL);
}

TEST(blocks_are_aligned_and_apart) {
  enum { N = 300 };
  static char *blocks[N];
  for (int k = 0; k < N; k++) {
    blocks[k] = reserved(1 + k * 37);
    EQUAL((uintptr_t)blocks[k] % 64, 0);
    memset(blocks[k], k & 255, (size_t)(1 + k * 37));
  }
  for (int k = 0; k < N; k++) {
    EQUAL((unsigned char)blocks[k][0], k & 255);
    EQUAL((unsigned char)blocks[k][k * 37], k & 255);
  }
  for (int k = 0; k < N; k++) released(blocks[k], 1 + k * 37);
}

TEST(small_blocks_are_reused) {
#if defined(__SANITIZE_ADDRESS__)
  SKIP("under AddressSanitizer every block is fresh");
#else
  void *const first = reserved(100);
  released(first, 100);
  void *const second = reserved(100);
  CHECK(first == second);
  released(second, 100);
#endif
}

static void *release_all(void *blocks) {
  for (int k = 0; k < 500; k++) released(((void **)blocks)[k], 64);
  return NULL;
}

TEST(blocks_end_on_any_thread) {
  static void *blocks[500];
  pthread_t thread;
  for (int k = 0; k < 500; k++) blocks[k] = reserved(64);
  EQUAL(pthread_create(&thread, NULL, release_all, blocks), 0);
  pthread_join(thread, NULL);
}

TEST(no_memory_is_an_error_with_the_size) {
  void *block = &block;
  FAILS_STATUS(TV_ENOMEM, "cpu: no memory for 1152921504606846976 bytes",
               tvi_cpu_backend()->reserve(NULL, INT64_C(1) << 60, NULL, &block));
  CHECK(!block);
  tvi_memory_fail(1, false);
  const tv_status status = tvi_cpu_backend()->reserve(NULL, 1 << 20, NULL, &block);
  tvi_memory_fail(0, false);
  EQUAL(status, TV_ENOMEM);
  tv_error_clear();
}

TEST_MAIN("cpu_allocator", CASE(blocks_are_aligned_and_apart), CASE(small_blocks_are_reused),
          CASE(blocks_end_on_any_thread), CASE(no_memory_is_an_error_with_the_size))
