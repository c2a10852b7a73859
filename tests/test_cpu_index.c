/* SPDX-License-Identifier: MIT
 * gather, scatter_add, find_bad_index and sequence. */
#include "cpu_job.h"

TEST(gather_takes_rows) {
  static const int64_t inners[] = {1, 3, 40, 300};
  for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++)
    for (int c = 0; c < 8; c++) {
      const int64_t outer = c < 4 ? 1 : 3, n = 11, k = c == 2 ? 5000 : 17, inner = inners[c % 4];
      const int64_t item = tvi_item(dtype), row = inner * item;
      char *const in = malloc((size_t)(outer * n * row)), *const out =
                                                              malloc((size_t)(outer * k * row));
      int64_t *const indices = malloc((size_t)k * 8);
      CHECK(in && out && indices);
      for (int64_t i = 0; i < outer * n * row; i++) in[i] = (char)cpu_random();
      for (int64_t i = 0; i < k; i++) indices[i] = (int64_t)(cpu_random() % (uint64_t)n);
      const tv_gather job = {dtype, outer, n, k, inner, in, indices, out};
      for (int threads = 1; threads <= 2; threads++) {
        tv_threads_set(threads);
        memset(out, 0, (size_t)(outer * k * row));
        OK(tvi_cpu_gather(NULL, &job, NULL));
        for (int64_t o = 0; o < outer; o++)
          for (int64_t i = 0; i < k; i++)
            CHECK(!memcmp(out + (o * k + i) * row, in + (o * n + indices[i]) * row, (size_t)row));
      }
      free(in);
      free(out);
      free(indices);
    }
  tv_threads_set(0);
}

/* Tables beyond the caches, results that go around them. */
TEST(gather_takes_rows_that_are_far) {
  static const int64_t rows[] = {16, 32, 64, 272, 1028};
  for (int r = 0; r < 5; r++) {
    const int64_t n = (INT64_C(1) << 20) / rows[r], k = (INT64_C(24) << 20) / rows[r];
    char *const in = malloc((size_t)(n * rows[r])), *const out = malloc((size_t)(k * rows[r]));
    int64_t *const indices = malloc((size_t)k * 8);
    CHECK(in && out && indices);
    for (int64_t i = 0; i < n * rows[r]; i++) in[i] = (char)cpu_random();
    for (int64_t i = 0; i < k; i++) indices[i] = (int64_t)(cpu_random() % (uint64_t)n);
    const tv_gather job = {TV_I8, 1, n, k, rows[r], in, indices, out};
    OK(tvi_cpu_gather(NULL, &job, NULL));
    for (int64_t i = 0; i < k; i++)
      CHECK(!memcmp(out + i * rows[r], in + indices[i] * rows[r], (size_t)rows[r]));
    free(in);
    free(out);
    free(indices);
  }
}

/* Rows without a call for each, near and far, with duplicates: sums of whole numbers. */
TEST(scatter_adds_short_rows) {
  static const int64_t tables[] = {3, 200000};
  for (int t = 0; t < 2; t++)
    for (int64_t inner = 1; inner < 30; inner += 7) {
      const int64_t n = tables[t], k = 5000, size = 2 * n * inner;
      int64_t indices[5000];
      float *const in = malloc((size_t)(2 * k * inner) * 4), *const out = malloc((size_t)size * 4);
      double *const in_f64 = malloc((size_t)(2 * k * inner) * 8);
      double *const want = malloc((size_t)size * 8), *const out_f64 = malloc((size_t)size * 8);
      CHECK(in && out && in_f64 && want && out_f64);
      for (int64_t i = 0; i < k; i++) indices[i] = (int64_t)(cpu_random() % (uint64_t)n);
      for (int64_t i = 0; i < 2 * k * inner; i++) {
        in_f64[i] = (double)(cpu_random() % 1000);
        in[i] = (float)in_f64[i];
      }
      for (int64_t i = 0; i < size; i++) {
        want[i] = out_f64[i] = (double)(i % 5);
        out[i] = (float)want[i];
      }
      for (int64_t i = 0; i < 2 * k * inner; i++)
        want[(i / inner / k * n + indices[i / inner % k]) * inner + i % inner] += in_f64[i];
      const tv_gather job = {TV_F32, 2, n, k, inner, in, indices, out};
      const tv_gather wide = {TV_F64, 2, n, k, inner, in_f64, indices, out_f64};
      OK(tvi_cpu_scatter_add(NULL, &job, NULL));
      OK(tvi_cpu_scatter_add(NULL, &wide, NULL));
      for (int64_t i = 0; i < size; i++) CHECK((double)out[i] == want[i] && out_f64[i] == want[i]);
      free(in);
      free(in_f64);
      free(out);
      free(out_f64);
      free(want);
    }
}

TEST(scatter_adds_in_order) {
  enum { OUTER = 2, N = 7, K = 400, INNER = 300 };
  float *const in = malloc(OUTER * K * INNER * 4), *const out = malloc(OUTER * N * INNER * 4);
  float *const want = malloc(OUTER * N * INNER * 4);
  int64_t indices[K];
  CHECK(in && out && want);
  for (int i = 0; i < OUTER * K * INNER; i++) in[i] = (float)(cpu_random() % 1000) / 7;
  for (int i = 0; i < K; i++) indices[i] = (int64_t)(cpu_random() % N);
  for (int i = 0; i < OUTER * N * INNER; i++) want[i] = (float)i / 3;
  for (int o = 0; o < OUTER; o++)
    for (int k = 0; k < K; k++)
      for (int i = 0; i < INNER; i++)
        want[(o * N + indices[k]) * INNER + i] += in[(o * K + k) * INNER + i];
  for (int threads = 1; threads <= 7; threads += 3) {
    tv_threads_set(threads);
    for (int i = 0; i < OUTER * N * INNER; i++) out[i] = (float)i / 3;
    const tv_gather job = {TV_F32, OUTER, N, K, INNER, in, indices, out};
    OK(tvi_cpu_scatter_add(NULL, &job, NULL));
    CHECK(!memcmp(out, want, OUTER * N * INNER * 4));
  }
  free(in);
  free(out);
  free(want);
  tv_threads_set(0);
}

TEST(the_first_bad_index_is_found) {
  int64_t indices[5000], position, value = 0;
  for (int i = 0; i < 5000; i++) indices[i] = i % 9;
  OK(tvi_cpu_find_bad_index(NULL, indices, 5000, 0, 9, &position, &value, NULL));
  EQUAL(position, -1);
  indices[3001] = -1;
  indices[4000] = 9;
  OK(tvi_cpu_find_bad_index(NULL, indices, 5000, 0, 9, &position, &value, NULL));
  EQUAL(position, 3001);
  EQUAL(value, -1);
  OK(tvi_cpu_find_bad_index(NULL, indices, 5000, -9, 9, &position, &value, NULL));
  EQUAL(position, 4000);
  OK(tvi_cpu_find_bad_index(NULL, indices, 0, 0, 0, &position, &value, NULL));
  EQUAL(position, -1);
  OK(tvi_cpu_find_bad_index(NULL, indices, 3, 0, 0, &position, &value, NULL));
  EQUAL(position, 0);
}

/* Far ends of int64, and more than one thread's part; the first of several is told. */
TEST(bad_indices_are_found_wherever_they_are) {
  enum { N = 200000 };
  static const int64_t bad[] = {-1, 9, INT64_MIN, INT64_MAX, INT64_MAX - 8, -10, INT64_MIN + 9};
  int64_t *const indices = calloc(N, 8), position, value = 0;
  CHECK(indices);
  for (int k = 0; k < 7; k++)
    for (int64_t at = k; at < N; at += 60007) {
      indices[at] = bad[k];
      indices[N - 1] = 99;
      const int64_t low = bad[k] == -1 ? 0 : -9;
      OK(tvi_cpu_find_bad_index(NULL, indices, N, low, 9, &position, &value, NULL));
      EQUAL(position, at);
      EQUAL(value, bad[k]);
      indices[at] = 8;
    }
  free(indices);
}

TEST(sequences_wrap_and_round_once) {
  uint8_t bytes[5];
  float floats[4];
  uint16_t halves[3];
  double complexes[4];
  tv_sequence job = {.dtype = TV_U8, .n = 5, .out = bytes, .int_start = 250, .int_step = 3};
  OK(tvi_cpu_sequence(NULL, &job, NULL));
  for (int i = 0; i < 5; i++) EQUAL(bytes[i], (uint8_t)(250 + 3 * i));
  job = (tv_sequence){.dtype = TV_F32, .n = 4, .out = floats, .real_start = .1, .real_step = .1};
  OK(tvi_cpu_sequence(NULL, &job, NULL));
  for (int i = 0; i < 4; i++) CHECK(floats[i] == (float)(.1 + (double)i * .1));
  job = (tv_sequence){.dtype = TV_F16, .n = 3, .out = halves, .real_start = 1, .real_step = .5};
  OK(tvi_cpu_sequence(NULL, &job, NULL));
  EQUAL(halves[2], 0x4000);
  job = (tv_sequence){.dtype = TV_C128, .n = 2, .out = complexes, .real_start = 1, .real_step = 2};
  OK(tvi_cpu_sequence(NULL, &job, NULL));
  CHECK(complexes[2] == 3 && complexes[3] == 0);
}

TEST_MAIN("cpu_index", CASE(gather_takes_rows), CASE(gather_takes_rows_that_are_far),
          CASE(scatter_adds_short_rows), CASE(scatter_adds_in_order),
          CASE(the_first_bad_index_is_found), CASE(bad_indices_are_found_wherever_they_are),
          CASE(sequences_wrap_and_round_once))
