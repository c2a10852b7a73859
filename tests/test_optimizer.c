/* SPDX-License-Identifier: MIT
 * Optimizers: what they refuse, what they keep of Variables, and how a checkpoint takes that out
 * and puts it back. */
#include <stddef.h>
#include <string.h>

#include "check.h"
#include "memory.h"
#include "variable/optimizer.h"

static tv_variable *variable(tv_dtype dtype, int64_t n) {
  return tv_variable_new(tv_ones(dtype, TV_SHAPE(n)), NULL);
}

static void step(tv_optimizer *o, tv_variable *v, double gradient) {
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  int64_t n;
  OK(tv_variable_shape(v, &n));
  tv_tensor *const g = tv_full(tv_variable_dtype(v), TV_SHAPE(n), tv_scalar(gradient));
  OK(tv_optimizer_step(o, 1, &v, &g));
  OK(tv_scope_end(&scope, NULL));
}

TEST(bad_options_are_refused) {
  tv_adam_options a = TV_ADAM_OPTIONS;
  a.beta1 = 1;
  CHECK(!tv_adam_new(&a));
  SAME_TEXT(tv_error_text(), "adam_new: beta1 is 1, expected 0 or more and below 1");
  tv_error_clear();
  tv_sgd_options s = TV_SGD_OPTIONS;
  s.learning_rate = -1;
  CHECK(!tv_sgd_new(&s));
  SAME_TEXT(tv_error_text(), "sgd_new: learning_rate is -1, expected 0 or more and finite");
  tv_error_clear();
  s.size = 0;
  CHECK(!tv_sgd_new(&s));
  EQUAL(tv_error(), TV_EVALUE);
  tv_error_clear();
  FAILS_STATUS(TV_EVALUE, "optimizer_step: optimizer is NULL",
               tv_optimizer_step(NULL, 0, NULL, NULL));
  tv_optimizer_release(NULL);
  CHECK(!tv_optimizer_retain(NULL));
  tv_rmsprop_options r = TV_RMSPROP_OPTIONS;
  r.decay = -.1;
  CHECK(!tv_rmsprop_new(&r));
  SAME_TEXT(tv_error_text(), "rmsprop_new: decay is -0.1, expected 0 or more and below 1");
  tv_error_clear();
  tv_adagrad_options g = TV_ADAGRAD_OPTIONS;
  g.initial = -1;
  CHECK(!tv_adagrad_new(&g));
  SAME_TEXT(tv_error_text(), "adagrad_new: initial is -1, expected 0 or more and finite");
  tv_error_clear();
  tv_adadelta_options d = TV_ADADELTA_OPTIONS;
  d.weight_decay = -1;
  CHECK(!tv_adadelta_new(&d));
  SAME_TEXT(tv_error_text(), "adadelta_new: weight_decay is -1, expected 0 or more and finite");
  tv_error_clear();
  tv_lion_options l = TV_LION_OPTIONS;
  l.beta2 = 2;
  CHECK(!tv_lion_new(&l));
  SAME_TEXT(tv_error_text(), "lion_new: beta2 is 2, expected 0 or more and below 1");
  tv_error_clear();
  s = (tv_sgd_options)TV_SGD_OPTIONS;
  s.momentum = s.dampening = .5;
  s.nesterov = true;
  CHECK(!tv_sgd_new(&s));
  SAME_TEXT(tv_error_text(), "sgd_new: dampening goes with neither nesterov nor rate_in_momentum");
  tv_error_clear();
}

/* A caller compiled when there were only the first options. */
TEST(options_may_be_shorter_than_the_library_knows) {
  tv_adam_options a = TV_ADAMW_OPTIONS;
  a.size = offsetof(tv_adam_options, epsilon_hat);
  a.decoupled_decay = -1; /* is not looked at */
  tv_optimizer *const o = tv_adamw_new(&a);
  CHECK(o && tvi_optimizer_n_slots(o) == 2);
  for (int k = 0; k < tvi_optimizer_n_numbers(); k++)
    if (!strcmp(tvi_optimizer_number_name(k), "decoupled_decay"))
      CHECK(tvi_optimizer_number(o, k) == .01);
  tv_optimizer_release(o);
}

TEST(slots_are_seen_by_name) {
  tv_optimizer *const o = tv_adam_new(NULL);
  tv_variable *const v = variable(TV_F64, 2);
  FAILS(TV_EVALUE, "optimizer_slot: Variable 'Variable' has not been stepped",
        tv_optimizer_slot(o, v, "exp_avg"));
  step(o, v, 1);
  tv_tensor *const m = OK(tv_optimizer_slot(o, v, "exp_avg"));
  step(o, v, 1); /* does not write what is being looked at */
  HOLDS(m, 1 - .9, 1 - .9);
  FAILS(TV_EVALUE, "optimizer_slot: adam as it is set keeps no momentum_buffer",
        tv_optimizer_slot(o, v, "momentum_buffer"));
  FAILS(TV_EVALUE, "optimizer_slot: variable is NULL", tv_optimizer_slot(o, NULL, "exp_avg"));
  tv_optimizer_release(o);
  tv_variable_release(v);
}

/* What a checkpoint does: a second run that begins where the first one was has its bits. */
TEST(a_state_is_taken_out_and_put_back) {
  tv_adam_options options = TV_ADAM_OPTIONS;
  options.amsgrad = true;
  tv_optimizer *const o = tv_adam_new(&options), *const again = tv_adam_new(&options);
  tv_variable *const v = variable(TV_F16, 3), *const w = variable(TV_F16, 3);
  SAME_TEXT(tvi_optimizer_kind(o), "adam");
  EQUAL(tvi_optimizer_n_slots(o), 3);
  SAME_TEXT(tvi_optimizer_slot_name(o, 1), "exp_avg_sq");
  EQUAL(tvi_optimizer_slot_dtype(o, v, 1), TV_F32);
  for (int k = 0; k < 3; k++) step(o, v, .5 * k - .4);

  int64_t steps = -1;
  tv_tensor *slots[3];
  OK(tvi_optimizer_lock("test", o));
  OK(tvi_optimizer_state(o, w, &steps, slots));
  CHECK(steps == 0 && !slots[0] && !slots[1] && !slots[2]);
  EQUAL(tvi_optimizer_n_variables(o), 1);
  CHECK(tvi_optimizer_variable(o, 0) == v);
  OK(tvi_optimizer_state(o, v, &steps, slots));
  EQUAL(steps, 3);
  const int64_t total = tvi_optimizer_steps(o);
  const double rate = tvi_optimizer_learning_rate(o);
  tvi_optimizer_unlock(o);

  OK(tv_variable_assign(w, tv_read(v)));
  step(again, w, 9); /* is forgotten */
  OK(tv_variable_assign(w, tv_read(v)));
  OK(tvi_optimizer_lock("test", again));
  OK(tvi_optimizer_reserve(again, 1));
  tvi_optimizer_put(again, total, rate, 1, &w, &steps, slots);
  tvi_optimizer_unlock(again);
  for (int j = 0; j < 3; j++) {
    CHECK(slots[j]);
    tv_release(slots[j]);
  }
  EQUAL(tv_optimizer_steps(again), 3);
  for (int k = 0; k < 3; k++) {
    step(o, v, .3);
    step(again, w, .3);
    SAME(tv_read(w), tv_read(v));
    SAME(tv_optimizer_slot(again, w, "max_exp_avg_sq"), tv_optimizer_slot(o, v, "max_exp_avg_sq"));
  }
  tv_optimizer_release(o);
  tv_optimizer_release(again);
  tv_variable_release(v);
  tv_variable_release(w);
}

TEST(a_state_without_memory_is_none) {
  tv_optimizer *const o = tv_adam_new(NULL);
  tv_variable *const v = variable(TV_F32, 2);
  step(o, v, 1);
  for (int64_t fail = 1;; fail++) {
    int64_t steps;
    tv_tensor *slots[2];
    tvi_memory_fail(fail, false);
    const tv_status status = tvi_optimizer_state(o, v, &steps, slots);
    tvi_memory_fail(0, false);
    if (status) {
      EQUAL(status, TV_ENOMEM);
      CHECK(!slots[0] && !slots[1]);
      tv_error_clear();
      continue;
    }
    for (int j = 0; j < 2; j++) tv_release(slots[j]);
    break;
  }
  tv_optimizer_release(o);
  tv_variable_release(v);
}

TEST_MAIN("optimizer", CASE(bad_options_are_refused),
          CASE(options_may_be_shorter_than_the_library_knows), CASE(slots_are_seen_by_name),
          CASE(a_state_is_taken_out_and_put_back), CASE(a_state_without_memory_is_none))
