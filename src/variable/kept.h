/* SPDX-License-Identifier: MIT
 * What averages, loss scalers, accumulators, plateaus and L-BFGS keep, as a checkpoint sees it:
 * named arrays that are taken out under locks, and a state that is made of such arrays and put in
 * place by a swap. */
#ifndef TVI_KEPT_H
#define TVI_KEPT_H

#include "difference.h"

typedef struct tvi_saving tvi_saving;

enum { TVI_LBFGS_ORDER, TVI_OPTIMIZER_ORDER, TVI_AVERAGE_ORDER };

typedef struct tvi_keeper {
  const char *kind;                       /* in files */
  const char *what;                       /* in failures */
  int order;                              /* in which its lock is taken: one of those above */
  pthread_mutex_t *(*lock)(void *object); /* NULL: none that others wait under */
  void (*release)(void *object);          /* NULL: it is the caller's */
  /* With all locks held: give its arrays, by the functions below. */
  bool (*save)(void *object, tvi_saving *s);
  /* Without locks: want what the file should have of it, by tvi_restoring_want. */
  bool (*want)(void *object, tvi_restoring *r, const tvi_entry *entry);
  /* Without locks: the state that the arrays say, all of them read; NULL: they say none. */
  void *(*prepare)(void *object, const tvi_restoring *r, const tvi_entry *entry);
  /* With all locks held: that is the state now, and the one before is left in its place. */
  void (*commit)(void *object, void *state);
  void (*discard)(void *state); /* after unlocking */
} tvi_keeper;

extern const tvi_keeper tvi_average_keeper, tvi_scaler_keeper, tvi_lbfgs_keeper, tvi_plateau_keeper,
    tvi_accumulator_keeper;

/* An array entry/name, or entry/v/name. TV_EVALUE: the checkpoint does not hold v. TV_ENOMEM. */
bool tvi_save_whole(tvi_saving *s, const char *name, int64_t x);
bool tvi_save_real(tvi_saving *s, const char *name, double x);
bool tvi_save_array(tvi_saving *s, const char *name, tv_tensor *x);
bool tvi_save_text(tvi_saving *s, const char *name, const char *text);
bool tvi_save_whole_of(tvi_saving *s, const tv_variable *v, const char *name, int64_t x);
bool tvi_save_of(tvi_saving *s, const tv_variable *v, const char *name, tv_tensor *x);

/* TV_EFORMAT: a number that cannot be. false. */
bool tvi_restoring_refuse(const tvi_restoring *r, const tvi_want *w);

#endif
