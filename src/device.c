/* SPDX-License-Identifier: MIT
 * The registry of devices. The CPU registers first, by the same call as any other. A lock
 * serialises registering; the count is published last, so whoever reads it sees the entries. */
#include "device.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"
#include "dtype.h"
#include "module.h"
#include "status.h"
#include "tally.h"
#include "thread.h"

static tvi_device devices[TVI_MAX_DEVICES];
static _Atomic int count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool is_name(const char *name) {
  const size_t length = strlen(name);
  if (length == 0 || length >= sizeof devices[0].name) return false;
  for (const char *c = name; *c; c++)
    if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
          *c == ':'))
      return false;
  return true;
}

static tv_status add(const tv_backend *backend, void *self, const char *name, tv_device *device) {
  const int n = atomic_load(&count);
  if (backend->abi != TV_BACKEND_ABI)
    return tvi_fail_status(TV_EDEVICE, "device_register: backend has ABI %u, this library %u",
                           (unsigned)backend->abi, (unsigned)TV_BACKEND_ABI);
  if (backend->size < offsetof(tv_backend, elementwise))
    return tvi_fail_status(TV_EDEVICE,
                           "device_register: struct has %u bytes, the slots for memory need %zu",
                           (unsigned)backend->size, offsetof(tv_backend, elementwise));
  if (!backend->reserve || !backend->release || !backend->copy_in || !backend->copy_out ||
      !backend->synchronize)
    return tvi_fail_status(TV_EDEVICE, "device_register: a slot for memory is empty");
  if (!is_name(name))
    return tvi_fail_status(TV_EDEVICE,
                           "device_register: a name is 1 to %zu letters, digits and ':'",
                           sizeof devices[0].name - 1);
  for (int k = 0; k < n; k++)
    if (!strcmp(devices[k].name, name))
      return tvi_fail_status(TV_EDEVICE, "device_register: %s is there already", name);
  if (n == TVI_MAX_DEVICES)
    return tvi_fail_status(TV_EDEVICE, "device_register: there are %d devices already", n);
  const size_t known = sizeof devices[n].backend;
  memcpy(&devices[n].backend, backend, backend->size < known ? backend->size : known);
  devices[n].self = self;
  memcpy(devices[n].name, name, strlen(name) + 1);
  *device = n;
  atomic_store(&count, n + 1);
  return TV_OK;
}

static void add_cpu(void) {
  tv_device cpu;
  add(tvi_cpu_backend(), NULL, "cpu", &cpu);
}

tv_status tv_device_register(const tv_backend *backend, void *self, const char *name,
                             tv_device *device) {
  if (!backend || !name || !device)
    return tvi_null_status("device_register", !backend ? "backend" : !name ? "name" : "device");
  pthread_once(&once, add_cpu);
  pthread_mutex_lock(&lock);
  const tv_status status = add(backend, self, name, device);
  pthread_mutex_unlock(&lock);
  return status;
}

int tv_device_count(void) {
  pthread_once(&once, add_cpu);
  return atomic_load(&count);
}

tvi_device *tvi_device_at(tv_device device) {
  if (__builtin_expect(atomic_load_explicit(&count, memory_order_acquire) == 0, 0))
    pthread_once(&once, add_cpu);
  return &devices[device];
}

tvi_device *tvi_device_find(const char *who, tv_device device) {
  if (device >= 0 && device < tv_device_count()) return &devices[device];
  return tvi_fail(TV_EDEVICE, "%s: no device has the number %d: there are %d", who, (int)device,
                  tv_device_count());
}

const char *tv_device_name(tv_device device) {
  const tvi_device *const found = tvi_device_find("device_name", device);
  return found ? found->name : NULL;
}

/* The device of one of two names, or -1. */
static int position(const char *name, const char *numbered) {
  const int n = tv_device_count();
  for (int k = 0; k < n; k++)
    if (!strcmp(devices[k].name, name) || !strcmp(devices[k].name, numbered)) return k;
  return -1;
}

/* With a word: nor is there a module for it. */
static tv_status unknown(const char *name, const char *word) {
  char known[TVI_TEXT] = "", module[2 * sizeof devices[0].name + 32] = "";
  for (int k = 0, at = 0; k < tv_device_count() && at < (int)sizeof known; k++)
    at += snprintf(known + at, sizeof known - (size_t)at, k ? ", %s" : "%s", devices[k].name);
  if (word) snprintf(module, sizeof module, ", and libtensorvar_%s.so is not found", word);
  return tvi_fail_status(TV_EDEVICE, "device_find: no device '%.40s': there is %s%s", name, known,
                         module);
}

tv_status tv_device_find(const char *name, tv_device *device) {
  if (!name || !device) return tvi_null_status("device_find", name ? "device" : "name");
  char numbered[sizeof devices[0].name + 2], word[sizeof devices[0].name];
  if (!is_name(name)) return unknown(name, NULL);
  const size_t length = strcspn(name, ":");
  snprintf(word, sizeof word, "%.*s", (int)length, name);
  snprintf(numbered, sizeof numbered, name[length] ? "%s" : "%s:0", name);
  bool is_found = true;
  int at = position(name, numbered);
  if (at < 0 && strcmp(word, "cpu")) {
    if (!tvi_module_open(word, &is_found) && is_found) return tvi_failure();
    at = position(name, numbered);
  }
  if (at < 0) return unknown(name, is_found ? NULL : word);
  const tv_status status =
      devices[at].backend.ready ? devices[at].backend.ready(devices[at].self) : TV_OK;
  if (!status) *device = at;
  return status;
}

tv_status tv_device_set(tv_device device) {
  if (!tvi_device_find("device_set", device)) return TV_EDEVICE;
  tvi_self.device = device;
  return TV_OK;
}

tv_device tv_device_current(void) { return tvi_self.device; }

tv_status tv_device_memory(tv_device device, tv_memory_stats *stats) {
  if (!stats) return tvi_null_status("device_memory", "stats");
  tvi_device *const found = tvi_device_find("device_memory", device);
  if (!found) return TV_EDEVICE;
  const bool is_cpu = device == TV_CPU;
  stats->bytes = is_cpu ? tvi_counted(TVI_BYTES) : atomic_load(&found->bytes);
  stats->blocks = is_cpu ? tvi_counted(TVI_BLOCKS) : atomic_load(&found->blocks);
  stats->reserved = is_cpu ? tvi_counted(TVI_RESERVED) : atomic_load(&found->reserved);
  stats->held = stats->held_peak = stats->held_free = stats->largest_free = stats->limit = 0;
  return found->backend.memory ? found->backend.memory(found->self, stats) : TV_OK;
}

tv_status tv_device_trim(tv_device device) {
  tvi_device *const found = tvi_device_find("device_trim", device);
  if (!found) return TV_EDEVICE;
  return found->backend.trim ? found->backend.trim(found->self) : TV_OK;
}

tv_status tv_device_limit(tv_device device, int64_t bytes) {
  tvi_device *const found = tvi_device_find("device_limit", device);
  if (!found) return TV_EDEVICE;
  if (bytes < 0) return tvi_fail_status(TV_EVALUE, "device_limit: %lld bytes", (long long)bytes);
  if (!found->backend.limit)
    return tvi_fail_status(TV_EUNSUPPORTED, "device_limit: device %s has no limit to set",
                           found->name);
  return found->backend.limit(found->self, bytes);
}

tv_status tv_device_synchronize(tv_device device) {
  tvi_device *const found = tvi_device_find("device_synchronize", device);
  if (!found) return TV_EDEVICE;
  tv_status status = found->backend.synchronize(found->self, NULL);
  for (int k = 1; k < TVI_STREAMS && found->streams[k] && !status; k++)
    status = found->backend.synchronize(found->self, found->streams[k]);
  return status;
}

int64_t tv_live_handles(void) { return tvi_counted(TVI_LIVE); }

tv_status tvi_unsupported(const tvi_device *device, const char *op, tv_dtype dtype) {
  return tvi_fail_status(TV_EUNSUPPORTED, "%s: device %s cannot do this for %s", op, device->name,
                         tv_dtype_name(dtype));
}
