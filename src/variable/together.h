/* SPDX-License-Identifier: MIT
 * Several Variables under lock at once, and locks that tell their own thread so. Locks are taken in
 * one order everywhere: a checkpoint's; those of the objects that step or watch Variables
 * (checkpoint.h says in which order where there are several); those of Variables by rising address.
 * So no two threads wait for each other. */
#ifndef TVI_TOGETHER_H
#define TVI_TOGETHER_H

#include <pthread.h>
#include <stdbool.h>
#include <tensorvar/variable.h>

/* A lock of which a thread that has it is told, instead of waiting for itself for ever: callbacks
 * run under locks. */
bool tvi_lock_make(pthread_mutex_t *lock);
/* TV_EBUSY: this thread has it. `what` is whose it is: "the optimizer". */
tv_status tvi_lock_take(const char *who, const char *what, pthread_mutex_t *lock);

/* Of two pointers, for qsort. */
int tvi_compare_addresses(const void *left, const void *right);

/* Variables, each once, in the order in which they are locked. They are borrowed. */
typedef struct {
  int n;
  tv_variable **sorted; /* [n], tvi_malloc's */
} tvi_together;

/* TV_EVALUE: a Variable is given twice. TV_ENOMEM. On both there is nothing to free. */
tv_status tvi_together_new(tvi_together *t, const char *who, int n, tv_variable *const *variables);
void tvi_together_free(tvi_together *t);
/* All of them or none. TV_EBUSY: this thread has one already, for a constraint's callback asks. */
tv_status tvi_together_lock(const tvi_together *t, const char *who);
void tvi_together_unlock(const tvi_together *t);

#endif
