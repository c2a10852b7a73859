/* SPDX-License-Identifier: MIT
 * Replacing a file, as the library does it when it saves: through a temporary file beside it and
 * rename, following symbolic links, and keeping permission bits. Only what was made here is ever
 * taken away. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "replacement.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failure.h"

bool is_replaceable(const char *path) {
  struct stat about;
  if (!stat(path, &about)) return S_ISREG(about.st_mode);
  return lstat(path, &about) != 0; /* a link to nowhere is none of ours to replace */
}

/* The folder of a path with its slash; the length of that. */
static int folder_length(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? (int)(slash - path + 1) : 0;
}

/* Make r->file, at a name that nobody has. Process numbers are not enough: two containers that
 * share a folder have the same. */
static bool create(replacement *r) {
  enum { TRIES = 100 };
  r->beside = need(strlen(r->path) + 64);
  for (int i = 0; i < TRIES; i++) {
    sprintf(r->beside, "%.*s.tensorvar-tool-%ld-%d.tmp", folder_length(r->path), r->path,
            (long)getpid(), i);
    r->file = open(r->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, r->has_old ? 0600 : 0666);
    if (r->file >= 0) return true;
    if (errno == EINTR) continue; /* nothing was made: the next name does as well */
    if (errno != EEXIST) break;
  }
  return false;
}

static void free_names(replacement *r) {
  const int why = errno;
  free(r->path);
  free(r->beside);
  errno = why;
}

bool replacement_begin(replacement *r, const char *path) {
  struct stat old;
  *r = (replacement){.file = -1, .has_old = !stat(path, &old)};
  /* A rename needs no right to the file that it replaces; a user who took it away meant it. */
  if (r->has_old && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS)) return false;
  if (r->has_old) r->old_mode = old.st_mode & 0777;
  r->path = realpath(path, NULL);
  if (!r->path) {
    r->path = need(strlen(path) + 1);
    memcpy(r->path, path, strlen(path) + 1);
  }
  if (create(r)) return true;
  free_names(r);
  return false;
}

static bool sync_folder(const char *path) {
  char *folder = need(strlen(path) + 2);
  const int n = folder_length(path);
  sprintf(folder, "%.*s", n ? n : 1, n ? path : ".");
  const int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  free(folder);
  if (file < 0) return false;
  const bool is_synced = !fsync(file);
  close(file);
  return is_synced;
}

bool replacement_end(replacement *r, bool is_made, bool is_durable) {
  /* By its name: who fills it may have put another file there, as the appending writer does. */
  bool is_there = is_made && (!r->has_old || !chmod(r->beside, r->old_mode));
  int why = errno;
  if (close(r->file) && errno != EINTR && is_there) is_there = false, why = errno;
  if (is_there && rename(r->beside, r->path)) is_there = false, why = errno;
  if (!is_there) {
    unlink(r->beside);
  } else if (is_durable && !sync_folder(r->path)) {
    is_there = false;
    why = errno;
  }
  errno = why;
  free_names(r);
  return is_there;
}
