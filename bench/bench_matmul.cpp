// SPDX-License-Identifier: MIT
// Products beside the bare call of the same OpenBLAS: square ones, those of a perceptron's step, a
// batch. The bare call is that of a second instance of the same file, with the kernels that the
// library runs and as many threads of its own; it is left out where there is no OpenBLAS.
#include <benchmark/benchmark.h>
#include <dlfcn.h>
#include <tensorvar/tensorvar.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace {

using sgemm = void(int, int, int, int, int, int, float, const float *, int, const float *, int,
                   float, float *, int);
using set_threads = void(int);
enum { row_major = 101, plain = 111, transposed = 112 };

struct bare_blas {
  sgemm *product = nullptr;
  set_threads *threads = nullptr;
};

// Opened from a copy of the file, so that it is another instance than the library's.
const bare_blas &bare() {
  static const bare_blas opened = [] {
    bare_blas found;
    const std::string copy = "/tmp/bench_matmul_blas.so";
    setenv("OPENBLAS_CORETYPE", tv_blas_kernel(), 1);
    {
      std::ifstream from(tv_blas_name(), std::ios::binary);
      std::ofstream(copy, std::ios::binary) << from.rdbuf();
    }
    void *const handle = dlopen(copy.c_str(), RTLD_NOW | RTLD_LOCAL);
    std::remove(copy.c_str());
    if (handle) {
      found.product = reinterpret_cast<sgemm *>(dlsym(handle, "cblas_sgemm"));
      found.threads = reinterpret_cast<set_threads *>(dlsym(handle, "openblas_set_num_threads"));
    }
    return found;
  }();
  return opened;
}

struct shape {
  const char *name;
  int batch, m, n, k;
  bool a_is_transposed, b_is_transposed;
};

const shape shapes[] = {
    {"8", 1, 8, 8, 8, false, false},
    {"64", 1, 64, 64, 64, false, false},
    {"128", 1, 128, 128, 128, false, false},
    {"256", 1, 256, 256, 256, false, false},
    {"512", 1, 512, 512, 512, false, false},
    {"1024", 1, 1024, 1024, 1024, false, false},
    {"2048", 1, 2048, 2048, 2048, false, false},
    {"4096", 1, 4096, 4096, 4096, false, false},
    {"256 of 64", 256, 64, 64, 64, false, false},
    {"step: x w1", 1, 128, 256, 784, false, false},
    {"step: x^T g", 1, 784, 256, 128, true, false},
    {"step: h w2", 1, 128, 128, 256, false, false},
    {"step: g w2^T", 1, 128, 256, 128, false, true},
    {"step: h^T g", 1, 256, 128, 128, true, false},
};

tv_tensor *filled(int batch, int rows, int columns, bool is_transposed) {
  tv_tensor *x = tv_full(TV_F32, TV_SHAPE(batch, rows, columns), tv_scalar(1));
  return is_transposed ? tv_matrix_transpose(x) : x;
}

void ours(benchmark::State &state, const shape &s, int threads) {
  tv_threads_set(threads);
  tv_scope outer;
  tv_scope_begin(&outer);
  tv_tensor *const a =
      s.a_is_transposed ? filled(s.batch, s.k, s.m, true) : filled(s.batch, s.m, s.k, false);
  tv_tensor *const b =
      s.b_is_transposed ? filled(s.batch, s.n, s.k, true) : filled(s.batch, s.k, s.n, false);
  double last = 0;
  if (tv_item_f64(tv_slice(tv_matmul(a, b), "-1, -1, -1"), &last) || last != s.k)
    state.SkipWithError("wrong result");
  for (auto _ : state) {
    tv_scope scope;
    tv_scope_begin(&scope);
    tv_tensor *const y = tv_matmul(a, b);
    benchmark::DoNotOptimize(tv_tensor_data(y));
    tv_scope_end(&scope, nullptr);
  }
  state.counters["flops"] = benchmark::Counter(2.0 * s.batch * s.m * s.n * s.k,
                                               benchmark::Counter::kIsIterationInvariantRate);
  tv_scope_end(&outer, nullptr);
  tv_threads_set(0);
}

void bare_call(benchmark::State &state, const shape &s, int threads) {
  bare().threads(threads);
  const std::size_t rows = static_cast<std::size_t>(s.batch);
  std::vector<float> a(rows * s.m * s.k, 1), b(rows * s.k * s.n, 1), y(rows * s.m * s.n);
  for (auto _ : state)
    for (std::size_t i = 0; i < rows; i++)
      bare().product(row_major, s.a_is_transposed ? transposed : plain,
                     s.b_is_transposed ? transposed : plain, s.m, s.n, s.k, 1, &a[i * s.m * s.k],
                     s.a_is_transposed ? s.m : s.k, &b[i * s.k * s.n],
                     s.b_is_transposed ? s.k : s.n, 0, &y[i * s.m * s.n], s.n);
  if (y.back() != static_cast<float>(s.k)) state.SkipWithError("wrong result");
  state.counters["flops"] = benchmark::Counter(2.0 * s.batch * s.m * s.n * s.k,
                                               benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

int main(int argc, char **argv) {
  benchmark::Initialize(&argc, argv);
  const bool has_bare = *tv_blas_kernel() && bare().product && bare().threads;
  std::printf("BLAS: %s, kernels: %s\n", tv_blas_name(), tv_blas_kernel());
  for (const shape &s : shapes)
    for (int threads = 1; threads <= 2; threads++) {
      const std::string end = std::string(s.name) + "/threads:" + std::to_string(threads);
      benchmark::RegisterBenchmark(("ours/" + end).c_str(), ours, s, threads)->UseRealTime();
      if (has_bare)
        benchmark::RegisterBenchmark(("bare/" + end).c_str(), bare_call, s, threads)->UseRealTime();
    }
  benchmark::RunSpecifiedBenchmarks();
}
