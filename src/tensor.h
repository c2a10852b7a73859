/* SPDX-License-Identifier: MIT
 * The tensor inside: a head that shows part of a storage. Heads never change after they are made,
 * but for their counts, the compact copy that tv_tensor_data may add, and those that are deferred:
 * they get storage and data later, once (deferred.h). Until then only the rest may be read.
 *
 *   data == NULL exactly when there are no elements, or the tensor is a weak scalar
 *   steps of axes of size 1 mean nothing to anyone; is_contiguous ignores them
 *   storage == NULL exactly for a weak scalar */
#ifndef TVI_TENSOR_H
#define TVI_TENSOR_H

#include <stdatomic.h>
#include <tensorvar/tensor.h>

#include "dtype.h"
#include "storage.h"

struct tv_tensor {
  _Atomic int64_t count;
  uint64_t id; /* never given twice: tapes know a tensor by it */
  tvi_storage *storage;
  char *data; /* the first element, on the device */
  int64_t size;
  int64_t *steps; /* [rank], bytes; behind the shape */
  _Atomic(tvi_storage *) compact;
  _Atomic int64_t below; /* as indices: all were seen in 0 <= i < below; 0: not asked yet */
  _Atomic(struct tvi_node *) node; /* NULL: not deferred, or not any more */
  struct tvi_rows *rows;           /* NULL, or which of axis 0 are not zero: rows.h */
  _Atomic int32_t uses;            /* inputs of nodes that this is */
  tv_dtype dtype;
  tv_device device; /* TV_DEVICE_NONE for a weak scalar */
  int16_t rank;
  bool is_contiguous;
  bool was_passed; /* under the graphs' lock: computed on the way to another, and not stored */
  tvi_weak weak;
  int64_t shape[];
};

/* Make: the caller has the one count. Whatever reads bytes of a deferred x settles it first. */

/* A head without storage, in C order, deferred by whoever asked for it. */
tv_tensor *tvi_tensor_head(tv_device device, tv_dtype dtype, int rank, const int64_t *shape);

/* A head for part of a storage, which it retains. shape and steps are copied; steps NULL: C order.
 */
tv_tensor *tvi_tensor_view(tvi_storage *storage, void *data, tv_dtype dtype, int rank,
                           const int64_t *shape, const int64_t *steps);
/* A tensor of its own in C order, content undefined. `who` names the op that wants it. */
tv_tensor *tvi_tensor_new(const char *who, tv_device device, tv_dtype dtype, int rank,
                          const int64_t *shape);
/* The same with the dtype, shape and device of x, which is no weak scalar. */
tv_tensor *tvi_tensor_like(const tv_tensor *x);
/* A weak scalar. */
tv_tensor *tvi_tensor_weak(tv_dtype dtype, tvi_weak weak);
/* Another head of the same elements: a new identity to the tapes. */
tv_tensor *tvi_tensor_alias(tv_tensor *x);
/* Copy of x in C order with another dtype, device or layout; never x itself. No tape sees it. */
tv_tensor *tvi_tensor_copy(const char *who, tv_tensor *x, tv_dtype dtype, tv_device device);
/* x if it lies in C order, else a copy that does; retained either way. */
tv_tensor *tvi_tensor_compact(const char *who, tv_tensor *x);
/* x retained if it is no weak scalar, else a tensor of its value on a device. */
tv_tensor *tvi_tensor_strong(const char *who, tv_tensor *x, tv_device device);

/* Ask. */

static inline tv_device tvi_tensor_on(const tv_tensor *x) { return x->device; }
/* Whether its elements are still to be computed. */
static inline bool tvi_is_deferred(const tv_tensor *x) {
  return atomic_load_explicit(&x->node, memory_order_acquire) != NULL;
}
/* Whether the elements are all of the storage's bytes, in C order. */
static inline bool tvi_tensor_is_whole(const tv_tensor *x) {
  return x->storage && x->is_contiguous && x->size * tv_dtype_size(x->dtype) == x->storage->bytes;
}
static inline bool tvi_same_shape(const tv_tensor *x, int rank, const int64_t *shape) {
  if (x->rank != rank) return false;
  for (int k = 0; k < rank; k++)
    if (x->shape[k] != shape[k]) return false;
  return true;
}
/* Steps of C order; false if they overflow. */
void tvi_steps_of(int rank, const int64_t *shape, int64_t item, int64_t *steps);
/* TV_ESHAPE, TV_EOVERFLOW or TV_EDTYPE unless it is a dtype and a shape; elements and bytes through
 * the pointers. */
bool tvi_shape_check(const char *who, tv_dtype dtype, int rank, const int64_t *shape,
                     int64_t *elements, int64_t *bytes);
/* An axis counted from either end as one counted from the start; TV_EINDEX and -1. */
int tvi_axis(const char *who, int64_t axis, int rank);
/* A list of axes as truths per axis; n -1 is all. TV_EINDEX, TV_EVALUE. */
bool tvi_axes(const char *who, int rank, int n, const int64_t *axes, bool *is_named);

/* The value of a weak scalar as an element of a dtype, in bytes[16]. TV_EVALUE if an integer is out
 * of the range of an integer dtype; with `saturate` it becomes the nearest one in range. */
bool tvi_weak_element(const char *who, const tvi_weak *weak, tv_dtype dtype, bool saturate,
                      uint8_t *bytes);

/* Write elements of `from` (any layout, dtype, the same device; broadcast steps allowed) to `to`.
 */
tv_status tvi_write(const char *who, tv_device device, tv_dtype to_dtype, void *to,
                    const int64_t *to_steps, int rank, const int64_t *shape, tv_dtype from_dtype,
                    void *from, const int64_t *from_steps);

#endif
