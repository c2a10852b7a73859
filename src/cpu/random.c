/* SPDX-License-Identifier: MIT
 * The random slot: ranges of draws from Philox, in words, uniform or normal.
 *
 * Whole blocks of the cipher are drawn into a buffer on the stack; the elements that are wanted are
 * copied from it. Which block an element is from depends on its index alone. */
#include <string.h>

#include "level.h"

enum { BLOCKS = TVI_DRAW_BLOCKS, WORDS = 4 * BLOCKS, CHUNK = 64 * WORDS };

typedef struct draw {
  const tv_random *job;
  int64_t item, per_block; /* bytes of an element, elements of a block */
  tvi_draw *draw;
} draw;

/* Elements [begin, end), counted from the start of the draw. */
static void draw_range(const draw *d, int64_t begin, int64_t end) {
  const tv_random *job = d->job;
  const int64_t span = BLOCKS * d->per_block;
  _Alignas(64) char buffer[WORDS * 4];
  for (int64_t at = begin / span * span; at < end; at += span) {
    const uint64_t first = (uint64_t)(at / d->per_block);
    d->draw(job, first, buffer);
    const int64_t from = at < begin ? begin : at, to = at + span < end ? at + span : end;
    memcpy((char *)job->out + (from - job->first) * d->item, buffer + (from - at) * d->item,
           (size_t)((to - from) * d->item));
  }
}

static void draw_chunk(void *context, int64_t i) {
  const draw *d = context;
  const int64_t begin = d->job->first + i * CHUNK, last = d->job->first + d->job->n;
  draw_range(d, begin, begin + CHUNK < last ? begin + CHUNK : last);
}

tv_status tvi_cpu_random(void *self, const tv_random *job, void *stream) {
  (void)self, (void)stream;
  const draw d = {job, tvi_item(job->dtype), tvi_item(job->dtype) == 8 ? 2 : 4,
                  tvi_level_here()->draw};
  const bool is_float =
      job->dtype == TV_F16 || job->dtype == TV_BF16 || job->dtype == TV_F32 || job->dtype == TV_F64;
  const bool is_bits = job->dtype == TV_U32 || job->dtype == TV_U64;
  if (job->distribution == TV_RANDOM_BITS ? !is_bits : !is_float)
    return tv_backend_fail(TV_EUNSUPPORTED, "random: not a dtype to draw");
  if (tvi_worth_threads((double)job->n * 3))
    tvi_parallel((job->n + CHUNK - 1) / CHUNK, draw_chunk, (void *)(uintptr_t)&d);
  else if (job->n > 0)
    draw_range(&d, job->first, job->first + job->n);
  return TV_OK;
}
