/* SPDX-License-Identifier: MIT
 * Launching kernels by name. An image is loaded when the first kernel of it is asked for; kernels
 * found are kept in a table that is read without a lock. TV_CUDA_SYNC=1 waits after each launch, so
 * that a fault is reported by the call that made it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

static bool waits_always(void) {
  static _Atomic int known; /* 0: not asked yet */
  int answer = atomic_load_explicit(&known, memory_order_relaxed);
  if (!answer) {
    const char *const text = getenv("TV_CUDA_SYNC");
    answer = text && !strcmp(text, "1") ? 2 : 1;
    atomic_store_explicit(&known, answer, memory_order_relaxed);
  }
  return answer == 2;
}

static const char *tag_of(tv_dtype dtype) {
#define TAG(tag, TAG_, ...) [TV_##TAG_] = #tag,
  static const char *const tags[TV_DTYPE_COUNT] = {
#include "dtypes.def"
      ANY(TAG, )};
#undef TAG
  return tags[dtype];
}

static void name_of(tvi_kernel kernel, char *name, size_t room) {
  const bool has_a = kernel.a != TV_DTYPE_NONE, has_b = kernel.b != TV_DTYPE_NONE;
  snprintf(name, room, "%s%s%s%s%s%s%s", kernel.base, has_a ? "_" : "",
           has_a ? tag_of(kernel.a) : "", has_b ? "_" : "", has_b ? tag_of(kernel.b) : "",
           kernel.variant ? "_" : "", kernel.variant ? kernel.variant : "");
}

static bool is_same(tvi_kernel a, tvi_kernel b) {
  return a.base == b.base && a.variant == b.variant && a.a == b.a && a.b == b.b;
}

static unsigned place_of(tvi_kernel kernel) {
  uint64_t h = (uintptr_t)kernel.base * UINT64_C(0x9e3779b97f4a7c15);
  h ^= ((uintptr_t)kernel.variant + (uint64_t)(kernel.a + 1) * 31 + (uint64_t)(kernel.b + 1)) *
       UINT64_C(0xbf58476d1ce4e5b9);
  return (unsigned)(h >> 40) % TVI_FUNCTIONS;
}

static tvi_function *find(tvi_gpu *gpu, tvi_kernel kernel, unsigned *place) {
  for (*place = place_of(kernel);; *place = (*place + 1) % TVI_FUNCTIONS) {
    tvi_function *const f = atomic_load_explicit(&gpu->functions[*place], memory_order_acquire);
    if (!f || is_same(f->kernel, kernel)) return f;
  }
}

/* Within a visit and under the lock for loading. */
static tv_status load(tvi_gpu *gpu, tvi_kernel kernel, tvi_function **found) {
  unsigned place;
  *found = find(gpu, kernel, &place);
  if (*found) return TV_OK;
  CUmodule *const image = &gpu->images[kernel.image];
  if (!*image) {
    CUresult result = tvi_driver.cuModuleLoadData(image, tvi_images[kernel.image]);
    if (tvi_gpu_made_room(gpu, (int)result == CUDA_ERROR_OUT_OF_MEMORY))
      result = tvi_driver.cuModuleLoadData(image, tvi_images[kernel.image]);
    if (result) return tvi_gpu_result(gpu, "cuModuleLoadData", result);
  }
  tvi_function *const made = tvi_host->alloc(sizeof *made);
  if (!made)
    return tvi_host->fail(TV_ENOMEM, "%s: no memory on cpu for %zu bytes", gpu->name, sizeof *made);
  made->kernel = kernel;
  name_of(kernel, made->name, sizeof made->name);
  CUresult result = tvi_driver.cuModuleGetFunction(&made->cu, *image, made->name);
  if (tvi_gpu_made_room(gpu, (int)result == CUDA_ERROR_OUT_OF_MEMORY))
    result = tvi_driver.cuModuleGetFunction(&made->cu, *image, made->name);
  if (result) {
    const tv_status status =
        (int)result == CUDA_ERROR_NOT_FOUND
            ? tvi_host->fail(TV_EUNSUPPORTED, "%s: there is no kernel %s", gpu->name, made->name)
            : tvi_gpu_result(gpu, "cuModuleGetFunction", result);
    tvi_host->free(made);
    return status;
  }
  atomic_store_explicit(&gpu->functions[place], made, memory_order_release);
  *found = made;
  return TV_OK;
}

static CUresult queue(CUfunction cu, tvi_grid grid, CUstream stream, void **params) {
  return tvi_driver.cuLaunchKernel(cu, (unsigned)grid.blocks, grid.y ? grid.y : 1, 1, grid.threads,
                                   1, 1, grid.shared, stream, params, NULL);
}

static tv_status launch(tvi_gpu *gpu, void *stream, tvi_kernel kernel, tvi_grid grid,
                        const void *job) {
  unsigned place;
  tvi_function *f = find(gpu, kernel, &place);
  if (!f) {
    pthread_mutex_lock(&gpu->loading);
    const tv_status status = load(gpu, kernel, &f);
    pthread_mutex_unlock(&gpu->loading);
    if (status) return status;
  }
  struct CUstream_st *const cu = tvi_stream_of(gpu, stream)->cu;
  void *params[] = {(void *)(uintptr_t)job};
  const uint64_t number = atomic_fetch_add_explicit(&gpu->launches, 1, memory_order_relaxed);
  atomic_store_explicit(&gpu->recent[number % TVI_RECENT], f->name, memory_order_relaxed);
  CUresult result = queue(f->cu, grid, cu, params);
  if (tvi_gpu_made_room(gpu, (int)result == CUDA_ERROR_OUT_OF_MEMORY))
    result = queue(f->cu, grid, cu, params);
  if (!result && waits_always()) result = tvi_driver.cuStreamSynchronize(cu);
  if (__builtin_expect(result == 0, 1)) return TV_OK;
  char call[sizeof f->name + 24];
  snprintf(call, sizeof call, "cuLaunchKernel of %s", f->name);
  return tvi_gpu_result(gpu, call, result);
}

tv_status tvi_launch(tvi_gpu *gpu, void *stream, tvi_kernel kernel, tvi_grid grid,
                     const void *job) {
  tvi_visit visit;
  tv_status status = tvi_gpu_enter(gpu, &visit);
  if (status) return status;
  status = launch(gpu, stream, kernel, grid, job);
  tvi_gpu_leave(&visit);
  return status;
}
