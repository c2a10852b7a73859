/* SPDX-License-Identifier: MIT */
/* Opening files that grow. The lock is flock's, on the open file: it ends with the last descriptor
 * of it, also of a process that is killed, and leaves readers alone. A lock taken on a file that
 * has been replaced meanwhile is worth nothing, so the name is looked at again once it is held. */
#include "grow.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "status.h"

enum {
  TRIES = 100,            /* names that change hands while they are looked at */
  MOST_AT_ONCE = 1 << 30, /* Linux moves at most 2^31 - 4096 bytes a call */
};

static tv_status lock(const char *who, int fd) {
  int failed;
  do failed = tvi_sys.flock(fd, LOCK_EX | LOCK_NB);
  while (failed && errno == EINTR);
  if (!failed) return TV_OK;
  if (errno == EWOULDBLOCK) return tvi_fail_status(TV_EBUSY, "%s: another writer has it open", who);
  return tvi_file_fail(who, "lock", errno);
}

/* Open, check and lock; *is_current: whether the path still leads to it. */
static tv_status try_open(const char *who, const char *path, int *fd, bool *is_current) {
  struct stat open_one, named;
  *is_current = true;
  /* Without O_NONBLOCK a FIFO would wait here; regular files do not know it. */
  do *fd = tvi_sys.open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0);
  while (*fd < 0 && errno == EINTR);
  if (*fd < 0) return errno == ENOENT ? TV_OK : tvi_file_fail(who, "open", errno);
  tv_status status = TV_OK;
  if (tvi_sys.fstat(*fd, &open_one)) {
    status = tvi_file_fail(who, "ask for the size", errno);
  } else if (!S_ISREG(open_one.st_mode)) {
    status = tvi_fail_status(TV_EIO, "%s: is no regular file: it has no rows to add to", who);
  } else {
    status = lock(who, *fd);
  }
  if (!status) {
    const int failed = tvi_sys.stat(path, &named);
    if (failed && errno != ENOENT) {
      status = tvi_file_fail(who, "open", errno);
    } else {
      *is_current = !failed && named.st_dev == open_one.st_dev && named.st_ino == open_one.st_ino;
    }
  }
  if (status || !*is_current) {
    tvi_file_close(*fd);
    *fd = -1;
  }
  return status;
}

tv_status tvi_grow_open(const char *who, const char *path, int *fd) {
  for (int i = 0; i < TRIES; i++) {
    bool is_current;
    const tv_status status = try_open(who, path, fd, &is_current);
    if (status || is_current) return status;
  }
  return tvi_fail_status(TV_EBUSY, "%s: it is being replaced again and again", who);
}

tv_status tvi_grow_begin(tvi_file_out *out, const char *who, const char *path, bool is_durable) {
  tv_status status = tvi_file_begin(out, who, path, is_durable);
  if (status) return status;
  status = tvi_file_can_patch(out)
               ? lock(who, out->fd)
               : tvi_fail_status(TV_EIO, "%s: is no regular file: it has no rows to add to", who);
  if (status) tvi_file_abandon(out);
  return status;
}

tv_status tvi_grow_write(const char *who, int fd, int64_t at, const void *from, int64_t n) {
  for (int64_t done = 0; done < n;) {
    const int64_t want = n - done < MOST_AT_ONCE ? n - done : MOST_AT_ONCE;
    const ssize_t now = tvi_sys.pwrite(fd, (const char *)from + done, (size_t)want, at + done);
    if (now > 0) {
      done += now;
    } else if (now == 0 || errno != EINTR) {
      return tvi_file_fail(who, "write", now ? errno : EIO);
    }
  }
  return TV_OK;
}

/* A failed sync is final: Linux marks the pages clean, so that a second one would succeed. */
tv_status tvi_grow_sync(const char *who, int fd) {
  int failed;
  do failed = tvi_sys.fdatasync(fd);
  while (failed && errno == EINTR);
  return failed ? tvi_file_fail(who, "sync", errno) : TV_OK;
}

tv_status tvi_grow_close(const char *who, int fd) {
  /* Linux has closed the descriptor even when it reports EINTR. */
  return tvi_sys.close(fd) && errno != EINTR ? tvi_file_fail(who, "close", errno) : TV_OK;
}
