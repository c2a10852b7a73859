/* SPDX-License-Identifier: MIT
 * A file of rows for the tests of appending: x.npy in the current folder, of int16 [n, 3], counted
 * up from 0, so that its content tells what is missing. */
#ifndef TV_TESTS_NPY_ROWS_H
#define TV_TESTS_NPY_ROWS_H

#include "check.h"
#include "faults.h"

static inline tv_npy_writer *writer(tv_dtype dtype, int rank, const int64_t *shape, bool fortran) {
  tv_npy_writer_options o = TV_NPY_WRITER_OPTIONS;
  o.fortran = fortran;
  o.durable = false;
  return tv_npy_writer_open("x.npy", dtype, rank, shape, &o);
}

/* x.npy has the bytes that saving x writes. */
static inline bool is_saved(tv_tensor *x) {
  char bytes[4096];
  OK(tv_npy_save("saved.npy", x, NULL));
  FILE *const file = fopen("saved.npy", "rb");
  CHECK(file);
  const size_t n = fread(bytes, 1, sizeof bytes, file);
  CHECK(n < sizeof bytes && fclose(file) == 0 && remove("saved.npy") == 0);
  return file_is("x.npy", bytes, n);
}

static inline tv_tensor *rows_between(int64_t begin, int64_t end) { /* [n, 3] */
  return tv_reshape(tv_arange_int(TV_I16, 3 * begin, 3 * end, 1), TV_SHAPE(end - begin, 3));
}

/* x.npy holds rows 0 to n - 1 of these, and is whole. */
static inline bool holds_rows(int64_t n) {
  tv_tensor *const x = tv_npy_load("x.npy", NULL);
  OK(x);
  return tv_tensor_rank(x) == 2 && tv_tensor_shape(x)[0] == n && tv_tensor_shape(x)[1] == 3 &&
         (n == 0 || !memcmp(tv_tensor_data(x), tv_tensor_data(rows_between(0, n)), (size_t)n * 6));
}

static inline void put_foreign(const char *prefix, size_t prefix_bytes, const char *text,
                               int64_t rows) {
  char bytes[512];
  const size_t n = strlen(text);
  memcpy(bytes, prefix, prefix_bytes);
  bytes[8] = (char)n;
  memcpy(bytes + prefix_bytes, text, n);
  for (int64_t i = 0; i < 3 * rows; i++) {
    bytes[prefix_bytes + n + 2 * (size_t)i] = (char)i; /* little-endian on every host */
    bytes[prefix_bytes + n + 2 * (size_t)i + 1] = (char)(i >> 8);
  }
  file_put("x.npy", bytes, prefix_bytes + n + 6 * (size_t)rows);
}

static inline void put_tight(void) { /* as cnpy does: to a multiple of 16 */
  put_foreign("\x93NUMPY\1\0\0\0", 10,
              "{'descr': '<i2', 'fortran_order': False, 'shape': (4, 3), }          \n", 4);
}

/* Run in a child, whose exit status it is. */
static inline int in_child(tv_status (*run)(void)) {
  const pid_t child = fork();
  if (child == 0) _exit((int)run());
  int ended;
  CHECK(child > 0 && waitpid(child, &ended, 0) == child && WIFEXITED(ended));
  return WEXITSTATUS(ended);
}

#endif
