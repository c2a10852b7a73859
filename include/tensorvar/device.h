/* SPDX-License-Identifier: MIT
 * Devices: where bytes lie and ops run. */
#ifndef TENSORVAR_DEVICE_H
#define TENSORVAR_DEVICE_H

#include <tensorvar/status.h>
TV_BEGIN_C

/** A device, by number. TV_CPU is always there; tv_device_find knows the others by name. */
typedef int32_t tv_device;
enum { TV_DEVICE_NONE = -1, TV_CPU = 0 };

/** What a device has handed out. */
typedef struct tv_memory_stats {
  int64_t bytes;    /* in live storages */
  int64_t blocks;   /* live storages with bytes of their own */
  int64_t reserved; /* blocks handed out since the start */
  /* What the device's allocator has of the system, to hand out; 0 where it keeps no such books.
   * The CPU's counts blocks above 4 KiB, in whole size classes. */
  int64_t held, held_peak; /* bytes now, and at most since the start */
  int64_t held_free;       /* bytes of `held` that are not handed out */
  int64_t largest_free;    /* bytes of the largest piece of those */
  int64_t limit;           /* that `held` stays under; 0: none */
} tv_memory_stats;

/** Number of devices; their numbers are 0 to count - 1. */
TV_API int tv_device_count(void);

/** Name of a device, "cpu" or "cuda:0"; NULL with TV_EDEVICE if there is none of this number. */
TV_API const char *tv_device_name(tv_device device);

/**
 * The device of a name: "cpu", "cuda:1"; "cuda" is "cuda:0".
 *
 * The first time that "cuda" is asked for, the library opens its module for CUDA (see backend.h),
 * and the module the driver.
 *
 * Errors    - TV_EDEVICE  there is none of this name, or it cannot be used: why, in one sentence;
 *                         *device is kept
 */
TV_API tv_status tv_device_find(const char *name, tv_device *device);

/** Make a device the thread's current one, on which creation, random numbers and loads put their
 *  results; TV_CPU at first. TV_EDEVICE if there is none of this number. */
TV_API tv_status tv_device_set(tv_device device);

/** The thread's current device. */
TV_API tv_device tv_device_current(void);

/** What a device has handed out until now. TV_EDEVICE if there is none of this number. */
TV_API tv_status tv_device_memory(tv_device device, tv_memory_stats *stats);

/**
 * Give back to the system what a device's allocator keeps for later.
 *
 * The CPU's keeps at most TV_CPU_CACHE_BYTES, by default a quarter of the memory that this process
 * may use; 0: nothing.
 */
TV_API tv_status tv_device_trim(tv_device device);

/**
 * Let a device's allocator hold at most so many bytes of the system's memory: what would need more
 * is TV_ENOMEM, when all that it keeps for later is given back. 0 takes the limit away. What is
 * held already stays.
 *
 * Errors    - TV_EVALUE        bytes is negative
 *           - TV_EUNSUPPORTED  the device's allocator keeps no such books
 */
TV_API tv_status tv_device_limit(tv_device device, int64_t bytes);

/** Wait until everything queued on a device has run, and report what failed there. */
TV_API tv_status tv_device_synchronize(tv_device device);

/** Live tensors, storages, Variables, tapes and optimizers in this process. */
TV_API int64_t tv_live_handles(void);

/**
 * How many threads a CPU operation may use, the calling one included.
 *
 * Results have the same bits for every number. At first TV_NUM_THREADS, else the processors that
 * this process may run on. 0 asks for that again.
 *
 * Errors    - TV_EVALUE   n is negative or above 1024
 */
TV_API tv_status tv_threads_set(int n);

/** How many threads a CPU operation may use. */
TV_API int tv_threads(void);

/** The BLAS that CPU matrix products run on: the path it was opened by, or "built-in". */
TV_API const char *tv_blas_name(void);

/**
 * The processor whose kernels that BLAS runs, in its own words ("SkylakeX"); "" where it tells
 * none.
 *
 * Where OpenBLAS does not know this processor, the library has it run the best kernels whose
 * instructions the processor has, unless OPENBLAS_CORETYPE names some.
 */
TV_API const char *tv_blas_kernel(void);

TV_END_C
#endif
