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

/* An AdamW of two Variables, one of them in a group, in a checkpoint. */
typedef struct {
  tv_optimizer *optimizer;
  tv_variable *v[2];
  tv_checkpoint *checkpoint;
} told_so;

static void tell(told_so *t, double beta2, double decay, double rate_factor, double group_decay) {
  tv_adam_options o = TV_ADAM_OPTIONS;
  tv_group_options group = TV_GROUP_OPTIONS;
  o.beta2 = beta2;
  o.weight_decay = decay;
  group.rate_factor = rate_factor;
  group.weight_decay = group_decay;
  t->optimizer = tv_adam_new(&o);
  t->checkpoint = tv_checkpoint_new();
  for (int k = 0; k < 2; k++) {
    t->v[k] = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), NULL);
    OK(tv_checkpoint_add_variable(t->checkpoint, k ? "b" : "w", t->v[k]));
  }
  OK(tv_checkpoint_add_optimizer(t->checkpoint, "adam", t->optimizer));
  OK(tv_optimizer_set_group(t->optimizer, 1, &t->v[1], &group));
  tv_tensor *const g = tv_ones(TV_F32, TV_SHAPE(2));
  OK(tv_optimizer_step(t->optimizer, 2, t->v, (tv_tensor *[]){g, g}));
}
static void told_end(told_so *t) {
  tv_checkpoint_release(t->checkpoint);
  tv_optimizer_release(t->optimizer);
  for (int k = 0; k < 2; k++) tv_variable_release(t->v[k]);
}

TEST(settings_that_differ_are_refused_by_name_or_allowed) {
  folder_enter();
  told_so a, b, same;
  tell(&a, .999, .25, .5, 0);
  tell(&b, .99, 0, 1, .125);
  tell(&same, .999, .25, .5, 0);
  for (int i = 0; i < 2; i++) {
    OK(tv_checkpoint_save(a.checkpoint, paths[i], NULL));
    OK(tv_checkpoint_restore(same.checkpoint, paths[i], NULL));
    tv_checkpoint_options o = hearing();
    EQUAL(tv_checkpoint_restore(b.checkpoint, paths[i], &o), TV_EFORMAT);
    SAME_TEXT(tv_error_text() + strlen("checkpoint_restore: ") + strlen(paths[i]),
              ": setting 'adam/settings/beta2': 0.999 in the file, 0.99 here; "
              "setting 'adam/settings/weight_decay': 0.25 in the file, 0.0 here; "
              "setting 'adam/b/rate_factor': 0.5 in the file, 1.0 here; "
              "setting 'adam/b/weight_decay': 0.0 in the file, 0.125 here");
    tv_error_clear();
    EQUAL(told.n[TV_CHECKPOINT_SETTING], 4);
    CHECK(strstr(told.text, "adam/b/weight_decay 0.0 in the file, 0.125 here|"));
    EQUAL(tv_variable_version(b.v[0]), 1 + i);
    o = hearing();
    o.allow_settings = true;
    OK(tv_checkpoint_restore(b.checkpoint, paths[i], &o));
    EQUAL(told.n[TV_CHECKPOINT_SETTING], 4);
    CHECK(!told.n[TV_CHECKPOINT_UNEXPECTED] && told.n[TV_CHECKPOINT_LOADED] > 10);
    SAME(tv_read(b.v[0]), tv_read(a.v[0]));
  }
  /* It goes on as it was told here: with its own decays. */
  OK(tv_checkpoint_save(b.checkpoint, "x.npz", NULL));
  HOLDS(tv_npz_load("x.npz", "adam/b/weight_decay", NULL), .125);
  HOLDS(tv_npz_load("x.npz", "adam/settings/beta2", NULL), .99);
  told_end(&a);
  told_end(&b);
  told_end(&same);
  folder_leave();
}

/* A file without settings, as an earlier release wrote it, says nothing of them; one with a setting
 * of another shape or dtype is refused for that. */
TEST(settings_are_compared_where_a_file_has_them) {
  folder_enter();
  tv_sgd_options sgd = TV_SGD_OPTIONS;
  sgd.weight_decay = .5;
  tv_optimizer *const o = tv_sgd_new(&sgd);
  tv_checkpoint *const c = tv_checkpoint_new();
  OK(tv_checkpoint_add_optimizer(c, "sgd", o));
  const char *const names[] = {"sgd/kind", "sgd/steps", "sgd/learning_rate",
                               "sgd/settings/weight_decay"};
  tv_tensor *x[] = {tv_tensor_from_memory("sgd", TV_U8, TV_SHAPE(3), NULL),
                    tv_full(TV_I64, TV_SCALAR_SHAPE, tv_scalar(9)),
                    tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(.5)), tv_zeros(TV_F64, TV_SHAPE(1))};
  OK(tv_npz_save("x.npz", 3, names, x, NULL));
  OK(tv_checkpoint_restore(c, "x.npz", NULL));
  EQUAL(tv_optimizer_steps(o), 9);
  OK(tv_npz_save("x.npz", 4, names, x, NULL));
  FAILS_STATUS(TV_EFORMAT,
               "checkpoint_restore: x.npz: shape of 'sgd/settings/weight_decay': [1] in the file, "
               "[] here",
               tv_checkpoint_restore(c, "x.npz", NULL));
  x[3] = tv_full(TV_F32, TV_SCALAR_SHAPE, tv_scalar(.5));
  OK(tv_npz_save("x.npz", 4, names, x, NULL));
  FAILS_STATUS(TV_EFORMAT,
               "checkpoint_restore: x.npz: dtype of 'sgd/settings/weight_decay': float32 in the "
               "file, float64 here",
               tv_checkpoint_restore(c, "x.npz", NULL));
  x[3] = tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(.5));
  OK(tv_npz_save("x.npz", 4, names, x, NULL));
  OK(tv_checkpoint_restore(c, "x.npz", NULL));
  tv_checkpoint_release(c);
  tv_optimizer_release(o);
  folder_leave();
}

TEST_MAIN("difference", CASE(all_differences_are_listed_and_nothing_is_loaded),
          CASE(another_kind_of_optimizer_is_refused),
          CASE(settings_that_differ_are_refused_by_name_or_allowed),
          CASE(settings_are_compared_where_a_file_has_them),
          CASE(as_many_differences_as_fit_are_listed_and_all_are_told))
