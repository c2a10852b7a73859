/* SPDX-License-Identifier: MIT
 * The order of bytes: the host's, and turning one into the other. */
#ifndef TVI_ENDIAN_H
#define TVI_ENDIAN_H

#include <string.h>

#include "dtype.h"

static inline bool tvi_host_is_big_endian(void) {
  const uint16_t one = 1;
  uint8_t first;
  memcpy(&first, &one, 1);
  return !first;
}

/* Reverse the bytes of each number of n bytes of elements; a complex element is two numbers. */
static inline void tvi_swap_numbers(tv_dtype dtype, void *elements, int64_t n) {
  const int64_t size = tv_dtype_size(tvi_real_part(dtype));
  for (uint8_t *at = elements, *const end = at + n; at < end; at += size) {
    for (int64_t i = 0; i < size / 2; i++) {
      const uint8_t kept = at[i];
      at[i] = at[size - 1 - i];
      at[size - 1 - i] = kept;
    }
  }
}

#endif
