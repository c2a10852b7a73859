/* SPDX-License-Identifier: MIT
 * Files that the tool itself writes: made beside the old one, which they then replace as a whole.
 */
#ifndef TOOL_REPLACEMENT_H
#define TOOL_REPLACEMENT_H
#include <stdbool.h>

typedef struct replacement {
  char *path;   /* where the file goes: what symbolic links lead to */
  char *beside; /* where it is made, in the same folder */
} replacement;

/** Whether a path can be replaced: a regular file, or nothing is there. A device is written to. */
bool is_replaceable(const char *path);

/** Choose where to make the file; nothing is made. */
replacement replacement_begin(const char *path);

/** Put what was made into its place, with the permission bits of the old file, and on the disk if
 * so asked; or, after a failure, take it away. False with errno. Frees the names. */
bool replacement_end(replacement *r, bool is_made, bool is_durable);
#endif
