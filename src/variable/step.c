/* SPDX-License-Identifier: MIT
 * A step of an optimizer. It holds the locks of all its Variables (in the order of their addresses,
 * so that two steps cannot wait for each other), prepares every new value and slot, and commits
 * them when nothing can fail any more. They are made by the formulas of method.c, or on a device
 * with the slot `optimize` by one call for all its Variables of a group, with the same bits.
 *
 * The CPU's slot does not fail. So what it does without a constraint comes last, when all else is
 * ready, and then writes in place what nobody else holds: moments, and values without a snapshot.
 *
 * A gradient that is rows (rows.h) is applied without its zeros: the touched rows of the value and
 * of the slots are taken out, updated by themselves, and put where they were, into what a gradient
 * of 0 makes of the rest: nothing, where the method is local or lazy. Formulas are elementwise, so
 * that the bits are those of the dense gradient. A constraint that looks at each row by itself is
 * brought to the few touched rows before they are put, so that they too may be put in place. */
#include <math.h>
#include <tensorvar/index.h>
#include <tensorvar/ops.h>
#include <tensorvar/shape.h>

#include "create.h"
#include "deferred.h"
#include "device.h"
#include "guard.h"
#include "memory.h"
#include "optimizer.h"
#include "rows.h"
#include "scaler.h"
#include "scope.h"
#include "status.h"
#include "stream.h"
#include "thread.h"
#include "together.h"
#include "treatment.h"
#include "variable.h"

static const char who[] = "optimizer_step";

/* What a step makes of one Variable, all of it the step's scope's until committed. */
typedef struct {
  tv_variable *variable;
  tvi_member *member;
  tvi_settings with; /* with its group's decays */
  double rate;
  tv_tensor *value, *slot[TVI_MOST_SLOTS];
  tv_tensor *n_moved;       /* by the constraint; retained until committed */
  tv_optimize_tensor fused; /* what the device's slot is told; dtype TV_DTYPE_NONE: nothing */
  bool is_late;             /* runs last, when nothing else can fail */
  /* Of rows: which, settled and rising, and what becomes of them; NULL: not of rows. */
  tv_tensor *touched, *rows, *rows_of_slot[TVI_MOST_SLOTS];
  bool is_rest_kept; /* the other rows stay as they are */
  bool is_held;      /* the rows have been through the constraint */
} prepared;

static bool fits(const tv_variable *v, tv_tensor *g) {
  tvi_text left, right;
  if (!tvi_is_inexact(v->dtype))
    return tvi_fail(TV_EDTYPE, "%s: Variable '%s' is %s, expected floating or complex", who,
                    v->name, tv_dtype_name(v->dtype));
  if (g->dtype != v->dtype)
    return tvi_fail(TV_EDTYPE, "%s: Variable '%s' is %s, its gradient %s", who, v->name,
                    tv_dtype_name(v->dtype), tv_dtype_name(g->dtype));
  if (!tvi_same_shape(g, v->rank, v->value->shape))
    return tvi_fail(TV_ESHAPE, "%s: Variable '%s' has shape %s, its gradient %s", who, v->name,
                    tvi_shape_text(&left, v->rank, v->value->shape),
                    tvi_shape_text(&right, g->rank, g->shape));
  if (tvi_tensor_on(g) != v->device)
    return tvi_fail(TV_EDEVICE, "%s: Variable '%s' and its gradient are on different devices", who,
                    v->name);
  return !tvi_variable_writable(who, v);
}

/* By public ops ---------------------------------------------------------------------------------
 */

/* What becomes of w and of slots, all or some of their rows. Slots before values, which read them:
 * what is stored is not computed again. */
static tv_tensor *updated(const tv_optimizer *o, const prepared *p, tv_tensor *w, tv_tensor *g,
                          tv_tensor *const *before, tv_tensor **after) {
  const tv_dtype inside = tvi_slot_dtype((tvi_slot_kind){NULL, false}, p->variable->dtype);
  tvi_update u = {.with = &p->with, .rate = p->rate, .t = p->member->steps + 1};
  for (int j = 0; j < o->n_slots; j++) u.before[j] = before[j];
  w = tv_astype(w, inside);
  g = tv_astype(g, inside);
  tv_tensor *const y = w && g ? tvi_method_update(o->method, &u, w, g) : NULL;
  tv_tensor *const value = y ? tv_astype(y, p->variable->dtype) : NULL;
  if (!value || tv_evaluate(o->n_slots, u.after) || tv_evaluate(1, &value)) return NULL;
  for (int j = 0; j < o->n_slots; j++) after[j] = u.after[j];
  return value;
}

static tv_tensor *composed(const tv_optimizer *o, prepared *p, tv_tensor *g) {
  return updated(o, p, p->variable->value, g, p->member->slot, p->slot);
}

/* By the device's slot --------------------------------------------------------------------------
 */

/* Whether a slot that knows no more than what there was first can do it. */
static bool is_plain(const tv_optimizer *o, const tvi_settings *with) {
  return o->method->fused <= TV_OPTIMIZE_ADAM && with->dampening == 0 &&
         with->rate_in_momentum == 0 && with->epsilon_inside == 0 && with->amsgrad == 0 &&
         with->weight_decay == 0 && with->decoupled_decay == 0 && with->maximize == 0;
}

static bool takes_more(const tv_optimizer *o, const prepared *p) {
  const tv_backend *const backend = &tvi_device_at(p->variable->device)->backend;
  return backend->optimize && backend->more_steps >> (int)o->method->fused & 1;
}

static bool is_fused(const tv_optimizer *o, const prepared *p) {
  return takes_more(o, p) ||
         (tvi_device_at(p->variable->device)->backend.optimize && is_plain(o, &p->with));
}

/* x in C order, ready to be read by the thread's stream; the step's scope's. */
static const void *input(tv_tensor *x, bool *is_done) {
  tv_tensor *const y = tvi_scope_own(tvi_tensor_compact(who, x));
  if (!y || tvi_stream_reads(y)) *is_done = false;
  return y ? y->data : NULL;
}

static tv_tensor *output(const tv_variable *v, tv_dtype dtype) {
  return tvi_scope_own(tvi_tensor_new(who, v->device, dtype, v->rank, v->value->shape));
}

/* Whether nobody else holds a slot's bytes. */
static bool is_own(tv_tensor *x) {
  return atomic_load_explicit(&x->count, memory_order_acquire) == 1 && tvi_tensor_is_whole(x) &&
         !x->storage->is_borrowed && tvi_storage_is_alone(x->storage);
}

/* Room for what the slot will write. */
static tv_tensor *planned(const tv_optimizer *o, prepared *p, tv_tensor *g) {
  const tv_variable *const v = p->variable;
  bool is_done = true;
  tv_optimize_tensor *const t = &p->fused;
  p->is_late = v->device == TV_CPU && v->constraint.kind == TV_CONSTRAINT_NONE;
  const bool is_in_place = p->is_late && tvi_variable_is_alone(v);
  t->n = v->value->size;
  t->value = is_in_place ? v->value->data : input(v->value, &is_done);
  t->gradient = g ? input(g, &is_done) : NULL;
  for (int j = 0; j < o->n_slots; j++) {
    tv_tensor *const before = p->member->slot[j];
    const bool stays = before && p->is_late && is_own(before);
    if (before) t->slot[j] = stays ? before->data : input(before, &is_done);
    p->slot[j] = stays ? before : output(v, tvi_slot_dtype(o->slots[j], v->dtype));
    if (!p->slot[j]) return NULL;
    t->slot_out[j] = p->slot[j]->data;
  }
  tv_tensor *const y = !is_done ? NULL : is_in_place ? v->value : output(v, v->dtype);
  if (!y) return NULL;
  t->value_out = y->data;
  const double steps = (double)(p->member->steps + 1);
  if (o->method->fused == TV_OPTIMIZE_ADAM) {
    t->unbias1 = 1 - pow(o->with.beta1, steps);
    t->unbias2 = 1 - pow(o->with.beta2, steps);
  } else {
    t->unbias1 = 1 + (steps - 1) * o->with.rate_decay;
  }
  t->dtype = v->dtype;
  return y;
}

static bool is_one_group(const prepared *p, const prepared *q) {
  return p->variable->device == q->variable->device && p->is_late == q->is_late &&
         p->rate == q->rate && p->with.weight_decay == q->with.weight_decay &&
         p->with.decoupled_decay == q->with.decoupled_decay &&
         !p->fused.gradient == !q->fused.gradient;
}

/* Run the slot for `first` and for all Variables that it may take together with it. `tensors` has
 * room for n. */
static tv_status run(const tv_optimizer *o, const prepared *first, int n, prepared *all,
                     tv_optimize_tensor *tensors) {
  const tvi_settings *const with = &first->with;
  const tv_device device = first->variable->device;
  tv_optimize job = {.kind = o->method->fused,
                     .learning_rate = first->rate,
                     .momentum = with->momentum,
                     .nesterov = with->nesterov != 0,
                     .beta1 = with->beta1,
                     .beta2 = with->beta2,
                     .epsilon = with->epsilon,
                     .tensors = tensors,
                     .is_plain = first->fused.gradient && is_plain(o, with),
                     .dampening = with->dampening,
                     .rate_in_momentum = with->rate_in_momentum != 0,
                     .epsilon_inside = with->epsilon_inside != 0,
                     .decay = with->decay,
                     .initial = with->initial,
                     .centered = with->centered != 0,
                     .amsgrad = with->amsgrad != 0,
                     .weight_decay = with->weight_decay,
                     .decoupled_decay = with->decoupled_decay,
                     .maximize = with->maximize != 0};
  for (prepared *p = all; p < all + n; p++) {
    if (p->fused.dtype == TV_DTYPE_NONE || !is_one_group(p, first)) continue;
    if (p->fused.n) tensors[job.n++] = p->fused;
    p->fused.dtype = TV_DTYPE_NONE; /* done */
  }
  if (job.n == 0) return TV_OK;
  return TVI_CALL(tvi_device_at(device), optimize, who, tensors[0].dtype, &job,
                  tvi_stream_now(device));
}

static bool run_all(const tv_optimizer *o, bool is_late, int n, prepared *all,
                    tv_optimize_tensor *tensors) {
  for (int k = 0; k < n; k++)
    if (all[k].fused.dtype != TV_DTYPE_NONE && all[k].is_late == is_late &&
        run(o, &all[k], n, all, tensors))
      return false;
  return true;
}

/* Of rows ---------------------------------------------------------------------------------------
 */

/* Whether what has no gradient stays as it is. */
static bool is_local(const tv_optimizer *o, const prepared *p) {
  if (p->with.lazy != 0) return true;
  return p->with.weight_decay == 0 && p->with.decoupled_decay == 0 && o->method->is_local &&
         o->method->is_local(&p->with);
}

/* Of a small table, or where rows are no fewer than half of all, they cost more than the dense
 * gradient. What a lazy step touches, and what a constraint then looks at, does not depend on that.
 */
static bool is_of_rows(const tv_optimizer *o, const prepared *p, tv_tensor *g) {
  if (!g->rows || g->size == 0) return false;
  if (p->with.lazy != 0) return true;
  const tv_constraint *const c = &p->variable->constraint;
  if (c->kind != TV_CONSTRAINT_NONE && c->policy == TV_ON_STEP && is_local(o, p)) return true;
  return tvi_is_large(g->size * tv_dtype_size(g->dtype)) &&
         g->rows->indices->size < g->shape[0] / 2;
}

/* The touched rows by themselves. */
static bool update_rows(const tv_optimizer *o, prepared *p, tv_tensor *g) {
  tv_tensor *const summed = tvi_rows_summed(who, g);
  if (!summed) return false;
  tv_tensor *before[TVI_MOST_SLOTS] = {NULL};
  p->touched = summed->rows->indices;
  for (int j = 0; j < o->n_slots; j++)
    if (p->member->slot[j] && !(before[j] = tv_take(p->member->slot[j], p->touched, 0)))
      return false;
  tv_tensor *const w = tv_take(p->variable->value, p->touched, 0);
  p->rows = w ? updated(o, p, w, summed->rows->values, before, p->rows_of_slot) : NULL;
  return p->rows != NULL;
}

/* Slot j as before the first step. */
static tv_tensor *first_slot(const tv_optimizer *o, const tv_variable *v, int j) {
  const double first = o->method->first ? o->method->first(&o->with, j) : 0;
  const tv_dtype dtype = tvi_slot_dtype(o->slots[j], v->dtype);
  if (first == 0) return tvi_scope_own(tvi_zeros(who, v->device, dtype, v->rank, v->value->shape));
  const tv_device current = tvi_self.device;
  tvi_self.device = v->device;
  tv_tensor *const y = tv_full(dtype, v->rank, v->value->shape, tv_scalar(first));
  tvi_self.device = current;
  return y;
}

static tv_tensor *copied(tv_tensor *x) {
  return tvi_scope_own(tvi_tensor_copy(who, x, x->dtype, x->device));
}

/* Bring the touched rows to the constraint, if it asks of them no more than that: of many rows it
 * has always looked at the whole value. */
static bool hold_rows(prepared *p) {
  const tv_variable *const v = p->variable;
  const bool is_none = v->constraint.kind == TV_CONSTRAINT_NONE;
  if (!is_none && (2 * p->touched->size > v->value->shape[0] ||
                   !tvi_constraint_is_by_row(&v->constraint, v->rank)))
    return true;
  p->is_held = true;
  if (is_none) return true;
  tv_tensor *const held = tvi_scope_own(tvi_constrained_rows(who, &v->constraint, v->name, TVI_STEP,
                                                             p->rows, p->touched, &p->n_moved));
  p->rows = held ? tvi_scope_own(tvi_value_of(who, held, v->dtype, v->device)) : NULL;
  return p->rows != NULL;
}

/* What the rows are put into, where the rest stays as it is: in place where that may be. */
static tv_tensor *kept(const tv_optimizer *o, prepared *p) {
  const tv_variable *const v = p->variable;
  if (!hold_rows(p)) return NULL;
  p->is_rest_kept = true;
  p->is_late = v->device == TV_CPU && p->is_held;
  for (int j = 0; j < o->n_slots; j++) {
    tv_tensor *const before = p->member->slot[j];
    const bool stays = before && p->is_late && is_own(before);
    const bool is_copied = v->device != TV_CPU; /* when rows are put into it */
    p->slot[j] = stays || (before && is_copied) ? before
                 : before                       ? copied(before)
                                                : first_slot(o, v, j);
    if (!p->slot[j]) return NULL;
  }
  return p->is_late && tvi_variable_is_alone(v) ? v->value : copied(v->value);
}

/* One zero, shown in the shape of the Variable. */
static tv_tensor *no_gradient(const tv_variable *v) {
  tv_tensor *const zero = tvi_scope_own(tvi_zeros(who, v->device, v->dtype, 0, NULL));
  return zero ? tv_broadcast_to(zero, v->rank, v->value->shape) : NULL;
}

static tv_tensor *prepared_rows(const tv_optimizer *o, prepared *p, tv_tensor *g) {
  if (!update_rows(o, p, g)) return NULL;
  if (is_local(o, p)) return kept(o, p);
  if (takes_more(o, p)) return planned(o, p, NULL);
  tv_tensor *const zeros = no_gradient(p->variable);
  return zeros ? composed(o, p, zeros) : NULL;
}

/* Rows go where they were, in those Variables that are late, or not. On the CPU this cannot fail.
 */
static bool put_rows(const tv_optimizer *o, bool is_late, int n, prepared *all) {
  for (prepared *p = all; p < all + n; p++) {
    if (!p->touched || p->is_late != is_late) continue;
    p->value = tvi_rows_put(who, p->value, p->touched, p->rows);
    if (!p->value) return false;
    for (int j = 0; j < o->n_slots; j++) {
      p->slot[j] = tvi_rows_put(who, p->slot[j], p->touched, p->rows_of_slot[j]);
      if (!p->slot[j]) return false;
    }
  }
  return true;
}

/* All of a step --------------------------------------------------------------------------------
 */

/* p->value is what the step makes of the Variable, or will when the devices' slots have run. */
static bool prepare(const tv_optimizer *o, double rate, prepared *p, tv_tensor *g) {
  p->fused.dtype = TV_DTYPE_NONE;
  p->with = o->with;
  p->with.weight_decay = p->member->weight_decay;
  p->with.decoupled_decay = p->member->decoupled_decay;
  p->rate = rate * p->member->rate_factor;
  p->value = is_of_rows(o, p, g)                                ? prepared_rows(o, p, g)
             : is_fused(o, p) && g->dtype == p->variable->dtype ? planned(o, p, g)
                                                                : composed(o, p, g);
  return p->value != NULL;
}

/* The value as its Variable can have it. */
static bool hold(prepared *p) {
  const tv_variable *const v = p->variable;
  if (p->value == v->value) return true; /* in place */
  tv_tensor *const rows = p->is_rest_kept ? p->touched : NULL;
  tv_tensor *const held =
      p->is_held ? p->value
                 : tvi_scope_own(tvi_constrained(who, &v->constraint, v->name, TVI_STEP, p->value,
                                                 rows, &p->n_moved));
  p->value = held ? tvi_scope_own(tvi_value_of(who, held, v->dtype, v->device)) : NULL;
  return p->value != NULL;
}

/* From here on nothing can fail. Old values are left in p, to be released after unlocking. */
static void commit(prepared *p) {
  const bool is_in_place = p->value == p->variable->value;
  tv_tensor *const old =
      tvi_variable_put(p->variable, is_in_place ? p->value : tv_retain(p->value), who, p->n_moved);
  for (int j = 0; j < TVI_MOST_SLOTS; j++) {
    tv_tensor *const before = p->member->slot[j];
    if (before != p->slot[j]) p->member->slot[j] = tv_retain(p->slot[j]);
    p->slot[j] = before == p->slot[j] ? NULL : before;
  }
  p->value = old;
  p->member->steps++;
}

static void release_old(prepared *p) {
  tv_release(p->value);
  for (int j = 0; j < TVI_MOST_SLOTS; j++) tv_release(p->slot[j]);
}

/* `treated` is what is applied of gradients that fit. */
static bool step(tv_optimizer *o, int n, tv_variable *const *variables, tv_tensor *const *gradients,
                 tv_tensor *const *treated, const tvi_together *together, prepared *all,
                 tv_optimize_tensor *tensors) {
  if (tvi_optimizer_lock(who, o)) return false;
  if (tvi_together_lock(together, who)) {
    tvi_optimizer_unlock(o);
    return false;
  }
  double rate;
  bool is_done = !tvi_optimizer_rate(o, &rate) && !tvi_optimizer_reserve(o, n);
  const int known = o->n_members;
  for (int k = 0; k < n && is_done; k++) {
    all[k] =
        (prepared){.variable = variables[k], .member = tvi_optimizer_member(o, variables[k], k)};
    is_done = fits(variables[k], gradients[k]) && prepare(o, rate, &all[k], treated[k]);
  }
  is_done = is_done && run_all(o, false, n, all, tensors) && put_rows(o, false, n, all);
  for (int k = 0; k < n && is_done; k++) is_done = hold(&all[k]);
  is_done = is_done && run_all(o, true, n, all, tensors) && put_rows(o, true, n, all);
  if (is_done) {
    tvi_swaps_take(n, together->sorted);
    for (int k = 0; k < n; k++) commit(&all[k]);
    tvi_swaps_give(n, together->sorted);
    o->steps++;
  } else {
    for (int k = 0; k < n; k++) tv_release(all[k].n_moved);
    while (o->n_members > known) tv_variable_release(o->members[--o->n_members].variable);
  }
  tvi_together_unlock(together);
  tvi_optimizer_unlock(o);
  for (int k = 0; k < n && is_done; k++) release_old(&all[k]);
  return is_done;
}

tv_status tv_optimizer_step_with(tv_optimizer *o, int n, tv_variable *const *variables,
                                 tv_tensor *const *gradients, const tv_step_options *options) {
  tv_step_options with;
  if (!o) return tvi_null_status(who, "optimizer");
  if (n < 0) return tvi_fail_status(TV_EVALUE, "%s: n is %d", who, n);
  if (n && (!variables || !gradients))
    return tvi_null_status(who, variables ? "gradients" : "variables");
  for (int k = 0; k < n; k++)
    if (!variables[k] || !gradients[k])
      return tvi_null_status(who, variables[k] ? "a gradient" : "a Variable");
  tv_scope scope;
  tv_status status = tvi_treatment_of(who, options, &with);
  if (!status) status = tvi_scope_open(&scope);
  if (status) return status;
  bool is_finite = true;
  tvi_together together;
  status = tvi_together_new(&together, who, n, variables);
  if (status) {
    tvi_scope_close(&scope);
    return status;
  }
  tv_tensor **const treated = tvi_calloc(n, sizeof *treated);
  prepared *const all = tvi_calloc(n, sizeof *all);
  tv_optimize_tensor *const tensors = tvi_calloc(n, sizeof *tensors);
  tvi_self.paused++;
  if (treated && all && tensors) {
    for (int k = 0; k < n && !status; k++)
      if (!(treated[k] = tvi_unguarded(who, gradients[k]))) status = tvi_failure();
    if (!status) status = tvi_treated(who, &with, n, treated, &is_finite);
    if (!status && is_finite && !step(o, n, variables, gradients, treated, &together, all, tensors))
      status = tvi_failure();
  } else {
    status = tvi_fail_status(TV_ENOMEM, "%s: no memory for %d Variables", who, n);
  }
  tvi_self.paused--;
  tvi_free(tensors);
  tvi_free(all);
  tvi_free(treated);
  tvi_together_free(&together);
  tvi_scope_close(&scope);
  tv_site_set(NULL, 0);
  if (status) return status;
  if (with.scaler) tvi_scaler_update(with.scaler, is_finite);
  if (with.is_skipped) *with.is_skipped = !is_finite;
  return TV_OK;
}

tv_status tv_optimizer_step(tv_optimizer *o, int n, tv_variable *const *variables,
                            tv_tensor *const *gradients) {
  return tv_optimizer_step_with(o, n, variables, gradients, NULL);
}
