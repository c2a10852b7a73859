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

/* Tuples of indices [..., K] into the first K axes, 1 <= K <= rank, of a shape: where each comes to
 * in those axes as one, [...]; the scope's. *n_axes: K. *first: what they say of axis 0, [...].
 * TV_ESHAPE, and as tvi_positions, naming the axis. To be asked with recording paused. */
tv_tensor *tvi_nd_positions(const char *who, tv_tensor *indices, tv_device device, int rank,
                            const int64_t *shape, int *n_axes, tv_tensor **first);

#endif
