/* SPDX-License-Identifier: MIT
 * Versions: who wrote last, which old values are kept, and what each costs. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "memory.h"

/* 0, 1, ... n - 1 in f64, of which the last `history` values are kept. */
static tv_variable *kept(int64_t n, int history) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  tv_scope scope;
  o.name = "h";
  o.history = history;
  tv_scope_begin(&scope);
  tv_variable *const v = tv_variable_new(tv_arange(TV_F64, 0, (double)n, 1), &o);
  tv_scope_end(&scope, NULL);
  return v;
}

static tv_write_info last_write(tv_variable *v) {
  tv_write_info info = TV_WRITE_INFO;
  OK(tv_variable_last_write(v, &info));
  return info;
}

#define WRITTEN(v, verb_, line_)                 \
  do {                                           \
    const tv_write_info info = last_write(v);    \
    SAME_TEXT(info.verb, verb_);                 \
    SAME_TEXT(info.file, __FILE__);              \
    EQUAL(info.line, line_);                     \
    EQUAL(info.version, tv_variable_version(v)); \
    EQUAL(info.thread, tv_thread_number());      \
  } while (0)

TEST(every_verb_says_who_wrote) {
  tv_tensor *const x = tv_ones(TV_F64, TV_SHAPE(3)), *const one = tv_scalar(1);
  tv_tensor *const at = tv_zeros(TV_I64, TV_SHAPE(1)), *const mask = tv_ones(TV_BOOL, TV_SHAPE(3));
  const tv_index terms[] = {TV_AT(0)};
  void *data;
  tv_variable *const v = tv_variable_new(x, NULL);
  WRITTEN(v, "variable_new", __LINE__ - 1);
  OK(tv_variable_assign(v, x));
  WRITTEN(v, "variable_assign", __LINE__ - 1);
  OK(tv_variable_assign_add(v, one));
  WRITTEN(v, "variable_assign_add", __LINE__ - 1);
  OK(tv_variable_update(v, TV_MAXIMUM, one));
  WRITTEN(v, "variable_assign_max", __LINE__ - 1);
  OK(tv_variable_assign_slice(v, "0", one));
  WRITTEN(v, "variable_assign_slice", __LINE__ - 1);
  OK(tv_variable_assign_slice_mul(v, "0", one));
  WRITTEN(v, "variable_assign_slice_mul", __LINE__ - 1);
  OK(tv_variable_update_slice_with(v, TV_SUBTRACT, 1, terms, one));
  WRITTEN(v, "variable_assign_slice_sub", __LINE__ - 1);
  OK(tv_variable_assign_where_div(v, mask, one));
  WRITTEN(v, "variable_assign_where_div", __LINE__ - 1);
  OK(tv_variable_scatter_min(v, at, one));
  WRITTEN(v, "variable_scatter_min", __LINE__ - 1);
  OK(tv_variable_scatter_nd_update(v, tv_reshape(at, TV_SHAPE(1, 1)), one));
  WRITTEN(v, "variable_scatter_nd_update", __LINE__ - 1);
  OK(tv_variable_batch_scatter_update(v, at, one));
  WRITTEN(v, "variable_batch_scatter_update", __LINE__ - 1);
  OK(tv_variable_map(v, false, &data));
  WRITTEN(v, "variable_batch_scatter_update", __LINE__ - 3);
  OK(tv_variable_unmap(v));
  WRITTEN(v, "variable_unmap", __LINE__ - 1);
  OK(tv_variable_restore(v, tv_variable_version(v)));
  WRITTEN(v, "variable_restore", __LINE__ - 1);
  tv_optimizer *const sgd = tv_sgd_new(NULL);
  OK(tv_optimizer_step(sgd, 1, &v, &x));
  WRITTEN(v, "optimizer_step", __LINE__ - 1);
  CHECK(tv_variable_assign(v, one) != TV_OK); /* a write that fails is none */
  tv_error_clear();
  WRITTEN(v, "optimizer_step", __LINE__ - 4);
  tv_optimizer_release(sgd);
  tv_variable_release(v);
}

/* Called as from another language, which knows no macro: nothing is said of a place. */
TEST(write_without_the_macros_has_no_place) {
  tv_variable *const v = kept(2, 0);
  OK((tv_variable_assign_add)(v, tv_scalar(1)));
  CHECK(!last_write(v).file);
  tv_site_set("script.lua", 7);
  OK((tv_variable_assign_add)(v, tv_scalar(1)));
  SAME_TEXT(last_write(v).file, "script.lua");
  EQUAL(last_write(v).line, 7);
  OK((tv_variable_assign_add)(v, tv_scalar(1))); /* it was said of one write */
  CHECK(!last_write(v).file);
  tv_variable_release(v);
}

static void *write_there(void *argument) {
  static uint64_t number;
  tv_variable *const v = argument;
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_variable_assign_add(v, tv_scalar(1));
  tv_scope_end(&scope, NULL);
  number = tv_thread_number();
  return &number;
}

TEST(another_thread_is_named) {
  tv_variable *const v = kept(2, 0);
  pthread_t thread;
  void *number = NULL;
  CHECK(pthread_create(&thread, NULL, write_there, v) == 0);
  CHECK(pthread_join(thread, &number) == 0);
  EQUAL(tv_variable_version(v), 1);
  EQUAL(last_write(v).thread, *(uint64_t *)number);
  CHECK(last_write(v).thread != tv_thread_number());
  tv_variable_release(v);
}

TEST(last_values_are_kept) {
  tv_variable *const v = kept(2, 3);
  for (int k = 0; k < 6; k++) {
    OK(tv_variable_assign_add(v, tv_scalar(10)));
    EQUAL(tv_variable_oldest(v), k < 3 ? 0 : k - 2);
  }
  HOLDS(tv_variable_at(v, 3), 30, 31);
  HOLDS(tv_variable_at(v, 4), 40, 41);
  HOLDS(tv_variable_at(v, 5), 50, 51);
  HOLDS(tv_variable_at(v, 6), 60, 61);
  FAILS(TV_EINDEX, "variable_at: Variable 'h' has versions 3 to 6, not 2", tv_variable_at(v, 2));
  FAILS(TV_EINDEX, "variable_at: Variable 'h' has versions 3 to 6, not 7", tv_variable_at(v, 7));
  FAILS_STATUS(TV_EINDEX, "variable_restore: Variable 'h' has versions 3 to 6, not 0",
               tv_variable_restore(v, 0));
  EQUAL(tv_variable_version(v), 6);
  tv_variable_release(v);
}

TEST(without_a_history_there_is_the_value_now) {
  tv_variable *const v = kept(2, 0);
  OK(tv_variable_assign_add(v, tv_scalar(1)));
  HOLDS(tv_variable_at(v, 1), 1, 2);
  EQUAL(tv_variable_oldest(v), 1);
  FAILS(TV_EINDEX, "variable_at: Variable 'h' has version 1 alone, not 0: it keeps no history",
        tv_variable_at(v, 0));
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.history = -1;
  CHECK(!tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(1)), &o));
  SAME_TEXT(tv_error_text(), "variable_new: a history of -1 versions");
  tv_error_clear();
  tv_variable_release(v);
}

TEST(restore_is_a_write_of_the_old_bits) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.history = 2;
  const bool open[] = {true};
  o.open_axes = open;
  tv_variable *const v = tv_variable_new(tv_full(TV_F64, TV_SHAPE(2), tv_scalar(.1)), &o);
  OK(tv_variable_assign(v, tv_ones(TV_F64, TV_SHAPE(3))));
  OK(tv_variable_restore(v, 0));
  EQUAL(tv_variable_version(v), 2);
  HOLDS(tv_read(v), .1, .1);
  HOLDS(tv_variable_at(v, 1), 1, 1, 1);
  OK(tv_variable_assign_add(v, tv_scalar(1))); /* the bytes are version 0's too: not changed */
  HOLDS(tv_variable_at(v, 2), .1, .1);
  void *data;
  OK(tv_variable_map(v, true, &data));
  FAILS_STATUS(TV_EBUSY, "variable_restore: Variable 'Variable' is mapped",
               tv_variable_restore(v, 2));
  FAILS(TV_EBUSY, "variable_at: Variable 'Variable' is mapped exclusively", tv_variable_at(v, 3));
  HOLDS(tv_variable_at(v, 2), .1, .1);
  OK(tv_variable_unmap(v));
  tv_variable_release(v);
}

/* The value now and two before: no more is held, whatever was written. */
TEST(history_holds_so_many_values_and_no_more) {
  enum { N = 5000 };
  tv_memory_stats before, after;
  tv_scope scope;
  tv_device_memory(check_device(), &before);
  tv_variable *const v = kept(N, 2);
  for (int k = 0; k < 20; k++) {
    tv_scope_begin(&scope);
    OK(tv_variable_assign_add(v, tv_scalar(1)));
    tv_scope_end(&scope, NULL);
  }
  tv_device_memory(check_device(), &after);
  const int64_t held = after.bytes - before.bytes, value = N * (int64_t)sizeof(double);
  CHECK(held >= 3 * value && held < 4 * value);
  tv_variable_release(v);
}

/* A thread writes 1, 2, ... while others look back: version k is all k, or is gone. */
static atomic_bool is_over, is_torn;

static void *look_back(void *argument) {
  tv_variable *const v = argument;
  while (!atomic_load(&is_over)) {
    tv_scope scope;
    tv_scope_begin(&scope);
    const uint64_t version = tv_variable_oldest(v);
    tv_tensor *const x = tv_variable_at(v, version);
    double low = 0, high = 0;
    if (x) {
      tv_item_f64(tv_min(x, TV_ALL_AXES), &low);
      tv_item_f64(tv_max(x, TV_ALL_AXES), &high);
      if (low != high || low != (double)version) atomic_store(&is_torn, true);
    } else {
      tv_error_clear();
    }
    tv_write_info info = TV_WRITE_INFO;
    tv_variable_last_write(v, &info);
    if (info.version < version) atomic_store(&is_torn, true);
    tv_scope_end(&scope, NULL);
  }
  return NULL;
}

TEST(readers_look_back_while_another_writes) {
  enum { READERS = 3, WRITES = 2000 };
  pthread_t readers[READERS];
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.history = 4;
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(600)), &o);
  atomic_store(&is_over, false);
  atomic_store(&is_torn, false);
  for (int k = 0; k < READERS; k++) CHECK(pthread_create(&readers[k], NULL, look_back, v) == 0);
  tv_status status = TV_OK;
  for (int k = 0; k < WRITES && !status; k++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    status = k % 2 ? tv_variable_assign_slice_add(v, "...", tv_scalar(1))
                   : tv_variable_assign_add(v, tv_scalar(1));
    tv_scope_end(&scope, NULL);
  }
  atomic_store(&is_over, true);
  for (int k = 0; k < READERS; k++) pthread_join(readers[k], NULL);
  OK(status);
  CHECK(!atomic_load(&is_torn));
  EQUAL(tv_variable_version(v), WRITES);
  tv_variable_release(v);
}

/* 2 v at v = 2, then v^2 at v = 5: 2 and 10. PyTorch adds them up and cannot tell. */
TEST(shares_of_versions_sum_to_the_gradient) {
  tv_variable *const v = tv_variable_new(tv_full(TV_F64, TV_SHAPE(1), tv_scalar(2)), NULL);
  tv_tape_options o = TV_TAPE_OPTIONS;
  tv_tensor *all, *first, *second, *none;
  o.persistent = true;
  tv_tape *const tape = tv_tape_begin(&o);
  tv_tensor *y = tv_multiply(tv_read(v), tv_scalar(2));
  OK(tv_variable_assign(v, tv_full(TV_F64, TV_SHAPE(1), tv_scalar(5))));
  y = tv_add(y, tv_square(tv_read(v)));
  OK(tv_tape_gradient(tape, y, 1, &v, &all));
  OK(tv_tape_gradient_at(tape, y, v, 0, &first));
  OK(tv_tape_gradient_at(tape, y, v, 1, &second));
  OK(tv_tape_gradient_at(tape, y, v, 7, &none));
  HOLDS(all, 12);
  HOLDS(first, 2);
  HOLDS(second, 10);
  HOLDS(none, 0);
  OK(tv_tape_end(tape));
  CHECK(tv_tape_gradient_at(NULL, y, v, 0, &first) == TV_EVALUE && !first);
  tv_error_clear();
  tv_variable_release(v);
}

TEST(earlier_value_has_a_gradient) {
  tv_variable *const v = kept(2, 1);
  tv_tensor *g;
  OK(tv_variable_assign_add(v, tv_scalar(10)));
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const y = tv_multiply(tv_square(tv_variable_at(v, 0)), tv_read(v));
  OK(tv_tape_gradient_at(tape, y, v, 0, &g)); /* 2 old new */
  HOLDS(g, 0, 22);
  OK(tv_tape_end(tape));
  tv_variable_release(v);
}

TEST(failed_allocation_changes_no_history) {
  for (int64_t fail = 1;; fail++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    tv_variable *const v = kept(2, 2);
    OK(tv_variable_assign_add(v, tv_scalar(10)));
    tv_tensor *const one = tv_scalar(1);
    tvi_memory_fail(fail, fail % 2);
    tv_status status = tv_variable_assign_add(v, one);
    if (!status) status = tv_variable_restore(v, 0);
    tvi_memory_fail(0, false);
    tv_error_clear();
    if (status) HOLDS(tv_variable_at(v, 0), 0, 1);
    HOLDS(tv_variable_at(v, 1), 10, 11);
    if (tv_variable_version(v) > 1) HOLDS(tv_variable_at(v, 2), 11, 12);
    if (!status) HOLDS(tv_read(v), 0, 1);
    tv_variable_release(v);
    tv_scope_end(&scope, NULL);
    if (!status) break;
  }
}

TEST_MAIN("history", CASE(every_verb_says_who_wrote), CASE(write_without_the_macros_has_no_place),
          CASE(another_thread_is_named), CASE(last_values_are_kept),
          CASE(without_a_history_there_is_the_value_now), CASE(restore_is_a_write_of_the_old_bits),
          CASE(history_holds_so_many_values_and_no_more),
          CASE(readers_look_back_while_another_writes),
          CASE(shares_of_versions_sum_to_the_gradient), CASE(earlier_value_has_a_gradient),
          CASE(failed_allocation_changes_no_history))
