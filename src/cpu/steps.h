/* SPDX-License-Identifier: MIT
 * The loops of optimizers: elements [begin, end) of one tensor, in one pass. Included by
 * level_v*.c, once per level.
 *
 * The arithmetic is that of src/variable/method.c, op by op: in f32 for f16 and bf16, with
 * constants rounded to the type that computes. Results may lie where their inputs do. Before the
 * first step slots are 0, which gives the bits of a step without them: they are flushed. */

/* A slot's elements as they were: where they are, or zeros where they will be. */
static const void *slot_before(const void *slot, void *slot_out, int64_t begin, int64_t end,
                               int64_t item) {
  if (slot) return slot;
  memset((char *)slot_out + begin * item, 0, (size_t)((end - begin) * item));
  return slot_out;
}

/* S and C as in dtypes.def, P the real part of C. */
#define SGD(tag, TAG, S, C, load, store, R, P, ...)                                         \
  static void sgd_##tag(const tv_optimize *job, const tv_optimize_tensor *t, int64_t begin, \
                        int64_t end) {                                                      \
    const S *const value = t->value, *const gradient = t->gradient;                         \
    S *const value_out = t->value_out;                                                      \
    const C rate = (P)job->learning_rate, momentum = (P)job->momentum;                      \
    if (job->momentum == 0) {                                                               \
      INDEPENDENT for (int64_t i = begin; i < end; i++) value_out[i] =                      \
          store(load(value[i]) - load(gradient[i]) * rate);                                 \
      return;                                                                               \
    }                                                                                       \
    C *const slot_out = t->slot_out[0];                                                     \
    const C *const slot = slot_before(t->slot[0], slot_out, begin, end, sizeof(C));         \
    if (job->nesterov) INDEPENDENT for (int64_t i = begin; i < end; i++) {                  \
        const C g = load(gradient[i]), b = tvi_flush(slot[i] * momentum + g);               \
        value_out[i] = store(load(value[i]) - (g + b * momentum) * rate);                   \
        slot_out[i] = b;                                                                    \
      }                                                                                     \
    else                                                                                    \
      INDEPENDENT for (int64_t i = begin; i < end; i++) {                                   \
        const C b = tvi_flush(slot[i] * momentum + load(gradient[i]));                      \
        value_out[i] = store(load(value[i]) - b * rate);                                    \
        slot_out[i] = b;                                                                    \
      }                                                                                     \
  }

#define ADAM(tag, TAG, S, C, load, store, R, P, ...)                                         \
  static void adam_##tag(const tv_optimize *job, const tv_optimize_tensor *t, int64_t begin, \
                         int64_t end) {                                                      \
    const S *const value = t->value, *const gradient = t->gradient;                          \
    S *const value_out = t->value_out;                                                       \
    C *const first_out = t->slot_out[0];                                                     \
    P *const second_out = t->slot_out[1];                                                    \
    const C *const first = slot_before(t->slot[0], first_out, begin, end, sizeof(C));        \
    const P *const second = slot_before(t->slot[1], second_out, begin, end, sizeof(P));      \
    const C beta1 = (P)job->beta1, rest1 = (P)(1 - job->beta1);                              \
    const P beta2 = (P)job->beta2, rest2 = (P)(1 - job->beta2);                              \
    const C rate = (P)(job->learning_rate / t->unbias1);                                     \
    const P root = (P)sqrt(t->unbias2), epsilon = (P)job->epsilon;                           \
    INDEPENDENT for (int64_t i = begin; i < end; i++) {                                      \
      const C g = load(gradient[i]);                                                         \
      const P size = tvi_abs(g);                                                             \
      const C m = tvi_flush(first[i] * beta1 + g * rest1);                                   \
      const P v = tvi_flush(second[i] * beta2 + size * size * rest2);                        \
      const P divisor = tvi_sqrt(v) / root + epsilon;                                        \
      value_out[i] = store(load(value[i]) - m / (C)divisor * rate);                          \
      first_out[i] = m;                                                                      \
      second_out[i] = v;                                                                     \
    }                                                                                        \
  }

/* What is asked for beyond a plain step. Choices that are the same for all elements: the compiler
 * takes them out of the loop, or makes them blends, which memory hides. */
#define DECAYED(C, load)                       \
  C w = load(value[i]), g = load(gradient[i]); \
  if (maximize) g = -g;                        \
  if (has_decay) g = g + w * decay;            \
  if (is_kept) w = w * keep;
#define DECAYS(C, P)                                                       \
  const bool maximize = job->maximize, has_decay = job->weight_decay != 0; \
  const bool is_kept = job->decoupled_decay != 0;                          \
  const C decay = (P)job->weight_decay;                                    \
  const C keep = (P)(1 - job->learning_rate * job->decoupled_decay)

#define SGD_MORE(tag, TAG, S, C, load, store, R, P, ...)                                         \
  static void sgd_more_##tag(const tv_optimize *job, const tv_optimize_tensor *t, int64_t begin, \
                             int64_t end) {                                                      \
    const S *const value = t->value, *const gradient = t->gradient;                              \
    S *const value_out = t->value_out;                                                           \
    const C rate = (P)job->learning_rate, momentum = (P)job->momentum;                           \
    const C rest = (P)(1 - job->dampening);                                                      \
    const bool is_damped = t->slot[0] && job->dampening != 0, nesterov = job->nesterov;          \
    DECAYS(C, P);                                                                                \
    if (job->momentum == 0) {                                                                    \
      INDEPENDENT for (int64_t i = begin; i < end; i++) {                                        \
        DECAYED(C, load)                                                                         \
        value_out[i] = store(w - g * rate);                                                      \
      }                                                                                          \
      return;                                                                                    \
    }                                                                                            \
    C *const slot_out = t->slot_out[0];                                                          \
    const C *const slot = slot_before(t->slot[0], slot_out, begin, end, sizeof(C));              \
    if (job->rate_in_momentum) INDEPENDENT for (int64_t i = begin; i < end; i++) {               \
        DECAYED(C, load)                                                                         \
        const C moved = g * rate, v = tvi_flush(slot[i] * momentum - moved);                     \
        value_out[i] = store(w + (nesterov ? v * momentum - moved : v));                         \
        slot_out[i] = v;                                                                         \
      }                                                                                          \
    else                                                                                         \
      INDEPENDENT for (int64_t i = begin; i < end; i++) {                                        \
        DECAYED(C, load)                                                                         \
        const C b = tvi_flush(slot[i] * momentum + (is_damped ? g * rest : g));                  \
        value_out[i] = store(w - (nesterov ? g + b * momentum : b) * rate);                      \
        slot_out[i] = b;                                                                         \
      }                                                                                          \
  }

#define ADAM_MORE(tag, TAG, S, C, load, store, R, P, ...)                                         \
  static void adam_more_##tag(const tv_optimize *job, const tv_optimize_tensor *t, int64_t begin, \
                              int64_t end) {                                                      \
    const S *const value = t->value, *const gradient = t->gradient;                               \
    S *const value_out = t->value_out;                                                            \
    C *const first_out = t->slot_out[0];                                                          \
    P *const second_out = t->slot_out[1], *const most_out = t->slot_out[2];                       \
    const C *const first = slot_before(t->slot[0], first_out, begin, end, sizeof(C));             \
    const P *const second = slot_before(t->slot[1], second_out, begin, end, sizeof(P));           \
    const C beta1 = (P)job->beta1, rest1 = (P)(1 - job->beta1);                                   \
    const P beta2 = (P)job->beta2, rest2 = (P)(1 - job->beta2);                                   \
    const double unbias = job->epsilon_hat ? sqrt(t->unbias2) : 1;                                \
    const C rate = (P)(job->learning_rate * unbias / t->unbias1);                                 \
    const P root = (P)(job->epsilon_hat ? 1 : sqrt(t->unbias2)), epsilon = (P)job->epsilon;       \
    DECAYS(C, P);                                                                                 \
    if (job->amsgrad) {                                                                           \
      const P *const most = slot_before(t->slot[2], most_out, begin, end, sizeof(P));             \
      INDEPENDENT for (int64_t i = begin; i < end; i++) {                                         \
        DECAYED(C, load)                                                                          \
        const P size = tvi_abs(g);                                                                \
        const C m = tvi_flush(first[i] * beta1 + g * rest1);                                      \
        const P v = tvi_flush(second[i] * beta2 + size * size * rest2);                           \
        const P top = tvi_maximum(most[i], v), divisor = tvi_sqrt(top) / root + epsilon;          \
        value_out[i] = store(w - m / (C)divisor * rate);                                          \
        first_out[i] = m;                                                                         \
        second_out[i] = v;                                                                        \
        most_out[i] = top;                                                                        \
      }                                                                                           \
    } else {                                                                                      \
      INDEPENDENT for (int64_t i = begin; i < end; i++) {                                         \
        DECAYED(C, load)                                                                          \
        const P size = tvi_abs(g);                                                                \
        const C m = tvi_flush(first[i] * beta1 + g * rest1);                                      \
        const P v = tvi_flush(second[i] * beta2 + size * size * rest2);                           \
        const P divisor = tvi_sqrt(v) / root + epsilon;                                           \
        value_out[i] = store(w - m / (C)divisor * rate);                                          \
        first_out[i] = m;                                                                         \
        second_out[i] = v;                                                                        \
      }                                                                                           \
    }                                                                                             \
  }

#define STEPS(tag, ...) \
  SGD(tag, __VA_ARGS__) \
  ADAM(tag, __VA_ARGS__) SGD_MORE(tag, __VA_ARGS__) ADAM_MORE(tag, __VA_ARGS__)
FLOAT(STEPS, )
COMPLEX(STEPS, )

#define ROW(tag, TAG, ...) [TV_##TAG] = STEP(tag),
static tvi_step *const steps[4][TV_DTYPE_COUNT] = {
#define STEP(tag) sgd_##tag
    [TV_OPTIMIZE_SGD] = {FLOAT(ROW, ) COMPLEX(ROW, )},
#undef STEP
#define STEP(tag) adam_##tag
    [TV_OPTIMIZE_ADAM] = {FLOAT(ROW, ) COMPLEX(ROW, )},
#undef STEP
#define STEP(tag) sgd_more_##tag
    [2 + TV_OPTIMIZE_SGD] = {FLOAT(ROW, ) COMPLEX(ROW, )},
#undef STEP
#define STEP(tag) adam_more_##tag
    [2 + TV_OPTIMIZE_ADAM] = {FLOAT(ROW, ) COMPLEX(ROW, )}};
#undef STEP
#undef ROW
