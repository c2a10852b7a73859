/* SPDX-License-Identifier: MIT
 * The loops of rows chosen by a mask: counting it, packing what it chooses, and the way back.
 * Included by level_v*.c, once per level.
 *
 * The plain loops have no branch that the mask decides, since masks are hard to guess. AVX-512
 * packs a register at a time, which no compiler makes of a loop: 2 to 6 times faster in cache. It
 * packs in a register and stores that; the form that packs to memory is slow on some processors. */

/* How many of n bytes are not 0. Lanes of a byte hold what 255 rows of them can come to. */
static int64_t count_chosen(const uint8_t *mask, int64_t n) {
  enum { SPAN_OF_MASK = 64, MOST_SPANS = 255 };
  int64_t total = 0;
  while (n >= SPAN_OF_MASK) {
    uint8_t lanes[SPAN_OF_MASK] = {0};
    int64_t spans = n / SPAN_OF_MASK < MOST_SPANS ? n / SPAN_OF_MASK : MOST_SPANS;
    n -= spans * SPAN_OF_MASK;
    for (; spans > 0; spans--, mask += SPAN_OF_MASK)
      for (int k = 0; k < SPAN_OF_MASK; k++) lanes[k] = (uint8_t)(lanes[k] + (mask[k] != 0));
    int32_t sum = 0;
    for (int k = 0; k < SPAN_OF_MASK; k++) sum += lanes[k];
    total += sum;
  }
  for (int64_t i = 0; i < n; i++) total += mask[i] != 0;
  return total;
}

typedef struct {
  uint64_t words[2];
} select_pair;

/* Rows of several elements lie where those do: nothing is aligned to more. */
#define PACK(name, T)                                                                      \
  static void pack_##name(const uint8_t *mask, int64_t n, int64_t count, const void *from, \
                          void *to) {                                                      \
    const char *const in = from;                                                           \
    char *const out = to;                                                                  \
    for (int64_t i = 0, at = 0; at < count && i < n; i++) {                                \
      memcpy(out + at * (int64_t)sizeof(T), in + i * (int64_t)sizeof(T), sizeof(T));       \
      at += mask[i] != 0;                                                                  \
    }                                                                                      \
  }
/* What is not chosen reads an element too, the one that is next; after the last there is none. Its
 * bits are masked away: of a choice the compiler may make a branch. */
#define UNPACK(name, T, value_where)                                                         \
  static void unpack_##name(const uint8_t *mask, int64_t n, int64_t count, const void *from, \
                            void *to) {                                                      \
    const char *const in = from;                                                             \
    char *const out = to;                                                                    \
    int64_t i = 0;                                                                           \
    for (int64_t at = 0; at < count && i < n; i++) {                                         \
      const uint64_t is_chosen = mask[i] != 0, bits = ~(is_chosen - 1);                      \
      T value;                                                                               \
      memcpy(&value, in + at * (int64_t)sizeof(T), sizeof(T));                               \
      value_where;                                                                           \
      memcpy(out + i * (int64_t)sizeof(T), &value, sizeof(T));                               \
      at += (int64_t)is_chosen;                                                              \
    }                                                                                        \
    memset(out + i * (int64_t)sizeof(T), 0, (size_t)(n - i) * sizeof(T));                    \
  }

#ifdef TVI_HAS_COMPRESS
/* 64 bytes of the mask as bits; none beyond n. */
static uint64_t mask_bits(const uint8_t *mask, int64_t n) {
  const __mmask64 here = n < 64 ? (UINT64_C(1) << n) - 1 : ~UINT64_C(0);
  const __m512i bytes = _mm512_maskz_loadu_epi8(here, mask);
  return _mm512_test_epi8_mask(bytes, bytes);
}
static uint32_t low_bits(int n) { return (uint32_t)((UINT64_C(1) << n) - 1); }

static __m512i load_1(uint32_t lanes, const uint8_t *at) {
  return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8((__mmask16)lanes, at));
}
static void store_1(uint8_t *at, uint32_t lanes, __m512i x) {
  _mm_mask_storeu_epi8(at, (__mmask16)lanes, _mm512_cvtepi32_epi8(x));
}
static __m512i load_2(uint32_t lanes, const uint16_t *at) {
  return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16((__mmask16)lanes, at));
}
static void store_2(uint16_t *at, uint32_t lanes, __m512i x) {
  _mm256_mask_storeu_epi16(at, (__mmask16)lanes, _mm512_cvtepi32_epi16(x));
}
static __m512i load_4(uint32_t lanes, const uint32_t *at) {
  return _mm512_maskz_loadu_epi32((__mmask16)lanes, at);
}
static void store_4(uint32_t *at, uint32_t lanes, __m512i x) {
  _mm512_mask_storeu_epi32(at, (__mmask16)lanes, x);
}
static __m512i load_8(uint32_t lanes, const uint64_t *at) {
  return _mm512_maskz_loadu_epi64((__mmask8)lanes, at);
}
static void store_8(uint64_t *at, uint32_t lanes, __m512i x) {
  _mm512_mask_storeu_epi64(at, (__mmask8)lanes, x);
}

/* A register holds `lanes` elements, of 32 or 64 bits there. While there are 64 of the mask and
 * room for as many, registers are stored whole: what is behind the chosen is written over by the
 * next. */
#define PACK_LANES(name, T, lanes, part, bits)                                                 \
  static void pack_##name(const uint8_t *mask, int64_t n, int64_t count, const void *from,     \
                          void *to) {                                                          \
    const T *in = from;                                                                        \
    T *out = to, *const end = out + count;                                                     \
    const uint32_t all = low_bits(lanes);                                                      \
    int64_t i = 0;                                                                             \
    for (; n - i >= 64 && end - out >= 64; i += 64) {                                          \
      const uint64_t chosen = mask_bits(mask + i, 64);                                         \
      for (int k = 0; k < 64; k += lanes) {                                                    \
        const part some = (part)(chosen >> k);                                                 \
        store_##name(out, all,                                                                 \
                     _mm512_maskz_compress_epi##bits(some, load_##name(all, in + i + k)));     \
        out += __builtin_popcount(some);                                                       \
      }                                                                                        \
    }                                                                                          \
    for (; i < n; i += 64) {                                                                   \
      const uint64_t here = n - i < 64 ? (UINT64_C(1) << (n - i)) - 1 : ~UINT64_C(0);          \
      const uint64_t chosen = mask_bits(mask + i, n - i);                                      \
      for (int k = 0; k < 64; k += lanes) {                                                    \
        const part some = (part)(chosen >> k);                                                 \
        const int so_many = __builtin_popcount(some);                                          \
        const __m512i x = load_##name((part)(here >> k), in + i + k);                          \
        store_##name(out, low_bits(so_many), _mm512_maskz_compress_epi##bits(some, x));        \
        out += so_many;                                                                        \
      }                                                                                        \
    }                                                                                          \
  }                                                                                            \
  static void unpack_##name(const uint8_t *mask, int64_t n, int64_t count, const void *from,   \
                            void *to) {                                                        \
    (void)count;                                                                               \
    const T *in = from;                                                                        \
    T *const out = to;                                                                         \
    for (int64_t i = 0; i < n; i += 64) {                                                      \
      uint64_t chosen = mask_bits(mask + i, n - i);                                            \
      const int64_t end = n - i < 64 ? n : i + 64;                                             \
      for (int64_t at = i; at < end; at += lanes, chosen >>= lanes) {                          \
        const part some = (part)chosen;                                                        \
        const int so_many = __builtin_popcount(some);                                          \
        store_##name(out + at, low_bits(end - at < lanes ? (int)(end - at) : lanes),           \
                     _mm512_maskz_expand_epi##bits(some, load_##name(low_bits(so_many), in))); \
        in += so_many;                                                                         \
      }                                                                                        \
    }                                                                                          \
  }
PACK_LANES(1, uint8_t, 16, __mmask16, 32)
PACK_LANES(2, uint16_t, 16, __mmask16, 32)
PACK_LANES(4, uint32_t, 16, __mmask16, 32)
PACK_LANES(8, uint64_t, 8, __mmask8, 64)
#undef PACK_LANES
#else
PACK(1, uint8_t)
PACK(2, uint16_t)
PACK(4, uint32_t)
PACK(8, uint64_t)
UNPACK(1, uint8_t, value = (uint8_t)(value & bits))
UNPACK(2, uint16_t, value = (uint16_t)(value & bits))
UNPACK(4, uint32_t, value = (uint32_t)(value & bits))
UNPACK(8, uint64_t, value = (uint64_t)(value & bits))
#endif
PACK(16, select_pair)
UNPACK(16, select_pair, (value.words[0] &= bits, value.words[1] &= bits))
#undef PACK
#undef UNPACK

static const tvi_selector selector = {
    .count = count_chosen,
    .pack = {pack_1, pack_2, pack_4, pack_8, pack_16},
    .unpack = {unpack_1, unpack_2, unpack_4, unpack_8, unpack_16},
};
