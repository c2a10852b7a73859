/* SPDX-License-Identifier: MIT */
/* Borrowing by DLPack. The order of checks is that of the functions: version, before which no other
 * field means anything; device, type, shape, strides and addresses, each relying only on those
 * before it; and only then a byte is looked at. */
#include <stdio.h>
#include <string.h>

#include "device.h"
#include "dlpack.h"
#include "guard.h"
#include "memory.h"
#include "scope.h"
#include "size.h"
#include "status.h"
#include "stream.h"
#include "tensor.h"

/* What is to be given back, and to whom. */
typedef struct loan {
  DLManagedTensorVersioned *versioned; /* one of these; neither, where there is no deleter: the */
  DLManagedTensor *legacy;             /* struct may then be gone as soon as the call returns */
  tvi_storage *storage;                /* NULL until there is one */
} loan;

static void call_deleter(const loan *it) {
  if (it->versioned) it->versioned->deleter(it->versioned);
  if (it->legacy) it->legacy->deleter(it->legacy);
}

/* Nobody shows the bytes any more; what is queued on them is waited for. A device that is lost has
 * nothing queued, and here is nobody to tell. */
static void wait_for(const tvi_storage *storage) {
  void *users[TVI_STREAMS];
  const bool had_failed = tv_error() != TV_OK;
  tvi_device *const on = tvi_device_at(storage->device);
  const int n = tvi_stream_users(storage, users);
  on->backend.synchronize(on->self, on->streams[storage->home]);
  for (int k = 0; k < n; k++) on->backend.synchronize(on->self, users[k]);
  if (!had_failed) tv_error_clear();
}

static void end_loan(void *user) {
  loan *const it = user;
  if (it->storage && it->storage->device != TV_CPU) wait_for(it->storage);
  call_deleter(it);
  tvi_free(it);
}

/* What is lent, in our words. */
typedef struct lent {
  tv_device device;
  tv_dtype dtype;
  int rank;
  int64_t shape[TV_MAX_RANK], steps[TV_MAX_RANK]; /* steps in bytes */
  int64_t size, bytes;                            /* as if it were compact */
  char *data;                                     /* the first element */
  char *low;                                      /* the lowest byte of all, */
  int64_t extent;                                 /* and how many there are from it on */
  bool is_aligned;
} lent;

/* Checks ----------------------------------------------------------------------------------------
 */

static tv_status find_device(const char *who, DLDevice device, tv_device *found) {
  char name[32];
  if (device.device_type == TVI_DL_CPU || device.device_type == TVI_DL_CUDA_HOST) {
    *found = TV_CPU;
    return TV_OK;
  }
  const int32_t type = device.device_type == TVI_DL_CUDA_MANAGED ? TVI_DL_CUDA : device.device_type;
  for (int k = 1; k < tv_device_count(); k++) {
    const tvi_device *const on = tvi_device_at(k);
    int32_t its_type = 0, its_id = 0;
    if (!on->backend.dlpack_device) continue;
    on->backend.dlpack_device(on->self, &its_type, &its_id);
    if (its_type != type || its_id != device.device_id) continue;
    *found = k;
    return TV_OK;
  }
  if (type != TVI_DL_CUDA || device.device_id < 0)
    return tvi_fail_status(TV_EDEVICE, "%s: no device has DLPack's type %d and id %d", who,
                           (int)device.device_type, (int)device.device_id);
  snprintf(name, sizeof name, "cuda:%d", (int)device.device_id);
  return tv_device_find(name, found);
}

/* Steps in bytes, and the range of addresses. Strides of axes of size 1 mean nothing, and where
 * there is no element none does. */
static tv_status check_strides(const char *who, const DLTensor *t, lent *out) {
  const int64_t item = tv_dtype_size(out->dtype), alignment = tvi_alignment(out->dtype);
  int64_t below = 0, above = item;
  bool fits = t->byte_offset <= INT64_MAX;
  tvi_steps_of(out->rank, out->shape, item, out->steps);
  out->is_aligned = true;
  for (int k = 0; k < out->rank && fits && out->size; k++) {
    int64_t reach = 0;
    if (out->shape[k] < 2) continue;
    if (t->strides) fits = tvi_mul(t->strides[k], item, &out->steps[k]);
    if (fits) fits = tvi_mul(out->steps[k], out->shape[k] - 1, &reach);
    if (fits) fits = reach < 0 ? tvi_add(below, reach, &below) : tvi_add(above, reach, &above);
    if (out->steps[k] % alignment) out->is_aligned = false;
  }
  const uintptr_t first = (uintptr_t)t->data + (uintptr_t)t->byte_offset;
  if (fits && out->size)
    fits = first >= (uintptr_t)t->data && (uint64_t)first >= (uint64_t)0 - (uint64_t)below &&
           (uint64_t)above <= UINTPTR_MAX - (uint64_t)first && tvi_add(above, -below, &out->extent);
  if (!fits)
    return tvi_fail_status(TV_EFORMAT, "%s: strides and offset reach beyond the address space",
                           who);
  out->data = out->size ? (char *)first : NULL;
  out->low = out->size ? (char *)(first + (uintptr_t)below) : NULL;
  if (first % (uintptr_t)alignment) out->is_aligned = false;
  return TV_OK;
}

static tv_status check(const char *who, const DLTensor *t, lent *out) {
  tv_status status = find_device(who, t->device, &out->device);
  if (status) return status;
  out->dtype = tvi_dlpack_dtype(t->dtype);
  if (out->dtype == TV_DTYPE_NONE)
    return tvi_fail_status(TV_EDTYPE,
                           "%s: found type code %d of %d bits and %d lanes, which no "
                           "dtype is",
                           who, t->dtype.code, t->dtype.bits, t->dtype.lanes);
  if (t->ndim < 0 || t->ndim > TV_MAX_RANK)
    return tvi_fail_status(TV_EFORMAT, "%s: found %d axes, expected 0 to %d", who, (int)t->ndim,
                           TV_MAX_RANK);
  if (t->ndim && !t->shape)
    return tvi_fail_status(TV_EFORMAT, "%s: found no shape for %d axes", who, (int)t->ndim);
  out->rank = t->ndim;
  for (int k = 0; k < out->rank; k++) {
    out->shape[k] = t->shape[k];
    if (t->shape[k] < 0)
      return tvi_fail_status(TV_EFORMAT, "%s: found size %lld of axis %d, expected none below 0",
                             who, (long long)t->shape[k], k);
  }
  if (!tvi_shape_check(who, out->dtype, out->rank, out->shape, &out->size, &out->bytes))
    return tvi_failure();
  if (out->size && !t->data) return tvi_null_status(who, "data");
  return check_strides(who, t, out);
}

/* Elements --------------------------------------------------------------------------------------
 */

/* No elements, or those of host memory at any address, one by one: no kernel is given a misaligned
 * pointer. */
static tv_tensor *copy_singly(const char *who, const lent *in) {
  tv_tensor *const y = tvi_tensor_new(who, in->device, in->dtype, in->rank, in->shape);
  if (!y) return NULL;
  const int64_t item = tv_dtype_size(in->dtype);
  int64_t index[TV_MAX_RANK] = {0};
  const char *from = in->data;
  for (int64_t i = 0; i < in->size; i++) {
    memcpy(y->data + i * item, from, (size_t)item);
    for (int axis = in->rank - 1; axis >= 0; axis--) {
      from += in->steps[axis];
      if (++index[axis] < in->shape[axis]) break;
      from -= in->steps[axis] * in->shape[axis];
      index[axis] = 0;
    }
  }
  return y;
}

/* The producer's elements; the loan is the tensor's, also after a failure. */
static tv_tensor *share(const char *who, const lent *in, bool is_ours,
                        const tv_dlpack_import_options *o, loan *it) {
  tv_memory_options borrow = TV_MEMORY_OPTIONS;
  borrow.release = end_loan;
  borrow.user = it;
  borrow.guard = o->guard;
  borrow.name = o->name ? o->name : "import";
  tvi_storage *const storage = is_ours ? tvi_storage_adopt(in->low, in->extent, end_loan, it)
                                       : tvi_guard_borrow(who, in->data, in->dtype, in->rank,
                                                          in->shape, in->steps, in->bytes, &borrow);
  if (!storage) return NULL;
  it->storage = storage;
  storage->device = in->device;
  storage->home = o->stream ? o->stream->index : tvi_stream_index(in->device);
  tv_tensor *const x =
      tvi_tensor_view(storage, in->data, in->dtype, in->rank, in->shape, in->steps);
  tvi_storage_release(storage);
  return x;
}

/* The loan is given back by whoever shows it last, or here. */
static tv_tensor *take(const char *who, const lent *in, uint64_t flags,
                       const tv_dlpack_import_options *o, const loan *given) {
  const bool is_near = in->device == TV_CPU;
  const bool copies = o->copy || !in->is_aligned || !in->size;
  tv_tensor *x = NULL;
  if (!in->size || (!in->is_aligned && is_near)) {
    x = copy_singly(who, in);
    call_deleter(given);
  } else {
    loan *const it = tvi_malloc(sizeof *it);
    if (!it) {
      call_deleter(given);
      return tvi_fail(TV_ENOMEM, "%s: no memory on cpu for %zu bytes", who, sizeof *it);
    }
    *it = *given;
    const bool is_a_gift = (flags & TVI_DL_IS_COPIED) && !(flags & TVI_DL_READ_ONLY);
    x = share(who, in, is_a_gift && o->guard == TV_GUARD_NONE, o, it);
    if (x && o->copy) {
      tv_tensor *const copy = tvi_tensor_copy(who, x, x->dtype, in->device);
      tv_release(x);
      x = copy;
    }
  }
  if (x && o->is_shared) *o->is_shared = !copies;
  return x;
}

/* All that can be wrong before the loan is touched. */
static tv_status look(const char *who, const DLTensor *t, const tv_dlpack_import_options *given,
                      tv_dlpack_import_options *o, lent *in) {
  *o = (tv_dlpack_import_options)TV_DLPACK_IMPORT_OPTIONS;
  if (!tvi_scope_is_open(who)) return TV_ESCOPE;
  if (given) {
    if (!tvi_options_fit(who, given->size, sizeof *o)) return TV_EVALUE;
    memcpy(o, given, given->size);
  }
  if (o->copy && o->require_share)
    return tvi_fail_status(TV_EVALUE, "%s: both a copy and no copy are asked for", who);
  if (o->copy) o->guard = TV_GUARD_NONE;
  if (!tvi_guard_is_known(who, o->guard)) return tvi_failure();
  const tv_status status = check(who, t, in);
  if (status) return status;
  if (o->stream && o->stream->device != in->device)
    return tvi_fail_status(TV_EDEVICE, "%s: the stream is of %s, the bytes are on %s", who,
                           tv_device_name(o->stream->device), tv_device_name(in->device));
  if (in->device != TV_CPU && o->guard != TV_GUARD_NONE)
    return tvi_fail_status(TV_EVALUE, "%s: a guard looks at host memory, the bytes are on %s", who,
                           tv_device_name(in->device));
  if (!in->is_aligned && in->size && (o->require_share || in->device != TV_CPU))
    return tvi_fail_status(TV_EUNSUPPORTED, "%s: elements of %s are not at multiples of %lld bytes",
                           who, tv_dtype_name(in->dtype), (long long)tvi_alignment(in->dtype));
  return TV_OK;
}

static tv_tensor *import(const char *who, const DLTensor *t, uint64_t flags,
                         const tv_dlpack_import_options *options, const loan *given) {
  tv_dlpack_import_options o;
  lent in = {.device = TV_DEVICE_NONE};
  if (!look(who, t, options, &o, &in)) return tvi_scope_own(take(who, &in, flags, &o, given));
  call_deleter(given);
  return NULL;
}

tv_tensor *tv_tensor_from_dlpack(struct DLManagedTensorVersioned *managed,
                                 const tv_dlpack_import_options *options) {
  static const char who[] = "tensor_from_dlpack";
  if (!managed) return tvi_null(who, "managed");
  const loan it = {.versioned = managed->deleter ? managed : NULL};
  const DLPackVersion version = managed->version;
  if (version.major == TVI_DL_MAJOR)
    return import(who, &managed->dl_tensor, managed->flags, options, &it);
  /* Fields behind the deleter may be others there. */
  call_deleter(&it);
  return tvi_fail(TV_EUNSUPPORTED, "%s: found version %u.%u, expected %d", who,
                  (unsigned)version.major, (unsigned)version.minor, (int)TVI_DL_MAJOR);
}

tv_tensor *tv_tensor_from_dlpack_legacy(struct DLManagedTensor *managed,
                                        const tv_dlpack_import_options *options) {
  if (!managed) return tvi_null("tensor_from_dlpack_legacy", "managed");
  const loan it = {.legacy = managed->deleter ? managed : NULL};
  return import("tensor_from_dlpack_legacy", &managed->dl_tensor, 0, options, &it);
}
