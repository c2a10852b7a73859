// SPDX-License-Identifier: MIT
// What memory costs: a tensor made, written and given back, reused and fresh from the system; small
// ones from one thread and from several at once; and what a guard of borrowed memory adds to a sum,
// beside a copy of the bytes.
#include <benchmark/benchmark.h>
#include <tensorvar/tensorvar.h>

#include <cstring>
#include <vector>

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

void sum_of_borrow(benchmark::State &state, tv_guard guard) {
  const std::int64_t bytes = state.range(0);
  std::vector<float> owned(static_cast<std::size_t>(bytes) / sizeof(float), 1);
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_memory_options options = TV_MEMORY_OPTIONS;
  options.borrow = true;
  options.guard = guard;
  tv_tensor *const x =
      tv_tensor_from_memory(owned.data(), TV_F32, TV_SHAPE(bytes / std::int64_t{4}), &options);
  for (auto _ : state) {
    tv_scope scope;
    tv_scope_begin(&scope);
    if (!tv_sum(x, TV_ALL_AXES)) state.SkipWithError(tv_error_text());
    tv_scope_end(&scope, nullptr);
  }
  state.SetBytesProcessed(state.iterations() * bytes);
  tv_scope_end(&outer, nullptr);
}
BENCHMARK_CAPTURE(sum_of_borrow, unguarded, TV_GUARD_NONE)
    ->RangeMultiplier(16)
    ->Range(1 << 16, 1 << 28);
BENCHMARK_CAPTURE(sum_of_borrow, sampled, TV_GUARD_SAMPLED)
    ->RangeMultiplier(16)
    ->Range(1 << 16, 1 << 28);
BENCHMARK_CAPTURE(sum_of_borrow, full, TV_GUARD_FULL)->RangeMultiplier(16)->Range(1 << 16, 1 << 28);

void copy(benchmark::State &state) {
  const std::size_t bytes = static_cast<std::size_t>(state.range(0));
  std::vector<char> from(bytes, 1), to(bytes);
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), bytes);
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(copy)->RangeMultiplier(16)->Range(1 << 16, 1 << 28);

}  // namespace

BENCHMARK_MAIN();
