/* SPDX-License-Identifier: MIT
 * Storages: bytes on a device, counted. Tensors are views of one. */
#ifndef TVI_STORAGE_H
#define TVI_STORAGE_H

#include <stdatomic.h>
#include <tensorvar/device.h>

typedef struct {
  /* Tensors that show it, and whoever else holds it. Bytes behind the struct are aligned as blocks
   * are. */
  _Alignas(64) _Atomic int64_t count;
  tv_device device;
  int home;               /* the stream it was reserved on, by number: see stream.h */
  _Atomic uint64_t users; /* other streams that read it, a bit each */
  int64_t bytes;
  void *data;       /* NULL if bytes is 0 */
  bool is_borrowed; /* the bytes are somebody else's: never written, never shared by assigning */
  void (*release)(void *user); /* of bytes that are not from the device, at the end; may be NULL */
  void *user;
} tvi_storage;

/* bytes >= 0 of the device, content undefined, count 1; NULL with TV_ENOMEM. */
tvi_storage *tvi_storage_new(tv_device device, int64_t bytes);

/* Somebody else's bytes in host memory, count 1. On failure `release` is called before it returns.
 */
tvi_storage *tvi_storage_borrow(const void *data, int64_t bytes, void (*release)(void *),
                                void *user);

/* Host memory that did not come from the device and is now ours, to be written as any other: a
 * private map of a file. As tvi_storage_borrow otherwise. */
tvi_storage *tvi_storage_adopt(void *data, int64_t bytes, void (*release)(void *), void *user);

static inline void tvi_storage_retain(tvi_storage *storage) {
  atomic_fetch_add_explicit(&storage->count, 1, memory_order_relaxed);
}
void tvi_storage_release(tvi_storage *storage);

/* Whether the caller's count is the only one, so that nobody else sees the bytes change. */
static inline bool tvi_storage_is_alone(tvi_storage *storage) {
  return atomic_load_explicit(&storage->count, memory_order_acquire) == 1;
}

#endif
