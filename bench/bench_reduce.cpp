// SPDX-License-Identifier: MIT
// Reductions over all, inner, outer and middle axes, and over short rows; bytes are those read.
#include <benchmark/benchmark.h>
#include <tensorvar/tensorvar.h>

namespace {

typedef tv_tensor *reduction(tv_tensor *x, int n_axes, const int64_t *axes);

// Of ones: a sum is how many there are to a result, a largest element 1, its position 0.
void reduce(benchmark::State &state, reduction *f, int axis) {
  const int64_t rows = state.range(0), columns = state.range(1), shape[] = {rows, columns};
  const int64_t one_axis = axis;
  const int n_axes = axis < 0 ? -1 : 1;
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_tensor *const ones = tv_ones(TV_F32, 2, shape);
  double want = axis < 0 ? static_cast<double>(rows * columns) : static_cast<double>(shape[axis]);
  if (f == tv_max) want = 1;
  if (f == tv_argmax) want = 0;
  double got = -1;
  tv_tensor *const y = tv_reshape(f(ones, n_axes, &one_axis), TV_SHAPE(-1));
  if (tv_item_f64(tv_take(y, tv_scalar(0), 0), &got) || got != want)
    state.SkipWithError("wrong result");
  tv_tensor *const x = tv_random_normal(tv_key{1, 2}, TV_F32, 2, shape);
  for (auto _ : state) {
    tv_scope scope;
    tv_scope_begin(&scope);
    benchmark::DoNotOptimize(tv_tensor_data(f(x, n_axes, &one_axis)));
    tv_scope_end(&scope, nullptr);
  }
  state.SetBytesProcessed(state.iterations() * rows * columns * 4);
  tv_scope_end(&outer, nullptr);
}

void sizes(benchmark::internal::Benchmark *b) {
  b->Args({100, 1000})->Args({4096, 4096})->Args({1 << 22, 4})->Args({1 << 18, 64})->UseRealTime();
}
#define REDUCTION(name)                                                \
  BENCHMARK_CAPTURE(reduce, name##_all, tv_##name, -1)->Apply(sizes);  \
  BENCHMARK_CAPTURE(reduce, name##_outer, tv_##name, 0)->Apply(sizes); \
  BENCHMARK_CAPTURE(reduce, name##_inner, tv_##name, 1)->Apply(sizes)
REDUCTION(sum);
REDUCTION(max);
REDUCTION(argmax);

}  // namespace

BENCHMARK_MAIN();
