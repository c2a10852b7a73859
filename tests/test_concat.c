/* SPDX-License-Identifier: MIT
 * Joining tensors: order, promotion, refusals, gradients. */
#include "differences.h"
#include "second.h"

static tv_tensor *numbers(double from, int rank, const int64_t *shape) {
  int64_t n = 1;
  for (int k = 0; k < rank; k++) n *= shape[k];
  return OK(tv_reshape(tv_arange(TV_F64, from, from + (double)n, 1), rank, shape));
}
#define LIST(...) \
  (int)(sizeof((tv_tensor *[]){__VA_ARGS__}) / sizeof(void *)), (tv_tensor *[]) { __VA_ARGS__ }

TEST(concat_joins_along_an_axis) {
  tv_tensor *a = numbers(0, TV_SHAPE(2, 2)), *b = numbers(10, TV_SHAPE(2, 1));
  tv_tensor *y = OK(tv_concat(LIST(a, b, a), 1));
  SHAPE_IS(y, TV_SHAPE(2, 5));
  HOLDS(y, 0, 1, 10, 0, 1, 2, 3, 11, 2, 3);
  SAME(tv_concat(LIST(a, b, a), -1), y);
  HOLDS(tv_concat(LIST(a, tv_matrix_transpose(a)), 0), 0, 1, 2, 3, 0, 2, 1, 3);
  SAME(tv_concat(LIST(a), 0), a);
}

TEST(concat_of_many) {
  enum { N = 300 };
  tv_tensor *parts[N];
  for (int k = 0; k < N; k++) parts[k] = numbers(k, TV_SHAPE(1));
  SAME(tv_concat(N, parts, 0), tv_arange(TV_F64, 0, N, 1));
}

TEST(parts_without_elements_count_for_the_dtype) {
  tv_tensor *y = OK(tv_concat(LIST(tv_ones(TV_I8, TV_SHAPE(2)), tv_zeros(TV_F32, TV_SHAPE(0)),
                                   tv_ones(TV_BOOL, TV_SHAPE(1))),
                              0));
  EQUAL(tv_tensor_dtype(y), TV_F32);
  HOLDS(y, 1, 1, 1);
  SHAPE_IS(tv_concat(LIST(tv_zeros(TV_I8, TV_SHAPE(3, 0)), tv_zeros(TV_I8, TV_SHAPE(1, 0))), 0),
           TV_SHAPE(4, 0));
  /* The others fold into the highest kind: pairs alone would reach float64. */
  y = OK(tv_concat(
      LIST(tv_ones(TV_I8, TV_SHAPE(1)), tv_ones(TV_U16, TV_SHAPE(1)), tv_ones(TV_F16, TV_SHAPE(1))),
      0));
  EQUAL(tv_tensor_dtype(y), TV_F32);
}

TEST(concat_refuses) {
  tv_tensor *a = numbers(0, TV_SHAPE(2, 3)), *b = numbers(0, TV_SHAPE(2, 4));
  FAILS(TV_EVALUE, "concat: 0 tensors: at least one is needed", tv_concat(0, NULL, 0));
  FAILS(TV_EVALUE, "concat: tensors is NULL", tv_concat(1, NULL, 0));
  FAILS(TV_EVALUE, "concat: a tensor is NULL", tv_concat(LIST(a, NULL), 0));
  FAILS(TV_ESHAPE, "concat: shapes differ beside axis 0: [2, 3] and [2, 4]",
        tv_concat(LIST(a, b), 0));
  FAILS(TV_ESHAPE, "concat: shapes differ beside axis 1: [2, 3] and [3]",
        tv_concat(LIST(a, numbers(0, TV_SHAPE(3))), 1));
  FAILS(TV_ESHAPE, "concat: tensors[0] is 0-d: use tv_stack", tv_concat(LIST(tv_scalar(1)), 0));
  FAILS(TV_EINDEX, "concat: axis 2 of 2", tv_concat(LIST(a), 2));
  FAILS(TV_EDEVICE, "concat: tensors[0] is on cpu, tensors[1] on second",
        tv_concat(LIST(a, elsewhere(b)), 0));
  tv_tensor *wide = OK(tv_broadcast_to(tv_ones(TV_I8, TV_SHAPE(1)), TV_SHAPE(INT64_MAX)));
  FAILS(TV_EOVERFLOW, "concat: axis 0 has more than 2^63 - 1 elements",
        tv_concat(LIST(wide, wide), 0));
}

TEST(stack_makes_an_axis) {
  tv_tensor *a = numbers(0, TV_SHAPE(2)), *b = numbers(10, TV_SHAPE(2));
  tv_tensor *y = OK(tv_stack(LIST(a, b, a), 0));
  SHAPE_IS(y, TV_SHAPE(3, 2));
  HOLDS(y, 0, 1, 10, 11, 0, 1);
  y = OK(tv_stack(LIST(a, b, a), -1));
  SHAPE_IS(y, TV_SHAPE(2, 3));
  HOLDS(y, 0, 10, 0, 1, 11, 1);
  SAME(tv_stack(LIST(a, b, a), 1), y);
  SHAPE_IS(tv_stack(LIST(tv_zeros(TV_I8, TV_SHAPE(0, 2))), 1), TV_SHAPE(0, 1, 2));
}

TEST(scalars_stack) {
  tv_tensor *y = OK(tv_stack(LIST(tv_scalar(1), tv_scalar(2.5)), 0));
  EQUAL(tv_tensor_dtype(y), TV_F64);
  HOLDS(y, 1, 2.5);
  y = OK(tv_stack(LIST(tv_full(TV_U8, TV_SCALAR_SHAPE, tv_scalar(7)), tv_scalar(3)), 0));
  EQUAL(tv_tensor_dtype(y), TV_U8);
  HOLDS(y, 7, 3);
  FAILS(TV_EVALUE, "stack: 300 is out of the range of uint8",
        tv_stack(LIST(tv_full(TV_U8, TV_SCALAR_SHAPE, tv_scalar(7)), tv_scalar(300)), 0));
}

TEST(stack_refuses) {
  tv_tensor *a = numbers(0, TV_SHAPE(2)), *b = numbers(0, TV_SHAPE(3));
  FAILS(TV_EVALUE, "stack: -1 tensors: at least one is needed", tv_stack(-1, &a, 0));
  FAILS(TV_ESHAPE, "stack: shapes differ: [2] and [3]", tv_stack(LIST(a, b), 0));
  FAILS(TV_EINDEX, "stack: axis 2 of 2", tv_stack(LIST(a, a), 2));
  FAILS(TV_EDEVICE, "stack: tensors[1] is on cpu, tensors[2] on second",
        tv_stack(LIST(tv_scalar(1), a, elsewhere(a)), 0));
}

static tv_tensor *joined(tv_tensor *x) {
  return tv_concat(LIST(tv_slice(x, "1:"), x, tv_ones(TV_F64, TV_SHAPE(1, 3)), x, tv_square(x)), 0);
}
static tv_tensor *joined_last(tv_tensor *x) { return tv_concat(LIST(x, tv_slice(x, ":, :1")), 1); }
static tv_tensor *stacked(tv_tensor *x) {
  return tv_stack(LIST(x, tv_square(x), tv_ones(TV_F64, TV_SHAPE(2, 3)), x), 1);
}

TEST(gradients_are_the_parts) {
  tv_tensor *x = OK(tv_add(numbers(0, TV_SHAPE(2, 3)), tv_scalar(.25)));
  DIFFERENCES(joined, x);
  DIFFERENCES(joined_last, x);
  DIFFERENCES(stacked, x);
  HOLDS(check_gradient(joined_last, x), 5, 2, 3, 13, 6, 7);
}

/* Parts of another dtype get their gradient in their own. */
TEST(gradients_have_the_dtype_of_the_part) {
  tv_tensor *a = OK(tv_ones(TV_F16, TV_SHAPE(2))), *b = OK(tv_ones(TV_F64, TV_SHAPE(1))), *g[2];
  tv_tape *tape = tv_tape_begin(NULL);
  OK(tv_tape_watch(tape, a));
  OK(tv_tape_watch(tape, b));
  OK(tv_tape_gradient_of(tape, tv_concat(LIST(a, b), 0), LIST(a, b), g));
  EQUAL(tv_tensor_dtype(g[0]), TV_F16);
  EQUAL(tv_tensor_dtype(g[1]), TV_F64);
  HOLDS(g[0], 1, 1);
  OK(tv_tape_end(tape));
}

/* More inputs than fit in the small blocks of memory. */
static tv_tensor *many(tv_tensor *x) {
  tv_tensor *parts[40];
  for (int k = 0; k < 40; k++) parts[k] = k & 1 ? x : tv_reshape(tv_scalar(k), TV_SHAPE(1));
  return tv_concat(40, parts, 0);
}

TEST(a_failed_allocation_leaves_nothing) {
  STARVED(joined, numbers(0, TV_SHAPE(2, 3)));
  STARVED(stacked, numbers(0, TV_SHAPE(2, 3)));
  STARVED(many, numbers(0, TV_SHAPE(2)));
}

TEST_MAIN("concat", CASE(concat_joins_along_an_axis), CASE(concat_of_many),
          CASE(parts_without_elements_count_for_the_dtype), CASE(concat_refuses),
          CASE(stack_makes_an_axis), CASE(scalars_stack), CASE(stack_refuses),
          CASE(gradients_are_the_parts), CASE(gradients_have_the_dtype_of_the_part),
          CASE(a_failed_allocation_leaves_nothing))
