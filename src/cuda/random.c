/* SPDX-License-Identifier: MIT
 * The random slot: a thread takes a block of the cipher (kernels/random.cu). */
#include "gpu.h"
#include "jobs.h"

enum { THREADS = 256 };

tv_status tvi_gpu_random(void *self, const tv_random *job, void *stream) {
  static const char *const names[] = {"bits", "uniform", "normal"};
  const bool is_float = job->dtype >= TV_F16 && job->dtype <= TV_F64;
  const bool is_bits = job->dtype == TV_U32 || job->dtype == TV_U64;
  if (job->distribution == TV_RANDOM_BITS ? !is_bits : !is_float)
    return tvi_host->fail(TV_EUNSUPPORTED, "random: not a dtype to draw");
  if (job->n == 0) return TV_OK;
  const int64_t each = tvi_item_of(job->dtype) == 8 ? 2 : 4; /* elements of a block */
  const tvi_random_job to = {.seed = job->key.seed,
                             .stream = job->key.stream,
                             .first_block = (uint64_t)(job->first / each),
                             .skip = job->first % each,
                             .n = job->n,
                             .out = job->out};
  const tvi_kernel kernel = {TVI_IMAGE_random, names[job->distribution], NULL, job->dtype,
                             TV_DTYPE_NONE};
  const int64_t blocks = tvi_ceil(tvi_ceil(to.skip + to.n, each), THREADS);
  return tvi_launch(self, stream, kernel, (tvi_grid){.blocks = blocks, .threads = THREADS}, &to);
}
