/* SPDX-License-Identifier: MIT
 * Writing arrays inside the library, to any sink. */
#ifndef TVI_NPY_WRITE_H
#define TVI_NPY_WRITE_H
#include "flow.h"

/* x, or its transpose for Fortran order, so that its C order can be written: as it is in host
 * memory, compact on another device. Retained. */
tv_tensor *tvi_npy_packed(const char *who, tv_tensor *x, tv_npy_order order, bool *is_fortran);
/* A .npy: header and elements of what was packed. */
tv_status tvi_npy_write(tvi_sink *to, tv_tensor *packed, bool is_fortran, bool is_big_endian);
/* The elements alone, little-endian. */
tv_status tvi_npy_write_elements(tvi_sink *to, tv_tensor *packed);

#endif
