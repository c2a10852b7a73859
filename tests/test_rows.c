/* SPDX-License-Identifier: MIT
 * Rows: the dense tensor to every op, and never made where it need not be; from tapes, through
 * sums, clipping and gradients of gradients, into every optimizer. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "deferred.h"
#include "far.h"
#include "memory.h"
#include "rows.h"

static tv_tensor *indices_of(int n, const int64_t *indices) {
  return tv_tensor_from_memory(indices, TV_I64, TV_SHAPE(n), NULL);
}
#define INDICES(...) \
  indices_of((int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (const int64_t[]){__VA_ARGS__})

/* [4, 2] with rows 3, 1 and again 3. */
static tv_tensor *some(tv_dtype dtype) {
  tv_tensor *const values =
      tv_astype(tv_reshape(tv_arange(TV_F64, 1, 7, 1), TV_SHAPE(3, 2)), dtype);
  return tv_scatter_rows(INDICES(3, 1, -1), values, 4);
}

TEST(rows_are_the_dense_tensor_to_every_op) {
  tv_tensor *const x = OK(some(TV_F32));
  CHECK(tv_is_rows(x) && !tv_is_rows(NULL) && !tv_is_rows(tv_ones(TV_F32, TV_SHAPE(1))));
  SHAPE_IS(x, TV_SHAPE(4, 2));
  CHECK(tvi_is_deferred(x));
  HOLDS(x, 0, 0, 3, 4, 0, 0, 6, 8);
  CHECK(tv_is_rows(x)); /* it has been looked at, and still knows */
  HOLDS(tv_sum(some(TV_F32), TV_AXES(0)), 9, 12);
  HOLDS(tv_add(some(TV_F32), tv_ones(TV_F32, TV_SHAPE(2))), 1, 1, 4, 5, 1, 1, 7, 9);
  HOLDS(tv_astype(some(TV_F32), TV_F64), 0, 0, 3, 4, 0, 0, 6, 8);
  HOLDS(tv_slice(some(TV_F64), "3"), 6, 8);
  HOLDS(tv_matmul(some(TV_F64), tv_ones(TV_F64, TV_SHAPE(2))), 0, 7, 0, 14);
  HOLDS(tv_to_dense(some(TV_F64)), 0, 0, 3, 4, 0, 0, 6, 8);
  CHECK(!tv_is_rows(tv_to_dense(x)));
  CHECK(tv_tensor_shares(tv_to_dense(x), x));
}

/* Large enough for what defers, and with every op deferred. */
TEST(rows_are_settled_before_a_program) {
  tvi_defer_above(0);
  HOLDS(tv_multiply(some(TV_F32), tv_add(some(TV_F32), tv_scalar(1))), 0, 0, 12, 20, 0, 0, 42, 72);
  HOLDS(tv_sum(tv_square(tv_astype(some(TV_F64), TV_F32)), TV_ALL_AXES), 125);
  HOLDS(tv_sum(some(TV_F64), TV_ALL_AXES), 21);
  tvi_defer_above(-1);
}

TEST(parts_and_sums) {
  tv_tensor *indices, *values, *const x = OK(some(TV_F64));
  OK(tv_rows_parts(x, &indices, &values));
  HOLDS(indices, 3, 1, 3);
  HOLDS(values, 1, 2, 3, 4, 5, 6);
  tv_tensor *const y = OK(tv_rows_summed(x));
  OK(tv_rows_parts(y, &indices, &values));
  HOLDS(indices, 1, 3);
  HOLDS(values, 3, 4, 6, 8);
  CHECK(tv_rows_summed(y) == y);
  SAME(tv_to_dense(y), tv_to_dense(x));
  CHECK(tvi_is_deferred(tv_rows_summed(some(TV_F64))));
}

TEST(duplicates_are_summed_in_order_of_occurrence) {
  const float values[] = {1e8f, 1, -1e8f, 1}; /* another order, another sum */
  tv_tensor *const x = tv_scatter_rows(INDICES(2, 2, 2, 2),
                                       tv_tensor_from_memory(values, TV_F32, TV_SHAPE(4), NULL), 3);
  HOLDS(tv_rows_summed(x), 0, 0, 1);
  HOLDS(x, 0, 0, 1);
}

TEST(indices_of_several_axes_and_none) {
  tv_tensor *const i = tv_reshape(INDICES(0, 2, 1, 0), TV_SHAPE(2, 2));
  tv_tensor *const x = OK(tv_scatter_rows(i, tv_ones(TV_F64, TV_SHAPE(2, 2)), 3));
  HOLDS(x, 2, 1, 1);
  tv_tensor *const one = OK(tv_scatter_rows(tv_scalar(1), tv_ones(TV_F64, TV_SHAPE(2)), 2));
  HOLDS(one, 0, 0, 1, 1);
  tv_tensor *const none =
      OK(tv_scatter_rows(tv_zeros(TV_I64, TV_SHAPE(0)), tv_ones(TV_F64, TV_SHAPE(0, 2)), 2));
  HOLDS(tv_rows_summed(none), 0, 0, 0, 0);
  SHAPE_IS(OK(tv_scatter_rows(tv_zeros(TV_I64, TV_SHAPE(0)), tv_ones(TV_F64, TV_SHAPE(0, 2)), 0)),
           TV_SHAPE(0, 2));
}

TEST(what_is_no_row_is_refused) {
  tv_tensor *const ones = tv_ones(TV_F32, TV_SHAPE(2, 2)), *i, *v;
  FAILS(TV_ESHAPE, "scatter_rows: values [2, 2] do not begin with the shape of indices [3]",
        tv_scatter_rows(INDICES(0, 1, 0), ones, 3));
  FAILS(TV_EINDEX, "scatter_rows: index 3 at position 1 is out of range of 3",
        tv_scatter_rows(INDICES(0, 3), ones, 3));
  FAILS(TV_EDTYPE, "scatter_rows: index is float32, not an integer",
        tv_scatter_rows(tv_ones(TV_F32, TV_SHAPE(2)), ones, 3));
  FAILS(TV_EVALUE, "scatter_rows: n is -1", tv_scatter_rows(INDICES(0, 1), ones, -1));
  FAILS(TV_EVALUE, "scatter_rows: values is NULL", tv_scatter_rows(INDICES(0, 1), NULL, 1));
  FAILS(TV_EVALUE, "rows_summed: x is not rows", tv_rows_summed(ones));
  FAILS_STATUS(TV_EVALUE, "rows_parts: x is not rows", tv_rows_parts(ones, &i, &v));
  CHECK(!i && !v);
  FAILS(TV_EVALUE, "to_dense: x is NULL", tv_to_dense(NULL));
}

/* Of a table in several places and reads. */
TEST(gradients_of_lookups_are_rows) {
  tv_variable *const table =
      tv_variable_new(tv_reshape(tv_arange(TV_F64, 0, 12, 1), TV_SHAPE(6, 2)), NULL);
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const w = tv_read(table), *g;
  tv_tensor *const a = tv_take(w, INDICES(5, 0, 5), 0), *const b = tv_take(w, INDICES(0), 0);
  tv_tensor *const c = tv_take(tv_read(table), INDICES(2, 5), 0);
  tv_tensor *const loss = tv_add(tv_add(tv_sum(tv_square(a), TV_ALL_AXES), tv_sum(b, TV_ALL_AXES)),
                                 tv_sum(tv_multiply(c, tv_scalar(3)), TV_ALL_AXES));
  OK(tv_tape_gradient(tape, loss, 1, &table, &g));
  OK(tv_tape_end(tape));
  CHECK(tv_is_rows(g) && tvi_is_deferred(g));
  tv_tensor *indices, *values;
  OK(tv_rows_parts(tv_rows_summed(g), &indices, &values));
  HOLDS(indices, 0, 2, 5);
  HOLDS(values, 1, 3, 3, 3, 43, 47);
  HOLDS(g, 1, 3, 0, 0, 3, 3, 0, 0, 0, 0, 43, 47);
  tv_variable_release(table);
}

TEST(rows_and_a_dense_gradient_are_dense) {
  tv_variable *const table = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(3, 1)), NULL);
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const w = tv_read(table), *g;
  tv_tensor *const loss = tv_add(tv_sum(tv_take(w, INDICES(1), 0), TV_ALL_AXES),
                                 tv_sum(tv_multiply(w, tv_scalar(2)), TV_ALL_AXES));
  OK(tv_tape_gradient(tape, loss, 1, &table, &g));
  OK(tv_tape_end(tape));
  CHECK(!tv_is_rows(g));
  HOLDS(g, 2, 3, 2);
  tv_variable_release(table);
}

/* The sum of cubes of rows: first derivative 3 x^2 in place, second 6 x on the diagonal; and
 * through a sum of rows, their scaling, and tv_scatter_rows itself. */
TEST(gradients_of_gradients) {
  tv_variable *const table = tv_variable_new(tv_arange(TV_F64, 1, 4, 1), NULL);
  tv_tape_options options = TV_TAPE_OPTIONS;
  tv_tape *const outer = tv_tape_begin(&options), *const inner = tv_tape_begin(NULL);
  tv_tensor *const w = tv_read(table), *g, *h;
  tv_tensor *const a = tv_take(w, INDICES(2, 0), 0), *const b = tv_take(w, INDICES(2), 0);
  tv_tensor *const loss =
      tv_add(tv_sum(tv_multiply(a, tv_square(a)), TV_ALL_AXES), tv_sum(tv_square(b), TV_ALL_AXES));
  OK(tv_tape_gradient(inner, loss, 1, &table, &g)); /* 3 1, 0, 27 + 6 */
  CHECK(tv_is_rows(g));
  double norm;
  OK(tv_clip_by_global_norm(1, &g, 1e9, &g, &norm)); /* times 1 */
  CHECK(tv_is_rows(g));
  OK(tv_tape_gradient(outer, tv_sum(tv_rows_summed(g), TV_ALL_AXES), 1, &table, &h));
  HOLDS(h, 6, 0, 18 + 2);
  HOLDS(g, 3, 0, 33);
  CHECK(fabs(norm - sqrt(9 + 33 * 33)) < 1e-12);
  OK(tv_tape_end(inner));
  OK(tv_tape_end(outer));

  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const x = tv_scatter_rows(INDICES(1, 1), tv_slice(tv_read(table), ":2"), 2);
  OK(tv_tape_gradient(tape, tv_sum(tv_square(tv_to_dense(x)), TV_ALL_AXES), 1, &table, &g));
  HOLDS(g, 6, 6, 0);
  OK(tv_tape_end(tape));
  tv_variable_release(table);
}

TEST(clipping_counts_duplicates_summed) {
  const double values[] = {3, 1, -1, 1};
  tv_tensor *const x = tv_scatter_rows(
      INDICES(0, 1, 1, 0), tv_tensor_from_memory(values, TV_F64, TV_SHAPE(4), NULL), 1000);
  tv_tensor *clipped;
  double norm;
  OK(tv_clip_by_global_norm(1, &x, 2, &clipped, &norm));
  CHECK(norm == 4 && tv_is_rows(clipped) && tvi_is_deferred(x) && tvi_is_deferred(clipped));
  HOLDS(tv_slice(clipped, ":3"), 2, 0, 0);
}

/* Optimizers ------------------------------------------------------------------------------------
 */

enum { N = 40, WIDTH = 3 };

static tv_optimizer *make(int kind, bool lazy) {
  tv_sgd_options sgd = TV_SGD_OPTIONS;
  tv_adam_options adam =
      kind == 4 ? (tv_adam_options)TV_ADAMW_OPTIONS : (tv_adam_options)TV_ADAM_OPTIONS;
  tv_rmsprop_options rmsprop = TV_RMSPROP_OPTIONS;
  tv_adagrad_options adagrad = TV_ADAGRAD_OPTIONS;
  tv_adadelta_options adadelta = TV_ADADELTA_OPTIONS;
  tv_lion_options lion = TV_LION_OPTIONS;
  sgd.momentum = kind == 1 || kind == 2 ? .9 : 0;
  sgd.nesterov = kind == 2;
  sgd.weight_decay = kind == 2 ? .1 : 0;
  adam.amsgrad = kind == 4;
  rmsprop.momentum = .5;
  rmsprop.centered = true;
  adagrad.initial = .1;
  sgd.lazy = adam.lazy = rmsprop.lazy = adagrad.lazy = adadelta.lazy = lion.lazy = lazy;
  switch (kind) {
    case 0:
    case 1:
    case 2:
      return tv_sgd_new(&sgd);
    case 3:
    case 4:
      return tv_adam_new(&adam);
    case 5:
      return tv_rmsprop_new(&rmsprop);
    case 6:
      return tv_adagrad_new(&adagrad);
    case 7:
      return tv_adadelta_new(&adadelta);
    default:
      return tv_lion_new(&lion);
  }
}
enum { KINDS = 9 };
static const char *const slot_of[KINDS] = {NULL,         "momentum_buffer", "momentum_buffer",
                                           "exp_avg_sq", "max_exp_avg_sq",  "grad_avg",
                                           "sum",        "acc_delta",       "exp_avg"};

/* A few rows, some twice; others in other steps. */
static tv_tensor *gradient_at(int step, tv_dtype dtype, tv_device device) {
  int64_t indices[6];
  for (int k = 0; k < 6; k++) indices[k] = (step * 7 + k * k * 5) % N;
  tv_tensor *const values =
      tv_random_normal((tv_key){3, (uint64_t)step}, TV_F32, TV_SHAPE(6, WIDTH));
  return OK(tv_scatter_rows(tv_to(indices_of(6, indices), device),
                            tv_to(tv_astype(values, dtype), device), N));
}

static tv_variable *table_of(tv_dtype dtype, tv_device device) {
  tv_tensor *const x = tv_random_normal((tv_key){9, 9}, TV_F32, TV_SHAPE(N, WIDTH));
  return tv_variable_new(OK(tv_to(tv_astype(x, dtype), device)), NULL);
}

/* Bit by bit, values and slots, whether somebody looks on or not. */
static void sparse_is_dense(tv_dtype dtype, tv_device device, bool lazy, int kind) {
  tvi_defer_above(0); /* no table is too small */
  tv_optimizer *const sparse = make(kind, lazy), *const dense = make(kind, false);
  tv_variable *const v = table_of(dtype, device), *const w = table_of(dtype, device);
  for (int step = 0; step < 5; step++) {
    tv_scope scope;
    OK(tv_scope_begin(&scope));
    tv_tensor *const x = gradient_at(step, dtype, device), *const y = tv_to_dense(x);
    tv_tensor *const fresh = gradient_at(step, dtype, device);
    if (step % 2) OK(tv_read(v));
    OK(tv_optimizer_step(sparse, 1, &v, &fresh));
    CHECK(tvi_is_deferred(fresh)); /* was never made dense */
    OK(tv_optimizer_step(dense, 1, &w, &y));
    SAME(OK(tv_to(tv_read(v), TV_CPU)), OK(tv_to(tv_read(w), TV_CPU)));
    if (slot_of[kind])
      SAME(OK(tv_to(tv_optimizer_slot(sparse, v, slot_of[kind]), TV_CPU)),
           OK(tv_to(tv_optimizer_slot(dense, w, slot_of[kind]), TV_CPU)));
    OK(tv_scope_end(&scope, NULL));
  }
  tvi_defer_above(-1);
  EQUAL(tv_variable_version(v), 5);
  tv_optimizer_release(sparse);
  tv_optimizer_release(dense);
  tv_variable_release(v);
  tv_variable_release(w);
}

TEST(sparse_equals_dense_in_every_optimizer) {
  for (int kind = 0; kind < KINDS; kind++) {
    sparse_is_dense(TV_F32, TV_CPU, false, kind);
    sparse_is_dense(TV_F16, TV_CPU, false, kind);
    sparse_is_dense(TV_C128, TV_CPU, false, kind);
    sparse_is_dense(TV_F32, far_device(), false, kind);
    sparse_is_dense(TV_F16, far_device(), false, kind);
    if (check_device() == TV_CPU) continue;
    sparse_is_dense(TV_F32, check_device(), false, kind);
    sparse_is_dense(TV_F16, check_device(), false, kind);
    sparse_is_dense(TV_F32, check_device(), true, kind ? 6 : 0);
  }
}

TEST(lazy_equals_dense_where_zeros_change_nothing) {
  for (int kind = 0; kind <= 6; kind += 6) { /* SGD without momentum, Adagrad */
    sparse_is_dense(TV_F32, TV_CPU, true, kind);
    sparse_is_dense(TV_F64, far_device(), true, kind);
  }
}

/* Each touched row is as if it were a Variable of its own, which takes part in its steps alone (but
 * for the count of steps of Adam, which is the Variable's: so here it is touched in each). */
TEST(lazy_touches_nothing_but_its_rows) {
  for (int kind = 0; kind < KINDS; kind++)
    for (int there = 0; there < 2; there++) {
      const tv_device device = there ? far_device() : TV_CPU;
      tv_optimizer *const o = make(kind, true), *const alone = make(kind, false);
      tv_variable *const v = table_of(TV_F32, device);
      tv_tensor *const before = OK(tv_to(tv_read(v), TV_CPU));
      tv_variable *const row = tv_variable_new(tv_slice(before, "7:8"), NULL);
      for (int step = 0; step < 4; step++) {
        const int64_t at = 7;
        tv_tensor *const g =
            tv_random_normal((tv_key){4, (uint64_t)step}, TV_F32, TV_SHAPE(1, WIDTH));
        tv_tensor *const x =
            OK(tv_scatter_rows(tv_to(indices_of(1, &at), device), tv_to(g, device), N));
        OK(tv_optimizer_step(o, 1, &v, &x));
        tv_tensor *const here = OK(tv_to(g, TV_CPU));
        OK(tv_optimizer_step(alone, 1, &row, &here));
        CHECK(tvi_is_deferred(x));
      }
      tv_tensor *const after = OK(tv_to(tv_read(v), TV_CPU));
      SAME(tv_slice(after, ":7"), tv_slice(before, ":7"));
      SAME(tv_slice(after, "8:"), tv_slice(before, "8:"));
      CLOSE(tv_slice(after, "7:8"), tv_read(row), 2);
      tv_optimizer_release(o);
      tv_optimizer_release(alone);
      tv_variable_release(v);
      tv_variable_release(row);
    }
}

/* Constraints see the rows too. */
TEST(constraints_act_on_what_rows_make) {
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.constraint = (tv_constraint)TV_CLIP(-1, 1, TV_ON_STEP);
  for (int lazy = 0; lazy < 2; lazy++) {
    tv_variable *const v = tv_variable_new(tv_full(TV_F32, TV_SHAPE(9), tv_scalar(.5)), &options);
    tv_optimizer *const o = make(1, lazy);
    tv_tensor *const x =
        tv_scatter_rows(INDICES(4), tv_full(TV_F32, TV_SHAPE(1), tv_scalar(-1e6)), 9);
    OK(tv_optimizer_step(o, 1, &v, &x));
    HOLDS(tv_read(v), .5, .5, .5, .5, 1, .5, .5, .5, .5);
    tv_optimizer_release(o);
    tv_variable_release(v);
  }
}

static tv_variable *held_of(tv_constraint constraint, tv_dtype dtype, tv_device device) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.name = "table";
  o.constraint = constraint;
  return tv_variable_new(OK(tv_to(tv_zeros(dtype, TV_SHAPE(N, WIDTH)), device)), &o);
}

/* Bit by bit and by their number, what a constraint makes of a step of rows is what it makes of the
 * dense one; and a table is not copied for them, where nobody looks on. */
static void held_sparse_is_dense(tv_constraint constraint, tv_dtype dtype, tv_device device,
                                 int kind) {
  tvi_defer_above(0);
  tv_optimizer *const sparse = make(kind, true), *const dense = make(kind, false);
  tv_variable *const v = held_of(constraint, dtype, device), *const w =
                                                                 held_of(constraint, dtype, device);
  const void *bytes = NULL;
  int64_t n_moved = 0, n_wanted = 0;
  for (int step = 0; step < 5; step++) {
    tv_scope scope;
    OK(tv_scope_begin(&scope));
    tv_tensor *const x = gradient_at(step, dtype, device), *const y = tv_to_dense(x);
    tv_tensor *const fresh = gradient_at(step, dtype, device);
    if (step == 3) OK(tv_read(v)); /* somebody looks on */
    OK(tv_optimizer_step(sparse, 1, &v, &fresh));
    OK(tv_optimizer_step(dense, 1, &w, &y));
    CHECK(tvi_is_deferred(fresh));
    OK(tv_variable_moved(v, &n_moved));
    OK(tv_variable_moved(w, &n_wanted));
    EQUAL(n_moved, n_wanted);
    SAME(OK(tv_to(tv_read(v), TV_CPU)), OK(tv_to(tv_read(w), TV_CPU)));
    if (slot_of[kind])
      SAME(OK(tv_to(tv_optimizer_slot(sparse, v, slot_of[kind]), TV_CPU)),
           OK(tv_to(tv_optimizer_slot(dense, w, slot_of[kind]), TV_CPU)));
    if (device == TV_CPU) {
      const void *const now = tv_tensor_data(tv_read(v));
      const bool is_by_row = constraint.n_axes == 0 || constraint.axes[0] != 0;
      if (step == 2 && is_by_row) CHECK(now == bytes);
      bytes = now;
    }
    OK(tv_scope_end(&scope, NULL));
  }
  tvi_defer_above(-1);
  EQUAL(tv_variable_version(v), 5);
  tv_optimizer_release(sparse);
  tv_optimizer_release(dense);
  tv_variable_release(v);
  tv_variable_release(w);
}

TEST(constrained_rows_equal_the_constrained_table) {
  for (int kind = 0; kind <= 6; kind += 6)
    for (int there = 0; there < 2; there++)
      for (int policy = 0; policy < 2; policy++) {
        const tv_constraint_policy when = policy ? TV_ON_STEP : TV_ON_EVERY_WRITE;
        const tv_device device = there ? far_device() : TV_CPU;
        held_sparse_is_dense(tv_constraint_max_norm(when, .0625, TV_AXES(1)), TV_F32, device, kind);
        held_sparse_is_dense((tv_constraint)TV_CLIP(-.03125, .0625, when), TV_F64, device, kind);
        held_sparse_is_dense((tv_constraint)TV_CLIP(-.03125, .0625, when), TV_F16, device, kind);
        held_sparse_is_dense(tv_constraint_non_negative(when), TV_F32, device, kind);
        /* Of all rows at once: the whole table is looked at. */
        held_sparse_is_dense(tv_constraint_max_norm(when, .25, TV_AXES(0)), TV_F32, device, kind);
      }
}

/* Two tables in one step, of which the second refuses its rows: neither has changed, nor a slot. */
TEST(refused_rows_change_nothing) {
  for (int there = 0; there < 2; there++) {
    const tv_device device = there ? far_device() : TV_CPU;
    tv_optimizer *const o = make(6, true);
    tv_variable *const v[] = {
        held_of(tv_constraint_max_norm(TV_ON_STEP, 5, TV_AXES(1)), TV_F32, device),
        held_of(tv_constraint_max_norm(TV_VALIDATE_ONLY, 5, TV_AXES(1)), TV_F32, device)};
    tv_tensor *const values = tv_ones(TV_F32, TV_SHAPE(2, WIDTH));
    tv_tensor *const g =
        OK(tv_scatter_rows(tv_to(INDICES(3, 8), device), tv_to(values, device), N));
    tv_tensor *const bad = OK(tv_scatter_rows(
        tv_to(INDICES(3, 8), device), tv_to(tv_multiply(values, tv_scalar(-1)), device), N));
    OK(tv_optimizer_step(o, 2, v, (tv_tensor *[]){g, g}));
    tv_tensor *before[4], *after[4];
    for (int k = 0; k < 2; k++) {
      before[k] = OK(tv_to(tv_read(v[k]), TV_CPU));
      before[2 + k] = OK(tv_to(tv_optimizer_slot(o, v[k], slot_of[6]), TV_CPU));
    }
    OK(tv_optimizer_set_learning_rate(o, 1000));
    EQUAL(tv_optimizer_step(o, 2, v, (tv_tensor *[]){g, bad}), TV_ECONSTRAINT);
    CHECK(strstr(tv_error_text(),
                 "optimizer_step: max_norm(5.0) refuses Variable 'table': the norm "
                 "at [3, :] is "));
    tv_error_clear();
    EQUAL(tv_optimizer_steps(o), 1);
    for (int k = 0; k < 2; k++) {
      after[k] = OK(tv_to(tv_read(v[k]), TV_CPU));
      after[2 + k] = OK(tv_to(tv_optimizer_slot(o, v[k], slot_of[6]), TV_CPU));
      EQUAL(tv_variable_version(v[k]), 1);
    }
    for (int k = 0; k < 4; k++) SAME(after[k], before[k]);
    for (int k = 0; k < 2; k++) tv_variable_release(v[k]);
    tv_optimizer_release(o);
  }
}

/* Whichever allocation fails. */
TEST(a_constrained_step_of_rows_that_fails_changes_nothing) {
  tv_optimizer *const o = make(6, true);
  tv_variable *const v =
      held_of(tv_constraint_max_norm(TV_ON_STEP, .0625, TV_AXES(1)), TV_F32, TV_CPU);
  tv_status status = TV_ENOMEM;
  int64_t n = 0;
  for (; status; tv_error_clear()) {
    tv_scope scope;
    OK(tv_scope_begin(&scope));
    tv_tensor *const g = gradient_at(0, TV_F32, TV_CPU);
    tvi_memory_fail(++n, false);
    status = tv_optimizer_step(o, 1, &v, &g);
    tvi_memory_fail(0, false);
    tv_error_clear();
    OK(tv_scope_end(&scope, NULL));
    EQUAL(tv_variable_version(v), status ? 0 : 1);
    EQUAL(tv_optimizer_steps(o), status ? 0 : 1);
    if (!status) continue;
    OK(tv_scope_begin(&scope));
    SAME(tv_read(v), tv_zeros(TV_F32, TV_SHAPE(N, WIDTH)));
    OK(tv_scope_end(&scope, NULL));
  }
  CHECK(n > 20);
  tv_optimizer_release(o);
  tv_variable_release(v);
}

/* Neither is told from the other by its bits. */
TEST(small_tables_take_the_dense_gradient) {
  tv_variable *const v = table_of(TV_F32, TV_CPU), *const w = table_of(TV_F32, TV_CPU);
  tv_optimizer *const a = make(3, false), *const b = make(3, false);
  for (int step = 0; step < 3; step++) {
    tv_tensor *const x = gradient_at(step, TV_F32, TV_CPU), *const y = tv_to_dense(x);
    OK(tv_optimizer_step(a, 1, &v, &x));
    OK(tv_optimizer_step(b, 1, &w, &y));
    SAME(tv_read(v), tv_read(w));
  }
  tv_optimizer_release(a);
  tv_optimizer_release(b);
  tv_variable_release(v);
  tv_variable_release(w);
}

/* Many rows of few: the dense gradient is the smaller one, and gives the same bits. */
TEST(many_rows_of_a_small_table) {
  const tv_device device = tv_device_current();
  tv_variable *const v = table_of(TV_F32, device), *const w = table_of(TV_F32, device);
  tv_optimizer *const a = make(3, false), *const b = make(3, true);
  tv_tensor *const i = tv_remainder(tv_arange_int(TV_I64, 0, 300, 1), tv_scalar(N));
  for (int step = 0; step < 3; step++) { /* all rows are touched: lazy is no difference */
    tv_tensor *const x = tv_scatter_rows(
        i, tv_random_normal((tv_key){5, (uint64_t)step}, TV_F32, TV_SHAPE(300, WIDTH)), N);
    OK(tv_optimizer_step(a, 1, &v, &x));
    OK(tv_optimizer_step(b, 1, &w, &x));
    SAME(tv_read(v), tv_read(w));
  }
  tv_optimizer_release(a);
  tv_optimizer_release(b);
  tv_variable_release(v);
  tv_variable_release(w);
}

/* A table of 256 MB and a batch of 512 rows: forward, gradient, clipping and step fit in 4 MB more.
 */
TEST(a_large_table_fits_in_its_own_memory) {
  enum { ROWS = 1000000, COLUMNS = 64, BATCH = 512 };
  const int64_t bytes = (int64_t)ROWS * COLUMNS * 4;
  tv_scope first;
  OK(tv_scope_begin(&first));
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(ROWS, COLUMNS)), NULL);
  OK(tv_scope_end(&first, NULL));
  tv_optimizer *const o = make(0, false);
  tv_tensor *const i = OK(tv_remainder(
      tv_multiply(tv_arange_int(TV_I64, 0, BATCH, 1), tv_scalar(7919)), tv_scalar(ROWS)));
  tv_memory_stats stats;
  OK(tv_device_trim(TV_CPU));
  OK(tv_device_memory(TV_CPU, &stats));
  CHECK(stats.bytes >= bytes);
  OK(tv_device_limit(TV_CPU, stats.held + (4 << 20)));
  for (int step = 0; step < 3; step++) {
    tv_scope outer, pass;
    OK(tv_scope_begin(&outer));
    OK(tv_scope_begin(&pass));
    tv_tape *const tape = tv_tape_begin(NULL);
    tv_tensor *const loss = tv_sum(tv_take(tv_read(v), i, 0), TV_ALL_AXES), *g;
    OK(tv_tape_gradient(tape, loss, 1, &v, &g));
    OK(tv_tape_end(tape));
    OK(tv_clip_by_global_norm(1, &g, 1e9, &g, NULL));
    OK(tv_scope_keep(g));
    OK(tv_scope_end(&pass, NULL));
    OK(tv_optimizer_step(o, 1, &v, &g));
    OK(tv_scope_end(&outer, NULL));
  }
  OK(tv_device_limit(TV_CPU, 0));
  float w = 0;
  for (int step = 0; step < 3; step++) w -= .01f;
  HOLDS(tv_slice(tv_read(v), "7919, :2"), (double)w, (double)w);
  tv_optimizer_release(o);
  tv_variable_release(v);
}

TEST(failed_allocation_changes_nothing) {
  int points = 0;
  tvi_defer_above(0);
  for (int lazy = 0; lazy < 2; lazy++)
    for (int there = 0; there < 2; there++)
      for (int64_t fail = 1;; fail++) {
        tv_scope scope;
        OK(tv_scope_begin(&scope));
        const tv_device device = there ? far_device() : TV_CPU;
        tv_optimizer *const o = make(3, lazy);
        tv_variable *const both[] = {table_of(TV_F32, device), table_of(TV_F32, TV_CPU)};
        tv_tensor *const before = OK(tv_to(tv_read(both[0]), TV_CPU));
        tv_tensor *const g[] = {gradient_at(1, TV_F32, device), gradient_at(1, TV_F32, TV_CPU)};
        tvi_memory_fail(fail, fail % 2);
        const tv_status status = tv_optimizer_step(o, 2, both, g);
        tvi_memory_fail(0, false);
        if (status) {
          EQUAL(status, TV_ENOMEM);
          tv_error_clear();
          SAME(tv_to(tv_read(both[0]), TV_CPU), before);
          SAME(tv_read(both[1]), before);
          EQUAL(tv_optimizer_steps(o), 0);
          OK(tv_optimizer_step(o, 2, both, g));
        }
        SAME(tv_to(tv_read(both[0]), TV_CPU), tv_read(both[1]));
        for (int k = 0; k < 2; k++) tv_variable_release(both[k]);
        tv_optimizer_release(o);
        tv_scope_end(&scope, NULL);
        points++;
        if (!status) break;
      }
  tvi_defer_above(-1);
  CHECK(points > 40);
}

TEST_MAIN("rows", CASE(rows_are_the_dense_tensor_to_every_op),
          CASE(rows_are_settled_before_a_program), CASE(parts_and_sums),
          CASE(duplicates_are_summed_in_order_of_occurrence),
          CASE(indices_of_several_axes_and_none), CASE(what_is_no_row_is_refused),
          CASE(gradients_of_lookups_are_rows), CASE(rows_and_a_dense_gradient_are_dense),
          CASE(gradients_of_gradients), CASE(clipping_counts_duplicates_summed),
          CASE(sparse_equals_dense_in_every_optimizer),
          CASE(lazy_equals_dense_where_zeros_change_nothing),
          CASE(lazy_touches_nothing_but_its_rows), CASE(constraints_act_on_what_rows_make),
          CASE(constrained_rows_equal_the_constrained_table), CASE(refused_rows_change_nothing),
          CASE(a_constrained_step_of_rows_that_fails_changes_nothing),
          CASE(small_tables_take_the_dense_gradient), CASE(many_rows_of_a_small_table),
          CASE(a_large_table_fits_in_its_own_memory), CASE(failed_allocation_changes_nothing))
