/* SPDX-License-Identifier: MIT
 * The fat binaries, one per file of kernels/, as cuModuleLoadData takes them. */
#ifndef TVI_CUDA_IMAGES_H
#define TVI_CUDA_IMAGES_H

#include "gpu.h"

extern const void *const tvi_images[TVI_IMAGE_COUNT];

#endif
