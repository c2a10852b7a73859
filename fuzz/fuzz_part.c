/* SPDX-License-Identifier: MIT
 * Parts and fields of .npy files: what is loaded of a part is what a slice of the whole is, in
 * every way of reading, also with another dtype.
 *
 *     input   a slice, LF, a field (or nothing), LF, a letter for a dtype, the bytes of a file */
#include <unistd.h>

#include "fuzz.h"

enum { MOST_TEXT = 120 };

typedef struct {
  const uint8_t *at;
  int64_t left;
} bytes_left;

/* Some at a time, so that reads are short. */
static int64_t read_some(void *user, void *out, int64_t n) {
  bytes_left *const from = user;
  const int64_t most = 7 + from->left % 50;
  const int64_t now = n < from->left ? n : from->left, some = now < most ? now : most;
  if (some) memcpy(out, from->at, (size_t)some);
  from->at += some;
  from->left -= some;
  return some;
}

enum way { BY_MEMORY, BY_COPY, BY_MAP, BY_PRIVATE_MAP, BY_PIPE, BY_CALLBACK, INTO_MEMORY, WAYS };

static tv_tensor *read_in(enum way way, const char *path, const uint8_t *data, size_t n,
                          tv_npy_options o) {
  static double room[1 << 16];
  bytes_left from = {data, (int64_t)n};
  int ends[2];
  tv_tensor *x;
  switch (way) {
    case BY_MEMORY:
      return tv_npy_read_memory(data, (int64_t)n, &o);
    case BY_MAP:
      o.map = TV_NPY_MAP;
      return tv_npy_load(path, &o);
    case BY_PRIVATE_MAP:
      o.map = TV_NPY_MAP_WRITABLE;
      return tv_npy_load(path, &o);
    case BY_PIPE:
      if (n > 60000) return tv_npy_load(path, &o);
      if (pipe(ends) || (n && write(ends[1], data, n) != (ssize_t)n)) abort();
      close(ends[1]);
      x = tv_npy_read_fd(ends[0], "pipe", &o);
      close(ends[0]);
      return x;
    case BY_CALLBACK:
      return tv_npy_read_callback(read_some, &from, "callback", &o);
    case INTO_MEMORY:
      o.out = room;
      o.capacity = sizeof room;
      return tv_npy_load(path, &o);
    default:
      return tv_npy_load(path, &o);
  }
}

/* The text up to a line feed, which is passed over; NULL if it is longer than MOST_TEXT. */
static const char *take_line(const uint8_t **data, size_t *n, char *text) {
  size_t length = 0;
  while (length < *n && (*data)[length] != '\n') length++;
  if (length == *n || length > MOST_TEXT) return NULL;
  memcpy(text, *data, length);
  text[length] = '\0';
  *data += length + 1;
  *n -= length + 1;
  return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  char slice[MOST_TEXT + 1], field[MOST_TEXT + 1];
  tv_npy_options o = TV_NPY_OPTIONS;
  if (!take_line(&data, &n, slice) || !take_line(&data, &n, field) || !n) return 0;
  o.field = *field ? field : NULL;
  const tv_dtype dtype = (tv_dtype)(*data % (TV_DTYPE_COUNT + 1));
  data++;
  n--;

  /* What it must be: the slice of the whole, converted. */
  uint32_t digest = 0;
  fuzz_way way;
  fuzz_begin(&way);
  tv_tensor *whole = tv_npy_read_memory(data, (int64_t)n, &o);
  HOLDS_TRUE(whole || tv_error() == TV_EFORMAT || (*field && tv_error() == TV_EVALUE));
  const bool has_whole = whole != NULL;
  tv_tensor *want = whole ? tv_slice(whole, slice) : NULL;
  if (want && dtype < TV_DTYPE_COUNT) want = tv_cast_checked(want, dtype, o.refuse, NULL);
  outcome_add(&digest, "", want);
  const outcome wanted = fuzz_end(&way, digest);

  o.slice = slice;
  if (dtype < TV_DTYPE_COUNT) o.dtype = dtype;
  const char *const path = fuzz_file(data, n);
  outcome first = {TV_OK, 0, ""};
  for (int k = 0; k < WAYS; k++) {
    digest = 0;
    fuzz_begin(&way);
    outcome_add(&digest, "", read_in((enum way)k, path, data, n, o));
    const outcome out = fuzz_end(&way, digest);
    HOLDS_TRUE(!out.status || outcome_can_be_printed(&out));
    HOLDS_TRUE(out.status != TV_ENOMEM && out.status != TV_EIO);
    if (k == 0) first = out;
    /* A stream's end is found when elements before it have been looked at already. */
    if (k == BY_PIPE || k == BY_CALLBACK) {
      HOLDS_TRUE(!first.status == !out.status);
    } else {
      HOLDS_TRUE(outcome_is_same(&first, &out));
    }
    if (!first.status) HOLDS_TRUE(first.digest == out.digest);
    /* Without the whole, a part may be fine: bools elsewhere may not be 0 or 1. */
    if (has_whole) HOLDS_TRUE(!wanted.status == !out.status);
    if (!wanted.status) HOLDS_TRUE(wanted.digest == out.digest);
  }
  return 0;
}
