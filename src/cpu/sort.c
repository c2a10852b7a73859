/* SPDX-License-Identifier: MIT
 * The argsort_u64 slot: a stable radix sort of keys with their positions, least significant digit
 * first. A digit that all keys share takes no pass.
 *
 * Threads share a pass: keys are cut into chunks of a fixed size, each counts its digits, a sum
 * over chunks says where each of its buckets begins, and then each moves its entries there in
 * order. So the order is that of one thread. */
#include <string.h>

#include "cpu.h"

enum { INSERTION = 48, BITS = 8, DIGITS = 64 / BITS, BUCKETS = 1 << BITS };
enum { CHUNK = 1 << 16, MOST_CHUNKS = 64, GATHERED = 8 /* entries of a bucket moved at a time */ };

typedef struct entry {
  uint64_t key;
  int64_t position;
} entry;

typedef struct sort {
  const uint64_t *keys;
  int64_t *out;
  int64_t n, chunk, chunks;
  int shift;
  bool is_first, is_last; /* pass: from the keys, to the positions */
  const entry *from;
  entry *to;
  int64_t (*counts)[BUCKETS]; /* [chunks] of the digit, then where they go */
  struct {
    uint64_t any, all;
  } * seen; /* [chunks]: or and and of the keys */
} sort;

static int64_t end_of(const sort *s, int64_t i) {
  return (i + 1) * s->chunk < s->n ? (i + 1) * s->chunk : s->n;
}

static void look(void *context, int64_t i) {
  const sort *const s = context;
  uint64_t any = 0, all = ~UINT64_C(0);
  for (int64_t k = i * s->chunk; k < end_of(s, i); k++) any |= s->keys[k], all &= s->keys[k];
  s->seen[i].any = any;
  s->seen[i].all = all;
}

static void count(void *context, int64_t i) {
  const sort *const s = context;
  int64_t *const counts = s->counts[i];
  const int shift = s->shift;
  memset(counts, 0, sizeof *s->counts);
  if (s->is_first)
    for (int64_t k = i * s->chunk; k < end_of(s, i); k++) counts[s->keys[k] >> shift & 0xff]++;
  else
    for (int64_t k = i * s->chunk; k < end_of(s, i); k++) counts[s->from[k].key >> shift & 0xff]++;
}

static void move(void *context, int64_t i) {
  const sort *const s = context;
  int64_t *const at = s->counts[i];
  const int shift = s->shift;
  for (int64_t k = i * s->chunk; k < end_of(s, i); k++) {
    const entry e = s->is_first ? (entry){s->keys[k], k} : s->from[k];
    const int64_t to = at[e.key >> shift & 0xff]++;
    if (s->is_last)
      s->out[to] = e.position;
    else
      s->to[to] = e;
  }
}

static void each(const sort *s, tvi_chunk *task) {
  if (s->chunks > 1)
    tvi_parallel(s->chunks, task, (void *)(uintptr_t)s);
  else
    task((void *)(uintptr_t)s, 0);
}

/* Counts become the places where the buckets of a chunk begin: by bucket, then by chunk. */
static void place(const sort *s) {
  int64_t at = 0;
  for (int bucket = 0; bucket < BUCKETS; bucket++)
    for (int64_t i = 0; i < s->chunks; i++) {
      const int64_t n = s->counts[i][bucket];
      s->counts[i][bucket] = at;
      at += n;
    }
}

static void radix_sort(sort *s, entry *buffers[2]) {
  uint64_t any = 0, all = ~UINT64_C(0);
  each(s, look);
  for (int64_t i = 0; i < s->chunks; i++) any |= s->seen[i].any, all &= s->seen[i].all;
  const uint64_t differs = any ^ all;
  int last = -1;
  for (int digit = 0; digit < DIGITS; digit++)
    if (differs >> (BITS * digit) & (BUCKETS - 1)) last = digit;
  if (last < 0)
    for (int64_t k = 0; k < s->n; k++) s->out[k] = k; /* all keys are one */
  s->is_first = true;
  for (int digit = 0, pass = 0; digit <= last; digit++) {
    if (!(differs >> (BITS * digit) & (BUCKETS - 1))) continue;
    s->shift = BITS * digit;
    s->is_last = digit == last;
    s->from = buffers[(pass + 1) % 2];
    s->to = buffers[pass++ % 2];
    each(s, count);
    place(s);
    each(s, move);
    s->is_first = false;
  }
}

static void insertion_sort(const uint64_t *keys, int64_t n, int64_t *out) {
  for (int64_t i = 0; i < n; i++) {
    int64_t j = i;
    for (; j > 0 && keys[out[j - 1]] > keys[i]; j--) out[j] = out[j - 1];
    out[j] = i;
  }
}

tv_status tvi_cpu_argsort_u64(void *self, const uint64_t *keys, int64_t n, int64_t *out,
                              void *stream) {
  (void)self, (void)stream;
  if (n <= INSERTION) {
    insertion_sort(keys, n, out);
    return TV_OK;
  }
  sort s = {.keys = keys, .out = out, .n = n, .chunk = CHUNK};
  if (n / MOST_CHUNKS > s.chunk) s.chunk = (n + MOST_CHUNKS - 1) / MOST_CHUNKS;
  s.chunks = (n + s.chunk - 1) / s.chunk;
  const int64_t bytes = n > INT64_MAX / 64 ? INT64_MAX : n * (int64_t)(2 * sizeof(entry));
  const int64_t aside = s.chunks * (int64_t)(sizeof *s.counts + sizeof *s.seen);
  entry *const entries = tvi_malloc(bytes);
  s.counts = entries ? tvi_malloc(aside) : NULL;
  if (!s.counts) {
    tvi_free(entries);
    return tv_backend_fail(TV_ENOMEM, "argsort: no memory on cpu for %lld bytes", (long long)bytes);
  }
  s.seen = (void *)(s.counts + s.chunks);
  radix_sort(&s, (entry *[2]){entries, entries + n});
  tvi_free(s.counts);
  tvi_free(entries);
  return TV_OK;
}
