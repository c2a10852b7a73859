/* SPDX-License-Identifier: MIT
 * Files that grow: opened by one writer at a time, made whole or not at all. */
#include "io/grow.h"

#include <sys/file.h>

#include "faults.h"

static tv_status grown(const char *path) {
  int fd;
  const tv_status status = tvi_grow_open("grow", path, &fd);
  if (status) {
    EQUAL(fd, -1);
    return status;
  }
  if (fd < 0) return TV_OK;
  const tv_status closed = tvi_grow_close("grow", fd);
  return closed;
}

TEST(what_is_no_regular_file_does_not_grow) {
  folder_enter();
  int fd = 5;
  OK(tvi_grow_open("grow", "none", &fd));
  EQUAL(fd, -1);
  CHECK(mkfifo("fifo", 0600) == 0 && mkdir("folder", 0700) == 0 && symlink("a", "a") == 0);
  FAILS_STATUS(TV_EIO, "grow: is no regular file: it has no rows to add to", grown("fifo"));
  FAILS_STATUS(TV_EIO, "grow: is no regular file: it has no rows to add to", grown("/dev/null"));
  FAILS_STATUS(TV_EIO, "grow: cannot open: Is a directory", grown("folder"));
  FAILS_STATUS(TV_EIO, "grow: cannot open: Too many levels of symbolic links", grown("a"));
  tvi_file_out out;
  FAILS_STATUS(TV_EIO, "grow: is no regular file: it has no rows to add to",
               tvi_grow_begin(&out, "grow", "/dev/null", true));
  folder_leave();
}

TEST(one_writer_at_a_time_has_a_file) {
  folder_enter();
  file_put("x", "abc", 3);
  CHECK(symlink("x", "link") == 0);
  int fd;
  OK(tvi_grow_open("grow", "x", &fd));
  FAILS_STATUS(TV_EBUSY, "grow: another writer has it open", grown("link"));
  OK(tvi_grow_close("grow", fd));
  OK(grown("link"));
  folder_leave();
}

/* The path leads elsewhere each time it is looked at, `moves` times. */
static int moves;
static int moving_stat(const char *path, struct stat *out) {
  const int failed = stat(path, out);
  if (moves > 0 && moves--) out->st_ino++;
  return failed;
}

TEST(a_lock_on_a_file_that_was_replaced_is_taken_anew) {
  folder_enter();
  file_put("x", "abc", 3);
  const tvi_system real = tvi_sys;
  const int descriptors = open_descriptors();
  tvi_sys.stat = moving_stat;
  moves = 3;
  const tv_status status = grown("x");
  EQUAL(moves, 0);
  moves = 1000;
  FAILS_STATUS(TV_EBUSY, "grow: it is being replaced again and again", grown("x"));
  tvi_sys = real;
  OK(status);
  EQUAL(open_descriptors(), descriptors);
  folder_leave();
}

TEST(writing_goes_on_until_all_is_there) {
  folder_enter();
  file_put("x", "abc", 3);
  for (int pass = 0; pass < 3; pass++) {
    int fd;
    OK(tvi_grow_open("grow", "x", &fd));
    faults_begin(1, pass == 0 ? EINTR : FAULT_SHORT);
    faults.is_every = pass == 2;
    tv_status status = tvi_grow_write("grow", fd, 2, "defg", 4);
    faults_end();
    OK(status);
    faults_begin(1, EINTR);
    status = tvi_grow_sync("grow", fd);
    faults_end();
    OK(status);
    faults_begin(1, EINTR);
    status = tvi_grow_close("grow", fd);
    faults_end();
    OK(status);
    CHECK(file_is("x", "abdefg", 6));
  }
  folder_leave();
}

static int no_locks(int fd, int operation) {
  (void)fd, (void)operation;
  errno = ENOLCK;
  return -1;
}
static int no_links(const char *from, const char *to) {
  (void)from, (void)to;
  errno = EPERM;
  return -1;
}

static tv_status publish(const char *path, bool replaces, int *fd) {
  tvi_file_out out;
  const tv_status status = tvi_grow_begin(&out, "grow", path, true);
  if (status) return status;
  OK(tvi_file_write(&out, "new", 3));
  return tvi_file_publish(&out, replaces, fd);
}

TEST(new_files_appear_whole_and_locked) {
  folder_enter();
  int fd = -1;
  OK(publish("x", false, &fd));
  CHECK(fd >= 0 && file_is("x", "new", 3));
  EQUAL(folder_files(), 1);
  FAILS_STATUS(TV_EBUSY, "grow: another writer has it open", grown("x"));
  OK(tvi_grow_close("grow", fd));
  file_put("x", "old", 3);
  OK(publish("x", false, &fd)); /* there is one by now */
  CHECK(fd == -1 && file_is("x", "old", 3));
  OK(publish("x", true, &fd));
  CHECK(fd >= 0 && file_is("x", "new", 3));
  OK(tvi_grow_close("grow", fd));
  EQUAL(folder_files(), 1);
  folder_leave();
}

TEST(systems_without_links_or_locks_are_known) {
  folder_enter();
  int fd = -1;
  const tvi_system real = tvi_sys;
  tvi_sys.link = no_links;
  tv_status status = publish("x", false, &fd);
  tvi_sys = real;
  OK(status);
  CHECK(fd >= 0 && file_is("x", "new", 3));
  OK(tvi_grow_close("grow", fd));
  tvi_sys.flock = no_locks;
  const tv_status opened = grown("x");
  FAILS_STATUS(TV_EIO, "grow: cannot lock: No locks available", opened);
  status = publish("y", false, &fd);
  FAILS_STATUS(TV_EIO, "grow: cannot lock: No locks available", status);
  tvi_sys = real;
  EQUAL(folder_files(), 1);
  folder_leave();
}

TEST_MAIN("grow", CASE(what_is_no_regular_file_does_not_grow),
          CASE(one_writer_at_a_time_has_a_file),
          CASE(a_lock_on_a_file_that_was_replaced_is_taken_anew),
          CASE(writing_goes_on_until_all_is_there), CASE(new_files_appear_whole_and_locked),
          CASE(systems_without_links_or_locks_are_known))
