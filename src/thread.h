/* SPDX-License-Identifier: MIT
 * What belongs to a thread: its first failure, its stack of scopes and what they own, its open tapes,
 * its current device. Freed when the thread ends. */
#ifndef TVI_THREAD_H
#define TVI_THREAD_H

#include <tensorvar/device.h>
#include <tensorvar/dtype.h>
#include <tensorvar/tape.h>

typedef struct {
  uint64_t id;
  int64_t first; /* of `owned`: what this scope and those inside it own */
  const char *file;
  int line;
} tvi_frame;

typedef struct {
  tv_status status; /* the first failure, and what it said */
  tv_status latest; /* of the latest one, kept or not */
  char text[512];
  uint64_t failed_at; /* last_id when it failed: a failure since scope s began has failed_at >= s.id */
  uint64_t last_id;   /* of scopes, tensors and tapes; the upper 24 bits are the thread's */
  tvi_frame *frames;  /* [n_frames], outermost first */
  tv_tensor **owned;  /* [n_owned], oldest first */
  int64_t n_frames, frames_room, n_owned, owned_room;
  tv_tape *tape; /* innermost open one */
  int paused;    /* how often recording is paused */
  tv_device device;
  tv_promotion promotion;
  bool is_registered; /* to be freed when the thread ends */
} tvi_thread;

extern _Thread_local tvi_thread tvi_self;

/* A number never given before, larger than the thread's earlier ones. */
static inline uint64_t tvi_next_id(void) {
  extern void tvi_thread_number(void);
  if (__builtin_expect(tvi_self.last_id == 0, 0)) tvi_thread_number();
  return ++tvi_self.last_id;
}

/* See to it that the thread's memory is given back at its end. TV_ENOMEM. */
tv_status tvi_thread_register(void);

#endif
