/* SPDX-License-Identifier: MIT
 * Weak scalars: the number as an element of every dtype, or a refusal. */
#include "dtype.h"

#include <math.h>
#include <string.h>

#include "check.h"
#include "tensor.h"

TEST(kinds_of_c_numbers) {
  EQUAL(tv_tensor_dtype(tv_scalar((_Bool)1)), TV_BOOL);
  EQUAL(tv_tensor_dtype(tv_scalar((short)1)), TV_I64);
  EQUAL(tv_tensor_dtype(tv_scalar(1u)), TV_I64);
  EQUAL(tv_tensor_dtype(tv_scalar(UINT64_MAX)), TV_U64);
  EQUAL(tv_tensor_dtype(tv_scalar(1.f)), TV_F64);
  EQUAL(tv_tensor_dtype(tv_scalar_complex(1, 2)), TV_C128);
}

TEST(integers_in_range) {
  HOLDS(tv_add(tv_full(TV_I8, TV_SHAPE(1), tv_scalar(-128)), tv_scalar(127)), -1);
  HOLDS(tv_add(tv_full(TV_U64, TV_SHAPE(1), tv_scalar(UINT64_MAX)), tv_scalar(1)), 0);
  FAILS(TV_EVALUE, "add: 128 is out of the range of int8",
        tv_add(tv_ones(TV_I8, TV_SHAPE(1)), tv_scalar(128)));
  FAILS(TV_EVALUE, "add: -1 is out of the range of uint16",
        tv_add(tv_ones(TV_U16, TV_SHAPE(1)), tv_scalar(-1)));
  FAILS(TV_EVALUE, "add: 18446744073709551615 is out of the range of int64",
        tv_add(tv_ones(TV_I64, TV_SHAPE(1)), tv_scalar(UINT64_MAX)));
}

TEST(comparisons_and_clip_take_any_integer) {
  tv_tensor *const u = tv_arange(TV_U8, 0, 2, 1);
  HOLDS(tv_less(u, tv_scalar(300)), 1, 1);
  HOLDS(tv_equal(u, tv_scalar(-1)), 0, 0);
  HOLDS(tv_greater(tv_scalar(-5), u), 0, 0);
  HOLDS(tv_less_equal(tv_full(TV_I64, TV_SHAPE(1), tv_scalar(INT64_MAX)), tv_scalar(UINT64_MAX)),
        1);
  HOLDS(tv_clip(u, tv_scalar(-1), tv_scalar(300)), 0, 1);
  HOLDS(tv_clip(tv_full(TV_I8, TV_SHAPE(1), tv_scalar(5)), tv_scalar(-1000), tv_scalar(3)), 3);
}

TEST(reals_too_large_become_infinite) {
  HOLDS(tv_add(tv_zeros(TV_F16, TV_SHAPE(1)), tv_scalar(1e9)), (double)INFINITY);
  HOLDS(tv_add(tv_zeros(TV_BF16, TV_SHAPE(1)), tv_scalar(1.)), 1);
  uint8_t bytes[16];
  const tvi_weak half = {.kind = TVI_WEAK_REAL,
                         .r = {1 + 0x1p-11 + 0x1p-30, 0}}; /* not through f32 */
  CHECK(tvi_weak_element("x", &half, TV_F16, false, bytes));
  uint16_t bits;
  memcpy(&bits, bytes, 2);
  EQUAL(bits, 0x3c01);
}

TEST(kinds_do_not_go_down) {
  uint8_t bytes[16];
  const tvi_weak real = {.kind = TVI_WEAK_REAL, .r = {1, 0}},
                 complex = {.kind = TVI_WEAK_COMPLEX, .r = {1, 2}};
  CHECK(!tvi_weak_element("x", &real, TV_I8, false, bytes));
  SAME_TEXT(tv_error_text(), "x: a weak real does not become int8 by itself: use tv_astype");
  tv_error_clear();
  CHECK(!tvi_weak_element("x", &complex, TV_F32, false, bytes));
  SAME_TEXT(tv_error_text(), "x: a weak complex number does not become float32");
  tv_error_clear();
  CHECK(tvi_weak_element("x", &complex, TV_BOOL, false, bytes) && bytes[0] == 1);
}

TEST(two_weak_scalars_give_a_tensor) {
  tv_tensor *const y = tv_add(tv_scalar(1), tv_scalar(.5));
  CHECK(!tv_tensor_is_weak(y));
  EQUAL(tv_tensor_dtype(y), TV_F64);
  HOLDS(y, 1.5);
}

TEST_MAIN("weak", CASE(kinds_of_c_numbers), CASE(integers_in_range),
          CASE(comparisons_and_clip_take_any_integer), CASE(reals_too_large_become_infinite),
          CASE(kinds_do_not_go_down), CASE(two_weak_scalars_give_a_tensor))
