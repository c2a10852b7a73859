/* SPDX-License-Identifier: MIT
 * argsort of the GPU: the stable order, whatever digits the keys share and however many there are.
 */
#include "cuda_slots.h"

static void compare(const uint64_t *keys, int64_t n) {
  int64_t *const want = malloc((size_t)n * 8 + 8);
  CHECK(want);
  OK(tvi_cpu_argsort_u64(NULL, keys, n, want, NULL));
  const uint64_t *const on_gpu = gpu_new(keys, n * 8, 0);
  int64_t *const out = gpu_new(NULL, n * 8, 0);
  GPU(argsort_u64, on_gpu, n, out);
  if (!gpu_agrees(TV_I64, out, want, n))
    check_fail(CHECK_HERE, "%lld keys, the first %llx", (long long)n, (unsigned long long)keys[0]);
  gpu_release_all();
  free(want);
}

static const int64_t sizes[] = {0, 1, 2, 31, 33, 255, 257, 4095, 4096, 4097, 9000};
enum { SIZES = sizeof sizes / sizeof *sizes, MOST = 9000 };
static uint64_t keys[40 * 4096 + 1];

TEST(keys_of_all_widths) {
  static const uint64_t masks[] = {
      ~UINT64_C(0), 0, 3, 0xff00, UINT64_C(0xff00000000000000), UINT64_C(0xffffffff00000000)};
  for (size_t mask = 0; mask < sizeof masks / sizeof *masks; mask++)
    for (int size = 0; size < SIZES; size++) {
      for (int64_t i = 0; i < sizes[size]; i++) keys[i] = cpu_random() & masks[mask];
      compare(keys, sizes[size]);
    }
}

TEST(keys_in_order_and_against_it) {
  for (int64_t i = 0; i < MOST; i++) keys[i] = (uint64_t)i;
  compare(keys, MOST);
  for (int64_t i = 0; i < MOST; i++) keys[i] = (uint64_t)(MOST - i) << 20;
  compare(keys, MOST);
}

/* More tiles than a thread of a scan takes. */
TEST(many_tiles) {
  const int64_t n = sizeof keys / sizeof *keys;
  for (int64_t i = 0; i < n; i++) keys[i] = cpu_random() & 0x3f03;
  compare(keys, n);
}

TEST_MAIN("cuda_sort", CASE(keys_of_all_widths), CASE(keys_in_order_and_against_it),
          CASE(many_tiles))
