/* SPDX-License-Identifier: MIT
 * A file to write: its format, and how the command line wants it. */
#ifndef TOOL_TARGET_H
#define TOOL_TARGET_H
#include "arguments.h"
#include "source.h"

/** Begins with target_choose. */
typedef struct target {
  const char *path; /* "-" is the standard output, in .npy format */
  format format;
  tv_npy_order order;
  bool is_big_endian;
  int compression;
} target;

/** What to write to `path`, by --to or its suffix, with the options for it. False after a message
 * of wrong usage. */
bool target_choose(target *t, const char *path, const arguments *a);

/** Write n arrays; one to a .npy file, whose name does not matter. A name of NULL is --as, or
 *  "arr_0" as NumPy says. Metadata of `from`, where it has some and the target can, are kept;
 * `from` may be NULL. Gives an exit status, 0 or after a message. */
int target_save(const target *t, const arguments *a, int64_t n, const char *const *names,
                tv_tensor *const *tensors, const source *from);
#endif
