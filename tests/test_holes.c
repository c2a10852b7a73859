/* SPDX-License-Identifier: MIT
 * The measured holes of the peers: what PyTorch 1.13 and TensorFlow do silently wrong, half or not
 * at all where Variables are written, and what happens here. Unless said otherwise y is the sum of
 * v^2 at v = [1, 2, 3], so its gradient is [2, 4, 6], whatever is written between forward and
 * gradient. Not here: equal bits on any number of threads, which every part of the CPU has tests
 * of.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static tv_variable *three(void) { return tv_variable_new(tv_arange(TV_F64, 1, 4, 1), NULL); }

static tv_tensor *sum(tv_tensor *x) { return tv_sum(x, TV_ALL_AXES); }

/* Forward under a policy; *tape is for `gradient`, which ends it. */
static tv_tensor *squares(tv_variable *v, tv_mutation_policy policy, tv_tape **tape) {
  tv_tape_options o = TV_TAPE_OPTIONS;
  o.mutation = policy;
  *tape = tv_tape_begin(&o);
  return sum(tv_square(tv_read(v)));
}

static tv_tensor *gradient(tv_tape *tape, tv_tensor *y, tv_variable *v) {
  tv_tensor *g = NULL;
  OK(tv_tape_gradient(tape, y, 1, &v, &g));
  OK(tv_tape_end(tape));
  return g;
}

/* PyTorch: an error that says neither who wrote nor where. */
TEST(add_in_place_then_backward) {
  tv_variable *const v = three();
  char text[512];
  tv_tape *tape;
  tv_tensor *g, *y = squares(v, TV_MUTATION_SNAPSHOT, &tape);
  OK(tv_variable_assign_add(v, tv_scalar(10)));
  HOLDS(gradient(tape, y, v), 2, 4, 6);
  y = squares(v, TV_MUTATION_ERROR, &tape);
  OK(tv_variable_assign_add(v, tv_scalar(10)));
  snprintf(text, sizeof text,
           "tape_gradient: square needs Variable 'Variable' as read at version 1, but it is at "
           "version 2: written by variable_assign_add at %s:%d, on thread %llu",
           __FILE__, __LINE__ - 4, (unsigned long long)tv_thread_number());
  FAILS_STATUS(TV_EMUTATED, text, tv_tape_gradient(tape, y, 1, &v, &g));
  OK(tv_tape_end(tape));
  tv_variable_release(v);
}

TEST(add_in_place_that_the_gradient_does_not_need) {
  for (int policy = TV_MUTATION_SNAPSHOT; policy <= TV_MUTATION_ERROR; policy++) {
    tv_variable *const v = three();
    tv_tape_options o = TV_TAPE_OPTIONS;
    o.mutation = (tv_mutation_policy)policy;
    tv_tape *const tape = tv_tape_begin(&o);
    tv_tensor *const y = sum(tv_multiply(tv_read(v), tv_scalar(3)));
    OK(tv_variable_assign_add(v, tv_scalar(10)));
    HOLDS(gradient(tape, y, v), 3, 3, 3);
    tv_variable_release(v);
  }
}

/* v.data.add_(10), v.detach().numpy()[:] = 7: wrong gradients, and the version stays 0. The one
 * pointer to write through here is a map, and it counts. */
TEST(writes_through_a_pointer) {
  for (int exclusive = 0; exclusive < 2; exclusive++) {
    tv_variable *const v = three();
    tv_tape *tape;
    tv_tensor *const y = squares(v, TV_MUTATION_SNAPSHOT, &tape);
    void *data;
    OK(tv_variable_map(v, exclusive, &data));
    for (int k = 0; k < 3; k++) ((double *)data)[k] = 7;
    OK(tv_variable_unmap(v));
    EQUAL(tv_variable_version(v), 1);
    HOLDS(gradient(tape, y, v), 2, 4, 6);
    HOLDS(tv_read(v), 7, 7, 7);
    tv_variable_release(v);
  }
}

/* from_numpy, written by its owner: 22 24 26. What is not borrowed is copied. */
TEST(memory_that_its_owner_writes) {
  double a[] = {1, 2, 3};
  tv_variable *const v = tv_variable_new_from_memory(a, TV_F64, TV_SHAPE(3), NULL);
  tv_tape *tape;
  tv_tensor *const y = squares(v, TV_MUTATION_SNAPSHOT, &tape);
  for (int k = 0; k < 3; k++) a[k] += 10;
  HOLDS(gradient(tape, y, v), 2, 4, 6);
  tv_variable_release(v);
}

/* Two owners of one buffer write it in turn, and neither knows: Variables have bytes of their own.
 */
TEST(two_variables_of_one_buffer) {
  double a[] = {1, 2, 3};
  tv_memory_options o = TV_MEMORY_OPTIONS;
  o.borrow = true;
  tv_tensor *const x = tv_tensor_from_memory(a, TV_F64, TV_SHAPE(3), &o);
  tv_variable *const v = tv_variable_new(x, NULL), *const w = tv_variable_new(x, NULL);
  tv_tape *tape;
  tv_tensor *const y = squares(v, TV_MUTATION_SNAPSHOT, &tape);
  OK(tv_variable_assign_add(w, tv_scalar(10)));
  HOLDS(gradient(tape, y, v), 2, 4, 6);
  HOLDS(tv_read(v), 1, 2, 3);
  CHECK(a[0] == 1);
  tv_variable_release(v);
  tv_variable_release(w);
}

/* A borrow of three doubles that its owner may write. Skips the test in a build without guards. */
static tv_tensor *guarded(const double *a, tv_guard guard, const char *name) {
  tv_memory_options o = TV_MEMORY_OPTIONS;
  o.borrow = true;
  o.guard = guard;
  o.name = name;
  tv_tensor *const x = tv_tensor_from_memory(a, TV_F64, TV_SHAPE(3), &o);
  if (!x && tv_error() == TV_EUNSUPPORTED) {
    tv_error_clear();
    SKIP("no xxHash in this build");
  }
  return OK(x), x;
}

/* from_numpy without a copy, written by its owner between forward and gradient: 22 24 26. Told by
 * the guard; and where the owner says so itself, at every level of guard. */
TEST(borrowed_memory_that_its_owner_writes) {
  for (int marks = 0; marks < 2; marks++) {
    for (int guard = marks ? TV_GUARD_NONE : TV_GUARD_SAMPLED; guard <= TV_GUARD_FULL; guard++) {
      double a[] = {1, 2, 3};
      tv_tensor *g, *const x = guarded(a, (tv_guard)guard, "samples");
      tv_tape *tape = tv_tape_begin(NULL);
      OK(tv_tape_watch(tape, x));
      tv_tensor *y = sum(tv_square(x));
      for (int k = 0; k < 3; k++) a[k] += 10;
      if (marks) OK(tv_tensor_mark_mutated(x));
      FAILS_STATUS(TV_EMUTATED,
                   marks ? "tape_gradient: square needs 'samples' as it was read, and its owner "
                           "marked it as mutated since"
                         : "multiply: 'samples' of 24 bytes was changed outside the library, first "
                           "in bytes [0, 24): tell by tv_tensor_mark_mutated",
                   tv_tape_gradient_of(tape, y, 1, &x, &g));
      CHECK(!g);
      OK(tv_tape_end(tape));
      /* What was computed before stays; what is computed from now on is of the new bytes. */
      HOLDS(y, 14);
      OK(tv_tensor_mark_mutated(x));
      tape = tv_tape_begin(NULL);
      OK(tv_tape_watch(tape, x));
      y = sum(tv_square(x));
      HOLDS(y, 11 * 11 + 12 * 12 + 13 * 13);
      OK(tv_tape_gradient_of(tape, y, 1, &x, &g));
      HOLDS(g, 22, 24, 26);
      OK(tv_tape_end(tape));
    }
  }
}

/* Two borrows of one buffer, written through by one owner: PyTorch is silent, with versions 0 and
 * 1. Here both report, and a mark of one speaks for that one alone. */
TEST(two_borrows_of_one_buffer) {
  double a[] = {1, 2, 3};
  tv_tensor *const x = guarded(a, TV_GUARD_FULL, "left"), *const y =
                                                              guarded(a, TV_GUARD_FULL, "right");
  a[1] = 20;
  FAILS(TV_EMUTATED,
        "square: 'left' of 24 bytes was changed outside the library, first in bytes [0, 24): tell "
        "by tv_tensor_mark_mutated",
        tv_square(x));
  FAILS(TV_EMUTATED,
        "square: 'right' of 24 bytes was changed outside the library, first in bytes [0, 24): tell "
        "by tv_tensor_mark_mutated",
        tv_square(y));
  OK(tv_tensor_mark_mutated(x));
  HOLDS(tv_square(x), 1, 400, 9);
  FAILS(TV_EMUTATED,
        "negative: 'right' of 24 bytes was changed outside the library, first in bytes [0, 24): "
        "tell by tv_tensor_mark_mutated",
        tv_negative(y));
}

/* Adding 0, or writing what the graph never read: PyTorch refuses though nothing is wrong. */
TEST(writes_that_do_not_matter) {
  tv_variable *const v = three();
  tv_tensor *g;
  tv_tape *tape;
  tv_tensor *y = squares(v, TV_MUTATION_SNAPSHOT, &tape);
  OK(tv_variable_assign_add(v, tv_scalar(0)));
  HOLDS(gradient(tape, y, v), 2, 4, 6);
  tape = tv_tape_begin(NULL);
  y = sum(tv_square(tv_slice(tv_read(v), ":2")));
  OK(tv_variable_assign_slice(v, "2", tv_scalar(9)));
  HOLDS(gradient(tape, y, v), 2, 4, 0);
  y = squares(v, TV_MUTATION_ERROR, &tape); /* which counts any write, and says so in tape.h */
  OK(tv_variable_assign_add(v, tv_scalar(0)));
  EQUAL(tv_tape_gradient(tape, y, 1, &v, &g), TV_EMUTATED);
  tv_error_clear();
  OK(tv_tape_end(tape));
  tv_variable_release(v);
}

/* Step, clamp, then backward of a second loss. */
TEST(step_then_backward_of_a_second_loss) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.constraint = (tv_constraint)TV_CLIP(0, 1, TV_ON_STEP);
  tv_variable *const v = tv_variable_new(tv_arange(TV_F64, 1, 4, 1), &o);
  tv_optimizer *const sgd = tv_sgd_new(NULL);
  tv_tape_options persistent = TV_TAPE_OPTIONS;
  persistent.persistent = true;
  tv_tape *const tape = tv_tape_begin(&persistent);
  tv_tensor *const x = tv_read(v), *const first = sum(tv_square(x));
  tv_tensor *const second = sum(tv_multiply(tv_square(x), x));
  tv_tensor *g;
  OK(tv_tape_gradient(tape, first, 1, &v, &g));
  OK(tv_optimizer_step(sgd, 1, &v, &g));
  OK(tv_variable_assign_min(v, tv_scalar(.5)));
  OK(tv_tape_gradient(tape, second, 1, &v, &g)); /* 3 v^2 */
  HOLDS(g, 3, 12, 27);
  OK(tv_tape_end(tape));
  tv_optimizer_release(sgd);
  tv_variable_release(v);
}

/* TensorFlow before Keras 3: "Cannot use a constraint function on a sparse variable"; Keras 3
 * projects every row. Here it looks at the rows that were touched, be the table small, or the rows
 * many, or neither. */
TEST(constraint_with_a_sparse_gradient) {
  static const int64_t sizes[] = {3, 8, 8, 40000}, n_touched[] = {1, 1, 6, 1};
  for (int k = 0; k < 4; k++) {
    tv_variable_options o = TV_VARIABLE_OPTIONS;
    o.constraint = tv_constraint_max_norm(TV_ON_STEP, 5, TV_AXES(1));
    tv_variable *const v =
        tv_variable_new(tv_full(TV_F64, TV_SHAPE(sizes[k], 2), tv_scalar(8)), &o);
    tv_optimizer *const sgd = tv_sgd_new(NULL);
    tv_tensor *g;
    int64_t n_moved = 0;
    tv_tape *const tape = tv_tape_begin(NULL);
    tv_tensor *const x = tv_variable_sparse_read(v, tv_arange_int(TV_I64, 0, n_touched[k], 1));
    OK(tv_tape_gradient(tape, sum(x), 1, &v, &g));
    OK(tv_tape_end(tape));
    OK(tv_optimizer_step(sgd, 1, &v, &g));
    CLOSE(tv_slice(tv_read(v), "0"), tv_full(TV_F64, TV_SHAPE(2), tv_scalar(5 / sqrt(2))), 4);
    HOLDS(tv_slice(tv_read(v), "-1"), 8, 8);
    OK(tv_variable_moved(v, &n_moved));
    EQUAL(n_moved, 2 * n_touched[k]);
    EQUAL(tv_variable_version(v), 1);
    tv_optimizer_release(sgd);
    tv_variable_release(v);
  }
}

/* zeros(2, 3).copy_([3]) broadcasts; an int tensor takes 1.9, -2.9 and 1e20 as 1, -2, -2147483648.
 */
TEST(assignments_that_convert_in_silence) {
  static const double a[] = {1.9, -2.9, 1e20};
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(2, 3)), NULL);
  tv_variable *const n = tv_variable_new(tv_zeros(TV_I32, TV_SHAPE(3)), NULL);
  FAILS_STATUS(TV_ESHAPE, "variable_assign: shapes differ: Variable 'Variable': [2, 3] and [1]",
               tv_variable_assign(v, tv_full(TV_F32, TV_SHAPE(1), tv_scalar(3))));
  FAILS_STATUS(TV_EDTYPE,
               "variable_assign: Variable 'Variable' is int32, the value float64: not of the same "
               "kind",
               tv_variable_assign(n, tv_tensor_from_memory(a, TV_F64, TV_SHAPE(3), NULL)));
  HOLDS(tv_read(n), 0, 0, 0);
  EQUAL(tv_variable_version(v) + tv_variable_version(n), 0);
  tv_variable_release(v);
  tv_variable_release(n);
}

/* index_put_, scatter_add_, index_add_ with index 7 of 3 leave [1, 2, 0]; TensorFlow's GPU skips.
 */
TEST(bad_index_leaves_a_half_written_value) {
  static const int64_t at[] = {0, 1, 7};
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(3)), NULL);
  tv_tensor *const rows = tv_tensor_from_memory(at, TV_I64, TV_SHAPE(3), NULL);
  FAILS_STATUS(TV_EINDEX, "variable_scatter_add: index 7 at position 2 is out of range of 3",
               tv_variable_scatter_add(v, rows, tv_arange(TV_F64, 1, 4, 1)));
  HOLDS(tv_read(v), 0, 0, 0);
  EQUAL(tv_variable_version(v), 0);
  tv_variable_release(v);
}

/* "Undefined" in both manuals. */
TEST(order_of_duplicates) {
  static const int64_t at[] = {1, 0, 1, 1};
  static const double from[] = {5, 6, 7, 8};
  tv_tensor *const rows = tv_tensor_from_memory(at, TV_I64, TV_SHAPE(4), NULL);
  tv_tensor *const x = tv_tensor_from_memory(from, TV_F64, TV_SHAPE(4), NULL);
  const int n_threads = tv_threads();
  for (int n = 1; n <= 7; n += 3) {
    tv_variable *const v = tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(2)), NULL);
    OK(tv_threads_set(n));
    OK(tv_variable_scatter_update(v, rows, x));
    HOLDS(tv_read(v), 6, 8);
    OK(tv_variable_scatter_sub(v, rows, x));
    HOLDS(tv_read(v), 0, -12);
    tv_variable_release(v);
  }
  OK(tv_threads_set(n_threads));
}

/* set_data with another shape: a late error in backward. */
TEST(another_shape_after_forward) {
  const bool open[] = {true};
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.open_axes = open;
  tv_variable *const fixed = three();
  tv_variable *const v = tv_variable_new(tv_arange(TV_F64, 1, 4, 1), &o);
  tv_tape *tape;
  CHECK(tv_variable_assign(fixed, tv_ones(TV_F64, TV_SHAPE(5))) == TV_ESHAPE);
  tv_error_clear();
  tv_tensor *const y = squares(v, TV_MUTATION_SNAPSHOT, &tape);
  OK(tv_variable_assign(v, tv_ones(TV_F64, TV_SHAPE(5))));
  HOLDS(gradient(tape, y, v), 2, 4, 6);
  tv_variable_release(fixed);
  tv_variable_release(v);
}

/* 2 v at v = 2, then v^2 at v = 5: 12 in all, and nobody else tells 2 from 10. */
TEST(gradient_of_two_versions) {
  tv_tape_options o = TV_TAPE_OPTIONS;
  o.persistent = true;
  tv_variable *const v = tv_variable_new(tv_full(TV_F64, TV_SHAPE(1), tv_scalar(2)), NULL);
  tv_tensor *all, *first, *second;
  tv_tape *const tape = tv_tape_begin(&o);
  tv_tensor *y = tv_multiply(tv_read(v), tv_scalar(2));
  OK(tv_variable_assign_add(v, tv_scalar(3)));
  y = tv_add(y, tv_square(tv_read(v)));
  OK(tv_tape_gradient(tape, y, 1, &v, &all));
  OK(tv_tape_gradient_at(tape, y, v, 0, &first));
  OK(tv_tape_gradient_at(tape, y, v, 1, &second));
  HOLDS(all, 12);
  HOLDS(first, 2);
  HOLDS(second, 10);
  OK(tv_tape_end(tape));
  tv_variable_release(v);
}

/* The sum of x v^2, of which a tape keeps x, and that v was read. */
static tv_tensor *weighted_squares(void *user, int n, tv_tensor *const *in) {
  (void)n;
  return sum(tv_multiply(in[0], tv_square(tv_read(user))));
}

/* PyTorch and TensorFlow compute again from the new value: 22 24 26. Here what is computed again is
 * what was computed. */
TEST(recomputation_after_a_write) {
  tv_variable *const v = three();
  tv_tensor *g, *one = tv_ones(TV_F64, TV_SHAPE(3));
  tv_custom c = TV_CUSTOM;
  c.forward = weighted_squares;
  c.user = v;
  tv_tape *tape = tv_tape_begin(NULL);
  tv_tensor *y = tv_recompute(&c, 1, &one);
  HOLDS(y, 14);
  OK(tv_variable_assign_add(v, tv_scalar(10)));
  HOLDS(gradient(tape, y, v), 2, 4, 6);
  HOLDS(tv_read(v), 11, 12, 13);
  tv_tape_options o = TV_TAPE_OPTIONS;
  o.mutation = TV_MUTATION_ERROR; /* for those who would rather be told */
  tape = tv_tape_begin(&o);
  y = tv_recompute(&c, 1, &one);
  OK(tv_variable_assign_add(v, tv_scalar(10)));
  EQUAL(tv_tape_gradient(tape, y, 1, &v, &g), TV_EMUTATED);
  tv_error_clear();
  OK(tv_tape_end(tape));
  tv_variable_release(v);
}

/* A read-only NumPy array: PyTorch warns once, and writes. */
TEST(memory_that_is_read_only) {
  static const double a[] = {1, 2, 3}; /* a write stops the program */
  tv_memory_options o = TV_MEMORY_OPTIONS;
  o.borrow = true;
  tv_tensor *const x = tv_tensor_from_memory(a, TV_F64, TV_SHAPE(3), &o);
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(3)), NULL);
  void *data;
  OK(tv_variable_assign(v, x));
  OK(tv_variable_assign_add(v, tv_scalar(1)));
  OK(tv_variable_assign(v, x));
  OK(tv_variable_scatter_update(v, tv_scalar(0), tv_scalar(5)));
  OK(tv_variable_assign(v, x));
  OK(tv_variable_assign_slice(v, "1", tv_scalar(5)));
  OK(tv_variable_map(v, true, &data));
  ((double *)data)[2] = 5;
  OK(tv_variable_unmap(v));
  HOLDS(tv_read(v), 1, 5, 5);
  HOLDS(x, 1, 2, 3);
  tv_variable_release(v);
}

TEST_MAIN("holes", CASE(add_in_place_then_backward),
          CASE(add_in_place_that_the_gradient_does_not_need), CASE(writes_through_a_pointer),
          CASE(memory_that_its_owner_writes), CASE(two_variables_of_one_buffer),
          CASE(borrowed_memory_that_its_owner_writes), CASE(two_borrows_of_one_buffer),
          CASE(writes_that_do_not_matter), CASE(step_then_backward_of_a_second_loss),
          CASE(constraint_with_a_sparse_gradient), CASE(assignments_that_convert_in_silence),
          CASE(bad_index_leaves_a_half_written_value), CASE(order_of_duplicates),
          CASE(another_shape_after_forward), CASE(gradient_of_two_versions),
          CASE(recomputation_after_a_write), CASE(memory_that_is_read_only))
