/* SPDX-License-Identifier: MIT
 * The matmul slot: floating products by cuBLASLt, integers and bool by a kernel of our own.
 *
 * BLAS thinks in columns, we in rows: out = a b by rows is out^T = b^T a^T by columns, so the
 * operands change places and nothing is transposed. Operands that BLAS cannot walk are copied
 * first. Batch axes that walk as one become BLAS's batch; the rest are calls. */
#include <string.h>

#include "cublaslt.h"
#include "runtime.h"

enum { MOST_BATCH = 32768 }; /* matrices of one call: cuBLASLt does not take any number */

typedef struct operand {
  const char *data;
  int64_t row, column; /* steps in bytes */
  int64_t batch[TV_MAX_RANK];
  void *copy; /* scratch, to be released */
  int64_t copy_bytes;
} operand;

static int64_t item_of(tv_dtype dtype) {
  switch (dtype) {
    case TV_F16:
    case TV_BF16:
      return 2;
    case TV_F32:
      return 4;
    case TV_C128:
      return 16;
    default:
      return 8;
  }
}

static bool is_whole(int64_t step, int64_t least, int64_t item) {
  return step % item == 0 && step / item >= least;
}

/* Rows of consecutive elements; an axis of one element may have any step. */
static bool is_by_rows(const operand *x, int64_t rows, int64_t columns, int64_t item) {
  return (x->column == item || columns == 1) && (rows == 1 || is_whole(x->row, columns, item));
}
static bool is_by_columns(const operand *x, int64_t rows, int64_t columns, int64_t item) {
  return (x->row == item || rows == 1) && (columns == 1 || is_whole(x->column, rows, item));
}

static bool blas_takes(const operand *x, const tv_matmul_job *job, int64_t rows, int64_t columns,
                       int64_t item) {
  if ((uintptr_t)x->data % (uintptr_t)item) return false;
  for (int axis = 0; axis < job->batch_rank; axis++)
    if (job->batch_shape[axis] > 1 && (x->batch[axis] < 0 || x->batch[axis] % item)) return false;
  return is_by_rows(x, rows, columns, item) || is_by_columns(x, rows, columns, item);
}

/* A copy in C order. Batch axes of step 0 are not repeated. */
static tv_status pack(tvi_gpu *gpu, void *stream, const tv_matmul_job *job, operand *x,
                      int64_t rows, int64_t columns, int64_t item) {
  const int rank = job->batch_rank + 2;
  int64_t shape[TV_MAX_RANK], in_steps[TV_MAX_RANK], out_steps[TV_MAX_RANK], elements = 1;
  for (int axis = rank - 1; axis >= 0; axis--) {
    const bool is_batch = axis < job->batch_rank;
    const int64_t step = is_batch ? x->batch[axis] : axis == rank - 1 ? x->column : x->row;
    const int64_t size = is_batch ? job->batch_shape[axis] : axis == rank - 1 ? columns : rows;
    shape[axis] = is_batch && step == 0 ? 1 : size;
    in_steps[axis] = step;
    out_steps[axis] = elements * item;
    elements *= shape[axis];
  }
  x->copy_bytes = elements * item;
  tv_status status = tvi_gpu_reserve(gpu, x->copy_bytes, stream, &x->copy);
  if (status) return status;
  const tv_convert copy = {.from = job->dtype,
                           .to = job->dtype,
                           .rank = rank,
                           .shape = shape,
                           .out = {.data = x->copy, .steps = out_steps},
                           .in = {.data = (void *)(uintptr_t)x->data, .steps = in_steps}};
  status = tvi_gpu_convert(gpu, &copy, stream);
  x->data = x->copy;
  x->row = columns * item;
  x->column = item;
  for (int axis = 0; axis < job->batch_rank; axis++)
    x->batch[axis] = x->batch[axis] == 0 ? 0 : out_steps[axis];
  return status;
}

/* As BLAS sees it: memory by columns, so rows of ours are its columns. */
static tvi_lt_matrix matrix_of(const operand *x, int64_t rows, int64_t columns, int64_t item) {
  const bool is_plain = /* a column is better told as one than as rows of one element */
      is_by_rows(x, rows, columns, item) && (columns > 1 || !is_by_columns(x, rows, columns, item));
  const int64_t fast = is_plain ? columns : rows, slow = is_plain ? rows : columns;
  const int64_t step = is_plain ? x->row : x->column;
  return (tvi_lt_matrix){.rows = fast,
                         .columns = slow,
                         .leading = slow == 1 ? fast : step / item,
                         .data = x->data,
                         .is_transposed = !is_plain};
}

/* The batch axes without those of size 1, merged where both operands walk on as one. The result is
 * compact and always does. */
static int merge_batch(const tv_matmul_job *job, const operand *a, const operand *b, int64_t *shape,
                       int64_t *a_steps, int64_t *b_steps) {
  int n = 0;
  for (int axis = 0; axis < job->batch_rank; axis++) {
    const int64_t size = job->batch_shape[axis];
    if (size == 1) continue;
    if (n && a_steps[n - 1] == a->batch[axis] * size && b_steps[n - 1] == b->batch[axis] * size) {
      shape[n - 1] *= size;
      a_steps[n - 1] = a->batch[axis];
      b_steps[n - 1] = b->batch[axis];
    } else {
      shape[n] = size;
      a_steps[n] = a->batch[axis];
      b_steps[n++] = b->batch[axis];
    }
  }
  return n;
}

/* A batch that shares one b is one product, where the rows of a go on from matrix to matrix. */
static bool folds(const tv_matmul_job *job, const operand *a, const operand *b, int64_t *rows,
                  int64_t *step) {
  *rows = job->m;
  *step = a->row;
  for (int axis = job->batch_rank - 1; axis >= 0; axis--) {
    if (job->batch_shape[axis] == 1) continue;
    if (*rows == 1) *step = a->batch[axis];
    if (b->batch[axis] || a->batch[axis] != *rows * *step) return false;
    *rows *= job->batch_shape[axis];
  }
  return true;
}

static tv_status multiply(tvi_gpu *gpu, void *stream, const tv_matmul_job *job, const operand *a,
                          const operand *b, int64_t item) {
  int64_t shape[TV_MAX_RANK], a_steps[TV_MAX_RANK], b_steps[TV_MAX_RANK], calls = 1;
  const int rank = merge_batch(job, a, b, shape, a_steps, b_steps), last = rank - 1;
  const int64_t count = rank ? shape[last] : 1, bytes = job->m * job->n * item;
  const int64_t a_step = rank ? a_steps[last] : 0, b_step = rank ? b_steps[last] : 0;
  tvi_lt_matrix left = matrix_of(b, job->k, job->n, item);
  tvi_lt_matrix right = matrix_of(a, job->m, job->k, item);
  tvi_lt_matrix out = {.rows = job->n, .columns = job->m, .leading = job->n};
  left.batch_stride = b_step / item;
  right.batch_stride = a_step / item;
  out.batch_stride = job->m * job->n;
  for (int axis = 0; axis < last; axis++) calls *= shape[axis];
  tv_status status = TV_OK;
  for (int64_t call = 0; call < calls; call++) {
    int64_t rest = call, at_a = 0, at_b = 0;
    for (int axis = last - 1; axis >= 0; axis--) {
      at_a += rest % shape[axis] * a_steps[axis];
      at_b += rest % shape[axis] * b_steps[axis];
      rest /= shape[axis];
    }
    for (int64_t first = 0; first < count && !status; first += MOST_BATCH) {
      const int64_t batch = count - first < MOST_BATCH ? count - first : MOST_BATCH;
      left.data = b->data + at_b + first * b_step;
      right.data = a->data + at_a + first * a_step;
      out.data = (char *)job->out + (call * count + first) * bytes;
      status = tvi_lt_product(gpu, stream, job->dtype, job->precision, job->k, batch, &left, &right,
                              &out);
    }
  }
  return status;
}

tv_status tvi_gpu_matmul(void *self, const tv_matmul_job *asked, void *stream) {
  tvi_gpu *const gpu = self;
  tv_matmul_job folded = *asked;
  const tv_matmul_job *const job = &folded;
  if (job->dtype < TV_F16) return tvi_product_integers(gpu, asked, stream);
  const int64_t item = item_of(job->dtype);
  operand a = {.data = job->a, .row = job->a_row_step, .column = job->a_column_step};
  operand b = {.data = job->b, .row = job->b_row_step, .column = job->b_column_step};
  for (int axis = 0; axis < job->batch_rank; axis++) {
    a.batch[axis] = job->batch_shape[axis] == 1 ? 0 : job->a_batch_steps[axis];
    b.batch[axis] = job->batch_shape[axis] == 1 ? 0 : job->b_batch_steps[axis];
  }
  int64_t rows, step;
  if (folds(asked, &a, &b, &rows, &step)) {
    folded.m = rows;
    folded.batch_rank = 0;
    a.row = step;
  }
  tvi_visit visit;
  tv_status status = tvi_gpu_enter(gpu, &visit);
  if (status) return status;
  if (!blas_takes(&a, job, job->m, job->k, item))
    status = pack(gpu, stream, job, &a, job->m, job->k, item);
  if (!status && !blas_takes(&b, job, job->k, job->n, item))
    status = pack(gpu, stream, job, &b, job->k, job->n, item);
  if (!status) status = multiply(gpu, stream, job, &a, &b, item);
  if (a.copy) tvi_gpu_release(gpu, a.copy, a.copy_bytes, stream, 0, NULL);
  if (b.copy) tvi_gpu_release(gpu, b.copy, b.copy_bytes, stream, 0, NULL);
  tvi_gpu_leave(&visit);
  return status;
}
