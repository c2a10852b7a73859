/* SPDX-License-Identifier: MIT
 * For tests of CUDA kernels against the CPU: random tensors on both devices, in the same layout,
 * and their comparison. */
#ifndef TV_TESTS_CUDA_LAYOUTS_H
#define TV_TESTS_CUDA_LAYOUTS_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_job.h"
#include "cuda_device.h"

/* The layouts of a [rows, columns] tensor. */
enum {
  CUDA_WHOLE,
  CUDA_UNALIGNED,
  CUDA_TRANSPOSED,
  CUDA_REVERSED,
  CUDA_ROWS_REVERSED,
  CUDA_EVERY_SECOND,
  CUDA_ONE_ROW,
  CUDA_ONE_COLUMN,
  CUDA_ONE_ELEMENT,
  CUDA_LAYOUTS
};

/* The same elements on both devices. */
typedef struct cuda_pair {
  tv_tensor *near, *away;
} cuda_pair;

static inline tv_tensor *cuda_view(tv_tensor *x, int layout, int64_t rows, int64_t columns) {
  switch (layout) {
    case CUDA_UNALIGNED:
      return tv_slice(x, ":, 1:");
    case CUDA_TRANSPOSED:
      return tv_matrix_transpose(x);
    case CUDA_REVERSED:
      return tv_flip(x, TV_ALL_AXES);
    case CUDA_ROWS_REVERSED:
      return tv_flip(x, TV_AXES(0));
    case CUDA_EVERY_SECOND:
      return tv_slice(x, ":, ::2");
    case CUDA_WHOLE:
      return x;
    default:
      return tv_broadcast_to(x, TV_SHAPE(rows, columns));
  }
}

/* As cpu_fill, and with floats of any bits among the wild ones: the largest, subnormal ones. Both
 * parts of a complex number are alike. */
static inline void cuda_fill(tv_dtype dtype, cpu_array *a, int64_t rows, int64_t columns,
                             bool wild) {
  const bool is_complex = dtype >= TV_C64;
  const tv_dtype part = dtype == TV_C64 ? TV_F32 : dtype == TV_C128 ? TV_F64 : dtype;
  const int64_t item = tvi_item(part), n = rows * columns * (is_complex ? 2 : 1);
  for (int64_t i = 0; i < n; i++) {
    char *const at = a->data + i * item;
    cpu_fill_one(part, at, wild);
    if (!wild || dtype < TV_F16 || cpu_random() % 16) continue;
    const uint64_t bits = cpu_random();
    memcpy(at, &bits, (size_t)item);
  }
}

static inline cuda_pair cuda_random(tv_dtype dtype, int layout, int64_t rows, int64_t columns,
                                    bool wild) {
  int64_t shape[2] = {rows, columns};
  if (layout == CUDA_UNALIGNED) shape[1]++;
  if (layout == CUDA_EVERY_SECOND) shape[1] *= 2;
  if (layout == CUDA_TRANSPOSED) shape[0] = columns, shape[1] = rows;
  if (layout == CUDA_ONE_ROW || layout == CUDA_ONE_ELEMENT) shape[0] = 1;
  if (layout == CUDA_ONE_COLUMN || layout == CUDA_ONE_ELEMENT) shape[1] = 1;
  cpu_array a = cpu_array_new(dtype, 2, shape, DENSE);
  cuda_fill(dtype, &a, shape[0], shape[1], wild);
  tv_tensor *const whole = tv_tensor_from_memory(a.data, dtype, 2, shape, NULL);
  cpu_array_free(&a);
  return (cuda_pair){cuda_view(whole, layout, rows, columns),
                     cuda_view(tv_to(whole, cuda()), layout, rows, columns)};
}

/* The parts of an element as doubles. */
static inline void cuda_parts(tv_dtype dtype, const char *at, double *x, double *y) {
  float f[2];
  uint16_t half;
  *y = 0;
  switch (dtype) {
    case TV_F16:
    case TV_BF16:
      memcpy(&half, at, 2);
      *x = (double)(dtype == TV_F16 ? tvi_f16_load(half) : tvi_bf16_load(half));
      return;
    case TV_F32:
      memcpy(f, at, 4);
      *x = (double)f[0];
      return;
    case TV_F64:
      memcpy(x, at, 8);
      return;
    case TV_C64:
      memcpy(f, at, 8);
      *x = (double)f[0];
      *y = (double)f[1];
      return;
    default:
      memcpy(x, at, 8);
      memcpy(y, at + 8, 8);
  }
}

static inline bool cuda_part_is_close(double got, double want, double unit, double small) {
  if (got == want || (isnan(got) && isnan(want))) return true;
  return isfinite(got) && isfinite(want) && fabs(got - want) <= unit * fabs(want) + small;
}

/* The same bits, or both NaN; or, where `ulps` is not 0, as far apart at most, counted in units of
 * the length of the number. */
static inline bool cuda_is_close(tv_dtype dtype, const char *got, const char *want, double ulps) {
  if (cpu_same(dtype, got, want)) return true;
  if (ulps == 0 || dtype < TV_F16) return false;
  static const double epsilons[] = {[TV_F16] = 0x1p-10, [TV_BF16] = 0x1p-7, [TV_F32] = 0x1p-23,
                                    [TV_F64] = 0x1p-52, [TV_C64] = 0x1p-23, [TV_C128] = 0x1p-52};
  static const double least[] = {[TV_F16] = 0x1p-24,   [TV_BF16] = 0x1p-133, [TV_F32] = 0x1p-149,
                                 [TV_F64] = 0x1p-1074, [TV_C64] = 0x1p-149,  [TV_C128] = 0x1p-1074};
  double x, y, u, v;
  cuda_parts(dtype, got, &x, &y);
  cuda_parts(dtype, want, &u, &v);
  const double unit = ulps * epsilons[dtype], small = ulps * least[dtype];
  if (isfinite(x) && isfinite(y) && isfinite(u) && isfinite(v))
    return hypot(x - u, y - v) <= unit * hypot(u, v) + small;
  return cuda_part_is_close(x, u, unit, small) && cuda_part_is_close(y, v, unit, small);
}

static inline void cuda_compare(const char *what, tv_tensor *got, tv_tensor *want, double ulps) {
  if (!got || !want) check_fail(CHECK_HERE, "%s: %s", what, tv_error_text());
  if (tv_tensor_device(got) != cuda()) check_fail(CHECK_HERE, "%s: not on the GPU", what);
  const tv_dtype dtype = tv_tensor_dtype(want);
  const int64_t bytes = tv_tensor_bytes(want), n = tv_tensor_size(want);
  CHECK(tv_tensor_dtype(got) == dtype && tv_tensor_bytes(got) == bytes);
  char *const a = malloc((size_t)bytes + 1), *const b = malloc((size_t)bytes + 1);
  CHECK(a && b);
  OK(tv_tensor_copy_out(got, a, bytes));
  OK(tv_tensor_copy_out(want, b, bytes));
  for (int64_t i = 0; i < n; i++)
    if (!cuda_is_close(dtype, a + i * bytes / n, b + i * bytes / n, ulps)) {
      double x[4] = {0};
      if (dtype >= TV_F16) {
        cuda_parts(dtype, a + i * bytes / n, &x[0], &x[1]);
        cuda_parts(dtype, b + i * bytes / n, &x[2], &x[3]);
      }
      check_fail(CHECK_HERE,
                 "%s, dtype %d: element %lld of %lld: (%.17g, %.17g), not (%.17g, %.17g)", what,
                 (int)dtype, (long long)i, (long long)n, x[0], x[1], x[2], x[3]);
    }
  free(a);
  free(b);
}

#endif
