/* SPDX-License-Identifier: MIT
 * The registry of devices inside the library. Entries are never removed, so reading one needs no
 * lock. */
#ifndef TVI_DEVICE_H
#define TVI_DEVICE_H

#include <stdatomic.h>
#include <tensorvar/backend.h>

enum { TVI_MAX_DEVICES = 64, TVI_STREAMS = 64 };

typedef struct {
  tv_backend backend; /* slots that the registered struct was too short for are NULL */
  void *self;
  char name[32];
  _Atomic int64_t bytes, blocks, reserved; /* of any but the CPU, whose are in tally.h */
  _Atomic(void *) streams[TVI_STREAMS];    /* opened ones; 0: NULL, the main one. See stream.h */
  uint64_t streams_in_use;
} tvi_device;

/* The device of a number that is known to be one. */
tvi_device *tvi_device_at(tv_device device);
/* The same of any number; NULL with TV_EDEVICE, naming `who`, if there is none. */
tvi_device *tvi_device_find(const char *who, tv_device device);

/* The slot is empty: TV_EUNSUPPORTED, naming op, dtype and device. */
tv_status tvi_unsupported(const tvi_device *device, const char *op, tv_dtype dtype);

/* Call a slot of the device of a job, or fail as above. */
#define TVI_CALL(device, slot, op, dtype, ...)                                  \
  ((device)->backend.slot ? (device)->backend.slot((device)->self, __VA_ARGS__) \
                          : tvi_unsupported((device), (op), (dtype)))

#endif
