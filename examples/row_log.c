/* SPDX-License-Identifier: MIT
 * row_log FILE ROWS: append that many rows of measurements to a .npy file, which is made if there
 * is none. Stop it at any point, and start it again: it goes on behind the last row. row_log FILE:
 * what the file holds, also while another row_log appends to it.
 *
 * A row is a time in seconds and two figures. Any reader of .npy files reads it:
 * np.load("log.npy"). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <tensorvar/tensorvar.h>

static tv_status append(const char *path, long rows) {
  tv_npy_writer_options options = TV_NPY_WRITER_OPTIONS;
  options.durable = false; /* a row that a power cut takes is measured again */
  tv_npy_writer *const log = tv_npy_writer_open(path, TV_F64, TV_SHAPE(3), &options);
  for (long i = 0; i < rows && !tv_error(); i++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    const double t = .01 * (double)tv_npy_writer_count(log);
    const double row[] = {t, sin(t), cos(t) / (1 + t)};
    tv_npy_writer_append(log, tv_tensor_from_memory(row, TV_F64, TV_SHAPE(3), NULL));
    tv_scope_end(&scope, NULL);
  }
  if (!tv_error()) printf("%s: %lld rows\n", path, (long long)tv_npy_writer_count(log));
  tv_npy_writer_sync(log); /* from here on not even a power cut takes them */
  return tv_npy_writer_close(log);
}

static tv_status show(const char *path) {
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_npy_options options = TV_NPY_OPTIONS;
  options.map = TV_NPY_MAP; /* safe beside a writer: it never makes the file shorter */
  tv_tensor *const x = tv_npy_load(path, &options);
  const long long rows = tv_tensor_rank(x) == 2 ? (long long)tv_tensor_shape(x)[0] : 0;
  if (rows) {
    printf("%s: %lld rows, the last one and the mean of each column:\n", path, rows);
    tv_print(stdout, tv_slice(x, "-1"));
    tv_print(stdout, tv_mean(x, TV_AXES(0)));
  }
  return tv_scope_end(&scope, NULL);
}

int main(int argc, char **argv) {
  char *end = NULL;
  const long rows = argc == 3 ? strtol(argv[2], &end, 10) : 0;
  if (argc < 2 || argc > 3 || (end && (*end || rows < 0))) {
    fprintf(stderr, "usage: row_log FILE [ROWS]\n");
    return 2;
  }
  const tv_status status = argc == 3 ? append(argv[1], rows) : show(argv[1]);
  if (!status && !tv_error()) return 0;
  fprintf(stderr, "%s\n", tv_error_text());
  return 1;
}
