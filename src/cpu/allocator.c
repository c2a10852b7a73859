/* SPDX-License-Identifier: MIT
 * Blocks of the CPU: 64-byte aligned. Small ones come from lists that each thread keeps for itself,
 * one per power of two from 64 bytes to 4 KiB, so that a tensor of a few elements costs
 * nanoseconds.
 *
 * A block may be released on another thread, whose list it then joins. Lists are freed when their
 * thread ends; a list holds at most MOST blocks. Under AddressSanitizer there are none, so that a
 * block that was released is never handed out unseen. */
#include <pthread.h>
#include <stddef.h>

#include "cpu.h"

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

enum { ALIGNMENT = 64, CLASSES = 7, LARGEST = ALIGNMENT << (CLASSES - 1), MOST = 64 };

typedef struct block {
  struct block *next;
} block;

typedef struct lists {
  block *first[CLASSES];
  int length[CLASSES];
  bool is_watched; /* to be freed when the thread ends */
} lists;

static TVI_HOT_THREAD_LOCAL lists mine;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void drop(void *value) {
  lists *const l = value;
  for (int c = 0; c < CLASSES; c++) {
    while (l->first[c]) {
      block *const next = l->first[c]->next;
      tvi_free(l->first[c]);
      l->first[c] = next;
    }
    l->length[c] = 0;
  }
  l->is_watched = false; /* a release after this, in another destructor, watches again */
}

static void make_key(void) { has_key = pthread_key_create(&key, drop) == 0; }

static bool watch(void) {
  pthread_once(&once, make_key);
  mine.is_watched = has_key && pthread_setspecific(key, &mine) == 0;
  return mine.is_watched;
}

/* Assumes: 0 < bytes <= LARGEST. */
static int class_of(int64_t bytes) {
  int c = 0;
  while (bytes > (int64_t)ALIGNMENT << c) c++;
  return c;
}

tv_status tvi_cpu_reserve(void *self, int64_t bytes, tv_stream *stream, void **out) {
  (void)self, (void)stream;
  int64_t size = bytes;
  if (KEEPS_LISTS && bytes <= LARGEST) {
    const int c = class_of(bytes);
    block *const kept = mine.first[c];
    if (kept) {
      mine.first[c] = kept->next;
      mine.length[c]--;
      *out = kept;
      return TV_OK;
    }
    size = (int64_t)ALIGNMENT << c;
  }
  *out = tvi_aligned_alloc(ALIGNMENT, size);
  if (*out) return TV_OK;
  return tv_backend_fail(TV_ENOMEM, "cpu: no memory for %lld bytes", (long long)bytes);
}

void tvi_cpu_release(void *self, void *released, int64_t bytes, tv_stream *stream) {
  (void)self, (void)stream;
  if (KEEPS_LISTS && released && bytes <= LARGEST) {
    const int c = class_of(bytes);
    if (mine.length[c] < MOST && (mine.is_watched || watch())) {
      block *const kept = released;
      kept->next = mine.first[c];
      mine.first[c] = kept;
      mine.length[c]++;
      return;
    }
  }
  tvi_free(released);
}
