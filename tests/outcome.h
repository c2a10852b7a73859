/* SPDX-License-Identifier: MIT
 * What reading a file comes to: a failure and its text, or the sum of all that was read. For
 * programs that read a file in several ways and hold them against each other: corpus_job.c, and
 * those of fuzz/. */
#ifndef TV_TESTS_OUTCOME_H
#define TV_TESTS_OUTCOME_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorvar/tensorvar.h>

#include "io/crc32.h"
#include "io/endian.h"

typedef struct {
  tv_status status;
  uint32_t digest; /* as digest() of corpus_pack.py has it */
  char text[1024];
} outcome;

static inline uint32_t outcome_add_text(uint32_t digest, const char *text) {
  return tvi_crc32(digest, text, (int64_t)strlen(text));
}

/* Name, dtype, shape and elements as little-endian bytes in C order; nothing of a failure. */
static inline void outcome_add(uint32_t *digest, const char *name, tv_tensor *x) {
  if (!x) return;
  const int64_t bytes = tv_tensor_bytes(x);
  const int64_t *const shape = tv_tensor_shape(x);
  const tv_dtype dtype = tv_tensor_dtype(x);
  uint32_t sum = tvi_crc32(outcome_add_text(*digest, name), "", 1);
  sum = tvi_crc32(outcome_add_text(sum, tv_dtype_name(dtype)), "", 1);
  for (int k = 0; k < tv_tensor_rank(x); k++) {
    char size[32];
    snprintf(size, sizeof size, k ? ",%lld" : "%lld", (long long)shape[k]);
    sum = outcome_add_text(sum, size);
  }
  sum = tvi_crc32(sum, "", 1);
  void *const elements = malloc(bytes ? (size_t)bytes : 1);
  if (!elements || tv_tensor_copy_out(x, elements, bytes)) abort();
  if (tvi_host_is_big_endian()) tvi_swap_numbers(dtype, elements, bytes);
  *digest = tvi_crc32(sum, elements, bytes);
  free(elements);
}

/* The thread's failure, which is then handled, beside what was summed before it. */
static inline outcome outcome_end(uint32_t digest) {
  outcome out = {.status = tv_error(), .digest = digest};
  snprintf(out.text, sizeof out.text, "%s", out.status ? tv_error_text() : "");
  tv_error_clear();
  return out;
}

static inline bool outcome_can_be_printed(const outcome *out) {
  const size_t n = strlen(out->text);
  for (size_t i = 0; i < n; i++)
    if (out->text[i] < ' ' || out->text[i] > '~') return false;
  return n > 0 && n < 512;
}

/* The same arrays, or a failure of the same kind. */
static inline bool outcome_is_same(const outcome *a, const outcome *b) {
  return a->status == b->status && (a->status || a->digest == b->digest);
}

static inline tv_npy_options outcome_mapped(tv_npy_map map) {
  tv_npy_options o = TV_NPY_OPTIONS;
  o.map = map;
  return o;
}

#endif
