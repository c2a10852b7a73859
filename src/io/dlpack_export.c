/* SPDX-License-Identifier: MIT */
/* Lending tensors by DLPack. The struct, the tensor that it keeps, and its sizes are one block,
 * which the deleter gives back with the tensor. */
#include <stddef.h>
#include <string.h>

#include "deferred.h"
#include "device.h"
#include "dlpack.h"
#include "guard.h"
#include "memory.h"
#include "status.h"
#include "stream.h"
#include "tensor.h"

#if UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(DLTensor) == 48 && offsetof(DLTensor, device) == 8 &&
                   offsetof(DLTensor, ndim) == 16 && offsetof(DLTensor, dtype) == 20 &&
                   offsetof(DLTensor, shape) == 24 && offsetof(DLTensor, strides) == 32 &&
                   offsetof(DLTensor, byte_offset) == 40,
               "DLTensor is DLPack's");
_Static_assert(sizeof(DLManagedTensor) == 64 && offsetof(DLManagedTensor, manager_ctx) == 48 &&
                   offsetof(DLManagedTensor, deleter) == 56,
               "DLManagedTensor is DLPack's");
_Static_assert(sizeof(DLManagedTensorVersioned) == 80 &&
                   offsetof(DLManagedTensorVersioned, manager_ctx) == 8 &&
                   offsetof(DLManagedTensorVersioned, deleter) == 16 &&
                   offsetof(DLManagedTensorVersioned, flags) == 24 &&
                   offsetof(DLManagedTensorVersioned, dl_tensor) == 32,
               "DLManagedTensorVersioned is DLPack's");
#endif

/* Types -------------------------------------------------------------------------------------- */

static uint8_t code_of(tv_dtype dtype) {
  if (dtype == TV_BOOL) return TVI_DL_BOOL;
  if (dtype == TV_BF16) return TVI_DL_BFLOAT;
  if (tvi_is_complex(dtype)) return TVI_DL_COMPLEX;
  if (!tvi_is_integer(dtype)) return TVI_DL_FLOAT;
  return tvi_is_signed(dtype) ? TVI_DL_INT : TVI_DL_UINT;
}

DLDataType tvi_dlpack_type(tv_dtype dtype) {
  return (DLDataType){code_of(dtype), (uint8_t)(8 * tv_dtype_size(dtype)), 1};
}

tv_dtype tvi_dlpack_dtype(DLDataType type) {
  for (int k = 0; k < TV_DTYPE_COUNT; k++) {
    const DLDataType known = tvi_dlpack_type((tv_dtype)k);
    if (known.code == type.code && known.bits == type.bits && type.lanes == 1) return (tv_dtype)k;
  }
  return TV_DTYPE_NONE;
}

/* The tensor to lend -------------------------------------------------------------------------- */

static bool device_of(const char *who, const tv_tensor *x, DLDevice *device) {
  *device = (DLDevice){TVI_DL_CPU, 0};
  if (x->weak.kind || tvi_tensor_on(x) == TV_CPU) return true;
  const tvi_device *const on = tvi_device_at(tvi_tensor_on(x));
  if (!on->backend.dlpack_device)
    return tvi_fail(TV_EUNSUPPORTED, "%s: device %s has no type in DLPack: use tv_to", who,
                    on->name);
  on->backend.dlpack_device(on->self, &device->device_type, &device->device_id);
  return true;
}

/* Strides in elements, those of axes of size 1 as in C order; whether they are whole elements. */
static bool strides_of(const tv_tensor *x, int64_t *strides) {
  const int64_t item = tv_dtype_size(x->dtype);
  tvi_steps_of(x->rank, x->shape, 1, strides);
  for (int k = 0; k < x->rank; k++) {
    if (x->shape[k] < 2 || !x->size) continue;
    if (x->steps[k] % item) return false;
    strides[k] = x->steps[k] / item;
  }
  return true;
}

/* Who uses the bytes next finds them there: on a stream, or at once. */
static tv_status make_visible(tv_tensor *x, tv_stream *stream) {
  if (!x->storage) return TV_OK;
  tvi_device *const on = tvi_device_at(x->storage->device);
  if (!stream) return on->backend.synchronize(on->self, on->streams[x->storage->home]);
  return stream->index == x->storage->home ? TV_OK : tvi_stream_join(x->storage, stream->index);
}

/* x or a copy of it, as it is asked for and possible; retained. */
static tv_tensor *lendable(const char *who, tv_tensor *x, bool copies, bool *is_copy) {
  int64_t strides[TV_MAX_RANK];
  if (x->weak.kind) {
    *is_copy = true;
    return tvi_tensor_strong(who, x, TV_CPU);
  }
  if (tvi_settle(x)) return NULL;
  *is_copy = copies || !strides_of(x, strides);
  tv_tensor *const lent =
      *is_copy ? tvi_tensor_copy(who, x, x->dtype, tvi_tensor_on(x)) : tv_retain(x);
  if (!*is_copy) tvi_guard_note(x->storage);
  if (!tvi_guards_check(who)) return lent;
  tv_release(lent);
  return NULL;
}

/* Lend ----------------------------------------------------------------------------------------- */

typedef struct versioned {
  DLManagedTensorVersioned managed;
  tv_tensor *x;
  int64_t sizes[];
} versioned;

typedef struct legacy {
  DLManagedTensor managed;
  tv_tensor *x;
  int64_t sizes[];
} legacy;

static void give_back_versioned(DLManagedTensorVersioned *managed) {
  tv_release(((versioned *)managed)->x);
  tvi_free(managed);
}

static void give_back_legacy(DLManagedTensor *managed) {
  tv_release(((legacy *)managed)->x);
  tvi_free(managed);
}

static DLTensor describe(const tv_tensor *x, DLDevice device, int64_t *sizes) {
  memcpy(sizes, x->shape, (size_t)x->rank * sizeof *sizes);
  strides_of(x, sizes + x->rank);
  return (DLTensor){.data = x->data,
                    .device = device,
                    .ndim = x->rank,
                    .dtype = tvi_dlpack_type(x->dtype),
                    .shape = sizes,
                    .strides = sizes + x->rank};
}

/* The tensor, retained, and a block of `bytes` and its sizes; NULL, having said so. */
static void *begin(const char *who, tv_tensor *x, const tv_dlpack_export_options *given,
                   bool copies, int64_t bytes, DLDevice *device, tv_tensor **lent, bool *is_copy) {
  tv_dlpack_export_options o = TV_DLPACK_EXPORT_OPTIONS;
  if (!x) return tvi_null(who, "x");
  if (given) {
    if (!tvi_options_fit(who, given->size, sizeof o)) return NULL;
    memcpy(&o, given, given->size);
  }
  if (!device_of(who, x, device)) return NULL;
  if (o.stream && o.stream->device != (x->weak.kind ? TV_CPU : tvi_tensor_on(x)))
    return tvi_fail(TV_EDEVICE, "%s: the stream is of %s, x is on %s", who,
                    tv_device_name(o.stream->device),
                    tv_device_name(x->weak.kind ? TV_CPU : tvi_tensor_on(x)));
  *lent = lendable(who, x, copies || o.copy, is_copy);
  if (!*lent) return NULL;
  bytes += 2 * (*lent)->rank * (int64_t)sizeof(int64_t);
  const tv_status status = make_visible(*lent, o.stream);
  void *const block = status ? NULL : tvi_malloc(bytes);
  if (block) return block;
  tv_release(*lent);
  if (status) return NULL;
  return tvi_fail(TV_ENOMEM, "%s: no memory on cpu for %lld bytes", who, (long long)bytes);
}

struct DLManagedTensorVersioned *tv_dlpack_new(tv_tensor *x,
                                               const tv_dlpack_export_options *options) {
  DLDevice device;
  tv_tensor *lent = NULL;
  bool is_copy = false;
  versioned *const out = begin("dlpack_new", x, options, false, (int64_t)offsetof(versioned, sizes),
                               &device, &lent, &is_copy);
  if (!out) return NULL;
  out->x = lent;
  out->managed = (DLManagedTensorVersioned){.version = {TVI_DL_MAJOR, TVI_DL_MINOR},
                                            .deleter = give_back_versioned,
                                            .flags = is_copy ? TVI_DL_IS_COPIED : TVI_DL_READ_ONLY,
                                            .dl_tensor = describe(lent, device, out->sizes)};
  return &out->managed;
}

struct DLManagedTensor *tv_dlpack_new_legacy(tv_tensor *x,
                                             const tv_dlpack_export_options *options) {
  DLDevice device;
  tv_tensor *lent = NULL;
  bool is_copy = false;
  legacy *const out = begin("dlpack_new_legacy", x, options, true, (int64_t)offsetof(legacy, sizes),
                            &device, &lent, &is_copy);
  if (!out) return NULL;
  out->x = lent;
  out->managed = (DLManagedTensor){.deleter = give_back_legacy,
                                   .dl_tensor = describe(lent, device, out->sizes)};
  return &out->managed;
}
