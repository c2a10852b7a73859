/* SPDX-License-Identifier: MIT
 * .npy files in memory, for tests of reading. */
#ifndef TV_TESTS_NPY_BYTES_H
#define TV_TESTS_NPY_BYTES_H

#include <stdlib.h>
#include <string.h>

#include "check.h"

typedef struct npy_bytes {
  char *bytes;
  int64_t n;
  int64_t at; /* what npy_bytes_read has delivered */
} npy_bytes;

static inline bool npy_bytes_write(void *user, const void *bytes, int64_t n) {
  npy_bytes *const to = user;
  to->bytes = realloc(to->bytes, (size_t)(to->n + n));
  memcpy(to->bytes + to->n, bytes, (size_t)n);
  to->n += n;
  return true;
}

/* A stream that never gives more than 7 bytes at once. */
static inline int64_t npy_bytes_read(void *user, void *out, int64_t n) {
  npy_bytes *const from = user;
  const int64_t left = from->n - from->at, now = n < 7 ? n : 7, got = now < left ? now : left;
  memcpy(out, from->bytes + from->at, (size_t)got);
  from->at += got;
  return got;
}

/* The file of a header and n bytes of data. */
static inline npy_bytes npy_bytes_of(const char *header, const void *data, size_t n) {
  npy_bytes file = {NULL, 0, 0};
  const size_t words = strlen(header);
  const char prefix[10] = {
      '\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, (char)((words + 1) & 255), (char)((words + 1) >> 8)};
  npy_bytes_write(&file, prefix, sizeof prefix);
  npy_bytes_write(&file, header, (int64_t)words);
  npy_bytes_write(&file, "\n", 1);
  npy_bytes_write(&file, data, (int64_t)n);
  return file;
}

static inline npy_bytes npy_bytes_saved(tv_tensor *x, tv_npy_order order, bool is_big_endian) {
  npy_bytes file = {NULL, 0, 0};
  tv_npy_save_options o = TV_NPY_SAVE_OPTIONS;
  o.order = order;
  o.big_endian = is_big_endian;
  OK(tv_npy_write_callback(npy_bytes_write, &file, "saved", x, &o));
  return file;
}

#endif
