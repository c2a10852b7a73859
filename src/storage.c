/* SPDX-License-Identifier: MIT
 * Storages: counted bytes on a device. */
#include "storage.h"

#include "device.h"
#include "memory.h"
#include "status.h"
#include "stream.h"
#include "tally.h"

/* Small ones of the CPU lie in one block with what counts them. */
enum { WITHIN = 448 };
static bool is_within(const tvi_storage *storage) {
  return storage->data == (const void *)(storage + 1);
}

/* A storage and its block were handed out (bytes > 0), or taken back (bytes < 0). */
static void count(tvi_device *on, tv_device device, int64_t bytes, int64_t one) {
  tvi_count_block(device == TV_CPU ? bytes : 0, one);
  if (device == TV_CPU || bytes == 0) return;
  atomic_fetch_add_explicit(&on->bytes, bytes, memory_order_relaxed);
  atomic_fetch_add_explicit(&on->blocks, one, memory_order_relaxed);
  if (one > 0) atomic_fetch_add_explicit(&on->reserved, 1, memory_order_relaxed);
}

tvi_storage *tvi_storage_new(tv_device device, int64_t bytes) {
  tvi_device *const on = tvi_device_at(device);
  const int64_t behind = device == TV_CPU && bytes <= WITHIN ? bytes : 0;
  tvi_storage *const storage = tvi_block_alloc((int64_t)sizeof *storage + behind);
  if (!storage)
    return tvi_fail(TV_ENOMEM, "storage: no memory on cpu for %lld bytes",
                    (long long)sizeof *storage + (long long)behind);
  void *data = behind ? storage + 1 : NULL;
  if (bytes > 0 && !data) {
    const tv_status status = on->backend.reserve(on->self, bytes, tvi_stream_now(device), &data);
    if (status) {
      tvi_block_free(storage, sizeof *storage);
      if (status != TV_ENOMEM) return NULL; /* the backend has said why */
      return tvi_fail(TV_ENOMEM, "storage: no memory on %s for %lld bytes", on->name,
                      (long long)bytes);
    }
  }
  count(on, device, bytes, 1);
  *storage = (tvi_storage){
      .count = 1, .device = device, .home = tvi_stream_index(device), .bytes = bytes, .data = data};
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
  /* Who frees sees all that the others did with the bytes. A count that is the only one nobody
   * else can change. */
  if (!tvi_storage_is_alone(storage) &&
      atomic_fetch_sub_explicit(&storage->count, 1, memory_order_acq_rel) != 1)
    return;
  if (storage->release) {
    storage->release(storage->user);
    tvi_count(TVI_LIVE, -1);
  } else if (!storage->data || storage->is_borrowed) {
    tvi_count(TVI_LIVE, -1);
  } else {
    tvi_device *const on = tvi_device_at(storage->device);
    count(on, storage->device, -storage->bytes, -1);
    if (is_within(storage)) {
      tvi_block_free(storage, (int64_t)sizeof *storage + storage->bytes);
      return;
    }
    void *users[TVI_STREAMS];
    const int n_users = atomic_load(&storage->users) ? tvi_stream_users(storage, users) : 0;
    on->backend.release(on->self, storage->data, storage->bytes, on->streams[storage->home],
                        n_users, users);
  }
  tvi_block_free(storage, sizeof *storage);
}
