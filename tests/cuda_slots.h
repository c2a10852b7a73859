/* SPDX-License-Identifier: MIT
 * For tests that hold the slots of the GPU against those of the CPU: copies of host memory on the
 * device, and results back from it. */
#ifndef TV_TESTS_CUDA_SLOTS_H
#define TV_TESTS_CUDA_SLOTS_H

#include "cpu_job.h"
#include "cuda_device.h"
#include "device.h"

/* Memory on the device, with a copy of it on the host to fill and to look at. */
typedef struct gpu_block {
  void *data; /* of the device */
  char *host;
  int64_t bytes;
} gpu_block;

/* What a test holds until its end. */
enum { GPU_BLOCKS = 64 };
static gpu_block gpu_blocks[GPU_BLOCKS];
static int gpu_n_blocks;

static inline tvi_device *gpu(void) { return tvi_device_at(cuda()); }

/* Call a slot of the GPU: GPU(reduce, &job). */
#define GPU(slot, ...) OK(gpu()->backend.slot(gpu()->self, __VA_ARGS__, NULL))

/* A block with these bytes; NULL: with 0xee. `skip` bytes come before it, for its alignment. */
static inline void *gpu_new(const void *from, int64_t bytes, int64_t skip) {
  CHECK(gpu_n_blocks < GPU_BLOCKS);
  gpu_block *const b = &gpu_blocks[gpu_n_blocks++];
  b->bytes = bytes + skip + 1;
  b->host = malloc((size_t)b->bytes);
  CHECK(b->host);
  memset(b->host, 0xee, (size_t)b->bytes);
  if (from && bytes) memcpy(b->host + skip, from, (size_t)bytes);
  OK(gpu()->backend.reserve(gpu()->self, b->bytes, NULL, &b->data));
  OK(gpu()->backend.copy_in(gpu()->self, b->data, b->host, b->bytes, NULL));
  return (char *)b->data + skip;
}

/* The bytes of a block that was made before, on the host. */
static inline void *gpu_read(const void *data) {
  for (int i = 0; i < gpu_n_blocks; i++) {
    gpu_block *const b = &gpu_blocks[i];
    if ((const char *)data < (char *)b->data || (const char *)data >= (char *)b->data + b->bytes)
      continue;
    OK(gpu()->backend.copy_out(gpu()->self, b->host, b->data, b->bytes, NULL));
    CHECK((unsigned char)b->host[b->bytes - 1] == 0xee); /* nothing wrote behind the end */
    return b->host + ((const char *)data - (char *)b->data);
  }
  check_fail(CHECK_HERE, "no block of the device");
}

static inline void gpu_release_all(void) {
  while (gpu_n_blocks > 0) {
    gpu_block *const b = &gpu_blocks[--gpu_n_blocks];
    gpu()->backend.release(gpu()->self, b->data, b->bytes, NULL, 0, NULL);
    free(b->host);
  }
}

/* n consecutive elements agree, NaN with NaN. */
static inline bool gpu_agrees(tv_dtype dtype, const void *data, const void *want, int64_t n) {
  const char *const got = gpu_read(data);
  const int64_t item = tvi_item(dtype);
  for (int64_t i = 0; i < n; i++)
    if (!cpu_same(dtype, got + i * item, (const char *)want + i * item)) return false;
  return true;
}

#endif
