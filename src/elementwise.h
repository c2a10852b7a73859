/* SPDX-License-Identifier: MIT
 * Elementwise ops inside the library. */
#ifndef TVI_ELEMENTWISE_H
#define TVI_ELEMENTWISE_H

#include <tensorvar/ops.h>

#include "op.h"

/* The op of a row on its inputs: checked, promoted, broadcast, run, recorded. */
tv_tensor *tvi_elementwise(tvi_op op, tv_tensor *const *in);

/* The same into the elements of `out`, which has the dtype and the shape of the result and shares
 * no bytes with an input unless it shows exactly its elements. Nothing is recorded. */
tv_status tvi_elementwise_into(tvi_op op, tv_tensor *const *in, tv_tensor *out);

/* The shape in which n shapes meet, in shape[TV_MAX_RANK]; its rank, or -1 with TV_ESHAPE. */
int tvi_broadcast(const char *who, int n, tv_tensor *const *in, int64_t *shape);

/* Steps that show x in a shape of `rank` axes that it broadcasts to. */
void tvi_broadcast_steps(const tv_tensor *x, int rank, int64_t *steps);

#endif
