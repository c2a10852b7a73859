// SPDX-License-Identifier: MIT
// Streams, which run only when something waits for them, and events.
#include <string.h>
#include <time.h>

#include <unordered_map>
#include <utility>

#include "fakecuda.h"

namespace fakecuda {
namespace {

std::unordered_map<uint64_t, std::unique_ptr<CUstream_st>> streams;
std::unordered_map<uint64_t, std::unique_ptr<CUevent_st>> events;
std::unordered_map<CUstream, uint64_t> stream_ids;  // the handles that there are
std::unordered_map<CUevent, uint64_t> event_ids;
uint64_t last_id;
int running;  // calls of run_until, one in the other

// So many times an event can be asked for before the time it takes has passed.
constexpr int kPatience = 64;

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

// Null streams have the numbers behind all others.
CUstream_st *stream_with(uint64_t id) {
  for (const auto &device : devices)
    if (UINT64_MAX - (uint64_t)device->ordinal == id) return device->null_stream.get();
  const auto found = streams.find(id);
  return found == streams.end() ? nullptr : found->second.get();
}
uint64_t id_of(const CUstream_st *stream) {
  return stream == stream->device->null_stream.get()
             ? UINT64_MAX - (uint64_t)stream->device->ordinal
             : stream->id;
}

void run_until(CUstream_st *stream, uint64_t count);

void run(CUstream_st *stream, const Work &work) {
  Device *const device = stream->device;
  if (device->lost) return;
  if (work.breaks) return lose(device, work.breaks, "as the test asked for");
  switch (work.what) {
    case Work::What::kLaunch:
      open_memory(device);
      run_kernel(device, work);
      return;
    case Work::What::kCopy:
      open_memory(device);
      memmove(work.to, work.from, work.bytes);
      return;
    case Work::What::kFill:
      open_memory(device);
      memset(work.to, (int)work.count, work.bytes);
      return;
    case Work::What::kCall:
      open_memory(device);
      work.call(const_cast<unsigned char *>(work.data.data()));
      return;
    case Work::What::kWait:
      if (CUstream_st *const other = stream_with(work.stream)) run_until(other, work.count);
      return;
    case Work::What::kRecord:
      const auto found = events.find(work.count);
      if (found != events.end() && found->second->serial == work.serial)
        found->second->seconds = now();
      return;
  }
}

void run_until(CUstream_st *stream, uint64_t count) {
  running++;
  while (stream->done < count && !stream->pending.empty()) {
    const Work work = std::move(stream->pending.front());
    stream->pending.pop_front();
    run(stream, work);
    stream->done++;
  }
  if (--running == 0) open_memory(nullptr);
}

bool is_complete(const CUevent_st *event) {
  const CUstream_st *const stream = stream_with(event->stream);
  return !event->stream || !stream || stream->done >= event->after;
}

void complete(const CUevent_st *event) {
  CUstream_st *const stream = event->stream ? stream_with(event->stream) : nullptr;
  if (stream) run_until(stream, event->after);
}

bool is_event(CUevent event) { return event_ids.count(event) != 0; }

}  // namespace

CUstream_st *stream_of(Device *device, CUstream stream) {
  if (!stream) return device->null_stream.get();
  return stream_ids.count(stream) ? stream : nullptr;
}

CUresult enqueue(Device *device, CUstream handle, Work work) {
  CUstream_st *const stream = stream_of(device, handle);
  if (!stream || stream->device != device) return kInvalidHandle;
  stream->pending.push_back(std::move(work));
  stream->enqueued++;
  if (settings.is_eager) run_until(stream, stream->enqueued);
  return device->lost;
}

void run_everything(Device *device) {
  run_until(device->null_stream.get(), device->null_stream->enqueued);
  for (const auto &[id, stream] : streams)
    if (stream->device == device) run_until(stream.get(), stream->enqueued);
}

static void give_up(CUstream_st *stream) {
  stream->done += stream->pending.size();
  stream->pending.clear();
}

void streams_give_up(Device *device) {
  give_up(device->null_stream.get());
  for (const auto &[id, stream] : streams)
    if (stream->device == device) give_up(stream.get());
}

void streams_count(fakecuda_counts *out) {
  out->streams = (int64_t)streams.size();
  out->events = (int64_t)events.size();
}

}  // namespace fakecuda

using namespace fakecuda;

FAKECUDA_EXPORT int fakecuda_enqueue(CUstream stream, void (*run)(void *), const void *data,
                                     size_t bytes) {
  std::lock_guard<std::recursive_mutex> locked(lock);
  Device *const device = current_device();
  if (!device) return kInvalidContext;
  if (device->lost) return device->lost;
  Work work = {Work::What::kCall};
  work.call = run;
  work.breaks = std::exchange(next_breaks, kSuccess);
  const unsigned char *const first = static_cast<const unsigned char *>(data);
  work.data.assign(first, first + bytes);
  return enqueue(device, stream, std::move(work));
}

CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
  CALL_ALLOCATES;
  if (flags > CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
  auto made = std::make_unique<CUstream_st>();
  made->device = call.device;
  made->id = ++last_id;
  *stream = made.get();
  stream_ids[made.get()] = made->id;
  streams[made->id] = std::move(made);
  return kSuccess;
}

CUresult cuStreamSynchronize(CUstream handle) {
  CALL(kNeedsDevice);
  CUstream_st *const stream = stream_of(call.device, handle);
  if (!stream) return kInvalidHandle;
  if (call.late) lose(stream->device, call.late, "as the test asked for");
  run_until(stream, stream->enqueued);
  return stream->device->lost;
}

CUresult cuStreamWaitEvent(CUstream handle, CUevent event, unsigned) {
  CALL(kNeedsDevice);
  CUstream_st *const stream = stream_of(call.device, handle);
  if (!stream || !is_event(event)) return kInvalidHandle;
  if (!event->stream) return kSuccess;  // never recorded
  Work work = {Work::What::kWait};      // a later cuEventRecord does not move what is waited for
  work.breaks = call.late;
  work.stream = event->stream;
  work.count = event->after;
  return enqueue(stream->device, handle, std::move(work));
}

CUresult cuEventCreate(CUevent *event, unsigned flags) {
  CALL_ALLOCATES;
  if (flags > 3) return CUDA_ERROR_INVALID_VALUE;
  auto made = std::make_unique<CUevent_st>();
  made->device = call.device;
  made->id = ++last_id;
  made->has_time = !(flags & CU_EVENT_DISABLE_TIMING);
  *event = made.get();
  event_ids[made.get()] = made->id;
  events[made->id] = std::move(made);
  return kSuccess;
}

CUresult cuEventDestroy(CUevent event) {
  CALL(kNeedsDevice);
  if (!is_event(event)) return kInvalidHandle;
  const uint64_t id = event->id;
  event_ids.erase(event);
  events.erase(id);
  return kSuccess;
}

CUresult cuEventRecord(CUevent event, CUstream handle) {
  CALL(kNeedsDevice);
  CUstream_st *const stream = stream_of(call.device, handle);
  if (!stream || !is_event(event) || stream->device != event->device) return kInvalidHandle;
  Work work = {Work::What::kRecord};
  work.breaks = call.late;
  work.count = event->id;
  work.serial = ++event->serial;
  event->stream = id_of(stream);
  event->after = stream->enqueued + 1;
  event->queries = 0;
  return enqueue(stream->device, handle, std::move(work));
}

CUresult cuEventQuery(CUevent event) {
  CALL(kNeedsDevice);
  if (!is_event(event)) return kInvalidHandle;
  if (!is_complete(event) && ++event->queries >= kPatience) complete(event);
  if (event->device->lost) return event->device->lost;
  return is_complete(event) ? kSuccess : CUDA_ERROR_NOT_READY;
}

CUresult cuEventSynchronize(CUevent event) {
  CALL(kNeedsDevice);
  if (!is_event(event)) return kInvalidHandle;
  if (call.late) lose(event->device, call.late, "as the test asked for");
  complete(event);
  return event->device->lost;
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent from, CUevent to) {
  CALL(kNeedsDevice);
  if (!is_event(from) || !is_event(to) || !from->has_time || !to->has_time || !from->stream ||
      !to->stream)
    return kInvalidHandle;
  if (!is_complete(from) || !is_complete(to)) return CUDA_ERROR_NOT_READY;
  *milliseconds = (float)(1e3 * (to->seconds - from->seconds));
  return kSuccess;
}
