/* SPDX-License-Identifier: MIT
 * The convert slot: element types into one another, and strided copies, which are conversions of a
 * type to itself. The rules are in cast.h; plans cut transpositions into tiles.
 *
 * A loop per pair of types is stamped from dtypes.def. A copy moves bytes: it goes by size alone,
 * so that no bit of a NaN changes. */
#include <string.h>

#include "cast.h"
#include "dtypes.def"
#include "plan.h"

#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed"
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

/* n elements from a to b, one type each; contiguous or with any steps. */
#define CELL(tag, TAG, S, C, load, store, R, P, from, FROM, FS, FC, from_load)                 \
  static void from_##from##_to_##tag(int64_t n, char *const *p, const int64_t *step) {         \
    if (step[0] == sizeof(S) && step[1] == sizeof(FS)) {                                       \
      S *const out = (void *)p[0];                                                             \
      const FS *const in = (void *)p[1];                                                       \
      INDEPENDENT for (int64_t i = 0; i < n; i++) out[i] = tvi_to_##tag((FC)from_load(in[i])); \
      return;                                                                                  \
    }                                                                                          \
    for (int64_t i = 0; i < n; i++)                                                            \
      *(S *)(void *)(p[0] + i * step[0]) =                                                     \
          tvi_to_##tag((FC)from_load(*(FS *)(void *)(p[1] + i * step[1])));                    \
  }
#define SLOT(tag, TAG, S, C, load, store, R, P, from, ...) [TV_##TAG] = from_##from##_to_##tag,

/* dtypes.def's lists within one of them: a name is held back until the outer list is done. */
#define NOTHING
#define LATER(x) x NOTHING
#define ANY_() ANY
#define COMPLEX_() COMPLEX
#define BOOLEAN_() BOOLEAN
#define NOW(...) __VA_ARGS__
#define TO_ANY(tag, TAG, S, C, load, store, R, P, M) LATER(ANY_)()(M, tag, TAG, S, C, load)
#define TO_COMPLEX(tag, TAG, S, C, load, store, R, P, M) \
  LATER(BOOLEAN_)()(M, tag, TAG, S, C, load)LATER(COMPLEX_)()(M, tag, TAG, S, C, load)
#define ROW_ANY(tag, TAG, ...) [TV_##TAG] = {TO_ANY(tag, TAG, __VA_ARGS__ SLOT)},
#define ROW_COMPLEX(tag, TAG, ...) [TV_##TAG] = {TO_COMPLEX(tag, TAG, __VA_ARGS__ SLOT)},

NOW(ORDERED(TO_ANY, CELL))
NOW(COMPLEX(TO_COMPLEX, CELL))

/* [from][to]; NULL from complex to real. */
static tvi_loop *const loops[TV_DTYPE_COUNT][TV_DTYPE_COUNT] = {NOW(ORDERED(ROW_ANY, ))
                                                                    NOW(COMPLEX(ROW_COMPLEX, ))};

typedef struct {
  uint64_t words[2];
} pair;

#define COPY(name, T)                                                 \
  static void name(int64_t n, char *const *p, const int64_t *step) {  \
    const int64_t out = step[0], in = step[1];                        \
    if (out == sizeof(T) && in == sizeof(T)) {                        \
      memcpy(p[0], p[1], (size_t)n * sizeof(T));                      \
      return;                                                         \
    }                                                                 \
    if (out == sizeof(T) && in == 0) {                                \
      const T value = *(T *)(void *)p[1];                             \
      for (int64_t i = 0; i < n; i++) ((T *)(void *)p[0])[i] = value; \
      return;                                                         \
    }                                                                 \
    for (int64_t i = 0; i < n; i++)                                   \
      *(T *)(void *)(p[0] + i * out) = *(T *)(void *)(p[1] + i * in); \
  }
COPY(copy_1, uint8_t)
COPY(copy_2, uint16_t)
COPY(copy_4, uint32_t)
COPY(copy_8, uint64_t)
COPY(copy_16, pair)

tvi_loop *tvi_convert_loop(tv_dtype from, tv_dtype to) {
  if (from != to) return loops[from][to];
  switch (tvi_item(from)) {
    case 1:
      return copy_1;
    case 2:
      return copy_2;
    case 4:
      return copy_4;
    case 8:
      return copy_8;
    default:
      return copy_16;
  }
}

tv_status tvi_cpu_convert(void *self, const tv_convert *job, tv_stream *stream) {
  (void)self, (void)stream;
  tvi_loop *const loop = tvi_convert_loop(job->from, job->to);
  if (!loop) return tv_backend_fail(TV_EUNSUPPORTED, "convert: no way from complex to real");
  const tv_operand *const operands[] = {&job->out, &job->in};
  tvi_plan plan;
  tvi_plan_make(&plan, job->rank, job->shape, 2, operands);
  tvi_plan_run(&plan, loop, .03 * (double)(tvi_item(job->from) + tvi_item(job->to)));
  return TV_OK;
}
