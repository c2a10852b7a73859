/* SPDX-License-Identifier: MIT
 * The matmul slot against a naive product in long double or wrapping integers: every dtype, layout
 * and batch; threads give the same bits, and so do calls from several threads at once. */
#include <math.h>
#include <pthread.h>

#include "cpu_job.h"

static const int64_t sizes[][3] = {{1, 1, 1},       {2, 3, 4},     {1, 40, 70},   {33, 1, 17},
                                   {17, 29, 1},     {40, 50, 60},  {5, 300, 270}, {130, 9, 600},
                                   {160, 170, 180}, {70, 90, 200}, {40, 50, 850}};

typedef struct matrices {
  int64_t m, n, k, batch[2];
  cpu_array a, b; /* [batch, m, k], [batch, k, n] */
} matrices;

static void multiply(tv_dtype dtype, const matrices *x, void *out) {
  const tv_matmul_job job = {.dtype = dtype,
                             .m = x->m,
                             .n = x->n,
                             .k = x->k,
                             .batch_rank = 2,
                             .batch_shape = x->batch,
                             .a = x->a.data,
                             .b = x->b.data,
                             .a_batch_steps = x->a.steps,
                             .b_batch_steps = x->b.steps,
                             .a_row_step = x->a.steps[2],
                             .a_column_step = x->a.steps[3],
                             .b_row_step = x->b.steps[2],
                             .b_column_step = x->b.steps[3],
                             .out = out};
  OK(tvi_cpu_matmul(NULL, &job, NULL));
}

static void number(tv_dtype dtype, const char *at, long double *re, long double *im) {
  float f[2] = {0};
  double d[2] = {0};
  uint16_t half = 0;
  *im = 0;
  switch (dtype) {
    case TV_F16:
    case TV_BF16:
      memcpy(&half, at, 2);
      *re = (long double)(dtype == TV_F16 ? tvi_f16_load(half) : tvi_bf16_load(half));
      break;
    case TV_F32:
    case TV_C64:
      memcpy(f, at, (size_t)tvi_item(dtype));
      *re = (long double)f[0], *im = (long double)f[1];
      break;
    default:
      memcpy(d, at, (size_t)tvi_item(dtype));
      *re = (long double)d[0], *im = (long double)d[1];
  }
}

static uint64_t whole(tv_dtype dtype, const char *at) {
  uint64_t value = 0;
  memcpy(&value, at, (size_t)tvi_item(dtype));
  return value;
}

/* An element against the sum of its products. */
static void check_element(tv_dtype dtype, const matrices *x, int64_t batch, int64_t i, int64_t j,
                          const char *out) {
  const int64_t a_shape[4] = {x->batch[0], x->batch[1], x->m, x->k};
  const int64_t b_shape[4] = {x->batch[0], x->batch[1], x->k, x->n};
  const int64_t item = tvi_item(dtype);
  const char *const at = out + ((batch * x->m + i) * x->n + j) * item;
  long double re = 0, im = 0, magnitude = 0;
  uint64_t sum = 0;
  for (int64_t l = 0; l < x->k; l++) {
    const char *const a = cpu_at(&x->a, 4, a_shape, (batch * x->m + i) * x->k + l);
    const char *const b = cpu_at(&x->b, 4, b_shape, (batch * x->k + l) * x->n + j);
    if (dtype < TV_F16) {
      const uint64_t product = whole(dtype, a) * whole(dtype, b);
      sum = dtype == TV_BOOL ? sum | product : sum + product;
      continue;
    }
    long double ar, ai, br, bi;
    number(dtype, a, &ar, &ai);
    number(dtype, b, &br, &bi);
    re += ar * br - ai * bi;
    im += ar * bi + ai * br;
    magnitude += (fabsl(ar) + fabsl(ai)) * (fabsl(br) + fabsl(bi));
  }
  if (dtype < TV_F16) {
    CHECK(!memcmp(at, &sum, (size_t)item));
    return;
  }
  long double got_re, got_im;
  number(dtype, at, &got_re, &got_im);
  const long double unit = dtype == TV_F64 || dtype == TV_C128 ? 0x1p-53L : 0x1p-24L;
  long double bound = (long double)(x->k + 2) * unit * magnitude;
  if (dtype == TV_F16) bound += 0x1p-11L * fabsl(re) + 0x1p-25L;
  if (dtype == TV_BF16) bound += 0x1p-8L * fabsl(re);
  CHECK(fabsl(got_re - re) <= bound && fabsl(got_im - im) <= bound);
}

static void check_product(tv_dtype dtype, const int64_t *size, int a_layout, int b_layout) {
  matrices x = {size[0], size[1], size[2], {2, size[0] > 100 ? 1 : 2}, {0}, {0}};
  const int64_t a_shape[4] = {x.batch[0], x.batch[1], x.m, x.k};
  const int64_t b_shape[4] = {x.batch[0], x.batch[1], x.k, x.n};
  x.a = cpu_array_new(dtype, 4, a_shape, a_layout);
  x.b = cpu_array_new(dtype, 4, b_shape, b_layout);
  cpu_fill(dtype, &x.a, 4, a_shape, false);
  cpu_fill(dtype, &x.b, 4, b_shape, false);
  const int64_t batches = x.batch[0] * x.batch[1], elements = batches * x.m * x.n;
  const size_t bytes = (size_t)(elements * tvi_item(dtype));
  char *const out = malloc(bytes), *const again = malloc(bytes);
  CHECK(out && again);
  tv_threads_set(1);
  memset(out, 0xff, bytes); /* NaN, should anything be left or read */
  multiply(dtype, &x, out);
  for (int64_t trial = 0; trial < 60; trial++) {
    const int64_t at = trial < 4 ? elements - 1 - trial : (int64_t)(cpu_random() >> 1) % elements;
    const int64_t e = at < 0 ? 0 : at;
    check_element(dtype, &x, e / (x.m * x.n), e / x.n % x.m, e % x.n, out);
  }
  for (int threads = 2; threads <= 7; threads += 5) {
    tv_threads_set(threads);
    memset(again, 0xee, bytes);
    multiply(dtype, &x, again);
    CHECK(!memcmp(out, again, bytes));
  }
  free(out);
  free(again);
  cpu_array_free(&x.a);
  cpu_array_free(&x.b);
  tv_threads_set(0);
}

static void sweep(intptr_t dtype) {
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int a = 0; a < LAYOUTS; a++)
      for (int b = a % CPU_EVERY; b < LAYOUTS; b += CPU_EVERY)
        check_product((tv_dtype)dtype, sizes[s], a, b);
}

/* Both operands transposed in place: what gradients of matmul ask for. */
TEST(transposed_operands_are_used_in_place) {
  enum { M = 70, N = 90, K = 110 };
  static float a[K][M], b[N][K], out[M][N];
  for (int i = 0; i < K; i++)
    for (int j = 0; j < M; j++) a[i][j] = (float)((i * 7 + j * 3) % 11 - 5);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < K; j++) b[i][j] = (float)((i * 5 + j) % 13 - 6);
  matrices x = {M,
                N,
                K,
                {1, 1},
                {.data = (char *)a, .steps = {0, 0, 4, sizeof a[0]}},
                {.data = (char *)b, .steps = {0, 0, 4, sizeof b[0]}}};
  multiply(TV_F32, &x, out);
  for (int i = 0; i < M; i++)
    for (int j = 0; j < N; j++) {
      float want = 0;
      for (int l = 0; l < K; l++) want += a[l][i] * b[j][l];
      CHECK(out[i][j] == want);
    }
}

TEST(no_inner_elements_give_zeros) {
  float out[6] = {1, 1, 1, 1, 1, 1};
  matrices x = {2, 3, 0, {1, 1}, {.steps = {0}}, {.steps = {0}}};
  multiply(TV_F32, &x, out);
  for (int i = 0; i < 6; i++) CHECK(out[i] == 0);
  x.m = 0;
  x.k = 4;
  multiply(TV_F32, &x, NULL);
}

/* What a serial OpenBLAS gets wrong unless its calls are let in one by one. */
enum { SIDE = 96, CALLERS = 4, ROUNDS = 300 };
static void *call_often(void *argument) {
  const int seed = *(const int *)argument;
  float *const a = malloc(3 * SIDE * SIDE * sizeof(float)), *const b = a + SIDE * SIDE;
  float *const out = b + SIDE * SIDE;
  bool is_right = a != NULL;
  for (int i = 0; a && i < SIDE * SIDE; i++)
    a[i] = (float)((i * seed) % 9 - 4), b[i] = (float)((i * (seed + 3)) % 7 - 3);
  float corner = 0;
  for (int l = 0; a && l < SIDE; l++) corner += a[(SIDE - 1) * SIDE + l] * b[l * SIDE + SIDE - 1];
  const matrices x = {SIDE,
                      SIDE,
                      SIDE,
                      {1, 1},
                      {.data = (char *)a, .steps = {0, 0, SIDE * 4, 4}},
                      {.data = (char *)b, .steps = {0, 0, SIDE * 4, 4}}};
  for (int round = 0; a && round < ROUNDS; round++) {
    const tv_matmul_job job = {.dtype = TV_F32,
                               .m = SIDE,
                               .n = SIDE,
                               .k = SIDE,
                               .a = x.a.data,
                               .b = x.b.data,
                               .a_row_step = SIDE * 4,
                               .a_column_step = 4,
                               .b_row_step = SIDE * 4,
                               .b_column_step = 4,
                               .out = out};
    is_right &= tvi_cpu_matmul(NULL, &job, NULL) == TV_OK && out[SIDE * SIDE - 1] == corner;
  }
  free(a);
  return is_right ? argument : NULL;
}

TEST(calls_from_several_threads_at_once_are_right) {
  pthread_t threads[CALLERS];
  int seeds[CALLERS];
  for (int i = 0; i < CALLERS; i++) {
    seeds[i] = i + 1;
    EQUAL(pthread_create(&threads[i], NULL, call_often, &seeds[i]), 0);
  }
  int right = 0;
  for (int i = 0; i < CALLERS; i++) {
    void *result = NULL;
    pthread_join(threads[i], &result);
    right += result != NULL;
  }
  EQUAL(right, CALLERS);
}

TEST(blas_has_a_name) { CHECK(tv_blas_name() && *tv_blas_name()); }

TEST_MAIN("cpu_gemm", ROW("bool", sweep, TV_BOOL), ROW("int8", sweep, TV_I8),
          ROW("int16", sweep, TV_I16), ROW("int32", sweep, TV_I32), ROW("int64", sweep, TV_I64),
          ROW("uint8", sweep, TV_U8), ROW("uint16", sweep, TV_U16), ROW("uint32", sweep, TV_U32),
          ROW("uint64", sweep, TV_U64), ROW("float16", sweep, TV_F16),
          ROW("bfloat16", sweep, TV_BF16), ROW("float32", sweep, TV_F32),
          ROW("float64", sweep, TV_F64), ROW("complex64", sweep, TV_C64),
          ROW("complex128", sweep, TV_C128), CASE(transposed_operands_are_used_in_place),
          CASE(no_inner_elements_give_zeros), CASE(calls_from_several_threads_at_once_are_right),
          CASE(blas_has_a_name))
