/* SPDX-License-Identifier: MIT
 * Reading arrays inside the library, from any source: npy_read.c the header and the whole,
 * npy_elements.c copies, npy_map.c maps. */
#ifndef TVI_NPY_READ_H
#define TVI_NPY_READ_H
#include "flow.h"
#include "npy_part.h"

/* Options as given or the defaults. TV_EVALUE, TV_EDTYPE. */
tv_status tvi_npy_options_of(const char *who, const tv_npy_options *given, tv_npy_options *out);
/* What every load asks before it touches a file: options that fit, a device that is known. */
bool tvi_npy_may_load(const char *who, const tv_npy_options *given, tv_npy_options *options);
/* The same for all arrays of a file at once: nothing that is for one array alone. */
bool tvi_npy_may_load_all(const char *who, const tv_npy_options *given, tv_npy_options *options);
/* Fill as much of the caller's struct as it has. */
void tvi_npy_tell(const tv_npy_layout *layout, tv_npy_layout *out);

/* All that comes before the elements of a .npy; the source is then at the first of them. */
tv_status tvi_npy_read_header(tvi_source *from, const tv_npy_options *options,
                              tv_npy_layout *layout);
/* The elements, by copy or map, on the device that the options name, and what the options want to
 * be told. layout->offset counts from from->base. The caller has the one count. */
tv_tensor *tvi_npy_read_elements(tvi_source *from, const tv_npy_layout *layout,
                                 const tv_npy_options *options);

/* A part by copy, on a device, with the dtype of the options; a source without end is left behind
 * the array. The caller has the one count. */
tv_tensor *tvi_npy_copy(tvi_source *from, const tv_npy_layout *layout, const tvi_npy_part *part,
                        const tv_npy_options *options, tv_device device);
/* TV_EFORMAT unless bools of a part, whose first byte is at `data`, are 0 or 1. */
tv_status tvi_npy_check(const char *who, const tv_npy_layout *layout, const tvi_npy_part *part,
                        const void *data);

/* Why a part cannot be mapped; NULL if it can. */
const char *tvi_npy_no_map(const tvi_source *from, const tv_npy_layout *layout,
                           const tvi_npy_part *part, const tv_npy_options *options,
                           tv_device device);
/* A part with elements by map. The caller has the one count. */
tv_tensor *tvi_npy_map(tvi_source *from, const tv_npy_layout *layout, const tvi_npy_part *part,
                       const tv_npy_options *options);

#endif
