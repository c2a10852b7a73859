/* SPDX-License-Identifier: MIT
 * Matrix products: out [m, n] = a [m, k] b [k, n], in batches.
 *
 * The result is cut into tiles that follow from m, n, k and the dtype alone; a tile is one call of
 * BLAS over all of k, or one of the loops here, so threads change no bit. Operands that a kernel
 * cannot walk are copied first, f16 and bf16 into f32. The loops here add in order of k: integers
 * (which wrap), bool (or of ands), small products, and everything where there is no BLAS. */
#include <limits.h>
#include <string.h>

#include "level.h"
#include "openblas.h"

enum {
  MOST_SIDE = 512, /* of a tile */
  LEAST_SIDE = 128,
  ENOUGH_TILES = 16,
  SMALL = 12 * 12 * 12 /* multiplications that a call of BLAS costs more than */
};

typedef struct operand {
  const char *data;
  int64_t row, column; /* steps in bytes */
  int64_t batch[TV_MAX_RANK];
  void *copy; /* to be freed */
} operand;

typedef struct product {
  tv_dtype dtype; /* that computes */
  int64_t m, n, k, item;
  int batch_rank;
  const int64_t *batch_shape;
  operand a, b;
  char *out;
  int64_t tile_m, tile_n, tiles_m, tiles_n;
  bool by_blas;
  tvi_product *loop;
} product;

/* Operands ---------------------------------------------------------------------------------- */

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

/* Tiles ------------------------------------------------------------------------------------- */

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

tv_status tvi_cpu_matmul(void *self, const tv_matmul_job *job, void *stream) {
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
  p.loop = tvi_level_here()->products[p.dtype];
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
