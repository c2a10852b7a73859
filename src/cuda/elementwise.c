/* SPDX-License-Identifier: MIT
 * The elementwise slot: names the kernel of op and dtype, and runs it over the operands. */
#include "op.h"
#include "pointwise.h"

/* The kinds of the rows, and where their kernels are. */
static const unsigned char kinds[TVI_OP_COUNT] = {
#define UNARY(name, ...) [TVI_OP_##name] = TVI_UNARY,
#define PART(name, ...) [TVI_OP_##name] = TVI_PART,
#define TEST(name, ...) [TVI_OP_##name] = TVI_TEST,
#define BINARY(name, ...) [TVI_OP_##name] = TVI_BINARY,
#define COMPARE(name, ...) [TVI_OP_##name] = TVI_COMPARE,
#define SELECT(name, ...) [TVI_OP_##name] = TVI_SELECT,
#define BOUNDED(name, ...) [TVI_OP_##name] = TVI_BOUNDED,
#include "ops.def"
};

static tvi_image image_of(tvi_kind kind, bool is_complex) {
  switch (kind) {
    case TVI_UNARY:
    case TVI_PART:
    case TVI_TEST:
      return is_complex ? TVI_IMAGE_unary_complex : TVI_IMAGE_unary;
    case TVI_BINARY:
    case TVI_COMPARE:
      return is_complex ? TVI_IMAGE_binary_complex : TVI_IMAGE_binary;
    default:
      return TVI_IMAGE_choice;
  }
}

/* Bytes of an element of the result. */
static int64_t result_size(tvi_kind kind, tv_dtype dtype, int64_t item) {
  if (kind == TVI_TEST || kind == TVI_COMPARE) return 1;
  return kind == TVI_PART && dtype >= TV_C64 ? item / 2 : item;
}

tv_status tvi_gpu_elementwise(void *gpu, const tv_elementwise *job, void *stream) {
  if (job->op < 0 || job->op >= TVI_OP_COUNT || job->dtype < 0 || job->dtype >= TV_DTYPE_COUNT)
    return tvi_host->fail(TV_EUNSUPPORTED, "%s: the gpu has no kernel for it", job->op_name);
  const tvi_kind kind = (tvi_kind)kinds[job->op];
  const int64_t item = tvi_item_of(job->dtype);
  const tv_operand *const operands[] = {&job->out, &job->in[0], &job->in[1], &job->in[2]};
  const int64_t items[] = {result_size(kind, job->dtype, item), kind == TVI_SELECT ? 1 : item, item,
                           item};
  tvi_plan plan;
  tvi_plan_make(&plan, job->rank, job->shape, 1 + job->n_inputs, operands, items);
  const tvi_kernel kernel = {
      .image = image_of(kind, job->dtype >= TV_C64),
      .base = tvi_host->op_name(job->op), /* known by its address, so not the job's own */
      .a = kind == TVI_SELECT ? tvi_dtype_of_size(item) : job->dtype,
      .b = TV_DTYPE_NONE};
  return tvi_pointwise_run(gpu, stream, kernel, 16 / item, &plan);
}
