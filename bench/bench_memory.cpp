// SPDX-License-Identifier: MIT
// What memory costs: a tensor made, written and given back, reused and fresh from the system; small
// ones from one thread and from several at once.
#include <benchmark/benchmark.h>
#include <tensorvar/tensorvar.h>

#include <cstring>

namespace {

std::int64_t held() {
  tv_memory_stats stats;
  return tv_device_memory(TV_CPU, &stats) ? -1 : stats.held;
}

void make_and_write(benchmark::State &state, bool is_fresh) {
  const std::int64_t bytes = state.range(0);
  tv_scope outer;
  tv_scope_begin(&outer);
  for (auto _ : state) {
    tv_scope scope;
    tv_scope_begin(&scope);
    tv_tensor *const x = tv_zeros(TV_F64, TV_SHAPE(bytes / 8));
    if (!x) state.SkipWithError("no memory");
    benchmark::DoNotOptimize(x);
    tv_scope_end(&scope, nullptr);
    if (is_fresh) tv_device_trim(TV_CPU);
  }
  state.SetBytesProcessed(state.iterations() * bytes);
  state.counters["held"] = static_cast<double>(held());
  tv_scope_end(&outer, nullptr);
}
BENCHMARK_CAPTURE(make_and_write, reused, false)->Range(1 << 10, 1 << 28);
BENCHMARK_CAPTURE(make_and_write, fresh, true)->Range(1 << 20, 1 << 28);

void make_on_threads(benchmark::State &state) { make_and_write(state, false); }
BENCHMARK(make_on_threads)->Arg(1 << 8)->Arg(1 << 13)->Threads(1)->Threads(2)->Threads(8);

}  // namespace

BENCHMARK_MAIN();
