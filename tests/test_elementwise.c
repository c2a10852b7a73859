/* SPDX-License-Identifier: MIT
 * Elementwise ops as the public meets them: broadcasting, dtypes, exact comparisons, refusals.
 * (Values of every row and dtype are held against NumPy in tests/conformance.) */
#include <math.h>

#include "elementwise.h"

#include "check.h" /* after ops.def, which has a kind of row of the name TEST */

TEST(broadcasting) {
  tv_tensor *const row = tv_arange(TV_F32, 0, 3, 1), *const column =
                                                         tv_reshape(tv_arange(TV_F32, 0, 20, 10),
                                                                    TV_SHAPE(2, 1));
  SHAPE_IS(tv_add(row, column), TV_SHAPE(2, 3));
  HOLDS(tv_add(row, column), 0, 1, 2, 10, 11, 12);
  SHAPE_IS(tv_add(tv_ones(TV_F32, TV_SHAPE(0, 3)), row), TV_SHAPE(0, 3));
  SHAPE_IS(tv_add(tv_ones(TV_F32, TV_SHAPE(4, 1, 0)), tv_ones(TV_F32, TV_SHAPE(5, 1))),
           TV_SHAPE(4, 5, 0));
  FAILS(TV_ESHAPE, "add: shapes do not broadcast: [2, 3] and [2]",
        tv_add(tv_ones(TV_F32, TV_SHAPE(2, 3)), tv_ones(TV_F32, TV_SHAPE(2))));
  FAILS(TV_ESHAPE, "where: shapes do not broadcast: [2] and [3]",
        tv_where(tv_ones(TV_BOOL, TV_SHAPE(2)), tv_scalar(1), tv_ones(TV_F32, TV_SHAPE(3))));
}

TEST(dtypes_of_results) {
  tv_tensor *const b = tv_ones(TV_BOOL, TV_SHAPE(1)), *const i = tv_ones(TV_I32, TV_SHAPE(1)),
                   *const c = tv_ones(TV_C64, TV_SHAPE(1));
  EQUAL(tv_tensor_dtype(tv_add(b, b)), TV_BOOL);
  EQUAL(tv_tensor_dtype(tv_square(b)), TV_I8);
  EQUAL(tv_tensor_dtype(tv_divide(i, i)), TV_F64);
  EQUAL(tv_tensor_dtype(tv_exp(tv_ones(TV_U8, TV_SHAPE(1)))), TV_F16);
  EQUAL(tv_tensor_dtype(tv_exp(tv_ones(TV_I16, TV_SHAPE(1)))), TV_F32);
  EQUAL(tv_tensor_dtype(tv_abs(c)), TV_F32);
  EQUAL(tv_tensor_dtype(tv_less(i, i)), TV_BOOL);
  EQUAL(tv_tensor_dtype(tv_where(b, tv_scalar(1.), tv_ones(TV_F32, TV_SHAPE(1)))), TV_F32);
  FAILS(TV_EDTYPE, "subtract: does not take bool", tv_subtract(b, b));
  FAILS(TV_EDTYPE, "less: does not take complex64", tv_less(c, c));
  FAILS(TV_EDTYPE, "floor_divide: does not take complex64", tv_floor_divide(c, c));
}

TEST(real_tensors_are_their_own_conjugates) {
  tv_tensor *const x = tv_ones(TV_F32, TV_SHAPE(2));
  CHECK(tv_conj(x) == x && tv_real(x) == x);
  HOLDS(tv_imag(x), 0, 0);
}

TEST(integers_of_either_sign_compare_exactly) {
  const int64_t s[] = {-1, INT64_C(9007199254740993), 5};
  const uint64_t u[] = {UINT64_MAX, UINT64_C(9007199254740992), 5};
  tv_tensor *const a = tv_tensor_from_memory(s, TV_I64, TV_SHAPE(3), NULL);
  tv_tensor *const b = tv_tensor_from_memory(u, TV_U64, TV_SHAPE(3), NULL);
  HOLDS(tv_equal(a, b), 0, 0, 1);
  HOLDS(tv_not_equal(b, a), 1, 1, 0);
  HOLDS(tv_less(a, b), 1, 0, 0);
  HOLDS(tv_less_equal(a, b), 1, 0, 1);
  HOLDS(tv_greater(a, b), 0, 1, 0);
  HOLDS(tv_greater_equal(b, a), 1, 0, 1);
  HOLDS(tv_less(b, tv_astype(a, TV_I8)), 0, 0, 0);
}

TEST(integer_arithmetic_is_defined_everywhere) {
  const int32_t x[] = {INT32_MIN, -7, 7, 0}, y[] = {-1, 2, 0, 0};
  tv_tensor *const a = tv_tensor_from_memory(x, TV_I32, TV_SHAPE(4), NULL);
  tv_tensor *const b = tv_tensor_from_memory(y, TV_I32, TV_SHAPE(4), NULL);
  HOLDS(tv_floor_divide(a, b), INT32_MIN, -4, 0, 0);
  HOLDS(tv_remainder(a, b), 0, 1, 0, 0);
  HOLDS(tv_abs(a), INT32_MIN, 7, 7, 0);
  HOLDS(tv_add(a, a), 0, -14, 14, 0);
}

TEST(negative_integer_powers_are_refused_before_anything) {
  tv_tensor *const x = tv_arange(TV_I32, 0, 3, 1);
  HOLDS(tv_pow(x, x), 1, 1, 4);
  FAILS(TV_EVALUE, "pow: integer to the negative integer power -2: convert to a floating dtype",
        tv_pow(x, tv_scalar(-2)));
  FAILS(TV_EVALUE, "pow: integer to the negative integer power -1: convert to a floating dtype",
        tv_pow(x, tv_arange(TV_I32, -1, 2, 1)));
  SHAPE_IS(tv_pow(tv_slice(x, "0:0"), tv_slice(x, "0:0")), TV_SHAPE(0));
}

TEST(condition_selects_and_never_multiplies) {
  tv_tensor *const c = tv_arange(TV_I64, 0, 2, 1); /* not zero is true */
  HOLDS(tv_where(c, tv_scalar((double)NAN), tv_scalar(1.)), 1, (double)NAN);
}

TEST(zeros_keep_their_sign) {
  const double want = 1 / -0.;
  HOLDS(tv_divide(tv_scalar(1.), tv_negative(tv_zeros(TV_F64, TV_SHAPE(1)))), want);
  HOLDS(tv_divide(tv_scalar(1.), tv_maximum(tv_scalar(-0.), tv_zeros(TV_F64, TV_SHAPE(1)))), -want);
  HOLDS(tv_divide(tv_scalar(1.), tv_minimum(tv_zeros(TV_F64, TV_SHAPE(1)), tv_scalar(-0.))), want);
}

static void is_named(intptr_t op) {
  const tvi_op_row *const r = &tvi_op_info[op];
  tv_tensor *in[3] = {NULL};
  CHECK(!tvi_elementwise((tvi_op)op, in));
  CHECK(tv_error() == TV_EVALUE);
  tv_error_clear();
  CHECK(tv_op_name((int)op) == r->name);
}

int main(int argc, char **argv) {
  static const check_case all[] = {
      CASE(broadcasting),
      CASE(dtypes_of_results),
      CASE(real_tensors_are_their_own_conjugates),
      CASE(integers_of_either_sign_compare_exactly),
      CASE(integer_arithmetic_is_defined_everywhere),
      CASE(negative_integer_powers_are_refused_before_anything),
      CASE(condition_selects_and_never_multiplies),
      CASE(zeros_keep_their_sign),
#undef TEST
#define EACH(name, ...) ROW("null_" #name, is_named, TVI_OP_##name),
#include "ops.def"
  };
  return check_main("elementwise", (int)(sizeof all / sizeof *all), all, argc, argv);
}
