/* SPDX-License-Identifier: MIT
 * The optimizer inside: what it keeps of each Variable, the table of methods, and what a checkpoint
 * needs to write it down and to put it back.
 *
 * Locks are taken in one order: the optimizer's, then those of Variables by rising address. */
#ifndef TVI_OPTIMIZER_H
#define TVI_OPTIMIZER_H

#include <pthread.h>
#include <stdatomic.h>
#include <tensorvar/backend.h>
#include <tensorvar/optimizer.h>

#include "schedule.h"
#include "tensor.h"

enum { TVI_MOST_SLOTS = 3 };

/* What options say, as numbers: truths are 0 and 1. A method reads those of its own; the rest are
 * 0. Checkpoints know them by these names. */
#define TVI_SETTINGS(EACH) \
  EACH(momentum)           \
  EACH(dampening)          \
  EACH(nesterov)           \
  EACH(rate_in_momentum)   \
  EACH(beta1)              \
  EACH(beta2)              \
  EACH(epsilon)            \
  EACH(epsilon_inside)     \
  EACH(amsgrad)            \
  EACH(decay)              \
  EACH(centered)           \
  EACH(initial) EACH(rate_decay) EACH(weight_decay) EACH(decoupled_decay) EACH(maximize) EACH(lazy)
#define TVI_SETTING(name) double name;
typedef struct tvi_settings {
  TVI_SETTINGS(TVI_SETTING)
} tvi_settings;
#undef TVI_SETTING

/* A kind of slot, by PyTorch's name for it. */
typedef struct {
  const char *name;
  bool is_real; /* of a complex Variable too: a mean of squares */
} tvi_slot_kind;

/* One update of elements, of whatever shape. */
typedef struct {
  const tvi_settings *with; /* with the decays of the Variable's group */
  double rate;
  int64_t t;                         /* this step of the Variable: from 1 */
  tv_tensor *before[TVI_MOST_SLOTS]; /* NULL: as before the first step */
  tv_tensor *after[TVI_MOST_SLOTS];  /* what the update fills in; the innermost scope's */
} tvi_update;

typedef struct tvi_method {
  const char *kind;
  tv_optimize_kind fused; /* what a device's slot knows it by */
  /* Which slots these settings ask for; their number. */
  int (*slots)(const tvi_settings *with, tvi_slot_kind *kinds);
  /* What becomes of w, by public ops: g is a descent direction, decayed if it was to be. */
  tv_tensor *(*update)(tvi_update *u, tv_tensor *w, tv_tensor *g);
  /* Whether elements whose gradient is 0 stay as they are, slots included. NULL: never. */
  bool (*is_local)(const tvi_settings *with);
  double (*first)(const tvi_settings *with, int slot); /* NULL: slots begin at 0 */
} tvi_method;

extern const tvi_method tvi_sgd, tvi_adam, tvi_adamw, tvi_rmsprop, tvi_adagrad, tvi_adadelta,
    tvi_lion;

/* The whole update: maximize, weight decay of both forms, and the method. */
tv_tensor *tvi_method_update(const tvi_method *method, tvi_update *u, tv_tensor *w, tv_tensor *g);

/* Of slot j of a Variable: f16 and bf16 are too coarse to gather small steps in. */
tv_dtype tvi_slot_dtype(tvi_slot_kind kind, tv_dtype of_variable);

/* What an optimizer keeps of one Variable. */
typedef struct {
  tv_variable *variable;           /* retained */
  tv_tensor *slot[TVI_MOST_SLOTS]; /* retained, settled; NULL before the first step */
  int64_t steps;
  double rate_factor, weight_decay, decoupled_decay; /* its group's */
} tvi_member;

struct tv_optimizer {
  _Atomic int64_t count;
  const tvi_method *method;
  tvi_settings with;
  int n_slots;
  tvi_slot_kind slots[TVI_MOST_SLOTS];

  pthread_mutex_t lock; /* guards what follows */
  double learning_rate;
  tv_schedule *schedule; /* NULL: none */
  int64_t steps;
  tvi_member *members;
  int n_members, members_room;
};

/* With the lock held. */

/* The learning rate of the next step. TV_EVALUE: its schedule gives none. */
tv_status tvi_optimizer_rate(const tv_optimizer *o, double *rate);
/* Room for n Variables more. TV_ENOMEM. */
tv_status tvi_optimizer_reserve(tv_optimizer *o, int n);
/* What it keeps of a Variable, or NULL; `near` is where to look first. */
tvi_member *tvi_optimizer_find(tv_optimizer *o, const tv_variable *variable, int near);
/* The same, made if it is new: room is there. */
tvi_member *tvi_optimizer_member(tv_optimizer *o, tv_variable *variable, int near);

/* For checkpoints ------------------------------------------------------------------------------ */

/* TV_EBUSY: this thread has it, for a callback of a step asks. */
tv_status tvi_optimizer_lock(const char *who, tv_optimizer *o);
void tvi_optimizer_unlock(tv_optimizer *o);

/* These never change: "sgd", "adam"; "exp_avg", "exp_avg_sq"; and the options as named numbers,
 * without the learning rate, which may change. */
const char *tvi_optimizer_kind(const tv_optimizer *o);
int tvi_optimizer_n_slots(const tv_optimizer *o);
const char *tvi_optimizer_slot_name(const tv_optimizer *o, int j);
/* The dtype that slot j of a Variable has; its shape is the Variable's, its device too. */
tv_dtype tvi_optimizer_slot_dtype(const tv_optimizer *o, const tv_variable *variable, int j);
int tvi_optimizer_n_numbers(void);
const char *tvi_optimizer_number_name(int k);
double tvi_optimizer_number(const tv_optimizer *o, int k);
/* What a group may set for its Variables: "rate_factor", "weight_decay", "decoupled_decay". */
enum { TVI_GROUP_NUMBERS = 3 };
const char *tvi_group_name(int k);

/* With the lock held, and those of the Variables. */

/* Of a Variable, in a group or not, met or not. */
double tvi_group_number(tv_optimizer *o, const tv_variable *variable, int k);
int64_t tvi_optimizer_steps(const tv_optimizer *o);
double tvi_optimizer_learning_rate(const tv_optimizer *o);
/* The Variables that it has met, in the order of meeting. */
int tvi_optimizer_n_variables(const tv_optimizer *o);
tv_variable *tvi_optimizer_variable(const tv_optimizer *o, int k);
/* Of a Variable it has not met: steps 0, and every slot NULL. slots[n_slots] are retained. */
tv_status tvi_optimizer_state(tv_optimizer *o, const tv_variable *variable, int64_t *steps,
                              tv_tensor **slots);
/* Put states back, after tvi_optimizer_reserve(o, n): cannot fail. slots is [n, n_slots], settled,
 * of the dtype above and of their Variable's shape and device; either all of a Variable's are NULL
 * or none is. Their counts move in, and what was there before comes back in their place, to be
 * released after unlocking. Variables that are not named stay as they are. */
void tvi_optimizer_put(tv_optimizer *o, int64_t steps_total, double learning_rate, int n,
                       tv_variable *const *variables, const int64_t *steps, tv_tensor **slots);

#endif
