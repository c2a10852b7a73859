/* SPDX-License-Identifier: MIT
 * Slices inside the library. */
#ifndef TVI_SLICE_H
#define TVI_SLICE_H

#include <tensorvar/index.h>

/* The part of x, which is no weak scalar, that a text in NumPy's notation names or, where text is
 * NULL, n terms: a view, of which the caller has the one count. No scope owns it, no tape sees it.
 * `who` names the caller in a failure. */
tv_tensor *tvi_slice_view(const char *who, tv_tensor *x, const char *text, int n,
                          const tv_index *index);

#endif
