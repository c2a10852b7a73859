/* SPDX-License-Identifier: MIT */
/* Reading and replacing files.
 *
 * Replacing: the bytes go into a temporary file in the directory of the final one, which is synced,
 * closed and renamed over it; then the directory is synced. Until the rename the old file is
 * untouched, after it the new one is whole. A process that is killed may leave a temporary: its
 * name, .tensorvar-PID-N.tmp, tells whose it was. What is no regular file is written directly, for
 * a rename would replace the device or FIFO by a file. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory.h"
#include "status.h"
#include "writer.h"

_Static_assert(sizeof(off_t) == 8, "compile with _FILE_OFFSET_BITS=64");

enum {
  MOST_AT_ONCE = 1 << 30, /* Linux moves at most 2^31 - 4096 bytes a call */
  MOST_LINKS = 40,        /* as Linux itself follows */
  PATH_ROOM = 4096        /* PATH_MAX of Linux */
};

static int open_file(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }
static int may_write(const char *path) { return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS); }

tvi_system tvi_sys = {.open = open_file,
                      .read = read,
                      .write = write,
                      .fsync = fsync,
                      .close = close,
                      .fstat = fstat,
                      .fchmod = fchmod,
                      .lseek = lseek,
                      .mmap = mmap,
                      .munmap = munmap,
                      .stat = stat,
                      .may_write = may_write,
                      .readlink = readlink,
                      .rename = rename,
                      .unlink = unlink,
                      .pread = pread,
                      .madvise = posix_madvise,
                      .pwrite = pwrite,
                      .fdatasync = fdatasync,
                      .flock = flock,
                      .link = link};

/* ---- messages ------------------------------------------------------------------------------- */

const char *tvi_who_text(tvi_who *who, const char *what, const char *path) {
  const size_t used = strlen(what) + 2, n = strlen(path), room = TVI_WHO - used - 3;
  /* The end of a path says more than its beginning; a byte takes four characters at most. */
  size_t from = n;
  while (from && (n - from + 1) * 4 + 4 <= room) from--;
  memcpy(who->text, what, used - 2);
  memcpy(who->text + used - 2, from ? ": ..." : ": ", from ? 5 : 2);
  tvi_escape(who->text + used + (from ? 3 : 0), room, path + from, n - from);
  return who->text;
}

tv_status tvi_file_fail(const char *who, const char *verb, int error) {
  return tvi_fail_status(TV_EIO, "%s: cannot %s: %s", who, verb, tvi_errno_text(error));
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Linux has closed the descriptor even when it reports EINTR. */
static int close_once(int fd) { return tvi_sys.close(fd) && errno != EINTR ? -1 : 0; }

void tvi_file_close(int fd) { close_once(fd); }

static int open_again(const char *path, int flags, mode_t mode) {
  int fd;
  do fd = tvi_sys.open(path, flags | O_CLOEXEC | O_NOCTTY, mode);
  while (fd < 0 && errno == EINTR);
  return fd;
}

static int open_to_read(const char *who, const char *path, int flags) {
  const int fd = open_again(path, O_RDONLY | flags, 0);
  if (fd < 0) tvi_file_fail(who, "open", errno);
  return fd;
}

int tvi_file_open(const char *who, const char *path) { return open_to_read(who, path, 0); }

int tvi_file_open_regular(const char *who, const char *path) {
  return open_to_read(who, path, O_NONBLOCK); /* which regular files do not know */
}

tv_status tvi_file_left(const char *who, int fd, int64_t *left, int64_t *position) {
  struct stat about;
  if (tvi_sys.fstat(fd, &about)) return tvi_file_fail(who, "ask for the size", errno);
  if (S_ISDIR(about.st_mode)) return tvi_file_fail(who, "read", EISDIR);
  *left = -1;
  if (!S_ISREG(about.st_mode) || about.st_size == 0) return TV_OK;
  const off_t at = tvi_sys.lseek(fd, 0, SEEK_CUR);
  if (at < 0) return tvi_file_fail(who, "ask for the position", errno);
  *left = about.st_size > at ? about.st_size - at : 0;
  if (position) *position = at;
  return TV_OK;
}

tv_status tvi_file_read(const char *who, int fd, void *out, int64_t n, int64_t *got) {
  for (*got = 0; *got < n;) {
    const int64_t want = n - *got < MOST_AT_ONCE ? n - *got : MOST_AT_ONCE;
    const ssize_t now = tvi_sys.read(fd, (char *)out + *got, (size_t)want);
    if (now == 0) break;
    if (now > 0) {
      *got += now;
    } else if (errno != EINTR) {
      return tvi_file_fail(who, "read", errno);
    }
  }
  return TV_OK;
}

tv_status tvi_file_read_at(const char *who, int fd, int64_t at, void *out, int64_t n,
                           int64_t *got) {
  for (*got = 0; *got < n;) {
    const int64_t want = n - *got < MOST_AT_ONCE ? n - *got : MOST_AT_ONCE;
    const ssize_t now = tvi_sys.pread(fd, (char *)out + *got, (size_t)want, at + *got);
    if (now == 0) break;
    if (now > 0) {
      *got += now;
    } else if (errno != EINTR) {
      return tvi_file_fail(who, "read", errno);
    }
  }
  return TV_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* Bytes of the directory part of a path, the last slash included; 0 if it has none. */
static size_t directory_bytes(const char *path) {
  const char *const slash = strrchr(path, '/');
  return slash ? (size_t)(slash - path) + 1 : 0;
}

/* `name` in the directory of `path`; NULL without memory. */
static char *beside(const char *path, const char *name, size_t n) {
  const size_t directory = directory_bytes(path);
  char *const out = tvi_malloc((int64_t)(directory + n + 1));
  if (!out) return NULL;
  memcpy(out, path, directory);
  memcpy(out + directory, name, n);
  out[directory + n] = '\0';
  return out;
}

/* Where symbolic links at the end of a path lead; what is there need not exist. */
static tv_status follow_links(const char *who, const char *path, char **final) {
  tv_status status = TV_OK;
  char *at = NULL;
  char *const target = tvi_malloc(PATH_ROOM);
  if (!target || !(at = beside("", path, strlen(path)))) {
    status = tvi_no_memory(who, target ? (int64_t)strlen(path) + 1 : PATH_ROOM);
    goto done;
  }
  for (int links = 0;; links++) {
    const ssize_t n = tvi_sys.readlink(at, target, PATH_ROOM);
    if (n < 0 && (errno == EINVAL || errno == ENOENT)) break; /* no link, or nothing there yet */
    if (n < 0 || n == PATH_ROOM || links == MOST_LINKS) {
      status = tvi_file_fail(who, "follow links",
                             n < 0            ? errno
                             : n == PATH_ROOM ? ENAMETOOLONG
                                              : ELOOP);
      goto done;
    }
    char *const next = beside(n && *target == '/' ? "" : at, target, (size_t)n);
    if (!next) {
      status = tvi_no_memory(who, n);
      goto done;
    }
    tvi_free(at);
    at = next;
  }
  *final = at;
  at = NULL;
done:
  tvi_free(at);
  tvi_free(target);
  return status;
}

/* Create a file of a name that no other has, in the directory of out->path. */
static tv_status create_temporary(tvi_file_out *out, mode_t mode) {
  static _Atomic uint64_t made;
  enum { TRIES = 100 };
  for (int i = 0; i < TRIES; i++) {
    char name[64] = ".tensorvar-";
    int n = (int)strlen(name);
    n += tvi_integer_text((uint64_t)getpid(), false, name + n);
    name[n++] = '-';
    n += tvi_integer_text(atomic_fetch_add(&made, 1), false, name + n);
    memcpy(name + n, ".tmp", sizeof ".tmp");
    out->temporary = beside(out->path, name, (size_t)n + 4);
    if (!out->temporary) return tvi_no_memory(out->who, (int64_t)(strlen(out->path) + sizeof name));
    out->fd = open_again(out->temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (out->fd >= 0) return TV_OK;
    const int error = errno;
    tvi_free(out->temporary);
    out->temporary = NULL;
    if (error != EEXIST) return tvi_file_fail(out->who, "create a file beside it", error);
  }
  return tvi_file_fail(out->who, "create a file beside it", EEXIST);
}

tv_status tvi_file_begin(tvi_file_out *out, const char *who, const char *path, bool is_durable) {
  *out = (tvi_file_out){.who = who, .fd = -1, .is_durable = is_durable};
  struct stat old;
  const bool exists = !tvi_sys.stat(path, &old);
  if (!exists && (errno != ENOENT || !*path)) return tvi_file_fail(who, "open", errno);
  if (exists && S_ISDIR(old.st_mode)) return tvi_file_fail(who, "write", EISDIR);
  if (exists && !S_ISREG(old.st_mode)) {
    out->fd = open_again(path, O_WRONLY, 0);
    return out->fd < 0 ? tvi_file_fail(who, "open", errno) : TV_OK;
  }
  /* A rename needs no right to the file that it replaces; a user who took it away meant it. */
  if (exists && tvi_sys.may_write(path)) return tvi_file_fail(who, "write", errno);
  tv_status status = follow_links(who, path, &out->path);
  if (!status) status = create_temporary(out, exists ? 0600 : 0666);
  if (!status && exists && tvi_sys.fchmod(out->fd, old.st_mode & 0777)) {
    status = tvi_file_fail(who, "set permissions", errno);
  }
  if (status) tvi_file_abandon(out);
  return status;
}

tv_status tvi_file_write(tvi_file_out *out, const void *from, int64_t n) {
  for (int64_t done = 0; done < n;) {
    const int64_t want = n - done < MOST_AT_ONCE ? n - done : MOST_AT_ONCE;
    const ssize_t now = tvi_sys.write(out->fd, (const char *)from + done, (size_t)want);
    if (now > 0) {
      done += now;
    } else if (now == 0 || errno != EINTR) {
      return tvi_file_fail(out->who, "write", now ? errno : EIO);
    }
  }
  return TV_OK;
}

bool tvi_file_can_patch(const tvi_file_out *out) { return out->temporary != NULL; }

static tv_status go_to(tvi_file_out *out, int64_t at) {
  return tvi_sys.lseek(out->fd, at, SEEK_SET) == at
             ? TV_OK
             : tvi_file_fail(out->who, "go to a position", errno);
}

tv_status tvi_file_patch(tvi_file_out *out, int64_t at, const void *from, int64_t n, int64_t end) {
  tv_status status = go_to(out, at);
  if (!status) status = tvi_file_write(out, from, n);
  return status ? status : go_to(out, end);
}

/* A failed sync is final: Linux marks the pages clean, so that a second one would succeed. */
static int sync_file(int fd) {
  int failed;
  do failed = tvi_sys.fsync(fd);
  while (failed && errno == EINTR);
  return failed;
}

static int sync_directory(const char *path) {
  const size_t n = directory_bytes(path);
  char *const directory = n ? beside("", path, n) : beside("", ".", 1);
  if (!directory) {
    errno = ENOMEM;
    return -1;
  }
  const int fd = open_again(directory, O_RDONLY | O_DIRECTORY, 0);
  int error = fd < 0 ? errno : 0;
  if (fd >= 0 && sync_file(fd)) error = errno;
  if (fd >= 0) close_once(fd);
  tvi_free(directory);
  errno = error;
  return error ? -1 : 0;
}

static void finish(tvi_file_out *out) {
  tvi_free(out->path);
  tvi_free(out->temporary);
  *out = (tvi_file_out){.fd = -1};
}

void tvi_file_abandon(tvi_file_out *out) {
  if (out->fd >= 0) close_once(out->fd);
  if (out->temporary) tvi_sys.unlink(out->temporary);
  finish(out);
}

/* It has its name: make that durable, and be done. */
static tv_status put_in_place(tvi_file_out *out) {
  tv_status status = TV_OK;
  if (out->temporary && out->is_durable && sync_directory(out->path)) {
    status = tvi_fail_status(TV_EIO, "%s: is in place, but whether it is durable is unknown: %s",
                             out->who, tvi_errno_text(errno));
  }
  finish(out);
  return status;
}

tv_status tvi_file_commit(tvi_file_out *out) {
  const char *failed = NULL;
  int error = 0;
  if (out->temporary && out->is_durable && sync_file(out->fd)) {
    failed = "sync";
    error = errno;
  }
  const int fd = out->fd;
  out->fd = -1;
  if (close_once(fd) && !failed) {
    failed = "close";
    error = errno;
  }
  if (!failed && out->temporary && tvi_sys.rename(out->temporary, out->path)) {
    failed = "rename";
    error = errno;
  }
  if (failed) {
    const tv_status status = tvi_file_fail(out->who, failed, error);
    tvi_file_abandon(out);
    return status;
  }
  return put_in_place(out);
}

/* Make the temporary file the file, unless there is one: 0, or errno. */
static int link_new(const tvi_file_out *out) {
  if (!tvi_sys.link(out->temporary, out->path)) {
    tvi_sys.unlink(out->temporary); /* if that fails, a second name is left */
    return 0;
  }
  /* Where a file has one name, a rename it is, which would replace what came between. */
  const bool has_links = errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS;
  return has_links || tvi_sys.rename(out->temporary, out->path) ? errno : 0;
}

tv_status tvi_file_publish(tvi_file_out *out, bool replaces, int *fd) {
  *fd = -1;
  tv_status status = TV_OK;
  if (out->is_durable && sync_file(out->fd)) {
    status = tvi_file_fail(out->who, "sync", errno);
  } else {
    const int error = !replaces                                   ? link_new(out)
                      : tvi_sys.rename(out->temporary, out->path) ? errno
                                                                  : 0;
    if (!error) {
      const int placed = out->fd;
      out->fd = -1;
      status = put_in_place(out);
      if (status) {
        close_once(placed);
      } else {
        *fd = placed;
      }
      return status;
    }
    if (replaces || error != EEXIST) status = tvi_file_fail(out->who, "rename", error);
  }
  tvi_file_abandon(out);
  return status;
}
