/* SPDX-License-Identifier: MIT
 * Copies between host and device. A GPU reads and writes pinned host memory at the full speed of
 * its link, and on its own; so what comes from plain memory goes through a ring of pinned slots,
 * filled or emptied by the library's threads while earlier slots are on their way. A slot is used
 * again once the event behind its copy is reached. Memory that was pinned by tvi_gpu_pinned_reserve
 * needs no ring. */
#include <string.h>

#include "runtime.h"

enum { SMALL = 64 << 10, SMALL_SLOTS = 32, LARGE = 8 << 20, LARGE_SLOTS = 8, PIECE = 1 << 20 };

/* Rings ------------------------------------------------------------------------------------- */

void tvi_transfer_init(tvi_gpu *gpu) {
  gpu->small.bytes = SMALL;
  gpu->small.count = SMALL_SLOTS;
  gpu->large.bytes = LARGE;
  gpu->large.count = LARGE_SLOTS;
}

static tvi_ring *ring_for(tvi_gpu *gpu, int64_t bytes) {
  return bytes <= SMALL ? &gpu->small : &gpu->large;
}

static void give_back(tvi_gpu *gpu, tvi_ring *ring, int slot) {
  pthread_mutex_lock(&gpu->transfer);
  ring->is_taken[slot] = false;
  pthread_cond_broadcast(&gpu->slot_is_free); /* waiters are of two rings */
  pthread_mutex_unlock(&gpu->transfer);
}

/* The next slot that no thread has, its memory made when it is first wanted; -1: there is none, and
 * the caller, who has some, does not wait for one. Under the lock. */
static tv_status next_slot(tvi_gpu *gpu, tvi_ring *ring, bool waits, int *slot) {
  for (*slot = -1; *slot < 0;) {
    for (int k = 0; k < ring->count && *slot < 0; k++)
      if (!ring->is_taken[(ring->next + k) % ring->count]) *slot = (ring->next + k) % ring->count;
    if (*slot < 0 && !waits) return TV_OK;
    if (*slot < 0) pthread_cond_wait(&gpu->slot_is_free, &gpu->transfer);
  }
  if (!ring->slots[*slot]) {
    void *made = NULL;
    const tv_status status =
        TVI_CU(gpu, cuMemHostAlloc, &made, (size_t)ring->bytes, CU_MEMHOSTALLOC_PORTABLE);
    if (status) return status;
    ring->slots[*slot] = made;
  }
  ring->is_taken[*slot] = true;
  ring->next = (*slot + 1) % ring->count;
  return TV_OK;
}

/* The same, once its latest copy is done: no thread waits for a stream while it has the lock. */
static tv_status take_slot(tvi_gpu *gpu, tvi_ring *ring, bool waits, int *slot) {
  pthread_mutex_lock(&gpu->transfer);
  tv_status status = next_slot(gpu, ring, waits, slot);
  pthread_mutex_unlock(&gpu->transfer);
  if (status || *slot < 0) return status;
  if (ring->busy[*slot])
    status = TVI_CU(gpu, cuEventSynchronize, ring->busy[*slot]);
  else
    status = TVI_CU(gpu, cuEventCreate, &ring->busy[*slot], CU_EVENT_DISABLE_TIMING);
  if (status) give_back(gpu, ring, *slot);
  return status;
}

typedef struct {
  char *to;
  const char *from;
  int64_t bytes;
} plain_copy;

static void copy_piece(void *context, int64_t i) {
  const plain_copy *c = context;
  const int64_t at = i * PIECE, rest = c->bytes - at;
  memcpy(c->to + at, c->from + at, (size_t)(rest < PIECE ? rest : PIECE));
}

/* One core does not keep up with the link. */
static void copy_plain(void *to, const void *from, int64_t bytes) {
  plain_copy c = {to, from, bytes};
  if (bytes <= PIECE)
    memcpy(to, from, (size_t)bytes);
  else
    tvi_host->parallel((bytes + PIECE - 1) / PIECE, copy_piece, &c);
}

/* Pinned memory ----------------------------------------------------------------------------- */

static bool is_pinned(tvi_gpu *gpu, const void *at, int64_t bytes) {
  const char *const first = at;
  bool is_inside = false;
  pthread_mutex_lock(&gpu->transfer);
  for (const tvi_pinned *p = gpu->pinned; p && !is_inside; p = p->next)
    is_inside = first >= p->block && first + bytes <= p->block + p->bytes;
  pthread_mutex_unlock(&gpu->transfer);
  return is_inside;
}

tv_status tvi_gpu_pinned_reserve(void *self, int64_t bytes, void **out) {
  tvi_gpu *const gpu = self;
  tvi_visit visit;
  *out = NULL;
  tvi_pinned *const p = tvi_host->alloc(sizeof *p);
  if (!p)
    return tvi_host->fail(TV_ENOMEM, "%s: no memory on cpu for %zu bytes", gpu->name, sizeof *p);
  tv_status status = tvi_gpu_enter(gpu, &visit);
  if (!status) {
    status = TVI_CU(gpu, cuMemHostAlloc, out, (size_t)bytes, CU_MEMHOSTALLOC_PORTABLE);
    tvi_gpu_leave(&visit);
  }
  if (status) {
    tvi_host->free(p);
    return status;
  }
  pthread_mutex_lock(&gpu->transfer);
  *p = (tvi_pinned){gpu->pinned, *out, bytes};
  gpu->pinned = p;
  pthread_mutex_unlock(&gpu->transfer);
  return TV_OK;
}

void tvi_gpu_pinned_release(void *self, void *block) {
  tvi_gpu *const gpu = self;
  tvi_pinned *found = NULL;
  tvi_visit visit = {NULL, false};
  if (tvi_gpu_is_forked()) return;
  pthread_mutex_lock(&gpu->transfer);
  for (tvi_pinned **at = &gpu->pinned; *at; at = &(*at)->next)
    if ((*at)->block == block) {
      found = *at;
      *at = found->next;
      break;
    }
  pthread_mutex_unlock(&gpu->transfer);
  if (!found) return;
  tvi_host->free(found);
  if (!tvi_gpu_is_usable(gpu)) return;
  const bool is_inside = !tvi_gpu_enter(gpu, &visit);
  tvi_driver.cuMemFreeHost(block); /* made for all contexts: drivers take it without one too */
  if (is_inside) tvi_gpu_leave(&visit);
}

/* In
 * -----------------------------------------------------------------------------------------------
 */

static tv_status send(tvi_gpu *gpu, CUdeviceptr to, const char *from, int64_t bytes, CUstream cu) {
  tvi_ring *const ring = ring_for(gpu, bytes);
  tv_status status = TV_OK;
  for (int64_t at = 0; at < bytes && !status; at += ring->bytes) {
    const int64_t n = bytes - at < ring->bytes ? bytes - at : ring->bytes;
    int slot = 0;
    status = take_slot(gpu, ring, true, &slot);
    if (status) break;
    copy_plain(ring->slots[slot], from + at, n);
    status = TVI_CU(gpu, cuMemcpyHtoDAsync, to + (CUdeviceptr)at, ring->slots[slot], (size_t)n, cu);
    if (!status) status = TVI_CU(gpu, cuEventRecord, ring->busy[slot], cu);
    give_back(gpu, ring, slot);
  }
  return status;
}

tv_status tvi_gpu_copy_in(void *self, void *to, const void *from_host, int64_t bytes,
                          void *stream) {
  tvi_gpu *const gpu = self;
  const CUdeviceptr there = (CUdeviceptr)(uintptr_t)to;
  tvi_visit visit;
  if (bytes <= 0) return TV_OK;
  tv_status status = tvi_gpu_enter(gpu, &visit);
  if (status) return status;
  struct CUstream_st *const cu = tvi_stream_of(gpu, stream)->cu;
  if (bytes <= SMALL || !is_pinned(gpu, from_host, bytes)) {
    status = send(gpu, there, from_host, bytes, cu);
  } else {
    status = TVI_CU(gpu, cuMemcpyHtoDAsync, there, from_host, (size_t)bytes, cu);
    if (!status) status = TVI_CU(gpu, cuStreamSynchronize, cu); /* the host side is free now */
  }
  tvi_gpu_leave(&visit);
  return status;
}

/* Out
 * ---------------------------------------------------------------------------------------------- */

/* What is on its way out: slots asked for and not emptied, the oldest first. */
typedef struct {
  int slots[SMALL_SLOTS];
  int64_t asked, done; /* bytes */
} fetching;

/* Ask for what comes next, into a slot; false if there is none for now. */
static bool ask(tvi_gpu *gpu, tvi_ring *ring, CUdeviceptr from, int64_t bytes, CUstream cu,
                fetching *f, tv_status *status) {
  const int64_t n = bytes - f->asked < ring->bytes ? bytes - f->asked : ring->bytes;
  int slot = 0;
  *status = take_slot(gpu, ring, f->asked == f->done, &slot);
  if (*status || slot < 0) return false;
  *status = TVI_CU(gpu, cuMemcpyDtoHAsync, ring->slots[slot], from + (CUdeviceptr)f->asked,
                   (size_t)n, cu);
  if (!*status) *status = TVI_CU(gpu, cuEventRecord, ring->busy[slot], cu);
  if (*status) {
    give_back(gpu, ring, slot);
    return false;
  }
  f->slots[f->asked / ring->bytes % ring->count] = slot;
  f->asked += n;
  return true;
}

static tv_status fetch(tvi_gpu *gpu, char *to, CUdeviceptr from, int64_t bytes, CUstream cu) {
  tvi_ring *const ring = ring_for(gpu, bytes);
  fetching f = {.asked = 0, .done = 0};
  tv_status status = TV_OK;
  while (f.done < bytes) {
    while (f.asked < bytes && !status && ask(gpu, ring, from, bytes, cu, &f, &status)) continue;
    if (f.asked == f.done) break; /* it failed, and all slots are back */
    const int64_t n = bytes - f.done < ring->bytes ? bytes - f.done : ring->bytes;
    const int slot = f.slots[f.done / ring->bytes % ring->count];
    if (!status) status = TVI_CU(gpu, cuEventSynchronize, ring->busy[slot]);
    if (!status) copy_plain(to + f.done, ring->slots[slot], n);
    give_back(gpu, ring, slot);
    f.done += n;
  }
  return status;
}

tv_status tvi_gpu_copy_out(void *self, void *to_host, const void *from, int64_t bytes,
                           void *stream) {
  tvi_gpu *const gpu = self;
  const CUdeviceptr there = (CUdeviceptr)(uintptr_t)from;
  tvi_visit visit;
  if (bytes <= 0) return TV_OK;
  tv_status status = tvi_gpu_enter(gpu, &visit);
  if (status) return status;
  struct CUstream_st *const cu = tvi_stream_of(gpu, stream)->cu;
  if (!is_pinned(gpu, to_host, bytes)) {
    status = fetch(gpu, to_host, there, bytes, cu);
  } else {
    status = TVI_CU(gpu, cuMemcpyDtoHAsync, to_host, there, (size_t)bytes, cu);
    if (!status) status = TVI_CU(gpu, cuStreamSynchronize, cu);
  }
  tvi_gpu_leave(&visit);
  return status;
}

tv_status tvi_gpu_copy_out_later(void *self, void *to_host, const void *from, int64_t bytes,
                                 void *stream) {
  tvi_gpu *const gpu = self;
  tvi_visit visit;
  if (bytes <= 0) return TV_OK;
  tv_status status = tvi_gpu_enter(gpu, &visit);
  if (status) return status;
  status = TVI_CU(gpu, cuMemcpyDtoHAsync, to_host, (CUdeviceptr)(uintptr_t)from, (size_t)bytes,
                  tvi_stream_of(gpu, stream)->cu);
  tvi_gpu_leave(&visit);
  return status;
}
