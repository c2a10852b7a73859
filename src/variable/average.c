/* SPDX-License-Identifier: MIT
 * Moving averages. Locks are taken as by optimizers: its own, then those of Variables by rising
 * address. What can fail is done first. */
#include "average.h"

#include <string.h>
#include <tensorvar/ops.h>

#include "memory.h"
#include "optimizer.h"
#include "range.h"
#include "scope.h"
#include "status.h"
#include "tally.h"
#include "thread.h"
#include "together.h"
#include "variable.h"

typedef tvi_averaged member;

/* What becomes of one Variable. */
typedef struct {
  member *of;
  tv_tensor *average, *value; /* the scope's; NULL: stays */
  bool goes_back;             /* the value to what it was */
  tv_tensor *n_moved;         /* by the constraint; retained until committed */
  tv_tensor *old[2];          /* to be released after unlocking */
} change;

tv_average *tv_average_new(const tv_average_options *options) {
  static const char who[] = "average_new";
  tv_average_options o = TV_AVERAGE_OPTIONS;
  if (options) {
    if (!tvi_options_fit(who, options->size, sizeof o)) return NULL;
    memcpy(&o, options, options->size);
  }
  if (!tvi_in_range(who, "decay", o.decay, TVI_FROM_0_TO_1)) return NULL;
  tv_average *const a = tvi_calloc(1, sizeof *a);
  if (!a || !tvi_lock_make(&a->lock)) {
    tvi_free(a);
    return tvi_fail(TV_ENOMEM, "%s: no memory", who);
  }
  atomic_init(&a->count, 1);
  a->options = o;
  tvi_count(TVI_LIVE, 1);
  return a;
}

void tvi_averaged_release(tvi_averaged *members, int n) {
  for (int k = 0; k < n; k++) {
    tv_release(members[k].average);
    tv_release(members[k].own);
    tv_variable_release(members[k].variable);
  }
  tvi_free(members);
}

tv_average *tv_average_retain(tv_average *a) {
  if (a) atomic_fetch_add_explicit(&a->count, 1, memory_order_relaxed);
  return a;
}

void tv_average_release(tv_average *a) {
  if (!a || atomic_fetch_sub_explicit(&a->count, 1, memory_order_acq_rel) != 1) return;
  tvi_averaged_release(a->members, a->n_members);
  pthread_mutex_destroy(&a->lock);
  tvi_free(a);
  tvi_count(TVI_LIVE, -1);
}

static tv_status lock(const char *who, tv_average *a) {
  return tvi_lock_take(who, "the average", &a->lock);
}

int64_t tv_average_updates(tv_average *a) {
  if (!a || lock("average_updates", a)) return 0;
  const int64_t updates = a->updates;
  pthread_mutex_unlock(&a->lock);
  return updates;
}

static member *find(tv_average *a, const tv_variable *variable, int near) {
  if (near < a->n_members && a->members[near].variable == variable) return &a->members[near];
  for (int k = 0; k < a->n_members; k++)
    if (a->members[k].variable == variable) return &a->members[k];
  return NULL;
}

tv_tensor *tv_average_read(tv_average *a, tv_variable *variable) {
  static const char who[] = "average_read";
  if (!a || !variable) return tvi_null(who, a ? "variable" : "average");
  if (!tvi_scope_is_open(who) || lock(who, a)) return NULL;
  const member *const m = find(a, variable, 0);
  tv_tensor *const x = m ? tvi_tensor_alias(m->average) : NULL;
  pthread_mutex_unlock(&a->lock);
  if (!m) return tvi_fail(TV_EVALUE, "%s: Variable '%s' has not been met", who, variable->name);
  tvi_self.paused++;
  tv_tensor *const y = tv_astype(tvi_scope_own(x), variable->dtype);
  tvi_self.paused--;
  return y;
}

/* Update --------------------------------------------------------------------------------------- */

static bool has_room(const char *who, tv_average *a, int n) {
  if (a->n_members + n <= a->room) return true;
  const int room = 2 * (a->n_members + n);
  member *const larger = tvi_realloc(a->members, room * (int64_t)sizeof *larger);
  if (!larger) return tvi_fail(TV_ENOMEM, "%s: no memory for %d averages", who, room);
  a->members = larger;
  a->room = room;
  return true;
}

/* A settled tensor whose bytes no write of the Variable's touches. */
static tv_tensor *own_copy(const char *who, tv_tensor *x, tv_dtype dtype) {
  return tvi_scope_own(tvi_tensor_copy(who, x, dtype, tvi_tensor_on(x)));
}

static bool update_one(const char *who, double decay, tv_variable *v, change *c) {
  tvi_text left, right;
  const tv_dtype inside = tvi_slot_dtype((tvi_slot_kind){NULL, false}, v->dtype);
  if (!tvi_is_inexact(v->dtype))
    return tvi_fail(TV_EDTYPE, "%s: Variable '%s' is %s, of which there is no average", who,
                    v->name, tv_dtype_name(v->dtype));
  tv_tensor *const before = c->of->average;
  if (!before) return (c->average = own_copy(who, v->value, inside)) != NULL;
  if (c->of->own) return tvi_fail(TV_EVALUE, "%s: Variable '%s' is swapped", who, v->name);
  if (!tvi_same_shape(before, v->rank, v->value->shape))
    return tvi_fail(TV_ESHAPE, "%s: Variable '%s' has shape %s, its average %s", who, v->name,
                    tvi_shape_text(&left, v->rank, v->value->shape),
                    tvi_shape_text(&right, before->rank, before->shape));
  tv_tensor *const apart = tv_subtract(before, tv_astype(v->value, inside));
  c->average = tv_subtract(before, tv_multiply(apart, tv_scalar(1 - decay)));
  return c->average && !tv_evaluate(1, &c->average);
}

static bool update_all(const char *who, tv_average *a, int n, tv_variable *const *variables,
                       change *all) {
  double decay = a->options.decay;
  const double early = (1 + (double)a->updates) / (10 + (double)a->updates);
  if (a->options.is_early && early < decay) decay = early;
  for (int k = 0; k < n; k++) {
    all[k].of = find(a, variables[k], k);
    if (!all[k].of) {
      all[k].of = &a->members[a->n_members++];
      *all[k].of = (member){.variable = tv_variable_retain(variables[k])};
    }
    if (!update_one(who, decay, variables[k], &all[k])) return false;
  }
  return true;
}

/* Swap ----------------------------------------------------------------------------------------- */

static bool swap_one(const char *who, tv_average *a, tv_variable *v, int near, change *c) {
  tvi_text left, right;
  c->of = find(a, v, near);
  if (!c->of) return tvi_fail(TV_EVALUE, "%s: Variable '%s' has not been met", who, v->name);
  if (tvi_variable_writable(who, v)) return false;
  c->goes_back = c->of->own != NULL;
  if (c->goes_back) return true;
  tv_tensor *const given = c->of->average;
  if (!tvi_same_shape(given, v->rank, v->value->shape))
    return tvi_fail(TV_ESHAPE, "%s: Variable '%s' has shape %s, its average %s", who, v->name,
                    tvi_shape_text(&left, v->rank, v->value->shape),
                    tvi_shape_text(&right, given->rank, given->shape));
  tv_tensor *const value = tv_astype(given, v->dtype);
  tv_tensor *const held = value
                              ? tvi_scope_own(tvi_constrained(who, &v->constraint, v->name,
                                                              TVI_WRITE, value, NULL, &c->n_moved))
                              : NULL;
  c->value = held ? own_copy(who, held, v->dtype) : NULL;
  return c->value != NULL;
}

/* Both ----------------------------------------------------------------------------------------- */

/* From here on nothing can fail. */
static void commit(const char *who, change *c) {
  member *const m = c->of;
  if (c->average) {
    c->old[0] = m->average;
    m->average = tv_retain(c->average);
  }
  if (c->value) {
    m->own = tv_retain(m->variable->value);
    c->old[1] = tvi_variable_put(m->variable, tv_retain(c->value), who, c->n_moved);
  }
  if (!c->goes_back) return;
  c->old[1] = tvi_variable_put(m->variable, m->own, who, NULL);
  m->own = NULL;
}

static bool change_all(const char *who, bool is_swap, tv_average *a, int n,
                       tv_variable *const *variables, const tvi_together *together, change *all) {
  if (lock(who, a)) return false;
  if (tvi_together_lock(together, who)) {
    pthread_mutex_unlock(&a->lock);
    return false;
  }
  const int known = a->n_members;
  bool is_done = has_room(who, a, n);
  if (!is_swap) is_done = is_done && update_all(who, a, n, variables, all);
  for (int k = 0; k < n && is_done && is_swap; k++)
    is_done = swap_one(who, a, variables[k], k, &all[k]);
  if (is_done) {
    tvi_swaps_take(n, together->sorted);
    for (int k = 0; k < n; k++) commit(who, &all[k]);
    tvi_swaps_give(n, together->sorted);
    a->updates += !is_swap;
  } else {
    for (int k = 0; k < n; k++) tv_release(all[k].n_moved);
    while (a->n_members > known) tv_variable_release(a->members[--a->n_members].variable);
  }
  tvi_together_unlock(together);
  pthread_mutex_unlock(&a->lock);
  for (int k = 0; k < n && is_done; k++) {
    tv_release(all[k].old[0]);
    tv_release(all[k].old[1]);
  }
  return is_done;
}

static tv_status changed(const char *who, bool is_swap, tv_average *a, int n,
                         tv_variable *const *variables) {
  if (!a) return tvi_null_status(who, "average");
  if (n < 0) return tvi_fail_status(TV_EVALUE, "%s: n is %d", who, n);
  if (n && !variables) return tvi_null_status(who, "variables");
  for (int k = 0; k < n; k++)
    if (!variables[k]) return tvi_null_status(who, "a Variable");
  tv_scope scope;
  tv_status status = tvi_scope_open(&scope);
  if (status) return status;
  tvi_together together;
  status = tvi_together_new(&together, who, n, variables);
  if (status) {
    tvi_scope_close(&scope);
    return status;
  }
  change *const all = tvi_calloc(n, sizeof *all);
  tvi_self.paused++;
  if (!all)
    status = tvi_fail_status(TV_ENOMEM, "%s: no memory for %d Variables", who, n);
  else if (!change_all(who, is_swap, a, n, variables, &together, all))
    status = tvi_failure();
  tvi_self.paused--;
  tvi_free(all);
  tvi_together_free(&together);
  tvi_scope_close(&scope);
  return status;
}

tv_status tv_average_update(tv_average *a, int n, tv_variable *const *variables) {
  return changed("average_update", false, a, n, variables);
}

tv_status tv_average_swap(tv_average *a, int n, tv_variable *const *variables) {
  return changed("average_swap", true, a, n, variables);
}
