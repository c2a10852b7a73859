/* SPDX-License-Identifier: MIT
 * Steps of optimizers, for many tensors at once: a block takes a chunk of one.
 *
 * The arithmetic is that of src/variable/method.c, op by op: in f32 for f16 and bf16, with
 * constants rounded to the type that computes. Slots are of that type. */
#include "flush.h"
#include "fold.h"

/* The tensor that a chunk is of. */
template <class Job>
TVI_INLINE int item_of(const Job &job, int64_t chunk) {
  int low = 0, high = job.with.n - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (job.items[middle].first_chunk <= chunk)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

/* What comes before more than a plain step: maximize, and weight decay of both forms. */
template <class C, class P>
TVI_INLINE void decayed(const tvi_optimize_settings &with, C &w, C &g) {
  if (with.maximize) g = -g;
  if (with.has_decay) g = g + w * C((P)with.decay);
  if (with.is_kept) w = w * C((P)with.keep);
}

/* S and C as in dtypes.def, P the real part of C. What a step reads of an element is loaded for
 * several at a time. */
template <class E, class P, bool is_more>
struct Sgd {
  typedef typename E::Stored S;
  typedef typename E::Value C;
  struct In {
    C w, g, b;
  };
  const tvi_optimize_settings &with;
  const tvi_optimize_item &t;
  const C rate, momentum;
  TVI_INLINE Sgd(const tvi_optimize_settings &with, const tvi_optimize_item &t)
      : with(with), t(t), rate((P)with.learning_rate), momentum((P)with.momentum) {}
  TVI_INLINE void load(In &in, int64_t i) const {
    in.w = E::get(((const S *)t.value)[i]);
    if (!is_more || t.gradient) in.g = E::get(((const S *)t.gradient)[i]);
    if (t.slot0) in.b = ((const C *)t.slot0)[i];
  }
  TVI_INLINE void step(const In &in, int64_t i) const {
    C w = in.w, g = in.g;
    if (is_more) decayed<C, P>(with, w, g);
    if (is_more && with.has_momentum && with.rate_in_momentum) {
      const C moved = g * rate, v = tvi_flush(t.slot0 ? in.b * momentum - moved : -moved);
      ((C *)t.slot_out0)[i] = v;
      ((S *)t.value_out)[i] = E::put(w + (with.is_nesterov ? v * momentum - moved : v));
      return;
    }
    if (with.has_momentum) {
      const C fresh = is_more && with.is_damped && t.slot0 ? g * C((P)with.rest) : g;
      const C b = tvi_flush(t.slot0 ? in.b * momentum + fresh : fresh);
      ((C *)t.slot_out0)[i] = b;
      g = with.is_nesterov ? g + b * momentum : b;
    }
    ((S *)t.value_out)[i] = E::put(w - g * rate);
  }
};

template <class E, class P, bool is_more>
struct Adam {
  typedef typename E::Stored S;
  typedef typename E::Value C;
  struct In {
    C w, g, m;
    P v;
  };
  const tvi_optimize_settings &with;
  const tvi_optimize_item &t;
  const C beta1, rest1, rate;
  const P beta2, rest2, root, epsilon;
  TVI_INLINE Adam(const tvi_optimize_settings &with, const tvi_optimize_item &t)
      : with(with),
        t(t),
        beta1((P)with.beta1),
        rest1((P)with.rest1),
        rate((P)t.rate),
        beta2((P)with.beta2),
        rest2((P)with.rest2),
        root((P)sqrt(t.unbias2)),
        epsilon((P)with.epsilon) {}
  TVI_INLINE void load(In &in, int64_t i) const {
    in.w = E::get(((const S *)t.value)[i]);
    if (!is_more || t.gradient) in.g = E::get(((const S *)t.gradient)[i]);
    if (!t.slot0) return;
    in.m = ((const C *)t.slot0)[i];
    in.v = ((const P *)t.slot1)[i];
  }
  TVI_INLINE void step(const In &in, int64_t i) const {
    C w = in.w, g = in.g;
    if (is_more) decayed<C, P>(with, w, g);
    const P size = tvi_abs(g);
    C m = g * rest1;
    P v = size * size * rest2;
    if (t.slot0) {
      m = in.m * beta1 + m;
      v = in.v * beta2 + v;
    }
    m = tvi_flush(m);
    v = tvi_flush(v);
    ((C *)t.slot_out0)[i] = m;
    ((P *)t.slot_out1)[i] = v;
    if (is_more && with.amsgrad) {
      if (t.slot2) v = tvi_maximum(((const P *)t.slot2)[i], v);
      ((P *)t.slot_out2)[i] = v;
    }
    const P divisor = (is_more && with.epsilon_inside ? tvi_sqrt(v) : tvi_sqrt(v) / root) + epsilon;
    ((S *)t.value_out)[i] = E::put(w - m / (C)divisor * rate);
  }
};

template <class Step, class Job>
TVI_INLINE void optimize(const Job &job) {
  constexpr int batch = sizeof(typename Step::In) > 16 ? 2 : 4; /* what registers hold */
  const tvi_optimize_item t = job.items[item_of(job, blockIdx.x)];
  int64_t i = ((int64_t)blockIdx.x - t.first_chunk) * job.with.chunk;
  const int64_t end = i + job.with.chunk < t.n ? i + job.with.chunk : t.n;
  const Step step(job.with, t);
  for (i += threadIdx.x; i < end; i += batch * blockDim.x) {
    typename Step::In in[batch] = {};
    TVI_UNROLLED
    for (int j = 0; j < batch; j++)
      if (i + j * blockDim.x < end) step.load(in[j], i + j * blockDim.x);
    TVI_UNROLLED
    for (int j = 0; j < batch; j++)
      if (i + j * blockDim.x < end) step.step(in[j], i + j * blockDim.x);
  }
}

#define KERNELS(name, Step, tag, P, is_more)                                              \
  TV_KERNEL_NO_SYNC(name##_##tag, const __grid_constant__ tvi_optimize_few job) {         \
    optimize<Step<of_##tag, P, is_more>>(job);                                            \
  }                                                                                       \
  TV_KERNEL_NO_SYNC(name##_##tag##_many, const __grid_constant__ tvi_optimize_many job) { \
    optimize<Step<of_##tag, P, is_more>>(job);                                            \
  }
#define BOTH(tag, TAG, S, C, load, store, R, P, ...) \
  KERNELS(sgd, Sgd, tag, P, false)                   \
  KERNELS(adam, Adam, tag, P, false)                 \
  KERNELS(sgd_more, Sgd, tag, P, true)               \
  KERNELS(adam_more, Adam, tag, P, true)
FLOAT(BOTH, )
COMPLEX(BOTH, )
