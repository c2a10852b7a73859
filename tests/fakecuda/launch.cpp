// SPDX-License-Identifier: MIT
// Modules, functions and launches. The kernels are those linked into this library, whatever image
// is loaded.
#include <string.h>

#include "fakecuda.h"

namespace fakecuda {

constexpr size_t kMostParams = 32, kMostParamBytes = 32764, kParamAlign = 16;

CUresult run_kernel(Device *device, const Work &work) {
  void *params[kMostParams];
  size_t offset = 0, n = 0;
  for (const size_t bytes : work.kernel->param_bytes) {
    params[n++] = const_cast<unsigned char *>(work.data.data()) + offset;
    offset += (bytes + kParamAlign - 1) / kParamAlign * kParamAlign;
  }
  const std::string wrong =
      shim::run_grid(*work.kernel, work.grid, work.block, work.shared_bytes, params);
  counts.divergent_barriers = shim::stray_threads;
  if (!wrong.empty()) lose(device, CUDA_ERROR_LAUNCH_FAILED, wrong);
  return device->lost;
}

}  // namespace fakecuda

using namespace fakecuda;

CUresult cuModuleLoadData(CUmodule *module, const void *image) {
  CALL(kNeedsDevice);
  if (!image) return CUDA_ERROR_INVALID_VALUE;
  *module = &call.device->module;
  return kSuccess;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  CALL(kNeedsDevice);
  if (module != &call.device->module) return kInvalidHandle;
  const shim::Kernel *const kernel = shim::find_kernel(name);
  if (!kernel) return CUDA_ERROR_NOT_FOUND;
  auto &made = call.device->functions[kernel];
  if (!made) made.reset(new CUfunc_st{call.device, kernel});
  *function = made.get();
  return kSuccess;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                        CUstream stream, void **params, void **extra) {
  CALL(kNeedsDevice);
  if (!function || function->device != call.device) return kInvalidHandle;
  const uint64_t threads = (uint64_t)block_x * block_y * block_z;
  const bool fits = threads >= 1 && threads <= shim::kMostThreads && block_x <= 1024 &&
                    block_y <= 1024 && block_z <= 64 && grid_x >= 1 && grid_y >= 1 && grid_z >= 1 &&
                    grid_x <= INT32_MAX && grid_y <= 65535 && grid_z <= 65535 &&
                    shared_bytes <= shim::kSharedBytes && !extra;
  const shim::Kernel *const kernel = function->kernel;
  size_t sum = 0;
  for (const size_t bytes : kernel->param_bytes) sum += bytes;
  if (!fits || sum > kMostParamBytes || kernel->param_bytes.size() > kMostParams)
    return CUDA_ERROR_INVALID_VALUE;

  // The parameters are copied now: the caller's may be gone when the kernel runs.
  Work work = {Work::What::kLaunch};
  work.breaks = call.late;
  work.kernel = kernel;
  work.grid = {grid_x, grid_y, grid_z};
  work.block = {block_x, block_y, block_z};
  work.shared_bytes = shared_bytes;
  work.data.resize(sum + kParamAlign * kernel->param_bytes.size());
  size_t offset = 0, n = 0;
  for (const size_t bytes : kernel->param_bytes) {
    memcpy(work.data.data() + offset, params[n++], bytes);
    offset += (bytes + kParamAlign - 1) / kParamAlign * kParamAlign;
  }
  counts.launches++;
  return enqueue(call.device, stream, std::move(work));
}
