/* SPDX-License-Identifier: MIT
 * Slices inside the library. */
#ifndef TVI_SLICE_H
#define TVI_SLICE_H

#include <tensorvar/tensor.h>

/* The part of x, which is no weak scalar, that a text in NumPy's notation names: a view, of which
 * the caller has the one count. No scope owns it, no tape sees it. `who` names the caller in a
 * failure. */
tv_tensor *tvi_slice_view(const char *who, tv_tensor *x, const char *text);

#endif
