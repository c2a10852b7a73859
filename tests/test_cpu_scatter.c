/* SPDX-License-Identifier: MIT
 * The slot that writes rows by index: against one loop, over row lengths on both sides of every
 * choice that it makes, with duplicates, on any number of threads. */
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "op.h"
/* After op.h, which has a TEST of its own. */
#include "check.h"

static void rows_of(int64_t n, int64_t k, int64_t inner, int op) {
  const tv_dtype dtype = inner == 1 ? TV_U8 : TV_F32;
  const int64_t item = inner == 1 ? 1 : 4;
  int64_t *const at = malloc((size_t)k * sizeof *at);
  char *const in = malloc((size_t)(k * inner * item));
  char *const want = malloc((size_t)(n * inner * item)), *const got =
                                                             malloc((size_t)(n * inner * item));
  CHECK(at && in && want && got);
  for (int64_t i = 0; i < k; i++) at[i] = (i * 7919 + i / 3) % n;
  for (int64_t i = 0; i < k * inner; i++)
    if (item == 1)
      ((uint8_t *)in)[i] = (uint8_t)(i % 5);
    else
      ((float *)(void *)in)[i] = (float)(i % 1009) / 8;
  memset(want, 0, (size_t)(n * inner * item));
  memset(got, 0, (size_t)(n * inner * item));
  for (int is_row = 0; is_row < 2; is_row++) {
    for (int64_t i = 0; i < k; i++)
      for (int64_t j = 0; j < inner; j++) {
        const int64_t to = at[i] * inner + j, from = (is_row ? 0 : i * inner) + j;
        if (item == 1)
          ((uint8_t *)want)[to] =
              (uint8_t)((op < 0 ? 0 : ((uint8_t *)want)[to]) + ((uint8_t *)in)[from]);
        else
          ((float *)(void *)want)[to] =
              (op < 0 ? 0 : ((float *)(void *)want)[to]) + ((float *)(void *)in)[from];
      }
    const tv_scatter job = {.dtype = dtype,
                            .op = op,
                            .in_is_row = is_row,
                            .n = n,
                            .k = k,
                            .inner = inner,
                            .in = in,
                            .indices = at,
                            .out = got};
    OK(tvi_cpu_scatter(NULL, &job, NULL));
    if (memcmp(got, want, (size_t)(n * inner * item)))
      check_fail(CHECK_HERE, "n %d, k %d, inner %d, op %d", (int)n, (int)k, (int)inner, op);
  }
  free(at);
  free(in);
  free(want);
  free(got);
}

TEST(rows_are_written_in_order) {
  static const int64_t inners[] = {1, 2, 3, 4, 5, 31, 32, 33, 64, 100};
  for (int op = -1; op <= (int)TVI_OP_add; op += (int)TVI_OP_add + 1)
    for (size_t k = 0; k < sizeof inners / sizeof *inners; k++) {
      rows_of(1, 3, inners[k], op);
      rows_of(70, 1000, inners[k], op);
      rows_of(3000, 5000, inners[k], op);
    }
}

TEST(long_rows_are_cut) {
  for (int op = -1; op <= (int)TVI_OP_add; op += (int)TVI_OP_add + 1) {
    rows_of(3, 10, 5000, op);
    rows_of(5, 300, 4096, op);
  }
}

TEST(nothing_to_write) {
  const tv_scatter job = {.dtype = TV_F32, .op = -1, .n = 3, .k = 0, .inner = 2};
  OK(tvi_cpu_scatter(NULL, &job, NULL));
}

TEST_MAIN("cpu_scatter", CASE(rows_are_written_in_order), CASE(long_rows_are_cut),
          CASE(nothing_to_write))
