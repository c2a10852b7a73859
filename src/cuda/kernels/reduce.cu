/* SPDX-License-Identifier: MIT
 * Reductions: sum, max, min, argmax, argmin, to the bits of src/cpu/reduce.c, which has the order.
 *
 *   lines    half a warp takes a run, a block `group` runs of a line, or several short lines
 *   columns  a thread takes a run: neighbouring results are neighbouring threads
 *   join     a block takes 1024 nodes of a result
 *   merge    a thread takes 16 nodes of a result
 *
 * All but sums of floats come out alike in any order, and go the same way. The partition is the
 * host's, by shape and dtype. */
#include "fold.h"

/* What is reduced: State, its identity, an element (number k of its line) taken in, two joined. */

template <class E, bool is_float>
struct SumOf : tvi_sum<typename E::Value> {
  typedef typename E::Value State;
  typedef E Element;
  static constexpr bool is_ordered = is_float, is_flipped = false;
  static TVI_INLINE void take(State &to, State x, int64_t) { to = tvi_sum<State>::join(to, x); }
  static TVI_INLINE void put(const tvi_reduce_job &job, int64_t i, State x) {
    if (job.line == 0) x = State(); /* the sum of nothing is +0 */
    if (job.is_narrow)
      ((typename E::Stored *)job.out)[i] = E::put(x);
    else
      ((State *)job.out)[i] = x;
  }
};

template <class S>
TVI_INLINE S flipped(S x, uint64_t mask) {
  return (S)(x ^ (S)mask);
}
TVI_INLINE float flipped(float x, uint64_t mask) {
  return tvi_float_of(tvi_bits_of(x) ^ (uint32_t)mask);
}
TVI_INLINE double flipped(double x, uint64_t mask) {
  return tvi_double_of(tvi_wide_bits_of(x) ^ mask);
}

/* The host makes a minimum of it by turning all bits of integers, or the sign of floats. */
template <class E>
struct Max {
  typedef typename E::Value State;
  typedef E Element;
  static constexpr bool is_ordered = false, is_flipped = true;
  static TVI_INLINE State none() { return (State)-1 < (State)0 ? (State)-INFINITY : (State)0; }
  static TVI_INLINE State join(State a, State b) { return tvi_larger(a, b); }
  static TVI_INLINE void take(State &to, State x, int64_t) { to = join(to, x); }
  static TVI_INLINE void put(const tvi_reduce_job &job, int64_t i, State x) {
    ((typename E::Stored *)job.out)[i] = flipped(E::put(x), job.flip);
  }
};

/* The best so far, and where it is; -1: none yet. */
template <class T>
struct Found {
  T value;
  int64_t at;
};
template <class T>
TVI_INLINE Found<T> tvi_exchange(Found<T> x, unsigned bits) {
  return {tvi_exchange(x.value, bits), tvi_exchange(x.at, bits)};
}

/* The first NaN beats all else, the first of equal ones wins. */
template <class E>
struct ArgMax {
  typedef typename E::Value T;
  typedef Found<T> State;
  typedef E Element;
  static constexpr bool is_ordered = false, is_flipped = true;
  static TVI_INLINE State none() { return {(T)0, -1}; }
  static TVI_INLINE bool beats(T a, T b) { return (b == b) & ((a > b) | (a != a)); }
  static TVI_INLINE void take(State &to, T x, int64_t k) {
    if (to.at < 0 || beats(x, to.value)) to = {x, k};
  }
  static TVI_INLINE State join(State a, State b) {
    if (a.at < 0 || b.at < 0) return a.at < 0 ? b : a;
    if (beats(a.value, b.value)) return a;
    if (beats(b.value, a.value)) return b;
    return a.at < b.at ? a : b;
  }
  static TVI_INLINE void put(const tvi_reduce_job &job, int64_t i, State x) {
    ((int64_t *)job.out)[i] = x.at;
  }
};

/* Where elements lie --------------------------------------------------------------------------- */

TVI_INLINE int64_t offset(const tvi_reduce_job &job, int first, int rank, int64_t i) {
  int64_t at = 0;
  if (rank == 0) return 0;
  for (int axis = first + rank - 1; axis > first; axis--) {
    int64_t rest = i;
    i = tvi_divide(job.by[axis], &rest);
    at += rest * job.steps[axis];
  }
  return at + i * job.steps[first];
}

template <class Op>
struct Line {
  typedef typename Op::Element E;
  const tvi_reduce_job &job;
  const char *from;
  int64_t step; /* along the inner axis */
  bool is_plain;
  TVI_INLINE Line(const tvi_reduce_job &job, int64_t result)
      : job(job),
        from((const char *)job.in + offset(job, 0, job.results_rank, result)),
        step(job.line_rank ? job.steps[job.results_rank + job.line_rank - 1] : 0),
        is_plain(job.line_rank < 2) {}
  TVI_INLINE typename E::Value load(const char *p) const {
    typename E::Stored x = *(const typename E::Stored *)p;
    if constexpr (Op::is_flipped) x = flipped(x, job.flip);
    return E::get(x);
  }
};

/* A position in a line: offsets are worked out anew where the inner axis ends. */
template <class Op>
struct Walk {
  const Line<Op> &line;
  const char *p;
  int64_t k, left;
  TVI_INLINE Walk(const Line<Op> &line, int64_t k) : line(line), k(k), left(INT64_MAX) {
    if (line.is_plain)
      p = line.from + k * line.step;
    else
      seek();
  }
  TVI_INLINE void seek() {
    const tvi_reduce_job &job = line.job;
    const int inner = job.results_rank + job.line_rank - 1;
    int64_t at = k;
    const int64_t outer = tvi_divide(job.by[inner], &at);
    left = (int64_t)job.by[inner].divisor - at;
    p = line.from + at * line.step + offset(job, job.results_rank, job.line_rank - 1, outer);
  }
  TVI_INLINE void advance(int n) {
    k += n;
    p += n * line.step;
    left -= n;
    if (left <= 0) seek();
  }
};

/* A result is done, or it is a node of one. */
template <class Op>
TVI_INLINE void put(const tvi_reduce_job &job, int64_t result, int64_t node, typename Op::State x) {
  if (job.out_nodes == 1)
    Op::put(job, result, x);
  else
    ((typename Op::State *)job.out)[result * job.out_result_step + node * job.out_node_step] = x;
}

/* The kernels ---------------------------------------------------------------------------------- */

/* What one lane takes of elements [k, k + n): every 16th, from its own on. */
template <class Op>
TVI_INLINE typename Op::State take_lane(const Line<Op> &line, int64_t k, int64_t n, int lane) {
  constexpr int batch = 16, few = 4; /* loads in flight */
  typename Op::State acc = Op::none();
  if (n == TVI_RUN_ELEMENTS && line.is_plain) {
    const char *p = line.from + (k + lane) * line.step;
    const int64_t step = TVI_LANES * line.step;
    TVI_UNROLLED_BY(1)
    for (int j = 0; j < TVI_ROUNDS; j += batch, p += batch * step) {
      typename Op::Element::Value x[batch];
      TVI_UNROLLED
      for (int u = 0; u < batch; u++) x[u] = line.load(p + u * step);
      TVI_UNROLLED
      for (int u = 0; u < batch; u++) Op::take(acc, x[u], k + lane + (j + u) * TVI_LANES);
    }
    return acc;
  }
  if (lane >= n) return acc;
  Walk<Op> at(line, k + lane);
  int i = lane;
  TVI_UNROLLED_BY(1)
  for (; i + (few - 1) * TVI_LANES < n; i += few * TVI_LANES) {
    typename Op::Element::Value x[few];
    TVI_UNROLLED
    for (int u = 0; u < few; u++) {
      x[u] = line.load(at.p);
      at.advance(TVI_LANES);
    }
    TVI_UNROLLED
    for (int u = 0; u < few; u++) Op::take(acc, x[u], k + i + u * TVI_LANES);
  }
  TVI_UNROLLED_BY(1)
  for (; i < n; i += TVI_LANES) {
    Op::take(acc, line.load(at.p), k + i);
    at.advance(TVI_LANES);
  }
  return acc;
}

/* Assumes: 256 threads; shared memory for max(16, group) states unless group is 1. */
template <class Op>
TVI_INLINE void lines(const tvi_reduce_job &job) {
  typedef typename Op::State State;
  TV_DYNAMIC_SHARED(State, nodes);
  const int group = job.group, slots = group < 16 ? 16 : group, per_block = slots / group;
  const int lane = threadIdx.x % TVI_LANES;
  const int64_t items = job.results * job.out_nodes, first = (int64_t)blockIdx.x * per_block;
  for (int slot = threadIdx.x / TVI_LANES; slot < slots; slot += 16) {
    const int64_t item = first + slot / group;
    int64_t node = item, result = 0;
    State acc = Op::none();
    if (item < items) {
      result = tvi_divide(job.by_out_nodes, &node);
      const int64_t k = (node * group + slot % group) * TVI_RUN_ELEMENTS, rest = job.line - k;
      if (rest > 0) acc = take_lane(Line<Op>(job, result), k, tvi_run_of(rest), lane);
    }
    acc = tvi_join_lanes<Op>(acc);
    if (lane != 0) continue;
    if (group > 1)
      nodes[slot] = acc;
    else if (item < items)
      put<Op>(job, result, node, acc);
  }
  if (group == 1) return;
  for (int width = 1; width < group; width *= 2) {
    __syncthreads();
    const int at = 2 * width * (int)threadIdx.x;
    if (at < slots) nodes[at] = Op::join(nodes[at], nodes[at + width]);
  }
  __syncthreads();
  const int64_t item = first + threadIdx.x;
  if ((int)threadIdx.x < per_block && item < items) {
    int64_t node = item;
    const int64_t result = tvi_divide(job.by_out_nodes, &node);
    put<Op>(job, result, node, nodes[threadIdx.x * group]);
  }
}

/* Accumulators added by halves. */
template <class Op, int accs>
TVI_INLINE typename Op::State halved(typename Op::State *acc) {
  if constexpr (accs > 1) {
    TVI_UNROLLED
    for (int j = 0; j < accs / 2; j++) acc[j] = Op::join(acc[j], acc[j + accs / 2]);
    return halved<Op, accs / 2>(acc);
  }
  return acc[0];
}

/* Elements [k, k + n) of a line, by one thread: with 16 accumulators if the order matters. */
template <class Op>
TVI_INLINE typename Op::State take_run(const Line<Op> &line, int64_t k, int64_t n) {
  typedef typename Op::State State;
  constexpr int accs = Op::is_ordered ? TVI_LANES : 1;
  State acc[accs];
  TVI_UNROLLED
  for (int j = 0; j < accs; j++) acc[j] = Op::none();
  int i = 0;
  if (line.is_plain) {
    const char *p = line.from + k * line.step;
    TVI_UNROLLED_BY(1)
    for (; i + TVI_LANES <= n; i += TVI_LANES, p += TVI_LANES * line.step) {
      typename Op::Element::Value x[TVI_LANES];
      TVI_UNROLLED
      for (int j = 0; j < TVI_LANES; j++) x[j] = line.load(p + j * line.step);
      TVI_UNROLLED
      for (int j = 0; j < TVI_LANES; j++) Op::take(acc[j % accs], x[j], k + i + j);
    }
  }
  if (i == n) return halved<Op, accs>(acc);
  Walk<Op> at(line, k + i);
  TVI_UNROLLED_BY(1)
  for (; i < n; i += accs) TVI_UNROLLED
  for (int j = 0; j < accs; j++)
    if (i + j < n) {
      Op::take(acc[j], line.load(at.p), k + i + j);
      at.advance(1);
    }
  return halved<Op, accs>(acc);
}

/* Assumes: a node is one run. */
template <class Op>
TVI_INLINE void columns(const tvi_reduce_job &job) {
  const int64_t item = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (item >= job.results * job.out_nodes) return;
  int64_t result = item;
  const int64_t run = tvi_divide(job.by_results, &result);
  const int64_t k = run * TVI_RUN_ELEMENTS, rest = job.line - k;
  put<Op>(job, result, run, take_run(Line<Op>(job, result), k, tvi_run_of(rest)));
}

template <class Op>
TVI_INLINE typename Op::State node_at(const tvi_reduce_job &job, int64_t result, int64_t node) {
  const typename Op::State *const nodes = (const typename Op::State *)job.in;
  return node < job.nodes ? nodes[result * job.result_step + node * job.node_step] : Op::none();
}

/* Assumes: 256 threads, shared memory for 8 states. */
template <class Op>
TVI_INLINE void join(const tvi_reduce_job &job) {
  typedef typename Op::State State;
  TV_DYNAMIC_SHARED(State, warps);
  int64_t to = blockIdx.x;
  const int64_t result = tvi_divide(job.by_out_nodes, &to);
  const int64_t first = to * 1024 + 4 * threadIdx.x;
  const State a = Op::join(node_at<Op>(job, result, first), node_at<Op>(job, result, first + 1));
  const State b =
      Op::join(node_at<Op>(job, result, first + 2), node_at<Op>(job, result, first + 3));
  State x = tvi_join_nodes<Op>(Op::join(a, b), 32);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = x;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  x = tvi_join_nodes<Op>(threadIdx.x < 8 ? warps[threadIdx.x] : Op::none(), 8);
  if (threadIdx.x == 0) put<Op>(job, result, to, x);
}

template <class Op>
TVI_INLINE void merge(const tvi_reduce_job &job) {
  typename Op::State x[16];
  const int64_t item = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (item >= job.results * job.out_nodes) return;
  int64_t result = item;
  const int64_t to = tvi_divide(job.by_results, &result);
  TVI_UNROLLED
  for (int j = 0; j < 16; j++) x[j] = node_at<Op>(job, result, to * 16 + j);
  TVI_UNROLLED
  for (int width = 1; width < 16; width *= 2) TVI_UNROLLED
  for (int j = 0; j < 16; j += 2 * width) x[j] = Op::join(x[j], x[j + width]);
  put<Op>(job, result, to, x[0]);
}

#define KERNELS(name, tag, ...)                                                                \
  TV_KERNEL(name##_##tag##_lines, tvi_reduce_job job) { lines<__VA_ARGS__>(job); }             \
  TV_KERNEL_NO_SYNC(name##_##tag##_columns, tvi_reduce_job job) { columns<__VA_ARGS__>(job); } \
  TV_KERNEL(name##_##tag##_join, tvi_reduce_job job) { join<__VA_ARGS__>(job); }               \
  TV_KERNEL_NO_SYNC(name##_##tag##_merge, tvi_reduce_job job) { merge<__VA_ARGS__>(job); }

#define SUM(tag, TAG, S, C, load, store, R, P, is_float) \
  KERNELS(sum, tag, SumOf<of_##tag, is_float>)
UNSIGNED(SUM, false)
FLOAT(SUM, true)
COMPLEX(SUM, true)

#define EXTREMES(tag, ...)         \
  KERNELS(max, tag, Max<of_##tag>) \
  KERNELS(argmax, tag, ArgMax<of_##tag>)
UNSIGNED(EXTREMES, )
FLOAT(EXTREMES, )
