/* SPDX-License-Identifier: MIT
 * What every write shares. Each prepares under the Variable's lock, in place only where nothing can
 * fail once bytes change, and ends by committing; values that are given up are released after
 * unlocking, for that may call back into the caller's code. Nothing here is recorded. */
#include "write.h"

#include "device.h"
#include "scope.h"
#include "status.h"
#include "thread.h"

tv_status tvi_writing_begin(tvi_writing *w, const char *who, tv_variable *v) {
  *w = (tvi_writing){.who = who, .v = v};
  if (!v) return tvi_null_status(who, "variable");
  tv_status status = tvi_variable_lock(who, v);
  if (status) return status;
  status = tvi_scope_open(&w->scope);
  if (status)
    pthread_mutex_unlock(&v->lock);
  else
    tvi_self.paused++;
  return status;
}

tv_status tvi_writing_end(tvi_writing *w, bool is_done) {
  pthread_mutex_unlock(&w->v->lock);
  tvi_self.paused--;
  tv_release(w->old);
  tvi_scope_close(&w->scope);
  tv_site_set(NULL, 0);
  return is_done ? TV_OK : tvi_failure();
}

bool tvi_writing_misfit(const tvi_writing *w, const char *what, tv_tensor *value) {
  tvi_text left, right;
  return tvi_fail(TV_ESHAPE, "%s: %s Variable '%s': %s and %s", w->who, what, w->v->name,
                  tvi_shape_text(&left, w->v->rank, w->v->value->shape),
                  tvi_shape_text(&right, value->rank, value->shape));
}

bool tvi_writing_takes(const tvi_writing *w, tv_tensor *value) {
  if (tvi_variable_writable(w->who, w->v)) return false;
  static const tv_dtype weakest[] = {
      [TVI_WEAK_BOOL] = TV_BOOL,
      [TVI_WEAK_INT] = TV_U8, /* its range is checked with its value */
      [TVI_WEAK_UINT] = TV_U8,
      [TVI_WEAK_REAL] = TV_F16,
      [TVI_WEAK_COMPLEX] = TV_C64};
  const tv_dtype from = value->weak.kind ? weakest[value->weak.kind] : value->dtype;
  if (!tv_can_cast(from, w->v->dtype, TV_CAST_SAME_KIND))
    return tvi_fail(TV_EDTYPE, "%s: Variable '%s' is %s, the value %s: not of the same kind",
                    w->who, w->v->name, tv_dtype_name(w->v->dtype), tv_dtype_name(value->dtype));
  if (!value->weak.kind && tvi_tensor_on(value) != w->v->device)
    return tvi_fail(TV_EDEVICE, "%s: Variable '%s' is on %s, the value on %s", w->who, w->v->name,
                    tvi_device_at(w->v->device)->name, tvi_device_at(tvi_tensor_on(value))->name);
  return true;
}

/* Whether the constraint looks at plain writes: then a value is prepared aside. */
static bool is_constrained(const tv_variable *v) {
  return v->constraint.kind != TV_CONSTRAINT_NONE && v->constraint.policy != TV_ON_STEP;
}

bool tvi_writing_is_in_place(const tvi_writing *w) {
  return !is_constrained(w->v) && tvi_variable_is_alone(w->v);
}

bool tvi_writing_commit(tvi_writing *w, tv_tensor *prepared) {
  if (!prepared) return false;
  tv_tensor *n_moved = NULL;
  tv_tensor *const held = tvi_scope_own(tvi_constrained(w->who, &w->v->constraint, w->v->name,
                                                        TVI_WRITE, prepared, w->rows, &n_moved));
  tv_tensor *const fresh = held ? tvi_value_of(w->who, held, w->v->dtype, w->v->device) : NULL;
  if (!fresh) {
    tv_release(n_moved);
    return false;
  }
  w->old = tvi_variable_commit(w->v, fresh, w->who, n_moved);
  return true;
}

bool tvi_writing_commit_in_place(tvi_writing *w) {
  tvi_variable_commit(w->v, w->v->value, w->who, NULL);
  return true;
}

/* Updates ------------------------------------------------------------------------------------- */

tvi_op tvi_update_op(tv_update how) {
  static const tvi_op ops[] = {
      [TV_SET] = TVI_OP_add, /* asked of no one */
      [TV_ADD] = TVI_OP_add,       [TV_SUBTRACT] = TVI_OP_subtract, [TV_MULTIPLY] = TVI_OP_multiply,
      [TV_DIVIDE] = TVI_OP_divide, [TV_MINIMUM] = TVI_OP_minimum,   [TV_MAXIMUM] = TVI_OP_maximum};
  return ops[how];
}

bool tvi_writing_updates(const tvi_writing *w, tv_update how) {
  if ((unsigned)how > TV_MAXIMUM)
    return tvi_fail(TV_EVALUE, "%s: %d is no update", w->who, (int)how);
  if (how == TV_SET) return true;
  const int op = (int)tvi_update_op(how);
  const tv_dtype loop = tvi_op_dtype(op, w->v->dtype);
  if (loop == TV_DTYPE_NONE)
    return tvi_fail(TV_EDTYPE, "%s: Variable '%s' is %s, which %s does not take", w->who,
                    w->v->name, tv_dtype_name(w->v->dtype), tvi_op_info[op].name);
  if (loop == w->v->dtype) return true;
  return tvi_fail(TV_EDTYPE, "%s: Variable '%s' is %s, of which %s gives %s: not of the same kind",
                  w->who, w->v->name, tv_dtype_name(w->v->dtype), tvi_op_info[op].name,
                  tv_dtype_name(loop));
}

tv_tensor *tvi_writing_meets(const tvi_writing *w, tv_tensor *x) {
  if (x->weak.kind || x->dtype == w->v->dtype) return x;
  const tv_dtype met = tvi_promote(w->who, 2, (tv_tensor *const[]){w->v->value, x});
  if (met == TV_DTYPE_NONE) return NULL;
  return tv_can_cast(met, w->v->dtype, TV_CAST_SAME_KIND) ? x : tv_astype(x, w->v->dtype);
}
