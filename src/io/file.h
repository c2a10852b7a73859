/* SPDX-License-Identifier: MIT */
/* Files: reading until enough, and writing that is all or nothing. Every call of the system goes
 * through one table, so that tests can make any of them fail.
 *
 * `who` begins every message: the function and the file, "npy_save: w.npy". */
#ifndef TVI_FILE_H
#define TVI_FILE_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <tensorvar/status.h>

/** What the library asks of the system, as POSIX defines it. */
typedef struct tvi_system {
  int (*open)(const char *path, int flags, mode_t mode);
  ssize_t (*read)(int fd, void *out, size_t bytes);
  ssize_t (*write)(int fd, const void *from, size_t bytes);
  int (*fsync)(int fd);
  int (*close)(int fd);
  int (*fstat)(int fd, struct stat *out);
  int (*fchmod)(int fd, mode_t mode);
  off_t (*lseek)(int fd, off_t offset, int whence);
  void *(*mmap)(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
  int (*munmap)(void *at, size_t bytes);
  int (*stat)(const char *path, struct stat *out);
  int (*may_write)(const char *path); /* 0, or -1 with errno */
  ssize_t (*readlink)(const char *path, char *out, size_t bytes);
  int (*rename)(const char *from, const char *to);
  int (*unlink)(const char *path);
  ssize_t (*pread)(int fd, void *out, size_t bytes, off_t offset);
  int (*madvise)(void *at, size_t bytes, int advice); /* 0, or an error */
  ssize_t (*pwrite)(int fd, const void *from, size_t bytes, off_t offset);
  int (*fdatasync)(int fd);
  int (*flock)(int fd, int operation);
  int (*link)(const char *from, const char *to);
} tvi_system;

/** The table in use; only tests write to it. */
extern tvi_system tvi_sys;

/** "npy_load: x.npy": `what` and a path whose bytes are escaped, and cut in front if there are
 * many. */
enum { TVI_WHO = 360 };
typedef struct tvi_who {
  char text[TVI_WHO];
} tvi_who;
const char *tvi_who_text(tvi_who *who, const char *what, const char *path);

/** "who: cannot <verb>: why", from errno; TV_EIO. */
tv_status tvi_file_fail(const char *who, const char *verb, int error);

/* Read. */

/** Open for reading; -1 on failure. A directory is one. */
int tvi_file_open(const char *who, const char *path);
/** The same of what must be a regular file: nobody is waited for at a FIFO. */
int tvi_file_open_regular(const char *who, const char *path);

/** Bytes from the position on, and it, unless NULL; -1 for what has no size of its own: FIFO,
 *  terminal, /proc. */
tv_status tvi_file_left(const char *who, int fd, int64_t *left, int64_t *position);

/** Read up to n bytes, fewer only where the file ends; *got of them. */
tv_status tvi_file_read(const char *who, int fd, void *out, int64_t n, int64_t *got);

/** The same from a place of a file that has places, whose position stays: threads may share it. */
tv_status tvi_file_read_at(const char *who, int fd, int64_t at, void *out, int64_t n, int64_t *got);

/** Close what was only read. */
void tvi_file_close(int fd);

/* Write. */

/** A file being replaced. The old one stays until tvi_file_commit. */
typedef struct tvi_file_out {
  const char *who;
  char *path;      /* where symbolic links lead; NULL if written directly */
  char *temporary; /* beside it; NULL if written directly */
  int fd;
  bool is_durable;
} tvi_file_out;

/** Begin. On success exactly one of commit and abandon follows, also after a failed write. */
tv_status tvi_file_begin(tvi_file_out *out, const char *who, const char *path, bool is_durable);
tv_status tvi_file_write(tvi_file_out *out, const void *from, int64_t n);
/** Whether bytes already written can be written anew: not into a FIFO or a device. */
bool tvi_file_can_patch(const tvi_file_out *out);
/** Write n bytes anew at a place; the next write goes on at `end`, as before. */
tv_status tvi_file_patch(tvi_file_out *out, int64_t at, const void *from, int64_t n, int64_t end);
/** Make the new file the file; if it fails, the old one stays, or the text says otherwise. */
tv_status tvi_file_commit(tvi_file_out *out);
/** The same, but the new file stays open, in *fd. Where it `replaces` none and there is one by now,
 * *fd is -1, and nothing has changed. */
tv_status tvi_file_publish(tvi_file_out *out, bool replaces, int *fd);
void tvi_file_abandon(tvi_file_out *out);

#endif
