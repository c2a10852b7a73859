/* SPDX-License-Identifier: MIT
 * When stores go around the caches, and where they end: they save the read of what they overwrite,
 * and lose where it is read again soon. The level has the copy itself (streams.h). */
#ifndef TVI_CPU_STREAMED_H
#define TVI_CPU_STREAMED_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Bytes read and written: beyond what one op may count on of the last cache. What a virtual machine
 * says of that cache is often the whole host's. */
enum { TVI_STREAMED = 1 << 25 };

/* At the end of what a thread has so stored, before others are told. */
static inline void tvi_stream_end(void) {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

#endif
