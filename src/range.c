/* SPDX-License-Identifier: MIT
 * Numbers that a caller gives, and what they may be. */
#include "range.h"

#include <math.h>
#include <string.h>

#include "digits.h"
#include "status.h"

bool tvi_is_in(double x, tvi_range range) {
  if (!isfinite(x)) return false;
  switch (range) {
    case TVI_AT_LEAST_0:
      return x >= 0;
    case TVI_ABOVE_0:
      return x > 0;
    case TVI_AT_LEAST_1:
      return x >= 1;
    case TVI_ABOVE_1:
      return x > 1;
    case TVI_FROM_0_BELOW_1:
      return x >= 0 && x < 1;
    case TVI_FROM_0_TO_1:
      return x >= 0 && x <= 1;
    default:
      return x > 0 && x < 1;
  }
}

bool tvi_in_range(const char *who, const char *name, double x, tvi_range range) {
  static const char *const expected[] = {
      [TVI_AT_LEAST_0] = "0 or more and finite",      [TVI_ABOVE_0] = "above 0 and finite",
      [TVI_AT_LEAST_1] = "1 or more and finite",      [TVI_ABOVE_1] = "above 1 and finite",
      [TVI_FROM_0_BELOW_1] = "0 or more and below 1", [TVI_FROM_0_TO_1] = "0 to 1",
      [TVI_BETWEEN_0_AND_1] = "above 0 and below 1"};
  char text[TVI_REAL_SIZE];
  return tvi_is_in(x, range) || tvi_fail(TV_EVALUE, "%s: %s is %s, expected %s", who, name,
                                         tvi_real_text(x, text), expected[range]);
}

const char *tvi_real_text(double x, char out[TVI_REAL_SIZE]) {
  static const tvi_decimal_style style = {
      .trim = TVI_TRIM_ALL, .most = -1, .least = -1, .exponent_digits = 1};
  uint64_t bits;
  if (!isfinite(x)) return memcpy(out, isnan(x) ? "nan" : x > 0 ? "inf" : "-inf", x < 0 ? 5 : 4);
  memcpy(&bits, &x, sizeof bits);
  const tvi_float unpacked = tvi_float_unpack(bits, 11, 52);
  tvi_decimal text;
  const double magnitude = fabs(x);
  if (magnitude == 0 || (magnitude >= 1e-4 && magnitude < 1e15))
    tvi_decimal_positional(&unpacked, &style, &text);
  else
    tvi_decimal_scientific(&unpacked, &style, &text);
  memcpy(out, text.text, (size_t)text.n);
  out[text.n] = '\0';
  return out;
}
