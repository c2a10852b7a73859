/* SPDX-License-Identifier: MIT
 * Weak scalars: numbers without a device, which take the dtype of the tensor they meet. */
#include <string.h>
#include <tensorvar/tensor.h>

#include "half.h"
#include "scope.h"
#include "status.h"
#include "tensor.h"

static tv_tensor *weak_new(tv_dtype dtype, tvi_weak weak) {
  if (!tvi_scope_is_open("scalar")) return NULL;
  return tvi_scope_own(tvi_tensor_weak(dtype, weak));
}

tv_tensor *tv_scalar_bool(bool value) {
  return weak_new(TV_BOOL, (tvi_weak){.kind = TVI_WEAK_BOOL, .b = value});
}

tv_tensor *tv_scalar_int(int64_t value) {
  return weak_new(TV_I64, (tvi_weak){.kind = TVI_WEAK_INT, .i = value});
}

tv_tensor *tv_scalar_uint(uint64_t value) {
  if (value <= INT64_MAX) return tv_scalar_int((int64_t)value);
  return weak_new(TV_U64, (tvi_weak){.kind = TVI_WEAK_UINT, .u = value});
}

tv_tensor *tv_scalar_real(double value) {
  return weak_new(TV_F64, (tvi_weak){.kind = TVI_WEAK_REAL, .r = {value, 0}});
}

tv_tensor *tv_scalar_complex(double real, double imag) {
  return weak_new(TV_C128, (tvi_weak){.kind = TVI_WEAK_COMPLEX, .r = {real, imag}});
}

/* The integer value as an element of an integer dtype, or the nearest in range. */
static uint64_t integer_bits(const tvi_weak *weak, tv_dtype dtype) {
  const int bits = (int)(8 * tv_dtype_size(dtype));
  const bool is_signed = tvi_is_signed(dtype);
  if (tvi_integer_fits(weak, dtype))
    return weak->u; /* two's complement: the low bytes are the value */
  if (weak->kind == TVI_WEAK_INT && weak->i < 0) return is_signed ? ~UINT64_C(0) << (bits - 1) : 0;
  return ~UINT64_C(0) >> (64 - bits + is_signed);
}

static double real_value(const tvi_weak *weak) {
  switch (weak->kind) {
    case TVI_WEAK_BOOL:
      return weak->b;
    case TVI_WEAK_INT:
      return (double)weak->i;
    case TVI_WEAK_UINT:
      return (double)weak->u;
    default:
      return weak->r[0];
  }
}

bool tvi_weak_element(const char *who, const tvi_weak *weak, tv_dtype dtype, bool saturate,
                      uint8_t *bytes) {
  const double imag = weak->kind == TVI_WEAK_COMPLEX ? weak->r[1] : 0;
  if (dtype == TV_BOOL) {
    bytes[0] = weak->kind == TVI_WEAK_BOOL ? weak->b
               : weak->kind == TVI_WEAK_INT || weak->kind == TVI_WEAK_UINT
                   ? weak->u != 0
                   : real_value(weak) != 0 || imag != 0;
    return true;
  }
  if (tvi_is_integer(dtype)) {
    /* Promotion never lets a real or complex one come here; a cast asks for tv_astype. */
    const tvi_weak integer =
        weak->kind == TVI_WEAK_BOOL ? (tvi_weak){.kind = TVI_WEAK_INT, .i = weak->b} : *weak;
    if (weak->kind >= TVI_WEAK_REAL)
      return tvi_fail(TV_EDTYPE, "%s: a weak %s does not become %s by itself: use tv_astype", who,
                      weak->kind == TVI_WEAK_REAL ? "real" : "complex number",
                      tv_dtype_name(dtype));
    if (!saturate && !tvi_integer_fits(&integer, dtype)) {
      if (integer.kind == TVI_WEAK_UINT)
        return tvi_fail(TV_EVALUE, "%s: %llu is out of the range of %s", who,
                        (unsigned long long)integer.u, tv_dtype_name(dtype));
      return tvi_fail(TV_EVALUE, "%s: %lld is out of the range of %s", who, (long long)integer.i,
                      tv_dtype_name(dtype));
    }
    const uint64_t value = integer_bits(&integer, dtype);
    switch (tv_dtype_size(dtype)) {
      case 1:
        memcpy(bytes, &(uint8_t){(uint8_t)value}, 1);
        break;
      case 2:
        memcpy(bytes, &(uint16_t){(uint16_t)value}, 2);
        break;
      case 4:
        memcpy(bytes, &(uint32_t){(uint32_t)value}, 4);
        break;
      default:
        memcpy(bytes, &value, 8);
        break;
    }
    return true;
  }
  const double value = real_value(weak);
  switch (dtype) {
    case TV_F16:
      memcpy(bytes, &(uint16_t){tvi_f16_of_double(value)}, 2);
      break;
    case TV_BF16:
      memcpy(bytes, &(uint16_t){tvi_bf16_of_double(value)}, 2);
      break;
    case TV_F32:
      memcpy(bytes, &(float){(float)value}, 4);
      break;
    case TV_C64:
      memcpy(bytes, (const float[2]){(float)value, (float)imag}, 8);
      break;
    case TV_C128:
      memcpy(bytes, (const double[2]){value, imag}, 16);
      break;
    default:
      memcpy(bytes, &value, 8);
      break;
  }
  if (weak->kind == TVI_WEAK_COMPLEX && !tvi_is_complex(dtype))
    return tvi_fail(TV_EDTYPE, "%s: a weak complex number does not become %s", who,
                    tv_dtype_name(dtype));
  return true;
}
