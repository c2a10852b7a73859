/* SPDX-License-Identifier: MIT
 * The thread's state, and its end: scopes left open are closed as tv_scope_end would. */
#include "thread.h"

#include <pthread.h>
#include <stdatomic.h>

#include "memory.h"
#include "scope.h"
#include "status.h"
#include "tally.h"

static _Thread_local tvi_thread own;
TVI_HOT_THREAD_LOCAL tvi_thread *tvi_thread_here;

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_key;

tvi_thread *tvi_thread_enter(void) {
  static _Atomic uint64_t threads;
  own.last_id = atomic_fetch_add(&threads, 1) << 40;
  return tvi_thread_here = &own;
}

static void end(void *unused) {
  (void)unused;
  tvi_scope_close_all();
  tvi_free(tvi_self.frames);
  tvi_free(tvi_self.owned);
  tvi_self.frames = NULL;
  tvi_self.owned = NULL;
  tvi_self.frames_room = tvi_self.owned_room = 0;
  tv_stream_release(tvi_self.stream);
  tvi_self.stream = NULL;
  tvi_tally_leave(&tvi_self.tally);
  tvi_self.is_registered = false;
}

static void make_key(void) { has_key = pthread_key_create(&key, end) == 0; }

tv_status tvi_thread_register(void) {
  if (tvi_self.is_registered) return TV_OK;
  pthread_once(&once, make_key);
  if (!has_key || pthread_setspecific(key, &tvi_self))
    return tvi_fail_status(TV_ENOMEM, "scope_begin: no memory for the thread's state");
  tvi_tally_join(&tvi_self.tally);
  tvi_self.is_registered = true;
  return TV_OK;
}
