/* SPDX-License-Identifier: MIT
 * tensorvar diff: whether two files hold the same, up to a tolerance: numpy.allclose, element by
 * element, with the worst of those that differ.
 *
 * a and b are close where |a - b| <= atol + rtol |b|; equal infinities are, and NaN with NaN if
 * that is asked for. The tolerance is that of integers and bool too, but their distance is that of
 * integers: no last digit of large ones is lost, even between int64 and uint64. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "element.h"
#include "failure.h"
#include "json.h"
#include "number.h"
#include "progress.h"
#include "rows.h"
#include "run.h"
#include "source.h"

/* What two arrays differ in. */
typedef struct {
  double rtol, atol;
  bool equal_nan;
  int64_t n, n_different;
  int64_t worst; /* position of the largest distance among those that differ; -1: none differ */
  double distance, relative; /* there; NaN ranks above all */
  double most;               /* the largest distance of all elements that are numbers */
} comparison;

/* Comparing ---------------------------------------------------------------------------------- */

static void differ(comparison *c, int64_t position, double distance, double size) {
  c->n_different++;
  const bool is_worse =
      c->worst < 0 || (!isnan(c->distance) && (isnan(distance) || distance > c->distance));
  if (!is_worse) return;
  c->worst = position;
  c->distance = distance;
  c->relative = distance / size;
}

static void compare_reals(comparison *c, int64_t first, const double *a, const double *b,
                          int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    const double distance = fabs(a[i] - b[i]), size = fabs(b[i]);
    if (a[i] == b[i] || (c->equal_nan && isnan(a[i]) && isnan(b[i]))) continue;
    if (distance > c->most) c->most = distance;
    /* An infinite b allows nothing but itself. */
    if (isfinite(size) && distance <= c->atol + c->rtol * size) continue;
    differ(c, first + i, distance, size);
  }
}

static void compare_complex(comparison *c, int64_t first, const double *a, const double *b,
                            int64_t n) {
  for (int64_t i = 0; i < 2 * n; i += 2) {
    const bool a_is_nan = isnan(a[i]) || isnan(a[i + 1]), b_is_nan = isnan(b[i]) || isnan(b[i + 1]);
    if (a[i] == b[i] && a[i + 1] == b[i + 1]) continue;
    if (c->equal_nan && a_is_nan && b_is_nan) continue;
    const double distance =
        a_is_nan || b_is_nan ? (double)NAN : hypot(a[i] - b[i], a[i + 1] - b[i + 1]);
    const double size = hypot(b[i], b[i + 1]);
    if (distance > c->most) c->most = distance;
    if (isfinite(size) && distance <= c->atol + c->rtol * size) continue;
    differ(c, first + i / 2, distance, size);
  }
}

/* Distances up to 2^64 - 1 fit into uint64, and are rounded once. */
#define COMPARE_INTEGERS(name, type)                                                        \
  static void name(comparison *c, int64_t first, const type *a, const type *b, int64_t n) { \
    for (int64_t i = 0; i < n; i++) {                                                       \
      if (a[i] == b[i]) continue;                                                           \
      const double distance = (double)(a[i] > b[i] ? (uint64_t)a[i] - (uint64_t)b[i]        \
                                                   : (uint64_t)b[i] - (uint64_t)a[i]);      \
      const double size = fabs((double)b[i]);                                               \
      if (distance > c->most) c->most = distance;                                           \
      if (!(distance <= c->atol + c->rtol * size)) differ(c, first + i, distance, size);    \
    }                                                                                       \
  }
COMPARE_INTEGERS(compare_integers, int64_t)
COMPARE_INTEGERS(compare_naturals, uint64_t)

/* x + y, rounded once. */
static double sum_of(uint64_t x, uint64_t y) {
  const uint64_t sum = x + y;
  if (sum >= x) return (double)sum;
  /* Of 65 bits the last is below those that a double keeps: it matters only whether it is set. */
  return 2 * (double)((UINT64_C(1) << 63) | sum >> 1 | (sum & 1));
}

/* By sign, for no integer dtype has both; `swapped`: the second file's elements are in a. */
static void compare_mixed(comparison *c, int64_t first, const int64_t *a, const uint64_t *b,
                          int64_t n, bool swapped) {
  for (int64_t i = 0; i < n; i++) {
    const bool is_negative = a[i] < 0;
    const uint64_t x = is_negative ? -(uint64_t)a[i] : (uint64_t)a[i], y = b[i];
    if (!is_negative && x == y) continue;
    const double distance = is_negative ? sum_of(x, y) : (double)(x > y ? x - y : y - x);
    const double size = (double)(swapped ? x : y);
    if (distance > c->most) c->most = distance;
    if (!(distance <= c->atol + c->rtol * size)) differ(c, first + i, distance, size);
  }
}

/* What elements of both files are compared as. */
typedef struct {
  tv_dtype a, b;
} wide_pair;

static void compare_piece(comparison *c, int64_t first, wide_pair wide, const void *a,
                          const void *b, int64_t n) {
  if (wide.a != wide.b) {
    const bool swapped = wide.a == TV_U64;
    compare_mixed(c, first, swapped ? b : a, swapped ? a : b, n, swapped);
    return;
  }
  if (wide.a == TV_I64) compare_integers(c, first, a, b, n);
  if (wide.a == TV_U64) compare_naturals(c, first, a, b, n);
  if (wide.a == TV_F64) compare_reals(c, first, a, b, n);
  if (wide.a == TV_C128) compare_complex(c, first, a, b, n);
}

static bool is_integer(tv_dtype d) { return strchr("biu", tv_dtype_kind(d)) != NULL; }

/* Integers as they are, each in 64 bits. An integer beside a float becomes one, as in NumPy. */
static wide_pair common(tv_dtype a, tv_dtype b) {
  switch (tv_dtype_kind(tv_promote_types(a, b))) {
    case 'b':
    case 'i':
      return (wide_pair){TV_I64, TV_I64};
    case 'u':
      return (wide_pair){TV_U64, TV_U64};
    case 'c':
      return (wide_pair){TV_C128, TV_C128};
    default:
      break;
  }
  if (!is_integer(a) || !is_integer(b)) return (wide_pair){TV_F64, TV_F64};
  return tv_dtype_kind(a) == 'u' ? (wide_pair){TV_U64, TV_I64} : (wide_pair){TV_I64, TV_U64};
}

static bool is_same_shape(const view *a, const view *b) {
  return a->rank == b->rank && !memcmp(a->shape, b->shape, (size_t)a->rank * sizeof(int64_t));
}

/* False after a failure, or a signal. */
static bool compare(comparison *c, view *a, view *b) {
  const wide_pair wide = common(a->dtype, b->dtype);
  const int64_t bytes = view_size(a) * (tv_dtype_size(a->dtype) + tv_dtype_size(b->dtype));
  /* Both one element a row, in C order, or both rows of the first axis. */
  const bool is_plain =
      a->x && b->x && tv_tensor_is_contiguous(a->x) && tv_tensor_is_contiguous(b->x);
  rows x, y;
  rows_begin_view(&x, a, PART_NONE, is_plain);
  rows_begin_view(&y, b, PART_NONE, is_plain);
  c->n = view_size(a);
  while (x.at < x.n) {
    const int64_t from = x.at;
    if (!progress_told(NULL, bytes / x.n * from, bytes / x.n * x.n)) return false;
    tv_scope scope;
    tv_scope_begin(&scope);
    const void *p = host_data(rows_next(&x, wide.a)), *q = host_data(rows_next(&y, wide.b));
    if (p && q) compare_piece(c, from * x.row, wide, p, q, (x.at - from) * x.row);
    if (tv_scope_end(&scope, NULL)) return false;
  }
  progress_end();
  return !tv_error();
}

/* Telling ------------------------------------------------------------------------------------ */

typedef struct {
  const char *name; /* NULL for arrays without one */
  view a, b;
  comparison c;
  bool same_shape, same_dtype;
} pair;

static void json_side(const char *key, const view *v) {
  json_key(key), json_open('{');
  json_key("dtype"), json_text(tv_dtype_name(v->dtype));
  json_key("shape"), json_shape(v->rank, v->shape);
  json_close('}');
}

static void json_pair(const pair *p, bool is_equal) {
  json_open('{');
  json_key("name"), json_text(p->name);
  json_key("equal"), json_bool(is_equal);
  json_side("a", &p->a);
  json_side("b", &p->b);
  if (p->same_shape) {
    json_key("count"), json_int(p->c.n);
    json_key("different"), json_int(p->c.n_different);
    json_key("largest_distance"), json_real(p->c.most, false);
    if (p->c.worst >= 0) {
      int64_t index[TV_MAX_RANK];
      index_of(p->c.worst, p->a.rank, p->a.shape, index);
      const void *x = host_data(view_element(&p->a, index));
      const void *y = host_data(view_element(&p->b, index));
      json_key("worst"), json_open('{');
      json_key("index"), json_shape(p->a.rank, index);
      if (x && y) {
        json_key("a"), json_element(x, p->a.dtype, 0);
        json_key("b"), json_element(y, p->b.dtype, 0);
      }
      json_key("absolute"), json_real(p->c.distance, false);
      json_key("relative"), json_real(p->c.relative, false);
      json_close('}');
    }
  }
  json_close('}');
}

static void print_pair(const pair *p) {
  char text[SHAPE_SIZE], other[SHAPE_SIZE], x_text[ELEMENT_SIZE], y_text[ELEMENT_SIZE];
  char absolute[NUMBER_SIZE], relative[NUMBER_SIZE], lead[256] = "";
  if (p->name) snprintf(lead, sizeof lead, "%.250s: ", safe(p->name));
  if (!p->same_dtype) {
    printf("%sdtypes are %s and %s\n", lead, tv_dtype_name(p->a.dtype), tv_dtype_name(p->b.dtype));
  }
  if (!p->same_shape) {
    printf("%sshapes are %s and %s\n", lead, shape_text(p->a.rank, p->a.shape, text),
           shape_text(p->b.rank, p->b.shape, other));
    return;
  }
  if (p->c.worst < 0) return;
  int64_t index[TV_MAX_RANK];
  index_of(p->c.worst, p->a.rank, p->a.shape, index);
  const void *x = host_data(view_element(&p->a, index));
  const void *y = host_data(view_element(&p->b, index));
  if (!x || !y) return;
  printf("%s%" PRId64 " of %" PRId64
         " elements differ; worst at %s: %s and %s, absolute %s, relative %s\n",
         lead, p->c.n_different, p->c.n, index_text(p->a.rank, index, text),
         element_text(x, p->a.dtype, 0, x_text), element_text(y, p->b.dtype, 0, y_text),
         number_text(p->c.distance, false, absolute), number_text(p->c.relative, false, relative));
}

static int diff_pair(const source *a, int64_t at_a, const source *b, int64_t at_b,
                     const arguments *args, const comparison *start, const char *name) {
  pair p = {.name = name, .c = *start};
  if (!view_open(&p.a, a, at_a, args)) return library_trouble(a->path);
  if (!view_open(&p.b, b, at_b, args)) return library_trouble(b->path);
  p.same_shape = is_same_shape(&p.a, &p.b);
  p.same_dtype = p.a.dtype == p.b.dtype;
  if (p.same_shape && !compare(&p.c, &p.a, &p.b)) return library_trouble(a->path);
  const bool is_equal =
      p.same_shape && p.c.n_different == 0 && (p.same_dtype || !given(args, OPTION_same_dtype));
  if (given(args, OPTION_json)) {
    json_pair(&p, is_equal);
  } else {
    print_pair(&p);
  }
  if (tv_error()) return library_trouble(a->path);
  return is_equal ? 0 : EXIT_DIFFERENT;
}

/* Files -------------------------------------------------------------------------------------- */

static int worse(int a, int b) { return a > b ? a : b; }

/* Names that one has and the other has not. */
static int diff_missing(const source *a, const source *b, const arguments *args, const char *key) {
  int status = 0;
  if (given(args, OPTION_json)) json_key(key), json_open('[');
  for (int64_t i = 0; i < source_count(a); i++) {
    const char *name = source_name(a, source_at(a, i));
    if (source_find(b, name) >= 0) continue;
    status = EXIT_DIFFERENT;
    if (given(args, OPTION_json)) {
      json_text(name);
    } else {
      printf("%s: only in %s\n", safe(name), safe(a->path));
    }
  }
  if (given(args, OPTION_json)) json_close(']');
  return status;
}

/* Array by array: by name, or the one of each. */
static int diff_sources(const source *a, const source *b, const arguments *args) {
  comparison start = {.worst = -1, .equal_nan = given(args, OPTION_equal_nan)};
  if (!option_real(args, OPTION_rtol, 0, 1e-5, &start.rtol)) return EXIT_USAGE;
  if (!option_real(args, OPTION_atol, 0, 1e-8, &start.atol)) return EXIT_USAGE;
  const bool is_single =
      source_count(a) == 1 && source_count(b) == 1 &&
      (a->format == FORMAT_NPY || b->format == FORMAT_NPY || (a->chosen >= 0 && b->chosen >= 0));
  if (!is_single && (a->format == FORMAT_NPY || b->format == FORMAT_NPY)) {
    const source *many = a->format == FORMAT_NPY ? b : a;
    return usage("%s holds %" PRId64 " arrays; %s:NAME takes one", safe(many->path),
                 source_count(many), safe(many->path));
  }
  const bool is_json = given(args, OPTION_json);
  int status = 0;
  if (is_json) {
    json_open('{');
    json_key("arrays"), json_open('[');
  }
  for (int64_t i = 0; i < source_count(a) && !stop_signal(); i++) {
    const int64_t at = source_at(a, i);
    const char *name = is_single ? NULL : source_name(a, at);
    const int64_t other = is_single ? source_at(b, 0) : source_find(b, name);
    if (other < 0) continue;
    tv_scope scope;
    tv_scope_begin(&scope);
    status = worse(status, diff_pair(a, at, b, other, args, &start, name));
    tv_scope_end(&scope, NULL);
  }
  if (is_json) json_close(']');
  if (!is_single) {
    status = worse(status, diff_missing(a, b, args, "only_in_a"));
    status = worse(status, diff_missing(b, a, args, "only_in_b"));
  }
  if (is_json) {
    json_key("equal"), json_bool(status == 0);
    json_close('}');
  }
  return status;
}

int run_diff(const arguments *a) {
  source x, y;
  int status = source_open(&x, a->files[0], a);
  if (status) return status;
  status = source_open(&y, a->files[1], a);
  if (!status) {
    const bool is_named = given(a, OPTION_name);
    status = is_named && x.format == FORMAT_NPY && y.format == FORMAT_NPY
                 ? source_has_no_names(&x, a->options[OPTION_name])
                 : diff_sources(&x, &y, a);
    source_close(&y);
  }
  source_close(&x);
  return status;
}
