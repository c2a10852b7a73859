/* SPDX-License-Identifier: MIT */
/* Files that grow: opened and locked against other writers, and written at places. None is ever
 * made shorter, for somebody may have mapped it.
 *
 * `who` begins every message: the function and the file, "npy_writer_open: x.npy". */
#ifndef TVI_GROW_H
#define TVI_GROW_H
#include "file.h"

/** Open the regular file that a path leads to, for reading and writing, and lock it: TV_EBUSY if
 * another writer has it. *fd is -1 where there is none. */
tv_status tvi_grow_open(const char *who, const char *path, int *fd);

/** Begin a file that tvi_file_publish will put there, and lock it while nobody knows its name. */
tv_status tvi_grow_begin(tvi_file_out *out, const char *who, const char *path, bool is_durable);

/** Write n bytes at a place. */
tv_status tvi_grow_write(const char *who, int fd, int64_t at, const void *from, int64_t n);

/** Wait until what was written is on the disk. */
tv_status tvi_grow_sync(const char *who, int fd);

/** Close what was written, and unlock it. */
tv_status tvi_grow_close(const char *who, int fd);

#endif
