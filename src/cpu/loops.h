/* SPDX-License-Identifier: MIT
 * The loops of elementwise ops, stamped from ops.def and dtypes.def: a row gives one function per
 * dtype. Included by level_v*.c, once per level.
 *
 * Each holds its body two to four times: for contiguous operands, for one that is the same
 * everywhere (step 0, read once), and for any steps. The first ones are what the compiler makes
 * vector code of; all give the same bits. */

/* clang-format off */
/* Operand k as an array, and its element i for any step. Pointers and steps are copied first: a bool
 * is stored as a char, which could otherwise change them. */
#define TAKE(k) char *const p##k = p[k]; const int64_t s##k = step[k]; (void)s##k;
#define ARRAY(k, T) ((T *)(void *)p##k)
#define AT(k, T) (*(T *)(void *)(p##k + i * s##k))
#define HAS_STEP(k, T) (s##k == (int64_t)sizeof(T))

#define LOOP(name, tag, ...) \
  static void name##_##tag(int64_t n, char *const *p, const int64_t *step) { TAKE(0) __VA_ARGS__ }
#define SPAN(...) { INDEPENDENT for (int64_t i = 0; i < n; i++) { __VA_ARGS__; } return; }

/* O, V: storage and value type of the result. */
#define OF_ONE(name, tag, S, C, load, O, V, keep, value)                                           \
  LOOP(name, tag, TAKE(1)                                                                          \
    if (HAS_STEP(0, O) && HAS_STEP(1, S))                                                          \
      SPAN(const C x = load(ARRAY(1, S)[i]); (void)x; ARRAY(0, O)[i] = keep((V)(value)))           \
    SPAN(const C x = load(AT(1, S)); (void)x; AT(0, O) = keep((V)(value))))

#define OF_TWO(name, tag, S, C, load, O, V, keep, value)                                           \
  LOOP(name, tag, TAKE(1) TAKE(2)                                                                  \
    if (HAS_STEP(0, O) && HAS_STEP(1, S) && HAS_STEP(2, S))                                        \
      SPAN(const C a = load(ARRAY(1, S)[i]); const C b = load(ARRAY(2, S)[i]);                     \
           ARRAY(0, O)[i] = keep((V)(value)))                                                      \
    if (HAS_STEP(0, O) && HAS_STEP(1, S) && s2 == 0) {                                             \
      const C b = load(*ARRAY(2, S));                                                              \
      SPAN(const C a = load(ARRAY(1, S)[i]); ARRAY(0, O)[i] = keep((V)(value)))                    \
    }                                                                                              \
    if (HAS_STEP(0, O) && HAS_STEP(2, S) && s1 == 0) {                                             \
      const C a = load(*ARRAY(1, S));                                                              \
      SPAN(const C b = load(ARRAY(2, S)[i]); ARRAY(0, O)[i] = keep((V)(value)))                    \
    }                                                                                              \
    SPAN(const C a = load(AT(1, S)); const C b = load(AT(2, S)); AT(0, O) = keep((V)(value))))

#define OF_CHOICE(name, tag, S, C, load, store, value)                                             \
  LOOP(name, tag, TAKE(1) TAKE(2) TAKE(3)                                                          \
    if (HAS_STEP(0, S) && HAS_STEP(1, uint8_t) && HAS_STEP(2, S) && HAS_STEP(3, S))                \
      SPAN(const bool c = ARRAY(1, uint8_t)[i]; const S a = ARRAY(2, S)[i];                        \
           const S b = ARRAY(3, S)[i]; ARRAY(0, S)[i] = value)                                     \
    if (HAS_STEP(0, S) && HAS_STEP(1, uint8_t) && HAS_STEP(2, S) && s3 == 0) {                     \
      const S b = *ARRAY(3, S);                                                                    \
      SPAN(const bool c = ARRAY(1, uint8_t)[i]; const S a = ARRAY(2, S)[i];                        \
           ARRAY(0, S)[i] = value)                                                                 \
    }                                                                                              \
    SPAN(const bool c = AT(1, uint8_t); const S a = AT(2, S); const S b = AT(3, S);                \
         AT(0, S) = value))

#define OF_BOUNDS(name, tag, S, C, load, store, value)                                             \
  LOOP(name, tag, TAKE(1) TAKE(2) TAKE(3)                                                          \
    if (HAS_STEP(0, S) && HAS_STEP(1, S) && s2 == 0 && s3 == 0) {                                  \
      const C a = load(*ARRAY(2, S));                                                              \
      const C b = load(*ARRAY(3, S));                                                              \
      SPAN(const C x = load(ARRAY(1, S)[i]); ARRAY(0, S)[i] = store((C)(value)))                   \
    }                                                                                              \
    SPAN(const C x = load(AT(1, S)); const C a = load(AT(2, S)); const C b = load(AT(3, S));       \
         AT(0, S) = store((C)(value))))
/* clang-format on */

#define STAMP_UNARY(tag, TAG, S, C, load, store, R, P, name, value) \
  OF_ONE(name, tag, S, C, load, S, C, store, value)
/* The real part's type keeps as the type does, but for complex types, where both are empty. */
#define STAMP_PART(tag, TAG, S, C, load, store, R, P, name, value) \
  OF_ONE(name, tag, S, C, load, R, P, store, value)
#define STAMP_TEST(tag, TAG, S, C, load, store, R, P, name, value) \
  OF_ONE(name, tag, S, C, load, uint8_t, bool, , value)
#define STAMP_BINARY(tag, TAG, S, C, load, store, R, P, name, value) \
  OF_TWO(name, tag, S, C, load, S, C, store, value)
#define STAMP_COMPARE(tag, TAG, S, C, load, store, R, P, name, value) \
  OF_TWO(name, tag, S, C, load, uint8_t, bool, , value)
#define STAMP_SELECT(tag, TAG, S, C, load, store, R, P, name, value) \
  OF_CHOICE(name, tag, S, C, load, store, value)
#define STAMP_BOUNDED(tag, TAG, S, C, load, store, R, P, name, value) \
  OF_BOUNDS(name, tag, S, C, load, store, value)

#define UNARY(name, types, value, ...) types(STAMP_UNARY, name, value)
#define PART(name, types, value, ...) types(STAMP_PART, name, value)
#define TEST(name, types, value, ...) types(STAMP_TEST, name, value)
#define BINARY(name, types, value, ...) types(STAMP_BINARY, name, value)
#define COMPARE(name, types, value, ...) types(STAMP_COMPARE, name, value)
#define SELECT(name, types, value, ...) types(STAMP_SELECT, name, value)
#define BOUNDED(name, types, value, ...) types(STAMP_BOUNDED, name, value)
#include "ops.def"

/* Behind the loops that it replaces. */
#include "angles.h"

#define SLOT(tag, TAG, S, C, load, store, R, P, name) [TV_##TAG] = name##_##tag,
static tvi_loop *const loops[TVI_OP_COUNT][TV_DTYPE_COUNT] = {
#define EACH(name, types, ...) [TVI_OP_##name] = {types(SLOT, name)},
#include "ops.def"
};
#undef SLOT
#undef sin_f32
#undef cos_f32
#undef sin_f64
#undef cos_f64
#undef TAKE
#undef ARRAY
#undef AT
