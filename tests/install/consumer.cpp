// A program outside the tree, in C++17. It uses every macro of the public headers once, since a
// macro that is right in C need not be in C++; ./dev lint sees that none is forgotten.
#include <tensorvar/tensorvar.h>
#include <cstdio>

static bool scalars_work() {
  tv_tensor *all[] = {tv_scalar(true), tv_scalar(1),   tv_scalar(1L),
                      tv_scalar(1LL),  tv_scalar(1U),  tv_scalar(1UL),
                      tv_scalar(1ULL), tv_scalar(1.f), tv_scalar(1.)};
  tv_tensor *sum = tv_scalar(0);
  for (tv_tensor *x : all) sum = tv_add(sum, x);
  double value = 0;
  return tv_item_f64(sum, &value) == TV_OK && value == 9;
}

static bool modules_work() { /* one that is not there says so, naming the path */
  const bool is_refused = tv_module_load("/nowhere/" TV_MODULE_SYMBOL) == TV_EDEVICE;
  tv_error_clear();
  return is_refused;
}

static bool lists_work() {
  tv_tensor *x = tv_ones(TV_F32, TV_SHAPE(2, 3, 4));
  tv_tensor *rows = tv_sum(x, TV_AXES(0, -1)), *whole = tv_sum(x, TV_ALL_AXES);
  tv_tensor *same = tv_sum(x, TV_NO_AXES), *zero = tv_zeros(TV_F32, TV_SCALAR_SHAPE);
  return tv_tensor_size(rows) == 3 && tv_tensor_rank(whole) == 0 && tv_tensor_rank(same) == 3 &&
         tv_tensor_rank(zero) == 0;
}

static bool indices_work() {
  const tv_index index[] = {TV_AT(0), TV_NEW_AXIS, TV_ELLIPSIS, TV_WHOLE_AXIS, TV_RANGE(0, 4, 2)};
  tv_tensor *part = tv_slice_with(tv_ones(TV_F32, TV_SHAPE(2, 3, 4)), 5, index);
  return tv_tensor_rank(part) == 3 && tv_tensor_size(part) == 6;
}

static bool options_work() {
  tv_memory_options memory = TV_MEMORY_OPTIONS;
  tv_reduce_options reduce = TV_REDUCE_OPTIONS;
  tv_variable_options variable = TV_VARIABLE_OPTIONS;
  tv_tape_options recording = TV_TAPE_OPTIONS;
  tv_sgd_options sgd = TV_SGD_OPTIONS;
  tv_adam_options adam = TV_ADAM_OPTIONS, adamw = TV_ADAMW_OPTIONS;
  tv_rmsprop_options rmsprop = TV_RMSPROP_OPTIONS;
  tv_adagrad_options adagrad = TV_ADAGRAD_OPTIONS;
  tv_adadelta_options adadelta = TV_ADADELTA_OPTIONS;
  tv_lion_options lion = TV_LION_OPTIONS;
  tv_constraint none = TV_NO_CONSTRAINT, clip = TV_CLIP(0, 1, TV_ON_EVERY_WRITE);
  const float three[] = {1, 2, 3};
  tv_tensor *x = tv_tensor_from_memory(three, TV_F32, TV_SHAPE(3), &memory);
  reduce.keepdims = true;
  variable.constraint = none;
  variable.constraint = clip;
  tv_variable *v = tv_variable_new(tv_sum_with(x, TV_ALL_AXES, &reduce), &variable);
  tv_cast_report lost = TV_CAST_REPORT;
  if (!tv_cast_checked(x, TV_F16, TV_REFUSE_ANY_LOSS, &lost) || lost.n_inexact != 0) return false;
  tv_optimizer *all[] = {tv_sgd_new(&sgd),         tv_adam_new(&adam),
                         tv_adamw_new(&adamw),     tv_rmsprop_new(&rmsprop),
                         tv_adagrad_new(&adagrad), tv_adadelta_new(&adadelta),
                         tv_lion_new(&lion)};
  tv_tape *tape = tv_tape_begin(&recording);
  tv_tensor *g = nullptr;
  tv_tape_gradient(tape, tv_read(v), 1, &v, &g);
  tv_tape_end(tape);
  tv_group_options group = TV_GROUP_OPTIONS;
  tv_schedule schedule = TV_SCHEDULE;
  tv_plateau plateau = TV_PLATEAU;
  if (tv_plateau_update(&plateau, 1, tv_schedule_at(&schedule, 3)) != .01) return false;
  tv_scaler_options scaling = TV_SCALER_OPTIONS;
  tv_scaler *scaler = tv_scaler_new(&scaling);
  tv_step_options with = TV_STEP_OPTIONS;
  with.scaler = scaler;
  with.clip_norm = 1;
  for (tv_optimizer *optimizer : all) {
    tv_optimizer_set_schedule(optimizer, &schedule);
    tv_optimizer_set_group(optimizer, 1, &v, &group);
    tv_optimizer_step_with(optimizer, 1, &v, &g, &with);
    tv_optimizer_release(optimizer);
  }
  tv_scaler_release(scaler);
  double value = 2;
  tv_item_f64(tv_read(v), &value);
  tv_variable_release(v);
  return value >= 0 && value < 1;
}

static bool training_works() {
  tv_variable *v = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), nullptr);
  tv_tensor *g = tv_ones(TV_F32, TV_SHAPE(2));
  tv_optimizer *adam = tv_optimizer_retain(tv_adam_new(nullptr));
  tv_scaler *scaler = tv_scaler_retain(tv_scaler_new(nullptr));
  double norm = 0;
  const bool is_right =
      tv_clip_by_value(1, &g, 1, &g) == TV_OK && tv_clip_by_norm(1, &g, 1, &g) == TV_OK &&
      tv_clip_by_global_norm(1, &g, 1, &g, &norm) == TV_OK && norm < 1.1 &&
      tv_optimizer_set_learning_rate(adam, .5) == TV_OK && tv_optimizer_learning_rate(adam) == .5 &&
      tv_optimizer_step(adam, 1, &v, &g) == TV_OK && tv_optimizer_steps(adam) == 1 &&
      tv_optimizer_slot(adam, v, "exp_avg") && tv_scaler_scale(scaler, g) &&
      tv_scaler_set(scaler, 4, 1) == TV_OK && tv_scaler_factor(scaler) == 4 &&
      tv_scaler_n_finite(scaler) == 1;
  for (int k = 0; k < 2; k++) {
    tv_optimizer_release(adam);
    tv_scaler_release(scaler);
  }
  tv_variable_release(v);
  return is_right;
}

static bool averages_work() {
  tv_average_options options = TV_AVERAGE_OPTIONS;
  tv_average *average = tv_average_retain(tv_average_new(&options));
  tv_accumulator *sum = tv_accumulator_retain(tv_accumulator_new());
  tv_variable *v = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), nullptr);
  tv_tensor *g = tv_ones(TV_F32, TV_SHAPE(2));
  const bool is_right = tv_average_update(average, 1, &v) == TV_OK &&
                        tv_average_swap(average, 1, &v) == TV_OK && tv_average_read(average, v) &&
                        tv_average_updates(average) == 1 &&
                        tv_accumulator_add(sum, 1, &g) == TV_OK && tv_accumulator_count(sum) == 1 &&
                        tv_accumulator_mean(sum, 1, &g) == TV_OK;
  tv_accumulator_clear(sum);
  tv_variable_release(v);
  for (int k = 0; k < 2; k++) {
    tv_accumulator_release(sum);
    tv_average_release(average);
  }
  return is_right;
}

static tv_status quadratic(void *, int n, tv_variable *const *variables, double *loss,
                           tv_tensor **gradients) {
  tv_tape *tape = tv_tape_begin(nullptr);
  tv_tensor *y = tv_sum(tv_square(tv_read(variables[0])), TV_ALL_AXES);
  tv_tape_gradient(tape, y, n, variables, gradients);
  tv_tape_end(tape);
  return tv_item_f64(y, loss);
}

static bool lbfgs_works() {
  tv_lbfgs_options options = TV_LBFGS_OPTIONS;
  tv_lbfgs *lbfgs = tv_lbfgs_retain(tv_lbfgs_new(&options));
  tv_variable *v = tv_variable_new(tv_ones(TV_F64, TV_SHAPE(2)), nullptr);
  double loss = 0;
  const bool is_right = tv_lbfgs_step(lbfgs, 1, &v, quadratic, nullptr, &loss) == TV_OK &&
                        loss == 2 && tv_lbfgs_iterations(lbfgs) > 0 &&
                        tv_lbfgs_evaluations(lbfgs) > 1;
  tv_variable_release(v);
  tv_lbfgs_release(lbfgs);
  tv_lbfgs_release(lbfgs);
  return is_right;
}

static bool masks_work() {
  tv_tensor *x = tv_arange(TV_F64, 0, 5, 1);
  double sum = 0;
  tv_tensor *large = tv_boolean_mask(x, tv_greater(x, tv_scalar(2)));
  return tv_item_f64(tv_sum(large, TV_ALL_AXES), &sum) == TV_OK && sum == 7;
}

static bool rows_work() {
  const int64_t at[] = {2, 0, 2};
  tv_tensor *indices = tv_tensor_from_memory(at, TV_I64, TV_SHAPE(3), nullptr), *i, *v;
  tv_tensor *x = tv_scatter_rows(indices, tv_ones(TV_F32, TV_SHAPE(3, 4)), 1000000);
  double sum = 0;
  return tv_is_rows(x) && tv_rows_parts(tv_rows_summed(x), &i, &v) == TV_OK &&
         tv_tensor_size(i) == 2 &&
         tv_item_f64(tv_sum(tv_to_dense(tv_scatter_rows(i, v, 3)), TV_ALL_AXES), &sum) == TV_OK &&
         sum == 12;
}

static bool norm_works() { /* 1 and 3 are one apart from their mean, on either side */
  const double two[] = {1, 3};
  tv_tensor *y = tv_layer_norm(tv_tensor_from_memory(two, TV_F64, TV_SHAPE(2), nullptr), 0, nullptr,
                               tv_ones(TV_F64, TV_SHAPE(2)), 0);
  double sum = 0;
  tv_eager_set(tv_eager_current());
  return tv_evaluate(1, &y) == TV_OK &&
         tv_item_f64(tv_sum(tv_square(y), TV_ALL_AXES), &sum) == TV_OK && sum == 4 &&
         tv_dense(y, y, nullptr, TV_RELU) != nullptr;
}

static bool files_work() {
  tv_npy_options load = TV_NPY_OPTIONS;
  tv_npy_save_options save = TV_NPY_SAVE_OPTIONS;
  tv_npy_layout layout = TV_NPY_LAYOUT;
  char text[32];
  save.durable = false;
  load.layout = &layout;
  tv_npy_save("consumer.npy", tv_ones(TV_F32, TV_SHAPE(2)), &save);
  tv_tensor *x = tv_npy_load("consumer.npy", &load);
  std::remove("consumer.npy");
  return layout.rank == 1 && tv_format(x, TV_STR, text, sizeof text) == 7;
}

int main() {
  tv_scope scope;
  tv_scope_begin(&scope);
  const bool is_right = scalars_work() & modules_work() & lists_work() & indices_work() &
                        options_work() & training_works() & averages_work() & lbfgs_works() &
                        masks_work() & rows_work() & norm_works() & files_work();
  const tv_status status = tv_scope_end(&scope, nullptr);
  std::printf("C++: libtensorvar %s: %s%s\n", tv_version(), is_right ? "right" : "WRONG",
              tv_error_text());
  return status != TV_OK || !is_right;
}
