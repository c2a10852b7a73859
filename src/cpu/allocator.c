/* SPDX-License-Identifier: MIT
 * Blocks of the CPU: host memory, 64-byte aligned, kept when released, since fresh pages cost seven
 * times the write into them.
 *
 * Up to 4 KiB from the thread's lists (memory.h). Above, sizes are rounded up to classes, eight to
 * each power of two, and a released block waits in its class for the next of that class: the last
 * released first, while it is in cache. Classes below 2 MiB come from malloc, those above are
 * mapped in huge pages. What waits is at most `cap` bytes; beyond it the block that waited longest
 * goes back to the system.
 *
 * A block that waits holds its own links, so that keeping one cannot fail. The books are guarded by
 * one lock, taken around forks; the system is called outside of it. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "cpu.h"
#include "group.h"

enum {
  LEAST = 4096,     /* bytes up to here are the thread's lists' */
  MAPPED = 2 << 20, /* classes from here on are mapped */
  PER_DOUBLING = 8, /* so that at most an eighth is wasted */
  LOG_LEAST = 12,   /* of LEAST */
  LOG_MOST = 47,    /* user space of x86-64 */
  CLASSES = (LOG_MOST - LOG_LEAST) * PER_DOUBLING + 1
};

/* A block that waits. */
typedef struct spare {
  struct spare *next, *previous; /* of its class, last released first */
  struct spare *older, *newer;   /* of all */
  int64_t bytes;
} spare;

static struct {
  pthread_mutex_t lock;
  spare *first[CLASSES];
  spare *oldest, *newest;
  int64_t held, held_peak, free; /* bytes of the system's; most ever; of blocks that wait */
  int64_t limit, cap;            /* of held, 0: none; of free */
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void take(void) { pthread_mutex_lock(&cache.lock); }
static void give(void) { pthread_mutex_unlock(&cache.lock); }

/* A whole number and nothing else; -1 otherwise. */
static int64_t number(const char *text) {
  int64_t n = *text ? 0 : -1;
  for (; *text >= '0' && *text <= '9' && n < INT64_MAX / 100; text++) n = n * 10 + (*text - '0');
  return *text ? -1 : n;
}

static int64_t find_cap(void) {
  const char *const text = getenv("TV_CPU_CACHE_BYTES");
  const int64_t chosen = text ? number(text) : -1;
  if (chosen >= 0) return chosen;
  const int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  int64_t memory = pages > 0 && page > 0 ? pages * page : 0;
  const int64_t group = tvi_group_memory("/sys/fs/cgroup", "/proc/self/cgroup");
  if (group && (!memory || group < memory)) memory = group;
  return memory / 4;
}

static void begin(void) {
  cache.cap = find_cap();
  pthread_atfork(take, give, give);
}

/* The class of a size, and the bytes of its blocks. Assumes: LEAST < bytes <= 2^LOG_MOST. */
static int class_of(int64_t *bytes) {
  const int log = 63 - __builtin_clzll((uint64_t)*bytes - 1), shift = log - 3;
  const int64_t steps = ((*bytes - 1) >> shift) + 1; /* 9 to 16 eighths of 2^log */
  *bytes = steps << shift;
  return (log - LOG_LEAST) * PER_DOUBLING + (int)steps - PER_DOUBLING;
}

/* Blocks of the system ------------------------------------------------------------------------- */

static bool is_mapped(int64_t bytes) { return bytes >= MAPPED && !tvi_memory_is_watched(); }

static void *system_block(int64_t bytes) {
  return is_mapped(bytes) ? tvi_map(bytes) : tvi_aligned_alloc(64, bytes);
}

static void system_block_free(void *block, int64_t bytes) {
  if (is_mapped(bytes))
    tvi_unmap(block, bytes);
  else
    tvi_free(block);
}

/* A chain of spares by `older`, which nobody else knows any more. */
static void free_chain(spare *chain) {
  while (chain) {
    spare *const older = chain->older;
    system_block_free(chain, chain->bytes);
    chain = older;
  }
}

/* The books. All assume: the lock is held. ----------------------------------------------------- */

static void keep(spare *s, int64_t bytes, int kind) {
  *s = (spare){.next = cache.first[kind], .older = cache.newest, .bytes = bytes};
  if (s->next) s->next->previous = s;
  cache.first[kind] = s;
  if (s->older)
    s->older->newer = s;
  else
    cache.oldest = s;
  cache.newest = s;
  cache.free += bytes;
}

static void unkeep(spare *s, int kind) {
  if (s->next) s->next->previous = s->previous;
  if (s->previous)
    s->previous->next = s->next;
  else
    cache.first[kind] = s->next;
  if (s->older)
    s->older->newer = s->newer;
  else
    cache.oldest = s->newer;
  if (s->newer)
    s->newer->older = s->older;
  else
    cache.newest = s->older;
  cache.free -= s->bytes;
}

/* Lets the oldest go, added to a chain, until so many bytes may be had: free ones at most `free`,
 * held ones at most `held`. */
static spare *let_go(spare *chain, int64_t free, int64_t held) {
  while (cache.oldest && (cache.free > free || cache.held > held)) {
    spare *const s = cache.oldest;
    int64_t bytes = s->bytes;
    unkeep(s, class_of(&bytes));
    cache.held -= bytes;
    s->older = chain;
    chain = s;
  }
  return chain;
}

static int64_t largest_free(void) {
  for (int kind = CLASSES - 1; kind > 0; kind--)
    if (cache.first[kind]) return cache.first[kind]->bytes;
  return 0;
}

/* Reserve and release -------------------------------------------------------------------------- */

static tv_status over_limit(int64_t bytes) {
  take();
  const long long held = cache.held, waiting = cache.free, limit = cache.limit;
  give();
  return tv_backend_fail(TV_ENOMEM,
                         "cpu: no memory for %lld bytes: %lld handed out, %lld held (limit %lld)",
                         (long long)bytes, held - waiting, held, limit);
}

/* Room in the books for a block of the system's. */
static bool has_room(int64_t bytes) {
  take();
  const bool is_limited = cache.limit != 0;
  spare *const chain =
      is_limited ? let_go(NULL, INT64_MAX, cache.limit < bytes ? 0 : cache.limit - bytes) : NULL;
  const bool fits = !is_limited || (bytes <= cache.limit && cache.held <= cache.limit - bytes);
  if (fits) cache.held += bytes;
  if (cache.held > cache.held_peak) cache.held_peak = cache.held;
  give();
  free_chain(chain);
  return fits;
}

/* All that waits goes back. Whether there was any. */
static bool trim(void) {
  take();
  spare *const chain = let_go(NULL, 0, INT64_MAX);
  give();
  free_chain(chain);
  return chain != NULL;
}

static tv_status no_memory(int64_t bytes) {
  return tv_backend_fail(TV_ENOMEM, "cpu: no memory for %lld bytes", (long long)bytes);
}

tv_status tvi_cpu_reserve(void *self, int64_t bytes, void *stream, void **out) {
  (void)self, (void)stream;
  if (bytes <= LEAST) {
    *out = tvi_block_alloc(bytes);
    return *out ? TV_OK : no_memory(bytes);
  }
  *out = NULL;
  if (bytes > INT64_C(1) << LOG_MOST) return no_memory(bytes);
  pthread_once(&once, begin);
  int64_t whole = bytes;
  const int kind = class_of(&whole);
  if (__builtin_expect(tvi_memory_may_reuse(), 1)) {
    take();
    spare *const s = cache.first[kind];
    if (s) unkeep(s, kind);
    give();
    if ((*out = s)) return TV_OK;
  }
  if (!has_room(whole)) return over_limit(bytes);
  *out = system_block(whole);
  if (!*out && tvi_memory_may_reuse() && trim()) *out = system_block(whole);
  if (*out) return TV_OK;
  take();
  cache.held -= whole;
  give();
  return no_memory(bytes);
}

void tvi_cpu_release(void *self, void *block, int64_t bytes, void *stream, int n_users,
                     void *const *users) {
  (void)self, (void)stream, (void)n_users, (void)users;
  if (bytes <= LEAST) {
    tvi_block_free(block, bytes);
    return;
  }
  if (!block) return;
  const int kind = class_of(&bytes);
  spare *chain = NULL;
  take();
  const bool is_kept = tvi_memory_may_reuse() && bytes <= cache.cap;
  if (is_kept) {
    keep(block, bytes, kind);
    if (__builtin_expect(cache.free > cache.cap, 0)) chain = let_go(NULL, cache.cap, INT64_MAX);
  } else {
    cache.held -= bytes;
  }
  give();
  if (!is_kept) system_block_free(block, bytes);
  free_chain(chain);
}

/* Ask and change ------------------------------------------------------------------------------- */

tv_status tvi_cpu_memory(void *self, tv_memory_stats *stats) {
  (void)self;
  take();
  stats->held = cache.held;
  stats->held_peak = cache.held_peak;
  stats->held_free = cache.free;
  stats->largest_free = largest_free();
  stats->limit = cache.limit;
  give();
  return TV_OK;
}

tv_status tvi_cpu_trim(void *self) {
  (void)self;
  trim();
  return TV_OK;
}

tv_status tvi_cpu_limit(void *self, int64_t bytes) {
  (void)self;
  take();
  cache.limit = bytes;
  spare *const chain = bytes ? let_go(NULL, INT64_MAX, bytes) : NULL;
  give();
  free_chain(chain);
  return TV_OK;
}
