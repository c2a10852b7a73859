/* SPDX-License-Identifier: MIT
 * Plans: axes sorted, merged, tiled and split over threads. Elements do not depend on each other,
 * so any order gives the same bits.
 *
 * The last axis is the inner loop. Where another operand is walked across its memory by it (a
 * transposition), the two axes concerned are cut into tiles, so that cache lines are used whole. */
#include "plan.h"
#include "streamed.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
  CHUNK = 32768,     /* elements of work for one thread at a time */
  TILE = 64,         /* elements of a tile along the inner axis */
  LINE = 64,         /* bytes of a tile along the other: a cache line of what is walked across */
  SHORT = 16,        /* an inner loop below this is worth swapping for a longer one */
  STREAMED = 1 << 23 /* bytes of a transposed copy from which it goes around the caches: read again
                        it would not be there, and a line that is written whole need not be read */
};

static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

/* Whether axis i belongs outside of axis j: by the steps of the result, then of the inputs. */
static bool is_outside(const tvi_plan *plan, int i, int j) {
  for (int k = 0; k < plan->n_operands; k++) {
    const int64_t a = magnitude(plan->steps[k][i]), b = magnitude(plan->steps[k][j]);
    if (a != b) return a > b;
  }
  return i < j;
}

static void swap_axes(tvi_plan *plan, int i, int j) {
  const int64_t size = plan->shape[i];
  plan->shape[i] = plan->shape[j];
  plan->shape[j] = size;
  for (int k = 0; k < plan->n_operands; k++) {
    const int64_t step = plan->steps[k][i];
    plan->steps[k][i] = plan->steps[k][j];
    plan->steps[k][j] = step;
  }
}

static bool merges(const tvi_plan *plan, int outer, int inner) {
  for (int k = 0; k < plan->n_operands; k++)
    if (plan->steps[k][outer] != plan->steps[k][inner] * plan->shape[inner]) return false;
  return true;
}

void tvi_plan_make(tvi_plan *plan, int rank, const int64_t *shape, int n_operands,
                   const tv_operand *const *operands, const tv_dtype *dtypes) {
  plan->n_operands = n_operands;
  plan->size = 1;
  for (int k = 0; k < n_operands; k++) plan->items[k] = tvi_item(dtypes[k]);
  for (int k = 0; k < n_operands; k++)
    plan->base[k] = operands[k]->is_immediate ? (char *)(uintptr_t)operands[k]->immediate.bytes
                                              : operands[k]->data;
  int n = 0;
  for (int axis = 0; axis < rank; axis++) {
    plan->size *= shape[axis];
    if (shape[axis] == 1) continue;
    plan->shape[n] = shape[axis];
    for (int k = 0; k < n_operands; k++)
      plan->steps[k][n] = operands[k]->is_immediate ? 0 : operands[k]->steps[axis];
    n++;
  }
  plan->rank = n;
  if (plan->size == 0) return;
  for (int axis = 0; axis < n; axis++) {
    if (plan->steps[0][axis] >= 0) continue;
    for (int k = 0; k < n_operands; k++) {
      plan->base[k] += plan->steps[k][axis] * (plan->shape[axis] - 1);
      plan->steps[k][axis] = -plan->steps[k][axis];
    }
  }
  for (int i = 1; i < n; i++) /* mostly in order already */
    for (int j = i; j > 0 && is_outside(plan, j, j - 1); j--) swap_axes(plan, j, j - 1);
  int last = 0;
  for (int axis = 1; axis < n; axis++) {
    if (merges(plan, last, axis)) {
      plan->shape[last] *= plan->shape[axis];
      for (int k = 0; k < n_operands; k++) plan->steps[k][last] = plan->steps[k][axis];
    } else if (++last != axis) {
      plan->shape[last] = plan->shape[axis];
      for (int k = 0; k < n_operands; k++) plan->steps[k][last] = plan->steps[k][axis];
    }
  }
  if (n == 0) { /* one element */
    plan->shape[0] = 1;
    for (int k = 0; k < n_operands; k++) plan->steps[k][0] = 0;
  }
  plan->rank = last + 1;
  const int inner = plan->rank - 1;
  if (inner > 0 && plan->shape[inner] < SHORT && plan->shape[inner - 1] >= 4 * plan->shape[inner])
    swap_axes(plan, inner, inner - 1);
}

/* Runs elements [begin, end) of the plan's order. */
static void run_range(const tvi_plan *plan, tvi_loop *loop, int64_t begin, int64_t end) {
  const int inner = plan->rank - 1, n_operands = plan->n_operands;
  const int64_t width = plan->shape[inner];
  int64_t at[TV_MAX_RANK], steps[TVI_PLAN_OPERANDS], rest = begin;
  char *p[TVI_PLAN_OPERANDS];
  for (int k = 0; k < n_operands; k++) p[k] = plan->base[k], steps[k] = plan->steps[k][inner];
  for (int axis = inner; axis >= 0; axis--) {
    at[axis] = rest % plan->shape[axis];
    rest /= plan->shape[axis];
    for (int k = 0; k < n_operands; k++) p[k] += at[axis] * plan->steps[k][axis];
  }
  while (begin < end) {
    int64_t n = width - at[inner];
    if (n > end - begin) n = end - begin;
    loop(n, p, steps);
    begin += n;
    if (begin >= end) return;
    for (int k = 0; k < n_operands; k++) p[k] -= at[inner] * steps[k];
    at[inner] = 0;
    for (int axis = inner - 1; axis >= 0; axis--) {
      for (int k = 0; k < n_operands; k++) p[k] += plan->steps[k][axis];
      if (++at[axis] < plan->shape[axis]) break;
      for (int k = 0; k < n_operands; k++) p[k] -= at[axis] * plan->steps[k][axis];
      at[axis] = 0;
    }
  }
}

typedef struct {
  const tvi_plan *plan;
  tvi_loop *loop;
  int64_t chunk; /* elements, or tiles */
  int across;    /* the axis that is tiled with the inner one */
  int64_t side;  /* of a tile along it */
  int64_t tiles, tile_rows, tile_columns;
  tvi_streamer *stream; /* of a large copy whose rows of tiles are cache lines; or NULL */
} run;

static void run_chunk(void *context, int64_t i) {
  const run *r = context;
  const int64_t begin = i * r->chunk, end = begin + r->chunk;
  run_range(r->plan, r->loop, begin, end < r->plan->size ? end : r->plan->size);
}

/* An element at row i and column j of a tile, `row_step` and `step` apart, to to[i * TILE + j]. */
#define PACK(T)                         \
  for (int64_t j = 0; j < columns; j++) \
    for (int64_t i = 0; i < rows; i++)  \
  ((T *)to)[i * TILE + j] = *(const T *)(const void *)(from + i * row_step + j * step)

typedef struct {
  uint64_t words[2];
} pair;

#ifdef __SSE2__
/* n rows of n elements, `step` apart, turned: a register each. An element at k of row i moves by
 * one bit of its number at a time, when rows i and i + n / 2 are interleaved. */
#define TURN(name, n, low, high)                                                         \
  static void name(char *to, int64_t to_step, const char *from, int64_t step) {          \
    __m128i a[n], b[n];                                                                  \
    for (int k = 0; k < n; k++) a[k] = _mm_loadu_si128((const void *)(from + k * step)); \
    for (int width = 1; width < n; width *= 2) {                                         \
      for (int k = 0; k < n / 2; k++) {                                                  \
        b[2 * k] = low(a[k], a[k + n / 2]);                                              \
        b[2 * k + 1] = high(a[k], a[k + n / 2]);                                         \
      }                                                                                  \
      memcpy(a, b, sizeof a);                                                            \
    }                                                                                    \
    for (int k = 0; k < n; k++) _mm_storeu_si128((void *)(to + k * to_step), a[k]);      \
  }
TURN(turn_1, 16, _mm_unpacklo_epi8, _mm_unpackhi_epi8)
TURN(turn_2, 8, _mm_unpacklo_epi16, _mm_unpackhi_epi16)
TURN(turn_4, 4, _mm_unpacklo_epi32, _mm_unpackhi_epi32)
TURN(turn_8, 2, _mm_unpacklo_epi64, _mm_unpackhi_epi64)

/* Squares of n by n; gives up on what is left, which is nothing in a whole tile. */
#define TURN_TILE(turn, n, item)                                                                 \
  if (rows % (n) == 0 && columns % (n) == 0) {                                                   \
    for (int64_t j = 0; j < columns; j += n)                                                     \
      for (int64_t i = 0; i < rows; i += n)                                                      \
        turn((char *)to + (i * TILE + j) * item, TILE * item, from + i * item + j * step, step); \
    return true;                                                                                 \
  }

static bool turn_tile(int64_t item, void *to, const char *from, int64_t step, int64_t rows,
                      int64_t columns) {
  switch (item) {
    case 1:
      TURN_TILE(turn_1, 16, 1)
      return false;
    case 2:
      TURN_TILE(turn_2, 8, 2)
      return false;
    case 4:
      TURN_TILE(turn_4, 4, 4)
      return false;
    case 8:
      TURN_TILE(turn_8, 2, 8)
      return false;
    default:
      return false;
  }
}
#else
static bool turn_tile(int64_t item, void *to, const char *from, int64_t step, int64_t rows,
                      int64_t columns) {
  (void)item, (void)to, (void)from, (void)step, (void)rows, (void)columns;
  return false;
}
#endif

static void pack(int64_t item, void *to, const char *from, int64_t row_step, int64_t step,
                 int64_t rows, int64_t columns) {
  if (row_step == item && turn_tile(item, to, from, step, rows, columns)) return;
  switch (item) {
    case 1:
      PACK(uint8_t);
      break;
    case 2:
      PACK(uint16_t);
      break;
    case 4:
      PACK(uint32_t);
      break;
    case 8:
      PACK(tvi_eight);
      break;
    default:
      PACK(pair);
  }
}

static bool is_across(const tvi_plan *plan, int k, int axis) {
  const int inner = plan->rank - 1;
  return k > 0 && magnitude(plan->steps[k][inner]) >= LINE && plan->steps[k][axis] &&
         magnitude(plan->steps[k][axis]) < LINE;
}

/* A block of `across` by inner, at one index of the other axes. */
typedef struct {
  char *p[TVI_PLAN_OPERANDS];
  int64_t rows, columns;
} tile;

/* Tiles follow each other across, which is along the memory of what is walked across: the lines
 * beside those of a tile are the next one's. */
static tile tile_at(const run *r, int64_t i) {
  const tvi_plan *plan = r->plan;
  const int inner = plan->rank - 1, across = r->across;
  const int64_t row = i % r->tile_rows * r->side;
  i /= r->tile_rows;
  const int64_t column = i % r->tile_columns * TILE;
  i /= r->tile_columns;
  tile t = {.rows = plan->shape[across] - row, .columns = plan->shape[inner] - column};
  if (t.rows > r->side) t.rows = r->side;
  if (t.columns > TILE) t.columns = TILE;
  for (int k = 0; k < plan->n_operands; k++)
    t.p[k] = plan->base[k] + row * plan->steps[k][across] + column * plan->steps[k][inner];
  for (int axis = inner - 1; axis >= 0; axis--) {
    if (axis == across) continue;
    const int64_t at = i % plan->shape[axis];
    i /= plan->shape[axis];
    for (int k = 0; k < plan->n_operands; k++) t.p[k] += at * plan->steps[k][axis];
  }
  return t;
}

static bool is_packed(const run *r, int k) {
  return is_across(r->plan, k, r->across) && r->side * r->plan->items[k] <= LINE;
}

/* Ask for the lines of what will be packed: no processor guesses them. */
static void fetch(const run *r, const tile *t) {
#ifdef __GNUC__
  const tvi_plan *plan = r->plan;
  for (int k = 1; k < plan->n_operands; k++) {
    if (!is_packed(r, k)) continue;
    const int64_t step = plan->steps[k][plan->rank - 1];
    for (int64_t j = 0; j < t->columns; j++) __builtin_prefetch(t->p[k] + j * step);
  }
#else
  (void)r, (void)t;
#endif
}

/* An operand that is walked across its memory is first turned, a cache line at a time: its lines
 * may all fall into one set of the cache, where they would not stay. */
static void run_tile(const run *r, tile *t) {
  const tvi_plan *plan = r->plan;
  const int inner = plan->rank - 1, n_operands = plan->n_operands;
  int64_t steps[TVI_PLAN_OPERANDS], row_steps[TVI_PLAN_OPERANDS];
  _Alignas(64) char buffers[TV_MAX_INPUTS][TILE * LINE];
  for (int k = 0; k < n_operands; k++) {
    const int64_t item = plan->items[k];
    steps[k] = plan->steps[k][inner];
    row_steps[k] = plan->steps[k][r->across];
    if (k == 0 || !is_packed(r, k)) continue;
    pack(item, buffers[k - 1], t->p[k], row_steps[k], steps[k], t->rows, t->columns);
    t->p[k] = buffers[k - 1];
    steps[k] = item;
    row_steps[k] = TILE * item;
  }
  const bool is_streamed = r->stream && t->columns == TILE;
  for (int64_t j = 0; j < t->rows; j++) {
    if (is_streamed)
      r->stream(t->p[0], t->p[1], TILE * plan->items[0]);
    else
      r->loop(t->columns, t->p, steps);
    for (int k = 0; k < n_operands; k++) t->p[k] += row_steps[k];
  }
}

static void run_tiles(void *context, int64_t i) {
  const run *r = context;
  const int64_t begin = i * r->chunk,
                end = begin + r->chunk < r->tiles ? begin + r->chunk : r->tiles;
  tile next = tile_at(r, begin);
  for (int64_t at = begin; at < end; at++) {
    tile t = next;
    if (at + 1 < end) {
      next = tile_at(r, at + 1);
      fetch(r, &next);
    }
    run_tile(r, &t);
  }
  if (r->stream) tvi_stream_end();
}

/* Whether it is a large copy whose rows of tiles are cache lines, turned in a buffer. */
static bool may_stream(const run *r) {
  const tvi_plan *plan = r->plan;
  const int64_t item = plan->items[0];
  if (plan->n_operands != 2 || r->loop != tvi_copy_loop(item) || plan->size * item < STREAMED ||
      plan->steps[0][plan->rank - 1] != item || !is_packed(r, 1) || (uintptr_t)plan->base[0] % LINE)
    return false;
  for (int axis = 0; axis < plan->rank - 1; axis++)
    if (plan->steps[0][axis] % LINE) return false;
  return true;
}

/* An axis along which some input lies closer together than along the inner one, by a cache line;
 * -1: there is none. */
static int axis_across(const tvi_plan *plan) {
  if (plan->shape[plan->rank - 1] < SHORT) return -1;
  for (int k = 1; k < plan->n_operands; k++)
    for (int axis = plan->rank - 2; axis >= 0; axis--)
      if (is_across(plan, k, axis) && plan->shape[axis] >= 4) return axis;
  return -1;
}

/* Elements of a cache line of the largest operand that is walked across. */
static int64_t side_of(const tvi_plan *plan, int across) {
  int64_t largest = 1;
  for (int k = 1; k < plan->n_operands; k++)
    if (is_across(plan, k, across) && plan->items[k] > largest) largest = plan->items[k];
  return LINE / largest;
}

void tvi_plan_run(const tvi_plan *plan, tvi_loop *loop, double cost) {
  if (plan->size == 0) return;
  const int inner = plan->rank - 1;
  run r = {.plan = plan, .loop = loop, .chunk = cost > 2 ? CHUNK / 8 : CHUNK, .across = -1};
  if (inner > 0 && plan->size > TILE * SHORT) r.across = axis_across(plan);
  const bool is_parallel = tvi_worth_threads((double)plan->size * cost);
  if (r.across >= 0) {
    r.side = side_of(plan, r.across);
    r.tile_rows = (plan->shape[r.across] + r.side - 1) / r.side;
    r.tile_columns = (plan->shape[inner] + TILE - 1) / TILE;
    r.tiles =
        plan->size / plan->shape[r.across] / plan->shape[inner] * r.tile_rows * r.tile_columns;
    if (may_stream(&r)) r.stream = tvi_level_here()->stream;
    r.chunk = is_parallel ? 1 + r.chunk / (TILE * r.side) : r.tiles;
    tvi_parallel((r.tiles + r.chunk - 1) / r.chunk, run_tiles, &r);
  } else if (is_parallel) {
    tvi_parallel((plan->size + r.chunk - 1) / r.chunk, run_chunk, &r);
  } else {
    run_range(plan, loop, 0, plan->size);
  }
}
