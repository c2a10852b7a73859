/* SPDX-License-Identifier: MIT
 * The module: what it exports, and finding out whether there is a GPU to use. Opening it touches no
 * driver; the first device asked for does. */
#include <stdio.h>

#include "runtime.h"

#ifndef TVI_TOOLKIT
#define TVI_TOOLKIT 12 /* no kernels are built in then */
#endif

const tv_host *tvi_host;

static const tv_backend backend = {
    .size = sizeof(tv_backend),
    .abi = TV_BACKEND_ABI,
    .reserve = tvi_gpu_reserve,
    .release = tvi_gpu_release,
    .copy_in = tvi_gpu_copy_in,
    .copy_out = tvi_gpu_copy_out,
    .synchronize = tvi_gpu_synchronize,
    .elementwise = tvi_gpu_elementwise,
    .convert = tvi_gpu_convert,
    .sequence = tvi_gpu_sequence,
    .reduce = tvi_gpu_reduce,
    .matmul = tvi_gpu_matmul,
    .gather = tvi_gpu_gather,
    .scatter_add = tvi_gpu_scatter_add,
    .scatter = tvi_gpu_scatter,
    .find_bad_index = tvi_gpu_find_bad_index,
    .random = tvi_gpu_random,
    .argsort_u64 = tvi_gpu_argsort_u64,
    .rows = tvi_gpu_rows,
    .optimize = tvi_gpu_optimize,
    .more_steps = 1u << TV_OPTIMIZE_SGD | 1u << TV_OPTIMIZE_ADAM,
    .stream_open = tvi_gpu_stream_open,
    .stream_wait = tvi_gpu_stream_wait,
    .event_open = tvi_gpu_event_open,
    .event_release = tvi_gpu_event_release,
    .event_record = tvi_gpu_event_record,
    .event_wait = tvi_gpu_event_wait,
    .event_synchronize = tvi_gpu_event_synchronize,
    .event_query = tvi_gpu_event_query,
    .event_elapsed = tvi_gpu_event_elapsed,
    .copy_out_later = tvi_gpu_copy_out_later,
    .pinned_reserve = tvi_gpu_pinned_reserve,
    .pinned_release = tvi_gpu_pinned_release,
    .memory = tvi_gpu_memory,
    .ready = tvi_gpu_ready,
    .trim = tvi_gpu_trim,
    .limit = tvi_gpu_limit,
    .dlpack_device = tvi_gpu_dlpack_device,
};

static tv_status refused(const char *call, CUresult result) {
  const char *name = NULL;
  tvi_driver.cuGetErrorName(result, &name);
  return tvi_host->fail(TV_EDEVICE, "cuda: %s failed: %s (%d)", call, name ? name : "unknown error",
                        (int)result);
}

static tv_status start_driver(int *count) {
  if (tvi_driver_open()) return TV_EDEVICE;
  CUresult result = tvi_driver.cuInit(0);
  if (result == CUDA_ERROR_STUB_LIBRARY)
    return tvi_host->fail(TV_EDEVICE,
                          "cuda: libcuda.so.1 is the toolkit's stub, not an NVIDIA driver");
  if (result == CUDA_ERROR_NO_DEVICE)
    return tvi_host->fail(TV_EDEVICE, "cuda: the NVIDIA driver sees no GPU");
  if (result) return refused("cuInit", result);
  int version = 0;
  result = tvi_driver.cuDriverGetVersion(&version);
  if (result) return refused("cuDriverGetVersion", result);
  if (version < TVI_TOOLKIT * 1000)
    return tvi_host->fail(
        TV_EDEVICE, "cuda: the NVIDIA driver knows CUDA %d.%d, this module was built for CUDA %d",
        version / 1000, version % 1000 / 10, TVI_TOOLKIT);
  result = tvi_driver.cuDeviceGetCount(count);
  if (result) return refused("cuDeviceGetCount", result);
  if (*count == 0) return tvi_host->fail(TV_EDEVICE, "cuda: the NVIDIA driver sees no GPU");
  return TV_OK;
}

static tv_status start(const tv_host *host) {
  static bool watches_forks;
  int count = 0, usable = 0;
  tvi_host = host;
  if (host->abi != TV_BACKEND_ABI || host->size < sizeof *host)
    return host->fail(TV_EDEVICE, "cuda: the module has ABI %u, the library %u",
                      (unsigned)TV_BACKEND_ABI, (unsigned)host->abi);
  const tv_status status = start_driver(&count);
  if (status) return status;
  if (!watches_forks && pthread_atfork(NULL, NULL, tvi_gpu_forked))
    return host->fail(TV_ENOMEM, "cuda: no memory");
  watches_forks = true;
  tv_status first = TV_OK;
  for (int k = 0; k < count; k++) {
    tv_device device;
    tvi_gpu *const gpu = tvi_gpu_new(k);
    tv_status made = gpu ? host->device_register(&backend, gpu, gpu->name, &device) : TV_EDEVICE;
    if (made) {
      if (gpu) tvi_gpu_free(gpu);
      if (!first) first = made;
    } else {
      usable++;
    }
  }
  return usable ? TV_OK : first;
}

__attribute__((visibility("default"))) const tv_module *tv_backend_module(void);
const tv_module *tv_backend_module(void) {
  static const tv_module module = {sizeof module, TV_BACKEND_ABI, start};
  return &module;
}
