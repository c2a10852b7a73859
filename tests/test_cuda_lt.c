/* SPDX-License-Identifier: MIT
 * The stand-in for cuBLASLt: every type, transposes, leading dimensions, batches, alpha and beta
 * against plain loops, and what it refuses. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/cublaslt.h"
#include "fakecuda_test.h"
#include "half.h"

#include "check.h"

enum { INVALID = 7, OP_C = 2, M = 5, N_ = 3, K = 4, BATCH = 2, BYTES = 4096 };

#define LT_SLOT(name, params) int(*name) params;
static struct { TVI_CUBLASLT_CALLS(LT_SLOT) } lt;
static tvi_driver_calls cu;
static void *handle;

static bool find_calls(void) {
  void *const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  void *const blas = dlopen("libcublasLt.so.13", RTLD_NOW | RTLD_LOCAL);
  if (!driver || !blas || !dlsym(driver, "fakecuda_count")) return false;
#define CU_FIND(name, symbol, params) {&cu.name, driver, symbol},
#define LT_FIND(name, params) {&lt.name, blas, #name},
  const struct {
    void *slot, *library;
    const char *symbol;
  } calls[] = {TVI_DRIVER_CALLS(CU_FIND) TVI_CUBLASLT_CALLS(LT_FIND)};
  for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
    void *const address = dlsym(calls[k].library, calls[k].symbol);
    if (!address) return false;
    memcpy(calls[k].slot, &address, sizeof address);
  }
  return true;
}

static void start(void) {
  CUcontext context;
  if (handle) return;
  if (!find_calls()) check_fail(CHECK_HERE, "the driver is not the fake one");
  EQUAL(cu.cuInit(0), 0);
  EQUAL(cu.cuDevicePrimaryCtxRetain(&context, 0), 0);
  EQUAL(cu.cuCtxSetCurrent(context), 0);
  EQUAL(lt.cublasLtCreate(&handle), 0);
}

/* A product as the stand-in is asked for it. */
typedef struct product {
  int type, compute, scale;
  int op[2];          /* of a and b */
  int64_t gap;        /* between columns, beyond the rows */
  int64_t batch;      /* 1 or BATCH */
  int64_t shift;      /* of a, in bytes */
  int64_t workspace;  /* given; it is promised 1 MiB */
  int64_t alignment;  /* promised of a */
  double alpha, beta; /* real */
} product;

static const product plain = {
    CUDA_R_32F, CUBLAS_COMPUTE_32F, CUDA_R_32F, {0, 0}, 0, 1, 0, 1 << 20, 256, 1, 0};

static int item_of(int type) {
  return type == CUDA_R_16F || type == CUDA_R_16BF  ? 2
         : type == CUDA_R_32F                       ? 4
         : type == CUDA_R_64F || type == CUDA_C_32F ? 8
                                                    : 16;
}

static void put(int type, void *at, double re, double im) {
  switch (type) {
    case CUDA_R_16F:
      *(uint16_t *)at = tvi_f16_of_double(re);
      break;
    case CUDA_R_16BF:
      *(uint16_t *)at = tvi_bf16_of_double(re);
      break;
    case CUDA_R_32F:
      *(float *)at = (float)re;
      break;
    case CUDA_R_64F:
      *(double *)at = re;
      break;
    case CUDA_C_32F:
      ((float *)at)[0] = (float)re, ((float *)at)[1] = (float)im;
      break;
    default:
      ((double *)at)[0] = re, ((double *)at)[1] = im;
  }
}

static double get(int type, const void *at, int part) {
  switch (type) {
    case CUDA_R_16F:
      return part ? 0 : (double)tvi_f16_load(*(const uint16_t *)at);
    case CUDA_R_16BF:
      return part ? 0 : (double)tvi_bf16_load(*(const uint16_t *)at);
    case CUDA_R_32F:
      return part ? 0 : (double)*(const float *)at;
    case CUDA_R_64F:
      return part ? 0 : *(const double *)at;
    case CUDA_C_32F:
      return (double)((const float *)at)[part];
    default:
      return ((const double *)at)[part];
  }
}

/* Small whole numbers, of which every product is exact in every type. */
static double whole(int64_t i, int which, int part) {
  return (double)((i * 7 + which * 5 + part * 3) % 5 - 2);
}

/* Rows and columns in memory of a, b and d. */
static void sizes_of(const product *p, int which, int64_t *rows, int64_t *columns) {
  const bool turns = which < 2 && p->op[which] != CUBLAS_OP_N;
  const int64_t r = which == 1 ? K : M, c = which == 0 ? K : N_;
  *rows = turns ? c : r;
  *columns = turns ? r : c;
}

static double element(const product *p, int which, int64_t b, int64_t row, int64_t column,
                      int part) {
  int64_t rows, columns;
  sizes_of(p, which, &rows, &columns);
  const int op = which < 2 ? p->op[which] : CUBLAS_OP_N;
  const int64_t leading = rows + p->gap, i = op == CUBLAS_OP_N ? row : column;
  const int64_t j = op == CUBLAS_OP_N ? column : row;
  if (part && p->type != CUDA_C_32F && p->type != CUDA_C_64F) return 0;
  return whole(b * leading * columns + j * leading + i, which, part) *
         (part && op == OP_C ? -1 : 1);
}

static double wanted(const product *p, int64_t b, int64_t row, int64_t column, int part) {
  double sum[2] = {0, 0};
  for (int64_t k = 0; k < K; k++) {
    const double x = element(p, 0, b, row, k, 0), xi = element(p, 0, b, row, k, 1);
    const double y = element(p, 1, b, k, column, 0), yi = element(p, 1, b, k, column, 1);
    sum[0] += x * y - xi * yi;
    sum[1] += x * yi + xi * y;
  }
  const double before = p->beta == 0 ? 0 : p->beta * element(p, 2, b, row, column, part);
  return p->alpha * sum[part] + before;
}

/* The status of the call that refuses, or 0; the result, from the device. */
static int multiply(const product *p, unsigned char *out) {
  static unsigned char host[BYTES];
  CUdeviceptr data[3], workspace = 0;
  void *desc, *layouts[3] = {0}, *preference;
  tvi_lt_heuristic best;
  unsigned char alpha[16], beta[16];
  int found = 0, status = lt.cublasLtMatmulDescCreate(&desc, p->compute, p->scale);
  EQUAL(status, 0);
  EQUAL(lt.cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &p->op[0], 4), 0);
  EQUAL(lt.cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSB, &p->op[1], 4), 0);
  for (int which = 0; which < 3; which++) {
    int64_t rows, columns;
    sizes_of(p, which, &rows, &columns);
    const int64_t leading = rows + p->gap, stride = leading * columns;
    const int32_t batch = (int32_t)p->batch;
    for (int64_t i = 0; i < p->batch * stride; i++)
      put(p->type, host + p->shift * !which + i * item_of(p->type), whole(i, which, 0),
          whole(i, which, 1));
    EQUAL(cu.cuMemAlloc(&data[which], BYTES), 0);
    EQUAL(cu.cuMemcpyHtoDAsync(data[which], host, BYTES, NULL), 0);
    EQUAL(cu.cuStreamSynchronize(NULL), 0);
    EQUAL(lt.cublasLtMatrixLayoutCreate(&layouts[which], p->type, (uint64_t)rows, (uint64_t)columns,
                                        leading),
          0);
    lt.cublasLtMatrixLayoutSetAttribute(layouts[which], CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch,
                                        4);
    lt.cublasLtMatrixLayoutSetAttribute(layouts[which], CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                        &stride, 8);
  }
  const uint64_t room = 1 << 20;
  const uint32_t alignment = (uint32_t)p->alignment;
  EQUAL(lt.cublasLtMatmulPreferenceCreate(&preference), 0);
  lt.cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                          &room, 8);
  lt.cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
                                          &alignment, 4);
  status = lt.cublasLtMatmulAlgoGetHeuristic(handle, desc, layouts[0], layouts[1], layouts[2],
                                             layouts[2], preference, 1, &best, &found);
  if (!status) {
    EQUAL(found, 1);
    if (p->workspace) EQUAL(cu.cuMemAlloc(&workspace, (size_t)p->workspace), 0);
    put(p->scale, alpha, p->alpha, 0);
    put(p->scale, beta, p->beta, 0);
    status = lt.cublasLtMatmul(
        handle, desc, alpha, (void *)(uintptr_t)(data[0] + (CUdeviceptr)p->shift), layouts[0],
        (void *)(uintptr_t)data[1], layouts[1], beta, (void *)(uintptr_t)data[2], layouts[2],
        (void *)(uintptr_t)data[2], layouts[2], &best.algo, (void *)(uintptr_t)workspace,
        (size_t)p->workspace, NULL);
  }
  EQUAL(cu.cuMemcpyDtoHAsync(out, data[2], BYTES, NULL), 0);
  for (int which = 0; which < 3; which++) {
    EQUAL(cu.cuMemFree(data[which]), 0); /* waits */
    EQUAL(lt.cublasLtMatrixLayoutDestroy(layouts[which]), 0);
  }
  EQUAL(cu.cuMemFree(workspace), 0);
  EQUAL(lt.cublasLtMatmulPreferenceDestroy(preference), 0);
  EQUAL(lt.cublasLtMatmulDescDestroy(desc), 0);
  return status;
}

static void is_right(const product *p) {
  static unsigned char got[BYTES];
  EQUAL(multiply(p, got), 0);
  const int item = item_of(p->type);
  for (int64_t b = 0; b < p->batch; b++)
    for (int64_t j = 0; j < N_; j++)
      for (int64_t i = 0; i < M + p->gap; i++)
        for (int part = 0; part < 2; part++) {
          const int64_t at = (b * N_ + j) * (M + p->gap) + i;
          const bool is_complex = p->type == CUDA_C_32F || p->type == CUDA_C_64F;
          if (part && !is_complex) continue;
          const double want = i < M ? wanted(p, b, i, j, part) : whole(at, 2, part); /* the gap */
          if (get(p->type, got + at * item, part) != want)
            check_fail(CHECK_HERE, "type %d, ops %d %d: [%d, %d, %d] is %g, not %g", p->type,
                       p->op[0], p->op[1], (int)b, (int)i, (int)j,
                       get(p->type, got + at * item, part), want);
        }
}

static const int kinds[][3] = {{CUDA_R_16F, CUBLAS_COMPUTE_32F, CUDA_R_32F},
                               {CUDA_R_16BF, CUBLAS_COMPUTE_32F, CUDA_R_32F},
                               {CUDA_R_32F, CUBLAS_COMPUTE_32F, CUDA_R_32F},
                               {CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32, CUDA_R_32F},
                               {CUDA_R_64F, CUBLAS_COMPUTE_64F, CUDA_R_64F},
                               {CUDA_C_32F, CUBLAS_COMPUTE_32F, CUDA_C_32F},
                               {CUDA_C_64F, CUBLAS_COMPUTE_64F, CUDA_C_64F}};

TEST(all_types_and_forms) {
  start();
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
    for (int form = 0; form < 9 * 8; form++) {
      product p = plain;
      p.type = kinds[k][0], p.compute = kinds[k][1], p.scale = kinds[k][2];
      p.op[0] = form % 3, p.op[1] = form / 3 % 3;
      p.gap = form / 9 % 2 * 3;
      p.batch = form / 18 % 2 ? BATCH : 1;
      if (form / 36 % 2) p.alpha = 2, p.beta = -1;
      is_right(&p);
    }
}

TEST(tf32_has_ten_bits) {
  start();
  CUdeviceptr data[2];
  const float x[2] = {1 + 0x1p-11f, 1};
  for (int fast = 0; fast < 2; fast++) {
    void *desc, *layout;
    const float one = 1, zero = 0;
    float out = 0;
    for (int k = 0; k < 2; k++) EQUAL(cu.cuMemAlloc(&data[k], 256), 0);
    EQUAL(cu.cuMemcpyHtoDAsync(data[0], x, sizeof x, NULL), 0);
    EQUAL(lt.cublasLtMatmulDescCreate(
              &desc, fast ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
          0);
    EQUAL(lt.cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 1, 1, 1), 0);
    void *const a = (void *)(uintptr_t)data[0], *const d = (void *)(uintptr_t)data[1];
    EQUAL(lt.cublasLtMatmul(handle, desc, &one, a, layout, a, layout, &zero, d, layout, d, layout,
                            NULL, NULL, 0, NULL),
          0);
    EQUAL(cu.cuMemcpyDtoHAsync(&out, data[1], sizeof out, NULL), 0);
    EQUAL(cu.cuStreamSynchronize(NULL), 0);
    CHECK(out == (fast ? (1 + 0x1p-10f) * (1 + 0x1p-10f) : x[0] * x[0]));
    for (int k = 0; k < 2; k++) EQUAL(cu.cuMemFree(data[k]), 0);
    lt.cublasLtMatmulDescDestroy(desc);
    lt.cublasLtMatrixLayoutDestroy(layout);
  }
}

TEST(what_is_refused) {
  start();
  static unsigned char out[BYTES];
  product p = plain;
  p.compute = CUBLAS_COMPUTE_64F;
  EQUAL(multiply(&p, out), CUBLAS_STATUS_NOT_SUPPORTED);
  p = plain;
  p.type = CUDA_R_16F, p.compute = CUBLAS_COMPUTE_32F_FAST_TF32;
  EQUAL(multiply(&p, out), CUBLAS_STATUS_NOT_SUPPORTED);
  p = plain;
  p.alignment = 2; /* less than an element's */
  EQUAL(multiply(&p, out), CUBLAS_STATUS_NOT_SUPPORTED);
  p = plain;
  p.shift = 4; /* less than promised */
  EQUAL(multiply(&p, out), INVALID);
  p.alignment = 4;
  EQUAL(multiply(&p, out), 0);
  p = plain;
  p.workspace = 1 << 19;
  EQUAL(multiply(&p, out), INVALID);
  p = plain;
  p.gap = -1;
  EQUAL(multiply(&p, out), INVALID);
}

TEST_MAIN("cuda_lt", CASE(all_types_and_forms), CASE(tf32_has_ten_bits), CASE(what_is_refused))
