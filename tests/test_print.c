/* SPDX-License-Identifier: MIT
 * The text of arrays: one example of each rule, as NumPy 2.2.6 printed it. Thousands of random
 * arrays are compared in tests/conformance/test_print.py. */
#include "print.h"

#include <math.h>
#include <string.h>

#include "check.h"
#include "memory.h"

static const char *text(tv_text_style style, tv_dtype dtype, int rank, const int64_t *shape,
                        const void *elements) {
  static char out[4000];
  tvi_writer w = TVI_WRITER;
  tvi_print_array(&w, dtype, rank, shape, elements, style);
  CHECK(!w.has_failed && w.n < (int64_t)sizeof out);
  memcpy(out, w.bytes, (size_t)w.n);
  out[w.n] = '\0';
  tvi_writer_free(&w);
  return out;
}

#define F64(...) ((const double[]){__VA_ARGS__})
#define F32(...) ((const float[]){__VA_ARGS__})
#define REPR(dtype, ...) text(TV_REPR, dtype, __VA_ARGS__)
#define STR(dtype, ...) text(TV_STR, dtype, __VA_ARGS__)

TEST(numbers_share_one_column) {
  SAME_TEXT(REPR(TV_F64, TV_SHAPE(3), F64(1, 2.25, -10)), "array([  1.  ,   2.25, -10.  ])");
  SAME_TEXT(REPR(TV_F32, TV_SHAPE(2, 2), F32(1, 2, 3, 4)),
            "array([[1., 2.],\n       [3., 4.]], dtype=float32)");
  SAME_TEXT(STR(TV_F32, TV_SHAPE(2, 2), F32(1, 2, 3, 4)), "[[1. 2.]\n [3. 4.]]");
  SAME_TEXT(REPR(TV_I64, TV_SHAPE(3), ((const int64_t[]){1, -20, 300})), "array([  1, -20, 300])");
  SAME_TEXT(REPR(TV_U8, TV_SHAPE(2), ((const uint8_t[]){1, 255})),
            "array([  1, 255], dtype=uint8)");
  SAME_TEXT(REPR(TV_I8, TV_SHAPE(1), ((const int8_t[]){-128})), "array([-128], dtype=int8)");
  SAME_TEXT(REPR(TV_U64, TV_SHAPE(1), ((const uint64_t[]){UINT64_MAX})),
            "array([18446744073709551615], dtype=uint64)");
  SAME_TEXT(REPR(TV_BOOL, TV_SHAPE(2), ((const uint8_t[]){1, 0})), "array([ True, False])");
}

TEST(exponents_come_with_large_small_and_far_apart) {
  SAME_TEXT(REPR(TV_F64, TV_SHAPE(2), F64(1e8, 1e8)), "array([1.e+08, 1.e+08])");
  SAME_TEXT(REPR(TV_F64, TV_SHAPE(1), F64(99999999)), "array([99999999.])");
  SAME_TEXT(REPR(TV_F64, TV_SHAPE(1), F64(0.0001)), "array([0.0001])");
  SAME_TEXT(REPR(TV_F64, TV_SHAPE(2), F64(0.00009, 0)), "array([9.e-05, 0.e+00])");
  SAME_TEXT(REPR(TV_F64, TV_SHAPE(2), F64(1, 1000)), "array([   1., 1000.])");
  SAME_TEXT(REPR(TV_F64, TV_SHAPE(2), F64(1, 1000.5)), "array([1.0000e+00, 1.0005e+03])");
  SAME_TEXT(REPR(TV_F64, TV_SHAPE(1), F64(1e-100)), "array([1.e-100])");
  SAME_TEXT(REPR(TV_F32, TV_SHAPE(1), F32(0.0001f)), "array([0.0001], dtype=float32)");
}

TEST(nan_and_inf_fill_the_column) {
  SAME_TEXT(REPR(TV_F64, TV_SHAPE(4), F64((double)NAN, HUGE_VAL, -HUGE_VAL, -0.)),
            "array([ nan,  inf, -inf,  -0.])");
  SAME_TEXT(REPR(TV_F64, TV_SHAPE(1), F64((double)NAN)), "array([nan])");
  SAME_TEXT(REPR(TV_F64, TV_SHAPE(2), F64((double)NAN, 1e10)), "array([   nan, 1.e+10])");
}

TEST(complex_has_a_column_for_each_part) {
  SAME_TEXT(REPR(TV_C128, TV_SHAPE(2), F64(1, 2, -3, 0.5)), "array([ 1.+2.j , -3.+0.5j])");
  SAME_TEXT(REPR(TV_C64, TV_SHAPE(1), F32(0, -1)), "array([0.-1.j], dtype=complex64)");
}

TEST(halves_have_digits_of_their_own) {
  const uint16_t halves[] = {0x2e66, 0x3c00};
  SAME_TEXT(REPR(TV_F16, TV_SHAPE(2), halves), "array([0.1, 1. ], dtype=float16)");
  const uint16_t brains[] = {0x3dcd, 0x3f80};
  SAME_TEXT(REPR(TV_BF16, TV_SHAPE(2), brains), "array([0.1, 1. ], dtype=bfloat16)");
  /* max / min is rounded to the dtype before it is compared with 1000: 1004 is more, and
   * 227 / 0.2265625 = 1001.9, which rounds to 1000, is not. */
  const uint16_t far[] = {0x3f80, 0x447b}, near[] = {0x3e68, 0x4363};
  SAME_TEXT(STR(TV_BF16, TV_SHAPE(2), far), "[1.000e+00 1.004e+03]");
  SAME_TEXT(STR(TV_BF16, TV_SHAPE(2), near), "[  0.227 227.   ]");
}

TEST(scalars_print_as_scalars) {
  SAME_TEXT(REPR(TV_F32, TV_SCALAR_SHAPE, F32(5)), "array(5., dtype=float32)");
  SAME_TEXT(STR(TV_F32, TV_SCALAR_SHAPE, F32(5)), "5.0");
  SAME_TEXT(STR(TV_F64, TV_SCALAR_SHAPE, F64(1e16)), "1e+16");
  SAME_TEXT(STR(TV_F64, TV_SCALAR_SHAPE, F64(0.1 + 0.2)), "0.30000000000000004");
  SAME_TEXT(STR(TV_F64, TV_SCALAR_SHAPE, F64(-HUGE_VAL)), "-inf");
  SAME_TEXT(STR(TV_C128, TV_SCALAR_SHAPE, F64(1, -2)), "(1-2j)");
  SAME_TEXT(STR(TV_C128, TV_SCALAR_SHAPE, F64(0, 2)), "2j");
  SAME_TEXT(STR(TV_C128, TV_SCALAR_SHAPE, F64(-0., (double)NAN)), "(-0+nanj)");
  SAME_TEXT(STR(TV_BOOL, TV_SCALAR_SHAPE, "\1"), "True");
  SAME_TEXT(REPR(TV_BOOL, TV_SCALAR_SHAPE, "\0"), "array(False)");
  SAME_TEXT(REPR(TV_I32, TV_SCALAR_SHAPE, ((const int32_t[]){-7})), "array(-7, dtype=int32)");
}

TEST(arrays_without_elements_say_shape_and_dtype) {
  SAME_TEXT(REPR(TV_F64, TV_SHAPE(0), NULL), "array([], dtype=float64)");
  SAME_TEXT(REPR(TV_F32, TV_SHAPE(0, 3), NULL), "array([], shape=(0, 3), dtype=float32)");
  SAME_TEXT(STR(TV_F32, TV_SHAPE(0, 3), NULL), "[]");
}

TEST(lines_break_at_75) {
  int64_t ids[30];
  for (int i = 0; i < 30; i++) ids[i] = i;
  SAME_TEXT(REPR(TV_I64, TV_SHAPE(30), ids),
            "array([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16,\n"
            "       17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])");
  SAME_TEXT(STR(TV_I64, TV_SHAPE(30), ids),
            "[ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23\n"
            " 24 25 26 27 28 29]");
}

TEST(blocks_are_set_apart) {
  SAME_TEXT(REPR(TV_F32, TV_SHAPE(2, 1, 2), F32(1, 2, 3, 4)),
            "array([[[1., 2.]],\n\n       [[3., 4.]]], dtype=float32)");
}

/* The elements shown of an arange of this shape. */
static void corner(int rank, const int64_t *shape, int32_t *out) {
  int64_t shown[8], index[8] = {0};
  const int64_t n = tvi_print_shown(rank, shape, shown);
  for (int64_t i = 0; i < n; i++) {
    int64_t at = 0;
    for (int k = 0; k < rank; k++) {
      const bool is_end = shown[k] < shape[k] && index[k] >= 3;
      at = at * shape[k] + (is_end ? shape[k] - 6 + index[k] : index[k]);
    }
    out[i] = (int32_t)at;
    for (int k = rank - 1; k >= 0 && ++index[k] == shown[k]; k--) index[k] = 0;
  }
}

TEST(beyond_1000_elements_the_middle_is_left_out) {
  int32_t shown[400];
  corner(TV_SHAPE(1001), shown);
  SAME_TEXT(REPR(TV_I32, TV_SHAPE(1001), shown),
            "array([   0,    1,    2, ...,  998,  999, 1000],\n      shape=(1001,), dtype=int32)");
  corner(TV_SHAPE(7, 150), shown);
  SAME_TEXT(STR(TV_I32, TV_SHAPE(7, 150), shown),
            "[[   0    1    2 ...  147  148  149]\n [ 150  151  152 ...  297  298  299]\n"
            " [ 300  301  302 ...  447  448  449]\n ...\n [ 600  601  602 ...  747  748  749]\n"
            " [ 750  751  752 ...  897  898  899]\n [ 900  901  902 ... 1047 1048 1049]]");
  corner(TV_SHAPE(2, 501), shown);
  SAME_TEXT(
      REPR(TV_I32, TV_SHAPE(2, 501), shown),
      "array([[   0,    1,    2, ...,  498,  499,  500],\n"
      "       [ 501,  502,  503, ...,  999, 1000, 1001]],\n      shape=(2, 501), dtype=int32)");
}

TEST(any_allocation_may_fail) {
  int64_t n = 0;
  for (bool failed = true; failed;) {
    tvi_writer w = TVI_WRITER;
    tvi_memory_fail(++n, true);
    tvi_print_array(&w, TV_F32, TV_SHAPE(2, 3), F32(1, 2, 3, 4, 5, 6), TV_REPR);
    tvi_memory_fail(0, false);
    failed = w.has_failed;
    tvi_writer_free(&w);
  }
  CHECK(n > 2);
}

TEST_MAIN("print", CASE(numbers_share_one_column),
          CASE(exponents_come_with_large_small_and_far_apart), CASE(nan_and_inf_fill_the_column),
          CASE(complex_has_a_column_for_each_part), CASE(halves_have_digits_of_their_own),
          CASE(scalars_print_as_scalars), CASE(arrays_without_elements_say_shape_and_dtype),
          CASE(lines_break_at_75), CASE(blocks_are_set_apart),
          CASE(beyond_1000_elements_the_middle_is_left_out), CASE(any_allocation_may_fail))
