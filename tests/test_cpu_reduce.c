/* SPDX-License-Identifier: MIT
 * The reduce slot: sums bit by bit against the documented order written out plainly, maxima and
 * positions against naive loops; every layout and number of threads. */
#include <math.h>

#include "cast.h"
#include "cpu_job.h"

/* The job's shape is kept axes, then reduced ones. */
static void reduce(tv_reduction reduction, tv_dtype dtype, tv_dtype out_dtype, int rank, int kept,
                   const int64_t *shape, const cpu_array *in, void *out) {
  const tv_reduce job = {.reduction = reduction,
                         .dtype = dtype,
                         .out_dtype = out_dtype,
                         .rank = rank,
                         .kept = kept,
                         .shape = shape,
                         .in = {.data = in->data, .steps = in->steps},
                         .out = out};
  OK(tvi_cpu_reduce(NULL, &job, NULL));
}

/* Runs [0, n) added pairwise: the largest power of two below n, and the rest. */
#define REFERENCE(T)                                                                         \
  static T tree_##T(const T *runs, int64_t n) {                                              \
    if (n == 1) return runs[0];                                                              \
    int64_t half = 1;                                                                        \
    while (2 * half < n) half *= 2;                                                          \
    return tree_##T(runs, half) + tree_##T(runs + half, n - half);                           \
  }                                                                                          \
  static T sum_##T(const T *x, int64_t n, int64_t step) {                                    \
    if (n == 0) return 0;                                                                    \
    const int64_t n_runs = (n + 511) / 512;                                                  \
    T *const runs = calloc((size_t)n_runs, sizeof(T));                                       \
    CHECK(runs);                                                                             \
    for (int64_t r = 0; r < n_runs; r++) {                                                   \
      T acc[16];                                                                             \
      for (int j = 0; j < 16; j++) acc[j] = (T)-0.0;                                         \
      for (int64_t k = r * 512; k < n && k < (r + 1) * 512; k++) acc[k % 16] += x[k * step]; \
      for (int half = 8; half; half /= 2)                                                    \
        for (int j = 0; j < half; j++) acc[j] += acc[j + half];                              \
      runs[r] = acc[0];                                                                      \
    }                                                                                        \
    const T total = tree_##T(runs, n_runs);                                                  \
    free(runs);                                                                              \
    return total;                                                                            \
  }
REFERENCE(float)
REFERENCE(double)

static const struct {
  int rank, kept;
  int64_t shape[5];
} cases[] = {
    {1, 0, {1}},
    {1, 0, {15}},
    {1, 0, {511}},
    {1, 0, {513}},
    {1, 0, {5000}},
    {1, 0, {32768 * 3}},
    {1, 0, {32768 * 6 + 77}},
    {2, 0, {300, 700}},
    {2, 1, {3, 1000}},
    {2, 1, {1000, 3}},
    {2, 1, {70000, 2}},
    {2, 1, {5, 40000}},
    {3, 1, {7, 20, 30}},
    {3, 2, {4, 5, 600}},
    {4, 2, {3, 2, 50, 40}},
    {5, 3, {2, 1, 3, 1, 900}},
    {2, 1, {130, 1030}},
    {2, 1, {600, 513}},
    {2, 2, {3, 4}},
    {0, 0, {0}},
    {2, 1, {200, 1100}},
    {3, 1, {10, 300, 40}},
    {2, 1, {33, 70000}},
};
enum { CASES = sizeof cases / sizeof *cases };

/* Element k of result i, as the dtype that accumulates: double, and float exactly within it. */
static void line_of(tv_dtype dtype, const char *dense, int64_t i, int64_t n, double *re,
                    double *im) {
  const int64_t item = tvi_item(dtype);
  for (int64_t k = 0; k < n; k++) {
    const char *const at = dense + (i * n + k) * item;
    float f[2] = {0};
    double d[2] = {0};
    uint16_t half = 0;
    switch (dtype) {
      case TV_F16:
        memcpy(&half, at, 2);
        d[0] = (double)tvi_f16_load(half);
        break;
      case TV_BF16:
        memcpy(&half, at, 2);
        d[0] = (double)tvi_bf16_load(half);
        break;
      case TV_F32:
      case TV_C64:
        memcpy(f, at, (size_t)item);
        d[0] = (double)f[0], d[1] = (double)f[1];
        break;
      default:
        memcpy(d, at, (size_t)item);
    }
    re[k] = d[0], im[k] = d[1];
  }
}

static void check_float_sum(tv_dtype dtype, size_t c) {
  const int rank = cases[c].rank, kept = cases[c].kept;
  const int64_t *const shape = cases[c].shape;
  const int64_t results = cpu_size(kept, shape), n = cpu_size(rank - kept, shape + kept);
  const bool is_double = dtype == TV_F64 || dtype == TV_C128;
  const tv_dtype out_dtype = dtype;
  const int64_t out_item = tvi_item(out_dtype);
  cpu_array in = cpu_array_new(dtype, rank, shape, DENSE);
  cpu_fill(dtype, &in, rank, shape, false);
  double *const re = calloc((size_t)n + 1, 8), *const im = calloc((size_t)n + 1, 8);
  float *const narrow = malloc((size_t)n * 4 + 4);
  char *const want = calloc((size_t)results, 16), *const got = malloc((size_t)results * 16);
  CHECK(re && im && narrow && want && got);
  for (int64_t i = 0; i < results; i++) {
    line_of(dtype, in.data, i, n, re, im);
    double sums[2] = {0};
    float narrow_sums[2] = {0};
    for (int part = 0; part < (dtype >= TV_C64 ? 2 : 1); part++) {
      const double *const x = part ? im : re;
      for (int64_t k = 0; k < n; k++) narrow[k] = (float)x[k];
      sums[part] = sum_double(x, n, 1);
      narrow_sums[part] = sum_float(narrow, n, 1);
      long double exact = 0, magnitude = 0;
      for (int64_t k = 0; k < n; k++)
        exact += (long double)x[k], magnitude += (long double)fabs(x[k]);
      const long double error =
          fabsl((long double)(is_double ? sums[part] : (double)narrow_sums[part]) - exact);
      const double bound = (32 + log2(1 + (double)n)) * (is_double ? 0x1p-53 : 0x1p-24);
      CHECK(error <= (long double)bound * magnitude);
    }
    uint16_t half = 0;
    if (dtype == TV_F16) half = tvi_f16_store(narrow_sums[0]);
    if (dtype == TV_BF16) half = tvi_bf16_store(narrow_sums[0]);
    memcpy(want + i * out_item,
           dtype == TV_F16 || dtype == TV_BF16 ? (void *)&half
           : is_double                         ? (void *)sums
                                               : (void *)narrow_sums,
           (size_t)out_item);
  }
  for (int layout = 0; layout < BROADCAST; layout++)
    for (int threads = 1; threads < 8; threads += 1 + 4 * (threads == 2)) {
      cpu_array other = cpu_array_like(dtype, &in, rank, shape, layout);
      tv_threads_set(threads);
      memset(got, 0xee, (size_t)results * 16);
      reduce(TV_REDUCE_SUM, dtype, out_dtype, rank, kept, shape, &other, got);
      if (memcmp(got, want, (size_t)(results * out_item)))
        check_fail(CHECK_HERE, "dtype %d, case %d, layout %d, %d threads", (int)dtype, (int)c,
                   layout, threads);
      cpu_array_free(&other);
    }
  free(re);
  free(im);
  free(narrow);
  free(want);
  free(got);
  cpu_array_free(&in);
  tv_threads_set(0);
}

TEST(float_sums_follow_the_documented_order) {
  for (size_t c = 0; c < CASES; c += CPU_EVERY)
    for (int dtype = TV_F16; dtype < TV_DTYPE_COUNT; dtype++) check_float_sum(dtype, c);
}

TEST(halves_may_be_summed_into_f32) {
  enum { N = 70000 };
  static uint16_t ones[N];
  for (int i = 0; i < N; i++) ones[i] = 0x3c00;
  const cpu_array in = {.data = (char *)ones, .steps = {2}};
  float sum = 0;
  uint16_t narrow = 0;
  reduce(TV_REDUCE_SUM, TV_F16, TV_F32, 1, 0, (const int64_t[]){N}, &in, &sum);
  CHECK(sum == N);
  reduce(TV_REDUCE_SUM, TV_F16, TV_F16, 1, 0, (const int64_t[]){N}, &in, &narrow);
  EQUAL(narrow, 0x7c00);
}

TEST(a_sum_of_nothing_is_zero_and_of_minus_zero_minus_zero) {
  double out[3] = {7, 7, 7}, minus = -0.0;
  cpu_array in = {.data = (char *)&minus, .steps = {0, 0}};
  reduce(TV_REDUCE_SUM, TV_F64, TV_F64, 2, 1, (const int64_t[]){3, 0}, &in, out);
  CHECK(out[0] == 0 && !signbit(out[0]) && !signbit(out[2]));
  reduce(TV_REDUCE_SUM, TV_F64, TV_F64, 1, 0, (const int64_t[]){600}, &in, out);
  CHECK(out[0] == 0 && signbit(out[0]));
  reduce(TV_REDUCE_SUM, TV_F64, TV_F64, 2, 1, (const int64_t[]){0, 3}, &in, out);
}

/* Integers: wrapping sums, maxima, minima, positions. Everything through int64 or uint64. */
static int64_t integer_at(tv_dtype dtype, const char *at) {
  int64_t wide = 0;
  switch (dtype) {
    case TV_I8:
      return *(const int8_t *)at;
    case TV_I16:
      return *(const int16_t *)(const void *)at;
    case TV_I32:
      return *(const int32_t *)(const void *)at;
    default:
      memcpy(&wide, at, (size_t)tvi_item(dtype));
      return wide;
  }
}

static bool is_above(tv_dtype dtype, int64_t a, int64_t b) {
  return dtype == TV_U64 ? (uint64_t)a > (uint64_t)b : a > b;
}

static void check_integers(tv_dtype dtype, size_t c) {
  const int rank = cases[c].rank, kept = cases[c].kept;
  const int64_t *const shape = cases[c].shape;
  const int64_t results = cpu_size(kept, shape), n = cpu_size(rank - kept, shape + kept);
  const int64_t item = tvi_item(dtype);
  cpu_array in = cpu_array_new(dtype, rank, shape, DENSE);
  cpu_fill(dtype, &in, rank, shape, true);
  char *const got = malloc((size_t)results * 8);
  CHECK(got);
  for (int layout = 0; layout < BROADCAST; layout++) {
    cpu_array other = cpu_array_like(dtype, &in, rank, shape, layout);
    tv_threads_set(1 + layout * 2);
    for (int reduction = TV_REDUCE_SUM; reduction <= TV_REDUCE_ARGMIN; reduction++) {
      const bool is_position = reduction >= TV_REDUCE_ARGMAX;
      reduce((tv_reduction)reduction, dtype, is_position ? TV_I64 : dtype, rank, kept, shape,
             &other, got);
      for (int64_t i = 0; i < results; i++) {
        int64_t sum = 0, best = 0, at = 0;
        for (int64_t k = 0; k < n; k++) {
          const int64_t x = integer_at(dtype, in.data + (i * n + k) * item);
          const bool is_max = reduction == TV_REDUCE_MAX || reduction == TV_REDUCE_ARGMAX;
          sum = dtype == TV_BOOL ? sum | x : (int64_t)((uint64_t)sum + (uint64_t)x);
          if (k == 0 || (is_max ? is_above(dtype, x, best) : is_above(dtype, best, x)))
            best = x, at = k;
        }
        const int64_t want = reduction == TV_REDUCE_SUM ? sum : is_position ? at : best;
        if (memcmp(got + i * (is_position ? 8 : item), &want, (size_t)(is_position ? 8 : item)))
          check_fail(CHECK_HERE, "dtype %d, case %d, layout %d, reduction %d", (int)dtype, (int)c,
                     layout, reduction);
      }
    }
    cpu_array_free(&other);
  }
  free(got);
  cpu_array_free(&in);
  tv_threads_set(0);
}

TEST(integers_come_out_exactly) {
  for (size_t c = 0; c < CASES; c += CPU_EVERY)
    for (int dtype = TV_BOOL; dtype <= TV_U64; dtype++) check_integers(dtype, c);
}

/* Floats with zeros of both signs, infinities and NaN. */
static void check_extremes(tv_dtype dtype, size_t c, bool wild) {
  const int rank = cases[c].rank, kept = cases[c].kept;
  const int64_t *const shape = cases[c].shape;
  const int64_t results = cpu_size(kept, shape), n = cpu_size(rank - kept, shape + kept);
  const int64_t item = tvi_item(dtype);
  cpu_array in = cpu_array_new(dtype, rank, shape, DENSE);
  cpu_fill(dtype, &in, rank, shape, false);
  if (wild)
    for (int64_t i = 0; i < results * n; i++)
      if (cpu_random() % 7 == 0) cpu_fill_one(dtype, in.data + i * item, cpu_random() % 64 == 0);
  double *const re = calloc((size_t)n + 1, 8), *const im = calloc((size_t)n + 1, 8);
  char *const got = malloc((size_t)results * 8);
  CHECK(re && im && got);
  for (int layout = 0; layout < BROADCAST; layout++) {
    cpu_array other = cpu_array_like(dtype, &in, rank, shape, layout);
    tv_threads_set(1 + layout * 2);
    for (int reduction = TV_REDUCE_MAX; reduction <= TV_REDUCE_ARGMIN; reduction++) {
      const bool is_position = reduction >= TV_REDUCE_ARGMAX;
      const bool is_max = reduction == TV_REDUCE_MAX || reduction == TV_REDUCE_ARGMAX;
      reduce((tv_reduction)reduction, dtype, is_position ? TV_I64 : dtype, rank, kept, shape,
             &other, got);
      for (int64_t i = 0; i < results; i++) {
        line_of(dtype, in.data, i, n, re, im);
        double best = re[0];
        int64_t at = 0;
        for (int64_t k = 1; k < n; k++) {
          if (best == best && (is_max ? re[k] > best : re[k] < best)) at = k;
          if (best == best && re[k] != re[k]) at = k;
          best = is_max ? tvi_maximum_f64(best, re[k]) : tvi_minimum_f64(best, re[k]);
        }
        double value[1], unused[1];
        if (is_position) {
          EQUAL(((const int64_t *)(const void *)got)[i], at);
        } else {
          line_of(dtype, got, i, 1, value, unused);
          CHECK(value[0] == best ? signbit(value[0]) == signbit(best)
                                 : value[0] != value[0] && best != best);
        }
      }
    }
    cpu_array_free(&other);
  }
  free(re);
  free(im);
  free(got);
  cpu_array_free(&in);
  tv_threads_set(0);
}

TEST(nan_wins_and_the_first_of_equals) {
  for (size_t c = 0; c < CASES; c += CPU_EVERY)
    for (int dtype = TV_F16; dtype <= TV_F64; dtype++) {
      check_extremes(dtype, c, false);
      check_extremes(dtype, c, true);
    }
}

TEST(zeros_are_told_apart_by_max_and_not_by_argmax) {
  const float x[3] = {-0.0f, 0.0f, -0.0f};
  const cpu_array in = {.data = (char *)(uintptr_t)x, .steps = {4}};
  float value;
  int64_t at;
  reduce(TV_REDUCE_MAX, TV_F32, TV_F32, 1, 0, (const int64_t[]){3}, &in, &value);
  CHECK(!signbit(value));
  reduce(TV_REDUCE_MIN, TV_F32, TV_F32, 1, 0, (const int64_t[]){3}, &in, &value);
  CHECK(signbit(value));
  reduce(TV_REDUCE_ARGMAX, TV_F32, TV_I64, 1, 0, (const int64_t[]){3}, &in, &at);
  EQUAL(at, 0);
}

TEST_MAIN("cpu_reduce", CASE(float_sums_follow_the_documented_order),
          CASE(halves_may_be_summed_into_f32),
          CASE(a_sum_of_nothing_is_zero_and_of_minus_zero_minus_zero),
          CASE(integers_come_out_exactly), CASE(nan_wins_and_the_first_of_equals),
          CASE(zeros_are_told_apart_by_max_and_not_by_argmax))
