/* SPDX-License-Identifier: MIT
 * The rows slot: softmax, log-softmax, cross entropy, its gradient, and layer norm.
 *
 * A row is gone over a few times while it is in cache: its largest element, the powers and their
 * sum, then the result. The parts are vector code of the level (rows.h); the order of sums is that
 * of reduce.c. Few long rows are cut into chunks that are nodes of that order's tree. */
#include <math.h>

#include "level.h"
#include "scalar.h"
#include "streamed.h"

enum {
  SCRATCH = 4096,       /* elements of a row whose powers are kept on the stack */
  CHUNK = 64 * TVI_RUN, /* elements of a long row that one task takes; a power of two of runs */
  LEVELS = 48
};

typedef struct rows {
  const tv_rows *job;
  const tvi_rower *of;
  int64_t item, block; /* bytes of an element; rows of a task */
  double (*part)(const struct rows *r, const tvi_row *row, int64_t begin, int64_t n);
  /* Of one long row: */
  tvi_row row;
  double *parts; /* [chunks] */
} rows;

static bool is_wide(const rows *r) { return r->job->dtype == TV_F64; }

/* A value of the type that computes. */
static double rounded(const rows *r, double x) { return is_wide(r) ? x : (double)(float)x; }

static tvi_row row_at(const rows *r, int64_t i) {
  const tv_rows *const job = r->job;
  return (tvi_row){.x = (const char *)job->x + i * job->columns * r->item,
                   .g = job->g ? (const char *)job->g + i * r->item : NULL,
                   .gamma = job->gamma,
                   .beta = job->beta,
                   .label = job->labels ? job->labels[i] : -1};
}

static char *out_at(const rows *r, int64_t i) {
  const bool is_one = r->job->op == TV_ROWS_CROSS_ENTROPY;
  return (char *)r->job->out + i * (is_one ? 1 : r->job->columns) * r->item;
}

/* Whether the result reads every power, and not only their sum. */
static bool needs_powers(const rows *r) {
  return r->job->op == TV_ROWS_SOFTMAX || r->job->op == TV_ROWS_CROSS_ENTROPY_GRADIENT;
}

/* sqrt(squares / n + epsilon), a step at a time as single ops round. */
static double root_of(const rows *r, double squares) {
  const double n = (double)r->job->columns;
  if (is_wide(r)) return sqrt(squares / n + r->job->epsilon);
  return (double)sqrtf((float)squares / (float)n + (float)r->job->epsilon);
}

static double mean_of(const rows *r, double total) {
  return rounded(r, total / rounded(r, (double)r->job->columns));
}

static void whole_rows(void *context, int64_t i) {
  const rows *const r = context;
  _Alignas(64) double scratch[SCRATCH], result[SCRATCH];
  const int64_t begin = i * r->block, n = r->job->columns;
  const int64_t end = begin + r->block < r->job->rows ? begin + r->block : r->job->rows;
  const bool keeps_powers = needs_powers(r) && n <= SCRATCH;
  const bool is_streamed = n <= SCRATCH && r->job->op != TV_ROWS_CROSS_ENTROPY &&
                           2 * r->job->rows * n * r->item > TVI_STREAMED;
  for (int64_t at = begin; at < end; at++) {
    tvi_row row = row_at(r, at);
    if (r->job->op == TV_ROWS_LAYER_NORM) {
      row.mean = mean_of(r, r->of->total(row.x, n));
      row.root = root_of(r, r->of->squares(row.x, n, row.mean));
    } else {
      row.largest = r->of->largest(row.x, n);
      row.sum = r->of->powers(row.x, n, row.largest, keeps_powers ? scratch : NULL);
      row.powers = keeps_powers ? scratch : NULL;
    }
    r->of->finish[r->job->op](&row, n, is_streamed ? (char *)result : out_at(r, at));
    if (is_streamed) tvi_level_here()->stream(out_at(r, at), (const char *)result, n * r->item);
  }
  if (is_streamed) tvi_stream_end();
}

/* Long rows ------------------------------------------------------------------------------------ */

static double part_largest(const rows *r, const tvi_row *row, int64_t begin, int64_t n) {
  return r->of->largest((const char *)row->x + begin * r->item, n);
}
static double part_powers(const rows *r, const tvi_row *row, int64_t begin, int64_t n) {
  return r->of->powers((const char *)row->x + begin * r->item, n, row->largest, NULL);
}
static double part_total(const rows *r, const tvi_row *row, int64_t begin, int64_t n) {
  return r->of->total((const char *)row->x + begin * r->item, n);
}
static double part_squares(const rows *r, const tvi_row *row, int64_t begin, int64_t n) {
  return r->of->squares((const char *)row->x + begin * r->item, n, row->mean);
}

static int64_t chunk_size(const rows *r, int64_t chunk) {
  const int64_t rest = r->job->columns - chunk * CHUNK;
  return rest < CHUNK ? rest : CHUNK;
}

static void one_part(void *context, int64_t chunk) {
  rows *const r = context;
  r->parts[chunk] = r->part(r, &r->row, chunk * CHUNK, chunk_size(r, chunk));
}

static void finish_part(void *context, int64_t chunk) {
  const rows *const r = context;
  const int64_t begin = chunk * CHUNK, by = begin * r->item;
  tvi_row row = r->row;
  row.x = (const char *)row.x + by;
  row.label -= begin;
  if (row.gamma) row.gamma = (const char *)row.gamma + by;
  if (row.beta) row.beta = (const char *)row.beta + by;
  r->of->finish[r->job->op](&row, chunk_size(r, chunk), r->row.to + by);
}

/* The tree above the chunks. A last chunk that is not full is the counter's lower end. */
static double joined(const rows *r, int64_t chunks) {
  double levels[LEVELS], x = r->parts[chunks - 1];
  const bool is_full = r->job->columns % CHUNK == 0;
  int64_t count = 0;
  for (int64_t chunk = 0; chunk < chunks - !is_full; chunk++, count++) {
    double node = r->parts[chunk];
    int level = 0;
    for (int64_t bits = count; bits & 1; bits >>= 1) node = rounded(r, node + levels[level++]);
    levels[level] = node;
  }
  if (is_full) x = -0.0;
  int level = 0;
  for (int64_t bits = count; bits; bits >>= 1, level++)
    if (bits & 1) x = rounded(r, x + levels[level]);
  return x;
}

static double largest_of(const rows *r, int64_t chunks) {
  double x = r->parts[0];
  for (int64_t chunk = 1; chunk < chunks; chunk++) x = tvi_maximum_f64(x, r->parts[chunk]);
  return x;
}

static void all_parts(rows *r, int64_t chunks,
                      double (*part)(const rows *, const tvi_row *, int64_t, int64_t)) {
  r->part = part;
  tvi_parallel(chunks, one_part, r);
}

static void long_rows(rows *r, int64_t chunks) {
  for (int64_t i = 0; i < r->job->rows; i++) {
    r->row = row_at(r, i);
    r->row.to = out_at(r, i);
    if (r->job->op == TV_ROWS_LAYER_NORM) {
      all_parts(r, chunks, part_total);
      r->row.mean = mean_of(r, joined(r, chunks));
      all_parts(r, chunks, part_squares);
      r->row.root = root_of(r, joined(r, chunks));
    } else {
      all_parts(r, chunks, part_largest);
      r->row.largest = largest_of(r, chunks);
      all_parts(r, chunks, part_powers);
      r->row.sum = joined(r, chunks);
    }
    if (r->job->op == TV_ROWS_CROSS_ENTROPY)
      r->of->finish[r->job->op](&r->row, r->job->columns, r->row.to);
    else
      tvi_parallel(chunks, finish_part, r);
  }
}

tv_status tvi_cpu_rows(void *self, const tv_rows *job, void *stream) {
  (void)self, (void)stream;
  rows r = {.job = job, .of = &tvi_level_here()->rowers[job->dtype], .item = tvi_item(job->dtype)};
  if (!r.of->largest)
    return tv_backend_fail(TV_EUNSUPPORTED, "rows: the cpu has no rows of dtype %d",
                           (int)job->dtype);
  if (job->rows == 0) return TV_OK;
  r.block = 1 + CHUNK / 2 / job->columns;
  const int64_t tasks = (job->rows + r.block - 1) / r.block;
  const int64_t chunks = (job->columns + CHUNK - 1) / CHUNK;
  if (!tvi_worth_threads((double)job->rows * (double)job->columns * .5)) {
    for (int64_t i = 0; i < tasks; i++) whole_rows(&r, i);
    return TV_OK;
  }
  if (job->rows < 16 && chunks > 1) {
    r.parts = tvi_malloc(chunks * (int64_t)sizeof *r.parts);
    if (r.parts) { /* else whole rows: the same bits */
      long_rows(&r, chunks);
      tvi_free(r.parts);
      return TV_OK;
    }
  }
  tvi_parallel(tasks, whole_rows, &r);
  return TV_OK;
}
