/* SPDX-License-Identifier: MIT
 * Storages: counted bytes on a device. */
#include "storage.h"

#include "device.h"
#include "memory.h"
#include "status.h"

static void count_in(tvi_device *device, int64_t bytes) {
  atomic_fetch_add_explicit(&device->reserved, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&device->blocks, 1, memory_order_relaxed);
  const int64_t now =
      atomic_fetch_add_explicit(&device->bytes, bytes, memory_order_relaxed) + bytes;
  int64_t peak = atomic_load_explicit(&device->peak_bytes, memory_order_relaxed);
  while (now > peak && !atomic_compare_exchange_weak(&device->peak_bytes, &peak, now)) continue;
}

tvi_storage *tvi_storage_new(tv_device device, int64_t bytes) {
  tvi_device *const on = tvi_device_at(device);
  void *data = NULL;
  tvi_storage *const storage = tvi_small_alloc(sizeof *storage);
  if (!storage)
    return tvi_fail(TV_ENOMEM, "storage: no memory on cpu for %zu bytes", sizeof *storage);
  if (bytes > 0) {
    if (on->backend.reserve(on->self, bytes, NULL, &data)) {
      tvi_small_free(storage, sizeof *storage);
      return tvi_fail(TV_ENOMEM, "storage: no memory on %s for %lld bytes", on->name,
                      (long long)bytes);
    }
    count_in(on, bytes);
  }
  *storage = (tvi_storage){.count = 1, .device = device, .bytes = bytes, .data = data};
  atomic_fetch_add_explicit(&tvi_live, 1, memory_order_relaxed);
  return storage;
}

tvi_storage *tvi_storage_adopt(void *data, int64_t bytes, void (*release)(void *), void *user) {
  tvi_storage *const storage = tvi_small_alloc(sizeof *storage);
  if (!storage) {
    if (release) release(user);
    return tvi_fail(TV_ENOMEM, "storage: no memory on cpu for %zu bytes", sizeof *storage);
  }
  *storage = (tvi_storage){
      .count = 1, .device = TV_CPU, .bytes = bytes, .data = data, .release = release, .user = user};
  atomic_fetch_add_explicit(&tvi_live, 1, memory_order_relaxed);
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
    atomic_fetch_sub_explicit(&on->bytes, storage->bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&on->blocks, 1, memory_order_relaxed);
    on->backend.release(on->self, storage->data, storage->bytes, NULL);
  }
  tvi_small_free(storage, sizeof *storage);
  atomic_fetch_sub_explicit(&tvi_live, 1, memory_order_relaxed);
}
