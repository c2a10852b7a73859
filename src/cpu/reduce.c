/* SPDX-License-Identifier: MIT
 * Reductions to a value: sum, max and min.
 *
 * The order of a floating sum follows the index k of an element alone (C order of the reduced
 * axes):
 *   1. Element k goes to accumulator k mod 16 of its run, k / 512. Accumulators begin at -0, which
 *      changes nothing, and take their elements in order.
 *   2. The run's accumulators a[0..16) are added by halves: a[i] += a[i + 8], then 4, 2, 1.
 *   3. Runs are added pairwise, as a binary counter does: run 2j to run 2j + 1, pair to pair, and
 * at the end what is left from the lowest level up. So 2^c runs from a multiple of 2^c make one
 * node of the tree, which is what a thread computes, and the error is that of 32 + log2(n / 512) +
 * 4 additions. Complex numbers are two sums side by side.
 *
 * Integers, max and min go the same way with one accumulator: they come out alike in any order. */
#include "reduce.h"

#include <string.h>

enum {
  LANES = 16,
  WIDTH = 512,               /* bytes of a row of accumulators on the stack */
  MOST_WIDTH = 4096,         /* on the heap: rows long enough for the memory, 16 of them in L2 */
  LEVELS = 48,               /* of the counter: 2^48 runs */
  ITEM = 16,                 /* largest element */
  LEAST_ROW = TVI_SHORT + 1, /* elements that are worth running a program for */
  CHUNK = 64,                /* runs that one thread adds at a time; a power of two */
  LINES = TVI_LINES,
  RUNS = 8,  /* folded at a time */
  PACKED = 8 /* rows of the type that accumulates, made at a time */
};

/* Lines and results ---------------------------------------------------------------------------- */

/* Axes [from, to) without those of size 1, merged where they walk as one. */
static int merge(const tv_reduce *job, int from, int to, int64_t *shape, int64_t *steps) {
  int n = 0;
  for (int axis = from; axis < to; axis++) {
    const int64_t size = job->shape[axis], step = job->in.is_immediate ? 0 : job->in.steps[axis];
    if (size == 1) continue;
    if (n > 0 && steps[n - 1] == step * size) {
      shape[n - 1] *= size;
      steps[n - 1] = step;
    } else {
      shape[n] = size;
      steps[n++] = step;
    }
  }
  return n;
}

void tvi_reduce_axes(const tv_reduce *job, tv_dtype accumulates, tvi_line *line,
                     tvi_results *results) {
  line->n = results->n = 1;
  for (int axis = 0; axis < job->kept; axis++) results->n *= job->shape[axis];
  for (int axis = job->kept; axis < job->rank; axis++) line->n *= job->shape[axis];
  results->rank = merge(job, 0, job->kept, results->shape, results->steps);
  line->rank = merge(job, job->kept, job->rank, line->shape, line->steps);
  line->item = tvi_item(job->dtype);
  line->acc_item = tvi_item(accumulates);
  line->is_native = accumulates == job->dtype;
  line->load = tvi_convert_loop(job->dtype, accumulates);
}

static int64_t offset(int rank, const int64_t *shape, const int64_t *steps, int64_t i) {
  int64_t at = 0;
  for (int axis = rank - 1; axis >= 0 && i; axis--) {
    at += i % shape[axis] * steps[axis];
    i /= shape[axis];
  }
  return at;
}

int64_t tvi_line_offset(const tvi_line *line, int64_t k) {
  return offset(line->rank, line->shape, line->steps, k);
}

int64_t tvi_results_offset(const tvi_results *results, int64_t i) {
  return offset(results->rank, results->shape, results->steps, i);
}

bool tvi_reduces_columns(const tvi_line *line, const tvi_results *results) {
  if (results->rank == 0) return false;
  if (line->rank == 0) return true;
  const int64_t across = results->steps[results->rank - 1], along = line->steps[line->rank - 1];
  return results->shape[results->rank - 1] > 3 &&
         (across < 0 ? -across : across) < (along < 0 ? -along : along);
}

/* Elements `step` bytes apart into consecutive ones of the type that accumulates. */
static void pack(const tvi_line *line, char *out, const char *in, int64_t step, int64_t n) {
  char *const p[] = {out, (char *)(uintptr_t)in};
  const int64_t steps[] = {line->acc_item, step};
  line->load(n, p, steps);
}

const void *tvi_line_fetch(const tvi_line *line, const char *at, int64_t n, void *buffer) {
  return line->run ? tvi_fused_fetch(line->run, (at - line->base) / line->item, n, buffer) : at;
}

const void *tvi_line_run(const tvi_line *line, const char *from, int64_t k, int64_t n,
                         void *buffer) {
  const int inner = line->rank - 1;
  if (inner <= 0 && (inner < 0 ? n == 1 : line->steps[0] == line->item)) {
    char elements[TVI_RUN * ITEM];
    const char *const at = from + (inner < 0 ? 0 : k * line->item);
    if (line->is_native) return tvi_line_fetch(line, at, n, buffer);
    pack(line, buffer, tvi_line_fetch(line, at, n, elements), line->item, n);
    return buffer;
  }
  if (inner < 0) {
    pack(line, buffer, from, 0, n);
    return buffer;
  }
  int64_t at = k % line->shape[inner];
  for (char *out = buffer; n > 0; at = 0) {
    const int64_t rest = line->shape[inner] - at, count = n < rest ? n : rest;
    pack(line, out, from + tvi_line_offset(line, k), line->steps[inner], count);
    out += count * line->acc_item;
    k += count;
    n -= count;
  }
  return buffer;
}

/* The counter ---------------------------------------------------------------------------------- */

/* Adds runs pairwise. Level l holds the sum of 2^l runs where bit l of `runs` is set. */
typedef struct counter {
  const tvi_folder *fold;
  int64_t runs, scalars, bytes; /* a value: its scalars and bytes */
  char *levels;
} counter;

/* Takes `value`, which is changed: the order is fixed, and addition of two does not care who is
 * first. */
static void count(counter *c, char *value) {
  int level = 0;
  for (int64_t runs = c->runs++; runs & 1; runs >>= 1, level++)
    c->fold->join(value, c->levels + level * c->bytes, c->scalars);
  memcpy(c->levels + level * c->bytes, value, (size_t)c->bytes);
}

/* The total, from the lowest level up. */
static void total(const counter *c, char *value) {
  bool is_first = true;
  int level = 0;
  for (int64_t runs = c->runs; runs; runs >>= 1, level++) {
    if (!(runs & 1)) continue;
    if (is_first)
      memcpy(value, c->levels + level * c->bytes, (size_t)c->bytes);
    else
      c->fold->join(value, c->levels + level * c->bytes, c->scalars);
    is_first = false;
  }
}

/* The job -------------------------------------------------------------------------------------- */

typedef struct reduction {
  const tv_reduce *job;
  const tvi_folder *fold;
  tvi_line line;
  tvi_results results;
  tv_dtype accumulates;
  int64_t scalars; /* of an element: 2 if it is complex */
  int64_t chunk;   /* elements of a line that one task takes: a node of the tree, or all */
  int64_t chunks;  /* of a line */
  int64_t block;   /* results that one task takes, side by side if by columns */
  int64_t blocks, column_blocks;
  bool is_by_columns;
  char *partials;         /* [chunks, results]; NULL: a task gives whole results */
  const tvi_fused *fused; /* not NULL: what computes the elements */
} reduction;

/* Puts n values from result i on into the output, or among the partials. */
static void put(const reduction *r, int64_t chunk, int64_t i, const char *values, int64_t n) {
  const int64_t item = r->line.acc_item;
  if (r->partials) {
    memcpy(r->partials + (chunk * r->results.n + i) * item, values, (size_t)(n * item));
    return;
  }
  const int64_t out_item = tvi_item(r->job->out_dtype);
  char *const p[] = {(char *)r->job->out + i * out_item, (char *)(uintptr_t)values};
  const int64_t steps[] = {out_item, item};
  tvi_convert_loop(r->accumulates, r->job->out_dtype)(n, p, steps);
}

int64_t tvi_short_lines(const tvi_line *line, const tvi_results *results, const char *data,
                        int64_t first, int64_t last, char *buffer, const char **from,
                        int64_t *step) {
  /* Along the inner axis of the results their lines are a step apart. */
  const int inner = results->rank - 1;
  const int64_t packed = line->n * line->acc_item;
  const int64_t left = inner < 0 ? 1 : results->shape[inner] - first % results->shape[inner];
  int64_t n = left < last - first ? left : last - first;
  if (n > LINES) n = LINES;
  *step = inner < 0 ? 0 : results->steps[inner];
  const char *const at = data + tvi_results_offset(results, first);
  *from = tvi_line_run(line, at, 0, line->n, buffer);
  if (*from != buffer) return n;
  if (n > TVI_LINES_BYTES / packed) n = TVI_LINES_BYTES / packed;
  for (int64_t k = 1; k < n; k++) /* into the buffer, as the first went */
    tvi_line_run(line, at + k * *step, 0, line->n, buffer + k * packed);
  *step = packed;
  return n;
}

/* Lines of one run each, whole. */
static void reduce_short_lines(const reduction *r, int64_t first, int64_t last) {
  char buffer[TVI_LINES_BYTES], values[LINES * ITEM];
  const char *from;
  for (int64_t i = first, n, step; i < last; i += n) {
    n = tvi_short_lines(&r->line, &r->results, r->job->in.data, i, last, buffer, &from, &step);
    r->fold->fold_lines(from, step, r->line.n, n, values);
    put(r, 0, i, values, n);
  }
}

/* Whether lines are short enough to fold many at a time: sums in any case, of others those that are
 * too short for their own fold to get going. */
static bool has_short_lines(const reduction *r) {
  return !r->partials && !r->fused && r->fold->fold_lines &&
         r->line.n <= (r->fold->lanes > 1 ? TVI_RUN : TVI_SHORT);
}

static void reduce_lines(const reduction *r, int64_t chunk, int64_t first, int64_t last) {
  char buffer[TVI_RUN * ITEM], levels[LEVELS * ITEM], value[ITEM], values[RUNS * ITEM];
  const int64_t begin = chunk * r->chunk;
  const int64_t end = begin + r->chunk < r->line.n ? begin + r->chunk : r->line.n;
  if (has_short_lines(r)) {
    reduce_short_lines(r, first, last);
    return;
  }
  const bool is_single = !r->partials && r->accumulates == r->job->out_dtype &&
                         r->line.n <= TVI_RUN && r->results.rank <= 1;
  if (is_single) { /* lines of one run: no more than this */
    const char *from = (const char *)r->job->in.data + tvi_results_offset(&r->results, first);
    char *out = (char *)r->job->out + first * r->line.acc_item;
    for (int64_t i = first; i < last; i++, out += r->line.acc_item) {
      r->fold->fold(tvi_line_run(&r->line, from, 0, r->line.n, buffer), r->line.n, out);
      from += r->results.rank ? r->results.steps[0] : 0;
    }
    return;
  }
  for (int64_t i = first; i < last; i++) {
    const char *const from = (const char *)r->job->in.data + tvi_results_offset(&r->results, i);
    counter c = {r->fold, 0, r->scalars, r->line.acc_item, levels};
    int64_t k = begin;
    /* Whole runs side by side: their accumulators do not wait for each other. */
    while (r->fold->lanes > 1 && r->fold->fold_lines && !r->fused && end - k >= 2 * TVI_RUN) {
      const char *const run = tvi_line_run(&r->line, from, k, TVI_RUN, buffer);
      if (run == buffer) break;
      const int64_t whole = (end - k) / TVI_RUN, n = whole < RUNS ? whole : RUNS;
      r->fold->fold_lines(run, TVI_RUN * r->line.item, TVI_RUN, n, values);
      for (int64_t at = 0; at < n; at++) count(&c, values + at * r->line.acc_item);
      k += n * TVI_RUN;
    }
    for (; k < end; k += TVI_RUN) {
      const int64_t n = end - k < TVI_RUN ? end - k : TVI_RUN;
      r->fold->fold(tvi_line_run(&r->line, from, k, n, buffer), n, value);
      if (end - begin > TVI_RUN) count(&c, value);
    }
    if (end - begin > TVI_RUN) total(&c, value);
    put(r, chunk, i, value, 1);
  }
}

/* Rows [k, k + n) of a run, `width` columns wide, into the lanes. */
static void add_rows(const reduction *r, const char *from, int64_t k, int64_t n, int64_t width,
                     char *lanes) {
  const tvi_line *line = &r->line;
  const int64_t step = r->results.steps[r->results.rank - 1], row_bytes = width * line->acc_item;
  const int64_t scalars = width * r->scalars, n_lanes = r->fold->lanes;
  const bool is_direct = line->is_native && step == line->item;
  int64_t row = 0;
  /* Rows without gaps are one row, 16 times as wide. */
  if (is_direct && line->rank == 1 && line->steps[0] == row_bytes && n_lanes > 1) {
    r->fold->join_rows(lanes, from + k * row_bytes, n_lanes * row_bytes, n / n_lanes,
                       scalars * n_lanes);
    row = n / n_lanes * n_lanes;
  }
  char buffer[PACKED * MOST_WIDTH];
  const int inner = line->rank - 1;
  const int64_t row_step = inner < 0 ? 0 : line->steps[inner];
  while (row < n) {
    const char *at = from + tvi_line_offset(line, k + row);
    int64_t count = inner < 0 ? 1 : line->shape[inner] - (k + row) % line->shape[inner];
    if (count > n - row) count = n - row;
    if (is_direct)
      for (int64_t lane = 0; lane < n_lanes && lane < count; lane++)
        r->fold->join_rows(lanes + (row + lane) % n_lanes * row_bytes, at + lane * row_step,
                           n_lanes * row_step, (count - lane + n_lanes - 1) / n_lanes, scalars);
    else
      for (int64_t lane = 0; lane < n_lanes && lane < count; lane++)
        for (int64_t i = lane, packed; i < count; i += packed * n_lanes) {
          for (packed = 0; packed < PACKED && i + packed * n_lanes < count; packed++)
            pack(line, buffer + packed * row_bytes, at + (i + packed * n_lanes) * row_step, step,
                 width);
          r->fold->join_rows(lanes + (row + lane) % n_lanes * row_bytes, buffer, row_bytes, packed,
                             scalars);
        }
    row += count;
  }
}

/* The same of rows that a program computes: many at a time where they follow each other. */
static void add_computed_rows(const reduction *r, const char *from, int64_t k, int64_t n,
                              int64_t width, char *lanes) {
  _Alignas(64) char elements[PACKED * MOST_WIDTH], wide[PACKED * MOST_WIDTH];
  const tvi_line *line = &r->line;
  const int inner = line->rank - 1, n_lanes = r->fold->lanes;
  const int64_t row_bytes = width * line->item, row_step = inner < 0 ? 0 : line->steps[inner];
  const int64_t lane_bytes = width * line->acc_item;
  for (int64_t row = 0, count; row < n; row += count) {
    const char *const at = from + tvi_line_offset(line, k + row);
    count = inner < 0 ? 1 : line->shape[inner] - (k + row) % line->shape[inner];
    if (count > n - row) count = n - row;
    if (count > PACKED * MOST_WIDTH / lane_bytes) count = PACKED * MOST_WIDTH / lane_bytes;
    const char *values = NULL;
    if (row_step == row_bytes)
      values = tvi_line_fetch(line, at, count * width, elements);
    else
      for (int64_t i = count - 1; i >= 0; i--)
        values = tvi_line_fetch(line, at + i * row_step, width, elements + i * row_bytes);
    int64_t step = values == elements ? row_bytes : row_step; /* else the program stores them */
    if (!line->is_native) {
      for (int64_t i = 0; i < count; i++)
        pack(line, wide + i * lane_bytes, values + i * step, line->item, width);
      values = wide;
      step = lane_bytes;
    }
    for (int64_t lane = 0; lane < n_lanes && lane < count; lane++)
      r->fold->join_rows(lanes + (row + lane) % n_lanes * lane_bytes, values + lane * step,
                         n_lanes * step, (count - lane + n_lanes - 1) / n_lanes,
                         width * r->scalars);
  }
}

/* Assumes: `lanes` has room for the accumulators, `levels` for those of a counter. */
static void add_columns(const reduction *r, int64_t chunk, int64_t first, int64_t width,
                        char *lanes, char *levels) {
  const int64_t begin = chunk * r->chunk, row_bytes = width * r->line.acc_item;
  const int64_t end = begin + r->chunk < r->line.n ? begin + r->chunk : r->line.n;
  const int64_t scalars = width * r->scalars;
  const char *const from = (const char *)r->job->in.data + tvi_results_offset(&r->results, first);
  counter c = {r->fold, 0, scalars, row_bytes, levels};
  for (int64_t k = begin; k < end; k += TVI_RUN) {
    const int64_t n = end - k < TVI_RUN ? end - k : TVI_RUN;
    r->fold->fill(lanes, scalars * r->fold->lanes);
    (r->fused ? add_computed_rows : add_rows)(r, from, k, n, width, lanes);
    for (int half = r->fold->lanes / 2; half; half /= 2)
      r->fold->join(lanes, lanes + half * row_bytes, half * scalars);
    if (end - begin > TVI_RUN) count(&c, lanes);
  }
  if (end - begin > TVI_RUN) total(&c, lanes);
  put(r, chunk, first, lanes, width);
}

/* Levels that a counter of so many elements fills. */
static int levels_of(int64_t n) {
  int levels = 1;
  for (int64_t runs = (n + TVI_RUN - 1) / TVI_RUN; runs > 1; runs /= 2) levels++;
  return levels;
}

/* Narrow columns, without memory to be had. */
static void add_narrow_columns(const reduction *r, int64_t chunk, int64_t first, int64_t width) {
  _Alignas(64) char lanes[LANES * WIDTH], levels[LEVELS * WIDTH];
  const int64_t most = WIDTH / r->line.acc_item;
  for (int64_t at = 0; at < width; at += most)
    add_columns(r, chunk, first + at, width - at < most ? width - at : most, lanes, levels);
}

static void reduce_columns(const reduction *r, int64_t chunk, int64_t first, int64_t width) {
  const int64_t row_bytes = width * r->line.acc_item;
  char *const lanes =
      row_bytes <= WIDTH
          ? NULL
          : tvi_aligned_alloc(64, (r->fold->lanes + levels_of(r->chunk)) * row_bytes);
  if (lanes)
    add_columns(r, chunk, first, width, lanes, lanes + r->fold->lanes * row_bytes);
  else
    add_narrow_columns(r, chunk, first, width);
  tvi_free(lanes);
}

static void run_task(const reduction *r, int64_t i) {
  const int64_t chunk = i / r->blocks, block = i % r->blocks;
  if (!r->is_by_columns) {
    const int64_t first = block * r->block, last = first + r->block;
    reduce_lines(r, chunk, first, last < r->results.n ? last : r->results.n);
    return;
  }
  const int64_t columns = r->results.shape[r->results.rank - 1];
  const int64_t first = block % r->column_blocks * r->block, rest = columns - first;
  reduce_columns(r, chunk, block / r->column_blocks * columns + first,
                 rest < r->block ? rest : r->block);
}

static void task(void *context, int64_t i) {
  const reduction *const r = context;
  if (!r->fused) {
    run_task(r, i);
    return;
  }
  tvi_fused_run run;
  reduction mine = *r;
  mine.line.run = &run;
  tvi_fused_begin(&run, r->fused);
  run_task(&mine, i);
}

/* The tree above the chunks; then the partials are of no more use. */
static void join_partials(reduction *r) {
  char *const partials = r->partials;
  char levels[LEVELS * ITEM], value[ITEM];
  const int64_t item = r->line.acc_item;
  r->partials = NULL;
  for (int64_t i = 0; i < r->results.n; i++) {
    counter c = {r->fold, 0, r->scalars, item, levels};
    for (int64_t chunk = 0; chunk < r->chunks; chunk++) {
      memcpy(value, partials + (chunk * r->results.n + i) * item, (size_t)item);
      /* A last chunk that is not full is the lower end of the counter, not a node of its level. */
      if (chunk == r->chunks - 1 && r->line.n % r->chunk) break;
      count(&c, value);
    }
    if (r->line.n % r->chunk == 0) {
      total(&c, value);
    } else {
      int level = 0;
      for (int64_t runs = c.runs; runs; runs >>= 1, level++)
        if (runs & 1) r->fold->join(value, levels + level * item, r->scalars);
    }
    put(r, 0, i, value, 1);
  }
}

/* The program's last value in a block of its own, and then the reduction of that. */
static tv_status reduce_stored(const tv_reduce *job) {
  const tv_program *const program = job->program;
  int64_t bytes = tvi_item(job->dtype);
  for (int axis = 0; axis < program->rank; axis++) bytes *= program->shape[axis];
  tv_step steps[TV_MAX_STEPS];
  memcpy(steps, program->steps, (size_t)program->n_steps * sizeof *steps);
  tv_step *const last = &steps[program->n_steps - 1];
  void *block = NULL;
  if (!last->out && bytes && tvi_cpu_reserve(NULL, bytes, NULL, &block)) return TV_ENOMEM;
  if (!last->out) last->out = block;
  tv_program stored = *program;
  stored.steps = steps;
  tv_status status = tvi_cpu_program(NULL, &stored, NULL);
  tv_reduce rest = *job;
  rest.program = NULL;
  rest.in.data = last->out;
  if (!status) status = tvi_cpu_reduce(NULL, &rest, NULL);
  if (block) tvi_cpu_release(NULL, block, bytes, NULL, 0, NULL);
  return status;
}

/* Elements are computed a block at a time: they must be wanted as they would lie in memory, and
 * many of them in a row. */
static bool takes_blocks(const reduction *r) {
  const int inner = r->results.rank - 1;
  return r->is_by_columns
             ? r->results.steps[inner] == r->line.item && r->results.shape[inner] >= LEAST_ROW
             : r->line.rank == 1 && r->line.steps[0] == r->line.item && r->line.n >= LEAST_ROW;
}

static tv_status reduce(const tv_reduce *job, const tvi_fused *fused) {
  reduction r = {.job = job, .fused = fused};
  const bool is_half = job->dtype == TV_F16 || job->dtype == TV_BF16;
  r.accumulates = is_half ? TV_F32 : job->dtype;
  r.scalars = job->dtype >= TV_C64 ? 2 : 1;
  const tvi_level *const level = tvi_level_here();
  r.fold = &(job->reduction == TV_REDUCE_SUM   ? level->sums
             : job->reduction == TV_REDUCE_MAX ? level->maxima
                                               : level->minima)[r.accumulates];
  if (!r.fold->fold)
    return tv_backend_fail(TV_EUNSUPPORTED, "max, min: complex numbers have no order");
  tvi_reduce_axes(job, r.accumulates, &r.line, &r.results);
  if (r.results.n == 0) return TV_OK;
  if (r.line.n == 0) {
    memset(job->out, 0, (size_t)(r.results.n * tvi_item(job->out_dtype)));
    return TV_OK;
  }
  r.is_by_columns = tvi_reduces_columns(&r.line, &r.results);
  r.column_blocks = 1;
  if (r.is_by_columns) {
    const int64_t columns = r.results.shape[r.results.rank - 1];
    r.block = MOST_WIDTH / r.line.acc_item;
    r.column_blocks = (columns + r.block - 1) / r.block;
    r.blocks = r.results.n / columns * r.column_blocks;
  } else {
    r.block = 1 + CHUNK * TVI_RUN / r.line.n;
    r.blocks = (r.results.n + r.block - 1) / r.block;
  }
  r.chunk = r.line.n;
  r.chunks = 1;
  if (fused && !takes_blocks(&r)) return reduce_stored(job);
  r.line.base = job->in.data;
  const double cost = .05 * (double)tvi_item(job->dtype) + (fused ? fused->cost : 0);
  if (!tvi_worth_threads((double)r.results.n * (double)r.line.n * cost)) {
    for (int64_t i = 0; i < r.blocks; i++) task(&r, i);
    return TV_OK;
  }
  if (r.blocks < 32 && r.line.n > CHUNK * TVI_RUN) {
    r.chunk = CHUNK * TVI_RUN;
    r.chunks = (r.line.n + r.chunk - 1) / r.chunk;
    r.partials = tvi_malloc(r.chunks * r.results.n * r.line.acc_item);
    if (!r.partials) r.chunk = r.line.n, r.chunks = 1; /* then whole lines: the same bits */
  }
  char *const partials = r.partials;
  tvi_parallel(r.blocks * r.chunks, task, &r);
  if (partials) join_partials(&r);
  tvi_free(partials);
  return TV_OK;
}

tv_status tvi_cpu_reduce(void *self, const tv_reduce *job, void *stream) {
  (void)self, (void)stream;
  if (job->reduction == TV_REDUCE_ARGMAX || job->reduction == TV_REDUCE_ARGMIN)
    return tvi_argreduce(job);
  if (!job->program) return reduce(job, NULL);
  /* Where the first element of a value that is stored nowhere would be: only distances from it mean
   * anything. */
  static const char nowhere[1];
  tvi_fused fused;
  tv_reduce virtual = *job;
  virtual.in.data = (void *)(uintptr_t)nowhere;
  const tv_status status = tvi_fused_make(&fused, job->program, false);
  return status ? status : reduce(&virtual, &fused);
}
