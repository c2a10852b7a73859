/* SPDX-License-Identifier: MIT
 * Random numbers of the GPU have the bits of the CPU, from any first element on. */
#include "cuda_slots.h"

static void compare(tv_distribution distribution, tv_dtype dtype, int64_t first, int64_t n,
                    int64_t skip) {
  const int64_t bytes = n * tvi_item(dtype);
  char *const want = malloc((size_t)bytes + 1);
  CHECK(want);
  tv_random job = {distribution, dtype, {UINT64_C(0x123456789abcdef0), 77}, first, n, want};
  OK(tvi_cpu_random(NULL, &job, NULL));
  job.out = gpu_new(NULL, bytes, skip * tvi_item(dtype));
  GPU(random, &job);
  if (memcmp(gpu_read(job.out), want, (size_t)bytes))
    check_fail(CHECK_HERE, "distribution %d of dtype %d, %lld from %lld", (int)distribution,
               (int)dtype, (long long)n, (long long)first);
  gpu_release_all();
  free(want);
}

static const struct {
  tv_distribution distribution;
  tv_dtype dtype;
} draws[] = {{TV_RANDOM_BITS, TV_U32},     {TV_RANDOM_BITS, TV_U64},    {TV_RANDOM_UNIFORM, TV_F16},
             {TV_RANDOM_UNIFORM, TV_BF16}, {TV_RANDOM_UNIFORM, TV_F32}, {TV_RANDOM_UNIFORM, TV_F64},
             {TV_RANDOM_NORMAL, TV_F16},   {TV_RANDOM_NORMAL, TV_BF16}, {TV_RANDOM_NORMAL, TV_F32},
             {TV_RANDOM_NORMAL, TV_F64}};

TEST(all_draws) {
  for (size_t i = 0; i < sizeof draws / sizeof *draws; i++)
    for (int64_t first = 0; first < 9; first += 1 + (first == 5) * 2)
      for (int64_t n = 0; n < 5000; n = n * 7 + 1)
        compare(draws[i].distribution, draws[i].dtype, first, n, first & 1);
  for (size_t i = 0; i < sizeof draws / sizeof *draws; i++)
    compare(draws[i].distribution, draws[i].dtype, (INT64_C(1) << 40) + 3, 1000, 0);
}

TEST(refuses_what_is_no_draw) {
  tv_random job = {TV_RANDOM_BITS, TV_F32, {1, 2}, 0, 4, NULL};
  FAILS_STATUS(TV_EUNSUPPORTED, "random: not a dtype to draw",
               gpu()->backend.random(gpu()->self, &job, NULL));
}

TEST_MAIN("cuda_random", CASE(all_draws), CASE(refuses_what_is_no_draw))
