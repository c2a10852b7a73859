/* SPDX-License-Identifier: MIT
 * What belongs to a thread: its first failure, its stack of scopes and what they own, its open
 * tapes, its current device. Freed when the thread ends. */
#ifndef TVI_THREAD_H
#define TVI_THREAD_H

#include <tensorvar/device.h>
#include <tensorvar/dtype.h>
#include <tensorvar/linalg.h>
#include <tensorvar/stream.h>
#include <tensorvar/tape.h>

#include "memory.h"
#include "storage.h"

enum { TVI_MOST_USED = 8 };

typedef struct {
  uint64_t id;
  int64_t first; /* of `owned`: what this scope and those inside it own */
  const char *file;
  int line;
  int paused; /* recording, until it ends: so often */
} tvi_frame;

/* What is counted: live handles of every kind, and what of the CPU's memory is handed out. */
typedef enum { TVI_LIVE, TVI_BYTES, TVI_BLOCKS, TVI_RESERVED, TVI_COUNTERS } tvi_counter;

typedef struct tvi_tally {
  struct tvi_tally *next, *previous; /* a ring of all registered threads' */
  _Atomic int64_t count[TVI_COUNTERS];
} tvi_tally;

typedef struct {
  tv_status status; /* the first failure, and what it said */
  tv_status latest; /* of the latest one, kept or not */
  char text[512];
  uint64_t
      failed_at; /* last_id when it failed: a failure since scope s began has failed_at >= s.id */
  uint64_t last_id;  /* of scopes, tensors and tapes; the upper 24 bits are the thread's */
  tvi_frame *frames; /* [n_frames], outermost first */
  tv_tensor **owned; /* [n_owned], oldest first */
  int64_t n_frames, frames_room, n_owned, owned_room;
  tv_tape *tape;  /* innermost open one */
  int paused;     /* how often recording is paused, ... */
  int scoped;     /* ... of these, until a scope ends */
  int n_together; /* locks of several Variables that this thread has: it runs a callback of theirs
                   */
  int n_used;     /* guarded borrows that the op at hand reads, retained */
  tvi_storage *used[TVI_MOST_USED];
  bool has_mutated;        /* of those for which there was no room, one had */
  struct tvi_reads *reads; /* of the innermost forward that is run for a recomputation */
  tv_device device;
  tv_stream *stream; /* current one, retained; NULL: the main streams */
  tv_matmul_precision precision;
  tv_promotion promotion;
  enum { TVI_EAGERNESS_UNKNOWN, TVI_DEFERRING, TVI_EAGER } eagerness;
  const char *site_file; /* where the write in progress was called; NULL: not known */
  int site_line;
  bool is_registered; /* to be freed when the thread ends; its tally is in the ring */
  tvi_tally tally;
} tvi_thread;

/* The calling thread's; NULL before the first use. */
extern TVI_HOT_THREAD_LOCAL tvi_thread *tvi_thread_here;
tvi_thread *tvi_thread_enter(void);
static inline tvi_thread *tvi_thread_current(void) {
  tvi_thread *const here = tvi_thread_here;
  return __builtin_expect(here != NULL, 1) ? here : tvi_thread_enter();
}
#define tvi_self (*tvi_thread_current())

/* A number never given before, larger than the thread's earlier ones. */
static inline uint64_t tvi_next_id(void) { return ++tvi_self.last_id; }

/* See to it that the thread's memory is given back at its end. TV_ENOMEM. */
tv_status tvi_thread_register(void);

#endif
