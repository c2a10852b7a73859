/* SPDX-License-Identifier: MIT
 * Rows by a mask on the CPU: every item and width, on any number of threads. */
#include "cpu_job.h"

/* A mask of n bytes of which `share` in 256 are not 0: 1, or for the loops' sake anything. */
static uint8_t *mask_of(int64_t n, int share, bool is_wild) {
  uint8_t *const mask = malloc((size_t)n + 1);
  CHECK(mask);
  for (int64_t i = 0; i < n; i++) {
    const uint64_t bits = cpu_random();
    const bool is_chosen = (int)(bits % 256) < share;
    mask[i] = (uint8_t)(is_chosen ? is_wild ? 1 + bits / 256 % 255 : 1 : 0);
  }
  return mask;
}

typedef struct {
  int64_t n, row, run;
  int share;
} selected;

/* Packed and put back by hand, against both slots; what lies around the result stays. */
static void holds(selected of) {
  enum { AROUND = 128, THREADS = 3 };
  const int64_t bytes = of.n * of.row;
  uint8_t *const mask = mask_of(of.n, of.share, of.n % 2);
  char *const in = malloc((size_t)bytes + 1), *const back = calloc(1, (size_t)bytes + 1);
  char *const want = malloc((size_t)bytes + 1), *const out = malloc((size_t)bytes + 2 * AROUND);
  int64_t *const starts = malloc((size_t)(of.n / of.run + 1) * 8);
  CHECK(in && want && back && out && starts);
  int64_t count = 0;
  for (int64_t i = 0; i < bytes; i++) in[i] = (char)cpu_random();
  for (int64_t i = 0; i < of.n; i++) {
    if (!mask[i]) continue;
    memcpy(back + i * of.row, in + i * of.row, (size_t)of.row);
    memcpy(want + count++ * of.row, in + i * of.row, (size_t)of.row);
  }
  for (int threads = 1; threads <= THREADS; threads += 2) {
    tv_threads_set(threads);
    tv_select job = {.n = of.n, .row_bytes = of.row, .run = of.run, .mask = mask, .starts = starts};
    OK(tvi_cpu_select_count(NULL, &job, &job.count, NULL));
    EQUAL(job.count, count);
    memset(out, 0x5a, (size_t)bytes + 2 * AROUND);
    job.in = in;
    job.out = out + AROUND;
    OK(tvi_cpu_select(NULL, &job, NULL));
    CHECK(!memcmp(out + AROUND, want, (size_t)(count * of.row)));
    for (int64_t i = 0; i < AROUND; i++)
      CHECK(out[i] == 0x5a && out[AROUND + count * of.row + i] == 0x5a);
    memset(out, 0x5a, (size_t)bytes + 2 * AROUND);
    job.is_inverse = true;
    job.in = want;
    OK(tvi_cpu_select(NULL, &job, NULL));
    CHECK(!memcmp(out + AROUND, back, (size_t)bytes));
    for (int64_t i = 0; i < AROUND; i++) CHECK(out[i] == 0x5a && out[AROUND + bytes + i] == 0x5a);
  }
  tv_threads_set(0);
  free(mask);
  free(in);
  free(back);
  free(want);
  free(out);
  free(starts);
}

TEST(rows_are_packed_and_put_back) {
  static const int64_t rows[] = {1, 2, 3, 4, 8, 12, 16, 40}, sizes[] = {1, 15, 63, 64, 65, 1000};
  static const int shares[] = {0, 3, 128, 250, 256};
  for (int r = 0; r < 8; r++)
    for (int s = 0; s < 6; s++)
      for (int share = 0; share < 5; share++)
        holds((selected){sizes[s], rows[r], 64 * (1 + s % 3), shares[share]});
}

TEST(large_masks_are_cut_into_runs) {
  static const int64_t rows[] = {1, 2, 4, 8, 16, 100};
  for (int r = 0; r < 6; r++) {
    holds((selected){300001, rows[r], 4096, 128});
    holds((selected){200000, rows[r], 100, 2});
  }
  holds((selected){300, 70000, 16, 100});
}

TEST(a_full_mask_is_counted_without_overflow) {
  enum { N = 255 * 64 * 2 + 77 };
  uint8_t *const mask = malloc(N);
  CHECK(mask);
  memset(mask, 255, N);
  int64_t starts[1], count = 0;
  const tv_select job = {.n = N, .row_bytes = 4, .run = N, .mask = mask, .starts = starts};
  OK(tvi_cpu_select_count(NULL, &job, &count, NULL));
  EQUAL(count, N);
  EQUAL(starts[0], 0);
  free(mask);
}

TEST(nothing_is_chosen_of_nothing) {
  int64_t count = -1;
  tv_select job = {.n = 0, .row_bytes = 4, .run = 64};
  OK(tvi_cpu_select_count(NULL, &job, &count, NULL));
  EQUAL(count, 0);
  OK(tvi_cpu_select(NULL, &job, NULL));
}

TEST_MAIN("cpu_select", CASE(rows_are_packed_and_put_back), CASE(large_masks_are_cut_into_runs),
          CASE(a_full_mask_is_counted_without_overflow), CASE(nothing_is_chosen_of_nothing))
