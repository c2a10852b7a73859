/* SPDX-License-Identifier: MIT
 * Writes of the whole value: tv_variable_assign, and value = value op x. */
#include "deferred.h"
#include "elementwise.h"
#include "guard.h"
#include "scope.h"
#include "status.h"
#include "write.h"

static bool fits_shape(const tvi_writing *w, tv_tensor *value) {
  const tv_variable *const v = w->v;
  bool fits = value->rank == v->rank;
  for (int k = 0; fits && k < v->rank; k++)
    fits = value->shape[k] == v->value->shape[k] || (v->is_open && v->is_open[k]);
  return fits || tvi_writing_misfit(w, "shapes differ:", value);
}

static bool assign(tvi_writing *w, tv_tensor *value) {
  if (!tvi_writing_takes(w, value) || !fits_shape(w, value)) return false;
  const tv_variable *const v = w->v;
  tv_tensor *const prepared = value->weak.kind ? tvi_tensor_copy(w->who, value, v->dtype, v->device)
                                               : tvi_value_of(w->who, value, v->dtype, v->device);
  return tvi_writing_commit(w, tvi_scope_own(prepared));
}

/* value = value op x */
static bool update(tvi_writing *w, tv_update how, tv_tensor *x) {
  tv_variable *const v = w->v;
  if (!tvi_writing_takes(w, x) || !tvi_writing_updates(w, how)) return false;
  if (!x->weak.kind && !tvi_same_shape(x, v->rank, v->value->shape))
    return tvi_writing_misfit(w, "shapes differ:", x);
  const tvi_op op = tvi_update_op(how);
  tv_tensor *const in[2] = {v->value, tvi_writing_meets(w, x)};
  if (!in[1]) return false;
  if ((x->weak.kind || in[1]->dtype == v->dtype) && tvi_writing_is_in_place(w))
    return !tvi_elementwise_into(op, in, v->value) && tvi_writing_commit_in_place(w);
  tv_tensor *const result = tvi_elementwise(op, in);
  return result && tvi_writing_commit(w, tv_astype(result, v->dtype));
}

tv_status tv_variable_update(tv_variable *variable, tv_update how, tv_tensor *value) {
  static const tvi_verbs verbs = {
      "variable_assign",     "variable_assign_add", "variable_assign_sub", "variable_assign_mul",
      "variable_assign_div", "variable_assign_min", "variable_assign_max"};
  tvi_writing w;
  const char *const who = tvi_verb(verbs, how);
  if (!variable) return tvi_null_status(who, "variable");
  if (!value) return tvi_null_status(who, "value");
  const tv_status status = tvi_writing_begin(&w, who, variable);
  if (status) return status;
  value = tvi_unguarded(who, value);
  if (!value) return tvi_writing_end(&w, false);
  return tvi_writing_end(&w, how == TV_SET ? assign(&w, value) : update(&w, how, value));
}

tv_status tv_variable_assign(tv_variable *variable, tv_tensor *value) {
  return tv_variable_update(variable, TV_SET, value);
}

#define VERB(name, how)                                                          \
  tv_status tv_variable_assign_##name(tv_variable *variable, tv_tensor *value) { \
    return tv_variable_update(variable, how, value);                             \
  }
VERB(add, TV_ADD)
VERB(sub, TV_SUBTRACT)
VERB(mul, TV_MULTIPLY)
VERB(div, TV_DIVIDE)
VERB(min, TV_MINIMUM)
VERB(max, TV_MAXIMUM)
