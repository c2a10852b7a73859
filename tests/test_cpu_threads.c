/* SPDX-License-Identifier: MIT
 * The pool of threads and the allocator: every chunk once, from many callers, nested, in forked
 * children, under the caller's MXCSR; idle workers sleep, and no caller's affinity is touched. */
#define _GNU_SOURCE /* sched_getaffinity */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "cpu_job.h"

enum { CHUNKS = 1000 };

typedef struct counts {
  atomic_int of[CHUNKS];
} counts;

static void count(void *context, int64_t i) { atomic_fetch_add(&((counts *)context)->of[i], 1); }

static bool all_once(counts *c) {
  bool is_right = true;
  for (int i = 0; i < CHUNKS; i++) is_right &= atomic_exchange(&c->of[i], 0) == 1;
  return is_right;
}

TEST(every_chunk_runs_once) {
  static counts c;
  for (int threads = 1; threads <= 9; threads++) {
    tv_threads_set(threads);
    for (int round = 0; round < 200; round++) {
      tvi_parallel(CHUNKS, count, &c);
      CHECK(all_once(&c));
    }
  }
  tvi_parallel(0, count, &c);
  tvi_parallel(1, count, &c);
  EQUAL(atomic_exchange(&c.of[0], 0), 1);
  tv_threads_set(0);
}

static void nest(void *context, int64_t i) {
  counts *const c = (counts *)context + i;
  tvi_parallel(CHUNKS, count, c);
}

TEST(nested_jobs_run_inline) {
  static counts c[20];
  tv_threads_set(4);
  tvi_parallel(20, nest, c);
  for (int i = 0; i < 20; i++) CHECK(all_once(&c[i]));
  tv_threads_set(0);
}

static void *call(void *unused) {
  (void)unused;
  counts *const c = calloc(1, sizeof *c);
  bool is_right = c != NULL;
  for (int round = 0; c && round < 300; round++) {
    tvi_parallel(CHUNKS, count, c);
    is_right &= all_once(c);
  }
  free(c);
  static int right;
  return is_right ? &right : NULL;
}

TEST(many_callers_at_once_are_served) {
  pthread_t threads[6];
  tv_threads_set(3);
  for (int i = 0; i < 6; i++) EQUAL(pthread_create(&threads[i], NULL, call, NULL), 0);
  int right = 0;
  for (int i = 0; i < 6; i++) {
    void *result = NULL;
    pthread_join(threads[i], &result);
    right += result != NULL;
  }
  EQUAL(right, 6);
  tv_threads_set(0);
}

#ifdef __SANITIZE_THREAD__
TEST(a_forked_child_has_a_pool_of_its_own) { SKIP("tsan allows no threads in a forked child"); }
#else
TEST(a_forked_child_has_a_pool_of_its_own) {
  static counts c;
  tv_threads_set(4);
  tvi_parallel(CHUNKS, count, &c);
  CHECK(all_once(&c));
  const pid_t child = fork();
  if (child == 0) {
    bool is_right = true;
    for (int round = 0; round < 50; round++) {
      tvi_parallel(CHUNKS, count, &c);
      is_right &= all_once(&c);
    }
    float a[64 * 64], out[64 * 64];
    for (int i = 0; i < 64 * 64; i++) a[i] = 1;
    const tv_matmul_job job = {.dtype = TV_F32,
                               .m = 64,
                               .n = 64,
                               .k = 64,
                               .a = a,
                               .b = a,
                               .a_row_step = 256,
                               .a_column_step = 4,
                               .b_row_step = 256,
                               .b_column_step = 4,
                               .out = out};
    is_right &= tvi_cpu_matmul(NULL, &job, NULL) == TV_OK && out[77] == 64;
    _exit(is_right ? 0 : 1);
  }
  CHECK(child > 0);
  int status = -1;
  EQUAL(waitpid(child, &status, 0), child);
  EQUAL(status, 0);
  tvi_parallel(CHUNKS, count, &c);
  CHECK(all_once(&c));
  tv_threads_set(0);
}

#endif

#ifdef __SSE__
static void look_at_mxcsr(void *context, int64_t i) {
  ((unsigned *)context)[i] = _mm_getcsr() & 0xffc0;
}

TEST(chunks_run_under_the_callers_mxcsr) {
  static unsigned seen[CHUNKS];
  const unsigned own = _mm_getcsr();
  tv_threads_set(4);
  for (int round = 0; round < 20; round++) {
    const unsigned want = round % 2 ? own | 0x8040 : own; /* flush to zero */
    _mm_setcsr(want);
    tvi_parallel(CHUNKS, look_at_mxcsr, seen);
    _mm_setcsr(own);
    for (int i = 0; i < CHUNKS; i++) EQUAL(seen[i], want & 0xffc0);
  }
  tv_threads_set(0);
}
#else
TEST(chunks_run_under_the_callers_mxcsr) { SKIP("no MXCSR here"); }
#endif

static double seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* After a job workers watch for some microseconds, then sleep, and are woken by the next. */
TEST(idle_workers_sleep) {
  static counts c;
  tv_threads_set(4);
  for (int round = 0; round < 3; round++) {
    tvi_parallel(CHUNKS, count, &c);
    CHECK(all_once(&c));
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    const double used = seconds(CLOCK_PROCESS_CPUTIME_ID);
    nanosleep(&(struct timespec){0, 100000000}, NULL);
    CHECK(seconds(CLOCK_PROCESS_CPUTIME_ID) - used < 5e-3);
  }
  tv_threads_set(0);
}

static void burn(void *context, int64_t i) {
  (void)context, (void)i;
  const double end = seconds(CLOCK_MONOTONIC) + 1e-3;
  while (seconds(CLOCK_MONOTONIC) < end) continue;
}

TEST(affinity_is_the_hosts) {
  static counts c;
  cpu_set_t before, after, one;
  tv_threads_set(3);
  EQUAL(sched_getaffinity(0, sizeof before, &before), 0);
  for (int round = 0; round < 20; round++) {
    tvi_parallel(8, burn, NULL);
    nanosleep(&(struct timespec){0, 1000000}, NULL);
    EQUAL(sched_getaffinity(0, sizeof after, &after), 0);
    CHECK(CPU_EQUAL(&before, &after));
  }
  CPU_ZERO(&one); /* a host that ties this thread later */
  CPU_SET((size_t)sched_getcpu(), &one);
  EQUAL(sched_setaffinity(0, sizeof one, &one), 0);
  for (int round = 0; round < 20; round++) {
    tvi_parallel(CHUNKS, count, &c);
    CHECK(all_once(&c));
    nanosleep(&(struct timespec){0, 500000}, NULL);
  }
  EQUAL(sched_getaffinity(0, sizeof after, &after), 0);
  CHECK(CPU_EQUAL(&one, &after));
  EQUAL(sched_setaffinity(0, sizeof before, &before), 0);
  tv_threads_set(0);
}

/* A stream of jobs too small to wake anybody for is shared in the end. */
TEST(small_work_is_alone_until_it_adds_up) {
  tv_threads_set(1);
  CHECK(!tvi_worth_threads(1e9));
  tv_threads_set(2);
  CHECK(!tvi_worth_threads(1e3));
  CHECK(tvi_worth_threads(1e6));
  int alone = 0;
  while (alone < 1000 && !tvi_worth_threads(10e3)) alone++;
  CHECK(alone > 0 && alone < 20);
  tv_threads_set(0);
}

TEST(the_number_of_threads_is_checked) {
  FAILS_STATUS(TV_EVALUE, "threads_set: -1 is not between 0 and 1024", tv_threads_set(-1));
  FAILS_STATUS(TV_EVALUE, "threads_set: 1025 is not between 0 and 1024", tv_threads_set(1025));
  OK(tv_threads_set(5));
  EQUAL(tv_threads(), 5);
  OK(tv_threads_set(0));
  CHECK(tv_threads() >= 1);
}

/* Blocks are aligned, apart, and may be released elsewhere. */
static void *release_all(void *blocks) {
  for (int i = 0; i < 200; i++)
    tvi_cpu_release(NULL, ((void **)blocks)[i], 1 + i * 37, NULL, 0, NULL);
  return NULL;
}

TEST(blocks_are_aligned_and_apart) {
  void *blocks[200];
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 200; i++) {
      OK(tvi_cpu_reserve(NULL, 1 + i * 37, NULL, &blocks[i]));
      CHECK((uintptr_t)blocks[i] % 64 == 0);
      memset(blocks[i], i, (size_t)(1 + i * 37));
    }
    for (int i = 0; i < 200; i++)
      for (int j = 0; j < 1 + i * 37; j++) CHECK(((unsigned char *)blocks[i])[j] == i);
    if (round == 1) {
      pthread_t thread;
      EQUAL(pthread_create(&thread, NULL, release_all, blocks), 0);
      pthread_join(thread, NULL);
    } else {
      release_all(blocks);
    }
  }
}

TEST(without_memory_a_block_is_refused) {
  void *block = &block;
  tvi_memory_fail(1, false);
  const tv_status status = tvi_cpu_reserve(NULL, 8192, NULL, &block);
  tvi_memory_fail(0, false);
  FAILS_STATUS(TV_ENOMEM, "cpu: no memory for 8192 bytes", status);
  CHECK(block == NULL);
}

TEST_MAIN("cpu_threads", CASE(every_chunk_runs_once), CASE(nested_jobs_run_inline),
          CASE(many_callers_at_once_are_served), CASE(a_forked_child_has_a_pool_of_its_own),
          CASE(chunks_run_under_the_callers_mxcsr), CASE(idle_workers_sleep),
          CASE(affinity_is_the_hosts), CASE(small_work_is_alone_until_it_adds_up),
          CASE(the_number_of_threads_is_checked), CASE(blocks_are_aligned_and_apart),
          CASE(without_memory_a_block_is_refused))
