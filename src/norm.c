/* SPDX-License-Identifier: MIT
 * Layer norm.
 *
 * As softmax: composed of public ops with recording paused and recorded as one, or done by the
 * device's slot `rows` where it takes layer norm, with the same bits; the gradients are composed of
 * public ops on x. */
#include <tensorvar/norm.h>

#include <math.h>
#include <string.h>
#include <tensorvar/ops.h>
#include <tensorvar/reduce.h>

#include "range.h"
#include "scope.h"
#include "softmax.h"
#include "status.h"
#include "stream.h"
#include "thread.h"
#include "variable/tape.h"

static const char who[] = "layer_norm";

static tv_tensor *mean_over(tv_tensor *x, int first) {
  const tv_reduce_options kept = {.size = sizeof kept, .keepdims = true, .dtype = TV_DTYPE_NONE};
  int64_t axes[TV_MAX_RANK];
  int n = 0;
  for (int axis = first; x && axis < x->rank; axis++) axes[n++] = axis;
  return tv_mean_with(x, n, axes, &kept);
}

/* x of its wide dtype with mean 0 and variance 1 over the axes from `first` on; and what it was
 * divided by. */
static tv_tensor *normal(tv_tensor *x, int first, double epsilon, tv_tensor **root) {
  x = tv_astype(x, tvi_wide(tv_tensor_dtype(x)));
  tv_tensor *const z = tv_subtract(x, mean_over(x, first));
  *root = tv_sqrt(tv_add(mean_over(tv_square(z), first), tv_scalar(epsilon)));
  return tv_divide(z, *root);
}

/* Recorded: the first axis, the bits of epsilon, and whether there is a gamma. */
enum { FIRST, EPSILON, HAS_GAMMA, NUMBERS };

static double epsilon_of(const tvi_saved *s) {
  double epsilon;
  memcpy(&epsilon, &s->numbers[EPSILON], sizeof epsilon);
  return epsilon;
}

/* With h = g gamma and y = (x - mean) / root: (h - mean(h) - y mean(h y)) / root */
static tv_tensor *gradient_of_x(const tvi_saved *s, tv_tensor *g) {
  const int first = (int)s->numbers[FIRST];
  const tv_dtype dtype = tvi_wide(s->spec->dtype);
  tv_tensor *root, *const y = normal(s->in[0], first, epsilon_of(s), &root);
  tv_tensor *h = tv_astype(g, dtype);
  if (s->numbers[HAS_GAMMA]) h = tv_multiply(h, tv_astype(s->in[1], dtype));
  tv_tensor *const along = tv_multiply(y, mean_over(tv_multiply(h, y), first));
  return tv_divide(tv_subtract(tv_subtract(h, mean_over(h, first)), along), root);
}
static tv_tensor *gradient_of_gamma(const tvi_saved *s, tv_tensor *g) {
  tv_tensor *root, *const y = normal(s->in[0], (int)s->numbers[FIRST], epsilon_of(s), &root);
  return tv_multiply(tv_astype(g, tvi_wide(s->spec->dtype)), y);
}
static tv_tensor *gradient_of_beta(const tvi_saved *s, tv_tensor *g) {
  return tv_astype(g, tvi_wide(s->spec->dtype));
}

static const tvi_rule plain_rule = {.name = who, .in = {{TVI_USES_IN0, gradient_of_x}}};
static const tvi_rule shifted_rule = {
    .name = who, .in = {{TVI_USES_IN0, gradient_of_x}, {TVI_USES_NONE, gradient_of_beta}}};
static const tvi_rule scaled_rule = {.name = who,
                                     .in = {{TVI_USES_IN0 | TVI_USES_IN1, gradient_of_x},
                                            {TVI_USES_IN0, gradient_of_gamma},
                                            {TVI_USES_NONE, gradient_of_beta}}};

static tv_tensor *composed(tv_tensor *x, int first, tv_tensor *gamma, tv_tensor *beta,
                           double epsilon) {
  tv_tensor *root, *y = normal(x, first, epsilon, &root);
  const tv_dtype dtype = tvi_wide(x->dtype);
  if (gamma) y = tv_multiply(y, tv_astype(gamma, dtype));
  if (beta) y = tv_add(y, tv_astype(beta, dtype));
  return tv_retain(tv_astype(y, x->dtype));
}

static bool has_slot(const tv_tensor *x) {
  const tv_backend *const backend = &tvi_device_at(tvi_tensor_on(x))->backend;
  return backend->rows && backend->more_rows >> TV_ROWS_LAYER_NORM & 1;
}

/* Elements in C order, ready to be read; the scope's. NULL stays NULL. */
static const void *input(tv_tensor *x, bool *is_done) {
  tv_tensor *const y = x ? tvi_scope_own(tvi_tensor_compact(who, x)) : NULL;
  if (x && (!y || tvi_stream_reads(y))) *is_done = false;
  return y ? y->data : NULL;
}

static tv_tensor *by_rows(tv_tensor *x, int first, tv_tensor *gamma, tv_tensor *beta,
                          double epsilon) {
  bool is_done = true;
  tv_rows job = {.op = TV_ROWS_LAYER_NORM,
                 .dtype = x->dtype,
                 .rows = 1,
                 .columns = 1,
                 .x = input(x, &is_done),
                 .gamma = input(gamma, &is_done),
                 .beta = input(beta, &is_done),
                 .epsilon = epsilon};
  for (int axis = 0; axis < x->rank; axis++)
    *(axis < first ? &job.rows : &job.columns) *= x->shape[axis];
  tv_tensor *const y =
      is_done ? tvi_tensor_new(who, tvi_tensor_on(x), x->dtype, x->rank, x->shape) : NULL;
  if (!y) return NULL;
  job.out = y->data;
  tvi_device *const on = tvi_device_at(tvi_tensor_on(x));
  if (!TVI_CALL(on, rows, who, x->dtype, &job, tvi_stream_now(tvi_tensor_on(x)))) return y;
  tv_release(y);
  return NULL;
}

static bool fits(const tv_tensor *x, int first, const tv_tensor *part, const char *name) {
  tvi_text left, right;
  if (!part) return true;
  if (part->dtype != x->dtype)
    return tvi_fail(TV_EDTYPE, "%s: x is %s, %s %s", who, tv_dtype_name(x->dtype), name,
                    tv_dtype_name(part->dtype));
  if (!tvi_same_shape(part, x->rank - first, x->shape + first))
    return tvi_fail(TV_ESHAPE, "%s: %s has shape %s, the axes %s", who, name,
                    tvi_shape_text(&left, part->rank, part->shape),
                    tvi_shape_text(&right, x->rank - first, x->shape + first));
  if (tvi_tensor_on(part) != tvi_tensor_on(x))
    return tvi_fail(TV_EDEVICE, "%s: x is on %s, %s on %s", who,
                    tvi_device_at(tvi_tensor_on(x))->name, name,
                    tvi_device_at(tvi_tensor_on(part))->name);
  return true;
}

tv_tensor *tv_layer_norm(tv_tensor *x, int64_t axis, tv_tensor *gamma, tv_tensor *beta,
                         double epsilon) {
  tv_scope scope;
  if (!x) return tvi_null(who, "x");
  /* What is NULL after a failure is not left out, but failed. */
  if ((!gamma || !beta) && tv_error()) return NULL;
  if (!tvi_scope_is_open(who)) return NULL;
  if (!tvi_is_real_floating(x->dtype))
    return tvi_fail(TV_EDTYPE, "%s: does not take %s", who, tv_dtype_name(x->dtype));
  const int first = tvi_axis(who, axis, x->rank);
  if (first < 0 || !fits(x, first, gamma, "gamma") || !fits(x, first, beta, "beta")) return NULL;
  if (!tvi_in_range(who, "epsilon", epsilon, TVI_AT_LEAST_0)) return NULL;
  tv_tensor *y = NULL;
  if (x->size == 0) {
    y = tvi_tensor_new(who, tvi_tensor_on(x), x->dtype, x->rank, x->shape);
  } else if (!tvi_scope_open(&scope)) {
    tvi_self.paused++;
    y = (has_slot(x) ? by_rows : composed)(x, first, gamma, beta, epsilon);
    tvi_self.paused--;
    tvi_scope_close(&scope);
  }
  int64_t numbers[NUMBERS] = {[FIRST] = first, [HAS_GAMMA] = gamma != NULL};
  memcpy(&numbers[EPSILON], &epsilon, sizeof epsilon);
  tv_tensor *in[3] = {x};
  int n = 1;
  if (gamma) in[n++] = gamma;
  if (beta) in[n++] = beta;
  const tvi_rule *const rule = gamma ? &scaled_rule : beta ? &shifted_rule : &plain_rule;
  return tvi_finish(rule, y, n, in, NUMBERS, numbers);
}
