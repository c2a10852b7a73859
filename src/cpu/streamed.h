/* SPDX-License-Identifier: MIT
 * Stores that go around the caches: they save the read of what they overwrite, and lose where it is
 * read again soon. (Where there are none, ordinary ones.) */
#ifndef TVI_CPU_STREAMED_H
#define TVI_CPU_STREAMED_H

#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Bytes read and written: beyond what one op may count on of the last cache. What a virtual machine
 * says of that cache is often the whole host's. */
enum { TVI_STREAMED = 1 << 25 };

/* Copies bytes that do not overlap. `to` is not NULL; it should begin 16 bytes. */
static inline void tvi_stream(char *to, const char *from, int64_t bytes) {
#ifdef __SSE2__
  if (to && (uintptr_t)to % 16 == 0)
    for (; bytes >= 16; to += 16, from += 16, bytes -= 16)
      _mm_stream_si128((void *)to, _mm_loadu_si128((const void *)from));
#endif
  if (to && bytes) memcpy(to, from, (size_t)bytes);
}

/* At the end of what a thread has so stored, before others are told. */
static inline void tvi_stream_end(void) {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

#endif
