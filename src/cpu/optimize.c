/* SPDX-License-Identifier: MIT
 * The optimize slot: one pass over all tensors of a step, in chunks that threads take. Nothing is
 * reserved, and nothing can fail once every dtype was found to have a loop. */
#include "level.h"

enum { CHUNK = 8192 /* elements of a task: in L2 with all that goes with them */, MOST = 256 };

/* At most MOST tensors, one behind the other. */
typedef struct batch {
  const tv_optimize *job;
  tvi_step *const *steps; /* [dtype] */
  int n;
  const tv_optimize_tensor *tensors[MOST];
  int64_t first[MOST + 1]; /* of the tensor's chunks */
} batch;

static void chunk(void *context, int64_t i) {
  const batch *const b = context;
  int low = 0, high = b->n - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (b->first[middle] <= i)
      low = middle;
    else
      high = middle - 1;
  }
  const tv_optimize_tensor *const t = b->tensors[low];
  const int64_t begin = (i - b->first[low]) * CHUNK, end = begin + CHUNK;
  b->steps[t->dtype](b->job, t, begin, end < t->n ? end : t->n);
}

static void run(batch *b, int64_t elements) {
  const int64_t chunks = b->first[b->n];
  if (tvi_worth_threads((double)elements * .3))
    tvi_parallel(chunks, chunk, b);
  else
    for (int64_t i = 0; i < chunks; i++) chunk(b, i);
}

tv_status tvi_cpu_optimize(void *self, const tv_optimize *job, void *stream) {
  (void)self, (void)stream;
  batch b = {.job = job, .steps = tvi_level_here()->steps[job->kind]};
  for (int k = 0; k < job->n; k++)
    if (!b.steps[job->tensors[k].dtype])
      return tv_backend_fail(TV_EUNSUPPORTED, "optimize: the cpu has no step of dtype %d",
                             (int)job->tensors[k].dtype);
  int64_t elements = 0;
  for (int k = 0; k < job->n; k++) {
    const tv_optimize_tensor *const t = &job->tensors[k];
    if (t->n == 0) continue;
    b.tensors[b.n] = t;
    b.first[b.n + 1] = b.first[b.n] + (t->n + CHUNK - 1) / CHUNK;
    elements += t->n;
    if (++b.n < MOST) continue;
    run(&b, elements);
    b.n = 0;
    elements = 0;
  }
  run(&b, elements);
  return TV_OK;
}
