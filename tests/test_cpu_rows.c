/* SPDX-License-Identifier: MIT
 * The CPU's rows slot: the bits of the ops that it stands for, on any number of threads: rows of
 * many lengths, few long ones that are cut, halves, views, other axes, what is not finite. The
 * numbers themselves are in test_softmax.c, test_loss.c and test_norm.c. */
#include <math.h>

#include "check.h"

static const tv_dtype dtypes[] = {TV_F16, TV_BF16, TV_F32, TV_F64};
static const int thread_counts[] = {1, 2, 3, 7};

static const tv_reduce_options kept = {
    .size = sizeof kept, .keepdims = true, .dtype = TV_DTYPE_NONE};

static tv_tensor *numbers(tv_dtype dtype, int64_t rows, int64_t columns) {
  tv_tensor *const x = tv_random_normal((tv_key){(uint64_t)rows, (uint64_t)columns}, TV_F32,
                                        TV_SHAPE(rows, columns));
  return OK(tv_astype(tv_multiply(x, tv_scalar(3.)), dtype));
}

/* What the slot stands for, of single ops. */
static tv_tensor *wide(tv_tensor *x) {
  return tv_astype(x, tv_tensor_dtype(x) == TV_F64 ? TV_F64 : TV_F32);
}
static tv_tensor *lowered(tv_tensor *x) {
  return tv_subtract(wide(x), tv_max_with(wide(x), TV_AXES(-1), &kept));
}
static tv_tensor *softmax_of(tv_tensor *x) {
  tv_tensor *const e = tv_exp(lowered(x));
  return tv_divide(e, tv_sum_with(e, TV_AXES(-1), &kept));
}
static tv_tensor *log_softmax_of(tv_tensor *x) {
  tv_tensor *const z = lowered(x);
  return tv_subtract(z, tv_log(tv_sum_with(tv_exp(z), TV_AXES(-1), &kept)));
}
static tv_tensor *one_hot_like(tv_tensor *x, tv_tensor *labels) {
  return tv_one_hot(labels, tv_tensor_shape(x)[1], tv_tensor_dtype(wide(x)));
}
static tv_tensor *entropy_of(tv_tensor *x, tv_tensor *labels) {
  tv_tensor *const z = lowered(x);
  /* The label's alone is not 0 times something, which may be infinite. */
  tv_tensor *const own = tv_where(tv_astype(one_hot_like(x, labels), TV_BOOL), z, tv_scalar(0));
  return tv_subtract(tv_log(tv_sum(tv_exp(z), TV_AXES(-1))), tv_sum(own, TV_AXES(-1)));
}
static tv_tensor *entropy_gradient_of(tv_tensor *x, tv_tensor *labels, tv_tensor *g) {
  return tv_multiply(tv_expand_dims(wide(g), -1),
                     tv_subtract(softmax_of(x), one_hot_like(x, labels)));
}

static tv_tensor *entropy_gradient(tv_tensor *x, tv_tensor *labels, tv_tensor *weights) {
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *g = NULL;
  OK(tv_tape_watch(tape, x));
  tv_tensor *const loss =
      tv_sum(tv_multiply(tv_softmax_cross_entropy(x, labels), weights), TV_ALL_AXES);
  OK(tv_tape_gradient_of(tape, loss, 1, &x, &g));
  tv_tape_end(tape);
  return OK(g);
}

static void agree(tv_tensor *got, tv_tensor *want) {
  SAME(OK(got), OK(tv_astype(OK(want), tv_tensor_dtype(got))));
}

static void compare(tv_dtype dtype, int64_t rows, int64_t columns) {
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  tv_tensor *const x = numbers(dtype, rows, columns);
  tv_tensor *const labels = OK(tv_remainder(
      tv_multiply(tv_arange_int(TV_I64, 0, rows, 1), tv_scalar(7)), tv_scalar(columns)));
  tv_tensor *const g = OK(tv_reshape(numbers(dtype, rows, 1), TV_SHAPE(rows)));
  tv_tensor *const want[] = {softmax_of(x), log_softmax_of(x), entropy_of(x, labels),
                             entropy_gradient_of(x, labels, g)};
  for (size_t k = 0; k < sizeof thread_counts / sizeof *thread_counts; k++) {
    OK(tv_threads_set(thread_counts[k]));
    agree(tv_softmax(x, 1), want[0]);
    agree(tv_log_softmax(x, -1), want[1]);
    agree(tv_softmax_cross_entropy(x, labels), want[2]);
    agree(entropy_gradient(x, labels, g), want[3]);
  }
  OK(tv_threads_set(0));
  OK(tv_scope_end(&scope, NULL));
}

TEST(rows_of_all_lengths) {
  static const int64_t columns[] = {1, 2, 10, 16, 17, 511, 512, 513, 1030, 4096, 4097};
  for (size_t k = 0; k < sizeof columns / sizeof *columns; k++)
    for (int dtype = 0; dtype < 4; dtype++) compare(dtypes[dtype], k % 2 ? 3 : 37, columns[k]);
}

TEST(many_rows) {
  compare(TV_F32, 5000, 33);
  compare(TV_BF16, 700, 600);
}

/* Whole chunks of 32,768, and a rest. */
TEST(few_long_rows) {
  compare(TV_F32, 2, 131072);
  compare(TV_F64, 1, 100000);
  compare(TV_F16, 3, 98304 + 513);
  compare(TV_F32, 1, 7 * 32768 + 1);
}

TEST(other_axes_and_views) {
  tv_tensor *const x = OK(tv_random_normal((tv_key){3, 1}, TV_F32, TV_SHAPE(4, 30, 5)));
  tv_tensor *const turned = tv_permute_dims(x, 3, (const int64_t[]){0, 2, 1});
  SAME(tv_softmax(x, 1), tv_permute_dims(softmax_of(turned), 3, (const int64_t[]){0, 2, 1}));
  agree(tv_log_softmax(tv_flip(x, TV_AXES(1)), 2), log_softmax_of(tv_flip(x, TV_AXES(1))));
  SHAPE_IS(tv_softmax(tv_zeros(TV_F32, TV_SHAPE(0, 4)), 1), TV_SHAPE(0, 4));
}

/* What is infinite or not a number, and zeros of both signs. */
TEST(specials) {
  const double values[] = {HUGE_VAL, 0, -HUGE_VAL, -HUGE_VAL, -HUGE_VAL, 1,    (double)NAN, 2,
                           -0.0,     0, 5,         700,       0.0,       -0.0, -0.0,        -0.0};
  tv_tensor *const x = OK(tv_tensor_from_memory(values, TV_F64, TV_SHAPE(8, 2), NULL));
  for (int k = 0; k < 4; k++) {
    tv_tensor *const narrow = OK(tv_astype(x, dtypes[k]));
    CLOSE(tv_softmax(narrow, 1), OK(tv_astype(softmax_of(narrow), dtypes[k])), 0);
    CLOSE(tv_log_softmax(narrow, 1), OK(tv_astype(log_softmax_of(narrow), dtypes[k])), 0);
  }
}

TEST(a_bad_label_is_named) {
  FAILS(TV_EINDEX, "softmax_cross_entropy: label 4 at position 2 is out of range of 4",
        tv_softmax_cross_entropy(tv_zeros(TV_F32, TV_SHAPE(3, 4)), tv_arange_int(TV_I64, 2, 5, 1)));
}

TEST_MAIN("cpu_rows", CASE(rows_of_all_lengths), CASE(many_rows), CASE(few_long_rows),
          CASE(other_axes_and_views), CASE(specials), CASE(a_bad_label_is_named))
