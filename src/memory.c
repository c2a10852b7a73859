/* SPDX-License-Identifier: MIT
 * The allocator table of tests, and the thread's lists of small blocks. A block freed on another
 * thread joins that thread's list. Under AddressSanitizer, and while tests count allocations, small
 * blocks come straight from malloc, so that nothing hides. */
#include "memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

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
  if (count < 0 || bytes < 0 || refused()) return NULL;
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

/* Four classes of 64 bytes each; a list keeps at most MOST blocks. */
enum { CLASS = 64, CLASSES = TVI_SMALL_MAX / CLASS, MOST = 1024 };
typedef struct small {
  struct small *next;
} small;
typedef struct {
  small *first[CLASSES];
  int length[CLASSES];
  bool is_registered; /* for freeing when the thread ends */
} lists;
static TVI_HOT_THREAD_LOCAL lists mine;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_key;

static void drop(void *unused) {
  (void)unused;
  for (int c = 0; c < CLASSES; c++)
    while (mine.first[c]) {
      small *const block = mine.first[c];
      mine.first[c] = block->next;
      free(block);
    }
  for (int c = 0; c < CLASSES; c++) mine.length[c] = 0;
  mine.is_registered = false;
}

static void make_key(void) { has_key = pthread_key_create(&key, drop) == 0; }

void *tvi_small_alloc(int64_t bytes) {
  if (bytes > TVI_SMALL_MAX) return tvi_malloc(bytes);
  const int c = (int)((bytes - 1) / CLASS);
  small *const block = mine.first[c];
  if (block && !atomic_load_explicit(&counting, memory_order_relaxed)) {
    mine.first[c] = block->next;
    mine.length[c]--;
    return block;
  }
  return tvi_malloc((int64_t)(c + 1) * CLASS);
}

void tvi_small_free(void *block, int64_t bytes) {
  if (!KEEPS_LISTS || bytes > TVI_SMALL_MAX || !block) {
    free(block);
    return;
  }
  if (!mine.is_registered) {
    /* Without a key nobody would free the lists when the thread ends: keep none then. */
    pthread_once(&once, make_key);
    mine.is_registered = has_key && pthread_setspecific(key, &mine) == 0;
  }
  const int c = (int)((bytes - 1) / CLASS);
  if (!mine.is_registered || mine.length[c] >= MOST) {
    free(block);
    return;
  }
  small *const head = block;
  head->next = mine.first[c];
  mine.first[c] = head;
  mine.length[c]++;
}
