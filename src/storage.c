/* SPDX-License-Identifier: MIT
 * Storages: counted bytes on a device. */
#include "storage.h"

#include "device.h"
#include "memory.h"
#include "status.h"
#include "stream.h"
#include "tally.h"

/* A block was handed out (bytes > 0), or taken back (bytes < 0). */
static void count_block(tvi_device *on, tv_device device, int64_t bytes) {
  const int64_t one = bytes > 0 ? 1 : -1;
  if (device == TV_CPU) {
    tvi_count(TVI_BYTES, bytes);
    tvi_count(TVI_BLOCKS, one);
    if (one > 0) tvi_count(TVI_RESERVED, 1);
  } else {
    atomic_fetch_add_explicit(&on->bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&on->blocks, one, memory_order_relaxed);
    if (one > 0) atomic_fetch_add_explicit(&on->reserved, 1, memory_order_relaxed);
  }
}

tvi_storage *tvi_storage_new(tv_device device, int64_t bytes) {
  tvi_device *const on = tvi_device_at(device);
  void *data = NULL;
  tvi_storage *const storage = tvi_block_alloc(sizeof *storage);
  if (!storage)
    return tvi_fail(TV_ENOMEM, "storage: no memory on cpu for %zu bytes", sizeof *storage);
  if (bytes > 0) {
    const tv_status status = on->backend.reserve(on->self, bytes, tvi_stream_now(device), &data);
    if (status) {
      tvi_block_free(storage, sizeof *storage);
      if (status != TV_ENOMEM) return NULL; /* the backend has said why */
      return tvi_fail(TV_ENOMEM, "storage: no memory on %s for %lld bytes", on->name,
                      (long long)bytes);
    }
    count_block(on, device, bytes);
  }
  *storage = (tvi_storage){
      .count = 1, .device = device, .home = tvi_stream_index(device), .bytes = bytes, .data = data};
  tvi_count(TVI_LIVE, 1);
  return storage;
}

tvi_storage *tvi_storage_adopt(void *data, int64_t bytes, void (*release)(void *), void *user) {
  tvi_storage *const storage = tvi_block_alloc(sizeof *storage);
  if (!storage) {
    if (release) release(user);
    return tvi_fail(TV_ENOMEM, "storage: no memory on cpu for %zu bytes", sizeof *storage);
  }
  *storage = (tvi_storage){
      .count = 1, .device = TV_CPU, .bytes = bytes, .data = data, .release = release, .user = user};
  tvi_count(TVI_LIVE, 1);
  return storage;
}

tvi_storage *tvi_storage_borrow(const void *data, int64_t bytes, void (*release)(void *),
                                void *user) {
  tvi_storage *const storage = tvi_storage_adopt((void *)(uintptr_t)data, bytes, release, user);
  if (storage) storage->is_borrowed = true;
  return storage;
}

void tvi_storage_release(tvi_storage *storage) {
  /* Who frees sees all that the others did with the bytes. */
  if (atomic_fetch_sub_explicit(&storage->count, 1, memory_order_acq_rel) != 1) return;
  if (storage->release) {
    storage->release(storage->user);
  } else if (storage->data && !storage->is_borrowed) {
    tvi_device *const on = tvi_device_at(storage->device);
    count_block(on, storage->device, -storage->bytes);
    void *users[TVI_STREAMS];
    const int n_users = atomic_load(&storage->users) ? tvi_stream_users(storage, users) : 0;
    on->backend.release(on->self, storage->data, storage->bytes, on->streams[storage->home],
                        n_users, users);
  }
  tvi_block_free(storage, sizeof *storage);
  tvi_count(TVI_LIVE, -1);
}
