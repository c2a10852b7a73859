/* SPDX-License-Identifier: MIT
 * The writes. Each prepares under the Variable's lock, in place only where nothing can fail once
 * bytes change, and ends by committing; values that are given up are released after unlocking, for
 * that may call back into the caller's code. Nothing here is recorded. */
#include <string.h>
#include <tensorvar/index.h>

#include "deferred.h"
#include "device.h"
#include "elementwise.h"
#include "scope.h"
#include "slice.h"
#include "status.h"
#include "stream.h"
#include "thread.h"
#include "variable.h"

/* A write in progress. */
typedef struct {
  const char *who;
  tv_variable *v;
  tv_scope scope;
  tv_tensor *old; /* to be released after unlocking */
} writing;

/* Take the lock. On failure there is nothing to end. */
static tv_status begin(writing *w, const char *who, tv_variable *v, tv_tensor *value) {
  *w = (writing){.who = who, .v = v};
  if (!v) return tvi_null_status(who, "variable");
  if (!value) return tvi_null_status(who, "value");
  const tv_status status = tvi_scope_open(&w->scope);
  if (status) return status;
  tvi_self.paused++;
  pthread_mutex_lock(&v->lock);
  return TV_OK;
}

static tv_status end(writing *w, bool is_done) {
  pthread_mutex_unlock(&w->v->lock);
  tvi_self.paused--;
  tv_release(w->old);
  tvi_scope_close(&w->scope);
  return is_done ? TV_OK : tvi_failure();
}

static bool fails(const writing *w, tv_status status, const char *what, tv_tensor *value) {
  tvi_text left, right;
  if (status == TV_EDTYPE)
    return tvi_fail(status, "%s: Variable '%s' is %s, the value %s: not of the same kind", w->who,
                    w->v->name, tv_dtype_name(w->v->dtype), tv_dtype_name(value->dtype));
  return tvi_fail(status, "%s: %s Variable '%s': %s and %s", w->who, what, w->v->name,
                  tvi_shape_text(&left, w->v->rank, w->v->value->shape),
                  tvi_shape_text(&right, value->rank, value->shape));
}

/* What holds for the value of every write: nothing mapped, same kind, same device. */
static bool is_taken(const writing *w, tv_tensor *value) {
  if (tvi_variable_writable(w->who, w->v)) return false;
  static const tv_dtype weakest[] = {
      [TVI_WEAK_BOOL] = TV_BOOL,
      [TVI_WEAK_INT] = TV_U8, /* its range is checked with its value */
      [TVI_WEAK_UINT] = TV_U8,
      [TVI_WEAK_REAL] = TV_F16,
      [TVI_WEAK_COMPLEX] = TV_C64};
  const tv_dtype from = value->weak.kind ? weakest[value->weak.kind] : value->dtype;
  if (!tv_can_cast(from, w->v->dtype, TV_CAST_SAME_KIND)) return fails(w, TV_EDTYPE, NULL, value);
  if (!value->weak.kind && tvi_tensor_on(value) != w->v->device)
    return tvi_fail(TV_EDEVICE, "%s: Variable '%s' is on %s, the value on %s", w->who, w->v->name,
                    tvi_device_at(w->v->device)->name, tvi_device_at(tvi_tensor_on(value))->name);
  return true;
}

/* Whether the constraint looks at plain writes: then a value is prepared aside. */
static bool is_constrained(const tv_variable *v) {
  return v->constraint.kind != TV_CONSTRAINT_NONE && v->constraint.policy != TV_ON_STEP;
}

static bool may_write_in_place(const tv_variable *v) {
  return !is_constrained(v) && tvi_variable_is_alone(v);
}

/* Constrain a prepared value of the right dtype, shape and device, and make it the Variable's. */
static bool commit(writing *w, tv_tensor *prepared) {
  if (!prepared) return false;
  tv_tensor *n_moved = NULL;
  tv_tensor *const held = tvi_scope_own(
      tvi_constrained(w->who, &w->v->constraint, w->v->name, TVI_WRITE, prepared, NULL, &n_moved));
  tv_tensor *const fresh = held ? tvi_value_of(w->who, held, w->v->dtype, w->v->device) : NULL;
  if (!fresh) {
    tv_release(n_moved);
    return false;
  }
  w->old = tvi_variable_commit(w->v, fresh, w->who, n_moved);
  return true;
}

/* The bytes of the value have changed in place. */
static bool commit_in_place(writing *w) {
  tvi_variable_commit(w->v, w->v->value, w->who, NULL);
  return true;
}

static bool fits_shape(const writing *w, tv_tensor *value) {
  const tv_variable *const v = w->v;
  bool fits = value->rank == v->rank;
  for (int k = 0; fits && k < v->rank; k++)
    fits = value->shape[k] == v->value->shape[k] || (v->is_open && v->is_open[k]);
  return fits || fails(w, TV_ESHAPE, "shapes differ:", value);
}

tv_status tv_variable_assign(tv_variable *variable, tv_tensor *value) {
  writing w;
  const tv_status status = begin(&w, "variable_assign", variable, value);
  if (status) return status;
  bool is_done = is_taken(&w, value) && fits_shape(&w, value);
  if (is_done) {
    tv_tensor *const prepared =
        value->weak.kind ? tvi_tensor_copy(w.who, value, variable->dtype, variable->device)
                         : tvi_value_of(w.who, value, variable->dtype, variable->device);
    is_done = commit(&w, tvi_scope_own(prepared));
  }
  return end(&w, is_done);
}

/* value = value op x ------------------------------------------------------------------------- */

static tv_status update(const char *who, tvi_op op, tv_variable *variable, tv_tensor *value) {
  writing w;
  const tv_status status = begin(&w, who, variable, value);
  if (status) return status;
  bool is_done = is_taken(&w, value);
  if (is_done && !value->weak.kind &&
      !tvi_same_shape(value, variable->rank, variable->value->shape))
    is_done = fails(&w, TV_ESHAPE, "shapes differ:", value);
  if (is_done) {
    tv_tensor *const in[2] = {variable->value, value};
    const bool is_one_dtype = value->weak.kind || value->dtype == variable->dtype;
    if (is_one_dtype && may_write_in_place(variable)) {
      is_done = !tvi_elementwise_into(op, in, variable->value) && commit_in_place(&w);
    } else {
      tv_tensor *const result = tvi_elementwise(op, in);
      is_done = result && commit(&w, tv_astype(result, variable->dtype));
    }
  }
  return end(&w, is_done);
}

tv_status tv_variable_assign_add(tv_variable *variable, tv_tensor *value) {
  return update("variable_assign_add", TVI_OP_add, variable, value);
}

tv_status tv_variable_assign_sub(tv_variable *variable, tv_tensor *value) {
  return update("variable_assign_sub", TVI_OP_subtract, variable, value);
}

/* Parts -------------------------------------------------------------------------------------- */

/* Steps that show x in the shape of `part`; sizes of 1 in front of it are dropped, as in NumPy. */
static bool show_in(const writing *w, tv_tensor *x, const tv_tensor *part, int64_t *steps) {
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

tv_status tv_variable_assign_slice(tv_variable *variable, const char *slice, tv_tensor *value) {
  writing w;
  if (!slice) return tvi_null_status("variable_assign_slice", "slice");
  tv_status status = begin(&w, "variable_assign_slice", variable, value);
  if (status) return status;
  bool is_done = false;
  if (is_taken(&w, value)) {
    /* A value that shares bytes with the Variable also holds them, so it is then read from the old
     * ones. */
    const bool is_in_place = may_write_in_place(variable);
    tv_tensor *const x = tvi_scope_own(
        value->weak.kind ? tvi_tensor_copy(w.who, value, variable->dtype, variable->device)
                         : tv_retain(value));
    tv_tensor *const whole = !x ? NULL
                             : is_in_place
                                 ? variable->value
                                 : tvi_scope_own(tvi_tensor_copy(
                                       w.who, variable->value, variable->dtype, variable->device));
    tv_tensor *const part = whole ? tvi_scope_own(tvi_slice_view(w.who, whole, slice)) : NULL;
    int64_t steps[TV_MAX_RANK];
    if (part && show_in(&w, x, part, steps) && !tvi_settle(x) && !tvi_stream_reads(x) &&
        !tvi_stream_writes(part)) {
      status = part->size
                   ? tvi_write(w.who, variable->device, variable->dtype, part->data, part->steps,
                               part->rank, part->shape, x->dtype, x->data, steps)
                   : TV_OK;
      if (!status) status = tvi_stream_wrote(part);
    } else {
      status = tvi_failure();
    }
    is_done = !status && (is_in_place ? commit_in_place(&w) : commit(&w, whole));
  }
  return end(&w, is_done);
}

tv_status tv_variable_assign_where(tv_variable *variable, tv_tensor *mask, tv_tensor *value) {
  writing w;
  if (!mask) return tvi_null_status("variable_assign_where", "mask");
  const tv_status status = begin(&w, "variable_assign_where", variable, value);
  if (status) return status;
  bool is_done = is_taken(&w, value);
  if (is_done && mask->dtype != TV_BOOL)
    is_done = tvi_fail(TV_EDTYPE, "%s: the mask of Variable '%s' is %s, not bool", w.who,
                       variable->name, tv_dtype_name(mask->dtype));
  int64_t shape[TV_MAX_RANK];
  if (is_done) {
    tv_tensor *const in[3] = {mask, value, variable->value};
    const int rank = tvi_broadcast(w.who, 3, in, shape);
    is_done = rank >= 0;
    if (is_done && !tvi_same_shape(variable->value, rank, shape))
      is_done = fails(&w, TV_ESHAPE, "mask or value does not broadcast to",
                      tvi_same_shape(variable->value, mask->rank, mask->shape) ? value : mask);
  }
  if (is_done) {
    /* In the Variable's dtype first: elements outside the mask are not converted back and forth. */
    tv_tensor *const x = value->weak.kind ? value : tv_astype(value, variable->dtype);
    tv_tensor *const in[3] = {mask, x, variable->value};
    if (x && may_write_in_place(variable))
      is_done = !tvi_elementwise_into(TVI_OP_where, in, variable->value) && commit_in_place(&w);
    else
      is_done = x && commit(&w, tvi_elementwise(TVI_OP_where, in));
  }
  return end(&w, is_done);
}

/* Maps --------------------------------------------------------------------------------------- */

tv_status tv_variable_map(tv_variable *v, bool exclusive, void **data) {
  if (!v) return tvi_null_status("variable_map", "variable");
  if (!data) return tvi_null_status("variable_map", "data");
  pthread_mutex_lock(&v->lock);
  tv_status status = tvi_variable_writable("variable_map", v);
  if (!status) {
    const bool is_in_place = exclusive && v->device == TV_CPU && may_write_in_place(v);
    v->mapped =
        is_in_place ? v->value : tvi_tensor_copy("variable_map", v->value, v->dtype, TV_CPU);
    if (v->mapped) {
      v->mapping = exclusive ? TVI_MAPPED_EXCLUSIVELY : TVI_MAPPED;
      *data = v->mapped->data;
    } else {
      status = tvi_failure();
    }
  }
  pthread_mutex_unlock(&v->lock);
  return status;
}

tv_status tv_variable_unmap(tv_variable *v) {
  writing w = {.who = "variable_unmap", .v = v};
  if (!v) return tvi_null_status(w.who, "variable");
  const tv_status status = tvi_scope_open(&w.scope);
  if (status) return status;
  tvi_self.paused++;
  pthread_mutex_lock(&v->lock);
  bool is_done = false;
  if (v->mapping == TVI_NOT_MAPPED) {
    tvi_fail(TV_EVALUE, "%s: Variable '%s' is not mapped", w.who, v->name);
  } else {
    const bool is_in_place = v->mapped == v->value;
    tv_tensor *const written = is_in_place ? NULL : tvi_scope_own(v->mapped);
    v->mapped = NULL;
    v->mapping = TVI_NOT_MAPPED;
    if (is_in_place)
      is_done = commit_in_place(&w);
    else if (written)
      is_done = commit(&w, v->device == TV_CPU ? written : tv_to(written, v->device));
  }
  return end(&w, is_done);
}
