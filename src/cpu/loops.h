/* SPDX-License-Identifier: MIT
 * The inner loops of elementwise ops: one per row of ops.def and dtype that it runs in. */
#ifndef TVI_CPU_LOOPS_H
#define TVI_CPU_LOOPS_H

#include "op.h"

/* n elements; operand k starts at p[k] and advances step[k] bytes. p[0] is the result, p[1] on are
 * the inputs, which overlap it not at all or exactly. */
typedef void tvi_loop(int64_t n, char *const *p, const int64_t *step);

/* NULL where the row refuses the dtype. A table for each level of x86-64; elsewhere the first
 * alone. */
typedef tvi_loop *tvi_loop_table[TVI_OP_COUNT][TV_DTYPE_COUNT];
extern const tvi_loop_table tvi_loops_v1;
#if defined(__x86_64__) && defined(__GNUC__)
#define TVI_HAS_LEVELS 1
extern const tvi_loop_table tvi_loops_v3, tvi_loops_v4;
#endif

/* Converts p[1] into p[0]; NULL from complex to real. In convert.c. */
tvi_loop *tvi_convert_loop(tv_dtype from, tv_dtype to);

#endif
