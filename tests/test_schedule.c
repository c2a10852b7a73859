/* SPDX-License-Identifier: MIT
 * Schedules against figures of Keras 3.14 (TensorFlow 2.21, which computes them in float32) and of
 * PyTorch 2.15; attached to optimizers; and plateaus. */
#include <math.h>

#include "check.h"
#include "memory.h"

enum { N = 7 };
static const int64_t at[N] = {0, 1, 5, 10, 11, 25, 40};

static void holds(const tv_schedule *s, const double *want, double within) {
  for (int k = 0; k < N; k++) {
    const double got = tv_schedule_at(s, at[k]);
    if (!(fabs(got - want[k]) <= within))
      check_fail(CHECK_HERE, "step %d: %.12g, not %.12g", (int)at[k], got, want[k]);
  }
}

static tv_schedule schedule(tv_schedule_kind kind, int64_t steps) {
  tv_schedule s = TV_SCHEDULE;
  s.kind = kind;
  s.rate = .1;
  s.steps = steps;
  s.factor = .5;
  return s;
}

#define KERAS(s, ...) holds(&(s), (const double[N]){__VA_ARGS__}, 1e-8)
#define TORCH(s, ...) holds(&(s), (const double[N]){__VA_ARGS__}, 1e-12)

TEST(constant) {
  tv_schedule s = TV_SCHEDULE;
  TORCH(s, .01, .01, .01, .01, .01, .01, .01);
}

TEST(exponential) {
  tv_schedule s = schedule(TV_SCHEDULE_EXPONENTIAL, 10);
  KERAS(s, .1000000015, .09330330044, .07071068138, .05000000075, .04665165022, .01767767034,
        .006250000093);
  s.staircase = true;
  KERAS(s, .1000000015, .1000000015, .1000000015, .05000000075, .05000000075, .02500000037,
        .006250000093);
  TORCH(s, .1, .1, .1, .05, .05, .025, .00625); /* StepLR */
}

TEST(inverse_time) {
  tv_schedule s = schedule(TV_SCHEDULE_INVERSE_TIME, 10);
  KERAS(s, .1000000015, .09523810446, .07999999821, .06666667014, .06451613456, .04444444552,
        .03333333507);
  s.staircase = true;
  KERAS(s, .1000000015, .1000000015, .1000000015, .06666667014, .06666667014, .05000000075,
        .03333333507);
}

TEST(polynomial) {
  tv_schedule s = schedule(TV_SCHEDULE_POLYNOMIAL, 20);
  s.end = .01;
  s.power = 2;
  KERAS(s, .1000000015, .09122499824, .06062500179, .03249999881, .02822499909, .009999999776,
        .009999999776);
  s.steps = 10;
  s.power = .5;
  s.cycle = true;
  KERAS(s, .1000000015, .09538149834, .07363960892, .009999999776, .07037383318, .04674234986,
        .009999999776);
  s = schedule(TV_SCHEDULE_POLYNOMIAL, 5); /* LinearLR */
  s.rate = .1 / 3;
  s.end = .1;
  TORCH(s, .1 / 3, .1 / 3 + .2 / 15, .1, .1, .1, .1, .1);
}

TEST(cosine) {
  tv_schedule s = schedule(TV_SCHEDULE_COSINE, 20);
  s.floor = .1;
  KERAS(s, .1000000015, .09944597632, .08681981266, .05499999598, .04796044528, .01000000071,
        .01000000071);
  s.warm_up_steps = 10;
  KERAS(s, 0, .01000000071, .05000000075, .1000000015, .09944597632, .02318019606, .01000000071);
}

TEST(cosine_restarts) {
  tv_schedule s = schedule(TV_SCHEDULE_COSINE_RESTARTS, 10);
  s.shrink = .5;
  s.floor = .1;
  holds(&s,
        (const double[N]){.1000000015, .09779754281, .05499999598, .05500000343, .05472299084,
                          .01659009792, .02920495346},
        2e-8); /* theirs lose digits in the logarithm */
  s.shrink = 1;
  s.floor = 0;
  TORCH(s, .1, .0975528258147577, .05, .1, .0993844170297569, .0146446609406726, .0853553390593274);
  s.stretch = 1;
  KERAS(s, .1000000015, .09755282849, .04999999702, .1000000015, .09755282849, .04999999702,
        .1000000015);
}

/* At each border of 40 periods the next one begins, at its full rate. */
TEST(restarts_begin_where_they_should) {
  static const double stretches[] = {2, 3, 1.5};
  for (int j = 0; j < 3; j++) {
    tv_schedule s = schedule(TV_SCHEDULE_COSINE_RESTARTS, 16);
    s.stretch = stretches[j];
    double border = 0, length = 16; /* whole numbers, as far as it goes */
    for (int k = 0; k < (j == 2 ? 5 : 20); k++) {
      CHECK(fabs(tv_schedule_at(&s, (int64_t)border) - .1) < 1e-9);
      if (k) CHECK(tv_schedule_at(&s, (int64_t)border - 1) < .002);
      border += length;
      length *= stretches[j];
    }
  }
}

TEST(piecewise) {
  tv_schedule s = schedule(TV_SCHEDULE_PIECEWISE, 1);
  s.n_boundaries = 2;
  s.boundaries = (const int64_t[]){5, 25};
  s.rates = (const double[]){.1, .05, .01};
  KERAS(s, .1000000015, .1000000015, .1000000015, .05000000075, .05000000075, .05000000075,
        .009999999776);
}

TEST(one_cycle) {
  const tv_schedule s = schedule(TV_SCHEDULE_ONE_CYCLE, 41);
  TORCH(s, .004, .00584312568716, .0433730021684, .0968989545172, .0998331428451, .0535547375293,
        4e-07);
  CHECK(tv_schedule_at(&s, 1000) == tv_schedule_at(&s, 40));
}

static double from_user(void *user, int64_t steps) { return *(double *)user / (double)(1 + steps); }

TEST(callback) {
  double by = .1;
  tv_schedule s = schedule(TV_SCHEDULE_CALLBACK, 1);
  s.callback = from_user;
  s.user = &by;
  TORCH(s, .1, .05, .1 / 6, .1 / 11, .1 / 12, .1 / 26, .1 / 41);
  by = -1;
  CHECK(isnan(tv_schedule_at(&s, 3)));
  SAME_TEXT(tv_error_text(),
            "schedule_at: the schedule's rate is -0.25, expected 0 or more and finite");
  tv_error_clear();
}

static void refused(const tv_schedule *s, const char *text) {
  CHECK(isnan(tv_schedule_at(s, 0)));
  EQUAL(tv_error(), TV_EVALUE);
  SAME_TEXT(tv_error_text(), text);
  tv_error_clear();
}

TEST(what_is_none_is_refused) {
  tv_schedule s = TV_SCHEDULE;
  s.rate = -1;
  refused(&s, "schedule_at: schedule: rate is -1, expected 0 or more and finite");
  s = schedule(TV_SCHEDULE_COSINE, 0);
  refused(&s, "schedule_at: schedule: steps is 0, expected 1 or more and finite");
  s = schedule(TV_SCHEDULE_CALLBACK, 1);
  refused(&s, "schedule_at: schedule: callback is NULL");
  s = schedule(TV_SCHEDULE_PIECEWISE, 1);
  refused(&s, "schedule_at: schedule: boundaries or rates are NULL, or fewer than none");
  s.n_boundaries = 2;
  s.boundaries = (const int64_t[]){5, 5};
  s.rates = (const double[]){1, 1, 1};
  refused(&s, "schedule_at: schedule: boundaries do not rise");
  s = schedule((tv_schedule_kind)(TV_SCHEDULE_CALLBACK + 1), 1);
  refused(&s, "schedule_at: schedule: that is no kind");
  s = schedule(TV_SCHEDULE_ONE_CYCLE, 5);
  s.peak = 1;
  refused(&s, "schedule_at: schedule: peak is 1, expected above 0 and below 1");
  s = (tv_schedule)TV_SCHEDULE;
  CHECK(isnan(tv_schedule_at(&s, -1)));
  tv_error_clear();
  refused(NULL, "schedule_at: schedule is NULL");
}

/* Optimizers ------------------------------------------------------------------------------------
 */

static double stepped(tv_optimizer *o, tv_variable *v) {
  tv_scope scope;
  double before = 0, after = 0;
  OK(tv_scope_begin(&scope));
  OK(tv_item_f64(tv_read(v), &before));
  tv_tensor *const g = tv_ones(TV_F64, TV_SCALAR_SHAPE);
  OK(tv_optimizer_step(o, 1, &v, &g));
  OK(tv_item_f64(tv_read(v), &after));
  OK(tv_scope_end(&scope, NULL));
  return before - after;
}

TEST(an_optimizer_follows_its_schedule) {
  tv_optimizer *const o = tv_sgd_new(NULL);
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F64, TV_SCALAR_SHAPE), NULL);
  double rates[] = {.5, .25, .125};
  int64_t boundaries[] = {0, 1};
  tv_schedule s = schedule(TV_SCHEDULE_PIECEWISE, 1);
  s.n_boundaries = 2;
  s.boundaries = boundaries;
  s.rates = rates;
  OK(tv_optimizer_set_schedule(o, &s));
  rates[0] = 9; /* was copied */
  boundaries[0] = 9;
  CHECK(tv_optimizer_learning_rate(o) == .5);
  CHECK(stepped(o, v) == .5 && stepped(o, v) == .25 && stepped(o, v) == .125);
  OK(tv_optimizer_set_schedule(o, NULL)); /* stays */
  CHECK(tv_optimizer_learning_rate(o) == .125);
  boundaries[0] = 0;
  OK(tv_optimizer_set_schedule(o, &s));
  OK(tv_optimizer_set_learning_rate(o, 1));
  CHECK(stepped(o, v) == 1);
  s.rates = NULL;
  FAILS_STATUS(TV_EVALUE,
               "optimizer_set_schedule: schedule: boundaries or rates are NULL, or fewer than none",
               tv_optimizer_set_schedule(o, &s));
  tv_optimizer_release(o);
  tv_variable_release(v);
}

TEST(a_callback_that_gives_no_rate_fails_the_step) {
  double by = .1;
  tv_schedule s = schedule(TV_SCHEDULE_CALLBACK, 1);
  s.callback = from_user;
  s.user = &by;
  tv_optimizer *const o = tv_sgd_new(NULL);
  tv_variable *v = tv_variable_new(tv_zeros(TV_F64, TV_SCALAR_SHAPE), NULL);
  OK(tv_optimizer_set_schedule(o, &s));
  CHECK(stepped(o, v) == .1);
  by = (double)NAN;
  tv_tensor *const g = tv_ones(TV_F64, TV_SCALAR_SHAPE);
  FAILS_STATUS(TV_EVALUE,
               "optimizer_step: the schedule's rate is nan, expected 0 or more and finite",
               tv_optimizer_step(o, 1, &v, &g));
  HOLDS(tv_read(v), -.1);
  EQUAL(tv_optimizer_steps(o), 1);
  tv_optimizer_release(o);
  tv_variable_release(v);
}

TEST(a_schedule_without_memory_is_none) {
  tv_optimizer *const o = tv_sgd_new(NULL);
  tv_schedule s = schedule(TV_SCHEDULE_COSINE, 5);
  tvi_memory_fail(1, false);
  const tv_status status = tv_optimizer_set_schedule(o, &s);
  tvi_memory_fail(0, false);
  EQUAL(status, TV_ENOMEM);
  tv_error_clear();
  CHECK(tv_optimizer_learning_rate(o) == .01);
  tv_optimizer_release(o);
}

/* PyTorch's ReduceLROnPlateau(patience=2, cooldown=1, factor=.5, min_lr=.02), but for the NaN,
 * which it takes for worse too. */
TEST(plateau) {
  const double metrics[] = {1,  .9, .9, .9, .9,          .9, .9, .9, .9,
                            .8, .8, .8, .8, (double)NAN, .8, .8, .8, .8};
  const double rates[] = {.1,   .1,   .1,   .1,  .05, .05, .05, .05, .025,
                          .025, .025, .025, .02, .02, .02, .02, .02, .02};
  tv_plateau p = TV_PLATEAU;
  p.patience = 2;
  p.cooldown = 1;
  p.factor = .5;
  p.least = .02;
  double rate = .1;
  for (int k = 0; k < 18; k++) {
    rate = tv_plateau_update(&p, metrics[k], rate);
    if (fabs(rate - rates[k]) > 1e-15) check_fail(CHECK_HERE, "update %d: %g", k, rate);
  }
  p = (tv_plateau)TV_PLATEAU;
  p.maximize = p.absolute = true;
  p.threshold = .5;
  p.patience = 0;
  CHECK(tv_plateau_update(&p, 1, 1) == 1 && tv_plateau_update(&p, 1.6, 1) == 1);
  CHECK(tv_plateau_update(&p, 2, 1) == .1);
  p.factor = 1;
  CHECK(isnan(tv_plateau_update(&p, 1, 1)));
  SAME_TEXT(tv_error_text(), "plateau_update: factor is 1, expected 0 or more and below 1");
  tv_error_clear();
  CHECK(isnan(tv_plateau_update(NULL, 1, 1)));
  tv_error_clear();
  p.size = 0;
  CHECK(isnan(tv_plateau_update(&p, 1, 1)));
  EQUAL(tv_error(), TV_EVALUE);
  tv_error_clear();
}

TEST_MAIN("schedule", CASE(constant), CASE(exponential), CASE(inverse_time), CASE(polynomial),
          CASE(cosine), CASE(cosine_restarts), CASE(restarts_begin_where_they_should),
          CASE(piecewise), CASE(one_cycle), CASE(callback), CASE(what_is_none_is_refused),
          CASE(an_optimizer_follows_its_schedule),
          CASE(a_callback_that_gives_no_rate_fails_the_step),
          CASE(a_schedule_without_memory_is_none), CASE(plateau))
