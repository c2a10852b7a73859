/* SPDX-License-Identifier: MIT
 * The array behind op.h, made from ops.def and dtypes.def, and the two rules over classes.
 *
 * A class is a macro of dtypes.def; its loops are the dtypes it lists, and here stands what happens
 * to the others: refused, or run in a dtype that has a loop. */
#include "op.h"

#include <tensorvar/backend.h>

#include "dtypes.def"

#define BIT(tag, TAG, ...) | 1u << TV_##TAG

#define MISSING_ANY TVI_MISSING_REFUSED
#define MISSING_NUMBER TVI_MISSING_REFUSED
#define MISSING_REAL TVI_MISSING_REFUSED
#define MISSING_ORDERED TVI_MISSING_REFUSED
#define MISSING_POWER TVI_MISSING_I8
#define MISSING_DIVISION TVI_MISSING_I8
#define MISSING_FLOATING TVI_MISSING_SMALLEST
#define MISSING_REALFLOAT TVI_MISSING_SMALLEST
#define MISSING_QUOTIENT TVI_MISSING_F64

/* The columns that all rows have; `types` is expanded as a macro and named as text. */
#define ROW(name, kind, n, inputs, types, value, from, to, summary, ...)         \
  [TVI_OP_##name] = {#name,   kind, n,  inputs,         #types,          #value, \
                     summary, from, to, 0 types(BIT, ), MISSING_##types, __VA_ARGS__},

const tvi_op_row tvi_op_info[TVI_OP_COUNT] = {
#define UNARY(name, types, value, from, to, summary, ux, dx) \
  ROW(name, TVI_UNARY, 1, "x", types, value, from, to, summary, {#ux}, {#dx})
#define PART(name, types, value, from, to, summary, ux, dx) \
  ROW(name, TVI_PART, 1, "x", types, value, from, to, summary, {#ux}, {#dx})
#define TEST(name, types, value, from, to, summary) \
  ROW(name, TVI_TEST, 1, "x", types, value, from, to, summary, {NULL}, {NULL})
#define BINARY(name, types, value, from, to, summary, ua, da, ub, db) \
  ROW(name, TVI_BINARY, 2, "ab", types, value, from, to, summary, {#ua, #ub}, {#da, #db})
#define COMPARE(name, types, value, from, to, summary) \
  ROW(name, TVI_COMPARE, 2, "ab", types, value, from, to, summary, {NULL}, {NULL})
#define SELECT(name, types, value, from, to, summary, ua, da, ub, db) \
  ROW(name, TVI_SELECT, 3, "cab", types, value, from, to, summary, {#ua, #ub}, {#da, #db})
#define BOUNDED(name, types, value, from, to, summary, ux, dx, ua, da, ub, db)       \
  ROW(name, TVI_BOUNDED, 3, "xab", types, value, from, to, summary, {#ux, #ua, #ub}, \
      {#dx, #da, #db})
#include "ops.def"
};

static bool has_loop(const tvi_op_row *row, tv_dtype dtype) { return row->loops >> dtype & 1; }

static tv_dtype smallest_float(tv_dtype dtype) {
  switch (dtype) {
    case TV_BOOL:
    case TV_I8:
    case TV_U8:
      return TV_F16;
    case TV_I16:
    case TV_U16:
      return TV_F32;
    default:
      return TV_F64;
  }
}

tv_dtype tvi_op_dtype(int op, tv_dtype dtype) {
  if (op < 0 || op >= TVI_OP_COUNT || dtype < 0 || dtype >= TV_DTYPE_COUNT) return TV_DTYPE_NONE;
  const tvi_op_row *row = &tvi_op_info[op];
  if (has_loop(row, dtype)) return dtype;
  if (dtype >= TV_F16) return TV_DTYPE_NONE;
  switch (row->missing) {
    case TVI_MISSING_I8:
      return TV_I8;
    case TVI_MISSING_SMALLEST:
      return smallest_float(dtype);
    case TVI_MISSING_F64:
      return TV_F64;
    default:
      return TV_DTYPE_NONE;
  }
}

tv_dtype tvi_op_result(int op, tv_dtype loop) {
  if (op < 0 || op >= TVI_OP_COUNT || loop < 0 || loop >= TV_DTYPE_COUNT) return TV_DTYPE_NONE;
  switch (tvi_op_info[op].kind) {
    case TVI_TEST:
    case TVI_COMPARE:
      return TV_BOOL;
    case TVI_PART:
      return loop == TV_C64 ? TV_F32 : loop == TV_C128 ? TV_F64 : loop;
    default:
      return loop;
  }
}

int tv_op_count(void) { return TVI_OP_COUNT; }

const char *tv_op_name(int op) {
  return op < 0 || op >= TVI_OP_COUNT ? NULL : tvi_op_info[op].name;
}
