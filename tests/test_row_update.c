/* SPDX-License-Identifier: MIT
 * Rows by position: every update and dtype against plain loops, on the CPU and on a device that has
 * only gather and scatter_add; duplicates; and that a failed round changes nothing. */
#include <string.h>

#include "check.h"
#include "far.h"
#include "memory.h"

static tv_tensor *i64(int rank, const int64_t *shape, const int64_t *data) {
  return tv_tensor_from_memory(data, TV_I64, rank, shape, NULL);
}

/* 0, 1, ... in f32, of a shape. */
static tv_variable *counted(int rank, const int64_t *shape) {
  tv_scope scope;
  int64_t n = 1;
  for (int k = 0; k < rank; k++) n *= shape[k];
  tv_scope_begin(&scope);
  tv_variable *const v =
      tv_variable_new(tv_reshape(tv_arange(TV_F32, 0, (double)n, 1), rank, shape), NULL);
  tv_scope_end(&scope, NULL);
  return v;
}

/* Against plain loops ----------------------------------------------------------------------------
 */

enum { N = 5, K = 9, INNER = 3 };

/* Small whole numbers: exact in every dtype, quotients by powers of 2 too. */
static double model(tv_update how, double a, double b) {
  switch (how) {
    case TV_SET:
      return b;
    case TV_ADD:
      return a + b;
    case TV_SUBTRACT:
      return a - b;
    case TV_MULTIPLY:
      return a * b;
    case TV_DIVIDE:
      return a / b;
    case TV_MINIMUM:
      return a < b ? a : b;
    default:
      return a > b ? a : b;
  }
}

static bool is_taken(tv_update how, tv_dtype dtype) {
  const bool is_complex = dtype == TV_C64 || dtype == TV_C128;
  if (how == TV_DIVIDE) return dtype >= TV_F16;
  if (how == TV_MINIMUM || how == TV_MAXIMUM) return !is_complex;
  return dtype != TV_BOOL || how == TV_SET;
}

static tv_tensor *typed(const double *values, tv_dtype dtype, int rank, const int64_t *shape) {
  return tv_astype(tv_tensor_from_memory(values, TV_F64, rank, shape, NULL), dtype);
}

static void sweep_one(tv_update how, tv_dtype dtype, bool is_one, bool is_held) {
  static const int64_t at[K] = {3, 1, 3, -5, 1, 3, 4, 0, 3};
  double now[N * INNER], from[K * INNER];
  tv_scope scope;
  tv_scope_begin(&scope);
  for (int k = 0; k < N * INNER; k++) now[k] = dtype == TV_BOOL ? k % 2 : (k * 7) % 10 + 1;
  for (int k = 0; k < K * INNER; k++)
    from[k] = dtype == TV_BOOL ? k % 3 == 0 : how == TV_DIVIDE ? 1 << k % 3 : k % 3 + 1;
  tv_variable *const v = tv_variable_new(typed(now, dtype, TV_SHAPE(N, INNER)), NULL);
  tv_tensor *const before = is_held ? tv_read(v) : NULL;
  tv_tensor *const kept = is_held ? typed(now, dtype, TV_SHAPE(N, INNER)) : NULL;
  tv_tensor *const x =
      is_one ? typed(from, dtype, TV_SCALAR_SHAPE) : typed(from, dtype, TV_SHAPE(K, INNER));
  OK(tv_variable_scatter(v, how, i64(TV_SHAPE(K), at), x));
  for (int k = 0; k < K; k++)
    for (int j = 0; j < INNER; j++) {
      double *const to = &now[(at[k] < 0 ? at[k] + N : at[k]) * INNER + j];
      *to = model(how, *to, is_one ? from[0] : from[k * INNER + j]);
    }
  SAME(tv_read(v), typed(now, dtype, TV_SHAPE(N, INNER)));
  if (is_held) SAME(before, kept);
  EQUAL(tv_variable_version(v), 1);
  tv_variable_release(v);
  tv_scope_end(&scope, NULL);
}

static void sweep(intptr_t is_far) {
  if (is_far) OK(tv_device_set(far_device()));
  for (int how = TV_SET; how <= TV_MAXIMUM; how++)
    for (int dtype = TV_BOOL; dtype <= TV_C128; dtype++)
      for (int way = 0; way < 4; way++)
        if (is_taken((tv_update)how, (tv_dtype)dtype))
          sweep_one((tv_update)how, (tv_dtype)dtype, way & 1, way & 2);
  OK(tv_device_set(check_device()));
}

/* Zeros keep their sign, and NaN its bits, where a sum of values would not. */
static void every_bit_arrives(intptr_t is_far) {
  static const int64_t at[] = {1, 0};
  const uint32_t bits[] = {0x80000000u, 0x7fc00123u};
  float from[2];
  uint32_t got[2];
  memcpy(from, bits, sizeof from);
  if (is_far) OK(tv_device_set(far_device()));
  tv_variable *const v = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), NULL);
  OK(tv_variable_scatter_update(v, i64(TV_SHAPE(2), at),
                                tv_tensor_from_memory(from, TV_F32, TV_SHAPE(2), NULL)));
  OK(tv_tensor_copy_out(tv_read(v), got, sizeof got));
  CHECK(got[0] == bits[1] && got[1] == bits[0]);
  tv_variable_release(v);
  OK(tv_device_set(check_device()));
}

/* Long enough for threads, and many duplicates: the last wins, whoever writes. */
TEST(last_of_many_duplicates_wins) {
  enum { ROWS = 50, ENTRIES = 20000, WIDTH = 64 };
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(ROWS, WIDTH)), NULL);
  tv_tensor *const order = tv_arange_int(TV_I64, 0, ENTRIES, 1);
  tv_tensor *const x = tv_astype(
      tv_broadcast_to(tv_reshape(order, TV_SHAPE(-1, 1)), TV_SHAPE(ENTRIES, WIDTH)), TV_F32);
  tv_tensor *const want = tv_arange(TV_F32, ENTRIES - ROWS, ENTRIES, 1);
  OK(tv_variable_scatter_update(v, tv_remainder(order, tv_scalar(ROWS)), x));
  SAME(tv_read(v),
       tv_add(tv_zeros(TV_F32, TV_SHAPE(ROWS, WIDTH)), tv_reshape(want, TV_SHAPE(ROWS, 1))));
  tv_variable_release(v);
}

/* The k-th allocation fails where the device has no slot. */
TEST(failed_round_changes_nothing) {
  static const int64_t at[] = {1, 0, 1};
  OK(tv_device_set(far_device()));
  for (int held = 0; held < 2; held++)
    for (int64_t fail = 1;; fail++) {
      tv_scope scope;
      tv_scope_begin(&scope);
      tv_variable *const v = counted(TV_SHAPE(3));
      tv_tensor *const rows = i64(TV_SHAPE(3), at), *const x = tv_ones(TV_F32, TV_SHAPE(3));
      tv_tensor *const snapshot = held ? tv_read(v) : NULL;
      tvi_memory_fail(fail, fail % 2);
      const tv_status status = tv_variable_scatter_mul(v, rows, x);
      tvi_memory_fail(0, false);
      if (status) EQUAL(status, TV_ENOMEM);
      tv_error_clear();
      HOLDS(tv_read(v), 0, 1, 2);
      EQUAL(tv_variable_version(v), !status);
      if (snapshot) HOLDS(snapshot, 0, 1, 2);
      tv_variable_release(v);
      tv_scope_end(&scope, NULL);
      if (!status) break;
    }
  OK(tv_device_set(check_device()));
}

TEST_MAIN("rows", ROW("every_update", sweep, 0), ROW("every_update_without_the_slot", sweep, 1),
          ROW("every_bit_arrives", every_bit_arrives, 0),
          ROW("every_bit_arrives_without_the_slot", every_bit_arrives, 1),
          CASE(last_of_many_duplicates_wins), CASE(failed_round_changes_nothing))
