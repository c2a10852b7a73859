/* SPDX-License-Identifier: MIT
 * The gradients of the op table: every row against central differences in f64, first and second
 * order, with operands broadcast; and the documented values at ties, kinks and poles. A new row is
 * tested here without a word. */
#include <math.h>
#include <string.h>

#include "elementwise.h"

#include "check.h" /* after ops.def, which has a kind of row of the name TEST */

enum { COLUMNS = 3, ROWS = 2, MOST = ROWS * COLUMNS };

/* A number from the row's range, from a small generator of the test's own. */
static double sample(const tvi_op_row *row, uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return row->from + (row->to - row->from) * (*state >> 8) / 16777216.0;
}

/* Operand k lies in shape [2, 3], [3] or [2, 1]: always broadcast against another. */
static tv_tensor *operand(int k, const double *values) {
  if (k == 0) return tv_tensor_from_memory(values, TV_F64, TV_SHAPE(ROWS, COLUMNS), NULL);
  if (k == 1) return tv_tensor_from_memory(values, TV_F64, TV_SHAPE(COLUMNS), NULL);
  return tv_tensor_from_memory(values, TV_F64, TV_SHAPE(ROWS, 1), NULL);
}
static int64_t elements(int k) { return k == 0 ? MOST : k == 1 ? COLUMNS : ROWS; }

/* An op and its operands. */
typedef struct {
  tvi_op op;
  double values[3][MOST];
} point;

static tv_tensor *weighted(tv_tensor *y, double first) {
  if (!y) return NULL;
  tv_tensor *const w =
      tv_add(tv_sin(tv_multiply(tv_arange(TV_F64, 0, (double)tv_tensor_size(y), 1), tv_scalar(.7))),
             tv_scalar(first));
  return tv_sum(tv_multiply(y, tv_reshape(w, tv_tensor_rank(y), tv_tensor_shape(y))), TV_ALL_AXES);
}

/* A scalar and its gradient by operand k. Order 0: the weighted sum of the result; order 1: the
 * weighted sum of the gradient of that. */
static void derive(const point *p, int k, int order, double *scalar, double *gradient) {
  tv_scope scope;
  tv_tensor *in[3], *g = NULL, *y;
  const tvi_op_row *const row = &tvi_op_info[p->op];
  tv_scope_begin(&scope);
  tv_tape *const outer = tv_tape_begin(NULL), *const inner = tv_tape_begin(NULL);
  for (int j = 0; j < row->n_inputs; j++) {
    in[j] = operand(j, p->values[j]);
    if (row->inputs[j] == 'c')
      in[j] = tv_greater(in[j], tv_scalar((row->from + row->to) / 2));
    else {
      OK(tv_tape_watch(outer, in[j]));
      OK(tv_tape_watch(inner, in[j]));
    }
  }
  y = weighted(tvi_elementwise(p->op, in), .3);
  if (order == 1 || (order == 0 && gradient)) OK(tv_tape_gradient_of(inner, y, 1, &in[k], &g));
  if (order == 1) {
    y = weighted(g, .9);
    if (gradient) OK(tv_tape_gradient_of(outer, y, 1, &in[k], &g));
  }
  if (scalar) OK(tv_item_f64(y, scalar));
  if (gradient) OK(tv_tensor_copy_out(g, gradient, MOST * 8));
  OK(tv_scope_end(&scope, NULL));
}

static void sweep(intptr_t op) {
  const tvi_op_row *const row = &tvi_op_info[op];
  uint32_t state = 7;
  for (int trial = 0; trial < 5; trial++) {
    point p = {.op = (tvi_op)op};
    for (int k = 0; k < row->n_inputs; k++)
      for (int i = 0; i < MOST; i++) p.values[k][i] = sample(row, &state);
    for (int k = 0; k < row->n_inputs; k++)
      for (int order = 0; order < 2 && row->inputs[k] != 'c'; order++) {
        double gradient[MOST];
        derive(&p, k, order, NULL, gradient);
        for (int64_t i = 0; i < elements(k); i++) {
          const double at = p.values[k][i], h = 1e-5;
          double above, below;
          p.values[k][i] = at + h;
          derive(&p, k, order, &above, NULL);
          p.values[k][i] = at - h;
          derive(&p, k, order, &below, NULL);
          p.values[k][i] = at;
          const double want = (above - below) / (2 * h);
          if (!(fabs(gradient[i] - want) <= 2e-6 * (1 + fabs(want))))
            check_fail(CHECK_HERE,
                       "%s: input %c, element %d, order %d: gradient %.9g, difference %.9g",
                       row->name, row->inputs[k], (int)i, order + 1, gradient[i], want);
        }
      }
  }
}

/* Documented values: op, inputs, gradient of each (facts of PyTorch, or of the op's own entry). */
static void at(tv_tensor *(*op)(tv_tensor *, tv_tensor *), double a, double b, double da,
               double db) {
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_tensor *const in[] = {tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(a)),
                           tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(b))};
  tv_tensor *g[2];
  tv_tape *const tape = tv_tape_begin(NULL);
  for (int k = 0; k < 2; k++) OK(tv_tape_watch(tape, in[k]));
  OK(tv_tape_gradient_of(tape, op(in[0], in[1]), 2, in, g));
  HOLDS(g[0], da);
  HOLDS(g[1], db);
  OK(tv_scope_end(&scope, NULL));
}

static double at1(tv_tensor *(*op)(tv_tensor *), double x) {
  tv_scope scope;
  double d = 0;
  tv_scope_begin(&scope);
  tv_tensor *const in = tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(x));
  tv_tensor *g;
  tv_tape *const tape = tv_tape_begin(NULL);
  OK(tv_tape_watch(tape, in));
  OK(tv_tape_gradient_of(tape, op(in), 1, &in, &g));
  OK(tv_item_f64(g, &d));
  OK(tv_scope_end(&scope, NULL));
  return d;
}

static void pow_at_its_edges(intptr_t unused) {
  (void)unused;
  at(tv_pow, 0, 0, 0, 0);
  at(tv_pow, 0, 1, 1, 0);
  at(tv_pow, 0, 2, 0, 0);
  at(tv_pow, 0, .5, (double)INFINITY, 0);
  at(tv_pow, 0, -1, -(double)INFINITY, -(double)INFINITY);
  at(tv_pow, -2, 2, -4, (double)NAN);
}

/* The formulas of pow run in the common dtype: int8 has no -129, and no digits for a logarithm. */
static void pow_of_different_dtypes(intptr_t unused) {
  (void)unused;
  tv_tensor *const a[] = {tv_full(TV_I8, TV_SCALAR_SHAPE, tv_scalar(3)),
                          tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(1.01))};
  tv_tensor *const b[] = {tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(1.5)),
                          tv_full(TV_I8, TV_SCALAR_SHAPE, tv_scalar(-128))};
  tv_tensor *g;
  tv_tape *const tape =
      tv_tape_begin(&(tv_tape_options){sizeof(tv_tape_options), true, TV_MUTATION_SNAPSHOT, false});
  OK(tv_tape_watch(tape, b[0]));
  OK(tv_tape_watch(tape, a[1]));
  OK(tv_tape_gradient_of(tape, tv_pow(a[0], b[0]), 1, &b[0], &g));
  CLOSE(g, tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(pow(3, 1.5) * log(3))), 4);
  OK(tv_tape_gradient_of(tape, tv_pow(a[1], b[1]), 1, &a[1], &g));
  CLOSE(g, tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(-128 * pow(1.01, -129))), 8);
}

static void ties_share(intptr_t unused) {
  (void)unused;
  at(tv_maximum, 1, 1, .5, .5);
  at(tv_minimum, 1, 1, .5, .5);
  at(tv_maximum, 1, 2, 0, 1);
  at(tv_minimum, 1, 2, 1, 0);
  at(tv_maximum, (double)NAN, 2, 1, 0);
}

static void kinks(intptr_t unused) {
  (void)unused;
  CHECK(at1(tv_abs, 0) == 0);
  CHECK(at1(tv_relu, 0) == 0);
  CHECK(at1(tv_sign, 3) == 0);
  CHECK(at1(tv_floor, .5) == 0);
  CHECK(isinf(at1(tv_sqrt, 0)));
  CHECK(isinf(at1(tv_log, 0)));
  at(tv_remainder, 5, 3, 1, -1);
  at(tv_floor_divide, 5, 3, 0, 0);
}

static void clip_passes_on_its_bounds(intptr_t unused) {
  (void)unused;
  const double x[] = {-2, -1, 0, 1, 2};
  tv_tensor *const in[] = {tv_tensor_from_memory(x, TV_F64, TV_SHAPE(5), NULL),
                           tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(-1)),
                           tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(1))};
  tv_tensor *g[3];
  tv_tape *const tape = tv_tape_begin(NULL);
  for (int k = 0; k < 3; k++) OK(tv_tape_watch(tape, in[k]));
  OK(tv_tape_gradient_of(tape, tv_clip(in[0], in[1], in[2]), 3, in, g));
  HOLDS(g[0], 0, 1, 1, 1, 0);
  HOLDS(g[1], 1);
  HOLDS(g[2], 1);
}

/* Complex: against differences along both parts. d = dL/da + i dL/db for L = Re(w conj(y)), some w.
 */
static tv_tensor *(*const analytic[])(tv_tensor *) = {tv_negative, tv_square, tv_sqrt,  tv_exp,
                                                      tv_expm1,    tv_log,    tv_log1p, tv_sin,
                                                      tv_cos,      tv_tanh,   tv_sign,  tv_conj};

static double complex_loss(tv_tensor *(*op)(tv_tensor *), const double *z, double *gradient) {
  tv_scope scope;
  double loss = 0;
  tv_scope_begin(&scope);
  tv_tensor *const in = tv_tensor_from_memory(z, TV_C128, TV_SCALAR_SHAPE, NULL);
  tv_tensor *g;
  tv_tape *const tape = tv_tape_begin(NULL);
  OK(tv_tape_watch(tape, in));
  tv_tensor *const y = tv_real(tv_multiply(op(in), tv_scalar_complex(.4, -.9)));
  OK(tv_item_f64(y, &loss));
  if (gradient) {
    OK(tv_tape_gradient_of(tape, y, 1, &in, &g));
    OK(tv_tensor_copy_out(g, gradient, 16));
  }
  OK(tv_scope_end(&scope, NULL));
  return loss;
}

static void complex_rows(intptr_t unused) {
  (void)unused;
  for (size_t k = 0; k < sizeof analytic / sizeof *analytic; k++) {
    double z[2] = {.7, -1.1}, gradient[2];
    complex_loss(analytic[k], z, gradient);
    for (int part = 0; part < 2; part++) {
      const double at = z[part], h = 1e-6;
      z[part] = at + h;
      const double above = complex_loss(analytic[k], z, NULL);
      z[part] = at - h;
      const double below = complex_loss(analytic[k], z, NULL);
      z[part] = at;
      const double want = (above - below) / (2 * h);
      if (!(fabs(gradient[part] - want) <= 1e-6 * (1 + fabs(want))))
        check_fail(CHECK_HERE, "row %d, part %d: gradient %.9g, difference %.9g", (int)k, part,
                   gradient[part], want);
    }
  }
}

int main(int argc, char **argv) {
  static const check_case all[] = {
#undef TEST /* of check.h; rows of that kind, and comparisons, have no gradient */
#define SWEEP(name, ...) ROW(#name, sweep, TVI_OP_##name),
#define UNARY SWEEP
#define PART SWEEP
#define BINARY SWEEP
#define SELECT SWEEP
#define BOUNDED SWEEP
#include "ops.def"
      ROW("pow_at_its_edges", pow_at_its_edges, 0),
      ROW("pow_of_different_dtypes", pow_of_different_dtypes, 0),
      ROW("ties_share", ties_share, 0),
      ROW("kinks", kinks, 0),
      ROW("clip_passes_on_its_bounds", clip_passes_on_its_bounds, 0),
      ROW("complex_rows", complex_rows, 0),
  };
  return check_main("gradients", (int)(sizeof all / sizeof *all), all, argc, argv);
}
