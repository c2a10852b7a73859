/* SPDX-License-Identifier: MIT
 * The argsort slot. Every pass is queued; those of digits that all keys share find that out on the
 * device and do nothing (kernels/sort.cu). */
#include "sort.h"

#include "jobs.h"

enum { BLOCK = 512 /* bytes that parts of the scratch memory are aligned to */ };

/* The next part of the scratch memory. */
static void *part(char **at, int64_t bytes) {
  void *const begin = *at;
  *at += (bytes + BLOCK - 1) / BLOCK * BLOCK;
  return begin;
}

/* Lays out the scratch memory from `at` on, and gives its end. */
static char *lay_out(tvi_sort_job *job, char *at, int64_t item) {
  for (int i = 0; i < 2; i++) {
    job->sorted[i] = part(&at, job->n * (int64_t)sizeof(uint64_t));
    job->positions[i] = part(&at, job->n * item);
  }
  job->probes = part(&at, TVI_SORT_PROBES * (int64_t)sizeof(uint64_t));
  job->plan = part(&at, sizeof *job->plan);
  job->counts = part(&at, TVI_SORT_DIGITS * job->tiles * item);
  job->totals = part(&at, TVI_SORT_DIGITS * item);
  return at;
}

static tv_status launch(tvi_gpu *gpu, void *stream, const char *base, tv_dtype dtype,
                        int64_t blocks, unsigned threads, const tvi_sort_job *job) {
  return tvi_launch(gpu, stream, (tvi_kernel){TVI_IMAGE_sort, base, NULL, dtype, TV_DTYPE_NONE},
                    (tvi_grid){.blocks = blocks, .threads = threads}, job);
}

static tv_status sort(tvi_gpu *gpu, void *stream, tvi_sort_job *job, int passes, tv_dtype counts) {
  tv_status status =
      launch(gpu, stream, "sort_probe", TV_DTYPE_NONE, job->probe_blocks, TVI_SORT_THREADS, job);
  if (!status) status = launch(gpu, stream, "sort_plan", TV_DTYPE_NONE, 1, TVI_SORT_THREADS, job);
  for (job->pass = 0; job->pass < passes && !status; job->pass++) {
    status = launch(gpu, stream, "sort_count", counts, job->tiles, TVI_SORT_THREADS, job);
    if (!status)
      status = launch(gpu, stream, "sort_scan", counts, TVI_SORT_DIGITS, TVI_SORT_THREADS, job);
    if (!status)
      status = launch(gpu, stream, "sort_move", counts, job->tiles, TVI_SORT_THREADS, job);
  }
  return status;
}

tv_status tvi_sort_keys(tvi_gpu *gpu, const uint64_t *keys, int64_t n, uint64_t most, int64_t *out,
                        void *stream) {
  const bool is_wide = n > UINT32_MAX;
  tvi_sort_job job = {.keys = keys, .out = out, .n = n, .tiles = tvi_ceil(n, TVI_SORT_TILE)};
  int passes = 1;
  if (n == 0) return TV_OK;
  if (job.tiles == 1)
    return launch(gpu, stream, "sort_small", TV_DTYPE_NONE, 1, TVI_SORT_THREADS, &job);
  while (passes < TVI_SORT_PASSES && most >> 8 * passes) passes++;
  job.probe_blocks = (int32_t)(job.tiles < TVI_SORT_PROBES ? job.tiles : TVI_SORT_PROBES);
  const int64_t item = is_wide ? 8 : 4;
  const int64_t bytes = (int64_t)((uintptr_t)lay_out(&job, (char *)BLOCK, item) - BLOCK);
  void *scratch = NULL;
  tv_status status = tvi_gpu_reserve(gpu, bytes, stream, &scratch);
  if (status) return status;
  lay_out(&job, scratch, item);
  status = sort(gpu, stream, &job, passes, is_wide ? TV_U64 : TV_U32);
  tvi_gpu_release(gpu, scratch, bytes, stream, 0, NULL);
  return status;
}

tv_status tvi_gpu_argsort_u64(void *self, const uint64_t *keys, int64_t n, int64_t *out,
                              void *stream) {
  return tvi_sort_keys(self, keys, n, UINT64_MAX, out, stream);
}
