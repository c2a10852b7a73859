/* SPDX-License-Identifier: MIT
 * Projections: to the nearest value that keeps to a constraint, and the check whether one does.
 *
 * Norms and sums are computed in f64, of f64 after dividing by the largest magnitude, so that they
 * neither overflow nor vanish. What is right as far as its dtype can tell stays as it is, to the
 * last bit; so projecting twice is projecting once. */
#include "projection.h"

#include <float.h>
#include <math.h>
#include <tensorvar/ops.h>
#include <tensorvar/reduce.h>
#include <tensorvar/shape.h>

#include "dtype.h"
#include "status.h"
#include "thread.h"

static tv_reduce_options keeping(void) {
  tv_reduce_options o = TV_REDUCE_OPTIONS;
  o.keepdims = true;
  return o;
}

/* The distance from 1 to the next number of a dtype. */
static double resolution(tv_dtype dtype) {
  switch (dtype) {
    case TV_F16:
      return 0x1p-10;
    case TV_BF16:
      return 0x1p-7;
    case TV_F32:
    case TV_C64:
      return (double)FLT_EPSILON;
    default:
      return DBL_EPSILON;
  }
}

/* Elementwise -----------------------------------------------------------------------------------
 */

/* A bound for values of a dtype. Of integers the nearest one inside, which tv_clip brings into
 * range. */
static tv_tensor *bound(double x, bool is_low, tv_dtype dtype) {
  if (!tvi_is_integer(dtype)) return tv_scalar_real(x);
  const double inside = is_low ? ceil(x) : floor(x);
  if (inside >= 0x1p64) return tv_scalar_uint(UINT64_MAX);
  if (inside >= 0x1p63) return tv_scalar_uint((uint64_t)inside);
  return tv_scalar_int(inside < -0x1p63 ? INT64_MIN : (int64_t)inside);
}

static tv_tensor *clip(const tv_constraint *c, tv_tensor *x) {
  return tv_clip(x, bound(c->low, true, x->dtype), bound(c->high, false, x->dtype));
}

/* NaN is outside: it fails both comparisons. */
static tv_tensor *is_outside(const tv_constraint *c, tv_tensor *x) {
  tv_tensor *const is_above = tv_less_equal(bound(c->low, true, x->dtype), x);
  return tv_logical_not(
      tv_logical_and(is_above, tv_less_equal(x, bound(c->high, false, x->dtype))));
}

/* -0 is not below 0 and stays. */
static tv_tensor *non_negative(tv_tensor *x) {
  return tv_where(tv_less(x, tv_scalar(0)), tv_zeros_like(x), x);
}

/* Norms ------------------------------------------------------------------------------------------
 */

/* Euclidean, over the axes of the constraint, which stay with size 1; f64. */
static tv_tensor *norm(const tv_constraint *c, tv_tensor *x) {
  const tv_reduce_options o = keeping();
  const bool is_double = x->dtype == TV_F64 || x->dtype == TV_C128;
  tv_tensor *const size = tv_astype(tv_abs(x), TV_F64);
  if (!is_double) return tv_sqrt(tv_sum_with(tv_square(size), c->n_axes, c->axes, &o));
  tv_tensor *const largest = tv_max_with(size, c->n_axes, c->axes, &o);
  tv_tensor *const is_plain =
      largest ? tv_logical_and(tv_isfinite(largest), tv_greater(largest, tv_scalar(0))) : NULL;
  tv_tensor *const unit = tv_where(is_plain, largest, tv_scalar(1));
  return tv_multiply(
      unit, tv_sqrt(tv_sum_with(tv_square(tv_divide(size, unit)), c->n_axes, c->axes, &o)));
}

/* What a norm has to be: [low, high], where `norm` is not 0. */
static void norm_bounds(const tv_constraint *c, double *low, double *high) {
  *low = c->kind == TV_CONSTRAINT_UNIT_NORM ? 1 : c->kind == TV_CONSTRAINT_MAX_NORM ? 0 : c->low;
  *high = c->kind == TV_CONSTRAINT_UNIT_NORM ? 1 : c->high;
}

/* Whether norms are out of the bounds by more than a part of them. Zero is in: it has no direction.
 */
static tv_tensor *is_off(tv_tensor *n, double low, double high, double slack) {
  tv_tensor *const is_low =
      tv_logical_and(tv_less(n, tv_scalar(low * (1 - slack))), tv_greater(n, tv_scalar(0)));
  return tv_logical_or(is_low, tv_greater(n, tv_scalar(high * (1 + slack))));
}

static tv_tensor *rescale(const tv_constraint *c, tv_tensor *x) {
  double low, high;
  norm_bounds(c, &low, &high);
  tv_tensor *const n = norm(c, x);
  tv_tensor *const wide = tv_astype(x, tvi_is_complex(x->dtype) ? TV_C128 : TV_F64);
  tv_tensor *const target = tv_clip(n, tv_scalar(low), tv_scalar(high));
  /* Divided first: a norm beyond what f64 holds is none, and smaller ones do not vanish. */
  tv_tensor *const y = tv_multiply(tv_divide(wide, n), target);
  return tv_where(is_off(n, low, high, resolution(x->dtype)), tv_astype(y, x->dtype), x);
}

/* Simplex ----------------------------------------------------------------------------------------
 */

static tv_tensor *sum_over(const tv_constraint *c, tv_tensor *x) {
  const tv_reduce_options o = keeping();
  return tv_sum_with(x, 1, c->axes, &o);
}

static tv_tensor *is_no_simplex(const tv_constraint *c, tv_tensor *x, double slack) {
  const tv_reduce_options o = keeping();
  tv_tensor *const wide = tv_astype(x, TV_F64);
  tv_tensor *const off = tv_abs(tv_subtract(sum_over(c, wide), tv_scalar(1)));
  return tv_logical_or(tv_less(tv_min_with(wide, 1, c->axes, &o), tv_scalar(0)),
                       tv_logical_not(tv_less_equal(off, tv_scalar(slack))));
}

/* The nearest point with x >= 0 and a sum of 1: max(x - t, 0), for the t that makes it so. Those
 * above t make t, and each round leaves out who is not, until nobody leaves (Michelot 1986; the t
 * of Duchi et al. 2008, without sorting). t only grows, so there are at most as many rounds as
 * elements; some ten in practice. */
static tv_tensor *simplex(const tv_constraint *c, tv_tensor *x) {
  const tv_reduce_options o = keeping();
  /* Less the largest, which moves no nearest point: what stays is then within 1 of 0. */
  tv_tensor *wide = tv_astype(x, TV_F64);
  wide = tv_subtract(wide, tv_max_with(wide, 1, c->axes, &o));
  tv_tensor *is_in = wide ? tv_greater_equal(wide, tv_scalar(-1)) : NULL;
  tv_tensor *t = NULL, *count = NULL;
  for (int64_t n_left = 1; n_left;) {
    tv_tensor *const kept = tv_where(is_in, wide, tv_scalar(0));
    count = tv_astype(sum_over(c, is_in), TV_F64);
    t = tv_divide(tv_subtract(sum_over(c, kept), tv_scalar(1)), count);
    /* Of NaN and infinity nobody is in: such a group ends here, as NaN. */
    tv_tensor *const leaves = tv_logical_and(is_in, tv_less_equal(wide, t));
    if (tv_item_i64(tv_sum(leaves, TV_ALL_AXES), &n_left)) return NULL;
    is_in = tv_logical_and(is_in, tv_logical_not(leaves));
  }
  tv_tensor *const y = tv_maximum(tv_subtract(wide, t), tv_scalar(0));
  /* What rounding t has left of the sum. */
  tv_tensor *const rest = tv_divide(tv_subtract(sum_over(c, y), tv_scalar(1)), count);
  tv_tensor *const exact = tv_where(is_in, tv_maximum(tv_subtract(y, rest), tv_scalar(0)), y);
  return tv_where(is_no_simplex(c, x, 8 * resolution(x->dtype)), tv_astype(exact, x->dtype), x);
}

/* Callbacks --------------------------------------------------------------------------------------
 */

static tv_tensor *called(const char *who, const tv_constraint *c, tv_tensor *x) {
  tvi_text left, right;
  const char *const file = tvi_self.site_file; /* the callback's own writes say theirs */
  const int line = tvi_self.site_line;
  tvi_self.latest = TV_OK;
  tv_tensor *const y = c->project(c->user, x);
  tv_site_set(file, line);
  if (!y && tvi_failure() == TV_OK)
    return tvi_fail(TV_EVALUE, "%s: the callback of the constraint gave NULL", who);
  if (!y) return NULL;
  if (y->weak.kind || y->dtype != x->dtype || y->device != x->device)
    return tvi_fail(TV_EDTYPE, "%s: the callback of the constraint gave another dtype or device",
                    who);
  if (!tvi_same_shape(y, x->rank, x->shape))
    return tvi_fail(TV_ESHAPE, "%s: the callback of the constraint made %s of %s", who,
                    tvi_shape_text(&left, y->rank, y->shape),
                    tvi_shape_text(&right, x->rank, x->shape));
  return y;
}

/* All kinds --------------------------------------------------------------------------------------
 */

tv_tensor *tvi_project(const char *who, const tv_constraint *c, tv_tensor *x) {
  if (x->size == 0) return x;
  switch (c->kind) {
    case TV_CONSTRAINT_CLIP:
      return clip(c, x);
    case TV_CONSTRAINT_NON_NEGATIVE:
      return non_negative(x);
    case TV_CONSTRAINT_UNIT_NORM:
    case TV_CONSTRAINT_MAX_NORM:
    case TV_CONSTRAINT_MIN_MAX_NORM:
      return rescale(c, x);
    case TV_CONSTRAINT_SIMPLEX:
      return simplex(c, x);
    case TV_CONSTRAINT_CALLBACK:
      return called(who, c, x);
    default:
      return x;
  }
}

/* Whether elements differ; two NaN do not. */
static tv_tensor *is_other(tv_tensor *a, tv_tensor *b) {
  return tv_logical_not(tv_logical_or(tv_equal(a, b), tv_logical_and(tv_isnan(a), tv_isnan(b))));
}

static void name_axes(const tv_constraint *c, int rank, bool *is_reduced) {
  for (int k = 0; k < rank; k++) is_reduced[k] = c->n_axes < 0;
  for (int k = 0; k < c->n_axes; k++)
    is_reduced[c->axes[k] < 0 ? c->axes[k] + rank : c->axes[k]] = true;
}

bool tvi_find_wrong(const char *who, const tv_constraint *c, tv_tensor *x, int at,
                    tvi_finding *found) {
  const double least = 8 * resolution(x->dtype);
  const double slack = c->tolerance > least ? c->tolerance : least;
  double low, high;
  *found = (tvi_finding){.shown = x, .noun = "element"};
  if (x->size == 0 || (at && c->kind != TV_CONSTRAINT_SIMPLEX)) return true;
  switch (c->kind) {
    case TV_CONSTRAINT_CLIP:
      found->is_wrong = is_outside(c, x);
      break;
    case TV_CONSTRAINT_NON_NEGATIVE:
      found->is_wrong = tv_logical_not(tv_greater_equal(x, tv_scalar(0)));
      break;
    case TV_CONSTRAINT_UNIT_NORM:
    case TV_CONSTRAINT_MAX_NORM:
    case TV_CONSTRAINT_MIN_MAX_NORM:
      norm_bounds(c, &low, &high);
      found->shown = norm(c, x);
      found->noun = "the norm";
      name_axes(c, x->rank, found->is_reduced);
      /* Zero has no direction to be given a norm in, but it has not the norm either; NaN fails. */
      found->is_wrong = tv_logical_not(
          tv_logical_and(tv_greater_equal(found->shown, tv_scalar(low * (1 - slack))),
                         tv_less_equal(found->shown, tv_scalar(high * (1 + slack)))));
      break;
    case TV_CONSTRAINT_SIMPLEX:
      if (at == 0) {
        found->is_wrong = tv_logical_not(tv_greater_equal(x, tv_scalar(0)));
        break;
      }
      found->shown = sum_over(c, tv_astype(x, TV_F64));
      found->noun = "the sum";
      name_axes(c, x->rank, found->is_reduced);
      found->is_wrong = tv_logical_not(
          tv_less_equal(tv_abs(tv_subtract(found->shown, tv_scalar(1))), tv_scalar(slack)));
      break;
    case TV_CONSTRAINT_CALLBACK: {
      tv_tensor *const y = called(who, c, x);
      if (!y) return false;
      found->is_wrong = is_other(x, y);
      break;
    }
    default:
      return true;
  }
  return found->is_wrong && found->shown;
}
