// SPDX-License-Identifier: MIT
// A stand-in for libcublasLt: the calls that the module makes, queued on the fake driver's streams.
//
// Sums add in order of k in the type that accumulates, and then round once: the bits are those of
// the CPU's own loops (src/cpu/products.h). What the real one refuses is refused: sizes that do not
// fit, types that do not go together, memory that is not aligned as was promised, a workspace that
// is too small. All of the workspace is overwritten.
#include <cuda/cublaslt.h>
#include <math.h>
#include <string.h>

#include <initializer_list>
#include <new>
#include <vector>

#include "fakecuda_test.h"
#include "half.h"

#define LT_EXPORT extern "C" __attribute__((visibility("default")))
#define LT_DECLARE(name, params) LT_EXPORT int name params;
TVI_CUBLASLT_CALLS(LT_DECLARE)

namespace {

// Statuses and values beside those of cublaslt.h.
enum { kOk = 0, kNotInitialized = 1, kAllocFailed = 3, kInvalid = 7, kExecutionFailed = 13 };
enum { kOpC = 2, kCompute64Pedantic = 71, kFastHalf = 74, kFastBf16 = 75 };
enum { kLayoutOrder = 1, kDescPointerMode = 2, kDescEpilogue = 7 };
constexpr size_t kAlign = 256, kWorkspace = 1 << 20;
constexpr uint64_t kAlgoMark = 0x746c73616c627563;  // in an algo that we have made

struct Handle {};

struct Desc {
  int compute, scale;
  int op[2] = {CUBLAS_OP_N, CUBLAS_OP_N};
};

struct Layout {
  int type;
  int64_t rows, columns, leading;
  int batch = 1;
  int64_t stride = 0;
};

struct Preference {
  uint64_t workspace = 0;
  uint32_t alignment[4] = {kAlign, kAlign, kAlign, kAlign};
};

struct Algo {  // what tvi_lt_algo holds
  uint64_t mark, workspace;
  uint32_t alignment[4];
};
static_assert(sizeof(Algo) <= sizeof(tvi_lt_algo), "");

size_t item(int type) {
  switch (type) {
    case CUDA_R_16F:
    case CUDA_R_16BF:
      return 2;
    case CUDA_R_32F:
      return 4;
    case CUDA_R_64F:
    case CUDA_C_32F:
      return 8;
    case CUDA_C_64F:
      return 16;
    default:
      return 0;
  }
}

// A call that has to fail with a code of the driver does so with a status of its own.
int enter(const char *name, bool is_allocation) {
  const int code = fakecuda_enter(name, is_allocation);
  return code == 0 ? kOk : code == CUDA_ERROR_OUT_OF_MEMORY ? kAllocFailed : kExecutionFailed;
}

template <class T, class... Values>
int make(const char *name, void **out, Values... values) {
  const int status = enter(name, true);
  if (status) return status;
  *out = new (std::nothrow) T{values...};
  fakecuda_handles(1);
  return *out ? kOk : kAllocFailed;
}

template <class T>
int destroy(void *object) {
  if (!object) return kInvalid;
  delete static_cast<T *>(object);
  fakecuda_handles(-1);
  return kOk;
}

template <class T>
int set(T *slot, const void *value, size_t bytes) {
  if (!value || bytes != sizeof(T)) return kInvalid;
  memcpy(slot, value, bytes);
  return kOk;
}

// Arithmetic: as src/cpu/products.h does it ----------------------------------------------------

template <class T>
struct Complex {
  T re, im;
};
template <class T>
T add_product(T sum, T x, T y) {
  return sum + x * y;
}
template <class T>
Complex<T> add_product(Complex<T> sum, Complex<T> x, Complex<T> y) {
  return {sum.re + (x.re * y.re - x.im * y.im), sum.im + (x.re * y.im + x.im * y.re)};
}
template <class T>
T product(T x, T y) {
  return x * y;
}
template <class T>
Complex<T> product(Complex<T> x, Complex<T> y) {
  return {x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
}
template <class T>
T plus(T x, T y) {
  return x + y;
}
template <class T>
Complex<T> plus(Complex<T> x, Complex<T> y) {
  return {x.re + y.re, x.im + y.im};
}
template <class T>
T conjugate(T x) {
  return x;
}
template <class T>
Complex<T> conjugate(Complex<T> x) {
  return {x.re, -x.im};
}
template <class T>
bool is_value(T x, double value) {
  return x == (T)value;
}
template <class T>
bool is_value(Complex<T> x, double value) {
  return x.re == (T)value && x.im == 0;
}

// To 10 bits behind the point, to nearest, halves away from zero, as cvt.rna.tf32 does.
float to_tf32(float x) {
  if (!(fabsf(x) < INFINITY)) return x;
  return tvi_float_of((tvi_bits_of(x) + 0x1000) & ~0x1fffu);
}

template <class T>
struct Whole {
  using Stored = T;
  using Sum = T;
  static T load(T x) { return x; }
  static T store(T x) { return x; }
};
struct F16 {
  using Stored = uint16_t;
  using Sum = float;
  static float load(uint16_t x) { return tvi_f16_load(x); }
  static uint16_t store(float x) { return tvi_f16_store(x); }
};
struct Bf16 {
  using Stored = uint16_t;
  using Sum = float;
  static float load(uint16_t x) { return tvi_bf16_load(x); }
  static uint16_t store(float x) { return tvi_bf16_store(x); }
};
struct Tf32 : Whole<float> {
  static float load(float x) { return to_tf32(x); }
};

struct Job {
  Desc desc;
  Layout layout[4];  // of a, b, c, d
  const void *data[3];
  void *d, *workspace;
  size_t workspace_bytes;
  unsigned char alpha[16], beta[16];
};

// op(x) by columns, in the type that computes.
template <class Type, class Sum>
void load(const Layout &layout, int op, const void *data, int64_t batch, std::vector<Sum> *out) {
  const auto *const from = static_cast<const typename Type::Stored *>(data) + batch * layout.stride;
  out->resize((size_t)(layout.rows * layout.columns));
  Sum *to = out->data();
  if (op == CUBLAS_OP_N) {
    for (int64_t j = 0; j < layout.columns; j++)
      for (int64_t i = 0; i < layout.rows; i++) *to++ = Type::load(from[j * layout.leading + i]);
    return;
  }
  for (int64_t i = 0; i < layout.rows; i++)
    for (int64_t j = 0; j < layout.columns; j++) {
      const Sum x = Type::load(from[j * layout.leading + i]);
      *to++ = op == kOpC ? conjugate(x) : x;
    }
}

template <class Type>
void multiply(const Job &job) {
  using Sum = typename Type::Sum;
  Sum alpha, beta;
  memcpy(&alpha, job.alpha, sizeof alpha);
  memcpy(&beta, job.beta, sizeof beta);
  const Layout &layout = job.layout[3];
  const int64_t m = layout.rows, n = layout.columns;
  const int64_t k = job.desc.op[0] == CUBLAS_OP_N ? job.layout[0].columns : job.layout[0].rows;
  static std::vector<Sum> a, b, sums;  // the driver's lock is held
  if (job.workspace) memset(job.workspace, 0xff, job.workspace_bytes);
  for (int64_t batch = 0; batch < layout.batch; batch++) {
    load<Type>(job.layout[0], job.desc.op[0], job.data[0], batch, &a);
    load<Type>(job.layout[1], job.desc.op[1], job.data[1], batch, &b);
    auto *const d = static_cast<typename Type::Stored *>(job.d) + batch * layout.stride;
    const auto *const c =
        static_cast<const typename Type::Stored *>(job.data[2]) + batch * job.layout[2].stride;
    sums.resize((size_t)m);
    Sum *const sum = sums.data();
    for (int64_t j = 0; j < n; j++) {
      memset(static_cast<void *>(sum), 0, sizeof(Sum) * (size_t)m);
      for (int64_t l = 0; l < k; l++) {
        const Sum y = b[(size_t)(j * k + l)], *const x = &a[(size_t)(l * m)];
        for (int64_t i = 0; i < m; i++) sum[i] = add_product(sum[i], x[i], y);
      }
      for (int64_t i = 0; i < m; i++) {
        Sum got = is_value(alpha, 1) ? sum[i] : product(alpha, sum[i]);
        if (!is_value(beta, 0)) {
          using Kept = std::conditional_t<std::is_same_v<Type, Tf32>, Whole<float>, Type>;
          got = plus(got, product(beta, Sum(Kept::load(c[j * job.layout[2].leading + i]))));
        }
        d[j * layout.leading + i] = Type::store(got);
      }
    }
  }
}

void run(void *data) {
  const Job &job = *static_cast<const Job *>(data);
  switch (job.layout[3].type) {
    case CUDA_R_16F:
      return multiply<F16>(job);
    case CUDA_R_16BF:
      return multiply<Bf16>(job);
    case CUDA_R_32F:
      return job.desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? multiply<Tf32>(job)
                                                              : multiply<Whole<float>>(job);
    case CUDA_R_64F:
      return multiply<Whole<double>>(job);
    case CUDA_C_32F:
      return multiply<Whole<Complex<float>>>(job);
    case CUDA_C_64F:
      return multiply<Whole<Complex<double>>>(job);
  }
}

// What is refused ------------------------------------------------------------------------------

bool types_agree(const Desc &desc, int type) {
  const bool is_complex = type == CUDA_C_32F || type == CUDA_C_64F;
  if (type == CUDA_R_64F || type == CUDA_C_64F)
    return (desc.compute == CUBLAS_COMPUTE_64F || desc.compute == kCompute64Pedantic) &&
           desc.scale == (is_complex ? CUDA_C_64F : CUDA_R_64F);
  const bool is_f32 = type == CUDA_R_32F || is_complex;
  const bool is_fast = desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32 || desc.compute == kFastHalf ||
                       desc.compute == kFastBf16;
  return (desc.compute == CUBLAS_COMPUTE_32F || desc.compute == CUBLAS_COMPUTE_32F_PEDANTIC ||
          (is_fast && is_f32)) &&
         desc.scale == (is_complex ? CUDA_C_32F : CUDA_R_32F);
}

int check(const Desc *desc, const Layout *const (&of)[4]) {
  if (!desc) return kInvalid;
  for (const Layout *layout : of) {
    if (!layout || layout->rows < 1 || layout->columns < 1 || layout->leading < layout->rows ||
        layout->rows > INT32_MAX || layout->columns > INT32_MAX || layout->batch < 1 ||
        layout->batch != of[3]->batch)
      return kInvalid;
    if (layout->type != of[3]->type || !item(layout->type)) return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  // A batch of results that lie on each other has no meaning.
  const Layout &d = *of[3];
  if (d.batch > 1 && d.stride < (d.columns - 1) * d.leading + d.rows) return kInvalid;
  const bool a_turns = desc->op[0] != CUBLAS_OP_N, b_turns = desc->op[1] != CUBLAS_OP_N;
  const int64_t m = a_turns ? of[0]->columns : of[0]->rows;
  const int64_t k = a_turns ? of[0]->rows : of[0]->columns;
  const int64_t n = b_turns ? of[1]->rows : of[1]->columns;
  if ((b_turns ? of[1]->columns : of[1]->rows) != k) return kInvalid;
  for (int i : {2, 3})
    if (of[i]->rows != m || of[i]->columns != n) return kInvalid;
  return types_agree(*desc, d.type) ? kOk : (int)CUBLAS_STATUS_NOT_SUPPORTED;
}

}  // namespace

int cublasLtCreate(void **handle) { return make<Handle>(__func__, handle); }
int cublasLtDestroy(void *handle) { return destroy<Handle>(handle); }

int cublasLtMatmulDescCreate(void **desc, int compute, int scale) {
  return make<Desc>(__func__, desc, compute, scale);
}
int cublasLtMatmulDescDestroy(void *desc) { return destroy<Desc>(desc); }
int cublasLtMatmulDescSetAttribute(void *desc, int which, const void *value, size_t bytes) {
  Desc *const self = static_cast<Desc *>(desc);
  int number = 0;
  const int status = set(&number, value, bytes);
  if (status || !self) return kInvalid;
  switch (which) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
    case CUBLASLT_MATMUL_DESC_TRANSB:
      if (number < CUBLAS_OP_N || number > kOpC) return kInvalid;
      self->op[which == CUBLASLT_MATMUL_DESC_TRANSB] = number;
      return kOk;
    case kDescPointerMode: /* on the host, which is what it is without */
      return number == 0 ? kOk : (int)CUBLAS_STATUS_NOT_SUPPORTED;
    case kDescEpilogue: /* none */
      return number == 1 ? kOk : (int)CUBLAS_STATUS_NOT_SUPPORTED;
    default:
      return kInvalid;
  }
}

int cublasLtMatrixLayoutCreate(void **layout, int type, uint64_t rows, uint64_t columns,
                               int64_t leading) {
  return make<Layout>(__func__, layout, type, (int64_t)rows, (int64_t)columns, leading);
}
int cublasLtMatrixLayoutDestroy(void *layout) { return destroy<Layout>(layout); }
int cublasLtMatrixLayoutSetAttribute(void *layout, int which, const void *value, size_t bytes) {
  Layout *const self = static_cast<Layout *>(layout);
  if (!self) return kInvalid;
  int order = 0;
  switch (which) {
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
      return set(&self->batch, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
      return set(&self->stride, value, bytes);
    case kLayoutOrder: /* by columns, which is what it is without */
      return set(&order, value, bytes) || order ? (int)CUBLAS_STATUS_NOT_SUPPORTED : kOk;
    default:
      return kInvalid;
  }
}

int cublasLtMatmulPreferenceCreate(void **preference) {
  return make<Preference>(__func__, preference);
}
int cublasLtMatmulPreferenceDestroy(void *preference) { return destroy<Preference>(preference); }
int cublasLtMatmulPreferenceSetAttribute(void *preference, int which, const void *value,
                                         size_t bytes) {
  Preference *const self = static_cast<Preference *>(preference);
  uint32_t schemes = 0;
  if (!self) return kInvalid;
  switch (which) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return set(&self->workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return set(&schemes, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return set(&self->alignment[which - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value,
                 bytes);
    default:
      return kInvalid;
  }
}

int cublasLtMatmulAlgoGetHeuristic(void *handle, void *desc, void *a, void *b, void *c, void *d,
                                   void *preference, int wanted, tvi_lt_heuristic *results,
                                   int *found) {
  int status = enter(__func__, false);
  if (status) return status;
  const Layout *const layouts[] = {static_cast<Layout *>(a), static_cast<Layout *>(b),
                                   static_cast<Layout *>(c), static_cast<Layout *>(d)};
  const Preference *const wishes = static_cast<Preference *>(preference);
  if (!handle) return kNotInitialized;
  if (!wishes || wanted < 1 || !results || !found) return kInvalid;
  *found = 0;
  status = check(static_cast<Desc *>(desc), layouts);
  if (status) return status;
  Algo algo = {kAlgoMark, wishes->workspace < kWorkspace ? 0 : kWorkspace, {}};
  for (int i = 0; i < 4; i++) {
    if (wishes->alignment[i] < item(layouts[i]->type)) return CUBLAS_STATUS_NOT_SUPPORTED;
    algo.alignment[i] = wishes->alignment[i];
  }
  memset(results, 0, sizeof *results);
  memcpy(&results->algo, &algo, sizeof algo);
  results->workspace = algo.workspace;
  results->waves = 1;
  *found = 1;
  return kOk;
}

int cublasLtMatmul(void *handle, void *desc, const void *alpha, const void *a, void *a_layout,
                   const void *b, void *b_layout, const void *beta, const void *c, void *c_layout,
                   void *d, void *d_layout, const tvi_lt_algo *algo, void *workspace,
                   size_t workspace_bytes, CUstream stream) {
  int status = enter(__func__, false);
  if (status) return status;
  const Layout *const layouts[] = {static_cast<Layout *>(a_layout), static_cast<Layout *>(b_layout),
                                   static_cast<Layout *>(c_layout),
                                   static_cast<Layout *>(d_layout)};
  if (!handle) return kNotInitialized;
  if (!alpha || !beta || !a || !b || !d) return kInvalid;
  status = check(static_cast<Desc *>(desc), layouts);
  if (status) return status;
  Algo chosen = {kAlgoMark, 0, {kAlign, kAlign, kAlign, kAlign}};
  if (algo) memcpy(&chosen, algo, sizeof chosen);
  if (chosen.mark != kAlgoMark) return kInvalid;
  if (chosen.workspace &&
      (!workspace || workspace_bytes < chosen.workspace || (uintptr_t)workspace % kAlign))
    return kInvalid;
  const void *const data[] = {a, b, c, d};
  Job job = {*static_cast<Desc *>(desc),
             {*layouts[0], *layouts[1], *layouts[2], *layouts[3]},
             {a, b, c},
             d,
             chosen.workspace ? workspace : nullptr,
             (size_t)chosen.workspace,
             {},
             {}};
  memcpy(job.alpha, alpha, item(job.desc.scale));
  memcpy(job.beta, beta, item(job.desc.scale));
  for (int i = 0; i < 4; i++)
    if (data[i] && (uintptr_t)data[i] % chosen.alignment[i]) return kInvalid;
  return fakecuda_enqueue(stream, run, &job, sizeof job) ? kExecutionFailed : kOk;
}
