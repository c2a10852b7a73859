/* SPDX-License-Identifier: MIT
 * Which variant of a kernel runs a plan.
 *
 * Vectors, where the inner axis is consecutive in the result, and in every input consecutive or
 * one value. An input that is walked across its memory is first copied, turned, into scratch
 * memory. All else goes element by element. Launches have fewer than 2^31 elements: larger plans
 * are cut. */
#include "pointwise.h"

#include <string.h>

#include "dtypes.def"
#include "pointwise_job.h"
#include "scalar.h"

enum {
  LARGEST = 1 << 30,      /* elements of a launch */
  ROW_VECTORS = 4,        /* rows shorter than this waste too much of their last vector */
  ACROSS = 32,            /* bytes between neighbours: each is a sector of its own */
  SHORTEST_TURN = 8,      /* of the two axes: below, a tile is mostly empty */
  SMALLEST_TURN = 1 << 15 /* elements: below, all of it stays in the cache */
};

static const char vector_variant[] = "vector", strided_variant[] = "strided",
                  turn_variant[] = "turn", copy_base[] = "copy";

#define ITEM(tag, TAG, S, ...) [TV_##TAG] = sizeof(S),
static const unsigned char items[TV_DTYPE_COUNT] = {ANY(ITEM, )};

int64_t tvi_item_of(tv_dtype dtype) { return items[dtype]; }

static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

static int64_t blocks_for(int64_t n) {
  const int64_t each = TVI_POINTWISE_THREADS * TVI_POINTWISE_AT_ONCE;
  return (n + each - 1) / each;
}

static void operands_fill(tvi_pointwise_operands *operands, const tvi_plan *plan) {
  for (int k = 0; k < plan->n_operands; k++) {
    operands->data[k] = (unsigned char *)plan->base[k];
    operands->reading[k] = TVI_READ_EACH;
    if (plan->base[k]) continue;
    operands->reading[k] = TVI_READ_IMMEDIATE;
    memcpy(operands->immediate[k], plan->immediate[k], (size_t)plan->items[k]);
  }
}

static bool has_rows(const tvi_plan *plan, int64_t width) {
  const int inner = plan->rank - 1;
  if (inner <= 0 && plan->size == 1) return true;
  if (inner > TVI_VECTOR_AXES || (inner > 0 && plan->shape[inner] < ROW_VECTORS * width))
    return false;
  for (int k = 0; k < plan->n_operands; k++) {
    const int64_t step = plan->steps[k][inner];
    if (step != plan->items[k] && (k == 0 || step != 0)) return false;
  }
  return true;
}

/* Whether every row of the result begins at a multiple of a vector. */
static bool is_aligned(const tvi_plan *plan, int64_t width) {
  uint64_t all = (uint64_t)(uintptr_t)plan->base[0];
  for (int axis = 0; axis < plan->rank - 1; axis++) all |= (uint64_t)plan->steps[0][axis];
  return all % (uint64_t)(width * plan->items[0]) == 0;
}

static tv_status run_vectors(tvi_gpu *gpu, void *stream, tvi_kernel kernel, int64_t width,
                             const tvi_plan *plan) {
  const int inner = plan->rank - 1; /* -1: one element */
  tvi_vector_job job;
  memset(&job, 0, sizeof job);
  operands_fill(&job.operands, plan);
  for (int k = 1; k < plan->n_operands; k++)
    if (plan->base[k] && (inner < 0 || plan->steps[k][inner] == 0))
      job.operands.reading[k] = TVI_READ_ONE;
  const int64_t row = inner < 0 ? 1 : plan->shape[inner];
  const int64_t lead = is_aligned(plan, width) ? 0 : width - 1;
  const int64_t per_row = (lead + row + width - 1) / width;
  const int64_t vectors = plan->size / row * per_row;
  job.vectors = (uint32_t)vectors;
  job.width = (int32_t)row;
  job.per_row = tvi_divider32_of((uint32_t)per_row);
  job.rank = inner < 0 ? 0 : (uint32_t)inner;
  for (int i = 0; i < inner; i++) {
    const int axis = inner - 1 - i;
    job.axes[i] = tvi_divider32_of((uint32_t)plan->shape[axis]);
    for (int k = 0; k < plan->n_operands; k++) job.steps[i][k] = plan->steps[k][axis];
  }
  kernel.variant = vector_variant;
  const tvi_grid grid = {.blocks = blocks_for(vectors), .threads = TVI_POINTWISE_THREADS};
  return tvi_launch(gpu, stream, kernel, grid, &job);
}

static tv_status run_strided(tvi_gpu *gpu, void *stream, tvi_kernel kernel, const tvi_plan *plan) {
  tvi_strided_job job;
  memset(&job, 0, sizeof job);
  operands_fill(&job.operands, plan);
  job.size = (uint32_t)plan->size;
  job.rank = (uint32_t)plan->rank;
  for (int i = 0; i < plan->rank; i++) {
    const int axis = plan->rank - 1 - i;
    job.axes[i] = tvi_divider32_of((uint32_t)plan->shape[axis]);
    for (int k = 0; k < plan->n_operands; k++) job.steps[i][k] = plan->steps[k][axis];
  }
  kernel.variant = strided_variant;
  const tvi_grid grid = {.blocks = blocks_for(plan->size), .threads = TVI_POINTWISE_THREADS};
  return tvi_launch(gpu, stream, kernel, grid, &job);
}

/* Copies that turn ---------------------------------------------------------------------------- */

/* The axis along which operand k is consecutive, where it is walked across its memory by the inner
 * one; -1: it is not, or it does not pay. */
static int axis_across(const tvi_plan *plan, int k) {
  const int inner = plan->rank - 1;
  if (inner < 1 || !plan->base[k] || plan->size < SMALLEST_TURN) return -1;
  if (magnitude(plan->steps[k][inner]) < ACROSS || plan->shape[inner] < SHORTEST_TURN) return -1;
  for (int axis = 0; axis < inner; axis++)
    if (plan->steps[k][axis] == plan->items[k] && plan->shape[axis] >= SHORTEST_TURN) return axis;
  return -1;
}

/* Assumes: the result is consecutive along the inner axis, the input along `across`. */
static tv_status turn(tvi_gpu *gpu, void *stream, const tvi_plan *plan, int across) {
  const int inner = plan->rank - 1;
  const int64_t item = plan->items[1], side = TVI_TURN_SIDE(item);
  const int64_t rows = plan->shape[across], columns = plan->shape[inner];
  const int64_t tile_rows = (rows + side - 1) / side, tile_columns = (columns + side - 1) / side;
  tvi_turn_job job;
  memset(&job, 0, sizeof job);
  job.out = (unsigned char *)plan->base[0];
  job.in = (const unsigned char *)plan->base[1];
  job.rows = (uint32_t)rows;
  job.columns = (uint32_t)columns;
  job.out_step = plan->steps[0][across];
  job.in_step = plan->steps[1][inner];
  job.tile_rows = tvi_divider32_of((uint32_t)tile_rows);
  job.tile_columns = tvi_divider32_of((uint32_t)tile_columns);
  for (int axis = inner - 1; axis >= 0; axis--) {
    if (axis == across) continue;
    job.axes[job.rank] = tvi_divider32_of((uint32_t)plan->shape[axis]);
    job.steps[job.rank][0] = plan->steps[0][axis];
    job.steps[job.rank][1] = plan->steps[1][axis];
    job.rank++;
  }
  const tvi_kernel kernel = {TVI_IMAGE_convert, copy_base, turn_variant, tvi_dtype_of_size(item),
                             TV_DTYPE_NONE};
  const tvi_grid grid = {.blocks = plan->size / rows / columns * tile_rows * tile_columns,
                         .threads = TVI_TURN_THREADS};
  return tvi_launch(gpu, stream, kernel, grid, &job);
}

/* The plan that copies operand k, once for each of its elements, to a block in the plan's order. */
static void scratch_plan(const tvi_plan *plan, int k, tvi_plan *copy) {
  copy->n_operands = 2;
  copy->rank = 0;
  copy->size = 1;
  copy->items[0] = copy->items[1] = plan->items[k];
  copy->base[0] = NULL;
  copy->base[1] = plan->base[k];
  for (int axis = 0; axis < plan->rank; axis++) {
    if (plan->steps[k][axis] == 0) continue;
    copy->shape[copy->rank] = plan->shape[axis];
    copy->steps[1][copy->rank++] = plan->steps[k][axis];
  }
  for (int axis = copy->rank - 1; axis >= 0; axis--) {
    copy->steps[0][axis] = copy->size * plan->items[k];
    copy->size *= copy->shape[axis];
  }
}

/* Put a turned copy in the place of every input that wants it, and run. */
static tv_status run_part(tvi_gpu *gpu, void *stream, tvi_kernel kernel, int64_t width,
                          const tvi_plan *whole) {
  const tvi_plan *plan = whole;
  tvi_plan turned, copy;
  void *blocks[TVI_PLAN_OPERANDS] = {NULL};
  int64_t bytes[TVI_PLAN_OPERANDS] = {0};
  tv_status status = TV_OK;
  for (int k = 1; k < whole->n_operands && !status; k++) {
    if (axis_across(whole, k) < 0) continue;
    scratch_plan(whole, k, &copy);
    const int across = axis_across(&copy, 1);
    if (copy.rank < 2 || across < 0) continue; /* little of it, many times */
    bytes[k] = copy.size * copy.items[0];
    status = tvi_gpu_reserve(gpu, bytes[k], stream, &blocks[k]);
    if (status) break;
    copy.base[0] = blocks[k];
    status = turn(gpu, stream, &copy, across);
    if (plan == whole) plan = memcpy(&turned, whole, sizeof turned);
    turned.base[k] = blocks[k];
    for (int axis = 0, i = 0; axis < whole->rank; axis++)
      if (whole->steps[k][axis]) turned.steps[k][axis] = copy.steps[0][i++];
  }
  if (plan == &turned) tvi_plan_merge(&turned);
  if (!status)
    status = has_rows(plan, width) ? run_vectors(gpu, stream, kernel, width, plan)
                                   : run_strided(gpu, stream, kernel, plan);
  for (int k = 1; k < whole->n_operands; k++)
    if (blocks[k]) tvi_gpu_release(gpu, blocks[k], bytes[k], stream, 0, NULL);
  return status;
}

/* Plans ------------------------------------------------------------------------------------- */

typedef tv_status runner(tvi_gpu *gpu, void *stream, tvi_kernel kernel, int64_t width,
                         const tvi_plan *plan);

/* Cuts along the first axis, into pieces that keep vectors aligned. */
static tv_status run_in_parts(tvi_gpu *gpu, void *stream, tvi_kernel kernel, int64_t width,
                              const tvi_plan *plan, runner *run) {
  if (plan->size == 0) return TV_OK;
  if (plan->size <= LARGEST) return run(gpu, stream, kernel, width, plan);
  const int64_t length = plan->shape[0], each = plan->size / length;
  const int64_t count = each < LARGEST ? LARGEST / each : 1;
  for (int64_t begin = 0; begin < length; begin += count) {
    tvi_plan part;
    tvi_plan_part(plan, begin, length - begin < count ? length - begin : count, &part);
    const tv_status status = run_in_parts(gpu, stream, kernel, width, &part, run);
    if (status) return status;
  }
  return TV_OK;
}

tv_status tvi_pointwise_run(tvi_gpu *gpu, void *stream, tvi_kernel kernel, int64_t width,
                            const tvi_plan *plan) {
  return run_in_parts(gpu, stream, kernel, width, plan, run_part);
}

static tv_status copy_part(tvi_gpu *gpu, void *stream, tvi_kernel kernel, int64_t width,
                           const tvi_plan *plan) {
  const int across = axis_across(plan, 1);
  if (across >= 0 && plan->steps[0][plan->rank - 1] == plan->items[0])
    return turn(gpu, stream, plan, across);
  if (has_rows(plan, width)) return run_vectors(gpu, stream, kernel, width, plan);
  return run_strided(gpu, stream, kernel, plan);
}

tv_status tvi_pointwise_copy(tvi_gpu *gpu, void *stream, const tvi_plan *plan) {
  const int64_t item = plan->items[0];
  const tvi_kernel kernel = {TVI_IMAGE_convert, copy_base, NULL, tvi_dtype_of_size(item),
                             TV_DTYPE_NONE};
  return run_in_parts(gpu, stream, kernel, 16 / item, plan, copy_part);
}
