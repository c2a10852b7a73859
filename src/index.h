/* SPDX-License-Identifier: MIT
 * Tensors of indices inside the library. */
#ifndef TVI_INDEX_H
#define TVI_INDEX_H

#include <tensorvar/index.h>

#include "variable/tape.h"

/* Indices as backends take them: compact int64 on `device`, 0 <= i < n; retained. TV_EDTYPE unless
 * integers, TV_EDEVICE unless on the device, TV_EINDEX for one out of range, calling it `noun`.
 * With `from_end`, -n <= i < 0 count from the end. */
tv_tensor *tvi_positions(const char *who, const char *noun, tv_tensor *indices, tv_device device,
                         int64_t n, bool from_end);

/* Zeros of a shape, to which the entries of x along `axis` are added at positions, as above, in
 * their order; the caller has the one count. Nothing is recorded. */
tv_tensor *tvi_scattered(const char *who, tv_tensor *x, tv_tensor *positions, int axis, int rank,
                         const int64_t *shape);
/* The same into a compact tensor of its own, whatever is there. */
tv_status tvi_scatter_into(const char *who, tv_tensor *x, tv_tensor *positions, int axis,
                           tv_tensor *out);
/* Of zeros with x scattered into them: inputs x and indices; recorded, the axis. */
extern const tvi_rule tvi_scatter_rule;

#endif
