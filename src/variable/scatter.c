/* SPDX-License-Identifier: MIT
 * Writes by index: rows of axis 0 (scatter), what tuples of indices name (scatter_nd), rows of the
 * last batch axis (batch_scatter_update).
 *
 * All come to one form: the value as rows [n, inner], a position 0 <= p < n for each of k updates
 * [k, inner], applied in order of k by rows.c. Positions are checked before anything is written. */
#include <tensorvar/index.h>
#include <tensorvar/ops.h>
#include <tensorvar/shape.h>

#include "guard.h"
#include "index.h"
#include "row_update.h"
#include "scope.h"
#include "status.h"
#include "thread.h"
#include "write.h"

/* The product of some sizes of a shape that is one. */
static int64_t product(int n, const int64_t *sizes) {
  int64_t all = 1;
  for (int k = 0; k < n; k++) all *= sizes[k];
  return all;
}

/* Whether few rows of axis 0 can be updated and constrained aside, then put in place: what may
 * refuse them does so before a byte has changed. */
static bool can_be_aside(const tvi_writing *w) {
  const tv_variable *const v = w->v;
  return w->rows && 2 * w->rows->size <= v->value->shape[0] && tvi_variable_is_alone(v) &&
         tvi_constraint_is_by_row(&v->constraint, v->rank);
}

static bool run_aside(tvi_writing *w, const tvi_row_update *s) {
  tv_variable *const v = w->v;
  tv_tensor *places = NULL, *n_moved = NULL;
  tv_tensor *const once = tvi_row_update_once(w->who, w->rows, &places);
  tv_tensor *const part = once ? tv_take(v->value, once, 0) : NULL;
  if (!part) return false;
  /* Entries of the axes that count as one, in a row of axis 0: their place within it stays. */
  const int64_t each = s->n / v->value->shape[0];
  tv_tensor *at = tv_multiply(places, tv_scalar_int(each));
  if (each > 1) at = tv_add(at, tv_remainder(s->positions, tv_scalar_int(each)));
  tvi_row_update few = *s;
  few.n = each * once->size;
  few.positions = tvi_row_update_ready(w->who, at);
  tv_tensor *const updated = few.positions ? tvi_row_update_apply(&few, part, true) : NULL;
  tv_tensor *const held =
      updated ? tvi_scope_own(tvi_constrained_rows(w->who, &v->constraint, v->name, TVI_WRITE,
                                                   updated, once, &n_moved))
              : NULL;
  if (held && tvi_row_update_set(w->who, v->value, once, held)) {
    tvi_variable_commit(v, v->value, w->who, n_moved);
    return true;
  }
  tv_release(n_moved);
  return false;
}

static bool run(tvi_writing *w, const tvi_row_update *s) {
  const bool is_in_place = tvi_writing_is_in_place(w);
  if (!is_in_place && can_be_aside(w)) return run_aside(w, s);
  tv_tensor *const whole = tvi_row_update_apply(s, w->v->value, is_in_place);
  if (!whole) return false;
  return whole == w->v->value ? tvi_writing_commit_in_place(w) : tvi_writing_commit(w, whole);
}

/* Updates [k, inner] of a value of this shape, or one row of a 0-d value; positions are there. */
static bool scatter(tvi_writing *w, tvi_row_update *s, tv_tensor *updates, int rank,
                    const int64_t *shape) {
  tvi_text left, right;
  const tv_variable *const v = w->v;
  s->is_one_row = updates->rank == 0;
  if (!s->is_one_row && !tvi_same_shape(updates, rank, shape))
    return tvi_fail(TV_ESHAPE, "%s: updates of Variable '%s' have shape %s, not %s", w->who,
                    v->name, tvi_shape_text(&left, updates->rank, updates->shape),
                    tvi_shape_text(&right, rank, shape));
  tv_tensor *x = updates->weak.kind
                     ? tvi_scope_own(tvi_tensor_copy(w->who, updates, v->dtype, v->device))
                     : tv_astype(updates, v->dtype);
  if (!x) return false;
  if (s->positions->size == 0 || s->inner == 0 || s->n == 0) { /* still a write */
    return tvi_writing_is_in_place(w) ? tvi_writing_commit_in_place(w)
                                      : tvi_writing_commit(w, v->value);
  }
  x = s->is_one_row ? tv_broadcast_to(x, TV_SHAPE(s->inner))
                    : tv_reshape(x, TV_SHAPE(s->positions->size, s->inner));
  s->updates = tvi_row_update_ready(w->who, x);
  s->positions = tvi_row_update_ready(w->who, tv_reshape(s->positions, TV_SHAPE(-1)));
  return s->updates && s->positions && run(w, s);
}

/* Positions by axis: [indices...] and the axes behind it make the shape of the updates. */
static bool expects(const tvi_writing *w, int n_indices, const int64_t *indices, int n_axes,
                    int64_t *shape, int *rank) {
  const tv_variable *const v = w->v;
  *rank = n_indices + v->rank - n_axes;
  if (*rank > TV_MAX_RANK)
    return tvi_fail(TV_ESHAPE, "%s: updates of %d axes: 0 to %d are possible", w->who, *rank,
                    TV_MAX_RANK);
  for (int k = 0; k < n_indices; k++) shape[k] = indices[k];
  for (int k = n_axes; k < v->rank; k++) shape[n_indices + k - n_axes] = v->value->shape[k];
  return true;
}

static bool scatter_rows(tvi_writing *w, tv_update how, tv_tensor *indices, tv_tensor *updates) {
  const tv_variable *const v = w->v;
  int64_t shape[TV_MAX_RANK];
  int rank;
  if (!tvi_writing_takes(w, updates) || !tvi_writing_updates(w, how)) return false;
  if (v->rank == 0)
    return tvi_fail(TV_ESHAPE, "%s: Variable '%s' is 0-d and has no rows", w->who, v->name);
  if (!expects(w, indices->rank, indices->shape, 1, shape, &rank)) return false;
  tvi_row_update s = {.who = w->who,
                      .how = how,
                      .n = v->value->shape[0],
                      .inner = product(v->rank - 1, v->value->shape + 1),
                      .positions = tvi_scope_own(tvi_positions(w->who, "index", indices, v->device,
                                                               v->value->shape[0], true))};
  w->rows = s.positions;
  return s.positions && scatter(w, &s, updates, rank, shape);
}

static bool scatter_nd(tvi_writing *w, tv_update how, tv_tensor *indices, tv_tensor *updates) {
  const tv_variable *const v = w->v;
  int64_t shape[TV_MAX_RANK];
  int rank, n_axes;
  if (!tvi_writing_takes(w, updates) || !tvi_writing_updates(w, how)) return false;
  tv_tensor *const positions =
      tvi_nd_positions(w->who, indices, v->device, v->rank, v->value->shape, &n_axes, &w->rows);
  if (!positions || !expects(w, indices->rank - 1, indices->shape, n_axes, shape, &rank))
    return false;
  tvi_row_update s = {.who = w->who,
                      .how = how,
                      .n = product(n_axes, v->value->shape),
                      .inner = product(v->rank - n_axes, v->value->shape + n_axes),
                      .positions = positions};
  return scatter(w, &s, updates, rank, shape);
}

/* indices [b..., k] into axis `batch` of a value that begins with [b...]. */
static bool scatter_batch(tvi_writing *w, tv_tensor *indices, tv_tensor *updates) {
  const tv_variable *const v = w->v;
  int64_t shape[TV_MAX_RANK];
  int rank;
  const int batch = indices->rank - 1;
  if (!tvi_writing_takes(w, updates)) return false;
  bool fits = batch >= 0 && batch < v->rank;
  for (int k = 0; fits && k < batch; k++) fits = indices->shape[k] == v->value->shape[k];
  if (!fits) return tvi_writing_misfit(w, "batch axes of the indices are not those of", indices);
  if (!expects(w, indices->rank, indices->shape, batch + 1, shape, &rank)) return false;
  const int64_t size = v->value->shape[batch], batches = product(batch, v->value->shape);
  tv_tensor *const within =
      tvi_scope_own(tvi_positions(w->who, "index", indices, v->device, size, true));
  if (!within) return false;
  const tv_device current = tvi_self.device;
  tvi_self.device = v->device; /* where the range is made */
  tv_tensor *const first = tv_arange_int(TV_I64, 0, batches, 1);
  tvi_self.device = current;
  tv_tensor *const offsets =
      first ? tv_multiply(tv_reshape(first, TV_SHAPE(-1, 1)), tv_scalar_int(size)) : NULL;
  tvi_row_update s = {
      .who = w->who,
      .how = TV_SET,
      .n = batches * size,
      .inner = product(v->rank - batch - 1, v->value->shape + batch + 1),
      .positions = tv_add(tv_reshape(within, TV_SHAPE(batches, indices->shape[batch])), offsets)};
  return s.positions && scatter(w, &s, updates, rank, shape);
}

static tv_status begin(tvi_writing *w, const char *who, tv_variable *variable, tv_tensor **indices,
                       tv_tensor **updates) {
  *w = (tvi_writing){.who = who};
  if (!variable || !*indices || !*updates) {
    const tv_status status = tvi_null_status(who, !variable   ? "variable"
                                                  : !*indices ? "indices"
                                                              : "updates");
    return status ? status : TV_EVALUE;
  }
  const tv_status status = tvi_writing_begin(w, who, variable);
  if (status) return status;
  *indices = tvi_unguarded(who, *indices);
  *updates = tvi_unguarded(who, *updates);
  return *indices && *updates ? TV_OK : tvi_writing_end(w, false);
}

tv_status tv_variable_scatter(tv_variable *variable, tv_update how, tv_tensor *indices,
                              tv_tensor *updates) {
  static const tvi_verbs verbs = {"variable_scatter_update", "variable_scatter_add",
                                  "variable_scatter_sub",    "variable_scatter_mul",
                                  "variable_scatter_div",    "variable_scatter_min",
                                  "variable_scatter_max"};
  tvi_writing w;
  const tv_status status = begin(&w, tvi_verb(verbs, how), variable, &indices, &updates);
  if (status) return status;
  return tvi_writing_end(&w, scatter_rows(&w, how, indices, updates));
}

tv_status tv_variable_scatter_nd(tv_variable *variable, tv_update how, tv_tensor *indices,
                                 tv_tensor *updates) {
  static const tvi_verbs verbs = {"variable_scatter_nd_update", "variable_scatter_nd_add",
                                  "variable_scatter_nd_sub",    "variable_scatter_nd_mul",
                                  "variable_scatter_nd_div",    "variable_scatter_nd_min",
                                  "variable_scatter_nd_max"};
  tvi_writing w;
  const tv_status status = begin(&w, tvi_verb(verbs, how), variable, &indices, &updates);
  if (status) return status;
  return tvi_writing_end(&w, scatter_nd(&w, how, indices, updates));
}

tv_status tv_variable_batch_scatter_update(tv_variable *variable, tv_tensor *indices,
                                           tv_tensor *updates) {
  tvi_writing w;
  const tv_status status = begin(&w, "variable_batch_scatter_update", variable, &indices, &updates);
  if (status) return status;
  return tvi_writing_end(&w, scatter_batch(&w, indices, updates));
}

tv_tensor *tv_variable_sparse_read(tv_variable *variable, tv_tensor *indices) {
  if (!variable || !indices)
    return tvi_null("variable_sparse_read", variable ? "indices" : "variable");
  return tv_take(tv_read(variable), indices, 0);
}
