// SPDX-License-Identifier: MIT
// Ops of one input, of complex dtypes.
#define TVI_STAMP_COMPLEX
#include "stamp.h"

#define UNARY(name, types, value, ...) types(STAMP_UNARY, name, (WEIGHT_##types != 0), value)
#define PART(name, types, value, ...) types(STAMP_PART, name, (WEIGHT_##types != 0), value)
#define TEST(name, types, value, ...) types(STAMP_TEST, name, (WEIGHT_##types != 0), value)
#include "ops.def"
