/* SPDX-License-Identifier: MIT
 * Reductions to a position: argmax and argmin.
 *
 * A line is read in runs: the best value of a run is found as max and min do, in vector code, and
 * only a run that beats the best so far is searched for where. Results side by side in memory, go
 * some rows at a time. The first of equal elements wins (-0 equals +0), the first
 * NaN beats all else. */
#include <string.h>

#include "reduce.h"

enum {
  WIDTH = 256,
  ITEM = 8,
  CHUNK = 64 * TVI_RUN,
  ROWS = 9,        /* of columns, of which the best are found first, and then where they are */
  PACKED = 1 << 15 /* bytes of rows that are not in place */
};

typedef struct {
  char value[ITEM];
  int64_t at;
} candidate;

typedef struct search {
  const tv_reduce *job;
  const tvi_searcher *search;
  const tvi_folder *extreme;
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
      s->extreme->fold(run, n, value);
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

static void search_short_lines(const search *s, int64_t first, int64_t last) {
  char buffer[TVI_LINES_BYTES], values[TVI_LINES * ITEM];
  const char *from;
  for (int64_t i = first, n, step; i < last; i += n) {
    n = tvi_short_lines(&s->line, &s->results, s->job->in.data, i, last, buffer, &from, &step);
    s->extreme->fold_lines(from, step, s->line.n, n, values);
    s->search->find_lines(from, step, s->line.n, n, values, (int64_t *)s->job->out + i);
  }
}

/* Rows [0, n) from element k of the columns' lines on: the best of each column, and where it beats
 * what was best it is looked for. In most rows none does. */
static void search_rows(const search *s, const char *rows, int64_t row_step, int64_t n, int64_t k,
                        int64_t width, char *best, int64_t *at) {
  _Alignas(64) char values[WIDTH * ITEM];
  memcpy(values, rows, (size_t)(width * s->line.acc_item));
  s->extreme->join_rows(values, rows + row_step, row_step, n - 1, width);
  s->search->update(rows, row_step, n, width, k, values, best, at);
}

static void search_columns(const search *s, int64_t first, int64_t width) {
  _Alignas(64) char best[WIDTH * ITEM] = {0}, packed[PACKED];
  int64_t *const at = (int64_t *)s->job->out + first;
  const tvi_line *line = &s->line;
  const int inner = line->rank - 1;
  const int64_t step = s->results.steps[s->results.rank - 1], row_bytes = width * line->acc_item;
  const int64_t row_step = inner < 0 ? 0 : line->steps[inner];
  const char *const from = (const char *)s->job->in.data + tvi_results_offset(&s->results, first);
  const bool is_direct = line->is_native && step == line->item;
  const int64_t most = is_direct || ROWS * row_bytes <= PACKED ? ROWS : PACKED / row_bytes;
  for (int64_t k = 0, n; k < line->n; k += n) {
    const char *const rows = from + tvi_line_offset(line, k);
    n = inner < 0 ? 1 : line->shape[inner] - k % line->shape[inner];
    if (n > most) n = most;
    for (int64_t row = 0; row < n && !is_direct; row++)
      line->load(
          width,
          (char *const[]){packed + row * row_bytes, (char *)(uintptr_t)rows + row * row_step},
          (const int64_t[]){line->acc_item, step});
    search_rows(s, is_direct ? rows : packed, is_direct ? row_step : row_bytes, n, k, width, best,
                at);
  }
}

static void task(void *context, int64_t i) {
  const search *const s = context;
  const int64_t chunk = i / s->blocks, block = i % s->blocks;
  if (!s->is_by_columns) {
    const int64_t first = block * s->block, last = first + s->block;
    const int64_t end = last < s->results.n ? last : s->results.n;
    if (s->line.n <= TVI_SHORT)
      search_short_lines(s, first, end);
    else
      search_lines(s, chunk, first, end);
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
              .extreme = &(is_max ? level->maxima : level->minima)[dtype]};
  if (!s.extreme->fold)
    return tv_backend_fail(TV_EUNSUPPORTED, "argmax, argmin: complex numbers have no order");
  tvi_reduce_axes(job, dtype, &s.line, &s.results);
  if (s.results.n == 0 || s.line.n == 0) return TV_OK;
  s.is_by_columns = tvi_reduces_columns(&s.line, &s.results);
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
