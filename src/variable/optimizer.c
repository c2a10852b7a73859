/* SPDX-License-Identifier: MIT
 * Optimizers: making, asking and releasing them, and the list of what they keep of each Variable.
 * Their formulas are in method.c, the step in step.c. */
#include "optimizer.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "memory.h"
#include "range.h"
#include "scope.h"
#include "status.h"
#include "tally.h"
#include "together.h"
#include "variable.h"

/* Make --------------------------------------------------------------------------------------- */

/* The options of a caller, who may know less of them than the library, in place of the defaults. */
static bool taken(const char *who, void *options, size_t known, const void *given) {
  if (!given) return true;
  size_t size;
  memcpy(&size, given, sizeof size); /* every struct of options begins with it */
  if (!tvi_options_fit(who, size, known)) return false;
  memcpy(options, given, size);
  return true;
}

static tv_optimizer *optimizer_new(const char *who, const tvi_method *method, double learning_rate,
                                   const tvi_settings *with) {
  if (!tvi_in_range(who, "learning_rate", learning_rate, TVI_AT_LEAST_0) ||
      !tvi_in_range(who, "weight_decay", with->weight_decay, TVI_AT_LEAST_0) ||
      !tvi_in_range(who, "decoupled_decay", with->decoupled_decay, TVI_AT_LEAST_0))
    return NULL;
  tv_optimizer *const o = tvi_calloc(1, sizeof *o);
  if (!o || !tvi_lock_make(&o->lock)) {
    tvi_free(o);
    return tvi_fail(TV_ENOMEM, "%s: no memory", who);
  }
  atomic_init(&o->count, 1);
  o->method = method;
  o->with = *with;
  o->n_slots = method->slots(with, o->slots);
  o->learning_rate = learning_rate;
  tvi_count(TVI_LIVE, 1);
  return o;
}

tv_optimizer *tv_sgd_new(const tv_sgd_options *options) {
  tv_sgd_options o = TV_SGD_OPTIONS;
  if (!taken("sgd_new", &o, sizeof o, options) ||
      !tvi_in_range("sgd_new", "learning_rate", o.learning_rate, TVI_AT_LEAST_0) ||
      !tvi_in_range("sgd_new", "momentum", o.momentum, TVI_FROM_0_BELOW_1) ||
      !tvi_in_range("sgd_new", "dampening", o.dampening, TVI_FROM_0_BELOW_1))
    return NULL;
  if (o.dampening != 0 && (o.nesterov || o.rate_in_momentum))
    return tvi_fail(TV_EVALUE,
                    "sgd_new: dampening goes with neither nesterov nor rate_in_momentum");
  return optimizer_new("sgd_new", &tvi_sgd, o.learning_rate,
                       &(tvi_settings){.momentum = o.momentum,
                                       .dampening = o.dampening,
                                       .nesterov = o.nesterov,
                                       .rate_in_momentum = o.rate_in_momentum,
                                       .weight_decay = o.weight_decay,
                                       .decoupled_decay = o.decoupled_decay,
                                       .maximize = o.maximize,
                                       .lazy = o.lazy});
}

static tv_optimizer *adam_new(const char *who, const tvi_method *method, const tv_adam_options *o) {
  if (!tvi_in_range(who, "learning_rate", o->learning_rate, TVI_AT_LEAST_0)) return NULL;
  if (!tvi_in_range(who, "beta1", o->beta1, TVI_FROM_0_BELOW_1) ||
      !tvi_in_range(who, "beta2", o->beta2, TVI_FROM_0_BELOW_1))
    return NULL;
  if (!tvi_in_range(who, "epsilon", o->epsilon, TVI_AT_LEAST_0)) return NULL;
  return optimizer_new(who, method, o->learning_rate,
                       &(tvi_settings){.beta1 = o->beta1,
                                       .beta2 = o->beta2,
                                       .epsilon = o->epsilon,
                                       .epsilon_inside = o->epsilon_hat,
                                       .amsgrad = o->amsgrad,
                                       .weight_decay = o->weight_decay,
                                       .decoupled_decay = o->decoupled_decay,
                                       .maximize = o->maximize,
                                       .lazy = o->lazy});
}

tv_optimizer *tv_adam_new(const tv_adam_options *options) {
  tv_adam_options o = TV_ADAM_OPTIONS;
  return taken("adam_new", &o, sizeof o, options) ? adam_new("adam_new", &tvi_adam, &o) : NULL;
}

tv_optimizer *tv_adamw_new(const tv_adam_options *options) {
  tv_adam_options o = TV_ADAMW_OPTIONS;
  return taken("adamw_new", &o, sizeof o, options) ? adam_new("adamw_new", &tvi_adamw, &o) : NULL;
}

tv_optimizer *tv_rmsprop_new(const tv_rmsprop_options *options) {
  static const char who[] = "rmsprop_new";
  tv_rmsprop_options o = TV_RMSPROP_OPTIONS;
  if (!taken(who, &o, sizeof o, options) ||
      !tvi_in_range(who, "decay", o.decay, TVI_FROM_0_BELOW_1) ||
      !tvi_in_range(who, "momentum", o.momentum, TVI_FROM_0_BELOW_1) ||
      !tvi_in_range(who, "epsilon", o.epsilon, TVI_AT_LEAST_0))
    return NULL;
  return optimizer_new(who, &tvi_rmsprop, o.learning_rate,
                       &(tvi_settings){.decay = o.decay,
                                       .momentum = o.momentum,
                                       .centered = o.centered,
                                       .epsilon = o.epsilon,
                                       .epsilon_inside = o.epsilon_inside,
                                       .rate_in_momentum = o.rate_in_momentum,
                                       .weight_decay = o.weight_decay,
                                       .decoupled_decay = o.decoupled_decay,
                                       .maximize = o.maximize,
                                       .lazy = o.lazy});
}

tv_optimizer *tv_adagrad_new(const tv_adagrad_options *options) {
  static const char who[] = "adagrad_new";
  tv_adagrad_options o = TV_ADAGRAD_OPTIONS;
  if (!taken(who, &o, sizeof o, options) ||
      !tvi_in_range(who, "rate_decay", o.rate_decay, TVI_AT_LEAST_0) ||
      !tvi_in_range(who, "initial", o.initial, TVI_AT_LEAST_0) ||
      !tvi_in_range(who, "epsilon", o.epsilon, TVI_AT_LEAST_0))
    return NULL;
  return optimizer_new(who, &tvi_adagrad, o.learning_rate,
                       &(tvi_settings){.rate_decay = o.rate_decay,
                                       .initial = o.initial,
                                       .epsilon = o.epsilon,
                                       .epsilon_inside = o.epsilon_inside,
                                       .weight_decay = o.weight_decay,
                                       .decoupled_decay = o.decoupled_decay,
                                       .maximize = o.maximize,
                                       .lazy = o.lazy});
}

tv_optimizer *tv_adadelta_new(const tv_adadelta_options *options) {
  static const char who[] = "adadelta_new";
  tv_adadelta_options o = TV_ADADELTA_OPTIONS;
  if (!taken(who, &o, sizeof o, options) ||
      !tvi_in_range(who, "decay", o.decay, TVI_FROM_0_BELOW_1) ||
      !tvi_in_range(who, "epsilon", o.epsilon, TVI_AT_LEAST_0))
    return NULL;
  return optimizer_new(who, &tvi_adadelta, o.learning_rate,
                       &(tvi_settings){.decay = o.decay,
                                       .epsilon = o.epsilon,
                                       .weight_decay = o.weight_decay,
                                       .decoupled_decay = o.decoupled_decay,
                                       .maximize = o.maximize,
                                       .lazy = o.lazy});
}

tv_optimizer *tv_lion_new(const tv_lion_options *options) {
  static const char who[] = "lion_new";
  tv_lion_options o = TV_LION_OPTIONS;
  if (!taken(who, &o, sizeof o, options)) return NULL;
  if (!tvi_in_range(who, "beta1", o.beta1, TVI_FROM_0_BELOW_1) ||
      !tvi_in_range(who, "beta2", o.beta2, TVI_FROM_0_BELOW_1))
    return NULL;
  return optimizer_new(who, &tvi_lion, o.learning_rate,
                       &(tvi_settings){.beta1 = o.beta1,
                                       .beta2 = o.beta2,
                                       .weight_decay = o.weight_decay,
                                       .decoupled_decay = o.decoupled_decay,
                                       .maximize = o.maximize,
                                       .lazy = o.lazy});
}

tv_optimizer *tv_optimizer_retain(tv_optimizer *o) {
  if (o) atomic_fetch_add_explicit(&o->count, 1, memory_order_relaxed);
  return o;
}

void tv_optimizer_release(tv_optimizer *o) {
  if (!o || atomic_fetch_sub_explicit(&o->count, 1, memory_order_acq_rel) != 1) return;
  for (int k = 0; k < o->n_members; k++) {
    for (int j = 0; j < TVI_MOST_SLOTS; j++) tv_release(o->members[k].slot[j]);
    tv_variable_release(o->members[k].variable);
  }
  tvi_free(o->members);
  tvi_free(o->schedule);
  pthread_mutex_destroy(&o->lock);
  tvi_free(o);
  tvi_count(TVI_LIVE, -1);
}

/* Ask and change ------------------------------------------------------------------------------ */

int64_t tv_optimizer_steps(tv_optimizer *o) {
  if (!o || tvi_optimizer_lock("optimizer_steps", o)) return 0;
  const int64_t steps = o->steps;
  pthread_mutex_unlock(&o->lock);
  return steps;
}

double tv_optimizer_learning_rate(tv_optimizer *o) {
  if (!o) return 0;
  double rate = (double)NAN;
  if (tvi_optimizer_lock("optimizer_learning_rate", o)) return rate;
  tvi_optimizer_rate(o, &rate);
  pthread_mutex_unlock(&o->lock);
  return rate;
}

tv_status tv_optimizer_set_learning_rate(tv_optimizer *o, double rate) {
  if (!o) return tvi_null_status("optimizer_set_learning_rate", "optimizer");
  if (!tvi_in_range("optimizer_set_learning_rate", "rate", rate, TVI_AT_LEAST_0)) return TV_EVALUE;
  const tv_status status = tvi_optimizer_lock("optimizer_set_learning_rate", o);
  if (status) return status;
  o->learning_rate = rate;
  tv_schedule *const old = o->schedule;
  o->schedule = NULL;
  pthread_mutex_unlock(&o->lock);
  tvi_free(old);
  return TV_OK;
}

tv_status tvi_optimizer_rate(const tv_optimizer *o, double *rate) {
  *rate = o->learning_rate;
  return o->schedule ? tvi_schedule_rate("optimizer_step", o->schedule, o->steps, rate) : TV_OK;
}

tv_status tv_optimizer_set_schedule(tv_optimizer *o, const tv_schedule *schedule) {
  static const char who[] = "optimizer_set_schedule";
  if (!o) return tvi_null_status(who, "optimizer");
  tv_schedule *const copy = schedule ? tvi_schedule_copy(who, schedule) : NULL;
  if (schedule && !copy) return tvi_failure();
  tv_status status = tvi_optimizer_lock(who, o);
  if (status) {
    tvi_free(copy);
    return status;
  }
  double rate = o->learning_rate;
  tv_schedule *old = copy;
  if (!copy) status = tvi_optimizer_rate(o, &rate);
  if (!status) {
    old = o->schedule;
    o->schedule = copy;
    o->learning_rate = rate;
  }
  pthread_mutex_unlock(&o->lock);
  tvi_free(old);
  return status;
}

tv_status tv_optimizer_set_group(tv_optimizer *o, int n, tv_variable *const *variables,
                                 const tv_group_options *options) {
  static const char who[] = "optimizer_set_group";
  tv_group_options given = TV_GROUP_OPTIONS;
  if (!o) return tvi_null_status(who, "optimizer");
  if (n < 0) return tvi_fail_status(TV_EVALUE, "%s: n is %d", who, n);
  if (n && !variables) return tvi_null_status(who, "variables");
  for (int k = 0; k < n; k++)
    if (!variables[k]) return tvi_null_status(who, "a Variable");
  if (!taken(who, &given, sizeof given, options)) return TV_EVALUE;
  if (!tvi_in_range(who, "rate_factor", given.rate_factor, TVI_AT_LEAST_0)) return TV_EVALUE;
  if (!isfinite(given.weight_decay) || !isfinite(given.decoupled_decay))
    return tvi_fail_status(TV_EVALUE, "%s: weight_decay or decoupled_decay is not finite", who);
  tv_status status = tvi_optimizer_lock(who, o);
  if (status) return status;
  status = tvi_optimizer_reserve(o, n);
  for (int k = 0; k < n && !status; k++) {
    tvi_member *const member = tvi_optimizer_member(o, variables[k], k);
    member->rate_factor = given.rate_factor;
    member->weight_decay = given.weight_decay < 0 ? o->with.weight_decay : given.weight_decay;
    member->decoupled_decay =
        given.decoupled_decay < 0 ? o->with.decoupled_decay : given.decoupled_decay;
  }
  pthread_mutex_unlock(&o->lock);
  return status;
}

tv_tensor *tv_optimizer_slot(tv_optimizer *o, tv_variable *variable, const char *name) {
  static const char who[] = "optimizer_slot";
  if (!o) return tvi_null(who, "optimizer");
  if (!variable || !name) return tvi_null(who, variable ? "name" : "variable");
  if (!tvi_scope_is_open(who)) return NULL;
  int at = 0;
  while (at < o->n_slots && strcmp(o->slots[at].name, name)) at++;
  if (at == o->n_slots)
    return tvi_fail(TV_EVALUE, "%s: %s as it is set keeps no %s", who, o->method->kind, name);
  if (tvi_optimizer_lock(who, o)) return NULL;
  const tvi_member *const member = tvi_optimizer_find(o, variable, 0);
  const bool is_there = member && member->slot[at];
  tv_tensor *const snapshot = is_there ? tvi_tensor_alias(member->slot[at]) : NULL;
  pthread_mutex_unlock(&o->lock);
  if (!is_there)
    return tvi_fail(TV_EVALUE, "%s: Variable '%s' has not been stepped", who, variable->name);
  return tvi_scope_own(snapshot);
}

/* Members -------------------------------------------------------------------------------------- */

tv_status tvi_optimizer_reserve(tv_optimizer *o, int n) {
  if (o->n_members + n <= o->members_room) return TV_OK;
  const int room = 2 * (o->n_members + n);
  tvi_member *const larger = tvi_realloc(o->members, room * (int64_t)sizeof *larger);
  if (!larger) return tvi_fail_status(TV_ENOMEM, "optimizer_step: no memory for %d slots", room);
  o->members = larger;
  o->members_room = room;
  return TV_OK;
}

tvi_member *tvi_optimizer_find(tv_optimizer *o, const tv_variable *variable, int near) {
  if (near < o->n_members && o->members[near].variable == variable) return &o->members[near];
  for (int k = 0; k < o->n_members; k++)
    if (o->members[k].variable == variable) return &o->members[k];
  return NULL;
}

tvi_member *tvi_optimizer_member(tv_optimizer *o, tv_variable *variable, int near) {
  tvi_member *const known = tvi_optimizer_find(o, variable, near);
  if (known) return known;
  o->members[o->n_members] = (tvi_member){.variable = tv_variable_retain(variable),
                                          .rate_factor = 1,
                                          .weight_decay = o->with.weight_decay,
                                          .decoupled_decay = o->with.decoupled_decay};
  return &o->members[o->n_members++];
}

/* For checkpoints ------------------------------------------------------------------------------ */

tv_status tvi_optimizer_lock(const char *who, tv_optimizer *o) {
  return tvi_lock_take(who, "the optimizer", &o->lock);
}
void tvi_optimizer_unlock(tv_optimizer *o) { pthread_mutex_unlock(&o->lock); }

const char *tvi_optimizer_kind(const tv_optimizer *o) { return o->method->kind; }
int tvi_optimizer_n_slots(const tv_optimizer *o) { return o->n_slots; }
const char *tvi_optimizer_slot_name(const tv_optimizer *o, int j) { return o->slots[j].name; }
tv_dtype tvi_optimizer_slot_dtype(const tv_optimizer *o, const tv_variable *variable, int j) {
  return tvi_slot_dtype(o->slots[j], variable->dtype);
}

#define NAME(name) {#name, offsetof(tvi_settings, name)},
static const struct {
  const char *name;
  size_t at;
} numbers[] = {TVI_SETTINGS(NAME)};

int tvi_optimizer_n_numbers(void) { return (int)(sizeof numbers / sizeof *numbers); }
const char *tvi_optimizer_number_name(int k) { return numbers[k].name; }
double tvi_optimizer_number(const tv_optimizer *o, int k) {
  double number;
  memcpy(&number, (const char *)&o->with + numbers[k].at, sizeof number);
  return number;
}

static const char *const group_names[] = {"rate_factor", "weight_decay", "decoupled_decay"};
const char *tvi_group_name(int k) { return group_names[k]; }
double tvi_group_number(tv_optimizer *o, const tv_variable *variable, int k) {
  const tvi_member *const m = tvi_optimizer_find(o, variable, 0);
  const double all[] = {m ? m->rate_factor : 1, m ? m->weight_decay : o->with.weight_decay,
                        m ? m->decoupled_decay : o->with.decoupled_decay};
  return all[k];
}

int64_t tvi_optimizer_steps(const tv_optimizer *o) { return o->steps; }
double tvi_optimizer_learning_rate(const tv_optimizer *o) { return o->learning_rate; }
int tvi_optimizer_n_variables(const tv_optimizer *o) { return o->n_members; }
tv_variable *tvi_optimizer_variable(const tv_optimizer *o, int k) { return o->members[k].variable; }

tv_status tvi_optimizer_state(tv_optimizer *o, const tv_variable *variable, int64_t *steps,
                              tv_tensor **slots) {
  const tvi_member *const member = tvi_optimizer_find(o, variable, 0);
  *steps = member ? member->steps : 0;
  for (int j = 0; j < o->n_slots; j++) slots[j] = NULL;
  for (int j = 0; j < o->n_slots && member && member->slot[j]; j++) {
    /* An alias: a step that writes in place sees that somebody else holds the bytes. */
    slots[j] = tvi_tensor_alias(member->slot[j]);
    if (slots[j]) continue;
    while (j-- > 0) {
      tv_release(slots[j]);
      slots[j] = NULL;
    }
    return tvi_failure();
  }
  return TV_OK;
}

void tvi_optimizer_put(tv_optimizer *o, int64_t steps_total, double learning_rate, int n,
                       tv_variable *const *variables, const int64_t *steps, tv_tensor **slots) {
  for (int k = 0; k < n; k++) {
    tvi_member *const member = tvi_optimizer_member(o, variables[k], k);
    member->steps = steps[k];
    for (int j = 0; j < o->n_slots; j++) {
      tv_tensor **const given = &slots[k * o->n_slots + j], *const before = member->slot[j];
      member->slot[j] = *given;
      *given = before;
    }
  }
  o->steps = steps_total;
  o->learning_rate = learning_rate;
}
