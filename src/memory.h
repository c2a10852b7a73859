/* SPDX-License-Identifier: MIT
 * Host memory of the library itself: every allocation comes through here, so that tests can make
 * the N-th one fail. Functions give NULL when there is none; they do not set the thread's error. */
#ifndef TVI_MEMORY_H
#define TVI_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* Thread-local data that every op looks at: reached without a call, from the static block of which
 * the loader keeps some for libraries opened late. Small things only: all of ours are under 120
 * bytes. */
#define TVI_HOT_THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))

/* bytes >= 0; 0 gives a pointer that may be freed. */
void *tvi_malloc(int64_t bytes);
void *tvi_calloc(int64_t count, int64_t bytes);
void *tvi_realloc(void *block, int64_t bytes);
void *tvi_aligned_alloc(int64_t alignment, int64_t bytes);
void tvi_free(void *block);

/* Pages of the system's own: zeros, at a multiple of 2 MiB, in huge pages where there are any. The
 * same bytes, a multiple of 4 KiB, at both ends. */
void *tvi_map(int64_t bytes);
void tvi_unmap(void *pages, int64_t bytes);

/* Whether AddressSanitizer looks for uses of freed blocks: each is to be malloc's own then. */
bool tvi_memory_is_watched(void);
/* Whether a kept block may be handed out: not if it is watched, nor while tests count allocations.
 */
bool tvi_memory_may_reuse(void);

/* Blocks that come and go at every op: 64-byte aligned, those up to 4 KiB from lists of the
 * thread's own. `bytes` is the same at both ends. Given back on any thread. */
void *tvi_block_alloc(int64_t bytes);
void tvi_block_free(void *block, int64_t bytes);

/* Make the n-th allocation from now fail (1: the next), and all after it if `for_ever`; 0: none. */
void tvi_memory_fail(int64_t n, bool for_ever);
/* Allocations since tvi_memory_fail was last called. */
int64_t tvi_memory_calls(void);

#endif
