/* SPDX-License-Identifier: MIT
 * Single elements. Widened first, by the library: to bool, int64, uint64, float64 or complex128, of
 * which the digits are those of the dtype they come from. */
#include "element.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "number.h"

const void *host_data(tv_tensor *x) { return tv_tensor_data(tv_to(x, TV_CPU)); }

typedef struct {
  char kind;
  bool is_single;
  int64_t i;
  uint64_t u;
  double real, imaginary;
} element;

/* Half a float, from its bits (IEEE 754-2008, binary16). */
static double half(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == 31) return fraction ? (double)NAN : sign * HUGE_VAL;
  return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

static double brain(uint16_t bits) {
  const uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof value);
  return (double)value;
}

static element element_of(const void *elements, tv_dtype dtype, int64_t i) {
  element e = {.kind = tv_dtype_kind(dtype)};
  switch (dtype) {
    case TV_BOOL:
      e.i = ((const uint8_t *)elements)[i] != 0;
      break;
    case TV_I8:
      e.u = ((const uint8_t *)elements)[i];
      e.i = (int64_t)e.u - (e.u < 128 ? 0 : 256);
      break;
    case TV_I16:
      e.i = ((const int16_t *)elements)[i];
      break;
    case TV_I32:
      e.i = ((const int32_t *)elements)[i];
      break;
    case TV_I64:
      e.i = ((const int64_t *)elements)[i];
      break;
    case TV_U8:
      e.u = ((const uint8_t *)elements)[i];
      break;
    case TV_U16:
      e.u = ((const uint16_t *)elements)[i];
      break;
    case TV_U32:
      e.u = ((const uint32_t *)elements)[i];
      break;
    case TV_U64:
      e.u = ((const uint64_t *)elements)[i];
      break;
    case TV_F16:
      e.real = half(((const uint16_t *)elements)[i]), e.is_single = true;
      break;
    case TV_BF16:
      e.real = brain(((const uint16_t *)elements)[i]), e.is_single = true;
      break;
    case TV_F32:
      e.real = (double)((const float *)elements)[i], e.is_single = true;
      break;
    case TV_F64:
      e.real = ((const double *)elements)[i];
      break;
    case TV_C64:
      e.real = (double)((const float *)elements)[2 * i];
      e.imaginary = (double)((const float *)elements)[2 * i + 1];
      e.is_single = true;
      break;
    case TV_C128:
      e.real = ((const double *)elements)[2 * i];
      e.imaginary = ((const double *)elements)[2 * i + 1];
      break;
    default:
      break;
  }
  return e;
}

void json_element(const void *elements, tv_dtype dtype, int64_t i) {
  const element e = element_of(elements, dtype, i);
  switch (e.kind) {
    case 'b':
      json_bool(e.i);
      return;
    case 'i':
      json_int(e.i);
      return;
    case 'u':
      json_uint(e.u);
      return;
    case 'f':
      json_real(e.real, e.is_single);
      return;
    default:
      break;
  }
  json_open('[');
  json_real(e.real, e.is_single);
  json_real(e.imaginary, e.is_single);
  json_close(']');
}

const char *element_text(const void *elements, tv_dtype dtype, int64_t i, char text[ELEMENT_SIZE]) {
  const element e = element_of(elements, dtype, i);
  char real[NUMBER_SIZE], imaginary[NUMBER_SIZE];
  switch (e.kind) {
    case 'b':
      snprintf(text, ELEMENT_SIZE, "%s", e.i ? "True" : "False");
      return text;
    case 'i':
      snprintf(text, ELEMENT_SIZE, "%" PRId64, e.i);
      return text;
    case 'u':
      snprintf(text, ELEMENT_SIZE, "%" PRIu64, e.u);
      return text;
    case 'f':
      snprintf(text, ELEMENT_SIZE, "%s", number_text(e.real, e.is_single, real));
      return text;
    default:
      break;
  }
  snprintf(text, ELEMENT_SIZE, "%s%s%sj", number_text(e.real, e.is_single, real),
           signbit(e.imaginary) ? "" : "+", number_text(e.imaginary, e.is_single, imaginary));
  return text;
}
