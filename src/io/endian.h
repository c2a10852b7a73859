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
void tvi_swap_numbers(tv_dtype dtype, void *elements, int64_t n);

#endif
