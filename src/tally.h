/* SPDX-License-Identifier: MIT
 * Counts of what is live: handles, and bytes and blocks of the CPU. An op changes a dozen of them,
 * and an atomic addition costs as much as the op: so every thread counts for itself, with plain
 * stores that others may read, and a question adds the threads up. Threads that are not registered
 * (thread.h), and those that have ended, are in `tvi_tally_rest`. Other devices than the CPU count
 * in their own entries. */
#ifndef TVI_TALLY_H
#define TVI_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

#include "thread.h"

extern tvi_tally tvi_tally_rest;

static inline void tvi_count(tvi_counter which, int64_t by) {
  if (tvi_self.is_registered) {
    _Atomic int64_t *const mine = &tvi_self.tally.count[which];
    atomic_store_explicit(mine, atomic_load_explicit(mine, memory_order_relaxed) + by,
                          memory_order_relaxed);
  } else {
    atomic_fetch_add_explicit(&tvi_tally_rest.count[which], by, memory_order_relaxed);
  }
}

/* Over all threads. */
int64_t tvi_counted(tvi_counter which);

/* A thread's counts join the others, or leave them and stay in the rest. */
void tvi_tally_join(tvi_tally *mine);
void tvi_tally_leave(tvi_tally *mine);

#endif
