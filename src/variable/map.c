/* SPDX-License-Identifier: MIT
 * Maps: a pointer for the caller's own loop, and the write that ends it. */
#include "scope.h"
#include "status.h"
#include "write.h"

/* Readers look at it too. */
static void set_mapping(tv_variable *v, tvi_mapping mapping) {
  tvi_swaps_take(1, &v);
  v->mapping = mapping;
  tvi_swaps_give(1, &v);
}

tv_status tv_variable_map(tv_variable *v, bool exclusive, void **data) {
  tvi_writing w = {.who = "variable_map", .v = v};
  if (!v) return tvi_null_status(w.who, "variable");
  if (!data) return tvi_null_status(w.who, "data");
  tv_status status = tvi_variable_lock(w.who, v);
  if (status) return status;
  status = tvi_variable_writable(w.who, v);
  if (!status) {
    const bool is_in_place = exclusive && v->device == TV_CPU && tvi_writing_is_in_place(&w);
    v->mapped = is_in_place ? v->value : tvi_tensor_copy(w.who, v->value, v->dtype, TV_CPU);
    if (v->mapped) {
      set_mapping(v, exclusive ? TVI_MAPPED_EXCLUSIVELY : TVI_MAPPED);
      *data = v->mapped->data;
    } else {
      status = tvi_failure();
    }
  }
  pthread_mutex_unlock(&v->lock);
  return status;
}

static bool unmap(tvi_writing *w) {
  tv_variable *const v = w->v;
  if (v->mapping == TVI_NOT_MAPPED)
    return tvi_fail(TV_EVALUE, "%s: Variable '%s' is not mapped", w->who, v->name);
  const bool is_in_place = v->mapped == v->value;
  tv_tensor *const written = is_in_place ? NULL : tvi_scope_own(v->mapped);
  v->mapped = NULL;
  set_mapping(v, TVI_NOT_MAPPED);
  if (is_in_place) return tvi_writing_commit_in_place(w);
  return written &&
         tvi_writing_commit(w, v->device == TV_CPU ? written : tv_to(written, v->device));
}

tv_status tv_variable_unmap(tv_variable *variable) {
  tvi_writing w;
  const tv_status status = tvi_writing_begin(&w, "variable_unmap", variable);
  if (status) return status;
  return tvi_writing_end(&w, unmap(&w));
}
