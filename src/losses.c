/* SPDX-License-Identifier: MIT */
/* Checked conversions: tv_cast_checked, and the same block by block of what is read from a file. */
#include "losses.h"

#include <math.h>
#include <string.h>
#include <tensorvar/ops.h>
#include <tensorvar/reduce.h>

#include "dtype.h"
#include "scope.h"
#include "status.h"
#include "tensor.h"
#include "thread.h"

/* Counting ------------------------------------------------------------------------------------ */

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

/* Of some kinds, a sum of TV_REFUSE_... */
static bool report_losses(tv_tensor *x, tv_tensor *y, unsigned kinds, tv_cast_report *report) {
  losses l = losses_of(x, y);
  tv_tensor *const none = tv_zeros(TV_BOOL, x->rank, x->shape);
  if (!(kinds & TV_REFUSE_OVERFLOW)) l.overflow = none;
  if (!(kinds & TV_REFUSE_INEXACT)) l.inexact = none;
  if (!(kinds & TV_REFUSE_NAN_TO_INTEGER)) l.nan = none;
  if (!count(l.overflow, &report->n_overflow) || !count(l.inexact, &report->n_inexact) ||
      !count(l.nan, &report->n_nan_to_integer))
    return false;
  report->first = -1;
  if (report->n_overflow + report->n_inexact + report->n_nan_to_integer == 0) return true;
  tv_tensor *const any = tv_logical_or(tv_logical_or(l.overflow, l.inexact), l.nan);
  return !tv_item_i64(tv_argmax(any, TV_ALL_AXES), &report->first);
}

static bool counts_all(const tvi_cast *cast) {
  return cast->is_counted || cast->refuse & TV_REFUSE_INEXACT;
}

bool tvi_cast_is_refused(const tvi_cast *cast, const tv_cast_report *lost) {
  return (cast->refuse & TV_REFUSE_OVERFLOW && lost->n_overflow) ||
         (cast->refuse & TV_REFUSE_INEXACT && lost->n_inexact) ||
         (cast->refuse & TV_REFUSE_NAN_TO_INTEGER && lost->n_nan_to_integer);
}

tv_status tvi_cast_refuse(const char *who, const tvi_cast *cast, const tv_cast_report *lost) {
  const bool may_overflow = cast->refuse & TV_REFUSE_OVERFLOW,
             may_be_nan = cast->refuse & TV_REFUSE_NAN_TO_INTEGER && tvi_is_inexact(cast->from) &&
                          !tvi_is_inexact(cast->to);
  if (!counts_all(cast))
    return tvi_fail_status(TV_EVALUE, "%s: from %s to %s: %s, first at %lld", who,
                           tv_dtype_name(cast->from), tv_dtype_name(cast->to),
                           !may_be_nan    ? "overflow"
                           : may_overflow ? "overflow or NaN to integer"
                                          : "NaN to integer",
                           (long long)lost->first);
  return tvi_fail_status(
      TV_EVALUE,
      "%s: from %s to %s: %lld overflow, %lld inexact, %lld NaN to integer; first at %lld", who,
      tv_dtype_name(cast->from), tv_dtype_name(cast->to), (long long)lost->n_overflow,
      (long long)lost->n_inexact, (long long)lost->n_nan_to_integer, (long long)lost->first);
}

void tvi_cast_tell(const tv_cast_report *lost, tv_cast_report *out) {
  const size_t size = out->size;
  memcpy(out, lost, size);
  out->size = size;
}

/* Blocks -------------------------------------------------------------------------------------- */

/* Whether words are infinite: all bits of the exponent are set, and no other but the sign. In
 * groups, of which a compiler makes a few instructions each. */
#define HAS_INFINITY(bits)                                                                     \
  static bool has_infinity_##bits(const uint##bits##_t *words, int64_t n, unsigned infinite) { \
    enum { GROUP = 16 };                                                                       \
    const uint##bits##_t magnitude = (uint##bits##_t) ~((uint##bits##_t)1 << (bits - 1));      \
    const uint##bits##_t wanted = (uint##bits##_t)infinite;                                    \
    uint##bits##_t found[GROUP] = {0};                                                         \
    for (; n >= GROUP; n -= GROUP, words += GROUP)                                             \
      for (int k = 0; k < GROUP; k++) found[k] |= (words[k] & magnitude) == wanted;            \
    for (int64_t k = 0; k < n; k++) found[0] |= (words[k] & magnitude) == wanted;              \
    for (int k = 1; k < GROUP; k++) found[0] |= found[k];                                      \
    return found[0];                                                                           \
  }
HAS_INFINITY(16)
HAS_INFINITY(32)

/* Of n elements that came out. */
static bool has_infinity(tv_dtype dtype, const void *words, int64_t n) {
  if (tvi_is_complex(dtype)) n *= 2;
  switch (tvi_real_part(dtype)) {
    case TV_F32:
      return has_infinity_32(words, n, 0x7f800000);
    case TV_BF16:
      return has_infinity_16(words, n, 0x7f80);
    case TV_F16:
      return has_infinity_16(words, n, 0x7c00);
    default:
      return false;
  }
}

bool tvi_cast_shows(const tvi_cast *cast) {
  return !counts_all(cast) && (!cast->refuse || tvi_is_inexact(cast->to) || cast->from == TV_BOOL);
}

static tv_status write_cast(const char *who, const tvi_cast *cast, void *from, void *to,
                            int64_t n) {
  const int64_t to_step = tv_dtype_size(cast->to), from_step = tv_dtype_size(cast->from);
  return tvi_write(who, TV_CPU, cast->to, to, &to_step, 1, &n, cast->from, from, &from_step);
}

tv_status tvi_cast_shown(const char *who, const tvi_cast *cast, void *from, void *to, int64_t n,
                         bool *may_be_lost) {
  const tv_status status = write_cast(who, cast, from, to, n);
  *may_be_lost = !status && cast->refuse && has_infinity(cast->to, to, n);
  return status;
}

/* Whether something may be refused, by a quick look: at infinities that came out, or at the least
 * and greatest that went in, which are NaN if anything is. */
static bool may_be_refused(const tvi_cast *cast, tv_tensor *x, const tv_tensor *y) {
  if (tvi_cast_shows(cast)) return has_infinity(cast->to, y->data, y->size);
  if (tvi_is_complex(cast->from)) return true;
  if (cast->to == TV_BOOL && tvi_is_integer(cast->from)) return false;
  tv_tensor *const ends[] = {tv_min(x, TV_ALL_AXES), tv_max(x, TV_ALL_AXES)};
  int64_t is_lost = 0;
  for (int i = 0; i < 2 && !is_lost; i++) {
    tv_tensor *lost = tv_isnan(ends[i]);
    if (cast->to != TV_BOOL) lost = tv_logical_or(lost, is_out_of_range(ends[i], cast->to));
    if (tv_item_i64(lost, &is_lost)) return true;
  }
  return is_lost;
}

static tv_tensor *show(void *data, tv_dtype dtype, int64_t n) {
  tvi_storage *const storage = tvi_storage_borrow(data, n * tv_dtype_size(dtype), NULL, NULL);
  tv_tensor *const x = storage ? tvi_tensor_view(storage, data, dtype, 1, &n, NULL) : NULL;
  if (storage) tvi_storage_release(storage);
  return tvi_scope_own(x);
}

tv_status tvi_cast_counted(const char *who, const tvi_cast *cast, void *from, void *to, int64_t n,
                           int64_t first, tv_cast_report *lost) {
  tv_status status = write_cast(who, cast, from, to, n);
  if (status || (!counts_all(cast) && !cast->refuse)) return status;
  tv_scope scope;
  status = tv_scope_begin(&scope);
  if (status) return status;
  tvi_self.paused++;
  const tv_device device = tvi_self.device;
  tvi_self.device = TV_CPU;
  tv_tensor *const x = show(from, cast->from, n), *const y = show(to, cast->to, n);
  tv_cast_report now = TV_CAST_REPORT;
  if (x && y && (counts_all(cast) || may_be_refused(cast, x, y)) &&
      report_losses(x, y, counts_all(cast) ? TV_REFUSE_ANY_LOSS : cast->refuse, &now)) {
    lost->n_overflow += now.n_overflow;
    lost->n_inexact += now.n_inexact;
    lost->n_nan_to_integer += now.n_nan_to_integer;
    if (lost->first < 0 && now.first >= 0) lost->first = first + now.first;
  }
  tvi_self.device = device;
  tvi_self.paused--;
  return tv_scope_end(&scope, NULL);
}

/* The op -------------------------------------------------------------------------------------- */

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
  if (y && !report_losses(strong, y, TV_REFUSE_ANY_LOSS, &counted)) y = NULL;
  const tvi_cast cast = {x->dtype, dtype, refuse, true};
  if (y && tvi_cast_is_refused(&cast, &counted)) {
    tvi_cast_refuse("cast_checked", &cast, &counted);
    y = NULL;
  }
  /* Its own head: no gradient passes through, also where the dtype was right already. */
  if (y) y = tvi_scope_own(tvi_tensor_alias(y));
  tvi_self.paused--;
  tv_scope_end(&scope, &y);
  if (report) tvi_cast_tell(&counted, report);
  return y;
}
