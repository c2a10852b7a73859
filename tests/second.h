/* SPDX-License-Identifier: MIT
 * A second device, for the checks that operands are on one: the CPU's own slots under another name.
 */
#ifndef TV_TESTS_SECOND_H
#define TV_TESTS_SECOND_H

#include "check.h"
#include "cpu/cpu.h"

/* x on the device "second". */
static tv_tensor *elsewhere(tv_tensor *x) {
  static tv_device second = TV_DEVICE_NONE;
  if (second == TV_DEVICE_NONE) OK(tv_device_register(tvi_cpu_backend(), NULL, "second", &second));
  return OK(tv_to(x, second));
}

#endif
