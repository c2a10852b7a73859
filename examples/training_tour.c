/* SPDX-License-Identifier: MIT
 * What people do with Keras' and PyTorch's optimizers, constraints, schedules and checkpoints, here
 * in C. Figures are those of PyTorch, and of TensorFlow where an option asks for its form.
 *
 *     training_tour            all of it
 *     training_tour 4 11       some */
#include "tour.h"

/* 1. What a constraint makes of a value. Keras divides norms by |w| + 1e-7; these are exact. */
static tv_tensor *halved(void *user, tv_tensor *value) {
  return (void)user, tv_multiply(value, tv_scalar(.5));
}
static void constraints(void) {
  const double a[] = {3, -1, 4, 1};
  const tv_constraint all[] = {
      TV_CLIP(0, 2, TV_ON_EVERY_WRITE),
      tv_constraint_non_negative(TV_ON_EVERY_WRITE),
      tv_constraint_unit_norm(TV_ON_EVERY_WRITE, TV_AXES(0)),
      tv_constraint_max_norm(TV_ON_EVERY_WRITE, 1, TV_AXES(0)),
      tv_constraint_min_max_norm(TV_ON_EVERY_WRITE, 2, 2.5, TV_AXES(0)),
      tv_constraint_simplex(TV_ON_EVERY_WRITE, 1),
      tv_constraint_callback(TV_ON_EVERY_WRITE, halved, NULL, NULL),
  };
  const char *const names[] = {"clip",         "non-negative", "unit norm", "max norm",
                               "min-max norm", "simplex",      "callback"};
  for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
    int64_t n_moved = 0;
    tv_variable_options options = TV_VARIABLE_OPTIONS;
    options.constraint = all[k];
    tv_variable *const v = tv_variable_new_from_memory(a, TV_F64, TV_SHAPE(2, 2), &options);
    if (!v) return;
    tv_variable_moved(v, &n_moved);
    printf("%s moved %d\n", names[k], (int)n_moved);
    print_str(tv_read(v));
    tv_variable_release(v);
  }
}

/* 2. When it acts. Keras: after an optimizer's step alone. With a sparse gradient it refused until
 * version 2, and projects every row since; here it looks at the rows that were touched. */
static void constraint_policies(void) {
  const int64_t at[] = {0};
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.constraint = tv_constraint_max_norm(TV_ON_STEP, 5, TV_AXES(1));
  tv_optimizer *const sgd = tv_sgd_new(NULL);
  tv_variable *const v = tv_variable_new(tv_full(TV_F64, TV_SHAPE(2, 2), tv_scalar(6)), &options);
  tv_variable_assign_add(v, tv_scalar(2));
  print_str(tv_read(v)); /* an assignment is no step */
  tv_tensor *const ones = tv_ones(TV_F64, TV_SHAPE(1, 2));
  tv_tensor *const rows = tv_scatter_rows(i64(TV_SHAPE(1), at), ones, 2);
  tv_optimizer_step(sgd, 1, &v, &rows);
  print_str(tv_read(v)); /* row 0 has norm 5 now, row 1 is as it was */
  tv_variable_release(v);
  options.constraint = (tv_constraint)TV_CLIP(-1, 1, TV_VALIDATE_ONLY);
  tv_variable *const w = tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(2)), &options);
  print_refusal(tv_variable_assign_add(w, tv_scalar(3)));
  tv_variable_release(w);
  tv_optimizer_release(sgd);
}

/* 3. Three steps of each optimizer from w = 1 with the gradients 0.5, 0.25 and -0.1. */
static void three_steps(const char *name, tv_optimizer *optimizer) {
  const double gradients[] = {.5, .25, -.1};
  tv_variable *const w = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(1)), NULL);
  printf("%-24s", name);
  for (int k = 0; k < 3; k++) {
    double now = 0;
    tv_tensor *const g = tv_full(TV_F64, TV_SHAPE(1), tv_scalar(gradients[k]));
    tv_optimizer_step(optimizer, 1, &w, &g);
    tv_item_f64(tv_read(w), &now);
    printf(" %.9f", now);
  }
  puts("");
  tv_variable_release(w);
  tv_optimizer_release(optimizer);
}
static void optimizers(void) {
  tv_sgd_options sgd = TV_SGD_OPTIONS;
  sgd.learning_rate = .1;
  sgd.momentum = .9;
  three_steps("momentum", tv_sgd_new(&sgd));
  sgd.nesterov = true;
  three_steps("Nesterov", tv_sgd_new(&sgd));
  tv_adam_options adam = TV_ADAM_OPTIONS;
  adam.learning_rate = .1;
  three_steps("Adam", tv_adam_new(&adam));
  adam.epsilon = 1e-7;
  adam.epsilon_hat = true;
  three_steps("Adam, as in Keras", tv_adam_new(&adam));
  tv_adam_options adamw = TV_ADAMW_OPTIONS;
  adamw.learning_rate = .1;
  adamw.decoupled_decay = .004;
  three_steps("AdamW", tv_adamw_new(&adamw));
  tv_rmsprop_options rmsprop = TV_RMSPROP_OPTIONS;
  rmsprop.learning_rate = .1;
  rmsprop.decay = .9;
  three_steps("RMSprop", tv_rmsprop_new(&rmsprop));
  rmsprop.epsilon = 1e-7;
  rmsprop.epsilon_inside = true;
  three_steps("RMSprop, as in Keras", tv_rmsprop_new(&rmsprop));
  tv_adagrad_options adagrad = TV_ADAGRAD_OPTIONS;
  adagrad.learning_rate = .1;
  adagrad.initial = .1;
  three_steps("Adagrad", tv_adagrad_new(&adagrad));
  tv_adadelta_options adadelta = TV_ADADELTA_OPTIONS;
  three_steps("Adadelta", tv_adadelta_new(&adadelta));
  tv_lion_options lion = TV_LION_OPTIONS;
  lion.learning_rate = .1;
  three_steps("Lion", tv_lion_new(&lion));
}

/* 4. Parameter groups: biases learn twice as fast, and do not decay. */
static void groups(void) {
  tv_sgd_options options = TV_SGD_OPTIONS;
  options.learning_rate = .1;
  options.weight_decay = .5;
  tv_variable *const w = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(2)), NULL);
  tv_variable *const b = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(2)), NULL);
  tv_optimizer *const sgd = tv_sgd_new(&options);
  tv_group_options biases = TV_GROUP_OPTIONS;
  biases.rate_factor = 2;
  biases.weight_decay = 0;
  tv_optimizer_set_group(sgd, 1, &b, &biases);
  tv_tensor *const g[] = {tv_ones(TV_F64, TV_SHAPE(2)), tv_ones(TV_F64, TV_SHAPE(2))};
  tv_optimizer_step(sgd, 2, (tv_variable *[]){w, b}, g);
  print_str(tv_read(w)); /* 1 - .1 (1 + .5) */
  print_str(tv_read(b)); /* 1 - .2 */
  tv_optimizer_release(sgd);
  tv_variable_release(b);
  tv_variable_release(w);
}

/* 5. Schedules: the rate of step s, asked by hand; tv_optimizer_set_schedule lets an optimizer
 * follow one. */
static void schedules(void) {
  const int64_t boundaries[] = {2, 4};
  const double rates[] = {1, .5, .1};
  tv_schedule all[] = {TV_SCHEDULE, TV_SCHEDULE, TV_SCHEDULE, TV_SCHEDULE};
  const char *const names[] = {"exponential", "cosine after a warm-up", "piecewise", "polynomial"};
  all[0].kind = TV_SCHEDULE_EXPONENTIAL;
  all[0].factor = .5;
  all[1].kind = TV_SCHEDULE_COSINE;
  all[1].warm_up_steps = 2;
  all[2].kind = TV_SCHEDULE_PIECEWISE;
  all[2].n_boundaries = 2;
  all[2].boundaries = boundaries;
  all[2].rates = rates;
  all[3].kind = TV_SCHEDULE_POLYNOMIAL;
  all[3].end = 0;
  for (int k = 0; k < 4; k++) {
    all[k].rate = 1;
    all[k].steps = 4;
    printf("%-23s", names[k]);
    for (int64_t step = 0; step < 7; step++) printf(" %.6f", tv_schedule_at(&all[k], step));
    puts("");
  }
  tv_optimizer *const sgd = tv_sgd_new(NULL);
  tv_variable *const w = tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(1)), NULL);
  tv_tensor *const g = tv_ones(TV_F64, TV_SHAPE(1));
  tv_optimizer_set_schedule(sgd, &all[2]);
  for (int step = 0; step < 4; step++) tv_optimizer_step(sgd, 1, &w, &g);
  print_str(tv_read(w)); /* -(1 + 1 + 1 + .5) */
  tv_variable_release(w);
  tv_optimizer_release(sgd);
}

/* 6. Clipping: by value, each by its norm, all by their joint norm; by itself, or in a step. */
static void clipping(void) {
  const double a[] = {3, -4}, b[] = {12, 0};
  double norm = 0;
  tv_tensor *const g[] = {f64(TV_SHAPE(2), a), f64(TV_SHAPE(2), b)}, *clipped[2];
  tv_clip_by_value(2, g, 3.5, clipped);
  print_str(clipped[0]);
  tv_clip_by_norm(2, g, 2.5, clipped);
  print_str(clipped[0]);
  tv_clip_by_global_norm(2, g, 6.5, clipped, &norm);
  print_str(clipped[0]);
  print_str(clipped[1]);
  printf("norm %g\n", norm);
  tv_step_options with = TV_STEP_OPTIONS;
  bool is_skipped = false;
  with.clip_global_norm = 1;
  with.is_skipped = &is_skipped;
  tv_optimizer *const sgd = tv_sgd_new(NULL);
  tv_variable *const w = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(2)), NULL);
  tv_tensor *const bad = tv_divide(g[0], tv_scalar(0));
  print_refusal(tv_optimizer_step_with(sgd, 1, &w, &bad, &with));
  with.skip_not_finite = true;
  tv_optimizer_step_with(sgd, 1, &w, &bad, &with);
  printf("left out? %s\n", is_skipped ? "True" : "False");
  print_version(w);
  tv_variable_release(w);
  tv_optimizer_release(sgd);
}

/* 7. The gradient of four batches as if of one. */
static void accumulation(void) {
  tv_accumulator *const sums = tv_accumulator_new();
  tv_tensor *mean;
  for (int batch = 1; batch <= 4; batch++) {
    tv_tensor *const g = tv_full(TV_F32, TV_SHAPE(2), tv_scalar(batch));
    tv_accumulator_add(sums, 1, &g);
  }
  tv_accumulator_mean(sums, 1, &mean);
  print_str(mean);
  tv_accumulator_release(sums);
}

/* 8. Validate with moving averages, and go on: tf.train.ExponentialMovingAverage. */
static void averages(void) {
  tv_average_options options = TV_AVERAGE_OPTIONS;
  options.decay = .75;
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(1)), NULL);
  tv_average *const average = tv_average_new(&options);
  for (int k = 0; k < 3; k++) {
    tv_average_update(average, 1, &v);
    tv_variable_assign_add(v, tv_scalar(4));
  }
  tv_average_swap(average, 1, &v);
  print_str(tv_read(v));
  tv_average_swap(average, 1, &v);
  print_str(tv_read(v));
  tv_average_release(average);
  tv_variable_release(v);
}

/* 9. Half precision: a gradient of 2e-8 is zero in float16, unless the loss is scaled; one that
 * is not finite leaves the step out, and the scale becomes smaller. torch.amp.GradScaler. */
static void loss_scaling(void) {
  tv_tensor *g;
  double factors[2];
  bool is_skipped = false;
  tv_sgd_options options = TV_SGD_OPTIONS;
  options.learning_rate = 1e7;
  tv_step_options with = TV_STEP_OPTIONS;
  tv_scaler *const scaler = tv_scaler_new(NULL);
  tv_optimizer *const sgd = tv_sgd_new(&options);
  tv_variable *const w = tv_variable_new(tv_ones(TV_F16, TV_SHAPE(1)), NULL);
  with.scaler = scaler;
  with.is_skipped = &is_skipped;
  for (int k = 0; k < 2; k++) {
    tv_tape *const tape = tv_tape_begin(NULL);
    tv_tensor *const loss = tv_multiply(tv_astype(tv_read(w), TV_F32), tv_scalar(k ? 1e10 : 2e-8));
    tv_tape_gradient(tape, tv_scaler_scale(scaler, loss), 1, &w, &g);
    tv_tape_end(tape);
    tv_optimizer_step_with(sgd, 1, &w, &g, &with);
    factors[k] = tv_scaler_factor(scaler);
    printf("left out? %s\n", is_skipped ? "True" : "False");
  }
  print_str(tv_read(w));
  printf("scale %g, then %g\n", factors[0], factors[1]);
  tv_variable_release(w);
  tv_optimizer_release(sgd);
  tv_scaler_release(scaler);
}

/* 10. The bottom of Rosenbrock's valley by L-BFGS: torch.optim.LBFGS with a closure. */
static tv_status valley(void *user, int n, tv_variable *const *variables, double *loss,
                        tv_tensor **gradients) {
  (void)user;
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const v = tv_read(variables[0]);
  tv_tensor *const x = tv_slice(v, "0"), *const y = tv_slice(v, "1");
  tv_tensor *const slope = tv_square(tv_subtract(tv_scalar(1), x));
  tv_tensor *const floor = tv_square(tv_subtract(y, tv_square(x)));
  tv_tensor *const height = tv_add(slope, tv_multiply(tv_scalar(100), floor));
  tv_tape_gradient(tape, height, n, variables, gradients);
  tv_tape_end(tape);
  return tv_item_f64(height, loss);
}
static void second_order(void) {
  const double start[] = {-1.2, 1};
  double loss = 0, x[2] = {0, 0};
  tv_lbfgs_options options = TV_LBFGS_OPTIONS;
  options.iterations = 100;
  tv_variable *const v = tv_variable_new_from_memory(start, TV_F64, TV_SHAPE(2), NULL);
  tv_lbfgs *const lbfgs = tv_lbfgs_new(&options);
  tv_lbfgs_step(lbfgs, 1, &v, valley, NULL, &loss);
  tv_tensor_copy_out(tv_read(v), x, sizeof x);
  printf("from %.1f to (%.3f, %.3f)\n", loss, x[0], x[1]);
  tv_lbfgs_release(lbfgs);
  tv_variable_release(v);
}

/* 11. tf.train.Checkpoint, torch.save: all of it in one file and back, or nothing, and why. */
static void told(void *user, tv_checkpoint_event event, const char *name, const char *text) {
  (void)user;
  if (event == TV_CHECKPOINT_MISSING)
    printf("not in the file: %s\n", name);
  else if (event != TV_CHECKPOINT_LOADED)
    printf("%s: %s\n", name, text);
}
static void checkpoints(void) {
  tv_key key = tv_key_from_seed(7);
  int64_t epoch = 3;
  tv_variable *const w = tv_variable_new(tv_random_normal(key, TV_F32, TV_SHAPE(2, 2)), NULL);
  tv_variable *const b = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), NULL);
  tv_optimizer *const adam = tv_adam_new(NULL);
  tv_checkpoint *const all = tv_checkpoint_new();
  tv_checkpoint_add_variable(all, "w", w);
  tv_checkpoint_add_variable(all, "b", b);
  tv_checkpoint_add_optimizer(all, "adam", adam);
  tv_checkpoint_add_key(all, "rng", &key);
  tv_checkpoint_add_counter(all, "epoch", &epoch);
  tv_tensor *const g[] = {tv_ones(TV_F32, TV_SHAPE(2, 2)), tv_ones(TV_F32, TV_SHAPE(2))};
  tv_optimizer_step(adam, 2, (tv_variable *[]){w, b}, g);
  tv_checkpoint_save(all, "tour.npz", NULL);
  tv_tensor *const saved = tv_read(w);
  tv_variable_assign(w, tv_zeros(TV_F32, TV_SHAPE(2, 2)));
  epoch = 0;
  tv_checkpoint_restore(all, "tour.npz", NULL);
  int64_t are_same = 0;
  tv_item_i64(tv_min(tv_equal(saved, tv_read(w)), TV_ALL_AXES), &are_same);
  printf("epoch %d, the same w? %s\n", (int)epoch, are_same ? "True" : "False");

  /* Another program: w has another shape, and there is a Variable that the file does not have. */
  tv_variable *const wide = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(2, 3)), NULL);
  tv_checkpoint *const other = tv_checkpoint_new();
  tv_checkpoint_add_variable(other, "w", wide);
  tv_checkpoint_add_variable(other, "b", b);
  tv_checkpoint_add_variable(other, "bias", w);
  tv_checkpoint_options options = TV_CHECKPOINT_OPTIONS;
  print_refusal(tv_checkpoint_restore(other, "tour.npz", NULL));
  options.prefix = "b"; /* a part of it, and what is missing stays as it is */
  options.allow_missing = true;
  options.report = told;
  tv_variable_assign(b, tv_zeros(TV_F32, TV_SHAPE(2)));
  tv_checkpoint_restore(other, "tour.npz", &options);
  print_str(tv_read(b));
  remove("tour.npz");
  tv_checkpoint_release(other);
  tv_checkpoint_release(all);
  tv_optimizer_release(adam);
  tv_variable_release(wide);
  tv_variable_release(b);
  tv_variable_release(w);
}

static const tour_stop stops[] = {
    {"constraints", constraints},   {"when a constraint acts", constraint_policies},
    {"optimizers", optimizers},     {"parameter groups", groups},
    {"schedules", schedules},       {"clipping", clipping},
    {"accumulation", accumulation}, {"moving averages", averages},
    {"loss scaling", loss_scaling}, {"L-BFGS", second_order},
    {"checkpoints", checkpoints},
};

int main(int argc, char **argv) {
  return tour_visit_all("training_tour", sizeof stops / sizeof *stops, stops, argc, argv);
}
