/* SPDX-License-Identifier: MIT
 * Maps: who sees what between map and unmap, and what unmap writes. */
#include "check.h"

/* 0, 1, ... n - 1 in f32; nobody else holds the bytes. */
static tv_variable *counted(int64_t n) {
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_variable *const v = tv_variable_new(tv_arange(TV_F32, 0, (double)n, 1), NULL);
  tv_scope_end(&scope, NULL);
  return v;
}

TEST(map_is_private_until_unmap) {
  tv_variable *const v = counted(2);
  void *data;
  OK(tv_variable_map(v, false, &data));
  ((float *)data)[0] = 9;
  HOLDS(tv_read(v), 0, 1);
  FAILS_STATUS(TV_EBUSY, "variable_assign_add: Variable 'Variable' is mapped",
               tv_variable_assign_add(v, tv_scalar(1)));
  FAILS_STATUS(TV_EBUSY, "variable_map: Variable 'Variable' is mapped",
               tv_variable_map(v, true, &data));
  EQUAL(tv_variable_version(v), 0);
  OK(tv_variable_unmap(v));
  EQUAL(tv_variable_version(v), 1);
  HOLDS(tv_read(v), 9, 1);
  FAILS_STATUS(TV_EVALUE, "variable_unmap: Variable 'Variable' is not mapped",
               tv_variable_unmap(v));
  tv_variable_release(v);
}

TEST(exclusive_map_is_in_place_where_nobody_holds_the_bytes) {
  tv_variable *const v = counted(2);
  tv_scope scope;
  tv_scope_begin(&scope);
  const void *const own = tv_tensor_data(tv_read(v));
  tv_scope_end(&scope, NULL);
  void *data;
  OK(tv_variable_map(v, true, &data));
  CHECK(data == own);
  FAILS(TV_EBUSY, "read: Variable 'Variable' is mapped exclusively", tv_read(v));
  ((float *)data)[1] = 8;
  OK(tv_variable_unmap(v));
  tv_tensor *const snapshot = tv_read(v);
  HOLDS(snapshot, 0, 8);
  OK(tv_variable_map(v, true, &data));
  CHECK(data != own);
  ((float *)data)[1] = 5;
  OK(tv_variable_unmap(v));
  HOLDS(snapshot, 0, 8);
  HOLDS(tv_read(v), 0, 5);
  tv_variable_release(v);
}

TEST(variable_released_while_mapped_leaks_nothing) {
  tv_variable *const v = counted(2);
  void *data;
  OK(tv_variable_map(v, false, &data));
  tv_variable_release(v);
}

TEST_MAIN("map", CASE(map_is_private_until_unmap),
          CASE(exclusive_map_is_in_place_where_nobody_holds_the_bytes),
          CASE(variable_released_while_mapped_leaks_nothing))
