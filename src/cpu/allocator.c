/* SPDX-License-Identifier: MIT
 * Blocks of the CPU: host memory, 64-byte aligned, small ones from the thread's lists (memory.h).
 */
#include "cpu.h"

tv_status tvi_cpu_reserve(void *self, int64_t bytes, void *stream, void **out) {
  (void)self, (void)stream;
  *out = tvi_block_alloc(bytes);
  if (*out) return TV_OK;
  return tv_backend_fail(TV_ENOMEM, "cpu: no memory for %lld bytes", (long long)bytes);
}

void tvi_cpu_release(void *self, void *block, int64_t bytes, void *stream, int n_users,
                     void *const *users) {
  (void)self, (void)stream, (void)n_users, (void)users;
  tvi_block_free(block, bytes);
}
