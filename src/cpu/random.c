/* SPDX-License-Identifier: MIT
 * The random slot: ranges of draws from Philox, in words, uniform or normal.
 *
 * Whole blocks of the cipher are drawn into a buffer on the stack; the elements that are wanted are
 * copied from it. Which block an element is from depends on its index alone. */
#include <string.h>

#include "cpu.h"
#include "normal.h"

enum { BLOCKS = 64, WORDS = 4 * BLOCKS, ITEM = 8, CHUNK = 64 * WORDS };

typedef struct draw {
  const tv_random *job;
  int64_t item, per_block; /* bytes of an element, elements of a block */
} draw;

/* Elements of BLOCKS blocks from words, [4, BLOCKS], into `out`. */
static void make_words(const tv_random *job, uint32_t (*words)[BLOCKS], void *out) {
  if (job->dtype == TV_U64) {
    for (int i = 0; i < BLOCKS; i++)
      for (int j = 0; j < 2; j++)
        ((uint64_t *)out)[2 * i + j] = tvi_draw_u64(words[2 * j][i], words[2 * j + 1][i]);
    return;
  }
  for (int i = 0; i < BLOCKS; i++)
    for (int j = 0; j < 4; j++) ((uint32_t *)out)[4 * i + j] = words[j][i];
}

static void make_uniform(const tv_random *job, uint32_t (*words)[BLOCKS], void *out) {
  for (int i = 0; i < BLOCKS; i++) switch (job->dtype) {
      case TV_F16:
        for (int j = 0; j < 4; j++)
          ((uint16_t *)out)[4 * i + j] = tvi_f16_store(tvi_uniform_f16(words[j][i]));
        break;
      case TV_BF16:
        for (int j = 0; j < 4; j++)
          ((uint16_t *)out)[4 * i + j] = tvi_bf16_store(tvi_uniform_bf16(words[j][i]));
        break;
      case TV_F32:
        for (int j = 0; j < 4; j++) ((float *)out)[4 * i + j] = tvi_uniform_f32(words[j][i]);
        break;
      default:
        for (int j = 0; j < 2; j++)
          ((double *)out)[2 * i + j] = tvi_uniform_f64(words[2 * j][i], words[2 * j + 1][i]);
    }
}

static void make_normal(const tv_random *job, uint32_t (*words)[BLOCKS], void *out) {
  if (job->dtype == TV_F64) {
    double pairs[2][BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
      tvi_normal_f64(words[0][i], words[1][i], words[2][i], words[3][i], &pairs[0][i],
                     &pairs[1][i]);
    for (int i = 0; i < BLOCKS; i++)
      for (int j = 0; j < 2; j++) ((double *)out)[2 * i + j] = pairs[j][i];
    return;
  }
  float values[4][BLOCKS];
  for (int j = 0; j < 4; j += 2)
    for (int i = 0; i < BLOCKS; i++)
      tvi_normal_f32(words[j][i], words[j + 1][i], &values[j][i], &values[j + 1][i]);
  for (int i = 0; i < BLOCKS; i++)
    for (int j = 0; j < 4; j++) {
      if (job->dtype == TV_F32)
        ((float *)out)[4 * i + j] = values[j][i];
      else
        ((uint16_t *)out)[4 * i + j] =
            job->dtype == TV_F16 ? tvi_f16_store(values[j][i]) : tvi_bf16_store(values[j][i]);
    }
}

/* Elements [begin, end), counted from the start of the draw. */
static void draw_range(const draw *d, int64_t begin, int64_t end) {
  const tv_random *job = d->job;
  const int64_t span = BLOCKS * d->per_block;
  uint32_t words[4][BLOCKS];
  _Alignas(64) char buffer[WORDS * 4];
  for (int64_t at = begin / span * span; at < end; at += span) {
    const uint64_t first = (uint64_t)(at / d->per_block);
    for (int i = 0; i < BLOCKS; i++) {
      const tvi_philox_block block =
          tvi_philox_at(job->key.seed, job->key.stream, first + (uint64_t)i);
      for (int j = 0; j < 4; j++) words[j][i] = block.word[j];
    }
    if (job->distribution == TV_RANDOM_BITS)
      make_words(job, words, buffer);
    else if (job->distribution == TV_RANDOM_UNIFORM)
      make_uniform(job, words, buffer);
    else
      make_normal(job, words, buffer);
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

tv_status tvi_cpu_random(void *self, const tv_random *job, tv_stream *stream) {
  (void)self, (void)stream;
  const draw d = {job, tvi_item(job->dtype), tvi_item(job->dtype) == 8 ? 2 : 4};
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
