/* SPDX-License-Identifier: MIT */
/* Headers of .npy files: reading them out of hostile bytes, and writing them as NumPy does.
 *
 * `who` begins every message: the function and the file, "npy_load: x.npy". */
#ifndef TVI_NPY_HEADER_H
#define TVI_NPY_HEADER_H
#include <tensorvar/npy.h>

enum {
  TVI_NPY_PREFIX = 10,        /* bytes that show the version, and all of the prefix of version 1 */
  TVI_NPY_HEADER_MAX = 65535, /* longer headers are refused */
  TVI_NPY_HEADER_ROOM = 2048  /* what tvi_npy_header_write fills at most: 64 axes of 19 digits */
};

/** Check magic and version in the first bytes of a file that holds at least n of them, n at most
 *  TVI_NPY_PREFIX and less only if the file ends there. *prefix becomes 10 or 12. */
tv_status tvi_npy_magic(const char *who, const uint8_t *bytes, int64_t n, int *prefix);

/** The length of the header text, from a whole prefix. `left` bytes follow it, -1 if unknown. */
tv_status tvi_npy_header_length(const char *who, const uint8_t *bytes, int prefix, int64_t left,
                                int64_t *length);

/** Read the header text of n bytes: dtype, order, shape and bytes of the layout. Its version and
 *  offset are set already. */
tv_status tvi_npy_header_parse(const char *who, const uint8_t *text, int64_t n,
                               const tv_npy_options *options, tv_npy_layout *layout);

/** Check that a file of `size` bytes, -1 if unknown, holds what the layout promises. */
tv_status tvi_npy_size_check(const char *who, const tv_npy_layout *layout, int64_t size);

/** Prefix and header text for an array; returns their length, a multiple of 64. */
int tvi_npy_header_write(tv_dtype dtype, bool is_big_endian, bool is_fortran, int rank,
                         const int64_t *shape, char out[TVI_NPY_HEADER_ROOM]);

#endif
