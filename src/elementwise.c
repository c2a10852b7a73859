/* SPDX-License-Identifier: MIT
 * Elementwise ops: check and promote at the call, then one job for the backend.
 *
 * Operands of another dtype than the row runs in are converted first; weak scalars travel inside
 * the job. What promotion would make inexact, comparing unsigned 64-bit integers with signed ones,
 * is composed of exact steps. */
#include "elementwise.h"

#include <tensorvar/reduce.h>

#include "deferred.h"
#include "device.h"
#include "program.h"
#include "scope.h"
#include "status.h"
#include "stream.h"
#include "tensor.h"
#include "thread.h"
#include "variable/tape.h"

#define ROW(op) (&tvi_op_info[op])

enum { PLAIN = 1024 }; /* elements of what is small */

/* What a call comes to, once it is known to be legal. */
typedef struct {
  tv_dtype loop, result;
  tv_device device;
  int rank;
  int64_t shape[TV_MAX_RANK];
} plan;

int tvi_broadcast(const char *who, int n, tv_tensor *const *in, int64_t *shape) {
  tvi_text left, right;
  int rank = 0;
  for (int k = 0; k < n; k++)
    if (in[k]->rank > rank) rank = in[k]->rank;
  for (int axis = 0; axis < rank; axis++) shape[axis] = 1;
  for (int k = 0; k < n; k++)
    for (int axis = 0; axis < in[k]->rank; axis++) {
      int64_t *const size = &shape[rank - in[k]->rank + axis];
      if (in[k]->shape[axis] == *size || in[k]->shape[axis] == 1) continue;
      if (*size != 1) {
        int other = 0; /* the first operand that it does not fit */
        for (; other < k; other++) {
          const int at = in[other]->rank - (in[k]->rank - axis);
          if (at >= 0 && in[other]->shape[at] == *size) break;
        }
        tvi_fail(TV_ESHAPE, "%s: shapes do not broadcast: %s and %s", who,
                 tvi_shape_text(&left, in[other]->rank, in[other]->shape),
                 tvi_shape_text(&right, in[k]->rank, in[k]->shape));
        return -1;
      }
      *size = in[k]->shape[axis];
    }
  return rank;
}

void tvi_broadcast_steps(const tv_tensor *x, int rank, int64_t *steps) {
  const int added = rank - x->rank;
  for (int axis = 0; axis < added; axis++) steps[axis] = 0;
  for (int axis = 0; axis < x->rank; axis++)
    steps[added + axis] = x->shape[axis] == 1 ? 0 : x->steps[axis];
}

static bool is_on_one_device(const tvi_op_row *row, tv_tensor *const *in, tv_device *device) {
  int first = -1;
  for (int k = 0; k < row->n_inputs; k++) {
    if (in[k]->weak.kind) continue;
    if (first < 0) first = k;
    if (tvi_tensor_on(in[k]) != tvi_tensor_on(in[first]))
      return tvi_fail(TV_EDEVICE, "%s: %c is on %s, %c on %s", row->name, row->inputs[first],
                      tvi_device_at(tvi_tensor_on(in[first]))->name, row->inputs[k],
                      tvi_device_at(tvi_tensor_on(in[k]))->name);
  }
  *device = first < 0 ? tvi_self.device : tvi_tensor_on(in[first]);
  return true;
}

/* Two tensors of one dtype and shape on one device: the usual case, which needs no rule. */
static bool are_alike(const tvi_op_row *row, tv_tensor *const *in) {
  return row->n_inputs == 2 && !in[0]->weak.kind && !in[1]->weak.kind &&
         in[0]->dtype == in[1]->dtype && tvi_tensor_on(in[0]) == tvi_tensor_on(in[1]) &&
         tvi_same_shape(in[0], in[1]->rank, in[1]->shape);
}

/* Device, dtype in which the operands meet, and shape. */
static bool plan_meet(const tvi_op_row *row, tv_tensor *const *in, plan *p, tv_dtype *met) {
  if (are_alike(row, in)) {
    p->device = tvi_tensor_on(in[0]);
    p->rank = in[0]->rank;
    for (int k = 0; k < p->rank; k++) p->shape[k] = in[0]->shape[k];
    *met = in[0]->dtype;
    return true;
  }
  const int values = row->kind == TVI_SELECT; /* the first input that is no condition */
  if (!is_on_one_device(row, in, &p->device)) return false;
  *met = row->n_inputs - values == 1 ? in[values]->dtype
                                     : tvi_promote(row->name, row->n_inputs - values, in + values);
  if (*met == TV_DTYPE_NONE) return false;
  p->rank = tvi_broadcast(row->name, row->n_inputs, in, p->shape);
  return p->rank >= 0;
}

static bool plan_make(tvi_op op, tv_tensor *const *in, plan *p) {
  const tvi_op_row *const row = ROW(op);
  tv_dtype met;
  if (!plan_meet(row, in, p, &met)) return false;
  p->loop = tvi_op_dtype((int)op, met);
  if (p->loop == TV_DTYPE_NONE)
    return tvi_fail(TV_EDTYPE, "%s: does not take %s", row->name, tv_dtype_name(met));
  p->result = tvi_op_result((int)op, p->loop);
  return true;
}

/* Run the job. Operands that need another dtype are converted here and given back. */
static tv_status plan_run(tvi_op op, tv_tensor *const *in, const plan *p, tv_tensor *out) {
  const tvi_op_row *const row = ROW(op);
  int64_t steps[TV_MAX_INPUTS][TV_MAX_RANK];
  tv_tensor *converted[TV_MAX_INPUTS] = {NULL};
  tv_elementwise job = {.op = (int)op,
                        .op_name = row->name,
                        .dtype = p->loop,
                        .rank = p->rank,
                        .shape = p->shape,
                        .n_inputs = row->n_inputs,
                        .out = {.data = out->data, .steps = out->steps}};
  tv_status status = TV_OK;
  for (int k = 0; k < row->n_inputs && !status; k++) {
    const tv_dtype wanted = row->inputs[k] == 'c' ? TV_BOOL : p->loop;
    tv_operand *const operand = &job.in[k];
    if (in[k]->weak.kind) {
      operand->is_immediate = true;
      if (!tvi_weak_element(row->name, &in[k]->weak, wanted, op == TVI_OP_clip,
                            operand->immediate.bytes))
        status = tvi_failure();
      continue;
    }
    tv_tensor *x = in[k];
    if (x->dtype != wanted) {
      x = converted[k] = tvi_tensor_copy(row->name, x, wanted, p->device);
      if (!x) {
        status = tvi_failure();
        break;
      }
    }
    if ((status = tvi_settle(x)) || (status = tvi_stream_reads(x))) break;
    operand->data = x->data;
    operand->steps = x->steps;
    if (!tvi_same_shape(x, p->rank, p->shape)) {
      tvi_broadcast_steps(x, p->rank, steps[k]);
      operand->steps = steps[k];
    }
  }
  if (!status && out->size) {
    tvi_device *const on = tvi_device_at(p->device);
    status = TVI_CALL(on, elementwise, row->name, p->loop, &job, tvi_stream_now(p->device));
  }
  for (int k = 0; k < row->n_inputs; k++) tv_release(converted[k]);
  return status;
}

/* Deferred ---------------------------------------------------------------------------------------
 */

/* What an operand of another dtype is as an input. */
static tv_tensor *converted(const tvi_op_row *row, tv_tensor *x, tv_dtype dtype) {
  tv_tensor *y = NULL;
  return tvi_deferred_cast(x, dtype, &y) ? y : tvi_tensor_copy(row->name, x, dtype, x->device);
}

/* The op as a node, in *y: NULL after a failure. False if it must run at the call. */
static bool defer(tvi_op op, tv_tensor *const *in, const plan *p, tv_tensor **y) {
  const tvi_op_row *const row = ROW(op);
  int64_t size = 1;
  for (int axis = 0; axis < p->rank; axis++) size *= p->shape[axis];
  if (!tvi_may_defer(p->device, p->rank, size, p->result)) return false;
  *y = NULL;
  for (int k = 0; k < row->n_inputs; k++)
    if (tvi_is_deferred_rows(in[k]) && tvi_settle(in[k])) return true;
  for (int k = 0; k < row->n_inputs; k++)
    if (!tvi_is_deferred(in[k]) && !tvi_is_input(in[k], p->rank, p->shape)) return false;
  tvi_node node = {.op = (int)op, .dtype = p->loop, .n_inputs = row->n_inputs};
  bool is_done = true;
  for (int k = 0; k < row->n_inputs && is_done; k++) {
    const tv_dtype wanted = row->inputs[k] == 'c' ? TV_BOOL : p->loop;
    if (in[k]->weak.kind) {
      is_done =
          tvi_weak_element(row->name, &in[k]->weak, wanted, op == TVI_OP_clip, node.immediate[k]);
    } else if (!tvi_is_input(in[k], p->rank, p->shape) && tvi_settle(in[k])) {
      is_done = false; /* it was deferred, and is broadcast */
    } else {
      node.in[k] = in[k]->dtype == wanted ? tv_retain(in[k]) : converted(row, in[k], wanted);
      is_done = node.in[k] != NULL;
    }
  }
  *y = is_done ? tvi_deferred_new(&node, p->device, p->result, p->rank, p->shape) : NULL;
  for (int k = 0; k < row->n_inputs; k++) tv_release(node.in[k]);
  return true;
}

/* Comparisons that no common dtype carries exactly -------------------------------------------- */

static bool is_order(tvi_op op) {
  return op == TVI_OP_equal || op == TVI_OP_not_equal || op == TVI_OP_less ||
         op == TVI_OP_less_equal || op == TVI_OP_greater || op == TVI_OP_greater_equal;
}

/* The comparison with its sides exchanged. */
static tvi_op mirrored(tvi_op op) {
  switch (op) {
    case TVI_OP_less:
      return TVI_OP_greater;
    case TVI_OP_less_equal:
      return TVI_OP_greater_equal;
    case TVI_OP_greater:
      return TVI_OP_less;
    case TVI_OP_greater_equal:
      return TVI_OP_less_equal;
    default:
      return op;
  }
}

/* A weak integer that the other side's dtype cannot hold. */
static bool is_out_of_range(const tv_tensor *x, const tv_tensor *other) {
  return (x->weak.kind == TVI_WEAK_INT || x->weak.kind == TVI_WEAK_UINT) && !other->weak.kind &&
         tvi_is_integer(other->dtype) && !tvi_integer_fits(&x->weak, other->dtype);
}

static bool needs_exact_order(tvi_op op, tv_tensor *const *in) {
  if (!is_order(op)) return false;
  const tv_tensor *const a = in[0], *const b = in[1];
  return (a->dtype == TV_U64 && tvi_is_signed(b->dtype) && b->weak.kind != TVI_WEAK_INT) ||
         (b->dtype == TV_U64 && tvi_is_signed(a->dtype) && a->weak.kind != TVI_WEAK_INT) ||
         is_out_of_range(a, b) || is_out_of_range(b, a);
}

/* A side as 64 bits, unsigned if it may exceed int64. */
static tv_tensor *widened(tv_tensor *x, tv_device device) {
  return tvi_scope_own(
      x->weak.kind ? tvi_tensor_strong("compare", x, device)
                   : tvi_tensor_copy("compare", x, x->dtype == TV_U64 ? TV_U64 : TV_I64, device));
}

static tv_tensor *exact_order(tvi_op op, tv_tensor *const *in) {
  tv_device device;
  if (!is_on_one_device(ROW(op), in, &device)) return NULL;
  tv_scope scope;
  if (tv_scope_begin(&scope)) return NULL;
  tv_tensor *a = widened(in[0], device), *b = widened(in[1], device), *y = NULL;
  if (a && b && a->dtype == b->dtype) {
    y = tvi_elementwise(op, (tv_tensor *[]){a, b});
  } else if (a && b) {
    tv_tensor *const s = a->dtype == TV_I64 ? a : b, *const u = s == a ? b : a;
    const tvi_op order = s == a ? op : mirrored(op);
    tv_tensor *const is_negative = tv_less(s, tv_scalar(0));
    tv_tensor *const rest = tvi_elementwise(order, (tv_tensor *[]){tv_astype(s, TV_U64), u});
    const bool below =
        order == TVI_OP_less || order == TVI_OP_less_equal || order == TVI_OP_not_equal;
    y = below ? tv_logical_or(is_negative, rest)
              : tv_logical_and(tv_logical_not(is_negative), rest);
  }
  tv_scope_end(&scope, &y);
  return y;
}

/* Integers have no negative powers; found before anything is computed. */
static bool has_legal_exponents(tv_tensor *b) {
  int64_t least = 0;
  if (b->weak.kind) {
    least = b->weak.kind == TVI_WEAK_INT ? b->weak.i : 0;
  } else if (tvi_is_signed(b->dtype) && b->size) {
    tv_scope scope;
    if (tv_scope_begin(&scope)) return false;
    const tv_status status = tv_item_i64(tv_min(b, TV_ALL_AXES), &least);
    tv_scope_end(&scope, NULL);
    if (status) return false;
  }
  if (least >= 0) return true;
  return tvi_fail(TV_EVALUE,
                  "pow: integer to the negative integer power %lld: convert to a floating dtype",
                  (long long)least);
}

/* The ops ------------------------------------------------------------------------------------ */

static bool is_given(tvi_op op, tv_tensor *const *in) {
  const tvi_op_row *const row = ROW(op);
  for (int k = 0; k < row->n_inputs; k++)
    if (!in[k]) return tvi_null(row->name, (const char[]){row->inputs[k], '\0'});
  return true;
}

/* Small dense operands of one dtype and shape, and a result like them: nothing to promote, to
 * broadcast or to defer. */
static bool is_plain(const tvi_op_row *row, tv_tensor *const *in) {
  const tv_tensor *const first = in[0];
  if (row->kind != TVI_UNARY && row->kind != TVI_BINARY) return false;
  if (first->size > PLAIN || first->size == 0 || !(row->loops >> first->dtype & 1)) return false;
  for (int k = 0; k < row->n_inputs; k++)
    if (in[k]->weak.kind || !in[k]->is_contiguous || in[k]->dtype != first->dtype ||
        in[k]->device != first->device || tvi_is_deferred(in[k]) ||
        (k && !tvi_same_shape(in[k], first->rank, first->shape)))
      return false;
  return true;
}

static tv_tensor *plain(tvi_op op, tv_tensor *const *in) {
  const tvi_op_row *const row = ROW(op);
  tv_tensor *const y = tvi_tensor_like(in[0]);
  if (!y) return NULL;
  tv_elementwise job; /* filled in as far as it is read: clearing it costs as much as the rest */
  job.op = (int)op;
  job.op_name = row->name;
  job.dtype = y->dtype;
  job.rank = y->rank;
  job.shape = y->shape;
  job.n_inputs = row->n_inputs;
  job.out.data = y->data;
  job.out.steps = y->steps;
  job.out.is_immediate = false;
  tv_status status = TV_OK;
  for (int k = 0; k < row->n_inputs && !status; k++) {
    job.in[k].data = in[k]->data;
    job.in[k].steps = in[k]->steps;
    job.in[k].is_immediate = false;
    status = tvi_stream_reads(in[k]);
  }
  if (!status)
    status = TVI_CALL(tvi_device_at(y->device), elementwise, row->name, y->dtype, &job,
                      tvi_stream_now(y->device));
  if (!status) return y;
  tv_release(y);
  return NULL;
}

tv_tensor *tvi_elementwise(tvi_op op, tv_tensor *const *in) {
  plan p;
  if (!is_given(op, in) || !tvi_scope_is_open(ROW(op)->name)) return NULL;
  /* Of a real tensor these are the tensor itself, which costs nothing. */
  if ((op == TVI_OP_conj || op == TVI_OP_real) && !tvi_is_complex(in[0]->dtype)) return in[0];
  if (is_plain(ROW(op), in) && (op != TVI_OP_pow || !tvi_is_integer(in[0]->dtype)))
    return tvi_finish(&tvi_op_rules[op], plain(op, in), ROW(op)->n_inputs, in, 0, NULL);
  if (needs_exact_order(op, in)) return exact_order(op, in);
  if (!plan_make(op, in, &p)) return NULL;
  if (op == TVI_OP_pow && tvi_is_integer(p.loop) && !has_legal_exponents(in[1])) return NULL;
  tv_tensor *y = NULL;
  if (!defer(op, in, &p, &y)) {
    y = tvi_tensor_new(ROW(op)->name, p.device, p.result, p.rank, p.shape);
    if (y && plan_run(op, in, &p, y)) {
      tv_release(y);
      y = NULL;
    }
  }
  return tvi_finish(&tvi_op_rules[op], y, ROW(op)->n_inputs, in, 0, NULL);
}

tv_status tvi_elementwise_into(tvi_op op, tv_tensor *const *in, tv_tensor *out) {
  plan p;
  if (!is_given(op, in) || !plan_make(op, in, &p)) return tvi_failure();
  tv_tensor *y = NULL;
  const bool is_deferred = out->is_contiguous && defer(op, in, &p, &y);
  tv_status status = is_deferred && !y ? tvi_failure() : tvi_stream_writes(out);
  if (!status) status = y ? tvi_program_into(y, out) : plan_run(op, in, &p, out);
  tv_release(y);
  return status ? status : tvi_stream_wrote(out);
}

/* The public bodies. */
#define ONE(name, ...) \
  tv_tensor *tv_##name(tv_tensor *x) { return tvi_elementwise(TVI_OP_##name, &x); }
#define TWO(name, ...)                                                 \
  tv_tensor *tv_##name(tv_tensor *a, tv_tensor *b) {                   \
    return tvi_elementwise(TVI_OP_##name, (tv_tensor *const[]){a, b}); \
  }
#define UNARY ONE
#define PART ONE
#define TEST ONE
#define BINARY TWO
#define COMPARE TWO
#define SELECT(name, ...)                                                 \
  tv_tensor *tv_##name(tv_tensor *c, tv_tensor *a, tv_tensor *b) {        \
    return tvi_elementwise(TVI_OP_##name, (tv_tensor *const[]){c, a, b}); \
  }
#define BOUNDED(name, ...)                                                \
  tv_tensor *tv_##name(tv_tensor *x, tv_tensor *a, tv_tensor *b) {        \
    return tvi_elementwise(TVI_OP_##name, (tv_tensor *const[]){x, a, b}); \
  }
#include "ops.def"
