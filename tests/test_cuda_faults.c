/* SPDX-License-Identifier: MIT
 * Driver calls that fail: a short program of public calls, once to count the calls that it makes,
 * then with each of them failing, in a process of its own. The failure has the right status and
 * names the call, nothing leaks, the CPU works on, and so does the device, or says that it is lost.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fakecuda_test.h"

enum {
  N = 8,
  TEXT = 600,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  ILLEGAL_ADDRESS = 700,
  LAUNCH_FAILED = 719
};

/* The fake driver's words. */
static struct {
  void (*count)(fakecuda_counts *);
  const char *(*call_name)(int64_t);
  void (*fail)(int64_t, int, fakecuda_how);
  int (*has_failed)(void);
  void (*heal)(void);
} fake;

static bool fake_find(void) {
  void *const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  const struct {
    void *slot;
    const char *symbol;
  } words[] = {{&fake.count, "fakecuda_count"},
               {&fake.call_name, "fakecuda_call_name"},
               {&fake.fail, "fakecuda_fail"},
               {&fake.has_failed, "fakecuda_has_failed"},
               {&fake.heal, "fakecuda_heal"}};
  for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
    void *const address = driver ? dlsym(driver, words[k].symbol) : NULL;
    if (!address) return false;
    memcpy(words[k].slot, &address, sizeof address);
  }
  return true;
}

/* The program ---------------------------------------------------------------------------------- */

/* What a run came to. */
typedef struct outcome {
  tv_status status;
  char text[TEXT];
  double numbers[5];
} outcome;

static void train(tv_tensor *x) {
  tv_variable *const v = tv_variable_new(x, NULL);
  tv_optimizer *const adam = tv_adam_new(NULL);
  tv_tensor *g = NULL;
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const loss = tv_mean(tv_square(tv_tanh(tv_matmul(x, tv_read(v)))), TV_ALL_AXES);
  tv_tape_gradient(tape, loss, 1, &v, &g);
  tv_tape_end(tape);
  tv_optimizer_step(adam, 1, &v, &g);
  tv_variable_assign_sub(v, tv_scalar(.001));
  tv_optimizer_release(adam);
  tv_variable_release(v);
}

static void work(tv_device device, double *numbers) {
  float host[N * N];
  for (int i = 0; i < N * N; i++) host[i] = (float)(i % 7) / 4;
  tv_memory_options near = TV_MEMORY_OPTIONS;
  near.device = TV_CPU;
  tv_tensor *const x = tv_to(tv_tensor_from_memory(host, TV_F32, TV_SHAPE(N, N), &near), device);
  tv_tensor *const y = tv_add(x, tv_matrix_transpose(x));
  tv_tensor *const z = tv_matmul(y, x);
  tv_tensor *const rows = tv_take(y, tv_arange_int(TV_I64, 0, 4, 1), 0);
  tv_item_f64(tv_sum(z, TV_ALL_AXES), &numbers[0]);
  tv_tensor *const labels = tv_arange_int(TV_I64, 0, N, 1);
  tv_item_f64(tv_max(tv_add(tv_softmax_cross_entropy(z, labels), tv_scalar(1)), TV_ALL_AXES),
              &numbers[1]);
  tv_item_f64(tv_max(tv_astype(rows, TV_F16), TV_ALL_AXES), &numbers[4]);

  tv_stream *const side = tv_stream_new(device);
  tv_stream_set(side);
  tv_tensor *const there = tv_exp(y);
  tv_event *const done = tv_event_new(device);
  tv_event_record(done);
  tv_stream_set(NULL);
  tv_event_wait(done);
  tv_item_f64(tv_mean(tv_add(there, y), TV_ALL_AXES), &numbers[2]);
  tv_event_release(done);
  tv_stream_release(side);

  train(x);
  tv_random_normal(tv_key_from_seed(1), TV_F32, TV_SHAPE(100));
  if (tv_tensor_copy_out(y, host, sizeof host) == TV_OK) numbers[3] = (double)host[N + 2];
  tv_device_synchronize(device);
}

static void run(outcome *out) {
  tv_scope scope;
  tv_device device = TV_CPU;
  memset(out, 0, sizeof *out);
  tv_scope_begin(&scope);
  if (!tv_device_find("cuda:0", &device) && !tv_device_set(device)) work(device, out->numbers);
  out->status = tv_error();
  snprintf(out->text, sizeof out->text, "%s", tv_error_text());
  tv_stream_set(NULL);
  tv_device_set(TV_CPU);
  tv_scope_end(&scope, NULL);
  tv_error_clear();
}

/* A child: run with call k failing ---------------------------------------------------------- */

/* Shared with the children. */
static struct shared {
  outcome right;          /* what a run without faults comes to */
  fakecuda_counts counts; /* of live things, behind two such runs and a trim */
  int64_t calls;          /* in the first of them */
  bool is_reached;
  char call[64], wrong[2 * TEXT];
} * shared;

#define WRONG(...)                                              \
  do {                                                          \
    snprintf(shared->wrong, sizeof shared->wrong, __VA_ARGS__); \
    return;                                                     \
  } while (0)

static bool is_right(const outcome *got) {
  return !got->status && !memcmp(got->numbers, shared->right.numbers, sizeof got->numbers);
}

static bool works_on_cpu(void) {
  tv_scope scope;
  double sum = 0;
  tv_scope_begin(&scope);
  tv_item_f64(tv_sum(tv_add(tv_ones(TV_F32, TV_SHAPE(3)), tv_scalar(1)), TV_ALL_AXES), &sum);
  const bool is_whole = tv_scope_end(&scope, NULL) == TV_OK;
  tv_error_clear();
  return is_whole && sum == 6;
}

static void trim(void) {
  tv_device device;
  if (!tv_device_find("cuda:0", &device)) tv_device_trim(device);
  tv_error_clear();
}

static bool is_status_right(const outcome *got, int code) {
  switch (got->status) {
    case TV_ENOMEM:
      return code == OUT_OF_MEMORY;
    case TV_ELOST:
      return code >= ILLEGAL_ADDRESS;
    case TV_EDEVICE: /* cuBLAS and the start of the module name the driver's reason otherwise */
      return code == INVALID_VALUE || !strncmp(got->text, "cuda: ", 6) ||
             !strncmp(got->text, "matmul: ", 8);
    default:
      return false;
  }
}

/* The text has the call's name; a launch, the kernel's; a block, what is missing. An event is
 * destroyed where nothing can fail: what comes next tells. */
static bool names_call(const outcome *got, const char *call, fakecuda_how how) {
  if (how == FAKECUDA_LATE || !strcmp(call, "cuEventDestroy")) return true;
  if (!strcmp(call, "cuLaunchKernel")) return strchr(got->text, '_') != NULL;
  if (!strcmp(call, "cuMemAlloc") && got->status == TV_ENOMEM)
    return strstr(got->text, "no memory");
  return strstr(got->text, call) != NULL;
}

static void check_books(void) {
  fakecuda_counts now;
  fake.count(&now);
  now.events--; /* one may be there that could not be destroyed */
  const fakecuda_counts *const want = &shared->counts;
  if (now.allocations > want->allocations || now.pinned > want->pinned ||
      now.events > want->events || now.streams > want->streams ||
      now.blas_handles > want->blas_handles)
    WRONG("leaks: %d blocks, %d pinned, %d events, %d streams, %d of cuBLAS; want %d %d %d %d %d",
          (int)now.allocations, (int)now.pinned, (int)now.events, (int)now.streams,
          (int)now.blas_handles, (int)want->allocations, (int)want->pinned, (int)want->events,
          (int)want->streams, (int)want->blas_handles);
}

static void with_fault(int64_t k, int code, fakecuda_how how) {
  outcome got, again;
  const int64_t handles = tv_live_handles();
  fake.fail(k, code, how);
  run(&got);
  shared->is_reached = fake.has_failed();
  if (!shared->is_reached) return;
  const char *const call = fake.call_name(k);
  snprintf(shared->call, sizeof shared->call, "%s", call);
  if (tv_live_handles() != handles) WRONG("%d handles leak", (int)(tv_live_handles() - handles));
  if (!works_on_cpu()) WRONG("the CPU does not work any more");
  if (got.status) {
    if (!is_status_right(&got, code)) WRONG("%s: %s", tv_status_name(got.status), got.text);
    if (!names_call(&got, call, how)) WRONG("the call is not named: %s", got.text);
  } else if (!is_right(&got)) { /* some failures do no harm: but then all is as it should be */
    WRONG("the failure is not told, and the results are wrong");
  }
  if (how == FAKECUDA_ONCE) {
    fake.heal();
    run(&again);
    if (!is_right(&again))
      WRONG("the next run does not work: %s: %s", tv_status_name(again.status), again.text);
    trim();
    check_books();
  } else if (got.status == TV_ELOST && strncmp(call, "cuDevice", 8)) { /* there was no context */
    run(&again);
    if (again.status != TV_ELOST || !strstr(again.text, "cuda:0: the device is lost: "))
      WRONG("the next run says %s: %s", tv_status_name(again.status), again.text);
  }
  if (tv_live_handles() != handles) WRONG("%d handles leak", (int)(tv_live_handles() - handles));
}

static void without_fault(void) {
  outcome again;
  fakecuda_counts counts;
  run(&shared->right);
  fake.count(&counts);
  shared->calls = counts.calls;
  run(&again);
  if (!is_right(&again)) WRONG("%s: %s", tv_status_name(again.status), again.text);
  trim();
  fake.count(&shared->counts);
}

/* Around it ------------------------------------------------------------------------------------ */

/* 0, or how the child ended. */
static int in_child(int64_t k, int code, fakecuda_how how) {
  shared->wrong[0] = shared->call[0] = 0;
  fflush(NULL);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    if (!fake_find()) _exit(77);
    if (k)
      with_fault(k, code, how);
    else
      without_fault();
    _exit(0);
  }
  int status;
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  return status;
}

static void each_call(int code, fakecuda_how how) {
  if (!shared) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    const int ended = in_child(0, 0, FAKECUDA_ONCE);
    if (WIFEXITED(ended) && WEXITSTATUS(ended) == 77)
      check_fail(CHECK_HERE, "the driver is not the fake one");
    if (ended || shared->wrong[0] || shared->right.status)
      check_fail(CHECK_HERE, "without a fault: ended with %d: %s %s", ended, shared->wrong,
                 shared->right.text);
  }
  CHECK(shared->calls > 50);
  int n_wrong = 0;
  for (int64_t k = 1; k <= shared->calls; k++) {
    const int ended = in_child(k, code, how);
    if (!ended && !shared->wrong[0]) {
      if (!shared->is_reached) check_fail(CHECK_HERE, "call %d does not come", (int)k);
      continue;
    }
    printf("call %d of %d, %s: ended with %d: %s\n", (int)k, (int)shared->calls, shared->call,
           ended, shared->wrong);
    n_wrong++;
  }
  EQUAL(n_wrong, 0);
}

TEST(ordinary_errors) { each_call(INVALID_VALUE, FAKECUDA_ONCE); }
TEST(out_of_memory) { each_call(OUT_OF_MEMORY, FAKECUDA_ONCE); }
TEST(sticky_errors) { each_call(ILLEGAL_ADDRESS, FAKECUDA_LOST); }
TEST(errors_that_come_late) { each_call(LAUNCH_FAILED, FAKECUDA_LATE); }

TEST_MAIN("cuda_faults", CASE(ordinary_errors), CASE(out_of_memory), CASE(sticky_errors),
          CASE(errors_that_come_late))
