/* SPDX-License-Identifier: MIT
 * Where a checkpoint and a file differ: all of it is listed, and nothing is loaded. */
#include "faults.h"
#include "hearing.h"
#include "memory.h"
#include "training.h"

static const char *const paths[] = {"x.npz", "x.safetensors"};

TEST(all_differences_are_listed_and_nothing_is_loaded) {
  folder_enter();
  training t;
  training_begin(&t, 3, TV_CPU);
  tv_tensor *const eight = tv_full(TV_U64, TV_SCALAR_SHAPE, tv_scalar(8));
  const char kind[] = "sgd";
  const char *const names[] = {
      "w", "layer/b", "c", "optimizer/kind", "key", "__tensorvar__/version/w"};
  tv_tensor *const x[] = {
      tv_zeros(TV_F32, TV_SHAPE(2, 3)), tv_zeros(TV_F32, TV_SHAPE(2)),
      tv_zeros(TV_F32, TV_SHAPE(2)),    tv_tensor_from_memory(kind, TV_U8, TV_SHAPE(3), NULL),
      tv_zeros(TV_U64, TV_SHAPE(3)),    eight};
  training_run(&t, 2);
  training same;
  training_begin(&same, 3, TV_CPU);
  training_run(&same, 2);
  for (int i = 0; i < 2; i++) {
    tv_checkpoint_options o = hearing();
    if (i)
      OK(tv_safetensors_save(paths[i], 6, names, x, NULL));
    else
      OK(tv_npz_save(paths[i], 6, names, x, NULL));
    EQUAL(tv_checkpoint_restore(t.checkpoint, paths[i], &o), TV_EFORMAT);
    SAME_TEXT(tv_error_text() + strlen("checkpoint_restore: ") + strlen(paths[i]),
              ": missing 'optimizer/steps'; missing 'optimizer/learning_rate'; missing 'step'; "
              "missing 'mean'; shape "
              "of 'w': [2, 3] in the file, [3, 2] here; dtype of 'layer/b': float32 in the file, "
              "float64 here; shape of 'key': [3] in the file, [2] here; unexpected 'c'");
    tv_error_clear();
    EQUAL(told.n[TV_CHECKPOINT_LOADED], 0);
    EQUAL(told.n[TV_CHECKPOINT_MISSING], 4);
    EQUAL(told.n[TV_CHECKPOINT_UNEXPECTED], 1);
    EQUAL(told.n[TV_CHECKPOINT_SHAPE], 2);
    EQUAL(told.n[TV_CHECKPOINT_DTYPE], 1);
    training_same(&t, &same);
    EQUAL(tv_variable_version(t.w), 2);
  }
  training_end(&t);
  training_end(&same);
  folder_leave();
}

TEST(another_kind_of_optimizer_is_refused) {
  folder_enter();
  training sgd, adam;
  training_begin(&sgd, 1, TV_CPU);
  training_begin(&adam, 3, TV_CPU);
  training_run(&sgd, 1);
  OK(tv_checkpoint_save(sgd.checkpoint, "x.npz", NULL));
  tv_checkpoint_options o = hearing();
  o.allow_missing = o.allow_unexpected = true;
  OK(tv_checkpoint_restore(adam.checkpoint, "x.npz", &o)); /* the optimizer stays as it is */
  EQUAL(tv_optimizer_steps(adam.optimizer), 0);
  EQUAL(adam.step, 1);
  SAME(tv_read(adam.w), tv_read(sgd.w));
  EQUAL(told.n[TV_CHECKPOINT_MISSING], 4);
  EQUAL(told.n[TV_CHECKPOINT_UNEXPECTED], 2);
  training_end(&sgd);
  training_begin(&sgd, 1, TV_CPU);
  OK(tv_checkpoint_save(sgd.checkpoint, "x.npz", NULL)); /* without slots */
  FAILS_STATUS(TV_EFORMAT,
               "checkpoint_restore: x.npz: kind of 'optimizer/kind': sgd in the file, adam here",
               tv_checkpoint_restore(adam.checkpoint, "x.npz", NULL));
  training_end(&sgd);
  training_end(&adam);
  folder_leave();
}

TEST(as_many_differences_as_fit_are_listed_and_all_are_told) {
  folder_enter();
  tv_checkpoint *const c = tv_checkpoint_new();
  int64_t counters[200];
  for (int k = 0; k < 200; k++) {
    char name[32];
    snprintf(name, sizeof name, "counter/number/%d", k);
    OK(tv_checkpoint_add_counter(c, name, &counters[k]));
  }
  OK(tv_npz_save("x.npz", 0, NULL, NULL, NULL));
  tv_checkpoint_options o = hearing();
  EQUAL(tv_checkpoint_restore(c, "x.npz", &o), TV_EFORMAT);
  EQUAL(told.n[TV_CHECKPOINT_MISSING], 200);
  const char *const more = strstr(tv_error_text(), "; and more: ");
  CHECK(more);
  int listed = 0;
  for (const char *at = tv_error_text(); (at = strstr(at, "missing '")); at++) listed++;
  char rest[40];
  snprintf(rest, sizeof rest, "; and more: %d", 200 - listed);
  SAME_TEXT(more, rest);
  tv_error_clear();
  tv_checkpoint_release(c);
  folder_leave();
}

TEST_MAIN("difference", CASE(all_differences_are_listed_and_nothing_is_loaded),
          CASE(another_kind_of_optimizer_is_refused),
          CASE(as_many_differences_as_fit_are_listed_and_all_are_told))
