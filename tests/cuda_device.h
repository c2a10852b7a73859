/* SPDX-License-Identifier: MIT
 * For tests of the CUDA module: the device, and the books of the driver that needs no GPU. On a
 * real driver there are none: what they would say is then not looked at. */
#ifndef TV_TESTS_CUDA_DEVICE_H
#define TV_TESTS_CUDA_DEVICE_H

#include <dlfcn.h>
#include <string.h>

#include "check.h"
#include "fakecuda_test.h"

static inline tv_device cuda(void) {
  tv_device device = TV_DEVICE_NONE;
  OK(tv_device_find("cuda:0", &device));
  return device;
}

/* A function of the fake driver; NULL with a real one. */
static inline void *fake_symbol(const char *name) {
  static void *driver;
  if (!driver) driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  return driver ? dlsym(driver, name) : NULL;
}

/* False with a real driver; the counts are then zeros. */
static inline bool fake_counts(fakecuda_counts *counts) {
  void (*count)(fakecuda_counts *);
  void *const address = fake_symbol("fakecuda_count");
  memset(counts, 0, sizeof *counts);
  if (!address) return false;
  memcpy(&count, &address, sizeof count);
  count(counts);
  return true;
}

/* Blocks that the driver has handed out; 0 with a real one. */
static inline int64_t fake_allocations(void) {
  fakecuda_counts counts;
  fake_counts(&counts);
  return counts.allocations;
}

#endif
