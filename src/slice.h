/* SPDX-License-Identifier: MIT
 * Slices inside the library. */
#ifndef TVI_SLICE_H
#define TVI_SLICE_H

#include <tensorvar/index.h>

/* What an index comes to. */
typedef struct tvi_cut {
  int rank;
  int64_t shape[TV_MAX_RANK], steps[TV_MAX_RANK]; /* bytes */
  int64_t offset;                                 /* of its first element, if it has any */
  int64_t numbers[3 * TV_MAX_RANK]; /* start, count, step in elements: of each axis of the whole */
} tvi_cut;

/* That of a text in NumPy's notation or, where it is NULL, of n terms, in an array of which there
 * need be no tensor. TV_EVALUE, TV_EINDEX, TV_ESHAPE; `who` begins the message. */
bool tvi_slice_cut(const char *who, int rank, const int64_t *shape, const int64_t *steps,
                   const char *text, int n, const tv_index *index, tvi_cut *cut);

/* The part of x, which is no weak scalar, that a text in NumPy's notation names or, where text is
 * NULL, n terms: a view, of which the caller has the one count. No scope owns it, no tape sees it.
 * `who` names the caller in a failure. */
tv_tensor *tvi_slice_view(const char *who, tv_tensor *x, const char *text, int n,
                          const tv_index *index);

#endif
