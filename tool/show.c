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

typedef struct {
  const void *elements;
  tv_dtype dtype;
} shown;

static void put_element(void *user, int64_t i) {
  const shown *x = user;
  json_element(x->elements, x->dtype, i);
}

static int show_json(const source *s, int64_t at, tv_tensor *x) {
  const void *elements = host_data(x);
  if (tv_error()) return library_trouble(s->path);
  json_open('{');
  json_key("file"), json_text(s->path);
  if (source_name(s, at)) json_key("name"), json_text(source_name(s, at));
  json_key("dtype"), json_text(tv_dtype_name(tv_tensor_dtype(x)));
  json_key("shape"), json_shape(tv_tensor_rank(x), tv_tensor_shape(x));
  shown whole = {elements, tv_tensor_dtype(x)};
  json_key("data");
  json_lists(tv_tensor_rank(x), tv_tensor_shape(x), put_element, &whole);
  json_close('}');
  return 0;
}

/* The first rows, of which alone the file is read where that can be; all of an array without axes.
 */
static tv_tensor *first_rows(const source *s, int64_t at, const arguments *a, int64_t n) {
  const tv_index first[] = {TV_RANGE(0, n, 1)};
  tv_npy_options options = source_options(a);
  tv_npy_layout layout = TV_NPY_LAYOUT;
  if (s->stream >= 0 || given(a, OPTION_slice)) {
    tv_tensor *x = source_take(s, at, a);
    return tv_tensor_rank(x) ? tv_slice_with(x, 1, first) : x;
  }
  if (source_layout(s, at, &options, &layout)) return NULL;
  options.map = TV_NPY_MAP;
  options.n_index = layout.rank ? 1 : 0;
  options.index = first;
  return source_read(s, at, &options);
}

static int show_rows(const source *s, int64_t at, const arguments *a, int64_t n_rows) {
  tv_tensor *x = n_rows < 0 ? source_take(s, at, a) : first_rows(s, at, a, n_rows);
  if (!x) return library_trouble(s->path);
  if (given(a, OPTION_json)) return show_json(s, at, x);
  if (a->n_files > 1 || source_count(s) > 1) printf("%s:\n", safe(source_label(s, at)));
  return tv_print(stdout, x) ? library_trouble(s->path) : 0;
}

static int show_one(const source *s, int64_t at, const arguments *a) {
  return show_rows(s, at, a, -1);
}

static bool head_rows(const arguments *a, int64_t *n) {
  return option_int(a, OPTION_rows, 0, INT64_MAX, 10, n);
}

static int head_one(const source *s, int64_t at, const arguments *a) {
  int64_t n;
  return head_rows(a, &n) ? show_rows(s, at, a, n) : EXIT_USAGE;
}

int run_show(const arguments *a) { return each_array(a, show_one); }

int run_head(const arguments *a) {
  int64_t n; /* wrong usage is told before any file is opened */
  return head_rows(a, &n) ? each_array(a, head_one) : EXIT_USAGE;
}
