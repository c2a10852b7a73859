/* SPDX-License-Identifier: MIT
 * Reductions to a position: argmax and argmin.
 *
 * A line is read in runs: the best value of a run is found as max and min do, in vector code, and
 * only a run that beats the best so far is searched for where. Results side by side in memory, and
 * short lines, go row by row instead. The first of equal elements wins (-0 equals +0), the first
 * NaN beats all else. */
#include <string.h>

#include "reduce.h"

enum {
  WIDTH = 1024, /* columns: pieces of rows long enough for the memory */
  ITEM = 8,
  CHUNK = 64 * TVI_RUN,
  SHORT = 24 /* elements of a line: as columns then, whatever their steps */
};

typedef struct {
  char value[ITEM];
  int64_t at;
} candidate;

typedef struct search {
  const tv_reduce *job;
  const tvi_searcher *search;
  tvi_fold *extreme;
  tvi_line line;
  tvi_results results;
  int64_t chunk, chunks, block, blocks, column_blocks;
  bool is_by_columns;
  candidate *candidates; /* [chunks, results]; NULL: tasks give whole results */
} search;

static void search_lines(const search *s, int64_t chunk, int64_t first, int64_t last) {
  char buffer[TVI_RUN * ITEM], value[ITEM];
  const int64_t begin = chunk * s->chunk;
  const int64_t end = begin + s->chunk < s->line.n ? begin + s->chunk : s->line.n;
  for (int64_t i = first; i < last; i++) {
    const char *const from = (const char *)s->job->in.data + tvi_results_offset(&s->results, i);
    candidate best = {.at = -1};
    for (int64_t k = begin; k < end; k += TVI_RUN) {
      const int64_t n = end - k < TVI_RUN ? end - k : TVI_RUN;
      const void *const run = tvi_line_run(&s->line, from, k, n, buffer);
      s->extreme(run, n, value);
      if (best.at >= 0 && !s->search->beats(value, best.value)) continue;
      memcpy(best.value, value, sizeof value);
      best.at = k + s->search->find(run, n, value);
    }
    if (s->candidates)
      s->candidates[chunk * s->results.n + i] = best;
    else
      ((int64_t *)s->job->out)[i] = best.at;
  }
}

/* Assumes: positions fit 32 bits. */
static void search_columns(const search *s, int64_t first, int64_t width) {
  _Alignas(64) char best[WIDTH * ITEM], row[WIDTH * ITEM];
  int32_t at[WIDTH] = {0};
  const tvi_line *line = &s->line;
  const int inner = line->rank - 1;
  const int64_t step = s->results.steps[s->results.rank - 1];
  const int64_t steps[] = {line->acc_item, step};
  const char *const from = (const char *)s->job->in.data + tvi_results_offset(&s->results, first);
  const bool is_direct = line->is_native && step == line->item;
  line->load(width, (char *const[]){best, (char *)(uintptr_t)from}, steps);
  for (int64_t k = 1; k < line->n;) { /* beyond the first there is an axis */
    const char *const values = from + tvi_line_offset(line, k);
    const int64_t left = line->shape[inner] - k % line->shape[inner], row_step = line->steps[inner];
    if (is_direct) s->search->update(values, row_step, left, width, (int32_t)k, best, at);
    for (int64_t i = 0; i < left && !is_direct; i++) {
      line->load(width, (char *const[]){row, (char *)(uintptr_t)values + i * row_step}, steps);
      s->search->update(row, 0, 1, width, (int32_t)(k + i), best, at);
    }
    k += left;
  }
  for (int64_t i = 0; i < width; i++) ((int64_t *)s->job->out)[first + i] = at[i];
}

static void task(void *context, int64_t i) {
  const search *const s = context;
  const int64_t chunk = i / s->blocks, block = i % s->blocks;
  if (!s->is_by_columns) {
    const int64_t first = block * s->block, last = first + s->block;
    search_lines(s, chunk, first, last < s->results.n ? last : s->results.n);
    return;
  }
  const int64_t columns = s->results.shape[s->results.rank - 1];
  const int64_t first = block % s->column_blocks * WIDTH, rest = columns - first;
  search_columns(s, block / s->column_blocks * columns + first, rest < WIDTH ? rest : WIDTH);
}

static void join_candidates(const search *s) {
  for (int64_t i = 0; i < s->results.n; i++) {
    const candidate *best = &s->candidates[i];
    for (int64_t chunk = 1; chunk < s->chunks; chunk++) {
      const candidate *const other = &s->candidates[chunk * s->results.n + i];
      if (s->search->beats(other->value, best->value)) best = other;
    }
    ((int64_t *)s->job->out)[i] = best->at;
  }
}

tv_status tvi_argreduce(const tv_reduce *job) {
  const bool is_max = job->reduction == TV_REDUCE_ARGMAX;
  const bool is_half = job->dtype == TV_F16 || job->dtype == TV_BF16;
  const tv_dtype dtype = is_half ? TV_F32 : job->dtype;
  const tvi_level *const level = tvi_level_here();
  search s = {.job = job,
              .search = &(is_max ? level->first_max : level->first_min)[dtype],
              .extreme = (is_max ? level->maxima : level->minima)[dtype].fold};
  if (!s.extreme)
    return tv_backend_fail(TV_EUNSUPPORTED, "argmax, argmin: complex numbers have no order");
  tvi_reduce_axes(job, dtype, &s.line, &s.results);
  if (s.results.n == 0 || s.line.n == 0) return TV_OK;
  s.is_by_columns = s.line.n <= SHORT
                        ? s.results.rank > 0
                        : s.line.n <= INT32_MAX && tvi_reduces_columns(&s.line, &s.results);
  s.column_blocks = 1;
  if (s.is_by_columns) {
    const int64_t columns = s.results.shape[s.results.rank - 1];
    s.column_blocks = (columns + WIDTH - 1) / WIDTH;
    s.blocks = s.results.n / columns * s.column_blocks;
  } else {
    s.block = 1 + CHUNK / s.line.n;
    s.blocks = (s.results.n + s.block - 1) / s.block;
  }
  s.chunk = s.line.n;
  s.chunks = 1;
  if (!tvi_worth_threads((double)s.results.n * (double)s.line.n * .2)) {
    for (int64_t i = 0; i < s.blocks; i++) task(&s, i);
    return TV_OK;
  }
  if (!s.is_by_columns && s.blocks < 32 && s.line.n > CHUNK) {
    s.chunk = CHUNK;
    s.chunks = (s.line.n + CHUNK - 1) / CHUNK;
    s.candidates = tvi_malloc(s.chunks * s.results.n * (int64_t)sizeof *s.candidates);
    if (!s.candidates) s.chunk = s.line.n, s.chunks = 1;
  }
  tvi_parallel(s.blocks * s.chunks, task, &s);
  if (s.candidates) join_candidates(&s);
  tvi_free(s.candidates);
  return TV_OK;
}
