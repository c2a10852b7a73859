/* SPDX-License-Identifier: MIT
 * The two variants of a kernel that works element by element: over vectors of 16 bytes, and over
 * any layout.
 *
 * An op is a struct with the types Out, A, B and C (tvi_none: it has no such input), the number of
 * `inputs`, the `width` of a vector in elements, its `weight`, and value(a, b, c).
 *
 * A thread reads all it needs for two vectors before it computes and writes the first, so that
 * twice as much is on its way from memory. It reads no element but those that it writes: the result
 * may be an input.
 *
 * The weight says how much code an op is: from 1 on a loop over the two vectors keeps it once for
 * each element of a vector, from 2 on a loop over the elements keeps it twice. */
#ifndef TVI_CUDA_VECTOR_H
#define TVI_CUDA_VECTOR_H

#include <string.h>

#include "kernel.h"
#include "pointwise_job.h"

struct tvi_none {};

template <class T, int n>
struct tvi_vector {
  T at[n];
};

template <int bytes>
struct tvi_word {
  typedef struct alignas(16) {
    uint32_t part[4];
  } type;
};
template <>
struct tvi_word<1> {
  typedef uint8_t type;
};
template <>
struct tvi_word<2> {
  typedef uint16_t type;
};
template <>
struct tvi_word<4> {
  typedef uint32_t type;
};
template <>
struct tvi_word<8> {
  typedef uint64_t type;
};

template <class T, int n>
static TVI_INLINE bool tvi_is_aligned(const unsigned char *at) {
  return reinterpret_cast<uintptr_t>(at) % (n * sizeof(T)) == 0;
}

/* Both assume: aligned. One access of the whole word, which faults in tests too if it is not. */
template <class T, int n>
static TVI_INLINE tvi_vector<T, n> tvi_vector_load(const unsigned char *from) {
  tvi_vector<T, n> v;
  const auto word = *reinterpret_cast<const typename tvi_word<sizeof v>::type *>(from);
  memcpy(&v, &word, sizeof v);
  return v;
}
template <class T, int n>
static TVI_INLINE void tvi_vector_store(unsigned char *to, const tvi_vector<T, n> &v) {
  typename tvi_word<sizeof v>::type word;
  memcpy(&word, &v, sizeof v);
  *reinterpret_cast<decltype(word) *>(to) = word;
}

static TVI_INLINE uint32_t tvi_quotient(uint32_t n, const tvi_divider32 &d) {
  return (__umulhi(n, d.factor) + n) >> d.shift;
}

template <class T>
static TVI_INLINE T tvi_immediate(const tvi_pointwise_operands &operands, int k) {
  T value;
  memcpy(&value, operands.immediate[k], sizeof value);
  return value;
}

/* A vector as a queue of its bytes, for loops over elements that are not to be unrolled: registers
 * have no index. Loops over many small elements would be most of the code of a kernel. */
struct tvi_queue {
  uint64_t low, high;
};
template <class T>
static TVI_INLINE T tvi_queue_take(tvi_queue &q) { /* of the front */
  T value;
  memcpy(&value, &q.low, sizeof value);
  q.low = q.low >> 8 * sizeof value | q.high << (64 - 8 * sizeof value);
  q.high >>= 8 * sizeof value;
  return value;
}
template <class T>
static TVI_INLINE void tvi_queue_add(tvi_queue &q, T value) { /* at the back */
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  q.low = q.low >> 8 * sizeof value | q.high << (64 - 8 * sizeof value);
  q.high = q.high >> 8 * sizeof value | bits << (64 - 8 * sizeof value);
}
template <class T, int n>
static TVI_INLINE tvi_queue tvi_queue_of(const tvi_vector<T, n> &v) {
  tvi_queue q = {0, 0};
  memcpy(&q, &v, sizeof v);
  return q;
}

template <class T, int n>
constexpr bool tvi_is_queued = n > 4 && n * sizeof(T) == sizeof(tvi_queue);

/* `count` of n elements, those behind them zero. */
template <class T, int n>
static TVI_INLINE tvi_vector<T, n> tvi_operand_load(const tvi_pointwise_operands &operands, int k,
                                                    const unsigned char *from, uint32_t count) {
  tvi_vector<T, n> v = {};
  const uint32_t reading = operands.reading[k];
  if (reading >= TVI_READ_ONE) {
    T one = T();
    if (reading == TVI_READ_IMMEDIATE)
      one = tvi_immediate<T>(operands, k);
    else if (count)
      one = *reinterpret_cast<const T *>(from);
    for (int j = 0; j < n; j++) v.at[j] = one;
  } else if (count == n && tvi_is_aligned<T, n>(from)) {
    v = tvi_vector_load<T, n>(from);
  } else if constexpr (tvi_is_queued<T, n>) {
    tvi_queue q = {0, 0};
    TVI_UNROLLED_BY(4)
    for (int j = 0; j < n; j++)
      tvi_queue_add(q, (uint32_t)j < count ? reinterpret_cast<const T *>(from)[j] : T());
    memcpy(&v, &q, sizeof v);
  } else {
    for (int j = 0; j < n; j++)
      if ((uint32_t)j < count) v.at[j] = reinterpret_cast<const T *>(from)[j];
  }
  return v;
}

/* What a thread has read, and where the result goes. */
template <class Op, int n>
struct tvi_read {
  tvi_vector<typename Op::A, n> a;
  tvi_vector<typename Op::B, n> b;
  tvi_vector<typename Op::C, n> c;
  unsigned char *out;
  uint32_t count;
};

template <class Op, int n>
static TVI_INLINE tvi_read<Op, n> tvi_read_operands(const tvi_pointwise_operands &operands,
                                                    const int64_t *offset, uint32_t count) {
  tvi_read<Op, n> r;
  r.count = count;
  r.out = operands.data[0] + offset[0];
  r.a = tvi_operand_load<typename Op::A, n>(operands, 1, operands.data[1] + offset[1], count);
  if constexpr (Op::inputs > 1)
    r.b = tvi_operand_load<typename Op::B, n>(operands, 2, operands.data[2] + offset[2], count);
  if constexpr (Op::inputs > 2)
    r.c = tvi_operand_load<typename Op::C, n>(operands, 3, operands.data[3] + offset[3], count);
  return r;
}

template <class Op, int n>
static TVI_INLINE tvi_vector<typename Op::Out, n> tvi_values(const tvi_read<Op, n> &r) {
  tvi_vector<typename Op::Out, n> result;
  if constexpr (Op::weight > 1 && Op::inputs == 2 && tvi_is_queued<typename Op::Out, n>) {
    tvi_queue a = tvi_queue_of(r.a), b = tvi_queue_of(r.b), q = {0, 0};
    TVI_UNROLLED_BY(2)
    for (int j = 0; j < n; j++) {
      const typename Op::A left = tvi_queue_take<typename Op::A>(a);
      const typename Op::B right = tvi_queue_take<typename Op::B>(b);
      tvi_queue_add(q, Op::value(left, right, tvi_none()));
    }
    memcpy(&result, &q, sizeof result);
  } else {
    for (int j = 0; j < n; j++) result.at[j] = Op::value(r.a.at[j], r.b.at[j], r.c.at[j]);
  }
  return result;
}

template <class Op, int n>
static TVI_INLINE void tvi_write_result(const tvi_read<Op, n> &r) {
  if (r.count == 0) return;
  typedef typename Op::Out Out;
  const tvi_vector<Out, n> result = tvi_values(r);
  if (r.count == n && tvi_is_aligned<Out, n>(r.out)) {
    tvi_vector_store(r.out, result);
  } else if constexpr (n > 4) {
    tvi_queue q = tvi_queue_of(result);
    TVI_UNROLLED_BY(1)
    for (uint32_t j = 0; j < r.count; j++)
      reinterpret_cast<Out *>(r.out)[j] = tvi_queue_take<Out>(q);
  } else {
    for (int j = 0; j < n; j++)
      if ((uint32_t)j < r.count) reinterpret_cast<Out *>(r.out)[j] = result.at[j];
  }
}

/* Adds the way to index `i` of the axes. */
template <int operands, class Job>
static TVI_INLINE void tvi_walk(const Job &job, uint32_t i, int64_t *offset) {
  TVI_UNROLLED_BY(1)
  for (uint32_t axis = 0; axis < job.rank; axis++) {
    uint32_t at = i;
    if (axis + 1 < job.rank) {
      i = tvi_quotient(i, job.axes[axis]);
      at -= i * job.axes[axis].by;
    }
    for (int k = 0; k < operands; k++) offset[k] += (int64_t)at * job.steps[axis][k];
  }
}

/* Vectors of a row begin where those of the result are aligned: the first may be cut, and begins
 * with the row. */
template <class Op>
static TVI_INLINE tvi_read<Op, Op::width> tvi_read_vector(const tvi_vector_job &job,
                                                          uint32_t vector) {
  int64_t offset[TVI_POINTWISE_OPERANDS] = {0};
  constexpr int32_t n = Op::width;
  int32_t column = 0, count = 0;
  if (vector < job.vectors) {
    if (job.rank) {
      const uint32_t row = tvi_quotient(vector, job.per_row);
      vector -= row * job.per_row.by;
      tvi_walk<1 + Op::inputs>(job, row, offset);
    }
    const uintptr_t start = reinterpret_cast<uintptr_t>(job.operands.data[0] + offset[0]);
    column = (int32_t)vector * n - (int32_t)(start / sizeof(typename Op::Out) % n);
    count = job.width - column < n ? job.width - column : n;
    if (column < 0) count += column, column = 0;
    if (count < 0) count = 0;
  }
  const int64_t items[TVI_POINTWISE_OPERANDS] = {sizeof(typename Op::Out), sizeof(typename Op::A),
                                                 sizeof(typename Op::B), sizeof(typename Op::C)};
  for (int k = 0; k <= Op::inputs; k++)
    if (job.operands.reading[k] == TVI_READ_EACH) offset[k] += column * items[k];
  return tvi_read_operands<Op, n>(job.operands, offset, (uint32_t)count);
}

template <class Op>
static TVI_INLINE tvi_read<Op, 1> tvi_read_element(const tvi_strided_job &job, uint32_t i) {
  int64_t offset[TVI_POINTWISE_OPERANDS] = {0};
  if (i < job.size) tvi_walk<1 + Op::inputs>(job, i, offset);
  return tvi_read_operands<Op, 1>(job.operands, offset, i < job.size);
}

template <class Op, int n>
static TVI_INLINE void tvi_write_both(tvi_read<Op, n> now, const tvi_read<Op, n> &next) {
  if constexpr (Op::weight > 0) {
    TVI_UNROLLED_BY(1)
    for (int k = 0; k < TVI_POINTWISE_AT_ONCE; k++) {
      tvi_write_result(now);
      now = next;
    }
  } else {
    tvi_write_result(now);
    tvi_write_result(next);
  }
}

#define TVI_FIRST_INDEX (blockIdx.x * (TVI_POINTWISE_AT_ONCE * TVI_POINTWISE_THREADS) + threadIdx.x)

template <class Op>
static TVI_INLINE void tvi_run_vector(const tvi_vector_job &job) {
  const uint32_t first = TVI_FIRST_INDEX;
  const tvi_read<Op, Op::width> now = tvi_read_vector<Op>(job, first);
  const tvi_read<Op, Op::width> next = tvi_read_vector<Op>(job, first + TVI_POINTWISE_THREADS);
  tvi_write_both(now, next);
}

template <class Op>
static TVI_INLINE void tvi_run_strided(const tvi_strided_job &job) {
  const uint32_t first = TVI_FIRST_INDEX;
  const tvi_read<Op, 1> now = tvi_read_element<Op>(job, first);
  const tvi_read<Op, 1> next = tvi_read_element<Op>(job, first + TVI_POINTWISE_THREADS);
  tvi_write_both(now, next);
}

/* The kernels of an op, by the op's name. */
#define TVI_POINTWISE_KERNELS(name)                                                              \
  TV_KERNEL_NO_SYNC(name##_vector, const tvi_vector_job job) { tvi_run_vector<op_##name>(job); } \
  TV_KERNEL_NO_SYNC(name##_strided, const tvi_strided_job job) { tvi_run_strided<op_##name>(job); }

#endif
