/* SPDX-License-Identifier: MIT
 * Checkpoints inside: what was added, the names of its arrays, and the order of locks. */
#ifndef TVI_CHECKPOINT_H
#define TVI_CHECKPOINT_H

#include <pthread.h>
#include <stdatomic.h>
#include <tensorvar/checkpoint.h>

#include "together.h"

#define TVI_CHECKPOINT_OWN "__tensorvar__/" /* what names of our own begin with */

typedef struct tvi_entry {
  enum { TVI_VARIABLE, TVI_OPTIMIZER, TVI_KEY, TVI_COUNTER, TVI_NUMBER, TVI_KEPT } kind;
  const struct tvi_keeper *keeper; /* of TVI_KEPT; see kept.h */
  char *name;
  union {
    tv_variable *variable;   /* retained */
    tv_optimizer *optimizer; /* retained */
    tv_key *key;
    int64_t *counter;
    double *number;
    void *any;
  } of;
  bool has_saved_version;
  uint64_t saved_version;
} tvi_entry;

struct tv_checkpoint {
  _Atomic int64_t count;
  pthread_mutex_t lock; /* guards what follows; taken before those of optimizers and Variables */
  tvi_entry *entries;
  int n, room;
};

/* A lock of an object, and whose it is in failures. */
typedef struct {
  int order; /* of its kind among the kinds */
  const char *what;
  pthread_mutex_t *lock;
} tvi_object_lock;

/* The objects and Variables of a checkpoint in the order in which they are locked: an L-BFGS, whose
 * loss may step optimizers; optimizers; averages; each by rising address. */
typedef struct tvi_locks {
  int n;
  tvi_object_lock *objects; /* [n] */
  tvi_together variables;
} tvi_locks;

tv_status tvi_locks_new(tvi_locks *locks, const char *who, const tv_checkpoint *c);
void tvi_locks_free(tvi_locks *locks);
/* TV_EBUSY if this thread has one of them already; then none is locked. */
tv_status tvi_lock_all(const tvi_locks *locks, const char *who);
/* The checkpoint's own. TV_EBUSY if this thread has it: a callback asks for it. */
tv_status tvi_checkpoint_lock(const char *who, tv_checkpoint *c);
void tvi_unlock_all(const tvi_locks *locks);

/* a/b, or a/b/c where c is not NULL; "__tensorvar__/version/" is an a too. NULL with TV_ENOMEM. For
 * tvi_free. */
char *tvi_joined(const char *who, const char *a, const char *b, const char *c);
/* Whether a file of this name is a safetensors file. */
bool tvi_is_safetensors(const char *path);

#endif
