/* SPDX-License-Identifier: MIT
 * Programs: the bits of eager work, and how often a step is run and stored (counted on the far
 * device, which runs programs too). */
#include "program.h"

#include <string.h>

#include "deferred.h"
#include "elementwise.h"
#include "far.h"
#include "op.h"

#include "check.h" /* after ops.def, which has a kind of row of the name TEST */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { GRAPHS = 60 };
#else
enum { GRAPHS = 400 };
#endif

static uint64_t state;
static uint64_t draw(uint64_t below) { /* splitmix64, Steele et al. 2014 */
  uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return (z ^ z >> 31) % below;
}

/* Numbers of any dtype and shape, some of them negative, zero or above 1. */
static tv_tensor *numbers(tv_dtype dtype, int rank, const int64_t *shape, uint64_t seed) {
  tv_tensor *x = tv_random_uniform(tv_key_from_seed(seed), TV_F32, rank, shape);
  x = tv_floor(tv_multiply(x, tv_scalar(41)));
  if (dtype >= TV_F16) x = tv_divide(tv_subtract(x, tv_scalar(20)), tv_scalar(8));
  x = tv_astype(x, dtype);
  OK(tv_evaluate(1, &x));
  return x;
}

/* Every op of the table, deferred and at the call -----------------------------------------------
 */

static void sweep(intptr_t op) {
  tvi_defer_above(1000);
  const tvi_op_row *const row = &tvi_op_info[op];
  int64_t shape[] = {9, 260}, column[] = {9, 1};
  for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++) {
    if (tvi_op_dtype((int)op, (tv_dtype)dtype) == TV_DTYPE_NONE) continue;
    for (int layout = 0; layout < 4; layout++) {
      tv_tensor *in[3], *y[2] = {NULL, NULL};
      tv_eager_set(true);
      for (int k = 0; k < row->n_inputs; k++) {
        const tv_dtype of = row->inputs[k] == 'c' ? TV_BOOL : (tv_dtype)dtype;
        const bool is_exponent = op == TVI_OP_pow && k == 1 && dtype < TV_F16;
        in[k] = layout == 1 && k == 1   ? numbers(of, 2, column, 7)
                : layout == 2 && k == 1 ? numbers(of, 1, shape + 1, 8)
                                        : numbers(of, 2, shape, (uint64_t)(k + 1));
        if (layout == 3) in[k] = tv_slice(in[k], "::-1, ::2");
        if (is_exponent) in[k] = tv_astype(tv_abs(in[k]), of); /* none is negative */
        if (!in[k]) return;
      }
      for (int is_eager = 0; is_eager < 2; is_eager++) {
        OK(tv_eager_set(is_eager));
        y[is_eager] = OK(tvi_elementwise((tvi_op)op, in));
        /* Once more, so that the first is on the way to the second. */
        if (tv_tensor_dtype(y[is_eager]) == dtype && row->n_inputs == 1)
          y[is_eager] = OK(tvi_elementwise((tvi_op)op, &y[is_eager]));
        OK(tv_evaluate(1, &y[is_eager]));
      }
      SAME(y[0], y[1]);
    }
  }
  tv_eager_set(false);
}

TEST(conversions) {
  tvi_defer_above(1000);
  for (int from = 0; from < TV_DTYPE_COUNT; from++)
    for (int to = 0; to < TV_DTYPE_COUNT; to++) {
      if (from >= TV_C64 && to < TV_C64) continue;
      tv_tensor *y[2], *const x = numbers((tv_dtype)from, 1, (int64_t[]){20000}, 3);
      for (int is_eager = 0; is_eager < 2; is_eager++) {
        OK(tv_eager_set(is_eager));
        y[is_eager] = OK(tv_astype(x, (tv_dtype)to));
        OK(tv_evaluate(1, &y[is_eager]));
      }
      SAME(y[0], y[1]);
    }
  tv_eager_set(false);
}

/* Random graphs ---------------------------------------------------------------------------------
 */

enum { VALUES = 22, LEAVES = 6 };

static tv_tensor *random_reduction(tv_tensor *x) {
  const int64_t axis = (int64_t)draw(2);
  const int n = tv_tensor_rank(x) == 2 ? (int)draw(2) : -1;
  const tv_reduce_options kept = {.size = sizeof kept, .keepdims = true, .dtype = TV_DTYPE_NONE};
  switch (draw(3)) {
    case 0:
      return tv_sum_with(x, n ? n : -1, &axis, &kept);
    case 1:
      return tv_mean_with(x, n ? n : -1, &axis, &kept);
    default:
      return tv_max_with(x, n ? n : -1, &axis, &kept);
  }
}

static tv_tensor *random_value(tv_tensor *const *values, int n) {
  tv_tensor *const a = values[draw((uint64_t)n)], *const b = values[draw((uint64_t)n)];
  tv_tensor *const weak = tv_scalar(draw(2) ? 2 : .75);
  const tvi_op op = (tvi_op)draw(TVI_OP_COUNT);
  switch (draw(10)) {
    case 0:
      return tv_astype(a, (tv_dtype)draw(TV_DTYPE_COUNT));
    case 1:
      return random_reduction(a);
    case 2:
      return tv_tensor_rank(a) == 2 ? tv_slice(a, draw(2) ? "::-1" : ":, ::-1") : a;
    case 3:
      return tv_where(tv_greater(a, b), a, weak);
    case 4:
      return tv_clip(a, tv_scalar(-1), b);
    default: {
      tv_tensor *const in[3] = {tvi_op_info[op].kind == TVI_SELECT ? tv_not_equal(a, b) : a,
                                draw(4) ? b : weak, a};
      return tvi_elementwise(op, in);
    }
  }
}

/* The same graph for the same seed; its values are asked for in some order. Refused ops leave what
 * they were asked of. */
static void build(uint64_t seed, tv_tensor **values) {
  static const tv_dtype dtypes[] = {TV_F32, TV_F64, TV_F32, TV_F16, TV_I32, TV_BOOL};
  state = seed;
  const bool is_narrow = draw(3) == 0;
  const int64_t rows = is_narrow ? 7000 : 50, columns = is_narrow ? 3 : 301;
  for (int k = 0; k < LEAVES; k++) {
    const int64_t shape[] = {k % 4 == 3 ? 1 : rows, k % 4 == 2 ? 1 : columns};
    values[k] = numbers(dtypes[draw(6)], 2, shape, draw(1000));
  }
  for (int k = LEAVES; k < VALUES; k++) {
    values[k] = random_value(values, k);
    if (!values[k]) {
      tv_error_clear();
      values[k] = values[k - 1];
    }
    if (draw(4) == 0) OK(tv_evaluate(1, &values[draw((uint64_t)k)]));
  }
  for (int k = 0; k < VALUES; k++) OK(tv_evaluate(1, &values[draw(VALUES)]));
}

TEST(random_graphs_have_the_bits_of_eager_work) {
  tvi_defer_above(1000);
  for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
    tv_scope scope;
    tv_tensor *deferred[VALUES], *eager[VALUES];
    OK(tv_scope_begin(&scope));
    tv_threads_set((int)(seed % 3) * 3 + 1);
    OK(tv_eager_set(false));
    build(seed, deferred);
    OK(tv_eager_set(true));
    build(seed, eager);
    for (int k = 0; k < VALUES; k++) SAME(deferred[k], eager[k]);
    OK(tv_scope_end(&scope, NULL));
  }
  OK(tv_threads_set(0));
  OK(tv_eager_set(false));
}

TEST(gradients_have_the_bits_of_eager_work) {
  const int64_t shape[] = {64, 200}, row[] = {200};
  tv_variable *const w = tv_variable_new(numbers(TV_F32, 2, shape, 5), NULL);
  tv_variable *const b = tv_variable_new(numbers(TV_F32, 1, row, 6), NULL);
  tv_tensor *const x = numbers(TV_F32, 2, shape, 7);
  tv_tensor *g[2][2];
  for (int is_eager = 0; is_eager < 2; is_eager++) {
    tv_scope scope;
    OK(tv_eager_set(is_eager));
    OK(tv_scope_begin(&scope));
    tv_tape *const tape = tv_tape_begin(NULL);
    tv_tensor *const z = tv_add(tv_multiply(x, tv_read(w)), tv_read(b)), *const p = tv_sigmoid(z);
    tv_tensor *const loss = tv_mean(tv_add(tv_relu(z), tv_multiply(p, tv_log(p))), TV_ALL_AXES);
    OK(tv_tape_gradient(tape, loss, 2, (tv_variable *[]){w, b}, g[is_eager]));
    for (int k = 0; k < 2; k++) tv_retain(g[is_eager][k]);
    OK(tv_scope_end(&scope, NULL));
  }
  for (int k = 0; k < 2; k++) {
    SAME(g[0][k], g[1][k]);
    for (int is_eager = 0; is_eager < 2; is_eager++) tv_release(g[is_eager][k]);
  }
  tv_variable_release(w);
  tv_variable_release(b);
  tv_eager_set(false);
}

/* What is computed and stored -------------------------------------------------------------------
 */

typedef struct {
  int64_t jobs, steps, stored;
} work;

static work done(void) { return (work){far_jobs(), far_steps(), far_stored()}; }
#define DID(jobs_, steps_, stored_)            \
  do {                                         \
    EQUAL(done().jobs - at.jobs, jobs_);       \
    EQUAL(done().steps - at.steps, steps_);    \
    EQUAL(done().stored - at.stored, stored_); \
    at = done();                               \
  } while (0)

static tv_tensor *far_numbers(uint64_t seed) {
  return tv_to(numbers(TV_F32, 1, (int64_t[]){9000}, seed), far_device());
}

TEST(a_chain_is_one_program_and_one_store) {
  tv_tensor *const a = far_numbers(1), *const b = far_numbers(2);
  work at = done();
  tv_tensor *y = tv_add(tv_multiply(a, b), tv_exp(tv_square(a)));
  DID(0, 0, 0);
  OK(tv_evaluate(1, &y));
  DID(1, 4, 1);
  OK(tv_evaluate(1, &y));
  DID(0, 0, 0);
}

TEST(nothing_is_computed_more_than_twice) {
  tv_tensor *const a = far_numbers(1), *const b = far_numbers(2);
  work at = done();
  tv_tensor *e = tv_exp(tv_multiply(a, b)), *y = tv_negative(e), *z = tv_square(e);
  OK(tv_evaluate(1, &y)); /* another node reads e: stored on the way */
  DID(1, 3, 2);
  OK(tv_evaluate(1, &z));
  DID(1, 1, 1);
  e = tv_exp(tv_add(a, b)), y = tv_negative(e);
  OK(tv_evaluate(1, &y)); /* nobody else is known to want e */
  DID(1, 3, 1);
  z = tv_square(e);
  OK(tv_evaluate(1, &z)); /* the second time it is stored, and what it is made of */
  DID(1, 3, 3);
  y = tv_sqrt(e);
  OK(tv_evaluate(1, &y));
  DID(1, 1, 1);
}

TEST(what_somebody_holds_is_stored_on_the_way) {
  tv_tensor *const a = far_numbers(1), *const b = far_numbers(2);
  work at = done();
  tv_tensor *const e = tv_retain(tv_exp(tv_multiply(a, b)));
  tv_tensor *y = tv_negative(e);
  OK(tv_evaluate(1, &y));
  DID(1, 3, 2);
  tv_release(e);
}

TEST(what_is_as_cheap_to_compute_as_to_read_is_not_stored) {
  tv_tensor *const a = far_numbers(1);
  work at = done();
  tv_tensor *const x = tv_relu(tv_add(a, tv_scalar(1))), *y = tv_exp(x), *z = tv_sqrt(x);
  OK(tv_evaluate(2, (tv_tensor *[]){y, z}));
  DID(2, 6, 2);
}

TEST(reductions_take_values_from_the_program) {
  tv_tensor *const a = far_numbers(1), *const b = far_numbers(2);
  work at = done();
  tv_tensor *const s = tv_sum(tv_multiply(tv_exp(a), b), TV_ALL_AXES);
  DID(1, 2, 0);
  tv_tensor *const product = tv_retain(tv_multiply(tv_exp(a), b));
  tv_tensor *const largest = tv_max(product, TV_ALL_AXES);
  DID(1, 2, 1); /* held: it will be read again */
  OK(tv_evaluate(1, &product));
  DID(0, 0, 0);
  tv_release(product);
  SAME(tv_sum(product, TV_ALL_AXES), s);
  OK(largest);
}

TEST(in_place) {
  const int64_t shape[] = {9000};
  tv_scope first; /* whose tensor shares the Variable's bytes */
  OK(tv_scope_begin(&first));
  tv_variable *const v = tv_variable_new(numbers(TV_F32, 1, shape, 1), NULL);
  OK(tv_scope_end(&first, NULL));
  tv_tensor *const a = numbers(TV_F32, 1, shape, 2);
  tv_tensor *const want = tv_subtract(numbers(TV_F32, 1, shape, 1), tv_multiply(a, tv_scalar(.5)));
  tv_memory_stats before, after;
  OK(tv_device_memory(TV_CPU, &before));
  OK(tv_variable_assign_sub(v, tv_multiply(a, tv_scalar(.5))));
  OK(tv_device_memory(TV_CPU, &after));
  EQUAL(after.reserved, before.reserved);
  SAME(tv_read(v), want);
  tv_variable_release(v);
}

TEST(evaluate_refuses) {
  FAILS_STATUS(TV_EVALUE, "evaluate: n is -1", tv_evaluate(-1, NULL));
  FAILS_STATUS(TV_EVALUE, "evaluate: tensors is NULL", tv_evaluate(1, NULL));
  FAILS_STATUS(TV_EVALUE, "evaluate: a tensor is NULL", tv_evaluate(1, (tv_tensor *[]){NULL}));
  OK(tv_evaluate(0, NULL));
}

int main(int argc, char **argv) {
  static const check_case all[] = {
#undef TEST
#define EACH(name, ...) ROW(#name, sweep, TVI_OP_##name),
#include "ops.def"
      CASE(conversions),
      CASE(random_graphs_have_the_bits_of_eager_work),
      CASE(gradients_have_the_bits_of_eager_work),
      CASE(a_chain_is_one_program_and_one_store),
      CASE(nothing_is_computed_more_than_twice),
      CASE(what_somebody_holds_is_stored_on_the_way),
      CASE(what_is_as_cheap_to_compute_as_to_read_is_not_stored),
      CASE(reductions_take_values_from_the_program),
      CASE(in_place),
      CASE(evaluate_refuses)};
  return check_main("program", (int)(sizeof all / sizeof *all), all, argc, argv);
}
