/* SPDX-License-Identifier: MIT
 * Gradients of whole computations: versions, mutation, broadcasting, dtypes, second order. */
#include <math.h>
#include <stdio.h>

#include "check.h"

static tv_variable *three(void) { return tv_variable_new(tv_arange(TV_F64, 1, 4, 1), NULL); }

static tv_tape *strict_tape(void) {
  tv_tape_options o = TV_TAPE_OPTIONS;
  o.mutation = TV_MUTATION_ERROR;
  return tv_tape_begin(&o);
}

/* y = sum of v^2, v = [1, 2, 3]: 2 v at the value that was read. */
TEST(snapshot_gives_gradient_of_what_was_read) {
  tv_variable *const v = three();
  tv_tensor *g;
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const y = tv_sum(tv_square(tv_read(v)), TV_ALL_AXES);
  OK(tv_variable_assign_add(v, tv_scalar(10)));
  OK(tv_tape_gradient(tape, y, 1, &v, &g));
  HOLDS(g, 2, 4, 6);
  HOLDS(tv_read(v), 11, 12, 13);
  tv_variable_release(v);
}

TEST(error_names_variable_versions_and_verb) {
  tv_variable *const v = three();
  tv_tensor *g;
  tv_tape *const tape = strict_tape();
  tv_tensor *const y = tv_sum(tv_square(tv_read(v)), TV_ALL_AXES);
  char text[512];
  const int line = __LINE__ + 1;
  OK(tv_variable_assign_add(v, tv_scalar(10)));
  snprintf(text, sizeof text,
           "tape_gradient: square needs Variable 'Variable' as read at version 0, but it is at "
           "version 1: written by variable_assign_add at %s:%d, on thread %llu",
           __FILE__, line, (unsigned long long)tv_thread_number());
  FAILS_STATUS(TV_EMUTATED, text, tv_tape_gradient(tape, y, 1, &v, &g));
  CHECK(!g);
  tv_variable_release(v);
}

TEST(error_looks_through_views) {
  tv_variable *const v = three();
  tv_tensor *g;
  tv_tape *const tape = strict_tape();
  tv_tensor *const y = tv_square(tv_flip(tv_reshape(tv_read(v), TV_SHAPE(3, 1)), TV_AXES(0)));
  OK(tv_variable_assign_add(v, tv_scalar(0))); /* any write counts */
  EQUAL(tv_tape_gradient(tape, y, 1, &v, &g), TV_EMUTATED);
  tv_error_clear();
  tv_variable_release(v);
}

TEST(error_counts_variables_that_are_not_watched) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.trainable = false;
  tv_variable *const v = three(), *const fixed = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(3)), &o);
  tv_tensor *g;
  tv_tape *const tape = strict_tape();
  tv_tensor *const y = tv_multiply(tv_read(v), tv_read(fixed));
  OK(tv_variable_assign(fixed, tv_zeros(TV_F64, TV_SHAPE(3))));
  EQUAL(tv_tape_gradient(tape, y, 1, &v, &g), TV_EMUTATED);
  tv_error_clear();
  tv_variable_release(v);
  tv_variable_release(fixed);
}

TEST(a_value_that_is_not_needed_may_change) {
  tv_variable *const v = three();
  tv_tensor *g;
  for (int strict = 0; strict < 2; strict++) {
    tv_tape *const tape = strict ? strict_tape() : tv_tape_begin(NULL);
    tv_tensor *const y = tv_sum(tv_multiply(tv_scalar(3), tv_read(v)), TV_ALL_AXES);
    OK(tv_variable_assign_add(v, tv_scalar(10)));
    OK(tv_tape_gradient(tape, y, 1, &v, &g));
    HOLDS(g, 3, 3, 3);
    OK(tv_tape_end(tape));
  }
  tv_variable_release(v);
}

TEST(writes_through_a_map_do_not_reach_gradients) {
  tv_variable *const v = three();
  tv_tensor *g;
  void *data;
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const y = tv_sum(tv_square(tv_read(v)), TV_ALL_AXES);
  OK(tv_variable_map(v, true, &data));
  for (int k = 0; k < 3; k++) ((double *)data)[k] = 7;
  OK(tv_variable_unmap(v));
  OK(tv_tape_gradient(tape, y, 1, &v, &g));
  HOLDS(g, 2, 4, 6);
  tv_variable_release(v);
}

/* 2 v at v = 2, then v^2 at v = 5: 2 + 10. */
TEST(reads_of_several_versions_add_up) {
  tv_variable *const v = tv_variable_new(tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(2)), NULL);
  tv_tensor *g;
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const first = tv_multiply(tv_scalar(2), tv_read(v));
  OK(tv_variable_assign(v, tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(5))));
  OK(tv_tape_gradient(tape, tv_add(first, tv_square(tv_read(v))), 1, &v, &g));
  HOLDS(g, 12);
  tv_variable_release(v);
}

TEST(writes_are_not_recorded) {
  tv_variable *const v = three(), *const x = three();
  tv_tensor *g;
  tv_tape *const tape = tv_tape_begin(NULL);
  OK(tv_variable_assign_add(v, tv_read(x)));
  OK(tv_tape_gradient(tape, tv_square(tv_read(v)), 1, &x, &g));
  HOLDS(g, 0, 0, 0);
  tv_variable_release(v);
  tv_variable_release(x);
}

TEST(open_shape_gradient_has_the_shape_that_was_read) {
  const bool open[] = {true};
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.open_axes = open;
  tv_variable *const v = tv_variable_new(tv_arange(TV_F64, 1, 4, 1), &o);
  tv_tensor *g;
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const y = tv_square(tv_read(v));
  OK(tv_variable_assign(v, tv_ones(TV_F64, TV_SHAPE(5))));
  OK(tv_tape_gradient(tape, y, 1, &v, &g));
  HOLDS(g, 2, 4, 6);
  tv_variable_release(v);
}

TEST(broadcast_inputs_are_summed_back) {
  tv_variable *const row = three(), *const column =
                                        tv_variable_new(tv_ones(TV_F64, TV_SHAPE(2, 1)), NULL);
  tv_variable *const one = tv_variable_new(tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(2)), NULL);
  tv_variable *const all[] = {row, column, one};
  tv_tensor *g[3];
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const y = tv_multiply(tv_multiply(tv_read(row), tv_read(column)), tv_read(one));
  OK(tv_tape_gradient(tape, y, 3, all, g));
  HOLDS(g[0], 4, 4, 4);
  SHAPE_IS(g[1], TV_SHAPE(2, 1));
  HOLDS(g[1], 12, 12);
  SHAPE_IS(g[2], TV_SCALAR_SHAPE);
  HOLDS(g[2], 12);
  for (int k = 0; k < 3; k++) tv_variable_release(all[k]);
}

TEST(gradient_has_the_dtype_of_its_source) {
  tv_variable *const narrow = tv_variable_new(tv_ones(TV_F16, TV_SHAPE(2)), NULL);
  tv_variable *const wide = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(2)), NULL);
  tv_variable *const both[] = {narrow, wide};
  tv_tensor *g[2];
  tv_tape *const tape = tv_tape_begin(NULL);
  OK(tv_tape_gradient(tape, tv_multiply(tv_read(narrow), tv_read(wide)), 2, both, g));
  EQUAL(tv_tensor_dtype(g[0]), TV_F16);
  EQUAL(tv_tensor_dtype(g[1]), TV_F64);
  HOLDS(g[0], 1, 1);
  tv_variable_release(narrow);
  tv_variable_release(wide);
}

TEST(real_source_of_a_complex_product_gets_the_real_part) {
  tv_variable *const v = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(1)), NULL);
  tv_tensor *g;
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const y = tv_real(tv_multiply(tv_read(v), tv_scalar_complex(3, 4)));
  OK(tv_tape_gradient(tape, y, 1, &v, &g));
  EQUAL(tv_tensor_dtype(g), TV_F64);
  HOLDS(g, 3);
  tv_variable_release(v);
}

/* Re(z^2) at 3 + 4i: dL/da + i dL/db = 6 - 8i. */
TEST(complex_gradient_is_that_of_tensorflow_and_pytorch) {
  const double z[] = {3, 4};
  tv_variable *const v = tv_variable_new_from_memory(z, TV_C128, TV_SCALAR_SHAPE, NULL);
  tv_tensor *g;
  tv_tape *const tape = tv_tape_begin(NULL);
  OK(tv_tape_gradient(tape, tv_real(tv_square(tv_read(v))), 1, &v, &g));
  HOLDS(tv_real(g), 6);
  HOLDS(tv_imag(g), -8);
  tv_variable_release(v);
}

/* x^3 at 2: 12, 12, 6, 0. */
TEST(gradients_of_gradients) {
  tv_variable *const x = tv_variable_new(tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(2)), NULL);
  tv_tensor *d1, *d2, *d3;
  tv_tape *const t3 = tv_tape_begin(NULL), *const t2 = tv_tape_begin(NULL),
                 *const t1 = tv_tape_begin(NULL);
  tv_tensor *const read = tv_read(x);
  OK(tv_tape_gradient(t1, tv_multiply(tv_square(read), read), 1, &x, &d1));
  HOLDS(d1, 12);
  OK(tv_tape_gradient(t2, d1, 1, &x, &d2));
  HOLDS(d2, 12);
  OK(tv_tape_gradient(t3, d2, 1, &x, &d3));
  HOLDS(d3, 6);
  tv_variable_release(x);
}

TEST(a_persistent_tape_records_its_own_gradient) {
  tv_variable *const x = tv_variable_new(tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(2)), NULL);
  tv_tape_options o = TV_TAPE_OPTIONS;
  o.persistent = true;
  tv_tape *const tape = tv_tape_begin(&o);
  tv_tensor *y = tv_pow(tv_read(x), tv_scalar(4));
  const double want[] = {32, 48, 48, 24};
  for (int k = 0; k < 4; k++) {
    OK(tv_tape_gradient(tape, y, 1, &x, &y));
    HOLDS(y, want[k]);
  }
  tv_variable_release(x);
}

TEST(target_gradient_may_be_given) {
  tv_variable *const v = three();
  tv_tensor *g;
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const y = tv_square(tv_read(v));
  FAILS_STATUS(TV_ESHAPE, "tape_gradient: target is float64 [3], its gradient float32 [3]",
               tv_tape_gradient_with(tape, y, tv_ones(TV_F32, TV_SHAPE(3)), 1, &v, &g));
  OK(tv_tape_gradient_with(tape, y, tv_arange(TV_F64, 0, 3, 1), 1, &v,
                           &g)); /* a refusal is no use */
  HOLDS(g, 0, 4, 12);
  tv_variable_release(v);
}

TEST(integer_target_is_refused) {
  tv_variable *const v = three();
  tv_tensor *g;
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const y = tv_argmax(tv_read(v), TV_ALL_AXES);
  FAILS_STATUS(TV_EDTYPE, "tape_gradient: target is int64, which carries no gradient",
               tv_tape_gradient(tape, y, 1, &v, &g));
  tv_variable_release(v);
}

TEST(source_may_be_computed_and_may_be_the_target) {
  tv_variable *const v = three();
  tv_tensor *g[2];
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const middle = tv_square(tv_read(v)), *const y = tv_exp(middle);
  OK(tv_tape_gradient_of(tape, y, 2, (tv_tensor *[]){middle, y}, g));
  SAME(g[0], y);
  HOLDS(g[1], 1, 1, 1);
  tv_variable_release(v);
}

TEST_MAIN("backward", CASE(snapshot_gives_gradient_of_what_was_read),
          CASE(error_names_variable_versions_and_verb), CASE(error_looks_through_views),
          CASE(error_counts_variables_that_are_not_watched),
          CASE(a_value_that_is_not_needed_may_change),
          CASE(writes_through_a_map_do_not_reach_gradients), CASE(reads_of_several_versions_add_up),
          CASE(writes_are_not_recorded), CASE(open_shape_gradient_has_the_shape_that_was_read),
          CASE(broadcast_inputs_are_summed_back), CASE(gradient_has_the_dtype_of_its_source),
          CASE(real_source_of_a_complex_product_gets_the_real_part),
          CASE(complex_gradient_is_that_of_tensorflow_and_pytorch), CASE(gradients_of_gradients),
          CASE(a_persistent_tape_records_its_own_gradient), CASE(target_gradient_may_be_given),
          CASE(integer_target_is_refused), CASE(source_may_be_computed_and_may_be_the_target))
