/* SPDX-License-Identifier: MIT
 * Matrix products of bool (or of ands) and of integers (which wrap, so that signed and unsigned are
 * alike): tiles of 32 by 32 by 32 in shared memory, four elements of a column a thread. */
#include "fold.h"

constexpr int tile = TVI_PRODUCT_TILE, threads = 256, each = tile * tile / threads;

template <class T>
struct Wrapping {
  typedef T S;
  typedef decltype(T() * 1u) W; /* unsigned and as wide as T or int */
  static TVI_INLINE W add(W sum, T a, T b) { return sum + (W)a * (W)b; }
};
struct Or {
  typedef uint8_t S;
  typedef uint32_t W;
  static TVI_INLINE W add(W sum, S a, S b) { return sum | (a & b); }
};

/* Assumes: 256 threads. */
template <class Op>
TVI_INLINE void product(const tvi_product_job &job) {
  typedef typename Op::S S;
  typedef typename Op::W W;
  TV_DYNAMIC_SHARED(S, shared);
  S *const a_tile = shared, *const b_tile = shared + tile * (tile + 1); /* [row, k]; [k, column] */
  int64_t item = blockIdx.x;
  const int64_t column0 = item % job.column_tiles * tile;
  item /= job.column_tiles;
  const int64_t row0 = item % job.row_tiles * tile;
  int64_t batch = item / job.row_tiles;
  S *const out = (S *)job.out + batch * job.m * job.n;
  const char *a = (const char *)job.a, *b = (const char *)job.b;
  for (int axis = job.batch_rank - 1; axis >= 0; axis--) {
    const int64_t at = batch % job.batch_shape[axis];
    batch /= job.batch_shape[axis];
    a += at * job.a_batch[axis];
    b += at * job.b_batch[axis];
  }
  const int x = threadIdx.x % tile, y = threadIdx.x / tile;
  /* Neighbouring threads read along the axis that is tighter in memory. */
  const bool a_by_rows = job.a_row == (int64_t)sizeof(S),
             b_by_rows = job.b_row == (int64_t)sizeof(S);
  W sum[each] = {};
  for (int64_t k0 = 0; k0 < job.k; k0 += tile) {
    TVI_UNROLLED
    for (int i = 0; i < each; i++) {
      const int z = y + i * (threads / tile);
      const int row = a_by_rows ? x : z, ak = a_by_rows ? z : x;
      const int bk = b_by_rows ? x : z, column = b_by_rows ? z : x;
      a_tile[row * (tile + 1) + ak] =
          row0 + row < job.m && k0 + ak < job.k
              ? *(const S *)(a + (row0 + row) * job.a_row + (k0 + ak) * job.a_column)
              : (S)0;
      b_tile[bk * (tile + 1) + column] =
          column0 + column < job.n && k0 + bk < job.k
              ? *(const S *)(b + (k0 + bk) * job.b_row + (column0 + column) * job.b_column)
              : (S)0;
    }
    __syncthreads();
    TVI_UNROLLED_BY(8)
    for (int k = 0; k < tile; k++) {
      const S right = b_tile[k * (tile + 1) + x];
      TVI_UNROLLED
      for (int i = 0; i < each; i++)
        sum[i] = Op::add(sum[i], a_tile[(y + i * (threads / tile)) * (tile + 1) + k], right);
    }
    __syncthreads();
  }
  TVI_UNROLLED
  for (int i = 0; i < each; i++) {
    const int64_t row = row0 + y + i * (threads / tile);
    if (row < job.m && column0 + x < job.n) out[row * job.n + column0 + x] = (S)sum[i];
  }
}

TV_KERNEL(product_b1, tvi_product_job job) { product<Or>(job); }
TV_KERNEL(product_u8, tvi_product_job job) { product<Wrapping<uint8_t>>(job); }
TV_KERNEL(product_u16, tvi_product_job job) { product<Wrapping<uint16_t>>(job); }
TV_KERNEL(product_u32, tvi_product_job job) { product<Wrapping<uint32_t>>(job); }
TV_KERNEL(product_u64, tvi_product_job job) { product<Wrapping<uint64_t>>(job); }
