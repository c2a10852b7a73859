/* SPDX-License-Identifier: MIT */
/* The text of an array, from its bytes. */
#ifndef TVI_PRINT_H
#define TVI_PRINT_H
#include <tensorvar/print.h>

#include "writer.h"

/**
 * The sizes of what is shown of an array: of all axes, or 3 + 3 of each long one.
 *
 * Above 1000 elements an axis of more than 6 shows its first and last 3. Returns how many elements
 * that makes.
 */
int64_t tvi_print_shown(int rank, const int64_t *shape, int64_t *shown);

/** Add NumPy's text of an array of this shape; `elements` are those of tvi_print_shown, in C order
 *  without gaps. */
void tvi_print_array(tvi_writer *out, tv_dtype dtype, int rank, const int64_t *shape,
                     const void *elements, tv_text_style style);

#endif
