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

/* A block of the CPU was handed out (bytes > 0), or taken back (bytes < 0), and with it as many
 * handles made or given back. */
static inline void tvi_count_block(int64_t bytes, int64_t handles) {
  tvi_thread *const self = tvi_thread_current();
  if (!self->is_registered) {
    tvi_count(TVI_LIVE, handles);
    if (bytes) tvi_count(TVI_BYTES, bytes);
    if (bytes) tvi_count(TVI_BLOCKS, bytes > 0 ? 1 : -1);
    if (bytes > 0) tvi_count(TVI_RESERVED, 1);
    return;
  }
  _Atomic int64_t *const mine = self->tally.count;
#define TVI_ADD(which, by)                                                               \
  atomic_store_explicit(&mine[which],                                                    \
                        atomic_load_explicit(&mine[which], memory_order_relaxed) + (by), \
                        memory_order_relaxed)
  TVI_ADD(TVI_LIVE, handles);
  TVI_ADD(TVI_BYTES, bytes);
  TVI_ADD(TVI_BLOCKS, (bytes > 0) - (bytes < 0));
  TVI_ADD(TVI_RESERVED, bytes > 0);
#undef TVI_ADD
}

/* Over all threads. */
int64_t tvi_counted(tvi_counter which);

/* A thread's counts join the others, or leave them and stay in the rest. */
void tvi_tally_join(tvi_tally *mine);
void tvi_tally_leave(tvi_tally *mine);

#endif
