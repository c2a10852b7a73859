/* SPDX-License-Identifier: MIT
 * What a GPU is made of, for the files that run it: gpu, launch, allocator, transfer, event, gemm.
 * Files of ops see gpu.h only. */
#ifndef TVI_CUDA_RUNTIME_H
#define TVI_CUDA_RUNTIME_H

#include <pthread.h>
#include <stdatomic.h>

#include "gpu.h"
#include "images.h"

enum {
  TVI_BINS = 128,       /* of free blocks, by size */
  TVI_RECENT = 32,      /* kernels that a lost device is reported with */
  TVI_FUNCTIONS = 4096, /* places in the table of kernels */
  TVI_BLOCK_PLACES = 4096
};

/* allocator.c */
typedef struct tvi_block tvi_block;
typedef struct tvi_segment tvi_segment;
typedef struct tvi_pending tvi_pending;
typedef struct tvi_bins {
  tvi_block *first[TVI_BINS];
  uint64_t is_filled[TVI_BINS / 64];
} tvi_bins;
typedef struct tvi_allocator {
  pthread_mutex_t lock;
  bool is_direct; /* every block its own cuMemAlloc: TV_CUDA_ALLOCATOR=direct */
  int64_t held, held_peak, handed, limit;
  tvi_segment *segments;
  tvi_pending *pending;                /* released blocks that other streams still use */
  tvi_block *places[TVI_BLOCK_PLACES]; /* blocks handed out, by address */
} tvi_allocator;

/* A stream, which is what the core holds; the main one is in the GPU. */
typedef struct tvi_gpu_stream {
  CUstream cu;
  tvi_bins bins[2]; /* of small and of large segments: free blocks whose home this is */
} tvi_gpu_stream;

/* transfer.c: pinned memory that copies go through. */
typedef struct tvi_ring {
  int count;
  int64_t bytes; /* of a slot */
  char *slots[32];
  CUevent busy[32];  /* recorded behind the slot's latest copy; NULL: never used */
  bool is_taken[32]; /* by a thread that copies */
  int next;
} tvi_ring;
typedef struct tvi_pinned {
  struct tvi_pinned *next;
  char *block;
  int64_t bytes;
} tvi_pinned;

/* launch.c */
typedef struct tvi_function {
  tvi_kernel kernel;
  CUfunction cu;
  char name[64];
} tvi_function;

struct tvi_gpu {
  int ordinal;
  CUdevice device;
  char name[16], model[96]; /* "cuda:0", "NVIDIA H200" */
  int multiprocessors, capability;
  pthread_mutex_t loading; /* guards images and functions; taken before all other locks */
  pthread_mutex_t lock;    /* guards events */
  atomic_bool is_ready;
  CUcontext context;
  CUmodule images[TVI_IMAGE_COUNT];
  _Atomic(tvi_function *) functions[TVI_FUNCTIONS];
  _Atomic(const char *) recent[TVI_RECENT];
  _Atomic uint64_t launches;
  atomic_bool is_lost;
  char lost[256]; /* what failed first; written before is_lost */

  tvi_gpu_stream main;
  CUevent spare[64]; /* events without timing, to order streams by */
  int n_spare;
  CUevent timed[64]; /* the user's, released, for the next who asks */
  int n_timed;
  tvi_allocator allocator;
  pthread_mutex_t transfer; /* guards the rings and the list of pinned memory */
  pthread_cond_t slot_is_free;
  tvi_ring small, large;
  tvi_pinned *pinned;
  void *blas; /* of cublaslt.c */
};

/* gpu.c ------------------------------------------------------------------------------------- */

/* Make the GPU's context the thread's, for driver calls to follow: TV_ELOST, or TV_EDEVICE in a
 * forked child or if the context cannot be had. Leaving gives a host's own context back. */
typedef struct tvi_visit {
  CUcontext before;
  bool is_changed;
} tvi_visit;
tv_status tvi_gpu_enter(tvi_gpu *gpu, tvi_visit *visit);
void tvi_gpu_leave(const tvi_visit *visit);

/* TV_OK, or what a driver call's result comes to: TV_ENOMEM, TV_ELOST (and the device is lost from
 * then on), TV_EDEVICE; the text names the call. */
tv_status tvi_gpu_result(tvi_gpu *gpu, const char *call, CUresult result);
#define TVI_CU(gpu, call, ...) tvi_gpu_result((gpu), #call, tvi_driver.call(__VA_ARGS__))

static inline tvi_gpu_stream *tvi_stream_of(tvi_gpu *gpu, void *stream) {
  return stream ? (tvi_gpu_stream *)stream : &gpu->main;
}

/* A GPU that is registered under its name; NULL after a failure. */
tvi_gpu *tvi_gpu_new(int ordinal);
void tvi_gpu_free(tvi_gpu *gpu);
tv_status tvi_gpu_ready(void *gpu);
void tvi_gpu_dlpack_device(void *gpu, int32_t *type, int32_t *id);
/* In a forked child every call is refused from then on, and no lock is touched: it may be held by a
 * thread that is not there. */
void tvi_gpu_forked(void);
bool tvi_gpu_is_forked(void);
/* Neither lost nor in a forked child: for driver calls that need no context. */
bool tvi_gpu_is_usable(const tvi_gpu *gpu);

/* event.c ----------------------------------------------------------------------------------- */

tv_status tvi_gpu_synchronize(void *gpu, void *stream);
tv_status tvi_gpu_stream_open(void *gpu, void **stream);
tv_status tvi_gpu_stream_wait(void *gpu, void *stream, void *other);
tv_status tvi_gpu_event_open(void *gpu, void **event);
void tvi_gpu_event_release(void *gpu, void *event);
tv_status tvi_gpu_event_record(void *gpu, void *event, void *stream);
tv_status tvi_gpu_event_wait(void *gpu, void *event, void *stream);
tv_status tvi_gpu_event_synchronize(void *gpu, void *event);
tv_status tvi_gpu_event_query(void *gpu, void *event, bool *is_done);
tv_status tvi_gpu_event_elapsed(void *gpu, void *from, void *to, double *milliseconds);
/* An event without timing, of the spare ones, and back. Within a visit. */
tv_status tvi_spare_event(tvi_gpu *gpu, CUevent *event);
void tvi_spare_event_back(tvi_gpu *gpu, CUevent event);

/* allocator.c ------------------------------------------------------------------------------- */

tv_status tvi_allocator_init(tvi_gpu *gpu);
tv_status tvi_gpu_memory(void *gpu, tv_memory_stats *stats);
tv_status tvi_gpu_trim(void *gpu);
/* Whether a call that was out of memory is worth another try: kernels and libraries take memory of
 * the device too, and the cache may have given some of its own back now. Within a visit. */
bool tvi_gpu_made_room(tvi_gpu *gpu, bool was_out_of_memory);
tv_status tvi_gpu_limit(void *gpu, int64_t bytes);

/* transfer.c -------------------------------------------------------------------------------- */

void tvi_transfer_init(tvi_gpu *gpu);
tv_status tvi_gpu_copy_out_later(void *gpu, void *to_host, const void *from, int64_t bytes,
                                 void *stream);
tv_status tvi_gpu_pinned_reserve(void *gpu, int64_t bytes, void **out);
void tvi_gpu_pinned_release(void *gpu, void *block);

#endif
