/* SPDX-License-Identifier: MIT
 * Philox4x32-10, of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011), and the
 * numbers made of its words. random.h says which word is whose: every backend draws the same bits.
 */
#ifndef TVI_PHILOX_H
#define TVI_PHILOX_H

#include <stdint.h>

#include "half.h"

typedef struct tvi_philox_block {
  uint32_t word[4];
} tvi_philox_block;

/* The cipher: counter words c[0..4), key words k0 and k1. */
TVI_SCALAR tvi_philox_block tvi_philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3,
                                       uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = (uint64_t)c0 * 0xD2511F53u, p1 = (uint64_t)c2 * 0xCD9E8D57u;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u; /* the golden ratio */
    k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
  }
  const tvi_philox_block block = {{c0, c1, c2, c3}};
  return block;
}

/* Block `number` of a key: the seed is the cipher's key, the stream words 2 and 3 of the counter.
 */
TVI_SCALAR tvi_philox_block tvi_philox_at(uint64_t seed, uint64_t stream, uint64_t number) {
  return tvi_philox((uint32_t)number, (uint32_t)(number >> 32), (uint32_t)stream,
                    (uint32_t)(stream >> 32), (uint32_t)seed, (uint32_t)(seed >> 32));
}

/* A 64-bit draw is two adjacent words, the low one first. */
TVI_SCALAR uint64_t tvi_draw_u64(uint32_t a, uint32_t b) { return (uint64_t)b << 32 | a; }

/* In [0, 1). */
TVI_SCALAR float tvi_uniform_f32(uint32_t a) { return (float)(int32_t)(a >> 8) * 0x1p-24f; }
TVI_SCALAR double tvi_uniform_f64(uint32_t a, uint32_t b) {
  return (double)((uint64_t)(a >> 5) << 26 | b >> 6) * 0x1p-53;
}
TVI_SCALAR float tvi_uniform_f16(uint32_t a) { return (float)(int32_t)(a >> 21) * 0x1p-11f; }
TVI_SCALAR float tvi_uniform_bf16(uint32_t a) { return (float)(int32_t)(a >> 24) * 0x1p-8f; }

#endif
