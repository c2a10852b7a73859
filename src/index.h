/* SPDX-License-Identifier: MIT
 * Tensors of indices inside the library. */
#ifndef TVI_INDEX_H
#define TVI_INDEX_H

#include <tensorvar/index.h>

/* Indices as backends take them: compact int64 on `device`, 0 <= i < n; retained. TV_EDTYPE unless
 * integers, TV_EDEVICE unless on the device, TV_EINDEX for one out of range, calling it `noun`.
 * With `from_end`, -n <= i < 0 count from the end. */
tv_tensor *tvi_positions(const char *who, const char *noun, tv_tensor *indices, tv_device device,
                         int64_t n, bool from_end);

#endif
