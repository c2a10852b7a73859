/* SPDX-License-Identifier: MIT
 * Reductions of the GPU, bit for bit those of the CPU: every dtype, layout and kernel, and lengths
 * around what a lane, a run, a node and a join take. */
#include "cuda_slots.h"

/* Some elements are NaN and signed zeros if `wild`. */
static void compare(tv_reduction reduction, tv_dtype dtype, tv_dtype out_dtype, int rank, int kept,
                    const int64_t *shape, int layout, bool wild) {
  const int64_t results = cpu_size(kept, shape), bytes = results * tvi_item(out_dtype);
  cpu_array in = cpu_array_new(dtype, rank, shape, layout);
  cpu_fill(dtype, &in, rank, shape, wild);
  char *const want = malloc((size_t)bytes + 1);
  CHECK(want);
  tv_reduce job = {.reduction = reduction,
                   .dtype = dtype,
                   .out_dtype = out_dtype,
                   .rank = rank,
                   .kept = kept,
                   .shape = shape,
                   .in = {.data = in.data, .steps = in.steps},
                   .out = want};
  OK(tvi_cpu_reduce(NULL, &job, NULL));
  char *const block = gpu_new(in.block, in.bytes, 0);
  job.in.data = block + (in.data - in.block);
  job.out = gpu_new(NULL, bytes, 0);
  GPU(reduce, &job);
  if (!gpu_agrees(out_dtype, job.out, want, results)) {
    const char *const got = gpu_read(job.out);
    int64_t i = 0;
    const int64_t item = tvi_item(out_dtype);
    while (cpu_same(out_dtype, got + i * item, want + i * item)) i++;
    check_fail(CHECK_HERE, "reduction %d of dtype %d, rank %d, shape [%lld, ...], layout %d: %lld",
               (int)reduction, (int)dtype, rank, (long long)(rank ? shape[0] : 0), layout,
               (long long)i);
  }
  gpu_release_all();
  free(want);
  cpu_array_free(&in);
}

static tv_dtype result_of(tv_reduction reduction, tv_dtype dtype) {
  return reduction >= TV_REDUCE_ARGMAX ? TV_I64 : dtype;
}

static bool exists(tv_reduction reduction, int dtype) {
  return reduction == TV_REDUCE_SUM || dtype < TV_C64;
}

static const struct {
  int rank, kept;
  int64_t shape[5];
} cases[] = {
    {0, 0, {0}},
    {1, 0, {1}},
    {1, 0, {15}},
    {1, 0, {31}},
    {1, 0, {33}},
    {1, 0, {511}},
    {1, 0, {513}},
    {1, 0, {5000}},
    {2, 1, {3, 16}},
    {2, 1, {1000, 3}},
    {2, 1, {40, 40}},
    {2, 1, {7, 1030}},
    {2, 1, {2, 9000}},
    {3, 1, {7, 20, 30}},
    {3, 2, {4, 5, 60}},
    {4, 2, {3, 2, 50, 40}},
    {5, 3, {2, 1, 3, 1, 90}},
    {2, 2, {3, 4}},
    {3, 1, {10, 30, 40}},
    {2, 1, {0, 5}},
};
enum { CASES = sizeof cases / sizeof *cases };

TEST(all_dtypes_layouts_and_kernels) {
  for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++)
    for (tv_reduction reduction = TV_REDUCE_SUM; reduction <= TV_REDUCE_ARGMIN; reduction++)
      for (size_t c = 0; c < CASES && exists(reduction, dtype); c++)
        compare(reduction, dtype, result_of(reduction, dtype), cases[c].rank, cases[c].kept,
                cases[c].shape, (int)(c + (size_t)dtype) % LAYOUTS, (c & 1) != 0);
}

TEST(all_layouts_of_floats) {
  for (int layout = 0; layout < LAYOUTS; layout++)
    for (size_t c = 0; c < CASES; c++)
      for (tv_reduction reduction = TV_REDUCE_SUM; reduction <= TV_REDUCE_ARGMIN; reduction++)
        compare(reduction, TV_F32, result_of(reduction, TV_F32), cases[c].rank, cases[c].kept,
                cases[c].shape, layout, true);
}

/* Nodes: of 16 and of 64 runs, full and not, joined by threads and by blocks. */
TEST(long_lines) {
  static const int64_t lengths[] = {16 * 512, 16 * 512 + 1, 32768,          32769,
                                    65536,    32768 * 3,    32768 * 6 + 77, 17 * 16 * 512 + 5};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
    for (int layout = DENSE; layout <= SPACED; layout++) {
      compare(TV_REDUCE_SUM, TV_F32, TV_F32, 1, 0, &lengths[i], layout, false);
      compare(TV_REDUCE_SUM, TV_BF16, TV_F32, 1, 0, &lengths[i], layout, false);
      compare(TV_REDUCE_ARGMAX, TV_F32, TV_I64, 1, 0, &lengths[i], layout, false);
    }
  compare(TV_REDUCE_SUM, TV_C128, TV_C128, 1, 0, &lengths[6], DENSE, false);
  compare(TV_REDUCE_SUM, TV_U8, TV_U8, 1, 0, &lengths[7], DENSE, false);
  compare(TV_REDUCE_SUM, TV_F32, TV_F32, 2, 1, (const int64_t[]){3, 300000}, DENSE, false);
  compare(TV_REDUCE_SUM, TV_F32, TV_F32, 2, 1, (const int64_t[]){300, 40000}, DENSE, false);
}

TEST(long_columns) {
  for (int64_t n = 511; n < 20000; n = n * 3 + 1)
    for (int layout = DENSE; layout <= FORTRAN; layout++) {
      compare(TV_REDUCE_SUM, TV_F32, TV_F32, 2, 1, (const int64_t[]){40, n}, layout, false);
      compare(TV_REDUCE_SUM, TV_F64, TV_F64, 2, 1, (const int64_t[]){5, n}, layout, false);
      compare(TV_REDUCE_ARGMIN, TV_I32, TV_I64, 2, 1, (const int64_t[]){40, n}, layout, false);
    }
  compare(TV_REDUCE_SUM, TV_F16, TV_F16, 2, 1, (const int64_t[]){9, 512 * 300 + 3}, FORTRAN, false);
  compare(TV_REDUCE_SUM, TV_F32, TV_F32, 4, 2, (const int64_t[]){3, 20, 41, 37}, FORTRAN, false);
}

TEST(nothing_and_one_value) {
  compare(TV_REDUCE_SUM, TV_F32, TV_F32, 2, 1, (const int64_t[]){3, 0}, DENSE, false);
  compare(TV_REDUCE_SUM, TV_BOOL, TV_BOOL, 2, 1, (const int64_t[]){3, 0}, DENSE, false);
  compare(TV_REDUCE_SUM, TV_I8, TV_I8, 1, 0, (const int64_t[]){0}, DENSE, false);
  compare(TV_REDUCE_SUM, TV_F16, TV_F32, 2, 1, (const int64_t[]){0, 3}, DENSE, false);
  const double minus = -0.0;
  const int64_t steps[] = {0};
  tv_reduce job = {.reduction = TV_REDUCE_SUM,
                   .dtype = TV_F64,
                   .out_dtype = TV_F64,
                   .rank = 1,
                   .shape = (const int64_t[]){600},
                   .in = {.data = gpu_new(&minus, 8, 0), .steps = steps},
                   .out = gpu_new(NULL, 8, 0)};
  GPU(reduce, &job);
  CHECK(gpu_agrees(TV_F64, job.out, &minus, 1));
  gpu_release_all();
}

/* Of the public functions, with axes in any order. */
TEST(public_reductions_agree) {
  tv_tensor *const x = tv_random_normal((tv_key){3, 4}, TV_F32, TV_SHAPE(6, 50, 7));
  OK(x);
  tv_tensor *const y = tv_to(x, cuda());
  for (int axis = 0; axis < 3; axis++) {
    SAME(tv_to(tv_sum(y, TV_AXES(axis)), TV_CPU), tv_sum(x, TV_AXES(axis)));
    SAME(tv_to(tv_argmax(y, TV_AXES(axis)), TV_CPU), tv_argmax(x, TV_AXES(axis)));
    SAME(tv_to(tv_min(y, TV_AXES(axis)), TV_CPU), tv_min(x, TV_AXES(axis)));
  }
  SAME(tv_to(tv_sum(y, TV_AXES(0, 2)), TV_CPU), tv_sum(x, TV_AXES(0, 2)));
  SAME(tv_to(tv_mean(y, TV_ALL_AXES), TV_CPU), tv_mean(x, TV_ALL_AXES));
}

TEST_MAIN("cuda_reduce", CASE(all_dtypes_layouts_and_kernels), CASE(all_layouts_of_floats),
          CASE(long_lines), CASE(long_columns), CASE(nothing_and_one_value),
          CASE(public_reductions_agree))
