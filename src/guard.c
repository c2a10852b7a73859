/* SPDX-License-Identifier: MIT
 * Guards of borrowed memory, by XXH3 (ADR 0019). */
#include "guard.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "dtype.h"
#include "memory.h"
#include "scope.h"
#include "status.h"
#include "tensor.h"
#include "thread.h"
#if defined TVI_WITH_XXHASH && !defined __clang_analyzer__
#define XXH_INLINE_ALL
#include <xxhash.h>
#endif

enum { BLOCK = 4096, SAMPLE = 64 };

struct tvi_guard {
  void (*release)(void *user);
  void *user;
  char name[48];
  tv_guard level;
  _Atomic uint64_t epoch;
  pthread_mutex_t lock; /* over the hashes */
  const char *data;     /* the first element */
  int64_t item, size, n_blocks;
  int64_t sample; /* of a sampled one: where in each block its bytes are */
  bool is_dense;
  int rank;
  uint64_t *hashes; /* [n_blocks] */
  int64_t layout[]; /* shape, then steps: [2 * rank] */
};

#if defined TVI_WITH_XXHASH && !defined __clang_analyzer__ /* which loses itself in it */
static uint64_t hash(const void *bytes, int64_t n) { return XXH3_64bits(bytes, (size_t)n); }
#else
static uint64_t hash(const void *bytes, int64_t n) { return (void)bytes, (void)n, 0; }
#endif

/* Elements [begin, end) in C order, one behind another; in the memory itself where that is so. */
static const char *elements(const tvi_guard *g, int64_t begin, int64_t end, char *buffer) {
  if (g->is_dense) return g->data + begin * g->item;
  const int64_t *const shape = g->layout, *const steps = g->layout + g->rank;
  for (int64_t i = begin; i < end; i++) {
    int64_t rest = i, at = 0;
    for (int axis = g->rank - 1; axis >= 0; axis--) {
      at += rest % shape[axis] * steps[axis];
      rest /= shape[axis];
    }
    memcpy(buffer + (i - begin) * g->item, g->data + at, (size_t)g->item);
  }
  return buffer;
}

/* Bytes [*begin, *end) that the guard looks at of a block, in C order of the elements. */
static void range(const tvi_guard *g, int64_t block, int64_t *begin, int64_t *end) {
  const int64_t bytes = g->size * g->item;
  *begin = block * BLOCK;
  *end = *begin + BLOCK < bytes ? *begin + BLOCK : bytes;
  if (g->level == TV_GUARD_FULL || g->n_blocks == 1) return;
  if (*begin + g->sample < *end) *begin += g->sample;
  if (*begin + SAMPLE < *end) *end = *begin + SAMPLE;
}

static uint64_t hash_block(const tvi_guard *g, int64_t block) {
  char buffer[BLOCK];
  int64_t begin, end;
  range(g, block, &begin, &end);
  return hash(elements(g, begin / g->item, end / g->item, buffer), end - begin);
}

static void hash_all(tvi_guard *g) {
  for (int64_t k = 0; g->hashes && k < g->n_blocks; k++) g->hashes[k] = hash_block(g, k);
}

/* Begin and end ------------------------------------------------------------------------------- */

void tvi_guard_end(void *guard) {
  tvi_guard *const g = guard;
  if (g->release) g->release(g->user);
  pthread_mutex_destroy(&g->lock);
  tvi_free(g->hashes);
  tvi_free(g);
}

bool tvi_guard_is_known(const char *who, tv_guard level) {
  if ((unsigned)level > TV_GUARD_FULL)
    return tvi_fail(TV_EVALUE, "%s: %d is no guard", who, (int)level);
#ifndef TVI_WITH_XXHASH
  if (level != TV_GUARD_NONE)
    return tvi_fail(TV_EUNSUPPORTED, "%s: a guard needs xxHash, which this build is without", who);
#endif
  return true;
}

/* Another place in each run, so that runs one after another look elsewhere; a whole number of every
 * element. */
static int64_t drawn_sample(const void *data) {
  static _Atomic uint64_t borrows;
  uint64_t x = (uint64_t)(uintptr_t)data + 0x9e3779b97f4a7c15 * ++borrows;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9; /* Steele, Lea and Flood, "SplitMix" (2014) */
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return (int64_t)((x ^ x >> 31) % (BLOCK / SAMPLE)) * SAMPLE;
}

static tvi_guard *guard_new(const void *data, tv_dtype dtype, int rank, const int64_t *shape,
                            const int64_t *steps, const tv_memory_options *o) {
  tvi_guard *const g = tvi_calloc(1, (int64_t)sizeof *g + 2 * rank * (int64_t)sizeof *g->layout);
  if (!g) return NULL;
  g->item = tv_dtype_size(dtype);
  g->size = 1;
  g->is_dense = true;
  for (int axis = rank - 1; axis >= 0; axis--) {
    if (steps && shape[axis] > 1 && steps[axis] != g->size * g->item) g->is_dense = false;
    g->layout[axis] = shape[axis];
    g->layout[rank + axis] = steps ? steps[axis] : g->size * g->item;
    g->size *= shape[axis];
  }
  g->rank = rank;
  g->data = data;
  g->level = g->size ? o->guard : TV_GUARD_NONE;
  g->n_blocks = (g->size * g->item + BLOCK - 1) / BLOCK;
  g->sample = drawn_sample(data);
  snprintf(g->name, sizeof g->name, "%s", o->name ? o->name : "borrow");
  if (g->level != TV_GUARD_NONE) {
    g->hashes = tvi_malloc(g->n_blocks * (int64_t)sizeof *g->hashes);
    if (!g->hashes) {
      tvi_free(g);
      return NULL;
    }
    hash_all(g);
  }
  if (!pthread_mutex_init(&g->lock, NULL)) return g;
  tvi_free(g->hashes);
  tvi_free(g);
  return NULL;
}

tvi_storage *tvi_guard_borrow(const char *who, const void *data, tv_dtype dtype, int rank,
                              const int64_t *shape, const int64_t *steps, int64_t bytes,
                              const tv_memory_options *o) {
  tvi_guard *const g = guard_new(data, dtype, rank, shape, steps, o);
  if (!g) {
    if (o->release) o->release(o->user);
    return tvi_fail(TV_ENOMEM, "%s: no memory for a guard of %lld bytes", who, (long long)bytes);
  }
  g->release = o->release;
  g->user = o->user;
  return tvi_storage_borrow(data, bytes, tvi_guard_end, g);
}

/* Look ---------------------------------------------------------------------------------------- */

static tv_status check(const char *who, tvi_guard *g) {
  tv_status status = TV_OK;
  int64_t begin, end;
  pthread_mutex_lock(&g->lock);
  for (int64_t k = 0; k < g->n_blocks && !status; k++) {
    if (hash_block(g, k) == g->hashes[k]) continue;
    range(g, k, &begin, &end);
    status = tvi_fail_status(TV_EMUTATED,
                             "%s: '%s' of %lld bytes was changed outside the library, first in "
                             "bytes [%lld, %lld): tell by tv_tensor_mark_mutated",
                             who, g->name, (long long)(g->size * g->item), (long long)begin,
                             (long long)end);
  }
  pthread_mutex_unlock(&g->lock);
  return status;
}

void tvi_guard_note(tvi_storage *storage) {
  tvi_thread *const self = tvi_thread_current();
  const tvi_guard *const g = tvi_guard_of(storage);
  if (!g || g->level == TV_GUARD_NONE) return;
  for (int k = 0; k < self->n_used; k++)
    if (self->used[k] == storage) return;
  if (self->n_used == TVI_MOST_USED && tvi_guards_check("read")) self->has_mutated = true;
  tvi_storage_retain(storage);
  self->used[self->n_used++] = storage;
}

tv_status tvi_guards_check(const char *who) {
  tvi_thread *const self = tvi_thread_current();
  tv_status status = self->has_mutated ? TV_EMUTATED : TV_OK;
  self->has_mutated = false;
  while (self->n_used) {
    tvi_storage *const storage = self->used[--self->n_used];
    const tv_status found = check(who, tvi_guard_of(storage));
    if (found) status = found;
    tvi_storage_release(storage);
  }
  return status;
}

void tvi_guards_forget(void) {
  tvi_thread *const self = tvi_thread_current();
  self->has_mutated = false;
  while (self->n_used) tvi_storage_release(self->used[--self->n_used]);
}

tv_tensor *tvi_unguarded(const char *who, tv_tensor *x) {
  if (!x || tvi_is_deferred(x)) return x;
  const tvi_guard *const g = tvi_guard_of(x->storage);
  if (!g || g->level == TV_GUARD_NONE) return x;
  tv_tensor *const copy = tvi_scope_own(tvi_tensor_copy(who, x, x->dtype, x->device));
  return tvi_guards_check(who) ? NULL : copy;
}

/* Marks ---------------------------------------------------------------------------------------- */

uint64_t tvi_guard_epoch(const tvi_storage *storage) {
  tvi_guard *const g = tvi_guard_of(storage);
  return g ? atomic_load(&g->epoch) : 0;
}

bool tvi_guard_marked(const char *op, const tvi_storage *storage) {
  return tvi_fail(TV_EMUTATED,
                  "tape_gradient: %s needs '%s' as it was read, and its owner marked it as mutated "
                  "since",
                  op, tvi_guard_of(storage)->name);
}

tv_status tv_tensor_mark_mutated(tv_tensor *x) {
  if (!x) return tvi_null_status("tensor_mark_mutated", "x");
  tvi_guard *const g = tvi_is_deferred(x) ? NULL : tvi_guard_of(x->storage);
  if (!g) return tvi_fail_status(TV_EVALUE, "tensor_mark_mutated: x does not show borrowed memory");
  pthread_mutex_lock(&g->lock);
  hash_all(g);
  atomic_fetch_add(&g->epoch, 1);
  pthread_mutex_unlock(&g->lock);
  return TV_OK;
}
