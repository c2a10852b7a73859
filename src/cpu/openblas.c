/* SPDX-License-Identifier: MIT
 * A private OpenBLAS: found by path, opened at first use, never linked (docs/adr/0007).
 *
 * Symbols stay local, so that the host's own BLAS is neither used nor disturbed; a file that the
 * host has opened itself is copied for us. The kernels are put right where OpenBLAS does not know
 * the processor (openblas_core.c, docs/adr/0012). A build with
 * threads of its own is opened while the calling thread may run on one processor only: it then
 * starts none. A serial build has no lock around its buffers (two calls at once give wrong
 * numbers), and one over OpenMP is not safe in forked children: these take one call at a time.
 *
 * TV_OPENBLAS names a file to open instead, or "none". Fork waits for the calls that run, so that a
 * child finds OpenBLAS and the door here in order. */
#define _GNU_SOURCE /* RTLD_DEEPBIND, dlinfo, sched_setaffinity, memfd_create */
#include "openblas.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "openblas_core.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FLAGS (RTLD_NOW | RTLD_LOCAL) /* sanitizers cannot be deep-bound around */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FLAGS (RTLD_NOW | RTLD_LOCAL)
#endif
#endif
#ifndef FLAGS
#ifdef RTLD_DEEPBIND
#define FLAGS (RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND)
#else
#define FLAGS (RTLD_NOW | RTLD_LOCAL)
#endif
#endif

#if defined(__x86_64__)
#define MULTIARCH "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define MULTIARCH "aarch64-linux-gnu"
#else
#define MULTIARCH "lib"
#endif

/* Of cblas.h. */
enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };
/* Of openblas_get_parallel. */
enum { SERIAL = 0, PTHREADS = 1 };
#define BUILT_IN "built-in"
enum { MOST_INSIDE = 64 }; /* OpenBLAS ends the process when its table of buffers is full */

typedef void sgemm(int, int, int, int, int, int, float, const void *, int, const void *, int, float,
                   void *, int);
typedef void dgemm(int, int, int, int, int, int, double, const void *, int, const void *, int,
                   double, void *, int);
typedef void zgemm(int, int, int, int, int, int, const void *, const void *, int, const void *, int,
                   const void *, void *, int);

static struct {
  void *handle; /* NULL: there is none */
  char name[512], core[32];
  bool is_direct;
  sgemm *f32;
  dgemm *f64;
  zgemm *c64, *c128;
} blas = {.name = BUILT_IN};

/* The door: at most `limit` calls are inside. One atomic in the usual case; those that find it full
 * or closed, and a fork that wants it empty, count as waiters before they look again, and whoever
 * leaves looks at that count after it left: nobody sleeps unseen. */
enum { CLOSED = 1 << 30 }; /* above every limit */
static struct {
  pthread_mutex_t mutex;
  pthread_cond_t free;
  _Atomic int inside, waiters;
  int limit;
} door = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 1};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool try_enter(void) {
  int inside = atomic_load(&door.inside);
  while (inside < door.limit)
    if (atomic_compare_exchange_weak(&door.inside, &inside, inside + 1)) return true;
  return false;
}

static void enter(void) {
  if (__builtin_expect(try_enter(), 1)) return;
  pthread_mutex_lock(&door.mutex);
  atomic_fetch_add(&door.waiters, 1);
  while (!try_enter()) pthread_cond_wait(&door.free, &door.mutex);
  atomic_fetch_sub(&door.waiters, 1);
  pthread_mutex_unlock(&door.mutex);
}

static void leave(void) {
  atomic_fetch_sub(&door.inside, 1);
  if (__builtin_expect(!atomic_load(&door.waiters), 1)) return;
  pthread_mutex_lock(&door.mutex);
  pthread_cond_broadcast(&door.free);
  pthread_mutex_unlock(&door.mutex);
}

static void before_fork(void) {
  pthread_mutex_lock(&door.mutex);
  atomic_fetch_add(&door.waiters, 1);
  atomic_fetch_or(&door.inside, CLOSED);
  while (atomic_load(&door.inside) != CLOSED) pthread_cond_wait(&door.free, &door.mutex);
}

static void after_fork(void) {
  atomic_store(&door.inside, 0);
  atomic_fetch_sub(&door.waiters, 1);
  pthread_cond_broadcast(&door.free);
  pthread_mutex_unlock(&door.mutex);
}

/* Who waited is not here, and the condition must not wait for them. */
static void after_fork_in_child(void) {
  atomic_store(&door.inside, 0);
  atomic_store(&door.waiters, 0);
  pthread_cond_init(&door.free, NULL);
  pthread_mutex_unlock(&door.mutex);
}

/* ISO C has no conversion from a pointer to an object to one to a function; POSIX has dlsym. */
static bool find(void *handle, const char *name, void *function) {
  void *const symbol = dlsym(handle, name);
  memcpy(function, &symbol, sizeof symbol);
  return symbol != NULL;
}

static bool adopt(void *handle) {
  int (*get_parallel)(void) = NULL;
  void (*set_num_threads)(int) = NULL;
  if (!find(handle, "cblas_sgemm", &blas.f32) || !find(handle, "cblas_dgemm", &blas.f64) ||
      !find(handle, "cblas_cgemm", &blas.c64) || !find(handle, "cblas_zgemm", &blas.c128) ||
      !find(handle, "openblas_get_parallel", &get_parallel) ||
      !find(handle, "openblas_set_num_threads", &set_num_threads))
    return false;
  const int parallel = get_parallel();
  if (parallel != SERIAL) set_num_threads(1);
  door.limit = parallel == PTHREADS ? MOST_INSIDE : 1;
  blas.handle = handle;
  return true;
}

/* A copy of a file that the loader takes for another library. */
static void *open_copy(const char *path) {
  void *handle = NULL;
  struct stat about;
  char name[32];
  const int from = open(path, O_RDONLY | O_CLOEXEC);
  const int to = memfd_create("libopenblas", MFD_CLOEXEC);
  if (from < 0 || to < 0 || fstat(from, &about)) goto done;
  while (about.st_size > 0) {
    const ssize_t n = sendfile(to, from, NULL, (size_t)about.st_size);
    if (n <= 0) goto done;
    about.st_size -= n;
  }
  snprintf(name, sizeof name, "/proc/self/fd/%d", to);
  handle = dlopen(name, FLAGS);
done:
  if (from >= 0) close(from);
  if (to >= 0) close(to);
  return handle;
}

/* Where the host has opened this very file, dlopen gives the host's, with its threads and kernels,
 * which are not ours to change: a copy is. */
static void *open_own(const char *path, bool *is_own) {
  void *handle = dlopen(path, FLAGS | RTLD_NOLOAD);
  struct link_map *map = NULL;
  *is_own = true;
  if (!handle) {
    handle = dlopen(path, FLAGS);
    if (handle && dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map->l_name[0])
      snprintf(blas.name, sizeof blas.name, "%s", map->l_name);
    return handle;
  }
  if (dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map->l_name[0])
    snprintf(blas.name, sizeof blas.name, "%s", map->l_name);
  void *const copy = open_copy(blas.name);
  *is_own = copy != NULL;
  if (!copy) return handle;
  dlclose(handle);
  return copy;
}

static bool open_at(const char *path) {
  bool is_own;
  void *const handle = open_own(path, &is_own);
  if (handle && adopt(handle)) {
    if (is_own) tvi_openblas_core_choose(handle);
    snprintf(blas.core, sizeof blas.core, "%s", tvi_openblas_core(handle));
    blas.is_direct = tvi_openblas_core_is_direct(blas.core);
    return true;
  }
  snprintf(blas.name, sizeof blas.name, BUILT_IN);
  if (handle) dlclose(handle);
  return false;
}

#ifdef TV_WITHOUT_OPENBLAS
enum { IS_WANTED = false };
#else
enum { IS_WANTED = true };
#endif

static void open_any(void) {
  static const char *const paths[] = {
      "/usr/lib/" MULTIARCH "/openblas-pthread/libopenblas.so.0",
      "libopenblasp.so.0",
      "libopenblas.so.0",
      "/usr/lib/" MULTIARCH "/openblas-serial/libopenblas.so.0",
  };
  if (!IS_WANTED) return;
  const char *const chosen = getenv("TV_OPENBLAS");
  if (chosen && *chosen) {
    open_at(chosen);
    return;
  }
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
    if (open_at(paths[i])) return;
}

static void open_once(void) {
  cpu_set_t all, one;
  const bool is_known = sched_getaffinity(0, sizeof all, &all) == 0;
  if (is_known) {
    const int here = sched_getcpu();
    CPU_ZERO(&one);
    CPU_SET((size_t)(here < 0 ? 0 : here), &one);
    sched_setaffinity(0, sizeof one, &one);
  }
  open_any();
  if (is_known) sched_setaffinity(0, sizeof all, &all);
  if (blas.handle) pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

bool tvi_blas_is_there(void) {
  pthread_once(&once, open_once);
  return blas.handle != NULL;
}

bool tvi_blas_is_direct(void) { return blas.is_direct; }

const char *tv_blas_name(void) {
  pthread_once(&once, open_once);
  return blas.name;
}

const char *tv_blas_kernel(void) {
  pthread_once(&once, open_once);
  return blas.core;
}

void tvi_blas_gemm(tv_dtype dtype, int64_t m, int64_t n, int64_t k, tvi_blas_matrix a,
                   tvi_blas_matrix b, void *out, int64_t out_ld) {
  static const double one_c128[2] = {1, 0}, zero[2] = {0, 0};
  static const float one_c64[2] = {1, 0};
  const int ta = a.is_transposed ? TRANSPOSED : PLAIN, tb = b.is_transposed ? TRANSPOSED : PLAIN;
  const int rows = (int)m, columns = (int)n, inner = (int)k;
  const int lda = (int)a.ld, ldb = (int)b.ld, ldc = (int)out_ld;
  enter();
  switch (dtype) {
    case TV_F32:
      blas.f32(ROW_MAJOR, ta, tb, rows, columns, inner, 1, a.data, lda, b.data, ldb, 0, out, ldc);
      break;
    case TV_F64:
      blas.f64(ROW_MAJOR, ta, tb, rows, columns, inner, 1, a.data, lda, b.data, ldb, 0, out, ldc);
      break;
    case TV_C64:
      blas.c64(ROW_MAJOR, ta, tb, rows, columns, inner, one_c64, a.data, lda, b.data, ldb, zero,
               out, ldc);
      break;
    default:
      blas.c128(ROW_MAJOR, ta, tb, rows, columns, inner, one_c128, a.data, lda, b.data, ldb, zero,
                out, ldc);
  }
  leave();
}
