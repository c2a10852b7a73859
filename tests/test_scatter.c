/* SPDX-License-Identifier: MIT
 * Writes by index: values that TensorFlow documents, shapes, and bad indices, also on a device that
 * has only gather and scatter_add. */
#include "check.h"
#include "far.h"

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

/* The examples of tf.Variable.scatter_nd_update, scatter_nd_add and scatter_nd_sub. */
TEST(values_that_tensorflow_documents) {
  static const int64_t at[] = {4, 3, 1, 7};
  static const float from[] = {9, 10, 11, 12};
  tv_tensor *const start = tv_arange(TV_F32, 1, 9, 1);
  tv_tensor *const tuples = i64(TV_SHAPE(4, 1), at), *const rows = i64(TV_SHAPE(4), at);
  tv_tensor *const x = tv_tensor_from_memory(from, TV_F32, TV_SHAPE(4), NULL);
  tv_variable *const v = tv_variable_new(start, NULL);
  OK(tv_variable_scatter_nd_update(v, tuples, x));
  HOLDS(tv_read(v), 1, 11, 3, 10, 9, 6, 7, 12);
  OK(tv_variable_assign(v, start));
  OK(tv_variable_scatter_nd_add(v, tuples, x));
  HOLDS(tv_read(v), 1, 13, 3, 14, 14, 6, 7, 20);
  OK(tv_variable_assign(v, start));
  OK(tv_variable_scatter_nd_sub(v, tuples, x));
  HOLDS(tv_read(v), 1, -9, 3, -6, -4, 6, 7, -4);
  OK(tv_variable_assign(v, start));
  OK(tv_variable_scatter_update(v, rows, x));
  HOLDS(tv_read(v), 1, 11, 3, 10, 9, 6, 7, 12);
  EQUAL(tv_variable_version(v), 7);
  tv_variable_release(v);
}

/* The example of tf.gather_nd, and of a batch. */
TEST(tuples_name_elements_and_rows) {
  static const int64_t both[] = {0, 0, 1, 1}, one[] = {1, 0};
  tv_variable *const v = counted(TV_SHAPE(2, 2));
  HOLDS(tv_gather_nd(tv_read(v), i64(TV_SHAPE(2, 2), both)), 0, 3);
  HOLDS(tv_gather_nd(tv_read(v), i64(TV_SHAPE(2, 1), one)), 2, 3, 0, 1);
  SHAPE_IS(tv_gather_nd(tv_read(v), i64(TV_SHAPE(2, 1), one)), TV_SHAPE(2, 2));
  HOLDS(tv_gather_nd(tv_matrix_transpose(tv_read(v)), i64(TV_SHAPE(2), one)), 1);
  HOLDS(tv_variable_sparse_read(v, i64(TV_SHAPE(2), one)), 2, 3, 0, 1);
  OK(tv_variable_scatter_nd_max(v, i64(TV_SHAPE(2, 2), both), tv_scalar(2)));
  HOLDS(tv_read(v), 2, 1, 2, 3);
  tv_variable_release(v);
}

TEST(gather_nd_has_a_gradient) {
  static const int64_t at[] = {0, 1, 1, 0, 0, -1};
  tv_variable *const v = counted(TV_SHAPE(2, 2));
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const y = tv_sum(tv_square(tv_gather_nd(tv_read(v), i64(TV_SHAPE(3, 2), at))),
                              TV_ALL_AXES),
                   *g;
  OK(tv_tape_gradient(tape, y, 1, &v, &g)); /* 2 x, of element [0, 1] twice */
  HOLDS(g, 0, 4, 4, 0);
  OK(tv_tape_end(tape));
  tv_variable_release(v);
}

/* Batches as in TensorFlow's documentation: ref[i, indices[i, j]] = updates[i, j]. */
TEST(rows_of_each_batch) {
  static const int64_t at[] = {2, 0, 1, 1};
  static const float from[] = {10, 11, 12, 13};
  tv_variable *const v = counted(TV_SHAPE(2, 3)), *const deep = counted(TV_SHAPE(2, 3, 2));
  tv_tensor *const x = tv_tensor_from_memory(from, TV_F32, TV_SHAPE(2, 2), NULL);
  OK(tv_variable_batch_scatter_update(v, i64(TV_SHAPE(2, 2), at), x));
  HOLDS(tv_read(v), 11, 1, 10, 3, 13, 5);
  OK(tv_variable_batch_scatter_update(deep, i64(TV_SHAPE(2, 2), at), tv_scalar(-1)));
  HOLDS(tv_read(deep), -1, -1, 2, 3, -1, -1, 6, 7, -1, -1, 10, 11);
  FAILS_STATUS(TV_ESHAPE,
               "variable_batch_scatter_update: batch axes of the indices are not those of Variable "
               "'Variable': [2, 3] and [4, 1]",
               tv_variable_batch_scatter_update(v, i64(TV_SHAPE(4, 1), at), tv_scalar(1)));
  FAILS_STATUS(
      TV_EINDEX, "variable_batch_scatter_update: index 2 at position 0 is out of range of 2",
      tv_variable_batch_scatter_update(v, i64(TV_SHAPE(4), at), tv_ones(TV_F32, TV_SHAPE(4, 3))));
  EQUAL(tv_variable_version(v), 1);
  tv_variable_release(v);
  tv_variable_release(deep);
}

/* PyTorch leaves [1, 2, 0] behind, TensorFlow too. */
static void bad_index_changes_nothing(intptr_t is_far) {
  static const int64_t at[] = {0, 1, 7}, pairs[] = {0, 0, 0, 2, 1, -4};
  static const float from[] = {1, 2, 3};
  if (is_far) OK(tv_device_set(far_device()));
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(3)), NULL);
  tv_variable *const wide = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(2, 3)), NULL);
  tv_tensor *const x = tv_tensor_from_memory(from, TV_F32, TV_SHAPE(3), NULL);
  for (int how = TV_SET; how <= TV_MAXIMUM; how++)
    CHECK(tv_variable_scatter(v, (tv_update)how, i64(TV_SHAPE(3), at), x) == TV_EINDEX);
  tv_error_clear();
  FAILS_STATUS(TV_EINDEX, "variable_scatter_add: index 7 at position 2 is out of range of 3",
               tv_variable_scatter_add(v, i64(TV_SHAPE(3), at), x));
  FAILS_STATUS(TV_EINDEX,
               "variable_scatter_nd_update: axis 1 index -4 at position 2 is out of range of 3",
               tv_variable_scatter_nd_update(wide, i64(TV_SHAPE(3, 2), pairs), x));
  FAILS(TV_EINDEX, "gather_nd: axis 1 index -4 at position 2 is out of range of 3",
        tv_gather_nd(tv_read(wide), i64(TV_SHAPE(3, 2), pairs)));
  HOLDS(tv_read(v), 0, 0, 0);
  HOLDS(tv_read(wide), 0, 0, 0, 0, 0, 0);
  EQUAL(tv_variable_version(v), 0);
  EQUAL(tv_variable_version(wide), 0);
  tv_variable_release(v);
  tv_variable_release(wide);
  OK(tv_device_set(check_device()));
}

TEST(shapes_that_do_not_fit_are_refused) {
  static const int64_t at[] = {0, 1, 0, 1};
  tv_variable *const v = counted(TV_SHAPE(2, 3)), *const one = counted(TV_SCALAR_SHAPE);
  FAILS_STATUS(TV_ESHAPE,
               "variable_scatter_add: updates of Variable 'Variable' have shape [3], not [2, 3]",
               tv_variable_scatter_add(v, i64(TV_SHAPE(2), at), tv_ones(TV_F32, TV_SHAPE(3))));
  FAILS_STATUS(TV_ESHAPE, "variable_scatter_add: Variable 'Variable' is 0-d and has no rows",
               tv_variable_scatter_add(one, tv_scalar(0), tv_scalar(1)));
  FAILS_STATUS(TV_ESHAPE,
               "variable_scatter_nd_add: indices of shape [1, 4]: the last axis counts 1 to 2 axes",
               tv_variable_scatter_nd_add(v, i64(TV_SHAPE(1, 4), at), tv_scalar(1)));
  FAILS_STATUS(TV_EDTYPE, "variable_scatter_add: index is float32, not an integer",
               tv_variable_scatter_add(v, tv_ones(TV_F32, TV_SHAPE(2)), tv_scalar(1)));
  FAILS_STATUS(
      TV_EDTYPE,
      "variable_scatter_update: Variable 'Variable' is float32, the value complex64: not of the "
      "same kind",
      tv_variable_scatter_update(v, tv_scalar(0), tv_ones(TV_C64, TV_SHAPE(3))));
  EQUAL(tv_variable_version(v), 0);
  tv_variable_release(v);
  tv_variable_release(one);
}

TEST(no_index_is_a_write_of_nothing) {
  tv_variable *const v = counted(TV_SHAPE(2));
  tv_variable *const empty = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(0, 2)), NULL);
  OK(tv_variable_scatter_add(v, tv_zeros(TV_I32, TV_SHAPE(0)), tv_zeros(TV_F32, TV_SHAPE(0))));
  HOLDS(tv_read(v), 0, 1);
  EQUAL(tv_variable_version(v), 1);
  OK(tv_variable_scatter_add(empty, tv_zeros(TV_I32, TV_SHAPE(0)), tv_scalar(1)));
  CHECK(tv_variable_scatter_add(empty, tv_scalar(0), tv_scalar(1)) == TV_EINDEX);
  tv_error_clear();
  EQUAL(tv_variable_version(empty), 1);
  tv_variable_release(v);
  tv_variable_release(empty);
}

TEST(updates_and_indices_that_are_the_variable_itself) {
  static const int64_t at[] = {1, 2, 0};
  tv_variable *const v = counted(TV_SHAPE(3));
  tv_variable *const n = tv_variable_new(i64(TV_SHAPE(3), at), NULL);
  OK(tv_variable_scatter_update(v, i64(TV_SHAPE(3), at), tv_read(v)));
  HOLDS(tv_read(v), 2, 0, 1);
  OK(tv_variable_scatter_update(n, tv_read(n), tv_read(n)));
  HOLDS(tv_read(n), 0, 1, 2);
  tv_variable_release(v);
  tv_variable_release(n);
}

/* As 10,000 updates of the whole: no block after the first. */
TEST(scatters_go_in_place) {
  static const int64_t at[] = {2, 0};
  tv_variable *const v = counted(TV_SHAPE(3, 200));
  tv_tensor *const rows = i64(TV_SHAPE(2), at), *const x = tv_ones(TV_F32, TV_SHAPE(2, 200));
  tv_scope scope;
  tv_scope_begin(&scope);
  const void *const bytes = tv_tensor_data(tv_read(v));
  tv_scope_end(&scope, NULL);
  for (int k = 0; k < 10; k++) OK(tv_variable_scatter_add(v, rows, x));
  CHECK(tv_tensor_data(tv_read(v)) == bytes);
  HOLDS(tv_slice(tv_read(v), ":, 0"), 10, 200, 410);
  tv_variable_release(v);
}

TEST_MAIN("scatter", CASE(values_that_tensorflow_documents), CASE(tuples_name_elements_and_rows),
          CASE(gather_nd_has_a_gradient), CASE(rows_of_each_batch),
          ROW("bad_index_changes_nothing", bad_index_changes_nothing, 0),
          ROW("bad_index_changes_nothing_without_the_slot", bad_index_changes_nothing, 1),
          CASE(shapes_that_do_not_fit_are_refused), CASE(no_index_is_a_write_of_nothing),
          CASE(updates_and_indices_that_are_the_variable_itself), CASE(scatters_go_in_place))
