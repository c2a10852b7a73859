/* SPDX-License-Identifier: MIT
 * What this computer gives, for bench/compare:
 *
 *     compare_limits THREADS [BLAS]
 *
 * fill, copy, triad and read of n floats an array, stores past the caches, and the bare cblas_sgemm
 * of the OpenBLAS file BLAS (OPENBLAS_CORETYPE names its kernels, as the caller found the library
 * to run). Each thread has its part of the arrays, which it also was the first to touch. */
#define _GNU_SOURCE /* madvise */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "worker.h"
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

enum { MOST_THREADS = 64, LANES = 16 };

typedef void sgemm(int, int, int, int, int, int, float, const float *, int, const float *, int,
                   float, float *, int);
enum { ROW_MAJOR = 101, PLAIN = 111 };

static int n_threads;
static float *a, *b, *c; /* [n], and of a product [batch, size, size] */
static int64_t n;
static int batch, size;
static void (*part)(int64_t from, int64_t to);
static _Atomic float sink; /* so that what is read is used */
static sgemm *product;

/* fill, copy and triad, whose stores go past the caches. Assumes: whole lines of 64 bytes. */
#define STREAMS(name, wanted, store_line)                                \
  wanted static void fill_##name(int64_t from, int64_t to) {             \
    float line[LANES];                                                   \
    for (int k = 0; k < LANES; k++) line[k] = 1;                         \
    for (int64_t i = from; i < to; i += LANES) store_line(c + i, line);  \
  }                                                                      \
  wanted static void copy_##name(int64_t from, int64_t to) {             \
    for (int64_t i = from; i < to; i += LANES) store_line(c + i, a + i); \
  }                                                                      \
  wanted static void triad_##name(int64_t from, int64_t to) {            \
    float line[LANES];                                                   \
    for (int64_t i = from; i < to; i += LANES) {                         \
      for (int k = 0; k < LANES; k++) line[k] = a[i + k] + 3 * b[i + k]; \
      store_line(c + i, line);                                           \
    }                                                                    \
  }

#if defined(__x86_64__) && defined(__GNUC__)
#define STORE_16(to, from) \
  for (int k_ = 0; k_ < LANES; k_ += 4) _mm_stream_ps((to) + k_, _mm_loadu_ps((from) + k_))
#define STORE_64(to, from) _mm512_stream_ps((to), _mm512_loadu_ps(from))
STREAMS(plain, , STORE_16)
STREAMS(wide, __attribute__((target("avx512f"))), STORE_64)
#define HAS_WIDE __builtin_cpu_supports("avx512f")
#else
#define STORE(to, from) memcpy((to), (from), LANES * sizeof *(to))
STREAMS(plain, , STORE)
#define fill_wide fill_plain
#define copy_wide copy_plain
#define triad_wide triad_plain
#define HAS_WIDE 0
#endif

/* For every vector width that there is: sums in registers of 16 bytes are short of the memory. */
#define READ(name, wanted)                                     \
  wanted static void read_##name(int64_t from, int64_t to) {   \
    float sums[8 * LANES] = {0}, total = 0;                    \
    int64_t i = from;                                          \
    for (; i + 8 * LANES <= to; i += 8 * LANES)                \
      for (int k = 0; k < 8 * LANES; k++) sums[k] += a[i + k]; \
    for (; i < to; i++) sums[0] += a[i];                       \
    for (int k = 0; k < 8 * LANES; k++) total += sums[k];      \
    atomic_store(&sink, total);                                \
  }
READ(plain, )
#if defined(__x86_64__) && defined(__GNUC__)
READ(wide, __attribute__((target("avx512f"))))
#else
#define read_wide read_plain
#endif

static const struct row {
  const char *op;
  void (*plain)(int64_t from, int64_t to), (*wide)(int64_t from, int64_t to);
} rows[] = {{"fill", fill_plain, fill_wide},
            {"copy", copy_plain, copy_wide},
            {"triad", triad_plain, triad_wide},
            {"read", read_plain, read_wide}};

/* Threads do not wait for one another between calls, as those of an op must: a limit. */
static int64_t n_calls;

static void first_touch(int64_t from, int64_t to) {
  for (int64_t i = from; i < to; i++) a[i] = b[i] = c[i] = (float)(i & 7);
}

static void *work(void *user) {
  const int64_t k = (int64_t)(intptr_t)user, lines = n / LANES;
  const int64_t from = lines * k / n_threads * LANES, to = lines * (k + 1) / n_threads * LANES;
  for (int64_t call = 0; call < n_calls; call++) part(from, to);
  return NULL;
}

static const char *run_parts(int64_t calls) {
  pthread_t threads[MOST_THREADS];
  n_calls = calls;
  int started = 1;
  while (started < n_threads &&
         !pthread_create(&threads[started], NULL, work, (void *)(intptr_t)started))
    started++;
  work(NULL);
  for (int k = 1; k < started; k++) pthread_join(threads[k], NULL);
  return started < n_threads ? "no thread" : NULL;
}

static const char *run_products(int64_t calls) {
  const size_t one = (size_t)size * (size_t)size;
  for (int64_t i = 0; i < calls; i++)
    for (size_t k = 0; k < (size_t)batch; k++)
      product(ROW_MAJOR, PLAIN, PLAIN, size, size, size, 1, a + k * one, size, b + k * one, size, 0,
              c + k * one, size);
  return NULL;
}

static const char *run(int64_t calls) { return size ? run_products(calls) : run_parts(calls); }

static float *reserve(void) {
  void *const bytes = mmap(NULL, (size_t)n * sizeof(float), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytes == MAP_FAILED) return NULL;
  madvise(bytes, (size_t)n * sizeof(float), MADV_HUGEPAGE);
  return bytes;
}

/* Sizes: "1e7" elements; "512" and "256x64" for products, rows and batches of them. */
static const char *prepare(const char *op, const char *text) {
  part = NULL;
  size = 0;
  if (!strcmp(op, "sgemm")) {
    if (!product) return "no OpenBLAS";
    const char *const cross = strchr(text, 'x');
    size = (int)strtol(cross ? cross + 1 : text, NULL, 10);
    batch = cross ? (int)strtol(text, NULL, 10) : 1;
    n = (int64_t)batch * size * size;
  } else {
    n = (int64_t)strtod(text, NULL) / LANES * LANES;
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
      if (!strcmp(rows[k].op, op)) part = HAS_WIDE ? rows[k].wide : rows[k].plain;
    if (!part) return "no such limit";
  }
  a = reserve();
  b = reserve();
  c = reserve();
  if (!a || !b || !c) return "no memory";
  void (*const wanted)(int64_t, int64_t) = part;
  part = first_touch;
  const char *const wrong = run_parts(1);
  part = wanted;
  for (int64_t i = 0; size && i < n; i++) a[i] = b[i] = 1;
  return wrong;
}

/* Nothing to save: a product of ones is known. */
static const char *check(const char *path) {
  (void)path;
  const char *const wrong = run(1);
  if (wrong || !size) return wrong;
  return c[0] == (float)size && c[n - 1] == (float)size ? NULL : "wrong product";
}

static void drop(void) {
  float **const all[] = {&a, &b, &c};
  for (int k = 0; k < 3; k++) {
    if (*all[k]) munmap(*all[k], (size_t)n * sizeof(float));
    *all[k] = NULL;
  }
}

static int64_t held(void) { return 0; }
static const char *hello(void) { return ""; }

/* ISO C has no conversion from a pointer to an object to one to a function; POSIX has dlsym. */
static bool find(void *handle, const char *name, void *function) {
  void *const symbol = dlsym(handle, name);
  memcpy(function, &symbol, sizeof symbol);
  return symbol != NULL;
}

int main(int argc, char **argv) {
  static const worker limits = {"limits", hello, prepare, check, run, drop, held};
  n_threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
  if (argc > 3 || n_threads < 1 || n_threads > MOST_THREADS) {
    fputs("usage: compare_limits THREADS [BLAS]\n", stderr);
    return 2;
  }
  if (argc == 3) {
    void (*set_threads)(int) = NULL;
    void *const handle = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
    if (handle && find(handle, "cblas_sgemm", &product) &&
        find(handle, "openblas_set_num_threads", &set_threads))
      set_threads(n_threads);
  }
  return worker_serve(&limits);
}
