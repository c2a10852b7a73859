/* SPDX-License-Identifier: MIT
 * philox.h, normal.h and the random slot. */
#include <math.h>

#include "cpu_job.h"
#include "normal.h"

TEST(philox_gives_its_known_answers) {
  static const struct {
    uint32_t counter[4], key[2], want[4];
  } answers[] = {
      {{0}, {0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
    const uint32_t *const c = answers[i].counter;
    const tvi_philox_block got =
        tvi_philox(c[0], c[1], c[2], c[3], answers[i].key[0], answers[i].key[1]);
    for (int j = 0; j < 4; j++) EQUAL(got.word[j], answers[i].want[j]);
  }
}

static void draw(tv_distribution distribution, tv_dtype dtype, int64_t first, int64_t n,
                 void *out) {
  const tv_random job = {.distribution = distribution,
                         .dtype = dtype,
                         .key = {UINT64_C(0x123456789abcdef0), 77},
                         .first = first,
                         .n = n,
                         .out = out};
  OK(tvi_cpu_random(NULL, &job, NULL));
}

TEST(elements_take_the_words_that_random_h_says) {
  uint32_t words[11];
  uint64_t wide[5];
  float f32[11];
  double f64[5];
  draw(TV_RANDOM_BITS, TV_U32, 0, 11, words);
  draw(TV_RANDOM_BITS, TV_U64, 0, 5, wide);
  draw(TV_RANDOM_UNIFORM, TV_F32, 0, 11, f32);
  draw(TV_RANDOM_UNIFORM, TV_F64, 0, 5, f64);
  for (uint64_t i = 0; i < 11; i++) {
    const tvi_philox_block block = tvi_philox_at(UINT64_C(0x123456789abcdef0), 77, i / 4);
    EQUAL(words[i], block.word[i % 4]);
    CHECK((double)f32[i] == (words[i] >> 8) * 0x1p-24);
  }
  for (int i = 0; i < 5; i++) {
    CHECK(wide[i] == (words[2 * i] | (uint64_t)words[2 * i + 1] << 32));
    CHECK(f64[i] == ((words[2 * i] >> 5) * 67108864.0 + (words[2 * i + 1] >> 6)) * 0x1p-53);
  }
}

static const struct {
  tv_distribution distribution;
  tv_dtype dtype;
} draws[] = {{TV_RANDOM_BITS, TV_U32},     {TV_RANDOM_BITS, TV_U64},    {TV_RANDOM_UNIFORM, TV_F16},
             {TV_RANDOM_UNIFORM, TV_BF16}, {TV_RANDOM_UNIFORM, TV_F32}, {TV_RANDOM_UNIFORM, TV_F64},
             {TV_RANDOM_NORMAL, TV_F16},   {TV_RANDOM_NORMAL, TV_BF16}, {TV_RANDOM_NORMAL, TV_F32},
             {TV_RANDOM_NORMAL, TV_F64}};

TEST(slices_and_threads_give_the_same_elements) {
  enum { N = 100003 };
  char *const all = malloc(N * 8), *const part = malloc(N * 8);
  CHECK(all && part);
  for (size_t d = 0; d < sizeof draws / sizeof *draws; d++) {
    const size_t item = (size_t)tvi_item(draws[d].dtype);
    tv_threads_set(1);
    draw(draws[d].distribution, draws[d].dtype, 0, N, all);
    for (int threads = 2; threads <= 7; threads += 5) {
      tv_threads_set(threads);
      memset(part, 0xee, N * 8);
      draw(draws[d].distribution, draws[d].dtype, 0, N, part);
      CHECK(!memcmp(all, part, N * item));
    }
    for (int64_t first = 0; first < 600; first += 37)
      for (int64_t n = 0; n < 300; n += 61) {
        draw(draws[d].distribution, draws[d].dtype, first, n, part);
        CHECK(!memcmp(all + (size_t)first * item, part, (size_t)n * item));
      }
  }
  free(all);
  free(part);
  tv_threads_set(0);
}

TEST(uniform_numbers_are_below_one) {
  enum { N = 1 << 16 };
  static uint16_t half[N];
  draw(TV_RANDOM_UNIFORM, TV_F16, 0, N, half);
  for (int i = 0; i < N; i++) CHECK(half[i] < 0x3c00);
  draw(TV_RANDOM_UNIFORM, TV_BF16, 0, N, half);
  for (int i = 0; i < N; i++) CHECK(half[i] < 0x3f80);
}

/* cos and sin of n quarter turns, from the remainder, which is exact. */
static void turn(long double n, long double *cosine, long double *sine) {
  const long double quadrant = roundl(n), t = (n - quadrant) * (2 * atanl(1));
  const int q = (int)quadrant & 3;
  *cosine = q == 0 ? cosl(t) : q == 1 ? -sinl(t) : q == 2 ? -cosl(t) : sinl(t);
  *sine = q == 0 ? sinl(t) : q == 1 ? cosl(t) : q == 2 ? -sinl(t) : -cosl(t);
}

static double ulps(long double got, long double want, long double unit) {
  return got == want ? 0 : (double)(fabsl(got - want) / (fabsl(want) * unit));
}

/* Against long double, over words that have both ends and all quarter turns among them. */
TEST(normal_numbers_are_close_to_the_formula) {
  double worst32 = 0, worst64 = 0;
  for (int i = 0; i < 300000; i++) {
    uint32_t a = (uint32_t)cpu_random(), b = (uint32_t)cpu_random();
    uint32_t c = (uint32_t)cpu_random(), d = (uint32_t)cpu_random();
    if (i % 5 == 0) a = i % 2 ? a >> (i / 5 % 32) : ~(a >> (i / 5 % 32));
    if (i % 7 == 0) b = c = (uint32_t)(i / 7 % 16) << 28, d = 0;
    if (i % 7 == 1) b = c = ((uint32_t)(i / 7 % 16) << 28) - 256, d = ~0u;
    float got32[2];
    double got64[2];
    tvi_normal_f32(a, b, &got32[0], &got32[1]);
    tvi_normal_f64(a, b, c, d, &got64[0], &got64[1]);
    long double cosine, sine;
    const long double r32 = sqrtl(-2 * logl(((a >> 8) + 1) * 0x1p-24L));
    const long double r64 = sqrtl(-2 * logl((((uint64_t)(a >> 5) << 26 | b >> 6) + 1) * 0x1p-53L));
    turn((b >> 8) * 0x1p-22L, &cosine, &sine);
    worst32 = fmax(worst32, ulps((long double)got32[0], r32 * cosine, 0x1p-23L));
    worst32 = fmax(worst32, ulps((long double)got32[1], r32 * sine, 0x1p-23L));
    turn((long double)((uint64_t)(c >> 5) << 26 | d >> 6) * 0x1p-51L, &cosine, &sine);
    worst64 = fmax(worst64, ulps((long double)got64[0], r64 * cosine, 0x1p-52L));
    worst64 = fmax(worst64, ulps((long double)got64[1], r64 * sine, 0x1p-52L));
  }
  CHECK(worst32 < 3);
  CHECK(worst64 < 3);
}

TEST(normal_numbers_have_mean_0_and_deviation_1) {
  enum { N = 1 << 20 };
  double *const x = malloc(N * sizeof *x);
  CHECK(x);
  draw(TV_RANDOM_NORMAL, TV_F64, 0, N, x);
  double mean = 0, square = 0, fourth = 0;
  for (int i = 0; i < N; i++)
    mean += x[i], square += x[i] * x[i], fourth += x[i] * x[i] * x[i] * x[i];
  CHECK(fabs(mean / N) < 5e-3);
  CHECK(fabs(square / N - 1) < 8e-3);
  CHECK(fabs(fourth / N - 3) < 6e-2);
  free(x);
}

TEST_MAIN("cpu_random", CASE(philox_gives_its_known_answers),
          CASE(elements_take_the_words_that_random_h_says),
          CASE(slices_and_threads_give_the_same_elements), CASE(uniform_numbers_are_below_one),
          CASE(normal_numbers_are_close_to_the_formula),
          CASE(normal_numbers_have_mean_0_and_deviation_1))
