/* SPDX-License-Identifier: MIT
 * The CPU's engine of programs, held against its single ops: layouts of inputs, blocks, rows, sizes
 * that go around the caches, all item sizes, any number of threads. */
#include "cpu/program.h"

#include "cpu_job.h"

/* ((x0 + x1) * x2 converted and back) - x0, every third value stored. */
enum { INPUTS = 3, STEPS = 5 };

typedef struct {
  tv_program job;
  tv_operand inputs[INPUTS];
  tv_dtype dtypes[INPUTS];
  tv_step steps[STEPS];
} example;

static void example_make(example *e, tv_dtype dtype, int rank, const int64_t *shape,
                         const cpu_array *in, char *mid, char *out) {
  const tv_dtype wide = dtype == TV_F32 ? TV_F64 : dtype;
  *e = (example){.job = {rank, shape, INPUTS, e->inputs, e->dtypes, STEPS, e->steps}};
  for (int k = 0; k < INPUTS; k++) {
    e->inputs[k] = (tv_operand){.data = in[k].data, .steps = in[k].steps};
    e->dtypes[k] = dtype;
  }
  e->steps[0] = (tv_step){TVI_OP_add, dtype, dtype, 2, {0, 1}, NULL};
  e->steps[1] = (tv_step){TVI_OP_multiply, dtype, dtype, 2, {3, 2}, mid};
  e->steps[2] = (tv_step){TV_STEP_CONVERT, dtype, wide, 1, {4}, NULL};
  e->steps[3] = (tv_step){TV_STEP_CONVERT, wide, dtype, 1, {5}, NULL};
  e->steps[4] = (tv_step){TVI_OP_subtract, dtype, dtype, 2, {6, 0}, out};
}

/* By the slot of single ops. */
static void one_by_one(tv_dtype dtype, int rank, const int64_t *shape, const cpu_array *in,
                       const cpu_array *mid, const cpu_array *out) {
  const int ops[] = {TVI_OP_add, TVI_OP_multiply, TVI_OP_subtract};
  const cpu_array *const operands[][3] = {
      {mid, &in[0], &in[1]}, {mid, mid, &in[2]}, {out, mid, &in[0]}};
  for (int k = 0; k < 3; k++) {
    tv_elementwise job = {
        .op = ops[k], .op_name = "op", .dtype = dtype, .rank = rank, .shape = shape, .n_inputs = 2};
    job.out = (tv_operand){.data = operands[k][0]->data, .steps = operands[k][0]->steps};
    for (int j = 0; j < 2; j++)
      job.in[j] =
          (tv_operand){.data = operands[k][1 + j]->data, .steps = operands[k][1 + j]->steps};
    OK(tvi_cpu_elementwise(NULL, &job, NULL));
  }
}

static void compare(tv_dtype dtype, int rank, const int64_t *shape, const int *layouts) {
  cpu_array in[INPUTS], mid[2], out[2];
  for (int k = 0; k < INPUTS; k++) {
    in[k] = cpu_array_new(dtype, rank, shape, layouts[k]);
    cpu_fill(dtype, &in[k], rank, shape, false);
  }
  for (int k = 0; k < 2; k++) {
    mid[k] = cpu_array_new(dtype, rank, shape, DENSE);
    out[k] = cpu_array_new(dtype, rank, shape, DENSE);
  }
  const size_t bytes = (size_t)(cpu_size(rank, shape) * tvi_item(dtype));
  example e;
  example_make(&e, dtype, rank, shape, in, mid[0].data, out[0].data);
  one_by_one(dtype, rank, shape, in, &mid[1], &out[1]);
  for (int threads = 1; threads <= 7; threads += 2) {
    OK(tv_threads_set(threads));
    memset(out[0].data, 1, bytes);
    OK(tvi_cpu_program(NULL, &e.job, NULL));
    CHECK(!memcmp(mid[0].data, mid[1].data, bytes));
    CHECK(!memcmp(out[0].data, out[1].data, bytes));
  }
  OK(tv_threads_set(0));
  for (int k = 0; k < INPUTS; k++) cpu_array_free(&in[k]);
  for (int k = 0; k < 2; k++) cpu_array_free(&mid[k]), cpu_array_free(&out[k]);
}

TEST(layouts) {
  static const tv_dtype dtypes[] = {TV_I8, TV_F16, TV_F32, TV_I64, TV_C128};
  static const int64_t shapes[][3] = {{1, 1, 1},    {7, 5, 3},    {3, 40, 200}, {500, 9, 3},
                                      {2, 3, 5000}, {1, 1, 9001}, {4000, 1, 2}, {0, 3, 3}};
  int64_t count = 0;
  for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
      for (int a = 0; a < LAYOUTS; a++)
        for (int b = 0; b < LAYOUTS; b++)
          if (count++ % CPU_EVERY == 0)
            compare(dtypes[d], 3, shapes[s], (int[]){a, b, (a + b) % LAYOUTS});
}

TEST(around_the_caches) {
  static const int64_t shape[] = {3, 2500001};
  compare(TV_F32, 2, shape, (int[]){DENSE, BROADCAST, DENSE});
  compare(TV_I8, 2, shape, (int[]){DENSE, DENSE, BROADCAST});
}

/* Rows that are all one, columns, and single elements, beside a dense input. */
TEST(broadcast_inputs) {
  static const int64_t shapes[][2] = {{3000, 3}, {3000, 127}, {70, 128}, {5, 4000}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
    const int64_t *const shape = shapes[s];
    cpu_array in[INPUTS], mid[2], out[2];
    for (int k = 0; k < INPUTS; k++) {
      in[k] = cpu_array_new(TV_F32, 2, shape, DENSE);
      cpu_fill(TV_F32, &in[k], 2, shape, false);
    }
    in[1].steps[0] = 0; /* a row */
    in[2].steps[0] = 4; /* a column */
    in[2].steps[1] = 0;
    for (int k = 0; k < 2; k++) {
      mid[k] = cpu_array_new(TV_F32, 2, shape, DENSE);
      out[k] = cpu_array_new(TV_F32, 2, shape, DENSE);
    }
    example e;
    example_make(&e, TV_F32, 2, shape, in, mid[0].data, out[0].data);
    one_by_one(TV_F32, 2, shape, in, &mid[1], &out[1]);
    OK(tvi_cpu_program(NULL, &e.job, NULL));
    CHECK(!memcmp(mid[0].data, mid[1].data, (size_t)(shape[0] * shape[1] * 4)));
    CHECK(!memcmp(out[0].data, out[1].data, (size_t)(shape[0] * shape[1] * 4)));
    for (int k = 0; k < INPUTS; k++) cpu_array_free(&in[k]);
    for (int k = 0; k < 2; k++) cpu_array_free(&mid[k]), cpu_array_free(&out[k]);
  }
}

/* As many steps and inputs as there may be, all values alive to the end. */
TEST(the_longest_program) {
  enum { SIZE = 20000 };
  static double in[SIZE], out[SIZE];
  static const int64_t shape[] = {SIZE}, step[] = {8};
  tv_operand inputs[TV_MAX_PROGRAM_INPUTS];
  tv_dtype dtypes[TV_MAX_PROGRAM_INPUTS];
  tv_step steps[TV_MAX_STEPS];
  for (int k = 0; k < SIZE; k++) in[k] = k;
  for (int k = 0; k < TV_MAX_PROGRAM_INPUTS; k++) {
    inputs[k] = (tv_operand){.data = in, .steps = step};
    dtypes[k] = TV_F64;
  }
  enum { HALF = TV_MAX_STEPS / 2 };
  for (int k = 0; k < TV_MAX_STEPS; k++) { /* sums of inputs, then sums of those from the last on */
    const int a = k < HALF ? 2 * k : TV_MAX_PROGRAM_INPUTS + k - 1;
    const int b = k < HALF ? 2 * k + 1 : TV_MAX_PROGRAM_INPUTS + TV_MAX_STEPS - 1 - k;
    steps[k] = (tv_step){TVI_OP_add, TV_F64, TV_F64, 2, {a, b}, k == TV_MAX_STEPS - 1 ? out : NULL};
  }
  const tv_program job = {1, shape, TV_MAX_PROGRAM_INPUTS, inputs, dtypes, TV_MAX_STEPS, steps};
  OK(tvi_cpu_program(NULL, &job, NULL));
  for (int k = 0; k < SIZE; k++) CHECK(out[k] == 34. * k);
}

TEST(no_loop) {
  float x = 1;
  const tv_operand input = {.data = &x};
  const tv_dtype dtype = TV_BOOL;
  const tv_step step = {TVI_OP_negative, TV_BOOL, TV_BOOL, 1, {0}, &x};
  const tv_program job = {0, NULL, 1, &input, &dtype, 1, &step};
  FAILS_STATUS(TV_EUNSUPPORTED, "program: the cpu has no loop for step 0",
               tvi_cpu_program(NULL, &job, NULL));
}

TEST_MAIN("cpu_program", CASE(layouts), CASE(around_the_caches), CASE(broadcast_inputs),
          CASE(the_longest_program), CASE(no_loop))
