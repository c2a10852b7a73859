/* SPDX-License-Identifier: MIT
 * tensorvar concat: arrays one after another along an axis, in one file. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "json.h"
#include "number.h"
#include "progress.h"
#include "run.h"
#include "source.h"
#include "target.h"

/* Whether x goes behind `first` along the axis; false after a message. */
static bool fits(tv_tensor *first, const char *first_path, tv_tensor *x, const char *path,
                 int64_t axis) {
  char a[SHAPE_SIZE], b[SHAPE_SIZE];
  const int rank = tv_tensor_rank(first);
  const int64_t *p = tv_tensor_shape(first), *q = tv_tensor_shape(x);
  bool is_alike = tv_tensor_rank(x) == rank;
  for (int k = 0; is_alike && k < rank; k++) {
    is_alike = p[k] == q[k] || k == (axis < 0 ? axis + rank : axis);
  }
  if (is_alike) return true;
  trouble("%s: shape %s does not go behind %s of %s along axis %" PRId64, safe(path),
          shape_text(tv_tensor_rank(x), q, a), shape_text(rank, p, b), safe(first_path), axis);
  return false;
}

/* One array of a file; NULL after a message, with `status`. */
static tv_tensor *take_only(const char *path, const arguments *a, source *s, int *status) {
  *status = source_open(s, path, a);
  if (*status) return NULL;
  if (source_count(s) != 1) {
    *status = usage("%s holds %" PRId64 " arrays; %s:NAME takes one", safe(path), source_count(s),
                    safe(path));
    return NULL;
  }
  tv_tensor *x = source_take(s, source_at(s, 0), a);
  if (!x) *status = library_trouble(path);
  return x;
}

static int concat(const arguments *a, const target *t, int64_t axis, source *sources,
                  tv_tensor **tensors) {
  const int n = a->n_files - 1;
  int status = 0;
  for (int i = 0; i < n; i++) {
    tensors[i] = take_only(a->files[i + 1], a, &sources[i], &status);
    if (!tensors[i]) return status;
    if (!fits(tensors[0], a->files[1], tensors[i], a->files[i + 1], axis)) return EXIT_TROUBLE;
  }
  tv_tensor *y = tv_concat(n, tensors, axis);
  if (!y) return library_trouble(a->files[1]);
  static const char *const no_name[] = {NULL};
  status = target_save(t, a, 1, no_name, &y, NULL);
  if (status || !strcmp(t->path, "-")) return status;
  if (given(a, OPTION_json)) {
    json_open('{');
    json_key("file"), json_text(t->path);
    json_key("dtype"), json_text(tv_dtype_name(tv_tensor_dtype(y)));
    json_key("shape"), json_shape(tv_tensor_rank(y), tv_tensor_shape(y));
    json_close('}');
  } else {
    char text[SHAPE_SIZE];
    printf("%s: %s %s\n", safe(t->path), tv_dtype_name(tv_tensor_dtype(y)),
           shape_text(tv_tensor_rank(y), tv_tensor_shape(y), text));
  }
  return 0;
}

int run_concat(const arguments *a) {
  target t;
  int64_t axis;
  if (!target_choose(&t, a->files[0], a)) return EXIT_USAGE;
  if (!option_int(a, OPTION_axis, -TV_MAX_RANK, TV_MAX_RANK - 1, 0, &axis)) return EXIT_USAGE;
  const size_t n = (size_t)a->n_files - 1;
  source *sources = need(n * sizeof *sources);
  tv_tensor **tensors = need(n * sizeof *tensors);
  for (size_t i = 0; i < n; i++) sources[i].stream = -1;
  const int status = concat(a, &t, axis, sources, tensors);
  for (size_t i = 0; i < n; i++) source_close(&sources[i]);
  free(tensors);
  free(sources);
  return status;
}
