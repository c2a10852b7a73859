// SPDX-License-Identifier: MIT
// Elementary functions in cache, one thread: every level of the CPU's loops, libm one by one, and
// libmvec where it is. `exp/f32/v4`, time per element as items per second.
#include <benchmark/benchmark.h>
#include <tensorvar/backend.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"  // C99 in C headers
extern "C" {
#include "cpu/level.h"
}
#pragma GCC diagnostic pop

namespace {

constexpr int length = 4096;

template <class T>
struct Row {
  const char *name;
  int op;
  T (*libm)(T);
};
template <class T>
T sigmoid(T x) {
  return 1 / (1 + std::exp(-x));
}
template <class T>
const Row<T> rows[] = {{"exp", TVI_OP_exp, std::exp},    {"expm1", TVI_OP_expm1, std::expm1},
                       {"log", TVI_OP_log, std::log},    {"log1p", TVI_OP_log1p, std::log1p},
                       {"sin", TVI_OP_sin, std::sin},    {"cos", TVI_OP_cos, std::cos},
                       {"tanh", TVI_OP_tanh, std::tanh}, {"sigmoid", TVI_OP_sigmoid, sigmoid<T>}};

template <class T>
std::vector<T> inputs() {
  std::vector<T> x(length);
  for (int i = 0; i < length; i++) x[i] = static_cast<T>(.05 + i % 997 * .007);
  return x;
}

template <class T>
bool is_wrong(const std::vector<T> &x, const std::vector<T> &y, T (*want)(T)) {
  for (int i = 0; i < length; i++) {
    const T right = want(x[i]);
    if (!(std::fabs(y[i] - right) <= 8 * std::fabs(right) * std::numeric_limits<T>::epsilon()))
      return true;
  }
  return false;
}

template <class T, class Run>
void time(benchmark::State &state, const Row<T> &row, Run run) {
  const std::vector<T> x = inputs<T>();
  std::vector<T> y(length);
  run(x.data(), y.data());
  if (is_wrong(x, y, row.libm)) state.SkipWithError("wrong result");
  for (auto _ : state) {
    run(x.data(), y.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * length);
}

#ifdef TV_WITH_MVEC
typedef float Floats __attribute__((vector_size(64)));
typedef double Doubles __attribute__((vector_size(64)));
#define MVEC_ROWS(M) M(exp) M(expm1) M(log) M(log1p) M(sin) M(cos) M(tanh)
#define DECLARE(name)                            \
  extern "C" Floats _ZGVeN16v_##name##f(Floats); \
  extern "C" Doubles _ZGVeN8v_##name(Doubles);
MVEC_ROWS(DECLARE)
#define IN_VECTORS(name)                                                            \
  __attribute__((target("avx512f"))) void mvec_##name(const float *x, float *y) {   \
    for (int i = 0; i < length; i += 16) {                                          \
      Floats v;                                                                     \
      std::memcpy(&v, x + i, sizeof v);                                             \
      v = _ZGVeN16v_##name##f(v);                                                   \
      std::memcpy(y + i, &v, sizeof v);                                             \
    }                                                                               \
  }                                                                                 \
  __attribute__((target("avx512f"))) void mvec_##name(const double *x, double *y) { \
    for (int i = 0; i < length; i += 8) {                                           \
      Doubles v;                                                                    \
      std::memcpy(&v, x + i, sizeof v);                                             \
      v = _ZGVeN8v_##name(v);                                                       \
      std::memcpy(y + i, &v, sizeof v);                                             \
    }                                                                               \
  }
MVEC_ROWS(IN_VECTORS)
#endif

template <class T>
void add_rows(const char *type, tv_dtype dtype) {
  struct Level {
    const char *name;
    const tvi_level *level;
  };
  std::vector<Level> levels = {{"portable", &tvi_level_portable}};
#ifdef TVI_HAS_LEVELS
  const Level higher[] = {{"v2", &tvi_level_v2}, {"v3", &tvi_level_v3}, {"v4", &tvi_level_v4}};
  for (const Level &level : higher)
    if (levels.back().level != tvi_level_here()) levels.push_back(level);
#endif
  for (const Row<T> &row : rows<T>) {
    const std::string name = std::string(row.name) + "/" + type + "/";
    for (const Level &level : levels) {
      tvi_loop *const loop = level.level->loops[row.op][dtype];
      benchmark::RegisterBenchmark((name + level.name).c_str(), [&row, loop](auto &state) {
        time<T>(state, row, [loop](const T *x, T *y) {
          char *const p[] = {reinterpret_cast<char *>(y),
                             reinterpret_cast<char *>(const_cast<T *>(x))};
          const int64_t steps[] = {sizeof(T), sizeof(T)};
          loop(length, p, steps);
        });
      });
    }
    benchmark::RegisterBenchmark((name + "libm").c_str(), [&row](auto &state) {
      time<T>(state, row, [&row](const T *x, T *y) {
        for (int i = 0; i < length; i++) y[i] = row.libm(x[i]);
      });
    });
#ifdef TV_WITH_MVEC
#define ADD(f)                                                                     \
  if (__builtin_cpu_supports("avx512f") && !std::strcmp(row.name, #f))             \
    benchmark::RegisterBenchmark((name + "libmvec").c_str(), [&row](auto &state) { \
      time<T>(state, row, [](const T *x, T *y) { mvec_##f(x, y); });               \
    });
    MVEC_ROWS(ADD)
#endif
  }
}

}  // namespace

int main(int argc, char **argv) {
  add_rows<float>("f32", TV_F32);
  add_rows<double>("f64", TV_F64);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
