// SPDX-License-Identifier: MIT
// Start, devices, contexts, and what the environment says.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakecuda.h"

namespace fakecuda {

std::recursive_mutex lock;
Settings settings;
bool is_started;
std::vector<std::unique_ptr<Device>> devices;

static thread_local CUcontext current_context;

Device *current_device() { return current_context ? current_context->device : nullptr; }

static long long number(const char *name, long long otherwise) {
  const char *value = getenv(name);
  return value ? atoll(value) : otherwise;
}

void settings_read() {
  settings.devices = (int)number("FAKECUDA_DEVICES", 1);
  settings.capability = (int)number("FAKECUDA_CAPABILITY", 90);
  settings.version = (int)number("FAKECUDA_VERSION", 13000);
  settings.processors = (int)number("FAKECUDA_PROCESSORS", 3);
  settings.is_eager = number("FAKECUDA_EAGER", 0) != 0;
  settings.is_stub = number("FAKECUDA_STUB", 0) != 0;
  settings.limit = (size_t)number("FAKECUDA_LIMIT", 4ll << 30);
  const char *order = getenv("FAKECUDA_ORDER");
  shim::order = !order || *order == 'f' ? shim::Order::kForward
                : *order == 'r'         ? shim::Order::kReverse
                                        : shim::Order::kShuffled;
  faults_read();
}

// Devices stay as they are once there: handles point to them.
static void devices_make() {
  while ((int)devices.size() < settings.devices) {
    auto device = std::make_unique<Device>();
    device->ordinal = (int)devices.size();
    device->context.device = device->module.device = device.get();
    device->null_stream = std::make_unique<CUstream_st>();
    device->null_stream->device = device.get();
    devices.push_back(std::move(device));
  }
}

static Device *device_at(int ordinal) {
  if (ordinal < 0 || ordinal >= settings.devices || ordinal >= (int)devices.size()) return nullptr;
  return devices[(size_t)ordinal].get();
}

}  // namespace fakecuda

using namespace fakecuda;

FAKECUDA_EXPORT void fakecuda_reset() {
  std::lock_guard<std::recursive_mutex> locked(lock);
  heal();
  settings_read();
  if (is_started) devices_make();
}

CUresult cuInit(unsigned) {
  {
    std::lock_guard<std::recursive_mutex> locked(lock);
    static bool is_read;
    if (!is_read) settings_read();
    is_read = true;
  }
  CALL(kPlain);
  if (settings.is_stub) return CUDA_ERROR_STUB_LIBRARY;
  if (settings.devices == 0) return CUDA_ERROR_NO_DEVICE;
  devices_make();
  is_started = true;
  return kSuccess;
}

CUresult cuDriverGetVersion(int *version) {
  CALL(kPlain);
  *version = settings.version;
  return kSuccess;
}

CUresult cuGetErrorName(CUresult result, const char **name) {
#define ENTRY(name, value) {value, #name},
  static const struct {
    int value;
    const char *name;
  } names[] = {{kSuccess, "CUDA_SUCCESS"},
               {kNotInitialized, "CUDA_ERROR_NOT_INITIALIZED"},
               {kInvalidDevice, "CUDA_ERROR_INVALID_DEVICE"},
               {kInvalidContext, "CUDA_ERROR_INVALID_CONTEXT"},
               {kInvalidHandle, "CUDA_ERROR_INVALID_HANDLE"},
               {46, "CUDA_ERROR_DEVICE_UNAVAILABLE"},
               TVI_DRIVER_CONSTANTS(ENTRY)};
  for (const auto &entry : names)
    if (entry.value == result && strncmp(entry.name, "CUDA_", 5) == 0) {
      *name = entry.name;
      return kSuccess;
    }
  *name = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGetCount(int *count) {
  CALL(kPlain);
  if (!is_started) return kNotInitialized;
  *count = settings.devices;
  return kSuccess;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  CALL(kPlain);
  if (!is_started) return kNotInitialized;
  if (!device_at(ordinal)) return kInvalidDevice;
  *device = ordinal;
  return kSuccess;
}

CUresult cuDeviceGetName(char *name, int size, CUdevice device) {
  CALL(kPlain);
  if (!device_at(device)) return kInvalidDevice;
  snprintf(name, (size_t)size, "Fake GPU");
  return kSuccess;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute which, CUdevice device) {
  CALL(kPlain);
  if (!device_at(device)) return kInvalidDevice;
  switch (which) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = settings.capability / 10;
      return kSuccess;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *value = settings.capability % 10;
      return kSuccess;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *value = settings.processors;
      return kSuccess;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
  CALL(kPlain);
  Device *const found = device_at(device);
  if (!found) return kInvalidDevice;
  if (found->lost) return found->lost;
  if (!found->is_retained) counts.contexts++;
  found->is_retained = true;
  *context = &found->context;
  return kSuccess;
}

FAKECUDA_EXPORT CUresult cuCtxGetCurrent(CUcontext *context) {
  CALL(kPlain);
  *context = current_context;
  return kSuccess;
}

CUresult cuCtxSetCurrent(CUcontext context) {
  CALL(kPlain);
  if (context && !context->device->is_retained) return kInvalidContext;
  current_context = context;
  return kSuccess;
}
