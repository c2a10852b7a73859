// SPDX-License-Identifier: MIT
// What moves elements: transposed copies, rows by index and their gradient, rows by mask, masks,
// permutations (a sort).
#include <benchmark/benchmark.h>
#include <tensorvar/tensorvar.h>

namespace {

double element(tv_tensor *x, int64_t at) {
  double value = -1;
  tv_tensor *const flat = tv_reshape(tv_real(x), TV_SHAPE(-1));
  return tv_item_f64(tv_take(flat, tv_scalar(at), 0), &value) ? -1 : value;
}

void transposed(benchmark::State &state, tv_dtype dtype) {
  const int64_t n = state.range(0), m = state.range(1), shape[] = {n, m};
  tv_scope outer, check;
  tv_scope_begin(&outer);
  tv_tensor *const x = tv_astype(
      tv_remainder(tv_reshape(tv_arange_int(TV_I64, 0, n * m, 1), 2, shape), tv_scalar(100)),
      dtype);
  tv_scope_begin(&check);
  if (element(tv_matrix_transpose(x), n + 1) != static_cast<double>((m + 1) % 100))
    state.SkipWithError("wrong result");
  tv_scope_end(&check, nullptr);
  for (auto _ : state) {
    tv_scope scope;  // a new head each time: its copy is kept
    tv_scope_begin(&scope);
    benchmark::DoNotOptimize(tv_tensor_data(tv_matrix_transpose(x)));
    tv_scope_end(&scope, nullptr);
  }
  state.SetBytesProcessed(state.iterations() * n * m * 2 *
                          static_cast<int64_t>(tv_dtype_size(dtype)));
  tv_scope_end(&outer, nullptr);
}
#define TRANSPOSED(name, dtype)              \
  BENCHMARK_CAPTURE(transposed, name, dtype) \
      ->Args({316, 316})                     \
      ->Args({4096, 4096})                   \
      ->Args({4093, 4095})                   \
      ->UseRealTime()
TRANSPOSED(int8, TV_I8);
TRANSPOSED(float16, TV_F16);
TRANSPOSED(float32, TV_F32);
TRANSPOSED(float64, TV_F64);
TRANSPOSED(complex128, TV_C128);

void take_rows(benchmark::State &state) {
  const int64_t n = state.range(0), width = state.range(1), shape[] = {n, width};
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_tensor *const order = tv_random_permutation(tv_key{1, 3}, n);
  tv_tensor *const x =
      tv_broadcast_to(tv_expand_dims(tv_arange(TV_F32, 0, static_cast<double>(n), 1), 1), 2, shape);
  tv_tensor *const rows = tv_add(x, tv_scalar(0));
  if (element(tv_take(rows, order, 0), width) !=
      element(tv_astype(tv_astype(order, TV_F32), TV_F64), 1))
    state.SkipWithError("wrong result");
  for (auto _ : state) {
    tv_scope scope;
    tv_scope_begin(&scope);
    benchmark::DoNotOptimize(tv_tensor_data(tv_take(rows, order, 0)));
    tv_scope_end(&scope, nullptr);
  }
  state.SetBytesProcessed(state.iterations() * n * width * 8);
  tv_scope_end(&outer, nullptr);
}
BENCHMARK(take_rows)->Args({100000, 1})->Args({10000000, 1})->Args({65536, 256})->UseRealTime();

// The gradient of take: rows are added to zeros.
void add_rows(benchmark::State &state) {
  const int64_t n = state.range(0), width = state.range(1), shape[] = {n, width};
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_tensor *const order = tv_random_permutation(tv_key{1, 3}, n);
  tv_variable *const v = tv_variable_new(tv_ones(TV_F32, 2, shape), nullptr);
  double sum = 0;
  for (auto _ : state) {
    tv_scope scope;
    tv_scope_begin(&scope);
    tv_tape *const tape = tv_tape_begin(nullptr);
    tv_tensor *g = nullptr;
    tv_tape_gradient(tape, tv_take(tv_read(v), order, 0), 1, &v, &g);
    tv_tape_end(tape);
    benchmark::DoNotOptimize(tv_tensor_data(g));
    if (sum == 0 &&
        (tv_item_f64(tv_sum(g, TV_ALL_AXES), &sum) || sum != static_cast<double>(n * width)))
      state.SkipWithError("wrong result");
    tv_scope_end(&scope, nullptr);
  }
  state.SetBytesProcessed(state.iterations() * n * width * 12);
  tv_variable_release(v);
  tv_scope_end(&outer, nullptr);
}
BENCHMARK(add_rows)->Args({100000, 1})->Args({2500000, 4})->Args({39062, 256})->UseRealTime();

// 10^5 rows of 64 f32 into 10^6, in place: what a sparse write costs.
void scatter_rows(benchmark::State &state, tv_update how) {
  const int64_t n = 1000000, k = 100000, width = 64, shape[] = {n, width}, rows[] = {k, width};
  tv_scope outer, inner;
  tv_scope_begin(&outer);
  tv_scope_begin(&inner);  // nobody else holds the Variable's bytes
  tv_variable *const v = tv_variable_new(tv_ones(TV_F32, 2, shape), nullptr);
  tv_scope_end(&inner, nullptr);
  tv_tensor *const at = tv_slice(tv_random_permutation(tv_key{1, 3}, n), "0:100000");
  tv_tensor *const x = tv_full(TV_F32, 2, rows, tv_scalar(2));
  tv_scope_begin(&inner);
  tv_variable_scatter(v, how, at, x);
  if (element(tv_variable_sparse_read(v, at), k) != (how == TV_SET ? 2 : 3))
    state.SkipWithError("wrong result");
  tv_scope_end(&inner, nullptr);
  for (auto _ : state) tv_variable_scatter(v, how, at, x);
  state.SetBytesProcessed(state.iterations() * k * width * 4 * (how == TV_SET ? 2 : 3));
  tv_variable_release(v);
  tv_scope_end(&outer, nullptr);
}
BENCHMARK_CAPTURE(scatter_rows, set, TV_SET)->UseRealTime();
BENCHMARK_CAPTURE(scatter_rows, add, TV_ADD)->UseRealTime();

// Elements of a random mask, of which `percent` are true.
void boolean_mask(benchmark::State &state, tv_dtype dtype) {
  const int64_t n = state.range(0);
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_tensor *const x = tv_astype(tv_random_uniform(tv_key{1, 3}, TV_F32, 1, &n), dtype);
  tv_tensor *const mask = tv_less(tv_random_uniform(tv_key{1, 4}, TV_F32, 1, &n),
                                  tv_scalar(static_cast<double>(state.range(1)) / 100));
  double got = -1, want = -2;
  tv_item_f64(tv_max(tv_boolean_mask(x, mask), TV_ALL_AXES), &got);
  tv_item_f64(tv_max(tv_where(mask, x, tv_scalar(0)), TV_ALL_AXES), &want);
  if (got != want) state.SkipWithError("wrong result");
  for (auto _ : state) {
    tv_scope scope;
    tv_scope_begin(&scope);
    benchmark::DoNotOptimize(tv_tensor_data(tv_boolean_mask(x, mask)));
    tv_scope_end(&scope, nullptr);
  }
  state.SetItemsProcessed(state.iterations() * n);
  tv_scope_end(&outer, nullptr);
}
#define BOOLEAN_MASK(name, dtype)                      \
  BENCHMARK_CAPTURE(boolean_mask, name, dtype)         \
      ->ArgsProduct({{100000, 10000000}, {1, 50, 99}}) \
      ->UseRealTime()
BOOLEAN_MASK(float16, TV_F16);
BOOLEAN_MASK(float32, TV_F32);
BOOLEAN_MASK(float64, TV_F64);

void compare_and_where(benchmark::State &state) {
  const int64_t n = state.range(0);
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_tensor *const a = tv_random_uniform(tv_key{1, 3}, TV_F32, 1, &n);
  tv_tensor *const b = tv_random_uniform(tv_key{1, 4}, TV_F32, 1, &n);
  double same = 0;
  tv_tensor *const larger = tv_where(tv_greater(a, b), a, b);
  if (tv_item_f64(tv_sum(tv_astype(tv_equal(larger, tv_maximum(a, b)), TV_F64), TV_ALL_AXES),
                  &same) ||
      same != static_cast<double>(n))
    state.SkipWithError("wrong result");
  for (auto _ : state) {
    tv_scope scope;
    tv_scope_begin(&scope);
    benchmark::DoNotOptimize(tv_tensor_data(tv_where(tv_greater(a, b), a, b)));
    tv_scope_end(&scope, nullptr);
  }
  state.SetItemsProcessed(state.iterations() * n);
  tv_scope_end(&outer, nullptr);
}
BENCHMARK(compare_and_where)->Arg(100000)->Arg(10000000)->UseRealTime();

void random_mask(benchmark::State &state) {
  const int64_t n = state.range(0);
  tv_scope outer;
  tv_scope_begin(&outer);
  double mean = 0;
  tv_item_f64(
      tv_mean(
          tv_astype(tv_less(tv_random_uniform(tv_key{1, 3}, TV_F32, 1, &n), tv_scalar(.5)), TV_F64),
          TV_ALL_AXES),
      &mean);
  if (mean < .49 || mean > .51) state.SkipWithError("wrong result");
  for (auto _ : state) {
    tv_scope scope;
    tv_scope_begin(&scope);
    benchmark::DoNotOptimize(
        tv_tensor_data(tv_less(tv_random_uniform(tv_key{1, 3}, TV_F32, 1, &n), tv_scalar(.5))));
    tv_scope_end(&scope, nullptr);
  }
  state.SetItemsProcessed(state.iterations() * n);
  tv_scope_end(&outer, nullptr);
}
BENCHMARK(random_mask)->Arg(100000)->Arg(10000000)->UseRealTime();

void permutation(benchmark::State &state) {
  const int64_t n = state.range(0);
  tv_scope outer;
  tv_scope_begin(&outer);
  double sum = 0;
  if (tv_item_f64(tv_sum(tv_random_permutation(tv_key{1, 3}, n), TV_ALL_AXES), &sum) ||
      sum != static_cast<double>(n) * static_cast<double>(n - 1) / 2)
    state.SkipWithError("wrong result");
  for (auto _ : state) {
    tv_scope scope;
    tv_scope_begin(&scope);
    benchmark::DoNotOptimize(tv_tensor_data(tv_random_permutation(tv_key{1, 3}, n)));
    tv_scope_end(&scope, nullptr);
  }
  state.SetItemsProcessed(state.iterations() * n);
  tv_scope_end(&outer, nullptr);
}
BENCHMARK(permutation)->Arg(1000)->Arg(100000)->Arg(10000000)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
