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
    const double unbias = job->epsilon_inside ? sqrt(t->unbias2) : 1;                             \
    const C rate = (P)(job->learning_rate * unbias / t->unbias1);                                 \
    const P root = (P)(job->epsilon_inside ? 1 : sqrt(t->unbias2)), epsilon = (P)job->epsilon;    \
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

/* d = g / (sqrt(v) + epsilon), or with epsilon inside the root. */
#define DIVISOR(v) (is_inside ? tvi_sqrt((v) + epsilon) : tvi_sqrt(v) + epsilon)

/* One loop for each choice of slots. */
#define RMSPROP_LOOP(C, P, load, store, has_mean, has_momentum)                        \
  INDEPENDENT for (int64_t i = begin; i < end; i++) {                                  \
    DECAYED(C, load)                                                                   \
    const P size = tvi_abs(g);                                                         \
    const P v = tvi_flush(square[i] * by + size * size * rest);                        \
    P under = v;                                                                       \
    square_out[i] = v;                                                                 \
    if (has_mean) {                                                                    \
      const C m = tvi_flush(middle[i] * (C)by + g * (C)rest);                          \
      const P apart = tvi_abs(m), left = v - apart * apart;                            \
      under = left < 0 ? 0 : left;                                                     \
      middle_out[i] = m;                                                               \
    }                                                                                  \
    const C d = g / (C)DIVISOR(under);                                                 \
    if (has_momentum) {                                                                \
      const C b = tvi_flush(buffer[i] * momentum + (rate_in_momentum ? d * rate : d)); \
      value_out[i] = store(w - (rate_in_momentum ? b : b * rate));                     \
      buffer_out[i] = b;                                                               \
    } else {                                                                           \
      value_out[i] = store(w - d * rate);                                              \
    }                                                                                  \
  }

#define RMSPROP(tag, TAG, S, C, load, store, R, P, ...)                                          \
  static void rmsprop_##tag(const tv_optimize *job, const tv_optimize_tensor *t, int64_t begin,  \
                            int64_t end) {                                                       \
    const S *const value = t->value, *const gradient = t->gradient;                              \
    S *const value_out = t->value_out;                                                           \
    const int last = job->momentum != 0 ? 2 : 1;                                                 \
    P *const square_out = t->slot_out[0];                                                        \
    const P *const square = slot_before(t->slot[0], square_out, begin, end, sizeof(P));          \
    const P by = (P)job->decay, rest = (P)(1 - job->decay), epsilon = (P)job->epsilon;           \
    const C rate = (P)job->learning_rate, momentum = (P)job->momentum;                           \
    const bool is_inside = job->epsilon_inside, rate_in_momentum = job->rate_in_momentum;        \
    C *const buffer_out = t->slot_out[1], *const middle_out = t->slot_out[last];                 \
    const C *buffer = NULL, *middle = NULL;                                                      \
    DECAYS(C, P);                                                                                \
    if (job->momentum != 0) buffer = slot_before(t->slot[1], buffer_out, begin, end, sizeof(C)); \
    if (job->centered) middle = slot_before(t->slot[last], middle_out, begin, end, sizeof(C));   \
    if (middle && buffer)                                                                        \
      RMSPROP_LOOP(C, P, load, store, true, true)                                                \
    else if (middle)                                                                             \
      RMSPROP_LOOP(C, P, load, store, true, false)                                               \
    else if (buffer)                                                                             \
      RMSPROP_LOOP(C, P, load, store, false, true)                                               \
    else                                                                                         \
      RMSPROP_LOOP(C, P, load, store, false, false)                                              \
  }

#define ADAGRAD(tag, TAG, S, C, load, store, R, P, ...)                                         \
  static void adagrad_##tag(const tv_optimize *job, const tv_optimize_tensor *t, int64_t begin, \
                            int64_t end) {                                                      \
    const S *const value = t->value, *const gradient = t->gradient;                             \
    S *const value_out = t->value_out;                                                          \
    P *const sum_out = t->slot_out[0];                                                          \
    const P *const sum = t->slot[0] ? t->slot[0] : sum_out;                                     \
    const P epsilon = (P)job->epsilon;                                                          \
    const C rate = (P)(job->learning_rate / t->unbias1);                                        \
    const bool is_inside = job->epsilon_inside;                                                 \
    DECAYS(C, P);                                                                               \
    if (!t->slot[0])                                                                            \
      for (int64_t i = begin; i < end; i++) sum_out[i] = (P)job->initial;                       \
    INDEPENDENT for (int64_t i = begin; i < end; i++) {                                         \
      DECAYED(C, load)                                                                          \
      const P size = tvi_abs(g), a = tvi_flush(sum[i] + size * size);                           \
      value_out[i] = store(w - g / (C)DIVISOR(a) * rate);                                       \
      sum_out[i] = a;                                                                           \
    }                                                                                           \
  }

/* In two loops: of one with two values that may be flushed to 0 gcc 12 makes no vectors. */
#define ADADELTA(tag, TAG, S, C, load, store, R, P, ...)                                         \
  static void adadelta_##tag(const tv_optimize *job, const tv_optimize_tensor *t, int64_t begin, \
                             int64_t end) {                                                      \
    const S *const value = t->value, *const gradient = t->gradient;                              \
    S *const value_out = t->value_out;                                                           \
    P *const square_out = t->slot_out[0], *const moved_out = t->slot_out[1];                     \
    const P *const square = slot_before(t->slot[0], square_out, begin, end, sizeof(P));          \
    const P *const moved = slot_before(t->slot[1], moved_out, begin, end, sizeof(P));            \
    const P by = (P)job->decay, rest = (P)(1 - job->decay), epsilon = (P)job->epsilon;           \
    const C rate = (P)job->learning_rate;                                                        \
    DECAYS(C, P);                                                                                \
    INDEPENDENT for (int64_t i = begin; i < end; i++) {                                          \
      DECAYED(C, load)                                                                           \
      const P size = tvi_abs(g);                                                                 \
      square_out[i] = tvi_flush(square[i] * by + size * size * rest);                            \
      (void)w;                                                                                   \
    }                                                                                            \
    INDEPENDENT for (int64_t i = begin; i < end; i++) {                                          \
      DECAYED(C, load)                                                                           \
      const C d = g * (C)(tvi_sqrt(moved[i] + epsilon) / tvi_sqrt(square_out[i] + epsilon));     \
      const P far = tvi_abs(d);                                                                  \
      value_out[i] = store(w - d * rate);                                                        \
      moved_out[i] = tvi_flush(moved[i] * by + far * far * rest);                                \
    }                                                                                            \
  }

#define LION(tag, TAG, S, C, load, store, R, P, ...)                                         \
  static void lion_##tag(const tv_optimize *job, const tv_optimize_tensor *t, int64_t begin, \
                         int64_t end) {                                                      \
    const S *const value = t->value, *const gradient = t->gradient;                          \
    S *const value_out = t->value_out;                                                       \
    C *const mean_out = t->slot_out[0];                                                      \
    const C *const mean = slot_before(t->slot[0], mean_out, begin, end, sizeof(C));          \
    const C beta1 = (P)job->beta1, rest1 = (P)(1 - job->beta1);                              \
    const C beta2 = (P)job->beta2, rest2 = (P)(1 - job->beta2);                              \
    const C rate = (P)job->learning_rate;                                                    \
    DECAYS(C, P);                                                                            \
    INDEPENDENT for (int64_t i = begin; i < end; i++) {                                      \
      DECAYED(C, load)                                                                       \
      const C towards = mean[i] * beta1 + g * rest1;                                         \
      value_out[i] = store(w - tvi_sign(towards) * rate);                                    \
      mean_out[i] = tvi_flush(mean[i] * beta2 + g * rest2);                                  \
    }                                                                                        \
  }

FLOAT(SGD, )
COMPLEX(SGD, )
FLOAT(ADAM, )
COMPLEX(ADAM, )
FLOAT(SGD_MORE, )
COMPLEX(SGD_MORE, )
FLOAT(ADAM_MORE, )
COMPLEX(ADAM_MORE, )
FLOAT(RMSPROP, )
COMPLEX(RMSPROP, )
FLOAT(ADAGRAD, )
COMPLEX(ADAGRAD, )
FLOAT(ADADELTA, )
COMPLEX(ADADELTA, )
FLOAT(LION, )
COMPLEX(LION, )

#define SGD_STEP(tag, TAG, ...) [TV_##TAG] = sgd_##tag,
#define ADAM_STEP(tag, TAG, ...) [TV_##TAG] = adam_##tag,
#define SGD_MORE_STEP(tag, TAG, ...) [TV_##TAG] = sgd_more_##tag,
#define ADAM_MORE_STEP(tag, TAG, ...) [TV_##TAG] = adam_more_##tag,
#define RMSPROP_STEP(tag, TAG, ...) [TV_##TAG] = rmsprop_##tag,
#define ADAGRAD_STEP(tag, TAG, ...) [TV_##TAG] = adagrad_##tag,
#define ADADELTA_STEP(tag, TAG, ...) [TV_##TAG] = adadelta_##tag,
#define LION_STEP(tag, TAG, ...) [TV_##TAG] = lion_##tag,
#define OF_ALL(STEP) \
  { FLOAT(STEP, ) COMPLEX(STEP, ) }
static tvi_step *const steps[TVI_PLAIN_STEP + 2][TV_DTYPE_COUNT] = {
    [TV_OPTIMIZE_SGD] = OF_ALL(SGD_MORE_STEP),
    [TV_OPTIMIZE_ADAM] = OF_ALL(ADAM_MORE_STEP),
    [TV_OPTIMIZE_RMSPROP] = OF_ALL(RMSPROP_STEP),
    [TV_OPTIMIZE_ADAGRAD] = OF_ALL(ADAGRAD_STEP),
    [TV_OPTIMIZE_ADADELTA] = OF_ALL(ADADELTA_STEP),
    [TV_OPTIMIZE_LION] = OF_ALL(LION_STEP),
    [TVI_PLAIN_STEP + TV_OPTIMIZE_SGD] = OF_ALL(SGD_STEP),
    [TVI_PLAIN_STEP + TV_OPTIMIZE_ADAM] = OF_ALL(ADAM_STEP)};
