/* SPDX-License-Identifier: MIT
 * The part of the CUDA driver API that the module uses, declared here so that it builds where no
 * CUDA toolkit is. driver_check.c compares every line with cuda.h where there is one. */
#ifndef TVI_CUDA_DRIVER_H
#define TVI_CUDA_DRIVER_H

#include <stddef.h>
#include <tensorvar/status.h>

#ifndef CUDA_VERSION /* cuda.h, included before, has the same names */
typedef int CUresult;
typedef int CUdevice;
typedef int CUdevice_attribute;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
#endif

/* clang-format off */
/*       name of the constant, its value */
#define TVI_DRIVER_CONSTANTS(CONSTANT)                          \
  CONSTANT(CUDA_ERROR_INVALID_VALUE, 1)                         \
  CONSTANT(CUDA_ERROR_OUT_OF_MEMORY, 2)                         \
  CONSTANT(CUDA_ERROR_STUB_LIBRARY, 34)                         \
  CONSTANT(CUDA_ERROR_NO_DEVICE, 100)                           \
  CONSTANT(CUDA_ERROR_NO_BINARY_FOR_GPU, 209)                   \
  CONSTANT(CUDA_ERROR_ECC_UNCORRECTABLE, 214)                   \
  CONSTANT(CUDA_ERROR_NVLINK_UNCORRECTABLE, 220)                \
  CONSTANT(CUDA_ERROR_CONTAINED, 226)                           \
  CONSTANT(CUDA_ERROR_NOT_FOUND, 500)                           \
  CONSTANT(CUDA_ERROR_NOT_READY, 600)                           \
  CONSTANT(CUDA_ERROR_ILLEGAL_ADDRESS, 700)                     \
  CONSTANT(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, 701)             \
  CONSTANT(CUDA_ERROR_LAUNCH_TIMEOUT, 702)                      \
  CONSTANT(CUDA_ERROR_ASSERT, 710)                              \
  CONSTANT(CUDA_ERROR_HARDWARE_STACK_ERROR, 714)                \
  CONSTANT(CUDA_ERROR_LAUNCH_FAILED, 719)                       \
  CONSTANT(CUDA_ERROR_UNKNOWN, 999)                             \
  CONSTANT(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 16)        \
  CONSTANT(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 75)    \
  CONSTANT(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 76)    \
  CONSTANT(CU_STREAM_NON_BLOCKING, 1)                           \
  CONSTANT(CU_EVENT_DEFAULT, 0)                                 \
  CONSTANT(CU_EVENT_DISABLE_TIMING, 2)                          \
  CONSTANT(CU_MEMHOSTALLOC_PORTABLE, 1)

/*   name, symbol in libcuda.so.1, parameters */
#define TVI_DRIVER_CALLS(CALL)                                                                  \
  CALL(cuInit, "cuInit", (unsigned flags))                                                      \
  CALL(cuDriverGetVersion, "cuDriverGetVersion", (int *version))                                \
  CALL(cuGetErrorName, "cuGetErrorName", (CUresult result, const char **name))                  \
  CALL(cuDeviceGetCount, "cuDeviceGetCount", (int *count))                                      \
  CALL(cuDeviceGet, "cuDeviceGet", (CUdevice *device, int ordinal))                             \
  CALL(cuDeviceGetName, "cuDeviceGetName", (char *name, int size, CUdevice device))             \
  CALL(cuDeviceGetAttribute, "cuDeviceGetAttribute",                                            \
       (int *value, CUdevice_attribute which, CUdevice device))                                 \
  CALL(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain",                                    \
       (CUcontext *context, CUdevice device))                                                   \
  CALL(cuCtxGetCurrent, "cuCtxGetCurrent", (CUcontext *context))                                \
  CALL(cuCtxSetCurrent, "cuCtxSetCurrent", (CUcontext context))                                 \
  CALL(cuModuleLoadData, "cuModuleLoadData", (CUmodule *module, const void *image))             \
  CALL(cuModuleGetFunction, "cuModuleGetFunction",                                              \
       (CUfunction *function, CUmodule module, const char *name))                               \
  CALL(cuMemAlloc, "cuMemAlloc_v2", (CUdeviceptr *address, size_t bytes))                       \
  CALL(cuMemFree, "cuMemFree_v2", (CUdeviceptr address))                                        \
  CALL(cuMemGetInfo, "cuMemGetInfo_v2", (size_t *free_bytes, size_t *total_bytes))              \
  CALL(cuMemHostAlloc, "cuMemHostAlloc", (void **block, size_t bytes, unsigned flags))          \
  CALL(cuMemFreeHost, "cuMemFreeHost", (void *block))                                           \
  CALL(cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2",                                               \
       (CUdeviceptr to, const void *from, size_t bytes, CUstream stream))                       \
  CALL(cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2",                                               \
       (void *to, CUdeviceptr from, size_t bytes, CUstream stream))                             \
  CALL(cuStreamCreate, "cuStreamCreate", (CUstream *stream, unsigned flags))                    \
  CALL(cuStreamSynchronize, "cuStreamSynchronize", (CUstream stream))                           \
  CALL(cuStreamWaitEvent, "cuStreamWaitEvent", (CUstream stream, CUevent event, unsigned flags)) \
  CALL(cuEventCreate, "cuEventCreate", (CUevent *event, unsigned flags))                        \
  CALL(cuEventDestroy, "cuEventDestroy_v2", (CUevent event))                                    \
  CALL(cuEventRecord, "cuEventRecord", (CUevent event, CUstream stream))                        \
  CALL(cuEventQuery, "cuEventQuery", (CUevent event))                                           \
  CALL(cuEventSynchronize, "cuEventSynchronize", (CUevent event))                               \
  CALL(cuEventElapsedTime, "cuEventElapsedTime_v2",                                             \
       (float *milliseconds, CUevent from, CUevent to))                                         \
  CALL(cuLaunchKernel, "cuLaunchKernel",                                                        \
       (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,                 \
        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,            \
        CUstream stream, void **params, void **extra))
/* clang-format on */

#ifndef CUDA_VERSION
#define TVI_CONSTANT_VALUE(name, value) name = value,
enum { TVI_DRIVER_CONSTANTS(TVI_CONSTANT_VALUE) };
#endif

/* The driver's functions, found by tvi_driver_open. */
#define TVI_CALL_SLOT(name, symbol, params) CUresult(*name) params;
typedef struct tvi_driver_calls {
  TVI_DRIVER_CALLS(TVI_CALL_SLOT)
} tvi_driver_calls;
extern tvi_driver_calls tvi_driver;

/* Open libcuda.so.1, once. TV_EDEVICE: why not, in one sentence. */
tv_status tvi_driver_open(void);

#endif
