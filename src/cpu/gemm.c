/* SPDX-License-Identifier: MIT
 * Matrix products: out [m, n] = a [m, k] b [k, n], in batches.
 *
 * The result is cut into tiles that follow from m, n, k and the dtype alone; a tile is one call of
 * BLAS over all of k, or one of the loops here, so threads change no bit. Operands that a kernel
 * cannot walk are copied first, f16 and bf16 into f32. The loops here add in order of k: integers
 * (which wrap), bool (or of ands), small products, and everything where there is no BLAS. */
#include <limits.h>
#include <string.h>

#include "openblas.h"
#include "scalar.h"

enum {
  MOST_SIDE = 512, /* of a tile */
  LEAST_SIDE = 128,
  ENOUGH_TILES = 16,
  SMALL = 16 * 16 * 16, /* multiplications that a call of BLAS costs more than */
  BLOCK_K = 128,        /* of the loops here: a block of b, 128 by 256 floats, stays in L2 */
  BLOCK_N = 256
};

typedef struct operand {
  const char *data;
  int64_t row, column; /* steps in bytes */
  int64_t batch[TV_MAX_RANK];
  void *copy; /* to be freed */
} operand;

/* out = a b for a tile: `row` and `column` in bytes, b's columns and out's without gaps. */
typedef void kernel(int64_t m, int64_t n, int64_t k, const char *a, int64_t a_row, int64_t a_column,
                    const char *b, int64_t b_row, char *out, int64_t out_row);

typedef struct product {
  tv_dtype dtype; /* that computes */
  int64_t m, n, k, item;
  int batch_rank;
  const int64_t *batch_shape;
  operand a, b;
  char *out;
  int64_t tile_m, tile_n, tiles_m, tiles_n;
  bool by_blas;
  kernel *loop;
} product;

/* The loops --------------------------------------------------------------------------------------
 */

/* Four rows of the result at a time, so that a row of b is read once for four. */
#define KERNEL(tag, T, add)                                                                   \
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

static inline tvi_c64 add_c64(tvi_c64 o, tvi_c64 x, tvi_c64 y) {
  const float a = crealf(x), b = cimagf(x), c = crealf(y), d = cimagf(y);
  return tvi_c64_of(crealf(o) + (a * c - b * d), cimagf(o) + (a * d + b * c));
}
static inline tvi_c128 add_c128(tvi_c128 o, tvi_c128 x, tvi_c128 y) {
  const double a = creal(x), b = cimag(x), c = creal(y), d = cimag(y);
  return tvi_c128_of(creal(o) + (a * c - b * d), cimag(o) + (a * d + b * c));
}

/* Signed and unsigned integers wrap alike. */
KERNEL(b1, uint8_t, ADD_BOOL)
KERNEL(8, uint8_t, ADD_8)
KERNEL(16, uint16_t, ADD_16)
KERNEL(32, uint32_t, ADD_32)
KERNEL(64, uint64_t, ADD_64)
KERNEL(f32, float, ADD_F32)
KERNEL(f64, double, ADD_F64)
KERNEL(c64, tvi_c64, add_c64)
KERNEL(c128, tvi_c128, add_c128)

static kernel *const loops[TV_DTYPE_COUNT] = {
    [TV_BOOL] = loop_b1,  [TV_I8] = loop_8,    [TV_I16] = loop_16,  [TV_I32] = loop_32,
    [TV_I64] = loop_64,   [TV_U8] = loop_8,    [TV_U16] = loop_16,  [TV_U32] = loop_32,
    [TV_U64] = loop_64,   [TV_F32] = loop_f32, [TV_F64] = loop_f64, [TV_C64] = loop_c64,
    [TV_C128] = loop_c128};

/* Operands ---------------------------------------------------------------------------------------
 */

/* Whether BLAS walks rows of `columns` elements, `step` bytes apart, of elements without gaps. */
static bool is_leading(int64_t step, int64_t columns, int64_t item) {
  return step % item == 0 && step / item >= columns && step / item <= INT_MAX;
}

/* An axis of one element may have any step: it takes the one that suits. */
static bool blas_takes(const operand *x, int64_t rows, int64_t columns, int64_t item) {
  return ((x->column == item || columns == 1) &&
          (rows == 1 || is_leading(x->row, columns, item))) ||
         ((x->row == item || rows == 1) && (columns == 1 || is_leading(x->column, rows, item)));
}

static tvi_blas_matrix blas_matrix(const operand *x, int64_t at, int64_t rows, int64_t columns,
                                   int64_t item) {
  const bool is_plain =
      (x->column == item || columns == 1) && (rows == 1 || is_leading(x->row, columns, item));
  const int64_t step = is_plain ? x->row : x->column, count = is_plain ? rows : columns;
  const int64_t least = is_plain ? columns : rows;
  return (tvi_blas_matrix){x->data + at, count == 1 ? least : step / item, !is_plain};
}

/* Makes a copy of an operand of the job, in C order and of the dtype that computes. Axes of the
 * batch with step 0 are not repeated. */
static tv_status copy_operand(const product *p, tv_dtype from, operand *x, int64_t rows,
                              int64_t columns) {
  const int rank = p->batch_rank + 2;
  int64_t shape[TV_MAX_RANK], in_steps[TV_MAX_RANK], out_steps[TV_MAX_RANK], elements = 1;
  for (int axis = rank - 1; axis >= 0; axis--) {
    const bool is_batch = axis < p->batch_rank;
    const int64_t step = is_batch ? x->batch[axis] : axis == rank - 1 ? x->column : x->row;
    const int64_t size = is_batch ? p->batch_shape[axis] : axis == rank - 1 ? columns : rows;
    shape[axis] = is_batch && step == 0 ? 1 : size;
    in_steps[axis] = step;
    out_steps[axis] = elements * p->item;
    elements *= shape[axis];
  }
  if (elements > INT64_MAX / p->item) return tv_backend_fail(TV_ENOMEM, "matmul: too large a copy");
  x->copy = tvi_aligned_alloc(64, elements * p->item);
  if (!x->copy)
    return tv_backend_fail(TV_ENOMEM, "matmul: no memory on cpu for %lld bytes",
                           (long long)(elements * p->item));
  const tv_convert job = {.from = from,
                          .to = p->dtype,
                          .rank = rank,
                          .shape = shape,
                          .out = {.data = x->copy, .steps = out_steps},
                          .in = {.data = (void *)(uintptr_t)x->data, .steps = in_steps}};
  const tv_status status = tvi_cpu_convert(NULL, &job, NULL);
  x->data = x->copy;
  x->row = columns * p->item;
  x->column = p->item;
  for (int axis = 0; axis < p->batch_rank; axis++)
    x->batch[axis] = x->batch[axis] == 0 ? 0 : out_steps[axis];
  return status;
}

/* Tiles ------------------------------------------------------------------------------------------
 */

static void run_tile(void *context, int64_t i) {
  const product *p = context;
  const int64_t column = i % p->tiles_n * p->tile_n;
  i /= p->tiles_n;
  const int64_t row = i % p->tiles_m * p->tile_m;
  i /= p->tiles_m;
  char *const out = p->out + (i * p->m + row) * p->n * p->item + column * p->item;
  int64_t at_a = row * p->a.row, at_b = column * p->b.column;
  for (int axis = p->batch_rank - 1; axis >= 0; axis--) {
    at_a += i % p->batch_shape[axis] * p->a.batch[axis];
    at_b += i % p->batch_shape[axis] * p->b.batch[axis];
    i /= p->batch_shape[axis];
  }
  const int64_t m = p->m - row < p->tile_m ? p->m - row : p->tile_m;
  const int64_t n = p->n - column < p->tile_n ? p->n - column : p->tile_n;
  if (p->by_blas)
    tvi_blas_gemm(p->dtype, m, n, p->k, blas_matrix(&p->a, at_a, p->m, p->k, p->item),
                  blas_matrix(&p->b, at_b, p->k, p->n, p->item), out, p->n);
  else
    p->loop(m, n, p->k, p->a.data + at_a, p->a.row, p->a.column, p->b.data + at_b, p->b.row, out,
            p->n * p->item);
}

/* Large enough for BLAS to run at speed, and enough of them to share among threads. */
static void choose_tiles(product *p) {
  p->tile_m = p->m < MOST_SIDE ? p->m : MOST_SIDE;
  p->tile_n = p->n < MOST_SIDE ? p->n : MOST_SIDE;
  for (;;) {
    p->tiles_m = (p->m + p->tile_m - 1) / p->tile_m;
    p->tiles_n = (p->n + p->tile_n - 1) / p->tile_n;
    int64_t *const longer = p->tile_m > p->tile_n ? &p->tile_m : &p->tile_n;
    const double work = (double)p->tile_m * (double)p->tile_n * (double)p->k;
    if (p->tiles_m * p->tiles_n >= ENOUGH_TILES || *longer <= LEAST_SIDE || work < 4e6) return;
    *longer = (*longer / 2 + 31) / 32 * 32;
  }
}

static tv_status prepare(product *p, tv_dtype from) {
  const bool is_half = from != p->dtype;
  const bool is_small = (double)p->m * (double)p->n * (double)p->k <= SMALL;
  p->by_blas = p->dtype >= TV_F32 && !is_small && p->k <= INT_MAX && p->n <= INT_MAX &&
               p->m <= INT_MAX && tvi_blas_is_there();
  const bool a_fits = !p->by_blas || blas_takes(&p->a, p->m, p->k, p->item);
  const bool b_fits =
      p->by_blas ? blas_takes(&p->b, p->k, p->n, p->item) : p->b.column == p->item || p->n == 1;
  tv_status status = TV_OK;
  if (is_half || !a_fits) status = copy_operand(p, from, &p->a, p->m, p->k);
  if (!status && (is_half || !b_fits)) status = copy_operand(p, from, &p->b, p->k, p->n);
  return status;
}

tv_status tvi_cpu_matmul(void *self, const tv_matmul_job *job, tv_stream *stream) {
  (void)self, (void)stream;
  int64_t batch = 1;
  for (int axis = 0; axis < job->batch_rank; axis++) batch *= job->batch_shape[axis];
  const int64_t elements = batch * job->m * job->n;
  if (elements == 0) return TV_OK;
  if (job->k == 0) {
    memset(job->out, 0, (size_t)(elements * tvi_item(job->dtype)));
    return TV_OK;
  }
  const bool is_half = job->dtype == TV_F16 || job->dtype == TV_BF16;
  product p = {.dtype = is_half ? TV_F32 : job->dtype,
               .m = job->m,
               .n = job->n,
               .k = job->k,
               .batch_rank = job->batch_rank,
               .batch_shape = job->batch_shape,
               .a = {.data = job->a, .row = job->a_row_step, .column = job->a_column_step},
               .b = {.data = job->b, .row = job->b_row_step, .column = job->b_column_step},
               .out = job->out};
  p.item = tvi_item(p.dtype);
  p.loop = loops[p.dtype];
  for (int axis = 0; axis < job->batch_rank; axis++) {
    p.a.batch[axis] = job->a_batch_steps[axis];
    p.b.batch[axis] = job->b_batch_steps[axis];
  }
  char *wide = NULL;
  tv_status status = prepare(&p, job->dtype);
  if (!status && is_half) {
    p.out = wide = tvi_aligned_alloc(64, elements * p.item);
    if (!wide)
      status = tv_backend_fail(TV_ENOMEM, "matmul: no memory on cpu for %lld bytes",
                               (long long)(elements * p.item));
  }
  if (!status) {
    choose_tiles(&p);
    const int64_t tiles = batch * p.tiles_m * p.tiles_n;
    if (tvi_worth_threads((double)elements * (double)p.k * .02))
      tvi_parallel(tiles, run_tile, &p);
    else
      for (int64_t i = 0; i < tiles; i++) run_tile(&p, i);
    if (wide) {
      const int64_t out_step = tvi_item(job->dtype), in_step = p.item;
      const tv_convert narrow = {.from = TV_F32,
                                 .to = job->dtype,
                                 .rank = 1,
                                 .shape = &elements,
                                 .out = {.data = job->out, .steps = &out_step},
                                 .in = {.data = wide, .steps = &in_step}};
      status = tvi_cpu_convert(NULL, &narrow, NULL);
    }
  }
  tvi_free(wide);
  tvi_free(p.a.copy);
  tvi_free(p.b.copy);
  return status;
}
