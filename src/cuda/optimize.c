/* SPDX-License-Identifier: MIT
 * The optimize slot: one launch for up to 360 tensors of a dtype, whose pointers travel by value.
 */
#include "gpu.h"
#include "jobs.h"

enum { THREADS = 256, CHUNK = 1 << 16, SMALL_CHUNK = 1 << 10, ENOUGH = 1024 /* blocks */ };

_Static_assert(sizeof(tvi_optimize_few) <= 4096, "parameters of any kernel");
_Static_assert(sizeof(tvi_optimize_many) <= 32764, "parameters from CUDA 12.1 on");

static tv_status launch(tvi_gpu *gpu, void *stream, const tv_optimize *job, tv_dtype dtype,
                        int64_t elements, tvi_optimize_many *to) {
  tvi_optimize_settings *const with = &to->with;
  /* Chunks are smaller where there would be few of them. */
  with->chunk = CHUNK;
  while (with->chunk > SMALL_CHUNK && elements / with->chunk < ENOUGH) with->chunk /= 2;
  int64_t blocks = 0;
  for (int i = 0; i < with->n; i++) {
    to->items[i].first_chunk = blocks;
    blocks += tvi_ceil(to->items[i].n, with->chunk);
  }
  /* The shorter struct is the beginning of the longer one. */
  const char *const variant = with->n > TVI_OPTIMIZE_FEW ? "many" : NULL;
  return tvi_launch(gpu, stream,
                    (tvi_kernel){TVI_IMAGE_optimize, job->kind == TV_OPTIMIZE_SGD ? "sgd" : "adam",
                                 variant, dtype, TV_DTYPE_NONE},
                    (tvi_grid){.blocks = blocks, .threads = THREADS}, to);
}

/* All tensors of one dtype. */
static tv_status optimize(tvi_gpu *gpu, void *stream, const tv_optimize *job, tv_dtype dtype,
                          tvi_optimize_many *to) {
  int64_t elements = 0;
  tv_status status = TV_OK;
  to->with.n = 0;
  for (int i = 0; i < job->n && !status; i++) {
    const tv_optimize_tensor *const t = &job->tensors[i];
    if (t->dtype != dtype || t->n == 0) continue;
    if (to->with.n == TVI_OPTIMIZE_MANY) {
      status = launch(gpu, stream, job, dtype, elements, to);
      to->with.n = 0;
      elements = 0;
    }
    to->items[to->with.n++] = (tvi_optimize_item){
        .value = t->value,
        .gradient = t->gradient,
        .slot0 = t->slot[0],
        .slot1 = t->slot[1],
        .value_out = t->value_out,
        .slot_out0 = t->slot_out[0],
        .slot_out1 = t->slot_out[1],
        .n = t->n,
        .rate = job->kind == TV_OPTIMIZE_ADAM ? job->learning_rate / t->unbias1 : 0,
        .unbias2 = t->unbias2};
    elements += t->n;
  }
  return status || to->with.n == 0 ? status : launch(gpu, stream, job, dtype, elements, to);
}

tv_status tvi_gpu_optimize(void *self, const tv_optimize *job, void *stream) {
  tvi_optimize_many to; /* 31 kB: items are set as far as they are used */
  to.with = (tvi_optimize_settings){.learning_rate = job->learning_rate,
                                    .momentum = job->momentum,
                                    .beta1 = job->beta1,
                                    .beta2 = job->beta2,
                                    .rest1 = 1 - job->beta1,
                                    .rest2 = 1 - job->beta2,
                                    .epsilon = job->epsilon,
                                    .has_momentum = job->momentum != 0,
                                    .is_nesterov = job->nesterov};
  tv_status status = TV_OK;
  for (tv_dtype dtype = TV_F16; dtype <= TV_C128 && !status; dtype++)
    status = optimize(self, stream, job, dtype, &to);
  return status;
}
