/* SPDX-License-Identifier: MIT
 * Arrays in pieces of rows: a piece has about a million elements, so that it fits into a
 * processor's cache of the last level as float64, and the pages behind it may go. */
#include "rows.h"

#include "element.h"
#include "failure.h"
#include "progress.h"

enum { PIECE = 1 << 20 };

static void set_rows(rows *r, int64_t n, int64_t row) {
  r->n = row > 0 ? n : 0;
  r->row = row;
  r->step = row > 0 && row < PIECE ? PIECE / row : 1;
}

void rows_begin(rows *r, tv_tensor *x, part p) {
  if (tv_tensor_rank(x) == 0) x = tv_reshape(x, TV_SHAPE(1));
  const int64_t n = x ? tv_tensor_shape(x)[0] : 0;
  *r = (rows){.x = x, .part = p, .dtype = tv_tensor_dtype(x)};
  set_rows(r, n, n ? tv_tensor_size(x) / n : 0);
}

/* The elements of x along one axis, in the order in which they lie, if they lie without gaps; else
 * x. */
static tv_tensor *in_one_row(tv_tensor *x) {
  if (tv_tensor_is_contiguous(x)) return tv_reshape(x, TV_SHAPE(-1));
  int64_t axes[TV_MAX_RANK];
  const int rank = tv_tensor_rank(x);
  for (int k = 0; k < rank; k++) axes[k] = rank - 1 - k;
  tv_tensor *y = tv_permute_dims(x, rank, axes);
  return tv_tensor_is_contiguous(y) ? tv_reshape(y, TV_SHAPE(-1)) : x;
}

void rows_begin_view(rows *r, view *v, part p, bool any_order) {
  /* Rows of a Fortran file would each be all over it; its last axis is the slow one. */
  if (!v->x && v->is_fortran && !any_order) view_whole(v);
  if (v->x) {
    rows_begin(r, any_order ? in_one_row(v->x) : v->x, p);
    return;
  }
  *r = (rows){.v = v, .part = p, .dtype = v->dtype, .axis = v->is_fortran ? v->rank - 1 : 0};
  const int64_t n = v->rank ? v->shape[r->axis] : 0;
  set_rows(r, n, n ? view_size(v) / n : 0);
}

tv_tensor *rows_next(rows *r, tv_dtype dtype) {
  if (r->at >= r->n) return NULL;
  const int64_t left = r->n - r->at, n = left < r->step ? left : r->step;
  const tv_index piece[] = {TV_RANGE(r->at, r->at + n, 1)};
  tv_tensor *y = r->v ? view_piece(r->v, r->axis, r->at, r->at + n) : tv_slice_with(r->x, 1, piece);
  r->at += n;
  if (r->part == PART_ABS) y = tv_abs(y);
  if (r->part == PART_REAL) y = tv_real(y);
  if (r->part == PART_IMAG) y = tv_imag(y);
  return dtype == TV_DTYPE_NONE ? y : tv_astype(y, dtype);
}

bool rows_each(rows *r, tv_dtype dtype,
               void (*take)(void *user, const void *elements, int64_t n_rows), void *user) {
  const int64_t row_bytes = r->row * tv_dtype_size(r->dtype);
  while (r->at < r->n) {
    if (!progress_told(NULL, r->at * row_bytes, r->n * row_bytes)) return false;
    tv_scope scope;
    tv_scope_begin(&scope);
    const int64_t from = r->at;
    const void *elements = host_data(rows_next(r, dtype));
    if (elements) take(user, elements, r->at - from);
    if (tv_scope_end(&scope, NULL)) return false;
  }
  progress_end();
  r->at = 0;
  return !tv_error();
}

int part_wanted(const arguments *a, tv_dtype dtype, const char *label) {
  static const char *const words[] = {"", "abs", "real", "imag", NULL};
  const int p = option_word(a, OPTION_part, words);
  if (p < 0) return -1;
  if (tv_dtype_kind(dtype) == 'c') {
    if (p > 0) return p;
    usage("%s: elements are complex; --part says of what: abs, real or imag", safe(label));
    return -1;
  }
  return p == PART_ABS ? PART_ABS : PART_NONE;
}
