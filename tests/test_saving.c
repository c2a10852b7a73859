/* SPDX-License-Identifier: MIT
 * Saving in every format when the process is killed or the disk is full: the old file or the new
 * one, always. What the errors of single calls do stands in the tests of each format. */
#include <signal.h>
#include <sys/resource.h>

#include "faults.h"

enum { NPY, NPZ, DEFLATED, SAFETENSORS };
static const char *const names[] = {"w", "b"};

static tv_tensor *value(bool is_new) {
  return is_new ? tv_matrix_transpose(tv_reshape(tv_arange(TV_F64, 0, 600, 1), TV_SHAPE(20, 30)))
                : tv_arange(TV_F64, 0, 3, 1);
}

static tv_status save(int format, const char *path, bool is_new) {
  tv_tensor *const two[] = {value(is_new), value(is_new)};
  tv_npz_save_options deflated = TV_NPZ_SAVE_OPTIONS;
  deflated.compression = 6;
  switch (format) {
    case NPY:
      return tv_npy_save(path, two[0], NULL);
    case NPZ:
      return tv_npz_save(path, 2, names, two, NULL);
    case DEFLATED:
      return tv_npz_save(path, 2, names, two, &deflated);
    default:
      return tv_safetensors_save(path, 2, names, two, NULL);
  }
}

static tv_tensor *load(int format) {
  if (format == NPY) return tv_npy_load("x", NULL);
  return format == SAFETENSORS ? tv_safetensors_load("x", "b", NULL) : tv_npz_load("x", "b", NULL);
}

static bool is_there(int format) { /* deflate is optional */
  const bool is = save(format, "x", false) != TV_EUNSUPPORTED;
  tv_error_clear();
  return is;
}

static bool holds(int format, bool is_new) {
  tv_tensor *const x = load(format), *const wanted = value(is_new);
  OK(x);
  return tv_tensor_size(x) == tv_tensor_size(wanted) &&
         !memcmp(tv_tensor_data(x), tv_tensor_data(wanted), (size_t)tv_tensor_bytes(x));
}

static void killed_at_any_call(intptr_t format) {
  folder_enter();
  if (!is_there((int)format)) {
    folder_leave();
    SKIP("this build is without zlib");
  }
  int64_t n = 1;
  for (bool is_done = false; !is_done; n++) {
    OK(save((int)format, "x", false));
    const pid_t child = fork();
    if (child == 0) {
      faults_begin(1, FAULT_KILL);
      faults.at = n;
      _exit(save((int)format, "x", true) ? 1 : 0);
    }
    int ended;
    CHECK(child > 0 && waitpid(child, &ended, 0) == child && WIFEXITED(ended));
    is_done = WEXITSTATUS(ended) == 0;
    CHECK(is_done || WEXITSTATUS(ended) == 9);
    CHECK(holds((int)format, true) || (!is_done && holds((int)format, false)));
    CHECK(folder_files() <= 2); /* a temporary may be left */
    DIR *dir = opendir(".");
    for (struct dirent *entry; (entry = readdir(dir));)
      if (!strncmp(entry->d_name, ".tensorvar-", 11)) remove(entry->d_name);
    closedir(dir);
  }
  CHECK(n > 12);
  folder_leave();
}

/* Every size of a file that is too small for the new one, in steps: the old one stays. */
static void disks_that_fill_up(intptr_t format) {
  folder_enter();
  if (!is_there((int)format)) {
    folder_leave();
    SKIP("this build is without zlib");
  }
  struct stat about;
  OK(save((int)format, "x", true));
  CHECK(stat("x", &about) == 0);
  for (rlim_t room = 0; room <= (rlim_t)about.st_size; room += room < 200 ? 50 : 999) {
    OK(save((int)format, "x", false));
    const pid_t child = fork();
    if (child == 0) {
      const struct rlimit limit = {room, room};
      const struct sigaction ignore = {.sa_handler = SIG_IGN};
      if (sigaction(SIGXFSZ, &ignore, NULL) || setrlimit(RLIMIT_FSIZE, &limit)) _exit(2);
      const tv_status status = save((int)format, "x", true);
      const bool is_told = strstr(tv_error_text(), ": cannot write: File too large");
      _exit(status == TV_EIO && is_told && folder_files() == 1 ? 0 : 1);
    }
    int ended;
    CHECK(child > 0 && waitpid(child, &ended, 0) == child && WIFEXITED(ended));
    EQUAL(WEXITSTATUS(ended), (rlim_t)about.st_size > room ? 0 : 1);
    CHECK(holds((int)format, room >= (rlim_t)about.st_size));
  }
  EQUAL(save((int)format, "/dev/full", true), TV_EIO);
  CHECK(strstr(tv_error_text(), ": cannot write: No space left on device"));
  tv_error_clear();
  folder_leave();
}

TEST_MAIN("saving", ROW("npy_is_old_or_new_after_a_kill", killed_at_any_call, NPY),
          ROW("npz_is_old_or_new_after_a_kill", killed_at_any_call, NPZ),
          ROW("deflated_npz_is_old_or_new_after_a_kill", killed_at_any_call, DEFLATED),
          ROW("safetensors_is_old_or_new_after_a_kill", killed_at_any_call, SAFETENSORS),
          ROW("npy_stays_where_the_disk_fills_up", disks_that_fill_up, NPY),
          ROW("npz_stays_where_the_disk_fills_up", disks_that_fill_up, NPZ),
          ROW("deflated_npz_stays_where_the_disk_fills_up", disks_that_fill_up, DEFLATED),
          ROW("safetensors_stays_where_the_disk_fills_up", disks_that_fill_up, SAFETENSORS))
