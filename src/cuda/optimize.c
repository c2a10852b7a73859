/* SPDX-License-Identifier: MIT
 * The optimize slot: one launch for up to 310 tensors of a dtype, whose pointers travel by value.
 */
#include <math.h>

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
  static const char *const names[2][2] = {{"sgd_more", "sgd"}, {"adam_more", "adam"}};
  const char *const name = names[job->kind == TV_OPTIMIZE_ADAM][job->is_plain];
  return tvi_launch(gpu, stream,
                    (tvi_kernel){TVI_IMAGE_optimize, name, variant, dtype, TV_DTYPE_NONE},
                    (tvi_grid){.blocks = blocks, .threads = THREADS}, to);
}

/* Adam's, whose epsilon is either that of the paper's last form or of its first. */
static double rate_of(const tv_optimize *job, const tv_optimize_tensor *t) {
  if (job->kind != TV_OPTIMIZE_ADAM) return 0;
  return job->learning_rate * (job->epsilon_inside ? sqrt(t->unbias2) : 1) / t->unbias1;
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
    to->items[to->with.n++] = (tvi_optimize_item){.value = t->value,
                                                  .gradient = t->gradient,
                                                  .slot0 = t->slot[0],
                                                  .slot1 = t->slot[1],
                                                  .slot2 = t->slot[2],
                                                  .value_out = t->value_out,
                                                  .slot_out0 = t->slot_out[0],
                                                  .slot_out1 = t->slot_out[1],
                                                  .slot_out2 = t->slot_out[2],
                                                  .n = t->n,
                                                  .rate = rate_of(job, t),
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
                                    .is_nesterov = job->nesterov,
                                    .rest = 1 - job->dampening,
                                    .decay = job->weight_decay,
                                    .keep = 1 - job->learning_rate * job->decoupled_decay,
                                    .maximize = job->maximize,
                                    .has_decay = job->weight_decay != 0,
                                    .is_kept = job->decoupled_decay != 0,
                                    .is_damped = job->dampening != 0,
                                    .rate_in_momentum = job->rate_in_momentum,
                                    .amsgrad = job->amsgrad,
                                    .epsilon_inside = job->epsilon_inside};
  tv_status status = TV_OK;
  for (tv_dtype dtype = TV_F16; dtype <= TV_C128 && !status; dtype++)
    status = optimize(self, stream, job, dtype, &to);
  return status;
}
