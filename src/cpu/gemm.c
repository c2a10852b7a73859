/* SPDX-License-Identifier: MIT
 * Matrix products: out [m, n] = a [m, k] b [k, n], in batches.
 *
 * The result is cut into tiles that follow from m, n, k, the dtype and the kernels of BLAS alone; a
 * tile is one call of BLAS over all of k, or one of the loops, so threads change no bit. Operands
 * that a kernel cannot walk are copied first, f16 and bf16 into f32. The loops (products.h) add in
 * order of k: integers (which wrap), bool (or of ands), small products, and everything where there
 * is no BLAS. */
#include <limits.h>
#include <string.h>

#include "level.h"
#include "openblas.h"

enum {
  SMALL = 12 * 12 * 12,      /* multiplications that a call of BLAS costs more than, ... */
  SMALL_DIRECT = 8 * 8 * 8,  /* ... and where it has kernels for small products */
  MOST_DIRECT = 1000 * 1000, /* multiplications up to which those are taken */
  LEAST_SHARED = 1 << 22,    /* of a product that is cut in two for threads */
  LOOP_SIDE = 64,            /* of a tile of the loops' */
  CHUNK = 1 << 20,           /* multiplications of one chunk, at least, ... */
  CALL = 1 << 12             /* ... where a call counts as so many */
};

typedef struct operand {
  const char *data;
  int64_t row, column;  /* steps in bytes */
  const int64_t *batch; /* as many as the batch has axes */
  void *copy;           /* to be given back */
  int64_t copy_bytes;
} operand;

typedef struct product {
  tv_dtype dtype; /* that computes */
  int64_t m, n, k, item;
  int batch_rank;
  const int64_t *batch_shape;
  operand a, b;
  char *out;
  int64_t tile_m, tile_n, tiles_m, tiles_n, tiles; /* sizes of a tile; how many; in all batches */
  int64_t chunk;                                   /* tiles of a chunk */
  bool by_blas;
  tvi_product *loop;
  const char *bias;           /* NULL: none */
  tvi_loop *add, *activation; /* NULL: none */
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
                              int64_t columns, int64_t *batch) {
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
  x->copy_bytes = elements * p->item;
  tv_status status = tvi_cpu_reserve(NULL, x->copy_bytes, NULL, &x->copy);
  if (status) return status;
  const tv_convert job = {.from = from,
                          .to = p->dtype,
                          .rank = rank,
                          .shape = shape,
                          .out = {.data = x->copy, .steps = out_steps},
                          .in = {.data = (void *)(uintptr_t)x->data, .steps = in_steps}};
  status = tvi_cpu_convert(NULL, &job, NULL);
  x->data = x->copy;
  x->row = columns * p->item;
  x->column = p->item;
  for (int axis = 0; axis < p->batch_rank; axis++)
    batch[axis] = x->batch[axis] == 0 ? 0 : out_steps[axis];
  x->batch = batch;
  return status;
}

/* Tiles ------------------------------------------------------------------------------------- */

/* Bias and activation of a tile, which is in cache. */
static void run_epilogue(const product *p, char *out, int64_t m, int64_t n, int64_t column) {
  const int64_t steps[] = {p->item, p->item, p->item};
  for (int64_t row = 0; row < m; row++, out += p->n * p->item) {
    if (p->bias)
      p->add(n, (char *const[]){out, out, (char *)(uintptr_t)p->bias + column * p->item}, steps);
    if (p->activation) p->activation(n, (char *const[]){out, out}, steps);
  }
}

static void run_tile(const product *p, int64_t i) {
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
  if (p->bias || p->activation) run_epilogue(p, out, m, n, column);
}

static void run_chunk(void *context, int64_t i) {
  const product *const p = context;
  const int64_t end = (i + 1) * p->chunk < p->tiles ? (i + 1) * p->chunk : p->tiles;
  for (int64_t tile = i * p->chunk; tile < end; tile++) run_tile(p, tile);
}

static void set_tile(product *p, int64_t tile_m, int64_t tile_n) {
  p->tile_m = tile_m < p->m ? tile_m : p->m;
  p->tile_n = tile_n < p->n ? tile_n : p->n;
  p->tiles_m = (p->m + p->tile_m - 1) / p->tile_m;
  p->tiles_n = (p->n + p->tile_n - 1) / p->tile_n;
}

/* Kernels for small products copy no operand first: up to 1.2 times faster than one large call as
 * long as the rows that a tile touches stay in the first caches, measured for 128^3 to 300^3 and
 * the products of perceptrons. */
static bool tile_for_direct(product *p) {
  const double work = (double)p->m * (double)p->n * (double)p->k;
  if (p->dtype != TV_F32 || !tvi_blas_is_direct() || work <= MOST_DIRECT || work > 30e6 ||
      p->m < 32 || p->n < 32 || p->k < 64 || p->k > 900)
    return false;
  const bool b_is_transposed = p->b.column != p->item;
  if (b_is_transposed)
    set_tile(p, 32, 32);
  else if (p->k <= 192)
    set_tile(p, 64, 64);
  else if (p->k <= 448)
    set_tile(p, 64, 32);
  else
    set_tile(p, 16, 64);
  return true;
}

/* Each tile of a large product copies its rows and columns for BLAS anew, so tiles are few: as many
 * as 256 fit into the edge of a cube of this volume; two for products that are worth two threads. A
 * batch needs none. */
static void tile_for_packed(product *p, int64_t batch) {
  const double work = (double)p->m * (double)p->n * (double)p->k;
  double wanted = work < LEAST_SHARED ? 1 : 2;
  while ((wanted + 1) * (wanted + 1) * (wanted + 1) * 0x1p24 <= work) wanted++;
  set_tile(p, p->m, p->n);
  while ((double)batch * (double)(p->tiles_m * p->tiles_n) < wanted) {
    const bool m_is_longer = p->tile_m > p->tile_n;
    const int64_t longer = m_is_longer ? p->tile_m : p->tile_n;
    if (longer <= 64) return;
    const int64_t half = (longer / 2 + 63) / 64 * 64;
    set_tile(p, m_is_longer ? half : p->tile_m, m_is_longer ? p->tile_n : half);
  }
}

static void choose_tiles(product *p, int64_t batch) {
  if (!p->by_blas)
    set_tile(p, LOOP_SIDE, 4 * LOOP_SIDE);
  else if (!tile_for_direct(p))
    tile_for_packed(p, batch);
  p->tiles = batch * p->tiles_m * p->tiles_n;
  const double work = (double)p->tile_m * (double)p->tile_n * (double)p->k + CALL;
  p->chunk = work < CHUNK ? (int64_t)(CHUNK / work) : 1;
}

/* Nanoseconds on one thread, roughly. */
static double cost(const product *p) {
  const double work = (double)p->m * (double)p->n * (double)p->k * (double)p->item;
  const double batch = (double)p->tiles / (double)(p->tiles_m * p->tiles_n);
  return batch * (20 + work * (p->by_blas ? .0025 : .01));
}

static void run(product *p) {
  const int64_t chunks = (p->tiles + p->chunk - 1) / p->chunk;
  if (chunks > 1 && tvi_worth_threads(cost(p)))
    tvi_parallel(chunks, run_chunk, p);
  else
    for (int64_t i = 0; i < p->tiles; i++) run_tile(p, i);
}

/* Whole -------------------------------------------------------------------------------------- */

/* Chooses what computes, and copies what it cannot walk; steps of copies go to `steps`. */
static tv_status prepare(product *p, tv_dtype from, int64_t steps[2][TV_MAX_RANK]) {
  const bool is_half = from != p->dtype;
  const double work = (double)p->m * (double)p->n * (double)p->k;
  p->by_blas = p->dtype >= TV_F32 && work > SMALL_DIRECT && p->k <= INT_MAX && p->n <= INT_MAX &&
               p->m <= INT_MAX && tvi_blas_is_there() && (work > SMALL || tvi_blas_is_direct());
  const bool a_fits = !p->by_blas || blas_takes(&p->a, p->m, p->k, p->item);
  const bool b_fits =
      p->by_blas ? blas_takes(&p->b, p->k, p->n, p->item) : p->b.column == p->item || p->n == 1;
  tv_status status = TV_OK;
  if (is_half || !a_fits) status = copy_operand(p, from, &p->a, p->m, p->k, steps[0]);
  if (!status && (is_half || !b_fits)) status = copy_operand(p, from, &p->b, p->k, p->n, steps[1]);
  return status;
}

/* f16 and bf16: from a result in f32. */
static tv_status narrow(tv_dtype to, int64_t elements, void *wide, void *out) {
  const int64_t out_step = tvi_item(to), in_step = tvi_item(TV_F32);
  const tv_convert job = {.from = TV_F32,
                          .to = to,
                          .rank = 1,
                          .shape = &elements,
                          .out = {.data = out, .steps = &out_step},
                          .in = {.data = wide, .steps = &in_step}};
  return tvi_cpu_convert(NULL, &job, NULL);
}

static tvi_op op_of(tv_activation activation) {
  return activation == TV_RELU ? TVI_OP_relu : activation == TV_TANH ? TVI_OP_tanh : TVI_OP_sigmoid;
}

tv_status tvi_cpu_matmul(void *self, const tv_matmul_job *job, void *stream) {
  (void)self, (void)stream;
  int64_t batch = 1, steps[2][TV_MAX_RANK] = {{0}};
  for (int axis = 0; axis < job->batch_rank; axis++) batch *= job->batch_shape[axis];
  const int64_t elements = batch * job->m * job->n;
  if (elements == 0) return TV_OK;
  if (job->k == 0) {
    memset(job->out, 0, (size_t)(elements * tvi_item(job->dtype)));
    return TV_OK;
  }
  const bool is_half = job->dtype == TV_F16 || job->dtype == TV_BF16;
  const tv_dtype dtype = is_half ? TV_F32 : job->dtype;
  product p = {.dtype = dtype,
               .m = job->m,
               .n = job->n,
               .k = job->k,
               .item = tvi_item(dtype),
               .batch_rank = job->batch_rank,
               .batch_shape = job->batch_shape,
               .a = {job->a, job->a_row_step, job->a_column_step, job->a_batch_steps, NULL, 0},
               .b = {job->b, job->b_row_step, job->b_column_step, job->b_batch_steps, NULL, 0},
               .out = job->out,
               .loop = tvi_level_here()->products[dtype],
               .bias = job->bias,
               .add = tvi_level_here()->loops[TVI_OP_add][dtype],
               .activation = job->activation == TV_LINEAR
                                 ? NULL
                                 : tvi_level_here()->loops[op_of(job->activation)][dtype]};
  void *wide = NULL;
  tv_status status = prepare(&p, job->dtype, steps);
  if (!status && is_half) {
    status = tvi_cpu_reserve(NULL, elements * p.item, NULL, &wide);
    p.out = wide;
  }
  if (!status) {
    choose_tiles(&p, batch);
    run(&p);
    if (wide) status = narrow(job->dtype, elements, wide, job->out);
  }
  if (wide) tvi_cpu_release(NULL, wide, elements * p.item, NULL, 0, NULL);
  if (p.a.copy) tvi_cpu_release(NULL, p.a.copy, p.a.copy_bytes, NULL, 0, NULL);
  if (p.b.copy) tvi_cpu_release(NULL, p.b.copy, p.b.copy_bytes, NULL, 0, NULL);
  return status;
}
