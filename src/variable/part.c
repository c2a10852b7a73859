/* SPDX-License-Identifier: MIT
 * Writes of a part: what a slice names, or where a mask is true. */
#include "deferred.h"
#include "elementwise.h"
#include "guard.h"
#include "scope.h"
#include "slice.h"
#include "status.h"
#include "stream.h"
#include "write.h"

/* Slices --------------------------------------------------------------------------------------- */

/* Steps that show x in the shape of `part`; sizes of 1 in front of it are dropped, as in NumPy. */
static bool show_in(const tvi_writing *w, tv_tensor *x, const tv_tensor *part, int64_t *steps) {
  tvi_text left, right;
  int first = 0;
  while (x->rank - first > part->rank && x->shape[first] == 1) first++;
  const int added = part->rank - (x->rank - first);
  for (int k = 0; k < part->rank; k++) {
    const int at = first + k - added;
    if (k < added || x->shape[at] == 1) {
      steps[k] = 0;
    } else if (x->shape[at] == part->shape[k]) {
      steps[k] = x->steps[at];
    } else {
      break;
    }
    if (k == part->rank - 1) return true;
  }
  if (part->rank == 0 && added == 0) return true;
  return tvi_fail(TV_ESHAPE,
                  "%s: value does not broadcast into the slice of Variable '%s': %s into %s",
                  w->who, w->v->name, tvi_shape_text(&left, x->rank, x->shape),
                  tvi_shape_text(&right, part->rank, part->shape));
}

/* Elements of x, in steps that show it in the shape of `part`, to part, converted. */
static bool put(const tvi_writing *w, tv_tensor *part, tv_tensor *x, const int64_t *steps) {
  if (tvi_settle(x)) return false;
  if (part->size == 0) return true;
  return !tvi_stream_reads(x) && !tvi_stream_writes(part) &&
         !tvi_write(w->who, w->v->device, w->v->dtype, part->data, part->steps, part->rank,
                    part->shape, x->dtype, x->data, steps) &&
         !tvi_stream_wrote(part);
}

/* part = part op x, where nobody else holds the bytes of part. */
static bool update_part(const tvi_writing *w, tvi_op op, tv_tensor *part, tv_tensor *x,
                        const int64_t *steps) {
  if (part->size == 0) return true;
  if (!x->weak.kind && tvi_settle(x)) return false;
  tv_tensor *const shown = x->weak.kind
                               ? x
                               : tvi_scope_own(tvi_tensor_view(x->storage, x->data, x->dtype,
                                                               part->rank, part->shape, steps));
  if (!shown) return false;
  tv_tensor *const in[2] = {part, shown};
  if (x->weak.kind || x->dtype == w->v->dtype) return !tvi_elementwise_into(op, in, part);
  tv_tensor *const result = tvi_elementwise(op, in);
  return result && put(w, part, result, result->steps);
}

static bool write_slice(tvi_writing *w, tv_update how, const char *text, int n,
                        const tv_index *index, tv_tensor *value) {
  tv_variable *const v = w->v;
  int64_t steps[TV_MAX_RANK];
  if (!tvi_writing_takes(w, value) || !tvi_writing_updates(w, how)) return false;
  /* A value that shares bytes with the Variable also holds them, so it is then read from the old
   * ones. */
  const bool is_in_place = tvi_writing_is_in_place(w);
  tv_tensor *const x = how != TV_SET ? tvi_writing_meets(w, value)
                       : value->weak.kind
                           ? tvi_scope_own(tvi_tensor_copy(w->who, value, v->dtype, v->device))
                           : value;
  if (!x) return false;
  tv_tensor *const whole =
      is_in_place ? v->value
                  : tvi_scope_own(tvi_tensor_copy(w->who, v->value, v->dtype, v->device));
  tv_tensor *const part =
      whole ? tvi_scope_own(tvi_slice_view(w->who, whole, text, n, index)) : NULL;
  if (!part || !show_in(w, x, part, steps)) return false;
  const bool is_done =
      how == TV_SET ? put(w, part, x, steps) : update_part(w, tvi_update_op(how), part, x, steps);
  if (!is_done) return false;
  return is_in_place ? tvi_writing_commit_in_place(w) : tvi_writing_commit(w, whole);
}

static tv_status slice(tv_variable *variable, tv_update how, const char *text, int n,
                       const tv_index *index, tv_tensor *value) {
  static const tvi_verbs verbs = {"variable_assign_slice",     "variable_assign_slice_add",
                                  "variable_assign_slice_sub", "variable_assign_slice_mul",
                                  "variable_assign_slice_div", "variable_assign_slice_min",
                                  "variable_assign_slice_max"};
  tvi_writing w;
  const char *const who = tvi_verb(verbs, how);
  if (!variable) return tvi_null_status(who, "variable");
  if (!value) return tvi_null_status(who, "value");
  if (n < 0) return tvi_fail_status(TV_EVALUE, "%s: %d terms", who, n);
  if (!text && n && !index) return tvi_null_status(who, "index");
  const tv_status status = tvi_writing_begin(&w, who, variable);
  if (status) return status;
  value = tvi_unguarded(who, value);
  return tvi_writing_end(&w, value && write_slice(&w, how, text, n, index, value));
}

tv_status tv_variable_update_slice(tv_variable *variable, tv_update how, const char *text,
                                   tv_tensor *value) {
  if (!text) return tvi_null_status("variable_assign_slice", "slice");
  return slice(variable, how, text, 0, NULL, value);
}

tv_status tv_variable_update_slice_with(tv_variable *variable, tv_update how, int n,
                                        const tv_index *index, tv_tensor *value) {
  return slice(variable, how, NULL, n, index, value);
}

tv_status tv_variable_assign_slice(tv_variable *variable, const char *text, tv_tensor *value) {
  return tv_variable_update_slice(variable, TV_SET, text, value);
}

/* Masks ---------------------------------------------------------------------------------------- */

static bool fits_mask(const tvi_writing *w, tv_tensor *mask, tv_tensor *value) {
  int64_t shape[TV_MAX_RANK];
  tv_tensor *const now = w->v->value;
  if (mask->dtype != TV_BOOL)
    return tvi_fail(TV_EDTYPE, "%s: the mask of Variable '%s' is %s, not bool", w->who, w->v->name,
                    tv_dtype_name(mask->dtype));
  const int rank = tvi_broadcast(w->who, 3, (tv_tensor *const[]){mask, value, now}, shape);
  if (rank < 0) return false;
  return tvi_same_shape(now, rank, shape) ||
         tvi_writing_misfit(w, "mask or value does not broadcast to",
                            tvi_same_shape(now, mask->rank, mask->shape) ? value : mask);
}

static bool write_where(tvi_writing *w, tv_update how, tv_tensor *mask, tv_tensor *value) {
  tv_variable *const v = w->v;
  if (!tvi_writing_takes(w, value) || !tvi_writing_updates(w, how) || !fits_mask(w, mask, value))
    return false;
  tv_tensor *x = value;
  if (how != TV_SET) {
    tv_tensor *const in[2] = {v->value, tvi_writing_meets(w, value)};
    x = in[1] ? tvi_elementwise(tvi_update_op(how), in) : NULL;
  }
  /* In the Variable's dtype first: elements outside the mask are not converted back and forth. */
  if (x && !x->weak.kind) x = tv_astype(x, v->dtype);
  tv_tensor *const in[3] = {mask, x, v->value};
  if (!x) return false;
  if (tvi_writing_is_in_place(w))
    return !tvi_elementwise_into(TVI_OP_where, in, v->value) && tvi_writing_commit_in_place(w);
  return tvi_writing_commit(w, tvi_elementwise(TVI_OP_where, in));
}

tv_status tv_variable_update_where(tv_variable *variable, tv_update how, tv_tensor *mask,
                                   tv_tensor *value) {
  static const tvi_verbs verbs = {"variable_assign_where",     "variable_assign_where_add",
                                  "variable_assign_where_sub", "variable_assign_where_mul",
                                  "variable_assign_where_div", "variable_assign_where_min",
                                  "variable_assign_where_max"};
  tvi_writing w;
  const char *const who = tvi_verb(verbs, how);
  if (!variable) return tvi_null_status(who, "variable");
  if (!mask || !value) return tvi_null_status(who, mask ? "value" : "mask");
  const tv_status status = tvi_writing_begin(&w, who, variable);
  if (status) return status;
  value = tvi_unguarded(who, value);
  mask = tvi_unguarded(who, mask);
  return tvi_writing_end(&w, value && mask && write_where(&w, how, mask, value));
}

tv_status tv_variable_assign_where(tv_variable *variable, tv_tensor *mask, tv_tensor *value) {
  return tv_variable_update_where(variable, TV_SET, mask, value);
}
