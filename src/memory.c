/* SPDX-License-Identifier: MIT
 * The allocator table of tests, and the thread's lists of small blocks, so that a tensor of a few
 * elements costs nanoseconds. A block given back on another thread joins that thread's list. Under
 * AddressSanitizer there are no lists, and while tests count allocations none comes from one, so
 * that nothing hides. */
#define _GNU_SOURCE /* madvise */
#include "memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS_LISTS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS_LISTS 0
#endif
#endif
#ifndef KEEPS_LISTS
#define KEEPS_LISTS 1
#endif

static atomic_bool counting;
static _Atomic int64_t calls, fail_at;
static atomic_bool fails_for_ever;

void tvi_memory_fail(int64_t n, bool for_ever) {
  atomic_store(&calls, 0);
  atomic_store(&fail_at, n);
  atomic_store(&fails_for_ever, for_ever);
  atomic_store(&counting, true);
}

int64_t tvi_memory_calls(void) { return atomic_load(&calls); }

static bool refused(void) {
  if (!atomic_load_explicit(&counting, memory_order_relaxed)) return false;
  const int64_t call = atomic_fetch_add(&calls, 1) + 1, at = atomic_load(&fail_at);
  return at && (call == at || (call > at && atomic_load(&fails_for_ever)));
}

void *tvi_malloc(int64_t bytes) {
  if ((uint64_t)bytes > PTRDIFF_MAX || refused()) return NULL;
  return malloc(bytes ? (size_t)bytes : 1);
}

void *tvi_calloc(int64_t count, int64_t bytes) {
  if ((uint64_t)count > PTRDIFF_MAX || (uint64_t)bytes > PTRDIFF_MAX || refused()) return NULL;
  return calloc(count ? (size_t)count : 1, bytes ? (size_t)bytes : 1);
}

void *tvi_realloc(void *block, int64_t bytes) {
  if ((uint64_t)bytes > PTRDIFF_MAX || refused()) return NULL;
  return realloc(block, bytes ? (size_t)bytes : 1);
}

void *tvi_aligned_alloc(int64_t alignment, int64_t bytes) {
  void *block = NULL;
  if ((uint64_t)bytes > PTRDIFF_MAX || refused()) return NULL;
  return posix_memalign(&block, (size_t)alignment, bytes ? (size_t)bytes : 1) ? NULL : block;
}

void tvi_free(void *block) { free(block); }

enum { HUGE_PAGE = 2 << 20 };

void *tvi_map(int64_t bytes) {
  if (bytes <= 0 || bytes > PTRDIFF_MAX - HUGE_PAGE || refused()) return NULL;
  const int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const size_t size = (size_t)bytes;
  char *pages = mmap(NULL, size, protection, flags, -1, 0);
  if (pages == MAP_FAILED) return NULL;
  if ((uintptr_t)pages % HUGE_PAGE) { /* once more, with room to cut it to measure */
    munmap(pages, size);
    pages = mmap(NULL, size + HUGE_PAGE, protection, flags, -1, 0);
    if (pages == MAP_FAILED) return NULL;
    const size_t before = (HUGE_PAGE - (uintptr_t)pages % HUGE_PAGE) % HUGE_PAGE;
    if (before) munmap(pages, before);
    munmap(pages + before + size, HUGE_PAGE - before);
    pages += before;
  }
#ifdef MADV_HUGEPAGE
  madvise(pages, size, MADV_HUGEPAGE); /* without them it is slower, and no less right */
#endif
  return pages;
}

void tvi_unmap(void *pages, int64_t bytes) {
  if (pages) munmap(pages, (size_t)bytes);
}

bool tvi_memory_is_watched(void) { return !KEEPS_LISTS; }

bool tvi_memory_may_reuse(void) {
  return KEEPS_LISTS && !atomic_load_explicit(&counting, memory_order_relaxed);
}

/* A list per power of two from ALIGNMENT to LARGEST, of at most MOST bytes. */
enum { ALIGNMENT = 64, CLASSES = 7, LARGEST = ALIGNMENT << (CLASSES - 1), MOST = 1 << 19 };
typedef struct block {
  struct block *next;
} block;
static TVI_HOT_THREAD_LOCAL struct {
  block *first[CLASSES];
  int bytes[CLASSES];
  bool is_watched; /* to be freed when the thread ends */
} mine;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_key;

static void drop(void *unused) {
  (void)unused;
  for (int c = 0; c < CLASSES; c++) {
    while (mine.first[c]) {
      block *const next = mine.first[c]->next;
      free(mine.first[c]);
      mine.first[c] = next;
    }
    mine.bytes[c] = 0;
  }
  mine.is_watched = false; /* a block given back after this, in another destructor, watches again */
}

static void make_key(void) { has_key = pthread_key_create(&key, drop) == 0; }

/* Without a key nobody would free the lists when the thread ends: keep none then. */
static bool is_watched(void) {
  if (mine.is_watched) return true;
  pthread_once(&once, make_key);
  return mine.is_watched = has_key && pthread_setspecific(key, &mine) == 0;
}

/* Assumes: bytes <= LARGEST. */
static int class_of(int64_t bytes) {
  int c = 0;
  while (bytes > (int64_t)ALIGNMENT << c) c++;
  return c;
}

void *tvi_block_alloc(int64_t bytes) {
  if (bytes > LARGEST) return tvi_aligned_alloc(ALIGNMENT, bytes);
  const int c = class_of(bytes);
  block *const kept = mine.first[c];
  if (!kept || atomic_load_explicit(&counting, memory_order_relaxed))
    return tvi_aligned_alloc(ALIGNMENT, (int64_t)ALIGNMENT << c);
  mine.first[c] = kept->next;
  mine.bytes[c] -= ALIGNMENT << c;
  return kept;
}

void tvi_block_free(void *released, int64_t bytes) {
  if (KEEPS_LISTS && released && bytes <= LARGEST) {
    const int c = class_of(bytes);
    if (mine.bytes[c] < MOST && is_watched()) {
      block *const kept = released;
      kept->next = mine.first[c];
      mine.first[c] = kept;
      mine.bytes[c] += ALIGNMENT << c;
      return;
    }
  }
  free(released);
}
