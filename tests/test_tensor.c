/* SPDX-License-Identifier: MIT
 * Tensors: asking them, their bytes in every layout, ownership. */
#include "tensor.h"

#include <pthread.h>
#include <string.h>

#include "check.h"
#include "size.h"

TEST(asking) {
  tv_tensor *const x = tv_zeros(TV_F16, TV_SHAPE(2, 3));
  EQUAL(tv_tensor_dtype(x), TV_F16);
  EQUAL(tv_tensor_rank(x), 2);
  EQUAL(tv_tensor_shape(x)[1], 3);
  EQUAL(tv_tensor_size(x), 6);
  EQUAL(tv_tensor_bytes(x), 12);
  EQUAL(tv_tensor_device(x), TV_CPU);
  CHECK(tv_tensor_is_contiguous(x) && !tv_tensor_is_weak(x));
  EQUAL(tv_tensor_device(tv_scalar(1)), TV_DEVICE_NONE);
  CHECK(tv_tensor_is_weak(tv_scalar(1)));
}

TEST(asking_null) {
  EQUAL(tv_tensor_dtype(NULL), TV_DTYPE_NONE);
  EQUAL(tv_tensor_rank(NULL), -1);
  CHECK(!tv_tensor_shape(NULL));
  EQUAL(tv_tensor_size(NULL), 0);
  EQUAL(tv_tensor_bytes(NULL), 0);
  EQUAL(tv_tensor_device(NULL), TV_DEVICE_NONE);
  CHECK(!tv_tensor_is_contiguous(NULL) && !tv_tensor_is_weak(NULL) &&
        !tv_tensor_shares(NULL, NULL));
  FAILS(TV_EVALUE, "tensor_data: x is NULL", tv_tensor_data(NULL));
  FAILS_STATUS(TV_EVALUE, "tensor_copy_out: x is NULL", tv_tensor_copy_out(NULL, NULL, 0));
}

TEST(data_of_a_view_is_compact_and_stays) {
  tv_tensor *const x = tv_reshape(tv_arange(TV_I32, 0, 6, 1), TV_SHAPE(2, 3)),
                   *const t = tv_matrix_transpose(x);
  const int32_t *const data = tv_tensor_data(t);
  const int32_t want[] = {0, 3, 1, 4, 2, 5};
  CHECK(!memcmp(data, want, sizeof want));
  CHECK(tv_tensor_data(t) == data);
  CHECK(tv_tensor_shares(t, x) && !tv_tensor_is_contiguous(t));
}

TEST(strided_data_shows_steps) {
  tv_tensor *const x = tv_reshape(tv_arange(TV_I32, 0, 6, 1), TV_SHAPE(2, 3)), *const y = tv_flip(
                                                                                   x, TV_AXES(1));
  int64_t steps[2];
  const int32_t *const first = tv_tensor_data_strided(y, steps);
  EQUAL(*first, 2);
  EQUAL(steps[0], 12);
  EQUAL(steps[1], -4);
  FAILS(TV_EVALUE, "tensor_data_strided: steps is NULL", tv_tensor_data_strided(y, NULL));
}

TEST(copy_out_checks_room) {
  float out[6] = {9, 9, 9, 9, 9, 9};
  tv_tensor *const x = tv_matrix_transpose(tv_reshape(tv_arange(TV_F32, 0, 6, 1), TV_SHAPE(2, 3)));
  FAILS_STATUS(TV_EVALUE, "tensor_copy_out: room for 20 bytes, there are 24",
               tv_tensor_copy_out(x, out, 20));
  CHECK(out[0] == 9);
  OK(tv_tensor_copy_out(x, out, sizeof out));
  CHECK(out[1] == 3 && out[5] == 5);
  OK(tv_tensor_copy_out(tv_zeros(TV_F32, TV_SHAPE(0, 3)), NULL, 0));
}

TEST(items) {
  double r = 0;
  int64_t i = 0;
  OK(tv_item_f64(tv_full(TV_BF16, TV_SHAPE(1, 1), tv_scalar(1.5)), &r));
  CHECK(r == 1.5);
  OK(tv_item_i64(tv_full(TV_F32, TV_SCALAR_SHAPE, tv_scalar(-2.9)), &i));
  EQUAL(i, -2);
  OK(tv_item_i64(tv_scalar(true), &i));
  EQUAL(i, 1);
  OK(tv_item_f64(tv_scalar(UINT64_MAX), &r));
  CHECK(r == 0x1p64);
  FAILS_STATUS(TV_ESHAPE, "item_f64: shape [2] has 2 elements, not 1",
               tv_item_f64(tv_zeros(TV_F32, TV_SHAPE(2)), &r));
  FAILS_STATUS(TV_EDTYPE, "item_i64: x is complex64: take tv_real or tv_imag first",
               tv_item_i64(tv_zeros(TV_C64, TV_SHAPE(1)), &i));
  FAILS_STATUS(TV_EVALUE, "item_f64: value is NULL", tv_item_f64(tv_scalar(1), NULL));
}

TEST(weak_scalars_have_data) {
  CHECK(*(const int64_t *)tv_tensor_data(tv_scalar(7)) == 7);
  CHECK(*(const double *)tv_tensor_data(tv_scalar(.5)) == .5);
  CHECK(*(const uint8_t *)tv_tensor_data(tv_scalar((_Bool)1)) == 1);
  double z[2];
  OK(tv_tensor_copy_out(tv_scalar_complex(1, 2), z, sizeof z));
  CHECK(z[0] == 1 && z[1] == 2);
}

TEST(steps_of_axes_of_size_one_mean_nothing) {
  tv_tensor *const x = tv_slice(tv_ones(TV_F32, TV_SHAPE(4, 3)), "1:2"); /* [1, 3] */
  CHECK(tv_tensor_is_contiguous(x));
  CHECK(tv_tensor_is_contiguous(tv_matrix_transpose(x)));
  CHECK(tv_tensor_is_contiguous(tv_slice(tv_ones(TV_F32, TV_SHAPE(4, 3)), "0:0, ::2")));
}

enum { PAIRS = 100000 };
static void *retain_and_release(void *x) {
  for (int k = 0; k < PAIRS; k++) tv_release(tv_retain(x));
  return NULL;
}

TEST(counts_are_exact_across_threads) {
  tv_tensor *const x = tv_ones(TV_F32, TV_SHAPE(3));
  pthread_t threads[8];
  for (int k = 0; k < 8; k++) EQUAL(pthread_create(&threads[k], NULL, retain_and_release, x), 0);
  for (int k = 0; k < 8; k++) pthread_join(threads[k], NULL);
  EQUAL(atomic_load(&x->count), 1);
}

static uint64_t magnitude(int64_t v) { return v < 0 ? 0 - (uint64_t)v : (uint64_t)v; }

/* The most that a number of this sign can be, without it. */
static uint64_t limit(bool is_negative) { return (uint64_t)INT64_MAX + is_negative; }

/* Random sizes against division, and the magnitudes of sums: 32-bit targets have no wider type. */
TEST(size_arithmetic) {
  uint64_t state = 1;
  for (int round = 0; round < 1000000; round++) {
    int64_t v[3];
    for (int k = 0; k < 3; k++) {
      state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
      v[k] = (int64_t)state >> (state >> 33 & 63);
    }
    int64_t got = -7;
    const uint64_t a = magnitude(v[0]), b = magnitude(v[1]);
    const bool is_negative = (v[0] < 0) != (v[1] < 0);
    const bool has_product = !a || !b || a <= limit(is_negative) / b;
    CHECK(tvi_mul(v[0], v[1], &got) == has_product);
    EQUAL(got, has_product ? (int64_t)(is_negative ? 0 - a * b : a * b) : -7);
    got = -7;
    const bool has_sum = is_negative || a <= limit(v[0] < 0) - b;
    CHECK(tvi_add(v[0], v[1], &got) == has_sum);
    EQUAL(got, has_sum ? (int64_t)((uint64_t)v[0] + (uint64_t)v[1]) : -7);
    int64_t shape[3], n, bytes;
    uint64_t all = 8;
    bool all_fit = true;
    for (int k = 0; k < 3; k++) {
      shape[k] = v[k] < 0 ? ~v[k] : v[k];
      if (!shape[k]) continue;
      all_fit = all_fit && all <= limit(false) / (uint64_t)shape[k];
      all *= (uint64_t)shape[k];
    }
    const bool fits = tvi_product(3, shape, 8, &n, &bytes);
    CHECK(fits == all_fit);
    if (fits) {
      const bool is_empty = !shape[0] || !shape[1] || !shape[2];
      EQUAL(bytes, is_empty ? 0 : (int64_t)all);
      EQUAL(n, is_empty ? 0 : (int64_t)all / 8);
    }
  }
}

TEST(impossible_shapes_are_refused) {
  FAILS(TV_ESHAPE, "zeros: negative size in shape [2, -1]", tv_zeros(TV_F32, TV_SHAPE(2, -1)));
  FAILS(TV_EDTYPE, "zeros: 15 is no dtype", tv_zeros(TV_DTYPE_COUNT, TV_SHAPE(2)));
  FAILS(TV_ESHAPE, "zeros: 65 axes: 0 to 64 are possible", tv_zeros(TV_F32, 65, (int64_t[65]){0}));
  FAILS(TV_EVALUE, "zeros: shape is NULL", tv_zeros(TV_F32, 2, NULL));
  FAILS(TV_EOVERFLOW,
        "zeros: shape [0, 4611686018427387904, 4] of float32 has more than 2^63 - 1 bytes",
        tv_zeros(TV_F32, TV_SHAPE(0, INT64_C(1) << 62, 4)));
  int64_t ones[TV_MAX_RANK];
  for (int k = 0; k < TV_MAX_RANK; k++) ones[k] = 1;
  tv_tensor *const deep = tv_full(TV_I8, TV_MAX_RANK, ones, tv_scalar(3));
  HOLDS(tv_add(deep, deep), 6);
}

TEST(more_than_there_is_memory_for) {
  CHECK(!tv_zeros(TV_U8, TV_SHAPE(INT64_C(1) << 60)));
  EQUAL(tv_error(), TV_ENOMEM);
  CHECK(strstr(tv_error_text(), "1152921504606846976"));
  tv_error_clear();
}

TEST_MAIN("tensor", CASE(asking), CASE(asking_null), CASE(data_of_a_view_is_compact_and_stays),
          CASE(strided_data_shows_steps), CASE(copy_out_checks_room), CASE(items),
          CASE(weak_scalars_have_data), CASE(steps_of_axes_of_size_one_mean_nothing),
          CASE(counts_are_exact_across_threads), CASE(size_arithmetic),
          CASE(impossible_shapes_are_refused), CASE(more_than_there_is_memory_for))
