/* SPDX-License-Identifier: MIT
 * Replacing files: the old one or the new one, whichever call of the system fails. */
#include "faults.h"
#include "memory.h"

static const char old_text[] = "old", new_text[] = "new and longer";
#define IS_OLD(path) file_is(path, old_text, 3)
#define IS_NEW(path) file_is(path, new_text, 14)

static tv_status save(const char *path, bool is_durable) {
  tvi_file_out out;
  tv_status status = tvi_file_begin(&out, "save", path, is_durable);
  if (status) return status;
  status = tvi_file_write(&out, new_text, 7);
  if (!status) status = tvi_file_write(&out, new_text + 7, 7);
  if (!status) return tvi_file_commit(&out);
  tvi_file_abandon(&out);
  return status;
}

static mode_t mode_of(const char *path) {
  struct stat about;
  CHECK(stat(path, &about) == 0);
  return about.st_mode & 07777;
}

TEST(a_new_file_has_the_mode_of_any_new_file) {
  folder_enter();
  file_put("other", "", 0);
  OK(save("x", true));
  CHECK(IS_NEW("x"));
  EQUAL(mode_of("x"), mode_of("other"));
  EQUAL(folder_files(), 2);
  folder_leave();
}

TEST(a_replaced_file_keeps_its_permission_bits) {
  folder_enter();
  file_put("x", old_text, 3);
  CHECK(chmod("x", 0640) == 0);
  OK(save("./x", false));
  CHECK(IS_NEW("x"));
  EQUAL(mode_of("x"), 0640);
  folder_leave();
}

TEST(links_are_followed_and_stay) {
  folder_enter();
  file_put("x", old_text, 3);
  CHECK(symlink("x", "one") == 0 && symlink("./one", "two") == 0 &&
        symlink("none", "dangling") == 0);
  char absolute[4096];
  CHECK(getcwd(absolute, sizeof absolute - 4));
  memcpy(absolute + strlen(absolute), "/x", sizeof "/x");
  CHECK(symlink(absolute, "three") == 0);
  OK(save("two", true));
  CHECK(IS_NEW("x"));
  file_put("x", old_text, 3);
  OK(save("three", true));
  CHECK(IS_NEW("x"));
  OK(save("dangling", true));
  CHECK(IS_NEW("none"));
  struct stat about;
  CHECK(lstat("two", &about) == 0 && S_ISLNK(about.st_mode));
  CHECK(symlink("b", "a") == 0 && symlink("a", "b") == 0);
  FAILS_STATUS(TV_EIO, "save: cannot open: Too many levels of symbolic links", save("a", true));
  folder_leave();
}

TEST(what_is_no_regular_file_is_written_directly) {
  FAILS_STATUS(TV_EIO, "save: cannot write: No space left on device", save("/dev/full", true));
  OK(save("/dev/null", true));
  struct stat about;
  CHECK(stat("/dev/null", &about) == 0 && S_ISCHR(about.st_mode));
  int ends[2];
  char path[64], got[20];
  CHECK(pipe(ends) == 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
  OK(save(path, true));
  EQUAL(read(ends[0], got, sizeof got), 14);
  CHECK(!memcmp(got, new_text, 14));
  close(ends[0]);
  close(ends[1]);
}

TEST(what_cannot_be_written_is_told) {
  folder_enter();
  CHECK(mkdir("folder", 0700) == 0);
  FAILS_STATUS(TV_EIO, "save: cannot write: Is a directory", save("folder", true));
  FAILS_STATUS(TV_EIO, "save: cannot create a file beside it: No such file or directory",
               save("none/x", true));
  FAILS_STATUS(TV_EIO, "save: cannot open: No such file or directory", save("", true));
  file_put("x", old_text, 3);
  FAILS_STATUS(TV_EIO, "save: cannot open: Not a directory", save("x/y", true));
  CHECK(chmod("x", 0400) == 0);
  if (geteuid()) FAILS_STATUS(TV_EIO, "save: cannot write: Permission denied", save("x", true));
  folder_leave();
}

static ssize_t endless_link(const char *path, char *out, size_t bytes) {
  (void)path;
  memset(out, 'x', bytes > 1000 && path[0] == 'l' ? bytes : 1);
  return path[0] == 'l' ? (ssize_t)bytes : 1;
}
static ssize_t write_nothing(int fd, const void *from, size_t bytes) {
  return (void)fd, (void)from, (void)bytes, 0;
}

TEST(a_system_that_misbehaves_is_told) {
  folder_enter();
  const tvi_system real = tvi_sys;
  tvi_sys.readlink = endless_link;
  const tv_status turning = save("x", true);
  FAILS_STATUS(TV_EIO, "save: cannot follow links: Too many levels of symbolic links", turning);
  const tv_status growing = save("long", true);
  FAILS_STATUS(TV_EIO, "save: cannot follow links: File name too long", growing);
  tvi_sys = real;
  tvi_sys.write = write_nothing;
  const tv_status stuck = save("x", true);
  FAILS_STATUS(TV_EIO, "save: cannot write: Input/output error", stuck);
  tvi_sys = real;
  EQUAL(folder_files(), 0);
  folder_leave();
}

TEST(names_may_be_as_long_as_the_system_takes) {
  char name[257];
  memset(name, 'x', 256);
  name[255] = '\0';
  folder_enter();
  OK(save(name, true));
  CHECK(IS_NEW(name));
  name[255] = 'x';
  name[256] = '\0';
  FAILS_STATUS(TV_EIO, "save: cannot open: File name too long", save(name, true));
  folder_leave();
}

/* One pass over all calls of a save, each failing with `error` in turn; how many there were. */
static int64_t sweep(int error, bool has_old) {
  int64_t n = 1;
  for (; faults_begin(n, error); n++) {
    remove("x");
    if (has_old) file_put("x", old_text, 3);
    const int descriptors = open_descriptors();
    const tv_status status = save("x", true);
    faults_end();
    EQUAL(open_descriptors(), descriptors);
    const bool is_new = IS_NEW("x"), is_old = has_old ? IS_OLD("x") : access("x", F_OK) != 0;
    if (status) {
      EQUAL(status, TV_EIO);
      CHECK(is_old || (is_new && strstr(tv_error_text(), "is in place, but")));
    } else {
      CHECK(is_new);
    }
    tv_error_clear();
    EQUAL(folder_files(), access("x", F_OK) == 0);
  }
  return n - 1;
}

TEST(any_call_may_fail_and_the_file_is_old_or_new) {
  static const int errors[] = {ENOSPC, EIO, EDQUOT, EFBIG, EINTR, EACCES, FAULT_SHORT};
  folder_enter();
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    CHECK(sweep(errors[i], true) >= 12);
    CHECK(sweep(errors[i], false) >= 9);
  }
  folder_leave();
}

TEST(interrupted_and_short_writes_go_on) {
  folder_enter();
  for (int pass = 0; pass < 2; pass++) {
    faults_begin(1, pass ? FAULT_SHORT : EINTR);
    if (pass) faults.is_every = true;
    const int64_t before = faults.calls;
    tvi_file_out out = {.who = "x", .fd = open("x", O_WRONLY | O_CREAT | O_TRUNC, 0600)};
    CHECK(out.fd >= 0);
    OK(tvi_file_write(&out, new_text, 14));
    EQUAL(faults.calls - before, pass ? 14 : 2);
    faults_end();
    OK(tvi_file_commit(&out));
    CHECK(IS_NEW("x"));
  }
  folder_leave();
}

TEST(killed_at_any_call_the_file_is_old_or_new) {
  folder_enter();
  for (int64_t n = 1, is_done = false; !is_done; n++) {
    file_put("x", old_text, 3);
    const pid_t child = fork();
    if (child == 0) {
      faults_begin(1, FAULT_KILL);
      faults.at = n;
      _exit(save("x", true) ? 1 : 0);
    }
    int ended;
    CHECK(child > 0 && waitpid(child, &ended, 0) == child && WIFEXITED(ended));
    is_done = WEXITSTATUS(ended) == 0;
    CHECK(is_done || WEXITSTATUS(ended) == 9);
    CHECK(IS_OLD("x") || IS_NEW("x"));
    CHECK(folder_files() <= 2); /* a temporary may be left */
    DIR *dir = opendir(".");
    for (struct dirent *entry; (entry = readdir(dir));)
      if (!strncmp(entry->d_name, ".tensorvar-", 11)) remove(entry->d_name);
    closedir(dir);
  }
  CHECK(IS_NEW("x"));
  folder_leave();
}

TEST(any_allocation_may_fail) {
  folder_enter();
  file_put("x", old_text, 3);
  CHECK(symlink("x", "link") == 0);
  int64_t n = 0;
  for (tv_status status = TV_ENOMEM; status; tv_error_clear()) {
    tvi_memory_fail(++n, false);
    status = save("link", true);
    tvi_memory_fail(0, false);
    CHECK(!status || IS_OLD("x") || strstr(tv_error_text(), "is in place, but"));
    EQUAL(folder_files(), 2);
  }
  CHECK(IS_NEW("x") && n > 4);
  folder_leave();
}

TEST(temporaries_of_others_are_left_alone) {
  folder_enter();
  char name[64];
  for (int i = 0; i < 300; i++) { /* those that this process would take next are among them */
    snprintf(name, sizeof name, ".tensorvar-%ld-%d.tmp", (long)getpid(), i);
    file_put(name, old_text, 3);
  }
  const tv_status status = save("x", true);
  if (status) FAILS_STATUS(TV_EIO, "save: cannot create a file beside it: File exists", status);
  for (int i = 0; i < 300; i++) {
    snprintf(name, sizeof name, ".tensorvar-%ld-%d.tmp", (long)getpid(), i);
    CHECK(IS_OLD(name));
  }
  folder_leave();
}

TEST(reading_goes_on_until_enough) {
  folder_enter();
  file_put("x", new_text, 14);
  char got[20];
  int64_t n;
  for (int pass = 0; pass < 3; pass++) {
    const int fd = tvi_file_open("read", "x");
    CHECK(fd >= 0);
    faults_begin(1, pass == 0 ? EINTR : FAULT_SHORT);
    faults.is_every = pass == 2;
    OK(tvi_file_read("read", fd, got, 20, &n));
    faults_end();
    EQUAL(n, 14);
    CHECK(!memcmp(got, new_text, 14));
    OK(tvi_file_read("read", fd, got, 20, &n));
    EQUAL(n, 0);
    tvi_file_close(fd);
  }
  folder_leave();
}

TEST(sizes_are_told_where_there_are_some) {
  folder_enter();
  int64_t left = 0, at = -1;
  file_put("x", new_text, 14);
  int fd = tvi_file_open("read", "x");
  OK(tvi_file_left("read", fd, &left, &at));
  EQUAL(left, 14);
  CHECK(lseek(fd, 4, SEEK_SET) == 4);
  OK(tvi_file_left("read", fd, &left, &at));
  EQUAL(left, 10);
  EQUAL(at, 4);
  CHECK(lseek(fd, 40, SEEK_SET) == 40);
  OK(tvi_file_left("read", fd, &left, &at));
  EQUAL(left, 0);
  for (int64_t n = 1; faults_begin(n, EIO); n++) {
    const tv_status status = tvi_file_left("read", fd, &left, &at);
    faults_end();
    if (n <= 2) EQUAL(status, TV_EIO);
    tv_error_clear();
  }
  tvi_file_close(fd);
  fd = tvi_file_open("read", "/dev/zero");
  OK(tvi_file_left("read", fd, &left, &at));
  EQUAL(left, -1);
  tvi_file_close(fd);
  fd = tvi_file_open("read", ".");
  FAILS_STATUS(TV_EIO, "read: cannot read: Is a directory", tvi_file_left("read", fd, &left, &at));
  tvi_file_close(fd);
  EQUAL(tvi_file_open("read", "none"), -1);
  FAILS_STATUS(TV_EIO, "read: cannot open: No such file or directory", tv_error());
  folder_leave();
}

TEST(names_are_escaped_and_cut_in_messages) {
  tvi_who who;
  SAME_TEXT(tvi_who_text(&who, "f", "a\nb.npy"), "f: a\\x0ab.npy");
  SAME_TEXT(tvi_who_text(&who, "f", ""), "f: ");
  char path[5000];
  memset(path, '\xff', sizeof path);
  memcpy(path + 4990, "/end.npy", sizeof "/end.npy");
  const char *text = tvi_who_text(&who, "f", path);
  CHECK(strlen(text) < TVI_WHO);
  CHECK(!strncmp(text, "f: ...", 6) && strstr(text, "/end.npy"));
}

TEST_MAIN("file", CASE(a_new_file_has_the_mode_of_any_new_file),
          CASE(a_replaced_file_keeps_its_permission_bits), CASE(links_are_followed_and_stay),
          CASE(what_is_no_regular_file_is_written_directly), CASE(what_cannot_be_written_is_told),
          CASE(a_system_that_misbehaves_is_told), CASE(names_may_be_as_long_as_the_system_takes),
          CASE(any_call_may_fail_and_the_file_is_old_or_new),
          CASE(interrupted_and_short_writes_go_on), CASE(killed_at_any_call_the_file_is_old_or_new),
          CASE(any_allocation_may_fail), CASE(temporaries_of_others_are_left_alone),
          CASE(reading_goes_on_until_enough), CASE(sizes_are_told_where_there_are_some),
          CASE(names_are_escaped_and_cut_in_messages))
