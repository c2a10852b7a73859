/* SPDX-License-Identifier: MIT
 * A .npy file written piece by piece, so that it does not have to fit into memory. */
#ifndef TOOL_PIECES_H
#define TOOL_PIECES_H
#include "target.h"
#include "view.h"

/** Whether an array of this shape can be written so to a target: a .npy file in C order,
 *  little-endian, that can be replaced, whose rows have elements. */
bool pieces_fit(const target *t, int rank, const int64_t *shape);

/** Write the rows of n views one after another as an array of this dtype and shape, through a file
 *  that replaces the old one when all is there. Elements are converted as tv_astype does, or where
 *  `report` is not NULL as tv_cast_checked does, and the whole is reported. Failures of reading are
 *  told of `label`. Gives 0, or an exit status after a message. */
int pieces_save(const target *t, const arguments *a, const char *label, int n, view *views,
                tv_dtype dtype, const int64_t *shape, unsigned refuse, tv_cast_report *report);
#endif
