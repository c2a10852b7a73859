/* SPDX-License-Identifier: MIT
 * Softmax, log-softmax and cross entropy of the GPU, which takes whole rows at once: the bits are
 * those of single ops on the GPU, and those of a CPU with an fma. Rows that half a warp, a block or
 * several stretches take, and gradients with and without a recording tape. */
#include <math.h>

#include "cuda_kin.h" /* before check.h */

#include "cuda_device.h"

static const tv_dtype dtypes[] = {TV_F16, TV_BF16, TV_F32, TV_F64};

static tv_tensor *numbers(tv_dtype dtype, int64_t rows, int64_t columns) {
  tv_tensor *const x = tv_random_normal((tv_key){(uint64_t)rows, (uint64_t)columns}, TV_F32,
                                        TV_SHAPE(rows, columns));
  return OK(tv_astype(tv_multiply(x, tv_scalar(3.)), dtype));
}

static tv_tensor *labels_for(int64_t rows, int64_t columns) {
  tv_tensor *const x = tv_multiply(tv_arange_int(TV_I64, 0, rows, 1), tv_scalar(7));
  return OK(tv_remainder(x, tv_scalar(columns)));
}

static tv_tensor *on_cpu(tv_tensor *x) { return OK(tv_to(OK(x), TV_CPU)); }

/* Of the loss's rows, weighted, by the logits. `is_recorded`: another tape listens. */
static tv_tensor *entropy_gradient(tv_tensor *x, tv_tensor *labels, tv_tensor *weights,
                                   bool is_recorded) {
  tv_tape *const outer = is_recorded ? tv_tape_begin(NULL) : NULL;
  if (outer) OK(tv_tape_watch(outer, x));
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *g = NULL;
  OK(tv_tape_watch(tape, x));
  tv_tensor *const loss =
      tv_sum(tv_multiply(tv_softmax_cross_entropy(x, labels), weights), TV_ALL_AXES);
  OK(tv_tape_gradient_of(tape, loss, 1, &x, &g));
  tv_tape_end(tape);
  if (outer) tv_tape_end(outer);
  return OK(g);
}

/* What the ops are made of. */
static tv_tensor *summed(tv_tensor *x, int64_t axis) {
  const tv_reduce_options kept = {.size = sizeof kept, .keepdims = true, .dtype = TV_DTYPE_NONE};
  return tv_sum_with(x, TV_AXES(axis), &kept);
}
static tv_tensor *lowered(tv_tensor *x, int64_t axis) {
  const tv_reduce_options kept = {.size = sizeof kept, .keepdims = true, .dtype = TV_DTYPE_NONE};
  const tv_dtype dtype = tv_tensor_dtype(x);
  x = tv_astype(x, dtype == TV_F64 ? TV_F64 : TV_F32);
  return tv_subtract(x, tv_max_with(x, TV_AXES(axis), &kept));
}
static tv_tensor *softmax_of(tv_tensor *x, int64_t axis) {
  tv_tensor *const e = tv_exp(lowered(x, axis));
  return tv_divide(e, summed(e, axis));
}
static tv_tensor *log_softmax_of(tv_tensor *x, int64_t axis) {
  tv_tensor *const z = lowered(x, axis);
  return tv_subtract(z, tv_log(summed(tv_exp(z), axis)));
}
static tv_tensor *as(tv_tensor *x, tv_tensor *like) {
  return OK(tv_astype(OK(x), tv_tensor_dtype(like)));
}

/* Two tensors of the GPU have the same bits. */
static void agree(tv_tensor *got, tv_tensor *want) { SAME(on_cpu(got), on_cpu(want)); }

/* x of the GPU, y of the CPU; the latter is only looked at where exp has the same bits. */
static void same(tv_tensor *x, tv_tensor *y) {
  if (cuda_has_kin()) SAME(on_cpu(x), OK(y));
}

static void compare(tv_dtype dtype, int64_t rows, int64_t columns) {
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  tv_tensor *const x = numbers(dtype, rows, columns), *const labels = labels_for(rows, columns);
  tv_tensor *const y = OK(tv_to(x, cuda())), *const at = OK(tv_to(labels, cuda()));
  agree(tv_softmax(y, 1), as(softmax_of(y, 1), y));
  same(tv_softmax(y, 1), tv_softmax(x, 1));
  agree(tv_log_softmax(y, 1), as(log_softmax_of(y, 1), y));
  same(tv_log_softmax(y, 1), tv_log_softmax(x, 1));
  same(tv_softmax_cross_entropy(y, at), tv_softmax_cross_entropy(x, labels));
  tv_tensor *const weights = tv_astype(numbers(TV_F32, rows, 1), dtype);
  tv_tensor *const w = OK(tv_reshape(weights, TV_SHAPE(rows))), *const v = OK(tv_to(w, cuda()));
  tv_tensor *const got = entropy_gradient(y, at, v, false);
  agree(got, entropy_gradient(y, at, v, true));
  same(got, entropy_gradient(x, labels, w, false));
  OK(tv_scope_end(&scope, NULL));
}

TEST(rows_of_all_lengths) {
  static const int64_t columns[] = {1, 2, 10, 16, 17, 511, 512, 513, 1030, 2049};
  for (size_t k = 0; k < sizeof columns / sizeof *columns; k++)
    for (int dtype = 0; dtype < 4; dtype++) compare(dtypes[dtype], k % 2 ? 3 : 37, columns[k]);
}

/* Registers of a block, and stretches of it. */
TEST(long_rows) {
  compare(TV_F32, 2, 16385);
  compare(TV_BF16, 2, 32768);
  compare(TV_F32, 1, 32769);
  compare(TV_F16, 1, 100000);
  compare(TV_F64, 1, 16385);
  compare(TV_F64, 1, 40000);
}

TEST(other_axes_and_views) {
  tv_tensor *const x = OK(tv_random_normal((tv_key){3, 1}, TV_F32, TV_SHAPE(4, 30, 5)));
  tv_tensor *const y = OK(tv_to(x, cuda()));
  for (int64_t axis = 0; axis < 3; axis++) {
    agree(tv_softmax(y, axis), softmax_of(y, axis));
    same(tv_softmax(y, axis), tv_softmax(x, axis));
    tv_tensor *const turned = tv_flip(y, TV_AXES(1));
    agree(tv_log_softmax(turned, axis), log_softmax_of(turned, axis));
  }
  SHAPE_IS(tv_softmax(tv_to(tv_zeros(TV_F32, TV_SHAPE(0, 4)), cuda()), 1), TV_SHAPE(0, 4));
}

/* What is infinite or not a number comes out as on the CPU. */
TEST(specials) {
  const double values[] = {HUGE_VAL,    0, -HUGE_VAL, -HUGE_VAL, -HUGE_VAL, 1,
                           (double)NAN, 2, -0.0,      0,         5,         700};
  tv_tensor *const x = OK(tv_tensor_from_memory(values, TV_F64, TV_SHAPE(6, 2), NULL));
  tv_tensor *const labels = tv_to(tv_zeros(TV_I64, TV_SHAPE(6)), cuda());
  for (int k = 0; k < 4; k++) {
    tv_tensor *const narrow = OK(tv_astype(x, dtypes[k])), *const y = OK(tv_to(narrow, cuda()));
    CLOSE(on_cpu(tv_softmax(y, 1)), on_cpu(as(softmax_of(y, 1), y)), 0);
    CLOSE(on_cpu(tv_log_softmax(y, 1)), on_cpu(as(log_softmax_of(y, 1), y)), 0);
    CLOSE(on_cpu(tv_softmax_cross_entropy(y, labels)),
          tv_softmax_cross_entropy(narrow, tv_zeros(TV_I64, TV_SHAPE(6))), 1);
  }
}

TEST(one_launch_for_all_rows) {
  fakecuda_counts before, after;
  tv_tensor *const x = OK(tv_to(tv_zeros(TV_BF16, TV_SHAPE(5, 40)), cuda()));
  const bool counts = fake_counts(&before);
  tv_softmax(x, 1);
  fake_counts(&after);
  if (counts) EQUAL(after.launches - before.launches, 1);
}

TEST(a_bad_label_is_named) {
  tv_tensor *const x = tv_to(tv_zeros(TV_F32, TV_SHAPE(3, 4)), cuda());
  tv_tensor *const labels = tv_to(tv_arange_int(TV_I64, 2, 5, 1), cuda());
  FAILS(TV_EINDEX, "softmax_cross_entropy: label 4 at position 2 is out of range of 4",
        tv_softmax_cross_entropy(x, labels));
}

TEST_MAIN("cuda_rows", CASE(rows_of_all_lengths), CASE(long_rows), CASE(other_axes_and_views),
          CASE(specials), CASE(one_launch_for_all_rows), CASE(a_bad_label_is_named))
