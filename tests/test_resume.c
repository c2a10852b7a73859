/* SPDX-License-Identifier: MIT
 * Resumed training has the bits of uninterrupted training: over random combinations of optimizer,
 * options, groups, schedule, dtypes, constraint, treatment of gradients, rows or dense, average,
 * kind of file and moment of the cut. A failure names its combination, which its number makes. */
#include <string.h>

#include "check.h"
#include "deferred.h"
#include "far.h"
#include "faults.h"

enum { STEPS = 9, ROWS = 24, WIDTH = 2 };

/* SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t state;
static uint64_t draw(uint64_t n) {
  uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return (z ^ z >> 31) % n;
}
static bool coin(void) { return draw(2) != 0; }
static double one_of(double a, double b, double c) {
  const uint64_t k = draw(3);
  return k == 0 ? a : k == 1 ? b : c;
}

typedef struct {
  int number;
  tv_device device;
  tv_optimizer *optimizer;
  tv_variable *v[2]; /* a table, and a vector */
  tv_average *average;
  tv_scaler *scaler;
  tv_plateau plateau;
  tv_checkpoint *checkpoint;
  bool is_of_rows, has_scaler, has_plateau, has_average;
  double limit; /* of the global norm; 0: none */
  int64_t step;
  tv_key key;
} training;

#define COMMON(o)                                                                 \
  (o).learning_rate = one_of(.01, .125, .3), (o).weight_decay = one_of(0, 0, .1), \
  (o).decoupled_decay = one_of(0, 0, .05), (o).maximize = coin(), (o).lazy = coin()

static tv_optimizer *optimizer(void) {
  tv_sgd_options sgd = TV_SGD_OPTIONS;
  tv_adam_options adam = TV_ADAM_OPTIONS;
  tv_rmsprop_options rmsprop = TV_RMSPROP_OPTIONS;
  tv_adagrad_options adagrad = TV_ADAGRAD_OPTIONS;
  tv_adadelta_options adadelta = TV_ADADELTA_OPTIONS;
  tv_lion_options lion = TV_LION_OPTIONS;
  switch (draw(6)) {
    case 0:
      COMMON(sgd);
      sgd.momentum = one_of(0, .5, .9);
      sgd.nesterov = coin();
      sgd.rate_in_momentum = coin();
      if (!sgd.nesterov && !sgd.rate_in_momentum) sgd.dampening = one_of(0, .25, .5);
      return tv_sgd_new(&sgd);
    case 1:
      COMMON(adam);
      adam.beta1 = one_of(0, .5, .9);
      adam.amsgrad = coin();
      adam.epsilon_hat = coin();
      return tv_adam_new(&adam);
    case 2:
      COMMON(rmsprop);
      rmsprop.centered = coin();
      rmsprop.momentum = one_of(0, .5, .9);
      rmsprop.epsilon_inside = coin();
      rmsprop.rate_in_momentum = coin();
      return tv_rmsprop_new(&rmsprop);
    case 3:
      COMMON(adagrad);
      adagrad.rate_decay = one_of(0, .1, .5);
      adagrad.initial = one_of(0, .1, 1);
      return tv_adagrad_new(&adagrad);
    case 4:
      COMMON(adadelta);
      adadelta.decay = one_of(.5, .9, .99);
      return tv_adadelta_new(&adadelta);
    default:
      COMMON(lion);
      return tv_lion_new(&lion);
  }
}

static double by_callback(void *user, int64_t steps) {
  (void)user;
  return .1 / (double)(1 + steps % 4);
}

static void schedule(tv_optimizer *o) {
  static const int64_t boundaries[] = {2, 5};
  static const double rates[] = {.2, .1, .05};
  tv_schedule s = TV_SCHEDULE;
  s.kind = (tv_schedule_kind)draw(TV_SCHEDULE_CALLBACK + 1);
  s.rate = .2;
  s.steps = 3 + (int64_t)draw(6);
  s.staircase = coin();
  s.cycle = coin();
  s.n_boundaries = 2;
  s.boundaries = boundaries;
  s.rates = rates;
  s.callback = by_callback;
  s.warm_up_steps = (int64_t)draw(4);
  OK(tv_optimizer_set_schedule(o, &s));
}

static tv_variable *variable(tv_device device, int rank) {
  static const tv_dtype dtypes[] = {TV_F32, TV_F64, TV_F16, TV_BF16};
  const tv_constraint_policy policy = coin() ? TV_ON_STEP : TV_ON_EVERY_WRITE;
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  switch (draw(4)) {
    case 0:
      o.constraint = (tv_constraint)TV_CLIP(-.75, .75, policy);
      break;
    case 1:
      o.constraint = tv_constraint_max_norm(policy, 1, TV_AXES(-1));
      break;
    default:
      break;
  }
  tv_tensor *const x = tv_random_normal(tv_key_from_seed(draw(100)), TV_F32, rank == 2 ? 2 : 1,
                                        (const int64_t[]){rank == 2 ? ROWS : 5, WIDTH});
  return tv_variable_new(tv_to(tv_astype(x, dtypes[draw(4)]), device), &o);
}

/* The number makes it all; twice the same. */
static void begin(training *t, int number, tv_device device) {
  tv_average_options average = TV_AVERAGE_OPTIONS;
  tv_scaler_options scaler = TV_SCALER_OPTIONS;
  tv_group_options group = TV_GROUP_OPTIONS;
  state = (uint64_t)number * 7919;
  *t = (training){.number = number, .device = device, .plateau = TV_PLATEAU};
  t->optimizer = optimizer();
  t->v[0] = variable(device, 2);
  t->v[1] = variable(device, 1);
  if (coin()) {
    group.rate_factor = one_of(.5, 1, 2);
    group.weight_decay = one_of(-1, 0, .2);
    OK(tv_optimizer_set_group(t->optimizer, 1, &t->v[draw(2)], &group));
  }
  if (coin())
    schedule(t->optimizer);
  else
    t->has_plateau = coin();
  t->is_of_rows = coin();
  t->has_average = coin();
  t->has_scaler = coin();
  t->limit = one_of(0, .5, 2);
  t->plateau.patience = (int64_t)draw(2);
  t->plateau.factor = .5;
  average.decay = one_of(.5, .9, 1);
  average.is_early = coin();
  scaler.scale = 4;
  scaler.interval = 2;
  t->average = tv_average_new(&average);
  t->scaler = tv_scaler_new(&scaler);
  t->key = tv_key_from_seed(draw(1000));
  t->checkpoint = tv_checkpoint_new();
  OK(tv_checkpoint_add_variable(t->checkpoint, "table", t->v[0]));
  OK(tv_checkpoint_add_variable(t->checkpoint, "vector", t->v[1]));
  OK(tv_checkpoint_add_optimizer(t->checkpoint, "optimizer", t->optimizer));
  OK(tv_checkpoint_add_average(t->checkpoint, "average", t->average));
  OK(tv_checkpoint_add_scaler(t->checkpoint, "scaler", t->scaler));
  OK(tv_checkpoint_add_plateau(t->checkpoint, "plateau", &t->plateau));
  OK(tv_checkpoint_add_key(t->checkpoint, "key", &t->key));
  OK(tv_checkpoint_add_counter(t->checkpoint, "step", &t->step));
}

static void end(training *t) {
  tv_checkpoint_release(t->checkpoint);
  tv_average_release(t->average);
  tv_scaler_release(t->scaler);
  tv_optimizer_release(t->optimizer);
  for (int k = 0; k < 2; k++) tv_variable_release(t->v[k]);
}

/* Of a few rows of the table, or of all of it. */
static tv_tensor *table_gradient(const training *t, tv_dtype dtype) {
  if (!t->is_of_rows)
    return tv_to(tv_astype(tv_random_normal(t->key, TV_F32, TV_SHAPE(ROWS, WIDTH)), dtype),
                 t->device);
  const int64_t at[] = {t->step % ROWS, (t->step * 5 + 3) % ROWS, 7};
  tv_tensor *const values = tv_random_normal(t->key, TV_F32, TV_SHAPE(3, WIDTH));
  return tv_scatter_rows(tv_to(tv_tensor_from_memory(at, TV_I64, TV_SHAPE(3), NULL), t->device),
                         tv_to(tv_astype(values, dtype), t->device), ROWS);
}

static void run(training *t, int steps) {
  for (int i = 0; i < steps; i++) {
    tv_scope scope;
    OK(tv_scope_begin(&scope));
    tv_step_options with = TV_STEP_OPTIONS;
    t->key = tv_key_fold(t->key, 3);
    tv_tensor *const g[] = {
        OK(table_gradient(t, tv_variable_dtype(t->v[0]))),
        OK(tv_add(tv_read(t->v[1]), tv_to(tv_astype(tv_random_normal(t->key, TV_F32, TV_SHAPE(5)),
                                                    tv_variable_dtype(t->v[1])),
                                          t->device)))};
    with.clip_global_norm = t->limit;
    if (t->has_scaler) with.scaler = t->scaler;
    /* The vector is met at the third step. */
    OK(tv_optimizer_step_with(t->optimizer, t->step < 2 ? 1 : 2, t->v, g, &with));
    if (t->has_average) OK(tv_average_update(t->average, 2, t->v));
    if (t->has_plateau)
      OK(tv_optimizer_set_learning_rate(
          t->optimizer, tv_plateau_update(&t->plateau, t->step == 4 ? .5 : 1,
                                          tv_optimizer_learning_rate(t->optimizer))));
    t->step++;
    OK(tv_scope_end(&scope, NULL));
  }
}

static bool is_same(tv_tensor *a, tv_tensor *b) {
  a = OK(tv_to(a, TV_CPU));
  b = OK(tv_to(b, TV_CPU));
  const int64_t bytes = tv_tensor_size(a) * tv_dtype_size(tv_tensor_dtype(a));
  return !memcmp(tv_tensor_data(a), tv_tensor_data(b), (size_t)bytes);
}

static void same(training *a, training *b, int at) {
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  bool is_right =
      a->step == b->step && a->key.stream == b->key.stream &&
      tv_optimizer_steps(a->optimizer) == tv_optimizer_steps(b->optimizer) &&
      tv_optimizer_learning_rate(a->optimizer) == tv_optimizer_learning_rate(b->optimizer) &&
      tv_scaler_factor(a->scaler) == tv_scaler_factor(b->scaler) &&
      a->plateau.n_bad == b->plateau.n_bad;
  for (int k = 0; k < 2; k++) {
    is_right = is_right && is_same(tv_read(a->v[k]), tv_read(b->v[k]));
    if (a->has_average && a->step)
      is_right = is_right && is_same(tv_average_read(a->average, a->v[k]),
                                     tv_average_read(b->average, b->v[k]));
  }
  if (!is_right) check_fail(CHECK_HERE, "combination %d, cut at step %d", a->number, at);
  OK(tv_scope_end(&scope, NULL));
}

static void resume(int first, int n, tv_device device) {
  folder_enter();
  tvi_defer_above(0); /* no table is too small for rows */
  for (int number = first; number < first + n; number++) {
    tv_scope scope;
    OK(tv_scope_begin(&scope));
    training whole, before, after;
    begin(&whole, number, device);
    begin(&before, number, device);
    begin(&after, number, device);
    const int at = (int)draw(STEPS + 1);
    const char *const path = coin() ? "x.npz" : "x.safetensors";
    run(&whole, STEPS);
    run(&before, at);
    OK(tv_checkpoint_save(before.checkpoint, path, NULL));
    run(&after, (int)draw(3)); /* which is forgotten */
    OK(tv_checkpoint_restore(after.checkpoint, path, NULL));
    same(&after, &before, at);
    run(&before, STEPS - at); /* a save changes nothing */
    run(&after, STEPS - at);
    same(&before, &whole, at);
    same(&after, &whole, at);
    end(&whole);
    end(&before);
    end(&after);
    OK(tv_scope_end(&scope, NULL));
  }
  tvi_defer_above(-1);
  folder_leave();
}

TEST(resumed_training_is_as_uninterrupted) { resume(0, 400, TV_CPU); }
TEST(on_another_device_too) { resume(1000, 60, far_device()); }

TEST_MAIN("resume", CASE(resumed_training_is_as_uninterrupted), CASE(on_another_device_too))
