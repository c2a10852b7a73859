/* SPDX-License-Identifier: MIT
 * Modules for test_module: one that works, whose memory is the host's, and ones that do not, by the
 * macro they are compiled with. Nothing of the library is linked. */
#include <stdlib.h>
#include <string.h>
#include <tensorvar/backend.h>

__attribute__((visibility("default"))) const tv_module *tv_backend_module(void);

#ifndef TOY_WITHOUT_SYMBOL
#ifdef TOY_OLD
enum { ABI = 99 };
#else
enum { ABI = TV_BACKEND_ABI };
#endif

static const tv_host *lent;
static int starts;

static tv_status reserve(void *self, int64_t bytes, void *stream, void **out) {
  (void)self, (void)stream;
  *out = lent->alloc(bytes);
  return *out ? TV_OK : lent->fail(TV_ENOMEM, "toy: no memory for %lld bytes", (long long)bytes);
}
static void release(void *self, void *block, int64_t bytes, void *stream, int n_users,
                    void *const *users) {
  (void)self, (void)bytes, (void)stream, (void)n_users, (void)users;
  lent->free(block);
}
static void copy_byte(void *context, int64_t i) {
  char *const *const p = context;
  p[0][i] = p[1][i];
}
static tv_status copy(void *self, void *to, const void *from, int64_t bytes, void *stream) {
  (void)self, (void)stream;
  char *p[] = {to, (char *)(uintptr_t)from};
  lent->parallel(bytes, copy_byte, p);
  return TV_OK;
}
static tv_status synchronize(void *self, void *stream) {
  (void)self, (void)stream;
  return TV_OK;
}

static tv_status start(const tv_host *host) {
  static const tv_backend backend = {.size = sizeof backend,
                                     .abi = TV_BACKEND_ABI,
                                     .reserve = reserve,
                                     .release = release,
                                     .copy_in = copy,
                                     .copy_out = copy,
                                     .synchronize = synchronize};
  tv_device device;
  lent = host;
  if (host->op_count() < 1 || strcmp(host->op_name(0), "negative"))
    return host->fail(TV_EDEVICE, "toy: the op table does not begin with negative");
#ifdef TOY_SHY
  if (++starts == 1) return host->fail(TV_EDEVICE, "shy: not today");
  return host->device_register(&backend, NULL, "shy:0", &device);
#else
  starts++;
  return host->device_register(&backend, NULL, "toy:0", &device);
#endif
}

const tv_module *tv_backend_module(void) {
  static const tv_module module = {sizeof module, ABI, start};
  return &module;
}
#endif
