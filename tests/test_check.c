/* SPDX-License-Identifier: MIT
 * Each case breaks one word of check.h, or one rule about cases: ctest wants every one to fail. */
#include "check.h"

static tv_tensor *three(void) { return OK(tv_arange(TV_F64, 1, 4, 1)); }

TEST(false_condition) { CHECK(1 == 2); }
TEST(other_number) { EQUAL(1, 2); }
TEST(other_text) { SAME_TEXT("one", "two"); }
TEST(failed_status) { OK(tv_device_set(1000)); }
TEST(failed_op) { OK(tv_zeros(TV_DTYPE_NONE, TV_SCALAR_SHAPE)); }
TEST(op_succeeds) { FAILS(TV_ESHAPE, "text", three()); }
TEST(op_fails_with_other_status) { FAILS(TV_ENOMEM, "text", tv_reshape(three(), TV_SHAPE(2))); }
TEST(op_fails_with_other_text) { FAILS(TV_ESHAPE, "text", tv_reshape(three(), TV_SHAPE(2))); }
TEST(call_succeeds) { FAILS_STATUS(TV_EDEVICE, "text", tv_device_set(TV_CPU)); }
TEST(call_fails_with_other_text) { FAILS_STATUS(TV_EDEVICE, "text", tv_device_set(1000)); }
TEST(other_shape) { SHAPE_IS(three(), TV_SHAPE(1, 3)); }
TEST(other_element) { HOLDS(three(), 1, 2, 4); }
TEST(fewer_elements) { HOLDS(three(), 1, 2); }
TEST(other_dtype) { SAME(tv_astype(three(), TV_F32), three()); }
TEST(other_bytes) { SAME(tv_zeros(TV_F64, TV_SHAPE(3)), three()); }
TEST(other_sign_of_zero) {
  SAME(tv_full(TV_F64, TV_SHAPE(1), tv_scalar(-0.)), tv_zeros(TV_F64, TV_SHAPE(1)));
}
TEST(f64_too_far) { CLOSE(1.0000000000000009, 1., 3); }
TEST(f32_too_far) { CLOSE(1.0000005f, 1.f, 3); }
TEST(nan_for_number) { CLOSE(0. / 0., 1., 1e300); }
TEST(tensor_too_far) { CLOSE(tv_add(three(), tv_scalar(1e-14)), three(), 3); }
TEST(failure_left_behind) { tv_zeros(TV_DTYPE_NONE, TV_SCALAR_SHAPE); }
TEST(leaked_handle) { tv_retain(three()); }

TEST_MAIN("check", CASE(false_condition), CASE(other_number), CASE(other_text), CASE(failed_status),
          CASE(failed_op), CASE(op_succeeds), CASE(op_fails_with_other_status),
          CASE(op_fails_with_other_text), CASE(call_succeeds), CASE(call_fails_with_other_text),
          CASE(other_shape), CASE(other_element), CASE(fewer_elements), CASE(other_dtype),
          CASE(other_bytes), CASE(other_sign_of_zero), CASE(f64_too_far), CASE(f32_too_far),
          CASE(nan_for_number), CASE(tensor_too_far), CASE(failure_left_behind),
          CASE(leaked_handle))
