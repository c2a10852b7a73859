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
  losses *lost;
  int64_t done, total; /* elements */
  const view *reading; /* whose piece could not be had; NULL where writing failed */
} writing;

/* Add what was lost in a piece that begins at element `first` of the whole. */
static void add_report(tv_cast_report *all, const tv_cast_report *piece, int64_t first) {
  if (all->first < 0 && piece->first >= 0) all->first = first + piece->first;
  all->n_overflow += piece->n_overflow;
  all->n_inexact += piece->n_inexact;
  all->n_nan_to_integer += piece->n_nan_to_integer;
}

/* A piece that begins at element w->done of the whole; NULL after a failure. */
static tv_tensor *converted(const writing *w, tv_tensor *piece) {
  losses *lost = w->lost;
  if (!lost || !piece) return tv_astype(piece, w->dtype);
  tv_cast_report report = TV_CAST_REPORT;
  tv_tensor *y = tv_cast_checked(piece, w->dtype, lost->refuse, &report);
  add_report(&lost->report, &report, w->done);
  lost->n_seen = w->done + tv_tensor_size(piece);
  lost->is_refused = tv_error() == TV_EVALUE && report.first >= 0;
  return y;
}

/* False after a failure, or a signal. */
static bool append(writing *w, view *v) {
  const int64_t element = tv_dtype_size(w->dtype);
  rows r;
  w->reading = v;
  rows_begin_view(&r, v, PART_NONE, false);
  while (r.at < r.n) {
    if (!progress_told(NULL, w->done * element, w->total * element)) return false;
    tv_scope scope;
    tv_scope_begin(&scope);
    const int64_t from = r.at;
    tv_tensor *piece = converted(w, rows_next(&r, TV_DTYPE_NONE));
    if (piece) {
      w->reading = NULL;
      if (!tv_npy_writer_append(w->writer, piece)) w->reading = v;
    }
    w->done += (r.at - from) * r.row;
    if (tv_scope_end(&scope, NULL)) return false;
  }
  if (tv_error()) return false;
  w->reading = NULL;
  return true;
}

/* At a path where an empty file is, which is replaced. */
static bool write_all(writing *w, const char *path, int n, view *views, const int64_t *shape,
                      bool is_durable) {
  tv_npy_writer_options options = TV_NPY_WRITER_OPTIONS;
  options.start = TV_NPY_REPLACE;
  options.durable = false;
  w->writer = tv_npy_writer_open(path, w->dtype, views[0].rank - 1, shape + 1, &options);
  bool goes_on = w->writer;
  for (int i = 0; goes_on && i < n; i++) goes_on = append(w, &views[i]);
  if (goes_on && is_durable) goes_on = !tv_npy_writer_sync(w->writer);
  goes_on = !tv_npy_writer_close(w->writer) && goes_on;
  progress_end();
  return goes_on;
}

static int write_trouble(const writing *w, const char *path, const char *beside) {
  const view *v = w->reading;
  if (v) return library_trouble(source_label(v->from, v->at));
  return library_trouble_beside(path, beside);
}

int pieces_save(const target *t, const arguments *a, int n, view *views, tv_dtype dtype,
                const int64_t *shape, losses *lost) {
  const bool is_durable = !given(a, OPTION_no_sync);
  writing w = {.dtype = dtype, .lost = lost, .total = 1};
  for (int k = 0; k < views[0].rank; k++) w.total *= shape[k] ? shape[k] : 1;
  replacement r;
  if (!replacement_begin(&r, t->path)) {
    return trouble("%s: cannot write: %s", safe(t->path), strerror(errno));
  }
  if (write_all(&w, r.beside, n, views, shape, is_durable)) {
    if (replacement_end(&r, true, is_durable)) return 0;
    return trouble("%s: %s", safe(t->path), strerror(errno));
  }
  const bool is_told_by_caller = lost && lost->is_refused && !stop_signal();
  if (is_told_by_caller) tv_error_clear();
  const int status = is_told_by_caller ? EXIT_TROUBLE : write_trouble(&w, t->path, r.beside);
  replacement_end(&r, false, false);
  return status;
}
