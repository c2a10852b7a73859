/* SPDX-License-Identifier: MIT
 * Guards of borrowed memory: whether its bytes are still those that were borrowed.
 *
 * A guard keeps a hash of each 4 KiB of the elements in C order, or of 64 bytes of each. Whoever
 * reads a guarded storage is noted for its thread (tvi_stream_reads does), and the end of the op
 * looks at the bytes again: after the kernel, so that none that it may have read goes unseen. */
#ifndef TVI_GUARD_H
#define TVI_GUARD_H

#include <tensorvar/tensor.h>

#include "storage.h"

typedef struct tvi_guard tvi_guard;

/* Whether there is such a guard. TV_EVALUE, and TV_EUNSUPPORTED where there is no xxHash. */
bool tvi_guard_is_known(const char *who, tv_guard level);

/* The caller's memory with the guard that the options ask for: `data` is the first element. Takes
 * over `release`, which is called before a failure returns. NULL with TV_ENOMEM. */
tvi_storage *tvi_guard_borrow(const char *who, const void *data, tv_dtype dtype, int rank,
                              const int64_t *shape, const int64_t *steps, int64_t bytes,
                              const tv_memory_options *options);

/* The end of a borrow; a storage with this release is a borrow, and `user` its guard. */
void tvi_guard_end(void *guard);
static inline tvi_guard *tvi_guard_of(const tvi_storage *storage) {
  return storage && storage->release == tvi_guard_end ? storage->user : NULL;
}

/* The thread's op reads a borrow: to be looked at when it ends. */
void tvi_guard_note(tvi_storage *storage);
/* Look at what was noted, and forget it. TV_EMUTATED names `who`, the borrow and the bytes. */
tv_status tvi_guards_check(const char *who);
void tvi_guards_forget(void);

/* How often its owner said that it changed; 0 of what is no borrow. */
uint64_t tvi_guard_epoch(const tvi_storage *storage);

/* x for what cannot be taken back once it has begun, the scope's: x itself, or of a guarded borrow
 * a copy that was looked at. NULL stays NULL. */
tv_tensor *tvi_unguarded(const char *who, tv_tensor *x);

/* TV_EMUTATED: `op` needs a borrow as it was before its owner marked it. false. */
bool tvi_guard_marked(const char *op, const tvi_storage *storage);

#endif
