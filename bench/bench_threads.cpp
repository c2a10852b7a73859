// SPDX-License-Identifier: MIT
// What it costs to share work: exp of n elements on one and on two threads, one call after the
// other and after a pause in which workers fall asleep.
#include <benchmark/benchmark.h>
#include <tensorvar/tensorvar.h>

#include <chrono>
#include <cmath>
#include <thread>

namespace {

using timer = std::chrono::steady_clock;

void exponential(benchmark::State &state) {
  const std::int64_t n = state.range(0);
  const auto pause = std::chrono::microseconds(state.range(2));
  tv_threads_set(static_cast<int>(state.range(1)));
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_tensor *const x = tv_full(TV_F32, TV_SHAPE(n), tv_scalar(1));
  double got = 0;
  if (tv_item_f64(tv_slice(tv_exp(x), "-1"), &got) || std::fabs(got - std::exp(1.0)) > 1e-6)
    state.SkipWithError("wrong result");
  for (auto _ : state) {
    if (pause.count() > 1000) std::this_thread::sleep_for(pause);
    for (const auto end = timer::now() + pause; timer::now() < end;) continue;
    const auto start = timer::now();
    tv_scope scope;
    tv_scope_begin(&scope);
    benchmark::DoNotOptimize(tv_tensor_data(tv_exp(x)));
    tv_scope_end(&scope, nullptr);
    state.SetIterationTime(std::chrono::duration<double>(timer::now() - start).count());
  }
  state.SetItemsProcessed(state.iterations() * n);
  tv_scope_end(&outer, nullptr);
  tv_threads_set(0);
}
BENCHMARK(exponential)
    ->ArgNames({"n", "threads", "pause_us"})
    ->ArgsProduct({{1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 22}, {1, 2}, {0, 50, 5000}})
    ->UseManualTime();

}  // namespace

BENCHMARK_MAIN();
