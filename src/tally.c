/* SPDX-License-Identifier: MIT
 * The list of the threads' counts. Its lock is taken around a fork, so that a child finds it free.
 */
#include "tally.h"

#include <pthread.h>

tvi_tally tvi_tally_rest = {&tvi_tally_rest, &tvi_tally_rest, {0}};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void take(void) { pthread_mutex_lock(&lock); }
static void give(void) { pthread_mutex_unlock(&lock); }
static void guard_forks(void) { pthread_atfork(take, give, give); }

int64_t tvi_counted(tvi_counter which) {
  int64_t sum = 0;
  take();
  tvi_tally *t = &tvi_tally_rest;
  do {
    sum += atomic_load_explicit(&t->count[which], memory_order_relaxed);
    t = t->next;
  } while (t != &tvi_tally_rest);
  give();
  return sum;
}

void tvi_tally_join(tvi_tally *mine) {
  pthread_once(&once, guard_forks);
  take();
  mine->next = &tvi_tally_rest;
  mine->previous = tvi_tally_rest.previous;
  mine->previous->next = tvi_tally_rest.previous = mine;
  give();
}

void tvi_tally_leave(tvi_tally *mine) {
  take();
  mine->previous->next = mine->next;
  mine->next->previous = mine->previous;
  for (int k = 0; k < TVI_COUNTERS; k++) {
    atomic_fetch_add_explicit(&tvi_tally_rest.count[k], atomic_load(&mine->count[k]),
                              memory_order_relaxed);
    atomic_store(&mine->count[k], 0);
  }
  give();
}
