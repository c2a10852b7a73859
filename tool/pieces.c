/* SPDX-License-Identifier: MIT
 * Writing piece by piece: the library's appending writer makes a file beside the old one. It is
 * synced once, at the end, before it takes the old one's place. */
#include "pieces.h"

#include <errno.h>
#include <string.h>

#include "failure.h"
#include "progress.h"
#include "replacement.h"
#include "rows.h"

bool pieces_fit(const target *t, int rank, const int64_t *shape) {
  if (t->format != FORMAT_NPY || t->is_big_endian || rank == 0) return false;
  if (t->order == TV_NPY_ORDER_FORTRAN || !strcmp(t->path, "-")) return false;
  for (int k = 1; k < rank; k++) {
    if (shape[k] == 0) return false;
  }
  return is_replaceable(t->path);
}

typedef struct {
  tv_npy_writer *writer;
  tv_dtype dtype;
  unsigned refuse;
  tv_cast_report *report;
  int64_t done, total; /* elements */
} writing;

/* Add what was lost in a piece that begins at element `first` of the whole. */
static void add_report(tv_cast_report *all, const tv_cast_report *piece, int64_t first) {
  if (all->first < 0 && piece->first >= 0) all->first = first + piece->first;
  all->n_overflow += piece->n_overflow;
  all->n_inexact += piece->n_inexact;
  all->n_nan_to_integer += piece->n_nan_to_integer;
}

static tv_tensor *converted(const writing *w, tv_tensor *piece) {
  if (!w->report) return tv_astype(piece, w->dtype);
  tv_cast_report report = TV_CAST_REPORT;
  tv_tensor *y = tv_cast_checked(piece, w->dtype, w->refuse, &report);
  add_report(w->report, &report, w->done);
  return y;
}

/* False after a failure, or a signal. */
static bool append(writing *w, view *v) {
  rows r;
  rows_begin_view(&r, v, PART_NONE, false);
  while (r.at < r.n) {
    if (!progress_told(NULL, w->done, w->total)) return false;
    tv_scope scope;
    tv_scope_begin(&scope);
    const int64_t from = r.at;
    tv_npy_writer_append(w->writer, converted(w, rows_next(&r, TV_DTYPE_NONE)));
    w->done += (r.at - from) * r.row;
    if (tv_scope_end(&scope, NULL)) return false;
  }
  return !tv_error();
}

static bool write_all(writing *w, const char *path, int n, view *views, const int64_t *shape,
                      bool is_durable) {
  tv_npy_writer_options options = TV_NPY_WRITER_OPTIONS;
  options.start = TV_NPY_CREATE;
  options.durable = false;
  w->writer = tv_npy_writer_open(path, w->dtype, views[0].rank - 1, shape + 1, &options);
  bool goes_on = w->writer;
  for (int i = 0; goes_on && i < n; i++) goes_on = append(w, &views[i]);
  if (goes_on && is_durable) goes_on = !tv_npy_writer_sync(w->writer);
  goes_on = !tv_npy_writer_close(w->writer) && goes_on;
  progress_end();
  return goes_on;
}

int pieces_save(const target *t, const arguments *a, const char *label, int n, view *views,
                tv_dtype dtype, const int64_t *shape, unsigned refuse, tv_cast_report *report) {
  const bool is_durable = !given(a, OPTION_no_sync);
  writing w = {.dtype = dtype, .refuse = refuse, .report = report, .total = 1};
  for (int k = 0; k < views[0].rank; k++) w.total *= shape[k] ? shape[k] : 1;
  replacement r = replacement_begin(t->path);
  if (!write_all(&w, r.beside, n, views, shape, is_durable)) {
    replacement_end(&r, false, false);
    return library_trouble(label);
  }
  if (replacement_end(&r, true, is_durable)) return 0;
  return trouble("%s: %s", safe(t->path), strerror(errno));
}
