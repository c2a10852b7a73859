/* SPDX-License-Identifier: MIT
 * tensorvar concat: arrays one after another along an axis, in one file. Along the first axis a
 * .npy file is written piece by piece, so that neither the parts nor the whole have to fit into
 * memory: beside the old file, which it then replaces. Everything else is put together in memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "json.h"
#include "number.h"
#include "pieces.h"
#include "run.h"
#include "target.h"
#include "view.h"

typedef struct {
  const arguments *a;
  target to;
  int64_t axis; /* from 0 */
  int n;        /* parts */
  source *sources;
  view *views;
  tv_dtype dtype; /* of the whole */
  int64_t shape[TV_MAX_RANK];
} concatenation;

/* Parts -------------------------------------------------------------------------------------- */

/* Whether part i goes behind the first one; false after a message. */
static bool fits(const concatenation *c, int i) {
  char a[SHAPE_SIZE], b[SHAPE_SIZE];
  const view *first = &c->views[0], *v = &c->views[i];
  bool is_alike = v->rank == first->rank;
  for (int k = 0; is_alike && k < v->rank; k++) {
    is_alike = v->shape[k] == first->shape[k] || k == c->axis;
  }
  if (is_alike) return true;
  trouble("%s: shape %s does not go behind %s of %s along axis %" PRId64, safe(c->a->files[i + 1]),
          shape_text(v->rank, v->shape, a), shape_text(first->rank, first->shape, b),
          safe(c->a->files[1]), c->axis);
  return false;
}

/* The one array of a file. Gives 0, or a status after a message. */
static int open_part(concatenation *c, int i) {
  const char *path = c->a->files[i + 1];
  source *s = &c->sources[i];
  const int status = source_open(s, path, c->a);
  if (status) return status;
  if (source_count(s) != 1) {
    return usage("%s holds %" PRId64 " arrays; %s:NAME takes one", safe(path), source_count(s),
                 safe(path));
  }
  return view_open(&c->views[i], s, source_at(s, 0), c->a) ? 0 : library_trouble(path);
}

static int open_parts(concatenation *c, int64_t axis) {
  int64_t n_rows = 0;
  for (int i = 0; i < c->n; i++) {
    const int status = open_part(c, i);
    if (status) return status;
    const view *v = &c->views[i];
    if (i == 0) {
      if (axis < -v->rank || axis >= v->rank) {
        return usage("--axis: found %" PRId64 ", but %s has %d axes", axis, safe(c->a->files[1]),
                     v->rank);
      }
      c->axis = axis < 0 ? axis + v->rank : axis;
      c->dtype = v->dtype;
      memcpy(c->shape, v->shape, sizeof c->shape);
    }
    if (!fits(c, i)) return EXIT_TROUBLE;
    c->dtype = tv_promote_types(c->dtype, v->dtype);
    if (v->shape[c->axis] > INT64_MAX - n_rows) return trouble("more than 2^63 - 1 rows");
    n_rows += v->shape[c->axis];
  }
  c->shape[c->axis] = n_rows;
  return 0;
}

/* The whole ---------------------------------------------------------------------------------- */

static int write_whole(concatenation *c) {
  tv_tensor **tensors = need((size_t)c->n * sizeof *tensors);
  for (int i = 0; i < c->n; i++) tensors[i] = view_whole(&c->views[i]);
  tv_tensor *y = tv_concat(c->n, tensors, c->axis);
  free(tensors);
  if (!y) return library_trouble(c->a->files[1]);
  static const char *const no_name[] = {NULL};
  return target_save(&c->to, c->a, 1, no_name, &y, NULL);
}

static int concat(concatenation *c, int64_t axis) {
  int status = open_parts(c, axis);
  if (!status && c->axis == 0 && pieces_fit(&c->to, c->views[0].rank, c->shape)) {
    status = pieces_save(&c->to, c->a, c->n, c->views, c->dtype, c->shape, NULL);
  } else if (!status) {
    status = write_whole(c);
  }
  if (status || !strcmp(c->to.path, "-")) return status;
  if (given(c->a, OPTION_json)) {
    json_open('{');
    json_key("file"), json_text(c->to.path);
    json_key("dtype"), json_text(tv_dtype_name(c->dtype));
    json_key("shape"), json_shape(c->views[0].rank, c->shape);
    json_close('}');
  } else {
    char text[SHAPE_SIZE];
    printf("%s: %s %s\n", safe(c->to.path), tv_dtype_name(c->dtype),
           shape_text(c->views[0].rank, c->shape, text));
  }
  return 0;
}

int run_concat(const arguments *a) {
  concatenation c = {.a = a, .n = a->n_files - 1};
  int64_t axis;
  if (!target_choose(&c.to, a->files[0], a)) return EXIT_USAGE;
  if (!option_int(a, OPTION_axis, -TV_MAX_RANK, TV_MAX_RANK - 1, 0, &axis)) return EXIT_USAGE;
  c.sources = need((size_t)c.n * sizeof *c.sources);
  c.views = need((size_t)c.n * sizeof *c.views);
  for (int i = 0; i < c.n; i++) c.sources[i].stream = -1;
  const int status = concat(&c, axis);
  for (int i = 0; i < c.n; i++) source_close(&c.sources[i]);
  free(c.views);
  free(c.sources);
  return status;
}
