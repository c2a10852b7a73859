/* SPDX-License-Identifier: MIT
 * The CPU as a backend, and the level of x86-64 that its loops are taken from. */
#include "cpu.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "level.h"

static tv_status copy(void *self, void *to, const void *from, int64_t bytes, void *stream) {
  (void)self, (void)stream;
  if (bytes > 0) memcpy(to, from, (size_t)bytes);
  return TV_OK;
}

static tv_status synchronize(void *self, void *stream) {
  (void)self, (void)stream;
  return TV_OK;
}

static const tvi_level *find_level(void) {
#ifdef TVI_HAS_LEVELS
  const char *const text = getenv("TV_ISA"); /* "portable", "v2", "v3", "v4" */
  const bool is_level = text && text[0] == 'v' && text[1] >= '2' && text[1] <= '4' && !text[2];
  const int most = is_level ? text[1] - '0' : text && !strcmp(text, "portable") ? 1 : 4;
  __builtin_cpu_init();
  const bool has_v2 = __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.2") &&
                      __builtin_cpu_supports("popcnt");
  const bool has_v3 = has_v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool has_v4 = has_v3 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (has_v4 && most >= 4) return &tvi_level_v4;
  if (has_v3 && most >= 3) return &tvi_level_v3;
  if (has_v2 && most >= 2) return &tvi_level_v2;
#endif
  return &tvi_level_portable;
}

const tvi_level *tvi_level_here(void) {
  static const tvi_level *_Atomic level; /* NULL: not looked for; every thread finds the same */
  const tvi_level *known = atomic_load_explicit(&level, memory_order_relaxed);
  if (known) return known;
  known = find_level();
  atomic_store_explicit(&level, known, memory_order_relaxed);
  return known;
}

const tv_backend *tvi_cpu_backend(void) {
  static const tv_backend backend = {
      .size = sizeof(tv_backend),
      .abi = TV_BACKEND_ABI,
      .reserve = tvi_cpu_reserve,
      .release = tvi_cpu_release,
      .copy_in = copy,
      .copy_out = copy,
      .synchronize = synchronize,
      .elementwise = tvi_cpu_elementwise,
      .program = tvi_cpu_program,
      .convert = tvi_cpu_convert,
      .sequence = tvi_cpu_sequence,
      .reduce = tvi_cpu_reduce,
      .matmul = tvi_cpu_matmul,
      .takes_epilogue = true,
      .gather = tvi_cpu_gather,
      .scatter_add = tvi_cpu_scatter_add,
      .scatter = tvi_cpu_scatter,
      .find_bad_index = tvi_cpu_find_bad_index,
      .random = tvi_cpu_random,
      .argsort_u64 = tvi_cpu_argsort_u64,
      .memory = tvi_cpu_memory,
      .trim = tvi_cpu_trim,
      .limit = tvi_cpu_limit,
      .rows = tvi_cpu_rows,
      .optimize = tvi_cpu_optimize,
      .more_steps = (1u << TV_OPTIMIZE_KINDS) - 1,
      .more_rows = 1u << TV_ROWS_LAYER_NORM,
      .select_count = tvi_cpu_select_count,
      .select = tvi_cpu_select,
  };
  return &backend;
}
