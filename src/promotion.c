/* SPDX-License-Identifier: MIT
 * How dtypes meet: NumPy 2's rules (NEP 50). Pairs come from kind and width rather than from a
 * table of 225 entries; the tests hold every pair against NumPy. bfloat16, which NumPy lacks,
 * follows float16: 8-bit integers fit in it, and the two together need float32. */
#include <tensorvar/dtype.h>

#include "dtype.h"
#include "status.h"
#include "tensor.h"
#include "thread.h"

/* Kinds in the order in which they win: bool, unsigned, signed, real, complex. */
static int rank_of(tv_dtype dtype) {
  switch (tv_dtype_kind(dtype)) {
    case 'b':
      return 0;
    case 'u':
      return 1;
    case 'i':
      return 2;
    case 'f':
      return 3;
    default:
      return 4;
  }
}

/* The smallest float beside `other` that holds every value of an integer dtype, but for 64 bits,
 * which NumPy lets f64 stand for. */
static tv_dtype float_for(tv_dtype integer, tv_dtype other) {
  switch (tv_dtype_size(integer)) {
    case 1:
      return other == TV_BF16 ? TV_BF16 : TV_F16;
    case 2:
      return TV_F32;
    default:
      return TV_F64;
  }
}

/* Of two real floating dtypes. */
static tv_dtype wider_float(tv_dtype a, tv_dtype b) {
  if (tv_dtype_size(a) == 2 && tv_dtype_size(b) == 2) return a == b ? a : TV_F32;
  return tv_dtype_size(a) >= tv_dtype_size(b) ? a : b;
}

static tv_dtype promote(tv_dtype a, tv_dtype b) {
  if (a == b) return a;
  if (rank_of(a) < rank_of(b)) {
    const tv_dtype swap = a;
    a = b;
    b = swap;
  }
  if (b == TV_BOOL) return a;
  const int64_t wide = tv_dtype_size(a), narrow = tv_dtype_size(b);
  if (rank_of(a) == rank_of(b))
    return tv_dtype_kind(a) == 'f' ? wider_float(a, b) : wide >= narrow ? a : b;
  if (tv_dtype_kind(a) == 'i') { /* with an unsigned one: a signed one that holds both */
    if (wide > narrow) return a;
    return narrow == 1 ? TV_I16 : narrow == 2 ? TV_I32 : narrow == 4 ? TV_I64 : TV_F64;
  }
  const tv_dtype part = tvi_real_part(a);
  const tv_dtype other = tv_dtype_kind(b) == 'f' ? b : float_for(b, part);
  const tv_dtype met = wider_float(part, other);
  if (tv_dtype_kind(a) == 'f') return met;
  return met == TV_F64 ? TV_C128 : TV_C64;
}

tv_dtype tv_promote_types(tv_dtype a, tv_dtype b) {
  if (!tvi_is_dtype(a) || !tvi_is_dtype(b)) {
    tvi_fail(TV_EDTYPE, "promote_types: %d and %d: not two dtypes", (int)a, (int)b);
    return TV_DTYPE_NONE;
  }
  return promote(a, b);
}

bool tv_can_cast(tv_dtype from, tv_dtype to, tv_casting casting) {
  if (!tvi_is_dtype(from) || !tvi_is_dtype(to)) return false;
  if (casting == TV_CAST_SAME_KIND) return rank_of(from) <= rank_of(to);
  return promote(from, to) == to;
}

tv_status tv_promotion_set(tv_promotion promotion) {
  if (promotion != TV_PROMOTION_NUMPY && promotion != TV_PROMOTION_STRICT)
    return tvi_fail_status(TV_EVALUE, "promotion_set: %d is no promotion", (int)promotion);
  tvi_self.promotion = promotion;
  return TV_OK;
}

/* Weak scalars have a kind, but no width. */
static tv_dtype meet_weak(tv_dtype strong, tvi_weak_kind weak) {
  const bool exact = !tvi_is_inexact(strong);
  switch (weak) {
    case TVI_WEAK_INT:
    case TVI_WEAK_UINT:
      return strong == TV_BOOL ? TV_I64 : strong;
    case TVI_WEAK_REAL:
      return exact ? TV_F64 : strong;
    case TVI_WEAK_COMPLEX:
      if (tvi_is_complex(strong)) return strong;
      return exact || strong == TV_F64 ? TV_C128 : TV_C64;
    default:
      return strong;
  }
}

/* Weak scalars alone. Their dtypes (bool, int64, uint64, float64, complex128) say what they are. */
static tv_dtype meet_all_weak(int n, tv_tensor *const *tensors) {
  tv_dtype met = tensors[0]->dtype;
  for (int k = 1; k < n; k++) met = promote(met, tensors[k]->dtype);
  return met;
}

tv_dtype tvi_promote(const char *who, int n, tv_tensor *const *tensors) {
  /* The rule is not associative across kinds, (i8, u16) before f16 would widen it: so the others
   * fold into the operand of the highest kind, as in NumPy. */
  int top = -1;
  for (int k = 0; k < n; k++)
    if (!tensors[k]->weak.kind &&
        (top < 0 || rank_of(tensors[k]->dtype) > rank_of(tensors[top]->dtype)))
      top = k;
  if (top < 0) return meet_all_weak(n, tensors);
  tv_dtype met = tensors[top]->dtype;
  for (int k = 0; k < n; k++)
    if (!tensors[k]->weak.kind) {
      if (tvi_self.promotion == TV_PROMOTION_STRICT && tensors[k]->dtype != tensors[top]->dtype) {
        tvi_fail(TV_EDTYPE, "%s: dtypes differ under strict promotion: %s and %s", who,
                 tv_dtype_name(tensors[0]->dtype), tv_dtype_name(tensors[n - 1]->dtype));
        return TV_DTYPE_NONE;
      }
      met = promote(met, tensors[k]->dtype);
    }
  tvi_weak_kind weak = TVI_STRONG;
  for (int k = 0; k < n; k++)
    if (tensors[k]->weak.kind > weak) weak = tensors[k]->weak.kind;
  return meet_weak(met, weak);
}

tv_dtype tv_result_type(int n, tv_tensor *const *tensors) {
  if (n < 1 || !tensors) {
    tvi_fail(TV_EVALUE, "result_type: no tensors");
    return TV_DTYPE_NONE;
  }
  for (int k = 0; k < n; k++)
    if (!tensors[k]) {
      tvi_null("result_type", "a tensor");
      return TV_DTYPE_NONE;
    }
  return tvi_promote("result_type", n, tensors);
}
