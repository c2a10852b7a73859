/* SPDX-License-Identifier: MIT
 * The convert slot: element types into one another, and strided copies, which are conversions of a
 * type to itself and go by size alone. */
#include "pointwise.h"

tv_status tvi_gpu_convert(void *gpu, const tv_convert *job, void *stream) {
  const int64_t from = tvi_item_of(job->from), to = tvi_item_of(job->to);
  if (job->from >= TV_C64 && job->to < TV_C64 && job->to != TV_BOOL)
    return tvi_host->fail(TV_EUNSUPPORTED, "convert: no way from complex to real");
  const tv_operand *const operands[] = {&job->out, &job->in};
  tvi_plan plan;
  tvi_plan_make(&plan, job->rank, job->shape, 2, operands, (const int64_t[]){to, from});
  if (job->from == job->to) return tvi_pointwise_copy(gpu, stream, &plan);
  const tvi_kernel kernel = {
      .image = TVI_IMAGE_convert, .base = "convert", .a = job->from, .b = job->to};
  return tvi_pointwise_run(gpu, stream, kernel, 16 / (from > to ? from : to), &plan);
}
