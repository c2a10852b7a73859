/* SPDX-License-Identifier: MIT
 * What is deferred and what is not, what bounds it, and what may happen in between. Of the CPU:
 * other devices run every op at its call. */
#include "deferred.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "memory.h"

enum { N = 9000 };
static const int64_t shape[] = {N};

static tv_tensor *ramp(void) {
  tv_tensor *x = tv_arange(TV_F32, 0, N, 1);
  OK(tv_evaluate(1, &x));
  return x;
}

TEST(large_results_are_deferred_and_small_ones_are_not) {
  tv_tensor *const x = ramp();
  CHECK(tvi_is_deferred(tv_add(x, tv_scalar(1))));
  CHECK(tvi_is_deferred(tv_astype(x, TV_F64)));
  CHECK(!tvi_is_deferred(tv_add(tv_ones(TV_F32, TV_SHAPE(1000)), tv_scalar(1))));
  CHECK(!tvi_is_deferred(tv_sum(tv_square(x), TV_ALL_AXES)));
}

TEST(the_switch_is_the_threads) {
  tv_tensor *const x = ramp();
  CHECK(!tv_eager_current());
  OK(tv_eager_set(true));
  CHECK(tv_eager_current());
  CHECK(!tvi_is_deferred(tv_exp(x)));
  OK(tv_eager_set(false));
  CHECK(tvi_is_deferred(tv_exp(x)));
}

static void say_eagerness(const char *text) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    setenv("TV_EAGER", text, 1);
    char *const self[] = {(char[]){"/proc/self/exe"}, (char[]){"is_eager_at_first"}, NULL};
    execv(self[0], self);
    _exit(9);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
  EQUAL(WEXITSTATUS(status), strcmp(text, "1") == 0 ? 0 : 1);
}
TEST(the_environment_is_asked) {
  say_eagerness("1");
  say_eagerness("0");
  say_eagerness("yes");
}

TEST(properties_do_not_need_elements) {
  tv_tensor *const x = tv_reshape(ramp(), TV_SHAPE(90, 100)), *const y = tv_square(x);
  SHAPE_IS(y, TV_SHAPE(90, 100));
  EQUAL(tv_tensor_bytes(y), N * 4);
  EQUAL(tv_tensor_device(y), tv_tensor_device(x));
  CHECK(tv_tensor_is_contiguous(y) && !tv_tensor_shares(x, y) && tv_tensor_shares(y, y));
  CHECK(tvi_is_deferred(y));
}

/* Whoever wants bytes gets them. */
TEST(every_reader_settles) {
  double first = 0;
  float all[N];
  tv_tensor *const x = ramp();
#define DEFERRED tv_add(x, tv_scalar(1))
  OK(tv_tensor_copy_out(DEFERRED, all, sizeof all));
  CHECK(all[0] == 1 && all[N - 1] == N);
  OK(tv_item_f64(tv_slice(DEFERRED, "5"), &first));
  CHECK(first == 6);
  HOLDS(tv_slice(tv_reshape(DEFERRED, TV_SHAPE(90, 100)), "0, :3"), 1, 2, 3);
  HOLDS(tv_take(DEFERRED, tv_arange_int(TV_I64, 3, 5, 1), 0), 4, 5);
  HOLDS(tv_take(x, tv_astype(tv_slice(DEFERRED, ":2"), TV_I64), 0), 1, 2);
  HOLDS(tv_slice(tv_concat(2, (tv_tensor *[]){DEFERRED, DEFERRED}, 0), "8999:9002"), N, 1, 2);
  HOLDS(tv_slice(tv_stack(2, (tv_tensor *[]){DEFERRED, DEFERRED}, 0), ":, 0"), 1, 1);
  HOLDS(tv_slice(tv_flip(DEFERRED, 1, (int64_t[]){0}), ":2"), N, N - 1);
  OK(tv_item_f64(tv_matmul(DEFERRED, tv_astype(tv_equal(x, tv_scalar(5)), TV_F32)), &first));
  CHECK(first == 6);
  HOLDS(tv_argmax(DEFERRED, TV_ALL_AXES), N - 1);
  HOLDS(tv_slice(tv_stop_gradient(DEFERRED), ":1"), 1);
  int64_t steps[1];
  const float *const strided = tv_tensor_data_strided(DEFERRED, steps);
  CHECK(strided[1] == 2 && steps[0] == 4);
#undef DEFERRED
}

TEST(values_are_those_at_the_call) {
  tv_variable *const v = tv_variable_new(ramp(), NULL);
  tv_tensor *const before = tv_add(tv_read(v), tv_scalar(0));
  OK(tv_variable_assign_add(v, tv_scalar(5)));
  OK(tv_variable_assign_slice(v, ":10", tv_scalar(-1)));
  SAME(before, ramp());
  HOLDS(tv_slice(tv_read(v), "9:11"), -1, 15);
  OK(tv_variable_assign(v, tv_multiply(tv_read(v), tv_read(v))));
  HOLDS(tv_slice(tv_read(v), "9:11"), 1, 225);
  tv_variable_release(v);
}

static void let_go(void *user) { *(bool *)user = true; }

TEST(borrowed_bytes_are_read_at_the_call) {
  static float bytes[N];
  bool is_free = false;
  tv_scope inner;
  for (int k = 0; k < N; k++) bytes[k] = 1;
  OK(tv_scope_begin(&inner));
  tv_memory_options borrow = TV_MEMORY_OPTIONS;
  borrow.borrow = true;
  borrow.release = let_go;
  borrow.user = &is_free;
  tv_tensor *const x = OK(tv_tensor_from_memory(bytes, TV_F32, 1, shape, &borrow));
  tv_tensor *y = tv_add(x, tv_scalar(1));
  CHECK(!tvi_is_deferred(y));
  y = tv_add(y, tv_scalar(1)); /* of bytes that are the library's */
  OK(tv_scope_end(&inner, &y));
  CHECK(is_free);
  bytes[0] = 7;
  HOLDS(tv_slice(y, ":1"), 3);
}

TEST(nothing_is_kept_of_what_nobody_asks_for) {
  tv_scope inner;
  tv_memory_stats before, after;
  tv_tensor *const x = ramp();
  OK(tv_device_memory(TV_CPU, &before));
  OK(tv_scope_begin(&inner));
  tv_tensor *y = x;
  for (int k = 0; k < 10; k++) y = tv_add(y, tv_exp(x));
  OK(tv_device_memory(TV_CPU, &after));
  EQUAL(after.reserved, before.reserved);
  OK(tv_scope_end(&inner, NULL));
}

TEST(long_chains_are_cut) {
  tv_tensor *const x = ramp();
  tv_tensor *y = x;
  for (int k = 0; k < 1000; k++) y = tv_add(y, tv_scalar(1));
  HOLDS(tv_slice(y, "7:9"), 1007, 1008);
  y = x; /* reached twice each: 2^40 paths */
  for (int k = 0; k < 40; k++) y = tv_maximum(y, tv_minimum(y, x));
  SAME(y, x);
  y = tv_zeros_like(x);
  for (int k = 0; k < 200; k++) y = tv_add(y, tv_add(ramp(), tv_scalar(k)));
  HOLDS(tv_slice(y, ":2"), 19900, 20100);
}

/* Fifty arrays of 16 MiB in one sum are not all alive at once. */
TEST(what_is_held_is_bounded) {
  enum { MEBI = 1 << 20, EACH_BYTES = 16 * MEBI };
  tv_memory_stats before, now;
  OK(tv_device_memory(TV_CPU, &before));
  int64_t most = 0;
  tv_tensor *y = tv_retain(tv_zeros(TV_F32, TV_SHAPE(4 * MEBI)));
  for (int k = 0; k < 50; k++) {
    tv_scope inner;
    OK(tv_scope_begin(&inner));
    tv_tensor *const sum = tv_retain(tv_add(y, tv_full(TV_F32, TV_SHAPE(4 * MEBI), tv_scalar(k))));
    tv_release(y);
    y = sum;
    OK(tv_scope_end(&inner, NULL));
    OK(tv_device_memory(TV_CPU, &now));
    if (now.bytes - before.bytes > most) most = now.bytes - before.bytes;
  }
  HOLDS(tv_slice(y, ":1"), 1225);
  tv_release(y);
  CHECK(most <= 256 * MEBI + 3 * EACH_BYTES);
}

/* A mask does not keep numbers alive that are many times its size. */
TEST(masks_of_much_are_computed_at_once) {
  tv_tensor *const x = tv_zeros(TV_F64, TV_SHAPE(33 << 20));
  CHECK(tvi_is_deferred(tv_multiply(x, tv_scalar(2))));
  tv_tensor *const mask = tv_less(tv_multiply(x, tv_scalar(2)), tv_scalar(1));
  CHECK(!tvi_is_deferred(mask));
  HOLDS(tv_slice(mask, ":2"), 1, 1);
}

TEST(errors_are_the_calls) {
  tv_tensor *const x = ramp(), *const b = tv_greater(x, tv_scalar(1));
  FAILS(TV_EDTYPE, "subtract: does not take bool", tv_subtract(b, b));
  FAILS(TV_ESHAPE, "add: shapes do not broadcast: [9000] and [3]",
        tv_add(tv_exp(x), tv_ones(TV_F32, TV_SHAPE(3))));
  FAILS(TV_EVALUE, "pow: integer to the negative integer power -1: convert to a floating dtype",
        tv_pow(tv_astype(x, TV_I64), tv_subtract(tv_astype(x, TV_I64), tv_scalar(1))));
}

/* Wherever memory ends, whoever asks says so, and asking again gives the value. */
TEST(no_memory) {
  tv_tensor *const x = ramp();
  bool was_refused = true;
  for (int64_t fail = 1; was_refused; fail++) {
    tv_scope inner;
    OK(tv_scope_begin(&inner));
    tvi_memory_fail(fail, false);
    tv_tensor *const y = tv_exp(tv_add(tv_astype(x, TV_F64), x));
    const tv_status status = y ? tv_evaluate(1, (tv_tensor *[]){y}) : TV_ENOMEM;
    was_refused = tvi_memory_calls() >= fail;
    tvi_memory_fail(0, false);
    if (status) {
      EQUAL(status, TV_ENOMEM);
      EQUAL(tv_error(), TV_ENOMEM);
      tv_error_clear();
    }
    if (y) HOLDS(tv_slice(y, ":1"), 1);
    OK(tv_scope_end(&inner, NULL));
  }
}

/* Threads that ask for one graph at once. */
enum { THREADS = 8, ROUNDS = 40 };
static tv_tensor *shared[3];
static pthread_barrier_t barrier;
static bool is_same[THREADS];

static void *ask(void *number) {
  const int64_t k = (intptr_t)number;
  is_same[k] = true;
  for (int round = 0; round < ROUNDS; round++) {
    pthread_barrier_wait(&barrier);
    tv_scope scope;
    float sum[N];
    if (tv_scope_begin(&scope)) is_same[k] = false;
    tv_tensor *const mine = tv_add(shared[(k + round) % 3], shared[k % 3]);
    if (tv_tensor_copy_out(k % 2 ? mine : shared[k % 3], sum, sizeof sum)) is_same[k] = false;
    const float one = (float)(1 + (k % 3)), other = (float)(1 + (k + round) % 3);
    if (sum[10] != 10 * (k % 2 ? one + other : one)) is_same[k] = false;
    if (tv_scope_end(&scope, NULL)) is_same[k] = false;
    pthread_barrier_wait(&barrier);
  }
  return NULL;
}

TEST(threads_ask_for_one_graph) {
  pthread_t threads[THREADS];
  CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
  tv_tensor *const x = ramp();
  for (intptr_t k = 0; k < THREADS; k++)
    CHECK(pthread_create(&threads[k], NULL, ask, (void *)k) == 0);
  for (int round = 0; round < ROUNDS; round++) {
    shared[0] = tv_maximum(x, x);
    shared[1] = tv_add(shared[0], x);
    shared[2] = tv_add(shared[1], shared[0]);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
  }
  for (int k = 0; k < THREADS; k++) {
    pthread_join(threads[k], NULL);
    CHECK(is_same[k]);
  }
  pthread_barrier_destroy(&barrier);
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "is_eager_at_first")) return tv_eager_current() ? 0 : 1;
  static const check_case all[] = {CASE(large_results_are_deferred_and_small_ones_are_not),
                                   CASE(the_switch_is_the_threads),
                                   CASE(the_environment_is_asked),
                                   CASE(properties_do_not_need_elements),
                                   CASE(every_reader_settles),
                                   CASE(values_are_those_at_the_call),
                                   CASE(borrowed_bytes_are_read_at_the_call),
                                   CASE(nothing_is_kept_of_what_nobody_asks_for),
                                   CASE(long_chains_are_cut),
                                   CASE(what_is_held_is_bounded),
                                   CASE(masks_of_much_are_computed_at_once),
                                   CASE(errors_are_the_calls),
                                   CASE(no_memory),
                                   CASE(threads_ask_for_one_graph)};
  return check_main("deferred", (int)(sizeof all / sizeof *all), all, argc, argv);
}
