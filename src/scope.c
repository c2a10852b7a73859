/* SPDX-License-Identifier: MIT
 * The thread's stack of scopes. All tensors owned lie in one array, oldest first; a frame says
 * where its own begin. A user's tv_scope is read in begin and end alone. */
#include "scope.h"

#include "guard.h"
#include "memory.h"
#include "status.h"
#include "tensor.h"
#include "thread.h"
#include "variable/tape.h"

#define SELF tvi_self

/* The array with twice the room; NULL, and the array as it was, if there is no memory. */
static void *grow(void *array, int64_t *room, int64_t item) {
  const int64_t wanted = *room ? 2 * *room : 64;
  void *const grown = tvi_realloc(array, wanted * item);
  if (!grown) return tvi_fail(TV_ENOMEM, "scope: no memory for %lld entries", (long long)wanted);
  *room = wanted;
  return grown;
}

static tv_status push(tv_scope *scope, const char *file, int line) {
  if (SELF.n_frames == SELF.frames_room) {
    const tv_status status = tvi_thread_register();
    if (status) return status;
    tvi_frame *const frames = grow(SELF.frames, &SELF.frames_room, sizeof *SELF.frames);
    if (!frames) return TV_ENOMEM;
    SELF.frames = frames;
  }
  scope->id = tvi_next_id();
  SELF.frames[SELF.n_frames++] = (tvi_frame){scope->id, SELF.n_owned, file, line, 0};
  return TV_OK;
}

tv_status tv_scope_begin_at(tv_scope *scope, const char *file, int line) {
  if (!scope) return tvi_null_status("scope_begin", "scope");
  scope->id = 0; /* of no scope, should this fail */
  if (SELF.n_frames == 0) tv_error_clear();
  return push(scope, file, line);
}

tv_status tvi_scope_open(tv_scope *scope) {
  scope->id = 0;
  return push(scope, __FILE__, __LINE__);
}

/* Close the innermost scope. The frame goes last: releasing may call back into the library. */
static void pop(void) {
  const tvi_frame frame = SELF.frames[SELF.n_frames - 1];
  tvi_tape_end_since(frame.id);
  while (SELF.n_owned > frame.first) tv_release(SELF.owned[--SELF.n_owned]);
  if (SELF.n_used) tvi_guards_forget();
  SELF.paused -= frame.paused;
  SELF.scoped -= frame.paused;
  SELF.n_frames--;
}

void tvi_scope_close_all(void) {
  while (SELF.n_frames) pop();
}

/* Where in the stack a scope is, or -1. */
static int64_t find(const tv_scope *scope) {
  for (int64_t k = SELF.n_frames - 1; k >= 0; k--)
    if (SELF.frames[k].id == scope->id) return k;
  return -1;
}

void tvi_scope_close(tv_scope *scope) {
  const int64_t at = find(scope);
  if (at >= 0)
    while (SELF.n_frames > at) pop();
}

/* Hand x from the innermost scope to the enclosing one: swap it to the front of what the innermost
 * owns, and move the border. False if the innermost scope does not own it. */
static bool keep(tv_tensor *x) {
  tvi_frame *const frame = &SELF.frames[SELF.n_frames - 1];
  for (int64_t k = SELF.n_owned - 1; k >= frame->first; k--)
    if (SELF.owned[k] == x) {
      SELF.owned[k] = SELF.owned[frame->first];
      SELF.owned[frame->first++] = x;
      return true;
    }
  return false;
}

static bool is_owned(const tv_tensor *x, const tvi_frame *frame) {
  for (int64_t k = SELF.n_owned - 1; k >= frame->first; k--)
    if (SELF.owned[k] == x) return true;
  return false;
}

tv_status tv_scope_keep(tv_tensor *tensor) {
  if (!tensor) return TV_OK;
  if (SELF.n_frames == 0) return tvi_fail_status(TV_ESCOPE, "scope_keep: no scope is open");
  if (SELF.n_frames == 1) {
    if (!is_owned(tensor, &SELF.frames[0])) return TV_OK;
    return tvi_fail_status(TV_ESCOPE, "scope_keep: no scope encloses the open one: use tv_retain");
  }
  keep(tensor);
  return TV_OK;
}

tv_status tv_scope_end(tv_scope *scope, tv_tensor **kept) {
  if (!scope) return tvi_null_status("scope_end", "scope");
  const int64_t at = find(scope);
  if (at < 0) return tvi_fail_status(TV_ESCOPE, "scope_end: this scope is not open on this thread");
  tv_status status = TV_OK;
  if (SELF.n_frames - 1 > at) {
    const tvi_frame *const open = &SELF.frames[SELF.n_frames - 1];
    status = tvi_fail_status(TV_ESCOPE, "scope_end: a scope inside is still open: begun at %s:%d",
                             open->file ? open->file : "?", open->line);
    while (SELF.n_frames - 1 > at) {
      if (kept && *kept) keep(*kept);
      pop();
    }
  }
  if (kept && *kept) {
    if (at > 0) {
      keep(*kept);
    } else if (is_owned(*kept, &SELF.frames[0])) {
      *kept = NULL; /* released with the rest, below */
      status = tvi_fail_status(TV_ESCOPE, "scope_end: no scope encloses this one: use tv_retain");
    }
  }
  pop();
  if (status) return status;
  return SELF.status && SELF.failed_at >= scope->id ? SELF.status : TV_OK;
}

bool tvi_scope_is_open(const char *who) {
  if (SELF.n_frames) return true;
  tvi_fail(TV_ESCOPE, "%s: no scope is open: begin one with tv_scope_begin", who);
  return false;
}

tv_tensor *tvi_scope_own(tv_tensor *x) {
  if (!x) return NULL;
  if (SELF.n_frames == 0) {
    tv_release(x);
    return tvi_fail(TV_ESCOPE, "scope: none is open: begin one with tv_scope_begin");
  }
  if (SELF.n_owned == SELF.owned_room) {
    tv_tensor **const owned = grow(SELF.owned, &SELF.owned_room, sizeof *SELF.owned);
    if (!owned) {
      tv_release(x);
      return NULL;
    }
    SELF.owned = owned;
  }
  SELF.owned[SELF.n_owned++] = x;
  return x;
}
