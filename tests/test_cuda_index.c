/* SPDX-License-Identifier: MIT
 * gather, scatter_add, scatter, find_bad_index and sequence of the GPU, bit for bit those of the
 * CPU. */
#include <string.h>

#include "op.h"
/* After op.h, which has a TEST of its own. */
#include "cuda_slots.h"

/* skip: elements before the block, which make vectors narrower. */
static void compare(bool scatters, tv_dtype dtype, int64_t outer, int64_t n, int64_t k,
                    int64_t inner, int64_t skip) {
  const int64_t item = tvi_item(dtype), table = outer * n * inner, picked = outer * k * inner;
  const int64_t in_size = scatters ? picked : table, out_size = scatters ? table : picked;
  cpu_array in = cpu_array_new(dtype, 1, &in_size, DENSE);
  cpu_array out = cpu_array_new(dtype, 1, &out_size, DENSE);
  int64_t *const indices = malloc((size_t)k * 8 + 8);
  CHECK(indices);
  cpu_fill(dtype, &in, 1, &in_size, !scatters);
  cpu_fill(dtype, &out, 1, &out_size, false);
  for (int64_t i = 0; i < k; i++) indices[i] = (int64_t)(cpu_random() % (uint64_t)n);
  tv_gather job = {dtype, outer, n, k, inner, in.data, indices, NULL};
  job.in = gpu_new(in.data, in_size * item, skip * item);
  job.indices = gpu_new(indices, k * 8, 0);
  job.out = gpu_new(scatters ? out.data : NULL, out_size * item, skip * item);
  if (scatters)
    GPU(scatter_add, &job);
  else
    GPU(gather, &job);
  const tv_gather same = {dtype, outer, n, k, inner, in.data, indices, out.data};
  OK(scatters ? tvi_cpu_scatter_add(NULL, &same, NULL) : tvi_cpu_gather(NULL, &same, NULL));
  if (!gpu_agrees(dtype, job.out, out.data, out_size))
    check_fail(CHECK_HERE, "%s of dtype %d: [%lld, %lld of %lld, %lld]",
               scatters ? "scatter_add" : "gather", (int)dtype, (long long)outer, (long long)k,
               (long long)n, (long long)inner);
  gpu_release_all();
  cpu_array_free(&in);
  cpu_array_free(&out);
  free(indices);
}

TEST(rows_are_gathered) {
  for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++) {
    compare(false, dtype, 1, 10, 300, 1, 0);
    compare(false, dtype, 3, 7, 20, 5, 1);
    compare(false, dtype, 2, 4, 9, 48, 0);
    compare(false, dtype, 2, 4, 9, 48, 1);
    compare(false, dtype, 2, 4, 0, 3, 0);
    compare(false, dtype, 2, 4, 3, 0, 0);
  }
}

/* Duplicates are added in order: few rows for many indices. */
TEST(scatters_add_in_order) {
  for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++) {
    compare(true, dtype, 1, 10, 300, 1, 0);
    compare(true, dtype, 3, 7, 40, 5, 0);
    compare(true, dtype, 2, 1, 70, 3, 1);
    compare(true, dtype, 1, 4, 0, 3, 0);
    compare(true, dtype, 0, 4, 3, 3, 0);
  }
  compare(true, TV_F32, 1, 70000, 6000, 2, 0);
  compare(true, TV_F32, 2, 300, 9000, 3, 0);
}

/* Any update of rows, and rows that are set: the bits of the CPU. */
static void compare_updates(const char *op, tv_dtype dtype, int64_t n, int64_t k, int64_t inner,
                            bool is_row, int64_t skip) {
  const int64_t item = tvi_item(dtype), out_size = n * inner, in_size = is_row ? inner : k * inner;
  int row = -1;
  for (int at = 0; op && at < TVI_OP_COUNT; at++)
    if (!strcmp(tvi_op_info[at].name, op)) row = at;
  if (op && tvi_op_dtype(row, dtype) != dtype) return;
  cpu_array in = cpu_array_new(dtype, 1, &in_size, DENSE);
  cpu_array out = cpu_array_new(dtype, 1, &out_size, DENSE);
  int64_t *const indices = malloc((size_t)k * 8 + 8);
  CHECK(indices);
  cpu_fill(dtype, &in, 1, &in_size, !op);
  cpu_fill(dtype, &out, 1, &out_size, false);
  for (int64_t i = 0; i < k; i++) indices[i] = (int64_t)(cpu_random() % (uint64_t)n);
  tv_scatter job = {dtype, row, is_row, n, k, inner, NULL, NULL, NULL};
  job.in = gpu_new(in.data, in_size * item, skip * item);
  job.indices = gpu_new(indices, k * 8, 0);
  job.out = gpu_new(out.data, out_size * item, skip * item);
  GPU(scatter, &job);
  const tv_scatter same = {dtype, row, is_row, n, k, inner, in.data, indices, out.data};
  OK(tvi_cpu_scatter(NULL, &same, NULL));
  if (!gpu_agrees(dtype, job.out, out.data, out_size))
    check_fail(CHECK_HERE, "scatter %s of dtype %d: [%lld of %lld, %lld]", op ? op : "set",
               (int)dtype, (long long)k, (long long)n, (long long)inner);
  gpu_release_all();
  cpu_array_free(&in);
  cpu_array_free(&out);
  free(indices);
}

TEST(rows_are_updated_in_order) {
  static const char *const ops[] = {NULL,     "add",     "subtract", "multiply",
                                    "divide", "minimum", "maximum"};
  for (size_t op = 0; op < sizeof ops / sizeof *ops; op++)
    for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++)
      for (int is_row = 0; is_row < 2; is_row++) {
        compare_updates(ops[op], (tv_dtype)dtype, 10, 40, 1, is_row, 0);
        compare_updates(ops[op], (tv_dtype)dtype, 7, 20, 5, is_row, 1);
        compare_updates(ops[op], (tv_dtype)dtype, 400, 30, 16, is_row, 0);
        compare_updates(ops[op], (tv_dtype)dtype, 3, 0, 4, is_row, 0);
        compare_updates(ops[op], (tv_dtype)dtype, 3, 5, 0, is_row, 0);
      }
}

TEST(the_lowest_bad_index_is_found) {
  enum { N = 9000 };
  static int64_t indices[N];
  int64_t position = 0, value = 0;
  for (int64_t bad = -1; bad < N; bad = bad < 0 ? 0 : bad * 5 + 1) {
    for (int64_t i = 0; i < N; i++) indices[i] = i % 7;
    if (bad >= 0) indices[bad] = bad % 2 ? -3 : 7, indices[N - 1] = 100;
    const int64_t *const on_gpu = gpu_new(indices, sizeof indices, 0);
    GPU(find_bad_index, on_gpu, N, 0, 7, &position, &value);
    EQUAL(position, bad);
    if (bad >= 0) EQUAL(value, indices[bad]);
    gpu_release_all();
  }
  GPU(find_bad_index, NULL, 0, 0, 7, &position, &value);
  EQUAL(position, -1);
}

TEST(a_bad_index_is_named) {
  tv_tensor *const x = tv_to(tv_arange(TV_F32, 0, 12, 1), cuda());
  tv_tensor *const at = tv_to(tv_arange_int(TV_I64, 1, -27, -14), cuda());
  FAILS(TV_EINDEX, "take: index -13 at position 1 is out of range of 12", tv_take(x, at, 0));
}

/* Elements never change: what was in range is not asked again, nor waited for. */
TEST(indices_are_looked_at_once) {
  fakecuda_counts before, after;
  tv_tensor *const x = tv_to(tv_arange(TV_F32, 0, 12, 1), cuda());
  tv_tensor *const at = OK(tv_to(tv_arange_int(TV_I32, 0, 5, 1), cuda()));
  OK(tv_take(x, at, 0));
  const bool counts = fake_counts(&before);
  tv_tensor *const y = OK(tv_take(x, at, 0));
  fake_counts(&after);
  if (counts) EQUAL(after.copies_out - before.copies_out, 0);
  HOLDS(tv_to(y, TV_CPU), 0, 1, 2, 3, 4);
  FAILS(TV_EINDEX, "take: index 3 at position 3 is out of range of 3",
        tv_take(tv_slice(x, ":3"), at, 0));
  HOLDS(tv_to(tv_take(tv_slice(x, ":5"), at, 0), TV_CPU), 0, 1, 2, 3, 4);
}

TEST(sequences) {
  for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++)
    for (int64_t n = 0; n < 3000; n = n * 9 + 1) {
      cpu_array want = cpu_array_new(dtype, 1, &n, DENSE);
      tv_sequence job = {dtype, n, want.data, 0.3, 1.7, INT64_MAX - 4, 37};
      OK(tvi_cpu_sequence(NULL, &job, NULL));
      job.out = gpu_new(NULL, n * tvi_item(dtype), 0);
      GPU(sequence, &job);
      CHECK(gpu_agrees(dtype, job.out, want.data, n));
      gpu_release_all();
      cpu_array_free(&want);
    }
}

TEST_MAIN("cuda_index", CASE(rows_are_gathered), CASE(scatters_add_in_order),
          CASE(rows_are_updated_in_order), CASE(the_lowest_bad_index_is_found),
          CASE(a_bad_index_is_named), CASE(indices_are_looked_at_once), CASE(sequences))
