/* SPDX-License-Identifier: MIT
 * Devices by number and name, the current one, memory. (Registration is in test_backend.c.) */
#include <pthread.h>
#include <string.h>

#include "check.h"

TEST(cpu_is_always_there) {
  tv_device device = -1;
  CHECK(tv_device_count() >= 1);
  SAME_TEXT(tv_device_name(TV_CPU), "cpu");
  OK(tv_device_find("cpu", &device));
  EQUAL(device, TV_CPU);
  OK(tv_device_synchronize(TV_CPU));
}

TEST(unknown_devices_are_named) {
  tv_device device = 5;
  FAILS_STATUS(
      TV_EDEVICE,
      "device_find: no device 'nope:0': there is cpu, and libtensorvar_nope.so is not found",
      tv_device_find("nope:0", &device));
  EQUAL(device, 5);
  FAILS_STATUS(TV_EVALUE, "device_find: name is NULL", tv_device_find(NULL, &device));
  FAILS(TV_EDEVICE, "device_name: no device has the number 60: there are 1", tv_device_name(60));
  FAILS_STATUS(TV_EDEVICE, "device_set: no device has the number -1: there are 1",
               tv_device_set(-1));
  FAILS_STATUS(TV_EDEVICE, "device_synchronize: no device has the number 1: there are 1",
               tv_device_synchronize(1));
  FAILS_STATUS(TV_EDEVICE, "device_memory: no device has the number 1: there are 1",
               tv_device_memory(1, &(tv_memory_stats){0}));
  FAILS_STATUS(TV_EVALUE, "device_memory: stats is NULL", tv_device_memory(TV_CPU, NULL));
}

TEST(limits_and_trims_are_checked) {
  OK(tv_device_trim(TV_CPU));
  FAILS_STATUS(TV_EVALUE, "device_limit: -1 bytes", tv_device_limit(TV_CPU, -1));
  FAILS_STATUS(TV_EDEVICE, "device_trim: no device has the number 9: there are 1",
               tv_device_trim(9));
  FAILS_STATUS(TV_EDEVICE, "device_limit: no device has the number 9: there are 1",
               tv_device_limit(9, 1));
}

TEST(memory_is_counted) {
  tv_memory_stats before, during, after;
  tv_scope scope;
  OK(tv_device_memory(TV_CPU, &before));
  tv_scope_begin(&scope);
  tv_zeros(TV_F64, TV_SHAPE(1000));
  OK(tv_device_memory(TV_CPU, &during));
  tv_scope_end(&scope, NULL);
  OK(tv_device_memory(TV_CPU, &after));
  EQUAL(during.bytes - before.bytes, 8000);
  EQUAL(during.blocks - before.blocks, 1);
  EQUAL(after.bytes, before.bytes);
  EQUAL(after.blocks, before.blocks);
  CHECK(after.reserved > before.reserved);
}

/* Counts add up over threads, also when one releases what another made, and after it has ended. */
static void *make(void *out) {
  tv_scope scope;
  tv_scope_begin(&scope);
  *(tv_tensor **)out = tv_retain(tv_ones(TV_F32, TV_SHAPE(100)));
  tv_scope_end(&scope, NULL);
  return NULL;
}

TEST(counts_survive_their_thread) {
  tv_memory_stats before, after;
  tv_tensor *x = NULL;
  pthread_t thread;
  OK(tv_device_memory(TV_CPU, &before));
  const int64_t handles = tv_live_handles();
  EQUAL(pthread_create(&thread, NULL, make, &x), 0);
  pthread_join(thread, NULL);
  EQUAL(tv_live_handles(), handles + 2); /* the tensor and its storage */
  OK(tv_device_memory(TV_CPU, &after));
  EQUAL(after.bytes - before.bytes, 400);
  tv_release(x);
  EQUAL(tv_live_handles(), handles);
}

static void *current(void *unused) {
  (void)unused;
  return (void *)(intptr_t)tv_device_current();
}

TEST(current_device_belongs_to_the_thread) {
  pthread_t thread;
  void *device = NULL;
  OK(tv_device_set(TV_CPU));
  EQUAL(tv_device_current(), TV_CPU);
  EQUAL(pthread_create(&thread, NULL, current, NULL), 0);
  pthread_join(thread, &device);
  EQUAL((intptr_t)device, TV_CPU);
}

TEST(blas_has_a_name) { CHECK(strlen(tv_blas_name()) > 0); }

TEST_MAIN("device", CASE(cpu_is_always_there), CASE(unknown_devices_are_named),
          CASE(limits_and_trims_are_checked), CASE(memory_is_counted),
          CASE(counts_survive_their_thread), CASE(current_device_belongs_to_the_thread),
          CASE(blas_has_a_name))
