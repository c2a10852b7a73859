// SPDX-License-Identifier: MIT
// Steps of optimizers: one large Variable, many small ones, and momenta about to stick at a
// subnormal (one in 16). Bytes are those that a step in place moves.
#include <benchmark/benchmark.h>
#include <tensorvar/tensorvar.h>

#include <vector>

namespace {

tv_optimizer *sgd() {
  tv_sgd_options o = TV_SGD_OPTIONS;
  o.momentum = .9;
  return tv_sgd_new(&o);
}
tv_optimizer *adam() { return tv_adam_new(nullptr); }
tv_optimizer *adamw() { return tv_adamw_new(nullptr); }
tv_optimizer *rmsprop() { return tv_rmsprop_new(nullptr); }
tv_optimizer *adagrad() { return tv_adagrad_new(nullptr); }
tv_optimizer *adadelta() { return tv_adadelta_new(nullptr); }
tv_optimizer *lion() { return tv_lion_new(nullptr); }

void step(benchmark::State &state, tv_optimizer *(*make)(), int64_t words, bool sticks) {
  const int64_t n = state.range(0);
  const int count = static_cast<int>(state.range(1));
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_optimizer *const o = make();
  std::vector<tv_variable *> variables;
  std::vector<tv_tensor *> gradients, first;
  tv_tensor *const is_rare =
      tv_equal(tv_remainder(tv_arange_int(TV_I64, 0, n, 1), tv_scalar(16)), tv_scalar(0));
  for (int k = 0; k < count; k++) {
    tv_scope inner;
    tv_scope_begin(&inner);
    variables.push_back(tv_variable_new(tv_ones(TV_F32, 1, &n), nullptr));
    tv_scope_end(&inner, nullptr);
    tv_tensor *const g = tv_random_normal(tv_key{1, static_cast<uint64_t>(k)}, TV_F32, 1, &n);
    gradients.push_back(sticks ? tv_where(is_rare, tv_scalar(0), g) : g);
    first.push_back(sticks ? tv_where(is_rare, tv_scalar(1.3e-38), g) : g);
  }
  if (tv_optimizer_step(o, count, variables.data(), first.data()))
    state.SkipWithError(tv_error_text());
  for (int k = 0; k < 20; k++) /* until what decays has come to its end */
    tv_optimizer_step(o, count, variables.data(), gradients.data());
  if (tv_variable_version(variables[0]) != 21) state.SkipWithError("wrong result");
  for (auto _ : state) tv_optimizer_step(o, count, variables.data(), gradients.data());
  state.SetBytesProcessed(state.iterations() * n * count * 4 * words);
  tv_optimizer_release(o);
  for (tv_variable *v : variables) tv_variable_release(v);
  tv_scope_end(&outer, nullptr);
}

// A table of 10^6 rows of 64, and a batch that touches some of them.
void rows(benchmark::State &state, int kind) {
  const int64_t n = 1000000, width = 64, touched = state.range(0);
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_sgd_options plain = TV_SGD_OPTIONS;
  tv_adam_options adam = TV_ADAM_OPTIONS;
  adam.lazy = kind == 1;
  tv_optimizer *const o = kind == 0 ? tv_sgd_new(&plain) : tv_adam_new(&adam);
  tv_scope inner;
  tv_scope_begin(&inner);
  tv_variable *v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(n, width)), nullptr);
  tv_scope_end(&inner, nullptr);
  tv_tensor *const at = tv_remainder(
      tv_multiply(tv_arange_int(TV_I64, 0, touched, 1), tv_scalar(7919)), tv_scalar(n));
  tv_tensor *g = tv_scatter_rows(at, tv_ones(TV_F32, TV_SHAPE(touched, width)), n);
  if (tv_optimizer_step(o, 1, &v, &g)) state.SkipWithError(tv_error_text());
  for (auto _ : state) tv_optimizer_step(o, 1, &v, &g);
  state.SetItemsProcessed(state.iterations() * touched);
  tv_optimizer_release(o);
  tv_variable_release(v);
  tv_scope_end(&outer, nullptr);
}

void sizes(benchmark::internal::Benchmark *b) {
  b->Args({100000, 1})->Args({1000000, 1})->Args({10000000, 1})->Args({1000, 100})->UseRealTime();
}
BENCHMARK_CAPTURE(step, sgd, sgd, 5, false)->Apply(sizes);
BENCHMARK_CAPTURE(step, sgd_sticking, sgd, 5, true)->Apply(sizes);
BENCHMARK_CAPTURE(step, adam, adam, 7, false)->Apply(sizes);
BENCHMARK_CAPTURE(step, adamw, adamw, 7, false)->Apply(sizes);
BENCHMARK_CAPTURE(step, rmsprop, rmsprop, 5, false)->Apply(sizes);
BENCHMARK_CAPTURE(step, adagrad, adagrad, 5, false)->Apply(sizes);
BENCHMARK_CAPTURE(step, adadelta, adadelta, 7, false)->Apply(sizes);
BENCHMARK_CAPTURE(step, lion, lion, 5, false)->Apply(sizes);
BENCHMARK_CAPTURE(step, adam_sticking, adam, 7, true)->Apply(sizes);

BENCHMARK_CAPTURE(rows, sgd, 0)->Arg(100)->Arg(10000)->UseRealTime();
BENCHMARK_CAPTURE(rows, adam_lazy, 1)->Arg(100)->Arg(10000)->UseRealTime();
BENCHMARK_CAPTURE(rows, adam, 2)->Arg(100)->Arg(10000)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
