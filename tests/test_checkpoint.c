/* SPDX-License-Identifier: MIT
 * Checkpoints: what is collected, what a file of one holds, and that it is one state, old or new.
 * Restoring is in test_restore.c. */
#include <pthread.h>

#include "far.h"
#include "faults.h"
#include "memory.h"
#include "training.h"

TEST(a_file_holds_plain_arrays) {
  folder_enter();
  tv_adam_options o = TV_ADAM_OPTIONS;
  o.learning_rate = .1;
  tv_optimizer *const adam = tv_adam_new(&o);
  tv_variable *const w = tv_variable_new(tv_full(TV_F64, TV_SHAPE(2), tv_scalar(1)), NULL);
  tv_tensor *const g = tv_full(TV_F64, TV_SHAPE(2), tv_scalar(.5));
  tv_checkpoint *const c = tv_checkpoint_new();
  tv_key key = {3, 4};
  int64_t epoch = -5;
  double best = .25;
  OK(tv_optimizer_step(adam, 1, &w, &g));
  OK(tv_checkpoint_add_variable(c, "w", w));
  OK(tv_checkpoint_add_optimizer(c, "adam", adam));
  OK(tv_checkpoint_add_key(c, "rng", &key));
  OK(tv_checkpoint_add_counter(c, "epoch", &epoch));
  OK(tv_checkpoint_add_number(c, "best", &best));
  OK(tv_checkpoint_save(c, "x.npz", NULL));
  OK(tv_checkpoint_save(c, "x.safetensors", NULL));
  for (int i = 0; i < 2; i++) {
    tv_npz *const z = i ? NULL : tv_npz_open("x.npz", NULL);
    tv_safetensors *const s = i ? tv_safetensors_open("x.safetensors") : NULL;
    EQUAL(i ? tv_safetensors_count(s) : tv_npz_count(z), 16);
#define READ(name) (i ? tv_safetensors_read(s, name, NULL) : tv_npz_read(z, name, NULL))
    SAME(READ("w"), tv_read(w));
    HOLDS(READ("__tensorvar__/version/w"), 1);
    HOLDS(READ("__tensorvar__/format"), 1);
    HOLDS(READ("adam/kind"), 'a', 'd', 'a', 'm');
    HOLDS(READ("adam/steps"), 1);
    HOLDS(READ("adam/learning_rate"), .1);
    HOLDS(READ("adam/settings/beta1"), .9);
    HOLDS(READ("adam/settings/beta2"), .999);
    HOLDS(READ("adam/settings/epsilon"), o.epsilon);
    HOLDS(READ("adam/settings/weight_decay"), 0);
    HOLDS(READ("adam/w/steps"), 1);
    /* As PyTorch's state after the same step: (1 - .9) .5, (1 - .999) .25. */
    CLOSE(READ("adam/w/exp_avg"), tv_full(TV_F64, TV_SHAPE(2), tv_scalar(.05)), 2);
    CLOSE(READ("adam/w/exp_avg_sq"), tv_full(TV_F64, TV_SHAPE(2), tv_scalar(.00025)), 8);
    HOLDS(READ("rng"), 3, 4);
    EQUAL(tv_tensor_dtype(READ("rng")), TV_U64);
    HOLDS(READ("epoch"), -5);
    HOLDS(READ("best"), .25);
    EQUAL(tv_tensor_dtype(READ("best")), TV_F64);
#undef READ
    tv_npz_release(z);
    tv_safetensors_release(s);
  }
  tv_checkpoint_release(tv_checkpoint_retain(c));
  tv_checkpoint_release(c);
  tv_optimizer_release(adam);
  tv_variable_release(w);
  folder_leave();
}

TEST(a_checkpoint_holds_what_was_added) {
  folder_enter();
  tv_checkpoint *const c = tv_checkpoint_new();
  tv_variable *const w = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), NULL);
  OK(tv_checkpoint_add_variable(c, NULL, w));
  tv_variable_release(w);
  OK(tv_checkpoint_save(c, "x.npz", NULL));
  HOLDS(tv_npz_load("x.npz", "Variable", NULL), 1, 1);
  tv_checkpoint_release(c);
  folder_leave();
}

TEST(names_and_objects_are_added_once) {
  tv_checkpoint *const c = tv_checkpoint_new();
  tv_variable *const w = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), NULL);
  tv_optimizer *const o = tv_sgd_new(NULL);
  tv_key key = {0, 0};
  int64_t n = 0;
  OK(tv_checkpoint_add_variable(c, "w", w));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_key: the name 'w' is taken",
               tv_checkpoint_add_key(c, "w", &key));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_variable: 'v' is there already, as 'w'",
               tv_checkpoint_add_variable(c, "v", w));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_counter: found a name that begins with '__': '__n'",
               tv_checkpoint_add_counter(c, "__n", &n));
  FAILS_STATUS(TV_EVALUE,
               "checkpoint_add_optimizer: found a name with '..' as a part of its path: '../o'",
               tv_checkpoint_add_optimizer(c, "../o", o));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_optimizer: name is NULL",
               tv_checkpoint_add_optimizer(c, NULL, o));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_optimizer: optimizer is NULL",
               tv_checkpoint_add_optimizer(c, "o", NULL));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_variable: variable is NULL",
               tv_checkpoint_add_variable(c, "v", NULL));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_variable: checkpoint is NULL",
               tv_checkpoint_add_variable(NULL, "v", w));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_key: key is NULL", tv_checkpoint_add_key(c, "k", NULL));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_counter: counter is NULL",
               tv_checkpoint_add_counter(c, "n", NULL));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_number: number is NULL",
               tv_checkpoint_add_number(c, "x", NULL));
  FAILS_STATUS(TV_EVALUE, "checkpoint_save: path is NULL", tv_checkpoint_save(c, NULL, NULL));
  FAILS_STATUS(TV_EVALUE, "checkpoint_save: checkpoint is NULL",
               tv_checkpoint_save(NULL, "x", NULL));
  tv_checkpoint_save_options options = TV_CHECKPOINT_SAVE_OPTIONS;
  options.compression = -1;
  FAILS_STATUS(TV_EVALUE, "checkpoint_save: compression is -1, not 0 to 9",
               tv_checkpoint_save(c, "x", &options));
  options.size = 0;
  EQUAL(tv_checkpoint_save(c, "x", &options), TV_EVALUE);
  tv_error_clear();
  tv_checkpoint_release(c);
  tv_checkpoint_release(NULL);
  tv_optimizer_release(o);
  tv_variable_release(w);
}

TEST(what_cannot_be_saved_is_refused) {
  folder_enter();
  training t;
  training_begin(&t, 1, TV_CPU);
  training_run(&t, 1);
  tv_checkpoint *const c = tv_checkpoint_new();
  OK(tv_checkpoint_add_variable(c, "w", t.w));
  OK(tv_checkpoint_add_optimizer(c, "sgd", t.optimizer));
  FAILS_STATUS(TV_EVALUE,
               "checkpoint_save: optimizer 'sgd' keeps state of Variable 'b', which the checkpoint "
               "does not hold",
               tv_checkpoint_save(c, "x.npz", NULL));
  OK(tv_checkpoint_add_variable(c, "sgd/steps", t.b));
  FAILS_STATUS(TV_EVALUE, "npz_save: the name 'sgd/steps' is given twice",
               tv_checkpoint_save(c, "x.npz", NULL));
  tv_checkpoint_release(c);
  void *data;
  OK(tv_variable_map(t.w, true, &data));
  FAILS_STATUS(TV_EBUSY, "checkpoint_save: Variable 'w' is mapped exclusively",
               tv_checkpoint_save(t.checkpoint, "x.npz", NULL));
  OK(tv_variable_unmap(t.w));
  OK(tv_variable_map(t.w, false, &data)); /* readers see the old value: so it is saved */
  OK(tv_checkpoint_save(t.checkpoint, "x.npz", NULL));
  OK(tv_variable_unmap(t.w));
  training_end(&t);
  folder_leave();
}

TEST(compression_and_durability_are_passed_on) {
  folder_enter();
  tv_checkpoint_save_options o = TV_CHECKPOINT_SAVE_OPTIONS;
  tv_variable *const w = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(10000)), NULL);
  tv_checkpoint *const c = tv_checkpoint_new();
  OK(tv_checkpoint_add_variable(c, "w", w));
  o.durable = false;
  o.compression = 6;
  const tv_status status = tv_checkpoint_save(c, "x.npz", &o);
  struct stat about;
  CHECK(status == TV_EUNSUPPORTED || (stat("x.npz", &about) == 0 && about.st_size < 2000));
  tv_error_clear();
  tv_checkpoint_release(c);
  tv_variable_release(w);
  folder_leave();
}

/* A file is one of two states, and tells which. */
static void check_state(const char *path, training *now, bool is_new, int64_t old_step) {
  training fresh;
  training_begin(&fresh, 3, TV_CPU);
  OK(tv_checkpoint_restore(fresh.checkpoint, path, NULL));
  EQUAL(fresh.step, is_new ? now->step : old_step);
  EQUAL(tv_optimizer_steps(fresh.optimizer), fresh.step);
  if (is_new) training_same(&fresh, now);
  training_end(&fresh);
}

TEST(any_call_may_fail_and_the_file_is_old_or_new) {
  static const int errors[] = {ENOSPC, EINTR, FAULT_SHORT};
  static const char *const paths[] = {"x.npz", "x.safetensors"};
  folder_enter();
  training t;
  training_begin(&t, 3, TV_CPU);
  for (size_t i = 0; i < 2 * sizeof errors / sizeof *errors; i++) {
    const char *const path = paths[i % 2];
    int64_t n = 1;
    for (; OK(tv_checkpoint_save(t.checkpoint, path, NULL)), faults_begin(n, errors[i / 2]); n++) {
      const int64_t old = t.step;
      training_run(&t, 1); /* asks nothing of the system */
      const int files = folder_files();
      const tv_status status = tv_checkpoint_save(t.checkpoint, path, NULL);
      faults_end();
      EQUAL(folder_files(), files);
      CHECK(!status || status == TV_EIO);
      const bool is_in_place = !status || strstr(tv_error_text(), "is in place, but");
      tv_error_clear();
      check_state(path, &t, is_in_place, old);
    }
    CHECK(n > 12);
  }
  training_end(&t);
  folder_leave();
}

TEST(any_allocation_may_fail) {
  folder_enter();
  training t;
  training_begin(&t, 3, TV_CPU);
  OK(tv_checkpoint_save(t.checkpoint, "x.npz", NULL));
  training_run(&t, 2);
  int64_t n = 0;
  for (tv_status status = TV_ENOMEM; status; tv_error_clear()) {
    const int64_t live = tv_live_handles();
    tvi_memory_fail(++n, false);
    status = tv_checkpoint_save(t.checkpoint, "x.npz", NULL);
    tvi_memory_fail(0, false);
    EQUAL(tv_live_handles(), live);
    EQUAL(folder_files(), 1);
    const bool is_in_place = !status || strstr(tv_error_text(), "is in place, but");
    tv_error_clear();
    check_state("x.npz", &t, is_in_place, 0);
    OK(tv_checkpoint_save(t.checkpoint, "y.npz", NULL)); /* the next one works */
    CHECK(remove("y.npz") == 0);
  }
  CHECK(n > 40);
  training_end(&t);
  tv_checkpoint *c = NULL;
  for (n = 0; !c; tv_error_clear()) {
    tvi_memory_fail(++n, false);
    c = tv_checkpoint_new();
    tvi_memory_fail(0, false);
  }
  int64_t counter = 0;
  for (tv_status status = TV_ENOMEM; status; tv_error_clear()) {
    tvi_memory_fail(++n, false);
    status = tv_checkpoint_add_counter(c, "n", &counter);
    tvi_memory_fail(0, false);
    if (n > 2) n = 0;
  }
  tv_checkpoint_release(c);
  folder_leave();
}

TEST(another_device_is_saved) {
  folder_enter();
  training here, far;
  training_begin(&here, 3, TV_CPU);
  training_begin(&far, 3, far_device());
  training_run(&here, 3);
  training_run(&far, 3);
  OK(tv_checkpoint_save(far.checkpoint, "x.safetensors", NULL));
  training fresh;
  training_begin(&fresh, 3, TV_CPU);
  OK(tv_checkpoint_restore(fresh.checkpoint, "x.safetensors", NULL));
  training_same(&fresh, &far);
  training_end(&here);
  training_end(&far);
  training_end(&fresh);
  folder_leave();
}

/* One thread steps two Variables by the same amount for as long as the other saves: in every file
 * they are equal, and the optimizer's count, its counts for each, and both versions are one number.
 */
static _Atomic bool goes_on;

static void *trainer(void *user) {
  training *const t = user;
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_tensor *const g[] = {tv_ones(TV_F32, TV_SHAPE(100)), tv_ones(TV_F32, TV_SHAPE(100))};
  tv_variable *const v[] = {t->w, t->b};
  while (goes_on && !tv_optimizer_step(t->optimizer, 2, v, g)) continue;
  tv_scope_end(&scope, NULL);
  return NULL;
}

TEST(a_file_saved_while_others_train_is_one_state) {
  folder_enter();
  training t = {.optimizer = training_optimizer(3), .checkpoint = tv_checkpoint_new()};
  t.w = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(100)), NULL);
  t.b = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(100)), NULL);
  OK(tv_checkpoint_add_variable(t.checkpoint, "b", t.b));
  OK(tv_checkpoint_add_optimizer(t.checkpoint, "adam", t.optimizer));
  OK(tv_checkpoint_add_variable(t.checkpoint, "w", t.w));
  pthread_t thread;
  goes_on = true;
  CHECK(pthread_create(&thread, NULL, trainer, &t) == 0);
  tv_checkpoint_save_options scratch = TV_CHECKPOINT_SAVE_OPTIONS;
  scratch.durable = false;
  for (int i = 0; i < 60; i++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    OK(tv_checkpoint_save(t.checkpoint, "x.npz", &scratch));
    tv_npz *const z = tv_npz_open("x.npz", NULL);
    int64_t steps, n;
    SAME(tv_npz_read(z, "w", NULL), tv_npz_read(z, "b", NULL));
    OK(tv_item_i64(tv_npz_read(z, "adam/steps", NULL), &steps));
    static const char *const counts[] = {"adam/w/steps", "adam/b/steps", "__tensorvar__/version/w",
                                         "__tensorvar__/version/b"};
    for (int k = steps ? 0 : 2; k < 4; k++) {
      OK(tv_item_i64(tv_npz_read(z, counts[k], NULL), &n));
      EQUAL(n, steps);
    }
    if (steps) SAME(tv_npz_read(z, "adam/w/exp_avg", NULL), tv_npz_read(z, "adam/b/exp_avg", NULL));
    tv_npz_release(z);
    tv_scope_end(&scope, NULL);
  }
  goes_on = false;
  pthread_join(thread, NULL);
  training_end(&t);
  folder_leave();
}

TEST_MAIN("checkpoint", CASE(a_file_holds_plain_arrays), CASE(a_checkpoint_holds_what_was_added),
          CASE(names_and_objects_are_added_once), CASE(what_cannot_be_saved_is_refused),
          CASE(compression_and_durability_are_passed_on),
          CASE(any_call_may_fail_and_the_file_is_old_or_new), CASE(any_allocation_may_fail),
          CASE(another_device_is_saved), CASE(a_file_saved_while_others_train_is_one_state))
