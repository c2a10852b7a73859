/* SPDX-License-Identifier: MIT
 * Variables: making, asking and releasing them, reads, and the two steps every write has in common.
 * The writes themselves are in assign.c, the optimizers' in step.c. */
#include "variable.h"
#include "guard.h"

#include <string.h>

#include "custom.h"
#include "deferred.h"
#include "device.h"
#include "memory.h"
#include "scope.h"
#include "status.h"
#include "tally.h"
#include "tape.h"
#include "together.h"

/* Make --------------------------------------------------------------------------------------- */

tv_tensor *tvi_value_of(const char *who, tv_tensor *x, tv_dtype dtype, tv_device device) {
  if (tvi_settle(x)) return NULL;
  const bool is_shareable = tvi_tensor_is_whole(x) && !x->storage->is_borrowed &&
                            x->dtype == dtype && tvi_tensor_on(x) == device;
  return is_shareable ? tvi_tensor_alias(x) : tvi_tensor_copy(who, x, dtype, device);
}

static void free_variable(tv_variable *v) {
  tv_release(v->value);
  tv_release(v->n_moved);
  for (int k = 0; v->past && k < v->history; k++) tv_release(v->past[k]);
  tvi_free(v->past);
  if (v->constraint.release) v->constraint.release(v->constraint.user);
  tvi_free(v->is_open);
  tvi_free(v->name);
  tvi_free(v);
}

/* The swap is held for some ten nanoseconds: where the system can, who finds it taken looks again
 * before it sleeps. */
static bool swap_make(pthread_mutex_t *swap) {
#ifdef __GLIBC__
  pthread_mutexattr_t kind;
  if (pthread_mutexattr_init(&kind)) return false;
  const bool is_done = !pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP) &&
                       !pthread_mutex_init(swap, &kind);
  pthread_mutexattr_destroy(&kind);
  return is_done;
#else
  return !pthread_mutex_init(swap, NULL);
#endif
}

tv_status tvi_variable_lock(const char *who, tv_variable *v) {
  if (!pthread_mutex_lock(&v->lock)) return TV_OK;
  return tvi_fail_status(TV_EBUSY, "%s: Variable '%s' is being written by this very thread", who,
                         v->name);
}

tv_status tvi_variable_lock_to_read(const char *who, tv_variable *v) {
  if (!v->has_concurrent_readers) return tvi_variable_lock(who, v);
  pthread_mutex_lock(&v->swap);
  return TV_OK;
}

void tvi_variable_unlock_to_read(tv_variable *v) {
  pthread_mutex_unlock(v->has_concurrent_readers ? &v->swap : &v->lock);
}

/* Both, or none. */
static bool locks_make(tv_variable *v) {
  if (!tvi_lock_make(&v->lock)) return false;
  if (swap_make(&v->swap)) return true;
  pthread_mutex_destroy(&v->lock);
  return false;
}

static char *copied_text(const char *text) {
  const int64_t bytes = (int64_t)strlen(text) + 1;
  char *const copy = tvi_malloc(bytes);
  return copy ? memcpy(copy, text, (size_t)bytes) : NULL;
}

static tv_variable *with_value(tv_tensor *value, const tv_variable_options *o) {
  const char *const name = o->name ? o->name : "Variable";
  tv_tensor *n_moved = NULL;
  tv_tensor *const constrained =
      tvi_constrained("variable_new", &o->constraint, name, TVI_CREATE, value, NULL, &n_moved);
  if (!constrained) return NULL;
  tv_variable *const v = tvi_calloc(1, sizeof *v);
  if (!v) tv_release(n_moved);
  if (v) {
    v->n_moved = n_moved;
    v->name = copied_text(name);
    v->is_open = o->open_axes ? tvi_malloc(value->rank) : NULL;
    v->history = o->history;
    v->past = o->history ? tvi_calloc(o->history, sizeof *v->past) : NULL;
    v->value = tvi_value_of("variable_new", constrained, value->dtype, tvi_tensor_on(value));
  }
  tv_release(constrained);
  if (!v || !v->name || !v->value || (o->open_axes && !v->is_open) || (o->history && !v->past) ||
      !locks_make(v)) {
    if (v) free_variable(v);
    return tvi_fail(TV_ENOMEM, "variable_new: no memory");
  }
  if (o->open_axes) memcpy(v->is_open, o->open_axes, (size_t)value->rank);
  atomic_init(&v->count, 1);
  atomic_init(&v->version, 0);
  v->written = tvi_written_by("variable_new");
  v->dtype = value->dtype;
  v->device = tvi_tensor_on(value);
  v->rank = value->rank;
  v->is_trainable = o->trainable;
  v->has_concurrent_readers = o->concurrent_readers;
  v->constraint = o->constraint;
  tvi_count(TVI_LIVE, 1);
  return v;
}

/* Needs no open scope of the caller's: what it computes lies in one of its own. */
static tv_variable *made(tv_tensor *value, const tv_variable_options *o) {
  if (!value) return tvi_null("variable_new", "value");
  if (o->history < 0)
    return tvi_fail(TV_EVALUE, "variable_new: a history of %d versions", o->history);
  if (!tvi_constraint_fits(&o->constraint, value->dtype, value->rank)) return NULL;
  tv_scope scope;
  if (tvi_scope_open(&scope)) return NULL;
  tvi_self.paused++;
  tv_tensor *const strong = tvi_unguarded(
      "variable_new", tvi_scope_own(tvi_tensor_strong("variable_new", value, tvi_self.device)));
  tv_variable *const v = strong ? with_value(strong, o) : NULL;
  tvi_self.paused--;
  tvi_scope_close(&scope);
  return v;
}

/* The caller's options, or the defaults. */
static bool read_options(const tv_variable_options *options, tv_variable_options *o) {
  *o = (tv_variable_options)TV_VARIABLE_OPTIONS;
  if (!options) return true;
  if (!tvi_options_fit("variable_new", options->size, sizeof *o)) return false;
  memcpy(o, options, options->size);
  return true;
}

/* v, or NULL once the constraint's user has been told. */
static tv_variable *given(tv_variable *v, const tv_variable_options *o) {
  tv_site_set(NULL, 0);
  if (!v && o->constraint.release) o->constraint.release(o->constraint.user);
  return v;
}

tv_variable *tv_variable_new(tv_tensor *value, const tv_variable_options *options) {
  tv_variable_options o;
  return read_options(options, &o) ? given(made(value, &o), &o) : NULL;
}

tv_variable *tv_variable_new_from_memory(const void *data, tv_dtype dtype, int rank,
                                         const int64_t *shape, const tv_variable_options *options) {
  tv_variable_options o;
  tv_scope scope;
  if (!read_options(options, &o)) return NULL;
  if (tvi_scope_open(&scope)) return given(NULL, &o);
  tv_tensor *const x = tv_tensor_from_memory(data, dtype, rank, shape, NULL);
  tv_variable *const v = x ? made(x, &o) : NULL;
  tvi_scope_close(&scope);
  return given(v, &o);
}

tv_variable *tv_variable_new_from_npy(const char *path, const tv_npy_options *load,
                                      const tv_variable_options *options) {
  tv_variable_options o;
  tv_scope scope;
  if (!read_options(options, &o)) return NULL;
  if (tvi_scope_open(&scope)) return given(NULL, &o);
  tv_tensor *const x = tv_npy_load(path, load);
  tv_variable *const v = x ? made(x, &o) : NULL;
  tvi_scope_close(&scope);
  return given(v, &o);
}

tv_variable *tv_variable_retain(tv_variable *v) {
  if (v) atomic_fetch_add_explicit(&v->count, 1, memory_order_relaxed);
  return v;
}

void tv_variable_release(tv_variable *v) {
  if (!v || atomic_fetch_sub_explicit(&v->count, 1, memory_order_acq_rel) != 1) return;
  if (v->mapped && v->mapped != v->value) tv_release(v->mapped);
  pthread_mutex_destroy(&v->lock);
  pthread_mutex_destroy(&v->swap);
  free_variable(v);
  tvi_count(TVI_LIVE, -1);
}

/* Ask ---------------------------------------------------------------------------------------- */

tv_tensor *tvi_variable_was_read(tv_variable *v, uint64_t version, tv_tensor *snapshot) {
  if (!snapshot) return NULL;
  if (tvi_self.reads && tvi_reads_note(v, version, snapshot)) return NULL;
  if (tvi_is_recording() && tvi_record_read(v, version, snapshot)) return NULL;
  return snapshot;
}

tv_tensor *tv_read(tv_variable *v) {
  if (!v) return tvi_null("read", "variable");
  if (!tvi_scope_is_open("read")) return NULL;
  tv_tensor *snapshot = NULL;
  if (tvi_self.reads && tvi_reads_again(v, &snapshot)) return snapshot;
  if (tvi_variable_lock_to_read("read", v)) return NULL;
  const uint64_t version = atomic_load_explicit(&v->version, memory_order_relaxed);
  if (v->mapping == TVI_MAPPED_EXCLUSIVELY)
    tvi_fail(TV_EBUSY, "read: Variable '%s' is mapped exclusively", v->name);
  else
    snapshot = tvi_tensor_alias(v->value);
  tvi_variable_unlock_to_read(v);
  return tvi_variable_was_read(v, version, tvi_scope_own(snapshot));
}

const char *tv_variable_name(tv_variable *v) { return v ? v->name : NULL; }
tv_dtype tv_variable_dtype(tv_variable *v) { return v ? v->dtype : TV_DTYPE_NONE; }
tv_device tv_variable_device(tv_variable *v) { return v ? v->device : TV_DEVICE_NONE; }
int tv_variable_rank(tv_variable *v) { return v ? v->rank : -1; }
bool tv_variable_is_trainable(tv_variable *v) { return v && v->is_trainable; }
uint64_t tv_variable_version(tv_variable *v) { return v ? atomic_load(&v->version) : 0; }

tv_status tv_variable_shape(tv_variable *v, int64_t *shape) {
  if (!v) return tvi_null_status("variable_shape", "variable");
  if (v->rank && !shape) return tvi_null_status("variable_shape", "shape");
  const tv_status status = tvi_variable_lock_to_read("variable_shape", v);
  if (status) return status;
  if (v->rank) memcpy(shape, v->value->shape, (size_t)v->rank * sizeof *shape);
  tvi_variable_unlock_to_read(v);
  return TV_OK;
}

/* What every write has in common --------------------------------------------------------------- */

tv_status tvi_variable_writable(const char *who, const tv_variable *v) {
  if (v->mapping == TVI_NOT_MAPPED) return TV_OK;
  return tvi_fail_status(TV_EBUSY, "%s: Variable '%s' is mapped", who, v->name);
}

bool tvi_variable_is_alone(const tv_variable *v) {
  return !v->has_concurrent_readers && v->history == 0 && !v->value->storage->is_borrowed &&
         tvi_tensor_is_whole(v->value) && tvi_storage_is_alone(v->value->storage);
}

tv_tensor *tvi_variable_commit(tv_variable *v, tv_tensor *fresh, const char *verb,
                               tv_tensor *n_moved) {
  tvi_swaps_take(1, &v);
  tv_tensor *const given_up = tvi_variable_put(v, fresh, verb, n_moved);
  tvi_swaps_give(1, &v);
  return given_up;
}

tv_tensor *tvi_variable_put(tv_variable *v, tv_tensor *fresh, const char *verb,
                            tv_tensor *n_moved) {
  tv_tensor *const old = v->value, *const moved_before = v->n_moved;
  v->n_moved = n_moved;
  v->value = fresh;
  v->written = tvi_written_by(verb);
  const uint64_t version = atomic_fetch_add(&v->version, 1);
  tv_release(moved_before); /* the library's own bytes: nobody is called back */
  if (old == fresh) return NULL;
  return v->history ? tvi_history_push(v, old, version) : old;
}
