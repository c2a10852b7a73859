// SPDX-License-Identifier: MIT
// Memory of the devices, pinned memory of the host, and copies between them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fakecuda.h"

namespace fakecuda {
namespace {

// Address space, of which nothing is given out twice. Blocks begin where the real driver aligns
// them, and end within an alignment before a page that cannot be touched.
constexpr size_t kArenaBytes = 64ull << 30, kAlign = 256;
constexpr unsigned char kPoison = 0xff;

// Blocks are private views of a file of poison: a page of one costs nothing until it is touched,
// and neither does protecting it.
constexpr size_t kPoisonBytes = 2 << 20;

int poison_file() {
  static int file = -1;
  if (file >= 0) return file;
  file = memfd_create("poison", MFD_CLOEXEC);
  const std::vector<unsigned char> bytes(kPoisonBytes, kPoison);
  if (file < 0 || write(file, bytes.data(), bytes.size()) != (ssize_t)bytes.size()) abort();
  return file;
}

bool map_poison(char *at, size_t bytes) {
  for (size_t done = 0; done < bytes; done += kPoisonBytes) {
    const size_t n = bytes - done < kPoisonBytes ? bytes - done : kPoisonBytes;
    if (mmap(at + done, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
             poison_file(), 0) == MAP_FAILED)
      return false;
  }
  return true;
}

struct Arena {
  char *base = nullptr;
  size_t used = 0;
  size_t mapped(size_t bytes) const { return (bytes + kPage - 1) / kPage * kPage; }

  // Memory of which the last byte, but for alignment, is the last of a page; nullptr: no more.
  void *take(size_t bytes) {
    if (!base) {
      void *const made =
          mmap(nullptr, kArenaBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (made == MAP_FAILED) abort();
      base = static_cast<char *>(made);
    }
    const size_t pages = mapped(bytes);
    if (used + pages + kPage > kArenaBytes) return nullptr;
    char *const start = base + used;
    if (!map_poison(start, pages)) return nullptr;
    used += pages + kPage;
    return start + pages - (bytes + kAlign - 1) / kAlign * kAlign;
  }
  char *first_page(const void *block) const {
    const size_t at = (size_t)(static_cast<const char *>(block) - base);
    return base + at / kPage * kPage;
  }
  void protect(const void *block, size_t bytes, int rights) const {
    mprotect(first_page(block), mapped(bytes), rights);
  }
  // Whether nobody has written between the end of the block and its page's.
  bool is_whole(const void *block, size_t bytes) const {
    const unsigned char *const end = static_cast<const unsigned char *>(block) + bytes;
    for (size_t i = 0; i < (kAlign - bytes % kAlign) % kAlign; i++)
      if (end[i] != kPoison) return false;
    return true;
  }
  void drop(void *block, size_t bytes) const {
    mmap(first_page(block), mapped(bytes), PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  }
  bool holds(const void *address, size_t bytes) const {
    const char *const start = static_cast<const char *>(address);
    return base && start < base + kArenaBytes && start + bytes > base;
  }
};

Arena device_arena, pinned_arena;
std::map<void *, size_t> pinned;
size_t pinned_bytes;
Device *opened;

void *pointer(CUdeviceptr address) { return reinterpret_cast<void *>(address); }

void protect_all(const Device *device, int rights) {
  for (const auto &[address, bytes] : device->blocks)
    device_arena.protect(pointer(address), bytes, rights);
}

}  // namespace

bool is_device_memory(const void *address, size_t bytes) {
  return device_arena.holds(address, bytes);
}

Device *owner_of(CUdeviceptr address, size_t bytes) {
  for (const auto &device : devices) {
    auto next = device->blocks.upper_bound(address);
    if (next == device->blocks.begin()) continue;
    --next;
    if (address + bytes <= next->first + next->second) return device.get();
  }
  return nullptr;
}

void open_memory(Device *device) {
  if (opened == device) return;
  if (opened) protect_all(opened, PROT_NONE);
  opened = device;
  if (opened) protect_all(opened, PROT_READ | PROT_WRITE);
}

void pinned_count(fakecuda_counts *out) {
  out->pinned = (int64_t)pinned.size();
  out->pinned_bytes = (int64_t)pinned_bytes;
}

}  // namespace fakecuda

using namespace fakecuda;

CUresult cuMemAlloc(CUdeviceptr *address, size_t bytes) {
  CALL_ALLOCATES;
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  Device *const device = call.device;
  if (bytes > settings.limit || device->bytes + bytes > settings.limit)
    return CUDA_ERROR_OUT_OF_MEMORY;
  void *const block = device_arena.take(bytes);
  if (!block) return CUDA_ERROR_OUT_OF_MEMORY;
  if (opened != device) device_arena.protect(block, bytes, PROT_NONE);
  *address = reinterpret_cast<CUdeviceptr>(block);
  device->blocks[*address] = bytes;
  device->bytes += bytes;
  return kSuccess;
}

CUresult cuMemFree(CUdeviceptr address) {
  CALL(kNeedsDevice);
  if (address == 0) return kSuccess;
  const auto found = call.device->blocks.find(address);
  if (found == call.device->blocks.end()) return CUDA_ERROR_INVALID_VALUE;
  run_everything(call.device);  // the real call waits too
  const size_t bytes = found->second;
  device_arena.protect(pointer(address), bytes, PROT_READ);
  if (!device_arena.is_whole(pointer(address), bytes)) {
    fprintf(stderr, "fakecuda: something was written behind a block of %zu bytes\n", bytes);
    abort();
  }
  device_arena.drop(pointer(address), bytes);
  call.device->bytes -= bytes;
  call.device->blocks.erase(found);
  return call.device->lost;
}

CUresult cuMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
  CALL(kNeedsDevice);
  *total_bytes = settings.limit;
  *free_bytes = settings.limit - call.device->bytes;
  return kSuccess;
}

CUresult cuMemHostAlloc(void **block, size_t bytes, unsigned) {
  CALL_ALLOCATES;
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  *block = pinned_arena.take(bytes);
  if (!*block) return CUDA_ERROR_OUT_OF_MEMORY;
  pinned[*block] = bytes;
  pinned_bytes += bytes;
  return kSuccess;
}

// What is queued and still wants the block then finds a page that cannot be touched.
CUresult cuMemFreeHost(void *block) {
  CALL(kNeedsDevice);
  const auto found = pinned.find(block);
  if (found == pinned.end()) return CUDA_ERROR_INVALID_VALUE;
  if (!pinned_arena.is_whole(block, found->second)) {
    fprintf(stderr, "fakecuda: something was written behind pinned memory\n");
    abort();
  }
  pinned_arena.drop(block, found->second);
  pinned_bytes -= found->second;
  pinned.erase(found);
  return kSuccess;
}

// One side is of this device, the other of the host.
static CUresult copy(const Call &call, CUstream stream, void *to, const void *from, size_t bytes,
                     const void *of_device, const void *of_host) {
  if (bytes == 0) return kSuccess;
  if (owner_of(reinterpret_cast<CUdeviceptr>(of_device), bytes) != call.device ||
      is_device_memory(of_host, bytes))
    return CUDA_ERROR_INVALID_VALUE;
  Work work = {Work::What::kCopy};
  work.breaks = call.late;
  work.to = to;
  work.from = from;
  work.bytes = bytes;
  return enqueue(call.device, stream, std::move(work));
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  CALL(kNeedsDevice);
  counts.copies_in++;
  counts.bytes_in += (int64_t)bytes;
  return copy(call, stream, pointer(to), from, bytes, pointer(to), from);
}

CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
  CALL(kNeedsDevice);
  counts.copies_out++;
  counts.bytes_out += (int64_t)bytes;
  return copy(call, stream, to, pointer(from), bytes, pointer(from), to);
}

FAKECUDA_EXPORT CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes,
                                           CUstream stream) __asm__("cuMemcpyDtoDAsync_v2");
CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  CALL(kNeedsDevice);
  if (owner_of(from, bytes) != call.device) return CUDA_ERROR_INVALID_VALUE;
  return copy(call, stream, pointer(to), pointer(from), bytes, pointer(to), nullptr);
}

FAKECUDA_EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes,
                                         CUstream stream);
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
  CALL(kNeedsDevice);
  if (owner_of(to, bytes) != call.device) return CUDA_ERROR_INVALID_VALUE;
  Work work = {Work::What::kFill};
  work.breaks = call.late;
  work.to = pointer(to);
  work.count = value;
  work.bytes = bytes;
  return enqueue(call.device, stream, std::move(work));
}
