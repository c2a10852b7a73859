// SPDX-License-Identifier: MIT
// What one op costs beyond its arithmetic: one element, one thread.
#include <benchmark/benchmark.h>
#include <tensorvar/tensorvar.h>

namespace {

bool is_wrong(tv_tensor *y, double want) {
  double got = 0;
  return tv_item_f64(y, &got) || got != want;
}

// An eager add of two 1-element tensors, with a scope around it.
void add_in_scope(benchmark::State &state) {
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_tensor *const a = tv_full(TV_F32, TV_SHAPE(1), tv_scalar(1)), *const b =
                                                                       tv_full(TV_F32, TV_SHAPE(1),
                                                                               tv_scalar(2));
  if (is_wrong(tv_add(a, b), 3)) state.SkipWithError("wrong result");
  for (auto _ : state) {
    tv_scope scope;
    tv_scope_begin(&scope);
    benchmark::DoNotOptimize(tv_add(a, b));
    tv_scope_end(&scope, nullptr);
  }
  tv_scope_end(&outer, nullptr);
}
BENCHMARK(add_in_scope);

// The same with a weak scalar, which is made anew each time.
void add_weak_scalar(benchmark::State &state) {
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_tensor *const a = tv_full(TV_F32, TV_SHAPE(1), tv_scalar(1));
  if (is_wrong(tv_add(a, tv_scalar(2)), 3)) state.SkipWithError("wrong result");
  for (auto _ : state) {
    tv_scope scope;
    tv_scope_begin(&scope);
    benchmark::DoNotOptimize(tv_add(a, tv_scalar(2)));
    tv_scope_end(&scope, nullptr);
  }
  tv_scope_end(&outer, nullptr);
}
BENCHMARK(add_weak_scalar);

// Per node: a chain of multiplications, recorded, differentiated and given back.
void record_and_differentiate(benchmark::State &state) {
  constexpr int length = 1000;
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_variable *v = tv_variable_new(tv_full(TV_F64, TV_SHAPE(1), tv_scalar(1)), nullptr);
  for (auto _ : state) {
    tv_scope scope;
    tv_tensor *g = nullptr;
    tv_scope_begin(&scope);
    tv_tape *const tape = tv_tape_begin(nullptr);
    tv_tensor *const x = tv_read(v);
    tv_tensor *y = x;
    for (int k = 1; k < length; k++) y = tv_multiply(y, x);
    tv_tape_gradient(tape, y, 1, &v, &g);
    if (is_wrong(g, length)) state.SkipWithError("wrong result");
    tv_scope_end(&scope, nullptr);
  }
  state.SetItemsProcessed(state.iterations() * length);
  tv_variable_release(v);
  tv_scope_end(&outer, nullptr);
}
BENCHMARK(record_and_differentiate);

// One in-place update of a Variable.
void assign_add(benchmark::State &state) {
  tv_scope outer, scope;
  tv_scope_begin(&outer);
  tv_tensor *const one = tv_ones(TV_F32, TV_SHAPE(1));
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(1)), nullptr);
  for (auto _ : state) tv_variable_assign_add(v, one);
  tv_scope_begin(&scope);
  if (tv_variable_version(v) != static_cast<uint64_t>(state.iterations()))
    state.SkipWithError("wrong version");
  tv_scope_end(&scope, nullptr);
  tv_variable_release(v);
  tv_scope_end(&outer, nullptr);
}
BENCHMARK(assign_add);

}  // namespace

BENCHMARK_MAIN();
