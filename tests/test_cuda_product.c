/* SPDX-License-Identifier: MIT
 * Matrix products of integers and bool on the GPU, bit for bit those of the CPU: sizes around a
 * tile, operands in any layout, batches. */
#include "cuda_slots.h"

/* a [batch, m, k] with b [batch, k, n]; turned: their last two axes are swapped in memory. */
static void compare(tv_dtype dtype, int64_t batch, int64_t m, int64_t n, int64_t k, int layout,
                    bool a_turned, bool b_turned) {
  const int64_t a_shape[] = {batch, a_turned ? k : m, a_turned ? m : k};
  const int64_t b_shape[] = {batch, b_turned ? n : k, b_turned ? k : n};
  cpu_array a = cpu_array_new(dtype, 3, a_shape, layout);
  cpu_array b = cpu_array_new(dtype, 3, b_shape, layout);
  cpu_fill(dtype, &a, 3, a_shape, true);
  cpu_fill(dtype, &b, 3, b_shape, true);
  const int64_t size = batch * m * n, bytes = size * tvi_item(dtype);
  char *const want = malloc((size_t)bytes + 1);
  CHECK(want);
  tv_matmul_job job = {.dtype = dtype,
                       .m = m,
                       .n = n,
                       .k = k,
                       .batch_rank = 1,
                       .batch_shape = &batch,
                       .a = a.data,
                       .b = b.data,
                       .a_batch_steps = a.steps,
                       .b_batch_steps = b.steps,
                       .a_row_step = a.steps[a_turned ? 2 : 1],
                       .a_column_step = a.steps[a_turned ? 1 : 2],
                       .b_row_step = b.steps[b_turned ? 2 : 1],
                       .b_column_step = b.steps[b_turned ? 1 : 2],
                       .out = want};
  OK(tvi_cpu_matmul(NULL, &job, NULL));
  job.a = (char *)gpu_new(a.block, a.bytes, 0) + (a.data - a.block);
  job.b = (char *)gpu_new(b.block, b.bytes, 0) + (b.data - b.block);
  job.out = gpu_new(NULL, bytes, 0);
  GPU(matmul, &job);
  if (!gpu_agrees(dtype, job.out, want, size))
    check_fail(CHECK_HERE, "dtype %d, [%lld, %lld, %lld] by [%lld, %lld], layout %d", (int)dtype,
               (long long)batch, (long long)m, (long long)k, (long long)k, (long long)n, layout);
  gpu_release_all();
  free(want);
  cpu_array_free(&a);
  cpu_array_free(&b);
}

TEST(all_dtypes_and_layouts) {
  for (tv_dtype dtype = TV_BOOL; dtype <= TV_U64; dtype++)
    for (int layout = 0; layout < LAYOUTS; layout++) {
      const bool turned = (layout + (int)dtype) % 2;
      compare(dtype, 2, 33, 31, 40, layout, turned, layout & 1);
      compare(dtype, 1, 1, 70, 3, layout, false, turned);
    }
}

TEST(sizes_around_a_tile) {
  static const int64_t sizes[] = {1, 31, 32, 33, 65};
  for (int i = 0; i < 5; i++)
    for (int j = 0; j < 5; j++) compare(TV_I32, 1, sizes[i], sizes[j], sizes[(i + j) % 5], 0, 0, 0);
  compare(TV_I64, 3, 4, 5, 0, DENSE, false, false);
  compare(TV_I64, 0, 4, 5, 6, DENSE, false, false);
}

TEST_MAIN("cuda_product", CASE(all_dtypes_and_layouts), CASE(sizes_around_a_tile))
