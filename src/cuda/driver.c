/* SPDX-License-Identifier: MIT
 * Opening the driver. */
#define _GNU_SOURCE
#include "driver.h"

#include <dlfcn.h>
#include <string.h>

#include "gpu.h"

tvi_driver_calls tvi_driver;

tv_status tvi_driver_open(void) {
  void *const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) return tvi_host->fail(TV_EDEVICE, "cuda: no NVIDIA driver here: %s", dlerror());
#define CALL_FIND(name, symbol, params) {&tvi_driver.name, symbol},
  const struct {
    void *slot;
    const char *symbol;
  } calls[] = {TVI_DRIVER_CALLS(CALL_FIND)};
  for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
    void *const address = dlsym(library, calls[k].symbol);
    if (!address)
      return tvi_host->fail(TV_EDEVICE, "cuda: the NVIDIA driver is too old: it has no %s",
                            calls[k].symbol);
    memcpy(calls[k].slot, &address, sizeof address);
  }
  return TV_OK;
}
