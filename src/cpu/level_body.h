/* SPDX-License-Identifier: MIT
 * What the files of the levels have in common: all inner loops, and the table of them
 * under the name LEVEL. */
#include <math.h>
#include <string.h>

#include "cast.h"
#include "dtypes.def"
#include "flush.h"
#include "level.h"
#include "scalar.h"

#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#pragma GCC diagnostic ignored "-Wtype-limits"         /* x < 0 of an unsigned x */
#pragma GCC diagnostic ignored "-Wint-in-bool-context" /* a * b of bool is meant */
#endif

/* clang-format off */
#include "loops.h"
#include "casts.h"
#include "folds.h"
#include "rows.h"
#include "steps.h"
#include "products.h"
#include "draws.h"
#include "selects.h"
#include "streams.h"
/* clang-format on */

const tvi_level LEVEL = {loops,    casts,       sums,   maxima, minima,    first_max,   first_min,
                         products, draw_blocks, rowers, steps,  &selector, stream_bytes};
