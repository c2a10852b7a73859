/* SPDX-License-Identifier: MIT
 * Slots that go by indices: gather, scatter_add, find_bad_index; and sequence.
 *
 * Scatters add in order of k, so that duplicates give the same bits for any number of threads: work
 * is split over what is independent, the outer index and ranges of the inner one. */
#include <stdatomic.h>
#include <string.h>

#include "cast.h"
#include "cpu.h"
#include "dtypes.def"
#include "level.h"
#include "streamed.h"

enum {
  CHUNK_BYTES = 1 << 17,
  SPAN = 1 << 14, /* indices that are searched at a time */
  LINE = 64,
  FETCHED = 1024,   /* bytes of rows that are asked for ahead of those that are copied, ... */
  ADDED_AHEAD = 24, /* rows of a scatter, between the one that is added to and one asked for */
  FEW = 16,         /* elements of a row that are not worth a call */
  NEAR = 1 << 19    /* ... above so many bytes to choose from: the second cache has the rest */
};

#ifdef __GNUC__
#define PREFETCH(at) __builtin_prefetch(at)
#else
#define PREFETCH(at) ((void)(at))
#endif

/* gather --------------------------------------------------------------------------------------- */

/* Assumes: n rows do not overlap what they are from. */
typedef void gather_loop(int64_t n, const int64_t *indices, const char *in, char *out);

typedef struct gather {
  const tv_gather *job;
  int64_t row;   /* bytes of an inner row */
  int64_t chunk; /* rows, or inner elements of a scatter */
  int64_t parts; /* ranges that the inner index is cut into, by a scatter */
  gather_loop *loop;
  bool is_far;          /* a gather's rows are not in the nearer caches */
  tvi_streamer *stream; /* of rows that are whole cache lines and go around the caches; or NULL */
  tvi_loop *add;
} gather;

/* Rows of one size, which the compiler knows. */
#define GATHER_ROWS(bytes)                                                                         \
  static void gather_##bytes(int64_t n, const int64_t *restrict indices, const char *in,           \
                             char *restrict out) {                                                 \
    for (int64_t i = 0; i < n; i++) memcpy(out + i * (bytes), in + indices[i] * (bytes), (bytes)); \
  }
GATHER_ROWS(1)
GATHER_ROWS(2)
GATHER_ROWS(4)
GATHER_ROWS(8)
GATHER_ROWS(16)
GATHER_ROWS(32)
GATHER_ROWS(64)

/* NULL: rows are copied one at a time. */
static gather_loop *loop_of(int64_t row) {
  switch (row) {
    case 1:
      return gather_1;
    case 2:
      return gather_2;
    case 4:
      return gather_4;
    case 8:
      return gather_8;
    case 16:
      return gather_16;
    case 32:
      return gather_32;
    case 64:
      return gather_64;
    default:
      return NULL;
  }
}

/* Asks for the rows that are copied next: no processor guesses which. Of a long one it does guess
 * the rest. */
static void fetch(const gather *g, const char *in, const int64_t *indices, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t at = 0; at < g->row && at < FETCHED; at += LINE)
      PREFETCH(in + indices[i] * g->row + at);
}

/* Copies a row; where nobody reads it soon, around the caches. */
static inline void copy_row(const gather *g, char *to, const char *from) {
  if (g->stream)
    g->stream(to, from, g->row);
  else
    memcpy(to, from, (size_t)g->row);
}

/* n rows of one outer index. */
static void gather_span(const gather *g, const int64_t *indices, int64_t n, const char *in,
                        char *out) {
  const int64_t some = g->is_far ? 1 + FETCHED / g->row : n;
  for (int64_t i = 0; i < n; i += some) {
    const int64_t rest = n - i, now = rest < some ? rest : some;
    const int64_t next = rest - now < some ? rest - now : some;
    if (g->is_far) fetch(g, in, indices + i + now, next);
    if (g->loop)
      g->loop(now, indices + i, in, out + i * g->row);
    else
      for (int64_t k = i; k < i + now; k++) copy_row(g, out + k * g->row, in + indices[k] * g->row);
  }
}

/* Rows [begin, end) of outer by k. */
static void gather_rows(const gather *g, int64_t begin, int64_t end) {
  const tv_gather *job = g->job;
  int64_t outer = begin / job->k, k = begin % job->k;
  for (; begin < end; outer++, k = 0) {
    const int64_t n = job->k - k < end - begin ? job->k - k : end - begin;
    gather_span(g, job->indices + k, n, (const char *)job->in + outer * job->n * g->row,
                (char *)job->out + begin * g->row);
    begin += n;
  }
  if (g->stream) tvi_stream_end();
}

static void gather_chunk(void *context, int64_t i) {
  const gather *g = context;
  const int64_t begin = i * g->chunk, end = begin + g->chunk, rows = g->job->outer * g->job->k;
  gather_rows(g, begin, end < rows ? end : rows);
}

tv_status tvi_cpu_gather(void *self, const tv_gather *job, void *stream) {
  (void)self, (void)stream;
  gather g = {.job = job, .row = job->inner * tvi_item(job->dtype)};
  const int64_t rows = job->outer * job->k;
  if (rows == 0 || g.row == 0) return TV_OK;
  g.loop = loop_of(g.row);
  g.is_far = g.row >= 16 && job->n * g.row > NEAR;
  if (!g.loop && g.row % LINE == 0 && (uintptr_t)job->out % LINE == 0 &&
      2 * rows * g.row > TVI_STREAMED)
    g.stream = tvi_level_here()->stream;
  if (!tvi_worth_threads((double)rows * (2 + .1 * (double)g.row))) {
    gather_rows(&g, 0, rows);
    return TV_OK;
  }
  g.chunk = 1 + CHUNK_BYTES / (g.row + 8);
  tvi_parallel((rows + g.chunk - 1) / g.chunk, gather_chunk, &g);
  return TV_OK;
}

/* scatter_add ---------------------------------------------------------------------------------- */

/* Rows of a few elements, without a call for each: the same additions. `width` of g->row are
 * added, and rows that are far are asked for before. */
#define SCATTER_ROWS(name, T)                                                                  \
  static void scatter_##name(const gather *g, int64_t width, const char *in, char *out) {      \
    const int64_t *const indices = g->job->indices, k = g->job->k, row = g->row;               \
    for (int64_t i = 0; i < k; i++, in += row) {                                               \
      T *const to = (T *)(void *)(out + indices[i] * row);                                     \
      const T *const from = (const T *)(const void *)in;                                       \
      if (g->is_far) PREFETCH(out + indices[i + ADDED_AHEAD < k ? i + ADDED_AHEAD : i] * row); \
      for (int64_t j = 0; j < width; j++) to[j] += from[j];                                    \
    }                                                                                          \
  }
SCATTER_ROWS(f32, float)
SCATTER_ROWS(f64, double)

static void scatter_chunk(void *context, int64_t i) {
  const gather *g = context;
  const tv_gather *job = g->job;
  const int64_t item = tvi_item(job->dtype), outer = i / g->parts, first = i % g->parts * g->chunk;
  const int64_t rest = job->inner - first, width = rest < g->chunk ? rest : g->chunk;
  const int64_t steps[] = {item, item, item};
  char *const out = (char *)job->out + outer * job->n * g->row + first * item;
  char *in = (char *)(uintptr_t)job->in + outer * job->k * g->row + first * item;
  if (width <= FEW && job->dtype == TV_F32) {
    scatter_f32(g, width, in, out);
    return;
  }
  if (width <= FEW && job->dtype == TV_F64) {
    scatter_f64(g, width, in, out);
    return;
  }
  for (int64_t k = 0; k < job->k; k++, in += g->row) {
    char *const row = out + job->indices[k] * g->row;
    char *const p[] = {row, row, in};
    g->add(width, p, steps);
  }
}

tv_status tvi_cpu_scatter_add(void *self, const tv_gather *job, void *stream) {
  (void)self, (void)stream;
  gather g = {.job = job,
              .row = job->inner * tvi_item(job->dtype),
              .chunk = job->inner,
              .parts = 1,
              .is_far = job->n * job->inner * tvi_item(job->dtype) > NEAR,
              .add = tvi_level_here()->loops[TVI_OP_add][job->dtype]};
  if (job->outer == 0 || job->k == 0 || job->inner == 0) return TV_OK;
  const int64_t tasks = job->outer;
  if (!tvi_worth_threads((double)(job->outer * job->k) * (4 + .1 * (double)g.row))) {
    for (int64_t i = 0; i < tasks; i++) scatter_chunk(&g, i);
    return TV_OK;
  }
  if (tasks < 16 && job->inner > 64) {
    g.chunk = (job->inner / 16 + 63) / 64 * 64;
    g.parts = (job->inner + g.chunk - 1) / g.chunk;
  }
  tvi_parallel(tasks * g.parts, scatter_chunk, &g);
  return TV_OK;
}

/* find_bad_index ------------------------------------------------------------------------------- */

typedef struct search {
  const int64_t *indices;
  int64_t n, low, high;
  _Atomic int64_t span; /* first one known with a bad index */
} search;

/* Whether any is outside; one of the two differences is negative then, and no other. Indices are
 * compared so on every processor, many at once. */
static bool has_bad(const search *s, int64_t begin, int64_t end) {
  const uint64_t low = (uint64_t)s->low, last = (uint64_t)s->high - 1;
  uint64_t signs = 0;
  for (int64_t i = begin; i < end; i++) {
    const uint64_t index = (uint64_t)s->indices[i];
    signs |= (index - low) | (last - index);
  }
  return signs >> 63;
}

static void search_span(void *context, int64_t span) {
  search *s = context;
  const int64_t begin = span * SPAN, end = begin + SPAN < s->n ? begin + SPAN : s->n;
  int64_t known = atomic_load_explicit(&s->span, memory_order_relaxed);
  if (span > known || !has_bad(s, begin, end)) return;
  while (span < known && !atomic_compare_exchange_weak(&s->span, &known, span)) continue;
}

tv_status tvi_cpu_find_bad_index(void *self, const int64_t *indices, int64_t n, int64_t low,
                                 int64_t high, int64_t *position, int64_t *value, void *stream) {
  (void)self, (void)stream;
  const int64_t spans = (n + SPAN - 1) / SPAN;
  search s = {.indices = indices, .n = n, .low = low, .high = high, .span = spans};
  if (tvi_worth_threads((double)n * .2))
    tvi_parallel(spans, search_span, &s);
  else
    for (int64_t span = 0; span < spans && s.span == spans; span++) search_span(&s, span);
  *position = -1;
  for (int64_t i = s.span * SPAN; i < n; i++) {
    if (indices[i] >= low && indices[i] < high) continue;
    *position = i;
    *value = indices[i];
    break;
  }
  return TV_OK;
}

/* sequence ------------------------------------------------------------------------------------- */

static int64_t integer_at(const tv_sequence *job, int64_t i) {
  return (int64_t)((uint64_t)job->int_start + (uint64_t)i * (uint64_t)job->int_step);
}
static double real_at(const tv_sequence *job, int64_t i) {
  return job->real_start + (double)i * job->real_step;
}

#define COUNT(tag, TAG, S, C, load, store, R, P, at)                                    \
  case TV_##TAG:                                                                        \
    for (int64_t i = 0; i < job->n; i++) ((S *)job->out)[i] = tvi_to_##tag(at(job, i)); \
    break;

tv_status tvi_cpu_sequence(void *self, const tv_sequence *job, void *stream) {
  (void)self, (void)stream;
  switch (job->dtype) {
    BOOLEAN(COUNT, integer_at)
    INTEGER(COUNT, integer_at)
    FLOAT(COUNT, real_at)
    COMPLEX(COUNT, real_at)
    default:
      return tv_backend_fail(TV_EUNSUPPORTED, "sequence: no dtype");
  }
  return TV_OK;
}
