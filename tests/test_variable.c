/* SPDX-License-Identifier: MIT
 * Variables: what making, asking and reading them promises. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static tv_tensor *f32(int rank, const int64_t *shape, const float *data) {
  return tv_tensor_from_memory(data, TV_F32, rank, shape, NULL);
}

TEST(new_has_defaults) {
  const float a[] = {1, 2, 3};
  tv_variable *const v = tv_variable_new(f32(TV_SHAPE(3), a), NULL);
  int64_t shape[1];
  SAME_TEXT(tv_variable_name(v), "Variable");
  EQUAL(tv_variable_dtype(v), TV_F32);
  EQUAL(tv_variable_device(v), TV_CPU);
  EQUAL(tv_variable_rank(v), 1);
  OK(tv_variable_shape(v, shape));
  EQUAL(shape[0], 3);
  EQUAL(tv_variable_version(v), 0);
  CHECK(tv_variable_is_trainable(v));
  HOLDS(tv_read(v), 1, 2, 3);
  tv_variable_release(v);
}

TEST(options_are_kept) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  char name[] = "weights";
  o.name = name;
  o.trainable = false;
  tv_variable *const v = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(2, 2)), &o);
  name[0] = '!'; /* the name was copied */
  SAME_TEXT(tv_variable_name(v), "weights");
  CHECK(!tv_variable_is_trainable(v));
  tv_variable_release(v);
}

TEST(memory_is_copied) {
  float a[] = {1, 2, 3};
  tv_variable *const v = tv_variable_new_from_memory(a, TV_F32, TV_SHAPE(3), NULL);
  a[0] = 100;
  HOLDS(tv_read(v), 1, 2, 3);
  tv_variable_release(v);
}

TEST(whole_value_is_shared_and_part_is_copied) {
  tv_tensor *const x = tv_arange(TV_F32, 0, 6, 1);
  tv_variable *const whole = tv_variable_new(x, NULL);
  tv_variable *const part = tv_variable_new(tv_slice(x, "1:3"), NULL);
  CHECK(tv_tensor_shares(tv_read(whole), x));
  CHECK(!tv_tensor_shares(tv_read(part), x));
  HOLDS(tv_read(part), 1, 2);
  tv_variable_release(whole);
  tv_variable_release(part);
}

TEST(borrowed_bytes_are_copied) {
  static const float a[] = {1, 2};
  tv_memory_options o = TV_MEMORY_OPTIONS;
  o.borrow = true;
  tv_tensor *const x = tv_tensor_from_memory(a, TV_F32, TV_SHAPE(2), &o);
  tv_variable *const v = tv_variable_new(x, NULL);
  CHECK(!tv_tensor_shares(tv_read(v), x));
  OK(tv_variable_assign_add(v, tv_scalar(1)));
  HOLDS(tv_read(v), 2, 3);
  EQUAL(a[0], 1);
  tv_variable_release(v);
}

TEST(weak_scalar_becomes_its_dtype) {
  tv_variable *const v = tv_variable_new(tv_scalar(3), NULL);
  EQUAL(tv_variable_dtype(v), TV_I64);
  EQUAL(tv_variable_rank(v), 0);
  HOLDS(tv_read(v), 3);
  tv_variable_release(v);
}

TEST(npy_file_becomes_value) {
  tv_variable *const v = tv_variable_new_from_npy(TV_DATA "/digits_labels.npy", NULL, NULL);
  EQUAL(tv_variable_dtype(v), TV_I64);
  EQUAL(tv_tensor_size(tv_read(v)), 1797);
  tv_variable_release(v);
  CHECK(!tv_variable_new_from_npy("nowhere.npy", NULL, NULL));
  EQUAL(tv_error(), TV_EIO);
  tv_error_clear();
}

TEST(bad_options_are_refused) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.size = 0;
  CHECK(!tv_variable_new(tv_ones(TV_F32, TV_SHAPE(1)), &o));
  EQUAL(tv_error(), TV_EVALUE);
  tv_error_clear();
  CHECK(!tv_variable_new(NULL, NULL));
  SAME_TEXT(tv_error_text(), "variable_new: value is NULL");
  tv_error_clear();
}

TEST(read_is_a_snapshot) {
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(2)), NULL);
  tv_tensor *const before = tv_read(v);
  OK(tv_variable_assign_add(v, tv_scalar(5)));
  HOLDS(before, 0, 0);
  HOLDS(tv_read(v), 5, 5);
  tv_variable_release(v);
}

TEST(snapshot_outlives_variable) {
  tv_variable *const v = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), NULL);
  tv_tensor *const x = tv_read(v);
  tv_variable_release(v);
  HOLDS(x, 1, 1);
}

TEST(null_is_named) {
  FAILS(TV_EVALUE, "read: variable is NULL", tv_read(NULL));
  FAILS_STATUS(TV_EVALUE, "variable_assign: variable is NULL",
               tv_variable_assign(NULL, tv_scalar(1)));
  EQUAL(tv_variable_dtype(NULL), TV_DTYPE_NONE);
  EQUAL(tv_variable_rank(NULL), -1);
  EQUAL(tv_variable_device(NULL), TV_DEVICE_NONE);
  EQUAL(tv_variable_version(NULL), 0);
  CHECK(!tv_variable_name(NULL));
  FAILS_STATUS(TV_EVALUE, "variable_shape: variable is NULL", tv_variable_shape(NULL, NULL));
  tv_variable_release(NULL);
}

TEST(retain_keeps_it) {
  tv_variable *const v = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(1)), NULL);
  CHECK(tv_variable_retain(v) == v);
  tv_variable_release(v);
  HOLDS(tv_read(v), 1);
  tv_variable_release(v);
}

/* Threads: each snapshot is one of the values written, whole, and versions count every write. */
enum { WRITES = 400, N = 1000 };
static void *write_steps(void *variable) {
  for (int k = 0; k < WRITES; k++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    tv_variable_assign_add(variable, tv_ones(TV_F32, TV_SHAPE(N)));
    tv_scope_end(&scope, NULL);
  }
  return NULL;
}

static void *read_steps(void *variable) {
  intptr_t torn = 0;
  for (int k = 0; k < WRITES; k++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    const float *const x = tv_tensor_data(tv_read(variable));
    for (int i = 1; i < N; i++) torn += x[i] > x[0] || x[i] < x[0];
    tv_scope_end(&scope, NULL);
  }
  return (void *)torn;
}

TEST(readers_see_whole_versions_while_others_write) {
  for (int concurrent = 0; concurrent < 2; concurrent++) {
    tv_variable_options o = TV_VARIABLE_OPTIONS;
    o.concurrent_readers = concurrent;
    tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(N)), &o);
    pthread_t writers[2], readers[2];
    for (int k = 0; k < 2; k++) pthread_create(&writers[k], NULL, write_steps, v);
    for (int k = 0; k < 2; k++) pthread_create(&readers[k], NULL, read_steps, v);
    void *torn[2];
    for (int k = 0; k < 2; k++) pthread_join(writers[k], NULL);
    for (int k = 0; k < 2; k++) pthread_join(readers[k], &torn[k]);
    CHECK(!torn[0] && !torn[1]);
    EQUAL(tv_variable_version(v), 2 * WRITES);
    HOLDS(tv_slice(tv_read(v), "0:2"), 2 * WRITES, 2 * WRITES);
    tv_variable_release(v);
  }
}

/* Whether a child of fork can read, write, and step what its parent made. */
static bool goes_on(tv_variable *v, tv_optimizer *o) {
  tv_scope scope;
  double sum = 0;
  tv_scope_begin(&scope);
  tv_tensor *const one = tv_ones(TV_F64, TV_SHAPE(3));
  tv_tensor *const before = tv_read(v);
  tv_variable_assign_add(v, one);
  tv_optimizer_step(o, 1, &v, (tv_tensor *[]){one});
  tv_item_f64(tv_sum(tv_subtract(tv_read(v), before), TV_ALL_AXES), &sum);
  return tv_scope_end(&scope, NULL) == TV_OK && sum == -27; /* 3 (1 - 10) */
}

TEST(a_forked_child_goes_on) {
  for (int concurrent = 0; concurrent < 2; concurrent++) {
    tv_variable_options o = TV_VARIABLE_OPTIONS;
    tv_sgd_options sgd = TV_SGD_OPTIONS;
    o.concurrent_readers = concurrent;
    sgd.learning_rate = 10;
    tv_variable *const v = tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(3)), &o);
    tv_optimizer *const optimizer = tv_sgd_new(&sgd);
    CHECK(goes_on(v, optimizer));
    int status = -1;
    const pid_t child = fork();
    if (child == 0) _exit(goes_on(v, optimizer) ? 0 : 1);
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EQUAL(tv_variable_version(v), 2); /* the child's writes are the child's */
    tv_optimizer_release(optimizer);
    tv_variable_release(v);
  }
}

/* A constraint that is at work until somebody else has read: without concurrent readers they would
 * wait for each other, and the callback gives up. */
typedef struct {
  tv_variable *v;
  atomic_bool is_at_work, is_read, has_given_up;
} slow_write;

static tv_tensor *wait_for_reader(void *user, tv_tensor *value) {
  slow_write *const s = user;
  const struct timespec moment = {.tv_nsec = 1000000};
  if (!s->v) return value; /* the Variable is being made */
  atomic_store(&s->is_at_work, true);
  for (int k = 0; k < 10000 && !atomic_load(&s->is_read); k++) nanosleep(&moment, NULL);
  atomic_store(&s->has_given_up, !atomic_load(&s->is_read));
  return value;
}

static void *read_meanwhile(void *user) {
  slow_write *const s = user;
  const struct timespec moment = {.tv_nsec = 1000000};
  while (!atomic_load(&s->is_at_work)) nanosleep(&moment, NULL);
  tv_scope scope;
  int64_t shape[1];
  int64_t n_moved;
  tv_write_info info = TV_WRITE_INFO;
  double first = -1;
  tv_scope_begin(&scope);
  const bool is_right = tv_item_f64(tv_slice(tv_read(s->v), "0"), &first) == TV_OK && first == 0 &&
                        tv_variable_shape(s->v, shape) == TV_OK &&
                        tv_variable_moved(s->v, &n_moved) == TV_OK &&
                        tv_variable_last_write(s->v, &info) == TV_OK && info.version == 0 &&
                        tv_variable_at(s->v, tv_variable_oldest(s->v)) != NULL;
  tv_scope_end(&scope, NULL);
  atomic_store(&s->is_read, is_right);
  return NULL;
}

TEST(concurrent_readers_wait_for_no_write) {
  slow_write s = {.v = NULL};
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.concurrent_readers = true;
  o.constraint = tv_constraint_callback(TV_ON_EVERY_WRITE, wait_for_reader, &s, NULL);
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(3)), &o);
  s.v = v;
  pthread_t reader;
  CHECK(pthread_create(&reader, NULL, read_meanwhile, &s) == 0);
  const tv_status status = tv_variable_assign_add(v, tv_scalar(1));
  pthread_join(reader, NULL);
  OK(status);
  CHECK(!atomic_load(&s.has_given_up));
  HOLDS(tv_read(v), 1, 1, 1);
  tv_variable_release(v);
}

TEST_MAIN("variable", CASE(concurrent_readers_wait_for_no_write), CASE(a_forked_child_goes_on),
          CASE(new_has_defaults), CASE(options_are_kept), CASE(memory_is_copied),
          CASE(whole_value_is_shared_and_part_is_copied), CASE(borrowed_bytes_are_copied),
          CASE(weak_scalar_becomes_its_dtype), CASE(npy_file_becomes_value),
          CASE(bad_options_are_refused), CASE(read_is_a_snapshot), CASE(snapshot_outlives_variable),
          CASE(null_is_named), CASE(retain_keeps_it),
          CASE(readers_see_whole_versions_while_others_write))
