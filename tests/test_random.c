/* SPDX-License-Identifier: MIT
 * Random numbers: the cipher's published answers, where each element comes from, moments, refusals.
 */
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "philox.h"

/* Known answers of Random123 (Salmon et al.), kat_vectors of philox4x32_10. */
TEST(cipher_gives_the_published_answers) {
  static const uint32_t known[3][10] = {
      {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
      {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d,
       0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
      {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
       0x94fdcceb, 0x5001e420, 0x24126ea1}};
  for (int i = 0; i < 3; i++) {
    const uint32_t *k = known[i];
    const tvi_philox_block block = tvi_philox(k[0], k[1], k[2], k[3], k[4], k[5]);
    for (int j = 0; j < 4; j++) EQUAL(block.word[j], k[6 + j]);
  }
}

/* Element i is word i mod 4 of block i / 4: of key 0, from the first known answer on. */
TEST(uniform_elements_are_words_in_order) {
  const tv_key key = tv_key_from_seed(0);
  EQUAL(key.stream, 0);
  tv_tensor *x = OK(tv_random_uniform(key, TV_F32, TV_SHAPE(7)));
  const float *u = tv_tensor_data(x);
  static const uint32_t words[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  for (int i = 0; i < 4; i++) CHECK(u[i] == (float)(words[i] >> 8) * 0x1p-24f);
  const tvi_philox_block next = tvi_philox_at(0, 0, 1);
  for (int i = 4; i < 7; i++) CHECK(u[i] == (float)(next.word[i - 4] >> 8) * 0x1p-24f);
  const double *d = tv_tensor_data(OK(tv_random_uniform(key, TV_F64, TV_SHAPE(3))));
  CHECK(d[0] == ((double)(words[0] >> 5) * 0x1p26 + (words[1] >> 6)) * 0x1p-53);
  CHECK(d[1] == ((double)(words[2] >> 5) * 0x1p26 + (words[3] >> 6)) * 0x1p-53);
  CHECK(d[2] == ((double)(next.word[0] >> 5) * 0x1p26 + (next.word[1] >> 6)) * 0x1p-53);
  HOLDS(tv_random_uniform(key, TV_F16, TV_SHAPE(1)), (words[0] >> 21) * 0x1p-11);
  HOLDS(tv_random_uniform(key, TV_BF16, TV_SHAPE(1)), (words[0] >> 24) * 0x1p-8);
}

TEST(elements_do_not_depend_on_the_shape) {
  const tv_key key = {42, 7};
  static const tv_dtype dtypes[] = {TV_F16, TV_BF16, TV_F32, TV_F64};
  for (int k = 0; k < 4; k++) {
    tv_tensor *(*const draws[])(tv_key, tv_dtype, int, const int64_t *) = {tv_random_uniform,
                                                                           tv_random_normal};
    for (int d = 0; d < 2; d++) {
      tv_tensor *large = OK(draws[d](key, dtypes[k], TV_SHAPE(70000)));
      SAME(tv_slice(large, ":15"),
           tv_reshape(draws[d](key, dtypes[k], TV_SHAPE(3, 5)), TV_SHAPE(15)));
      SAME(draws[d](key, dtypes[k], TV_SHAPE(70000)), large);
    }
  }
  SHAPE_IS(tv_random_normal(key, TV_F32, TV_SHAPE(0, 3)), TV_SHAPE(0, 3));
  SHAPE_IS(tv_random_uniform(key, TV_F32, TV_SCALAR_SHAPE), TV_SCALAR_SHAPE);
}

static double moment(tv_tensor *x, int power) {
  double value = nan("");
  x = tv_astype(x, TV_F64);
  tv_tensor *y = x;
  while (--power) y = tv_multiply(y, x);
  tv_item_f64(tv_mean(y, TV_ALL_AXES), &value);
  return value;
}

/* Of n draws: bounds are five deviations of the estimate. */
TEST(moments_are_those_of_the_distribution) {
  enum { N = 100000 };
  static const tv_dtype dtypes[] = {TV_F32, TV_F64};
  for (int k = 0; k < 2; k++) {
    tv_tensor *u = OK(tv_random_uniform(tv_key_from_seed(1), dtypes[k], TV_SHAPE(N)));
    CHECK(fabs(moment(u, 1) - .5) < 5 * sqrt(1. / 12 / N));
    CHECK(fabs(moment(u, 2) - 1. / 3) < 5 * sqrt(4. / 45 / N));
    double bound;
    OK(tv_item_f64(tv_max(u, TV_ALL_AXES), &bound));
    CHECK(bound < 1);
    OK(tv_item_f64(tv_min(u, TV_ALL_AXES), &bound));
    CHECK(bound >= 0);
    tv_tensor *z = OK(tv_random_normal(tv_key_from_seed(1), dtypes[k], TV_SHAPE(N)));
    CHECK(fabs(moment(z, 1)) < 5 * sqrt(1. / N));
    CHECK(fabs(moment(z, 2) - 1) < 5 * sqrt(2. / N));
    CHECK(fabs(moment(z, 3)) < 5 * sqrt(15. / N));
    CHECK(fabs(moment(z, 4) - 3) < 5 * sqrt(96. / N));
    CHECK(!isnan(moment(z, 1)));
  }
}

TEST(folded_keys_differ) {
  const tv_key key = tv_key_from_seed(3);
  enum { N = 64 };
  uint64_t streams[N];
  for (uint64_t n = 0; n < N; n++) {
    const tv_key folded = tv_key_fold(key, n), again = tv_key_fold(key, n);
    EQUAL(folded.seed, 3);
    CHECK(folded.stream == again.stream && folded.stream != key.stream);
    for (uint64_t m = 0; m < n; m++) CHECK(streams[m] != folded.stream);
    streams[n] = folded.stream;
    /* Not one of the numbers that the key itself gives. */
    const tvi_philox_block own = tvi_philox_at(key.seed, key.stream, n);
    CHECK(folded.stream != tvi_draw_u64(own.word[0], own.word[1]));
  }
  CHECK(tv_key_fold(tv_key_fold(key, 1), 2).stream != tv_key_fold(tv_key_fold(key, 2), 1).stream);
  tv_tensor *a = OK(tv_random_uniform(tv_key_fold(key, 0), TV_F32, TV_SHAPE(100)));
  tv_tensor *b = OK(tv_random_uniform(tv_key_fold(key, 1), TV_F32, TV_SHAPE(100)));
  HOLDS(tv_sum(tv_equal(a, b), TV_ALL_AXES), 0);
}

TEST(permutation_is_the_order_of_its_draws) {
  enum { N = 1000 };
  const tv_key key = {9, 1};
  tv_tensor *p = OK(tv_random_permutation(key, N));
  EQUAL(tv_tensor_dtype(p), TV_I64);
  const int64_t *order = tv_tensor_data(p);
  bool seen[N] = {false};
  uint64_t before = 0;
  for (int i = 0; i < N; i++) {
    CHECK(order[i] >= 0 && order[i] < N && !seen[order[i]]);
    seen[order[i]] = true;
    const uint64_t at = (uint64_t)order[i];
    const tvi_philox_block block = tvi_philox_at(9, 1, at / 2);
    const uint64_t draw = tvi_draw_u64(block.word[2 * (at % 2)], block.word[2 * (at % 2) + 1]);
    CHECK(i == 0 || before <= draw);
    before = draw;
  }
  SHAPE_IS(tv_random_permutation(key, 0), TV_SHAPE(0));
  HOLDS(tv_random_permutation(key, 1), 0);
}

TEST(draws_refuse) {
  const tv_key key = tv_key_from_seed(0);
  FAILS(TV_EDTYPE, "random_uniform: draws real floating dtypes, not int32",
        tv_random_uniform(key, TV_I32, TV_SHAPE(2)));
  FAILS(TV_EDTYPE, "random_normal: draws real floating dtypes, not complex64",
        tv_random_normal(key, TV_C64, TV_SHAPE(2)));
  FAILS(TV_EDTYPE, "random_normal: draws real floating dtypes, not none",
        tv_random_normal(key, TV_DTYPE_NONE, TV_SHAPE(2)));
  FAILS(TV_ESHAPE, "random_normal: negative size in shape [-2]",
        tv_random_normal(key, TV_F32, TV_SHAPE(-2)));
  FAILS(TV_EVALUE, "random_permutation: n is -1", tv_random_permutation(key, -1));
}

TEST_MAIN("random", CASE(cipher_gives_the_published_answers),
          CASE(uniform_elements_are_words_in_order), CASE(elements_do_not_depend_on_the_shape),
          CASE(moments_are_those_of_the_distribution), CASE(folded_keys_differ),
          CASE(permutation_is_the_order_of_its_draws), CASE(draws_refuse))
