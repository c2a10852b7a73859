/* SPDX-License-Identifier: MIT
 * tensorvar show and head: arrays as NumPy prints them, or whole as JSON. */
#include <stdio.h>
#include <string.h>

#include "element.h"
#include "failure.h"
#include "json.h"
#include "number.h"
#include "run.h"
#include "source.h"

/* Lists in lists, by an odometer: brackets open and close where an axis begins and ends. */
static void json_elements(tv_tensor *x, const void *elements) {
  const int rank = tv_tensor_rank(x);
  const int64_t *shape = tv_tensor_shape(x), n = tv_tensor_size(x);
  const tv_dtype dtype = tv_tensor_dtype(x);
  if (rank == 0) {
    json_element(elements, dtype, 0);
    return;
  }
  if (n == 0) { /* lists down to the first axis without elements, as ndarray.tolist gives them */
    int64_t lists = 1;
    int empty = 0;
    while (shape[empty]) lists *= shape[empty++];
    int64_t inner = 1;
    for (int k = 0; k < empty; k++) json_open('[');
    for (int64_t i = 0; i < lists; i++) {
      if (i) {
        int k = empty - 1;
        for (inner = shape[k]; i % inner == 0; inner *= shape[--k]) json_close(']');
        for (; k < empty - 1; k++) json_open('[');
      }
      json_open('[');
      json_close(']');
    }
    for (int k = 0; k < empty; k++) json_close(']');
    return;
  }
  for (int k = 0; k < rank; k++) json_open('[');
  for (int64_t i = 0; i < n; i++) {
    if (i) {
      int k = rank - 1;
      for (int64_t inner = shape[k]; i % inner == 0; inner *= shape[--k]) json_close(']');
      for (; k < rank - 1; k++) json_open('[');
    }
    json_element(elements, dtype, i);
  }
  for (int k = 0; k < rank; k++) json_close(']');
}

static int show_json(const source *s, int64_t at, tv_tensor *x) {
  const void *elements = host_data(x);
  if (tv_error()) return library_trouble(s->path);
  json_open('{');
  json_key("file"), json_text(s->path);
  if (source_name(s, at)) json_key("name"), json_text(source_name(s, at));
  json_key("dtype"), json_text(tv_dtype_name(tv_tensor_dtype(x)));
  json_key("shape"), json_shape(tv_tensor_rank(x), tv_tensor_shape(x));
  json_key("data"), json_elements(x, elements);
  json_close('}');
  return 0;
}

/* The first rows; all of an array without axes. */
static tv_tensor *rows_of(tv_tensor *x, int64_t n) {
  const tv_index first[] = {TV_RANGE(0, n, 1)};
  return tv_tensor_rank(x) ? tv_slice_with(x, 1, first) : x;
}

static int show_one(const source *s, int64_t at, const arguments *a, int64_t n_rows,
                    bool names_it) {
  tv_tensor *x = source_take(s, at, a);
  if (n_rows >= 0) x = rows_of(x, n_rows);
  if (!x) return library_trouble(s->path);
  if (given(a, OPTION_json)) return show_json(s, at, x);
  if (names_it) printf("%s:\n", safe(source_label(s, at)));
  return tv_print(stdout, x) ? library_trouble(s->path) : 0;
}

static int show_file(const char *path, const arguments *a, int64_t n_rows) {
  source s;
  int status = source_open(&s, path, a);
  if (status) return status;
  const int64_t n = source_count(&s);
  for (int64_t i = 0; i < n; i++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    const int one = show_one(&s, source_at(&s, i), a, n_rows, n > 1 || a->n_files > 1);
    tv_scope_end(&scope, NULL);
    if (one) status = one;
  }
  source_close(&s);
  return status;
}

static int show_all(const arguments *a, int64_t n_rows) {
  int status = 0;
  for (int i = 0; i < a->n_files; i++) {
    const int one = show_file(a->files[i], a, n_rows);
    if (one) status = one;
  }
  return status;
}

int run_show(const arguments *a) { return show_all(a, -1); }

int run_head(const arguments *a) {
  int64_t n;
  if (!option_int(a, OPTION_rows, 0, INT64_MAX, 10, &n)) return EXIT_USAGE;
  return show_all(a, n);
}
