/* SPDX-License-Identifier: MIT
 * Which elements of a .npy file are read, and how they lie in the tensor.
 *
 * An array in a file is what it is in memory: a first element and steps between neighbours, in
 * bytes. A field of records has steps of whole records, and a slice changes steps as it does those
 * of a tensor. What is read is taken in the order in which it lies in the file and kept so; the
 * tensor shows it in the order that was asked for. */
#ifndef TVI_NPY_PART_H
#define TVI_NPY_PART_H
#include <tensorvar/npy.h>

typedef struct tvi_npy_part {
  tv_dtype dtype;
  bool is_swapped; /* against this host */
  int64_t item;    /* bytes of an element */
  int64_t size;    /* elements; 0: first, span and axes mean nothing */
  int64_t first;   /* bytes from the first one of the file to the first that is read */
  int64_t span;    /* bytes from there to behind the last that is read */
  /* In the order of the file: steps in bytes, falling, none below the bytes that all faster axes
   * span; axes with no gap between them are one. At least one. */
  int n_axes;
  int64_t counts[TV_MAX_RANK], steps[TV_MAX_RANK];
  /* The tensor: its steps and first element over the file, in bytes from `first`, and over the
   * elements that were read, in elements. */
  int rank;
  int64_t shape[TV_MAX_RANK];
  int64_t file_steps[TV_MAX_RANK], file_origin;
  int64_t read_steps[TV_MAX_RANK], read_origin;
} tvi_npy_part;

/* The part of an array that options ask for. TV_EVALUE, TV_EINDEX, TV_ESHAPE. */
tv_status tvi_npy_part_of(const char *who, const tv_npy_layout *layout,
                          const tv_npy_options *options, tvi_npy_part *part);

/* Whether the elements lie in the file without gaps. */
static inline bool tvi_npy_part_is_dense(const tvi_npy_part *part) {
  return part->n_axes == 1 && part->steps[0] == part->item;
}
/* Whether the order of the file is the C order of the tensor. */
bool tvi_npy_part_is_c_order(const tvi_npy_part *part);
/* Where in C order of the tensor the i-th element of the file is. */
int64_t tvi_npy_part_place(const tvi_npy_part *part, int64_t i);

#endif
