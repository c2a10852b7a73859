/* SPDX-License-Identifier: MIT
 * What the fake driver finds: kernels and driver calls with a planted mistake, and some that are
 * right. Each check runs in a child process with its own settings, because some end in a
 * segmentation fault, which is how a bad access is found. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "cuda/driver.h"
#include "fakecuda_test.h"

enum { THREADS = 256, BLOCKS = 64, N = 30003 };

static tvi_driver_calls cu;
static void (*count)(fakecuda_counts *);
static const char *(*call_name)(int64_t);
static void (*fail_call)(int64_t, int, fakecuda_how);
static void (*heal)(void);
static const char *(*what)(void);

/* What a child has found, and how it ended; shared with it. */
static struct found {
  double value;
  char text[200];
} * found;
static FILE *said; /* by a child, of itself */

/* In the child --------------------------------------------------------------------------------- */

#define MUST(call) must(call, #call)
static void must(CUresult result, const char *call) {
  if (!result) return;
  snprintf(found->text, sizeof found->text, "%s: %d", call, (int)result);
  _exit(3);
}

static void open_driver(void) {
  void *const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    snprintf(found->text, sizeof found->text, "%s", dlerror());
    _exit(3);
  }
#define FIND(name, symbol, params) {&cu.name, symbol},
  const struct {
    void *slot;
    const char *symbol;
  } calls[] = {TVI_DRIVER_CALLS(FIND){&count, "fakecuda_count"},
               {&call_name, "fakecuda_call_name"},
               {&fail_call, "fakecuda_fail"},
               {&heal, "fakecuda_heal"},
               {&what, "fakecuda_what"}};
  for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
    void *const address = dlsym(library, calls[k].symbol);
    if (!address) must(-1, calls[k].symbol);
    memcpy(calls[k].slot, &address, sizeof address);
  }
}

static CUmodule module;

static void start(void) {
  CUcontext context;
  CUdevice device;
  open_driver();
  MUST(cu.cuInit(0));
  MUST(cu.cuDeviceGet(&device, 0));
  MUST(cu.cuDevicePrimaryCtxRetain(&context, device));
  MUST(cu.cuCtxSetCurrent(context));
  MUST(cu.cuModuleLoadData(&module, "any"));
}

static CUdeviceptr device_floats(const float *from, size_t n) {
  CUdeviceptr address;
  MUST(cu.cuMemAlloc(&address, n * sizeof(float)));
  if (from) MUST(cu.cuMemcpyHtoDAsync(address, from, n * sizeof(float), NULL));
  return address;
}

static CUresult try_launch(const char *name, unsigned blocks, unsigned threads, unsigned shared,
                           void **params) {
  CUfunction function;
  MUST(cu.cuModuleGetFunction(&function, module, name));
  return cu.cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, shared, NULL, params, NULL);
}

static void launch(const char *name, unsigned blocks, unsigned threads, unsigned shared,
                   void **params) {
  must(try_launch(name, blocks, threads, shared, params), name);
}

static void fetch(float *to, CUdeviceptr from, size_t n) {
  MUST(cu.cuMemcpyDtoHAsync(to, from, n * sizeof(float), NULL));
  MUST(cu.cuStreamSynchronize(NULL));
}

static const float *numbers(void) {
  static float x[N];
  static bool is_made;
  for (uint32_t i = 0; i < N && !is_made; i++)
    x[i] = (float)(i * 2654435761u >> 8 & 0xffff) / 65536;
  if (!is_made) is_made = true;
  return x;
}

static double add(void) {
  start();
  static float got[N];
  int64_t n = N;
  const float *const x = numbers();
  CUdeviceptr a = device_floats(x, N), out = device_floats(NULL, N);
  launch("planted_add", (N + 4 * THREADS - 1) / (4 * THREADS), THREADS, 0,
         (void *[]){&a, &a, &out, &n});
  fetch(got, out, N);
  for (int i = 0; i < N; i++)
    if (got[i] != 2 * x[i]) return i;
  return -1;
}

static double sum_with(const char *kernel) {
  start();
  int64_t n = N, blocks = BLOCKS;
  float got;
  CUdeviceptr x = device_floats(numbers(), N);
  CUdeviceptr partial = device_floats(NULL, BLOCKS), total = device_floats(NULL, 1);
  launch(kernel, BLOCKS, THREADS, 0, (void *[]){&x, &partial, &n});
  launch("planted_sum", 1, THREADS, 0, (void *[]){&partial, &total, &blocks});
  fetch(&got, total, 1);
  return (double)got;
}

static double sum(void) { return sum_with("planted_sum"); }
static double sum_without_barrier(void) { return sum_with("planted_missing_barrier"); }

static double reverse(void) {
  start();
  static float got[4 * THREADS];
  const float *const x = numbers();
  CUdeviceptr in = device_floats(x, 4 * THREADS), out = device_floats(NULL, 4 * THREADS);
  launch("planted_reverse", 4, THREADS, sizeof(float[THREADS]), (void *[]){&in, &out});
  fetch(got, out, 4 * THREADS);
  for (int i = 0; i < 4 * THREADS; i++)
    if (got[i] != x[i / THREADS * THREADS + THREADS - 1 - i % THREADS]) return i;
  return -1;
}

static double votes(void) {
  start();
  uint32_t got[64];
  CUdeviceptr out = device_floats(NULL, 64);
  launch("planted_votes", 1, 64, 0, (void *[]){&out});
  MUST(cu.cuMemcpyDtoHAsync(got, out, sizeof got, NULL));
  MUST(cu.cuStreamSynchronize(NULL));
  for (uint32_t i = 0; i < 64; i++) {
    const uint32_t lane = i % 32, alike = 0xfu << lane / 4 * 4;
    if (got[i] != (0x49249249u ^ (lane / 8 * 8 + 5) << 8 ^ alike ^ 1u << 16)) return i;
  }
  return -1;
}

static double trouble(const char *kernel) {
  start();
  CUdeviceptr out = device_floats(NULL, 32);
  launch(kernel, 1, 32, 0, (void *[]){&out});
  const CUresult result = cu.cuStreamSynchronize(NULL);
  snprintf(found->text, sizeof found->text, "%s", what());
  return result;
}
static double divergent(void) { return trouble("planted_divergent_barrier"); }
static double deadlock(void) { return trouble("planted_deadlock"); }

static double unset_shared(void) {
  start();
  CUdeviceptr out = device_floats(NULL, 32);
  float got[32];
  launch("planted_unset_shared", 1, 32, sizeof got, (void *[]){&out});
  fetch(got, out, 32);
  int n = 0;
  for (int i = 0; i < 32; i++) n += isnan(got[i]) != 0;
  return n;
}

static double unset_memory(void) {
  start();
  CUdeviceptr out = device_floats(NULL, 32);
  float got[32];
  fetch(got, out, 32);
  return isnan(got[0]) && isnan(got[31]);
}

static double out_of_bounds(void) {
  start();
  int64_t n = 64;
  CUdeviceptr out = device_floats(NULL, 64);
  launch("planted_out_of_bounds", 1, 32, 0, (void *[]){&out, &n});
  return cu.cuStreamSynchronize(NULL);
}

static double behind_the_end(void) { /* before the page's, where only cuMemFree can look */
  start();
  int64_t n = 3;
  CUdeviceptr out = device_floats(NULL, 3);
  launch("planted_out_of_bounds", 1, 1, 0, (void *[]){&out, &n});
  return cu.cuMemFree(out);
}

static double host_access(void) {
  start();
  CUdeviceptr x = device_floats(numbers(), 32);
  MUST(cu.cuStreamSynchronize(NULL));
  return (double)*(volatile float *)(uintptr_t)x;
}

static double use_after_free(void) {
  start();
  int64_t n = 32;
  CUdeviceptr x = device_floats(numbers(), 32), out = device_floats(NULL, 32);
  MUST(cu.cuMemFree(x));
  launch("planted_add", 1, 32, 0, (void *[]){&x, &x, &out, &n});
  return cu.cuStreamSynchronize(NULL);
}

static double pinned_after_free(void) {
  start();
  void *block;
  CUdeviceptr x = device_floats(NULL, 32);
  MUST(cu.cuMemHostAlloc(&block, 128, 0));
  MUST(cu.cuMemcpyHtoDAsync(x, block, 128, NULL));
  MUST(cu.cuMemFreeHost(block));
  return cu.cuStreamSynchronize(NULL);
}

static double another_gpu(void) {
  start();
  CUcontext other;
  CUmodule there;
  CUfunction function;
  int64_t n = 32;
  CUdeviceptr x = device_floats(numbers(), 32);
  MUST(cu.cuStreamSynchronize(NULL));
  MUST(cu.cuDevicePrimaryCtxRetain(&other, 1));
  MUST(cu.cuCtxSetCurrent(other));
  MUST(cu.cuModuleLoadData(&there, "any"));
  MUST(cu.cuModuleGetFunction(&function, there, "planted_add"));
  if (cu.cuMemcpyHtoDAsync(x, numbers(), 4, NULL) != CUDA_ERROR_INVALID_VALUE) return -1;
  MUST(cu.cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, NULL, (void *[]){&x, &x, &x, &n}, NULL));
  return cu.cuStreamSynchronize(NULL);
}

static double copy_across_streams(bool waits) {
  start();
  const float *const x = numbers();
  float got[32];
  CUstream up, down;
  CUevent copied;
  CUdeviceptr device = device_floats(NULL, 32);
  MUST(cu.cuStreamCreate(&up, CU_STREAM_NON_BLOCKING));
  MUST(cu.cuStreamCreate(&down, CU_STREAM_NON_BLOCKING));
  MUST(cu.cuEventCreate(&copied, CU_EVENT_DISABLE_TIMING));
  MUST(cu.cuMemcpyHtoDAsync(device, x, sizeof got, up));
  MUST(cu.cuEventRecord(copied, up));
  if (waits) MUST(cu.cuStreamWaitEvent(down, copied, 0));
  MUST(cu.cuMemcpyDtoHAsync(got, device, sizeof got, down));
  MUST(cu.cuStreamSynchronize(down));
  return memcmp(got, x, sizeof got) == 0;
}
static double event_waited_for(void) { return copy_across_streams(true); }
static double event_forgotten(void) { return copy_across_streams(false); }

static double events(void) {
  start();
  CUevent from, to;
  float milliseconds = -1;
  int64_t n = N;
  CUdeviceptr x = device_floats(numbers(), N);
  MUST(cu.cuEventCreate(&from, CU_EVENT_DEFAULT));
  MUST(cu.cuEventCreate(&to, CU_EVENT_DEFAULT));
  MUST(cu.cuEventQuery(from)); /* never recorded */
  MUST(cu.cuEventRecord(from, NULL));
  launch("planted_add", N / THREADS, THREADS, 0, (void *[]){&x, &x, &x, &n});
  MUST(cu.cuEventRecord(to, NULL));
  if (cu.cuEventQuery(to) != CUDA_ERROR_NOT_READY) return 1;
  if (cu.cuEventElapsedTime(&milliseconds, from, to) != CUDA_ERROR_NOT_READY) return 2;
  int asked = 0; /* who asks long enough sees it done */
  while (cu.cuEventQuery(to) == CUDA_ERROR_NOT_READY)
    if (++asked > 1000) return 3;
  MUST(cu.cuEventElapsedTime(&milliseconds, from, to));
  MUST(cu.cuEventSynchronize(to));
  MUST(cu.cuEventDestroy(from));
  return milliseconds > 0 && milliseconds < 10e3f ? 0 : 4;
}

static double host_memory_is_read_late(void) {
  start();
  float x = 1, got;
  CUdeviceptr device = device_floats(&x, 1);
  x = 2;
  fetch(&got, device, 1);
  return (double)got;
}

static double out_of_memory(void) {
  start();
  CUdeviceptr small, large;
  size_t free_bytes, total_bytes;
  MUST(cu.cuMemAlloc(&small, 1 << 10));
  MUST(cu.cuMemGetInfo(&free_bytes, &total_bytes));
  if (total_bytes != 65536 || free_bytes != 65536 - 1024) return -1;
  return cu.cuMemAlloc(&large, 1 << 20);
}

static double lost_device(void) {
  start();
  CUdeviceptr x = device_floats(numbers(), 32);
  int64_t n = 32;
  fail_call(2, CUDA_ERROR_ILLEGAL_ADDRESS, FAKECUDA_LATE); /* after cuModuleGetFunction */
  launch("planted_add", 1, 32, 0, (void *[]){&x, &x, &x, &n});
  if (cu.cuStreamSynchronize(NULL) != CUDA_ERROR_ILLEGAL_ADDRESS) return -1;
  if (cu.cuMemFree(x) != CUDA_ERROR_ILLEGAL_ADDRESS) return -2;
  heal();
  return cu.cuMemFree(x);
}

static double one_call_fails(void) {
  start();
  CUdeviceptr x;
  fail_call(1, 0, FAKECUDA_ONCE);
  if (cu.cuMemAlloc(&x, 4) != CUDA_ERROR_OUT_OF_MEMORY) return -1;
  MUST(cu.cuMemAlloc(&x, 4));
  fail_call(2, 0, FAKECUDA_FOREVER);
  MUST(cu.cuStreamSynchronize(NULL));
  if (cu.cuStreamSynchronize(NULL) != CUDA_ERROR_UNKNOWN || cu.cuMemFree(x) != CUDA_ERROR_UNKNOWN)
    return -2;
  heal();
  fakecuda_counts before, after;
  count(&before);
  MUST(cu.cuMemFree(x));
  count(&after);
  if (strcmp(call_name(after.calls), "cuMemFree") || call_name(after.calls + 1)) return -3;
  if (after.calls != before.calls + 1 || before.allocations != 1 || after.allocations) return -4;
  return 0;
}

static double limits(void) {
  start();
  CUdeviceptr x = device_floats(NULL, 32);
  void *params[] = {&x, &x, &x, &x};
  if (!try_launch("planted_add", 1, 1025, 0, params)) return 1;
  if (!try_launch("planted_add", 0, 32, 0, params)) return 2;
  if (!try_launch("planted_reverse", 1, 32, (48 << 10) + 1, params)) return 3;
  CUfunction function;
  if (cu.cuModuleGetFunction(&function, module, "absent") != CUDA_ERROR_NOT_FOUND) return 4;
  MUST(cu.cuCtxSetCurrent(NULL));
  return cu.cuMemAlloc(&x, 4);
}

static double init(void) {
  open_driver();
  return cu.cuInit(0);
}
static double version(void) {
  int got;
  open_driver();
  MUST(cu.cuDriverGetVersion(&got)); /* before cuInit, as the real one */
  MUST(cu.cuInit(0));
  MUST(cu.cuDriverGetVersion(&got));
  return got;
}

static void *adds(void *context) {
  static float got[8][1024];
  const int k = (int)(intptr_t)context;
  CUcontext current;
  int64_t n = 1024;
  MUST(cu.cuDevicePrimaryCtxRetain(&current, 0));
  MUST(cu.cuCtxSetCurrent(current));
  CUstream stream;
  CUdeviceptr x, out;
  CUfunction function;
  MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  MUST(cu.cuModuleGetFunction(&function, module, k % 2 ? "planted_add" : "planted_reverse"));
  for (int turn = 0; turn < 20; turn++) {
    MUST(cu.cuMemAlloc(&x, sizeof got[k]));
    MUST(cu.cuMemAlloc(&out, sizeof got[k]));
    MUST(cu.cuMemcpyHtoDAsync(x, numbers(), sizeof got[k], stream));
    MUST(cu.cuLaunchKernel(function, 4, 1, 1, 256, 1, 1, 1024, stream,
                           k % 2 ? (void *[]){&x, &x, &out, &n} : (void *[]){&x, &out}, NULL));
    MUST(cu.cuMemcpyDtoHAsync(got[k], out, sizeof got[k], stream));
    MUST(cu.cuStreamSynchronize(stream));
    const float want = k % 2 ? 2 * numbers()[300] : numbers()[256 + 255 - 44];
    if (got[k][300] != want) must(-1, "a wrong element");
    MUST(cu.cuMemFree(x));
    MUST(cu.cuMemFree(out));
  }
  return NULL;
}
static double threads(void) {
  start();
  numbers();
  pthread_t thread[8];
  for (intptr_t k = 0; k < 8; k++) pthread_create(&thread[k], NULL, adds, (void *)k);
  for (int k = 0; k < 8; k++) pthread_join(thread[k], NULL);
  return 0;
}

static double speed(void) {
  start();
  int64_t n = N;
  enum { MANY = 1024 };
  CUdeviceptr x = device_floats(numbers(), N), partial = device_floats(NULL, MANY);
  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  launch("planted_sum", MANY, THREADS, 0, (void *[]){&x, &partial, &n});
  MUST(cu.cuStreamSynchronize(NULL));
  clock_gettime(CLOCK_MONOTONIC, &to);
  return 1e-6 * MANY * THREADS /
         ((double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec));
}

/* Around it --------------------------------------------------------------------------------- */

/* Run a check with one setting "NAME=value", or NULL. The signal that ended it; 0, with what it
 * found, or -1 for a call that failed. */
static int in_child(const char *setting, double (*check)(void)) {
  static const char *const own[] = {"FAKECUDA_DEVICES", "FAKECUDA_LIMIT", "FAKECUDA_FAIL"};
  if (!found)
    found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (!said) said = tmpfile();
  CHECK(found != MAP_FAILED && said && ftruncate(fileno(said), 0) == 0);
  CHECK(lseek(fileno(said), 0, SEEK_SET) == 0);
  *found = (struct found){.value = -1e9};
  fflush(NULL);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL); /* a sanitizer would tell of it at length */
    signal(SIGABRT, SIG_DFL);
    dup2(fileno(said), STDERR_FILENO);
    for (size_t k = 0; k < sizeof own / sizeof *own; k++) unsetenv(own[k]);
    if (setting) putenv(strdup(setting));
    alarm(200);
    found->value = check();
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status)) return WTERMSIG(status);
  return WEXITSTATUS(status) ? -1 : 0;
}

/* Whether the child has said this. */
static bool has_said(const char *text) {
  static char all[1 << 16];
  const ssize_t n = pread(fileno(said), all, sizeof all - 1, 0);
  all[n > 0 ? n : 0] = 0;
  return strstr(all, text) != NULL;
}

static double finds(const char *setting, double (*check)(void)) {
  const int ended = in_child(setting, check);
  if (ended) check_fail(CHECK_HERE, "ended by %d, %s", ended, found->text);
  return found->value;
}

static const char *const orders[] = {"FAKECUDA_ORDER=forward", "FAKECUDA_ORDER=reverse",
                                     "FAKECUDA_ORDER=shuffled"};

static double exact_sum(void) {
  double total = 0;
  for (int i = 0; i < N; i++) total += (double)numbers()[i];
  return total;
}

TEST(right_kernels_are_right) {
  const double total = exact_sum();
  float first = 0;
  for (int i = 0; i < 3; i++) {
    EQUAL(finds(orders[i], add), -1);
    EQUAL(finds(orders[i], reverse), -1);
    EQUAL(finds(orders[i], votes), -1);
    const float got = (float)finds(orders[i], sum);
    CHECK(fabs((double)got / total - 1) < 1e-6);
    if (i == 0) first = got;
    CHECK(got == first);
  }
  EQUAL(finds("FAKECUDA_EAGER=1", add), -1);
}

TEST(missing_barrier) {
#ifdef __SANITIZE_THREAD__
  for (int i = 0; i < 3; i++) {
    CHECK(in_child(orders[i], sum_without_barrier) != 0);
    CHECK(has_said("data race") && has_said("planted.cu") && has_said("planted_missing_barrier"));
  }
#else
  const double total = exact_sum();
  int right = 0;
  for (int i = 0; i < 3; i++)
    right += fabs(finds(orders[i], sum_without_barrier) / total - 1) < 1e-6;
  EQUAL(right, 1);
#endif
}

TEST(divergent_barrier) {
  EQUAL(finds(NULL, divergent), CUDA_ERROR_LAUNCH_FAILED);
  SAME_TEXT(found->text, "planted_divergent_barrier: threads of a block met at different barriers");
}

TEST(deadlock) {
  EQUAL(finds(NULL, deadlock), CUDA_ERROR_LAUNCH_FAILED);
  SAME_TEXT(found->text,
            "planted_deadlock: deadlock: 1 threads of a block at a barrier, 31 in a warp exchange");
}

TEST(unset_memory) {
  EQUAL(finds(NULL, unset_shared), 32);
  EQUAL(finds(NULL, unset_memory), 1);
}

TEST(bad_accesses) {
  EQUAL(in_child(NULL, out_of_bounds), SIGSEGV);
  EQUAL(in_child(NULL, behind_the_end), SIGABRT);
  CHECK(has_said("something was written behind a block of 12 bytes"));
  EQUAL(in_child(NULL, host_access), SIGSEGV);
  EQUAL(in_child(NULL, use_after_free), SIGSEGV);
  EQUAL(in_child(NULL, pinned_after_free), SIGSEGV);
  EQUAL(in_child("FAKECUDA_DEVICES=2", another_gpu), SIGSEGV);
}

TEST(streams_are_lazy) {
  EQUAL(finds(NULL, event_waited_for), 1);
  EQUAL(finds(NULL, event_forgotten), 0);
  EQUAL(finds(NULL, host_memory_is_read_late), 2);
  EQUAL(finds("FAKECUDA_EAGER=1", host_memory_is_read_late), 1);
  EQUAL(finds(NULL, events), 0);
}

TEST(faults_on_request) {
  EQUAL(finds("FAKECUDA_LIMIT=65536", out_of_memory), CUDA_ERROR_OUT_OF_MEMORY);
  EQUAL(finds(NULL, lost_device), 0);
  EQUAL(finds(NULL, one_call_fails), 0);
  EQUAL(finds("FAKECUDA_FAIL=1:46", init), 46);
  EQUAL(finds("FAKECUDA_DEVICES=0", init), CUDA_ERROR_NO_DEVICE);
  EQUAL(finds("FAKECUDA_STUB=1", init), CUDA_ERROR_STUB_LIBRARY);
  EQUAL(finds("FAKECUDA_VERSION=11000", version), 11000);
  EQUAL(finds(NULL, limits), 201);
}

TEST(many_host_threads) { EQUAL(finds(NULL, threads), 0); }

TEST(speed) {
  const double mega = finds(NULL, speed);
  printf("%.2f million threads a second in sums over a block\n", mega);
  CHECK(mega > 0);
}

TEST_MAIN("cuda_fake", CASE(right_kernels_are_right), CASE(missing_barrier),
          CASE(divergent_barrier), CASE(deadlock), CASE(unset_memory), CASE(bad_accesses),
          CASE(streams_are_lazy), CASE(faults_on_request), CASE(many_host_threads), CASE(speed))
