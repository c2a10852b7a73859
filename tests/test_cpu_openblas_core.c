/* SPDX-License-Identifier: MIT
 * The kernels of OpenBLAS: right for this processor though OpenBLAS does not know it, and the
 * user's where OPENBLAS_CORETYPE names some. A child process is each time the first to open it. */
#include "cpu/openblas_core.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "cpu/openblas.h"

TEST(lesser_kernels_are_replaced) {
  CHECK(!strcmp(tvi_openblas_core_wanted("Prescott", TVI_VECTORS_AVX512), "SkylakeX"));
  CHECK(!strcmp(tvi_openblas_core_wanted("Haswell", TVI_VECTORS_AVX512), "SkylakeX"));
  CHECK(!strcmp(tvi_openblas_core_wanted("Zen", TVI_VECTORS_AVX512), "SkylakeX"));
  CHECK(!strcmp(tvi_openblas_core_wanted("Prescott", TVI_VECTORS_AVX2), "Haswell"));
  CHECK(!strcmp(tvi_openblas_core_wanted("Sandybridge", TVI_VECTORS_AVX2), "Haswell"));
}

TEST(right_and_unknown_kernels_stay) {
  CHECK(!tvi_openblas_core_wanted("SkylakeX", TVI_VECTORS_AVX512));
  CHECK(!tvi_openblas_core_wanted("Cooperlake", TVI_VECTORS_AVX512));
  CHECK(!tvi_openblas_core_wanted("SapphireRapids", TVI_VECTORS_AVX512));
  CHECK(!tvi_openblas_core_wanted("Haswell", TVI_VECTORS_AVX2));
  CHECK(!tvi_openblas_core_wanted("Zen", TVI_VECTORS_AVX2));
  CHECK(!tvi_openblas_core_wanted("Prescott", TVI_VECTORS_ANY));
  CHECK(!tvi_openblas_core_wanted("Zen9", TVI_VECTORS_AVX512)); /* of a later OpenBLAS */
  CHECK(!tvi_openblas_core_wanted("armv8", TVI_VECTORS_AVX512));
}

/* Our own cpuid against the compiler's. */
TEST(vectors_are_what_the_processor_has) {
#ifdef __x86_64__
  __builtin_cpu_init();
  const tvi_vectors here = tvi_vectors_here();
  if (here >= TVI_VECTORS_AVX2)
    CHECK(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
  if (here >= TVI_VECTORS_AVX512)
    CHECK(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"));
#else
  EQUAL(tvi_vectors_here(), TVI_VECTORS_ANY);
#endif
}

/* What a child says whose environment names `core`, or nothing. */
static int in_child(int (*task)(void), const char *core) {
  const pid_t child = fork();
  if (child == 0) {
    if (core)
      setenv("OPENBLAS_CORETYPE", core, 1);
    else
      unsetenv("OPENBLAS_CORETYPE");
    _exit(task());
  }
  int status = -1;
  CHECK(child > 0);
  EQUAL(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static bool product_is_right(void) {
  enum { N = 65 };
  static float a[N * N], out[N * N];
  for (int i = 0; i < N * N; i++) a[i] = (float)(i % 7);
  const tvi_blas_matrix x = {a, N, false};
  tvi_blas_gemm(TV_F32, N, N, N, x, x, out, N);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      float want = 0;
      for (int k = 0; k < N; k++) want += a[i * N + k] * a[k * N + j];
      if (out[i * N + j] != want) return false;
    }
  return true;
}

enum { IS_RIGHT = 10, IS_ABSENT = 11, IS_WRONG = 12 };

static int is_installed(void) {
  return dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL) ? IS_RIGHT : IS_ABSENT;
}

/* Where there is one to open, not opening it is a failure. */
static void need_openblas(void) {
#ifdef TV_WITHOUT_OPENBLAS
  SKIP("built without OpenBLAS");
#endif
  if (getenv("TV_OPENBLAS")) SKIP("TV_OPENBLAS names another or none");
  if (in_child(is_installed, NULL) == IS_ABSENT) SKIP("no OpenBLAS is installed");
}

/* Whether an opened OpenBLAS has more than one kind of kernels. */
static bool has_kernels_to_choose(void *handle) {
  char *(*get_config)(void) = NULL;
  void *const symbol = dlsym(handle, "openblas_get_config");
  memcpy(&get_config, &symbol, sizeof symbol);
  return get_config && strstr(get_config(), "DYNAMIC_ARCH");
}

static int kernels_suit(void) {
  if (!tvi_blas_is_there() || !product_is_right()) return IS_WRONG;
  void *const handle = dlopen(tv_blas_name(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) return IS_WRONG;
  if (!has_kernels_to_choose(handle)) return IS_ABSENT;
  return tvi_openblas_core_wanted(tv_blas_kernel(), tvi_vectors_here()) ? IS_WRONG : IS_RIGHT;
}

TEST(kernels_suit_this_processor) {
  need_openblas();
  const int found = in_child(kernels_suit, NULL);
  if (found == IS_ABSENT) SKIP("this OpenBLAS has one kind of kernels");
  EQUAL(found, IS_RIGHT);
}

#ifdef __x86_64__

static int kernels_are_prescott(void) {
  void *const handle = tvi_blas_is_there() ? dlopen(tv_blas_name(), RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!handle) return IS_WRONG;
  if (!has_kernels_to_choose(handle)) return IS_ABSENT;
  return product_is_right() && !strcmp(tv_blas_kernel(), "Prescott") ? IS_RIGHT : IS_WRONG;
}

TEST(the_users_kernels_are_kept) {
  need_openblas();
  const int found = in_child(kernels_are_prescott, "Prescott");
  if (found == IS_ABSENT) SKIP("this OpenBLAS has one kind of kernels");
  EQUAL(found, IS_RIGHT);
}

/* OpenBLAS as it is on a processor that it does not know: with the slow kernels. Then we ask. */
static int slow_kernels_become_right(void) {
  setenv("OPENBLAS_CORETYPE", "Prescott", 1);
  void *const handle = tvi_blas_is_there() ? dlopen(tv_blas_name(), RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!handle) return IS_WRONG;
  if (!has_kernels_to_choose(handle)) return IS_ABSENT;
  if (strcmp(tvi_openblas_core(handle), "Prescott")) return IS_WRONG;
  unsetenv("OPENBLAS_CORETYPE");
  tvi_openblas_core_choose(handle);
  if (getenv("OPENBLAS_CORETYPE") || !product_is_right()) return IS_WRONG;
  const char *const core = tvi_openblas_core(handle);
  return tvi_openblas_core_wanted(core, tvi_vectors_here()) ? IS_WRONG : IS_RIGHT;
}

TEST(slow_kernels_are_put_right_without_the_environment) {
  need_openblas();
  const int found = in_child(slow_kernels_become_right, NULL);
  if (found == IS_ABSENT) SKIP("this OpenBLAS has one kind of kernels");
  EQUAL(found, IS_RIGHT);
}

/* A host that has opened the same file keeps its own settings. */
static int hosts_own_stays(void) {
  setenv("OPENBLAS_CORETYPE", "Prescott", 1);
  void *handle = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!handle) return IS_WRONG;
  if (!has_kernels_to_choose(handle)) return IS_ABSENT;
  void *const symbol = dlsym(handle, "openblas_get_num_threads");
  int (*get_num_threads)(void) = NULL;
  memcpy(&get_num_threads, &symbol, sizeof symbol);
  const int threads = get_num_threads();
  unsetenv("OPENBLAS_CORETYPE");
  if (!tvi_blas_is_there()) return IS_WRONG;
  const bool is_same =
      !strcmp(tvi_openblas_core(handle), "Prescott") && get_num_threads() == threads;
  const bool is_other =
      !tvi_openblas_core_wanted(tv_blas_kernel(), tvi_vectors_here()) && product_is_right();
  return is_same && is_other ? IS_RIGHT : IS_WRONG;
}

TEST(a_host_with_the_same_file_keeps_its_own) {
  need_openblas();
  const int found = in_child(hosts_own_stays, NULL);
  if (found == IS_ABSENT) SKIP("this OpenBLAS has one kind of kernels");
  EQUAL(found, IS_RIGHT);
}

#else /* the names are of x86-64 */
TEST(the_users_kernels_are_kept) { SKIP("kernels of x86-64"); }
TEST(slow_kernels_are_put_right_without_the_environment) { SKIP("kernels of x86-64"); }
TEST(a_host_with_the_same_file_keeps_its_own) { SKIP("kernels of x86-64"); }
#endif

TEST_MAIN("cpu_openblas_core", CASE(lesser_kernels_are_replaced),
          CASE(right_and_unknown_kernels_stay), CASE(vectors_are_what_the_processor_has),
          CASE(kernels_suit_this_processor), CASE(the_users_kernels_are_kept),
          CASE(slow_kernels_are_put_right_without_the_environment),
          CASE(a_host_with_the_same_file_keeps_its_own))
