/* SPDX-License-Identifier: MIT
 * Arithmetic on sizes, checked: the one place where counts and bytes are multiplied and added. Each
 * function gives false, and leaves *out alone, where the result would not fit in int64. */
#ifndef TVI_SIZE_H
#define TVI_SIZE_H

#include <stdbool.h>
#include <stdint.h>

static inline bool tvi_mul(int64_t a, int64_t b, int64_t *out) {
  int64_t r;
  if (__builtin_mul_overflow(a, b, &r)) return false;
  *out = r;
  return true;
}

static inline bool tvi_add(int64_t a, int64_t b, int64_t *out) {
  int64_t r;
  if (__builtin_add_overflow(a, b, &r)) return false;
  *out = r;
  return true;
}

/* Product of sizes >= 0. Axes of size 0 do not hide an overflow of the others: (0, 2^62, 2^62) is
 * refused, as NumPy refuses it, for its steps would wrap. */
static inline bool tvi_product(int rank, const int64_t *shape, int64_t item, int64_t *elements,
                               int64_t *bytes) {
  int64_t product = item, count = 1;
  for (int k = 0; k < rank; k++) {
    if (shape[k] && !tvi_mul(product, shape[k], &product)) return false;
    count = shape[k] && count ? count * shape[k] : 0;
  }
  *elements = count;
  *bytes = count ? product : 0;
  return true;
}

#endif
