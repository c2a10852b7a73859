/* SPDX-License-Identifier: MIT
 * Tensors from nothing and from the caller's memory. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "memory.h"

TEST(filled) {
  HOLDS(tv_imag(tv_zeros(TV_C128, TV_SHAPE(2))), 0, 0);
  HOLDS(tv_ones(TV_BOOL, TV_SHAPE(3)), 1, 1, 1);
  HOLDS(tv_full(TV_F16, TV_SHAPE(2), tv_scalar(1e5)), (double)INFINITY, (double)INFINITY);
  HOLDS(tv_full(TV_I32, TV_SHAPE(1), tv_scalar(2.9)), 2); /* cut, as NumPy's full */
  EQUAL(tv_tensor_dtype(tv_full(TV_DTYPE_NONE, TV_SHAPE(1), tv_scalar(2))), TV_I64);
  EQUAL(tv_tensor_dtype(tv_full(TV_DTYPE_NONE, TV_SHAPE(1), tv_scalar_complex(0, 1))), TV_C128);
  SHAPE_IS(tv_zeros(TV_F32, TV_SHAPE(0, 3)), TV_SHAPE(0, 3));
  SHAPE_IS(tv_ones(TV_F32, TV_SCALAR_SHAPE), TV_SCALAR_SHAPE);
  FAILS(TV_EVALUE, "full: 300 is out of the range of uint8",
        tv_full(TV_U8, TV_SHAPE(1), tv_scalar(300)));
  FAILS(TV_EDTYPE, "full: a complex128 value in float32",
        tv_full(TV_F32, TV_SHAPE(1), tv_scalar_complex(0, 1)));
  FAILS(TV_ESHAPE, "full: value has shape [2], not []",
        tv_full(TV_F32, TV_SHAPE(1), tv_ones(TV_F32, TV_SHAPE(2))));
}

TEST(like) {
  tv_tensor *const x = tv_matrix_transpose(tv_ones(TV_F16, TV_SHAPE(2, 3)));
  SHAPE_IS(tv_zeros_like(x), TV_SHAPE(3, 2));
  EQUAL(tv_tensor_dtype(tv_ones_like(x)), TV_F16);
  HOLDS(tv_ones_like(tv_scalar(.5)), 1);
  FAILS(TV_EVALUE, "ones_like: x is NULL", tv_ones_like(NULL));
  FAILS(TV_EVALUE, "zeros_like: x is NULL", tv_zeros_like(NULL));
}

TEST(arange_counts_as_numpy) {
  HOLDS(tv_arange(TV_DTYPE_NONE, 1, 1.3, .1), 1, 1.1, 1.2000000000000002, 1.3000000000000003);
  double third = 0;
  OK(tv_item_f64(tv_slice(tv_arange(TV_F64, 1, 2, .1), "3"), &third));
  CHECK(third == 1.3000000000000003);
  HOLDS(tv_arange(TV_F32, 5, 0, -2), 5, 3, 1);
  EQUAL(tv_tensor_size(tv_arange(TV_F32, 0, -1, 1)), 0);
  HOLDS(tv_arange(TV_I8, 0, 3, 1), 0, 1, 2);
  HOLDS(tv_arange_int(TV_DTYPE_NONE, -1, 2, 1), -1, 0, 1);
  HOLDS(tv_arange_int(TV_U64, 0, 10, 4), 0, 4, 8);
  tv_tensor *const wide = tv_arange_int(TV_I64, INT64_MIN, INT64_MAX, INT64_C(1) << 62);
  EQUAL(tv_tensor_size(wide), 4);
  EQUAL(((const int64_t *)tv_tensor_data(wide))[3], INT64_C(1) << 62);
  FAILS(TV_EVALUE, "arange: step is 0", tv_arange(TV_F32, 0, 1, 0));
  FAILS(TV_EVALUE, "arange: step is 0", tv_arange_int(TV_I32, 0, 1, 0));
  FAILS(TV_EVALUE, "arange: start, stop and step are to be finite",
        tv_arange(TV_F32, 0, (double)INFINITY, 1));
  FAILS(TV_EDTYPE, "arange: does not take bool", tv_arange(TV_BOOL, 0, 2, 1));
  FAILS(TV_EOVERFLOW, "arange: more than 2^63 - 1 elements",
        tv_arange_int(TV_I8, INT64_MIN, INT64_MAX, 1));
  FAILS(TV_EOVERFLOW, "arange: more than 2^62 elements", tv_arange(TV_I8, 0, 1e300, 1));
}

TEST(linspace_ends_on_its_ends) {
  HOLDS(tv_linspace(TV_F64, 0, 1, 5), 0, .25, .5, .75, 1);
  HOLDS(tv_linspace(TV_F64, 3, 9, 1), 3);
  EQUAL(tv_tensor_size(tv_linspace(TV_F64, 3, 9, 0)), 0);
  HOLDS(tv_linspace(TV_I32, -1, 0, 3), -1, -1, 0); /* rounded down */
  HOLDS(tv_linspace(TV_F64, 1e308, -1e308, 3), 1e308, 0, -1e308);
  HOLDS(tv_slice(tv_linspace(TV_F64, 0, .3, 4), "-1"), .3);
  FAILS(TV_EVALUE, "linspace: num is -1", tv_linspace(TV_F64, 0, 1, -1));
  FAILS(TV_EVALUE, "linspace: start and stop are to be finite",
        tv_linspace(TV_F64, (double)NAN, 1, 2));
}

TEST(eye_has_any_diagonal) {
  HOLDS(tv_eye(TV_F32, 2, 3, 1), 0, 1, 0, 0, 0, 1);
  HOLDS(tv_eye(TV_I64, 2, 2, -1), 0, 0, 1, 0);
  HOLDS(tv_eye(TV_I8, 2, 2, INT64_MIN), 0, 0, 0, 0);
  HOLDS(tv_eye(TV_I8, 2, 2, INT64_MAX), 0, 0, 0, 0);
  SHAPE_IS(tv_eye(TV_F32, 0, 3, 0), TV_SHAPE(0, 3));
  FAILS(TV_ESHAPE, "eye: -1 rows and 2 columns", tv_eye(TV_F32, -1, 2, 0));
}

static void count(void *user) { ++*(int *)user; }

TEST(borrow_is_released_after_its_last_view) {
  static const float a[] = {1, 2, 3, 4};
  int released = 0;
  tv_memory_options o = TV_MEMORY_OPTIONS;
  o.borrow = true;
  o.release = count;
  o.user = &released;
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_tensor *const x = tv_tensor_from_memory(a, TV_F32, TV_SHAPE(4), &o);
  CHECK(tv_tensor_data(x) == a);
  tv_tensor *const view = tv_retain(tv_slice(x, "1:3"));
  tv_scope_end(&scope, NULL);
  EQUAL(released, 0);
  HOLDS(view, 2, 3);
  tv_release(view);
  EQUAL(released, 1);
}

TEST(borrow_is_released_when_the_call_fails) {
  static const double a[2] = {0};
  int released = 0, calls = 0;
  tv_memory_options o = TV_MEMORY_OPTIONS;
  o.borrow = true;
  o.release = count;
  o.user = &released;
  CHECK(!tv_tensor_from_memory(a, TV_F64, TV_SHAPE(-1), &o));
  EQUAL(released, ++calls);
  tv_error_clear();
  FAILS(TV_EVALUE,
        "tensor_from_memory: a borrow of float64 needs addresses that are multiples of 8",
        tv_tensor_from_memory((const char *)a + 1, TV_F64, TV_SHAPE(1), &o));
  EQUAL(released, ++calls);
  o.device = 7;
  FAILS(TV_EDEVICE, "tensor_from_memory: a borrow lies on cpu: copy, or use tv_to",
        tv_tensor_from_memory(a, TV_F64, TV_SHAPE(1), &o));
  EQUAL(released, ++calls);
  o.device = TV_DEVICE_NONE;
  for (int64_t fail = 1;; fail++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    tvi_memory_fail(fail, false);
    tv_tensor *const x = tv_tensor_from_memory(a, TV_F64, TV_SHAPE(2), &o);
    tvi_memory_fail(0, false);
    if (!x) EQUAL(released, ++calls);
    tv_scope_end(&scope, NULL);
    tv_error_clear();
    if (!x) continue;
    EQUAL(released, ++calls);
    break;
  }
}

TEST(steps_of_the_caller) {
  static const int16_t a[] = {1, 2, 3, 4, 5, 6};
  const int64_t columns[] = {2, 6}, odd[] = {1, 6};
  tv_memory_options o = TV_MEMORY_OPTIONS;
  o.steps = columns;
  HOLDS(tv_tensor_from_memory(a, TV_I16, TV_SHAPE(3, 2), &o), 1, 4, 2, 5, 3, 6);
  o.borrow = true;
  HOLDS(tv_tensor_from_memory(a, TV_I16, TV_SHAPE(3, 2), &o), 1, 4, 2, 5, 3, 6);
  o.borrow = false;
  o.steps = odd;
  FAILS(TV_EVALUE, "tensor_from_memory: steps or data misaligned for int16",
        tv_tensor_from_memory(a, TV_I16, TV_SHAPE(3, 2), &o));
}

TEST(misaligned_bytes_are_copied) {
  char bytes[9];
  const float x = 1.5f;
  memcpy(bytes + 1, &x, 4);
  HOLDS(tv_tensor_from_memory(bytes + 1, TV_F32, TV_SHAPE(1), NULL), 1.5);
}

TEST(bad_arguments_are_refused) {
  tv_memory_options o = TV_MEMORY_OPTIONS;
  o.size = 0;
  CHECK(!tv_tensor_from_memory("", TV_U8, TV_SHAPE(1), &o));
  EQUAL(tv_error(), TV_EVALUE);
  tv_error_clear();
  FAILS(TV_EVALUE, "tensor_from_memory: data is NULL",
        tv_tensor_from_memory(NULL, TV_U8, TV_SHAPE(1), NULL));
  SHAPE_IS(tv_tensor_from_memory(NULL, TV_U8, TV_SHAPE(0), NULL), TV_SHAPE(0));
}

/* Elements of complex64 may begin between words of eight bytes, which move as one. */
TEST(complex_numbers_are_aligned_as_their_parts_are) {
  enum { N = 70 };
  static _Alignas(8) float room[2 * N * N + 1];
  for (int i = 0; i < 2 * N * N; i++) room[i + 1] = (float)i;
  tv_memory_options o = TV_MEMORY_OPTIONS;
  o.borrow = true;
  tv_tensor *const x = OK(tv_tensor_from_memory(room + 1, TV_C64, TV_SHAPE(N, N), &o));
  static float got[2 * N * N];
  OK(tv_tensor_copy_out(tv_matrix_transpose(x), got, sizeof got));
  for (int i = 0; i < N; i++)
    for (int k = 0; k < N; k++)
      CHECK(got[2 * (i * N + k)] == (float)(2 * (k * N + i)) &&
            got[2 * (i * N + k) + 1] == (float)(2 * (k * N + i) + 1));
  OK(tv_tensor_copy_out(tv_slice(x, "::3, 1::2"), got, sizeof got));
  CHECK(got[0] == 2 && got[1] == 3 && got[2] == 6);
}

TEST_MAIN("create", CASE(complex_numbers_are_aligned_as_their_parts_are), CASE(filled), CASE(like),
          CASE(arange_counts_as_numpy), CASE(linspace_ends_on_its_ends), CASE(eye_has_any_diagonal),
          CASE(borrow_is_released_after_its_last_view),
          CASE(borrow_is_released_when_the_call_fails), CASE(steps_of_the_caller),
          CASE(misaligned_bytes_are_copied), CASE(bad_arguments_are_refused))
