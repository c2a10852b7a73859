/* SPDX-License-Identifier: MIT
 * Arrays to look at. A map costs no memory; without one a copy is made, unless it would be large
 * and a piece of the file can be read for itself: of a member of an .npz all is read for every
 * piece, since its checksum is of all, and a stream can be read but once. */
#include "view.h"

#include <string.h>

#include "progress.h"

enum { LARGE = 1 << 26 }; /* bytes: 64 MiB are loaded as they are */

static bool is_quiet_and_going(void *user, int64_t done, int64_t total) {
  (void)user, (void)done, (void)total;
  return !stop_signal();
}

/* Whether to read pieces: no map is possible. */
static bool wants_pieces(const view *v, const tv_npy_layout *layout, const arguments *a) {
  if (layout->bytes < LARGE || layout->rank == 0 || given(a, OPTION_slice)) return false;
  if (v->from->format == FORMAT_NPZ) return false;
  tv_npy_options options = v->options;
  options.require_map = true;
  tv_scope scope;
  tv_scope_begin(&scope);
  source_read(v->from, v->at, &options);
  const bool cannot = tv_error() == TV_EUNSUPPORTED;
  tv_scope_end(&scope, NULL);
  tv_error_clear();
  return cannot;
}

bool view_open(view *v, const source *s, int64_t at, const arguments *a) {
  tv_npy_layout layout = TV_NPY_LAYOUT;
  *v = (view){.from = s, .at = at, .options = source_options(a)};
  v->options.map = TV_NPY_MAP;
  if (s->stream < 0 && source_layout(s, at, &v->options, &layout)) return false;
  if (s->stream < 0 && wants_pieces(v, &layout, a)) {
    v->dtype = layout.dtype;
    v->is_fortran = layout.is_fortran;
    v->rank = layout.rank;
    memcpy(v->shape, layout.shape, sizeof v->shape);
    v->options.progress = is_quiet_and_going; /* who asks for pieces tells the progress */
    return true;
  }
  v->x = source_take(s, at, a);
  if (!v->x) return false;
  v->dtype = tv_tensor_dtype(v->x);
  v->rank = tv_tensor_rank(v->x);
  memcpy(v->shape, tv_tensor_shape(v->x), (size_t)v->rank * sizeof *v->shape);
  return true;
}

int64_t view_size(const view *v) {
  int64_t n = 1;
  for (int k = 0; k < v->rank; k++) n *= v->shape[k];
  return n;
}

tv_tensor *view_whole(view *v) {
  if (!v->x) {
    v->options.progress = progress_told;
    v->x = source_read(v->from, v->at, &v->options);
  }
  return v->x;
}

static tv_tensor *load(const view *v, int n, const tv_index *index) {
  tv_npy_options options = v->options;
  options.n_index = n;
  options.index = index;
  return source_read(v->from, v->at, &options);
}

tv_tensor *view_piece(const view *v, int axis, int64_t from, int64_t to) {
  tv_index terms[TV_MAX_RANK];
  for (int k = 0; k < axis; k++) terms[k] = (tv_index)TV_WHOLE_AXIS;
  terms[axis] = (tv_index)TV_RANGE(from, to, 1);
  return v->x ? tv_slice_with(v->x, axis + 1, terms) : load(v, axis + 1, terms);
}

tv_tensor *view_element(const view *v, const int64_t *index) {
  tv_index terms[TV_MAX_RANK];
  for (int k = 0; k < v->rank; k++) terms[k] = (tv_index)TV_AT(index[k]);
  return v->x ? tv_slice_with(v->x, v->rank, terms) : load(v, v->rank, terms);
}
