/* SPDX-License-Identifier: MIT
 * Copies between host and device. A GPU reads and writes pinned host memory at the full speed of
 * its link, and on its own; so what comes from plain memory goes through a ring of pinned slots,
 * filled or emptied by the library's threads while earlier slots are on their way. A slot is used
 * again once the event behind its copy is reached. Memory that was pinned by tvi_gpu_pinned_reserve
 * needs no ring. */
#include <string.h>

#include "runtime.h"

enum { SMALL = 64 << 10, SMALL_SLOTS = 32, LARGE = 8 << 20, LARGE_SLOTS = 8, PIECE = 1 << 20 };

/* Rings ------------------------------------------------------------------------------------------
 */

static tvi_ring *ring_for(tvi_gpu *gpu, int64_t bytes) {
  tvi_ring *const ring = bytes <= SMALL ? &gpu->small : &gpu->large;
  ring->bytes = bytes <= SMALL ? SMALL : LARGE;
  ring->count = bytes <= SMALL ? SMALL_SLOTS : LARGE_SLOTS;
  return ring;
}

/* The next slot, once its latest copy is done; made when it is first wanted. */
static tv_status take_slot(tvi_gpu *gpu, tvi_ring *ring, int *slot) {
  tv_status status = TV_OK;
  *slot = ring->next;
  if (!ring->slots[*slot]) {
    void *made = NULL;
    status = TVI_CU(gpu, cuMemHostAlloc, &made, (size_t)ring->bytes, CU_MEMHOSTALLOC_PORTABLE);
    ring->slots[*slot] = made;
  }
  if (!status && !ring->busy[*slot])
    status = TVI_CU(gpu, cuEventCreate, &ring->busy[*slot], CU_EVENT_DISABLE_TIMING);
  else if (!status)
    status = TVI_CU(gpu, cuEventSynchronize, ring->busy[*slot]);
  if (!status) ring->next = (*slot + 1) % ring->count;
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

/* Pinned memory -----------------------------------------------------------------------------------
 */

static bool is_pinned(tvi_gpu *gpu, const void *at, int64_t bytes) {
  const char *const first = at;
  for (const tvi_pinned *p = gpu->pinned; p; p = p->next)
    if (first >= p->block && first + bytes <= p->block + p->bytes) return true;
  return false;
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
    status = take_slot(gpu, ring, &slot);
    if (status) break;
    copy_plain(ring->slots[slot], from + at, n);
    status = TVI_CU(gpu, cuMemcpyHtoDAsync, to + (CUdeviceptr)at, ring->slots[slot], (size_t)n, cu);
    if (!status) status = TVI_CU(gpu, cuEventRecord, ring->busy[slot], cu);
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
  pthread_mutex_lock(&gpu->transfer);
  const bool is_direct = bytes > SMALL && is_pinned(gpu, from_host, bytes);
  if (!is_direct) status = send(gpu, there, from_host, bytes, cu);
  pthread_mutex_unlock(&gpu->transfer);
  if (is_direct) {
    status = TVI_CU(gpu, cuMemcpyHtoDAsync, there, from_host, (size_t)bytes, cu);
    if (!status) status = TVI_CU(gpu, cuStreamSynchronize, cu); /* the host side is free now */
  }
  tvi_gpu_leave(&visit);
  return status;
}

/* Out
 * ---------------------------------------------------------------------------------------------- */

/* As many slots as there are may be on their way; the oldest is emptied first. */
static tv_status fetch(tvi_gpu *gpu, char *to, CUdeviceptr from, int64_t bytes, CUstream cu) {
  tvi_ring *const ring = ring_for(gpu, bytes);
  int slots[SMALL_SLOTS];
  int64_t asked = 0, done = 0;
  tv_status status = TV_OK;
  while (done < bytes && !status) {
    while (asked < bytes && asked - done < ring->count * ring->bytes && !status) {
      const int64_t n = bytes - asked < ring->bytes ? bytes - asked : ring->bytes;
      int slot = 0;
      status = take_slot(gpu, ring, &slot);
      if (!status)
        status = TVI_CU(gpu, cuMemcpyDtoHAsync, ring->slots[slot], from + (CUdeviceptr)asked,
                        (size_t)n, cu);
      if (!status) status = TVI_CU(gpu, cuEventRecord, ring->busy[slot], cu);
      if (status) break;
      slots[asked / ring->bytes % ring->count] = slot;
      asked += n;
    }
    if (status) break;
    const int64_t n = bytes - done < ring->bytes ? bytes - done : ring->bytes;
    const int slot = slots[done / ring->bytes % ring->count];
    status = TVI_CU(gpu, cuEventSynchronize, ring->busy[slot]);
    if (!status) copy_plain(to + done, ring->slots[slot], n);
    done += n;
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
  pthread_mutex_lock(&gpu->transfer);
  const bool is_direct = is_pinned(gpu, to_host, bytes);
  if (!is_direct) status = fetch(gpu, to_host, there, bytes, cu);
  pthread_mutex_unlock(&gpu->transfer);
  if (is_direct) {
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
