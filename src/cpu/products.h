/* SPDX-License-Identifier: MIT
 * The loops of matrix products that no BLAS does: integers, bool, small ones, and everything where
 * there is no BLAS. They add in order of k. Included by level_v*.c, once per level. */

enum {
  BLOCK_K = 128, /* a block of b, 128 by 256 floats, stays in L2 */
  BLOCK_N = 256,
#if defined(__AVX512F__)
  VECTOR = 64 /* bytes of a register */
#elif defined(__AVX2__)
  VECTOR = 32
#else
  VECTOR = 16
#endif
};

/* R rows by N vectors of columns, which stay in registers: both are known where this is inlined.
 * They begin as zeros, or with what an earlier block of k left. V may be the element itself. */
#define CELLS(name, T, V, add)                                                                \
  static inline __attribute__((always_inline)) void name(                                     \
      const int R, const int N, bool is_first, int64_t k, const char *a, int64_t a_row,       \
      int64_t a_column, const char *b, int64_t b_row, char *out, int64_t out_row) {           \
    const int64_t width = sizeof(V);                                                          \
    V o[4][2];                                                                                \
    for (int r = 0; r < R; r++)                                                               \
      for (int v = 0; v < N; v++) o[r][v] = (V){0};                                           \
    for (int r = 0; r < R && !is_first; r++)                                                  \
      for (int v = 0; v < N; v++) memcpy(&o[r][v], out + r * out_row + v * width, sizeof(V)); \
    for (int64_t l = 0; l < k; l++) {                                                         \
      V y[2];                                                                                 \
      for (int v = 0; v < N; v++) memcpy(&y[v], b + l * b_row + v * width, sizeof(V));        \
      for (int r = 0; r < R; r++) {                                                           \
        const T x = *(const T *)(const void *)(a + r * a_row + l * a_column);                 \
        for (int v = 0; v < N; v++) o[r][v] = add(V, o[r][v], x, y[v]);                       \
      }                                                                                       \
    }                                                                                         \
    for (int r = 0; r < R; r++)                                                               \
      for (int v = 0; v < N; v++) memcpy(out + r * out_row + v * width, &o[r][v], sizeof(V)); \
  }

/* All columns of R rows: by vectors as long as they last. */
#define COLUMNS(cells, V, R, N)                                                                  \
  for (; left >= N * (int64_t)sizeof(V);                                                         \
       left -= N * (int64_t)sizeof(V), b += (size_t)N * sizeof(V), out += (size_t)N * sizeof(V)) \
  cells(R, N, is_first, k, a, a_row, a_column, b, b_row, out, out_row)
#define ROWS(tag, T, R)                                                                          \
  static void rows##R##_##tag(bool is_first, int64_t n, int64_t k, const char *a, int64_t a_row, \
                              int64_t a_column, const char *b, int64_t b_row, char *out,         \
                              int64_t out_row) {                                                 \
    int64_t left = n * (int64_t)sizeof(T);                                                       \
    COLUMNS(wide_cells_##tag, wide_##tag, R, 2);                                                 \
    COLUMNS(wide_cells_##tag, wide_##tag, R, 1);                                                 \
    COLUMNS(short_cells_##tag, short_##tag, R, 1);                                               \
    COLUMNS(cells_##tag, T, R, 1);                                                               \
  }

#define PRODUCT(tag, T, add)                                                            \
  typedef T wide_##tag __attribute__((vector_size(VECTOR)));                            \
  typedef T short_##tag __attribute__((vector_size(16)));                               \
  CELLS(wide_cells_##tag, T, wide_##tag, add)                                           \
  CELLS(short_cells_##tag, T, short_##tag, add)                                         \
  CELLS(cells_##tag, T, T, add)                                                         \
  ROWS(tag, T, 1)                                                                       \
  ROWS(tag, T, 4)                                                                       \
  static void loop_##tag(int64_t m, int64_t n, int64_t k, const char *a, int64_t a_row, \
                         int64_t a_column, const char *b, int64_t b_row, char *out,     \
                         int64_t out_row) {                                             \
    for (int64_t l = 0; l < k; l += BLOCK_K)                                            \
      for (int64_t j = 0; j < n; j += BLOCK_N) {                                        \
        const int64_t depth = k - l < BLOCK_K ? k - l : BLOCK_K;                        \
        const int64_t width = n - j < BLOCK_N ? n - j : BLOCK_N;                        \
        const char *const x = a + l * a_column;                                         \
        const char *const y = b + l * b_row + j * (int64_t)sizeof(T);                   \
        char *const o = out + j * (int64_t)sizeof(T);                                   \
        int64_t i = 0;                                                                  \
        for (; i + 4 <= m; i += 4)                                                      \
          rows4_##tag(l == 0, width, depth, x + i * a_row, a_row, a_column, y, b_row,   \
                      o + i * out_row, out_row);                                        \
        for (; i < m; i++)                                                              \
          rows1_##tag(l == 0, width, depth, x + i * a_row, a_row, a_column, y, b_row,   \
                      o + i * out_row, out_row);                                        \
      }                                                                                 \
  }

/* Signed and unsigned integers wrap alike. */
#define ADD(V, o, x, y) (V)((o) + (x) * (y))
#define ADD_BOOL(V, o, x, y) (V)((o) | ((x) & (y)))
PRODUCT(b1, uint8_t, ADD_BOOL)
PRODUCT(8, uint8_t, ADD)
PRODUCT(16, uint16_t, ADD)
PRODUCT(32, uint32_t, ADD)
PRODUCT(64, uint64_t, ADD)
PRODUCT(f32, float, ADD)
PRODUCT(f64, double, ADD)

/* Complex numbers: four rows of the result at a time, so that a row of b is read once for four. */
#define COMPLEX_PRODUCT(tag, T, add)                                                          \
  static void rows_##tag(int rows, int64_t n, int64_t k, const char *a, int64_t a_row,        \
                         int64_t a_column, const char *b, int64_t b_row, T *out,              \
                         int64_t out_row) {                                                   \
    for (int64_t l = 0; l < k; l++) {                                                         \
      const T *restrict const y = (const void *)(b + l * b_row);                              \
      const char *const x = a + l * a_column;                                                 \
      if (rows == 4) {                                                                        \
        T *restrict const o = out;                                                            \
        const T x0 = *(const T *)(const void *)x, x1 = *(const T *)(const void *)(x + a_row); \
        const T x2 = *(const T *)(const void *)(x + 2 * a_row);                               \
        const T x3 = *(const T *)(const void *)(x + 3 * a_row);                               \
        for (int64_t j = 0; j < n; j++) {                                                     \
          const T z = y[j];                                                                   \
          o[j] = add(o[j], x0, z);                                                            \
          o[j + out_row] = add(o[j + out_row], x1, z);                                        \
          o[j + 2 * out_row] = add(o[j + 2 * out_row], x2, z);                                \
          o[j + 3 * out_row] = add(o[j + 3 * out_row], x3, z);                                \
        }                                                                                     \
        continue;                                                                             \
      }                                                                                       \
      for (int i = 0; i < rows; i++) {                                                        \
        T *restrict const o = out + i * out_row;                                              \
        const T x0 = *(const T *)(const void *)(x + i * a_row);                               \
        for (int64_t j = 0; j < n; j++) o[j] = add(o[j], x0, y[j]);                           \
      }                                                                                       \
    }                                                                                         \
  }                                                                                           \
  static void loop_##tag(int64_t m, int64_t n, int64_t k, const char *a, int64_t a_row,       \
                         int64_t a_column, const char *b, int64_t b_row, char *out,           \
                         int64_t out_row) {                                                   \
    for (int64_t i = 0; i < m; i++) memset(out + i * out_row, 0, (size_t)n * sizeof(T));      \
    for (int64_t l = 0; l < k; l += BLOCK_K)                                                  \
      for (int64_t j = 0; j < n; j += BLOCK_N)                                                \
        for (int64_t i = 0; i < m; i += 4)                                                    \
          rows_##tag(m - i < 4 ? (int)(m - i) : 4, n - j < BLOCK_N ? n - j : BLOCK_N,         \
                     k - l < BLOCK_K ? k - l : BLOCK_K, a + i * a_row + l * a_column, a_row,  \
                     a_column, b + l * b_row + j * (int64_t)sizeof(T), b_row,                 \
                     (T *)(void *)(out + i * out_row) + j, out_row / (int64_t)sizeof(T));     \
  }

static inline tvi_c64 sum_product_c64(tvi_c64 o, tvi_c64 x, tvi_c64 y) {
  const float a = crealf(x), b = cimagf(x), c = crealf(y), d = cimagf(y);
  return tvi_c64_of(crealf(o) + (a * c - b * d), cimagf(o) + (a * d + b * c));
}
static inline tvi_c128 sum_product_c128(tvi_c128 o, tvi_c128 x, tvi_c128 y) {
  const double a = creal(x), b = cimag(x), c = creal(y), d = cimag(y);
  return tvi_c128_of(creal(o) + (a * c - b * d), cimag(o) + (a * d + b * c));
}

COMPLEX_PRODUCT(c64, tvi_c64, sum_product_c64)
COMPLEX_PRODUCT(c128, tvi_c128, sum_product_c128)

static tvi_product *const products[TV_DTYPE_COUNT] = {
    [TV_BOOL] = loop_b1,  [TV_I8] = loop_8,    [TV_I16] = loop_16,  [TV_I32] = loop_32,
    [TV_I64] = loop_64,   [TV_U8] = loop_8,    [TV_U16] = loop_16,  [TV_U32] = loop_32,
    [TV_U64] = loop_64,   [TV_F32] = loop_f32, [TV_F64] = loop_f64, [TV_C64] = loop_c64,
    [TV_C128] = loop_c128};
