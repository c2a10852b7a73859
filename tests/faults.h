/* SPDX-License-Identifier: MIT
 * A system whose n-th call fails, for tests of files; and a folder of their own.
 *
 *     for (int64_t n = 1; faults_begin(n, ENOSPC); n++) { status = save(); faults_end(); … }
 *
 * faults_begin gives false once the n-th call was not reached any more. */
#ifndef TV_TESTS_FAULTS_H
#define TV_TESTS_FAULTS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "io/file.h"

/* Instead of an errno. */
enum {
  FAULT_SHORT = -1 /* reads and writes move one byte */,
  FAULT_KILL = -2 /* the process ends */
};

static struct {
  tvi_system real;
  int64_t at;
  _Atomic int64_t calls; /* of any thread */
  int error;
  bool is_every; /* each call from `at` on */
} faults;

static bool faults_hit(void) {
  const int64_t call = ++faults.calls;
  if (call != faults.at && !(faults.is_every && call > faults.at)) return false;
  if (faults.error == FAULT_KILL) _exit(9);
  errno = faults.error;
  return faults.error != FAULT_SHORT;
}
static size_t faults_cut(size_t bytes) {
  const int64_t call = faults.calls;
  const bool is_now = call == faults.at || (faults.is_every && call > faults.at);
  return is_now && faults.error == FAULT_SHORT && bytes > 1 ? 1 : bytes;
}

static int faults_open(const char *path, int flags, mode_t mode) {
  return faults_hit() ? -1 : faults.real.open(path, flags, mode);
}
static ssize_t faults_read(int fd, void *out, size_t bytes) {
  return faults_hit() ? -1 : faults.real.read(fd, out, faults_cut(bytes));
}
static ssize_t faults_write(int fd, const void *from, size_t bytes) {
  return faults_hit() ? -1 : faults.real.write(fd, from, faults_cut(bytes));
}
static int faults_fsync(int fd) { return faults_hit() ? -1 : faults.real.fsync(fd); }
static int faults_close(int fd) { /* Linux closes the descriptor whatever it says */
  const bool fails = faults_hit();
  const int error = errno, result = faults.real.close(fd);
  if (fails) errno = error;
  return fails ? -1 : result;
}
static int faults_fstat(int fd, struct stat *out) {
  return faults_hit() ? -1 : faults.real.fstat(fd, out);
}
static int faults_fchmod(int fd, mode_t mode) {
  return faults_hit() ? -1 : faults.real.fchmod(fd, mode);
}
static off_t faults_lseek(int fd, off_t offset, int whence) {
  return faults_hit() ? -1 : faults.real.lseek(fd, offset, whence);
}
static void *faults_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
  return faults_hit() ? (void *)-1 : faults.real.mmap(at, n, protection, flags, fd, offset);
}
static int faults_stat(const char *path, struct stat *out) {
  return faults_hit() ? -1 : faults.real.stat(path, out);
}
static int faults_may_write(const char *path) {
  return faults_hit() ? -1 : faults.real.may_write(path);
}
static ssize_t faults_readlink(const char *path, char *out, size_t bytes) {
  return faults_hit() ? -1 : faults.real.readlink(path, out, bytes);
}
static int faults_rename(const char *from, const char *to) {
  return faults_hit() ? -1 : faults.real.rename(from, to);
}
static ssize_t faults_pread(int fd, void *out, size_t bytes, off_t offset) {
  return faults_hit() ? -1 : faults.real.pread(fd, out, faults_cut(bytes), offset);
}
static ssize_t faults_pwrite(int fd, const void *from, size_t bytes, off_t offset) {
  return faults_hit() ? -1 : faults.real.pwrite(fd, from, faults_cut(bytes), offset);
}
static int faults_fdatasync(int fd) { return faults_hit() ? -1 : faults.real.fdatasync(fd); }
static int faults_flock(int fd, int operation) {
  return faults_hit() ? -1 : faults.real.flock(fd, operation);
}
static int faults_link(const char *from, const char *to) {
  return faults_hit() ? -1 : faults.real.link(from, to);
}
static int faults_unlink(const char *path) { return faults_hit() ? -1 : faults.real.unlink(path); }

static inline bool faults_begin(int64_t at, int error) {
  if (at > 1 && faults.calls < at - 1) return false;
  if (!faults.real.open) faults.real = tvi_sys;
  faults.at = at;
  faults.calls = 0;
  faults.error = error;
  tvi_sys = (tvi_system){
      faults_open,  faults_read,         faults_write,    faults_fsync,     faults_close,
      faults_fstat, faults_fchmod,       faults_lseek,    faults_mmap,      faults.real.munmap,
      faults_stat,  faults_may_write,    faults_readlink, faults_rename,    faults_unlink,
      faults_pread, faults.real.madvise, faults_pwrite,   faults_fdatasync, faults_flock,
      faults_link};
  return true;
}

static inline void faults_end(void) {
  tvi_sys = faults.real;
  faults.is_every = false;
}

/* Descriptors open in this process. */
static inline int open_descriptors(void) {
  int n = 0;
  DIR *dir = opendir("/proc/self/fd");
  for (; dir && readdir(dir);) n++;
  if (dir) closedir(dir);
  return n;
}

/* A new folder under the current one, made the current one; until folder_leave, which removes it
 * with the files in it. */
static char folder_name[32];
static inline void folder_enter(void) {
  strcpy(folder_name, "tv-test-XXXXXX");
  CHECK(mkdtemp(folder_name) && chdir(folder_name) == 0);
}

/* Files in the current folder. */
static inline int folder_files(void) {
  int n = -2; /* . and .. */
  DIR *dir = opendir(".");
  for (; dir && readdir(dir);) n++;
  if (dir) closedir(dir);
  return n;
}

static inline void folder_leave(void) {
  DIR *dir = opendir(".");
  for (struct dirent *entry; dir && (entry = readdir(dir));)
    if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) remove(entry->d_name);
  if (dir) closedir(dir);
  CHECK(chdir("..") == 0 && rmdir(folder_name) == 0);
}

static inline void file_put(const char *path, const void *bytes, size_t n) {
  FILE *file = fopen(path, "wb");
  CHECK(file && fwrite(bytes, 1, n, file) == n && fclose(file) == 0);
}

/* Whether a file has these bytes and no more. */
static inline bool file_is(const char *path, const void *bytes, size_t n) {
  FILE *file = fopen(path, "rb");
  if (!file) return false;
  char *got = malloc(n + 1);
  const bool is = got && fread(got, 1, n + 1, file) == n && !memcmp(got, bytes, n);
  free(got);
  fclose(file);
  return is;
}

#endif
