// SPDX-License-Identifier: MIT
// Rows: softmax, log-softmax, cross entropy and layer norm; bytes are those of the operands, once.
#include <benchmark/benchmark.h>
#include <tensorvar/tensorvar.h>

namespace {

typedef tv_tensor *op(tv_tensor *x);

tv_tensor *softmax(tv_tensor *x) { return tv_softmax(x, 1); }
tv_tensor *log_softmax(tv_tensor *x) { return tv_log_softmax(x, 1); }
tv_tensor *layer_norm(tv_tensor *x) { return tv_layer_norm(x, 1, nullptr, nullptr, 0); }
tv_tensor *cross_entropy(tv_tensor *x) {
  return tv_softmax_cross_entropy(x, tv_zeros(TV_I64, TV_SHAPE(tv_tensor_shape(x)[0])));
}

// The sum over all that the op gives is known for each.
bool is_right(op *f, tv_tensor *x, double want) {
  double got = 0;
  if (tv_item_f64(tv_sum(tv_astype(f(x), TV_F64), TV_ALL_AXES), &got)) return false;
  return got - want < 1e-3 * want + 1 && want - got < 1e-3 * want + 1;
}

void rows(benchmark::State &state, op *f, bool sums_to_rows) {
  const int64_t n = state.range(0), columns = state.range(1), shape[] = {n, columns};
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_tensor *const x = tv_random_normal(tv_key{1, 2}, TV_F32, 2, shape);
  if (sums_to_rows && !is_right(f, x, static_cast<double>(n))) state.SkipWithError("wrong result");
  for (auto _ : state) {
    tv_scope scope;
    tv_scope_begin(&scope);
    benchmark::DoNotOptimize(tv_tensor_data(f(x)));
    tv_scope_end(&scope, nullptr);
  }
  state.SetBytesProcessed(state.iterations() * n * columns * 8);
  tv_scope_end(&outer, nullptr);
}

void sizes(benchmark::internal::Benchmark *b) {
  b->Args({128, 10})->Args({100, 1000})->Args({4096, 4096})->Args({1, 1 << 24})->UseRealTime();
}
BENCHMARK_CAPTURE(rows, softmax, softmax, true)->Apply(sizes);
BENCHMARK_CAPTURE(rows, log_softmax, log_softmax, false)->Apply(sizes);
BENCHMARK_CAPTURE(rows, cross_entropy, cross_entropy, false)->Apply(sizes);
BENCHMARK_CAPTURE(rows, layer_norm, layer_norm, false)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
