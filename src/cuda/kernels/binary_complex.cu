// SPDX-License-Identifier: MIT
// Ops of two inputs, of complex dtypes.
#define TVI_STAMP_COMPLEX
#include "stamp.h"

#define BINARY(name, types, value, ...) types(STAMP_BINARY, name, WEIGHT_##types, value)
#define COMPARE(name, types, value, ...) types(STAMP_COMPARE, name, WEIGHT_##types, value)
#include "ops.def"
