/* SPDX-License-Identifier: MIT
 * A GPU: its primary context, which it shares with whatever else in the process uses it, and what a
 * driver call's result means. */
#include "runtime.h"

#include <stdio.h>
#include <string.h>

#ifndef TVI_OLDEST
#define TVI_OLDEST 80 /* compute capability that the kernels begin at */
#endif

static atomic_bool is_forked;

void tvi_gpu_forked(void) { atomic_store(&is_forked, true); }

bool tvi_gpu_is_forked(void) { return atomic_load_explicit(&is_forked, memory_order_relaxed); }

bool tvi_gpu_is_usable(const tvi_gpu *gpu) {
  return !tvi_gpu_is_forked() && !atomic_load(&gpu->is_lost);
}

int tvi_gpu_multiprocessors(const tvi_gpu *gpu) { return gpu->multiprocessors; }

/* Results -------------------------------------------------------------------------------------- */

/* After these no call on the context succeeds any more. */
static bool loses_device(CUresult result) {
  switch ((int)result) {
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_CONTAINED:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_LAUNCH_FAILED:
    case CUDA_ERROR_UNKNOWN:
      return true;
    default: /* misaligned address, bad instruction and the like, which only a kernel raises */
      return (int)result >= CUDA_ERROR_HARDWARE_STACK_ERROR &&
             (int)result < CUDA_ERROR_LAUNCH_FAILED;
  }
}

static tv_status lost(const tvi_gpu *gpu) {
  return tvi_host->fail(TV_ELOST, "%s: the device is lost: %s", gpu->name, gpu->lost);
}

/* The first error, and the kernels launched before it, the latest first. */
static void lose(tvi_gpu *gpu, const char *call, const char *what) {
  static pthread_mutex_t losing = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&losing);
  if (!atomic_load(&gpu->is_lost)) {
    const uint64_t launches = atomic_load(&gpu->launches);
    int at = snprintf(gpu->lost, sizeof gpu->lost, "%s: %s", call, what);
    for (uint64_t k = 0; k < TVI_RECENT && k < launches && at < (int)sizeof gpu->lost; k++) {
      const char *const name = atomic_load(&gpu->recent[(launches - 1 - k) % TVI_RECENT]);
      at += snprintf(gpu->lost + at, sizeof gpu->lost - (size_t)at, "%s%s",
                     k ? ", " : "; last kernels: ", name ? name : "?");
    }
    atomic_store(&gpu->is_lost, true);
  }
  pthread_mutex_unlock(&losing);
}

tv_status tvi_gpu_result(tvi_gpu *gpu, const char *call, CUresult result) {
  if (__builtin_expect(result == 0, 1)) return TV_OK;
  const char *name = NULL;
  if (tvi_driver.cuGetErrorName(result, &name) || !name) name = "unknown error";
  if (loses_device(result)) {
    lose(gpu, call, name);
    return lost(gpu);
  }
  return tvi_host->fail((int)result == CUDA_ERROR_OUT_OF_MEMORY ? TV_ENOMEM : TV_EDEVICE,
                        "%s: %s failed: %s (%d)", gpu->name, call, name, (int)result);
}

/* Context -------------------------------------------------------------------------------------- */

/* The context is retained once, and the main stream made, by whoever comes first. */
static tv_status make_ready(tvi_gpu *gpu) {
  tv_status status = TV_OK;
  if (gpu->capability < TVI_OLDEST)
    return tvi_host->fail(
        TV_EDEVICE,
        "%s: %s has compute capability %d.%d, this module has kernels for %d.%d and newer",
        gpu->name, gpu->model, gpu->capability / 10, gpu->capability % 10, TVI_OLDEST / 10,
        TVI_OLDEST % 10);
  if (!gpu->context) status = TVI_CU(gpu, cuDevicePrimaryCtxRetain, &gpu->context, gpu->device);
  CUcontext before = NULL;
  if (!status) status = TVI_CU(gpu, cuCtxGetCurrent, &before);
  if (!status) status = TVI_CU(gpu, cuCtxSetCurrent, gpu->context);
  if (!status && !gpu->main.cu)
    status = TVI_CU(gpu, cuStreamCreate, &gpu->main.cu, CU_STREAM_NON_BLOCKING);
  if (before) tvi_driver.cuCtxSetCurrent(before);
  return status;
}

tv_status tvi_gpu_enter(tvi_gpu *gpu, tvi_visit *visit) {
  *visit = (tvi_visit){NULL, false};
  if (tvi_gpu_is_forked())
    return tvi_host->fail(
        TV_EDEVICE, "%s: CUDA cannot be used in a child of the process that started it", gpu->name);
  if (atomic_load_explicit(&gpu->is_lost, memory_order_acquire)) return lost(gpu);
  if (!atomic_load_explicit(&gpu->is_ready, memory_order_acquire)) {
    static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&making);
    const tv_status status = atomic_load(&gpu->is_ready) ? TV_OK : make_ready(gpu);
    if (!status) atomic_store(&gpu->is_ready, true);
    pthread_mutex_unlock(&making);
    if (status) return status;
  }
  CUcontext now = NULL;
  tv_status status = TVI_CU(gpu, cuCtxGetCurrent, &now);
  if (!status && now != gpu->context) {
    status = TVI_CU(gpu, cuCtxSetCurrent, gpu->context);
    *visit = (tvi_visit){now, !status && now != NULL};
  }
  return status;
}

void tvi_gpu_leave(const tvi_visit *visit) {
  if (visit->is_changed) tvi_driver.cuCtxSetCurrent(visit->before);
}

tv_status tvi_gpu_ready(void *self) {
  tvi_visit visit;
  const tv_status status = tvi_gpu_enter(self, &visit);
  if (!status) tvi_gpu_leave(&visit);
  return status;
}

void tvi_gpu_dlpack_device(void *self, int32_t *type, int32_t *id) {
  *type = 2; /* kDLCUDA */
  *id = ((const tvi_gpu *)self)->ordinal;
}

/* Make -------------------------------------------------------------------------------------- */

static tv_status look_at(tvi_gpu *gpu) {
  int major = 0, minor = 0;
  tv_status status = TVI_CU(gpu, cuDeviceGet, &gpu->device, gpu->ordinal);
  if (!status) status = TVI_CU(gpu, cuDeviceGetName, gpu->model, sizeof gpu->model, gpu->device);
  if (!status)
    status = TVI_CU(gpu, cuDeviceGetAttribute, &gpu->multiprocessors,
                    (CUdevice_attribute)CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, gpu->device);
  if (!status)
    status = TVI_CU(gpu, cuDeviceGetAttribute, &major,
                    (CUdevice_attribute)CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, gpu->device);
  if (!status)
    status = TVI_CU(gpu, cuDeviceGetAttribute, &minor,
                    (CUdevice_attribute)CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, gpu->device);
  gpu->capability = 10 * major + minor;
  return status;
}

tvi_gpu *tvi_gpu_new(int ordinal) {
  tvi_gpu *const gpu = tvi_host->alloc(sizeof *gpu);
  if (!gpu) {
    tvi_host->fail(TV_ENOMEM, "cuda: no memory on cpu for %zu bytes", sizeof *gpu);
    return NULL;
  }
  gpu->ordinal = ordinal;
  tvi_transfer_init(gpu);
  snprintf(gpu->name, sizeof gpu->name, "cuda:%d", ordinal);
  if (pthread_mutex_init(&gpu->loading, NULL) || pthread_mutex_init(&gpu->lock, NULL) ||
      pthread_mutex_init(&gpu->transfer, NULL) || pthread_cond_init(&gpu->slot_is_free, NULL) ||
      tvi_allocator_init(gpu)) {
    tvi_host->free(gpu);
    tvi_host->fail(TV_ENOMEM, "cuda: no memory for a lock");
    return NULL;
  }
  if (look_at(gpu)) {
    tvi_gpu_free(gpu);
    return NULL;
  }
  return gpu;
}

/* One that was not registered. */
void tvi_gpu_free(tvi_gpu *gpu) {
  pthread_mutex_destroy(&gpu->loading);
  pthread_mutex_destroy(&gpu->lock);
  pthread_mutex_destroy(&gpu->transfer);
  pthread_cond_destroy(&gpu->slot_is_free);
  pthread_mutex_destroy(&gpu->allocator.lock);
  tvi_host->free(gpu);
}
