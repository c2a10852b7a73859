/* SPDX-License-Identifier: MIT
 * Blocks of the CPU: aligned, apart, given back anywhere, kept and reused, within cap and limit. */
#define _GNU_SOURCE /* RUSAGE_THREAD */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS 0
#endif
#endif
#ifndef KEEPS
#define KEEPS 1
#endif

static tv_memory_stats stats(void) {
  tv_memory_stats s;
  OK(tv_device_memory(TV_CPU, &s));
  return s;
}

/* A released block serves the next one of its class, from 4 KiB to the huge. */
TEST(blocks_are_kept_and_reused) {
  if (!KEEPS) SKIP("under AddressSanitizer every block is fresh");
  for (int64_t bytes = 5000; bytes < 1 << 27; bytes = bytes * 5 / 2) {
    void *const first = reserved(bytes);
    memset(first, 1, (size_t)bytes);
    released(first, bytes);
    void *const second = reserved(bytes - bytes / 20000);
    CHECK(first == second);
    released(second, bytes - bytes / 20000);
  }
  OK(tv_device_trim(TV_CPU));
  EQUAL(stats().held_free, 0);
  EQUAL(stats().largest_free, 0);
}

TEST(classes_waste_an_eighth_at_most) {
  OK(tv_device_trim(TV_CPU));
  const int64_t before = stats().held;
  const int64_t most = INT64_C(1) << (sizeof(void *) == 8 ? 33 : 30);
  for (int64_t bytes = 4097; bytes < most; bytes = bytes * 9 / 8 + 1) {
    void *const block = reserved(bytes);
    const int64_t held = stats().held - before;
    CHECK(held >= bytes && (double)held <= 1.125 * (double)bytes);
    EQUAL((uintptr_t)block % 64, 0);
    released(block, bytes);
    OK(tv_device_trim(TV_CPU));
    EQUAL(stats().held, before);
  }
}

TEST(statistics_tell_what_waits) {
  OK(tv_device_trim(TV_CPU));
  const int64_t before = stats().held;
  void *const a = reserved(8 << 20), *const b = reserved(1 << 20);
  EQUAL(stats().held - before, 9 << 20);
  EQUAL(stats().held_free, 0);
  released(a, 8 << 20);
  EQUAL(stats().held - before, KEEPS ? 9 << 20 : 1 << 20);
  EQUAL(stats().held_free, KEEPS ? 8 << 20 : 0);
  EQUAL(stats().largest_free, KEEPS ? 8 << 20 : 0);
  released(b, 1 << 20);
  EQUAL(stats().held_free, KEEPS ? 9 << 20 : 0);
  CHECK(stats().held_peak >= before + (9 << 20));
  OK(tv_device_trim(TV_CPU));
  EQUAL(stats().held, before);
}

/* What waits makes room; what is handed out does not. */
TEST(a_limit_is_kept_after_trimming) {
  OK(tv_device_trim(TV_CPU));
  const int64_t before = stats().held;
  void *const a = reserved(16 << 20), *const b = reserved(16 << 20);
  OK(tv_device_limit(TV_CPU, before + (40 << 20)));
  EQUAL(stats().limit, before + (40 << 20));
  released(a, 16 << 20);
  void *c = reserved(20 << 20); /* in the place of a */
  EQUAL(stats().held - before, 36 << 20);
  void *d = &d;
  char text[200];
  snprintf(text, sizeof text,
           "cpu: no memory for 8388608 bytes: %lld handed out, %lld held (limit %lld)",
           (long long)(before + (36 << 20)), (long long)(before + (36 << 20)),
           (long long)(before + (40 << 20)));
  FAILS_STATUS(TV_ENOMEM, text, tvi_cpu_backend()->reserve(NULL, 8 << 20, NULL, &d));
  CHECK(!d);
  EQUAL(stats().held - before, 36 << 20);
  OK(tv_device_limit(TV_CPU, 0));
  d = reserved(8 << 20);
  released(b, 16 << 20);
  released(c, 20 << 20);
  released(d, 8 << 20);
  OK(tv_device_limit(TV_CPU, before + 1)); /* and gives back what waits */
  CHECK(stats().held_free <= 1);
  OK(tv_device_limit(TV_CPU, 0));
}

/* One step of work on sizes that stay the same. */
static void step(void) {
  static const int64_t sizes[] = {5000, 70000, 1 << 20, 3 << 20, 40 << 20, 5000, 3 << 20};
  enum { N = sizeof sizes / sizeof *sizes };
  char *blocks[N];
  for (int k = 0; k < N; k++) {
    blocks[k] = reserved(sizes[k]);
    for (int64_t at = 0; at < sizes[k]; at += 4096) blocks[k][at] = 1;
  }
  for (int k = 0; k < N; k++) released(blocks[k], sizes[k]);
}

TEST(a_steady_state_meets_no_page_fault) {
  if (!KEEPS) SKIP("under AddressSanitizer every block is fresh");
  for (int k = 0; k < 3; k++) step();
  struct rusage before, after;
  const int64_t held = stats().held;
  getrusage(RUSAGE_THREAD, &before);
  for (int k = 0; k < 50; k++) step();
  getrusage(RUSAGE_THREAD, &after);
  EQUAL(stats().held, held); /* nor anything of the system's */
#ifndef __SANITIZE_THREAD__
  EQUAL(after.ru_minflt - before.ru_minflt, 0);
#endif
  OK(tv_device_trim(TV_CPU));
}

static void *work(void *seed) {
  uint32_t state = *(const uint32_t *)seed;
  enum { N = 16 };
  unsigned char *blocks[N] = {NULL};
  int64_t sizes[N];
  for (int k = 0; k < 3000; k++) {
    state = state * 1664525 + 1013904223;
    const int at = (int)(state >> 28);
    if (blocks[at]) {
      if (blocks[at][0] != at || blocks[at][sizes[at] - 1] != at) return seed;
      released(blocks[at], sizes[at]);
      blocks[at] = NULL;
    } else {
      sizes[at] = 1 + (int64_t)(state >> 8 & 0xffff) * (state % 7 == 0 ? 64 : 1);
      blocks[at] = reserved(sizes[at]);
      blocks[at][0] = blocks[at][sizes[at] - 1] = (unsigned char)at;
    }
    if (state % 509 == 0) tv_device_trim(TV_CPU);
  }
  for (int at = 0; at < N; at++)
    if (blocks[at]) released(blocks[at], sizes[at]);
  return NULL;
}

TEST(eight_threads_share_the_cache) {
  pthread_t threads[8];
  uint32_t seeds[8];
  const int64_t before = stats().held - stats().held_free;
  for (int k = 0; k < 8; k++) {
    seeds[k] = (uint32_t)k * 77 + 1;
    EQUAL(pthread_create(&threads[k], NULL, work, &seeds[k]), 0);
  }
  for (int k = 0; k < 8; k++) {
    void *wrong = NULL;
    pthread_join(threads[k], &wrong);
    CHECK(!wrong);
  }
  EQUAL(stats().held - stats().held_free, before);
}

enum { UNIT = 4 << 20 };

/* How many of eight blocks wait in a child whose allocator begins with this environment. */
static int waiting_with(const char *cap) {
  const pid_t child = fork();
  if (child == 0) {
    void *blocks[8];
    tv_memory_stats s;
    setenv("TV_CPU_CACHE_BYTES", cap, 1);
    for (int k = 0; k < 8; k++)
      if (tvi_cpu_reserve(NULL, UNIT, NULL, &blocks[k])) _exit(100);
    for (int k = 0; k < 8; k++) tvi_cpu_release(NULL, blocks[k], UNIT, NULL, 0, NULL);
    _exit(tv_device_memory(TV_CPU, &s) ? 100 : (int)(s.held_free / UNIT));
  }
  int status = -1;
  CHECK(child > 0);
  EQUAL(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

/* The first case: in this process nothing has asked for a large block yet. */
TEST(the_cap_is_kept_and_chosen) {
  EQUAL(waiting_with("0"), 0);
  EQUAL(waiting_with("13000000"), KEEPS ? 3 : 0);
  EQUAL(waiting_with("nonsense"), KEEPS ? 8 : 0); /* the default */
}

TEST_MAIN(
    "cpu_allocator", CASE(the_cap_is_kept_and_chosen), CASE(blocks_are_aligned_and_apart),
    CASE(small_blocks_are_reused), CASE(blocks_end_on_any_thread), CASE(blocks_are_kept_and_reused),
    CASE(classes_waste_an_eighth_at_most), CASE(statistics_tell_what_waits),
    CASE(a_limit_is_kept_after_trimming), CASE(a_steady_state_meets_no_page_fault),
    CASE(eight_threads_share_the_cache),
    CASE(no_memory_is_an_error_with_the_size)) /* last: from there on allocations are counted */
