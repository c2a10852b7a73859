/* SPDX-License-Identifier: MIT
 * half.h, cast.h and the convert slot. f16 and bf16 are checked exhaustively: every value, every
 * midpoint between neighbours, and the double next to it on either side. */
#include <math.h>

#include "cast.h"
#include "cpu_job.h"

static double value_of_f16(int half) { /* by the definition, in double */
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const double magnitude = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
  return half & 0x8000 ? -magnitude : magnitude;
}

static double value_of_bf16(int half) {
  const int exponent = half >> 7 & 255, fraction = half & 127;
  const double magnitude = exponent ? ldexp(128 + fraction, exponent - 134) : ldexp(fraction, -133);
  return half & 0x8000 ? -magnitude : magnitude;
}

TEST(f16_values_survive_a_round_trip) {
  for (int h = 0; h < 65536; h++) {
    const float x = tvi_f16_load((uint16_t)h);
    if ((h & 0x7fff) > 0x7c00) {
      CHECK(x != x);
      CHECK((tvi_f16_store(x) & 0x7fff) > 0x7c00);
      CHECK((tvi_f16_of_double((double)x) & 0x7fff) > 0x7c00);
      continue;
    }
    if ((h & 0x7fff) < 0x7c00) CHECK((double)x == value_of_f16(h));
    EQUAL(tvi_f16_store(x), h);
    EQUAL(tvi_f16_of_double((double)x), h);
  }
}

TEST(bf16_values_survive_a_round_trip) {
  for (int h = 0; h < 65536; h++) {
    const float x = tvi_bf16_load((uint16_t)h);
    if ((h & 0x7fff) > 0x7f80) {
      CHECK(x != x);
      CHECK((tvi_bf16_store(x) & 0x7fff) > 0x7f80);
      CHECK((tvi_bf16_of_double((double)x) & 0x7fff) > 0x7f80);
      continue;
    }
    if ((h & 0x7fff) < 0x7f80) CHECK((double)x == value_of_bf16(h));
    EQUAL(tvi_bf16_store(x), h);
    EQUAL(tvi_bf16_of_double((double)x), h);
  }
}

/* low and high are neighbours, high the one away from zero (and perhaps infinity). */
static void check_between(double low, double high, int low_bits, uint16_t (*of_double)(double),
                          uint16_t (*store)(float)) {
  const double middle = low / 2 + high / 2, up = high > low ? (double)INFINITY : -(double)INFINITY;
  const int high_bits = low_bits + 1, even = low_bits & 1 ? high_bits : low_bits;
  EQUAL(of_double(middle), even);
  EQUAL(of_double(nextafter(middle, up)), high_bits);
  EQUAL(of_double(nextafter(middle, -up)), low_bits);
  const float f = (float)middle;
  if ((double)f != middle) return;
  EQUAL(store(f), even);
  EQUAL(store(nextafterf(f, (float)up)), high_bits);
  EQUAL(store(nextafterf(f, (float)-up)), low_bits);
}

TEST(f16_rounds_once_to_nearest_even) {
  for (int sign = 0; sign <= 0x8000; sign += 0x8000)
    for (int h = 0; h < 0x7c00; h++) {
      const double high = h == 0x7bff ? (sign ? -65536.0 : 65536.0) : value_of_f16(sign | (h + 1));
      check_between(value_of_f16(sign | h), high, sign | h, tvi_f16_of_double, tvi_f16_store);
    }
  EQUAL(tvi_f16_of_double(1 + 0x1p-11 + 0x1p-30), 0x3c01);
  EQUAL(tvi_f16_of_double(65519.99), 0x7bff);
  EQUAL(tvi_f16_of_double(65520), 0x7c00);
  EQUAL(tvi_f16_of_double(5e-324), 0);
  EQUAL(tvi_f16_of_double(-1e-300), 0x8000);
}

TEST(bf16_rounds_once_to_nearest_even) {
  for (int sign = 0; sign <= 0x8000; sign += 0x8000)
    for (int h = 0; h < 0x7f80; h++) {
      const double high = h == 0x7f7f ? (sign ? -0x1p128 : 0x1p128) : value_of_bf16(sign | (h + 1));
      check_between(value_of_bf16(sign | h), high, sign | h, tvi_bf16_of_double, tvi_bf16_store);
    }
  EQUAL(tvi_bf16_of_double(1e300), 0x7f80);
  EQUAL(tvi_bf16_of_double(5e-324), 0);
  EQUAL(tvi_bf16_of_double(-5e-324), 0x8000);
}

TEST(wide_integers_round_once) {
  EQUAL(tvi_to_bf16_u64(UINT64_MAX), 0x5f80);
  EQUAL(tvi_to_bf16_i64(INT64_MIN), 0xdf00);
  /* 2^62 + 2^54 is halfway between neighbours; one more decides, though a double cannot hold it. */
  EQUAL(tvi_to_bf16_i64(INT64_C(1) << 62 | INT64_C(1) << 54), 0x5e80);
  EQUAL(tvi_to_bf16_i64((INT64_C(1) << 62 | INT64_C(1) << 54) + 1), 0x5e81);
  EQUAL(tvi_to_bf16_i64(-(INT64_C(1) << 62 | INT64_C(1) << 54) - 1), 0xde81);
  EQUAL(tvi_to_bf16_i64(-3), 0xc040);
  EQUAL(tvi_to_f16_i64(65519), 0x7bff);
  EQUAL(tvi_to_f16_i64(65520), 0x7c00);
  EQUAL(tvi_to_f16_i64(INT64_MIN), 0xfc00);
  EQUAL(tvi_to_f16_i32(2049), 0x6800);
  EQUAL(tvi_to_f16_i32(2051), 0x6802);
  CHECK(tvi_to_f32_i64((INT64_C(1) << 24) + 1) == 16777216.0f);
  CHECK(tvi_to_f64_i64((INT64_C(1) << 53) + 1) == 9007199254740992.0);
  CHECK(tvi_to_f32_u64(UINT64_MAX) == 0x1p64f);
}

TEST(floats_out_of_range_follow_x86) {
  const double inf = (double)INFINITY, nan = (double)NAN;
  EQUAL(tvi_to_i64_f64(nan), INT64_MIN);
  EQUAL(tvi_to_i64_f64(0x1p63), INT64_MIN);
  EQUAL(tvi_to_i64_f64(-0x1p63), INT64_MIN);
  EQUAL(tvi_to_i32_f64(inf), INT32_MIN);
  EQUAL(tvi_to_i32_f64(2147483647.9), INT32_MAX);
  EQUAL(tvi_to_i32_f64(-2147483648.9), INT32_MIN);
  EQUAL(tvi_to_i32_f64(2147483648.0), INT32_MIN);
  EQUAL(tvi_to_i32_f32(2147483648.0f), INT32_MIN);
  EQUAL(tvi_to_i8_f64(127.9), 127);
  EQUAL(tvi_to_i8_f64(300.7), 44);
  EQUAL(tvi_to_u8_f64(300.7), 44);
  EQUAL(tvi_to_u8_f64(-300.7), 212);
  EQUAL(tvi_to_u8_f64(-0.9), 0);
  EQUAL(tvi_to_u8_f32(NAN), 0);
  EQUAL(tvi_to_i16_f32(INFINITY), 0);
  EQUAL(tvi_to_u32_f64(-1.5), 4294967295);
  EQUAL(tvi_to_u32_f64(3e9), 3000000000);
  EQUAL(tvi_to_u32_f64(nan), 0);
  CHECK(tvi_to_u64_f64(0x1p63) == UINT64_C(1) << 63);
  CHECK(tvi_to_u64_f64(nan) == UINT64_C(1) << 63);
  CHECK(tvi_to_u64_f64(inf) == 0);
  CHECK(tvi_to_u64_f64(-1) == UINT64_MAX);
  CHECK(tvi_to_u64_f32(0x1.8p63f) == UINT64_C(3) << 62);
  EQUAL(tvi_to_b1_f64(nan), 1);
  EQUAL(tvi_to_b1_f64(-0.0), 0);
  EQUAL(tvi_to_b1_c64(tvi_c64_of(0, 2)), 1);
}

static void convert(tv_dtype from, tv_dtype to, int rank, const int64_t *shape, const cpu_array *in,
                    cpu_array *out) {
  const tv_convert job = {.from = from,
                          .to = to,
                          .rank = rank,
                          .shape = shape,
                          .out = {.data = out->data, .steps = out->steps},
                          .in = {.data = in->data, .steps = in->steps}};
  OK(tvi_cpu_convert(NULL, &job, NULL));
}

TEST(layouts_and_threads_give_the_same_bits) {
  static const int64_t shapes[][4] = {{1, 1, 1, 1},     {2, 3, 5, 7}, {70, 1, 65, 3},
                                      {1, 130, 140, 2}, {0, 4, 4, 4}, {3, 3, 500, 60}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (int from = 0; from < TV_DTYPE_COUNT; from++)
      for (int to = 0; to < TV_DTYPE_COUNT; to += s == 5 ? 4 : 1) {
        if (from >= TV_C64 && to < TV_C64 && to != TV_BOOL) continue;
        if ((from + to) % CPU_EVERY) continue;
        const int64_t *shape = shapes[s];
        cpu_array in = cpu_array_new(from, 4, shape, DENSE);
        cpu_fill(from, &in, 4, shape, true);
        cpu_array want = cpu_array_new(to, 4, shape, DENSE);
        tv_threads_set(1);
        convert(from, to, 4, shape, &in, &want);
        for (int layout = 0; layout < BROADCAST; layout++) {
          cpu_array other = cpu_array_like(from, &in, 4, shape, layout);
          cpu_array got = cpu_array_new(to, 4, shape, (layout + 2) % BROADCAST);
          tv_threads_set(1 + 2 * layout);
          convert(from, to, 4, shape, &other, &got);
          CHECK(cpu_same_elements(to, &got, &want, 4, shape));
          cpu_array_free(&other);
          cpu_array_free(&got);
        }
        cpu_array_free(&in);
        cpu_array_free(&want);
      }
  tv_threads_set(0);
}

/* Tiles that go around the caches, and such that do not: no cache lines, or too small. */
TEST(large_turned_copies_of_all_items) {
  static const tv_dtype dtypes[] = {TV_U8, TV_U16, TV_U32, TV_U64, TV_C128};
  static const int64_t shapes[][3] = {{2, 2112, 2240}, {1, 3001, 2999}, {3, 65, 130}};
  for (int d = 0; d < 5; d++)
    for (int s = d == 4 ? 1 : 0; s < 3; s++) {
      const int64_t *const shape = shapes[s], item = tvi_item(dtypes[d]);
      const int64_t n = shape[1], m = shape[2], bytes = shape[0] * n * m * item;
      char *const in = malloc((size_t)bytes), *const block = malloc((size_t)bytes + 64);
      CHECK(in && block);
      char *const out = block + 64 - (uintptr_t)block % 64;
      for (int64_t i = 0; i < bytes; i++) in[i] = (char)(i * 2654435761 >> 11);
      const int64_t in_steps[] = {n * m * item, item, n * item};
      const int64_t out_steps[] = {n * m * item, m * item, item};
      tv_threads_set(1 + d % 2 * 2);
      const tv_convert job = {.from = dtypes[d],
                              .to = dtypes[d],
                              .rank = 3,
                              .shape = shape,
                              .out = {.data = out, .steps = out_steps},
                              .in = {.data = in, .steps = in_steps}};
      OK(tvi_cpu_convert(NULL, &job, NULL));
      for (int64_t a = 0; a < shape[0]; a++)
        for (int64_t i = 0; i < n; i++)
          for (int64_t j = 0; j < m; j++)
            if (memcmp(out + ((a * n + i) * m + j) * item, in + ((a * m + j) * n + i) * item,
                       (size_t)item))
              check_fail(CHECK_HERE, "item %d, shape %d, at %lld, %lld, %lld", (int)item, s,
                         (long long)a, (long long)i, (long long)j);
      free(block);
      free(in);
    }
  tv_threads_set(0);
}

TEST(copies_keep_every_bit_of_a_nan) {
  const uint32_t in[3] = {0x7f800001u, 0xffc12345u, 0x7fa00000u};
  uint32_t out[3] = {0};
  const int64_t shape[1] = {3}, steps[1] = {4};
  const tv_convert job = {.from = TV_F32,
                          .to = TV_F32,
                          .rank = 1,
                          .shape = shape,
                          .out = {.data = out, .steps = steps},
                          .in = {.data = (void *)(uintptr_t)in, .steps = steps}};
  OK(tvi_cpu_convert(NULL, &job, NULL));
  CHECK(!memcmp(in, out, sizeof in));
}

TEST_MAIN("cpu_convert", CASE(f16_values_survive_a_round_trip),
          CASE(bf16_values_survive_a_round_trip), CASE(f16_rounds_once_to_nearest_even),
          CASE(bf16_rounds_once_to_nearest_even), CASE(wide_integers_round_once),
          CASE(floats_out_of_range_follow_x86), CASE(layouts_and_threads_give_the_same_bits),
          CASE(large_turned_copies_of_all_items), CASE(copies_keep_every_bit_of_a_nan))
