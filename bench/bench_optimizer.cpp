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

}  // namespace

BENCHMARK_MAIN();
