/* SPDX-License-Identifier: MIT
 * argsort_u64 of the CPU, against the definition of a stable ascending order, which is checked pair
 * by pair: sizes around those of chunks, keys that share digits, equal keys, any number of threads.
 */
#include "cpu_job.h"

static void check_order(const char *what, const uint64_t *keys, int64_t n) {
  static const int threads[] = {1, 2, 3, 7};
  int64_t *const first = malloc((size_t)(n + 1) * 8), *const out = malloc((size_t)(n + 1) * 8);
  char *const is_seen = calloc(1, (size_t)n + 1);
  CHECK(first && out && is_seen);
  for (int k = 0; k < 4; k++) {
    OK(tv_threads_set(threads[k]));
    OK(tvi_cpu_argsort_u64(NULL, keys, n, k ? out : first, NULL));
    if (k) CHECK(!memcmp(out, first, (size_t)n * 8));
  }
  OK(tv_threads_set(0));
  for (int64_t i = 0; i < n; i++) {
    if (first[i] < 0 || first[i] >= n || is_seen[first[i]]++)
      check_fail(CHECK_HERE, "%s: no permutation at %lld of %lld", what, (long long)i,
                 (long long)n);
    if (i == 0) continue;
    const uint64_t a = keys[first[i - 1]], b = keys[first[i]];
    if (a > b || (a == b && first[i - 1] > first[i]))
      check_fail(CHECK_HERE, "%s: out of order at %lld of %lld", what, (long long)i, (long long)n);
  }
  free(is_seen);
  free(out);
  free(first);
}

TEST(keys_of_all_kinds_are_ordered) {
  static const int64_t sizes[] = {0, 1, 2, 48, 49, 1000, 65535, 65536, 65537, 200001};
  static const char *const kinds[] = {"any",   "small",  "high digit", "two digits",
                                      "equal", "sorted", "descending"};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int kind = 0; kind < 7; kind++) {
      const int64_t n = sizes[s];
      uint64_t *const keys = malloc((size_t)(n + 1) * 8);
      CHECK(keys);
      for (int64_t i = 0; i < n; i++) {
        const uint64_t x = cpu_random();
        keys[i] = kind == 0   ? x
                  : kind == 1 ? x % 100
                  : kind == 2 ? x << 56 | 77
                  : kind == 3 ? (x & UINT64_C(0xff0000ff0000)) | 5
                  : kind == 4 ? 42
                  : kind == 5 ? (uint64_t)i
                              : (uint64_t)(n - i) << 20;
      }
      check_order(kinds[kind], keys, n);
      free(keys);
    }
}

TEST(no_memory_is_said) {
  static uint64_t keys[100];
  static int64_t out[100];
  for (int64_t fail = 1; fail <= 2; fail++) {
    tvi_memory_fail(fail, false);
    FAILS_STATUS(TV_ENOMEM, "argsort: no memory on cpu for 3200 bytes",
                 tvi_cpu_argsort_u64(NULL, keys, 100, out, NULL));
    tvi_memory_fail(0, false);
  }
}

TEST_MAIN("cpu_sort", CASE(keys_of_all_kinds_are_ordered), CASE(no_memory_is_said))
