/* SPDX-License-Identifier: MIT
 * The pool of threads: tvi_parallel, tv_threads and tv_threads_set.
 *
 * One job at a time. Its chunks are taken in turn by the caller and by the workers that woke in
 * time; the caller closes the job and waits only for workers that are inside it. Workers start at
 * the first job, block all signals, and sleep when idle; if none can start, the caller does all.
 * Who runs a chunk changes no bit: it runs under the caller's MXCSR.
 *
 * A forked child has no workers: it begins with an empty pool, and starts its own. */
#define _GNU_SOURCE /* sched_getaffinity */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "cpu.h"
#include "group.h"

enum { MOST_THREADS = 1024 };

/* All but the atomics is guarded by `mutex`. */
static struct {
  pthread_mutex_t mutex;
  pthread_cond_t wake, done;
  _Atomic uint64_t jobs;  /* counts jobs, so that a worker sees that there is another */
  atomic_bool has_caller; /* a thread has the pool; others run alone */
  int n_workers, wanted;  /* started; at most so many may enter the job */
  int entered;            /* that entered it so far */
  _Atomic int inside;     /* that are in it now */
  bool is_open;
  tvi_chunk *run;
  void *context;
  int64_t n;
  unsigned mxcsr;
  _Atomic int64_t next;
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER};

static _Atomic int chosen;           /* by tv_threads_set, or found; 0: not yet */
static _Thread_local bool is_inside; /* a chunk: nested jobs run inline */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* How many threads ----------------------------------------------------------------------------- */

/* A whole number from *text on, which moves behind it; -1 if there is none. Stops where it is out
 * of all proportion. (strtol takes signs and blanks.) */
static int64_t number(const char **text) {
  int64_t n = -1;
  for (; **text >= '0' && **text <= '9' && n < INT64_MAX / 100; ++*text)
    n = (n < 0 ? 0 : n) * 10 + (**text - '0');
  return n;
}

static int found(void) {
  const char *text = getenv("TV_NUM_THREADS");
  if (text) {
    const int64_t n = number(&text);
    if (!*text && n >= 1 && n <= MOST_THREADS) return (int)n;
  }
  cpu_set_t set;
  int n = 1;
  if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
  const int64_t quota = tvi_group_cpus("/sys/fs/cgroup", "/proc/self/cgroup");
  if (quota && quota < n) n = (int)quota;
  return n < 1 ? 1 : n > MOST_THREADS ? MOST_THREADS : n;
}

int tv_threads(void) {
  int n = atomic_load_explicit(&chosen, memory_order_relaxed);
  if (n) return n;
  n = found();
  int none = 0;
  return atomic_compare_exchange_strong(&chosen, &none, n) ? n : none;
}

tv_status tv_threads_set(int n) {
  if (n < 0 || n > MOST_THREADS)
    return tv_backend_fail(TV_EVALUE, "threads_set: %d is not between 0 and %d", n, MOST_THREADS);
  atomic_store(&chosen, n ? n : found());
  return TV_OK;
}

/* Below this a wake-up costs more than it saves (facts: 1 us hot, tens of us asleep). */
bool tvi_worth_threads(double nanoseconds) { return nanoseconds > 30e3 && tv_threads() > 1; }

/* The pool ------------------------------------------------------------------------------------- */

static unsigned mxcsr_get(void) {
#ifdef __SSE__
  return _mm_getcsr();
#else
  return 0;
#endif
}

static void mxcsr_set(unsigned mxcsr) {
#ifdef __SSE__
  _mm_setcsr(mxcsr);
#else
  (void)mxcsr;
#endif
}

static void relax(void) {
#ifdef __SSE__
  _mm_pause();
#endif
}

static void take_chunks(tvi_chunk *run, void *context, int64_t n) {
  is_inside = true;
  for (int64_t i; (i = atomic_fetch_add_explicit(&pool.next, 1, memory_order_relaxed)) < n;)
    run(context, i);
  is_inside = false;
}

/* Some microseconds of watching for the next job before sleep. */
static void watch(uint64_t seen) {
  for (int i = 0; i < 1000; i++) {
    if (atomic_load_explicit(&pool.jobs, memory_order_relaxed) != seen) return;
    relax();
  }
}

static void *work(void *unused) {
  (void)unused;
  uint64_t seen = 0;
  for (;;) {
    watch(seen);
    pthread_mutex_lock(&pool.mutex);
    while (atomic_load(&pool.jobs) == seen) pthread_cond_wait(&pool.wake, &pool.mutex);
    seen = atomic_load(&pool.jobs);
    if (!pool.is_open || pool.entered >= pool.wanted) {
      pthread_mutex_unlock(&pool.mutex);
      continue;
    }
    pool.entered++;
    atomic_fetch_add(&pool.inside, 1);
    tvi_chunk *const run = pool.run;
    void *const context = pool.context;
    const int64_t n = pool.n;
    const unsigned mxcsr = pool.mxcsr;
    pthread_mutex_unlock(&pool.mutex);

    const unsigned own = mxcsr_get();
    mxcsr_set(mxcsr);
    take_chunks(run, context, n);
    mxcsr_set(own);

    pthread_mutex_lock(&pool.mutex);
    if (atomic_fetch_sub(&pool.inside, 1) == 1) pthread_cond_signal(&pool.done);
    pthread_mutex_unlock(&pool.mutex);
  }
  return NULL;
}

/* In a forked child: other threads are gone, and with them whatever they held. */
static void forget(void) {
  pthread_mutex_init(&pool.mutex, NULL);
  pthread_cond_init(&pool.wake, NULL);
  pthread_cond_init(&pool.done, NULL);
  pool.n_workers = pool.wanted = pool.entered = 0;
  pool.is_open = false;
  atomic_store(&pool.inside, 0);
  atomic_store(&pool.jobs, 0);
  atomic_store(&pool.has_caller, false);
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, forget); }

/* Assumes: the mutex is held. */
static void start(int wanted) {
  if (pool.n_workers >= wanted) return;
  sigset_t all;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes)) return;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigfillset(&all);
  pthread_attr_setsigmask_np(&attributes, &all); /* signals are the host's threads' */
  pthread_t thread;
  while (pool.n_workers < wanted && pthread_create(&thread, &attributes, work, NULL) == 0)
    pool.n_workers++;
  pthread_attr_destroy(&attributes);
}

static void alone(int64_t n, tvi_chunk *run, void *context) {
  for (int64_t i = 0; i < n; i++) run(context, i);
}

void tvi_parallel(int64_t n, tvi_chunk *run, void *context) {
  const int threads = tv_threads();
  if (n <= 1 || threads <= 1 || is_inside || atomic_exchange(&pool.has_caller, true)) {
    alone(n, run, context);
    return;
  }
  pthread_once(&once, watch_forks);
  pthread_mutex_lock(&pool.mutex);
  pool.wanted = n < threads ? (int)n - 1 : threads - 1;
  start(pool.wanted);
  pool.run = run;
  pool.context = context;
  pool.n = n;
  pool.mxcsr = mxcsr_get();
  pool.entered = 0;
  atomic_store(&pool.next, 0);
  pool.is_open = true;
  atomic_fetch_add(&pool.jobs, 1);
  pthread_cond_broadcast(&pool.wake);
  pthread_mutex_unlock(&pool.mutex);

  take_chunks(run, context, n);

  pthread_mutex_lock(&pool.mutex);
  pool.is_open = false;
  for (int i = 0; i < 1000 && atomic_load(&pool.inside); i++) {
    pthread_mutex_unlock(&pool.mutex);
    relax();
    pthread_mutex_lock(&pool.mutex);
  }
  while (atomic_load(&pool.inside)) pthread_cond_wait(&pool.done, &pool.mutex);
  pthread_mutex_unlock(&pool.mutex);
  atomic_store(&pool.has_caller, false);
}
