/* SPDX-License-Identifier: MIT
 * Rows by a mask: tv_boolean_mask, and its gradient, which puts rows back where the mask is true
 * and is an op of its own whose gradient is tv_boolean_mask again.
 *
 * A device with the slots counts the mask once and moves the rows. For others: the stable order of
 * "not chosen" begins with the positions of what is chosen, so both ops are a sort and a gather. */
#include <tensorvar/index.h>
#include <tensorvar/ops.h>
#include <tensorvar/reduce.h>
#include <tensorvar/shape.h>

#include "create.h"
#include "device.h"
#include "scope.h"
#include "status.h"
#include "stream.h"
#include "tensor.h"
#include "thread.h"
#include "variable/tape.h"

enum {
  RUN = 4096,          /* rows that are counted together, ... */
  RUN_BYTES = 1 << 16, /* ... fewer where they hold more bytes, ... */
  LEAST_RUN = 16       /* ... but so many: counts of them stay small beside the mask */
};

/* One of the two ops. x [n..., b...] and packed [count, b...] are the wide and the short side of
 * it; all in C order, strong, on one device. */
typedef struct {
  const char *who;
  tv_tensor *mask;
  tv_device device;
  tv_dtype dtype;
  int rank; /* of x */
  const int64_t *shape;
  int64_t inner; /* elements of a row */
} choice;

/* Elements in C order, ready to be read on the thread's stream; the scope's. */
static tv_tensor *ready(const char *who, tv_tensor *x) {
  tv_tensor *const y = tvi_scope_own(tvi_tensor_compact(who, x));
  return y && tvi_stream_reads(y) ? NULL : y;
}

static bool has_slots(const choice *c) {
  const tv_backend *const backend = &tvi_device_at(c->device)->backend;
  return backend->select && backend->select_count;
}

/* Shape of the packed side. */
static int packed_shape(const choice *c, int64_t count, int64_t *shape) {
  int rank = 0;
  shape[rank++] = count;
  for (int axis = c->mask->rank; axis < c->rank; axis++) shape[rank++] = c->shape[axis];
  return rank;
}

/* By the slots ----------------------------------------------------------------------------------
 */

/* Counts the mask into job->count and job->starts, which the scope owns. */
static tv_status count_by_slot(const choice *c, tv_select *job) {
  tvi_device *const on = tvi_device_at(c->device);
  job->n = c->mask->size;
  job->mask = c->mask->data;
  job->row_bytes = c->inner * (int64_t)tv_dtype_size(c->dtype);
  job->run = job->row_bytes <= RUN_BYTES / RUN ? RUN : RUN_BYTES / job->row_bytes;
  if (job->run < LEAST_RUN) job->run = LEAST_RUN;
  if (job->n == 0) return TV_OK;
  const int64_t runs = (job->n + job->run - 1) / job->run;
  tv_tensor *const starts = tvi_scope_own(tvi_tensor_new(c->who, c->device, TV_I64, 1, &runs));
  if (!starts) return tvi_failure();
  job->starts = (int64_t *)(void *)starts->data;
  return TVI_CALL(on, select_count, c->who, c->dtype, job, &job->count, tvi_stream_now(c->device));
}

/* The result, of one count; `from` is the other side. */
static tv_tensor *by_slot(const choice *c, tv_select *job, tv_tensor *from, int rank,
                          const int64_t *shape) {
  tv_tensor *const y = tvi_tensor_new(c->who, c->device, c->dtype, rank, shape);
  if (!y || y->size == 0) return y;
  tvi_device *const on = tvi_device_at(c->device);
  job->in = from->data;
  job->out = y->data;
  if (!TVI_CALL(on, select, c->who, c->dtype, job, tvi_stream_now(c->device))) return y;
  tv_release(y);
  return NULL;
}

/* By sorting ------------------------------------------------------------------------------------
 */

/* Positions [n] int64 in the stable order of keys, which are integers; the scope's. */
static tv_tensor *order_of(const choice *c, tv_tensor *keys) {
  tv_tensor *const words = ready(c->who, tv_reshape(tv_astype(keys, TV_U64), TV_SHAPE(-1)));
  tv_tensor *const y =
      words ? tvi_scope_own(tvi_tensor_new(c->who, c->device, TV_I64, 1, &words->size)) : NULL;
  if (!y || y->size == 0) return y;
  tvi_device *const on = tvi_device_at(c->device);
  return TVI_CALL(on, argsort_u64, c->who, TV_U64, (const uint64_t *)(const void *)words->data,
                  words->size, (int64_t *)(void *)y->data, tvi_stream_now(c->device))
             ? NULL
             : y;
}

static tv_tensor *chosen_first(const choice *c) { return order_of(c, tv_logical_not(c->mask)); }

static tv_status count_by_sum(const choice *c, int64_t *count) {
  return tv_item_i64(tv_sum(tv_astype(c->mask, TV_I64), TV_ALL_AXES), count);
}

static tv_tensor *pack_by_sort(const choice *c, int64_t count, tv_tensor *x, int rank,
                               const int64_t *shape) {
  const tv_index first[] = {TV_RANGE(0, count, 1)};
  tv_tensor *const rows = tv_reshape(x, TV_SHAPE(c->mask->size, c->inner));
  return tv_retain(
      tv_reshape(tv_take(rows, tv_slice_with(chosen_first(c), 1, first), 0), rank, shape));
}

/* A row that is chosen has its place among those as its position in the order; others take any. */
static tv_tensor *unpack_by_sort(const choice *c, int64_t count, tv_tensor *packed) {
  if (count == 0 || c->inner == 0) return tvi_zeros(c->who, c->device, c->dtype, c->rank, c->shape);
  tv_tensor *const at = tv_minimum(order_of(c, chosen_first(c)), tv_scalar(count - 1));
  tv_tensor *const rows = tv_take(tv_reshape(packed, TV_SHAPE(count, c->inner)), at, 0);
  tv_tensor *const mask = tv_reshape(c->mask, TV_SHAPE(-1, 1));
  return tv_retain(
      tv_reshape(tv_where(mask, rows, tv_zeros_like(tv_slice(rows, "0, 0"))), c->rank, c->shape));
}

/* The ops ---------------------------------------------------------------------------------------
 */

/* x [n..., b...] as in `c`; one count. */
static tv_tensor *pack(const choice *c, tv_tensor *x) {
  int64_t shape[TV_MAX_RANK], count = 0;
  tv_select job = {.is_inverse = false};
  if (!has_slots(c)) {
    if (count_by_sum(c, &count)) return NULL;
    const int rank = packed_shape(c, count, shape);
    return pack_by_sort(c, count, x, rank, shape);
  }
  if (count_by_slot(c, &job)) return NULL;
  const int rank = packed_shape(c, job.count, shape);
  return by_slot(c, &job, x, rank, shape);
}

static tv_tensor *unpack(const choice *c, tv_tensor *packed) {
  tv_select job = {.is_inverse = true};
  if (!has_slots(c)) return unpack_by_sort(c, packed->shape[0], packed);
  return count_by_slot(c, &job) ? NULL : by_slot(c, &job, packed, c->rank, c->shape);
}

static choice choice_of(const char *who, tv_tensor *mask, tv_device device, tv_dtype dtype,
                        int rank, const int64_t *shape) {
  choice c = {.who = who,
              .mask = mask,
              .device = device,
              .dtype = dtype,
              .rank = rank,
              .shape = shape,
              .inner = 1};
  for (int axis = mask->rank; axis < rank; axis++) c.inner *= shape[axis];
  return c;
}

static tv_tensor *put_back(tv_tensor *g, tv_tensor *mask, const tvi_spec *to);

static tv_tensor *mask_gradient(const tvi_saved *s, tv_tensor *g) {
  return put_back(g, s->in[1], s->spec);
}
static const tvi_rule mask_rule = {.name = "boolean_mask", .in = {{TVI_USES_IN1, mask_gradient}}};

static tv_tensor *put_back_gradient(const tvi_saved *s, tv_tensor *g) {
  return tv_boolean_mask(g, s->in[1]);
}
static const tvi_rule put_back_rule = {.name = "put_back",
                                       .in = {{TVI_USES_IN1, put_back_gradient}}};

/* In a scope of its own, which nobody records; one count. */
static tv_tensor *run(const char *who, tv_tensor *from, tv_tensor *mask, const tvi_spec *wide) {
  tv_scope scope;
  tv_tensor *y = NULL;
  if (tvi_scope_open(&scope)) return NULL;
  const tv_device current = tvi_self.device;
  tvi_self.device = tvi_tensor_on(from);
  tvi_self.paused++;
  tv_tensor *const chooser = ready(who, mask), *const rows = ready(who, from);
  if (chooser && rows) {
    const int rank = wide ? wide->rank : rows->rank;
    const int64_t *const shape = wide ? wide->shape : rows->shape;
    const choice c = choice_of(who, chooser, tvi_tensor_on(rows), rows->dtype, rank, shape);
    y = (wide ? unpack : pack)(&c, rows);
  }
  tvi_self.paused--;
  tvi_self.device = current;
  tvi_scope_close(&scope);
  return y;
}

/* Zeros of the shape of what a mask chose from, with the rows of g where it is true. */
static tv_tensor *put_back(tv_tensor *g, tv_tensor *mask, const tvi_spec *to) {
  if (!g) return tvi_null("put_back", "g");
  tv_tensor *const y = run("put_back", g, mask, to);
  return tvi_finish(&put_back_rule, y, 2, (tv_tensor *const[]){g, mask}, 0, NULL);
}

/* Both strong and on one device. */
static tv_tensor *checked(const char *who, tv_tensor *x, tv_tensor *mask) {
  tvi_text left, right;
  if (x->rank - mask->rank + 1 > TV_MAX_RANK)
    return tvi_fail(TV_ESHAPE, "%s: %d axes: 0 to %d are possible", who, x->rank - mask->rank + 1,
                    TV_MAX_RANK);
  if (mask->rank > x->rank || !tvi_same_shape(mask, mask->rank, x->shape))
    return tvi_fail(TV_ESHAPE, "%s: mask has shape %s, the first axes of x %s", who,
                    tvi_shape_text(&left, mask->rank, mask->shape),
                    tvi_shape_text(&right, mask->rank < x->rank ? mask->rank : x->rank, x->shape));
  if (tvi_tensor_on(mask) != tvi_tensor_on(x))
    return tvi_fail(TV_EDEVICE, "%s: x is on %s, mask on %s", who,
                    tvi_device_at(tvi_tensor_on(x))->name,
                    tvi_device_at(tvi_tensor_on(mask))->name);
  return run(who, x, mask, NULL);
}

tv_tensor *tv_boolean_mask(tv_tensor *x, tv_tensor *mask) {
  static const char who[] = "boolean_mask";
  if (!x || !mask) return tvi_null(who, x ? "mask" : "x");
  if (!tvi_scope_is_open(who)) return NULL;
  if (mask->dtype != TV_BOOL)
    return tvi_fail(TV_EDTYPE, "%s: mask is %s, not bool", who, tv_dtype_name(mask->dtype));
  const tv_device device = !x->weak.kind      ? tvi_tensor_on(x)
                           : !mask->weak.kind ? tvi_tensor_on(mask)
                                              : tvi_self.device;
  tv_tensor *const from = tvi_tensor_strong(who, x, device);
  tv_tensor *const chooser = from ? tvi_tensor_strong(who, mask, device) : NULL;
  tv_tensor *const y = chooser ? checked(who, from, chooser) : NULL;
  tv_release(from);
  tv_release(chooser);
  return tvi_finish(&mask_rule, y, 2, (tv_tensor *const[]){x, mask}, 0, NULL);
}
