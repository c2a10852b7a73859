/* SPDX-License-Identifier: MIT
 * Tensors from nothing: filled, counted up, or the caller's bytes. */
#include <math.h>
#include <string.h>
#include <tensorvar/ops.h>
#include <tensorvar/shape.h>

#include "create.h"
#include "device.h"
#include "guard.h"
#include "scope.h"
#include "size.h"
#include "status.h"
#include "stream.h"
#include "tensor.h"
#include "thread.h"

/* Every element of a new tensor gets the value of a 0-d one, or of a weak scalar. No scope owns it.
 */
static tv_tensor *filled(const char *who, tv_device device, tv_dtype dtype, int rank,
                         const int64_t *shape, tv_tensor *value) {
  static const int64_t still[TV_MAX_RANK] = {0};
  tv_tensor *y = tvi_tensor_new(who, device, dtype, rank, shape);
  if (!y) return NULL;
  tv_convert job = {.from = dtype,
                    .to = dtype,
                    .rank = rank,
                    .shape = shape,
                    .out = {.data = y->data, .steps = y->steps},
                    .in = {.steps = still, .is_immediate = value->weak.kind}};
  tv_tensor *one = NULL; /* a weak scalar travels in the job */
  bool is_done = true;
  if (value->weak.kind)
    is_done = tvi_weak_element(who, &value->weak, dtype, false, job.in.immediate.bytes);
  else if ((is_done = (one = tvi_tensor_copy(who, value, dtype, device)) != NULL))
    job.in.data = one->data;
  if (is_done && y->size) {
    tvi_device *const on = tvi_device_at(device);
    is_done = !TVI_CALL(on, convert, who, dtype, &job, tvi_stream_now(device));
  }
  tv_release(one);
  if (is_done) return y;
  tv_release(y);
  return NULL;
}

static tv_tensor *all_of(const char *who, tv_device device, tv_dtype dtype, int rank,
                         const int64_t *shape, int64_t value) {
  tv_tensor *const weak = tvi_tensor_weak(TV_I64, (tvi_weak){.kind = TVI_WEAK_INT, .i = value});
  tv_tensor *const y = weak ? filled(who, device, dtype, rank, shape, weak) : NULL;
  tv_release(weak);
  return y;
}

tv_tensor *tvi_zeros(const char *who, tv_device device, tv_dtype dtype, int rank,
                     const int64_t *shape) {
  return all_of(who, device, dtype, rank, shape, 0);
}

static tv_tensor *constant(const char *who, tv_device device, tv_dtype dtype, int rank,
                           const int64_t *shape, int64_t value) {
  if (!tvi_scope_is_open(who)) return NULL;
  return tvi_scope_own(all_of(who, device, dtype, rank, shape, value));
}

tv_tensor *tv_zeros(tv_dtype dtype, int rank, const int64_t *shape) {
  return constant("zeros", tvi_self.device, dtype, rank, shape, 0);
}

tv_tensor *tv_ones(tv_dtype dtype, int rank, const int64_t *shape) {
  return constant("ones", tvi_self.device, dtype, rank, shape, 1);
}

static tv_device device_of(const tv_tensor *x) {
  return x->weak.kind ? tvi_self.device : tvi_tensor_on(x);
}

tv_tensor *tv_zeros_like(tv_tensor *x) {
  if (!x) return tvi_null("zeros_like", "x");
  return constant("zeros_like", device_of(x), x->dtype, x->rank, x->shape, 0);
}

tv_tensor *tv_ones_like(tv_tensor *x) {
  if (!x) return tvi_null("ones_like", "x");
  return constant("ones_like", device_of(x), x->dtype, x->rank, x->shape, 1);
}

tv_tensor *tv_full(tv_dtype dtype, int rank, const int64_t *shape, tv_tensor *value) {
  tvi_text text;
  if (!value) return tvi_null("full", "value");
  if (!tvi_scope_is_open("full")) return NULL;
  if (value->rank)
    return tvi_fail(TV_ESHAPE, "full: value has shape %s, not []",
                    tvi_shape_text(&text, value->rank, value->shape));
  if (dtype == TV_DTYPE_NONE) dtype = value->dtype;
  if (tvi_is_complex(value->dtype) && !tvi_is_complex(dtype))
    return tvi_fail(TV_EDTYPE, "full: a %s value in %s", tv_dtype_name(value->dtype),
                    tv_dtype_name(dtype));
  /* A real value in an integer tensor is cut, as NumPy's full does: through a strong tensor. */
  if (value->weak.kind >= TVI_WEAK_REAL && !tvi_is_inexact(dtype)) {
    tv_tensor *const strong = tvi_tensor_strong("full", value, tvi_self.device);
    tv_tensor *const y =
        strong ? filled("full", tvi_self.device, dtype, rank, shape, strong) : NULL;
    tv_release(strong);
    return tvi_scope_own(y);
  }
  return tvi_scope_own(filled("full", tvi_self.device, dtype, rank, shape, value));
}

/* Counting ----------------------------------------------------------------------------------- */

static tv_tensor *sequence(const char *who, tv_dtype dtype, int64_t n, double real_start,
                           double real_step, int64_t int_start, int64_t int_step) {
  if (!tvi_scope_is_open(who)) return NULL;
  tv_tensor *y = tvi_tensor_new(who, tvi_self.device, dtype, 1, &n);
  if (!y) return NULL;
  tvi_device *const on = tvi_device_at(tvi_self.device);
  const tv_sequence job = {dtype, n, y->data, real_start, real_step, int_start, int_step};
  if (n && TVI_CALL(on, sequence, who, dtype, &job, tvi_stream_now(tvi_self.device))) {
    tv_release(y);
    return NULL;
  }
  return tvi_scope_own(y);
}

tv_tensor *tv_arange_int(tv_dtype dtype, int64_t start, int64_t stop, int64_t step) {
  if (dtype == TV_DTYPE_NONE) dtype = TV_I64;
  if (dtype == TV_BOOL) return tvi_fail(TV_EDTYPE, "arange: does not take bool");
  if (step == 0) return tvi_fail(TV_EVALUE, "arange: step is 0");
  /* Counted in unsigned numbers, where stop - start always fits. */
  const bool up = step > 0;
  const uint64_t way = up ? (uint64_t)stop - (uint64_t)start : (uint64_t)start - (uint64_t)stop;
  const uint64_t stride = up ? (uint64_t)step : -(uint64_t)step;
  const uint64_t n = (up ? stop > start : stop < start) ? (way - 1) / stride + 1 : 0;
  if (n > INT64_MAX) return tvi_fail(TV_EOVERFLOW, "arange: more than 2^63 - 1 elements");
  return sequence("arange", dtype, (int64_t)n, (double)start, (double)step, start, step);
}

tv_tensor *tv_arange(tv_dtype dtype, double start, double stop, double step) {
  if (dtype == TV_DTYPE_NONE) dtype = TV_F64;
  if (dtype == TV_BOOL) return tvi_fail(TV_EDTYPE, "arange: does not take bool");
  if (!isfinite(start) || !isfinite(stop) || !isfinite(step))
    return tvi_fail(TV_EVALUE, "arange: start, stop and step are to be finite");
  if (step == 0) return tvi_fail(TV_EVALUE, "arange: step is 0");
  const double n = ceil((stop - start) / step);
  if (n >= 0x1p62) return tvi_fail(TV_EOVERFLOW, "arange: more than 2^62 elements");
  const int64_t count = n > 0 ? (int64_t)n : 0;
  if (!tvi_is_integer(dtype))
    return sequence("arange", dtype, count, start, start + step - start, 0, 0);
  /* NumPy computes the first two elements in the dtype, and goes on by their difference. */
  if (fabs(start) >= 0x1p63 || fabs(start + step) >= 0x1p63)
    return tvi_fail(TV_EOVERFLOW, "arange: start or step is out of the range of int64");
  const int64_t first = (int64_t)start;
  return sequence("arange", dtype, count, 0, 0, first, (int64_t)(start + step) - first);
}

tv_tensor *tv_linspace(tv_dtype dtype, double start, double stop, int64_t num) {
  if (dtype == TV_DTYPE_NONE) dtype = TV_F64;
  if (dtype == TV_BOOL) return tvi_fail(TV_EDTYPE, "linspace: does not take bool");
  if (!isfinite(start) || !isfinite(stop))
    return tvi_fail(TV_EVALUE, "linspace: start and stop are to be finite");
  if (num < 0) return tvi_fail(TV_EVALUE, "linspace: num is %lld", (long long)num);
  if (!tvi_scope_is_open("linspace")) return NULL;
  tv_scope scope;
  if (tv_scope_begin(&scope)) return NULL;
  /* In double, halved where stop - start would overflow; the last element is stop itself. */
  const bool is_wide = !isfinite(stop - start);
  const double scale = is_wide ? 2 : 1, parts = num > 1 ? (double)(num - 1) : 1;
  const double step = (stop / scale - start / scale) / parts;
  tv_tensor *y = tv_arange(TV_F64, 0, (double)num, 1);
  if (num > 1 && step == 0) /* too small for a step: as NumPy, divide first */
    y = tv_multiply(tv_divide(y, tv_scalar(parts)), tv_scalar(stop - start));
  else
    y = tv_multiply(y, tv_scalar(step));
  y = tv_add(y, tv_scalar(start / scale));
  if (is_wide) y = tv_multiply(y, tv_scalar(scale));
  if (num > 1)
    y = tv_where(tv_equal(tv_arange_int(TV_I64, 0, num, 1), tv_scalar(num - 1)), tv_scalar(stop),
                 y);
  if (tvi_is_integer(dtype)) y = tv_floor(y);
  y = tv_astype(y, dtype);
  tv_scope_end(&scope, &y);
  return y;
}

tv_tensor *tv_eye(tv_dtype dtype, int64_t n, int64_t m, int64_t k) {
  if (n < 0 || m < 0)
    return tvi_fail(TV_ESHAPE, "eye: %lld rows and %lld columns", (long long)n, (long long)m);
  if (!tvi_scope_is_open("eye")) return NULL;
  tv_scope scope;
  if (tv_scope_begin(&scope)) return NULL;
  tv_tensor *const row = tv_expand_dims(tv_arange_int(TV_I64, 0, n, 1), 1);
  tv_tensor *const column = tv_arange_int(TV_I64, 0, m, 1);
  /* Beyond the corners there is no diagonal; clamped, so that column - k cannot wrap. */
  const int64_t diagonal = k > m ? m : k < -n ? -n : k;
  tv_tensor *y = tv_astype(tv_equal(row, tv_subtract(column, tv_scalar(diagonal))), dtype);
  tv_scope_end(&scope, &y);
  return y;
}

/* The caller's bytes ------------------------------------------------------------------------- */

static tv_tensor *borrowed(const void *data, tv_dtype dtype, int rank, const int64_t *shape,
                           int64_t bytes, const tv_memory_options *o) {
  /* From here on the storage answers for `release`. */
  tvi_storage *const storage =
      tvi_guard_borrow("tensor_from_memory", data, dtype, rank, shape, o->steps, bytes, o);
  if (!storage) return NULL;
  tv_tensor *const x =
      tvi_tensor_view(storage, (void *)(uintptr_t)data, dtype, rank, shape, o->steps);
  tvi_storage_release(storage);
  return tvi_scope_own(x);
}

static bool is_aligned(const void *data, tv_dtype dtype, int rank, const int64_t *shape,
                       const int64_t *steps) {
  const int64_t alignment = tvi_alignment(dtype);
  if ((uintptr_t)data % (uintptr_t)alignment) return false;
  for (int k = 0; steps && k < rank; k++)
    if (shape[k] > 1 && steps[k] % alignment) return false;
  return true;
}

static tv_tensor *copied(const void *data, tv_dtype dtype, int rank, const int64_t *shape,
                         int64_t bytes, tv_device device, const int64_t *steps) {
  tvi_device *const on = tvi_device_find("tensor_from_memory", device);
  if (!on) return NULL;
  if (steps) {
    if (!is_aligned(data, dtype, rank, shape, steps))
      return tvi_fail(TV_EVALUE, "tensor_from_memory: steps or data misaligned for %s",
                      tv_dtype_name(dtype));
    tvi_storage *const storage = tvi_storage_borrow(data, bytes, NULL, NULL);
    tv_tensor *const x =
        storage ? tvi_tensor_view(storage, (void *)(uintptr_t)data, dtype, rank, shape, steps)
                : NULL;
    tv_tensor *const y = x ? tvi_tensor_copy("tensor_from_memory", x, dtype, device) : NULL;
    tv_release(x);
    if (storage) tvi_storage_release(storage);
    return tvi_scope_own(y);
  }
  tv_tensor *const x = tvi_tensor_new("tensor_from_memory", device, dtype, rank, shape);
  if (x && bytes && on->backend.copy_in(on->self, x->data, data, bytes, tvi_stream_now(device))) {
    tv_release(x);
    return NULL;
  }
  return tvi_scope_own(x);
}

static tv_tensor *from_memory(const void *data, tv_dtype dtype, int rank, const int64_t *shape,
                              const tv_memory_options *o, bool *is_taken) {
  int64_t elements, bytes;
  if (!tvi_scope_is_open("tensor_from_memory") ||
      !tvi_shape_check("tensor_from_memory", dtype, rank, shape, &elements, &bytes))
    return NULL;
  if (elements && !data) return tvi_null("tensor_from_memory", "data");
  if (!o->borrow)
    return copied(data, dtype, rank, shape, bytes,
                  o->device == TV_DEVICE_NONE ? tvi_self.device : o->device, o->steps);
  if (o->device != TV_DEVICE_NONE && o->device != TV_CPU)
    return tvi_fail(TV_EDEVICE, "tensor_from_memory: a borrow lies on cpu: copy, or use tv_to");
  if (elements && !is_aligned(data, dtype, rank, shape, o->steps))
    return tvi_fail(TV_EVALUE,
                    "tensor_from_memory: a borrow of %s needs addresses that are multiples of %lld",
                    tv_dtype_name(dtype), (long long)tvi_alignment(dtype));
  if (!tvi_guard_is_known("tensor_from_memory", o->guard)) return NULL;
  *is_taken = true;
  return borrowed(data, dtype, rank, shape, bytes, o);
}

tv_tensor *tv_tensor_from_memory(const void *data, tv_dtype dtype, int rank, const int64_t *shape,
                                 const tv_memory_options *options) {
  tv_memory_options o = TV_MEMORY_OPTIONS;
  bool is_taken = false;
  if (options) {
    if (!tvi_options_fit("tensor_from_memory", options->size, sizeof o)) {
      const bool is_borrow = options->size > sizeof o && options->borrow;
      if (is_borrow && options->release) options->release(options->user);
      return NULL;
    }
    memcpy(&o, options, options->size);
  }
  tv_tensor *const x = from_memory(data, dtype, rank, shape, &o, &is_taken);
  if (!x && !is_taken && o.borrow && o.release) o.release(o.user);
  return x;
}
