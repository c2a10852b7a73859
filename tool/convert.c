/* SPDX-License-Identifier: MIT
 * tensorvar convert: arrays into another dtype, order, byte order or format, with an account of
 * what the new dtype cannot hold. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "json.h"
#include "number.h"
#include "pieces.h"
#include "progress.h"
#include "run.h"
#include "source.h"
#include "target.h"

/* Options ------------------------------------------------------------------------------------ */

/* NumPy's names, and short ones but i8 and u8, which are other dtypes in NumPy. */
static bool read_dtype(const arguments *a, tv_dtype *dtype) {
  static const char *const letters[] = {"bool", "",    "i16",  "i32", "i64", "",    "u16", "u32",
                                        "u64",  "f16", "bf16", "f32", "f64", "c64", "c128"};
  const char *text = a->options[OPTION_dtype];
  *dtype = TV_DTYPE_NONE;
  if (!text) return true;
  for (int d = 0; d < TV_DTYPE_COUNT; d++) {
    if (strcmp(text, tv_dtype_name((tv_dtype)d)) != 0 && strcmp(text, letters[d]) != 0) continue;
    *dtype = (tv_dtype)d;
    return true;
  }
  if (!strcmp(text, "i8") || !strcmp(text, "u8")) {
    usage("--dtype: %s is one byte to some and eight to NumPy; say %sint8 or %sint64", text,
          text[0] == 'u' ? "u" : "", text[0] == 'u' ? "u" : "");
    return false;
  }
  usage("--dtype: found %s, expected a dtype as in float32 or f32", safe(text));
  return false;
}

static bool read_refusals(const arguments *a, unsigned *refuse) {
  static const struct {
    const char *word;
    unsigned bits;
  } words[] = {{"overflow", TV_REFUSE_OVERFLOW},
               {"inexact", TV_REFUSE_INEXACT},
               {"nan", TV_REFUSE_NAN_TO_INTEGER},
               {"any", TV_REFUSE_ANY_LOSS}};
  *refuse = given(a, OPTION_lossy) ? 0 : TV_REFUSE_OVERFLOW | TV_REFUSE_NAN_TO_INTEGER;
  const char *text = a->options[OPTION_refuse];
  if (!text) return true;
  if (given(a, OPTION_lossy)) {
    usage("--refuse and --lossy exclude each other");
    return false;
  }
  *refuse = 0;
  for (const char *c = text;;) {
    const size_t n = strcspn(c, ",");
    size_t i = 0;
    while (i < 4 && (strlen(words[i].word) != n || strncmp(c, words[i].word, n) != 0)) i++;
    if (i == 4) {
      usage("--refuse: found %s, expected overflow, inexact, nan or any, with commas", safe(text));
      return false;
    }
    *refuse |= words[i].bits;
    if (!c[n]) return true;
    c += n + 1;
  }
}

/* Work --------------------------------------------------------------------------------------- */

/* One array, and what became of it. */
typedef struct {
  const char *name;
  tv_tensor *x;         /* NULL where it was written piece by piece */
  tv_dtype from, dtype; /* before, and after */
  int rank;
  int64_t shape[TV_MAX_RANK];
  tv_cast_report report;
} result;

typedef struct {
  const arguments *a;
  source from;
  target to;
  tv_dtype dtype; /* TV_DTYPE_NONE: that of each array */
  unsigned refuse;
  int64_t n;
  result *results;
} conversion;

static void hint_at_losses(void) {
  fprintf(stderr, "  hint: --lossy converts all the same, and tells what was lost\n");
}

/* In the words that the library has for an array as a whole. */
static int refused(const char *label, const result *r, int64_t n_seen) {
  const tv_cast_report *lost = &r->report;
  trouble("%s: from %s to %s: %" PRId64 " overflow, %" PRId64 " inexact, %" PRId64
          " NaN to integer in the first %" PRId64 " elements; first at %" PRId64,
          safe(label), tv_dtype_name(r->from), tv_dtype_name(r->dtype), lost->n_overflow,
          lost->n_inexact, lost->n_nan_to_integer, n_seen, lost->first);
  hint_at_losses();
  return EXIT_TROUBLE;
}

/* An array that is large goes from file to file, where it lies as it will. */
static bool is_large(const view *v) {
  const bool is_c = v->x ? tv_tensor_is_contiguous(v->x) : !v->is_fortran;
  return is_c && view_size(v) >= 1 << 23;
}

/* Gives -1 if the array has to be loaded, else an exit status. */
static int convert_in_pieces(conversion *c) {
  result *r = &c->results[0];
  view v;
  const int64_t at = source_at(&c->from, 0);
  if (c->to.format != FORMAT_NPY || c->from.stream >= 0) return -1;
  if (!view_open(&v, &c->from, at, c->a)) return library_trouble(c->from.path);
  if (!is_large(&v) || !pieces_fit(&c->to, v.rank, v.shape)) return -1;
  *r = (result){.name = source_name(&c->from, at), .from = v.dtype, .rank = v.rank};
  r->dtype = c->dtype == TV_DTYPE_NONE ? v.dtype : c->dtype;
  memcpy(r->shape, v.shape, sizeof r->shape);
  losses lost = {.refuse = c->refuse, .report = TV_CAST_REPORT};
  const int status =
      pieces_save(&c->to, c->a, 1, &v, r->dtype, v.shape, r->dtype == v.dtype ? NULL : &lost);
  r->report = lost.report;
  return status == EXIT_TROUBLE && lost.is_refused
             ? refused(source_label(&c->from, at), r, lost.n_seen)
             : status;
}

static int convert_one(conversion *c, int64_t i) {
  result *r = &c->results[i];
  const int64_t at = source_at(&c->from, i);
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_npy_layout layout = TV_NPY_LAYOUT;
  tv_npy_options options = source_options(c->a);
  *r = (result){.name = source_name(&c->from, at), .report = TV_CAST_REPORT};
  options.slice = c->a->options[OPTION_slice];
  options.map = TV_NPY_MAP; /* where nothing has to be converted */
  options.layout = &layout;
  options.dtype = c->dtype;
  options.refuse = c->refuse;
  options.report = &r->report;
  r->x = source_read(&c->from, at, &options);
  tv_scope_keep(r->x);
  int status = 0;
  if (r->x) {
    r->from = layout.dtype;
    r->dtype = tv_tensor_dtype(r->x);
    r->rank = tv_tensor_rank(r->x);
    memcpy(r->shape, tv_tensor_shape(r->x), (size_t)r->rank * sizeof *r->shape);
  } else {
    const bool is_refused = tv_error() == TV_EVALUE && r->report.first >= 0;
    status = library_trouble(source_label(&c->from, at));
    if (status == EXIT_TROUBLE && is_refused) hint_at_losses();
  }
  tv_scope_end(&scope, NULL);
  return status;
}

static int convert_all(conversion *c) {
  if (c->to.format == FORMAT_NPY && c->n != 1) {
    return usage("%s holds %" PRId64 " arrays, and a .npy file one; %s:NAME takes one",
                 safe(c->from.path), c->n, safe(c->from.path));
  }
  int status = convert_in_pieces(c);
  if (status >= 0) return status;
  status = 0;
  for (int64_t i = 0; !status && i < c->n; i++) {
    status = convert_one(c, i);
    if (stop_signal()) status = 128 + stop_signal();
  }
  if (status) return status;
  const char **names = need((size_t)c->n * sizeof *names);
  tv_tensor **tensors = need((size_t)c->n * sizeof *tensors);
  for (int64_t i = 0; i < c->n; i++) {
    names[i] = c->results[i].name;
    tensors[i] = c->results[i].x;
  }
  status = target_save(&c->to, c->a, c->n, names, tensors, &c->from);
  free(names);
  free(tensors);
  return status;
}

/* Telling ------------------------------------------------------------------------------------ */

static void json_conversion(const conversion *c) {
  json_open('{');
  json_key("file"), json_text(c->to.path);
  json_key("format"), json_text(format_name(c->to.format));
  json_key("arrays"), json_open('[');
  for (int64_t i = 0; i < c->n; i++) {
    const result *x = &c->results[i];
    const tv_cast_report *r = &x->report;
    json_open('{');
    json_key("name"), json_text(x->name);
    json_key("from"), json_text(tv_dtype_name(x->from));
    json_key("dtype"), json_text(tv_dtype_name(x->dtype));
    json_key("shape"), json_shape(x->rank, x->shape);
    json_key("overflow"), json_int(r->n_overflow);
    json_key("inexact"), json_int(r->n_inexact);
    json_key("nan_to_integer"), json_int(r->n_nan_to_integer);
    if (r->first >= 0) {
      int64_t index[TV_MAX_RANK];
      index_of(r->first, x->rank, x->shape, index);
      json_key("first"), json_shape(x->rank, index);
    }
    json_close('}');
  }
  json_close(']');
  json_close('}');
}

static void print_conversion(const conversion *c) {
  for (int64_t i = 0; i < c->n; i++) {
    char text[SHAPE_SIZE];
    const result *x = &c->results[i];
    const tv_cast_report *r = &x->report;
    const bool is_named = x->name && c->n > 1;
    printf("%s%s%s: ", safe(c->to.path), is_named ? ":" : "", is_named ? safe(x->name) : "");
    if (x->dtype != x->from) printf("%s to ", tv_dtype_name(x->from));
    printf("%s %s", tv_dtype_name(x->dtype), shape_text(x->rank, x->shape, text));
    if (r->n_overflow) printf(", %" PRId64 " overflow", r->n_overflow);
    if (r->n_inexact) printf(", %" PRId64 " inexact", r->n_inexact);
    if (r->n_nan_to_integer) printf(", %" PRId64 " NaN to integer", r->n_nan_to_integer);
    if (r->first >= 0) {
      int64_t index[TV_MAX_RANK];
      index_of(r->first, x->rank, x->shape, index);
      printf(", the first at %s", index_text(x->rank, index, text));
    }
    putchar('\n');
  }
}

int run_convert(const arguments *a) {
  conversion c = {.a = a};
  if (!target_choose(&c.to, a->files[1], a) || !read_dtype(a, &c.dtype) ||
      !read_refusals(a, &c.refuse)) {
    return EXIT_USAGE;
  }
  int status = source_open(&c.from, a->files[0], a);
  if (status) return status;
  c.n = source_count(&c.from);
  c.results = need((size_t)c.n * sizeof *c.results);
  status = convert_all(&c);
  if (!status && given(a, OPTION_json)) json_conversion(&c);
  if (!status && !given(a, OPTION_json) && strcmp(c.to.path, "-") != 0) print_conversion(&c);
  free(c.results);
  source_close(&c.from);
  return status;
}
