/* SPDX-License-Identifier: MIT
 * The rows slot: rows of up to 32,768 elements (16,384 of f64) lie in registers of a block or a
 * part of one, longer ones are read in stretches (kernels/rows.cu). */
#include "gpu.h"
#include "jobs.h"

enum { THREADS = 256, COUNTER = 64 /* levels of the counter of stretches */ };

tv_status tvi_gpu_rows(void *self, const tv_rows *job, void *stream) {
  static const char *const names[] = {"softmax", "log_softmax", "cross_entropy",
                                      "cross_entropy_gradient"};
  if (job->dtype < TV_F16 || job->dtype > TV_F64)
    return tvi_host->fail(TV_EUNSUPPORTED, "%s: not a real floating dtype", names[job->op]);
  if (job->rows == 0) return TV_OK;
  const int32_t most = job->dtype == TV_F64 ? 32 : 64;
  const unsigned item = job->dtype == TV_F64 ? 8 : 4;
  const int64_t runs = tvi_ceil(job->columns, TVI_RUN_ELEMENTS);
  tvi_rows_job to = {.x = job->x,
                     .g = job->g,
                     .labels = job->labels,
                     .out = job->out,
                     .rows = job->rows,
                     .columns = job->columns,
                     .halves = 1};
  while (to.halves < runs && to.halves < most) to.halves *= 2;
  const bool is_long = runs > most;
  const unsigned wanted = TVI_LANES * (unsigned)to.halves,
                 threads = wanted > THREADS ? wanted : THREADS;
  const unsigned halves = threads / TVI_LANES;
  const int64_t blocks = is_long ? job->rows : tvi_ceil(job->rows, halves / (unsigned)to.halves);
  if (blocks > INT32_MAX)
    return tvi_host->fail(TV_EUNSUPPORTED, "%s: %lld rows are too many", names[job->op],
                          (long long)job->rows);
  return tvi_launch(self, stream,
                    (tvi_kernel){TVI_IMAGE_rows, names[job->op], is_long ? "long" : NULL,
                                 job->dtype, TV_DTYPE_NONE},
                    (tvi_grid){.blocks = blocks,
                               .threads = threads,
                               .shared = (2 * halves + (is_long ? COUNTER : 0)) * item},
                    &to);
}
