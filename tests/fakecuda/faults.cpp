// SPDX-License-Identifier: MIT
// Counts of calls, and calls that fail because a test wants them to.
#include <stdlib.h>
#include <string.h>

#include "fakecuda.h"

namespace fakecuda {

fakecuda_counts counts;
std::string what;
CUresult next_breaks;

namespace {

constexpr int64_t kNamesKept = 1 << 16;

struct {
  int64_t at = 0;  // the call that fails, counted from the start; 0: none
  int code = 0;
  fakecuda_how how = FAKECUDA_ONCE;
  bool has_come = false;
} fault;

std::vector<const char *> names;  // of the latest calls; they are literals

// Calls that are over when they return, so that none of their work can fail later.
bool queues_work(const char *name) {
  for (const char *each :
       {"cuLaunchKernel", "cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "cuMemcpyDtoDAsync",
        "cuMemsetD8Async", "cuEventRecord", "cuStreamWaitEvent", "cuStreamSynchronize",
        "cuEventSynchronize", "cublasLtMatmul"})
    if (strcmp(each, name) == 0) return true;
  return false;
}

}  // namespace

void lose(Device *device, CUresult code, const std::string &why) {
  if (device->lost) return;
  device->lost = code;
  what = why;
}

CUresult enter(const char *name, bool is_allocation, Device *device, CUresult *late) {
  if ((int64_t)names.size() < kNamesKept) names.resize(kNamesKept);
  names[(size_t)(counts.calls++ % kNamesKept)] = name;
  if (!fault.at || counts.calls < fault.at) return kSuccess;
  if (counts.calls > fault.at && fault.how != FAKECUDA_FOREVER) return kSuccess;
  fault.has_come = true;
  const int code = fault.code      ? fault.code
                   : is_allocation ? (int)CUDA_ERROR_OUT_OF_MEMORY
                                   : (int)CUDA_ERROR_UNKNOWN;
  if (fault.how == FAKECUDA_LATE && queues_work(name)) {
    *late = code;
    return kSuccess;
  }
  if (fault.how >= FAKECUDA_LOST && device) lose(device, code, "as the test asked for");
  return code;
}

void heal() {
  fault = {};
  for (const auto &device : devices) {
    if (device->lost) streams_give_up(device.get());
    device->lost = kSuccess;
  }
  what.clear();
}

void faults_read() {
  const char *const value = getenv("FAKECUDA_FAIL");
  if (!value) return;
  const char *const code = strchr(value, ':');
  fault = {};
  fault.at = counts.calls + atoll(value);
  fault.code = code ? atoi(code + 1) : 0;
}

}  // namespace fakecuda

using namespace fakecuda;

#define LOCKED std::lock_guard<std::recursive_mutex> locked(lock)

FAKECUDA_EXPORT void fakecuda_count(fakecuda_counts *out) {
  LOCKED;
  *out = counts;
  streams_count(out);
  pinned_count(out);
  for (const auto &device : devices) {
    out->allocations += (int64_t)device->blocks.size();
    out->bytes += (int64_t)device->bytes;
  }
}

FAKECUDA_EXPORT const char *fakecuda_call_name(int64_t k) {
  LOCKED;
  if (k < 1 || k > counts.calls || k <= counts.calls - kNamesKept) return nullptr;
  return names[(size_t)((k - 1) % kNamesKept)];
}

FAKECUDA_EXPORT void fakecuda_fail(int64_t k, int code, fakecuda_how how) {
  LOCKED;
  fault = {};
  fault.at = counts.calls + k;
  fault.code = code;
  fault.how = how;
}

FAKECUDA_EXPORT int fakecuda_has_failed() {
  LOCKED;
  return fault.has_come;
}

FAKECUDA_EXPORT void fakecuda_heal() {
  LOCKED;
  heal();
}

FAKECUDA_EXPORT const char *fakecuda_what() {
  LOCKED;
  return what.c_str();
}

FAKECUDA_EXPORT int fakecuda_enter(const char *name, int is_allocation) {
  LOCKED;
  Device *const device = current_device();
  CUresult late = kSuccess;
  const CUresult failed = enter(name, is_allocation != 0, device, &late);
  if (late) next_breaks = late;
  if (failed) return failed;
  return device ? device->lost : kInvalidContext;
}

FAKECUDA_EXPORT void fakecuda_handles(int n) {
  LOCKED;
  counts.blas_handles += n;
}

// Every call of driver.h is there, or this does not link.
#define FAKECUDA_ADDRESS(name, symbol, params) reinterpret_cast<const void *>(&name),
extern "C" __attribute__((visibility("hidden"), used))
const void *const fakecuda_calls[] = {TVI_DRIVER_CALLS(FAKECUDA_ADDRESS)};
