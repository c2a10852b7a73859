/* SPDX-License-Identifier: MIT
 * Another dtype or device: tv_astype, tv_cast_checked and tv_to. */
#include <math.h>
#include <tensorvar/ops.h>
#include <tensorvar/reduce.h>

#include "deferred.h"
#include "device.h"
#include "scope.h"
#include "status.h"
#include "tensor.h"
#include "variable/tape.h"

/* The tape gives a gradient the dtype and device of its input anyway. */
static tv_tensor *same(const tvi_saved *s, tv_tensor *g) {
  (void)s;
  return g;
}
static const tvi_rule astype_rule = {.name = "astype", .in = {{TVI_USES_NONE, same}}};
static const tvi_rule to_rule = {.name = "to", .in = {{TVI_USES_NONE, same}}};

tv_tensor *tv_astype(tv_tensor *x, tv_dtype dtype) {
  if (!x) return tvi_null("astype", "x");
  if (!tvi_scope_is_open("astype")) return NULL;
  if (!tvi_is_dtype(dtype)) return tvi_fail(TV_EDTYPE, "astype: %d is no dtype", (int)dtype);
  if (x->dtype == dtype && !x->weak.kind) return x;
  if (tvi_is_complex(x->dtype) && !tvi_is_complex(dtype) && dtype != TV_BOOL)
    return tvi_fail(TV_EDTYPE, "astype: from %s to %s: take tv_real or tv_imag first",
                    tv_dtype_name(x->dtype), tv_dtype_name(dtype));
  tv_tensor *y = NULL;
  if (!tvi_deferred_cast(x, dtype, &y)) {
    tv_tensor *const strong = tvi_tensor_strong("astype", x, tvi_self.device);
    y = strong ? tvi_tensor_copy("astype", strong, dtype, tvi_tensor_on(strong)) : NULL;
    tv_release(strong);
  }
  return tvi_finish(&astype_rule, y, 1, &x, 0, NULL);
}

/* Elements of x whose value, rounded toward zero, an integer dtype cannot hold. NaN is not one. */
static tv_tensor *is_out_of_range(tv_tensor *x, tv_dtype dtype) {
  const int bits = (int)(8 * tv_dtype_size(dtype)), sign = tvi_is_signed(dtype);
  if (tvi_is_real_floating(x->dtype)) {
    /* Powers of two, exact in every floating dtype but f16, where they are infinite and right too.
     */
    tv_tensor *const whole =
        tv_where(tv_less(x, tv_scalar(0)), tv_negative(tv_floor(tv_negative(x))), tv_floor(x));
    const double low = sign ? -ldexp(1, bits - 1) : 0;
    return tv_logical_or(tv_less(whole, tv_scalar(low)),
                         tv_greater_equal(whole, tv_scalar(ldexp(1, bits - sign))));
  }
  if (x->dtype == TV_BOOL) return tv_zeros_like(x);
  const int64_t low = sign ? -(INT64_C(1) << (bits - 2)) * 2 : 0;
  const uint64_t high = ~UINT64_C(0) >> (64 - bits + sign);
  return tv_logical_or(tv_less(x, tv_scalar(low)), tv_greater(x, tv_scalar(high)));
}

/* The three kinds of loss as bool tensors; an element is of one kind at most. */
typedef struct {
  tv_tensor *overflow, *nan, *inexact;
} losses;

static losses losses_of(tv_tensor *x, tv_tensor *y) {
  const bool is_exact_target = !tvi_is_inexact(y->dtype);
  tv_tensor *const none = tv_zeros(TV_BOOL, x->rank, x->shape);
  losses l = {.nan = is_exact_target ? tv_isnan(x) : none};
  if (tvi_is_integer(y->dtype))
    l.overflow = is_out_of_range(x, y->dtype);
  else
    l.overflow =
        is_exact_target ? none : tv_logical_and(tv_isfinite(x), tv_logical_not(tv_isfinite(y)));
  tv_tensor *const back = tv_astype(tvi_is_complex(x->dtype) ? y : tv_real(y), x->dtype);
  tv_tensor *const differs = tv_logical_and(tv_not_equal(back, x), tv_logical_not(tv_isnan(x)));
  l.inexact = tv_logical_and(differs, tv_logical_not(l.overflow));
  return l;
}

static bool count(tv_tensor *is_lost, int64_t *n) {
  return !tv_item_i64(tv_sum(is_lost, TV_ALL_AXES), n);
}

static bool report_losses(tv_tensor *x, tv_tensor *y, tv_cast_report *report) {
  const losses l = losses_of(x, y);
  if (!count(l.overflow, &report->n_overflow) || !count(l.inexact, &report->n_inexact) ||
      !count(l.nan, &report->n_nan_to_integer))
    return false;
  report->first = -1;
  if (report->n_overflow + report->n_inexact + report->n_nan_to_integer == 0) return true;
  tv_tensor *const any = tv_logical_or(tv_logical_or(l.overflow, l.inexact), l.nan);
  return !tv_item_i64(tv_argmax(any, TV_ALL_AXES), &report->first);
}

static bool is_refused(const tv_cast_report *r, unsigned refuse, const tv_tensor *x,
                       tv_dtype dtype) {
  const bool is_bad = (refuse & TV_REFUSE_OVERFLOW && r->n_overflow) ||
                      (refuse & TV_REFUSE_INEXACT && r->n_inexact) ||
                      (refuse & TV_REFUSE_NAN_TO_INTEGER && r->n_nan_to_integer);
  if (is_bad)
    tvi_fail(TV_EVALUE,
             "cast_checked: from %s to %s: %lld overflow, %lld inexact, %lld NaN to integer; first "
             "at %lld",
             tv_dtype_name(x->dtype), tv_dtype_name(dtype), (long long)r->n_overflow,
             (long long)r->n_inexact, (long long)r->n_nan_to_integer, (long long)r->first);
  return is_bad;
}

tv_tensor *tv_cast_checked(tv_tensor *x, tv_dtype dtype, unsigned refuse, tv_cast_report *report) {
  tv_cast_report counted = TV_CAST_REPORT;
  if (!x) return tvi_null("cast_checked", "x");
  if (report && !tvi_options_fit("cast_checked", report->size, sizeof *report)) return NULL;
  if (refuse > TV_REFUSE_ANY_LOSS)
    return tvi_fail(TV_EVALUE, "cast_checked: %u is no sum of what may be refused", refuse);
  tv_scope scope;
  if (!tvi_scope_is_open("cast_checked") || tv_scope_begin(&scope)) return NULL;
  tvi_self.paused++;
  tv_tensor *const strong = tvi_scope_own(tvi_tensor_strong("cast_checked", x, tvi_self.device));
  tv_tensor *y = strong ? tv_astype(strong, dtype) : NULL;
  if (y && !report_losses(strong, y, &counted)) y = NULL;
  if (y && is_refused(&counted, refuse, x, dtype)) y = NULL;
  /* Its own head: no gradient passes through, also where the dtype was right already. */
  if (y) y = tvi_scope_own(tvi_tensor_alias(y));
  tvi_self.paused--;
  tv_scope_end(&scope, &y);
  if (report) {
    counted.size = report->size;
    *report = counted;
  }
  return y;
}

tv_tensor *tv_to(tv_tensor *x, tv_device device) {
  if (!x) return tvi_null("to", "x");
  if (!tvi_scope_is_open("to") || !tvi_device_find("to", device)) return NULL;
  if (tvi_tensor_on(x) == device) return x;
  return tvi_finish(&to_rule, tvi_tensor_copy("to", x, x->dtype, device), 1, &x, 0, NULL);
}
