/* SPDX-License-Identifier: MIT
 * Appending rows when a call of the system fails, memory ends, the disk is full, or the process is
 * killed: the file has whole rows, those before or those after, and the writer may go on. */
#include <signal.h>
#include <sys/resource.h>

#include "far.h"
#include "memory.h"
#include "npy_rows.h"

/* The file is cut by somebody while it is copied to make room. */
static ssize_t cut_pread(int fd, void *out, size_t bytes, off_t offset) {
  return offset == 80 && bytes > 6 ? 0 : pread(fd, out, bytes, offset);
}

TEST(a_file_that_is_cut_while_it_is_copied_is_told) {
  folder_enter();
  put_tight();
  tv_npy_writer_options o = TV_NPY_WRITER_OPTIONS;
  o.rewrite = true;
  const tvi_system real = tvi_sys;
  tvi_sys.pread = cut_pread;
  tv_npy_writer *const w = tv_npy_writer_open("x.npy", TV_I16, TV_SHAPE(3), &o);
  tvi_sys = real;
  FAILS(TV_EIO, "npy_writer_open: x.npy: byte 80: it was cut while it was copied", w);
  CHECK(holds_rows(4));
  EQUAL(folder_files(), 1);
  folder_leave();
}

/* Open, three appends and close; *rows: what is in the file by what was told. */
static tv_status write_all(bool durable, bool rewrite, int64_t *rows) {
  tv_npy_writer_options o = TV_NPY_WRITER_OPTIONS;
  o.durable = durable;
  o.rewrite = rewrite;
  tv_npy_writer *const w = tv_npy_writer_open("x.npy", TV_I16, TV_SHAPE(3), &o);
  if (!w) return tv_error();
  tv_status first = TV_OK;
  *rows = tv_npy_writer_count(w);
  for (int i = 0; i < 3; i++) { /* and from 9 to 12 rows, where the header's words move */
    const tv_status status = tv_npy_writer_append(w, rows_between(*rows, *rows + 4));
    if (!status) *rows += 4;
    if (!first) first = status;
    EQUAL(tv_npy_writer_count(w), *rows);
  }
  if (!first) first = tv_npy_writer_sync(w);
  const tv_status status = tv_npy_writer_close(w);
  return first ? first : status;
}

/* Before: no file, one of five rows, one without room. */
static void put_old(int old) {
  remove("x.npy");
  if (old == 1) OK(tv_npy_save("x.npy", rows_between(0, 5), NULL));
  if (old == 2) put_tight();
}

static const int64_t old_rows[] = {0, 5, 4};

/* The calls are made and may fail, but nobody waits for the disk. */
static int no_sync(int fd) { return fcntl(fd, F_GETFD) < 0 ? -1 : 0; }
static tvi_system without_waits(void) {
  const tvi_system real = tvi_sys;
  tvi_sys.fsync = tvi_sys.fdatasync = no_sync;
  faults.real = tvi_sys;
  return real;
}

TEST(any_call_may_fail_and_the_file_has_whole_rows) {
  static const int errors[] = {ENOSPC, EIO, EDQUOT, EFBIG, EINTR, FAULT_SHORT};
  folder_enter();
  const tvi_system real = without_waits();
  int64_t points = 0;
  for (size_t i = 0; i < 12 * sizeof errors / sizeof *errors; i++) {
    const int error = errors[i / 12], old = (int)(i % 3);
    const bool durable = i / 3 % 2, is_every = i / 6 % 2;
    if (is_every && (error == EINTR || error == FAULT_SHORT)) continue; /* would go on for ever */
    for (int64_t n = 1; put_old(old), faults_begin(n, error); n++, points++) {
      faults.is_every = is_every;
      const int descriptors = open_descriptors();
      int64_t rows = old_rows[old];
      tv_status status = write_all(durable, old == 2, &rows);
      faults_end();
      EQUAL(open_descriptors(), descriptors);
      const bool is_in_place = status && strstr(tv_error_text(), "is in place, but");
      tv_error_clear();
      CHECK(!status || status == TV_EIO || (status == TV_EBUSY && error == EAGAIN));
      const bool is_there = access("x.npy", F_OK) == 0;
      CHECK(is_there || (old == 0 && status));
      /* More where the call fails that removes the temporary, or its other name. */
      CHECK(folder_files() <= (status && !is_every ? 1 : 2));
      if (is_there && (!is_every || !status || is_in_place)) CHECK(holds_rows(rows));
      /* Nothing is in the way of the next writer, and nothing is lost. */
      int64_t more = 0;
      if (is_every && is_there) { /* if even the old header could not be put back, it is the new */
        tv_npy_layout layout = TV_NPY_LAYOUT;
        OK(tv_npy_info("x.npy", NULL, &layout));
        CHECK(layout.shape[0] == rows || layout.shape[0] == rows + 4);
        rows = layout.shape[0];
      }
      OK(write_all(durable, true, &more));
      EQUAL(more, (is_there ? rows : 0) + 12);
      CHECK(is_saved(rows_between(0, more)));
      DIR *dir = opendir("."); /* a temporary, where unlinking it failed */
      for (struct dirent *entry; (entry = readdir(dir));)
        if (!strncmp(entry->d_name, ".tensorvar-", 11)) remove(entry->d_name);
      closedir(dir);
    }
  }
  CHECK(points > 500);
  tvi_sys = faults.real = real;
  folder_leave();
}

TEST(killed_at_any_call_the_file_has_whole_rows) {
  folder_enter();
  const tvi_system real = without_waits();
  for (int old = 0; old < 3; old++)
    for (int durable = 0; durable < 2; durable++)
      for (int64_t n = 1, is_done = false; !is_done; n++) {
        put_old(old);
        const pid_t child = fork();
        if (child == 0) {
          int64_t rows;
          faults_begin(1, FAULT_KILL);
          faults.at = n;
          _exit(write_all(durable, old == 2, &rows) ? 1 : 0);
        }
        int ended;
        CHECK(child > 0 && waitpid(child, &ended, 0) == child && WIFEXITED(ended));
        is_done = WEXITSTATUS(ended) == 0;
        CHECK(is_done || WEXITSTATUS(ended) == 9);
        const bool is_there = access("x.npy", F_OK) == 0;
        CHECK(is_there || (old == 0 && !is_done));
        int64_t rows = 0;
        if (is_there) {
          tv_npy_layout layout = TV_NPY_LAYOUT;
          OK(tv_npy_info("x.npy", NULL, &layout));
          rows = layout.shape[0];
          CHECK((rows - old_rows[old]) % 4 == 0 && rows <= old_rows[old] + 12);
          CHECK(!is_done || rows == old_rows[old] + 12);
          CHECK(holds_rows(rows));
        }
        int64_t more = 0;
        OK(write_all(false, true, &more));
        EQUAL(more, rows + 12);
        CHECK(is_saved(rows_between(0, more)));
        DIR *dir = opendir(".");
        for (struct dirent *entry; (entry = readdir(dir));)
          if (!strncmp(entry->d_name, ".tensorvar-", 11)) remove(entry->d_name);
        closedir(dir);
      }
  tvi_sys = faults.real = real;
  folder_leave();
}

TEST(any_allocation_may_fail) {
  folder_enter();
  for (int old = 0; old < 3; old++) {
    int64_t n = 0;
    for (tv_status status = TV_ENOMEM; status; tv_error_clear()) {
      put_old(old);
      const int descriptors = open_descriptors();
      tv_npy_writer_options o = TV_NPY_WRITER_OPTIONS;
      o.rewrite = true;
      tv_tensor *const odd = tv_slice(rows_between(0, 8), "::2");
      tv_tensor *const far = tv_to(odd, far_device());
      const int64_t live = tv_live_handles();
      tvi_memory_fail(++n, false);
      tv_npy_writer *const w = tv_npy_writer_open("x.npy", TV_I16, TV_SHAPE(3), &o);
      status = w ? TV_OK : tv_error();
      if (w) status = tv_npy_writer_append(w, odd);
      if (w && !status) status = tv_npy_writer_append(w, far);
      const tv_status closed = tv_npy_writer_close(w);
      tvi_memory_fail(0, false);
      OK(closed);
      EQUAL(open_descriptors(), descriptors);
      EQUAL(tv_live_handles(), live);
      CHECK(!status || status == TV_ENOMEM || strstr(tv_error_text(), "is in place, but"));
      if (status && access("x.npy", F_OK)) continue;
      tv_tensor *const x = tv_npy_load("x.npy", NULL);
      const int64_t rows = tv_tensor_shape(x)[0] - old_rows[old];
      CHECK(status ? rows == 0 || rows == 4 : rows == 8);
      EQUAL(folder_files(), 1);
    }
    CHECK(n > 5);
  }
  folder_leave();
}

/* A limit on the size of files, as a quota or a full disk: some rows fit, and then none. */
/* 0, or the step that was not as it should be. */
static tv_status grows_to_the_limit(void) {
  struct rlimit limit = {1000, 1000};
  const struct sigaction ignore = {.sa_handler = SIG_IGN};
  if (sigaction(SIGXFSZ, &ignore, NULL) || setrlimit(RLIMIT_FSIZE, &limit)) return (tv_status)2;
  tv_npy_writer *const w = writer(TV_I16, TV_SHAPE(3), false);
  int64_t n = 0;
  while (!tv_npy_writer_append(w, rows_between(n, n + 7))) n += 7;
  if (strcmp(tv_error_text(), "npy_writer_append: x.npy: cannot write: File too large"))
    return (tv_status)3;
  tv_error_clear();
  if (tv_npy_writer_count(w) != n || !holds_rows(n)) return (tv_status)4;
  if (tv_npy_writer_append(w, rows_between(n, n + 1)))
    return (tv_status)5; /* a shorter one does fit */
  return tv_npy_writer_close(w) || !holds_rows(n + 1) ? (tv_status)6 : TV_OK;
}

TEST(full_disks_are_told_and_the_rows_before_stay) {
  folder_enter();
  EQUAL(in_child(grows_to_the_limit), TV_OK);
  CHECK(holds_rows(141)); /* of (1000 - 128) / 6 = 145.3 */
  folder_leave();
}

/* Without durability nothing waits for the disk. */
TEST(scratch_files_are_not_synced) {
  folder_enter();
  for (int durable = 0; durable < 2; durable++) {
    tv_npy_writer_options o = TV_NPY_WRITER_OPTIONS;
    o.durable = durable;
    o.start = TV_NPY_REPLACE;
    tv_npy_writer *const w = tv_npy_writer_open("x.npy", TV_I16, TV_SHAPE(3), &o);
    faults_begin(1, 0);
    faults.at = -1;
    const tv_status status = tv_npy_writer_append(w, rows_between(0, 9));
    const int64_t calls = faults.calls;
    faults_end();
    OK(status);
    EQUAL(calls, durable ? 4 : 2);
    OK(tv_npy_writer_close(w));
  }
  folder_leave();
}

TEST_MAIN("npy_crash", CASE(a_file_that_is_cut_while_it_is_copied_is_told),
          CASE(any_call_may_fail_and_the_file_has_whole_rows),
          CASE(killed_at_any_call_the_file_has_whole_rows), CASE(any_allocation_may_fail),
          CASE(full_disks_are_told_and_the_rows_before_stay), CASE(scratch_files_are_not_synced))
