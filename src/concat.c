/* SPDX-License-Identifier: MIT
 * Tensors joined into one: along an axis they have (concat), or along a new one (stack).
 *
 * The result is made once and every part is written into its place, converted on the way to the
 * dtype in which all of them meet. Scalars, weak or not, may be stacked; to concatenate takes an
 * axis. */
#include <tensorvar/index.h>
#include <tensorvar/shape.h>

#include "deferred.h"
#include "device.h"
#include "memory.h"
#include "scope.h"
#include "size.h"
#include "status.h"
#include "stream.h"
#include "tensor.h"
#include "thread.h"
#include "variable/tape.h"

/* Recorded: the axis, then where along it each part begins. */
static tv_tensor *concat_part(const tvi_saved *s, tv_tensor *g) {
  tv_index index[TV_MAX_RANK];
  const int axis = (int)s->numbers[0];
  const int64_t start = s->numbers[1 + s->k];
  for (int k = 0; k < axis; k++) index[k] = (tv_index)TV_WHOLE_AXIS;
  index[axis] = (tv_index)TV_RANGE(start, start + s->spec->shape[axis], 1);
  return tv_slice_with(g, axis + 1, index);
}
static const tvi_rule concat_rule = {
    .name = "concat",
    .in = {
        {TVI_USES_NONE, concat_part}, {TVI_USES_NONE, concat_part}, {TVI_USES_NONE, concat_part}}};

static tv_tensor *stack_part(const tvi_saved *s, tv_tensor *g) {
  tv_index index[TV_MAX_RANK];
  const int axis = (int)s->numbers[0];
  for (int k = 0; k < axis; k++) index[k] = (tv_index)TV_WHOLE_AXIS;
  index[axis] = (tv_index)TV_AT(s->k);
  return tv_slice_with(g, axis + 1, index);
}
static const tvi_rule stack_rule = {
    .name = "stack",
    .in = {{TVI_USES_NONE, stack_part}, {TVI_USES_NONE, stack_part}, {TVI_USES_NONE, stack_part}}};

/* All given, and on one device. */
static bool are_together(const char *who, int n, tv_tensor *const *tensors, tv_device *device) {
  if (n < 1) return tvi_fail(TV_EVALUE, "%s: %d tensors: at least one is needed", who, n);
  if (!tensors) return tvi_null(who, "tensors");
  int first = -1;
  for (int k = 0; k < n; k++) {
    if (!tensors[k]) return tvi_null(who, "a tensor");
    if (tensors[k]->weak.kind) continue;
    if (first < 0) first = k;
    if (tvi_tensor_on(tensors[k]) != tvi_tensor_on(tensors[first]))
      return tvi_fail(TV_EDEVICE, "%s: tensors[%d] is on %s, tensors[%d] on %s", who, first,
                      tvi_device_at(tvi_tensor_on(tensors[first]))->name, k,
                      tvi_device_at(tvi_tensor_on(tensors[k]))->name);
  }
  *device = first < 0 ? tvi_self.device : tvi_tensor_on(tensors[first]);
  return true;
}

/* Write one part at `to`, whose elements lie by `steps`. */
static tv_status put(const char *who, tv_tensor *part, tv_tensor *y, char *to,
                     const int64_t *steps) {
  const tv_device device = tvi_tensor_on(y);
  tv_tensor *const from =
      part->weak.kind ? tvi_tensor_copy(who, part, y->dtype, device) : tv_retain(part);
  if (!from) return tvi_failure();
  tv_status status = tvi_settle(from);
  if (!status) status = tvi_stream_reads(from);
  if (!status)
    status = tvi_write(who, device, y->dtype, to, steps, from->rank, from->shape, from->dtype,
                       from->data, from->steps);
  tv_release(from);
  return status;
}

static bool fits_off_axis(const tv_tensor *x, const tv_tensor *first, int axis) {
  if (x->rank != first->rank) return false;
  for (int k = 0; k < x->rank; k++)
    if (k != axis && x->shape[k] != first->shape[k]) return false;
  return true;
}

tv_tensor *tv_concat(int n, tv_tensor *const *tensors, int64_t axis) {
  tvi_text left, right;
  int64_t shape[TV_MAX_RANK];
  tv_device device;
  if (!tvi_scope_is_open("concat") || !are_together("concat", n, tensors, &device)) return NULL;
  const tv_tensor *const first = tensors[0];
  if (first->rank == 0) return tvi_fail(TV_ESHAPE, "concat: tensors[0] is 0-d: use tv_stack");
  const int at = tvi_axis("concat", axis, first->rank);
  if (at < 0) return NULL;
  for (int k = 0; k < first->rank; k++) shape[k] = first->shape[k];
  for (int k = 1; k < n; k++) {
    if (!fits_off_axis(tensors[k], first, at))
      return tvi_fail(TV_ESHAPE, "concat: shapes differ beside axis %d: %s and %s", at,
                      tvi_shape_text(&left, first->rank, first->shape),
                      tvi_shape_text(&right, tensors[k]->rank, tensors[k]->shape));
    if (!tvi_add(shape[at], tensors[k]->shape[at], &shape[at]))
      return tvi_fail(TV_EOVERFLOW, "concat: axis %d has more than 2^63 - 1 elements", at);
  }
  const tv_dtype dtype = tvi_promote("concat", n, tensors);
  if (dtype == TV_DTYPE_NONE) return NULL;
  const int64_t bytes = (1 + (int64_t)n) * (int64_t)sizeof(int64_t);
  int64_t *const numbers = tvi_block_alloc(bytes);
  if (!numbers)
    return tvi_fail(TV_ENOMEM, "concat: no memory on cpu for %lld bytes", (long long)bytes);
  tv_tensor *y = tvi_tensor_new("concat", device, dtype, first->rank, shape);
  numbers[0] = at;
  int64_t start = 0;
  for (int k = 0; k < n && y; k++) {
    numbers[1 + k] = start;
    if (tensors[k]->size &&
        put("concat", tensors[k], y, y->data + start * y->steps[at], y->steps)) {
      tv_release(y);
      y = NULL;
    }
    start += tensors[k]->shape[at];
  }
  y = tvi_finish(&concat_rule, y, n, tensors, 1 + n, numbers);
  tvi_block_free(numbers, bytes);
  return y;
}

tv_tensor *tv_stack(int n, tv_tensor *const *tensors, int64_t axis) {
  tvi_text left, right;
  int64_t shape[TV_MAX_RANK], steps[TV_MAX_RANK];
  tv_device device;
  if (!tvi_scope_is_open("stack") || !are_together("stack", n, tensors, &device)) return NULL;
  const tv_tensor *const first = tensors[0];
  if (first->rank == TV_MAX_RANK)
    return tvi_fail(TV_ESHAPE, "stack: %d axes: 0 to %d are possible", first->rank + 1,
                    TV_MAX_RANK);
  const int at = tvi_axis("stack", axis, first->rank + 1);
  if (at < 0) return NULL;
  for (int k = 1; k < n; k++)
    if (!tvi_same_shape(tensors[k], first->rank, first->shape))
      return tvi_fail(TV_ESHAPE, "stack: shapes differ: %s and %s",
                      tvi_shape_text(&left, first->rank, first->shape),
                      tvi_shape_text(&right, tensors[k]->rank, tensors[k]->shape));
  const tv_dtype dtype = tvi_promote("stack", n, tensors);
  if (dtype == TV_DTYPE_NONE) return NULL;
  for (int k = 0; k <= first->rank; k++) shape[k] = k == at ? n : first->shape[k - (k > at)];
  tv_tensor *y = tvi_tensor_new("stack", device, dtype, first->rank + 1, shape);
  for (int k = 0; y && k < first->rank; k++) steps[k] = y->steps[k + (k >= at)];
  for (int k = 0; k < n && y && y->size; k++)
    if (put("stack", tensors[k], y, y->data + k * y->steps[at], steps)) {
      tv_release(y);
      y = NULL;
    }
  return tvi_finish(&stack_rule, y, n, tensors, 1, &(int64_t){at});
}
