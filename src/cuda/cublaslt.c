/* SPDX-License-Identifier: MIT
 * Products by cuBLASLt, which is half a gigabyte and so opened when the first one comes.
 *
 * What a product is (types, sizes, strides, alignments) is described to cuBLASLt once: description
 * and the kernel that its heuristic names are kept in a table, so the same product always runs the
 * same kernel. Split sums are allowed only where their order is fixed. */
#define _GNU_SOURCE
#include "cublaslt.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

enum { PLACES = 256, ORDERED_SPLITS = 6 /* not in place: that one adds in any order */ };

#define LT_SLOT(name, params) int(*name) params;
static struct { TVI_CUBLASLT_CALLS(LT_SLOT) } lt;

/* Everything that a choice depends on; compared as bytes, so filled with zeros first. */
typedef struct key {
  int64_t inner, batch, a[4], b[4], d[4];
  int32_t dtype, precision, a_is_transposed, b_is_transposed, a_alignment, b_alignment, d_alignment;
} key;

typedef struct choice {
  key of;
  void *desc, *a, *b, *d;
  tvi_lt_algo algo;
  size_t workspace;
} choice;

typedef struct blas {
  void *handle;
  choice *choices[PLACES];
} blas;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the library and all tables */

/* Open -------------------------------------------------------------------------------------- */

static void *open_from(const char *folder, int length) {
  static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12"};
  for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
    char path[4096];
    const int n =
        snprintf(path, sizeof path, "%.*s%s%s", length, folder, length ? "/" : "", names[k]);
    void *const library = n < (int)sizeof path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (library) return library;
  }
  return NULL;
}

/* The folders of TV_CUDA_LIBS and no other; where it names none, where the loader looks, and where
 * the toolkit is by custom. */
static void *open_library(void) {
  const char *at = getenv("TV_CUDA_LIBS");
  const bool is_named = at && *at;
  while (is_named && *at) {
    const int length = (int)strcspn(at, ":");
    void *const library = length ? open_from(at, length) : NULL;
    if (library) return library;
    at += length + (at[length] == ':');
  }
  if (is_named) return NULL;
  void *library = open_from("", 0);
  const char *const home = getenv("CUDA_HOME");
  char folder[4096];
  if (!library && home && snprintf(folder, sizeof folder, "%s/lib64", home) < (int)sizeof folder)
    library = open_from(folder, (int)strlen(folder));
  static const char usual[] = "/usr/local/cuda/lib64";
  return library ? library : open_from(usual, (int)sizeof usual - 1);
}

static tv_status open_lt(tvi_gpu *gpu) {
  static void *library;
  if (library) return TV_OK;
  void *const opened = open_library();
  const char *const named = getenv("TV_CUDA_LIBS");
  if (!opened)
    return tvi_host->fail(
        TV_EDEVICE, "matmul: %s needs cuBLASLt, and there is no libcublasLt.so.13 or .12 %s",
        gpu->name,
        named && *named ? "in TV_CUDA_LIBS"
                        : "where the loader looks, in CUDA_HOME, or in /usr/local/cuda");
#define LT_FIND(name, params) {&lt.name, #name},
  const struct {
    void *slot;
    const char *symbol;
  } calls[] = {TVI_CUBLASLT_CALLS(LT_FIND)};
  for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
    void *const address = dlsym(opened, calls[k].symbol);
    if (!address) {
      dlclose(opened);
      return tvi_host->fail(TV_EDEVICE, "matmul: the cuBLASLt found has no %s", calls[k].symbol);
    }
    memcpy(calls[k].slot, &address, sizeof address);
  }
  library = opened;
  return TV_OK;
}

static tv_status result(tvi_gpu *gpu, const char *call, int status) {
  if (status == 0) return TV_OK;
  /* A kernel that failed before this call shows here as a failure of cuBLAS: the driver knows. */
  if (status == CUBLAS_STATUS_EXECUTION_FAILED || status == CUBLAS_STATUS_INTERNAL_ERROR) {
    const tv_status driver =
        tvi_gpu_result(gpu, call, tvi_driver.cuStreamSynchronize(gpu->main.cu));
    if (driver) return driver;
  }
  return tvi_host->fail(status == CUBLAS_STATUS_NOT_SUPPORTED  ? TV_EUNSUPPORTED
                        : status == CUBLAS_STATUS_ALLOC_FAILED ? TV_ENOMEM
                                                               : TV_EDEVICE,
                        "matmul: %s failed on %s (status %d of cuBLAS)", call, gpu->name, status);
}
#define LT(gpu, call, ...) result((gpu), #call, lt.call(__VA_ARGS__))

static tv_status ready(tvi_gpu *gpu) {
  if (gpu->blas) return TV_OK;
  tv_status status = open_lt(gpu);
  if (status) return status;
  blas *const made = tvi_host->alloc(sizeof *made);
  if (!made)
    return tvi_host->fail(TV_ENOMEM, "%s: no memory on cpu for %zu bytes", gpu->name, sizeof *made);
  int created = lt.cublasLtCreate(&made->handle);
  if (tvi_gpu_made_room(gpu, created == CUBLAS_STATUS_ALLOC_FAILED))
    created = lt.cublasLtCreate(&made->handle);
  status = result(gpu, "cublasLtCreate", created);
  if (status)
    tvi_host->free(made);
  else
    gpu->blas = made;
  return status;
}

/* Choose ------------------------------------------------------------------------------------ */

typedef struct kind {
  int type, compute, scale;
} kind;

static kind kind_of(tv_dtype dtype, tv_matmul_precision precision) {
  switch (dtype) {
    case TV_F16:
      return (kind){CUDA_R_16F, CUBLAS_COMPUTE_32F, CUDA_R_32F};
    case TV_BF16:
      return (kind){CUDA_R_16BF, CUBLAS_COMPUTE_32F, CUDA_R_32F};
    case TV_F64:
      return (kind){CUDA_R_64F, CUBLAS_COMPUTE_64F, CUDA_R_64F};
    case TV_C64:
      return (kind){CUDA_C_32F, CUBLAS_COMPUTE_32F, CUDA_C_32F};
    case TV_C128:
      return (kind){CUDA_C_64F, CUBLAS_COMPUTE_64F, CUDA_C_64F};
    default:
      return (kind){CUDA_R_32F,
                    precision == TV_MATMUL_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                    CUDA_R_32F};
  }
}

static int32_t alignment_of(const void *at) {
  const uintptr_t lowest = (uintptr_t)at & (0 - (uintptr_t)at);
  return lowest && lowest < 256 ? (int32_t)lowest : 256;
}

static void forget(choice *c) {
  if (!c) return;
  if (c->desc) lt.cublasLtMatmulDescDestroy(c->desc);
  if (c->a) lt.cublasLtMatrixLayoutDestroy(c->a);
  if (c->b) lt.cublasLtMatrixLayoutDestroy(c->b);
  if (c->d) lt.cublasLtMatrixLayoutDestroy(c->d);
  tvi_host->free(c);
}

static tv_status layout(tvi_gpu *gpu, void **made, int type, const int64_t *of, int64_t batch) {
  tv_status status =
      LT(gpu, cublasLtMatrixLayoutCreate, made, type, (uint64_t)of[0], (uint64_t)of[1], of[2]);
  const int32_t count = (int32_t)batch;
  if (batch == 1) return status;
  if (!status)
    status = LT(gpu, cublasLtMatrixLayoutSetAttribute, *made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                &count, sizeof count);
  if (!status)
    status = LT(gpu, cublasLtMatrixLayoutSetAttribute, *made,
                CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &of[3], sizeof of[3]);
  return status;
}

static tv_status describe(tvi_gpu *gpu, const key *of, choice *c) {
  const kind k = kind_of(of->dtype, (tv_matmul_precision)of->precision);
  const int32_t a_op = of->a_is_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  const int32_t b_op = of->b_is_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  tv_status status = LT(gpu, cublasLtMatmulDescCreate, &c->desc, k.compute, k.scale);
  if (!status)
    status = LT(gpu, cublasLtMatmulDescSetAttribute, c->desc, CUBLASLT_MATMUL_DESC_TRANSA, &a_op,
                sizeof a_op);
  if (!status)
    status = LT(gpu, cublasLtMatmulDescSetAttribute, c->desc, CUBLASLT_MATMUL_DESC_TRANSB, &b_op,
                sizeof b_op);
  if (!status) status = layout(gpu, &c->a, k.type, of->a, of->batch);
  if (!status) status = layout(gpu, &c->b, k.type, of->b, of->batch);
  if (!status) status = layout(gpu, &c->d, k.type, of->d, of->batch);
  return status;
}

static tv_status prefer(tvi_gpu *gpu, const key *of, void *preference) {
  const uint64_t workspace = gpu->capability >= 90 ? 32u << 20 : 4u << 20;
  const uint32_t splits = ORDERED_SPLITS;
  const struct {
    int which;
    const void *value;
    size_t bytes;
  } wishes[] = {
      {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace},
      {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &splits, sizeof splits},
      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &of->a_alignment, sizeof of->a_alignment},
      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &of->b_alignment, sizeof of->b_alignment},
      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &of->d_alignment, sizeof of->d_alignment},
      {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &of->d_alignment, sizeof of->d_alignment},
  };
  tv_status status = TV_OK;
  for (size_t k = 0; k < sizeof wishes / sizeof *wishes && !status; k++)
    status = LT(gpu, cublasLtMatmulPreferenceSetAttribute, preference, wishes[k].which,
                wishes[k].value, wishes[k].bytes);
  return status;
}

static tv_status choose(tvi_gpu *gpu, const blas *on, const key *of, choice *c) {
  void *preference = NULL;
  tvi_lt_heuristic best;
  int found = 0;
  tv_status status = describe(gpu, of, c);
  if (!status) status = LT(gpu, cublasLtMatmulPreferenceCreate, &preference);
  if (!status) status = prefer(gpu, of, preference);
  if (!status)
    status = LT(gpu, cublasLtMatmulAlgoGetHeuristic, on->handle, c->desc, c->a, c->b, c->d, c->d,
                preference, 1, &best, &found);
  if (preference) lt.cublasLtMatmulPreferenceDestroy(preference);
  if (status) return status;
  if (!found || best.status)
    return tvi_host->fail(TV_EUNSUPPORTED, "matmul: cuBLASLt has no kernel for it on %s",
                          gpu->name);
  c->algo = best.algo;
  c->workspace = best.workspace;
  return TV_OK;
}

static unsigned place_of(const key *of) { /* FNV-1a */
  uint64_t h = UINT64_C(14695981039346656037);
  const unsigned char *const bytes = (const unsigned char *)of;
  for (size_t k = 0; k < sizeof *of; k++) h = (h ^ bytes[k]) * UINT64_C(1099511628211);
  return (unsigned)(h >> 32) % PLACES;
}

static tv_status choice_of(tvi_gpu *gpu, blas *on, const key *of, choice **found) {
  choice **const place = &on->choices[place_of(of)];
  *found = *place;
  if (*place && !memcmp(&(*place)->of, of, sizeof *of)) return TV_OK;
  choice *const made = tvi_host->alloc(sizeof *made);
  if (!made)
    return tvi_host->fail(TV_ENOMEM, "%s: no memory on cpu for %zu bytes", gpu->name, sizeof *made);
  memcpy(&made->of, of, sizeof *of);
  const tv_status status = choose(gpu, on, of, made);
  if (status) {
    forget(made);
    return status;
  }
  forget(*place);
  *found = *place = made;
  return TV_OK;
}

/* Run --------------------------------------------------------------------------------------- */

static void shape_of(int64_t *of, const tvi_lt_matrix *x, int64_t batch) {
  of[0] = x->rows;
  of[1] = x->columns;
  of[2] = x->leading;
  of[3] = batch > 1 ? x->batch_stride : 0;
}

static int queue(tvi_gpu *gpu, void *stream, const choice *c, const tvi_lt_matrix *a,
                 const tvi_lt_matrix *b, const tvi_lt_matrix *d, void *workspace) {
  const blas *const on = gpu->blas;
  static const double one_f64[2] = {1, 0}, zero[2] = {0, 0};
  static const float one_f32[2] = {1, 0};
  const bool is_double = c->of.dtype == TV_F64 || c->of.dtype == TV_C128;
  void *const out = (void *)(uintptr_t)d->data;
  return lt.cublasLtMatmul(on->handle, c->desc, is_double ? (const void *)one_f64 : one_f32,
                           a->data, c->a, b->data, c->b, zero, out, c->d, out, c->d, &c->algo,
                           workspace, c->workspace, tvi_stream_of(gpu, stream)->cu);
}

static tv_status run(tvi_gpu *gpu, void *stream, const choice *c, const tvi_lt_matrix *a,
                     const tvi_lt_matrix *b, const tvi_lt_matrix *d) {
  void *workspace = NULL;
  if (c->workspace) {
    const tv_status status = tvi_gpu_reserve(gpu, (int64_t)c->workspace, stream, &workspace);
    if (status) return status;
  }
  int queued = queue(gpu, stream, c, a, b, d, workspace);
  if (tvi_gpu_made_room(gpu, queued == CUBLAS_STATUS_ALLOC_FAILED))
    queued = queue(gpu, stream, c, a, b, d, workspace);
  const tv_status status = result(gpu, "cublasLtMatmul", queued);
  if (workspace) tvi_gpu_release(gpu, workspace, (int64_t)c->workspace, stream, 0, NULL);
  return status;
}

tv_status tvi_lt_product(tvi_gpu *gpu, void *stream, tv_dtype dtype, tv_matmul_precision precision,
                         int64_t inner, int64_t batch, const tvi_lt_matrix *a,
                         const tvi_lt_matrix *b, const tvi_lt_matrix *d) {
  key of;
  memset(&of, 0, sizeof of);
  of.inner = inner;
  of.batch = batch;
  of.dtype = dtype;
  of.precision = dtype == TV_F32 ? (int32_t)precision : 0;
  of.a_is_transposed = a->is_transposed;
  of.b_is_transposed = b->is_transposed;
  of.a_alignment = alignment_of(a->data);
  of.b_alignment = alignment_of(b->data);
  of.d_alignment = alignment_of(d->data);
  shape_of(of.a, a, batch);
  shape_of(of.b, b, batch);
  shape_of(of.d, d, batch);
  pthread_mutex_lock(&lock);
  choice *c = NULL;
  tv_status status = ready(gpu);
  if (!status) status = choice_of(gpu, gpu->blas, &of, &c);
  if (!status) status = run(gpu, stream, c, a, b, d);
  pthread_mutex_unlock(&lock);
  return status;
}
