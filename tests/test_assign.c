/* SPDX-License-Identifier: MIT
 * Writes: what each changes, what each refuses, and that a refused one changes nothing. */
#include <string.h>

#include "check.h"
#include "memory.h"

/* 0, 1, ... n - 1 in f32; nobody else holds the bytes. */
static tv_variable *counted(int64_t n) {
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_variable *const v = tv_variable_new(tv_arange(TV_F32, 0, (double)n, 1), NULL);
  tv_scope_end(&scope, NULL);
  return v;
}

static int64_t blocks_reserved(void) {
  tv_memory_stats stats;
  tv_device_memory(TV_CPU, &stats);
  return stats.reserved;
}

TEST(assign_shares_a_whole_value) {
  tv_variable *const v = counted(3);
  tv_tensor *const x = tv_full(TV_F32, TV_SHAPE(3), tv_scalar(7));
  OK(tv_variable_assign(v, x));
  CHECK(tv_tensor_shares(tv_read(v), x));
  EQUAL(tv_variable_version(v), 1);
  OK(tv_variable_assign_add(v, tv_scalar(1))); /* x holds the bytes: they are not changed */
  HOLDS(x, 7, 7, 7);
  HOLDS(tv_read(v), 8, 8, 8);
  tv_variable_release(v);
}

TEST(assign_converts_within_its_kind) {
  tv_variable *const v = counted(2);
  const int64_t wide[] = {16777217, -3};
  OK(tv_variable_assign(v, tv_tensor_from_memory(wide, TV_I64, TV_SHAPE(2), NULL)));
  HOLDS(tv_read(v), 16777216, -3);
  EQUAL(tv_tensor_dtype(tv_read(v)), TV_F32);
  OK(tv_variable_assign(v, tv_full(TV_F64, TV_SHAPE(2), tv_scalar(.1))));
  HOLDS(tv_read(v), (double).1f, (double).1f);
  tv_variable_release(v);
}

TEST(another_kind_is_refused) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.name = "n";
  tv_variable *const v = tv_variable_new(tv_zeros(TV_I64, TV_SHAPE(2)), &o);
  FAILS_STATUS(TV_EDTYPE,
               "variable_assign: Variable 'n' is int64, the value float64: not of the same kind",
               tv_variable_assign(v, tv_ones(TV_F64, TV_SHAPE(2))));
  FAILS_STATUS(
      TV_EDTYPE,
      "variable_assign_add: Variable 'n' is int64, the value float64: not of the same kind",
      tv_variable_assign_add(v, tv_scalar(.5)));
  EQUAL(tv_variable_version(v), 0);
  HOLDS(tv_read(v), 0, 0);
  tv_variable_release(v);
}

TEST(another_shape_is_refused) {
  tv_variable *const v = counted(4);
  FAILS_STATUS(TV_ESHAPE, "variable_assign: shapes differ: Variable 'Variable': [4] and [2, 2]",
               tv_variable_assign(v, tv_ones(TV_F32, TV_SHAPE(2, 2))));
  FAILS_STATUS(TV_ESHAPE, "variable_assign_add: shapes differ: Variable 'Variable': [4] and [1]",
               tv_variable_assign_add(v, tv_ones(TV_F32, TV_SHAPE(1))));
  EQUAL(tv_variable_version(v), 0);
  tv_variable_release(v);
}

TEST(open_axis_takes_another_size) {
  const bool first[] = {true, false};
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.open_axes = first;
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(1, 2)), &o);
  OK(tv_variable_assign(v, tv_ones(TV_F32, TV_SHAPE(3, 2))));
  SHAPE_IS(tv_read(v), TV_SHAPE(3, 2));
  FAILS_STATUS(TV_ESHAPE, "variable_assign: shapes differ: Variable 'Variable': [3, 2] and [3, 3]",
               tv_variable_assign(v, tv_ones(TV_F32, TV_SHAPE(3, 3))));
  tv_variable_release(v);
}

TEST(add_and_sub_count_versions) {
  tv_variable *const v = counted(3);
  OK(tv_variable_assign_add(v, tv_ones(TV_I32, TV_SHAPE(3))));
  OK(tv_variable_assign_sub(v, tv_scalar(.5)));
  OK(tv_variable_assign_add(v, tv_scalar(0)));
  HOLDS(tv_read(v), .5, 1.5, 2.5);
  EQUAL(tv_variable_version(v), 3);
  tv_variable_release(v);
}

TEST(add_of_itself) {
  tv_variable *const v = counted(3);
  OK(tv_variable_assign_add(v, tv_read(v)));
  HOLDS(tv_read(v), 0, 2, 4);
  tv_variable_release(v);
}

TEST(weak_integer_out_of_range_is_refused) {
  tv_variable *const v = tv_variable_new(tv_zeros(TV_U8, TV_SHAPE(2)), NULL);
  FAILS_STATUS(TV_EVALUE, "add: 256 is out of the range of uint8",
               tv_variable_assign_add(v, tv_scalar(256)));
  EQUAL(tv_variable_version(v), 0);
  tv_variable_release(v);
}

/* 10,000 updates with no reader outside take one block in all; with one snapshot held, one copy. */
TEST(updates_go_in_place) {
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(100)), NULL);
  tv_tensor *const one = tv_ones(TV_F32, TV_SHAPE(100));
  OK(tv_variable_assign_add(v, one));
  const int64_t before = blocks_reserved();
  for (int k = 0; k < 10000; k++) tv_variable_assign_add(v, one);
  EQUAL(blocks_reserved(), before);
  tv_tensor *const snapshot = tv_read(v);
  for (int k = 0; k < 100; k++) tv_variable_assign_add(v, one);
  EQUAL(blocks_reserved(), before + 1);
  HOLDS(tv_slice(snapshot, "0:1"), 10001);
  HOLDS(tv_slice(tv_read(v), "0:1"), 10101);
  tv_variable_release(v);
}

/* The k-th allocation fails, for every k: the write succeeds, or nothing has changed. */
static tv_status one_write(int verb, tv_variable *v, tv_tensor *x, tv_tensor *mask) {
  void *data;
  switch (verb) {
    case 0:
      return tv_variable_assign(v, x);
    case 1:
      return tv_variable_assign_add(v, x);
    case 2:
      return tv_variable_assign_sub(v, x);
    case 3:
      return tv_variable_assign_slice(v, "1:3", tv_slice(x, "1:3"));
    case 4:
      return tv_variable_assign_where(v, mask, x);
    default: {
      const tv_status status = tv_variable_map(v, false, &data);
      return status ? status : tv_variable_unmap(v);
    }
  }
}

TEST(failed_allocation_changes_nothing) {
  int points = 0;
  for (int verb = 0; verb <= 5; verb++)
    for (int held = 0; held < 2; held++)
      for (int64_t fail = 1;; fail++) {
        tv_scope scope;
        tv_scope_begin(&scope);
        tv_variable *const v = counted(4);
        tv_tensor *const x = tv_full(TV_F64, TV_SHAPE(4), tv_scalar(2));
        tv_tensor *const mask = tv_greater(x, tv_scalar(1));
        tv_tensor *const snapshot = held ? tv_read(v) : NULL;
        tvi_memory_fail(fail, fail % 2);
        const tv_status status = one_write(verb, v, x, mask);
        tvi_memory_fail(0, false);
        if (status) {
          EQUAL(status, TV_ENOMEM);
          tv_error_clear();
          void *data; /* a map that could not be made, or unmapped, is no map */
          OK(tv_variable_map(v, false, &data));
          OK(tv_variable_unmap(v));
          HOLDS(tv_read(v), 0, 1, 2, 3);
          EQUAL(tv_variable_version(v), 1);
        } else {
          EQUAL(tv_variable_version(v), 1);
        }
        if (snapshot) HOLDS(snapshot, 0, 1, 2, 3);
        tv_variable_release(v);
        tv_scope_end(&scope, NULL);
        points++;
        if (!status) break;
      }
  CHECK(points > 30);
}

TEST_MAIN("assign", CASE(assign_shares_a_whole_value), CASE(assign_converts_within_its_kind),
          CASE(another_kind_is_refused), CASE(another_shape_is_refused),
          CASE(open_axis_takes_another_size), CASE(add_and_sub_count_versions), CASE(add_of_itself),
          CASE(weak_integer_out_of_range_is_refused), CASE(updates_go_in_place),
          CASE(failed_allocation_changes_nothing))
