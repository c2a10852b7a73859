/* SPDX-License-Identifier: MIT
 * Slots that go by indices: gather, scatter_add, find_bad_index; and sequence.
 *
 * Scatters add in order of k, so that duplicates give the same bits for any number of threads: work
 * is split over what is independent, the outer index and ranges of the inner one. */
#include <string.h>

#include "cast.h"
#include "cpu.h"
#include "dtypes.def"
#include "level.h"

enum { CHUNK_BYTES = 1 << 17, SPAN = 1024 };

/* gather --------------------------------------------------------------------------------------- */

typedef struct gather {
  const tv_gather *job;
  int64_t row;   /* bytes of an inner row */
  int64_t chunk; /* rows, or inner elements of a scatter */
  int64_t parts; /* ranges that the inner index is cut into, by a scatter */
  tvi_loop *add;
} gather;

/* Rows [begin, end) of outer by k. */
static void gather_rows(const gather *g, int64_t begin, int64_t end) {
  const tv_gather *job = g->job;
  if (g->row == 4 && job->outer == 1) {
    for (int64_t i = begin; i < end; i++)
      ((uint32_t *)job->out)[i] = ((const uint32_t *)job->in)[job->indices[i]];
    return;
  }
  if (g->row == 8 && job->outer == 1) {
    for (int64_t i = begin; i < end; i++)
      memcpy((char *)job->out + i * 8, (const char *)job->in + job->indices[i] * 8, 8);
    return;
  }
  int64_t outer = begin / job->k, k = begin % job->k;
  const char *in = (const char *)job->in + outer * job->n * g->row;
  char *out = (char *)job->out + begin * g->row;
  for (int64_t i = begin; i < end; i++, out += g->row) {
    memcpy(out, in + job->indices[k] * g->row, (size_t)g->row);
    if (++k < job->k) continue;
    k = 0;
    in += job->n * g->row;
  }
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
  if (!tvi_worth_threads((double)rows * (2 + .1 * (double)g.row))) {
    gather_rows(&g, 0, rows);
    return TV_OK;
  }
  g.chunk = 1 + CHUNK_BYTES / (g.row + 8);
  tvi_parallel((rows + g.chunk - 1) / g.chunk, gather_chunk, &g);
  return TV_OK;
}

/* scatter_add ---------------------------------------------------------------------------------- */

static void scatter_chunk(void *context, int64_t i) {
  const gather *g = context;
  const tv_gather *job = g->job;
  const int64_t item = tvi_item(job->dtype), outer = i / g->parts, first = i % g->parts * g->chunk;
  const int64_t rest = job->inner - first, width = rest < g->chunk ? rest : g->chunk;
  const int64_t steps[] = {item, item, item};
  char *const out = (char *)job->out + outer * job->n * g->row + first * item;
  char *in = (char *)(uintptr_t)job->in + outer * job->k * g->row + first * item;
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

tv_status tvi_cpu_find_bad_index(void *self, const int64_t *indices, int64_t n, int64_t low,
                                 int64_t high, int64_t *position, int64_t *value, void *stream) {
  (void)self, (void)stream;
  *position = -1;
  for (int64_t begin = 0; begin < n; begin += SPAN) {
    const int64_t end = begin + SPAN < n ? begin + SPAN : n;
    bool is_bad = false;
    for (int64_t i = begin; i < end; i++) is_bad |= (indices[i] < low) | (indices[i] >= high);
    if (!is_bad) continue;
    for (int64_t i = begin; i < end; i++) {
      if (indices[i] >= low && indices[i] < high) continue;
      *position = i;
      *value = indices[i];
      return TV_OK;
    }
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
