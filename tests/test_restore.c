/* SPDX-License-Identifier: MIT
 * Restoring checkpoints: training goes on with the same bits; what differs is listed and nothing is
 * loaded; old state or new, whichever call or allocation fails. */
#include <pthread.h>

#include "far.h"
#include "faults.h"
#include "hearing.h"
#include "memory.h"
#include "training.h"

static const char *const paths[] = {"x.npz", "x.safetensors"};

TEST(training_goes_on_with_the_same_bits) {
  folder_enter();
  for (int kind = 0; kind < TRAINING_KINDS; kind++) {
    training whole;
    training_begin(&whole, kind, TV_CPU);
    training_run(&whole, 10);
    for (int at = 0; at <= 6; at += 3) {
      training first, second;
      training_begin(&first, kind, TV_CPU);
      training_begin(&second, kind, TV_CPU);
      training_run(&first, at);
      OK(tv_checkpoint_save(first.checkpoint, paths[at % 2], NULL));
      training_run(&second, 2); /* which is forgotten */
      OK(tv_checkpoint_restore(second.checkpoint, paths[at % 2], NULL));
      training_same(&second, &first);
      training_run(&second, 10 - at);
      training_same(&second, &whole);
      training_end(&first);
      training_end(&second);
    }
    training_end(&whole);
  }
  folder_leave();
}

TEST(training_goes_on_on_another_device) {
  folder_enter();
  training here, far;
  training_begin(&here, 3, TV_CPU);
  training_begin(&far, 3, far_device());
  training_run(&far, 10);
  training_run(&here, 4);
  OK(tv_checkpoint_save(here.checkpoint, "x.npz", NULL));
  training there;
  training_begin(&there, 3, far_device());
  OK(tv_checkpoint_restore(there.checkpoint, "x.npz", NULL));
  EQUAL(tv_tensor_device(tv_read(there.w)), far_device());
  training_run(&there, 6);
  training_same(&there, &far);
  training_end(&here);
  training_end(&there);
  training_end(&far);
  folder_leave();
}

TEST(a_restored_variable_is_written_once_and_tells_the_saved_version) {
  folder_enter();
  training t, other;
  training_begin(&t, 1, TV_CPU);
  training_begin(&other, 1, TV_CPU);
  uint64_t version = 77;
  training_run(&t, 5);
  OK(tv_checkpoint_save(t.checkpoint, "x.npz", NULL));
  FAILS_STATUS(TV_EVALUE, "checkpoint_saved_version: no Variable 'w' was restored with a version",
               tv_checkpoint_saved_version(other.checkpoint, "w", &version));
  tv_tensor *const before = tv_read(other.w);
  OK(tv_checkpoint_restore(other.checkpoint, "x.npz", NULL));
  EQUAL(tv_variable_version(other.w), 1);
  OK(tv_checkpoint_saved_version(other.checkpoint, "w", &version));
  EQUAL(version, 5);
  SAME(before,
       tv_random_normal(tv_key_from_seed(1), TV_F32, TV_SHAPE(3, 2))); /* a snapshot stays */
  FAILS_STATUS(TV_EVALUE, "checkpoint_saved_version: version is NULL",
               tv_checkpoint_saved_version(other.checkpoint, "w", NULL));
  FAILS_STATUS(TV_EVALUE, "checkpoint_saved_version: no Variable 'key' was restored with a version",
               tv_checkpoint_saved_version(other.checkpoint, "key", &version));
  training_end(&t);
  training_end(&other);
  folder_leave();
}

TEST(part_of_it_on_request) {
  folder_enter();
  training t, other;
  training_begin(&t, 1, TV_CPU);
  training_begin(&other, 1, TV_CPU);
  training_run(&t, 3);
  OK(tv_checkpoint_save(t.checkpoint, "x.npz", NULL));
  tv_checkpoint_options o = hearing();
  o.prefix = "layer/";
  OK(tv_checkpoint_restore(other.checkpoint, "x.npz", &o));
  SAME(tv_read(other.b), tv_read(t.b));
  EQUAL(tv_variable_version(other.b), 1);
  EQUAL(tv_variable_version(other.w), 0);
  EQUAL(other.step, 0);
  EQUAL(tv_optimizer_steps(other.optimizer), 0);
  EQUAL(told.n[TV_CHECKPOINT_LOADED], 2); /* with its version */
  EQUAL(told.n[TV_CHECKPOINT_MISSING] + told.n[TV_CHECKPOINT_UNEXPECTED], 0);
  o.prefix = "optimizer";
  OK(tv_checkpoint_restore(other.checkpoint, "x.npz", &o));
  EQUAL(tv_optimizer_steps(other.optimizer), 3);
  EQUAL(tv_variable_version(other.w), 0);
  SAME(tv_optimizer_slot(other.optimizer, other.w, "momentum_buffer"),
       tv_optimizer_slot(t.optimizer, t.w, "momentum_buffer"));
  o.prefix = "Layer";
  FAILS_STATUS(TV_EVALUE,
               "checkpoint_restore: x.npz: nothing was added under a name that begins with 'Layer'",
               tv_checkpoint_restore(other.checkpoint, "x.npz", &o));
  /* A file of Variables alone, as somebody else writes it. */
  const char *const names[] = {"w", "head"};
  tv_tensor *const x[] = {tv_ones(TV_F32, TV_SHAPE(3, 2)), tv_ones(TV_F32, TV_SHAPE(9))};
  OK(tv_npz_save("y.npz", 2, names, x, NULL));
  o = hearing();
  o.allow_missing = o.allow_unexpected = true;
  OK(tv_checkpoint_restore(other.checkpoint, "y.npz", &o));
  SAME(tv_read(other.w), x[0]);
  EQUAL(tv_optimizer_steps(other.optimizer), 3);
  EQUAL(told.n[TV_CHECKPOINT_LOADED], 1);
  EQUAL(told.n[TV_CHECKPOINT_UNEXPECTED], 1);
  uint64_t version;
  EQUAL(tv_checkpoint_saved_version(other.checkpoint, "w", &version), TV_EVALUE);
  tv_error_clear();
  OK(tv_checkpoint_saved_version(other.checkpoint, "layer/b", &version));
  EQUAL(version, 3);
  training_end(&t);
  training_end(&other);
  folder_leave();
}

TEST(dtypes_of_the_same_kind_are_converted_on_request) {
  folder_enter();
  tv_variable *const v = tv_variable_new(tv_zeros(TV_BF16, TV_SHAPE(2)), NULL);
  tv_checkpoint *const c = tv_checkpoint_new();
  const char *const name[] = {"v"};
  tv_checkpoint_options o = TV_CHECKPOINT_OPTIONS;
  OK(tv_checkpoint_add_variable(c, "v", v));
  OK(tv_checkpoint_save(c, "x.npz", NULL)); /* as V2 */
  OK(tv_checkpoint_restore(c, "x.npz", NULL));
  tv_tensor *x = tv_arange(TV_F64, 1, 3, 1);
  OK(tv_npz_save("x.npz", 1, name, &x, NULL));
  FAILS_STATUS(TV_EFORMAT,
               "checkpoint_restore: x.npz: dtype of 'v': float64 in the file, bfloat16 here",
               tv_checkpoint_restore(c, "x.npz", NULL));
  o.same_kind = true;
  OK(tv_checkpoint_restore(c, "x.npz", &o));
  EQUAL(tv_tensor_dtype(tv_read(v)), TV_BF16);
  HOLDS(tv_astype(tv_read(v), TV_F32), 1, 2);
  x = tv_zeros(TV_C64, TV_SHAPE(2));
  OK(tv_npz_save("x.npz", 1, name, &x, NULL));
  FAILS_STATUS(TV_EFORMAT,
               "checkpoint_restore: x.npz: dtype of 'v': complex64 in the file, bfloat16 here",
               tv_checkpoint_restore(c, "x.npz", &o));
  tv_checkpoint_release(c);
  tv_variable_release(v);
  folder_leave();
}

TEST(open_axes_take_another_size) {
  folder_enter();
  const bool open[] = {true, false};
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.open_axes = open;
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(1, 2)), &o);
  tv_checkpoint *const c = tv_checkpoint_new();
  OK(tv_checkpoint_add_variable(c, "v", v));
  const char *const name[] = {"v"};
  tv_tensor *x = tv_matrix_transpose(tv_reshape(tv_arange(TV_F32, 0, 6, 1), TV_SHAPE(2, 3)));
  OK(tv_npz_save("x.npz", 1, name, &x, NULL)); /* in Fortran order */
  OK(tv_checkpoint_restore(c, "x.npz", NULL));
  SAME(tv_read(v), x);
  x = tv_zeros(TV_F32, TV_SHAPE(3, 3));
  OK(tv_npz_save("x.npz", 1, name, &x, NULL));
  FAILS_STATUS(TV_EFORMAT,
               "checkpoint_restore: x.npz: shape of 'v': [3, 3] in the file, [3, 2] here",
               tv_checkpoint_restore(c, "x.npz", NULL));
  tv_checkpoint_release(c);
  tv_variable_release(v);
  folder_leave();
}

TEST(constraints_and_maps_are_kept) {
  folder_enter();
  training t;
  training_begin(&t, 3, TV_CPU);
  training_run(&t, 2);
  OK(tv_checkpoint_save(t.checkpoint, "x.npz", NULL));
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.constraint = (tv_constraint)TV_CLIP(-100, 0, TV_VALIDATE_ONLY);
  tv_variable *const strict = tv_variable_new(tv_full(TV_F32, TV_SHAPE(3, 2), tv_scalar(-1)), &o);
  o.constraint = (tv_constraint)TV_CLIP(0, 100, TV_ON_EVERY_WRITE);
  tv_variable *const clipped = tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(2)), &o);
  for (int i = 0; i < 2; i++) {
    tv_checkpoint *const c = tv_checkpoint_new();
    tv_checkpoint_options some = TV_CHECKPOINT_OPTIONS;
    some.allow_unexpected = true;
    if (i == 0) OK(tv_checkpoint_add_variable(c, "layer/b", clipped));
    if (i == 1) OK(tv_checkpoint_add_variable(c, "w", strict));
    if (i == 1) OK(tv_checkpoint_add_variable(c, "layer/b", t.b));
    if (i == 1) {
      EQUAL(tv_checkpoint_restore(c, "x.npz", &some), TV_ECONSTRAINT);
      tv_error_clear();
      EQUAL(tv_variable_version(strict), 0);
      EQUAL(tv_variable_version(t.b), 2);
      HOLDS(tv_read(strict), -1, -1, -1, -1, -1, -1);
    } else {
      OK(tv_checkpoint_restore(c, "x.npz", &some));
      SAME(tv_read(clipped), tv_clip(tv_read(t.b), tv_scalar(0), tv_scalar(100)));
    }
    tv_checkpoint_release(c);
  }
  void *data;
  OK(tv_variable_map(t.b, false, &data));
  FAILS_STATUS(TV_EBUSY, "checkpoint_restore: x.npz: Variable 'b' is mapped",
               tv_checkpoint_restore(t.checkpoint, "x.npz", NULL));
  EQUAL(tv_variable_version(t.w), 2);
  OK(tv_variable_unmap(t.b));
  tv_variable_release(strict);
  tv_variable_release(clipped);
  training_end(&t);
  folder_leave();
}

TEST(what_an_optimizer_kept_is_forgotten_if_the_file_keeps_nothing) {
  folder_enter();
  training t, fresh;
  training_begin(&t, 1, TV_CPU);
  training_begin(&fresh, 1, TV_CPU);
  OK(tv_checkpoint_save(t.checkpoint, "x.npz", NULL));
  training_run(&t, 3);
  OK(tv_checkpoint_restore(t.checkpoint, "x.npz", NULL));
  training_run(&t, 4);
  training_run(&fresh, 4);
  training_same(&t, &fresh);
  training_end(&t);
  training_end(&fresh);
  folder_leave();
}

TEST(numbers_that_no_optimizer_has_are_refused) {
  folder_enter();
  const char *const names[] = {"sgd/kind", "sgd/steps", "sgd/learning_rate"};
  const char *const format[] = {"__tensorvar__/format"};
  tv_optimizer *const o = tv_sgd_new(NULL);
  tv_checkpoint *const c = tv_checkpoint_new();
  OK(tv_checkpoint_add_optimizer(c, "sgd", o));
  tv_tensor *x[] = {tv_tensor_from_memory("sgd", TV_U8, TV_SHAPE(3), NULL),
                    tv_full(TV_I64, TV_SCALAR_SHAPE, tv_scalar(-1)),
                    tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(.5))};
  OK(tv_npz_save("x.npz", 3, names, x, NULL));
  FAILS_STATUS(TV_EFORMAT, "checkpoint_restore: x.npz: 'sgd/steps' is negative or not finite",
               tv_checkpoint_restore(c, "x.npz", NULL));
  x[1] = tv_full(TV_I64, TV_SCALAR_SHAPE, tv_scalar(9));
  x[2] = tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(1e308 * 10));
  OK(tv_npz_save("x.npz", 3, names, x, NULL));
  FAILS_STATUS(TV_EFORMAT,
               "checkpoint_restore: x.npz: 'sgd/learning_rate' is negative or not finite",
               tv_checkpoint_restore(c, "x.npz", NULL));
  x[0] = tv_full(TV_I64, TV_SCALAR_SHAPE, tv_scalar(2));
  OK(tv_npz_save("x.npz", 1, format, x, NULL));
  FAILS_STATUS(TV_EFORMAT, "checkpoint_restore: x.npz: found a checkpoint of format 2, expected 1",
               tv_checkpoint_restore(c, "x.npz", NULL));
  EQUAL(tv_optimizer_steps(o), 0);
  tv_checkpoint_release(c);
  tv_optimizer_release(o);
  folder_leave();
}

/* Checksums find what matters: refused, and all as before, or restored in full. */
TEST(a_file_changed_anywhere_is_refused_or_the_same) {
  folder_enter();
  training saved, before, t;
  training_begin(&saved, 3, TV_CPU);
  training_begin(&before, 3, TV_CPU);
  training_begin(&t, 3, TV_CPU);
  training_run(&saved, 5);
  training_run(&before, 2);
  OK(tv_checkpoint_save(before.checkpoint, "before.npz", NULL));
  OK(tv_checkpoint_save(saved.checkpoint, "x.npz", NULL));
  OK(tv_checkpoint_restore(t.checkpoint, "before.npz", NULL));
  static char bytes[20000];
  FILE *file = fopen("x.npz", "rb");
  CHECK(file);
  const size_t n = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  CHECK(n > 1000 && n < sizeof bytes);
  for (size_t i = 0; i < n; i += 5) {
    tv_scope scope;
    tv_scope_begin(&scope);
    bytes[i] = (char)(bytes[i] ^ 1 << i % 8);
    file_put("x.npz", bytes, n);
    bytes[i] = (char)(bytes[i] ^ 1 << i % 8);
    const tv_status status = tv_checkpoint_restore(t.checkpoint, "x.npz", NULL);
    CHECK(!status || status == TV_EFORMAT);
    tv_error_clear();
    training_same(&t, status ? &before : &saved);
    if (!status) OK(tv_checkpoint_restore(t.checkpoint, "before.npz", NULL));
    tv_scope_end(&scope, NULL);
  }
  training_end(&saved);
  training_end(&before);
  training_end(&t);
  folder_leave();
}

/* While one thread restores two files in turn, each Variable that others read is whole, and each
 * step of another finds both Variables of one file: they stay equal. */
static _Atomic bool goes_on;

static void *reader(void *user) {
  training *const t = user;
  bool is_whole = true;
  while (goes_on) {
    tv_scope scope;
    tv_scope_begin(&scope);
    float x[64];
    is_whole &= !tv_tensor_copy_out(tv_read(t->w), x, sizeof x);
    for (int i = 1; i < 64 && is_whole; i++) is_whole = x[i] == x[0];
    tv_scope_end(&scope, NULL);
  }
  return is_whole ? user : NULL;
}

static void *trainer(void *user) {
  training *const t = user;
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_tensor *const g[] = {tv_ones(TV_F32, TV_SHAPE(64)), tv_ones(TV_F32, TV_SHAPE(64))};
  tv_variable *const v[] = {t->w, t->b};
  while (goes_on && !tv_optimizer_step(t->optimizer, 2, v, g)) continue;
  tv_scope_end(&scope, NULL);
  return user;
}

TEST(others_may_read_and_train_meanwhile) {
  folder_enter();
  training t = {.optimizer = training_optimizer(1), .checkpoint = tv_checkpoint_new()};
  t.w = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(64)), NULL);
  t.b = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(64)), NULL);
  OK(tv_checkpoint_add_variable(t.checkpoint, "b", t.b));
  OK(tv_checkpoint_add_optimizer(t.checkpoint, "sgd", t.optimizer));
  OK(tv_checkpoint_add_variable(t.checkpoint, "w", t.w));
  OK(tv_checkpoint_save(t.checkpoint, "0.npz", NULL));
  OK(tv_variable_assign(t.w, tv_ones(TV_F32, TV_SHAPE(64))));
  OK(tv_variable_assign(t.b, tv_ones(TV_F32, TV_SHAPE(64))));
  OK(tv_checkpoint_save(t.checkpoint, "1.npz", NULL));
  pthread_t threads[2];
  void *was_whole = NULL;
  goes_on = true;
  CHECK(pthread_create(&threads[0], NULL, reader, &t) == 0);
  CHECK(pthread_create(&threads[1], NULL, trainer, &t) == 0);
  for (int i = 0; i < 100; i++)
    OK(tv_checkpoint_restore(t.checkpoint, i % 2 ? "0.npz" : "1.npz", NULL));
  goes_on = false;
  pthread_join(threads[0], &was_whole);
  pthread_join(threads[1], NULL);
  CHECK(was_whole);
  SAME(tv_read(t.w), tv_read(t.b));
  EQUAL(tv_variable_version(t.w), tv_variable_version(t.b));
  training_end(&t);
  folder_leave();
}

/* Whatever fails, all is as before, and the next restore works. */
static void check_restore(training *t, training *before, training *saved, const char *path,
                          tv_status status) {
  training_same(t, status ? before : saved);
  tv_error_clear();
  if (status) return;
  OK(tv_checkpoint_restore(t->checkpoint, "before.npz", NULL));
  training_same(t, before);
  CHECK(path);
}

TEST(any_call_or_allocation_may_fail_and_the_state_is_old_or_new) {
  folder_enter();
  training saved, before;
  training_begin(&saved, 3, TV_CPU);
  training_begin(&before, 3, TV_CPU);
  training_run(&saved, 5);
  training_run(&before, 2);
  OK(tv_checkpoint_save(before.checkpoint, "before.npz", NULL));
  for (int i = 0; i < 2; i++) {
    OK(tv_checkpoint_save(saved.checkpoint, paths[i], NULL));
    training t;
    training_begin(&t, 3, TV_CPU);
    OK(tv_checkpoint_restore(t.checkpoint, "before.npz", NULL));
    static const int errors[] = {EIO, EINTR, FAULT_SHORT};
    for (size_t e = 0; e < sizeof errors / sizeof *errors; e++) {
      int64_t n = 1;
      for (; faults_begin(n, errors[e]); n++) {
        const int descriptors = open_descriptors();
        const tv_status status = tv_checkpoint_restore(t.checkpoint, paths[i], NULL);
        faults_end();
        const int64_t calls = faults.calls;
        EQUAL(open_descriptors(), descriptors);
        CHECK(!status || status == TV_EIO);
        check_restore(&t, &before, &saved, paths[i], status);
        faults.calls = calls;
      }
      CHECK(n > 10);
    }
    int64_t n = 0;
    for (tv_status status = TV_ENOMEM; status;) {
      const int64_t live = tv_live_handles();
      tvi_memory_fail(++n, false);
      status = tv_checkpoint_restore(t.checkpoint, paths[i], NULL);
      tvi_memory_fail(0, false);
      CHECK(!status || status == TV_ENOMEM);
      if (status) EQUAL(tv_live_handles(), live);
      check_restore(&t, &before, &saved, paths[i], status);
    }
    CHECK(n > 60);
    training_end(&t);
  }
  training_end(&saved);
  training_end(&before);
  folder_leave();
}

static void ask(void *user, tv_checkpoint_event event, const char *name, const char *text) {
  tv_checkpoint *const c = ((training *)user)->checkpoint;
  CHECK(event == TV_CHECKPOINT_LOADED && name && text);
  FAILS_STATUS(TV_EBUSY, "checkpoint_save: the checkpoint is in use, and a callback does not wait",
               tv_checkpoint_save(c, "y.npz", NULL));
  FAILS_STATUS(TV_EBUSY,
               "checkpoint_restore: the checkpoint is in use, and a callback does not wait",
               tv_checkpoint_restore(c, "x.npz", NULL));
}

TEST(a_report_that_asks_for_its_checkpoint_is_told) {
  folder_enter();
  training t;
  training_begin(&t, 1, TV_CPU);
  OK(tv_checkpoint_save(t.checkpoint, "x.npz", NULL));
  tv_checkpoint_options o = TV_CHECKPOINT_OPTIONS;
  o.report = ask;
  o.user = &t;
  OK(tv_checkpoint_restore(t.checkpoint, "x.npz", &o));
  training_end(&t);
  folder_leave();
}

TEST(files_that_are_none_are_refused) {
  folder_enter();
  training t;
  training_begin(&t, 0, TV_CPU);
  FAILS_STATUS(TV_EIO, "npz_open: none: cannot open: No such file or directory",
               tv_checkpoint_restore(t.checkpoint, "none", NULL));
  FAILS_STATUS(TV_EVALUE, "checkpoint_restore: path is NULL",
               tv_checkpoint_restore(t.checkpoint, NULL, NULL));
  FAILS_STATUS(TV_EVALUE, "checkpoint_restore: checkpoint is NULL",
               tv_checkpoint_restore(NULL, "x", NULL));
  tv_checkpoint_options o = TV_CHECKPOINT_OPTIONS;
  o.size = 0;
  EQUAL(tv_checkpoint_restore(t.checkpoint, "x", &o), TV_EVALUE);
  tv_error_clear();
  OK(tv_checkpoint_save(t.checkpoint, "x.npz", NULL));
  CHECK(truncate("x.npz", 100) == 0);
  EQUAL(tv_checkpoint_restore(t.checkpoint, "x.npz", NULL), TV_EFORMAT);
  tv_error_clear();
  training_end(&t);
  folder_leave();
}

TEST_MAIN("restore", CASE(training_goes_on_with_the_same_bits),
          CASE(training_goes_on_on_another_device),
          CASE(a_restored_variable_is_written_once_and_tells_the_saved_version),
          CASE(part_of_it_on_request), CASE(dtypes_of_the_same_kind_are_converted_on_request),
          CASE(open_axes_take_another_size), CASE(constraints_and_maps_are_kept),
          CASE(what_an_optimizer_kept_is_forgotten_if_the_file_keeps_nothing),
          CASE(numbers_that_no_optimizer_has_are_refused),
          CASE(any_call_or_allocation_may_fail_and_the_state_is_old_or_new),
          CASE(a_file_changed_anywhere_is_refused_or_the_same),
          CASE(others_may_read_and_train_meanwhile),
          CASE(a_report_that_asks_for_its_checkpoint_is_told),
          CASE(files_that_are_none_are_refused))
