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

typedef struct {
  const arguments *a;
  source from;
  target to;
  tv_dtype dtype; /* TV_DTYPE_NONE: that of each array */
  unsigned refuse;
  int64_t n;
  const char **names;
  tv_tensor **tensors;
  tv_dtype *dtypes; /* that they had */
  tv_cast_report *reports;
} conversion;

static int convert_one(conversion *c, int64_t i) {
  const int64_t at = source_at(&c->from, i);
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_npy_layout layout = TV_NPY_LAYOUT;
  tv_npy_options options = source_options(c->a);
  options.slice = c->a->options[OPTION_slice];
  options.map = TV_NPY_MAP; /* where nothing has to be converted */
  options.layout = &layout;
  options.dtype = c->dtype;
  options.refuse = c->refuse;
  options.report = &c->reports[i];
  c->reports[i] = (tv_cast_report)TV_CAST_REPORT;
  tv_tensor *x = source_read(&c->from, at, &options);
  c->names[i] = source_name(&c->from, at);
  c->dtypes[i] = layout.dtype;
  tv_scope_keep(x);
  c->tensors[i] = x;
  int status = 0;
  if (!x) {
    const bool is_refusal = c->reports[i].first >= 0;
    status = library_trouble(source_label(&c->from, at));
    if (is_refusal)
      fprintf(stderr, "  hint: --lossy converts all the same, and tells what was lost\n");
  }
  tv_scope_end(&scope, NULL);
  return status;
}

static int convert_all(conversion *c) {
  if (c->to.format == FORMAT_NPY && c->n != 1) {
    return usage("%s holds %" PRId64 " arrays, and a .npy file one; %s:NAME takes one",
                 safe(c->from.path), c->n, safe(c->from.path));
  }
  for (int64_t i = 0; i < c->n; i++) {
    const int status = convert_one(c, i);
    if (status) return status;
    if (stop_signal()) return 128 + stop_signal();
  }
  return target_save(&c->to, c->a, c->n, c->names, c->tensors, &c->from);
}

/* Telling ------------------------------------------------------------------------------------ */

static void first_lost(const conversion *c, int64_t i, int64_t *index) {
  index_of(c->reports[i].first, tv_tensor_rank(c->tensors[i]), tv_tensor_shape(c->tensors[i]),
           index);
}

static void json_conversion(const conversion *c) {
  json_open('{');
  json_key("file"), json_text(c->to.path);
  json_key("format"), json_text(format_name(c->to.format));
  json_key("arrays"), json_open('[');
  for (int64_t i = 0; i < c->n; i++) {
    const tv_cast_report *r = &c->reports[i];
    const int rank = tv_tensor_rank(c->tensors[i]);
    json_open('{');
    json_key("name"), json_text(c->names[i]);
    json_key("from"), json_text(tv_dtype_name(c->dtypes[i]));
    json_key("dtype"), json_text(tv_dtype_name(tv_tensor_dtype(c->tensors[i])));
    json_key("shape"), json_shape(rank, tv_tensor_shape(c->tensors[i]));
    json_key("overflow"), json_int(r->n_overflow);
    json_key("inexact"), json_int(r->n_inexact);
    json_key("nan_to_integer"), json_int(r->n_nan_to_integer);
    if (r->first >= 0) {
      int64_t index[TV_MAX_RANK];
      first_lost(c, i, index);
      json_key("first"), json_shape(rank, index);
    }
    json_close('}');
  }
  json_close(']');
  json_close('}');
}

static void print_conversion(const conversion *c) {
  for (int64_t i = 0; i < c->n; i++) {
    char text[SHAPE_SIZE];
    const tv_cast_report *r = &c->reports[i];
    const char *name = c->names[i];
    const tv_dtype dtype = tv_tensor_dtype(c->tensors[i]);
    printf("%s%s%s: ", safe(c->to.path), name && c->n > 1 ? ":" : "",
           name && c->n > 1 ? safe(name) : "");
    if (dtype != c->dtypes[i]) printf("%s to ", tv_dtype_name(c->dtypes[i]));
    printf("%s %s", tv_dtype_name(dtype),
           shape_text(tv_tensor_rank(c->tensors[i]), tv_tensor_shape(c->tensors[i]), text));
    if (r->n_overflow) printf(", %" PRId64 " overflow", r->n_overflow);
    if (r->n_inexact) printf(", %" PRId64 " inexact", r->n_inexact);
    if (r->n_nan_to_integer) printf(", %" PRId64 " NaN to integer", r->n_nan_to_integer);
    if (r->first >= 0) {
      int64_t index[TV_MAX_RANK];
      first_lost(c, i, index);
      printf(", the first at %s", index_text(tv_tensor_rank(c->tensors[i]), index, text));
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
  const size_t n = (size_t)c.n;
  c.names = need(n * sizeof *c.names);
  c.tensors = need(n * sizeof *c.tensors);
  c.dtypes = need(n * sizeof *c.dtypes);
  c.reports = need(n * sizeof *c.reports);
  status = convert_all(&c);
  if (!status && given(a, OPTION_json)) json_conversion(&c);
  if (!status && !given(a, OPTION_json) && strcmp(c.to.path, "-") != 0) print_conversion(&c);
  free(c.names);
  free(c.tensors);
  free(c.dtypes);
  free(c.reports);
  source_close(&c.from);
  return status;
}
