/* SPDX-License-Identifier: MIT
 * Reductions over axes: sum, mean, max, min, argmax, argmin.
 *
 * A job for the backend is x itself with its axes in another order, those that stay before those
 * that go: nothing is copied but what needs another dtype. Tapes record the axes that went, a bit
 * each, and how many elements each result was made of. */
#include <tensorvar/ops.h>
#include <tensorvar/reduce.h>
#include <tensorvar/shape.h>

#include "deferred.h"
#include "device.h"
#include "elementwise.h"
#include "program.h"
#include "scope.h"
#include "status.h"
#include "stream.h"
#include "tensor.h"
#include "thread.h"
#include "variable/tape.h"

/* What a call asks for, once it is known to be legal. */
typedef struct {
  const char *who;
  bool keepdims, is_named[TV_MAX_RANK];
  tv_dtype dtype;     /* x is converted to it first */
  int64_t numbers[2]; /* axes that go, elements per result */
} plan;

static bool is_half(tv_dtype dtype) { return dtype == TV_F16 || dtype == TV_BF16; }

/* Options, axes and NULLs. The dtype is that of the options, or TV_DTYPE_NONE. */
static bool plan_make(const char *who, tv_tensor *x, int n_axes, const int64_t *axes,
                      const tv_reduce_options *options, plan *p) {
  const tv_reduce_options defaults = TV_REDUCE_OPTIONS;
  const tv_reduce_options *const o = options ? options : &defaults;
  if (!x) return tvi_null(who, "x");
  if (!tvi_scope_is_open(who) || !tvi_options_fit(who, o->size, sizeof *o) ||
      !tvi_axes(who, x->rank, n_axes, axes, p->is_named))
    return false;
  if (o->dtype != TV_DTYPE_NONE && !tvi_is_dtype(o->dtype))
    return tvi_fail(TV_EDTYPE, "%s: %d is no dtype", who, (int)o->dtype);
  uint64_t mask = 0;
  p->numbers[1] = 1;
  for (int k = 0; k < x->rank; k++)
    if (p->is_named[k]) {
      mask |= UINT64_C(1) << k;
      p->numbers[1] *= x->shape[k]; /* at most the size of x, or there are none */
    }
  p->numbers[0] = (int64_t)mask;
  p->who = who;
  p->keepdims = o->keepdims;
  p->dtype = o->dtype;
  return true;
}

/* x as a tensor of the plan's dtype, retained. */
static tv_tensor *operand(const plan *p, tv_tensor *x) {
  if (tvi_is_complex(x->dtype) && !tvi_is_complex(p->dtype) && p->dtype != TV_BOOL)
    return tvi_fail(TV_EDTYPE, "%s: from %s to %s: take tv_real or tv_imag first", p->who,
                    tv_dtype_name(x->dtype), tv_dtype_name(p->dtype));
  tv_tensor *const strong = tvi_tensor_strong(p->who, x, tvi_self.device);
  if (!strong || strong->dtype == p->dtype) return strong;
  tv_tensor *y = NULL;
  if (!tvi_deferred_cast(strong, p->dtype, &y))
    y = tvi_tensor_copy(p->who, strong, p->dtype, tvi_tensor_on(strong));
  tv_release(strong);
  return y;
}

/* The slot: straight from the program of a deferred operand where that is possible. */
static tv_status run(const plan *p, tv_tensor *in, tv_reduce *job) {
  tvi_device *const on = tvi_device_at(tvi_tensor_on(in));
  const bool is_arg = job->reduction == TV_REDUCE_ARGMAX || job->reduction == TV_REDUCE_ARGMIN;
  if (tvi_is_deferred(in) && !tvi_is_deferred_rows(in) && !is_arg) {
    bool is_left;
    const tv_status status = tvi_program_reduce(p->who, in, job, &is_left);
    if (is_left || status) return status;
  }
  if (tvi_settle(in) || tvi_stream_reads(in)) return tvi_failure();
  job->in.data = in->data;
  return TVI_CALL(on, reduce, p->who, p->dtype, job, tvi_stream_now(tvi_tensor_on(in)));
}

/* Run it; the caller has the one count of the result. */
static tv_tensor *reduced(const plan *p, tv_reduction reduction, tv_tensor *x, tv_dtype out_dtype) {
  int64_t shape[TV_MAX_RANK], steps[TV_MAX_RANK], left[TV_MAX_RANK];
  int rank = 0, at = 0;
  tv_tensor *const in = operand(p, x);
  if (!in) return NULL;
  tv_reduce job = {.reduction = reduction,
                   .dtype = p->dtype,
                   .out_dtype = out_dtype,
                   .rank = in->rank,
                   .shape = shape,
                   .in = {.steps = steps}};
  for (int goes = 0; goes < 2; goes++) {
    for (int k = 0; k < in->rank; k++)
      if (p->is_named[k] == goes) {
        shape[at] = in->shape[k];
        steps[at++] = in->steps[k];
      }
    if (!goes) job.kept = at;
  }
  for (int k = 0; k < in->rank; k++)
    if (!p->is_named[k] || p->keepdims) left[rank++] = p->is_named[k] ? 1 : in->shape[k];
  tv_tensor *y = tvi_tensor_new(p->who, tvi_tensor_on(in), out_dtype, rank, left);
  if (y && y->size) {
    job.out = y->data;
    if (run(p, in, &job)) {
      tv_release(y);
      y = NULL;
    }
  }
  tv_release(in);
  return y;
}

/* y in another dtype, in its place. */
static tv_tensor *rounded(const char *who, tv_tensor *y, tv_dtype dtype) {
  if (!y || y->dtype == dtype) return y;
  tv_tensor *const narrow = tvi_tensor_copy(who, y, dtype, tvi_tensor_on(y));
  tv_release(y);
  return narrow;
}

/* Back to x: one element per result, with the axes that went of size 1. */
static tv_tensor *per_result(const tvi_saved *s, tv_tensor *t) {
  int64_t shape[TV_MAX_RANK];
  for (int k = 0; k < s->spec->rank; k++)
    shape[k] = (uint64_t)s->numbers[0] >> k & 1 ? 1 : s->spec->shape[k];
  return tv_reshape(t, s->spec->rank, shape);
}

/* Sum and mean ------------------------------------------------------------------------------- */

static tv_tensor *sum_gradient(const tvi_saved *s, tv_tensor *g) {
  return tv_broadcast_to(per_result(s, g), s->spec->rank, s->spec->shape);
}
static const tvi_rule sum_rule = {.name = "sum", .in = {{TVI_USES_NONE, sum_gradient}}};

static tv_dtype sum_dtype(tv_dtype dtype) {
  if (dtype == TV_BOOL || tvi_is_signed(dtype)) return TV_I64;
  return tvi_is_integer(dtype) ? TV_U64 : dtype;
}

tv_tensor *tv_sum_with(tv_tensor *x, int n_axes, const int64_t *axes,
                       const tv_reduce_options *options) {
  plan p;
  if (!plan_make("sum", x, n_axes, axes, options, &p)) return NULL;
  if (p.dtype == TV_DTYPE_NONE) p.dtype = sum_dtype(x->dtype);
  /* In bool, adding is or: the largest, if there is one. */
  const bool is_or = p.dtype == TV_BOOL;
  if (is_or && p.numbers[1] == 0) p.dtype = sum_dtype(x->dtype);
  tv_tensor *const y = reduced(&p, p.dtype == TV_BOOL ? TV_REDUCE_MAX : TV_REDUCE_SUM, x,
                               is_half(p.dtype) ? TV_F32 : p.dtype);
  return tvi_finish(&sum_rule, rounded(p.who, y, is_or ? TV_BOOL : p.dtype), 1, &x, 2, p.numbers);
}

tv_tensor *tv_sum(tv_tensor *x, int n_axes, const int64_t *axes) {
  return tv_sum_with(x, n_axes, axes, NULL);
}

static tv_tensor *mean_gradient(const tvi_saved *s, tv_tensor *g) {
  return sum_gradient(s, tv_divide(g, tv_scalar_int(s->numbers[1])));
}
static const tvi_rule mean_rule = {.name = "mean", .in = {{TVI_USES_NONE, mean_gradient}}};

tv_tensor *tv_mean_with(tv_tensor *x, int n_axes, const int64_t *axes,
                        const tv_reduce_options *options) {
  plan p;
  if (!plan_make("mean", x, n_axes, axes, options, &p)) return NULL;
  if (p.dtype == TV_DTYPE_NONE) p.dtype = tvi_is_inexact(x->dtype) ? x->dtype : TV_F64;
  if (!tvi_is_inexact(p.dtype))
    return tvi_fail(TV_EDTYPE, "mean: a mean in %s is no mean: use a floating dtype",
                    tv_dtype_name(p.dtype));
  tv_tensor *y = reduced(&p, TV_REDUCE_SUM, x, is_half(p.dtype) ? TV_F32 : p.dtype);
  tv_tensor *const n =
      y ? tvi_tensor_weak(TV_I64, (tvi_weak){.kind = TVI_WEAK_INT, .i = p.numbers[1]}) : NULL;
  if (!n || tvi_elementwise_into(TVI_OP_divide, (tv_tensor *const[]){y, n}, y)) {
    tv_release(y);
    y = NULL;
  }
  tv_release(n);
  return tvi_finish(&mean_rule, rounded(p.who, y, p.dtype), 1, &x, 2, p.numbers);
}

tv_tensor *tv_mean(tv_tensor *x, int n_axes, const int64_t *axes) {
  return tv_mean_with(x, n_axes, axes, NULL);
}

/* Largest and smallest ----------------------------------------------------------------------- */

/* g in equal parts to those that equal the result. Nothing equals NaN: 0 / 0 then makes all NaN. */
static tv_tensor *extremum_gradient(const tvi_saved *s, tv_tensor *g) {
  const tv_reduce_options kept = {.size = sizeof kept, .keepdims = true, .dtype = TV_DTYPE_NONE};
  /* The number of ties may be beyond what a half can count. */
  const tv_dtype dtype = is_half(tv_tensor_dtype(g)) ? TV_F32 : tv_tensor_dtype(g);
  int64_t axes[TV_MAX_RANK];
  int n = 0;
  for (int k = 0; k < s->spec->rank; k++)
    if ((uint64_t)s->numbers[0] >> k & 1) axes[n++] = k;
  tv_tensor *const wins = tv_equal(tv_astype(s->in[0], s->out->dtype), per_result(s, s->out));
  tv_tensor *const ties = tv_sum_with(wins, n, axes, &kept);
  tv_tensor *const share = tv_divide(tv_astype(wins, dtype), tv_astype(ties, dtype));
  return tv_multiply(tv_astype(per_result(s, g), dtype), share);
}
static const tvi_rule max_rule = {.name = "max",
                                  .in = {{TVI_USES_IN0 | TVI_USES_OUT, extremum_gradient}}};
static const tvi_rule min_rule = {.name = "min",
                                  .in = {{TVI_USES_IN0 | TVI_USES_OUT, extremum_gradient}}};

/* There is an order, and something to choose from. */
static bool can_choose(plan *p, const tv_tensor *x) {
  tvi_text text;
  if (p->dtype == TV_DTYPE_NONE) p->dtype = x->dtype;
  if (tvi_is_complex(p->dtype))
    return tvi_fail(TV_EDTYPE, "%s: does not take %s", p->who, tv_dtype_name(p->dtype));
  if (p->numbers[1] == 0)
    return tvi_fail(TV_ESHAPE, "%s: no elements to choose from in shape %s", p->who,
                    tvi_shape_text(&text, x->rank, x->shape));
  return true;
}

static tv_tensor *extremum(const tvi_rule *rule, tv_reduction reduction, tv_tensor *x, int n_axes,
                           const int64_t *axes, const tv_reduce_options *options) {
  plan p;
  if (!plan_make(rule->name, x, n_axes, axes, options, &p) || !can_choose(&p, x)) return NULL;
  return tvi_finish(rule, reduced(&p, reduction, x, p.dtype), 1, &x, 2, p.numbers);
}

tv_tensor *tv_max_with(tv_tensor *x, int n_axes, const int64_t *axes,
                       const tv_reduce_options *options) {
  return extremum(&max_rule, TV_REDUCE_MAX, x, n_axes, axes, options);
}

tv_tensor *tv_max(tv_tensor *x, int n_axes, const int64_t *axes) {
  return tv_max_with(x, n_axes, axes, NULL);
}

tv_tensor *tv_min_with(tv_tensor *x, int n_axes, const int64_t *axes,
                       const tv_reduce_options *options) {
  return extremum(&min_rule, TV_REDUCE_MIN, x, n_axes, axes, options);
}

tv_tensor *tv_min(tv_tensor *x, int n_axes, const int64_t *axes) {
  return tv_min_with(x, n_axes, axes, NULL);
}

/* Where they are ----------------------------------------------------------------------------- */

static const tvi_rule argmax_rule = {.name = "argmax"};
static const tvi_rule argmin_rule = {.name = "argmin"};

static tv_tensor *position(const tvi_rule *rule, tv_reduction reduction, tv_tensor *x, int n_axes,
                           const int64_t *axes, const tv_reduce_options *options) {
  plan p;
  if (!plan_make(rule->name, x, n_axes, axes, options, &p)) return NULL;
  if (n_axes == 0 || n_axes > 1)
    return tvi_fail(TV_EVALUE, "%s: %d axes: name one, or TV_ALL_AXES", rule->name, n_axes);
  if (!can_choose(&p, x)) return NULL;
  return tvi_finish(rule, reduced(&p, reduction, x, TV_I64), 1, &x, 0, NULL);
}

tv_tensor *tv_argmax_with(tv_tensor *x, int n_axes, const int64_t *axes,
                          const tv_reduce_options *options) {
  return position(&argmax_rule, TV_REDUCE_ARGMAX, x, n_axes, axes, options);
}

tv_tensor *tv_argmax(tv_tensor *x, int n_axes, const int64_t *axes) {
  return tv_argmax_with(x, n_axes, axes, NULL);
}

tv_tensor *tv_argmin_with(tv_tensor *x, int n_axes, const int64_t *axes,
                          const tv_reduce_options *options) {
  return position(&argmin_rule, TV_REDUCE_ARGMIN, x, n_axes, axes, options);
}

tv_tensor *tv_argmin(tv_tensor *x, int n_axes, const int64_t *axes) {
  return tv_argmin_with(x, n_axes, axes, NULL);
}
