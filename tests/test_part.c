/* SPDX-License-Identifier: MIT
 * Writes of a part: what each changes, what each refuses, and that a refused one changes nothing.
 */
#include "check.h"
#include "far.h"

/* 0, 1, ... n - 1 in f32; nobody else holds the bytes. */
static tv_variable *counted(int64_t n) {
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_variable *const v = tv_variable_new(tv_arange(TV_F32, 0, (double)n, 1), NULL);
  tv_scope_end(&scope, NULL);
  return v;
}

TEST(untouched_elements_keep_every_bit_in_wider_arithmetic) {
  const int64_t big[] = {INT64_C(9007199254740993), 1};
  const uint64_t small[] = {1, 2};
  tv_variable *const v = tv_variable_new_from_memory(big, TV_I64, TV_SHAPE(2), NULL);
  OK(tv_variable_assign_where(v, tv_equal(tv_read(v), tv_scalar(1)),
                              tv_tensor_from_memory(small, TV_U64, TV_SHAPE(2), NULL)));
  const int64_t *const now = tv_tensor_data(tv_read(v));
  EQUAL(now[0], INT64_C(9007199254740993));
  EQUAL(now[1], 2);
  tv_variable_release(v);
}

TEST(slice_takes_a_broadcast_value) {
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(2, 3)), NULL);
  OK(tv_variable_assign_slice(v, ":, ::-2", tv_arange(TV_F64, 1, 3, 1)));
  HOLDS(tv_read(v), 2, 0, 1, 2, 0, 1);
  OK(tv_variable_assign_slice(v, "0", tv_scalar(9)));
  HOLDS(tv_read(v), 9, 9, 9, 2, 0, 1);
  OK(tv_variable_assign_slice(v, "1, 1", tv_scalar(5)));
  HOLDS(tv_read(v), 9, 9, 9, 2, 5, 1);
  OK(tv_variable_assign_slice(v, "0:0", tv_scalar(4))); /* no elements: still a write */
  EQUAL(tv_variable_version(v), 4);
  tv_variable_release(v);
}

TEST(slice_that_does_not_fit_changes_nothing) {
  tv_variable *const v = counted(4);
  FAILS_STATUS(TV_ESHAPE,
               "variable_assign_slice: value does not broadcast into the slice of Variable "
               "'Variable': [3] into [2]",
               tv_variable_assign_slice(v, "1:3", tv_ones(TV_F32, TV_SHAPE(3))));
  CHECK(tv_variable_assign_slice(v, "7", tv_scalar(1)) == TV_EINDEX);
  tv_error_clear();
  CHECK(tv_variable_assign_slice(v, "x", tv_scalar(1)) == TV_EVALUE);
  tv_error_clear();
  EQUAL(tv_variable_version(v), 0);
  HOLDS(tv_read(v), 0, 1, 2, 3);
  tv_variable_release(v);
}

TEST(value_that_overlaps_its_target_is_read_first) {
  tv_variable *const v = counted(5);
  OK(tv_variable_assign_slice(v, "1:", tv_slice(tv_read(v), ":-1")));
  HOLDS(tv_read(v), 0, 0, 1, 2, 3);
  OK(tv_variable_assign_slice(v, ":", tv_slice(tv_read(v), "::-1")));
  HOLDS(tv_read(v), 3, 2, 1, 0, 0);
  tv_variable_release(v);
}

TEST(slice_write_leaves_reader_snapshot) {
  tv_variable *const v = counted(3);
  tv_tensor *const before = tv_read(v);
  OK(tv_variable_assign_slice(v, "0", tv_scalar(7)));
  HOLDS(before, 0, 1, 2);
  tv_variable_release(v);
}

TEST(where_writes_masked_places) {
  tv_variable *const v = counted(4);
  OK(tv_variable_assign_where(v, tv_greater(tv_read(v), tv_scalar(1)), tv_scalar(-1)));
  HOLDS(tv_read(v), 0, 1, -1, -1);
  FAILS_STATUS(TV_EDTYPE,
               "variable_assign_where: the mask of Variable 'Variable' is float32, not bool",
               tv_variable_assign_where(v, tv_read(v), tv_scalar(1)));
  FAILS_STATUS(TV_ESHAPE,
               "variable_assign_where: mask or value does not broadcast to Variable 'Variable': "
               "[4] and [2, 4]",
               tv_variable_assign_where(v, tv_ones(TV_BOOL, TV_SHAPE(2, 4)), tv_scalar(1)));
  EQUAL(tv_variable_version(v), 1);
  tv_variable_release(v);
}

static void every_update(intptr_t is_far) {
  if (is_far) OK(tv_device_set(far_device()));
  static const struct {
    tv_update how;
    double want[3]; /* of 1, 2, 3 and 2, 2, 4 */
  } rows[] = {{TV_SET, {2, 2, 4}},       {TV_ADD, {3, 4, 7}},       {TV_SUBTRACT, {-1, 0, -1}},
              {TV_MULTIPLY, {2, 4, 12}}, {TV_DIVIDE, {.5, 1, .75}}, {TV_MINIMUM, {1, 2, 3}},
              {TV_MAXIMUM, {2, 2, 4}}};
  const float to[] = {2, 2, 4};
  for (int wide = 0; wide < 2; wide++)
    for (int held = 0; held < 2; held++)
      for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        tv_scope scope;
        tv_scope_begin(&scope);
        tv_variable *const v = counted(5), *const t = counted(5);
        tv_tensor *const before = held ? tv_read(v) : NULL;
        tv_tensor *x = tv_tensor_from_memory(to, TV_F32, TV_SHAPE(1, 3), NULL);
        if (wide) x = tv_astype(x, TV_F64);
        const double *const y = rows[k].want;
        OK(tv_variable_update_slice(v, rows[k].how, "1:4", x));
        HOLDS(tv_read(v), 0, y[0], y[1], y[2], 4);
        EQUAL(tv_tensor_dtype(tv_read(v)), TV_F32);
        EQUAL(tv_variable_version(v), 1);
        if (held) HOLDS(before, 0, 1, 2, 3, 4);
        const tv_index terms[] = {TV_RANGE(1, 4, 1)};
        OK(tv_variable_update_slice_with(t, rows[k].how, 1, terms, x));
        SAME(tv_read(t), tv_read(v));
        tv_variable_release(v);
        tv_variable_release(t);
        tv_scope_end(&scope, NULL);
      }
  OK(tv_device_set(check_device()));
}

static void every_update_of_a_mask(intptr_t is_far) {
  if (is_far) OK(tv_device_set(far_device()));
  tv_variable *const v = counted(4);
  tv_tensor *const mask = tv_greater(tv_arange(TV_F32, 0, 4, 1), tv_scalar(1));
  OK(tv_variable_assign_where_add(v, mask, tv_scalar(1)));
  HOLDS(tv_read(v), 0, 1, 3, 4);
  OK(tv_variable_assign_where_mul(v, mask, tv_full(TV_F64, TV_SHAPE(1), tv_scalar(3))));
  HOLDS(tv_read(v), 0, 1, 9, 12);
  OK(tv_variable_assign_where_sub(v, mask, tv_ones(TV_U8, TV_SHAPE(4))));
  HOLDS(tv_read(v), 0, 1, 8, 11);
  OK(tv_variable_assign_where_div(v, mask, tv_scalar(2)));
  HOLDS(tv_read(v), 0, 1, 4, 5.5);
  OK(tv_variable_assign_where_min(v, mask, tv_scalar(5)));
  HOLDS(tv_read(v), 0, 1, 4, 5);
  OK(tv_variable_assign_where_max(v, mask, tv_scalar(4.5)));
  HOLDS(tv_read(v), 0, 1, 4.5, 5);
  EQUAL(tv_variable_version(v), 6);
  tv_variable_release(v);
  OK(tv_device_set(check_device()));
}

TEST(macros_by_the_names_of_tensorflow) {
  tv_variable *const v = counted(4);
  OK(tv_variable_assign_slice_add(v, "1:", tv_scalar(1)));
  OK(tv_variable_assign_slice_sub(v, ":1", tv_scalar(-2)));
  OK(tv_variable_assign_slice_mul(v, "1", tv_scalar(3)));
  OK(tv_variable_assign_slice_div(v, "3", tv_scalar(2)));
  OK(tv_variable_assign_slice_min(v, "2:", tv_scalar(2.5)));
  OK(tv_variable_assign_slice_max(v, "...", tv_scalar(2.25)));
  HOLDS(tv_read(v), 2.25, 6, 2.5, 2.25);
  tv_variable_release(v);
}

TEST(update_that_is_none_is_refused) {
  tv_variable *const v = counted(4);
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.name = "n";
  tv_variable *const n = tv_variable_new(tv_ones(TV_I32, TV_SHAPE(2)), &o);
  const int out_of_range = 7;
  FAILS_STATUS(TV_EVALUE, "variable_assign_slice: 7 is no update",
               tv_variable_update_slice(v, (tv_update)out_of_range, ":", tv_scalar(1)));
  FAILS_STATUS(TV_EVALUE, "variable_assign_slice: -1 terms",
               tv_variable_update_slice_with(v, TV_SET, -1, NULL, tv_scalar(1)));
  FAILS_STATUS(TV_EDTYPE,
               "variable_assign_where_div: Variable 'n' is int32, of which divide gives float64: "
               "not of the same kind",
               tv_variable_assign_where_div(n, tv_ones(TV_BOOL, TV_SHAPE(2)), tv_scalar(2)));
  EQUAL(tv_variable_version(n), 0);
  tv_variable_release(n);
  tv_variable_release(v);
}

TEST(slice_update_of_a_view_of_itself) {
  tv_variable *const v = counted(4);
  OK(tv_variable_assign_slice_add(v, "1:", tv_slice(tv_read(v), ":-1")));
  HOLDS(tv_read(v), 0, 1, 3, 5);
  tv_variable_release(v);
}

/* Without a reader outside, parts are updated where they are. */
TEST(part_updates_go_in_place) {
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(4, 300)), NULL);
  tv_tensor *const one = tv_ones(TV_F32, TV_SHAPE(300));
  OK(tv_variable_assign_mul(v, tv_scalar(0))); /* the zeros are this scope's too */
  tv_scope scope;
  tv_scope_begin(&scope);
  const void *const bytes = tv_tensor_data(tv_read(v));
  tv_scope_end(&scope, NULL);
  for (int k = 0; k < 100; k++) {
    OK(tv_variable_assign_slice_add(v, "1:3", one));
    OK(tv_variable_assign_slice(v, "0", one));
  }
  CHECK(tv_tensor_data(tv_read(v)) == bytes);
  HOLDS(tv_slice(tv_read(v), ":, 7"), 1, 100, 100, 0);
  tv_variable_release(v);
}

TEST_MAIN("part", CASE(untouched_elements_keep_every_bit_in_wider_arithmetic),
          CASE(slice_takes_a_broadcast_value), CASE(slice_that_does_not_fit_changes_nothing),
          CASE(value_that_overlaps_its_target_is_read_first),
          CASE(slice_write_leaves_reader_snapshot), CASE(where_writes_masked_places),
          ROW("slice_takes_every_update", every_update, 0),
          ROW("slice_takes_every_update_elsewhere", every_update, 1),
          ROW("where_takes_every_update", every_update_of_a_mask, 0),
          ROW("where_takes_every_update_elsewhere", every_update_of_a_mask, 1),
          CASE(macros_by_the_names_of_tensorflow), CASE(update_that_is_none_is_refused),
          CASE(slice_update_of_a_view_of_itself), CASE(part_updates_go_in_place))
