/* SPDX-License-Identifier: MIT
 * Slots that go by indices: gather, scatter_add, scatter, find_bad_index; and sequence. */
#include <string.h>

#include "gpu.h"
#include "jobs.h"
#include "sort.h"

enum { THREADS = 256 };

static tv_status launch(tvi_gpu *gpu, void *stream, const char *base, const char *variant,
                        tv_dtype dtype, int64_t threads, const void *job) {
  const int64_t blocks = tvi_ceil(threads, THREADS);
  if (blocks > INT32_MAX)
    return tvi_host->fail(TV_EUNSUPPORTED, "%s: %lld elements are too many", base,
                          (long long)threads);
  return tvi_launch(gpu, stream, (tvi_kernel){TVI_IMAGE_index, base, variant, dtype, TV_DTYPE_NONE},
                    (tvi_grid){.blocks = blocks, .threads = threads <= 32 ? 32 : THREADS}, job);
}

tv_status tvi_gpu_gather(void *self, const tv_gather *job, void *stream) {
  static const char *const variants[] = {"1", "2", "4", "8", "16"};
  const int64_t bytes = job->inner * tvi_item_of(job->dtype);
  const uintptr_t bits = (uintptr_t)job->in | (uintptr_t)job->out | (uintptr_t)bytes;
  int width = 4;
  if (job->outer * job->k == 0 || bytes == 0) return TV_OK;
  while (bits & (((uintptr_t)1 << width) - 1)) width--;
  const int64_t row = bytes >> width;
  const tvi_gather_job to = {.in = job->in,
                             .indices = job->indices,
                             .out = job->out,
                             .n = job->n,
                             .k = job->k,
                             .row = row,
                             .total = job->outer * job->k * row,
                             .by_row = tvi_divider_of(row),
                             .by_k = tvi_divider_of(job->k)};
  return launch(self, stream, "gather", variants[width], TV_DTYPE_NONE, to.total, &to);
}

/* The kernel, over the stable order of the keys. */
static tv_status launch_sorted(tvi_gpu *gpu, void *stream, const char *base, const char *variant,
                               tv_dtype dtype, tvi_scatter_job *to) {
  void *order = NULL;
  const int64_t bytes = to->k * (int64_t)sizeof(int64_t);
  tv_status status = tvi_gpu_reserve(gpu, bytes, stream, &order);
  if (status) return status;
  to->order = order;
  status = tvi_sort_keys(gpu, to->keys, to->k, (uint64_t)to->n - 1, order, stream);
  if (!status) status = launch(gpu, stream, base, variant, dtype, to->total, to);
  tvi_gpu_release(gpu, order, bytes, stream, 0, NULL);
  return status;
}

/* Sums, differences and products of integers have the bits of unsigned ones. */
static tv_dtype unsigned_of(tv_dtype dtype) {
  return dtype >= TV_I8 && dtype <= TV_I64 ? (tv_dtype)(dtype + (TV_U8 - TV_I8)) : dtype;
}

tv_status tvi_gpu_scatter_add(void *self, const tv_gather *job, void *stream) {
  tvi_scatter_job to = {.in = job->in,
                        .out = job->out,
                        .keys = (const uint64_t *)(const void *)job->indices,
                        .n = job->n,
                        .k = job->k,
                        .inner = job->inner,
                        .total = job->outer * job->k * job->inner,
                        .step = job->inner,
                        .by_inner = tvi_divider_of(job->inner),
                        .by_k = tvi_divider_of(job->k)};
  if (to.total == 0) return TV_OK;
  return launch_sorted(self, stream, "scatter_add", NULL, unsigned_of(job->dtype), &to);
}

tv_status tvi_gpu_scatter(void *self, const tv_scatter *job, void *stream) {
  /* Kernels are known by the addresses of their names. */
  static const char *const ops[][2] = {
      {"add", "scatter_add"},           {"subtract", "scatter_subtract"},
      {"multiply", "scatter_multiply"}, {"divide", "scatter_divide"},
      {"minimum", "scatter_minimum"},   {"maximum", "scatter_maximum"}};
  static const char *const widths[] = {"1", "2", "4", "8", "16"};
  const int64_t bytes = job->inner * tvi_item_of(job->dtype);
  const uintptr_t bits = (uintptr_t)job->in | (uintptr_t)job->out | (uintptr_t)bytes;
  int width = 4;
  while (bits & (((uintptr_t)1 << width) - 1)) width--;
  const int64_t inner = job->op < 0 ? bytes >> width : job->inner;
  tvi_scatter_job to = {.in = job->in,
                        .out = job->out,
                        .keys = (const uint64_t *)(const void *)job->indices,
                        .n = job->n,
                        .k = job->k,
                        .inner = inner,
                        .total = job->k * inner,
                        .step = job->in_is_row ? 0 : inner,
                        .by_inner = tvi_divider_of(inner),
                        .by_k = tvi_divider_of(job->k)};
  if (to.total == 0) return TV_OK;
  if (job->op < 0)
    return launch_sorted(self, stream, "scatter_set", widths[width], TV_DTYPE_NONE, &to);
  const char *const name = tvi_host->op_name(job->op);
  for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
    if (strcmp(ops[k][0], name)) continue;
    const tv_dtype dtype = k < 3 ? unsigned_of(job->dtype) : job->dtype;
    return launch_sorted(self, stream, ops[k][1], NULL, dtype, &to);
  }
  return tvi_host->fail(TV_EUNSUPPORTED, "scatter: the gpu has no kernel for %s", name);
}

tv_status tvi_gpu_find_bad_index(void *self, const int64_t *indices, int64_t n, int64_t low,
                                 int64_t high, int64_t *position, int64_t *value, void *stream) {
  const int64_t most = (int64_t)tvi_gpu_multiprocessors(self) * 8 * THREADS;
  *position = -1;
  if (n == 0) return TV_OK;
  void *best = NULL;
  tv_status status = tvi_gpu_reserve(self, sizeof(uint64_t), stream, &best);
  if (status) return status;
  const tvi_bad_index_job job = {indices, n, low, high, best};
  status = launch(self, stream, "bad_index", "begin", TV_DTYPE_NONE, 1, &job);
  if (!status)
    status = launch(self, stream, "bad_index", NULL, TV_DTYPE_NONE, n < most ? n : most, &job);
  if (!status) status = tvi_gpu_copy_out(self, position, best, sizeof *position, stream);
  if (!status && *position >= 0)
    status = tvi_gpu_copy_out(self, value, indices + *position, sizeof *value, stream);
  tvi_gpu_release(self, best, sizeof(uint64_t), stream, 0, NULL);
  return status;
}

tv_status tvi_gpu_sequence(void *self, const tv_sequence *job, void *stream) {
  const tvi_sequence_job to = {.out = job->out,
                               .n = job->n,
                               .real_start = job->real_start,
                               .real_step = job->real_step,
                               .int_start = job->int_start,
                               .int_step = job->int_step};
  if (job->n == 0) return TV_OK;
  return launch(self, stream, "sequence", NULL, job->dtype, job->n, &to);
}
