/* SPDX-License-Identifier: MIT
 * The elementwise slot over every row and dtype: layouts, threads and levels of x86-64 give the
 * same bits; and scalar.h's special values. */
#include <math.h>

#include "cpu/level.h"
#include "cpu_job.h"

typedef struct operands {
  cpu_array out, in[3];
} operands;

static tv_dtype input_dtype(int op, tv_dtype dtype, int k) {
  return tvi_op_info[op].kind == TVI_SELECT && k == 0 ? TV_BOOL : dtype;
}

static void run(int op, tv_dtype dtype, int rank, const int64_t *shape, operands *o) {
  tv_elementwise job = {.op = op,
                        .op_name = tvi_op_info[op].name,
                        .dtype = dtype,
                        .rank = rank,
                        .shape = shape,
                        .n_inputs = tvi_op_info[op].n_inputs,
                        .out = {.data = o->out.data, .steps = o->out.steps}};
  for (int k = 0; k < job.n_inputs; k++)
    job.in[k] = (tv_operand){.data = o->in[k].data, .steps = o->in[k].steps};
  OK(tvi_cpu_elementwise(NULL, &job, NULL));
}

/* pow of integers refuses negative exponents before it comes to a backend. */
static bool is_wild(int op, tv_dtype dtype) { return op != TVI_OP_pow || dtype >= TV_F16; }

static void check_layouts(int op, tv_dtype dtype, int rank, const int64_t *shape) {
  const int n = tvi_op_info[op].n_inputs;
  const tv_dtype result = tvi_op_result(op, dtype);
  operands want = {.out = cpu_array_new(result, rank, shape, DENSE)};
  for (int k = 0; k < n; k++) {
    const tv_dtype in = input_dtype(op, dtype, k);
    /* Constant along the first axis, so that it can be broadcast. */
    want.in[k] = cpu_array_new(in, rank, shape, BROADCAST);
    cpu_fill(in, &want.in[k], rank, shape, is_wild(op, dtype));
    cpu_array dense = cpu_array_like(in, &want.in[k], rank, shape, DENSE);
    cpu_array_free(&want.in[k]);
    want.in[k] = dense;
  }
  tv_threads_set(1);
  run(op, dtype, rank, shape, &want);
  for (int layout = 0; layout < LAYOUTS * 2; layout++) {
    operands got = {.out = cpu_array_new(result, rank, shape, layout * 3 % BROADCAST)};
    for (int k = 0; k < n; k++)
      got.in[k] = cpu_array_like(input_dtype(op, dtype, k), &want.in[k], rank, shape,
                                 (layout + k * (layout / LAYOUTS)) % LAYOUTS);
    tv_threads_set(layout % 2 ? 2 : 7);
    run(op, dtype, rank, shape, &got);
    if (!cpu_same_elements(result, &got.out, &want.out, rank, shape))
      check_fail(CHECK_HERE, "%s, dtype %d, layout %d", tvi_op_info[op].name, (int)dtype, layout);
    cpu_array_free(&got.out);
    for (int k = 0; k < n; k++) cpu_array_free(&got.in[k]);
  }
  cpu_array_free(&want.out);
  for (int k = 0; k < n; k++) cpu_array_free(&want.in[k]);
}

static void sweep(intptr_t op) {
  static const int64_t small[5] = {3, 1, 4, 2, 5}, flat[1] = {17}, empty[2] = {3, 0};
  static const int64_t tall[2] = {300, 201};
  for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++) {
    if (!(tvi_op_info[op].loops >> dtype & 1)) continue;
    check_layouts((int)op, dtype, 5, small);
    check_layouts((int)op, dtype, 1, flat);
    check_layouts((int)op, dtype, 0, NULL);
    check_layouts((int)op, dtype, 2, empty);
    if (dtype % 4 == (int)op % 4) check_layouts((int)op, dtype, 2, tall);
  }
  tv_threads_set(0);
}

TEST(immediates_are_one_value_everywhere) {
  const float in[5] = {1, 2, 3, 4, 5};
  float out[5];
  const int64_t shape[1] = {5}, steps[1] = {4};
  tv_elementwise job = {
      .op = TVI_OP_subtract,
      .op_name = "subtract",
      .dtype = TV_F32,
      .rank = 1,
      .shape = shape,
      .n_inputs = 2,
      .out = {.data = out, .steps = steps},
      .in = {{.is_immediate = true}, {.data = (void *)(uintptr_t)in, .steps = steps}}};
  const float ten = 10;
  memcpy(job.in[0].immediate.bytes, &ten, sizeof ten);
  OK(tvi_cpu_elementwise(NULL, &job, NULL));
  for (int i = 0; i < 5; i++) CHECK(out[i] == 10 - in[i]);
  const tv_operand swap = job.in[0];
  job.in[0] = job.in[1];
  job.in[1] = swap;
  OK(tvi_cpu_elementwise(NULL, &job, NULL));
  for (int i = 0; i < 5; i++) CHECK(out[i] == in[i] - 10);
}

TEST(the_result_may_be_an_input) {
  float x[100];
  const int64_t shape[1] = {100}, steps[1] = {4};
  for (int i = 0; i < 100; i++) x[i] = (float)i;
  const tv_elementwise job = {.op = TVI_OP_multiply,
                              .op_name = "multiply",
                              .dtype = TV_F32,
                              .rank = 1,
                              .shape = shape,
                              .n_inputs = 2,
                              .out = {.data = x, .steps = steps},
                              .in = {{.data = x, .steps = steps}, {.data = x, .steps = steps}}};
  OK(tvi_cpu_elementwise(NULL, &job, NULL));
  for (int i = 0; i < 100; i++) CHECK(x[i] == (float)(i * i));
}

TEST(sixty_four_axes_are_walked) {
  int64_t shape[64], steps[64], out_steps[64];
  int8_t in[16] = {0}, out[16] = {0};
  for (int axis = 0; axis < 64; axis++) shape[axis] = axis % 16 == 3 ? 2 : 1, steps[axis] = 0;
  int64_t step = 1;
  for (int axis = 63; axis >= 0; axis--) {
    out_steps[axis] = step;
    step *= shape[axis];
  }
  for (int i = 0; i < 16; i++) in[i] = (int8_t)i;
  for (int i = 0; i < 4; i++) steps[16 * i + 3] = (int64_t)1 << i; /* the axes in reverse */
  const tv_elementwise job = {.op = TVI_OP_negative,
                              .op_name = "negative",
                              .dtype = TV_I8,
                              .rank = 64,
                              .shape = shape,
                              .n_inputs = 1,
                              .out = {.data = out, .steps = out_steps},
                              .in = {{.data = in, .steps = steps}}};
  OK(tvi_cpu_elementwise(NULL, &job, NULL));
  for (int i = 0; i < 16; i++) {
    const int mirrored = (i & 1) << 3 | (i & 2) << 1 | (i & 4) >> 1 | (i & 8) >> 3;
    EQUAL(out[i], -mirrored);
  }
}

TEST(integers_divide_as_documented) {
  EQUAL(tvi_floor_divide_i32(7, 0), 0);
  EQUAL(tvi_remainder_i32(7, 0), 0);
  EQUAL(tvi_floor_divide_u8(7, 0), 0);
  EQUAL(tvi_floor_divide_i32(INT32_MIN, -1), INT32_MIN);
  EQUAL(tvi_remainder_i32(INT32_MIN, -1), 0);
  EQUAL(tvi_floor_divide_i64(INT64_MIN, -1), INT64_MIN);
  EQUAL(tvi_floor_divide_i8(INT8_MIN, -1), INT8_MIN);
  EQUAL(tvi_floor_divide_i16(-7, 2), -4);
  EQUAL(tvi_floor_divide_i16(7, -2), -4);
  EQUAL(tvi_remainder_i16(-7, 2), 1);
  EQUAL(tvi_remainder_i16(7, -2), -1);
  EQUAL(tvi_abs_i8(INT8_MIN), INT8_MIN);
  EQUAL(tvi_pow_i8(2, 7), INT8_MIN);
  EQUAL(tvi_pow_i32(-3, 3), -27);
  EQUAL(tvi_pow_u64(3, 40), UINT64_C(12157665459056928801));
  EQUAL(tvi_pow_u16(0, 0), 1);
}

static bool is(double got, double want) {
  return got == want ? signbit(got) == signbit(want) : got != got && want != want;
}

TEST(floats_divide_as_documented) {
  const double inf = (double)INFINITY, nan = (double)NAN;
  CHECK(tvi_floor_divide_f32(1, .1f) == 9);
  CHECK(is(tvi_floor_divide_f64(inf, 1), inf));
  CHECK(is(tvi_floor_divide_f64(1, -inf), -0.0));
  CHECK(is(tvi_floor_divide_f64(-1, inf), -0.0));
  CHECK(is(tvi_floor_divide_f64(1, 0), inf));
  CHECK(is(tvi_floor_divide_f64(-1, 0), -inf));
  CHECK(is(tvi_floor_divide_f64(0, 0), nan));
  CHECK(is(tvi_floor_divide_f64(inf, inf), nan));
  CHECK(is(tvi_floor_divide_f64(-7, 2), -4));
  CHECK(is(tvi_floor_divide_f64(1, -3), -1));
  CHECK(is(tvi_floor_divide_f64(0, -3), -0.0));
  CHECK(is(tvi_remainder_f64(-1, inf), inf));
  CHECK(is(tvi_remainder_f64(1, -inf), -inf));
  CHECK(is(tvi_remainder_f64(0, -1), -0.0));
  CHECK(is(tvi_remainder_f64(-0.0, 1), 0));
  CHECK(is(tvi_remainder_f64(1, 0), nan));
  CHECK(is(tvi_remainder_f64(-7, 2), 1));
}

TEST(special_values_are_kept) {
  const double inf = (double)INFINITY, nan = (double)NAN;
  CHECK(is(tvi_maximum_f64(-0.0, 0.0), 0.0) && is(tvi_maximum_f64(0.0, -0.0), 0.0));
  CHECK(is(tvi_maximum_f64(-0.0, -0.0), -0.0) && is(tvi_minimum_f64(0.0, -0.0), -0.0));
  CHECK(is(tvi_maximum_f64(nan, 1), nan) && is(tvi_maximum_f64(1, nan), nan));
  CHECK(is(tvi_minimum_f64(nan, 1), nan) && is(tvi_minimum_f64(inf, -inf), -inf));
  CHECK(is(tvi_sign_f64(-0.0), 0.0) && is(tvi_sign_f64(nan), nan) && is(tvi_sign_f64(-3), -1));
  CHECK(is(tvi_sigmoid_f64(-1000), 0) && is(tvi_sigmoid_f64(1000), 1));
  CHECK(is(tvi_sigmoid_f64(0), .5) && is(tvi_sigmoid_f64(nan), nan));
  CHECK(is(tvi_pow_f64(nan, 0), 1) && is(tvi_pow_f64(1, nan), 1));
  CHECK(is(tvi_pow_f64(-8, 1 / 3.0), nan));
  CHECK(is(tvi_expm1_f64(-0.0), -0.0) && is(tvi_log1p_f64(-0.0), -0.0));
  CHECK(is(tvi_log_f64(-0.0), -inf) && is(tvi_sqrt_f64(-0.0), -0.0));
}

TEST(complex_numbers_follow_annex_g) {
  const double inf = (double)INFINITY, nan = (double)NAN;
  CHECK(is(tvi_abs_c128(tvi_c128_of(inf, nan)), inf));
  CHECK(fabs(tvi_abs_c128(tvi_c128_of(1e200, 1e200)) / 1e200 - sqrt(2)) < 1e-15);
  CHECK(tvi_isnan_c128(tvi_c128_of(inf, nan)) && tvi_isinf_c128(tvi_c128_of(inf, nan)));
  CHECK(!tvi_isfinite_c128(tvi_c128_of(inf, nan)) && !tvi_isfinite_c128(tvi_c128_of(0, nan)));
  tvi_c128 z = tvi_sqrt_c128(tvi_c128_of(-1, -0.0));
  CHECK(is(creal(z), 0) && is(cimag(z), -1));
  z = tvi_sign_c128(tvi_c128_of(3e300, -4e300));
  CHECK(fabs(creal(z) - .6) < 1e-15 && fabs(cimag(z) + .8) < 1e-15);
  z = tvi_sign_c128(tvi_c128_of(inf, 2));
  CHECK(is(creal(z), 1) && is(cimag(z), 0));
  z = tvi_pow_c128(tvi_c128_of(0, 1), tvi_c128_of(2, 0));
  CHECK(is(creal(z), -1) && cimag(z) == 0);
  z = tvi_pow_c128(tvi_c128_of(2, 1), tvi_c128_of(-2, 0));
  CHECK(fabs(creal(z) - .12) < 1e-15 && fabs(cimag(z) + .16) < 1e-15);
  z = tvi_pow_c128(tvi_c128_of(0, 0), tvi_c128_of(0, 0));
  CHECK(is(creal(z), 1) && is(cimag(z), 0));
  z = tvi_expm1_c128(tvi_c128_of(1e-12, 2e-12));
  CHECK(fabs(creal(z) / 1e-12 - 1) < 1e-11 && fabs(cimag(z) / 2e-12 - 1) < 1e-11);
  z = tvi_log1p_c128(tvi_c128_of(1e-12, 2e-12));
  CHECK(fabs(creal(z) / 1e-12 - 1) < 1e-11 && fabs(cimag(z) / 2e-12 - 1) < 1e-11);
}

int main(int argc, char **argv) {
  static const check_case all[] = {
      CASE(immediates_are_one_value_everywhere), CASE(the_result_may_be_an_input),
      CASE(sixty_four_axes_are_walked),          CASE(integers_divide_as_documented),
      CASE(floats_divide_as_documented),         CASE(special_values_are_kept),
      CASE(complex_numbers_follow_annex_g),
#undef TEST /* a row macro too */
#define EACH(name, ...) ROW(#name, sweep, TVI_OP_##name),
#include "ops.def"
  };
  return check_main("cpu_elementwise", (int)(sizeof all / sizeof *all), all, argc, argv);
}
