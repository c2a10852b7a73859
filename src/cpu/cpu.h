/* SPDX-License-Identifier: MIT
 * The CPU as a backend, which the registry adds first. */
#ifndef TVI_CPU_H
#define TVI_CPU_H

#include <tensorvar/backend.h>

const tv_backend *tvi_cpu_backend(void);

#endif
