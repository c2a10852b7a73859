/* SPDX-License-Identifier: MIT
 * Heads of tensors: making them, asking them, giving them back. Bytes are reached through the
 * backend alone, but for those that are in host memory by contract: weak scalars and what
 * tv_tensor_data shows. */
#include "tensor.h"

#include <pthread.h>
#include <string.h>

#include "deferred.h"
#include "device.h"
#include "guard.h"
#include "memory.h"
#include "rows.h"
#include "size.h"
#include "status.h"
#include "stream.h"
#include "tally.h"
#include "thread.h"

/* Make --------------------------------------------------------------------------------------- */

static int64_t head_bytes(int rank) {
  return (int64_t)sizeof(tv_tensor) + 2 * rank * (int64_t)sizeof(int64_t);
}

static tv_tensor *head_new(tv_device device, tv_dtype dtype, int rank, const int64_t *shape) {
  tv_tensor *const x = tvi_block_alloc(head_bytes(rank));
  if (!x)
    return tvi_fail(TV_ENOMEM, "tensor: no memory on cpu for %lld bytes",
                    (long long)head_bytes(rank));
  atomic_init(&x->count, 1);
  atomic_init(&x->compact, NULL);
  atomic_init(&x->below, 0);
  atomic_init(&x->node, NULL);
  x->rows = NULL;
  atomic_init(&x->uses, 0);
  x->was_passed = false;
  x->id = tvi_next_id();
  x->storage = NULL;
  x->data = NULL;
  x->dtype = dtype;
  x->device = device;
  x->rank = (int16_t)rank;
  x->weak.kind = TVI_STRONG;
  x->steps = x->shape + rank;
  x->size = 1;
  for (int k = 0; k < rank; k++) x->size *= x->shape[k] = shape[k];
  tvi_count(TVI_LIVE, 1);
  return x;
}

void tvi_steps_of(int rank, const int64_t *shape, int64_t item, int64_t *steps) {
  for (int k = rank - 1; k >= 0; k--) {
    steps[k] = item;
    if (shape[k] > 1) item *= shape[k];
  }
}

static bool lies_in_c_order(const tv_tensor *x) {
  int64_t next = tv_dtype_size(x->dtype);
  if (x->size <= 1) return true;
  for (int k = x->rank - 1; k >= 0; k--) {
    if (x->shape[k] == 1) continue;
    if (x->steps[k] != next) return false;
    next *= x->shape[k];
  }
  return true;
}

tv_tensor *tvi_tensor_view(tvi_storage *storage, void *data, tv_dtype dtype, int rank,
                           const int64_t *shape, const int64_t *steps) {
  tv_tensor *const x = head_new(storage->device, dtype, rank, shape);
  if (!x) return NULL;
  tvi_storage_retain(storage);
  x->storage = storage;
  x->data = x->size ? data : NULL;
  if (steps && rank) {
    memcpy(x->steps, steps, (size_t)rank * sizeof *steps);
    x->is_contiguous = lies_in_c_order(x);
  } else {
    tvi_steps_of(rank, shape, tv_dtype_size(dtype), x->steps);
    x->is_contiguous = true;
  }
  return x;
}

bool tvi_shape_check(const char *who, tv_dtype dtype, int rank, const int64_t *shape,
                     int64_t *elements, int64_t *bytes) {
  tvi_text text;
  if (!tvi_is_dtype(dtype)) return tvi_fail(TV_EDTYPE, "%s: %d is no dtype", who, (int)dtype);
  if (rank < 0 || rank > TV_MAX_RANK)
    return tvi_fail(TV_ESHAPE, "%s: %d axes: 0 to %d are possible", who, rank, TV_MAX_RANK);
  if (rank && !shape) return tvi_null(who, "shape");
  for (int k = 0; k < rank; k++)
    if (shape[k] < 0)
      return tvi_fail(TV_ESHAPE, "%s: negative size in shape %s", who,
                      tvi_shape_text(&text, rank, shape));
  if (!tvi_product(rank, shape, tv_dtype_size(dtype), elements, bytes))
    return tvi_fail(TV_EOVERFLOW, "%s: shape %s of %s has more than 2^63 - 1 bytes", who,
                    tvi_shape_text(&text, rank, shape), tv_dtype_name(dtype));
  return true;
}

/* A head in C order of a storage whose one count moves into it; NULL stays NULL. */
static tv_tensor *with_storage(tvi_storage *storage, tv_dtype dtype, int rank,
                               const int64_t *shape) {
  if (!storage) return NULL;
  tv_tensor *const x = head_new(storage->device, dtype, rank, shape);
  if (!x) {
    tvi_storage_release(storage);
    return NULL;
  }
  x->storage = storage;
  x->data = storage->data;
  x->is_contiguous = true;
  tvi_steps_of(rank, shape, tv_dtype_size(dtype), x->steps);
  return x;
}

tv_tensor *tvi_tensor_new(const char *who, tv_device device, tv_dtype dtype, int rank,
                          const int64_t *shape) {
  int64_t elements, bytes;
  if (!tvi_shape_check(who, dtype, rank, shape, &elements, &bytes)) return NULL;
  return with_storage(tvi_storage_new(device, bytes), dtype, rank, shape);
}

tv_tensor *tvi_tensor_like(const tv_tensor *x) {
  return with_storage(tvi_storage_new(x->device, x->size * tv_dtype_size(x->dtype)), x->dtype,
                      x->rank, x->shape);
}

tv_tensor *tvi_tensor_head(tv_device device, tv_dtype dtype, int rank, const int64_t *shape) {
  tv_tensor *const x = head_new(device, dtype, rank, shape);
  if (!x) return NULL;
  x->is_contiguous = true;
  tvi_steps_of(rank, shape, tv_dtype_size(dtype), x->steps);
  return x;
}

tv_tensor *tvi_tensor_weak(tv_dtype dtype, tvi_weak weak) {
  tv_tensor *const x = head_new(TV_DEVICE_NONE, dtype, 0, NULL);
  if (!x) return NULL;
  x->weak = weak;
  x->is_contiguous = true;
  return x;
}

tv_tensor *tvi_tensor_alias(tv_tensor *x) {
  if (x->weak.kind) return tvi_tensor_weak(x->dtype, x->weak);
  if (tvi_settle(x)) return NULL;
  return tvi_tensor_view(x->storage, x->data, x->dtype, x->rank, x->shape, x->steps);
}

tv_status tvi_write(const char *who, tv_device device, tv_dtype to_dtype, void *to,
                    const int64_t *to_steps, int rank, const int64_t *shape, tv_dtype from_dtype,
                    void *from, const int64_t *from_steps) {
  const tv_convert job = {.from = from_dtype,
                          .to = to_dtype,
                          .rank = rank,
                          .shape = shape,
                          .out = {.data = to, .steps = to_steps},
                          .in = {.data = from, .steps = from_steps}};
  tvi_device *const on = tvi_device_at(device);
  return TVI_CALL(on, convert, who, from_dtype, &job, tvi_stream_now(device));
}

/* Copy the bytes of x, which lies in C order, to y on another device. */
static tv_status carry(tv_tensor *x, tv_tensor *y) {
  tvi_device *const from = tvi_device_at(tvi_tensor_on(x)), *const to =
                                                                tvi_device_at(tvi_tensor_on(y));
  const int64_t bytes = x->size * tv_dtype_size(x->dtype);
  void *const there = tvi_stream_now(tvi_tensor_on(y)), *const here =
                                                            tvi_stream_now(tvi_tensor_on(x));
  if (tvi_stream_reads(x)) return tvi_failure();
  if (tvi_tensor_on(x) == TV_CPU)
    return to->backend.copy_in(to->self, y->data, x->data, bytes, there);
  if (tvi_tensor_on(y) == TV_CPU)
    return from->backend.copy_out(from->self, y->data, x->data, bytes, here);
  void *const host = tvi_malloc(bytes);
  if (!host)
    return tvi_fail_status(TV_ENOMEM, "to: no memory on cpu for %lld bytes", (long long)bytes);
  tv_status status = from->backend.copy_out(from->self, host, x->data, bytes, here);
  if (!status) status = to->backend.copy_in(to->self, y->data, host, bytes, there);
  tvi_free(host);
  return status;
}

static tv_tensor *from_weak(const char *who, tv_tensor *x, tv_dtype dtype, tv_device device) {
  uint8_t element[16];
  if (!tvi_weak_element(who, &x->weak, dtype, false, element)) return NULL;
  tv_tensor *y = tvi_tensor_new(who, device, dtype, 0, NULL);
  if (!y) return NULL;
  tvi_device *const on = tvi_device_at(device);
  if (on->backend.copy_in(on->self, y->data, element, tv_dtype_size(dtype),
                          tvi_stream_now(device))) {
    tv_release(y);
    return NULL;
  }
  return y;
}

tv_tensor *tvi_tensor_copy(const char *who, tv_tensor *x, tv_dtype dtype, tv_device device) {
  if (x->weak.kind) return from_weak(who, x, dtype, device);
  if (tvi_settle(x)) return NULL;
  if (device != tvi_tensor_on(x)) {
    /* Bytes travel in C order and as they are; what else is wanted happens where x is. */
    tv_tensor *const packed = dtype == x->dtype && x->is_contiguous
                                  ? tv_retain(x)
                                  : tvi_tensor_copy(who, x, dtype, tvi_tensor_on(x));
    tv_tensor *y = packed ? tvi_tensor_new(who, device, dtype, x->rank, x->shape) : NULL;
    if (y && y->size && carry(packed, y)) {
      tv_release(y);
      y = NULL;
    }
    tv_release(packed);
    return y;
  }
  tv_tensor *const y = tvi_tensor_new(who, device, dtype, x->rank, x->shape);
  if (y && y->size &&
      (tvi_stream_reads(x) || tvi_write(who, device, dtype, y->data, y->steps, x->rank, x->shape,
                                        x->dtype, x->data, x->steps))) {
    tv_release(y);
    return NULL;
  }
  return y;
}

tv_tensor *tvi_tensor_compact(const char *who, tv_tensor *x) {
  if (tvi_settle(x)) return NULL;
  return x->is_contiguous ? tv_retain(x) : tvi_tensor_copy(who, x, x->dtype, tvi_tensor_on(x));
}

tv_tensor *tvi_tensor_strong(const char *who, tv_tensor *x, tv_device device) {
  return x->weak.kind ? from_weak(who, x, x->dtype, device) : tv_retain(x);
}

/* Release ------------------------------------------------------------------------------------ */

tv_tensor *tv_retain(tv_tensor *x) {
  if (x) atomic_fetch_add_explicit(&x->count, 1, memory_order_relaxed);
  return x;
}

void tv_release(tv_tensor *x) {
  if (!x) return;
  /* A count that is the only one nobody else can change. */
  if (atomic_load_explicit(&x->count, memory_order_acquire) != 1 &&
      atomic_fetch_sub_explicit(&x->count, 1, memory_order_acq_rel) != 1)
    return;
  tvi_storage *const compact = atomic_load_explicit(&x->compact, memory_order_relaxed);
  if (compact) tvi_storage_release(compact);
  tvi_node_free(atomic_load_explicit(&x->node, memory_order_relaxed));
  if (x->rows) tvi_rows_free(x->rows);
  if (x->storage) tvi_storage_release(x->storage);
  tvi_block_free(x, head_bytes(x->rank));
  tvi_count(TVI_LIVE, -1);
}

/* Ask ---------------------------------------------------------------------------------------- */

tv_dtype tv_tensor_dtype(tv_tensor *x) { return x ? x->dtype : TV_DTYPE_NONE; }
int tv_tensor_rank(tv_tensor *x) { return x ? x->rank : -1; }
const int64_t *tv_tensor_shape(tv_tensor *x) { return x ? x->shape : NULL; }
int64_t tv_tensor_size(tv_tensor *x) { return x ? x->size : 0; }
int64_t tv_tensor_bytes(tv_tensor *x) { return x ? x->size * tv_dtype_size(x->dtype) : 0; }
tv_device tv_tensor_device(tv_tensor *x) { return x ? tvi_tensor_on(x) : TV_DEVICE_NONE; }
bool tv_tensor_is_contiguous(tv_tensor *x) { return x && x->is_contiguous; }
bool tv_tensor_is_weak(tv_tensor *x) { return x && x->weak.kind; }
bool tv_tensor_shares(tv_tensor *x, tv_tensor *y) {
  if (!x || !y) return false;
  if (tvi_is_deferred(x) || tvi_is_deferred(y)) return x == y; /* has no view: those settle it */
  return x->storage && x->storage == y->storage;
}

int tvi_axis(const char *who, int64_t axis, int rank) {
  if (axis >= -rank && axis < rank) return (int)(axis < 0 ? axis + rank : axis);
  tvi_fail(TV_EINDEX, "%s: axis %lld of %d", who, (long long)axis, rank);
  return -1;
}

bool tvi_axes(const char *who, int rank, int n, const int64_t *axes, bool *is_named) {
  if (n > 0 && !axes) return tvi_null(who, "axes");
  for (int k = 0; k < rank; k++) is_named[k] = n < 0;
  for (int k = 0; k < n; k++) {
    const int axis = tvi_axis(who, axes[k], rank);
    if (axis < 0) return false;
    if (is_named[axis]) return tvi_fail(TV_EVALUE, "%s: axis %d is named twice", who, axis);
    is_named[axis] = true;
  }
  return true;
}

/* What is shown in host memory: the elements in C order. */
/* The owner of a borrow said that it changed since these bytes were packed: pack again, in place,
 * for pointers to them stay valid. Their `user`, which nobody calls, is the borrow's epoch. */
static const void *packed_again(tv_tensor *x, tvi_storage *compact) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  const uintptr_t epoch = (uintptr_t)tvi_guard_epoch(x->storage);
  tv_tensor *fresh = NULL;
  pthread_mutex_lock(&lock);
  const bool is_old = (uintptr_t)compact->user != epoch;
  if (is_old) fresh = tvi_tensor_copy("tensor_data", x, x->dtype, TV_CPU);
  if (fresh) {
    memcpy(compact->data, fresh->data, (size_t)compact->bytes);
    compact->user = (void *)epoch;
  }
  pthread_mutex_unlock(&lock);
  tv_release(fresh);
  return is_old && !fresh ? NULL : compact->data;
}

static const void *compact_data(tv_tensor *x) {
  tvi_storage *compact = atomic_load_explicit(&x->compact, memory_order_acquire);
  if (compact) return tvi_guard_of(x->storage) ? packed_again(x, compact) : compact->data;
  const uintptr_t epoch = (uintptr_t)tvi_guard_epoch(x->storage);
  tv_tensor *const packed = tvi_tensor_copy("tensor_data", x, x->dtype, TV_CPU);
  if (!packed) return NULL;
  tvi_storage *mine = packed->storage;
  mine->user = (void *)epoch;
  tvi_storage_retain(mine);
  tv_release(packed);
  /* Two threads may pack at once; the first to publish wins. */
  if (!atomic_compare_exchange_strong(&x->compact, &compact, mine)) {
    tvi_storage_release(mine);
    return compact->data;
  }
  return mine->data;
}

static bool is_on_host(const char *who, tv_tensor *x) {
  if (!x) return tvi_null(who, "x");
  if (x->weak.kind || tvi_tensor_on(x) == TV_CPU) return true;
  return tvi_fail(TV_EDEVICE, "%s: x is on %s: use tv_tensor_copy_out or tv_to", who,
                  tvi_device_at(tvi_tensor_on(x))->name);
}

/* Nobody looks again at what the caller reads through a pointer: so now. */
static bool is_as_borrowed(const char *who, const tv_tensor *x) {
  if (!tvi_guard_of(x->storage)) return true;
  tvi_guard_note(x->storage);
  return !tvi_guards_check(who);
}

const void *tv_tensor_data(tv_tensor *x) {
  if (!is_on_host("tensor_data", x) || tvi_settle(x)) return NULL;
  if (x->weak.kind) return &x->weak.b; /* every member of the union starts there */
  const void *const data = x->is_contiguous ? x->data : compact_data(x);
  return is_as_borrowed("tensor_data", x) ? data : NULL;
}

const void *tv_tensor_data_strided(tv_tensor *x, int64_t *steps) {
  if (!is_on_host("tensor_data_strided", x)) return NULL;
  if (x->rank && !steps) return tvi_null("tensor_data_strided", "steps");
  if (tvi_settle(x)) return NULL;
  if (x->weak.kind) return &x->weak.b;
  if (x->rank) memcpy(steps, x->steps, (size_t)x->rank * sizeof *steps);
  return is_as_borrowed("tensor_data_strided", x) ? x->data : NULL;
}

tv_status tv_tensor_copy_out(tv_tensor *x, void *out, int64_t capacity) {
  if (!x) return tvi_null_status("tensor_copy_out", "x");
  const int64_t bytes = tv_tensor_bytes(x);
  if (capacity < bytes)
    return tvi_fail_status(TV_EVALUE, "tensor_copy_out: room for %lld bytes, there are %lld",
                           (long long)capacity, (long long)bytes);
  if (bytes == 0) return TV_OK;
  if (!out) return tvi_null_status("tensor_copy_out", "out");
  if (x->weak.kind) {
    memcpy(out, &x->weak.b, (size_t)bytes);
    return TV_OK;
  }
  tv_tensor *const packed = tvi_tensor_compact("tensor_copy_out", x);
  if (!packed) return tvi_failure();
  tvi_device *const on = tvi_device_at(tvi_tensor_on(x));
  tv_status status = tvi_stream_reads(packed);
  if (!status)
    status =
        on->backend.copy_out(on->self, out, packed->data, bytes, tvi_stream_now(tvi_tensor_on(x)));
  tv_release(packed);
  if (!status) status = tvi_guards_check("tensor_copy_out");
  return status;
}

static tv_status item(const char *who, tv_tensor *x, tv_dtype dtype, void *value) {
  tvi_text text;
  if (!x) return tvi_null_status(who, "x");
  if (!value) return tvi_null_status(who, "value");
  if (x->size != 1)
    return tvi_fail_status(TV_ESHAPE, "%s: shape %s has %lld elements, not 1", who,
                           tvi_shape_text(&text, x->rank, x->shape), (long long)x->size);
  if (tvi_is_complex(x->dtype))
    return tvi_fail_status(TV_EDTYPE, "%s: x is %s: take tv_real or tv_imag first", who,
                           tv_dtype_name(x->dtype));
  tv_tensor *const strong = tvi_tensor_strong(who, x, TV_CPU);
  tv_tensor *const one = strong ? tvi_tensor_copy(who, strong, dtype, TV_CPU) : NULL;
  tv_release(strong);
  if (!one) return tvi_failure();
  const tv_status status = tvi_guards_check(who);
  if (!status) memcpy(value, one->data, (size_t)tv_dtype_size(dtype));
  tv_release(one);
  return status;
}

tv_status tv_item_f64(tv_tensor *x, double *value) { return item("item_f64", x, TV_F64, value); }
tv_status tv_item_i64(tv_tensor *x, int64_t *value) { return item("item_i64", x, TV_I64, value); }
