/* SPDX-License-Identifier: MIT
 * The allocator table: faults on demand, small blocks. */
#include "memory.h"

#include <pthread.h>
#include <string.h>

#include "check.h"

TEST(the_nth_call_fails) {
  tvi_memory_fail(2, false);
  void *const a = tvi_malloc(8), *const b = tvi_malloc(8), *const c = tvi_malloc(8);
  EQUAL(tvi_memory_calls(), 3);
  tvi_memory_fail(0, false);
  CHECK(a && !b && c);
  tvi_free(a);
  tvi_free(c);
}

TEST(or_all_from_the_nth_on) {
  tvi_memory_fail(2, true);
  void *const a = tvi_calloc(2, 4), *const b = tvi_realloc(NULL, 8),
              *const c = tvi_aligned_alloc(64, 64), *const d = tvi_block_alloc(64);
  tvi_memory_fail(0, false);
  CHECK(a && !b && !c && !d);
  tvi_free(a);
}

TEST(negative_and_empty_sizes) {
  CHECK(!tvi_malloc(-1) && !tvi_calloc(-1, 8) && !tvi_calloc(8, -1) && !tvi_aligned_alloc(64, -1));
  void *block = tvi_malloc(0);
  CHECK(block);
  CHECK(!tvi_realloc(block, -1)); /* and the block is as it was */
  block = tvi_realloc(block, 100);
  CHECK(block);
  tvi_free(block);
}

TEST(aligned_blocks_are) {
  void *const block = tvi_aligned_alloc(4096, 10);
  EQUAL((uintptr_t)block % 4096, 0);
  tvi_free(block);
}

static void *free_all(void *blocks) {
  for (int k = 0; k < 2000; k++) tvi_block_free(((void **)blocks)[k], 1 + k % 300);
  return NULL;
}

TEST(small_blocks_are_apart_and_may_end_on_another_thread) {
  static void *blocks[2000];
  for (int k = 0; k < 2000; k++) {
    CHECK(blocks[k] = tvi_block_alloc(1 + k % 300));
    memset(blocks[k], k & 255, (size_t)(1 + k % 300));
  }
  for (int k = 0; k < 2000; k++) EQUAL(((unsigned char *)blocks[k])[k % 300], k & 255);
  pthread_t thread;
  EQUAL(pthread_create(&thread, NULL, free_all, blocks), 0);
  pthread_join(thread, NULL);
}

TEST_MAIN("memory", CASE(the_nth_call_fails), CASE(or_all_from_the_nth_on),
          CASE(negative_and_empty_sizes), CASE(aligned_blocks_are),
          CASE(small_blocks_are_apart_and_may_end_on_another_thread))
