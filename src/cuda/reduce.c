/* SPDX-License-Identifier: MIT
 * The reduce slot: which kernels of kernels/reduce.cu take which part.
 *
 * A line is cut into runs, and runs into nodes of the documented tree (src/cpu/reduce.c). A line of
 * one node is done by one launch; nodes of longer ones lie in scratch memory, and are joined 16 or
 * 1024 at a time until one is left. All of it follows from shape, steps and dtype. */
#include "gpu.h"
#include "jobs.h"

enum {
  THREADS = 256,
  SHORT = 32,       /* lines below are one thread's */
  GROUP = 64,       /* runs of a node */
  SMALL_GROUP = 16, /* where there is little work */
  FEW_BLOCKS = 256,
  MERGED = 16,  /* nodes that a thread joins */
  JOINED = 1024 /* nodes that a block joins */
};

/* Axes [from, to) without those of size 1, merged where they walk as one, behind `first` others. */
static int merge(const tv_reduce *job, int from, int to, tvi_reduce_job *out, int first) {
  int n = first;
  for (int axis = from; axis < to; axis++) {
    const int64_t size = job->shape[axis], step = job->in.is_immediate ? 0 : job->in.steps[axis];
    if (size == 1) continue;
    if (n > first && out->steps[n - 1] == step * size) {
      out->by[n - 1] = tvi_divider_of((int64_t)out->by[n - 1].divisor * size);
      out->steps[n - 1] = step;
    } else {
      out->by[n] = tvi_divider_of(size);
      out->steps[n++] = step;
    }
  }
  return n - first;
}

/* The dtype of the kernel. Integers are read as ones without a sign: sums wrap alike, extremes go
 * by bits turned. */
static tv_dtype choose(const tv_reduce *job, uint64_t *flip) {
  const bool is_min = job->reduction == TV_REDUCE_MIN || job->reduction == TV_REDUCE_ARGMIN;
  const int bits = 8 * (int)tvi_item_of(job->dtype);
  const uint64_t sign = bits > 64 ? 0 : UINT64_C(1) << (bits - 1); /* complex: not used */
  const bool is_signed = job->dtype >= TV_I8 && job->dtype <= TV_I64;
  *flip = 0;
  if (job->dtype >= TV_F16) {
    *flip = is_min ? sign : 0;
    return job->dtype;
  }
  *flip = (is_signed ? sign : 0) ^ (is_min ? ~UINT64_C(0) : 0);
  return job->dtype == TV_BOOL ? TV_U8 : is_signed ? job->dtype + (TV_U8 - TV_I8) : job->dtype;
}

/* Bytes of what is between the elements and the results. */
static int64_t state_of(const tv_reduce *job) {
  if (job->reduction >= TV_REDUCE_ARGMAX) return 16;
  return job->dtype == TV_F16 || job->dtype == TV_BF16 ? 4 : tvi_item_of(job->dtype);
}

/* As on the CPU: whether neighbouring results lie closer together than elements of a line. */
static bool is_by_columns(const tvi_reduce_job *to) {
  if (to->line < SHORT) return true;
  if (to->results_rank == 0 || to->line_rank == 0) return to->line_rank == 0;
  const int across = to->results_rank - 1, along = across + to->line_rank;
  const int64_t a = to->steps[across], b = to->steps[along];
  return to->by[across].divisor > 3 && (a < 0 ? -a : a) < (b < 0 ? -b : b);
}

static tv_status launch(tvi_gpu *gpu, void *stream, tvi_kernel kernel, const char *variant,
                        int64_t blocks, int64_t shared, const tvi_reduce_job *job) {
  if (blocks > INT32_MAX)
    return tvi_host->fail(TV_EUNSUPPORTED, "reduce: %lld results of %lld elements are too many",
                          (long long)job->results, (long long)job->line);
  kernel.variant = variant;
  return tvi_launch(gpu, stream, kernel,
                    (tvi_grid){.blocks = blocks, .threads = THREADS, .shared = (unsigned)shared},
                    job);
}

/* Join nodes until one is left, which is the result. Assumes: `to` describes the nodes as output,
 * in the first part of the scratch memory; `other` is a second part. */
static tv_status join(tvi_gpu *gpu, void *stream, tvi_kernel kernel, tvi_reduce_job *to, void *out,
                      char *other, int64_t state, bool by_columns) {
  tv_status status = TV_OK;
  while (to->out_nodes > 1 && !status) {
    to->in = to->out;
    to->nodes = to->out_nodes;
    to->node_step = to->out_node_step;
    to->result_step = to->out_result_step;
    const bool merges = by_columns || to->nodes <= MERGED;
    to->out_nodes = tvi_ceil(to->nodes, merges ? MERGED : JOINED);
    to->out = to->out_nodes == 1 ? out : other;
    other = (char *)(uintptr_t)to->in;
    to->out_node_step = by_columns ? to->results : 1;
    to->out_result_step = by_columns ? 1 : to->out_nodes;
    to->by_out_nodes = tvi_divider_of(to->out_nodes);
    const int64_t items = to->results * to->out_nodes;
    status = merges ? launch(gpu, stream, kernel, "merge", tvi_ceil(items, THREADS), 0, to)
                    : launch(gpu, stream, kernel, "join", items, THREADS / 32 * state, to);
  }
  return status;
}

tv_status tvi_gpu_reduce(void *self, const tv_reduce *job, void *stream) {
  static const char *const names[] = {"sum", "max", "max", "argmax", "argmax"};
  tvi_gpu *const gpu = self;
  if (job->reduction != TV_REDUCE_SUM && job->dtype >= TV_C64)
    return tvi_host->fail(TV_EUNSUPPORTED, "%s: complex numbers have no order",
                          job->reduction >= TV_REDUCE_ARGMAX ? "argmax, argmin" : "max, min");
  tvi_reduce_job to = {.in = job->in.data, .out = job->out, .results = 1, .line = 1, .group = 1};
  for (int axis = 0; axis < job->kept; axis++) to.results *= job->shape[axis];
  for (int axis = job->kept; axis < job->rank; axis++) to.line *= job->shape[axis];
  if (to.results == 0) return TV_OK;
  to.results_rank = merge(job, 0, job->kept, &to, 0);
  to.line_rank = merge(job, job->kept, job->rank, &to, to.results_rank);
  to.is_narrow = job->reduction == TV_REDUCE_SUM && job->dtype == job->out_dtype;
  tvi_kernel kernel = {TVI_IMAGE_reduce, names[job->reduction], NULL, choose(job, &to.flip),
                       TV_DTYPE_NONE};
  if (job->reduction == TV_REDUCE_SUM && job->dtype == TV_BOOL) kernel.base = "max"; /* or */
  if (to.line == 0) kernel.base = "sum";
  if (kernel.base == names[TV_REDUCE_SUM]) to.flip = 0;

  const int64_t state = state_of(job), runs = to.line ? tvi_ceil(to.line, TVI_RUN_ELEMENTS) : 1;
  const bool by_columns = is_by_columns(&to);
  if (!by_columns) {
    while (to.group < runs && to.group < GROUP) to.group *= 2;
    if (to.group > SMALL_GROUP && tvi_ceil(runs, GROUP) < FEW_BLOCKS &&
        to.results * tvi_ceil(runs, GROUP) < FEW_BLOCKS)
      to.group = SMALL_GROUP;
  }
  to.out_nodes = tvi_ceil(runs, to.group);
  to.out_node_step = by_columns ? to.results : 1;
  to.out_result_step = by_columns ? 1 : to.out_nodes;
  to.by_results = tvi_divider_of(to.results);
  to.by_out_nodes = tvi_divider_of(to.out_nodes);

  void *scratch = NULL;
  int64_t bytes = 0, first = 0;
  tv_status status = TV_OK;
  if (to.out_nodes > 1) {
    first = (to.results * to.out_nodes * state + 511) / 512 * 512;
    bytes = first + to.results * tvi_ceil(to.out_nodes, MERGED) * state;
    status = tvi_gpu_reserve(gpu, bytes, stream, &scratch);
    if (status) return status;
    to.out = scratch;
  }
  const int64_t items = to.results * to.out_nodes;
  if (by_columns)
    status = launch(gpu, stream, kernel, "columns", tvi_ceil(items, THREADS), 0, &to);
  else
    status =
        launch(gpu, stream, kernel, "lines", to.group < 16 ? tvi_ceil(items, 16 / to.group) : items,
               (to.group < 16 ? 16 : to.group) * state, &to);
  if (!status && scratch)
    status = join(gpu, stream, kernel, &to, job->out, (char *)scratch + first, state, by_columns);
  if (scratch) tvi_gpu_release(gpu, scratch, bytes, stream, 0, NULL);
  return status;
}
