/* SPDX-License-Identifier: MIT
 * How dtypes meet: NumPy 2.2's table for every pair, weak scalars, several at once, strict
 * promotion. (tests/conformance asks NumPy itself.) */
#include <string.h>

#include "check.h"

/* np.result_type of NumPy 2.2.4, bf16 after the pattern of f16. */
static const char *const table[TV_DTYPE_COUNT] = {
    "b1 i8 i16 i32 i64 u8 u16 u32 u64 f16 bf16 f32 f64 c64 c128",
    "i8 i8 i16 i32 i64 i16 i32 i64 f64 f16 bf16 f32 f64 c64 c128",
    "i16 i16 i16 i32 i64 i16 i32 i64 f64 f32 f32 f32 f64 c64 c128",
    "i32 i32 i32 i32 i64 i32 i32 i64 f64 f64 f64 f64 f64 c128 c128",
    "i64 i64 i64 i64 i64 i64 i64 i64 f64 f64 f64 f64 f64 c128 c128",
    "u8 i16 i16 i32 i64 u8 u16 u32 u64 f16 bf16 f32 f64 c64 c128",
    "u16 i32 i32 i32 i64 u16 u16 u32 u64 f32 f32 f32 f64 c64 c128",
    "u32 i64 i64 i64 i64 u32 u32 u32 u64 f64 f64 f64 f64 c128 c128",
    "u64 f64 f64 f64 f64 u64 u64 u64 u64 f64 f64 f64 f64 c128 c128",
    "f16 f16 f32 f64 f64 f16 f32 f64 f64 f16 f32 f32 f64 c64 c128",
    "bf16 bf16 f32 f64 f64 bf16 f32 f64 f64 f32 bf16 f32 f64 c64 c128",
    "f32 f32 f32 f64 f64 f32 f32 f64 f64 f32 f32 f32 f64 c64 c128",
    "f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 c128 c128",
    "c64 c64 c64 c128 c128 c64 c64 c128 c128 c64 c64 c64 c128 c64 c128",
    "c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128"};

static tv_dtype dtype_of(const char *word, size_t length) {
  static const char *const words[] = {"b1",  "i8",  "i16",  "i32", "i64", "u8",  "u16", "u32",
                                      "u64", "f16", "bf16", "f32", "f64", "c64", "c128"};
  for (int d = 0; d < TV_DTYPE_COUNT; d++)
    if (strlen(words[d]) == length && !memcmp(words[d], word, length)) return (tv_dtype)d;
  return TV_DTYPE_NONE;
}

TEST(every_pair) {
  for (int a = 0; a < TV_DTYPE_COUNT; a++) {
    const char *word = table[a];
    for (int b = 0; b < TV_DTYPE_COUNT; b++, word += *word != 0) {
      const size_t length = strcspn(word, " ");
      const tv_dtype want = dtype_of(word, length),
                     got = tv_promote_types((tv_dtype)a, (tv_dtype)b);
      if (got != want)
        check_fail(CHECK_HERE, "%s with %s: %s, not %s", tv_dtype_name((tv_dtype)a),
                   tv_dtype_name((tv_dtype)b), tv_dtype_name(got), tv_dtype_name(want));
      word += length;
    }
  }
}

TEST(no_dtype_is_refused) {
  EQUAL(tv_promote_types(TV_F32, TV_DTYPE_NONE), TV_DTYPE_NONE);
  SAME_TEXT(tv_error_text(), "promote_types: 11 and -1: not two dtypes");
  tv_error_clear();
  EQUAL(tv_result_type(0, NULL), TV_DTYPE_NONE);
  tv_error_clear();
  EQUAL(tv_result_type(1, (tv_tensor *[]){NULL}), TV_DTYPE_NONE);
  SAME_TEXT(tv_error_text(), "result_type: a tensor is NULL");
  tv_error_clear();
}

static tv_dtype meet(tv_dtype dtype, tv_tensor *weak) {
  return tv_result_type(2, (tv_tensor *[]){tv_zeros(dtype, TV_SHAPE(1)), weak});
}

TEST(weak_scalars_have_a_kind_and_no_width) {
  for (int d = 0; d < TV_DTYPE_COUNT; d++) {
    const tv_dtype dtype = (tv_dtype)d;
    const bool is_exact = d < TV_F16, is_complex = d >= TV_C64;
    EQUAL(meet(dtype, tv_scalar((_Bool)1)), dtype);
    EQUAL(meet(dtype, tv_scalar(1)), dtype == TV_BOOL ? TV_I64 : dtype);
    EQUAL(meet(dtype, tv_scalar(1.)), is_exact ? TV_F64 : dtype);
    EQUAL(meet(dtype, tv_scalar_complex(0, 1)), is_complex                    ? dtype
                                                : is_exact || dtype == TV_F64 ? TV_C128
                                                                              : TV_C64);
  }
  EQUAL(tv_result_type(2, (tv_tensor *[]){tv_scalar(1), tv_scalar(1.)}), TV_F64);
  EQUAL(tv_result_type(2, (tv_tensor *[]){tv_scalar(1), tv_scalar(1)}), TV_I64);
}

static tv_dtype three(tv_dtype a, tv_dtype b, tv_dtype c) {
  return tv_result_type(3, (tv_tensor *[]){tv_zeros(a, TV_SHAPE(1)), tv_zeros(b, TV_SHAPE(1)),
                                           tv_zeros(c, TV_SHAPE(1))});
}

TEST(several_fold_into_the_highest_kind) {
  EQUAL(three(TV_I8, TV_U8, TV_F16), TV_F16);
  EQUAL(three(TV_I8, TV_U16, TV_F16), TV_F32);
  EQUAL(three(TV_F16, TV_U16, TV_I8), TV_F32);
}

TEST(casting_rules) {
  CHECK(tv_can_cast(TV_I64, TV_F32, TV_CAST_SAME_KIND) &&
        !tv_can_cast(TV_I64, TV_F32, TV_CAST_SAFE));
  CHECK(tv_can_cast(TV_F64, TV_F16, TV_CAST_SAME_KIND) &&
        tv_can_cast(TV_U8, TV_I8, TV_CAST_SAME_KIND));
  CHECK(tv_can_cast(TV_BOOL, TV_I8, TV_CAST_SAFE) &&
        tv_can_cast(TV_F64, TV_C64, TV_CAST_SAME_KIND));
  CHECK(!tv_can_cast(TV_F64, TV_I64, TV_CAST_SAME_KIND) &&
        !tv_can_cast(TV_I64, TV_U8, TV_CAST_SAME_KIND));
  CHECK(!tv_can_cast(TV_I8, TV_BOOL, TV_CAST_SAME_KIND) &&
        !tv_can_cast(TV_C64, TV_F64, TV_CAST_SAME_KIND));
}

TEST(strict_promotion_refuses_mixtures) {
  OK(tv_promotion_set(TV_PROMOTION_STRICT));
  tv_tensor *const a = tv_ones(TV_F32, TV_SHAPE(1)), *const b = tv_ones(TV_I64, TV_SHAPE(1));
  FAILS(TV_EDTYPE, "add: dtypes differ under strict promotion: float32 and int64", tv_add(a, b));
  HOLDS(tv_add(a, tv_scalar(1)), 2);
  HOLDS(tv_add(a, a), 2);
  OK(tv_promotion_set(TV_PROMOTION_NUMPY));
  HOLDS(tv_add(a, b), 2);
  FAILS_STATUS(TV_EVALUE, "promotion_set: 9 is no promotion", tv_promotion_set((tv_promotion)9));
}

TEST_MAIN("promotion", CASE(every_pair), CASE(no_dtype_is_refused),
          CASE(weak_scalars_have_a_kind_and_no_width), CASE(several_fold_into_the_highest_kind),
          CASE(casting_rules), CASE(strict_promotion_refuses_mixtures))
