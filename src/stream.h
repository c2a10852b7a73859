/* SPDX-License-Identifier: MIT
 * Streams inside: which one the thread's work on a device goes to, and what must wait for what.
 *
 * A storage has a home stream, the one it was reserved on: whatever comes behind the home stream's
 * work sees its bytes. Other streams that read it wait for the home stream first and are noted as
 * users; the block is given back with a list of them. An in-place write from another stream waits
 * for the home and all users, and the home stream then waits for it. */
#ifndef TVI_STREAM_H
#define TVI_STREAM_H

#include <tensorvar/stream.h>

#include "device.h"
#include "guard.h"
#include "tensor.h"
#include "thread.h"

struct tv_stream {
  _Atomic int64_t count;
  tv_device device;
  int index; /* in the device's list; 0 is the main stream, and all of a device without queues */
};

/* The number of the stream that the thread's work on a device goes to. */
static inline int tvi_stream_index(tv_device device) {
  const tv_stream *const stream = tvi_self.stream;
  return stream && stream->device == device ? stream->index : 0;
}

/* The same as the backend knows it. */
static inline void *tvi_stream_now(tv_device device) {
  const int index = tvi_stream_index(device);
  return index ? tvi_device_at(device)->streams[index] : NULL;
}

tv_status tvi_stream_join(tvi_storage *storage, int index);

/* Work that reads x follows on the thread's stream. */
static inline tv_status tvi_stream_reads(const tv_tensor *x) {
  if (!x->storage) return TV_OK;
  if (__builtin_expect(x->storage->release == tvi_guard_end, 0)) tvi_guard_note(x->storage);
  const int index = tvi_stream_index(x->storage->device);
  return index == x->storage->home ? TV_OK : tvi_stream_join(x->storage, index);
}

/* Work that changes x in place follows on the thread's stream, or was queued there. Nobody else
 * holds the storage. */
tv_status tvi_stream_writes(const tv_tensor *x);
tv_status tvi_stream_wrote(const tv_tensor *x);

/* The users' streams as the backend knows them; their number. */
int tvi_stream_users(const tvi_storage *storage, void **users);

#endif
