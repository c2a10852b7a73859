/* SPDX-License-Identifier: MIT
 * The loops of conversions, one per pair of dtypes; the rules are in src/cast.h. Included by
 * level_v*.c, once per level. The diagonal is there for completeness: copies move bytes
 * (convert.c). */

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
static tvi_loop *const casts[TV_DTYPE_COUNT][TV_DTYPE_COUNT] = {NOW(ORDERED(ROW_ANY, ))
                                                                    NOW(COMPLEX(ROW_COMPLEX, ))};
#undef SLOT
