/* SPDX-License-Identifier: MIT
 * The inner loops, stamped from ops.def and dtypes.def: a row gives one function per dtype.
 *
 * Each holds its body two to four times: for contiguous operands, for one that is the same
 * everywhere (step 0, read once), and for any steps. The first ones are what the compiler makes
 * vector code of; all give the same bits. loops_v3.c and loops_v4.c compile this file again for
 * newer processors. */
#include "loops.h"

#include "dtypes.def"
#include "scalar.h"

#ifndef TVI_LOOPS
#define TVI_LOOPS tvi_loops_v1
#endif

#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed" /* calls and divisions stay as they are */
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#pragma GCC diagnostic ignored "-Wtype-limits"         /* x < 0 of an unsigned x */
#pragma GCC diagnostic ignored "-Wint-in-bool-context" /* a * b of bool is meant */
#endif

/* Operand k as an array, and its element i for any step. */
#define ARRAY(k, T) ((T *)(void *)p[k])
#define AT(k, T) (*(T *)(void *)(p[k] + i * step[k]))
#define HAS_STEP(k, T) (step[k] == (int64_t)sizeof(T))

#define SPAN(BODY)                    \
  do {                                \
    INDEPENDENT                       \
    for (int64_t i = 0; i < n; i++) { \
      BODY;                           \
    }                                 \
    return;                           \
  } while (0)
#define LOOP(name, tag, ...) \
  static void name##_##tag(int64_t n, char *const *p, const int64_t *step) { __VA_ARGS__ }

/* O, V: storage and value type of the result. */
#define OF_ONE(name, tag, S, C, load, O, V, keep, value)                                       \
  LOOP(name, tag,                                                                              \
       if (HAS_STEP(0, O) && HAS_STEP(1, S))                                                   \
           SPAN(const C x = load(ARRAY(1, S)[i]); (void)x; ARRAY(0, O)[i] = keep((V)(value))); \
       SPAN(const C x = load(AT(1, S)); (void)x; AT(0, O) = keep((V)(value)));)

#define OF_TWO(name, tag, S, C, load, O, V, keep, value)                           \
  LOOP(                                                                            \
      name, tag,                                                                   \
      if (HAS_STEP(0, O) && HAS_STEP(1, S) && HAS_STEP(2, S))                      \
          SPAN(const C a = load(ARRAY(1, S)[i]); const C b = load(ARRAY(2, S)[i]); \
               ARRAY(0, O)[i] = keep((V)(value)));                                 \
      if (HAS_STEP(0, O) && HAS_STEP(1, S) && step[2] == 0) {                      \
        const C b = load(*ARRAY(2, S));                                            \
        SPAN(const C a = load(ARRAY(1, S)[i]); ARRAY(0, O)[i] = keep((V)(value))); \
      } if (HAS_STEP(0, O) && HAS_STEP(2, S) && step[1] == 0) {                    \
        const C a = load(*ARRAY(1, S));                                            \
        SPAN(const C b = load(ARRAY(2, S)[i]); ARRAY(0, O)[i] = keep((V)(value))); \
      } SPAN(const C a = load(AT(1, S)); const C b = load(AT(2, S));               \
             AT(0, O) = keep((V)(value)));)

#define OF_CHOICE(name, tag, S, C, load, store, value)                                  \
  LOOP(                                                                                 \
      name, tag, const bool is_flat = HAS_STEP(0, S) && HAS_STEP(1, uint8_t);           \
      if (is_flat && HAS_STEP(2, S) && HAS_STEP(3, S))                                  \
          SPAN(const bool c = ARRAY(1, uint8_t)[i]; const S a = ARRAY(2, S)[i];         \
               const S b = ARRAY(3, S)[i]; ARRAY(0, S)[i] = value);                     \
      if (is_flat && HAS_STEP(2, S) && step[3] == 0) {                                  \
        const S b = *ARRAY(3, S);                                                       \
        SPAN(const bool c = ARRAY(1, uint8_t)[i]; const S a = ARRAY(2, S)[i];           \
             ARRAY(0, S)[i] = value);                                                   \
      } SPAN(const bool c = AT(1, uint8_t); const S a = AT(2, S); const S b = AT(3, S); \
             AT(0, S) = value);)

#define OF_BOUNDS(name, tag, S, C, load, store, value)                                           \
  LOOP(                                                                                          \
      name, tag,                                                                                 \
      if (HAS_STEP(0, S) && HAS_STEP(1, S) && step[2] == 0 && step[3] == 0) {                    \
        const C a = load(*ARRAY(2, S));                                                          \
        const C b = load(*ARRAY(3, S));                                                          \
        SPAN(const C x = load(ARRAY(1, S)[i]); ARRAY(0, S)[i] = store((C)(value)));              \
      } SPAN(const C x = load(AT(1, S)); const C a = load(AT(2, S)); const C b = load(AT(3, S)); \
             AT(0, S) = store((C)(value)));)

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

#define SLOT(tag, TAG, S, C, load, store, R, P, name) [TV_##TAG] = name##_##tag,
const tvi_loop_table TVI_LOOPS = {
#define EACH(name, types, ...) [TVI_OP_##name] = {types(SLOT, name)},
#include "ops.def"
};
