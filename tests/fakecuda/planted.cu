// SPDX-License-Identifier: MIT
// Kernels of the tests of the fake driver: some that are right, and some with a planted mistake.
#include "kernel.h"

namespace {

constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ float warp_sum(float value) {
  for (int offset = 16; offset > 0; offset /= 2)
    value += __shfl_down_sync(kAllLanes, value, offset);
  return value;
}

// The sum over the block, in every thread. Assumes whole warps.
__device__ __forceinline__ float block_sum(float value) {
  TV_SHARED(float, partial, 32);
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  value = warp_sum(value);
  __syncthreads();  // an earlier call may still be reading
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  if (warp == 0) {
    value = warp_sum(lane < warps ? partial[lane] : 0.0f);
    if (lane == 0) partial[0] = value;
  }
  __syncthreads();
  return partial[0];
}

// The part of the grid-wide sum that falls to this thread.
__device__ __forceinline__ float thread_sum(const float *x, int64_t n) {
  float sum = 0;
  const int64_t step = (int64_t)gridDim.x * blockDim.x;
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) sum += x[i];
  return sum;
}

}  // namespace

// Four elements a thread.
TV_KERNEL_NO_SYNC(planted_add, const float *a, const float *b, float *out, int64_t n) {
  const int64_t first = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * 4;
  for (int64_t i = first; i < n && i < first + 4; i++) out[i] = a[i] + b[i];
}

// One partial sum a block. Launched a second time with one block over the partial sums.
TV_KERNEL(planted_sum, const float *x, float *partial, int64_t n) {
  const float sum = block_sum(thread_sum(x, n));
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// Each block turns its own piece round. Assumes 4 * blockDim.x bytes of dynamic shared memory.
TV_KERNEL(planted_reverse, const float *x, float *out) {
  TV_DYNAMIC_SHARED(float, tile);
  const int64_t base = (int64_t)blockIdx.x * blockDim.x;
  tile[threadIdx.x] = x[base + threadIdx.x];
  __syncthreads();
  out[base + threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

// Votes, and segments of a warp.
TV_KERNEL(planted_votes, unsigned *out) {
  const unsigned lane = threadIdx.x % 32;
  const unsigned votes = __ballot_sync(kAllLanes, lane % 3 == 0);
  const unsigned eighth = __shfl_sync(kAllLanes, lane, 5, 8),
                 alike = __match_any_sync(kAllLanes, lane / 4);
  out[threadIdx.x] = votes ^ eighth << 8 ^ alike ^ (unsigned)__all_sync(kAllLanes, lane < 32) << 16;
}

// Mistakes ------------------------------------------------------------------------------------

// planted_sum without the barrier between the warps' writes and warp 0's reads.
TV_KERNEL(planted_missing_barrier, const float *x, float *partial, int64_t n) {
  TV_SHARED(float, warp_total, 32);
  float sum = warp_sum(thread_sum(x, n));
  if (threadIdx.x % 32 == 0) warp_total[threadIdx.x / 32] = sum;
  if (threadIdx.x < 32) {
    sum = warp_sum(threadIdx.x < blockDim.x / 32 ? warp_total[threadIdx.x] : 0.0f);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
  }
}

// The two halves of a warp meet at different barriers.
TV_KERNEL(planted_divergent_barrier, float *out) {
  if (threadIdx.x < 16) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = 1;
}

// Lane 0 waits at the barrier while the others wait for it in a shuffle.
TV_KERNEL(planted_deadlock, float *out) {
  if (threadIdx.x == 0) __syncthreads();
  out[threadIdx.x] = warp_sum(1.0f);
}

// Writes behind the end.
TV_KERNEL_NO_SYNC(planted_out_of_bounds, float *out, int64_t n) { out[n + threadIdx.x] = 1; }

// Reads shared memory that this block never wrote, of both kinds.
TV_KERNEL_NO_SYNC(planted_unset_shared, float *out) {
  TV_SHARED(float, tile, 32);
  TV_DYNAMIC_SHARED(float, other);
  out[threadIdx.x] = threadIdx.x % 2 ? tile[threadIdx.x] : other[threadIdx.x];
}
