/* SPDX-License-Identifier: MIT
 * Constraints: what a Variable's value must keep to, and when. (How a value is brought to it is in
 * projection.c.) */
#include <math.h>
#include <stdio.h>
#include <tensorvar/index.h>
#include <tensorvar/ops.h>
#include <tensorvar/print.h>
#include <tensorvar/reduce.h>
#include <tensorvar/shape.h>

#include "projection.h"
#include "row_update.h"
#include "scope.h"
#include "status.h"

/* Make -------------------------------------------------------------------------------------------
 */

static tv_constraint plain(tv_constraint_kind kind, tv_constraint_policy policy) {
  tv_constraint c = TV_NO_CONSTRAINT;
  c.kind = kind;
  c.policy = policy;
  return c;
}

static tv_constraint over(tv_constraint_kind kind, tv_constraint_policy policy, double low,
                          double high, int n_axes, const int64_t *axes) {
  tv_constraint c = plain(kind, policy);
  c.low = low;
  c.high = high;
  c.n_axes = n_axes < -1 || (n_axes > 0 && !axes) ? TV_CONSTRAINT_AXES + 1 : n_axes;
  for (int k = 0; k < c.n_axes && c.n_axes <= TV_CONSTRAINT_AXES; k++) c.axes[k] = axes[k];
  return c;
}

tv_constraint tv_constraint_non_negative(tv_constraint_policy policy) {
  return plain(TV_CONSTRAINT_NON_NEGATIVE, policy);
}

tv_constraint tv_constraint_unit_norm(tv_constraint_policy policy, int n_axes,
                                      const int64_t *axes) {
  return over(TV_CONSTRAINT_UNIT_NORM, policy, 1, 1, n_axes, axes);
}

tv_constraint tv_constraint_max_norm(tv_constraint_policy policy, double high, int n_axes,
                                     const int64_t *axes) {
  return over(TV_CONSTRAINT_MAX_NORM, policy, 0, high, n_axes, axes);
}

tv_constraint tv_constraint_min_max_norm(tv_constraint_policy policy, double low, double high,
                                         int n_axes, const int64_t *axes) {
  return over(TV_CONSTRAINT_MIN_MAX_NORM, policy, low, high, n_axes, axes);
}

tv_constraint tv_constraint_simplex(tv_constraint_policy policy, int64_t axis) {
  return over(TV_CONSTRAINT_SIMPLEX, policy, 0, 1, 1, &axis);
}

tv_constraint tv_constraint_callback(tv_constraint_policy policy, tv_projection *project,
                                     void *user, void (*release)(void *user)) {
  tv_constraint c = plain(TV_CONSTRAINT_CALLBACK, policy);
  c.project = project;
  c.user = user;
  c.release = release;
  return c;
}

/* Ask --------------------------------------------------------------------------------------------
 */

static const char *const names[] = {"none",     "clip",         "non_negative", "unit_norm",
                                    "max_norm", "min_max_norm", "simplex",      "callback"};

static bool has_norm(const tv_constraint *c) {
  return c->kind >= TV_CONSTRAINT_UNIT_NORM && c->kind <= TV_CONSTRAINT_MIN_MAX_NORM;
}

static bool takes(const tv_constraint *c, tv_dtype dtype) {
  if (c->kind == TV_CONSTRAINT_CALLBACK) return true;
  if (has_norm(c)) return tvi_is_inexact(dtype);
  if (c->kind == TV_CONSTRAINT_SIMPLEX) return tvi_is_real_floating(dtype);
  return !tvi_is_complex(dtype) && dtype != TV_BOOL;
}

bool tvi_constraint_fits(const tv_constraint *c, tv_dtype dtype, int rank) {
  bool is_named[TV_MAX_RANK];
  if (!tvi_options_fit("constraint", c->size, sizeof *c)) return false;
  if ((unsigned)c->kind > TV_CONSTRAINT_CALLBACK)
    return tvi_fail(TV_EVALUE, "constraint: %d is no kind", (int)c->kind);
  if (c->kind == TV_CONSTRAINT_NONE) return true;
  const char *const name = names[c->kind];
  if (c->policy != TV_ON_STEP && c->policy != TV_ON_EVERY_WRITE && c->policy != TV_VALIDATE_ONLY)
    return tvi_fail(TV_EVALUE, "constraint: %d is no policy", (int)c->policy);
  if (c->kind == TV_CONSTRAINT_CLIP && !(c->low <= c->high))
    return tvi_fail(TV_EVALUE, "constraint: clip: low is not at most high");
  if (has_norm(c) && !(c->low >= 0 && c->low <= c->high && isfinite(c->high)))
    return tvi_fail(TV_EVALUE, "constraint: %s: norms are from 0 to something finite", name);
  if (!(c->tolerance >= 0))
    return tvi_fail(TV_EVALUE, "constraint: %s: the tolerance is below 0", name);
  if (c->kind == TV_CONSTRAINT_CALLBACK && !c->project)
    return tvi_fail(TV_EVALUE, "constraint: callback: project is NULL");
  if (!takes(c, dtype))
    return tvi_fail(TV_EDTYPE, "constraint: %s does not take %s", name, tv_dtype_name(dtype));
  if (!has_norm(c) && c->kind != TV_CONSTRAINT_SIMPLEX) return true;
  if (c->n_axes > TV_CONSTRAINT_AXES)
    return tvi_fail(TV_EVALUE, "constraint: %s: more than %d axes", name, TV_CONSTRAINT_AXES);
  char who[64];
  snprintf(who, sizeof who, "constraint: %s", name);
  return tvi_axes(who, rank, c->n_axes, c->axes, is_named);
}

/* Refuse -----------------------------------------------------------------------------------------
 */

/* "clip(-1.0, 1.0)". */
static void describe(const tv_constraint *c, char *text, size_t room) {
  char low[64] = "?", high[64] = "?";
  tv_format(tv_scalar_real(c->low), TV_STR, low, sizeof low);
  tv_format(tv_scalar_real(c->high), TV_STR, high, sizeof high);
  if (c->kind == TV_CONSTRAINT_CLIP || c->kind == TV_CONSTRAINT_MIN_MAX_NORM)
    snprintf(text, room, "%s(%s, %s)", names[c->kind], low, high);
  else if (c->kind == TV_CONSTRAINT_MAX_NORM)
    snprintf(text, room, "%s(%s)", names[c->kind], high);
  else
    snprintf(text, room, "%s", names[c->kind]);
}

/* Where position `at` of a finding is: "[1, :]", ":" along an axis that a norm was taken over. */
static void place(const tvi_finding *found, tv_tensor *rows, int64_t at, char *text, size_t room) {
  const tv_tensor *const shown = found->is_wrong;
  int64_t index[TV_MAX_RANK] = {0};
  for (int k = shown->rank - 1; k >= 0; k--) {
    index[k] = at % shown->shape[k];
    at /= shown->shape[k];
  }
  if (rows && shown->rank) tv_item_i64(tv_take(rows, tv_scalar_int(index[0]), 0), &index[0]);
  size_t used = (size_t)snprintf(text, room, "[");
  for (int k = 0; k < shown->rank && used < room; k++) {
    const char *const comma = k ? ", " : "";
    used += (size_t)(found->is_reduced[k] ? snprintf(text + used, room - used, "%s:", comma)
                                          : snprintf(text + used, room - used, "%s%lld", comma,
                                                     (long long)index[k]));
  }
  if (used < room) snprintf(text + used, room - used, "]");
}

/* Name the first place, in C order, that is wrong. */
static bool refuse(const char *who, const tv_constraint *c, const char *name, tv_tensor *rows,
                   const tvi_finding *found) {
  int64_t at = 0;
  char what[160] = "?", where[128] = "?", value[64] = "?";
  if (tv_item_i64(tv_argmax(found->is_wrong, TV_ALL_AXES), &at)) return false;
  describe(c, what, sizeof what);
  place(found, rows, at, where, sizeof where);
  tv_format(tv_take(tv_reshape(found->shown, TV_SHAPE(-1)), tv_scalar_int(at), 0), TV_STR, value,
            sizeof value);
  return tvi_fail(TV_ECONSTRAINT, "%s: %s refuses Variable '%s': %s %s%s is %s", who, what, name,
                  found->noun, found->noun[0] == 't' ? "at " : "", where, value);
}

/* rows: where the rows of x are in the value; NULL: x is the value. */
static bool validate(const char *who, const tv_constraint *c, const char *name, tv_tensor *rows,
                     tv_tensor *x) {
  for (int at = 0; at < 2; at++) {
    tvi_finding found;
    int64_t n_wrong = 0;
    if (!tvi_find_wrong(who, c, x, at, &found)) return false;
    if (!found.is_wrong) continue;
    if (tv_item_i64(tv_sum(found.is_wrong, TV_ALL_AXES), &n_wrong)) return false;
    if (n_wrong) return refuse(who, c, name, rows, &found);
  }
  return true;
}

/* Project ----------------------------------------------------------------------------------------
 */

/* How many elements differ; two NaN do not. */
static tv_tensor *count_of_moved(tv_tensor *before, tv_tensor *after) {
  tv_tensor *const is_same =
      tv_logical_or(tv_equal(before, after), tv_logical_and(tv_isnan(before), tv_isnan(after)));
  return tv_retain(tv_sum(tv_logical_not(is_same), TV_ALL_AXES));
}

/* The constraint on x; *n_moved retained. */
static tv_tensor *constrained(const char *who, const tv_constraint *c, const char *name,
                              tv_tensor *rows, tv_tensor *x, tv_tensor **n_moved) {
  if (c->policy == TV_VALIDATE_ONLY) return validate(who, c, name, rows, x) ? x : NULL;
  tv_tensor *const y = tvi_project(who, c, x);
  *n_moved = y ? count_of_moved(x, y) : NULL;
  return *n_moved ? y : NULL;
}

bool tvi_constraint_is_by_row(const tv_constraint *c, int rank) {
  if (rank == 0 || c->kind == TV_CONSTRAINT_CALLBACK) return false;
  for (int k = 0; k < c->n_axes; k++)
    if (c->axes[k] == 0 || c->axes[k] == -rank) return false;
  return c->n_axes >= 0;
}

static bool acts(const tv_constraint *c, tvi_occasion occasion) {
  return c->kind != TV_CONSTRAINT_NONE && (c->policy != TV_ON_STEP || occasion == TVI_STEP);
}

tv_tensor *tvi_constrained_rows(const char *who, const tv_constraint *c, const char *name,
                                tvi_occasion occasion, tv_tensor *rows, tv_tensor *once,
                                tv_tensor **n_moved) {
  *n_moved = NULL;
  return tv_retain(acts(c, occasion) ? constrained(who, c, name, once, rows, n_moved) : rows);
}

/* The rows are taken, and put back in place where that harms nobody. */
static tv_tensor *by_rows(const char *who, const tv_constraint *c, const char *name,
                          tv_tensor *value, tv_tensor *rows, tv_tensor **n_moved) {
  tv_tensor *places = NULL;
  tv_tensor *const once = tvi_row_update_once(who, rows, &places);
  tv_tensor *const part = once ? tv_take(value, once, 0) : NULL;
  tv_tensor *const y = part ? constrained(who, c, name, once, part, n_moved) : NULL;
  if (!y || y == part) return y ? value : NULL;
  tv_tensor *const whole =
      tvi_storage_is_alone(value->storage)
          ? value
          : tvi_scope_own(tvi_tensor_copy(who, value, value->dtype, value->device));
  return whole && tvi_row_update_set(who, whole, once, y) ? whole : NULL;
}

tv_tensor *tvi_constrained(const char *who, const tv_constraint *c, const char *name,
                           tvi_occasion occasion, tv_tensor *value, tv_tensor *rows,
                           tv_tensor **n_moved) {
  *n_moved = NULL;
  if (!acts(c, occasion)) return tv_retain(value);
  /* Under the other policies the rest keeps to the constraint, so what is cheaper may be done. */
  const bool is_part = rows && (c->policy == TV_ON_STEP || 2 * rows->size <= value->shape[0]);
  tv_tensor *const y = is_part && tvi_constraint_is_by_row(c, value->rank)
                           ? by_rows(who, c, name, value, rows, n_moved)
                           : constrained(who, c, name, NULL, value, n_moved);
  if (y) return tv_retain(y);
  tv_release(*n_moved);
  *n_moved = NULL;
  return NULL;
}

tv_status tv_variable_moved(tv_variable *v, int64_t *n_moved) {
  if (!v) return tvi_null_status("variable_moved", "variable");
  if (!n_moved) return tvi_null_status("variable_moved", "n_moved");
  tv_status status = tvi_variable_lock_to_read("variable_moved", v);
  if (status) return status;
  tv_tensor *const count = tv_retain(v->n_moved);
  tvi_variable_unlock_to_read(v);
  *n_moved = 0;
  status = count ? tv_item_i64(count, n_moved) : TV_OK;
  tv_release(count);
  return status;
}
