/* SPDX-License-Identifier: MIT
 * Rows by index: gather, scatter_add, scatter, find_bad_index; and sequence. */
#include "cast.h"
#include "fold.h"

/* gather: a vector a thread ------------------------------------------------------------------- */

template <class V>
TVI_INLINE void gather(const tvi_gather_job &job) {
  int64_t at = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= job.total) return;
  const int64_t to = at;
  int64_t k = tvi_divide(job.by_row, &at);
  const int64_t outer = tvi_divide(job.by_k, &k);
  ((V *)job.out)[to] = ((const V *)job.in)[(outer * job.n + job.indices[k]) * job.row + at];
}

/* By the bytes of a vector. */
TV_KERNEL_NO_SYNC(gather_1, tvi_gather_job job) { gather<uint8_t>(job); }
TV_KERNEL_NO_SYNC(gather_2, tvi_gather_job job) { gather<uint16_t>(job); }
TV_KERNEL_NO_SYNC(gather_4, tvi_gather_job job) { gather<uint32_t>(job); }
TV_KERNEL_NO_SYNC(gather_8, tvi_gather_job job) { gather<uint2>(job); }
TV_KERNEL_NO_SYNC(gather_16, tvi_gather_job job) { gather<uint4>(job); }

/* scatter: the thread that meets the first of equal indices applies all of them, in order -------
 */

template <class E>
struct Add {
  typedef typename E::Stored S;
  static TVI_INLINE S join(S a, S b) {
    return E::put(tvi_sum<typename E::Value>::join(E::get(a), E::get(b)));
  }
};
#define JOIN(name, formula)                 \
  template <class E>                        \
  struct name {                             \
    typedef typename E::Stored S;           \
    typedef typename E::Value T;            \
    static TVI_INLINE S join(S x, S y) {    \
      const T a = E::get(x), b = E::get(y); \
      return E::put((T)(formula));          \
    }                                       \
  };
JOIN(Subtract, a - b)
JOIN(Multiply, a *b)
JOIN(Divide, a / b)
JOIN(Minimum, tvi_minimum(a, b))
JOIN(Maximum, tvi_maximum(a, b))
struct Or {
  typedef uint8_t S;
  static TVI_INLINE S join(S a, S b) { return a | b; }
};
struct And {
  typedef uint8_t S;
  static TVI_INLINE S join(S a, S b) { return a & b; }
};

/* Behind the last of the keys that equal that of position p. */
TVI_INLINE int64_t end_of(const tvi_scatter_job &job, int64_t p, uint64_t key) {
  int64_t low = p, high = p + 1;
  for (int64_t step = 2; high < job.k && job.keys[job.order[high]] == key; step *= 2) {
    low = high;
    high += step;
  }
  if (high > job.k) high = job.k;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    if (job.keys[job.order[middle]] == key)
      low = middle;
    else
      high = middle;
  }
  return high;
}

/* The entry of a thread: false unless it is the first of its key. */
TVI_INLINE bool is_first(const tvi_scatter_job &job, int64_t *at, int64_t *p, int64_t *outer,
                         uint64_t *key) {
  *at = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (*at >= job.total) return false;
  *p = tvi_divide(job.by_inner, at);
  *outer = tvi_divide(job.by_k, p);
  *key = job.keys[job.order[*p]];
  return *p == 0 || job.keys[job.order[*p - 1]] != *key;
}

template <class Op>
TVI_INLINE void scatter(const tvi_scatter_job &job) {
  constexpr int batch = 4; /* loads in flight */
  int64_t at, p, outer;
  uint64_t key;
  if (!is_first(job, &at, &p, &outer, &key)) return;
  typename Op::S *const to =
      (typename Op::S *)job.out + (outer * job.n + (int64_t)key) * job.inner + at;
  const typename Op::S *const in = (const typename Op::S *)job.in + outer * job.k * job.step + at;
  const int64_t end = end_of(job, p, key);
  typename Op::S sum = *to;
  for (; p < end; p += batch) {
    typename Op::S x[batch];
    TVI_UNROLLED
    for (int i = 0; i < batch; i++) x[i] = in[job.order[p + i < end ? p + i : end - 1] * job.step];
    TVI_UNROLLED
    for (int i = 0; i < batch; i++)
      if (p + i < end) sum = Op::join(sum, x[i]);
  }
  *to = sum;
}

/* The last of equal indices: a vector a thread. */
template <class V>
TVI_INLINE void scatter_set(const tvi_scatter_job &job) {
  int64_t at, p, outer;
  uint64_t key;
  if (!is_first(job, &at, &p, &outer, &key)) return;
  const int64_t last = job.order[end_of(job, p, key) - 1];
  ((V *)job.out)[(outer * job.n + (int64_t)key) * job.inner + at] =
      ((const V *)job.in)[(outer * job.k + last) * job.step + at];
}

#define SCATTER(tag, TAG, S, C, load, store, R, P, name, Op) \
  TV_KERNEL_NO_SYNC(scatter_##name##_##tag, tvi_scatter_job job) { scatter<Op<of_##tag>>(job); }
UNSIGNED(SCATTER, add, Add)
FLOAT(SCATTER, add, Add)
COMPLEX(SCATTER, add, Add)
UNSIGNED(SCATTER, subtract, Subtract)
FLOAT(SCATTER, subtract, Subtract)
COMPLEX(SCATTER, subtract, Subtract)
UNSIGNED(SCATTER, multiply, Multiply)
FLOAT(SCATTER, multiply, Multiply)
COMPLEX(SCATTER, multiply, Multiply)
FLOAT(SCATTER, divide, Divide)
COMPLEX(SCATTER, divide, Divide)
SIGNED(TVI_ELEMENT, )
INTEGER(SCATTER, minimum, Minimum)
FLOAT(SCATTER, minimum, Minimum)
INTEGER(SCATTER, maximum, Maximum)
FLOAT(SCATTER, maximum, Maximum)
TV_KERNEL_NO_SYNC(scatter_add_b1, tvi_scatter_job job) { scatter<Or>(job); }
TV_KERNEL_NO_SYNC(scatter_multiply_b1, tvi_scatter_job job) { scatter<And>(job); }
TV_KERNEL_NO_SYNC(scatter_minimum_b1, tvi_scatter_job job) { scatter<And>(job); }
TV_KERNEL_NO_SYNC(scatter_maximum_b1, tvi_scatter_job job) { scatter<Or>(job); }

/* By the bytes of a vector. */
TV_KERNEL_NO_SYNC(scatter_set_1, tvi_scatter_job job) { scatter_set<uint8_t>(job); }
TV_KERNEL_NO_SYNC(scatter_set_2, tvi_scatter_job job) { scatter_set<uint16_t>(job); }
TV_KERNEL_NO_SYNC(scatter_set_4, tvi_scatter_job job) { scatter_set<uint32_t>(job); }
TV_KERNEL_NO_SYNC(scatter_set_8, tvi_scatter_job job) { scatter_set<uint2>(job); }
TV_KERNEL_NO_SYNC(scatter_set_16, tvi_scatter_job job) { scatter_set<uint4>(job); }

/* find_bad_index ------------------------------------------------------------------------------- */

TV_KERNEL_NO_SYNC(bad_index_begin, tvi_bad_index_job job) {
  if (threadIdx.x == 0) *job.best = ~(uint64_t)0;
}

/* Each thread stops at its first, and looks no further than the lowest that any has found. */
TV_KERNEL_NO_SYNC(bad_index, tvi_bad_index_job job) {
  const int64_t step = (int64_t)gridDim.x * blockDim.x;
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < job.n; i += step) {
    if (job.indices[i] >= job.low && job.indices[i] < job.high) continue;
    atomicMin((unsigned long long *)job.best, (unsigned long long)i);
    return;
  }
}

/* sequence ------------------------------------------------------------------------------------- */

TVI_INLINE int64_t integer_at(const tvi_sequence_job &job, int64_t i) {
  return (int64_t)((uint64_t)job.int_start + (uint64_t)i * (uint64_t)job.int_step);
}
TVI_INLINE double real_at(const tvi_sequence_job &job, int64_t i) {
  return job.real_start + (double)i * job.real_step;
}

#define SEQUENCE(tag, TAG, S, C, load, store, R, P, at)               \
  TV_KERNEL_NO_SYNC(sequence_##tag, tvi_sequence_job job) {           \
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; \
    if (i < job.n) ((S *)job.out)[i] = tvi_to_##tag(at(job, i));      \
  }
BOOLEAN(SEQUENCE, integer_at)
INTEGER(SEQUENCE, integer_at)
FLOAT(SEQUENCE, real_at)
COMPLEX(SEQUENCE, real_at)
