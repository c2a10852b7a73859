/* SPDX-License-Identifier: MIT
 * The Variable inside. What may change lies under its lock; a write prepares a value with the lock
 * held, then commits it in steps that cannot fail. */
#ifndef TVI_VARIABLE_H
#define TVI_VARIABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <tensorvar/variable.h>

#include "tensor.h"

typedef enum { TVI_NOT_MAPPED, TVI_MAPPED, TVI_MAPPED_EXCLUSIVELY } tvi_mapping;

/* Who wrote: see tv_write_info. */
typedef struct {
  const char *verb; /* static text */
  const char *file;
  int line;
  uint64_t thread;
} tvi_written;

struct tv_variable {
  _Atomic int64_t count;
  char *name;
  tv_dtype dtype;
  tv_device device;
  int rank;
  bool is_trainable, has_concurrent_readers;
  bool *is_open; /* [rank], NULL: no axis is */
  tv_constraint constraint;

  pthread_mutex_t lock; /* held through a write */
  pthread_mutex_t swap; /* with concurrent readers held, within it, while what they see changes
                           from one to the next; the order of several is in moment.c */
  tv_tensor *value;     /* a head of its own: its storage is alone if nobody else holds the bytes */
  _Atomic uint64_t version; /* written under the lock */
  tvi_written written;      /* the last write */
  tv_tensor **past; /* [history] values before, at their versions mod history; see history.c */
  int history, n_past;
  tv_tensor *n_moved; /* elements that the constraint changed in the last write; NULL: none */
  tvi_mapping mapping;
  tv_tensor *mapped; /* what the map shows, in host memory; may be `value` */
};

/* What a write does besides giving a value. */
typedef enum { TVI_CREATE, TVI_WRITE, TVI_STEP } tvi_occasion;

/* The value that the constraint makes of this one: retained, or NULL if it refuses. `name` is the
 * Variable's. rows: which of axis 0 the write may have changed, int64 on the Variable's device,
 * 0 <= i < n, in any order and number; NULL: any. A constraint that looks at each row by itself
 * then looks at these alone. *n_moved: how many elements it changed, 0-d int64, retained; NULL:
 * none, for it did not act. Needs an open scope. */
tv_tensor *tvi_constrained(const char *who, const tv_constraint *constraint, const char *name,
                           tvi_occasion occasion, tv_tensor *value, tv_tensor *rows,
                           tv_tensor **n_moved);
/* The same for rows alone, [m, b...] that are or will be rows `once` of a value of `rank` axes: for
 * who has no whole value, or writes rows where they are. Asked only of a constraint that looks at
 * each row by itself, or does not act. */
tv_tensor *tvi_constrained_rows(const char *who, const tv_constraint *constraint, const char *name,
                                tvi_occasion occasion, tv_tensor *rows, tv_tensor *once,
                                tv_tensor **n_moved);
bool tvi_constraint_is_by_row(const tv_constraint *constraint, int rank);
/* Whether it could be one for this dtype and rank. TV_EVALUE, TV_EDTYPE, TV_EINDEX. */
bool tvi_constraint_fits(const tv_constraint *constraint, tv_dtype dtype, int rank);

/* Take the lock. TV_EBUSY if this thread has it: a constraint's callback asks for its Variable. */
tv_status tvi_variable_lock(const char *who, tv_variable *v);
/* For who reads alone: of a Variable with concurrent readers only the swap is waited for, never a
 * write. TV_EBUSY as above. */
tv_status tvi_variable_lock_to_read(const char *who, tv_variable *v);
void tvi_variable_unlock_to_read(tv_variable *v);
/* With the lock held: TV_EBUSY while mapped. */
tv_status tvi_variable_writable(const char *who, const tv_variable *v);
/* With the lock held: whether bytes may change in place. */
bool tvi_variable_is_alone(const tv_variable *v);
/* With the lock held: `fresh`, whose count moves in, is the value, and n_moved, whose count moves
 * in too, what the constraint changed of it (NULL: nothing); gives back an old value, to be
 * released after unlocking, or NULL. In place: `fresh` is the value already. Cannot fail. */
tv_tensor *tvi_variable_commit(tv_variable *v, tv_tensor *fresh, const char *verb,
                               tv_tensor *n_moved);

/* A write of several Variables is seen as one: with all their locks held, between tvi_swaps_take
 * and tvi_swaps_give, their values are put, each as tvi_variable_commit does. `sorted`: by rising
 * address, each once. */
void tvi_swaps_take(int n, tv_variable *const *sorted);
void tvi_swaps_give(int n, tv_variable *const *sorted);
tv_tensor *tvi_variable_put(tv_variable *v, tv_tensor *fresh, const char *verb, tv_tensor *n_moved);

/* The calling thread, where its write was called. */
tvi_written tvi_written_by(const char *verb);
/* With the lock held, of a Variable with a history: keep the value of a version, whose count moves
 * in; gives back the one that leaves, or NULL. */
tv_tensor *tvi_history_push(tv_variable *v, tv_tensor *old, uint64_t version);

/* TV_EMUTATED: `op` needs the value of a version that is not the Variable's any more. Names all
 * that is known of the last write. false. */
bool tvi_history_mutated(const char *who, const char *op, tv_variable *v, uint64_t version);

/* The end of a read, which is the scope's: open tapes and forwards that may be run again hear of
 * it. NULL stays NULL. */
tv_tensor *tvi_variable_was_read(tv_variable *v, uint64_t version, tv_tensor *snapshot);

/* A value that can be a Variable's without a copy, shared; else a copy. Retained. */
tv_tensor *tvi_value_of(const char *who, tv_tensor *x, tv_dtype dtype, tv_device device);

#endif
