/* SPDX-License-Identifier: MIT
 * The loops of reductions: runs of contiguous elements into one value, rows into rows, and where an
 * extreme is. Included by level_v*.c, once per level. reduce.c says in which order sums are added.
 */

enum { LANES = 16, LINES = 64 /* short ones at a time */ };

#define FILL(name, T, identity)                             \
  static void fill_##name(void *to, int64_t n) {            \
    T *const out = to;                                      \
    for (int64_t i = 0; i < n; i++) out[i] = (T)(identity); \
  }
#define JOIN(name, T, value)                                       \
  static void join_##name(void *to, const void *with, int64_t n) { \
    T *restrict const out = to;                                    \
    const T *restrict const in = with;                             \
    for (int64_t i = 0; i < n; i++) {                              \
      const T a = out[i], b = in[i];                               \
      out[i] = (T)(value);                                         \
    }                                                              \
  }
/* Rows `step` bytes apart, in order, eight for each time that `to` is read and written. */
#define THEN(T, k, value)                                        \
  {                                                              \
    const T b = ((const T *)(const void *)(rows + (k)*step))[i]; \
    a = (T)(value);                                              \
  }
#define JOIN_ROWS(name, T, value)                                                            \
  static void join_rows_##name(void *to, const char *rows, int64_t step, int64_t n_rows,     \
                               int64_t n) {                                                  \
    T *const out = to;                                                                       \
    for (; n_rows >= 8; n_rows -= 8, rows += 8 * step)                                       \
      INDEPENDENT for (int64_t i = 0; i < n; i++) {                                          \
        T a = out[i];                                                                        \
        THEN(T, 0, value)                                                                    \
        THEN(T, 1, value)                                                                    \
        THEN(T, 2, value)                                                                    \
        THEN(T, 3, value)                                                                    \
        THEN(T, 4, value)                                                                    \
        THEN(T, 5, value)                                                                    \
        THEN(T, 6, value)                                                                    \
        THEN(T, 7, value)                                                                    \
        out[i] = a;                                                                          \
      }                                                                                      \
    for (; n_rows > 0; n_rows--, rows += step) INDEPENDENT for (int64_t i = 0; i < n; i++) { \
        T a = out[i];                                                                        \
        THEN(T, 0, value)                                                                    \
        out[i] = a;                                                                          \
      }                                                                                      \
  }
/* Accumulators of lines, 2 * half of each, by halves: j and j + half. */
#define HALVE(name, T, half, value)                                                     \
  static void halve_##half##_##name(const T *restrict in, T *restrict out, int64_t n) { \
    for (int64_t i = 0; i < n; i++)                                                     \
      for (int64_t j = 0; j < half; j++) {                                              \
        const T a = in[2 * half * i + j], b = in[2 * half * i + half + j];              \
        out[half * i + j] = (T)(value);                                                 \
      }                                                                                 \
  }
/* Short lines of n elements, `step` bytes apart, into a result each. What n does not fill is left
 * out where that changes nothing: 16 accumulators, or the next power of two above n. */
#define FOLD_LINES(name, T, identity, value)                                              \
  HALVE(name, T, 8, value)                                                                \
  HALVE(name, T, 4, value)                                                                \
  HALVE(name, T, 2, value)                                                                \
  HALVE(name, T, 1, value)                                                                \
  static void fold_lines_##name(const char *from, int64_t step, int64_t n, int64_t lines, \
                                void *result) {                                           \
    _Alignas(64) T one[LINES * LANES], two[LINES * LANES / 2];                            \
    T *out = result;                                                                      \
    int64_t width = LANES;                                                                \
    while (width / 2 >= n) width /= 2;                                                    \
    for (int64_t count; lines > 0; lines -= count, from += count * step, out += count) {  \
      count = lines < LINES ? lines : LINES;                                              \
      const T *at = (const T *)(const void *)from;                                        \
      if (n != width || step != n * (int64_t)sizeof(T)) {                                 \
        for (int64_t line = 0; line < count; line++)                                      \
          lanes_##name((const T *)(const void *)(from + line * step), n, width,           \
                       one + line * width);                                               \
        at = one;                                                                         \
      }                                                                                   \
      if (width == 16) halve_8_##name(at, two, count), at = two;                          \
      if (width >= 8) halve_4_##name(at, one, count), at = one;                           \
      if (width >= 4) halve_2_##name(at, two, count), at = two;                           \
      if (width >= 2)                                                                     \
        halve_1_##name(at, out, count);                                                   \
      else                                                                                \
        memcpy(out, at, (size_t)count * sizeof(T));                                       \
    }                                                                                     \
  }
/* Ask for cache lines: runs that are folded side by side look like no stream to the processor. */
#ifdef __GNUC__
#define FETCH_LINES(from, bytes) \
  for (size_t line = 0; line < (bytes); line += 64) __builtin_prefetch((from) + line);
#else
#define FETCH_LINES(from, bytes)
#endif
/* The accumulators of one line; eight elements for each time that one is read and written. Assumes:
 * n <= width where n is below 16. */
#define LANES_OF(name, T, identity, value)                                                         \
  static void lanes_##name(const T *restrict in, int64_t n, int64_t width, T *restrict out) {      \
    if (n < LANES) {                                                                               \
      for (int64_t j = 0; j < width; j++) out[j] = j < n ? in[j] : (T)(identity);                  \
      return;                                                                                      \
    }                                                                                              \
    memcpy(out, in, LANES * sizeof(T)); /* as accumulators that begin with what changes nothing */ \
    const int64_t step = LANES * sizeof(T);                                                        \
    in += LANES, n -= LANES;                                                                       \
    for (; n >= 8 * LANES; n -= 8 * LANES, in += 8 * LANES) {                                      \
      const char *const rows = (const char *)in;                                                   \
      FETCH_LINES(rows + TVI_RUN * sizeof(T), 8 * LANES * sizeof(T))                               \
      INDEPENDENT for (int i = 0; i < LANES; i++) {                                                \
        T a = out[i];                                                                              \
        THEN(T, 0, value)                                                                          \
        THEN(T, 1, value)                                                                          \
        THEN(T, 2, value)                                                                          \
        THEN(T, 3, value)                                                                          \
        THEN(T, 4, value)                                                                          \
        THEN(T, 5, value)                                                                          \
        THEN(T, 6, value)                                                                          \
        THEN(T, 7, value)                                                                          \
        out[i] = a;                                                                                \
      }                                                                                            \
    }                                                                                              \
    for (; n >= LANES; n -= LANES, in += LANES)                                                    \
      for (int j = 0; j < LANES; j++) {                                                            \
        const T a = out[j], b = in[j];                                                             \
        out[j] = (T)(value);                                                                       \
      }                                                                                            \
    for (int64_t j = 0; j < n; j++) {                                                              \
      const T a = out[j], b = in[j];                                                               \
      out[j] = (T)(value);                                                                         \
    }                                                                                              \
  }
#define MORE(name, T, identity, value) \
  JOIN_ROWS(name, T, value)            \
  LANES_OF(name, T, identity, value)   \
  FOLD_LINES(name, T, identity, value)

/* n elements over `lanes` accumulators of scalars, of which an element takes `parts`. */
#define FOLD(name, T, lanes, parts, identity, value)                   \
  static void fold_##name(const void *from, int64_t n, void *result) { \
    const T *const in = from;                                          \
    T acc[lanes];                                                      \
    int64_t i = 0;                                                     \
    for (int j = 0; j < lanes; j++) acc[j] = (T)(identity);            \
    for (n *= parts; i + lanes <= n; i += lanes)                       \
      for (int j = 0; j < lanes; j++) {                                \
        const T a = acc[j], b = in[i + j];                             \
        acc[j] = (T)(value);                                           \
      }                                                                \
    for (int j = 0; i + j < n; j++) {                                  \
      const T a = acc[j], b = in[i + j];                               \
      acc[j] = (T)(value);                                             \
    }                                                                  \
    for (int half = lanes / 2; half >= parts; half /= 2)               \
      for (int j = 0; j < half; j++) {                                 \
        const T a = acc[j], b = acc[j + half];                         \
        acc[j] = (T)(value);                                           \
      }                                                                \
    memcpy(result, acc, parts * sizeof(T));                            \
  }
#define KERNELS(name, T, lanes, parts, identity, value) \
  FILL(name, T, identity)                               \
  JOIN(name, T, value)                                  \
  FOLD(name, T, lanes, parts, identity, value)          \
  MORE(name, T, identity, value)

KERNELS(sum_b1, uint8_t, 16, 1, 0, a | b)
KERNELS(sum_8, uint8_t, 64, 1, 0, a + b)
KERNELS(sum_16, uint16_t, 32, 1, 0, a + b)
KERNELS(sum_32, uint32_t, 16, 1, 0, a + b)
KERNELS(sum_64, uint64_t, 16, 1, 0, a + b)
KERNELS(sum_f32, float, LANES, 1, -0.0, a + b)
KERNELS(sum_f64, double, LANES, 1, -0.0, a + b)
FOLD(sum_c64, float, (2 * LANES), 2, -0.0, a + b)
FOLD(sum_c128, double, (2 * LANES), 2, -0.0, a + b)

/* What maximum and minimum leave every number as it is. */
#define LEAST_OF_b1 0
#define LEAST_OF_i8 INT8_MIN
#define LEAST_OF_i16 INT16_MIN
#define LEAST_OF_i32 INT32_MIN
#define LEAST_OF_i64 INT64_MIN
#define LEAST_OF_u8 0
#define LEAST_OF_u16 0
#define LEAST_OF_u32 0
#define LEAST_OF_u64 0
#define LEAST_OF_f32 (-INFINITY)
#define LEAST_OF_f64 (-(double)INFINITY)
#define MOST_OF_b1 1
#define MOST_OF_i8 INT8_MAX
#define MOST_OF_i16 INT16_MAX
#define MOST_OF_i32 INT32_MAX
#define MOST_OF_i64 INT64_MAX
#define MOST_OF_u8 UINT8_MAX
#define MOST_OF_u16 UINT16_MAX
#define MOST_OF_u32 UINT32_MAX
#define MOST_OF_u64 UINT64_MAX
#define MOST_OF_f32 INFINITY
#define MOST_OF_f64 ((double)INFINITY)

/* Integers come out alike in any order. */
#define INTEGER_EXTREMES(tag, TAG, S, ...)                              \
  KERNELS(max_##tag, S, 16, 1, LEAST_OF_##tag, tvi_maximum_##tag(a, b)) \
  KERNELS(min_##tag, S, 16, 1, MOST_OF_##tag, tvi_minimum_##tag(a, b))
/* bool is stored as uint8, in which 0 and 1 compare as they should. */
#define tvi_maximum_b1(a, b) ((a) | (b))
#define tvi_minimum_b1(a, b) ((a) & (b))
BOOLEAN(INTEGER_EXTREMES, )
#undef tvi_maximum_b1
#undef tvi_minimum_b1
INTEGER(INTEGER_EXTREMES, )

/* Floats: NaN is looked for beside, and the sign of a zero afterwards. I is an integer as wide as
 * T. */
#define FLOAT_EXTREME(name, T, I, identity, OP, is_negative)                                 \
  static void fold_##name(const void *from, int64_t n, void *result) {                       \
    const T *const in = from;                                                                \
    T acc[32], best = (T)(identity);                                                         \
    I nan[32] = {0}, any = 0;                                                                \
    int64_t i = 0;                                                                           \
    for (int j = 0; j < 32; j++) acc[j] = best;                                              \
    for (; i + 32 <= n; i += 32) {                                                           \
      FETCH_LINES((const char *)(in + i) + TVI_RUN * sizeof(T), 32 * sizeof(T))              \
      for (int j = 0; j < 32; j++) {                                                         \
        const T x = in[i + j];                                                               \
        acc[j] = x OP acc[j] ? x : acc[j];                                                   \
        nan[j] |= x != x;                                                                    \
      }                                                                                      \
    }                                                                                        \
    for (; i < n; i++) {                                                                     \
      best = in[i] OP best ? in[i] : best;                                                   \
      any |= in[i] != in[i];                                                                 \
    }                                                                                        \
    for (int half = 16; half > 0; half /= 2)                                                 \
      for (int j = 0; j < half; j++) {                                                       \
        const T x = acc[j + half];                                                           \
        acc[j] = x OP acc[j] ? x : acc[j];                                                   \
        nan[j] |= nan[j + half];                                                             \
      }                                                                                      \
    best = acc[0] OP best ? acc[0] : best;                                                   \
    any |= nan[0];                                                                           \
    if (best == 0) {                                                                         \
      bool wins = false;                                                                     \
      for (i = 0; i < n; i++) wins |= (in[i] == 0) & ((signbit(in[i]) != 0) == is_negative); \
      best = wins == is_negative ? (T)-0.0 : (T)0;                                           \
    }                                                                                        \
    if (any) best = (T)NAN;                                                                  \
    memcpy(result, &best, sizeof best);                                                      \
  }
#define FLOAT_EXTREMES(tag, T, I)                             \
  FILL(max_##tag, T, LEAST_OF_##tag)                          \
  JOIN(max_##tag, T, tvi_maximum_##tag(a, b))                 \
  FLOAT_EXTREME(max_##tag, T, I, LEAST_OF_##tag, >, false)    \
  MORE(max_##tag, T, LEAST_OF_##tag, tvi_maximum_##tag(a, b)) \
  FILL(min_##tag, T, MOST_OF_##tag)                           \
  JOIN(min_##tag, T, tvi_minimum_##tag(a, b))                 \
  FLOAT_EXTREME(min_##tag, T, I, MOST_OF_##tag, <, true)      \
  MORE(min_##tag, T, MOST_OF_##tag, tvi_minimum_##tag(a, b))
FLOAT_EXTREMES(f32, float, int32_t)
FLOAT_EXTREMES(f64, double, int64_t)

#define FOLDER(lanes, name) \
  { lanes, fill_##name, join_##name, fold_##name, join_rows_##name, fold_lines_##name }
static const tvi_folder sums[TV_DTYPE_COUNT] = {
    [TV_BOOL] = FOLDER(1, sum_b1),
    [TV_I8] = FOLDER(1, sum_8),
    [TV_I16] = FOLDER(1, sum_16),
    [TV_I32] = FOLDER(1, sum_32),
    [TV_I64] = FOLDER(1, sum_64),
    [TV_U8] = FOLDER(1, sum_8),
    [TV_U16] = FOLDER(1, sum_16),
    [TV_U32] = FOLDER(1, sum_32),
    [TV_U64] = FOLDER(1, sum_64),
    [TV_F32] = FOLDER(LANES, sum_f32),
    [TV_F64] = FOLDER(LANES, sum_f64),
    [TV_C64] = {LANES, fill_sum_f32, join_sum_f32, fold_sum_c64, join_rows_sum_f32, NULL},
    [TV_C128] = {LANES, fill_sum_f64, join_sum_f64, fold_sum_c128, join_rows_sum_f64, NULL}};
#define MAX(tag, TAG, ...) [TV_##TAG] = FOLDER(1, max_##tag),
#define MIN(tag, TAG, ...) [TV_##TAG] = FOLDER(1, min_##tag),
static const tvi_folder maxima[TV_DTYPE_COUNT] = {BOOLEAN(MAX, ) INTEGER(MAX, ) SINGLE(MAX, )};
static const tvi_folder minima[TV_DTYPE_COUNT] = {BOOLEAN(MIN, ) INTEGER(MIN, ) SINGLE(MIN, )};

/* Numbers that are not themselves are NaN; integers never are. */
#define SEARCH(name, T, OP)                                                                       \
  static bool beats_##name(const void *value, const void *best) {                                 \
    const T a = *(const T *)value, b = *(const T *)best;                                          \
    return b == b && (a OP b || a != a);                                                          \
  }                                                                                               \
  static bool is_in_##name(const T *in, int64_t n, T a) {                                         \
    int is_there = 0;                                                                             \
    for (int64_t k = 0; k < n; k++) is_there |= in[k] == a;                                       \
    return is_there;                                                                              \
  }                                                                                               \
  static int64_t find_##name(const void *from, int64_t n, const void *value) {                    \
    const T *const in = from, a = *(const T *)value;                                              \
    int64_t i = 0;                                                                                \
    if (a != a) {                                                                                 \
      while (i < n - 1 && in[i] == in[i]) i++;                                                    \
      return i;                                                                                   \
    }                                                                                             \
    while (i + LANES < n && !is_in_##name(in + i, LANES, a)) i += LANES;                          \
    while (i < n - 1 && in[i] != a) i++;                                                          \
    return i;                                                                                     \
  }                                                                                               \
  static void find_lines_##name(const char *from, int64_t step, int64_t n, int64_t lines,         \
                                const void *values, int64_t *at) {                                \
    for (int64_t line = 0; line < lines; line++, from += step) {                                  \
      const T *const in = (const T *)(const void *)from, a = ((const T *)values)[line];           \
      int64_t first = 0;                                                                          \
      if (n < 16 && a == a)                                                                       \
        for (int64_t k = n - 1; k > 0; k--) first = in[k] == a ? k : first;                       \
      if (n < 16 && a == a)                                                                       \
        at[line] = in[0] == a ? 0 : first;                                                        \
      else                                                                                        \
        at[line] = find_##name(in, n, &a);                                                        \
    }                                                                                             \
  }                                                                                               \
  static void update_##name(const char *rows, int64_t step, int64_t n_rows, int64_t n, int64_t k, \
                            const void *values, void *best, int64_t *at) {                        \
    const T *const in = values;                                                                   \
    T *const than = best;                                                                         \
    for (int64_t first = 0; first < n; first += LINES) {                                          \
      uint8_t wins[LINES];                                                                        \
      const int64_t count = n - first < LINES ? n - first : LINES;                                \
      int any = 0;                                                                                \
      for (int64_t i = 0; i < count; i++) {                                                       \
        const T a = in[first + i], b = than[first + i];                                           \
        wins[i] = (uint8_t)((b == b) & ((a OP b) | (a != a)));                                    \
        any |= wins[i];                                                                           \
      }                                                                                           \
      for (int64_t i = 0; i < count && (any || k == 0); i++) {                                    \
        if (!wins[i] && k > 0) continue;                                                          \
        const T a = in[first + i];                                                                \
        int64_t row = 0;                                                                          \
        for (; row < n_rows - 1; row++) {                                                         \
          const T x = ((const T *)(const void *)(rows + row * step))[first + i];                  \
          if (x == a || (x != x && a != a)) break;                                                \
        }                                                                                         \
        than[first + i] = a;                                                                      \
        at[first + i] = k + row;                                                                  \
      }                                                                                           \
    }                                                                                             \
  }
#define BOTH(tag, TAG, S, ...) SEARCH(max_##tag, S, >) SEARCH(min_##tag, S, <)
BOOLEAN(BOTH, )
INTEGER(BOTH, )
SINGLE(BOTH, )

#define FIRST_MAX(tag, TAG, ...) \
  [TV_##TAG] = {beats_max_##tag, find_max_##tag, find_lines_max_##tag, update_max_##tag},
#define FIRST_MIN(tag, TAG, ...) \
  [TV_##TAG] = {beats_min_##tag, find_min_##tag, find_lines_min_##tag, update_min_##tag},
static const tvi_searcher first_max[TV_DTYPE_COUNT] = {BOOLEAN(FIRST_MAX, ) INTEGER(FIRST_MAX, )
                                                           SINGLE(FIRST_MAX, )};
static const tvi_searcher first_min[TV_DTYPE_COUNT] = {BOOLEAN(FIRST_MIN, ) INTEGER(FIRST_MIN, )
                                                           SINGLE(FIRST_MIN, )};

#undef MAX
#undef MIN
