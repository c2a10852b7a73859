/* SPDX-License-Identifier: MIT
 * tensorvar stats: counts, extremes, mean, spread and quantiles, of all elements or along an axis.
 * The array is read in pieces of rows: once, and for quantiles a few times more. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "json.h"
#include "moments.h"
#include "number.h"
#include "quantiles.h"
#include "rows.h"
#include "run.h"
#include "view.h"

typedef struct {
  moments *columns; /* n of them; one of all elements */
  int64_t n, ddof;
  int64_t row; /* elements */
  char kind;   /* of moments_add */
  tv_dtype dtype;
  int n_quantiles;
  double at[MOST_QUANTILES];
  quantile values[MOST_QUANTILES];
} summary;

static void take(void *user, const void *elements, int64_t n_rows) {
  const summary *s = user;
  if (s->n == 1) {
    moments_add(s->columns, s->kind, elements, n_rows * s->row, 1);
    return;
  }
  for (int64_t k = 0; k < s->n; k++) { /* numbers of all kinds are eight bytes */
    moments_add(s->columns + k, s->kind, (const char *)elements + 8 * k, n_rows, s->n);
  }
}

static bool read_quantiles(const arguments *a, summary *s) {
  const char *text = given(a, OPTION_quantiles) ? a->options[OPTION_quantiles] : "0.25,0.5,0.75";
  if (!strcmp(text, "none")) return true;
  for (const char *c = text;; c++) {
    char *end;
    const double q = strtod(c, &end);
    if (end == c || !(q >= 0 && q <= 1) || (*end && *end != ',') ||
        s->n_quantiles == MOST_QUANTILES) {
      usage("--quantiles: found %s, expected at most %d numbers from 0 to 1 with commas, or none",
            safe(text), MOST_QUANTILES);
      return false;
    }
    s->at[s->n_quantiles++] = q;
    c = end;
    if (!*c) return true;
  }
}

static bool read_summary(const arguments *a, summary *s, int64_t *axis) {
  *s = (summary){.n = 1};
  if (!option_int(a, OPTION_ddof, 0, INT64_MAX, 0, &s->ddof) ||
      !option_int(a, OPTION_axis, -TV_MAX_RANK, TV_MAX_RANK - 1, 0, axis) ||
      !read_quantiles(a, s)) {
    return false;
  }
  if (!given(a, OPTION_axis)) return true;
  if (given(a, OPTION_quantiles) && s->n_quantiles) {
    usage("--quantiles are of all elements, and --axis asks for columns, which have none");
    return false;
  }
  s->n_quantiles = 0;
  return true;
}

/* Output ------------------------------------------------------------------------------------- */

static const char *least_text(const summary *s, const moments *m, char text[NUMBER_SIZE]) {
  if (s->kind == 'i') snprintf(text, NUMBER_SIZE, "%" PRId64, m->least_i);
  if (s->kind == 'u') snprintf(text, NUMBER_SIZE, "%" PRIu64, m->least_u);
  if (moments_count(m) == 0) snprintf(text, NUMBER_SIZE, "nan");
  if (s->kind == 'f' && moments_count(m)) number_text(m->least, s->dtype != TV_F64, text);
  return text;
}

static const char *most_text(const summary *s, const moments *m, char text[NUMBER_SIZE]) {
  if (s->kind == 'i') snprintf(text, NUMBER_SIZE, "%" PRId64, m->most_i);
  if (s->kind == 'u') snprintf(text, NUMBER_SIZE, "%" PRIu64, m->most_u);
  if (moments_count(m) == 0) snprintf(text, NUMBER_SIZE, "nan");
  if (s->kind == 'f' && moments_count(m)) number_text(m->most, s->dtype != TV_F64, text);
  return text;
}

static const char *quantile_text(const quantile *q, char text[NUMBER_SIZE]) {
  if (q->kind == 'i') snprintf(text, NUMBER_SIZE, "%" PRId64, q->i);
  if (q->kind == 'u') snprintf(text, NUMBER_SIZE, "%" PRIu64, q->u);
  return q->kind == 'f' ? number_text(q->value, false, text) : text;
}

static void print_all(const summary *s) {
  const moments *m = s->columns;
  char text[NUMBER_SIZE];
  printf("  count  %" PRId64 "\n", moments_count(m) + m->n_nan);
  if (s->kind == 'f') {
    printf("  NaN    %" PRId64 "\n", m->n_nan);
    printf("  inf    %" PRId64 "\n  -inf   %" PRId64 "\n", m->n_above, m->n_below);
  }
  printf("  zeros  %" PRId64 "\n", m->n_zero);
  printf("  min    %s\n", least_text(s, m, text));
  printf("  max    %s\n", most_text(s, m, text));
  printf("  mean   %s\n", number_text(moments_mean(m), false, text));
  printf("  std    %s\n", number_text(moments_deviation(m, s->ddof), false, text));
  for (int i = 0; i < s->n_quantiles; i++) {
    char percent[NUMBER_SIZE];
    snprintf(percent, sizeof percent, "%.4g%%", 100 * s->at[i]);
    printf("  %-6s %s\n", percent, quantile_text(&s->values[i], text));
  }
}

/* A line for each column, with its index. */
static void print_columns(const summary *s, int rank, const int64_t *shape) {
  char index[SHAPE_SIZE], least[NUMBER_SIZE], most[NUMBER_SIZE];
  printf("  %-12s %10s %8s %10s %14s %14s %14s %14s\n", "", "count", "NaN", "zeros", "min", "max",
         "mean", "std");
  for (int64_t k = 0; k < s->n; k++) {
    const moments *m = s->columns + k;
    int64_t at[TV_MAX_RANK];
    index_of(k, rank, shape, at);
    printf("  %-12s %10" PRId64 " %8" PRId64 " %10" PRId64 " %14s %14s %14.8g %14.8g\n",
           index_text(rank, at, index), moments_count(m) + m->n_nan, m->n_nan, m->n_zero,
           least_text(s, m, least), most_text(s, m, most), moments_mean(m),
           moments_deviation(m, s->ddof));
  }
}

static void json_count(void *user, int64_t i) {
  const moments *m = ((const summary *)user)->columns + i;
  json_int(moments_count(m) + m->n_nan);
}
static void json_nan(void *user, int64_t i) { json_int(((const summary *)user)->columns[i].n_nan); }
static void json_above(void *user, int64_t i) {
  json_int(((const summary *)user)->columns[i].n_above);
}
static void json_below(void *user, int64_t i) {
  json_int(((const summary *)user)->columns[i].n_below);
}
static void json_zeros(void *user, int64_t i) {
  json_int(((const summary *)user)->columns[i].n_zero);
}

static void json_extreme(const summary *s, int64_t i, bool is_most) {
  const moments *m = s->columns + i;
  if (moments_count(m) == 0) {
    json_real((double)NAN, false);
  } else if (s->kind == 'i') {
    json_int(is_most ? m->most_i : m->least_i);
  } else if (s->kind == 'u') {
    json_uint(is_most ? m->most_u : m->least_u);
  } else {
    json_real(is_most ? m->most : m->least, s->dtype != TV_F64);
  }
}
static void json_least(void *user, int64_t i) { json_extreme(user, i, false); }
static void json_most(void *user, int64_t i) { json_extreme(user, i, true); }

static void json_mean(void *user, int64_t i) {
  json_real(moments_mean(((const summary *)user)->columns + i), false);
}
static void json_deviation(void *user, int64_t i) {
  const summary *s = user;
  json_real(moments_deviation(s->columns + i, s->ddof), false);
}

static void json_quantile(const quantile *q) {
  if (q->kind == 'i') json_int(q->i);
  if (q->kind == 'u') json_uint(q->u);
  if (q->kind == 'f') json_real(q->value, false);
}

static void json_summary(summary *s, int rank, const int64_t *shape) {
  static const struct {
    const char *key;
    void (*put)(void *, int64_t);
  } figures[] = {{"count", json_count},   {"nan", json_nan},     {"inf", json_above},
                 {"neg_inf", json_below}, {"zeros", json_zeros}, {"min", json_least},
                 {"max", json_most},      {"mean", json_mean},   {"std", json_deviation}};
  for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
    json_key(figures[i].key);
    json_lists(rank, shape, figures[i].put, s);
  }
  if (!s->n_quantiles) return;
  json_key("quantiles"), json_open('[');
  for (int i = 0; i < s->n_quantiles; i++) {
    json_open('{');
    json_key("at"), json_real(s->at[i], false);
    json_key("value"), json_quantile(&s->values[i]);
    json_close('}');
  }
  json_close(']');
}

/* Work --------------------------------------------------------------------------------------- */

/* x with `axis` in front; NULL after a failure. */
static tv_tensor *axis_first(tv_tensor *x, int64_t axis) {
  const int rank = tv_tensor_rank(x);
  int64_t axes[TV_MAX_RANK];
  int n = 0;
  axes[n++] = axis;
  for (int64_t k = 0; k < rank; k++) {
    if (k != axis) axes[n++] = k;
  }
  return tv_permute_dims(x, n, axes);
}

static int summarise(summary *s, rows *r, const char *path) {
  const char kind = r->part ? 'f' : tv_dtype_kind(s->dtype);
  s->kind = kind == 'u' ? 'u' : kind == 'f' ? 'f' : 'i';
  s->row = r->row;
  s->columns = need((size_t)s->n * sizeof *s->columns);
  for (int64_t k = 0; k < s->n; k++) s->columns[k] = MOMENTS;
  const tv_dtype wide = s->kind == 'u' ? TV_U64 : s->kind == 'i' ? TV_I64 : TV_F64;
  if (!rows_each(r, wide, take, s)) return library_trouble(path);
  if (s->n_quantiles &&
      !quantiles(r, s->kind, moments_count(s->columns), s->n_quantiles, s->at, s->values)) {
    return library_trouble(path);
  }
  return 0;
}

static int stats_one(const source *from, int64_t at, const arguments *a) {
  summary s;
  int64_t axis;
  if (!read_summary(a, &s, &axis)) return EXIT_USAGE;
  view v;
  if (!view_open(&v, from, at, a)) return library_trouble(from->path);
  const int rank = v.rank;
  s.dtype = v.dtype;
  const int p = part_wanted(a, s.dtype, source_label(from, at));
  if (p < 0) return EXIT_USAGE;
  if (p && s.dtype == TV_C128) s.dtype = TV_F64;

  const bool by_column = given(a, OPTION_axis);
  int64_t columns[TV_MAX_RANK];
  int n_axes = 0;
  if (by_column) {
    if (axis < -rank || axis >= rank) {
      return usage("--axis: found %" PRId64 ", but %s has %d axes", axis,
                   safe(source_label(from, at)), rank);
    }
    if (axis < 0) axis += rank;
    for (int k = 0; k < rank; k++) {
      if (k == axis) continue;
      columns[n_axes++] = v.shape[k];
      s.n *= v.shape[k];
    }
  }
  rows r;
  if (by_column && axis > 0) {
    rows_begin(&r, axis_first(view_whole(&v), axis), (part)p);
  } else {
    rows_begin_view(&r, &v, (part)p, !by_column);
  }
  const int status = tv_error() ? library_trouble(from->path) : summarise(&s, &r, from->path);
  if (!status && given(a, OPTION_json)) {
    json_open('{');
    json_key("file"), json_text(from->path);
    if (source_name(from, at)) json_key("name"), json_text(source_name(from, at));
    json_key("dtype"), json_text(tv_dtype_name(v.dtype));
    json_key("shape"), json_shape(rank, v.shape);
    json_summary(&s, n_axes, columns);
    json_close('}');
  } else if (!status) {
    char text[SHAPE_SIZE];
    printf("%s: %s %s\n", safe(source_label(from, at)), tv_dtype_name(v.dtype),
           shape_text(rank, v.shape, text));
    if (by_column) {
      print_columns(&s, n_axes, columns);
    } else {
      print_all(&s);
    }
  }
  free(s.columns);
  return status;
}

int run_stats(const arguments *a) {
  summary s;
  int64_t axis; /* wrong usage is told before any file is opened */
  return read_summary(a, &s, &axis) ? each_array(a, stats_one) : EXIT_USAGE;
}
