/* SPDX-License-Identifier: MIT
 * The loops of random numbers: many blocks of the cipher side by side, and what is made of them.
 * Included by level_v*.c, once per level. philox.h and normal.h are the definition. */

enum { BLOCKS = TVI_DRAW_BLOCKS };

/* words[j][i] is word j of block first + i. */
static void draw_words(tv_key key, uint64_t first, uint32_t words[4][BLOCKS]) {
  uint32_t k0 = (uint32_t)key.seed, k1 = (uint32_t)(key.seed >> 32);
  for (int i = 0; i < BLOCKS; i++) {
    words[0][i] = (uint32_t)(first + (uint64_t)i);
    words[1][i] = (uint32_t)((first + (uint64_t)i) >> 32);
    words[2][i] = (uint32_t)key.stream;
    words[3][i] = (uint32_t)(key.stream >> 32);
  }
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < BLOCKS; i++) {
      const uint64_t p0 = (uint64_t)words[0][i] * 0xD2511F53u;
      const uint64_t p1 = (uint64_t)words[2][i] * 0xCD9E8D57u;
      words[0][i] = (uint32_t)(p1 >> 32) ^ words[1][i] ^ k0;
      words[1][i] = (uint32_t)p1;
      words[2][i] = (uint32_t)(p0 >> 32) ^ words[3][i] ^ k1;
      words[3][i] = (uint32_t)p0;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

/* Four elements of a block, or two. */
#define EACH_WORD(T, value)               \
  for (int i = 0; i < BLOCKS; i++)        \
    for (int j = 0; j < 4; j++) {         \
      const uint32_t a = words[j][i];     \
      ((T *)out)[4 * i + j] = (T)(value); \
    }
#define EACH_PAIR(T, value)                                        \
  for (int i = 0; i < BLOCKS; i++)                                 \
    for (int j = 0; j < 2; j++) {                                  \
      const uint32_t a = words[2 * j][i], b = words[2 * j + 1][i]; \
      ((T *)out)[2 * i + j] = (T)(value);                          \
    }

static void draw_uniform(tv_dtype dtype, uint32_t words[4][BLOCKS], void *out) {
  if (dtype == TV_F32)
    EACH_WORD(float, tvi_uniform_f32(a))
  else if (dtype == TV_F64)
    EACH_PAIR(double, tvi_uniform_f64(a, b))
  else if (dtype == TV_F16)
    EACH_WORD(uint16_t, tvi_f16_store(tvi_uniform_f16(a)))
  else
    EACH_WORD(uint16_t, tvi_bf16_store(tvi_uniform_bf16(a)))
}

static void draw_normal(tv_dtype dtype, uint32_t words[4][BLOCKS], void *out) {
  if (dtype == TV_F64) {
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
      if (dtype == TV_F32)
        ((float *)out)[4 * i + j] = values[j][i];
      else if (dtype == TV_F16)
        ((uint16_t *)out)[4 * i + j] = tvi_f16_store(values[j][i]);
      else
        ((uint16_t *)out)[4 * i + j] = tvi_bf16_store(values[j][i]);
    }
}

static void draw_blocks(const tv_random *job, uint64_t first, void *out) {
  uint32_t words[4][BLOCKS];
  draw_words(job->key, first, words);
  if (job->distribution == TV_RANDOM_UNIFORM)
    draw_uniform(job->dtype, words, out);
  else if (job->distribution == TV_RANDOM_NORMAL)
    draw_normal(job->dtype, words, out);
  else if (job->dtype == TV_U64)
    EACH_PAIR(uint64_t, tvi_draw_u64(a, b))
  else
    EACH_WORD(uint32_t, a)
}
