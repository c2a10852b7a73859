/* SPDX-License-Identifier: MIT
 * Copying around the caches: it saves the read of what is overwritten. Included by level_v*.c, once
 * per level.
 *
 * A level has the widest store there is: a cache line that goes out in one piece never waits, half
 * filled, for its other parts (add of 10^7 f32: 2.0 ms with stores of 64 bytes, 2.55 with 16). */
#if defined(__AVX512F__)
#define STREAM_UNIT 64
#define STREAM_ONE(to, from) _mm512_stream_si512((void *)(to), _mm512_loadu_si512(from))
#elif defined(__AVX__)
#define STREAM_UNIT 32
#define STREAM_ONE(to, from) \
  _mm256_stream_si256((void *)(to), _mm256_loadu_si256((const void *)(from)))
#elif defined(__SSE2__)
#define STREAM_UNIT 16
#define STREAM_ONE(to, from) _mm_stream_si128((void *)(to), _mm_loadu_si128((const void *)(from)))
#endif

/* `to` and `from` do not overlap. */
static void stream_bytes(char *to, const char *from, int64_t bytes) {
#ifdef STREAM_UNIT
  const int64_t before = -(int64_t)(uintptr_t)to & (STREAM_UNIT - 1);
  if (before && before <= bytes) {
    memcpy(to, from, (size_t)before);
    to += before;
    from += before;
    bytes -= before;
  }
  if ((uintptr_t)to % STREAM_UNIT == 0)
    for (; bytes >= STREAM_UNIT; bytes -= STREAM_UNIT) {
      STREAM_ONE(to, from);
      to += STREAM_UNIT;
      from += STREAM_UNIT;
    }
#endif
  if (bytes) memcpy(to, from, (size_t)bytes);
}
