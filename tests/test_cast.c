/* SPDX-License-Identifier: MIT
 * Conversions at the public face: dtypes, devices, and what is counted as lost. (The rule for every
 * pair of dtypes is held against NumPy in test_cpu_convert.c and tests/conformance.) */
#include <math.h>

#include "check.h"

TEST(same_dtype_is_the_same_handle) {
  tv_tensor *const x = tv_ones(TV_F32, TV_SHAPE(2));
  CHECK(tv_astype(x, TV_F32) == x);
  CHECK(tv_to(x, TV_CPU) == x);
}

TEST(weak_scalars_become_tensors) {
  tv_tensor *const x = tv_astype(tv_scalar(300), TV_U8);
  CHECK(!tv_tensor_is_weak(x));
  HOLDS(x, 44);
  tv_tensor *const y = tv_to(tv_scalar(.5), TV_CPU);
  EQUAL(tv_tensor_dtype(y), TV_F64);
  EQUAL(tv_tensor_device(y), TV_CPU);
}

TEST(refusals) {
  FAILS(TV_EDTYPE, "astype: from complex64 to float32: take tv_real or tv_imag first",
        tv_astype(tv_ones(TV_C64, TV_SHAPE(1)), TV_F32));
  HOLDS(tv_astype(tv_ones(TV_C64, TV_SHAPE(1)), TV_BOOL), 1);
  FAILS(TV_EDTYPE, "astype: 77 is no dtype", tv_astype(tv_scalar(1), (tv_dtype)77));
  FAILS(TV_EVALUE, "astype: x is NULL", tv_astype(NULL, TV_F32));
  FAILS(TV_EVALUE, "to: x is NULL", tv_to(NULL, TV_CPU));
  CHECK(!tv_to(tv_scalar(1), 63) && tv_error() == TV_EDEVICE);
  tv_error_clear();
}

static void counts(tv_tensor *x, tv_dtype to, int64_t overflow, int64_t inexact, int64_t nan,
                   int64_t first) {
  tv_cast_report r = TV_CAST_REPORT;
  SAME(tv_cast_checked(x, to, 0, &r), tv_astype(x, to));
  EQUAL(r.n_overflow, overflow);
  EQUAL(r.n_inexact, inexact);
  EQUAL(r.n_nan_to_integer, nan);
  EQUAL(r.first, first);
}

TEST(losses_are_counted) {
  const double a[] = {1, -0., 1.5, -129, 300, (double)NAN, (double)INFINITY, 1e300};
  tv_tensor *const x = tv_tensor_from_memory(a, TV_F64, TV_SHAPE(8), NULL);
  counts(x, TV_F32, 1, 0, 0, 7);
  counts(x, TV_I8, 4, 1, 1, 2);
  counts(x, TV_U8, 4, 1, 1, 2);
  counts(x, TV_U64, 3, 1, 1, 2);
  counts(x, TV_BOOL, 0, 5, 1, 2);
  counts(x, TV_C128, 0, 0, 0, -1);
  counts(tv_slice(x, "0:0"), TV_I8, 0, 0, 0, -1);
  const int64_t b[] = {0, 127, 128, -128, -129, INT64_MAX, INT64_MIN};
  tv_tensor *const y = tv_tensor_from_memory(b, TV_I64, TV_SHAPE(7), NULL);
  counts(y, TV_I8, 4, 0, 0, 2);
  counts(y, TV_U64, 3, 0, 0, 3);
  counts(y, TV_F32, 0, 1, 0, 5);
  counts(tv_full(TV_U64, TV_SHAPE(1), tv_scalar(UINT64_MAX)), TV_I64, 1, 0, 0, 0);
  counts(tv_ones(TV_BOOL, TV_SHAPE(2)), TV_I8, 0, 0, 0, -1);
}

TEST(what_is_refused_gives_nothing_but_the_report) {
  const double a[] = {1.1, 2.2, 3.3, 4.4};
  tv_cast_report r = TV_CAST_REPORT;
  tv_tensor *const x = tv_tensor_from_memory(a, TV_F64, TV_SHAPE(2, 2), NULL);
  FAILS(
      TV_EVALUE,
      "cast_checked: from float64 to float32: 0 overflow, 4 inexact, 0 NaN to integer; first at 0",
      tv_cast_checked(x, TV_F32, TV_REFUSE_INEXACT, &r));
  EQUAL(r.n_inexact, 4);
  CHECK(tv_cast_checked(x, TV_F32, TV_REFUSE_OVERFLOW | TV_REFUSE_NAN_TO_INTEGER, NULL));
  FAILS(TV_EVALUE, "cast_checked: 8 is no sum of what may be refused",
        tv_cast_checked(x, TV_F32, 8, NULL));
  r.size = 0;
  CHECK(!tv_cast_checked(x, TV_F32, 0, &r));
  EQUAL(tv_error(), TV_EVALUE);
  tv_error_clear();
  FAILS(TV_EVALUE, "cast_checked: x is NULL", tv_cast_checked(NULL, TV_F32, 0, NULL));
}

TEST_MAIN("cast", CASE(same_dtype_is_the_same_handle), CASE(weak_scalars_become_tensors),
          CASE(refusals), CASE(losses_are_counted),
          CASE(what_is_refused_gives_nothing_but_the_report))
