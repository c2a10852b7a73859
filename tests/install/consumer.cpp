// A program outside the tree, in C++17. It uses every macro of the public headers once, since a
// macro that is right in C need not be in C++; ./dev lint sees that none is forgotten.
#include <tensorvar/tensorvar.h>
#include <algorithm>
#include <cstdio>
#include <cstring>

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
  tv_tape_gradient_at(tape, tv_read(v), v, 0, &g);
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

static bool moments_work() {
  tv_variable *v[] = {tv_variable_new(tv_ones(TV_F64, TV_SCALAR_SHAPE), nullptr),
                      tv_variable_new(tv_zeros(TV_F64, TV_SCALAR_SHAPE), nullptr)};
  tv_tensor *x[2];
  double sum = 0;
  const bool is_right =
      tv_read_all(2, v, x) == TV_OK && tv_item_f64(tv_add(x[0], x[1]), &sum) == TV_OK && sum == 1;
  for (tv_variable *one : v) tv_variable_release(one);
  return is_right;
}

static bool masks_work() {
  tv_tensor *x = tv_arange(TV_F64, 0, 5, 1);
  double sum = 0;
  tv_tensor *large = tv_boolean_mask(x, tv_greater(x, tv_scalar(2)));
  return tv_item_f64(tv_sum(large, TV_ALL_AXES), &sum) == TV_OK && sum == 7;
}

static tv_tensor *doubles(void *, int, tv_tensor *const *in) { return tv_add(in[0], in[0]); }
static tv_status passes(void *, int, tv_tensor *const *, tv_tensor *, tv_tensor *g,
                        tv_tensor **gs) {
  gs[0] = g;
  return TV_OK;
}

static bool own_ops_work() {
  tv_custom own = TV_CUSTOM;
  own.forward = doubles;
  tv_tape *tape = tv_tape_begin(nullptr);
  tv_tensor *x = tv_ones(TV_F64, TV_SHAPE(2)), *g = nullptr;
  tv_tape_watch(tape, x);
  tv_tensor *y = tv_recompute(&own, 1, &x);
  own.backward = passes;
  y = tv_custom_op(&own, 1, &y);
  std::FILE *graph = std::tmpfile();
  const bool is_drawn = graph && tv_tape_graph(tape, graph) == TV_OK;
  if (graph) std::fclose(graph);
  double sum = 0;
  tv_tape_gradient_of(tape, y, 1, &x, &g);
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_no_grad();
  tv_scope_end(&scope, nullptr);
  return is_drawn && tv_item_f64(tv_sum(g, TV_ALL_AXES), &sum) == TV_OK && sum == 4;
}

static tv_tensor *halves(void *, tv_tensor *x) { return tv_multiply(x, tv_scalar(.5)); }

static bool constraints_work() {
  const double two[] = {3, 4};
  const tv_constraint all[] = {tv_constraint_non_negative(TV_ON_EVERY_WRITE),
                               tv_constraint_unit_norm(TV_ON_EVERY_WRITE, TV_AXES(0)),
                               tv_constraint_max_norm(TV_ON_EVERY_WRITE, 2, TV_AXES(0)),
                               tv_constraint_min_max_norm(TV_ON_EVERY_WRITE, 1, 2, TV_ALL_AXES),
                               tv_constraint_simplex(TV_ON_EVERY_WRITE, 0),
                               tv_constraint_callback(TV_ON_EVERY_WRITE, halves, nullptr, nullptr)};
  int64_t sum = 0;
  for (const tv_constraint &constraint : all) {
    tv_variable_options options = TV_VARIABLE_OPTIONS;
    options.constraint = constraint;
    tv_variable *v = tv_variable_new_from_memory(two, TV_F64, TV_SHAPE(2), &options);
    int64_t n_moved = 0;
    tv_variable_moved(v, &n_moved);
    sum += n_moved;
    tv_variable_release(v);
  }
  return sum == 10;
}

static bool writes_work() {
  const int64_t indices[] = {1, -2};
  const tv_index row[] = {TV_AT(1)};
  void *data = nullptr;
  tv_variable *v = tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(2, 2)), nullptr);
  tv_tensor *at = tv_tensor_from_memory(indices, TV_I64, TV_SHAPE(2), nullptr);
  tv_tensor *pair = tv_reshape(at, TV_SHAPE(1, 2)), *one = tv_scalar(1);
  tv_tensor *m = tv_ones(TV_BOOL, TV_SHAPE(2, 2));
  const tv_status writes[] = {tv_variable_assign(v, tv_ones(TV_F64, TV_SHAPE(2, 2))),
                              tv_variable_update(v, TV_ADD, one),
                              tv_variable_assign_add(v, one),
                              tv_variable_assign_sub(v, one),
                              tv_variable_assign_mul(v, one),
                              tv_variable_assign_div(v, one),
                              tv_variable_assign_min(v, one),
                              tv_variable_assign_max(v, one),
                              tv_variable_assign_slice(v, "0", one),
                              tv_variable_assign_where(v, m, one),
                              tv_variable_update_slice_with(v, TV_SET, 1, row, one),
                              tv_variable_update_slice(v, TV_SET, "0", one),
                              tv_variable_update_where(v, TV_SET, m, one),
                              tv_variable_scatter(v, TV_SET, at, one),
                              tv_variable_scatter_nd(v, TV_SET, pair, one),
                              tv_variable_restore(TV_HERE(v), tv_variable_oldest(v)),
                              tv_variable_assign_slice_add(v, ":1", one),
                              tv_variable_assign_slice_sub(v, ":1", one),
                              tv_variable_assign_slice_mul(v, ":1", one),
                              tv_variable_assign_slice_div(v, ":1", one),
                              tv_variable_assign_slice_min(v, ":1", one),
                              tv_variable_assign_slice_max(v, ":1", one),
                              tv_variable_assign_where_add(v, m, one),
                              tv_variable_assign_where_sub(v, m, one),
                              tv_variable_assign_where_mul(v, m, one),
                              tv_variable_assign_where_div(v, m, one),
                              tv_variable_assign_where_min(v, m, one),
                              tv_variable_assign_where_max(v, m, one),
                              tv_variable_scatter_update(v, at, one),
                              tv_variable_scatter_add(v, at, one),
                              tv_variable_scatter_sub(v, at, one),
                              tv_variable_scatter_mul(v, at, one),
                              tv_variable_scatter_div(v, at, one),
                              tv_variable_scatter_min(v, at, one),
                              tv_variable_scatter_max(v, at, one),
                              tv_variable_scatter_nd_update(v, pair, one),
                              tv_variable_scatter_nd_add(v, pair, one),
                              tv_variable_scatter_nd_sub(v, pair, one),
                              tv_variable_scatter_nd_mul(v, pair, one),
                              tv_variable_scatter_nd_div(v, pair, one),
                              tv_variable_scatter_nd_min(v, pair, one),
                              tv_variable_scatter_nd_max(v, pair, one),
                              tv_variable_map(v, true, &data),
                              tv_variable_unmap(v),
                              tv_variable_batch_scatter_update(v, at, tv_scalar(2))};
  bool is_right = tv_variable_version(v) + 1 == sizeof writes / sizeof *writes;
  for (tv_status status : writes) is_right = is_right && status == TV_OK;
  tv_write_info last = TV_WRITE_INFO;
  tv_variable_last_write(v, &last);
  is_right = is_right && last.thread == tv_thread_number() && last.file &&
             tv_tensor_rank(tv_variable_at(v, last.version)) == 2;
  double sum = 0;
  tv_item_f64(tv_sum(tv_variable_sparse_read(v, at), TV_ALL_AXES), &sum);
  is_right = is_right && sum == 8 && tv_gather_nd(tv_read(v), pair);
  tv_variable_release(v);
  return is_right;
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
  tv_variable *v = tv_variable_new_from_npy("consumer.npy", nullptr, nullptr);
  tv_variable_release(v);
  std::remove("consumer.npy");
  return layout.rank == 1 && tv_format(x, TV_STR, text, sizeof text) == 7;
}

static bool streams_work() {
  struct {
    char bytes[256];
    int64_t n, at;
  } file = {{0}, 0, 0};
  using stream = decltype(file);
  const auto write = [](void *user, const void *bytes, int64_t n) {
    stream *const to = static_cast<stream *>(user);
    std::memcpy(to->bytes + to->n, bytes, static_cast<size_t>(n));
    to->n += n;
    return true;
  };
  const auto read = [](void *user, void *out, int64_t n) {
    stream *const from = static_cast<stream *>(user);
    n = std::min(n, from->n - from->at);
    std::memcpy(out, from->bytes + from->at, static_cast<size_t>(n));
    from->at += n;
    return n;
  };
  const auto go_on = [](void *, int64_t done, int64_t total) { return done <= total; };
  float out[1];
  tv_npy_options load = TV_NPY_OPTIONS;
  tv_cast_report lost = TV_CAST_REPORT;
  const tv_index last = TV_RANGE(1, 2, 1);
  load.index = &last;
  load.n_index = 1;
  load.dtype = TV_F32;
  load.refuse = TV_REFUSE_ANY_LOSS;
  load.report = &lost;
  load.out = out;
  load.capacity = sizeof out;
  load.progress = go_on;
  std::FILE *scratch = std::tmpfile();
  const bool is_written =
      tv_npy_write_callback(write, &file, "memory", tv_ones(TV_F64, TV_SHAPE(2)), nullptr) ==
          TV_OK &&
      tv_npy_write_fd(fileno(scratch), "scratch", tv_ones(TV_F64, TV_SHAPE(2)), nullptr) == TV_OK;
  std::fclose(scratch);
  return is_written && tv_npy_read_callback(read, &file, "memory", &load) && out[0] == 1 &&
         lost.first == -1;
}

static bool archives_work() {
  tv_npz_options open = TV_NPZ_OPTIONS;
  tv_npz_save_options save = TV_NPZ_SAVE_OPTIONS;
  tv_npy_layout layout = TV_NPY_LAYOUT;
  const char *names[] = {"a", "b"};
  tv_tensor *two[] = {tv_ones(TV_F32, TV_SHAPE(2)), tv_zeros(TV_I8, TV_SHAPE(3))}, *all[2];
  save.durable = false;
  open.max_members = 2;
  tv_npz_save("consumer.npz", 2, names, two, &save);
  tv_npz *z = tv_npz_open("consumer.npz", &open);
  const bool is_right = tv_npz_count(z) == 2 && tv_npz_has(z, tv_npz_name(z, 1)) &&
                        tv_npz_info(z, "a", nullptr, &layout) == TV_OK && layout.shape[0] == 2 &&
                        tv_npz_read_all(z, nullptr, all) == TV_OK && tv_npz_read(z, "b", nullptr) &&
                        tv_npz_verify(z) == TV_OK && tv_npz_load("consumer.npz", "a", nullptr);
  tv_npz_release(tv_npz_retain(z));
  tv_npz_release(z);
  std::remove("consumer.npz");
  return is_right;
}

static bool tensors_are_lent() { /* to ourselves; DLPack's own header is not needed */
  tv_dlpack_export_options out = TV_DLPACK_EXPORT_OPTIONS;
  tv_dlpack_import_options in = TV_DLPACK_IMPORT_OPTIONS;
  bool is_shared = false;
  in.is_shared = &is_shared;
  tv_tensor *x = tv_ones(TV_F32, TV_SHAPE(2)),
            *y = tv_tensor_from_dlpack(tv_dlpack_new(x, &out), &in);
  tv_tensor *z = tv_tensor_from_dlpack_legacy(tv_dlpack_new_legacy(y, &out), nullptr);
  double sum = 0;
  return tv_item_f64(tv_sum(tv_add(y, z), TV_ALL_AXES), &sum) == TV_OK && sum == 4 && is_shared;
}

static bool rows_are_appended() {
  tv_npy_writer_options options = TV_NPY_WRITER_OPTIONS;
  tv_npy_layout layout = TV_NPY_LAYOUT;
  const char *path = "consumer_rows.npy";
  options.durable = false;
  options.start = TV_NPY_REPLACE;
  tv_npy_writer *w = tv_npy_writer_open(path, TV_F32, TV_SHAPE(2), &options);
  const bool is_right = tv_npy_writer_append(w, tv_ones(TV_F32, TV_SHAPE(3, 2))) == TV_OK &&
                        tv_npy_writer_count(w) == 3 && tv_npy_writer_sync(w) == TV_OK &&
                        tv_npy_writer_layout(w, &layout) == TV_OK && layout.shape[0] == 3;
  tv_npy_writer_close(w);
  w = tv_npy_writer_open(path, TV_DTYPE_NONE, TV_ROWS_OF_FILE, nullptr);
  const bool goes_on = tv_npy_writer_count(w) == 3 && tv_npy_writer_close(w) == TV_OK;
  std::remove(path);
  return is_right && goes_on;
}

static bool safetensors_work() {
  tv_safetensors_save_options save = TV_SAFETENSORS_SAVE_OPTIONS;
  tv_npy_layout layout = TV_NPY_LAYOUT;
  const char *names[] = {"a", "b"}, *key = "k", *value = "v", *path = "consumer.safetensors";
  tv_tensor *two[] = {tv_ones(TV_F32, TV_SHAPE(2)), tv_zeros(TV_I8, TV_SHAPE(3))}, *all[2];
  save.durable = false;
  save.n_metadata = 1;
  save.keys = &key;
  save.values = &value;
  tv_safetensors_save(path, 2, names, two, &save);
  tv_safetensors *f = tv_safetensors_open(path);
  const bool is_right =
      tv_safetensors_count(f) == 2 && tv_safetensors_has(f, tv_safetensors_name(f, 1)) &&
      tv_safetensors_metadata_count(f) == 1 && tv_safetensors_metadata_key(f, 0)[0] == 'k' &&
      tv_safetensors_metadata_value(f, 0)[0] == 'v' && tv_safetensors_metadata(f, key) &&
      tv_safetensors_info(f, "a", &layout) == TV_OK && layout.shape[0] == 2 &&
      tv_safetensors_read_all(f, nullptr, all) == TV_OK && tv_safetensors_read(f, "b", nullptr) &&
      tv_safetensors_load(path, "a", nullptr);
  tv_safetensors_release(tv_safetensors_retain(f));
  tv_safetensors_release(f);
  std::remove(path);
  return is_right;
}

static bool checkpoints_work() {
  tv_checkpoint_save_options save = TV_CHECKPOINT_SAVE_OPTIONS;
  tv_checkpoint_options restore = TV_CHECKPOINT_OPTIONS;
  tv_variable *w = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), nullptr);
  tv_optimizer *sgd = tv_sgd_new(nullptr);
  tv_checkpoint *c = tv_checkpoint_new();
  tv_key key = tv_key_from_seed(1);
  int64_t epoch = 3;
  double best = 1;
  uint64_t version = 1;
  save.durable = false;
  restore.allow_missing = true;
  tv_checkpoint_add_variable(c, "w", w);
  tv_checkpoint_add_optimizer(c, "sgd", sgd);
  tv_checkpoint_add_key(c, "key", &key);
  tv_checkpoint_add_counter(c, "epoch", &epoch);
  tv_checkpoint_add_number(c, "best", &best);
  tv_plateau slow = TV_PLATEAU;
  tv_average *average = tv_average_new(nullptr);
  tv_scaler *scaler = tv_scaler_new(nullptr);
  tv_lbfgs *lbfgs = tv_lbfgs_new(nullptr);
  tv_checkpoint_add_plateau(c, "slow", &slow);
  tv_checkpoint_add_average(c, "average", average);
  tv_checkpoint_add_scaler(c, "scaler", scaler);
  tv_checkpoint_add_lbfgs(c, "lbfgs", lbfgs);
  tv_accumulator *sums = tv_accumulator_new();
  tv_checkpoint_add_accumulator(c, "sums", sums);
  tv_accumulator_release(sums);
  tv_checkpoint_save(c, "consumer.npz", &save);
  epoch = 4;
  tv_scaler_set(scaler, 2, 1);
  const bool is_right = tv_checkpoint_restore(c, "consumer.npz", &restore) == TV_OK && epoch == 3 &&
                        tv_checkpoint_saved_version(c, "w", &version) == TV_OK && version == 0 &&
                        tv_scaler_factor(scaler) == 65536;
  tv_checkpoint_release(tv_checkpoint_retain(c));
  tv_checkpoint_release(c);
  tv_average_release(average);
  tv_scaler_release(scaler);
  tv_lbfgs_release(lbfgs);
  tv_optimizer_release(sgd);
  tv_variable_release(w);
  std::remove("consumer.npz");
  return is_right;
}

int main() {
  tv_scope scope;
  tv_scope_begin(&scope);
  const bool is_right = scalars_work() & modules_work() & lists_work() & indices_work() &
                        options_work() & training_works() & averages_work() & lbfgs_works() &
                        masks_work() & moments_work() & rows_work() & writes_work() &
                        constraints_work() & own_ops_work() & norm_works() & files_work() &
                        streams_work() & archives_work() & safetensors_work() & checkpoints_work() &
                        rows_are_appended() & tensors_are_lent();
  const tv_status status = tv_scope_end(&scope, nullptr);
  std::printf("C++: libtensorvar %s: %s%s\n", tv_version(), is_right ? "right" : "WRONG",
              tv_error_text());
  return status != TV_OK || !is_right;
}
