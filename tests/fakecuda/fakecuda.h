// SPDX-License-Identifier: MIT
// A fake libcuda.so.1: the driver calls that the module makes, over host memory and the shim.
//
// It is stricter than the real driver, so that mistakes show:
//   * Streams are lazy: work runs only when something waits for it. A forgotten event is then a
//     wrong value every time, not once in a thousand runs.
//   * Device memory can be touched only while work of its device runs, ends at a page that never
//     can be, begins as NaN, and its addresses are not given out twice.
//   * Host memory given to an asynchronous copy is read and written late, as pinned memory is.
//   * Each thread needs a current context, and handles belong to the one they were made in.
// One lock is held in every call, and while work runs.
#pragma once

#include <cuda/driver.h>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "block.h"
#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

#include "fakecuda_test.h"

#define FAKECUDA_EXPORT extern "C" __attribute__((visibility("default")))

// The driver's calls, under the symbols that the real one has.
#define FAKECUDA_DECLARE(name, symbol, params) FAKECUDA_EXPORT CUresult name params __asm__(symbol);
TVI_DRIVER_CALLS(FAKECUDA_DECLARE)

namespace fakecuda {

constexpr CUresult kSuccess = 0;
constexpr CUresult kNotInitialized = 3, kInvalidDevice = 101, kInvalidContext = 201,
                   kInvalidHandle = 400;  // beside those of driver.h
constexpr size_t kPage = 4096;

struct Device;

struct Work {
  enum class What { kLaunch, kCopy, kFill, kWait, kRecord, kCall };
  What what;
  CUresult breaks = kSuccess;  // the device is lost with this when it runs
  // copy, fill
  void *to = nullptr;
  const void *from = nullptr;
  size_t bytes = 0;
  // wait: until `stream` has done `count` items. record: of event `count`, for the `serial` time
  uint64_t stream = 0, count = 0, serial = 0;
  // launch: params, one behind the other. call: its data
  const shim::Kernel *kernel = nullptr;
  shim::Dim3 grid = {}, block = {};
  unsigned shared_bytes = 0;
  void (*call)(void *) = nullptr;
  std::vector<unsigned char> data = {};
};

}  // namespace fakecuda

// What the handles are.
struct CUctx_st {
  fakecuda::Device *device;
};

struct CUmod_st {
  fakecuda::Device *device;
};

struct CUfunc_st {
  fakecuda::Device *device;
  const shim::Kernel *kernel;
};

struct CUstream_st {
  fakecuda::Device *device;
  uint64_t id;
  std::deque<fakecuda::Work> pending = {};
  uint64_t enqueued = 0, done = 0;
};

struct CUevent_st {
  fakecuda::Device *device;
  uint64_t id;
  bool has_time;
  uint64_t stream = 0, after = 0;  // complete once the stream has done so many items
  uint64_t serial = 0;             // of the latest record
  double seconds = 0;              // when the stream came to it
  int queries = 0;                 // since it was recorded
};

namespace fakecuda {

struct Device {
  int ordinal = 0;
  CUctx_st context = {};
  CUmod_st module = {};
  bool is_retained = false;
  CUresult lost = kSuccess;  // once set, calls return it
  std::unique_ptr<CUstream_st> null_stream;
  std::map<CUdeviceptr, size_t> blocks;  // live allocations and their sizes
  std::map<const shim::Kernel *, std::unique_ptr<CUfunc_st>> functions;
  size_t bytes = 0;
};

struct Settings {
  int devices = 1, capability = 90, version = 13000, processors = 3;
  bool is_eager = false, is_stub = false;
  size_t limit = 4ull << 30;
};

// device.cpp
extern std::recursive_mutex lock;
extern Settings settings;
extern bool is_started;  // cuInit has succeeded
extern std::vector<std::unique_ptr<Device>> devices;
Device *current_device();  // of the calling thread, or nullptr
void settings_read();

// memory.cpp
bool is_device_memory(const void *address, size_t bytes);
Device *owner_of(CUdeviceptr address, size_t bytes);  // the device with a block that holds them
// The memory of one device can be touched, and of no other; nullptr: of none.
void open_memory(Device *device);
void pinned_count(fakecuda_counts *out);

// stream.cpp
CUstream_st *stream_of(Device *device, CUstream stream);  // nullptr: there is none such
CUresult enqueue(Device *device, CUstream stream, Work work);
void run_everything(Device *device);
void streams_count(fakecuda_counts *out);
void events_record(uint64_t id, uint64_t serial);
void streams_give_up(Device *device);  // what is queued on a lost device never runs

// launch.cpp
CUresult run_kernel(Device *device, const Work &work);

// faults.cpp
extern fakecuda_counts counts;
extern std::string what;      // went wrong last
extern CUresult next_breaks;  // what fakecuda_enqueue queues next breaks the device with this
void lose(Device *device, CUresult code, const std::string &why);
// Counts a call. The code that it is to fail with; `late` becomes one that its work is to fail
// with.
CUresult enter(const char *name, bool is_allocation, Device *device, CUresult *late);
void heal();
void faults_read();

// At the start of every call: takes the lock, counts, and says whether the call goes on.
class Call {
 public:
  enum Kind { kPlain = 0, kAllocates = 1, kNeedsDevice = 2 };
  Call(const char *name, int kind) : locked_(lock), device(current_device()) {
    failed = enter(name, kind & kAllocates, device, &late);
    if (failed || !(kind & kNeedsDevice)) return;
    failed = !is_started ? kNotInitialized : !device ? kInvalidContext : device->lost;
  }

 private:
  std::lock_guard<std::recursive_mutex> locked_;

 public:
  Device *device;
  CUresult failed = kSuccess, late = kSuccess;
};

}  // namespace fakecuda

// The first line of a driver call: CALL(kPlain), CALL(kNeedsDevice), or CALL_ALLOCATES, which needs
// one too.
#define CALL(kind)                                     \
  fakecuda::Call call(__func__, fakecuda::Call::kind); \
  if (call.failed) return call.failed
#define CALL_ALLOCATES                                                                      \
  fakecuda::Call call(__func__, fakecuda::Call::kNeedsDevice | fakecuda::Call::kAllocates); \
  if (call.failed) return call.failed
