/* SPDX-License-Identifier: MIT
 * An array to look at: a tensor, mapped where that can be; or, where it cannot and the array is
 * large, a file of which pieces are loaded when they are looked at. */
#ifndef TOOL_VIEW_H
#define TOOL_VIEW_H
#include "source.h"

typedef struct view {
  const source *from; /* borrowed */
  int64_t at;
  tv_npy_options options;
  tv_tensor *x; /* NULL: to be loaded in pieces */
  tv_dtype dtype;
  bool is_fortran; /* of the file, where x is NULL */
  int rank;
  int64_t shape[TV_MAX_RANK];
} view;

/** Look at the part of an array that the command line asks for. False after a failure, which the
 *  library knows. */
bool view_open(view *v, const source *s, int64_t at, const arguments *a);

int64_t view_size(const view *v);
/** All of it, loaded if it was not; NULL after a failure. */
tv_tensor *view_whole(view *v);
/** Entries from (included) to (excluded) along an axis. */
tv_tensor *view_piece(const view *v, int axis, int64_t from, int64_t to);
/** One element, without axes. */
tv_tensor *view_element(const view *v, const int64_t *index);
#endif
