/* SPDX-License-Identifier: MIT
 * Scales of losses: how they change, as PyTorch's GradScaler does, and what they are for. */
#include <math.h>

#include "check.h"

static tv_scaler *scaler(double scale, int64_t interval) {
  tv_scaler_options o = TV_SCALER_OPTIONS;
  o.scale = scale;
  o.interval = interval;
  return tv_scaler_new(&o);
}

/* PyTorch's _amp_update_scale_ with growth_interval 2: bad, good, good, good, good, good. */
TEST(the_scale_follows_what_was_finite) {
  static const double gradients[] = {(double)INFINITY, 1, 1, 1, 1, 1, (double)NAN};
  static const double scales[] = {4, 4, 8, 8, 16, 16, 8};
  tv_scaler *const s = scaler(8, 2);
  tv_optimizer *const o = tv_sgd_new(NULL);
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(2)), NULL);
  tv_step_options with = TV_STEP_OPTIONS;
  bool is_skipped = false;
  with.scaler = s;
  with.is_skipped = &is_skipped;
  int64_t taken = 0;
  for (int k = 0; k < 7; k++) {
    tv_tensor *const g = tv_full(TV_F32, TV_SHAPE(2), tv_scalar(gradients[k]));
    const bool is_bad = k == 0 || k == 6;
    OK(tv_optimizer_step_with(o, 1, &v, &g, &with));
    CHECK(is_skipped == is_bad);
    taken += !is_bad;
    EQUAL(tv_variable_version(v), taken);
    EQUAL(tv_optimizer_steps(o), taken);
    CHECK(tv_scaler_factor(s) == scales[k]);
  }
  EQUAL(tv_scaler_n_finite(s), 0);
  tv_scaler_release(s);
  tv_optimizer_release(o);
  tv_variable_release(v);
}

/* A gradient of 1e-9 is 0 in float16; scaled by 65536 it is not, and the step gets it back. */
TEST(small_gradients_of_half_precision_survive) {
  tv_scaler *const s = tv_scaler_new(NULL);
  tv_sgd_options options = TV_SGD_OPTIONS;
  options.learning_rate = 1e6;
  for (int dtype = 0; dtype < 2; dtype++) {
    tv_optimizer *const o = tv_sgd_new(&options);
    tv_variable *const v = tv_variable_new(tv_zeros(dtype ? TV_BF16 : TV_F16, TV_SHAPE(1)), NULL);
    tv_tape *const tape = tv_tape_begin(NULL);
    tv_tensor *const loss =
        tv_multiply(tv_sum(tv_astype(tv_read(v), TV_F32), TV_ALL_AXES), tv_scalar(0x1p-30));
    tv_tensor *g;
    OK(tv_tape_gradient(tape, tv_scaler_scale(s, loss), 1, &v, &g));
    OK(tv_tape_end(tape));
    tv_step_options with = TV_STEP_OPTIONS;
    with.scaler = s;
    OK(tv_optimizer_step_with(o, 1, &v, &g, &with));
    double w;
    OK(tv_item_f64(tv_read(v), &w));
    CHECK(fabs(w + 1e6 * 0x1p-30) < 1e-5);
    tv_optimizer_release(o);
    tv_variable_release(v);
  }
  tv_scaler_release(s);
}

TEST(a_loss_of_half_precision_is_scaled_in_single) {
  tv_scaler *const s = tv_scaler_new(NULL);
  tv_tensor *const y = OK(tv_scaler_scale(s, tv_full(TV_F16, TV_SCALAR_SHAPE, tv_scalar(4))));
  EQUAL(tv_tensor_dtype(y), TV_F32);
  HOLDS(y, 262144);
  FAILS(TV_EDTYPE, "scaler_scale: a loss of int64 carries no gradient",
        tv_scaler_scale(s, tv_zeros(TV_I64, TV_SCALAR_SHAPE)));
  FAILS(TV_EVALUE, "scaler_scale: loss is NULL", tv_scaler_scale(s, NULL));
  tv_scaler_release(tv_scaler_retain(s));
  tv_scaler_release(s);
  tv_scaler_release(NULL);
}

TEST(a_scale_stays_above_0_and_finite) {
  tv_scaler *const s = scaler(1e308, 1);
  tv_optimizer *const o = tv_sgd_new(NULL);
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(1)), NULL);
  tv_step_options with = TV_STEP_OPTIONS;
  tv_tensor *const good = tv_zeros(TV_F64, TV_SHAPE(1));
  tv_tensor *const bad = tv_full(TV_F64, TV_SHAPE(1), tv_scalar((double)NAN));
  with.scaler = s;
  OK(tv_optimizer_step_with(o, 1, &v, &good, &with));
  CHECK(tv_scaler_factor(s) == 1e308);
  OK(tv_scaler_set(s, 0x1p-1074, 0));
  OK(tv_optimizer_step_with(o, 1, &v, &bad, &with));
  CHECK(tv_scaler_factor(s) == 0x1p-1074);
  tv_scaler_release(s);
  tv_optimizer_release(o);
  tv_variable_release(v);
}

TEST(a_state_is_put_back) {
  tv_scaler *const s = scaler(4, 10);
  OK(tv_scaler_set(s, 32, 7));
  CHECK(tv_scaler_factor(s) == 32 && tv_scaler_n_finite(s) == 7);
  FAILS_STATUS(TV_EVALUE, "scaler_set: scale is 0, expected above 0 and finite",
               tv_scaler_set(s, 0, 7));
  tv_scaler_release(s);
}

TEST(bad_options_are_refused) {
  CHECK(!scaler(0, 1));
  SAME_TEXT(tv_error_text(), "scaler_new: scale is 0, expected above 0 and finite");
  tv_error_clear();
  CHECK(!scaler(1, 0));
  SAME_TEXT(tv_error_text(), "scaler_new: interval is 0, expected 1 or more and finite");
  tv_error_clear();
  tv_scaler_options o = TV_SCALER_OPTIONS;
  o.backoff = 1;
  CHECK(!tv_scaler_new(&o));
  SAME_TEXT(tv_error_text(), "scaler_new: backoff is 1, expected above 0 and below 1");
  tv_error_clear();
  CHECK(tv_scaler_factor(NULL) == 0 && tv_scaler_n_finite(NULL) == 0);
}

TEST_MAIN("scaler", CASE(the_scale_follows_what_was_finite),
          CASE(small_gradients_of_half_precision_survive),
          CASE(a_loss_of_half_precision_is_scaled_in_single),
          CASE(a_scale_stays_above_0_and_finite), CASE(a_state_is_put_back),
          CASE(bad_options_are_refused))
