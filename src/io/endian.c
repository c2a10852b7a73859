/* SPDX-License-Identifier: MIT */
/* Reversing the bytes of numbers, eight bytes at a time: as many numbers as fit a word. */
#include "endian.h"

/* Each function turns a word of numbers, and does the same on hosts of either order. */
static uint64_t turn_2(uint64_t word) {
  const uint64_t low = UINT64_C(0x00ff00ff00ff00ff);
  return (word & low) << 8 | (word >> 8 & low);
}
static uint64_t turn_4(uint64_t word) {
  const uint64_t all = __builtin_bswap64(word);
  return all << 32 | all >> 32;
}
static uint64_t turn_8(uint64_t word) { return __builtin_bswap64(word); }

/* n is a multiple of the numbers' size, not of eight; what is left over is turned in a word of its
 * own, of which only the numbers there are are taken. */
#define TURN_ALL(turn)                \
  do {                                \
    uint64_t word;                    \
    for (; n >= 8; n -= 8, at += 8) { \
      memcpy(&word, at, 8);           \
      word = turn(word);              \
      memcpy(at, &word, 8);           \
    }                                 \
    word = 0;                         \
    memcpy(&word, at, (size_t)n);     \
    word = turn(word);                \
    memcpy(at, &word, (size_t)n);     \
  } while (0)

void tvi_swap_numbers(tv_dtype dtype, void *elements, int64_t n) {
  uint8_t *at = elements;
  switch (tv_dtype_size(tvi_real_part(dtype))) {
    case 2:
      TURN_ALL(turn_2);
      break;
    case 4:
      TURN_ALL(turn_4);
      break;
    case 8:
      TURN_ALL(turn_8);
      break;
    default:
      break;
  }
}
