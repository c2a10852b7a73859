/* SPDX-License-Identifier: MIT
 * Replacing a file, as the library does it when it saves: through a temporary file beside it and
 * rename, following symbolic links, and keeping permission bits. */
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

replacement replacement_begin(const char *path) {
  replacement r = {.path = realpath(path, NULL)};
  if (!r.path) {
    r.path = need(strlen(path) + 1);
    memcpy(r.path, path, strlen(path) + 1);
  }
  r.beside = need(strlen(r.path) + 32);
  sprintf(r.beside, "%.*stv-tool-%ld", folder_length(r.path), r.path, (long)getpid());
  return r;
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
  struct stat old;
  bool is_there = is_made;
  if (is_there && !stat(r->path, &old)) is_there = !chmod(r->beside, old.st_mode & 07777);
  is_there = is_there && !rename(r->beside, r->path);
  int why = errno;
  if (!is_there) {
    unlink(r->beside);
  } else if (is_durable && !sync_folder(r->path)) {
    is_there = false;
    why = errno;
  }
  free(r->path);
  free(r->beside);
  errno = why;
  return is_there;
}
