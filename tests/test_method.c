/* SPDX-License-Identifier: MIT
 * Formulas of optimizers against known figures: w = 1, gradients .5, .25, -.1, rate .1, in float64.
 * PyTorch 1.13 ran them; TensorFlow's forms are computed from the formulas of Keras 3. A hundred
 * steps of each option are in tests/conformance/test_optimizers.py. */
#include <math.h>

#include "check.h"

static void three_steps(tv_optimizer *o, const double *want) {
  static const double gradients[] = {.5, .25, -.1};
  tv_variable *const v = tv_variable_new(tv_ones(TV_F64, TV_SCALAR_SHAPE), NULL);
  for (int k = 0; k < 3; k++) {
    double w = 0;
    tv_tensor *const g = tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(gradients[k]));
    OK(tv_optimizer_step(o, 1, &v, &g));
    OK(tv_item_f64(tv_read(v), &w));
    if (fabs(w - want[k]) > 1.1e-12)
      check_fail(CHECK_HERE, "step %d: %.13f, not %.13f", k + 1, w, want[k]);
  }
  tv_optimizer_release(o);
  tv_variable_release(v);
}

TEST(sgd_with_the_rate_in_the_momentum) {
  tv_sgd_options o = TV_SGD_OPTIONS;
  o.learning_rate = .1;
  o.momentum = .9;
  o.rate_in_momentum = true;
  three_steps(tv_sgd_new(&o), (double[]){.95, .88, .827});
  o.nesterov = true;
  three_steps(tv_sgd_new(&o), (double[]){.905, .817, .7793});
}

TEST(a_rate_that_changes_tells_the_forms_apart) {
  static const double gradients[] = {.5, .25, -.1}, rates[] = {.1, .01, .01};
  static const double want[2][3] = {{.95, .943, .9377}, {.95, .9025, .86075}};
  for (int inside = 0; inside < 2; inside++) {
    tv_sgd_options options = TV_SGD_OPTIONS;
    options.momentum = .9;
    options.rate_in_momentum = inside;
    tv_optimizer *const o = tv_sgd_new(&options);
    tv_variable *const v = tv_variable_new(tv_ones(TV_F64, TV_SCALAR_SHAPE), NULL);
    for (int k = 0; k < 3; k++) {
      double w = 0;
      tv_tensor *const g = tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(gradients[k]));
      OK(tv_optimizer_set_learning_rate(o, rates[k]));
      OK(tv_optimizer_step(o, 1, &v, &g));
      OK(tv_item_f64(tv_read(v), &w));
      CHECK(fabs(w - want[inside][k]) < 1e-12);
    }
    tv_optimizer_release(o);
    tv_variable_release(v);
  }
}

TEST(adam) {
  tv_adam_options o = TV_ADAM_OPTIONS;
  o.learning_rate = .1;
  three_steps(tv_adam_new(&o), (double[]){.900000002000, .806782040477, .747110938651});
  o.epsilon = 1e-7;
  o.epsilon_hat = true;
  three_steps(tv_adam_new(&o), (double[]){.900000632452, .806783196099, .747112425016});
}

TEST(adamw) {
  tv_adam_options o = TV_ADAMW_OPTIONS;
  CHECK(o.decoupled_decay == .01);
  o.learning_rate = .1;
  o.decoupled_decay = .004;
  three_steps(tv_adamw_new(&o), (double[]){.899600002000, .806022200477, .746028689770});
  o.epsilon = 1e-7;
  o.epsilon_hat = true;
  three_steps(tv_adamw_new(&o), (double[]){.899600632452, .806023355846, .746030175420});
}

TEST(rmsprop) {
  tv_rmsprop_options o = TV_RMSPROP_OPTIONS;
  o.learning_rate = .1;
  o.decay = .9;
  three_steps(tv_rmsprop_new(&o), (double[]){.683772253983, .536330306524, .597329730936});
  o.epsilon = 1e-7;
  o.epsilon_inside = true;
  three_steps(tv_rmsprop_new(&o), (double[]){.683772866437, .536331166702, .597330481348});
}

TEST(rmsprop_centered_with_momentum) {
  tv_rmsprop_options o = TV_RMSPROP_OPTIONS;
  o.learning_rate = .1;
  o.decay = .9;
  o.momentum = .5;
  o.centered = true;
  three_steps(tv_rmsprop_new(&o), (double[]){.666666688889, .338119066756, .238306400743});
  o.epsilon = 1e-7;
  o.epsilon_inside = o.rate_in_momentum = true;
  three_steps(tv_rmsprop_new(&o), (double[]){.666667407405, .338120473420, .238308021711});
}

TEST(adagrad) {
  tv_adagrad_options o = TV_ADAGRAD_OPTIONS;
  o.learning_rate = .1;
  o.initial = .1;
  three_steps(tv_adagrad_new(&o), (double[]){.915484574541, .876559627339, .891944242722});
  o.epsilon = 1e-7;
  o.epsilon_inside = true;
  three_steps(tv_adagrad_new(&o), (double[]){.915484586601, .876559644111, .891944257675});
}

/* sign(.05), sign(.1 .495 + ...): the size of a gradient does not matter. */
TEST(lion) {
  tv_lion_options o = TV_LION_OPTIONS;
  o.learning_rate = .1;
  three_steps(tv_lion_new(&o), (double[]){.9, .8, .9});
}

/* Of a complex Variable, second moments are of |g|: with epsilon 0 the first step of a centred mean
 * of squares goes along g, whatever its size. */
TEST(complex_gradients_keep_their_direction) {
  const double z[] = {1, 1};
  tv_adagrad_options adagrad = TV_ADAGRAD_OPTIONS;
  tv_rmsprop_options rmsprop = TV_RMSPROP_OPTIONS;
  tv_lion_options lion = TV_LION_OPTIONS;
  tv_adadelta_options adadelta = TV_ADADELTA_OPTIONS;
  adagrad.learning_rate = lion.learning_rate = .1;
  rmsprop.learning_rate = .01; /* times 1 / sqrt(1 - .99) */
  adadelta.learning_rate = .1 / sqrt(1e-6) * sqrt(.1 * 25 + 1e-6) / 5;
  tv_optimizer *const all[] = {tv_adagrad_new(&adagrad), tv_rmsprop_new(&rmsprop),
                               tv_lion_new(&lion), tv_adadelta_new(&adadelta)};
  for (int k = 0; k < 4; k++) {
    tv_variable *const v = tv_variable_new_from_memory(z, TV_C128, TV_SCALAR_SHAPE, NULL);
    tv_tensor *const g = tv_full(TV_C128, TV_SCALAR_SHAPE, tv_scalar_complex(3, 4));
    double re, im;
    OK(tv_optimizer_step(all[k], 1, &v, &g)); /* w -= .1 g / |g| */
    OK(tv_item_f64(tv_real(tv_read(v)), &re));
    OK(tv_item_f64(tv_imag(tv_read(v)), &im));
    if (fabs(re - .94) > 1e-8 || fabs(im - .92) > 1e-8)
      check_fail(CHECK_HERE, "optimizer %d: %.12f + %.12f i", k, re, im);
    tv_optimizer_release(all[k]);
    tv_variable_release(v);
  }
}

TEST_MAIN("method", CASE(sgd_with_the_rate_in_the_momentum),
          CASE(a_rate_that_changes_tells_the_forms_apart), CASE(adam), CASE(adamw), CASE(rmsprop),
          CASE(rmsprop_centered_with_momentum), CASE(adagrad), CASE(lion),
          CASE(complex_gradients_keep_their_direction))
