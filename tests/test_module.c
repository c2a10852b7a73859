/* SPDX-License-Identifier: MIT
 * Backend modules: found by the name of a device, opened by path, and refused. The modules are made
 * of toy_module.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static const char *path_of(const char *word) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/libtensorvar_%s.so", TV_TOYS, word);
  return path;
}

static void look_in(const char *folders) { CHECK(setenv("TV_BACKEND_PATH", folders, 1) == 0); }

TEST(a_device_opens_its_module) {
  tv_device device = -1, again = -2;
  look_in("/nowhere:" TV_TOYS);
  OK(tv_device_find("toy", &device)); /* toy is toy:0 */
  SAME_TEXT(tv_device_name(device), "toy:0");
  OK(tv_device_find("toy:0", &again));
  EQUAL(again, device);
  OK(tv_module_load(path_of("toy"))); /* it is there already */
  tv_tensor *const x = tv_arange(TV_F32, 0, 5, 1);
  SAME(tv_to(tv_to(x, device), TV_CPU), x);
  FAILS(TV_EUNSUPPORTED, "exp: device toy:0 cannot do this for float32", tv_exp(tv_to(x, device)));
}

TEST(what_is_not_found_is_named) {
  tv_device device = 3;
  look_in(TV_TOYS);
  FAILS_STATUS(
      TV_EDEVICE,
      "device_find: no device 'none:1': there is cpu, and libtensorvar_none.so is not found",
      tv_device_find("none:1", &device));
  FAILS_STATUS(TV_EDEVICE, "device_find: no device '../toy': there is cpu",
               tv_device_find("../toy", &device));
  FAILS_STATUS(TV_EDEVICE, "device_find: no device 'cpu:1': there is cpu",
               tv_device_find("cpu:1", &device));
  OK(tv_device_find("toy", &(tv_device){0}));
  FAILS_STATUS(TV_EDEVICE, "device_find: no device 'toy:1': there is cpu, toy:0",
               tv_device_find("toy:1", &device));
  EQUAL(device, 3);
}

TEST(a_refusal_is_asked_again) {
  tv_device device = 3;
  look_in(TV_TOYS);
  FAILS_STATUS(TV_EDEVICE, "shy: not today", tv_device_find("shy", &device));
  EQUAL(device, 3);
  OK(tv_device_find("shy", &device));
  SAME_TEXT(tv_device_name(device), "shy:0");
}

TEST(other_files_are_refused) {
  FAILS_STATUS(TV_EVALUE, "module_load: path is NULL", tv_module_load(NULL));
  EQUAL(tv_module_load("/nowhere/libtensorvar_toy.so"), TV_EDEVICE);
  CHECK(strstr(tv_error_text(), "module_load: ") && strstr(tv_error_text(), "/nowhere/"));
  tv_error_clear();
  EQUAL(tv_module_load(path_of("old")), TV_EDEVICE);
  CHECK(strstr(tv_error_text(), "has ABI 99, this library 2"));
  tv_error_clear();
  EQUAL(tv_module_load(path_of("empty")), TV_EDEVICE);
  CHECK(strstr(tv_error_text(), "is no module: it has no tv_backend_module"));
  tv_error_clear();
  tv_device device = 3;
  look_in(TV_TOYS);
  EQUAL(tv_device_find("old", &device), TV_EDEVICE); /* a file that is there is not passed over */
  CHECK(strstr(tv_error_text(), "has ABI 99"));
  tv_error_clear();
  EQUAL(device, 3);
}

TEST_MAIN("module", CASE(a_device_opens_its_module), CASE(what_is_not_found_is_named),
          CASE(a_refusal_is_asked_again), CASE(other_files_are_refused))
