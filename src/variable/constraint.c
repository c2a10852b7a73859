/* SPDX-License-Identifier: MIT
 * Constraints: what a Variable's value must keep to, and when. */
#include <math.h>
#include <tensorvar/index.h>
#include <tensorvar/ops.h>
#include <tensorvar/print.h>
#include <tensorvar/reduce.h>
#include <tensorvar/shape.h>

#include "status.h"
#include "variable.h"

bool tvi_constraint_fits(const tv_constraint *c, tv_dtype dtype) {
  if (!tvi_options_fit("constraint", c->size, sizeof *c)) return false;
  if (c->kind == TV_CONSTRAINT_NONE) return true;
  if (c->kind != TV_CONSTRAINT_CLIP)
    return tvi_fail(TV_EVALUE, "constraint: %d is no kind", (int)c->kind);
  if (c->policy != TV_ON_STEP && c->policy != TV_ON_EVERY_WRITE && c->policy != TV_VALIDATE_ONLY)
    return tvi_fail(TV_EVALUE, "constraint: %d is no policy", (int)c->policy);
  if (!(c->low <= c->high)) return tvi_fail(TV_EVALUE, "constraint: clip: low is not at most high");
  if (tvi_is_complex(dtype) || dtype == TV_BOOL)
    return tvi_fail(TV_EDTYPE, "constraint: clip does not take %s", tv_dtype_name(dtype));
  return true;
}

/* A bound for values of a dtype. Of integers the nearest one inside, which tv_clip brings into
 * range. */
static tv_tensor *bound(double x, bool is_low, tv_dtype dtype) {
  if (!tvi_is_integer(dtype)) return tv_scalar_real(x);
  const double inside = is_low ? ceil(x) : floor(x);
  if (inside >= 0x1p64) return tv_scalar_uint(UINT64_MAX);
  if (inside >= 0x1p63) return tv_scalar_uint((uint64_t)inside);
  return tv_scalar_int(inside < -0x1p63 ? INT64_MIN : (int64_t)inside);
}

/* Name the first element outside, in C order. */
static void name_first(const char *who, const tv_constraint *c, const char *name, tv_tensor *value,
                       tv_tensor *is_outside) {
  int64_t at = 0, index[TV_MAX_RANK];
  char low[64] = "?", high[64] = "?", found[64] = "?";
  tvi_text where;
  if (tv_item_i64(tv_argmax(is_outside, TV_ALL_AXES), &at)) return;
  int64_t rest = at;
  for (int k = value->rank - 1; k >= 0; k--) {
    index[k] = rest % value->shape[k];
    rest /= value->shape[k];
  }
  tv_format(tv_scalar_real(c->low), TV_STR, low, sizeof low);
  tv_format(tv_scalar_real(c->high), TV_STR, high, sizeof high);
  tv_format(tv_take(tv_reshape(value, TV_SHAPE(-1)), tv_scalar_int(at), 0), TV_STR, found,
            sizeof found);
  tvi_fail(TV_ECONSTRAINT, "%s: clip(%s, %s) refuses Variable '%s': element %s is %s", who, low,
           high, name, tvi_shape_text(&where, value->rank, index), found);
}

static bool is_within(const char *who, const tv_constraint *c, const char *name, tv_tensor *value,
                      tv_tensor *low, tv_tensor *high) {
  int64_t n_outside = 0;
  if (value->size == 0) return true;
  /* NaN is outside: it fails both comparisons. */
  tv_tensor *const is_outside =
      tv_logical_not(tv_logical_and(tv_less_equal(low, value), tv_less_equal(value, high)));
  if (tv_item_i64(tv_sum(is_outside, TV_ALL_AXES), &n_outside)) return false;
  if (n_outside) name_first(who, c, name, value, is_outside);
  return n_outside == 0;
}

/* How many elements differ; two NaN do not. */
static tv_tensor *count_of_moved(tv_tensor *before, tv_tensor *after) {
  tv_tensor *const is_same =
      tv_logical_or(tv_equal(before, after), tv_logical_and(tv_isnan(before), tv_isnan(after)));
  return tv_retain(tv_sum(tv_logical_not(is_same), TV_ALL_AXES));
}

tv_tensor *tvi_constrained(const char *who, const tv_constraint *c, const char *name,
                           tvi_occasion occasion, tv_tensor *value, tv_tensor *rows,
                           tv_tensor **n_moved) {
  (void)rows; /* a clip costs no more than what finds the rows */
  *n_moved = NULL;
  if (c->kind == TV_CONSTRAINT_NONE || (c->policy == TV_ON_STEP && occasion != TVI_STEP))
    return tv_retain(value);
  tv_tensor *const low = bound(c->low, true, value->dtype), *const high =
                                                                bound(c->high, false, value->dtype);
  if (c->policy == TV_VALIDATE_ONLY)
    return low && high && is_within(who, c, name, value, low, high) ? tv_retain(value) : NULL;
  tv_tensor *const y = tv_clip(value, low, high);
  *n_moved = y ? count_of_moved(value, y) : NULL;
  return *n_moved ? tv_retain(y) : NULL;
}
