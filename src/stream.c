/* SPDX-License-Identifier: MIT
 * Streams and events, for devices with queues and without. A stream of a device is never closed:
 * one that is released is given to the next who asks, since storages may have it as their home. */
#include "stream.h"

#include <pthread.h>
#include <time.h>

#include "memory.h"
#include "status.h"
#include "tally.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards every device's list */

static bool has_queues(const tvi_device *on) { return on->backend.stream_open != NULL; }

/* Order ------------------------------------------------------------------------------------- */

tv_status tvi_stream_join(tvi_storage *storage, int index) {
  tvi_device *const on = tvi_device_at(storage->device);
  atomic_fetch_or(&storage->users, UINT64_C(1) << index);
  return on->backend.stream_wait(on->self, on->streams[index], on->streams[storage->home]);
}

tv_status tvi_stream_writes(const tv_tensor *x) {
  tvi_storage *const storage = x->storage;
  tvi_device *const on = tvi_device_at(storage->device);
  const int now = tvi_stream_index(storage->device);
  const uint64_t others =
      (atomic_load(&storage->users) | UINT64_C(1) << storage->home) & ~(UINT64_C(1) << now);
  tv_status status = TV_OK;
  for (int k = 0; k < TVI_STREAMS && others >> k && !status; k++)
    if (others >> k & 1)
      status = on->backend.stream_wait(on->self, on->streams[now], on->streams[k]);
  return status;
}

tv_status tvi_stream_wrote(const tv_tensor *x) {
  tvi_storage *const storage = x->storage;
  tvi_device *const on = tvi_device_at(storage->device);
  const int now = tvi_stream_index(storage->device);
  if (now == storage->home) return TV_OK;
  atomic_fetch_or(&storage->users, UINT64_C(1) << now);
  return on->backend.stream_wait(on->self, on->streams[storage->home], on->streams[now]);
}

int tvi_stream_users(const tvi_storage *storage, void **users) {
  const uint64_t set = atomic_load(&storage->users) & ~(UINT64_C(1) << storage->home);
  const tvi_device *const on = tvi_device_at(storage->device);
  int n = 0;
  for (int k = 0; k < TVI_STREAMS && set >> k; k++)
    if (set >> k & 1) users[n++] = on->streams[k];
  return n;
}

/* Streams ----------------------------------------------------------------------------------- */

/* A number in the device's list, opened if there is no released one; 0 after a failure. */
static int take(tvi_device *on) {
  int index = 1;
  void *opened = NULL;
  pthread_mutex_lock(&lock);
  while (index < TVI_STREAMS && on->streams_in_use >> index & 1) index++;
  if (index == TVI_STREAMS) {
    tvi_fail(TV_EVALUE, "stream_new: %d streams of %s are in use", TVI_STREAMS - 1, on->name);
    index = 0;
  } else if (!on->streams[index] && on->backend.stream_open(on->self, &opened)) {
    index = 0;
  } else {
    if (opened) on->streams[index] = opened;
    on->streams_in_use |= UINT64_C(1) << index;
  }
  pthread_mutex_unlock(&lock);
  return index;
}

tv_stream *tv_stream_new(tv_device device) {
  tvi_device *const on = tvi_device_find("stream_new", device);
  if (!on) return NULL;
  tv_stream *const stream = tvi_malloc(sizeof *stream);
  if (!stream)
    return tvi_fail(TV_ENOMEM, "stream_new: no memory on cpu for %zu bytes", sizeof *stream);
  *stream = (tv_stream){.count = 1, .device = device};
  if (has_queues(on) && !(stream->index = take(on))) {
    tvi_free(stream);
    return NULL;
  }
  tvi_count(TVI_LIVE, 1);
  return stream;
}

tv_stream *tv_stream_retain(tv_stream *stream) {
  if (stream) atomic_fetch_add_explicit(&stream->count, 1, memory_order_relaxed);
  return stream;
}

void tv_stream_release(tv_stream *stream) {
  if (!stream || atomic_fetch_sub_explicit(&stream->count, 1, memory_order_acq_rel) != 1) return;
  if (stream->index) {
    pthread_mutex_lock(&lock);
    tvi_device_at(stream->device)->streams_in_use &= ~(UINT64_C(1) << stream->index);
    pthread_mutex_unlock(&lock);
  }
  tvi_free(stream);
  tvi_count(TVI_LIVE, -1);
}

tv_status tv_stream_set(tv_stream *stream) {
  const tv_status status = stream ? tvi_thread_register() : TV_OK; /* it is released at the end */
  if (status) return status;
  tv_stream *const before = tvi_self.stream;
  tvi_self.stream = tv_stream_retain(stream);
  tv_stream_release(before);
  return TV_OK;
}

tv_stream *tv_stream_current(void) { return tvi_self.stream; }

tv_status tv_stream_synchronize(tv_stream *stream) {
  if (!stream) return tvi_null_status("stream_synchronize", "stream");
  tvi_device *const on = tvi_device_at(stream->device);
  return on->backend.synchronize(on->self, on->streams[stream->index]);
}

/* Events ------------------------------------------------------------------------------------ */

struct tv_event {
  _Atomic int64_t count;
  tv_device device;
  atomic_bool is_recorded;
  void *handle;           /* of a device with queues */
  _Atomic int64_t moment; /* of one without: nanoseconds of the monotonic clock */
};

tv_event *tv_event_new(tv_device device) {
  tvi_device *const on = tvi_device_find("event_new", device);
  if (!on) return NULL;
  tv_event *const event = tvi_calloc(1, sizeof *event);
  if (!event)
    return tvi_fail(TV_ENOMEM, "event_new: no memory on cpu for %zu bytes", sizeof *event);
  atomic_init(&event->count, 1);
  event->device = device;
  if (has_queues(on) && on->backend.event_open(on->self, &event->handle)) {
    tvi_free(event);
    return NULL;
  }
  tvi_count(TVI_LIVE, 1);
  return event;
}

tv_event *tv_event_retain(tv_event *event) {
  if (event) atomic_fetch_add_explicit(&event->count, 1, memory_order_relaxed);
  return event;
}

void tv_event_release(tv_event *event) {
  if (!event || atomic_fetch_sub_explicit(&event->count, 1, memory_order_acq_rel) != 1) return;
  tvi_device *const on = tvi_device_at(event->device);
  if (event->handle) on->backend.event_release(on->self, event->handle);
  tvi_free(event);
  tvi_count(TVI_LIVE, -1);
}

tv_status tv_event_record(tv_event *event) {
  if (!event) return tvi_null_status("event_record", "event");
  tvi_device *const on = tvi_device_at(event->device);
  if (event->handle) {
    const tv_status status =
        on->backend.event_record(on->self, event->handle, tvi_stream_now(event->device));
    if (status) return status;
  } else {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    atomic_store(&event->moment, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
  }
  atomic_store(&event->is_recorded, true);
  return TV_OK;
}

tv_status tv_event_wait(tv_event *event) {
  if (!event) return tvi_null_status("event_wait", "event");
  tvi_device *const on = tvi_device_at(event->device);
  if (!event->handle || !atomic_load(&event->is_recorded)) return TV_OK;
  return on->backend.event_wait(on->self, event->handle, tvi_stream_now(event->device));
}

tv_status tv_event_synchronize(tv_event *event) {
  if (!event) return tvi_null_status("event_synchronize", "event");
  tvi_device *const on = tvi_device_at(event->device);
  if (!event->handle || !atomic_load(&event->is_recorded)) return TV_OK;
  return on->backend.event_synchronize(on->self, event->handle);
}

tv_status tv_event_query(tv_event *event, bool *is_done) {
  if (!event || !is_done) return tvi_null_status("event_query", event ? "is_done" : "event");
  tvi_device *const on = tvi_device_at(event->device);
  *is_done = true;
  if (!event->handle || !atomic_load(&event->is_recorded)) return TV_OK;
  return on->backend.event_query(on->self, event->handle, is_done);
}

tv_status tv_event_elapsed(tv_event *from, tv_event *to, double *milliseconds) {
  bool from_is_done, to_is_done;
  if (!from || !to || !milliseconds)
    return tvi_null_status("event_elapsed", !from ? "from" : !to ? "to" : "milliseconds");
  if (from->device != to->device)
    return tvi_fail_status(TV_EVALUE, "event_elapsed: events of %s and of %s",
                           tvi_device_at(from->device)->name, tvi_device_at(to->device)->name);
  if (!atomic_load(&from->is_recorded) || !atomic_load(&to->is_recorded))
    return tvi_fail_status(TV_EVALUE, "event_elapsed: an event is not recorded");
  tv_status status = tv_event_query(from, &from_is_done);
  if (!status) status = tv_event_query(to, &to_is_done);
  if (status) return status;
  if (!from_is_done || !to_is_done)
    return tvi_fail_status(TV_EVALUE, "event_elapsed: an event is not reached yet");
  tvi_device *const on = tvi_device_at(from->device);
  if (from->handle)
    return on->backend.event_elapsed(on->self, from->handle, to->handle, milliseconds);
  *milliseconds = 1e-6 * (double)(atomic_load(&to->moment) - atomic_load(&from->moment));
  return TV_OK;
}

/* Copies and pinned memory ------------------------------------------------------------------ */

tv_status tv_tensor_copy_out_later(tv_tensor *x, void *out, int64_t capacity) {
  if (!x) return tvi_null_status("tensor_copy_out_later", "x");
  const int64_t bytes = tv_tensor_bytes(x);
  tvi_device *const on = x->weak.kind ? NULL : tvi_device_at(tvi_tensor_on(x));
  if (!on || !on->backend.copy_out_later || !bytes || !out)
    return tv_tensor_copy_out(x, out, capacity);
  if (capacity < bytes)
    return tvi_fail_status(TV_EVALUE, "tensor_copy_out_later: room for %lld bytes, there are %lld",
                           (long long)capacity, (long long)bytes);
  tv_tensor *const packed = tvi_tensor_compact("tensor_copy_out_later", x);
  if (!packed) return tvi_failure();
  tv_status status = tvi_stream_reads(packed);
  if (!status)
    status = on->backend.copy_out_later(on->self, out, packed->data, bytes,
                                        tvi_stream_now(tvi_tensor_on(x)));
  tv_release(packed);
  return status;
}

void *tv_pinned_new(tv_device device, int64_t bytes) {
  tvi_device *const on = tvi_device_find("pinned_new", device);
  void *block = NULL;
  if (!on) return NULL;
  if (bytes <= 0) return tvi_fail(TV_EVALUE, "pinned_new: %lld bytes", (long long)bytes);
  if (on->backend.pinned_reserve)
    return on->backend.pinned_reserve(on->self, bytes, &block) ? NULL : block;
  block = tvi_aligned_alloc(64, bytes);
  return block ? block
               : tvi_fail(TV_ENOMEM, "pinned_new: no memory for %lld bytes", (long long)bytes);
}

void tv_pinned_release(tv_device device, void *block) {
  tvi_device *const on = block ? tvi_device_find("pinned_release", device) : NULL;
  if (!on) return;
  if (on->backend.pinned_release)
    on->backend.pinned_release(on->self, block);
  else
    tvi_free(block);
}
