/* SPDX-License-Identifier: MIT
 * Files that the tool itself writes: made beside the old one, which they then replace as a whole.
 */
#ifndef TOOL_REPLACEMENT_H
#define TOOL_REPLACEMENT_H
#include <stdbool.h>
#include <sys/types.h>

typedef struct replacement {
  char *path;      /* where the file goes: what symbolic links lead to */
  char *beside;    /* where it is made, in the same folder */
  int file;        /* what was made there, empty, and open for writing */
  bool has_old;    /* whether there is a file to replace */
  mode_t old_mode; /* its permission bits */
} replacement;

/** Whether a path can be replaced: a regular file, or nothing is there. A device is written to. */
bool is_replaceable(const char *path);

/** Make an empty file beside `path`, of a name that no other has; only its owner may read it, if
 *  there is an old one to replace. False with errno, also where the old file must not be written;
 *  then there is nothing to end. */
bool replacement_begin(replacement *r, const char *path);

/** Put what is at `beside` into its place, with the permission bits of the old file, and its name
 *  on the disk if so asked; or, after a failure, take it away. Closes the file and frees the names.
 *  False with errno. */
bool replacement_end(replacement *r, bool is_made, bool is_durable);
#endif
