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

static const void *from(const void *at, int64_t bytes) {
  return at ? (const char *)at + bytes : NULL;
}
static void *to(void *at, int64_t bytes) { return at ? (char *)at + bytes : NULL; }

/* The chunk by itself, beside as many zeros. */
static void without_gradient(const batch *b, const tv_optimize_tensor *t, int64_t begin,
                             int64_t end) {
  static const union {
    char bytes[CHUNK * 16];
    double aligned;
  } zeros;
  const bool is_complex = t->dtype == TV_C64 || t->dtype == TV_C128;
  const int64_t item = tvi_item(t->dtype), inside = item == 2 ? 4 : item;
  tv_optimize_tensor part = *t;
  part.value = from(t->value, begin * item);
  part.value_out = to(t->value_out, begin * item);
  part.gradient = &zeros;
  for (int j = 0; j < 3; j++) {
    const int64_t bytes = begin * (j && is_complex ? inside / 2 : inside);
    part.slot[j] = from(t->slot[j], bytes);
    part.slot_out[j] = to(t->slot_out[j], bytes);
  }
  b->steps[t->dtype](b->job, &part, 0, end - begin);
}

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
  if (t->gradient)
    b->steps[t->dtype](b->job, t, begin, end < t->n ? end : t->n);
  else
    without_gradient(b, t, begin, end < t->n ? end : t->n);
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
  batch b = {.job = job,
             .steps = tvi_level_here()->steps[(int)job->kind + (job->is_plain ? 0 : 2)]};
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
