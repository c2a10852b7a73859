/* SPDX-License-Identifier: MIT
 * The GPU's memory: a cache over cuMemAlloc, since the driver's own calls wait for the whole
 * device.
 *
 * Segments come from the driver: 2 MiB for blocks up to 1 MiB, 20 MiB up to 10 MiB, larger ones
 * their own size in whole 2 MiB (the sizes of PyTorch's allocator). A segment is cut into blocks of
 * whole 512 bytes, and belongs to the stream it was made for: a block released there can be handed
 * out there at once, since the stream keeps the order. A block that other streams use waits for
 * their events.
 *
 * Free blocks hang in bins by size, four to each power of two; the smallest that fits is taken from
 * the first bin that has one. */
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

enum {
  GRAIN = 512,
  SMALL_MOST = 1 << 20,
  SMALL_SEGMENT = 2 << 20,
  MIDDLE_MOST = 10 << 20,
  MIDDLE_SEGMENT = 20 << 20,
  LARGE_GRAIN = 2 << 20,
  LARGE_REST = 1 << 20, /* what is left of a large block is cut off from here on */
  USERS = 8             /* streams that one pending block may wait for */
};

struct tvi_segment {
  tvi_segment *next;
  tvi_gpu_stream *stream;
  tvi_block *first;
  CUdeviceptr base;
  int64_t bytes;
  bool is_small;
};

struct tvi_block {
  char *address;
  int64_t bytes;
  tvi_segment *segment;
  tvi_block *before, *after;  /* neighbours in the segment */
  tvi_block *previous, *next; /* in a bin, or `next` in the table of what is handed out */
  bool is_free;
};

struct tvi_pending {
  tvi_pending *next;
  tvi_block *block;
  int n;
  CUevent events[USERS];
};

tv_status tvi_allocator_init(tvi_gpu *gpu) {
  const char *const kind = getenv("TV_CUDA_ALLOCATOR");
  gpu->allocator.is_direct = kind && !strcmp(kind, "direct");
  return pthread_mutex_init(&gpu->allocator.lock, NULL) ? TV_ENOMEM : TV_OK;
}

/* Bins -------------------------------------------------------------------------------------- */

/* Four bins to a power of two: the two bits below the highest choose. */
static int bin_of(int64_t bytes) {
  const uint64_t grains = ((uint64_t)bytes + GRAIN - 1) / GRAIN;
  const int high = 63 - __builtin_clzll(grains);
  const int bin = high < 2 ? (int)grains : 4 * (high - 1) + (int)(grains >> (high - 2) & 3);
  return bin < TVI_BINS ? bin : TVI_BINS - 1;
}

static tvi_bins *bins_of(const tvi_block *block) {
  return &block->segment->stream->bins[!block->segment->is_small];
}

static void bin_add(tvi_block *block) {
  tvi_bins *const bins = bins_of(block);
  const int bin = bin_of(block->bytes);
  block->previous = NULL;
  block->next = bins->first[bin];
  if (block->next) block->next->previous = block;
  bins->first[bin] = block;
  bins->is_filled[bin / 64] |= UINT64_C(1) << bin % 64;
  block->is_free = true;
}

static void bin_remove(tvi_block *block) {
  tvi_bins *const bins = bins_of(block);
  const int bin = bin_of(block->bytes);
  if (block->next) block->next->previous = block->previous;
  if (block->previous)
    block->previous->next = block->next;
  else
    bins->first[bin] = block->next;
  if (!bins->first[bin]) bins->is_filled[bin / 64] &= ~(UINT64_C(1) << bin % 64);
  block->is_free = false;
}

/* The smallest block of the first bin that has one large enough. */
static tvi_block *bin_find(const tvi_bins *bins, int64_t bytes) {
  for (int bin = bin_of(bytes); bin < TVI_BINS; bin++) {
    if (!(bins->is_filled[bin / 64] >> bin % 64)) {
      bin |= 63; /* nothing in the rest of this word */
      continue;
    }
    tvi_block *best = NULL;
    for (tvi_block *block = bins->first[bin]; block; block = block->next)
      if (block->bytes >= bytes && (!best || block->bytes < best->bytes)) best = block;
    if (best) return best;
  }
  return NULL;
}

/* What is handed out, by address ------------------------------------------------------------ */

static tvi_block **place_of(tvi_allocator *a, const void *address) {
  const uint64_t h = (uintptr_t)address / GRAIN * UINT64_C(0x9e3779b97f4a7c15);
  return &a->places[h >> 52];
}

static void hand_out(tvi_allocator *a, tvi_block *block) {
  tvi_block **const place = place_of(a, block->address);
  block->next = *place;
  *place = block;
  a->handed += block->bytes;
}

static tvi_block *take_back(tvi_allocator *a, const void *address) {
  for (tvi_block **at = place_of(a, address); *at; at = &(*at)->next)
    if ((*at)->address == address) {
      tvi_block *const block = *at;
      *at = block->next;
      a->handed -= block->bytes;
      return block;
    }
  return NULL;
}

/* Segments ---------------------------------------------------------------------------------- */

static tvi_block *join(tvi_block *left, tvi_block *right) {
  left->bytes += right->bytes;
  left->after = right->after;
  if (left->after) left->after->before = left;
  tvi_host->free(right);
  return left;
}

/* Back to the bins, as one with free neighbours. */
static void settle(tvi_block *block) {
  if (block->after && block->after->is_free) {
    bin_remove(block->after);
    block = join(block, block->after);
  }
  if (block->before && block->before->is_free) {
    bin_remove(block->before);
    block = join(block->before, block);
  }
  bin_add(block);
}

/* A segment that is one free block goes back to the driver, which waits for queued work. */
static void drop(tvi_gpu *gpu, tvi_segment **at) {
  tvi_segment *const segment = *at;
  bin_remove(segment->first);
  tvi_driver.cuMemFree(segment->base);
  gpu->allocator.held -= segment->bytes;
  *at = segment->next;
  tvi_host->free(segment->first);
  tvi_host->free(segment);
}

static bool is_unused(const tvi_segment *segment) {
  return segment->first->is_free && !segment->first->after;
}

static bool trim(tvi_gpu *gpu) {
  bool has_dropped = false;
  for (tvi_segment **at = &gpu->allocator.segments; *at;) {
    if (is_unused(*at)) {
      drop(gpu, at);
      has_dropped = true;
    } else {
      at = &(*at)->next;
    }
  }
  return has_dropped;
}

static int64_t segment_bytes(const tvi_allocator *a, int64_t bytes) {
  if (a->is_direct) return bytes;
  if (bytes <= SMALL_MOST) return SMALL_SEGMENT;
  if (bytes <= MIDDLE_MOST) return MIDDLE_SEGMENT;
  return (bytes + LARGE_GRAIN - 1) / LARGE_GRAIN * LARGE_GRAIN;
}

/* The driver's answer; a limit that would be passed counts as out of memory. */
static CUresult from_driver(tvi_gpu *gpu, int64_t bytes, CUdeviceptr *base) {
  tvi_allocator *const a = &gpu->allocator;
  if (a->limit && bytes > a->limit - a->held) return (CUresult)CUDA_ERROR_OUT_OF_MEMORY;
  return tvi_driver.cuMemAlloc(base, (size_t)bytes);
}

static tv_status no_memory_on_cpu(const tvi_gpu *gpu) {
  return tvi_host->fail(TV_ENOMEM, "%s: no memory on cpu for a block's head", gpu->name);
}

static tv_status segment_new(tvi_gpu *gpu, tvi_gpu_stream *stream, int64_t bytes, bool is_small,
                             CUdeviceptr base) {
  tvi_allocator *const a = &gpu->allocator;
  tvi_segment *const segment = tvi_host->alloc(sizeof *segment);
  tvi_block *const block = segment ? tvi_host->alloc(sizeof *block) : NULL;
  if (!block) {
    tvi_host->free(segment);
    tvi_driver.cuMemFree(base);
    return no_memory_on_cpu(gpu);
  }
  *segment = (tvi_segment){a->segments, stream, block, base, bytes, is_small};
  *block = (tvi_block){.address = (char *)(uintptr_t)base, .bytes = bytes, .segment = segment};
  a->segments = segment;
  a->held += bytes;
  if (a->held > a->held_peak) a->held_peak = a->held;
  bin_add(block);
  return TV_OK;
}

/* Pending -------------------------------------------------------------------------------------- */

static bool is_reached(tvi_gpu *gpu, const tvi_pending *p) {
  for (int k = 0; k < p->n; k++) {
    const CUresult result = tvi_driver.cuEventQuery(p->events[k]);
    if ((int)result == CUDA_ERROR_NOT_READY) return false;
    if (result) tvi_gpu_result(gpu, "cuEventQuery", result);
  }
  return true;
}

/* Blocks whose other streams are done become free; with `waits` all of them. */
static void finish_pending(tvi_gpu *gpu, bool waits) {
  for (tvi_pending **at = &gpu->allocator.pending; *at;) {
    tvi_pending *const p = *at;
    if (waits)
      for (int k = 0; k < p->n; k++) tvi_driver.cuEventSynchronize(p->events[k]);
    if (!waits && !is_reached(gpu, p)) {
      at = &p->next;
      continue;
    }
    for (int k = 0; k < p->n; k++) tvi_spare_event_back(gpu, p->events[k]);
    settle(p->block);
    *at = p->next;
    tvi_host->free(p);
  }
}

/* Remember the block until the users have come past now. False: it could not be remembered. */
static bool make_pending(tvi_gpu *gpu, tvi_block *block, int n, void *const *users) {
  tvi_pending *const p = n <= USERS ? tvi_host->alloc(sizeof *p) : NULL;
  if (!p) return false;
  p->block = block;
  for (; p->n < n; p->n++) {
    if (tvi_spare_event(gpu, &p->events[p->n])) break;
    if (tvi_driver.cuEventRecord(p->events[p->n], tvi_stream_of(gpu, users[p->n])->cu)) {
      tvi_spare_event_back(gpu, p->events[p->n]);
      break;
    }
  }
  if (p->n < n) {
    for (int k = 0; k < p->n; k++) tvi_spare_event_back(gpu, p->events[k]);
    tvi_host->free(p);
    return false;
  }
  p->next = gpu->allocator.pending;
  gpu->allocator.pending = p;
  return true;
}

/* Reserve and release ----------------------------------------------------------------------- */

static void count_free(const tvi_allocator *a, int64_t *sum, int64_t *largest) {
  *sum = *largest = 0;
  for (const tvi_segment *segment = a->segments; segment; segment = segment->next)
    for (const tvi_block *block = segment->first; block; block = block->after)
      if (block->is_free) {
        *sum += block->bytes;
        if (block->bytes > *largest) *largest = block->bytes;
      }
}

static tv_status out_of_memory(tvi_gpu *gpu, int64_t bytes) {
  const tvi_allocator *const a = &gpu->allocator;
  size_t on_device = 0, total = 0;
  int64_t sum, largest;
  count_free(a, &sum, &largest);
  tvi_driver.cuMemGetInfo(&on_device, &total);
  return tvi_host->fail(
      TV_ENOMEM,
      "%s: no memory for %lld bytes: %lld handed out, %lld held (limit %lld), %lld of it free, "
      "largest piece %lld; the device has %lld free of %lld",
      gpu->name, (long long)bytes, (long long)a->handed, (long long)a->held, (long long)a->limit,
      (long long)sum, (long long)largest, (long long)on_device, (long long)total);
}

/* A free block of at least `bytes`, made if need be. Before it fails, everything that can be is
 * freed. */
static tv_status find_or_make(tvi_gpu *gpu, tvi_gpu_stream *stream, int64_t bytes,
                              tvi_block **found) {
  tvi_allocator *const a = &gpu->allocator;
  const bool is_small = !a->is_direct && bytes <= SMALL_MOST;
  const tvi_bins *const bins = &stream->bins[!is_small];
  const int64_t whole = segment_bytes(a, bytes);
  if (a->pending) finish_pending(gpu, false);
  if ((*found = bin_find(bins, bytes))) return TV_OK;
  CUdeviceptr base = 0;
  CUresult result = from_driver(gpu, whole, &base);
  if ((int)result == CUDA_ERROR_OUT_OF_MEMORY) {
    finish_pending(gpu, true);
    if ((*found = bin_find(bins, bytes))) return TV_OK;
    if (trim(gpu)) result = from_driver(gpu, whole, &base);
  }
  if ((int)result == CUDA_ERROR_OUT_OF_MEMORY) return out_of_memory(gpu, bytes);
  if (result) return tvi_gpu_result(gpu, "cuMemAlloc", result);
  const tv_status status = segment_new(gpu, stream, whole, is_small, base);
  if (!status) *found = bin_find(bins, bytes);
  return status;
}

/* What the block has too much becomes a free block behind it; without memory for its head it stays.
 */
static void cut(tvi_block *block, int64_t bytes) {
  const int64_t rest = block->bytes - bytes;
  if (rest < (block->segment->is_small ? GRAIN : LARGE_REST)) return;
  tvi_block *const behind = tvi_host->alloc(sizeof *behind);
  if (!behind) return;
  *behind = (tvi_block){.address = block->address + bytes,
                        .bytes = rest,
                        .segment = block->segment,
                        .before = block,
                        .after = block->after};
  if (behind->after) behind->after->before = behind;
  block->after = behind;
  block->bytes = bytes;
  bin_add(behind);
}

tv_status tvi_gpu_reserve(void *self, int64_t bytes, void *stream, void **out) {
  tvi_gpu *const gpu = self;
  tvi_allocator *const a = &gpu->allocator;
  *out = NULL;
  tvi_visit visit;
  tv_status status = tvi_gpu_enter(gpu, &visit);
  if (status) return status;
  pthread_mutex_lock(&a->lock);
  tvi_block *block = NULL;
  if (bytes > INT64_MAX - LARGE_GRAIN) {
    status = out_of_memory(gpu, bytes);
  } else {
    if (!a->is_direct) bytes = (bytes + GRAIN - 1) / GRAIN * GRAIN;
    status = find_or_make(gpu, tvi_stream_of(gpu, stream), bytes, &block);
  }
  if (block) {
    bin_remove(block);
    if (!a->is_direct) cut(block, bytes);
    hand_out(a, block);
    *out = block->address;
  }
  pthread_mutex_unlock(&a->lock);
  tvi_gpu_leave(&visit);
  return status;
}

void tvi_gpu_release(void *self, void *address, int64_t bytes, void *stream, int n_users,
                     void *const *users) {
  (void)bytes, (void)stream; /* the block knows both */
  tvi_gpu *const gpu = self;
  tvi_allocator *const a = &gpu->allocator;
  tvi_visit visit = {NULL, false};
  if (tvi_gpu_is_forked()) return;
  /* Only other streams and segments that go back to the driver need it; memory of a lost device
   * stays in the books, and the driver takes it back with the process. */
  const bool is_usable = (n_users == 0 && !a->is_direct) || !tvi_gpu_enter(gpu, &visit);
  pthread_mutex_lock(&a->lock);
  tvi_block *const block = take_back(a, address);
  if (block) {
    if (n_users && is_usable && !make_pending(gpu, block, n_users, users)) {
      for (int k = 0; k < n_users; k++)
        tvi_driver.cuStreamSynchronize(tvi_stream_of(gpu, users[k])->cu);
      n_users = 0;
    }
    if (!n_users || !is_usable) settle(block);
    if (a->is_direct && is_usable && !n_users) trim(gpu);
  }
  pthread_mutex_unlock(&a->lock);
  tvi_gpu_leave(&visit);
}

/* Ask and change ---------------------------------------------------------------------------- */

tv_status tvi_gpu_memory(void *self, tv_memory_stats *stats) {
  tvi_gpu *const gpu = self;
  tvi_allocator *const a = &gpu->allocator;
  if (tvi_gpu_is_forked()) return tvi_gpu_ready(gpu); /* which says so */
  pthread_mutex_lock(&a->lock);
  stats->held = a->held;
  stats->held_peak = a->held_peak;
  stats->limit = a->limit;
  count_free(a, &stats->held_free, &stats->largest_free);
  pthread_mutex_unlock(&a->lock);
  return TV_OK;
}

tv_status tvi_gpu_trim(void *self) {
  tvi_gpu *const gpu = self;
  tvi_visit visit;
  const tv_status status = tvi_gpu_enter(gpu, &visit);
  if (status) return status;
  pthread_mutex_lock(&gpu->allocator.lock);
  finish_pending(gpu, true);
  trim(gpu);
  pthread_mutex_unlock(&gpu->allocator.lock);
  tvi_gpu_leave(&visit);
  return TV_OK;
}

bool tvi_gpu_made_room(tvi_gpu *gpu, bool was_out_of_memory) {
  if (__builtin_expect(!was_out_of_memory, 1)) return false;
  pthread_mutex_lock(&gpu->allocator.lock);
  finish_pending(gpu, true);
  const bool has_dropped = trim(gpu);
  pthread_mutex_unlock(&gpu->allocator.lock);
  return has_dropped;
}

tv_status tvi_gpu_limit(void *self, int64_t bytes) {
  tvi_gpu *const gpu = self;
  if (tvi_gpu_is_forked()) return tvi_gpu_ready(gpu);
  pthread_mutex_lock(&gpu->allocator.lock);
  gpu->allocator.limit = bytes;
  pthread_mutex_unlock(&gpu->allocator.lock);
  return TV_OK;
}
