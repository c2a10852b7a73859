/* SPDX-License-Identifier: MIT
 * Matrix products of integers and bool, which no BLAS does (kernels/product.cu). */
#include "gpu.h"
#include "jobs.h"

enum { THREADS = 256 };

tv_status tvi_product_integers(tvi_gpu *gpu, const tv_matmul_job *job, void *stream) {
  const int64_t tile = TVI_PRODUCT_TILE, item = tvi_item_of(job->dtype);
  tvi_product_job to = {.a = job->a,
                        .b = job->b,
                        .out = job->out,
                        .m = job->m,
                        .n = job->n,
                        .k = job->k,
                        .a_row = job->a_row_step,
                        .a_column = job->a_column_step,
                        .b_row = job->b_row_step,
                        .b_column = job->b_column_step,
                        .row_tiles = tvi_ceil(job->m, tile),
                        .column_tiles = tvi_ceil(job->n, tile),
                        .batch_rank = job->batch_rank};
  int64_t batch = 1;
  for (int axis = 0; axis < job->batch_rank; axis++) {
    to.batch_shape[axis] = job->batch_shape[axis];
    to.a_batch[axis] = job->a_batch_steps[axis];
    to.b_batch[axis] = job->b_batch_steps[axis];
    batch *= job->batch_shape[axis];
  }
  const int64_t blocks = batch * to.row_tiles * to.column_tiles;
  if (blocks == 0) return TV_OK;
  if (blocks > INT32_MAX)
    return tvi_host->fail(TV_EUNSUPPORTED, "matmul: %lld tiles of the result are too many",
                          (long long)blocks);
  const bool is_signed = job->dtype >= TV_I8 && job->dtype <= TV_I64;
  const tv_dtype dtype = is_signed ? job->dtype + (TV_U8 - TV_I8) : job->dtype;
  return tvi_launch(
      gpu, stream, (tvi_kernel){TVI_IMAGE_product, "product", NULL, dtype, TV_DTYPE_NONE},
      (tvi_grid){
          .blocks = blocks, .threads = THREADS, .shared = (unsigned)(2 * tile * (tile + 1) * item)},
      &to);
}
