/* SPDX-License-Identifier: MIT
 * Sorting Variables by address, and locking all of them or none. */
#include "together.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "status.h"
#include "thread.h"
#include "variable.h"

bool tvi_lock_make(pthread_mutex_t *lock) {
  pthread_mutexattr_t kind;
  if (pthread_mutexattr_init(&kind)) return false;
  const bool is_done = !pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK) &&
                       !pthread_mutex_init(lock, &kind);
  pthread_mutexattr_destroy(&kind);
  return is_done;
}

tv_status tvi_lock_take(const char *who, const char *what, pthread_mutex_t *lock) {
  /* A callback inside a step waits for nobody: who has this may wait for what the step has. */
  if (!(tvi_self.n_together ? pthread_mutex_trylock(lock) : pthread_mutex_lock(lock))) return TV_OK;
  return tvi_fail_status(TV_EBUSY, "%s: %s is in use, and a callback does not wait", who, what);
}

int tvi_compare_addresses(const void *left, const void *right) {
  const uintptr_t a = *(const uintptr_t *)left, b = *(const uintptr_t *)right;
  return (a > b) - (a < b);
}
_Static_assert(sizeof(uintptr_t) == sizeof(void *), "pointers are sorted as numbers");

tv_status tvi_together_new(tvi_together *t, const char *who, int n, tv_variable *const *variables) {
  *t = (tvi_together){n, tvi_calloc(n, sizeof(tv_variable *))};
  if (!t->sorted) return tvi_fail_status(TV_ENOMEM, "%s: no memory for %d Variables", who, n);
  if (n) memcpy(t->sorted, variables, (size_t)n * sizeof(tv_variable *));
  qsort(t->sorted, (size_t)n, sizeof(tv_variable *), tvi_compare_addresses);
  for (int k = 1; k < n; k++) {
    if (t->sorted[k] != t->sorted[k - 1]) continue;
    const char *const name = t->sorted[k]->name;
    tvi_together_free(t);
    return tvi_fail_status(TV_EVALUE, "%s: Variable '%s' is given twice", who, name);
  }
  return TV_OK;
}

void tvi_together_free(tvi_together *t) {
  tvi_free(t->sorted);
  *t = (tvi_together){0, NULL};
}

tv_status tvi_together_lock(const tvi_together *t, const char *who) {
  for (int k = 0; k < t->n; k++) {
    const tv_status status = tvi_variable_lock(who, t->sorted[k]);
    if (!status) continue;
    while (k > 0) pthread_mutex_unlock(&t->sorted[--k]->lock);
    return status;
  }
  tvi_self.n_together++;
  return TV_OK;
}

void tvi_together_unlock(const tvi_together *t) {
  tvi_self.n_together--;
  for (int k = 0; k < t->n; k++) pthread_mutex_unlock(&t->sorted[k]->lock);
}
