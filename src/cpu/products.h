/* SPDX-License-Identifier: MIT
 * The loops of matrix products that no BLAS does: integers, bool, small ones, and everything where
 * there is no BLAS. They add in order of k. Included by level_v*.c, once per level. */

enum {
  BLOCK_K = 128, /* a block of b, 128 by 256 floats, stays in L2 */
  BLOCK_N = 256
};

/* Four rows of the result at a time, so that a row of b is read once for four. */
#define PRODUCT(tag, T, add)                                                                  \
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

#define ADD_REAL(T, o, x, y) (T)((o) + (x) * (y))
#define ADD_BOOL(o, x, y) (uint8_t)((o) | ((x) & (y)))
#define ADD_8(o, x, y) ADD_REAL(uint8_t, o, x, y)
#define ADD_16(o, x, y) (uint16_t)((uint32_t)(o) + (uint32_t)(x) * (uint32_t)(y))
#define ADD_32(o, x, y) ADD_REAL(uint32_t, o, x, y)
#define ADD_64(o, x, y) ADD_REAL(uint64_t, o, x, y)
#define ADD_F32(o, x, y) ADD_REAL(float, o, x, y)
#define ADD_F64(o, x, y) ADD_REAL(double, o, x, y)

static inline tvi_c64 sum_product_c64(tvi_c64 o, tvi_c64 x, tvi_c64 y) {
  const float a = crealf(x), b = cimagf(x), c = crealf(y), d = cimagf(y);
  return tvi_c64_of(crealf(o) + (a * c - b * d), cimagf(o) + (a * d + b * c));
}
static inline tvi_c128 sum_product_c128(tvi_c128 o, tvi_c128 x, tvi_c128 y) {
  const double a = creal(x), b = cimag(x), c = creal(y), d = cimag(y);
  return tvi_c128_of(creal(o) + (a * c - b * d), cimag(o) + (a * d + b * c));
}

/* Signed and unsigned integers wrap alike. */
PRODUCT(b1, uint8_t, ADD_BOOL)
PRODUCT(8, uint8_t, ADD_8)
PRODUCT(16, uint16_t, ADD_16)
PRODUCT(32, uint32_t, ADD_32)
PRODUCT(64, uint64_t, ADD_64)
PRODUCT(f32, float, ADD_F32)
PRODUCT(f64, double, ADD_F64)
PRODUCT(c64, tvi_c64, sum_product_c64)
PRODUCT(c128, tvi_c128, sum_product_c128)

static tvi_product *const products[TV_DTYPE_COUNT] = {
    [TV_BOOL] = loop_b1,  [TV_I8] = loop_8,    [TV_I16] = loop_16,  [TV_I32] = loop_32,
    [TV_I64] = loop_64,   [TV_U8] = loop_8,    [TV_U16] = loop_16,  [TV_U32] = loop_32,
    [TV_U64] = loop_64,   [TV_F32] = loop_f32, [TV_F64] = loop_f64, [TV_C64] = loop_c64,
    [TV_C128] = loop_c128};
