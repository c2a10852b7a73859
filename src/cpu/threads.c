/* SPDX-License-Identifier: MIT
 * The pool of threads: tvi_parallel, tv_threads and tv_threads_set (docs/adr/0013).
 *
 * One job at a time. Its chunks are taken in turn by the caller and by the workers that came in
 * time; the caller closes the gate and waits only for workers that are inside. Who runs a chunk
 * changes no bit: it runs under the caller's MXCSR.
 *
 * The gate is one word: the job's number, whether it is open, how many may enter and how many did.
 * A worker enters by one compare-and-swap, which fails once the gate is closed, so what the gate
 * guards is written only while nobody is inside. Workers watch the gate for a while after each job,
 * then sleep, each at a semaphore of its own; only those that a job wants are woken. They start at
 * the first job and block all signals; if none can start, the caller does all.
 *
 * A woken worker that the system puts on its caller's processor waits for the caller: workers stay
 * off the processor that the caller was seen on. The caller's own affinity is never touched, and
 * its present one is what workers get.
 *
 * A forked child has no workers: it begins with an empty pool, and starts its own. */
#define _GNU_SOURCE /* sched_getaffinity, sched_getcpu */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "cpu.h"
#include "group.h"

enum {
  MOST_THREADS = 1024,
  FAN_OUT = 8,              /* workers that one thread wakes; each wakes as many more */
  WATCH = 100 * 1000,       /* nanoseconds before a worker sleeps: what it costs to wake it */
  WATCH_END = 20 * 1000,    /* before a caller sleeps that waits for its workers */
  WORTH_HOT = 5 * 1000,     /* work that is shared where workers watch, ... */
  WORTH_ASLEEP = 100 * 1000 /* ... and where they sleep: see tvi_worth_threads */
};

/* Of a worker: BUSY also while it watches. */
enum { BUSY, ASLEEP };

typedef struct worker {
  _Alignas(64) _Atomic int state;
  sem_t wake;
  pthread_t thread;
} worker;

/* The gate's fields: number of the job, 32 bits; open, 1; most that may enter, 15; entered, 16. */
#define OPEN (UINT64_C(1) << 31)
#define GATE(job, wanted) ((uint64_t)(job) << 32 | OPEN | (uint64_t)(wanted) << 16)
static uint32_t job_of(uint64_t gate) { return (uint32_t)(gate >> 32); }
static int wanted_of(uint64_t gate) { return (int)(gate >> 16 & 0x7fff); }
static int entered_of(uint64_t gate) { return (int)(gate & 0xffff); }

static struct {
  _Alignas(64) _Atomic uint64_t gate;
  /* Guarded by the gate. */
  tvi_chunk *run;
  void *context;
  int64_t n;
  unsigned mxcsr;
  _Alignas(64) _Atomic int64_t next; /* chunk */
  _Alignas(64) _Atomic int left;     /* workers that are done with the job */
  _Atomic int expected;              /* that entered it; -1 while it is open */
  atomic_bool caller_sleeps;
  sem_t done;
  /* The caller's. */
  _Alignas(64) atomic_bool has_caller; /* a thread has the pool; others run alone */
  int n_workers, avoided;              /* processor that workers keep off; -1: none */
  _Atomic int awake;                   /* workers that are not asleep */
  _Atomic int64_t missed;              /* nanoseconds of work done alone since they slept */
  worker workers[MOST_THREADS];
} pool = {.avoided = -1, .expected = -1};

static _Atomic int chosen;                  /* by tv_threads_set, or found; 0: not yet */
static TVI_HOT_THREAD_LOCAL bool is_inside; /* a chunk: nested jobs run inline */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* How many threads ----------------------------------------------------------------------------- */

/* A whole number and nothing else; -1 otherwise. */
static int64_t number(const char *text) {
  int64_t n = *text ? 0 : -1;
  for (; *text >= '0' && *text <= '9' && n < MOST_THREADS; text++) n = n * 10 + (*text - '0');
  return *text ? -1 : n;
}

static int found(void) {
  const char *text = getenv("TV_NUM_THREADS");
  if (text) {
    const int64_t n = number(text);
    if (n >= 1 && n <= MOST_THREADS) return (int)n;
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

/* Whether the pool is worth its cost. Workers that watch join within a microsecond; waking one
 * costs its caller tens of them. So small work is done alone while they sleep, but it is counted,
 * and when it comes to what a wake-up costs they are woken: a stream of small jobs has them
 * watching, and pays for that at most what it lost before. */
bool tvi_worth_threads(double nanoseconds) {
  if (nanoseconds < WORTH_HOT || tv_threads() <= 1) return false;
  if (atomic_load_explicit(&pool.awake, memory_order_relaxed)) return true;
  const int64_t work = nanoseconds < WORTH_ASLEEP ? (int64_t)nanoseconds : WORTH_ASLEEP;
  if (atomic_fetch_add_explicit(&pool.missed, work, memory_order_relaxed) + work < WORTH_ASLEEP)
    return false;
  atomic_store_explicit(&pool.missed, 0, memory_order_relaxed);
  return true;
}

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

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void wait_for(sem_t *semaphore) {
  while (sem_wait(semaphore) && errno == EINTR) continue;
}

/* Workers ----------------------------------------------------------------------------------- */

/* Wakes the workers from `first` on that the gate wants and that sleep, at most FAN_OUT. */
static void wake(int first, int wanted) {
  for (int i = first; i < first + FAN_OUT && i < wanted; i++) {
    worker *const w = &pool.workers[i];
    int asleep = ASLEEP;
    if (atomic_load(&w->state) == ASLEEP &&
        atomic_compare_exchange_strong(&w->state, &asleep, BUSY))
      sem_post(&w->wake);
  }
}

/* Sleeps unless there is another job than `seen`. Whoever opens the gate looks at the states after
 * it; a worker looks at the gate after it says that it sleeps: one of them sees the other. */
static void sleep_until_woken(worker *w, uint32_t seen) {
  atomic_fetch_sub(&pool.awake, 1);
  atomic_store(&w->state, ASLEEP);
  int asleep = ASLEEP;
  if (job_of(atomic_load(&pool.gate)) == seen ||
      !atomic_compare_exchange_strong(&w->state, &asleep, BUSY))
    wait_for(&w->wake);
  atomic_fetch_add(&pool.awake, 1);
}

/* The gate once it shows another job than `seen`; the same after a while of watching. */
static uint64_t watch(uint32_t seen) {
  uint64_t gate = atomic_load_explicit(&pool.gate, memory_order_acquire);
  const int64_t end = now() + WATCH;
  do {
    for (int i = 0; i < 50 && job_of(gate) == seen; i++) {
      relax();
      gate = atomic_load_explicit(&pool.gate, memory_order_acquire);
    }
  } while (job_of(gate) == seen && now() < end);
  return gate;
}

static bool enter(uint64_t *gate) {
  while (*gate & OPEN && entered_of(*gate) < wanted_of(*gate))
    if (atomic_compare_exchange_weak(&pool.gate, gate, *gate + 1)) return true;
  return false;
}

static void leave(void) {
  const int left = atomic_fetch_add(&pool.left, 1) + 1;
  if (atomic_load(&pool.caller_sleeps) && left == atomic_load(&pool.expected) &&
      atomic_exchange(&pool.caller_sleeps, false))
    sem_post(&pool.done);
}

static void *work(void *argument) {
  worker *const self = argument;
  const int me = (int)(self - pool.workers);
  uint32_t seen = 0; /* no job has this number */
  for (;;) {
    uint64_t gate = watch(seen);
    if (job_of(gate) == seen) {
      sleep_until_woken(self, seen);
      continue;
    }
    const bool is_in = enter(&gate);
    seen = job_of(gate);
    if (!is_in) continue;
    wake(FAN_OUT * (me + 1), wanted_of(gate));
    const unsigned own = mxcsr_get();
    mxcsr_set(pool.mxcsr);
    take_chunks(pool.run, pool.context, pool.n);
    mxcsr_set(own);
    leave();
  }
  return NULL;
}

/* In a forked child: other threads are gone, and with them whatever they held. */
static void forget(void) {
  for (int i = 0; i < pool.n_workers; i++) atomic_store(&pool.workers[i].state, BUSY);
  pool.n_workers = 0;
  pool.avoided = -1;
  atomic_store(&pool.gate, atomic_load(&pool.gate) & ~(OPEN | 0xffff));
  atomic_store(&pool.awake, 0);
  atomic_store(&pool.missed, 0);
  atomic_store(&pool.caller_sleeps, false);
  atomic_store(&pool.has_caller, false);
  sem_init(&pool.done, 0, 0);
}

static void begin(void) {
  sem_init(&pool.done, 0, 0);
  pthread_atfork(NULL, NULL, forget);
}

/* The rest assumes: this thread is the caller. */

static void start(int wanted) {
  sigset_t all;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes)) return;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigfillset(&all);
  pthread_attr_setsigmask_np(&attributes, &all); /* signals are the host's threads' */
  while (pool.n_workers < wanted) {
    worker *const w = &pool.workers[pool.n_workers];
    atomic_store(&w->state, BUSY);
    if (sem_init(&w->wake, 0, 0) || pthread_create(&w->thread, &attributes, work, w)) break;
    pool.n_workers++;
    pool.avoided = -1;
    atomic_fetch_add(&pool.awake, 1);
  }
  pthread_attr_destroy(&attributes);
}

/* Keeps workers off this processor, where the caller may run on several. A caller that its host has
 * tied to one says nothing about the others'. */
static void place(void) {
  const int here = sched_getcpu();
  if (here < 0 || here == pool.avoided) return;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) || here >= CPU_SETSIZE ||
      !CPU_ISSET((size_t)here, &set) || CPU_COUNT(&set) < 2)
    return;
  CPU_CLR((size_t)here, &set);
  for (int i = 0; i < pool.n_workers; i++)
    pthread_setaffinity_np(pool.workers[i].thread, sizeof set, &set);
  pool.avoided = here;
}

static void wait_for_workers(int entered) {
  if (atomic_load(&pool.left) == entered) return;
  const int64_t end = now() + WATCH_END;
  do {
    for (int i = 0; i < 50; i++) {
      if (atomic_load(&pool.left) == entered) return;
      relax();
    }
  } while (now() < end);
  atomic_store(&pool.expected, entered);
  atomic_store(&pool.caller_sleeps, true);
  /* The last one may have left before it could see that. */
  if (atomic_load(&pool.left) != entered || !atomic_exchange(&pool.caller_sleeps, false))
    wait_for(&pool.done);
  atomic_store(&pool.expected, -1);
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
  pthread_once(&once, begin);
  int wanted = n < threads ? (int)n - 1 : threads - 1;
  if (pool.n_workers < wanted) start(wanted);
  if (wanted > pool.n_workers) wanted = pool.n_workers;
  if (atomic_load(&pool.awake) < wanted) place();
  pool.run = run;
  pool.context = context;
  pool.n = n;
  pool.mxcsr = mxcsr_get();
  atomic_store_explicit(&pool.next, 0, memory_order_relaxed);
  atomic_store_explicit(&pool.left, 0, memory_order_relaxed);
  uint32_t job = job_of(atomic_load(&pool.gate)) + 1;
  job += job == 0;
  atomic_store(&pool.gate, GATE(job, wanted));
  wake(0, wanted);

  take_chunks(run, context, n);
  wait_for_workers(entered_of(atomic_fetch_and(&pool.gate, ~OPEN)));
  atomic_store(&pool.has_caller, false);
}
