// SPDX-License-Identifier: MIT
// What g++ needs to compile a kernel file and run it, one fiber per CUDA thread.
//
// A kernel becomes an ordinary function and a thunk that unpacks the `void **params` of
// cuLaunchKernel. The threads of a block are fibers on one host thread; blocks run one after the
// other. A fiber gives way only at a barrier or in a warp exchange, so every run repeats exactly;
// running the fibers in several orders is what brings missing barriers to light (block.cpp).
// Only the words below exist here: anything else in a kernel fails to compile, which is the
// allow-list of intrinsics.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <type_traits>
#include <utility>
#include <vector>

// Kernels alone are compiled with -fsanitize=thread; this keeps the shim's own reads out of it.
#ifdef __SANITIZE_THREAD__
#define SHIM_UNCHECKED __attribute__((no_sanitize("thread"), noinline))
#else
#define SHIM_UNCHECKED
#endif

namespace shim {

struct Dim3 {
  unsigned x, y, z;
};

enum class State : unsigned char { kReady, kAtBarrier, kInExchange, kDone };

struct Thread {  // one CUDA thread
  Dim3 index;
  unsigned lane, warp;
  const void *barrier;  // the one it waits at, or waited at last
  unsigned barriers;    // how many it has reached
  unsigned exchanges;   // how many warp exchanges it has entered
  State state;
};

extern Thread *current;
extern Dim3 block_index, block_dim, grid_dim;
extern void *dynamic_shared;

// What the lanes of a warp have given in an exchange; a lane outside `given` has poison.
struct Given {
  uint64_t value[32];
  uint64_t either;  // all that was given, by or
};

// What a kernel calls (block.cpp). `site` is one address per __syncthreads in the source.
void barrier(const void *site);
// Gives `bits` to the lanes of `mask`, and waits for theirs. Valid until the lane's next call.
const Given &exchange(unsigned mask, uint64_t bits, bool orders_memory);
// `place` is one word per array in the source, where its offset is kept from call to call.
void *shared_bytes(size_t *place, size_t bytes);

using Thunk = void (*)(void *const *params);

struct Kernel {
  const char *name;
  Thunk run;
  bool no_sync;
  std::vector<size_t> param_bytes;
};

int register_kernel(Kernel kernel);

template <auto kernel>
struct Launcher;

template <class... Params, void (*kernel)(Params...)>
struct Launcher<kernel> {
  template <class T>
  using Value = std::remove_cv_t<std::remove_reference_t<T>>;
  template <size_t... i>
  static void unpack([[maybe_unused]] void *const *params, std::index_sequence<i...>) {
    kernel(*static_cast<Value<Params> *>(params[i])...);
  }
  static void run(void *const *params) { unpack(params, std::index_sequence_for<Params...>{}); }
  static int add(const char *name, bool no_sync) {
    return register_kernel({name, run, no_sync, {sizeof(Value<Params>)...}});
  }
};

SHIM_UNCHECKED inline Dim3 thread_index() { return current->index; }
SHIM_UNCHECKED inline unsigned lane() { return current->lane; }

template <class T>
T *shared_array(size_t count, size_t *place) {
  return static_cast<T *>(shared_bytes(place, count * sizeof(T)));
}

SHIM_UNCHECKED inline uint64_t given_by(const Given &given, unsigned source) {
  return given.value[source % 32];
}

SHIM_UNCHECKED inline unsigned either_of(const Given &given) { return (unsigned)given.either; }

template <class T>
T shuffle(unsigned mask, T value, unsigned source) {
  static_assert(sizeof(T) <= sizeof(uint64_t), "a shuffle moves at most 8 bytes");
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  bits = given_by(exchange(mask, bits, false), source);  // orders no memory on the GPU either
  memcpy(&value, &bits, sizeof value);
  return value;
}

// Folds what the lanes of the mask have given, in order of lanes.
template <class T, class Fold>
T fold(unsigned mask, T value, T start, Fold add) {
  const Given &given = exchange(mask, (uint64_t)value, false);
  for (unsigned from = 0; from < 32; from++)
    if (mask >> from & 1) start = add(start, (T)given_by(given, from));
  return start;
}

template <class To, class From>
To same_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

// One fiber runs at a time; the atomic words are there for the race check.
template <class T, class Change>
T atomic_change(T *address, Change change) {
  T before, after;
  __atomic_load(address, &before, __ATOMIC_RELAXED);
  do {
    after = change(before);
  } while (!__atomic_compare_exchange(address, &before, &after, false, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED));
  return before;
}

}  // namespace shim

// CUDA's words --------------------------------------------------------------------------------

#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __grid_constant__

#define threadIdx (shim::thread_index())
#define blockIdx (shim::block_index)
#define blockDim (shim::block_dim)
#define gridDim (shim::grid_dim)
constexpr int warpSize = 32;

struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

#define __syncthreads()         \
  shim::barrier([]() {          \
    static const char site = 0; \
    return &site;               \
  }())
inline void __syncwarp(unsigned mask = 0xffffffffu) { shim::exchange(mask, 0, true); }
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const unsigned lane = shim::lane(), segment = lane & ~(unsigned)(width - 1);
  return shim::shuffle(mask, value, segment | ((unsigned)source & (unsigned)(width - 1)));
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned offset, int width = 32) {
  const unsigned lane = shim::lane(), within = lane & (unsigned)(width - 1);
  return shim::shuffle(mask, value, within + offset < (unsigned)width ? lane + offset : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned offset, int width = 32) {
  const unsigned lane = shim::lane(), within = lane & (unsigned)(width - 1);
  return shim::shuffle(mask, value, within >= offset ? lane - offset : lane);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, unsigned bits) {
  return shim::shuffle(mask, value, shim::lane() ^ bits);
}
inline unsigned __ballot_sync(unsigned mask, int vote) {
  return shim::either_of(shim::exchange(mask, (uint64_t)(vote != 0) << shim::lane(), false));
}
inline int __any_sync(unsigned mask, int vote) { return __ballot_sync(mask, vote) != 0; }
inline int __all_sync(unsigned mask, int vote) { return __ballot_sync(mask, !vote) == 0; }
template <class T>
unsigned __match_any_sync(unsigned mask, T value) {
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  const shim::Given &given = shim::exchange(mask, bits, false);
  unsigned equal = 0;
  for (unsigned lane = 0; lane < 32; lane++)
    if (mask >> lane & 1 && shim::given_by(given, lane) == bits) equal |= 1u << lane;
  return equal;
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned value) {
  return shim::fold(mask, value, 0u, [](unsigned a, unsigned b) { return a + b; });
}
inline unsigned __reduce_min_sync(unsigned mask, unsigned value) {
  return shim::fold(mask, value, ~0u, [](unsigned a, unsigned b) { return a < b ? a : b; });
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned value) {
  return shim::fold(mask, value, 0u, [](unsigned a, unsigned b) { return a > b ? a : b; });
}

inline uint32_t __umulhi(uint32_t a, uint32_t b) { return (uint32_t)((uint64_t)a * b >> 32); }
inline int __mulhi(int a, int b) { return (int)((int64_t)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
inline long long __mul64hi(long long a, long long b) {
  return (long long)(((__int128)a * b) >> 64);
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }

inline unsigned __float_as_uint(float x) { return shim::same_bits<unsigned>(x); }
inline int __float_as_int(float x) { return shim::same_bits<int>(x); }
inline float __uint_as_float(unsigned x) { return shim::same_bits<float>(x); }
inline float __int_as_float(int x) { return shim::same_bits<float>(x); }
inline long long __double_as_longlong(double x) { return shim::same_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return shim::same_bits<double>(x); }

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

template <class T>
T __ldg(const T *address) {
  return *address;
}
template <class T>
T __ldcs(const T *address) {
  return *address;
}
template <class T>
void __stcs(T *address, T value) {
  *address = value;
}

template <class T>
T atomicAdd(T *address, std::common_type_t<T> value) {
  return shim::atomic_change(address, [=](T old) { return (T)(old + value); });
}
template <class T>
T atomicMin(T *address, std::common_type_t<T> value) {
  return shim::atomic_change(address, [=](T old) { return value < old ? value : old; });
}
template <class T>
T atomicMax(T *address, std::common_type_t<T> value) {
  return shim::atomic_change(address, [=](T old) { return old < value ? value : old; });
}
template <class T>
T atomicOr(T *address, std::common_type_t<T> value) {
  return shim::atomic_change(address, [=](T old) { return (T)(old | value); });
}
template <class T>
T atomicExch(T *address, std::common_type_t<T> value) {
  return shim::atomic_change(address, [=](T) { return value; });
}
template <class T>
T atomicCAS(T *address, std::common_type_t<T> expected, std::common_type_t<T> value) {
  return shim::atomic_change(address, [=](T old) { return old == expected ? value : old; });
}
