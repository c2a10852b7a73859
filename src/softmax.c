/* SPDX-License-Identifier: MIT
 * softmax and log-softmax.
 *
 * The forward pass is composed of public ops with recording paused, and recorded as one; a device
 * with the slot `rows` takes whole rows at once instead, with the same bits. Gradients are composed
 * of public ops on the result, so that they have gradients in turn. */
#include "softmax.h"

#include <tensorvar/loss.h>
#include <tensorvar/ops.h>
#include <tensorvar/reduce.h>
#include <tensorvar/shape.h>
#include <tensorvar/tape.h>

#include "scope.h"
#include "status.h"
#include "stream.h"
#include "thread.h"
#include "variable/tape.h"

static tv_tensor *total(tv_tensor *x, int64_t axis) {
  const tv_reduce_options kept = {.size = sizeof kept, .keepdims = true, .dtype = TV_DTYPE_NONE};
  return tv_sum_with(x, TV_AXES(axis), &kept);
}

tv_tensor *tvi_lowered(tv_tensor *x, int64_t axis) {
  const tv_reduce_options kept = {.size = sizeof kept, .keepdims = true, .dtype = TV_DTYPE_NONE};
  x = tv_astype(x, tvi_wide(tv_tensor_dtype(x)));
  return tv_subtract(x, tv_max_with(tv_stop_gradient(x), TV_AXES(axis), &kept));
}

/* Rows ---------------------------------------------------------------------------------------- */

/* Work that reads these follows on the thread's stream. NULL: there is none. */
static bool are_ready(int n, tv_tensor *const *inputs) {
  for (int i = 0; i < n; i++)
    if (inputs[i] && tvi_stream_reads(inputs[i])) return false;
  return true;
}

tv_tensor *tvi_rows(const char *who, tv_row_op op, tv_tensor *x, tv_tensor *g, tv_tensor *labels) {
  tv_tensor *const given[] = {x, g, labels};
  tv_tensor *in[3] = {NULL};
  tv_tensor *y = NULL;
  bool is_done = true;
  for (int i = 0; i < 3 && is_done; i++) {
    in[i] = given[i] ? tvi_tensor_compact(who, given[i]) : NULL;
    is_done = in[i] || !given[i];
  }
  if (is_done)
    y = tvi_tensor_new(who, tvi_tensor_on(x), x->dtype, x->rank - (op == TV_ROWS_CROSS_ENTROPY),
                       x->shape);
  if (y && y->size) {
    const int64_t columns = x->shape[x->rank - 1];
    const tv_rows job = {.op = op,
                         .dtype = x->dtype,
                         .rows = x->size / columns,
                         .columns = columns,
                         .x = in[0]->data,
                         .g = in[1] ? in[1]->data : NULL,
                         .labels = in[2] ? (const int64_t *)(const void *)in[2]->data : NULL,
                         .out = y->data};
    tvi_device *const on = tvi_device_at(tvi_tensor_on(x));
    if (!are_ready(3, in) ||
        TVI_CALL(on, rows, who, x->dtype, &job, tvi_stream_now(tvi_tensor_on(x)))) {
      tv_release(y);
      y = NULL;
    }
  }
  for (int i = 0; i < 3; i++) tv_release(in[i]);
  return y;
}

/* x with an axis moved to the end, or back from there. */
static tv_tensor *turned(tv_tensor *x, int axis, bool is_back) {
  int64_t axes[TV_MAX_RANK];
  const int last = x->rank - 1;
  for (int k = 0; k < x->rank; k++) axes[k] = k < axis ? k : is_back ? k - 1 : k + 1;
  axes[is_back ? axis : last] = is_back ? last : axis;
  return axis == last ? x : tv_permute_dims(x, x->rank, axes);
}

static tv_tensor *by_rows(const char *who, tv_row_op op, tv_tensor *x, int axis) {
  tv_tensor *const rows = turned(x, axis, false);
  tv_tensor *const y = rows ? tvi_scope_own(tvi_rows(who, op, rows, NULL, NULL)) : NULL;
  return y ? turned(y, axis, true) : NULL;
}

/* The ops ------------------------------------------------------------------------------------- */

/* y (g - sum(g y)) */
static tv_tensor *softmax_gradient(const tvi_saved *s, tv_tensor *g) {
  const tv_dtype dtype = tvi_wide(s->spec->dtype);
  tv_tensor *const y = tv_astype(s->out, dtype);
  g = tv_astype(g, dtype);
  return tv_multiply(y, tv_subtract(g, total(tv_multiply(g, y), s->numbers[0])));
}
static const tvi_rule softmax_rule = {.name = "softmax", .in = {{TVI_USES_OUT, softmax_gradient}}};

/* g - exp(y) sum(g) */
static tv_tensor *log_softmax_gradient(const tvi_saved *s, tv_tensor *g) {
  const tv_dtype dtype = tvi_wide(s->spec->dtype);
  tv_tensor *const y = tv_astype(s->out, dtype);
  g = tv_astype(g, dtype);
  return tv_subtract(g, tv_multiply(tv_exp(y), total(g, s->numbers[0])));
}
static const tvi_rule log_softmax_rule = {.name = "log_softmax",
                                          .in = {{TVI_USES_OUT, log_softmax_gradient}}};

static tv_tensor *composed(tv_row_op op, tv_tensor *x, int axis) {
  tv_tensor *const z = tvi_lowered(x, axis), *const e = tv_exp(z), *const sum = total(e, axis);
  tv_tensor *const y = op == TV_ROWS_SOFTMAX ? tv_divide(e, sum) : tv_subtract(z, tv_log(sum));
  return tv_astype(y, x->dtype);
}

static tv_tensor *softmax(const tvi_rule *rule, tv_row_op op, tv_tensor *x, int64_t axis) {
  tv_scope scope;
  if (!x) return tvi_null(rule->name, "x");
  if (!tvi_scope_is_open(rule->name)) return NULL;
  if (!tvi_is_real_floating(x->dtype))
    return tvi_fail(TV_EDTYPE, "%s: does not take %s", rule->name, tv_dtype_name(x->dtype));
  const int at = tvi_axis(rule->name, axis, x->rank);
  if (at < 0) return NULL;
  tv_tensor *y = NULL;
  if (x->size == 0) {
    y = tvi_tensor_new(rule->name, tvi_tensor_on(x), x->dtype, x->rank, x->shape);
  } else if (!tvi_scope_open(&scope)) {
    tvi_self.paused++;
    y = tvi_has_rows(x) ? by_rows(rule->name, op, x, at) : composed(op, x, at);
    y = tv_retain(y);
    tvi_self.paused--;
    tvi_scope_close(&scope);
  }
  return tvi_finish(rule, y, 1, &x, 1, &(int64_t){at});
}

tv_tensor *tv_softmax(tv_tensor *x, int64_t axis) {
  return softmax(&softmax_rule, TV_ROWS_SOFTMAX, x, axis);
}

tv_tensor *tv_log_softmax(tv_tensor *x, int64_t axis) {
  return softmax(&log_softmax_rule, TV_ROWS_LOG_SOFTMAX, x, axis);
}
