/* SPDX-License-Identifier: MIT
 * The op table as data. */
#include "op.h"

#include <tensorvar/backend.h>

#include "check.h" /* after ops.def, which has a kind of row of the name TEST */

TEST(positions_and_names) {
  EQUAL(tv_op_count(), TVI_OP_COUNT);
  for (int op = 0; op < TVI_OP_COUNT; op++) SAME_TEXT(tv_op_name(op), tvi_op_info[op].name);
  CHECK(!tv_op_name(-1) && !tv_op_name(TVI_OP_COUNT));
}

TEST(dtypes_that_rows_run_in) {
  EQUAL(tvi_op_dtype(TVI_OP_add, TV_BOOL), TV_BOOL);
  EQUAL(tvi_op_dtype(TVI_OP_subtract, TV_BOOL), TV_DTYPE_NONE);
  EQUAL(tvi_op_dtype(TVI_OP_square, TV_BOOL), TV_I8);
  EQUAL(tvi_op_dtype(TVI_OP_exp, TV_U8), TV_F16);
  EQUAL(tvi_op_dtype(TVI_OP_exp, TV_U16), TV_F32);
  EQUAL(tvi_op_dtype(TVI_OP_exp, TV_I64), TV_F64);
  EQUAL(tvi_op_dtype(TVI_OP_divide, TV_I8), TV_F64);
  EQUAL(tvi_op_dtype(TVI_OP_sigmoid, TV_C64), TV_DTYPE_NONE);
  EQUAL(tvi_op_dtype(TVI_OP_exp, TV_DTYPE_NONE), TV_DTYPE_NONE);
  EQUAL(tvi_op_dtype(TVI_OP_COUNT, TV_F32), TV_DTYPE_NONE);
}

TEST(dtypes_that_rows_give) {
  EQUAL(tvi_op_result(TVI_OP_less, TV_F32), TV_BOOL);
  EQUAL(tvi_op_result(TVI_OP_isnan, TV_F32), TV_BOOL);
  EQUAL(tvi_op_result(TVI_OP_abs, TV_C128), TV_F64);
  EQUAL(tvi_op_result(TVI_OP_exp, TV_C128), TV_C128);
  EQUAL(tvi_op_result(TVI_OP_where, TV_BOOL), TV_BOOL);
}

TEST_MAIN("op", CASE(positions_and_names), CASE(dtypes_that_rows_run_in),
          CASE(dtypes_that_rows_give))
