/* SPDX-License-Identifier: MIT
 * Rows by index: take, its gradient, and one-hot rows.
 *
 * Indices of any integer dtype become compact int64, are found in range before anything is
 * computed, and count from the start from then on. The gradient of take, scatter_rows, is an op of
 * its own whose gradient is take again. */
#include "index.h"

#include <stdio.h>
#include <tensorvar/ops.h>
#include <tensorvar/shape.h>

#include "create.h"
#include "deferred.h"
#include "device.h"
#include "elementwise.h"
#include "guard.h"
#include "rows.h"
#include "scope.h"
#include "status.h"
#include "stream.h"
#include "tensor.h"
#include "thread.h"
#include "variable/tape.h"

/* Position of the first index outside low <= i < n, or -1; -2 after a failure. */
static int64_t find_bad(const char *who, const tv_tensor *indices, int64_t low, int64_t n,
                        int64_t *value) {
  int64_t position = -1;
  if (indices->size == 0) return -1;
  tvi_device *const on = tvi_device_at(tvi_tensor_on(indices));
  if (tvi_stream_reads(indices) ||
      TVI_CALL(on, find_bad_index, who, TV_I64, (const int64_t *)(const void *)indices->data,
               indices->size, low, n, &position, value, tvi_stream_now(tvi_tensor_on(indices))))
    return -2;
  return position;
}

/* With n added to what is negative. */
static tv_tensor *from_start(const char *who, tv_tensor *indices, int64_t n) {
  tv_tensor *y = tvi_tensor_new(who, tvi_tensor_on(indices), TV_I64, indices->rank, indices->shape);
  tv_tensor *const size =
      y ? tvi_tensor_weak(TV_I64, (tvi_weak){.kind = TVI_WEAK_INT, .i = n}) : NULL;
  if (!size || tvi_elementwise_into(TVI_OP_remainder, (tv_tensor *const[]){indices, size}, y)) {
    tv_release(y);
    y = NULL;
  }
  tv_release(size);
  return y;
}

/* Whether positions may be read where they are: those in memory of somebody else's are copied,
 * since they could change after they were looked at. */
static bool is_kept(tv_tensor *x) {
  return x->dtype == TV_I64 && !tvi_settle(x) && !(x->storage && x->storage->is_borrowed);
}

tv_tensor *tvi_positions(const char *who, const char *noun, tv_tensor *indices, tv_device device,
                         int64_t n, bool from_end) {
  if (!tvi_is_integer(indices->dtype))
    return tvi_fail(TV_EDTYPE, "%s: %s is %s, not an integer", who, noun,
                    tv_dtype_name(indices->dtype));
  tv_tensor *const strong = tvi_tensor_strong(who, indices, device);
  if (!strong) return NULL;
  /* No uint64 counts from the end: beyond int64 it would wrap into what does. */
  const bool is_u64 = strong->dtype == TV_U64;
  tv_tensor *y = NULL;
  if (tvi_tensor_on(strong) != device)
    tvi_fail(TV_EDEVICE, "%s: %s is on %s, not on %s", who, noun,
             tvi_device_at(tvi_tensor_on(strong))->name, tvi_device_at(device)->name);
  else
    y = is_kept(strong) ? tvi_tensor_compact(who, strong)
                        : tvi_tensor_copy(who, strong, TV_I64, device);
  tv_release(strong);
  if (!y) return NULL;
  if (tvi_guards_check(who)) {
    tv_release(y);
    return NULL;
  }
  /* The elements of a head never change, so a device is asked, and waited for, once. */
  const int64_t below = atomic_load_explicit(&indices->below, memory_order_relaxed);
  if (device != TV_CPU && below && below <= n) return y;
  int64_t value = 0, bad = find_bad(who, y, 0, n, &value);
  if (bad == -1) atomic_store_explicit(&indices->below, n, memory_order_relaxed);
  if (bad >= 0 && from_end && !is_u64 && value < 0) {
    bad = find_bad(who, y, -n, n, &value);
    if (bad == -1) {
      tv_tensor *const wrapped = from_start(who, y, n);
      tv_release(y);
      return wrapped;
    }
  }
  if (bad == -1) return y;
  if (bad >= 0 && is_u64)
    tvi_fail(TV_EINDEX, "%s: %s %llu at position %lld is out of range of %lld", who, noun,
             (unsigned long long)value, (long long)bad, (long long)n);
  else if (bad >= 0)
    tvi_fail(TV_EINDEX, "%s: %s %lld at position %lld is out of range of %lld", who, noun,
             (long long)value, (long long)bad, (long long)n);
  tv_release(y);
  return NULL;
}

/* Take --------------------------------------------------------------------------------------- */

/* x [outer, n, inner], whatever their ranks were. */
static tv_gather gather_job(tv_dtype dtype, int rank, const int64_t *shape, int axis, int64_t k) {
  tv_gather job = {.dtype = dtype, .outer = 1, .n = shape[axis], .k = k, .inner = 1};
  for (int at = 0; at < axis; at++) job.outer *= shape[at]; /* parts of a size that was checked */
  for (int at = axis + 1; at < rank; at++) job.inner *= shape[at];
  return job;
}

static tv_tensor *scatter_rows(tv_tensor *g, tv_tensor *indices, int axis, const tvi_spec *to);

/* Recorded: the axis. */
static tv_tensor *take_gradient(const tvi_saved *s, tv_tensor *g) {
  return scatter_rows(g, s->in[1], (int)s->numbers[0], s->spec);
}
static const tvi_rule take_rule = {.name = "take", .in = {{TVI_USES_IN1, take_gradient}}};

tv_tensor *tv_take(tv_tensor *x, tv_tensor *indices, int64_t axis) {
  int64_t shape[TV_MAX_RANK];
  if (!x || !indices) return tvi_null("take", x ? "indices" : "x");
  if (!tvi_scope_is_open("take")) return NULL;
  const int at = tvi_axis("take", axis, x->rank);
  if (at < 0) return NULL;
  const int rank = x->rank - 1 + indices->rank;
  if (rank > TV_MAX_RANK)
    return tvi_fail(TV_ESHAPE, "take: %d axes: 0 to %d are possible", rank, TV_MAX_RANK);
  for (int k = 0; k < at; k++) shape[k] = x->shape[k];
  for (int k = 0; k < indices->rank; k++) shape[at + k] = indices->shape[k];
  for (int k = at + 1; k < x->rank; k++) shape[k - 1 + indices->rank] = x->shape[k];
  tv_tensor *const positions =
      tvi_positions("take", "index", indices, tvi_tensor_on(x), x->shape[at], true);
  tv_tensor *const from = positions ? tvi_tensor_compact("take", x) : NULL;
  tv_tensor *y = from ? tvi_tensor_new("take", tvi_tensor_on(x), x->dtype, rank, shape) : NULL;
  if (y && y->size) {
    tv_gather job = gather_job(x->dtype, x->rank, x->shape, at, positions->size);
    job.in = from->data;
    job.indices = (const int64_t *)(const void *)positions->data;
    job.out = y->data;
    tvi_device *const on = tvi_device_at(tvi_tensor_on(x));
    if (tvi_stream_reads(from) || tvi_stream_reads(positions) ||
        TVI_CALL(on, gather, "take", x->dtype, &job, tvi_stream_now(tvi_tensor_on(x)))) {
      tv_release(y);
      y = NULL;
    }
  }
  tv_release(from);
  tv_release(positions);
  return tvi_finish(&take_rule, y, 2, (tv_tensor *const[]){x, indices}, 1, &(int64_t){at});
}

static tv_tensor *scatter_gradient(const tvi_saved *s, tv_tensor *g) {
  return tv_take(g, s->in[1], s->numbers[0]);
}
const tvi_rule tvi_scatter_rule = {.name = "scatter_rows",
                                   .in = {{TVI_USES_IN1, scatter_gradient}}};

tv_status tvi_scatter_into(const char *who, tv_tensor *x, tv_tensor *positions, int axis,
                           tv_tensor *out) {
  if (x->size == 0) return TV_OK;
  tv_tensor *const from = tvi_tensor_compact(who, x);
  if (!from) return tvi_failure();
  tv_gather job = gather_job(x->dtype, out->rank, out->shape, axis, positions->size);
  job.in = from->data;
  job.indices = (const int64_t *)(const void *)positions->data;
  job.out = out->data;
  tvi_device *const on = tvi_device_at(tvi_tensor_on(x));
  const bool is_done =
      !tvi_stream_reads(from) && !tvi_stream_reads(positions) &&
      !TVI_CALL(on, scatter_add, who, x->dtype, &job, tvi_stream_now(tvi_tensor_on(x)));
  tv_release(from);
  return is_done ? TV_OK : tvi_failure();
}

tv_tensor *tvi_scattered(const char *who, tv_tensor *x, tv_tensor *positions, int axis, int rank,
                         const int64_t *shape) {
  if (tvi_settle(x)) return NULL;
  tv_tensor *const y = tvi_zeros(who, tvi_tensor_on(x), x->dtype, rank, shape);
  if (!y || !tvi_scatter_into(who, x, positions, axis, y)) return y;
  tv_release(y);
  return NULL;
}

/* Zeros, to which the entries of g along `axis` are added in the order of the indices. Along axis 0
 * nobody need ever ask for the zeros. */
static tv_tensor *scatter_rows(tv_tensor *g, tv_tensor *indices, int axis, const tvi_spec *to) {
  tv_tensor *const positions =
      tvi_positions("scatter_rows", "index", indices, tvi_tensor_on(g), to->shape[axis], true);
  tv_tensor *y = NULL;
  if (positions)
    y = axis == 0 ? tvi_rows_new("scatter_rows", positions, g, to->shape[0], false)
                  : tvi_scattered("scatter_rows", g, positions, axis, to->rank, to->shape);
  tv_release(positions);
  return tvi_finish(&tvi_scatter_rule, y, 2, (tv_tensor *const[]){g, indices}, 1, &(int64_t){axis});
}

/* Tuples of indices --------------------------------------------------------------------------- */

/* Column k of [..., K]. */
static tv_tensor *column(tv_tensor *indices, int64_t k) {
  const tv_index at[2] = {TV_ELLIPSIS, TV_AT(k)};
  return tv_slice_with(indices, 2, at);
}

tv_tensor *tvi_nd_positions(const char *who, tv_tensor *indices, tv_device device, int rank,
                            const int64_t *shape, int *n_axes, tv_tensor **first) {
  tvi_text text;
  const int64_t n = indices->rank ? indices->shape[indices->rank - 1] : 0;
  if (n < 1 || n > rank)
    return tvi_fail(TV_ESHAPE, "%s: indices of shape %s: the last axis counts 1 to %d axes", who,
                    tvi_shape_text(&text, indices->rank, indices->shape), rank);
  tv_tensor *sum = NULL;
  *n_axes = (int)n;
  for (int k = 0; k < *n_axes; k++) {
    char noun[32];
    snprintf(noun, sizeof noun, "axis %d index", k);
    tv_tensor *const entries = column(indices, k);
    tv_tensor *const at =
        entries ? tvi_scope_own(tvi_positions(who, noun, entries, device, shape[k], true)) : NULL;
    if (!at) return NULL;
    if (k == 0) *first = at;
    sum = k == 0 ? at : tv_add(tv_multiply(sum, tv_scalar_int(shape[k])), at);
    if (!sum) return NULL;
  }
  return sum;
}

/* Recorded as what it is made of: the leading axes as one, and rows of that. */
tv_tensor *tv_gather_nd(tv_tensor *x, tv_tensor *indices) {
  if (!x || !indices) return tvi_null("gather_nd", x ? "indices" : "x");
  if (!tvi_scope_is_open("gather_nd")) return NULL;
  tv_scope scope;
  if (tv_scope_begin(&scope)) return NULL;
  int64_t shape[TV_MAX_RANK];
  int n_axes = 0;
  tv_tensor *first, *y = NULL;
  const tv_device device = x->weak.kind ? tvi_self.device : tvi_tensor_on(x);
  tvi_self.paused++;
  tv_tensor *const positions =
      tvi_nd_positions("gather_nd", indices, device, x->rank, x->shape, &n_axes, &first);
  tvi_self.paused--;
  if (positions) {
    shape[0] = 1;
    for (int k = 0; k < n_axes; k++) shape[0] *= x->shape[k]; /* parts of a size that was checked */
    for (int k = n_axes; k < x->rank; k++) shape[k - n_axes + 1] = x->shape[k];
    y = tv_take(tv_reshape(x, x->rank - n_axes + 1, shape), positions, 0);
  }
  tv_scope_end(&scope, &y);
  return y;
}

/* One-hot rows ------------------------------------------------------------------------------- */

tv_tensor *tv_one_hot(tv_tensor *indices, int64_t classes, tv_dtype dtype) {
  if (!indices) return tvi_null("one_hot", "indices");
  if (!tvi_scope_is_open("one_hot")) return NULL;
  if (classes < 0) return tvi_fail(TV_EVALUE, "one_hot: %lld classes", (long long)classes);
  if (!tvi_is_dtype(dtype)) return tvi_fail(TV_EDTYPE, "one_hot: %d is no dtype", (int)dtype);
  const tv_device device = indices->weak.kind ? tvi_self.device : tvi_tensor_on(indices);
  tv_tensor *const positions = tvi_positions("one_hot", "index", indices, device, classes, false);
  tv_scope scope;
  if (!positions || tvi_scope_open(&scope)) {
    tv_release(positions);
    return NULL;
  }
  /* A row against the numbers of its columns. They are made where the indices are; integers carry
   * no gradient, so nothing of this is recorded. */
  const tv_device current = tvi_self.device;
  tvi_self.device = device;
  tv_tensor *const columns = tv_arange_int(TV_I64, 0, classes, 1);
  tvi_self.device = current;
  tv_tensor *const y =
      tv_retain(tv_astype(tv_equal(tv_expand_dims(positions, -1), columns), dtype));
  tvi_scope_close(&scope);
  tv_release(positions);
  return tvi_scope_own(y);
}
