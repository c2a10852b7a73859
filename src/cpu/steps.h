/* SPDX-License-Identifier: MIT
 * The loops of optimizers: elements [begin, end) of one tensor, in one pass. Included by
 * level_v*.c, once per level.
 *
 * The arithmetic is that of src/variable/optimizer.c, op by op: in f32 for f16 and bf16, with
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
FLOAT(SGD, )
COMPLEX(SGD, )
FLOAT(ADAM, )
COMPLEX(ADAM, )

#define SGD_SLOT(tag, TAG, ...) [TV_##TAG] = sgd_##tag,
#define ADAM_SLOT(tag, TAG, ...) [TV_##TAG] = adam_##tag,
static tvi_step *const steps[2][TV_DTYPE_COUNT] = {
    [TV_OPTIMIZE_SGD] = {FLOAT(SGD_SLOT, ) COMPLEX(SGD_SLOT, )},
    [TV_OPTIMIZE_ADAM] = {FLOAT(ADAM_SLOT, ) COMPLEX(ADAM_SLOT, )}};
