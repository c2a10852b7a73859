/* SPDX-License-Identifier: MIT
 * Rows of a softmax: softmax, log-softmax, cross entropy and its gradient.
 *
 * The bits are those of the composed ops: largest element, exp of what is left, a sum in the order
 * of src/cpu/reduce.c, then a quotient or a logarithm, in f32 for f16 and bf16, and one rounding.
 *
 * A row belongs to `halves` half warps, one run each, and is read once into registers: 32 elements
 * a thread. Longer rows are read three times, a stretch of `halves` runs at a time (..._long). */
#include "fold.h"

constexpr int each = TVI_ROUNDS; /* elements of a thread */

/* Registers: 32 values of f32 by 1024 threads, of f64 by 512. */
template <class T>
struct Most {
  static constexpr int threads = sizeof(T) == 8 ? 512 : 1024;
};

template <class T>
struct Largest {
  typedef T State;
  static TVI_INLINE T none() { return (T)-INFINITY; }
  static TVI_INLINE T join(T a, T b) { return tvi_maximum(a, b); }
};

/* Joined over the half warps of a row; the same in all its threads. `shared` has a place for each
 * half warp, and is free again when the next barrier has passed. */
template <class Op>
TVI_INLINE typename Op::State join_row(typename Op::State x, int halves,
                                       typename Op::State *shared) {
  x = tvi_join_lanes<Op>(x);
  if (halves == 1) return x;
  const int half = threadIdx.x / TVI_LANES, lane = threadIdx.x % 32, first = half & -halves;
  if (threadIdx.x % TVI_LANES == 0) shared[half] = x;
  __syncthreads();
  if (halves == 64)
    x = Op::join(shared[2 * lane], shared[2 * lane + 1]);
  else
    x = shared[first + lane % halves];
  return tvi_join_nodes<Op>(x, halves == 64 ? 32 : halves);
}

/* What a row comes to, once its largest element and the sum of exponentials are known. */
enum Kind { SOFTMAX, LOG_SOFTMAX, ENTROPY, GRADIENT };

template <class E, Kind kind>
struct Row {
  typedef typename E::Stored S;
  typedef typename E::Value T;
  static constexpr bool needs_power = kind == SOFTMAX || kind == GRADIENT;
  const tvi_rows_job &job;
  int64_t row;
  T largest, sum, log_sum, g;
  int64_t label;

  TVI_INLINE Row(const tvi_rows_job &job, int64_t row) : job(job), row(row), g(0), label(-1) {
    if (row >= job.rows) return;
    if (kind == ENTROPY || kind == GRADIENT) label = job.labels[row];
    if (kind == GRADIENT) g = E::get(((const S *)job.g)[row]);
  }
  TVI_INLINE T load(int64_t k) const {
    return row < job.rows && k < job.columns ? E::get(((const S *)job.x)[row * job.columns + k])
                                             : (T)-INFINITY;
  }
  TVI_INLINE void found(T total) {
    sum = total;
    if (kind == LOG_SOFTMAX || kind == ENTROPY) log_sum = tvi_log(total);
  }
  /* Assumes: x = element k, of a row that there is, and e = exp(x - largest): whichever it uses.
   * Of a loss x is the label's. */
  TVI_INLINE void put(int64_t k, T x, T e, bool is_label) const {
    const int64_t at = row * job.columns + k;
    if (kind == SOFTMAX) ((S *)job.out)[at] = E::put(e / sum);
    if (kind == LOG_SOFTMAX) ((S *)job.out)[at] = E::put(x - largest - log_sum);
    if (kind == ENTROPY) ((S *)job.out)[row] = E::put(log_sum - (x - largest));
    if (kind == GRADIENT) ((S *)job.out)[at] = E::put(g * (e / sum - (T)is_label));
  }
};

/* Assumes: whole rows to a block, shared memory for two values a half warp. */
template <class E, Kind kind>
TVI_INLINE void rows(const tvi_rows_job &job) {
  typedef typename E::Value T;
  TV_DYNAMIC_SHARED(T, shared);
  const int halves = job.halves, half = threadIdx.x / TVI_LANES;
  const int per_block = blockDim.x / TVI_LANES / halves;
  Row<E, kind> row(job, (int64_t)blockIdx.x * per_block + half / halves);
  const int64_t first = (int64_t)(half % halves) * TVI_RUN_ELEMENTS + threadIdx.x % TVI_LANES;
  T x[each], acc = Largest<T>::none();
  TVI_UNROLLED
  for (int j = 0; j < each; j++) x[j] = row.load(first + j * TVI_LANES);
  TVI_UNROLLED
  for (int j = 0; j < each; j++) acc = tvi_maximum(acc, x[j]);
  row.largest = join_row<Largest<T>>(acc, halves, shared);
  acc = tvi_sum<T>::none();
  TVI_UNROLLED
  for (int j = 0; j < each; j++) {
    if (first + j * TVI_LANES >= job.columns) continue;
    const T power = tvi_exp(x[j] - row.largest);
    acc += power;
    if (Row<E, kind>::needs_power) x[j] = power;
  }
  row.found(join_row<tvi_sum<T>>(acc, halves, shared + blockDim.x / TVI_LANES));
  if (row.row >= job.rows) return;
  if constexpr (kind == ENTROPY) {
    if (first == 0) row.put(0, row.load(row.label), (T)0, true);
  } else {
    const int64_t own = row.label - first; /* 0, 16, 32, ... if it is one of this thread's */
    TVI_UNROLLED
    for (int j = 0; j < each; j++) {
      const int64_t k = first + j * TVI_LANES;
      if (k < job.columns) row.put(k, x[j], x[j], own == j * TVI_LANES);
    }
  }
}

/* The counter of stretches: level l holds the sum of 2^l of them where bit l of `n` is set. Only
 * the first thread's counts. */
template <class T>
struct Counter {
  T *levels;
  int64_t n;
  TVI_INLINE void take(T x) {
    int level = 0;
    for (int64_t bits = n++; bits & 1; bits >>= 1, level++) x = levels[level] + x;
    levels[level] = x;
  }
  TVI_INLINE T total() const {
    T x = tvi_sum<T>::none();
    int level = 0;
    for (int64_t bits = n; bits; bits >>= 1, level++)
      if (bits & 1) x = x + levels[level];
    return x;
  }
};

/* Assumes: a row to a block, shared memory for two values a half warp and 64 more. */
template <class E, Kind kind>
TVI_INLINE void long_rows(const tvi_rows_job &job) {
  typedef typename E::Value T;
  TV_DYNAMIC_SHARED(T, shared);
  const int halves = job.halves, half = threadIdx.x / TVI_LANES;
  const int64_t stretch = (int64_t)halves * TVI_RUN_ELEMENTS;
  Row<E, kind> row(job, blockIdx.x);
  const int64_t first = (int64_t)half * TVI_RUN_ELEMENTS + threadIdx.x % TVI_LANES;
  T acc = Largest<T>::none();
  for (int64_t k = threadIdx.x; k < job.columns; k += blockDim.x)
    acc = tvi_maximum(acc, row.load(k));
  row.largest = join_row<Largest<T>>(acc, halves, shared);

  Counter<T> counter = {shared + 2 * halves, 0};
  T *const nodes = shared + halves;
  for (int64_t begin = 0; begin < job.columns; begin += stretch) {
    acc = tvi_sum<T>::none();
    TVI_UNROLLED_BY(8)
    for (int j = 0; j < each; j++) {
      const int64_t k = begin + first + j * TVI_LANES;
      if (k < job.columns) acc += tvi_exp(row.load(k) - row.largest);
    }
    __syncthreads(); /* the nodes of the stretch before have been read */
    acc = join_row<tvi_sum<T>>(acc, halves, nodes);
    if (threadIdx.x == 0) counter.take(acc);
  }
  if (threadIdx.x == 0) shared[0] = counter.total();
  __syncthreads();
  row.found(shared[0]);
  if constexpr (kind == ENTROPY) {
    if (threadIdx.x == 0) row.put(0, row.load(row.label), (T)0, true);
  } else {
    TVI_UNROLLED_BY(4)
    for (int64_t k = threadIdx.x; k < job.columns; k += blockDim.x) {
      const T x = row.load(k);
      row.put(k, x, Row<E, kind>::needs_power ? tvi_exp(x - row.largest) : (T)0, k == row.label);
    }
  }
}

#define KERNELS(name, kind, tag, T)                                                             \
  TV_KERNEL_OF(Most<T>::threads, name##_##tag, tvi_rows_job job) { rows<of_##tag, kind>(job); } \
  TV_KERNEL_OF(Most<T>::threads, name##_##tag##_long, tvi_rows_job job) {                       \
    long_rows<of_##tag, kind>(job);                                                             \
  }
#define ALL(tag, TAG, S, C, ...)            \
  KERNELS(softmax, SOFTMAX, tag, C)         \
  KERNELS(log_softmax, LOG_SOFTMAX, tag, C) \
  KERNELS(cross_entropy, ENTROPY, tag, C)   \
  KERNELS(cross_entropy_gradient, GRADIENT, tag, C)
FLOAT(ALL, )
