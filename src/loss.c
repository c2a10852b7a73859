/* SPDX-License-Identifier: MIT
 * Losses.
 *
 * The forward pass is composed of public ops with recording paused, and recorded as one: a tape
 * then keeps logits and labels instead of what lies between. The gradient is composed of public ops
 * too, on the logits themselves, so that it has a gradient in turn. A device with the slot `rows`
 * does the first in one pass, and the second where nothing records it; the bits are the same. */
#include <tensorvar/index.h>
#include <tensorvar/loss.h>
#include <tensorvar/ops.h>
#include <tensorvar/reduce.h>
#include <tensorvar/shape.h>
#include <tensorvar/tape.h>

#include "device.h"
#include "index.h"
#include "scope.h"
#include "softmax.h"
#include "status.h"
#include "tensor.h"
#include "thread.h"
#include "variable/tape.h"

/* The same by the device's slot, where nobody asks for its gradient in turn. The labels were found
 * in range before. */
static tv_tensor *gradient_by_rows(const tvi_saved *s, tv_tensor *g) {
  tv_tensor *const labels = tv_astype(tv_to(s->in[1], tvi_tensor_on(s->in[0])), TV_I64);
  g = tv_astype(g, s->spec->dtype);
  if (!labels || !g) return NULL;
  return tvi_scope_own(
      tvi_rows("softmax_cross_entropy", TV_ROWS_CROSS_ENTROPY_GRADIENT, s->in[0], g, labels));
}

/* g (softmax(logits) - one_hot(labels)) */
static tv_tensor *entropy_gradient(const tvi_saved *s, tv_tensor *g) {
  if (!tvi_is_recording() && tvi_has_rows(s->in[0]) && tvi_tensor_on(g) == tvi_tensor_on(s->in[0]))
    return gradient_by_rows(s, g);
  const tv_reduce_options kept = {.size = sizeof kept, .keepdims = true, .dtype = TV_DTYPE_NONE};
  const tv_dtype dtype = tvi_wide(s->spec->dtype);
  const int64_t classes = s->spec->shape[s->spec->rank - 1];
  tv_tensor *const e = tv_exp(tvi_lowered(s->in[0], -1));
  tv_tensor *const softmax = tv_divide(e, tv_sum_with(e, TV_AXES(-1), &kept));
  tv_tensor *labels = s->in[1];
  if (tv_tensor_is_weak(labels)) labels = tv_to(labels, tv_tensor_device(g));
  return tv_multiply(tv_expand_dims(tv_astype(g, dtype), -1),
                     tv_subtract(softmax, tv_one_hot(labels, classes, dtype)));
}
static const tvi_rule entropy_rule = {.name = "softmax_cross_entropy",
                                      .in = {{TVI_USES_IN0 | TVI_USES_IN1, entropy_gradient}}};

/* logsumexp(row) - row[label], both of the lowered row. `labels` are positions. */
static tv_tensor *entropy(tv_tensor *logits, tv_tensor *labels) {
  const int64_t classes = logits->shape[logits->rank - 1], n = labels->size;
  const tv_device current = tvi_self.device;
  tvi_self.device = tvi_tensor_on(logits);
  tv_tensor *const row_starts = tv_multiply(tv_arange_int(TV_I64, 0, n, 1), tv_scalar(classes));
  tvi_self.device = current;
  tv_tensor *const z = tvi_lowered(logits, -1);
  tv_tensor *const at = tv_add(row_starts, tv_reshape(labels, TV_SHAPE(n)));
  tv_tensor *const picked = tv_take(tv_reshape(z, TV_SHAPE(n * classes)), at, 0);
  tv_tensor *const log_sum = tv_log(tv_sum(tv_exp(z), TV_AXES(-1)));
  return tv_astype(tv_subtract(log_sum, tv_reshape(picked, labels->rank, labels->shape)),
                   logits->dtype);
}

static bool are_legal(const tv_tensor *logits, const tv_tensor *labels) {
  tvi_text left, right;
  const int classes = logits->rank - 1;
  if (!tvi_is_real_floating(logits->dtype))
    return tvi_fail(TV_EDTYPE, "softmax_cross_entropy: logits are %s, not real floating",
                    tv_dtype_name(logits->dtype));
  if (logits->rank == 0 || !tvi_same_shape(labels, classes, logits->shape))
    return tvi_fail(TV_ESHAPE, "softmax_cross_entropy: shapes do not fit: logits %s, labels %s",
                    tvi_shape_text(&left, logits->rank, logits->shape),
                    tvi_shape_text(&right, labels->rank, labels->shape));
  if (logits->shape[classes] == 0)
    return tvi_fail(TV_ESHAPE, "softmax_cross_entropy: no classes: logits %s",
                    tvi_shape_text(&left, logits->rank, logits->shape));
  return true;
}

tv_tensor *tv_softmax_cross_entropy(tv_tensor *logits, tv_tensor *labels) {
  const char *const who = "softmax_cross_entropy";
  tv_scope scope;
  if (!logits || !labels) return tvi_null(who, logits ? "labels" : "logits");
  if (!tvi_scope_is_open(who) || !are_legal(logits, labels)) return NULL;
  tv_tensor *const positions = tvi_positions(who, "label", labels, tvi_tensor_on(logits),
                                             logits->shape[logits->rank - 1], false);
  if (!positions || tvi_scope_open(&scope)) {
    tv_release(positions);
    return NULL;
  }
  tvi_self.paused++;
  tv_tensor *const y = tvi_has_rows(logits)
                           ? tvi_rows(who, TV_ROWS_CROSS_ENTROPY, logits, NULL, positions)
                           : tv_retain(entropy(logits, positions));
  tvi_self.paused--;
  tvi_scope_close(&scope);
  tv_release(positions);
  return tvi_finish(&entropy_rule, y, 2, (tv_tensor *const[]){logits, labels}, 0, NULL);
}
