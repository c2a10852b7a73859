/* SPDX-License-Identifier: MIT
 * The words of a kernel file, so that nvcc and g++ both compile it unchanged: nvcc for the GPU, g++
 * for the tests (tests/fakecuda/shim.h), where anything that is not a word there does not compile.
 *
 *   TV_KERNEL(name, params...)          a kernel that uses barriers, shuffles, ballots or shared
 * memory TV_KERNEL_NO_SYNC(name, params...)  one that uses none; in tests it runs as a plain loop
 *   TV_KERNEL_OF(threads, name, ...)    TV_KERNEL, launched with so many threads at most
 *   TV_SHARED(type, name, count)        an array in shared memory
 *   TV_DYNAMIC_SHARED(type, name)       the shared memory whose size is given at launch */
#ifndef TVI_CUDA_KERNEL_H
#define TVI_CUDA_KERNEL_H

#ifdef __CUDACC__

#include <stdint.h>

#define TV_KERNEL(name, ...) extern "C" __global__ void name(__VA_ARGS__)
#define TV_KERNEL_NO_SYNC TV_KERNEL
#define TV_KERNEL_OF(threads, name, ...) \
  extern "C" __global__ void __launch_bounds__(threads) name(__VA_ARGS__)
#define TV_SHARED(type, name, count) __shared__ type name[count]
#define TV_DYNAMIC_SHARED(type, name)                           \
  extern __shared__ __align__(16) unsigned char name##_bytes[]; \
  type *const name = reinterpret_cast<type *>(name##_bytes)

#else

#include "shim.h"

#define TV_KERNEL_(no_sync, name, ...)                  \
  extern "C" void name(__VA_ARGS__);                    \
  [[maybe_unused]] static const int registered_##name = \
      shim::Launcher<&name>::add(#name, no_sync);       \
  extern "C" void name(__VA_ARGS__)
#define TV_KERNEL(name, ...) TV_KERNEL_(false, name, __VA_ARGS__)
#define TV_KERNEL_NO_SYNC(name, ...) TV_KERNEL_(true, name, __VA_ARGS__)
#define TV_KERNEL_OF(threads, name, ...) TV_KERNEL_(false, name, __VA_ARGS__)
#define TV_SHARED(type, name, count)                            \
  type *const name = shim::shared_array<type>(count, []() {     \
    static size_t offset = 0; /* one per place in the source */ \
    return &offset;                                             \
  }())
#define TV_DYNAMIC_SHARED(type, name) type *const name = static_cast<type *>(shim::dynamic_shared)

#endif

#define TVI_INLINE __device__ __forceinline__

/* Before a loop whose arrays should stay in registers; by 1: that should stay short. */
#ifdef __CUDACC__
#define TVI_UNROLLED _Pragma("unroll")
#define TVI_PRAGMA(text) _Pragma(#text)
#define TVI_UNROLLED_BY(n) TVI_PRAGMA(unroll n)
#else
#define TVI_UNROLLED
#define TVI_UNROLLED_BY(n)
#endif

#endif
