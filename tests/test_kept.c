/* SPDX-License-Identifier: MIT
 * Averages, loss scalers, plateaus and L-BFGS in checkpoints: what a file holds of them, that they
 * go on with the same bits, and that on any failure all is as before. */
#include "check.h"
#include "far.h"
#include "faults.h"
#include "hearing.h"
#include "memory.h"

/* A training that uses all of them. */
typedef struct {
  tv_variable *w, *b;
  tv_optimizer *optimizer;
  tv_average *average;
  tv_scaler *scaler;
  tv_accumulator *sums;
  tv_plateau plateau;
  tv_lbfgs *lbfgs;
  tv_variable *x, *y; /* the L-BFGS's */
  tv_checkpoint *checkpoint;
  int64_t step;
} training;

static tv_variable *named(const char *name, tv_tensor *x, tv_device device) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.name = name;
  return tv_variable_new(tv_to(x, device), &o);
}

static void begin(training *t, tv_device device) {
  tv_adam_options adam = TV_ADAM_OPTIONS;
  tv_average_options average = TV_AVERAGE_OPTIONS;
  tv_scaler_options scaler = TV_SCALER_OPTIONS;
  tv_lbfgs_options lbfgs = TV_LBFGS_OPTIONS;
  adam.learning_rate = .125;
  average.decay = .75;
  average.is_early = true;
  scaler.scale = 8;
  scaler.interval = 3;
  lbfgs.iterations = 2;
  lbfgs.history = 3;
  lbfgs.line_search = true;
  *t = (training){.optimizer = tv_adam_new(&adam),
                  .average = tv_average_new(&average),
                  .scaler = tv_scaler_new(&scaler),
                  .sums = tv_accumulator_new(),
                  .plateau = TV_PLATEAU,
                  .lbfgs = tv_lbfgs_new(&lbfgs),
                  .checkpoint = tv_checkpoint_new()};
  t->plateau.patience = 1;
  t->plateau.factor = .5;
  t->plateau.cooldown = 1;
  t->w = named("w", tv_random_normal(tv_key_from_seed(1), TV_F32, TV_SHAPE(3, 2)), device);
  t->b = named("b", tv_zeros(TV_F16, TV_SHAPE(2)), device);
  t->x = named("x", tv_full(TV_F64, TV_SHAPE(2), tv_scalar(-1.2)), device);
  t->y = named("y", tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar(1)), device);
  OK(tv_checkpoint_add_variable(t->checkpoint, "w", t->w));
  OK(tv_checkpoint_add_variable(t->checkpoint, "layer/b", t->b));
  OK(tv_checkpoint_add_variable(t->checkpoint, "x", t->x));
  OK(tv_checkpoint_add_variable(t->checkpoint, "y", t->y));
  OK(tv_checkpoint_add_optimizer(t->checkpoint, "adam", t->optimizer));
  OK(tv_checkpoint_add_average(t->checkpoint, "ema", t->average));
  OK(tv_checkpoint_add_scaler(t->checkpoint, "scale", t->scaler));
  OK(tv_checkpoint_add_accumulator(t->checkpoint, "sums", t->sums));
  OK(tv_checkpoint_add_plateau(t->checkpoint, "slow", &t->plateau));
  OK(tv_checkpoint_add_lbfgs(t->checkpoint, "lbfgs", t->lbfgs));
  OK(tv_checkpoint_add_counter(t->checkpoint, "step", &t->step));
}

static void end(training *t) {
  tv_checkpoint_release(t->checkpoint);
  tv_optimizer_release(t->optimizer);
  tv_average_release(t->average);
  tv_scaler_release(t->scaler);
  tv_accumulator_release(t->sums);
  tv_lbfgs_release(t->lbfgs);
  tv_variable_release(t->w);
  tv_variable_release(t->b);
  tv_variable_release(t->x);
  tv_variable_release(t->y);
}

/* Rosenbrock's valley in y, with a second coordinate in x that makes two Variables of it. */
static tv_status valley(void *user, int n, tv_variable *const *v, double *value,
                        tv_tensor **gradients) {
  (void)user;
  EQUAL(n, 2);
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const x = tv_read(v[0]), *const y = tv_read(v[1]);
  tv_tensor *const apart = tv_subtract(y, tv_square(x));
  tv_tensor *const loss = tv_add(tv_sum(tv_multiply(tv_square(apart), tv_scalar(100)), TV_ALL_AXES),
                                 tv_sum(tv_square(tv_subtract(tv_scalar(1), x)), TV_ALL_AXES));
  const tv_status status = tv_tape_gradient(tape, loss, 2, v, gradients);
  tv_tape_end(tape);
  return status ? status : tv_item_f64(loss, value);
}

static void run(training *t, int steps) {
  for (int i = 0; i < steps; i++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    const tv_device device = tv_variable_device(t->w);
    const tv_key key = tv_key_fold(tv_key_from_seed(5), (uint64_t)t->step);
    tv_step_options with = TV_STEP_OPTIONS;
    with.scaler = t->scaler;
    const double bad = t->step % 5 == 3 ? 1e300 * 1e300 : tv_scaler_factor(t->scaler);
    tv_tensor *const g[] = {
        tv_multiply(
            tv_add(tv_read(t->w), tv_to(tv_random_normal(key, TV_F32, TV_SHAPE(3, 2)), device)),
            tv_scalar(bad)),
        tv_add(tv_read(t->b), tv_to(tv_random_normal(key, TV_F16, TV_SHAPE(2)), device))};
    tv_variable *const v[] = {t->w, t->b}, *const valleys[] = {t->x, t->y};
    OK(tv_optimizer_step_with(t->optimizer, 2, v, g, &with));
    /* Rows and half precision, added up over four steps. */
    const int64_t at[] = {t->step % 3, 2};
    tv_tensor *means[] = {
        tv_scatter_rows(tv_to(tv_tensor_from_memory(at, TV_I64, TV_SHAPE(2), NULL), device),
                        tv_slice(tv_read(t->w), "1:"), 3),
        g[1]};
    OK(tv_accumulator_add(t->sums, 2, means));
    if (tv_accumulator_count(t->sums) == 4) {
      OK(tv_accumulator_mean(t->sums, 2, means));
      OK(tv_optimizer_step(t->optimizer, 2, v, means));
    }
    OK(tv_average_update(t->average, t->step ? 2 : 1, v));
    OK(tv_lbfgs_step(t->lbfgs, 2, valleys, valley, NULL, NULL));
    const double rate = tv_plateau_update(&t->plateau, t->step == 2 ? .5 : 1,
                                          tv_optimizer_learning_rate(t->optimizer));
    OK(tv_optimizer_set_learning_rate(t->optimizer, rate));
    t->step++;
    tv_scope_end(&scope, NULL);
  }
}

static void same(training *a, training *b) {
  tv_variable *const left[] = {a->w, a->b, a->x, a->y}, *const right[] = {b->w, b->b, b->x, b->y};
  tv_scope scope;
  tv_scope_begin(&scope);
  EQUAL(a->step, b->step);
  for (int k = 0; k < 4; k++)
    SAME(tv_to(tv_read(left[k]), TV_CPU), tv_to(tv_read(right[k]), TV_CPU));
  EQUAL(tv_average_updates(a->average), tv_average_updates(b->average));
  for (int k = 0; k < 2 && a->step > k; k++)
    SAME(tv_to(tv_average_read(a->average, left[k]), TV_CPU),
         tv_to(tv_average_read(b->average, right[k]), TV_CPU));
  CHECK(tv_scaler_factor(a->scaler) == tv_scaler_factor(b->scaler));
  EQUAL(tv_scaler_n_finite(a->scaler), tv_scaler_n_finite(b->scaler));
  EQUAL(tv_accumulator_count(a->sums), tv_accumulator_count(b->sums));
  EQUAL(a->plateau.has_best, b->plateau.has_best);
  CHECK(a->plateau.best == b->plateau.best);
  EQUAL(a->plateau.n_bad, b->plateau.n_bad);
  EQUAL(a->plateau.n_cooling, b->plateau.n_cooling);
  EQUAL(tv_lbfgs_iterations(a->lbfgs), tv_lbfgs_iterations(b->lbfgs));
  EQUAL(tv_lbfgs_evaluations(a->lbfgs), tv_lbfgs_evaluations(b->lbfgs));
  EQUAL(tv_optimizer_steps(a->optimizer), tv_optimizer_steps(b->optimizer));
  CHECK(tv_optimizer_learning_rate(a->optimizer) == tv_optimizer_learning_rate(b->optimizer));
  tv_scope_end(&scope, NULL);
}

static void go_on(tv_device device) {
  static const char *const paths[] = {"x.npz", "x.safetensors"};
  folder_enter();
  training whole;
  begin(&whole, device);
  run(&whole, 11);
  for (int at = 0; at <= 10; at += at < 4 ? 1 : 3) {
    training first, second;
    begin(&first, device);
    begin(&second, device);
    run(&first, at);
    tv_variable *const v[] = {first.w, first.b}, *const other[] = {second.w, second.b};
    const bool is_swapped = at % 2 && at > 1; /* saved in the middle of a validation */
    if (is_swapped) OK(tv_average_swap(first.average, 2, v));
    OK(tv_checkpoint_save(first.checkpoint, paths[at % 2], NULL));
    run(&second, at ? 2 : 1); /* which is forgotten */
    OK(tv_checkpoint_restore(second.checkpoint, paths[at % 2], NULL));
    same(&second, &first);
    if (is_swapped) {
      OK(tv_average_swap(first.average, 2, v));
      OK(tv_average_swap(second.average, 2, other));
      same(&second, &first);
    }
    run(&second, 11 - at);
    same(&second, &whole);
    end(&first);
    end(&second);
  }
  end(&whole);
  folder_leave();
}

TEST(training_goes_on_with_the_same_bits) { go_on(TV_CPU); }
TEST(training_goes_on_on_another_device) { go_on(far_device()); }

/* average = .5 (1 + 3); 8, and then 4 for what was not finite, as PyTorch's GradScaler backs off.
 */
TEST(a_file_holds_what_they_keep_as_plain_arrays) {
  folder_enter();
  tv_average_options o = TV_AVERAGE_OPTIONS;
  o.decay = .5;
  tv_average *const a = tv_average_new(&o);
  tv_scaler *const s = tv_scaler_new(NULL);
  tv_plateau p = TV_PLATEAU;
  tv_variable *const w = tv_variable_new(tv_ones(TV_F16, TV_SHAPE(2)), NULL);
  tv_checkpoint *const c = tv_checkpoint_new();
  OK(tv_average_update(a, 1, &w));
  OK(tv_variable_assign(w, tv_full(TV_F16, TV_SHAPE(2), tv_scalar(3))));
  OK(tv_average_update(a, 1, &w));
  OK(tv_average_swap(a, 1, &w));
  OK(tv_scaler_set(s, 4, 7));
  CHECK(tv_plateau_update(&p, .25, .1) == .1);
  CHECK(tv_plateau_update(&p, .5, .1) == .1);
  OK(tv_checkpoint_add_variable(c, "w", w));
  OK(tv_checkpoint_add_average(c, "ema", a));
  OK(tv_checkpoint_add_scaler(c, "scale", s));
  OK(tv_checkpoint_add_plateau(c, "slow", &p));
  OK(tv_checkpoint_save(c, "x.npz", NULL));
  tv_npz *const z = tv_npz_open("x.npz", NULL);
  EQUAL(tv_npz_count(z), 15);
#define READ(name) tv_npz_read(z, name, NULL)
  HOLDS(READ("ema/kind"), 'a', 'v', 'e', 'r', 'a', 'g', 'e');
  HOLDS(READ("ema/updates"), 2);
  HOLDS(READ("ema/w/average"), 2, 2);
  EQUAL(tv_tensor_dtype(READ("ema/w/average")), TV_F32);
  HOLDS(READ("ema/w/value"), 3, 3);
  EQUAL(tv_tensor_dtype(READ("ema/w/value")), TV_F16);
  HOLDS(READ("w"), 2, 2);
  HOLDS(READ("scale/scale"), 4);
  HOLDS(READ("scale/n_finite"), 7);
  HOLDS(READ("slow/has_best"), 1);
  HOLDS(READ("slow/best"), .25);
  HOLDS(READ("slow/n_bad"), 1);
  HOLDS(READ("slow/n_cooling"), 0);
#undef READ
  tv_npz_release(z);
  tv_average_release(a); /* the checkpoint holds them */
  tv_scaler_release(s);
  OK(tv_checkpoint_save(c, "x.npz", NULL));
  tv_checkpoint_release(c);
  tv_variable_release(w);
  folder_leave();
}

TEST(what_cannot_be_added_is_refused) {
  folder_enter();
  tv_checkpoint *const c = tv_checkpoint_new();
  tv_average *const a = tv_average_new(NULL);
  tv_plateau p = TV_PLATEAU;
  tv_variable *const w = named("w", tv_ones(TV_F32, TV_SHAPE(2)), TV_CPU);
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_average: average is NULL",
               tv_checkpoint_add_average(c, "a", NULL));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_scaler: scaler is NULL",
               tv_checkpoint_add_scaler(c, "a", NULL));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_accumulator: accumulator is NULL",
               tv_checkpoint_add_accumulator(c, "a", NULL));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_lbfgs: lbfgs is NULL",
               tv_checkpoint_add_lbfgs(c, "a", NULL));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_plateau: plateau is NULL",
               tv_checkpoint_add_plateau(c, "a", NULL));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_average: checkpoint is NULL",
               tv_checkpoint_add_average(NULL, "a", a));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_average: name is NULL",
               tv_checkpoint_add_average(c, NULL, a));
  p.size = 3;
  EQUAL(tv_checkpoint_add_plateau(c, "p", &p), TV_EVALUE);
  tv_error_clear();
  OK(tv_checkpoint_add_average(c, "a", a));
  FAILS_STATUS(TV_EVALUE, "checkpoint_add_average: 'b' is there already, as 'a'",
               tv_checkpoint_add_average(c, "b", a));
  OK(tv_average_update(a, 1, &w));
  FAILS_STATUS(TV_EVALUE,
               "checkpoint_save: average 'a' keeps state of Variable 'w', which the checkpoint "
               "does not hold",
               tv_checkpoint_save(c, "x.npz", NULL));
  tv_checkpoint_release(c);
  tv_average_release(a);
  tv_variable_release(w);
  folder_leave();
}

/* A file of one object, read into another. */
static void put_file(int n, const char *const *names, tv_tensor *const *x) {
  OK(tv_npz_save("x.npz", n, names, x, NULL));
}
static tv_tensor *whole(int64_t x) { return tv_full(TV_I64, TV_SCALAR_SHAPE, tv_scalar_int(x)); }
static tv_tensor *real(double x) { return tv_full(TV_F64, TV_SCALAR_SHAPE, tv_scalar_real(x)); }
static tv_tensor *text(const char *x) {
  return tv_tensor_from_memory(x, TV_U8, TV_SHAPE((int64_t)strlen(x)), NULL);
}

TEST(differences_are_listed_and_nothing_is_loaded) {
  folder_enter();
  training t, before;
  begin(&t, TV_CPU);
  begin(&before, TV_CPU);
  run(&t, 4);
  run(&before, 4);
  tv_checkpoint *const c = tv_checkpoint_new();
  OK(tv_checkpoint_add_scaler(c, "s", t.scaler));
  OK(tv_checkpoint_add_variable(c, "w", t.w));
  OK(tv_checkpoint_add_average(c, "a", t.average));
  const char *const names[] = {"s/kind",    "s/scale",     "a/kind", "a/updates",
                               "a/w/value", "a/v/average", "w"};
  tv_tensor *const x[] = {text("plateau"),
                          whole(1),
                          text("average"),
                          whole(1),
                          tv_zeros(TV_F32, TV_SHAPE(2, 2)),
                          tv_zeros(TV_F32, TV_SHAPE(2)),
                          tv_zeros(TV_F32, TV_SHAPE(3, 2))};
  put_file(7, names, x);
  FAILS_STATUS(TV_EFORMAT,
               "checkpoint_restore: x.npz: missing 's/n_finite'; missing 'a/w/average'; "
               "unexpected 'a/v/average'",
               tv_checkpoint_restore(c, "x.npz", NULL));
  const char *const more[] = {"s/kind",    "s/scale",   "s/n_finite",  "a/kind",
                              "a/updates", "a/w/value", "a/w/average", "w"};
  tv_tensor *const y[] = {text("plateau"),
                          whole(1),
                          whole(1),
                          text("average"),
                          whole(1),
                          tv_zeros(TV_F32, TV_SHAPE(2, 2)),
                          tv_zeros(TV_F16, TV_SHAPE(3, 2)),
                          tv_zeros(TV_F32, TV_SHAPE(3, 2))};
  put_file(8, more, y);
  FAILS_STATUS(TV_EFORMAT,
               "checkpoint_restore: x.npz: kind of 's/kind': plateau in the file, scaler here; "
               "dtype of 's/scale': int64 in the file, float64 here; "
               "dtype of 'a/w/average': float16 in the file, float32 here; "
               "shape of 'a/w/value': [2, 2] in the file, [3, 2] here",
               tv_checkpoint_restore(c, "x.npz", NULL));
  same(&t, &before);
  tv_checkpoint_release(c);
  end(&t);
  end(&before);
  folder_leave();
}

static void refused(tv_checkpoint *c, const char *why) {
  char line[200];
  snprintf(line, sizeof line, "checkpoint_restore: x.npz: %s", why);
  FAILS_STATUS(TV_EFORMAT, line, tv_checkpoint_restore(c, "x.npz", NULL));
}

TEST(numbers_that_cannot_be_are_refused) {
  folder_enter();
  tv_checkpoint *const c = tv_checkpoint_new(), *const l = tv_checkpoint_new();
  tv_scaler *const s = tv_scaler_new(NULL);
  tv_lbfgs *const lbfgs = tv_lbfgs_new(NULL);
  tv_variable *const v[] = {named("v", tv_ones(TV_F64, TV_SHAPE(2)), TV_CPU),
                            named("w", tv_ones(TV_F64, TV_SHAPE(2)), TV_CPU)};
  OK(tv_checkpoint_add_scaler(c, "s", s));
  const char *const names[] = {"s/kind", "s/scale", "s/n_finite"};
  put_file(3, names, (tv_tensor *[]){text("scaler"), real(0), whole(1)});
  refused(c, "the scale of 's' is not above 0");
  put_file(3, names, (tv_tensor *[]){text("scaler"), real(1e300 * 1e300), whole(1)});
  refused(c, "'s/scale' is negative or not finite");
  put_file(3, names, (tv_tensor *[]){text("scaler"), real(1), whole(-1)});
  refused(c, "'s/n_finite' is negative or not finite");
  CHECK(tv_scaler_factor(s) == 65536);
  OK(tv_checkpoint_add_lbfgs(l, "l", lbfgs));
  OK(tv_checkpoint_add_variable(l, "v", v[0]));
  OK(tv_checkpoint_add_variable(l, "w", v[1]));
  const char *const more[] = {"v",         "w",        "l/kind", "l/iterations", "l/evaluations",
                              "l/v/place", "l/w/place"};
  tv_tensor *const one = tv_ones(TV_F64, TV_SHAPE(2));
  put_file(7, more,
           (tv_tensor *[]){one, one, text("lbfgs"), whole(0), whole(1), whole(1), whole(1)});
  refused(l, "'l' has two Variables in one place");
  put_file(7, more,
           (tv_tensor *[]){one, one, text("lbfgs"), whole(0), whole(1), whole(2), whole(1)});
  refused(l, "'l' has two Variables in one place");
  put_file(7, more,
           (tv_tensor *[]){one, one, text("lbfgs"), whole(3), whole(1), whole(0), whole(1)});
  refused(l, "'l' has iterations without a direction, or the reverse");
  EQUAL(tv_variable_version(v[0]), 0);
  put_file(7, more,
           (tv_tensor *[]){one, one, text("lbfgs"), whole(0), whole(1), whole(1), whole(0)});
  OK(tv_checkpoint_restore(l, "x.npz", NULL));
  EQUAL(tv_lbfgs_evaluations(lbfgs), 1);
  FAILS_STATUS(TV_EVALUE, "lbfgs_step: other Variables than in the first step",
               tv_lbfgs_step(lbfgs, 2, v, valley, NULL, NULL)); /* they were w, then v */
  tv_checkpoint_release(c);
  tv_checkpoint_release(l);
  tv_scaler_release(s);
  tv_lbfgs_release(lbfgs);
  for (int k = 0; k < 2; k++) tv_variable_release(v[k]);
  folder_leave();
}

/* As a file has them, whoever wrote it. */
TEST(sums_of_gradients_are_put_back_or_refused) {
  folder_enter();
  tv_accumulator *const a = tv_accumulator_new();
  tv_checkpoint *const c = tv_checkpoint_new();
  OK(tv_checkpoint_add_accumulator(c, "a", a));
  OK(tv_checkpoint_save(c, "x.npz", NULL)); /* of none */
  OK(tv_checkpoint_restore(c, "x.npz", NULL));
  const int64_t at[] = {2, 0, 2};
  tv_tensor *const rows = tv_scatter_rows(tv_tensor_from_memory(at, TV_I64, TV_SHAPE(3), NULL),
                                          tv_ones(TV_F16, TV_SHAPE(3, 1)), 4);
  OK(tv_accumulator_add(a, 2, (tv_tensor *[]){rows, tv_ones(TV_F64, TV_SHAPE(2))}));
  OK(tv_checkpoint_save(c, "x.npz", NULL));
  HOLDS(tv_npz_load("x.npz", "a/count", NULL), 1);
  HOLDS(tv_npz_load("x.npz", "a/0/dtype", NULL), 'f', 'l', 'o', 'a', 't', '1', '6');
  HOLDS(tv_npz_load("x.npz", "a/0/indices", NULL), 2, 0, 2);
  HOLDS(tv_npz_load("x.npz", "a/0/values", NULL), 1, 1, 1);
  EQUAL(tv_tensor_dtype(tv_npz_load("x.npz", "a/0/values", NULL)), TV_F32);
  HOLDS(tv_npz_load("x.npz", "a/0/n", NULL), 4);
  HOLDS(tv_npz_load("x.npz", "a/1/sum", NULL), 1, 1);
  tv_tensor *means[2];
  tv_accumulator_clear(a);
  OK(tv_checkpoint_restore(c, "x.npz", NULL));
  OK(tv_accumulator_mean(a, 2, means));
  CHECK(tv_is_rows(means[0]) && tv_tensor_dtype(means[0]) == TV_F16);
  HOLDS(means[0], 1, 0, 2, 0);
  HOLDS(means[1], 1, 1);
  const char *const names[] = {"a/kind",      "a/count",    "a/0/dtype",
                               "a/0/indices", "a/0/values", "a/0/n"};
  tv_tensor *const three = tv_tensor_from_memory(at, TV_I64, TV_SHAPE(3), NULL);
  tv_tensor *const kind = text("accumulator"), *const values = tv_ones(TV_F32, TV_SHAPE(3, 1));
  put_file(6, names, (tv_tensor *[]){kind, whole(0), text("float32"), three, values, whole(4)});
  refused(c, "'a' has sums of no gradients");
  put_file(6, names, (tv_tensor *[]){kind, whole(1), text("float64"), three, values, whole(4)});
  refused(c, "'a/0' is no sum of gradients");
  put_file(6, names, (tv_tensor *[]){kind, whole(1), text("int32"), three, values, whole(4)});
  refused(c, "'a/0' is no sum of gradients");
  put_file(6, names, (tv_tensor *[]){kind, whole(1), text("float32"), values, values, whole(4)});
  refused(c, "the indices of 'a/0' are not int64 in one axis");
  put_file(6, names, (tv_tensor *[]){kind, whole(1), text("float32"), three, values, whole(2)});
  EQUAL(tv_checkpoint_restore(c, "x.npz", NULL), TV_EINDEX);
  tv_error_clear();
  put_file(3, names, (tv_tensor *[]){kind, whole(1), text("float32")});
  refused(c, "missing 'a/0/sum'");
  EQUAL(tv_accumulator_count(a), 0);
  tv_checkpoint_release(c);
  tv_accumulator_release(a);
  folder_leave();
}

/* A shorter history than the file's: pairs that it cannot hold are unexpected. */
TEST(more_pairs_than_a_history_holds_are_refused) {
  folder_enter();
  training t;
  begin(&t, TV_CPU);
  run(&t, 4);
  OK(tv_checkpoint_save(t.checkpoint, "x.npz", NULL));
  tv_lbfgs_options o = TV_LBFGS_OPTIONS;
  o.history = 1;
  tv_lbfgs *const l = tv_lbfgs_new(&o);
  tv_checkpoint *const c = tv_checkpoint_new();
  OK(tv_checkpoint_add_variable(c, "x", t.x));
  OK(tv_checkpoint_add_variable(c, "y", t.y));
  OK(tv_checkpoint_add_lbfgs(c, "lbfgs", l));
  tv_checkpoint_options some = hearing();
  some.prefix = "lbfgs";
  EQUAL(tv_checkpoint_restore(c, "x.npz", &some), TV_EFORMAT);
  CHECK(strstr(tv_error_text(), "unexpected 'lbfgs/inverse/1'"));
  tv_error_clear();
  EQUAL(told.n[TV_CHECKPOINT_UNEXPECTED], 10); /* inverses, y and s of two Variables, twice */
  EQUAL(tv_lbfgs_iterations(l), 0);
  tv_checkpoint_release(c);
  tv_lbfgs_release(l);
  end(&t);
  folder_leave();
}

TEST(any_allocation_may_fail_and_the_state_is_old_or_new) {
  folder_enter();
  training saved, before, t;
  begin(&saved, TV_CPU);
  begin(&before, TV_CPU);
  begin(&t, TV_CPU);
  run(&saved, 5);
  run(&before, 2);
  int64_t n = 0;
  for (tv_status status = TV_ENOMEM; status; tv_error_clear()) {
    const int64_t live = tv_live_handles();
    tvi_memory_fail(++n, false);
    status = tv_checkpoint_save(saved.checkpoint, "x.npz", NULL);
    tvi_memory_fail(0, false);
    EQUAL(tv_live_handles(), live);
    CHECK(!status || status == TV_ENOMEM || strstr(tv_error_text(), "is in place, but"));
  }
  CHECK(n > 60);
  OK(tv_checkpoint_save(saved.checkpoint, "x.npz", NULL));
  OK(tv_checkpoint_save(before.checkpoint, "before.npz", NULL));
  OK(tv_checkpoint_restore(t.checkpoint, "before.npz", NULL));
  n = 0;
  for (tv_status status = TV_ENOMEM; status; tv_error_clear()) {
    const int64_t live = tv_live_handles();
    tvi_memory_fail(++n, false);
    status = tv_checkpoint_restore(t.checkpoint, "x.npz", NULL);
    tvi_memory_fail(0, false);
    CHECK(!status || status == TV_ENOMEM);
    tv_error_clear();
    if (status) EQUAL(tv_live_handles(), live);
    same(&t, status ? &before : &saved);
  }
  CHECK(n > 100);
  run(&t, 3);
  run(&saved, 3);
  same(&t, &saved);
  end(&saved);
  end(&before);
  end(&t);
  folder_leave();
}

TEST_MAIN("kept", CASE(training_goes_on_with_the_same_bits),
          CASE(training_goes_on_on_another_device),
          CASE(a_file_holds_what_they_keep_as_plain_arrays), CASE(what_cannot_be_added_is_refused),
          CASE(differences_are_listed_and_nothing_is_loaded),
          CASE(numbers_that_cannot_be_are_refused), CASE(sums_of_gradients_are_put_back_or_refused),
          CASE(more_pairs_than_a_history_holds_are_refused),
          CASE(any_allocation_may_fail_and_the_state_is_old_or_new))
