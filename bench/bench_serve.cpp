// SPDX-License-Identifier: MIT
// What it costs to read Variables while another thread writes them: one, and a model of eight as of
// one moment, by one reader and by several; with and without concurrent_readers. `writes` is what
// the writer got done in a second meanwhile.
#include <benchmark/benchmark.h>
#include <tensorvar/tensorvar.h>

#include <atomic>
#include <thread>

namespace {

constexpr int kModel = 8;
constexpr std::int64_t kSize = 1000;

tv_variable *model[kModel];
std::atomic<bool> is_over;
std::atomic<std::int64_t> writes;
std::thread writer;

// Steps of SGD, which take one from every element of every Variable.
void train() {
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_sgd_options options = TV_SGD_OPTIONS;
  options.learning_rate = 1;
  tv_optimizer *const sgd = tv_sgd_new(&options);
  tv_tensor *ones[kModel];
  for (auto &g : ones) g = tv_ones(TV_F64, TV_SHAPE(kSize));
  while (!is_over) {
    if (tv_optimizer_step(sgd, kModel, model, ones)) break;
    writes++;
  }
  tv_optimizer_release(sgd);
  tv_scope_end(&outer, nullptr);
}

void begin(const benchmark::State &state) {
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.concurrent_readers = state.range(0) != 0;
  for (auto &v : model) v = tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(kSize)), &options);
  tv_scope_end(&scope, nullptr);
  is_over = false;
  writes = 0;
  if (state.range(1)) writer = std::thread(train);
}

void end(const benchmark::State &) {
  is_over = true;
  if (writer.joinable()) writer.join();
  for (auto &v : model) tv_variable_release(v);
}

// Whether all elements of all values are one number.
bool are_of_one_step(int n, tv_tensor *const *values) {
  const double first = *static_cast<const double *>(tv_tensor_data(values[0]));
  for (int k = 0; k < n; k++) {
    const double *const x = static_cast<const double *>(tv_tensor_data(values[k]));
    for (std::int64_t i = 0; i < kSize; i++)
      if (x[i] != first) return false;
  }
  return true;
}

void read(benchmark::State &state, int n) {
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_tensor *values[kModel];
  for (int k = 0; k < 1000; k++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    if (tv_read_all(n, model, values) || !are_of_one_step(n, values))
      state.SkipWithError("wrong result");
    tv_scope_end(&scope, nullptr);
  }
  const std::int64_t before = writes;
  for (auto _ : state) {
    tv_scope scope;
    tv_scope_begin(&scope);
    if (n == 1)
      benchmark::DoNotOptimize(tv_read(model[0]));
    else
      benchmark::DoNotOptimize(tv_read_all(n, model, values));
    tv_scope_end(&scope, nullptr);
  }
  state.SetItemsProcessed(state.iterations());
  if (state.thread_index() == 0)
    state.counters["writes"] =
        benchmark::Counter(static_cast<double>(writes - before), benchmark::Counter::kIsRate);
  tv_scope_end(&outer, nullptr);
}

void shape(benchmark::internal::Benchmark *b) {
  b->ArgNames({"concurrent", "writer"})->ArgsProduct({{0, 1}, {0, 1}});
  b->Setup(begin)->Teardown(end)->Threads(1)->Threads(2)->Threads(4)->UseRealTime();
}
BENCHMARK_CAPTURE(read, one, 1)->Apply(shape);
BENCHMARK_CAPTURE(read, moment_of_eight, kModel)->Apply(shape);

}  // namespace

BENCHMARK_MAIN();
