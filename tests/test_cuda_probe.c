/* SPDX-License-Identifier: MIT
 * What is said where CUDA cannot be used, or not all of it: each case in a process of its own,
 * begun anew with its own environment, because where libraries are looked for is settled at the
 * start. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fakecuda_test.h"

/* In the child: prints what it finds --------------------------------------------------------- */

static tv_device find(void) {
  tv_device device = TV_DEVICE_NONE;
  if (tv_device_find("cuda:0", &device)) {
    printf("%s: %s\n", tv_status_name(tv_error()), tv_error_text());
    tv_error_clear();
  }
  return device;
}

/* "ok", or the failure. */
static void tell(const char *what, bool is_done) {
  if (is_done)
    printf("%s: ok\n", what);
  else
    printf("%s: %s: %s\n", what, tv_status_name(tv_error()), tv_error_text());
  tv_error_clear();
}

static bool is_sum_right(tv_device device) {
  double sum = 0;
  tv_tensor *const x = tv_to(tv_ones(TV_F32, TV_SHAPE(4)), device);
  return !tv_item_f64(tv_sum(tv_add(x, x), TV_ALL_AXES), &sum) && sum == 8;
}

/* The device, ops on the CPU, and ops on the device. */
static void child_uses(void) {
  const tv_device device = find();
  tell("cpu", is_sum_right(TV_CPU));
  if (device == TV_DEVICE_NONE) return;
  tell("add", is_sum_right(device));
  tv_tensor *const x = tv_to(tv_ones(TV_F32, TV_SHAPE(4, 4)), device);
  tell("matmul", tv_matmul(x, x) != NULL);
  tell("add again", is_sum_right(device));
}

/* Which call retains the context, from the start of the process. */
static void child_counts(void) {
  const tv_device device = find();
  is_sum_right(device);
  const char *(*name)(int64_t);
  void *const address = dlsym(dlopen("libcuda.so.1", RTLD_NOW), "fakecuda_call_name");
  if (!address) return;
  memcpy(&name, &address, sizeof name);
  for (int64_t k = 1; name(k); k++)
    if (!strcmp(name(k), "cuDevicePrimaryCtxRetain")) printf("%d\n", (int)k);
}

static void child_forks(void) {
  const tv_device device = find();
  tell("parent", is_sum_right(device));
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    tell("child, cpu", is_sum_right(TV_CPU));
    tell("child, cuda", is_sum_right(device));
    fflush(stdout);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  tell("parent", is_sum_right(device));
}

static int child_main(const char *what) {
  tv_scope scope;
  if (tv_scope_begin(&scope)) return 1;
  if (!strcmp(what, "uses")) child_uses();
  if (!strcmp(what, "counts")) child_counts();
  if (!strcmp(what, "forks")) child_forks();
  tv_scope_end(&scope, NULL);
  return 0;
}

/* Around it ------------------------------------------------------------------------------------ */

/* What a child of this program prints, begun with these settings "NAME=value". */
static const char *said(const char *what, int n, const char *const *settings) {
  static char text[4096];
  int ends[2];
  CHECK(pipe(ends) == 0);
  fflush(NULL);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    for (int k = 0; k < n; k++) putenv((char *)(uintptr_t)settings[k]);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    alarm(200);
    execl("/proc/self/exe", "test_cuda_probe", "--child", what, (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  size_t at = 0;
  for (ssize_t got; (got = read(ends[0], text + at, sizeof text - 1 - at)) > 0;) at += (size_t)got;
  close(ends[0]);
  text[at] = 0;
  int status;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status))
    check_fail(CHECK_HERE, "the child ended with %d, having said\n%s", status, text);
  return text;
}
#define SAYS(what, text, ...)                                                       \
  SAME_TEXT(said(what, (int)(sizeof(const char *[]){__VA_ARGS__} / sizeof(char *)), \
                 (const char *const[]){__VA_ARGS__}),                               \
            text)

/* "NAME=value", kept until the next. */
static const char *setting(const char *name, const char *value) {
  static char text[4200];
  snprintf(text, sizeof text, "%s=%s", name, value);
  return text;
}

static const char *fake_folder(void) {
  static char folder[4096];
  const char *const named = getenv("LD_LIBRARY_PATH");
  if (!named || !realpath(named, folder))
    check_fail(CHECK_HERE, "LD_LIBRARY_PATH does not name the fake driver's folder");
  return folder;
}

/* A new folder in which these names lead to files of the fake driver's folder. */
static const char *folder_with(int n, const char *const *names, const char *const *files) {
  static char folder[64];
  char from[4096], to[4096];
  strcpy(folder, "tv-probe-XXXXXX");
  CHECK(mkdtemp(folder));
  for (int k = 0; k < n; k++) {
    CHECK((size_t)snprintf(from, sizeof from, "%s/%s", fake_folder(), files[k]) < sizeof from);
    CHECK((size_t)snprintf(to, sizeof to, "%s/%s", folder, names[k]) < sizeof to);
    CHECK(symlink(from, to) == 0);
  }
  return folder;
}
static void folder_drop(const char *folder, int n, const char *const *names) {
  char path[4096];
  for (int k = 0; k < n; k++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[k]);
    unlink(path);
  }
  rmdir(folder);
}

TEST(all_is_there) {
  SAYS("uses", "cpu: ok\nadd: ok\nmatmul: ok\nadd again: ok\n", "FAKECUDA_DEVICES=1");
}

TEST(no_module) {
  SAYS("uses",
       "TV_EDEVICE: device_find: no device 'cuda:0': there is cpu, and libtensorvar_cuda.so is not "
       "found\ncpu: ok\n",
       "TV_BACKEND_PATH=/nowhere");
}

TEST(no_driver) {
  const char *const text = said("uses", 1, (const char *const[]){"LD_LIBRARY_PATH=/nowhere"});
  if (!strncmp(text, "cpu: ok", 7)) SKIP("there is an NVIDIA driver here");
  SAME_TEXT(
      text,
      "TV_EDEVICE: cuda: no NVIDIA driver here: libcuda.so.1: cannot open shared object file: "
      "No such file or directory\ncpu: ok\n");
}

TEST(the_stub_of_the_toolkit) {
  SAYS("uses",
       "TV_EDEVICE: cuda: libcuda.so.1 is the toolkit's stub, not an NVIDIA driver\ncpu: ok\n",
       "FAKECUDA_STUB=1");
}

TEST(no_gpu) {
  SAYS("uses", "TV_EDEVICE: cuda: the NVIDIA driver sees no GPU\ncpu: ok\n", "FAKECUDA_DEVICES=0");
}

TEST(driver_too_old) {
  const char *const text = said("uses", 1, (const char *const[]){"FAKECUDA_VERSION=11040"});
  const char start[] =
      "TV_EDEVICE: cuda: the NVIDIA driver knows CUDA 11.4, this module was built for CUDA 1";
  CHECK(!strncmp(text, start, strlen(start)));
  CHECK(strstr(text, "\ncpu: ok\n"));
}

TEST(gpu_too_old) {
  const char *const text = said("uses", 1, (const char *const[]){"FAKECUDA_CAPABILITY=75"});
  const char start[] =
      "TV_EDEVICE: cuda:0: Fake GPU has compute capability 7.5, this module has kernels for ";
  CHECK(!strncmp(text, start, strlen(start)));
  CHECK(strstr(text, " and newer\ncpu: ok\n"));
}

TEST(gpu_is_taken) {
  char fault[64];
  const long k = strtol(said("counts", 0, NULL), NULL, 10);
  CHECK(k > 0);
  snprintf(fault, sizeof fault, "FAKECUDA_FAIL=%ld:46", k);
  const char *const text = said("uses", 1, (const char *const[]){fault});
  const char start[] = "TV_EDEVICE: cuda:0: cuDevicePrimaryCtxRetain failed: ";
  CHECK(strstr(text, "cuDevicePrimaryCtxRetain failed: CUDA_ERROR_DEVICE_UNAVAILABLE (46)\n"));
  CHECK(!strncmp(text, start, strlen(start)) || !strncmp(text, "cpu: ok\n", 8));
}

TEST(a_cublaslt_without_its_calls) {
  const char *const names[] = {"libcuda.so.1", "libcublasLt.so.13"};
  const char *const files[] = {"libcuda.so.1", "libcuda.so.1"};
  const char *const folder = folder_with(2, names, files);
  const char *const text = said("uses", 1, (const char *[]){setting("LD_LIBRARY_PATH", folder)});
  folder_drop(folder, 2, names);
  SAME_TEXT(text,
            "cpu: ok\nadd: ok\nmatmul: TV_EDEVICE: matmul: the cuBLASLt found has no "
            "cublasLtCreate\nadd again: ok\n");
}

/* Folders that are named are the only ones: another version is never taken in silence. */
TEST(no_cublaslt_in_the_folders_named) {
  SAYS("uses",
       "cpu: ok\nadd: ok\nmatmul: TV_EDEVICE: matmul: cuda:0 needs cuBLASLt, and there is no "
       "libcublasLt.so.13 or .12 in TV_CUDA_LIBS\nadd again: ok\n",
       "TV_CUDA_LIBS=/nowhere:/nor/here");
}

TEST(no_cublaslt) {
  if (!access("/usr/local/cuda/lib64/libcublasLt.so.13", F_OK) ||
      !access("/usr/local/cuda/lib64/libcublasLt.so.12", F_OK))
    SKIP("the toolkit's is where it is looked for");
  const char *const names[] = {"libcuda.so.1"};
  const char *const folder = folder_with(1, names, names);
  const char *const text = said(
      "uses", 3,
      (const char *[]){setting("LD_LIBRARY_PATH", folder), "CUDA_HOME=/nowhere", "TV_CUDA_LIBS="});
  folder_drop(folder, 1, names);
  SAME_TEXT(text,
            "cpu: ok\nadd: ok\nmatmul: TV_EDEVICE: matmul: cuda:0 needs cuBLASLt, and there is no "
            "libcublasLt.so.13 or .12 where the loader looks, in CUDA_HOME, or in /usr/local/cuda\n"
            "add again: ok\n");
}

TEST(forked_child) {
  SAYS(
      "forks",
      "parent: ok\nchild, cpu: ok\nchild, cuda: TV_EDEVICE: cuda:0: CUDA cannot be used in a child "
      "of the process that started it\nparent: ok\n",
      "FAKECUDA_DEVICES=1");
}

int main(int argc, char **argv) {
  static const check_case all[] = {CASE(all_is_there),
                                   CASE(no_module),
                                   CASE(no_driver),
                                   CASE(the_stub_of_the_toolkit),
                                   CASE(no_gpu),
                                   CASE(driver_too_old),
                                   CASE(gpu_too_old),
                                   CASE(gpu_is_taken),
                                   CASE(a_cublaslt_without_its_calls),
                                   CASE(no_cublaslt_in_the_folders_named),
                                   CASE(no_cublaslt),
                                   CASE(forked_child)};
  if (argc == 3 && !strcmp(argv[1], "--child")) return child_main(argv[2]);
  return check_main("cuda_probe", (int)(sizeof all / sizeof *all), all, argc, argv);
}
