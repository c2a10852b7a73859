/* SPDX-License-Identifier: MIT
 * Matrix products: tv_matmul, and tv_dense for those with a bias and an activation.
 *
 * The backend takes rows and columns by steps of any size and sign, so transposed, sliced and
 * broadcast operands go as they are; only another dtype makes a copy. A 1-d operand is given the
 * axis that it lacks, of size 1 and step 0, and the result loses it again. */
#include <tensorvar/linalg.h>
#include <tensorvar/ops.h>
#include <tensorvar/shape.h>

#include "create.h"
#include "deferred.h"
#include "device.h"
#include "scope.h"
#include "status.h"
#include "stream.h"
#include "tensor.h"
#include "thread.h"
#include "variable/tape.h"

/* Sizes of a product, and where a and b go on from one matrix to the next. */
typedef struct {
  int64_t m, n, k;
  int batch_rank, rank;       /* rank of the result */
  int64_t shape[TV_MAX_RANK]; /* of the result; the batch comes first */
} plan;

static int batch_axes(const tv_tensor *x) { return x->rank > 2 ? x->rank - 2 : 0; }

static bool plan_make(const char *who, const tv_tensor *a, const tv_tensor *b, plan *p) {
  tvi_text left, right;
  if (a->rank == 0 || b->rank == 0)
    return tvi_fail(TV_ESHAPE, "%s: %s is 0-d: use tv_multiply", who, a->rank ? "b" : "a");
  p->m = a->rank > 1 ? a->shape[a->rank - 2] : 1;
  p->k = a->shape[a->rank - 1];
  p->n = b->rank > 1 ? b->shape[b->rank - 1] : 1;
  if (p->k != b->shape[b->rank > 1 ? b->rank - 2 : 0])
    return tvi_fail(TV_ESHAPE, "%s: inner sizes differ: %s by %s", who,
                    tvi_shape_text(&left, a->rank, a->shape),
                    tvi_shape_text(&right, b->rank, b->shape));
  const int of_a = batch_axes(a), of_b = batch_axes(b);
  p->batch_rank = of_a > of_b ? of_a : of_b;
  for (int at = 0; at < p->batch_rank; at++) {
    const int in_a = at - (p->batch_rank - of_a), in_b = at - (p->batch_rank - of_b);
    const int64_t size_a = in_a < 0 ? 1 : a->shape[in_a], size_b = in_b < 0 ? 1 : b->shape[in_b];
    if (size_a != size_b && size_a != 1 && size_b != 1)
      return tvi_fail(TV_ESHAPE, "%s: leading axes do not broadcast: %s by %s", who,
                      tvi_shape_text(&left, a->rank, a->shape),
                      tvi_shape_text(&right, b->rank, b->shape));
    p->shape[at] = size_a == 1 ? size_b : size_a;
  }
  p->rank = p->batch_rank;
  if (a->rank > 1) p->shape[p->rank++] = p->m;
  if (b->rank > 1) p->shape[p->rank++] = p->n;
  return true;
}

/* x in another dtype, retained. */
static tv_tensor *operand(tv_tensor *x, tv_dtype dtype) {
  if (tvi_settle(x)) return NULL;
  return x->dtype == dtype ? tv_retain(x) : tvi_tensor_copy("matmul", x, dtype, tvi_tensor_on(x));
}

static void batch_steps(const tv_tensor *x, const plan *p, int64_t *steps) {
  const int added = p->batch_rank - batch_axes(x);
  for (int at = 0; at < p->batch_rank; at++)
    steps[at] = at < added || x->shape[at - added] == 1 ? 0 : x->steps[at - added];
}

/* What follows a product in the same pass. */
typedef struct {
  const tv_tensor *bias; /* NULL: none */
  tv_activation activation;
} epilogue;

static tv_status run(const tv_tensor *a, const tv_tensor *b, const plan *p, epilogue last,
                     tv_tensor *y) {
  int64_t a_batch[TV_MAX_RANK], b_batch[TV_MAX_RANK];
  batch_steps(a, p, a_batch);
  batch_steps(b, p, b_batch);
  const tv_matmul_job job = {.dtype = y->dtype,
                             .m = p->m,
                             .n = p->n,
                             .k = p->k,
                             .batch_rank = p->batch_rank,
                             .batch_shape = p->shape,
                             .a = a->data,
                             .b = b->data,
                             .a_batch_steps = a_batch,
                             .b_batch_steps = b_batch,
                             .a_row_step = a->rank > 1 ? a->steps[a->rank - 2] : 0,
                             .a_column_step = a->steps[a->rank - 1],
                             .b_row_step = b->steps[b->rank > 1 ? b->rank - 2 : 0],
                             .b_column_step = b->rank > 1 ? b->steps[b->rank - 1] : 0,
                             .out = y->data,
                             .precision = tvi_self.precision,
                             .bias = last.bias ? last.bias->data : NULL,
                             .activation = last.activation};
  tvi_device *const on = tvi_device_at(tvi_tensor_on(y));
  tv_status status = tvi_stream_reads(a);
  if (!status) status = tvi_stream_reads(b);
  if (!status && last.bias) status = tvi_stream_reads(last.bias);
  if (status) return status;
  return TVI_CALL(on, matmul, "matmul", y->dtype, &job, tvi_stream_now(tvi_tensor_on(y)));
}

/* g with the axes that 1-d operands took from the result. */
static tv_tensor *padded(tv_tensor *g, bool a_is_1d, bool b_is_1d) {
  if (b_is_1d) g = tv_expand_dims(g, -1);
  return a_is_1d ? tv_expand_dims(g, -2) : g;
}

static tv_tensor *a_gradient(const tvi_saved *s, tv_tensor *g) {
  tv_tensor *const b = s->in[1];
  const bool a_is_1d = s->spec->rank == 1, b_is_1d = tv_tensor_rank(b) == 1;
  tv_tensor *const b_h = b_is_1d ? tv_expand_dims(tv_conj(b), 0) : tv_matrix_transpose(tv_conj(b));
  tv_tensor *const d = tv_matmul(padded(g, a_is_1d, b_is_1d), b_h);
  return a_is_1d ? tv_squeeze(d, TV_AXES(-2)) : d;
}

static tv_tensor *b_gradient(const tvi_saved *s, tv_tensor *g) {
  tv_tensor *const a = s->in[0];
  const bool a_is_1d = tv_tensor_rank(a) == 1, b_is_1d = s->spec->rank == 1;
  tv_tensor *const a_h = a_is_1d ? tv_expand_dims(tv_conj(a), 1) : tv_matrix_transpose(tv_conj(a));
  tv_tensor *const d = tv_matmul(a_h, padded(g, a_is_1d, b_is_1d));
  return b_is_1d ? tv_squeeze(d, TV_AXES(-1)) : d;
}

static const tvi_rule matmul_rule = {
    .name = "matmul", .in = {{TVI_USES_IN1, a_gradient}, {TVI_USES_IN0, b_gradient}}};

tv_status tv_matmul_precision_set(tv_matmul_precision precision) {
  if (precision != TV_MATMUL_STRICT && precision != TV_MATMUL_TF32)
    return tvi_fail_status(TV_EVALUE, "matmul_precision_set: %d is no precision", (int)precision);
  tvi_self.precision = precision;
  return TV_OK;
}

tv_matmul_precision tv_matmul_precision_current(void) { return tvi_self.precision; }

tv_tensor *tv_matmul(tv_tensor *a, tv_tensor *b) {
  plan p;
  tv_tensor *const in[2] = {a, b};
  if (!a || !b) return tvi_null("matmul", a ? "b" : "a");
  if (!tvi_scope_is_open("matmul") || !plan_make("matmul", a, b, &p)) return NULL;
  if (tvi_tensor_on(a) != tvi_tensor_on(b))
    return tvi_fail(TV_EDEVICE, "matmul: a is on %s, b on %s",
                    tvi_device_at(tvi_tensor_on(a))->name, tvi_device_at(tvi_tensor_on(b))->name);
  const tv_dtype dtype = tvi_promote("matmul", 2, in);
  if (dtype == TV_DTYPE_NONE) return NULL;
  if (p.k == 0) /* sums of nothing */
    return tvi_finish(&matmul_rule, tvi_zeros("matmul", tvi_tensor_on(a), dtype, p.rank, p.shape),
                      2, in, 0, NULL);
  tv_tensor *const left = operand(a, dtype), *const right = left ? operand(b, dtype) : NULL;
  tv_tensor *y = right ? tvi_tensor_new("matmul", tvi_tensor_on(a), dtype, p.rank, p.shape) : NULL;
  if (y && y->size && run(left, right, &p, (epilogue){NULL, TV_LINEAR}, y)) {
    tv_release(y);
    y = NULL;
  }
  tv_release(left);
  tv_release(right);
  return tvi_finish(&matmul_rule, y, 2, in, 0, NULL);
}

/* Dense layers ------------------------------------------------------------------------------- */

/* Gradients by the result, so that nothing else is kept. */
static tv_tensor *relu_gradient(const tvi_saved *s, tv_tensor *g) {
  return tv_where(tv_greater(s->out, tv_scalar(0)), g, tv_scalar(0));
}
static tv_tensor *tanh_gradient(const tvi_saved *s, tv_tensor *g) {
  return tv_multiply(g, tv_subtract(tv_scalar(1), tv_square(s->out)));
}
static tv_tensor *sigmoid_gradient(const tvi_saved *s, tv_tensor *g) {
  return tv_multiply(g, tv_multiply(s->out, tv_subtract(tv_scalar(1), s->out)));
}
static const tvi_rule activation_rules[] = {
    [TV_RELU] = {.name = "dense", .in = {{TVI_USES_OUT, relu_gradient}}},
    [TV_TANH] = {.name = "dense", .in = {{TVI_USES_OUT, tanh_gradient}}},
    [TV_SIGMOID] = {.name = "dense", .in = {{TVI_USES_OUT, sigmoid_gradient}}}};

/* The tape sums over the axes along which the bias was broadcast. */
static tv_tensor *bias_gradient(const tvi_saved *s, tv_tensor *g) {
  (void)s;
  return g;
}
static const tvi_rule affine_rule = {
    .name = "dense",
    .in = {{TVI_USES_IN1, a_gradient}, {TVI_USES_IN0, b_gradient}, {TVI_USES_NONE, bias_gradient}}};

/* Recorded as two ops. The value between them is a head without elements: no gradient reads it. */
static tv_tensor *recorded(tv_tensor *y, tv_tensor *const *in, tv_activation activation) {
  const int n_in = in[2] ? 3 : 2;
  if (!y || !tvi_is_recording()) return y;
  if (activation == TV_LINEAR) return tvi_record(&affine_rule, y, n_in, in, 0, NULL) ? NULL : y;
  tv_tensor *const between = tvi_tensor_head(y->device, y->dtype, y->rank, y->shape);
  if (!between) return NULL;
  tv_status status = tvi_record(&affine_rule, between, n_in, in, 0, NULL);
  if (!status) status = tvi_record(&activation_rules[activation], y, 1, &between, 0, NULL);
  tv_release(between);
  return status ? NULL : y;
}

static bool is_fused(const tv_tensor *x, const tv_tensor *w, const tv_tensor *bias, const plan *p) {
  return (x->dtype == TV_F32 || x->dtype == TV_F64) && w->dtype == x->dtype && x->rank > 1 &&
         w->rank == 2 && p->k > 0 && !(bias && bias->dtype != x->dtype) &&
         tvi_device_at(x->device)->backend.takes_epilogue;
}

static tv_tensor *fused(tv_tensor *x, tv_tensor *w, tv_tensor *bias, const plan *p,
                        tv_activation activation) {
  tv_tensor *const row = bias ? tvi_tensor_compact("dense", bias) : NULL;
  tv_tensor *y = NULL;
  if ((row || !bias) && !tvi_settle(x) && !tvi_settle(w))
    y = tvi_tensor_new("dense", x->device, x->dtype, p->rank, p->shape);
  if (y && y->size && run(x, w, p, (epilogue){row, activation}, y)) {
    tv_release(y);
    y = NULL;
  }
  tv_release(row);
  return recorded(tvi_scope_own(y), (tv_tensor *const[]){x, w, bias}, activation);
}

static tv_tensor *composed(tv_tensor *x, tv_tensor *w, tv_tensor *bias, tv_activation activation) {
  tv_tensor *y = tv_matmul(x, w);
  if (bias) y = tv_add(y, bias);
  switch (activation) {
    case TV_RELU:
      return tv_relu(y);
    case TV_TANH:
      return tv_tanh(y);
    case TV_SIGMOID:
      return tv_sigmoid(y);
    default:
      return y;
  }
}

tv_tensor *tv_dense(tv_tensor *x, tv_tensor *w, tv_tensor *bias, tv_activation activation) {
  plan p;
  tvi_text text;
  if (!x || !w) return tvi_null("dense", x ? "w" : "x");
  if (activation < TV_LINEAR || activation > TV_SIGMOID)
    return tvi_fail(TV_EVALUE, "dense: %d is no activation", (int)activation);
  if (!tvi_scope_is_open("dense") || !plan_make("dense", x, w, &p)) return NULL;
  if (bias && (bias->weak.kind || bias->rank != 1 || bias->shape[0] != p.n))
    return tvi_fail(TV_ESHAPE, "dense: bias has shape %s, not [%lld]",
                    tvi_shape_text(&text, bias->rank, bias->shape), (long long)p.n);
  const tv_tensor *const away = x->device != w->device              ? w
                                : bias && bias->device != x->device ? bias
                                                                    : NULL;
  if (away)
    return tvi_fail(TV_EDEVICE, "dense: x is on %s, %s on %s", tvi_device_at(x->device)->name,
                    away == w ? "w" : "bias", tvi_device_at(away->device)->name);
  return is_fused(x, w, bias, &p) ? fused(x, w, bias, &p, activation)
                                  : composed(x, w, bias, activation);
}
