/* SPDX-License-Identifier: MIT
 * Softmax cross entropy: values known by hand, rows that would overflow, refusals, gradients. */
#include <math.h>

#include "differences.h"
#include "second.h"

static tv_tensor *table(int64_t rows, int64_t columns, const double *values) {
  return OK(tv_tensor_from_memory(values, TV_F64, TV_SHAPE(rows, columns), NULL));
}
static tv_tensor *labels_of(int64_t n, const int64_t *values) {
  return tv_tensor_from_memory(values, TV_I64, 1, &n, NULL);
}
#define LABELS(...) \
  labels_of((int64_t)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]){__VA_ARGS__})
static tv_tensor *numbers_f64(int64_t n, const double *values) {
  return OK(tv_tensor_from_memory(values, TV_F64, 1, &n, NULL));
}
#define NUMBERS(...) \
  numbers_f64((int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]){__VA_ARGS__})

TEST(known_rows) {
  /* log(e + e^2 + e^3) = 3.40760596444438 (mpmath) */
  tv_tensor *x = table(2, 3, (double[]){1, 2, 3, 1, 2, 3});
  CLOSE(tv_softmax_cross_entropy(x, LABELS(0, 2)), NUMBERS(2.4076059644443806, .40760596444438046),
        4);
  CLOSE(tv_softmax_cross_entropy(tv_zeros(TV_F64, TV_SHAPE(1, 10)), LABELS(7)),
        NUMBERS(2.302585092994046), 2);
  HOLDS(tv_softmax_cross_entropy(tv_ones(TV_F64, TV_SHAPE(2, 1)), LABELS(0, 0)), 0, 0);
}

TEST(shapes_of_rows) {
  tv_tensor *one = OK(tv_softmax_cross_entropy(tv_zeros(TV_F64, TV_SHAPE(4)), tv_scalar(1)));
  SHAPE_IS(one, TV_SCALAR_SHAPE);
  tv_tensor *x = OK(tv_zeros(TV_F32, TV_SHAPE(2, 3, 4))), *t = OK(tv_zeros(TV_U8, TV_SHAPE(2, 3)));
  tv_tensor *y = OK(tv_softmax_cross_entropy(x, t));
  SHAPE_IS(y, TV_SHAPE(2, 3));
  EQUAL(tv_tensor_dtype(y), TV_F32);
  SHAPE_IS(tv_softmax_cross_entropy(tv_zeros(TV_F32, TV_SHAPE(0, 4)), tv_zeros(TV_I8, TV_SHAPE(0))),
           TV_SHAPE(0));
  /* Views of logits and labels. */
  tv_tensor *turned = OK(tv_matrix_transpose(table(3, 2, (double[]){1, 1, 2, 2, 3, 3})));
  CLOSE(tv_softmax_cross_entropy(turned, tv_flip(LABELS(2, 0), TV_ALL_AXES)),
        NUMBERS(2.4076059644443806, .40760596444438046), 4);
}

TEST(nothing_overflows) {
  tv_tensor *x = table(4, 2, (double[]){1e300, 0, -1e300, 0, 1e308, -1e308, 1000, 999});
  tv_tensor *y = OK(tv_softmax_cross_entropy(x, LABELS(0, 1, 0, 1)));
  CLOSE(y, NUMBERS(0, 0, 0, 1.3132616875182228), 4);
  HOLDS(tv_softmax_cross_entropy(x, LABELS(1, 0, 1, 0)), 1e300, 1e300, HUGE_VAL,
        0.31326168751822286);
  tv_tensor *closed = table(2, 2, (double[]){-HUGE_VAL, 0, -HUGE_VAL, -HUGE_VAL});
  HOLDS(tv_softmax_cross_entropy(closed, LABELS(1, 0)), 0, nan(""));
  HOLDS(tv_softmax_cross_entropy(closed, LABELS(0, 0)), HUGE_VAL, nan(""));
}

TEST(halves_are_rounded_once) {
  tv_tensor *x = table(1, 3, (double[]){1, 2, 3});
  tv_tensor *y = OK(tv_softmax_cross_entropy(tv_astype(x, TV_F16), LABELS(0)));
  SAME(y, tv_astype(tv_softmax_cross_entropy(tv_astype(x, TV_F32), LABELS(0)), TV_F16));
  EQUAL(tv_tensor_dtype(tv_softmax_cross_entropy(tv_astype(x, TV_BF16), LABELS(0))), TV_BF16);
}

TEST(entropy_refuses) {
  tv_tensor *x = OK(tv_zeros(TV_F32, TV_SHAPE(2, 3)));
  FAILS(TV_EVALUE, "softmax_cross_entropy: logits is NULL", tv_softmax_cross_entropy(NULL, x));
  FAILS(TV_EVALUE, "softmax_cross_entropy: labels is NULL", tv_softmax_cross_entropy(x, NULL));
  FAILS(TV_EINDEX, "softmax_cross_entropy: label 3 at position 1 is out of range of 3",
        tv_softmax_cross_entropy(x, LABELS(0, 3)));
  FAILS(TV_EINDEX, "softmax_cross_entropy: label -1 at position 0 is out of range of 3",
        tv_softmax_cross_entropy(x, LABELS(-1, 3)));
  FAILS(TV_ESHAPE, "softmax_cross_entropy: shapes do not fit: logits [2, 3], labels [3]",
        tv_softmax_cross_entropy(x, LABELS(0, 1, 2)));
  FAILS(TV_ESHAPE, "softmax_cross_entropy: shapes do not fit: logits [], labels []",
        tv_softmax_cross_entropy(tv_scalar(1.), tv_scalar(0)));
  FAILS(TV_ESHAPE, "softmax_cross_entropy: no classes: logits [2, 0]",
        tv_softmax_cross_entropy(tv_zeros(TV_F32, TV_SHAPE(2, 0)), LABELS(0, 0)));
  FAILS(TV_EDTYPE, "softmax_cross_entropy: logits are int64, not real floating",
        tv_softmax_cross_entropy(tv_zeros(TV_I64, TV_SHAPE(2, 3)), LABELS(0, 1)));
  FAILS(TV_EDTYPE, "softmax_cross_entropy: label is float32, not an integer",
        tv_softmax_cross_entropy(x, tv_zeros(TV_F32, TV_SHAPE(2))));
  FAILS(TV_EDEVICE, "softmax_cross_entropy: label is on second, not on cpu",
        tv_softmax_cross_entropy(x, elsewhere(LABELS(0, 1))));
}

static tv_tensor *entropy(tv_tensor *x) { return tv_softmax_cross_entropy(x, LABELS(2, 0)); }
static tv_tensor *of_one_row(tv_tensor *x) { return tv_softmax_cross_entropy(x, tv_scalar(1)); }
static tv_tensor *mean_of_product(tv_tensor *x) {
  tv_tensor *w = tv_sin(tv_reshape(tv_arange(TV_F64, 0, 6, 1), TV_SHAPE(2, 3)));
  return tv_mean(entropy(tv_matmul(x, w)), TV_ALL_AXES);
}

TEST(gradients_of_entropy) {
  DIFFERENCES(entropy, table(2, 3, (double[]){1, -2, .5, 0, 3, .25}));
  DIFFERENCES(of_one_row, tv_sin(tv_arange(TV_F64, 1, 5, 1)));
  DIFFERENCES(mean_of_product, table(2, 2, (double[]){1, -2, .5, .25}));
}

TEST(gradient_is_softmax_less_one_hot) {
  tv_tensor *x = table(2, 2, (double[]){0, 0, 1000, 0});
  tv_tensor *g, *labels = LABELS(0, 1);
  tv_tape *tape = tv_tape_begin(NULL);
  OK(tv_tape_watch(tape, x));
  OK(tv_tape_gradient_of(tape, tv_softmax_cross_entropy(x, labels), 1, &x, &g));
  HOLDS(g, -.5, .5, 1, -1);
  OK(tv_tape_end(tape));
}

TEST(a_tape_keeps_logits_and_labels_alone) {
  tv_tensor *x = OK(tv_zeros(TV_F32, TV_SHAPE(100, 10))),
            *labels = OK(tv_zeros(TV_I8, TV_SHAPE(100)));
  tv_memory_stats before, after;
  OK(tv_device_memory(TV_CPU, &before));
  tv_tape *tape = tv_tape_begin(NULL);
  OK(tv_tape_watch(tape, x));
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_tensor *y = OK(tv_softmax_cross_entropy(x, labels));
  OK(tv_scope_end(&scope, &y));
  OK(tv_device_memory(TV_CPU, &after));
  EQUAL(after.bytes - before.bytes, tv_tensor_bytes(y));
  OK(tv_tape_end(tape));
}

TEST(gradients_of_halves_are_halves) {
  tv_tensor *x = OK(tv_zeros(TV_F16, TV_SHAPE(2, 4))), *g;
  tv_tape *tape = tv_tape_begin(NULL);
  OK(tv_tape_watch(tape, x));
  OK(tv_tape_gradient_of(tape, tv_softmax_cross_entropy(x, LABELS(0, 3)), 1, &x, &g));
  EQUAL(tv_tensor_dtype(g), TV_F16);
  HOLDS(g, -.75, .25, .25, .25, .25, .25, .25, -.75);
  OK(tv_tape_end(tape));
}

TEST(a_failed_allocation_leaves_nothing) { STARVED(entropy, tv_zeros(TV_F16, TV_SHAPE(2, 3))); }

TEST_MAIN("loss", CASE(known_rows), CASE(shapes_of_rows), CASE(nothing_overflows),
          CASE(halves_are_rounded_once), CASE(entropy_refuses), CASE(gradients_of_entropy),
          CASE(gradient_is_softmax_less_one_hot), CASE(gradients_of_halves_are_halves),
          CASE(a_failed_allocation_leaves_nothing), CASE(a_tape_keeps_logits_and_labels_alone))
