/* SPDX-License-Identifier: MIT
 * Optimizers. A step holds the locks of all its Variables (in the order of their addresses, so that
 * two steps cannot wait for each other), prepares every new value and slot, and commits them when
 * nothing can fail any more. They are made by public ops, or on a device with the slot `optimize`
 * by one call for all its Variables, with the same bits.
 *
 * The CPU's slot does not fail. So what it does without a constraint comes last, when all else is
 * ready, and then writes in place what nobody else holds: moments, and values without a snapshot.
 */
#include <tensorvar/optimizer.h>

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <tensorvar/ops.h>
#include <tensorvar/reduce.h>

#include "device.h"
#include "memory.h"
#include "scope.h"
#include "status.h"
#include "stream.h"
#include "tally.h"
#include "thread.h"
#include "variable.h"

/* What an optimizer keeps of one Variable: momentum, or the two moments. */
typedef struct {
  tv_variable *variable; /* retained */
  tv_tensor *moment[2];  /* retained; NULL before the first step */
  int64_t steps;
} slot;

struct tv_optimizer {
  _Atomic int64_t count;
  enum { SGD, ADAM } kind;
  union {
    tv_sgd_options sgd;
    tv_adam_options adam;
  } options;
  pthread_mutex_t lock; /* guards what follows */
  double learning_rate;
  int64_t steps;
  slot *slots;
  int n_slots, slots_room;
};

/* Make --------------------------------------------------------------------------------------- */

static bool is_rate(double x) { return isfinite(x) && x >= 0; }
static bool is_decay(double x) { return x >= 0 && x < 1; }

static tv_optimizer *optimizer_new(const char *who, double learning_rate) {
  tv_optimizer *const o = tvi_calloc(1, sizeof *o);
  if (!o || pthread_mutex_init(&o->lock, NULL)) {
    tvi_free(o);
    return tvi_fail(TV_ENOMEM, "%s: no memory", who);
  }
  atomic_init(&o->count, 1);
  o->learning_rate = learning_rate;
  tvi_count(TVI_LIVE, 1);
  return o;
}

tv_optimizer *tv_sgd_new(const tv_sgd_options *options) {
  const tv_sgd_options defaults = TV_SGD_OPTIONS;
  const tv_sgd_options *const given = options ? options : &defaults;
  if (!tvi_options_fit("sgd_new", given->size, sizeof *given)) return NULL;
  if (!is_rate(given->learning_rate))
    return tvi_fail(TV_EVALUE, "sgd_new: learning_rate is negative or not finite");
  if (!is_decay(given->momentum)) return tvi_fail(TV_EVALUE, "sgd_new: momentum is not in [0, 1)");
  tv_optimizer *const o = optimizer_new("sgd_new", given->learning_rate);
  if (o) {
    o->kind = SGD;
    o->options.sgd = *given;
  }
  return o;
}

tv_optimizer *tv_adam_new(const tv_adam_options *options) {
  const tv_adam_options defaults = TV_ADAM_OPTIONS;
  const tv_adam_options *const given = options ? options : &defaults;
  if (!tvi_options_fit("adam_new", given->size, sizeof *given)) return NULL;
  if (!is_rate(given->learning_rate))
    return tvi_fail(TV_EVALUE, "adam_new: learning_rate is negative or not finite");
  if (!is_decay(given->beta1) || !is_decay(given->beta2))
    return tvi_fail(TV_EVALUE, "adam_new: beta1 or beta2 is not in [0, 1)");
  if (!is_rate(given->epsilon))
    return tvi_fail(TV_EVALUE, "adam_new: epsilon is negative or not finite");
  tv_optimizer *const o = optimizer_new("adam_new", given->learning_rate);
  if (o) {
    o->kind = ADAM;
    o->options.adam = *given;
  }
  return o;
}

tv_optimizer *tv_optimizer_retain(tv_optimizer *o) {
  if (o) atomic_fetch_add_explicit(&o->count, 1, memory_order_relaxed);
  return o;
}

void tv_optimizer_release(tv_optimizer *o) {
  if (!o || atomic_fetch_sub_explicit(&o->count, 1, memory_order_acq_rel) != 1) return;
  for (int k = 0; k < o->n_slots; k++) {
    for (int j = 0; j < 2; j++) tv_release(o->slots[k].moment[j]);
    tv_variable_release(o->slots[k].variable);
  }
  tvi_free(o->slots);
  pthread_mutex_destroy(&o->lock);
  tvi_free(o);
  tvi_count(TVI_LIVE, -1);
}

/* Ask and change ------------------------------------------------------------------------------ */

int64_t tv_optimizer_steps(tv_optimizer *o) {
  if (!o) return 0;
  pthread_mutex_lock(&o->lock);
  const int64_t steps = o->steps;
  pthread_mutex_unlock(&o->lock);
  return steps;
}

double tv_optimizer_learning_rate(tv_optimizer *o) {
  if (!o) return 0;
  pthread_mutex_lock(&o->lock);
  const double rate = o->learning_rate;
  pthread_mutex_unlock(&o->lock);
  return rate;
}

tv_status tv_optimizer_set_learning_rate(tv_optimizer *o, double rate) {
  if (!o) return tvi_null_status("optimizer_set_learning_rate", "optimizer");
  if (!is_rate(rate))
    return tvi_fail_status(TV_EVALUE,
                           "optimizer_set_learning_rate: rate is negative or not finite");
  pthread_mutex_lock(&o->lock);
  o->learning_rate = rate;
  pthread_mutex_unlock(&o->lock);
  return TV_OK;
}

/* Step --------------------------------------------------------------------------------------- */

static const char who[] = "optimizer_step";

/* What a step makes of one Variable, all of it the step's scope's until committed. */
typedef struct {
  tv_variable *variable;
  slot *slot;
  tv_tensor *value, *moment[2];
  tv_tensor *n_moved;       /* by the constraint; retained until committed */
  tv_optimize_tensor fused; /* what the device's slot is told; dtype TV_DTYPE_NONE: nothing */
  bool is_late;             /* runs last, when nothing else can fail */
} prepared;

/* f16 and bf16 are too coarse to gather small steps in. */
static tv_dtype dtype_of_slots(tv_dtype dtype) {
  return dtype == TV_F16 || dtype == TV_BF16 ? TV_F32 : dtype;
}

static tv_dtype dtype_of_parts(tv_dtype dtype) {
  return dtype == TV_C64 ? TV_F32 : dtype == TV_C128 ? TV_F64 : dtype;
}

static tv_tensor *scaled(tv_tensor *x, double by) { return tv_multiply(x, tv_scalar(by)); }

/* x as elements of another dtype of so many. */
static tv_tensor *seen_as(tv_tensor *x, tv_dtype dtype, int rank, const int64_t *shape) {
  tv_tensor *const y = x ? tvi_scope_own(tvi_tensor_compact(who, x)) : NULL;
  return y ? tvi_scope_own(tvi_tensor_view(y->storage, y->data, dtype, rank, shape, NULL)) : NULL;
}

/* What flush.h does. */
static tv_tensor *flushed(tv_tensor *x) {
  if (!x) return NULL;
  const tv_dtype part = dtype_of_parts(x->dtype);
  tv_tensor *const parts = part == x->dtype ? x : seen_as(x, part, 1, &(int64_t){2 * x->size});
  tv_tensor *const is_small =
      tv_less(tv_abs(parts), tv_scalar(part == TV_F64 ? DBL_MIN : (double)FLT_MIN));
  tv_tensor *const y = tv_where(is_small, tv_scalar(0), parts);
  return part == x->dtype ? y : seen_as(y, x->dtype, x->rank, x->shape);
}

/* b = momentum b + g, first b = g, flushed; w -= rate b, or with nesterov w -= rate (g + momentum
 * b). */
static tv_tensor *sgd(const tv_optimizer *o, prepared *p, tv_tensor *w, tv_tensor *g) {
  const double momentum = o->options.sgd.momentum;
  if (momentum != 0) {
    tv_tensor *const before = p->slot->moment[0];
    tv_tensor *const b = flushed(before ? tv_add(scaled(before, momentum), g) : g);
    p->moment[0] = b;
    g = o->options.sgd.nesterov ? tv_add(g, scaled(b, momentum)) : b;
  }
  return tv_subtract(w, scaled(g, o->learning_rate));
}

/* Kingma and Ba (2015), epsilon outside the root as in PyTorch. Powers of beta in double. */
static tv_tensor *adam(const tv_optimizer *o, prepared *p, tv_tensor *w, tv_tensor *g) {
  const tv_adam_options *const a = &o->options.adam;
  const double t = (double)(p->slot->steps + 1);
  const double unbias1 = 1 - pow(a->beta1, t), unbias2 = 1 - pow(a->beta2, t);
  tv_tensor *const *const before = p->slot->moment;
  tv_tensor *m = scaled(g, 1 - a->beta1), *v = scaled(tv_square(tv_abs(g)), 1 - a->beta2);
  if (before[0]) {
    m = tv_add(scaled(before[0], a->beta1), m);
    v = tv_add(scaled(before[1], a->beta2), v);
  }
  p->moment[0] = m = flushed(m);
  p->moment[1] = v = flushed(v);
  tv_tensor *const divisor =
      tv_add(tv_divide(tv_sqrt(v), tv_scalar(sqrt(unbias2))), tv_scalar(a->epsilon));
  return tv_subtract(w, scaled(tv_divide(m, divisor), o->learning_rate / unbias1));
}

static bool fits(const tv_variable *v, tv_tensor *g) {
  tvi_text left, right;
  if (!tvi_is_inexact(v->dtype) || g->dtype != v->dtype)
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

/* By public ops. */
static tv_tensor *composed(const tv_optimizer *o, prepared *p, tv_tensor *g) {
  tv_variable *const v = p->variable;
  const tv_dtype inside = dtype_of_slots(v->dtype);
  tv_tensor *const w = tv_astype(v->value, inside);
  g = tv_astype(g, inside);
  return tv_astype(o->kind == SGD ? sgd(o, p, w, g) : adam(o, p, w, g), v->dtype);
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

/* Whether nobody else holds a moment's bytes. */
static bool is_own(tv_tensor *x) {
  return atomic_load_explicit(&x->count, memory_order_acquire) == 1 && tvi_tensor_is_whole(x) &&
         tvi_storage_is_alone(x->storage);
}

/* For the device's slot: room for what it will write. */
static tv_tensor *planned(const tv_optimizer *o, prepared *p, tv_tensor *g) {
  const tv_variable *const v = p->variable;
  const tv_dtype inside = dtype_of_slots(v->dtype);
  const tv_dtype part = dtype_of_parts(inside);
  const int n_slots = o->kind == ADAM ? 2 : o->options.sgd.momentum != 0;
  bool is_done = true;
  tv_optimize_tensor *const t = &p->fused;
  p->is_late = v->device == TV_CPU && v->constraint.kind == TV_CONSTRAINT_NONE;
  const bool is_in_place = p->is_late && tvi_variable_is_alone(v);
  t->n = v->value->size;
  t->value = is_in_place ? v->value->data : input(v->value, &is_done);
  t->gradient = input(g, &is_done);
  for (int j = 0; j < n_slots; j++) {
    tv_tensor *const before = p->slot->moment[j];
    const bool stays = before && p->is_late && is_own(before);
    if (before) t->slot[j] = stays ? before->data : input(before, &is_done);
    p->moment[j] = stays ? before : output(v, j ? part : inside);
    if (!p->moment[j]) return NULL;
    t->slot_out[j] = p->moment[j]->data;
  }
  tv_tensor *const y = !is_done ? NULL : is_in_place ? v->value : output(v, v->dtype);
  if (!y) return NULL;
  t->value_out = y->data;
  if (o->kind == ADAM) {
    const double steps = (double)(p->slot->steps + 1);
    t->unbias1 = 1 - pow(o->options.adam.beta1, steps);
    t->unbias2 = 1 - pow(o->options.adam.beta2, steps);
  }
  t->dtype = v->dtype;
  return y;
}

/* p->value is what the step makes of the Variable, or will when the devices' slots have run. */
static bool prepare(const tv_optimizer *o, prepared *p, tv_tensor *g) {
  p->fused.dtype = TV_DTYPE_NONE;
  if (!fits(p->variable, g)) return false;
  const bool is_fused = tvi_device_at(p->variable->device)->backend.optimize != NULL;
  p->value = is_fused ? planned(o, p, g) : composed(o, p, g);
  return p->value != NULL;
}

/* Run the slot of a device for all of its Variables that are late, or not. `tensors` has room for
 * n. */
static tv_status run(const tv_optimizer *o, tv_device device, bool is_late, int n, prepared *all,
                     tv_optimize_tensor *tensors) {
  tv_optimize job = {.kind = o->kind == SGD ? TV_OPTIMIZE_SGD : TV_OPTIMIZE_ADAM,
                     .learning_rate = o->learning_rate,
                     .tensors = tensors};
  if (o->kind == SGD) {
    job.momentum = o->options.sgd.momentum;
    job.nesterov = o->options.sgd.nesterov;
  } else {
    job.beta1 = o->options.adam.beta1;
    job.beta2 = o->options.adam.beta2;
    job.epsilon = o->options.adam.epsilon;
  }
  for (int k = 0; k < n; k++) {
    prepared *const p = &all[k];
    if (p->fused.dtype == TV_DTYPE_NONE || p->variable->device != device || p->is_late != is_late)
      continue;
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
        run(o, all[k].variable->device, is_late, n, all, tensors))
      return false;
  return true;
}

/* The value as its Variable can have it. */
static bool hold(prepared *p) {
  const tv_variable *const v = p->variable;
  if (p->value == v->value) return true; /* in place */
  tv_tensor *const held = tvi_scope_own(
      tvi_constrained(who, &v->constraint, v->name, TVI_STEP, p->value, NULL, &p->n_moved));
  p->value = held ? tvi_scope_own(tvi_value_of(who, held, v->dtype, v->device)) : NULL;
  return p->value != NULL;
}

/* The slot of a Variable, made if it is new: room is there. */
static slot *slot_of(tv_optimizer *o, tv_variable *variable) {
  for (int k = 0; k < o->n_slots; k++)
    if (o->slots[k].variable == variable) return &o->slots[k];
  o->slots[o->n_slots] = (slot){.variable = tv_variable_retain(variable)};
  return &o->slots[o->n_slots++];
}

static bool has_room(tv_optimizer *o, int n) {
  if (o->n_slots + n <= o->slots_room) return true;
  const int room = 2 * (o->n_slots + n);
  slot *const larger = tvi_realloc(o->slots, room * (int64_t)sizeof *larger);
  if (!larger) return tvi_fail(TV_ENOMEM, "%s: no memory for %d slots", who, room);
  o->slots = larger;
  o->slots_room = room;
  return true;
}

/* Insertion sort by address: the order in which locks are taken. A Variable given twice is refused.
 */
static bool sort_by_address(int n, tv_variable *const *variables, tv_variable **sorted) {
  for (int k = 0; k < n; k++) {
    int at = k;
    for (; at && (uintptr_t)sorted[at - 1] > (uintptr_t)variables[k]; at--)
      sorted[at] = sorted[at - 1];
    if (at && sorted[at - 1] == variables[k])
      return tvi_fail(TV_EVALUE, "%s: Variable '%s' is given twice", who, variables[k]->name);
    sorted[at] = variables[k];
  }
  return true;
}

/* From here on nothing can fail. Old values are left in p, to be released after unlocking. */
static void commit(prepared *p) {
  const bool is_in_place = p->value == p->variable->value;
  tv_tensor *const old = tvi_variable_commit(
      p->variable, is_in_place ? p->value : tv_retain(p->value), who, p->n_moved);
  for (int j = 0; j < 2; j++) {
    tv_tensor *const before = p->slot->moment[j];
    if (before != p->moment[j]) p->slot->moment[j] = tv_retain(p->moment[j]);
    p->moment[j] = before == p->moment[j] ? NULL : before;
  }
  p->value = old;
  p->slot->steps++;
}

static void release_old(prepared *p) {
  tv_release(p->value);
  for (int j = 0; j < 2; j++) tv_release(p->moment[j]);
}

static bool step(tv_optimizer *o, int n, tv_variable *const *variables, tv_tensor *const *gradients,
                 tv_variable **sorted, prepared *all, tv_optimize_tensor *tensors) {
  if (!sort_by_address(n, variables, sorted)) return false;
  pthread_mutex_lock(&o->lock);
  for (int k = 0; k < n; k++) pthread_mutex_lock(&sorted[k]->lock);
  bool is_done = has_room(o, n);
  const int known = o->n_slots;
  for (int k = 0; k < n && is_done; k++) {
    all[k] = (prepared){.variable = variables[k], .slot = slot_of(o, variables[k])};
    is_done = prepare(o, &all[k], gradients[k]);
  }
  is_done = is_done && run_all(o, false, n, all, tensors);
  for (int k = 0; k < n && is_done; k++) is_done = hold(&all[k]);
  is_done = is_done && run_all(o, true, n, all, tensors);
  if (is_done) {
    for (int k = 0; k < n; k++) commit(&all[k]);
    o->steps++;
  } else {
    for (int k = 0; k < n; k++) tv_release(all[k].n_moved);
    while (o->n_slots > known) tv_variable_release(o->slots[--o->n_slots].variable);
  }
  for (int k = 0; k < n; k++) pthread_mutex_unlock(&sorted[k]->lock);
  pthread_mutex_unlock(&o->lock);
  for (int k = 0; k < n && is_done; k++) release_old(&all[k]);
  return is_done;
}

tv_status tv_optimizer_step(tv_optimizer *o, int n, tv_variable *const *variables,
                            tv_tensor *const *gradients) {
  if (!o) return tvi_null_status(who, "optimizer");
  if (n < 0) return tvi_fail_status(TV_EVALUE, "%s: n is %d", who, n);
  if (n && (!variables || !gradients))
    return tvi_null_status(who, variables ? "gradients" : "variables");
  for (int k = 0; k < n; k++)
    if (!variables[k] || !gradients[k])
      return tvi_null_status(who, variables[k] ? "a gradient" : "a Variable");
  tv_scope scope;
  tv_status status = tvi_scope_open(&scope);
  if (status) return status;
  tv_variable **const sorted = tvi_calloc(n, sizeof *sorted);
  prepared *const all = tvi_calloc(n, sizeof *all);
  tv_optimize_tensor *const tensors = tvi_calloc(n, sizeof *tensors);
  tvi_self.paused++;
  if (!sorted || !all || !tensors)
    status = tvi_fail_status(TV_ENOMEM, "%s: no memory for %d Variables", who, n);
  else if (!step(o, n, variables, gradients, sorted, all, tensors))
    status = tvi_failure();
  tvi_self.paused--;
  tvi_free(tensors);
  tvi_free(all);
  tvi_free(sorted);
  tvi_scope_close(&scope);
  tv_site_set(NULL, 0);
  return status;
}

/* Clipping ----------------------------------------------------------------------------------- */

/* The sum goes from device to device, in the order of the gradients: one number comes back. */
static tv_tensor *global_norm(int n, tv_tensor *const *gradients) {
  tv_tensor *sum = tv_scalar_real(0);
  for (int k = 0; k < n; k++) {
    tv_tensor *const magnitude = tv_astype(tv_abs(gradients[k]), TV_F64);
    tv_tensor *const squares = tv_sum(tv_square(magnitude), TV_ALL_AXES);
    if (!squares) return NULL;
    const tv_device device = tvi_tensor_on(squares);
    if (tvi_tensor_on(sum) != TV_DEVICE_NONE && tvi_tensor_on(sum) != device)
      sum = tv_to(sum, device);
    sum = tv_add(sum, squares);
    if (!sum) return NULL;
  }
  return tv_sqrt(tv_to(sum, TV_CPU));
}

tv_status tv_clip_by_global_norm(int n, tv_tensor *const *gradients, double limit,
                                 tv_tensor **clipped, double *norm) {
  static const char clip[] = "clip_by_global_norm";
  if (n < 0 || (n && (!gradients || !clipped)))
    return tvi_fail_status(TV_EVALUE, "%s: no gradients", clip);
  if (clipped != gradients)
    for (int k = 0; k < n; k++) clipped[k] = NULL;
  for (int k = 0; k < n; k++)
    if (!gradients[k]) return tvi_null_status(clip, "a gradient");
  if (!(limit > 0) || !isfinite(limit))
    return tvi_fail_status(TV_EVALUE, "%s: limit is not above 0, or not finite", clip);
  tv_scope scope;
  tv_status status = tv_scope_begin(&scope);
  if (status) return status;
  double before = 0;
  status = tv_item_f64(global_norm(n, gradients), &before);
  tv_scope_end(&scope, NULL);
  if (status) return status;
  if (norm) *norm = before;
  if (!isfinite(before)) return tvi_fail_status(TV_EVALUE, "%s: the norm is not finite", clip);
  const double factor = limit * fmin(1 / before, 1 / limit);
  tv_tensor **const made = tvi_calloc(n, sizeof *made);
  if (!made) return tvi_fail_status(TV_ENOMEM, "%s: no memory for %d gradients", clip, n);
  for (int k = 0; k < n && !status; k++)
    if (!(made[k] = scaled(gradients[k], factor))) status = tvi_failure();
  for (int k = 0; k < n && !status; k++) clipped[k] = made[k];
  tvi_free(made);
  return status;
}
