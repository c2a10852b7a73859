/* SPDX-License-Identifier: MIT
 * A .npy file written piece by piece, so that it does not have to fit into memory. */
#ifndef TOOL_PIECES_H
#define TOOL_PIECES_H
#include "target.h"
#include "view.h"

/** Whether an array of this shape can be written so to a target: a .npy file in C order,
 *  little-endian, that can be replaced, whose rows have elements. */
bool pieces_fit(const target *t, int rank, const int64_t *shape);

/** What a conversion loses, as it goes. */
typedef struct losses {
  unsigned refuse; /* as tv_cast_checked takes it */
  tv_cast_report report;
  int64_t n_seen;  /* elements that the report is about */
  bool is_refused; /* where the conversion ended */
} losses;

/** Write the rows of n views one after another as an array of this dtype and shape, through a file
 *  that replaces the old one when all is there. Elements are converted as tv_astype does, or where
 *  `lost` is not NULL as tv_cast_checked does, and the whole is reported. Gives 0, or an exit
 * status after a message; there is none for what `lost` refuses. */
int pieces_save(const target *t, const arguments *a, int n, view *views, tv_dtype dtype,
                const int64_t *shape, losses *lost);
#endif
