/* SPDX-License-Identifier: MIT
 * What people do with tf.GradientTape and PyTorch's autograd, here in C, and what happens when
 * values change between forward and gradient.
 *
 *     gradient_tour            all of it
 *     gradient_tour 2 6        some */
#include "tour.h"

static tv_tensor *sum(tv_tensor *x) { return tv_sum(x, TV_ALL_AXES); }
static tv_variable *one_two_three(void) {
  return tv_variable_new(tv_arange(TV_F64, 1, 4, 1), NULL);
}

/* 1. A gradient belongs to the value that was read, whatever is assigned afterwards. PyTorch
 * refuses this; who would rather be told can ask for that. */
static void write_in_between(void) {
  tv_variable *const v = one_two_three();
  tv_tensor *g;
  tv_tape *tape = tv_tape_begin(NULL);
  tv_tensor *y = sum(tv_square(tv_read(v)));
  tv_variable_assign_add(v, tv_scalar(10));
  tv_tape_gradient(tape, y, 1, &v, &g);
  tv_tape_end(tape);
  print_str(g);
  tv_tape_options strict = TV_TAPE_OPTIONS;
  strict.mutation = TV_MUTATION_ERROR;
  tape = tv_tape_begin(&strict);
  y = sum(tv_square(tv_read(v)));
  tv_variable_assign_add(v, tv_scalar(10));
  const tv_status status = tv_tape_gradient(tape, y, 1, &v, &g);
  puts(tv_status_name(status)); /* the text names the op, both versions, and who wrote where */
  tv_error_clear();
  tv_tape_end(tape);
  tv_variable_release(v);
}

/* 2. 2 v at v = 2, then v^2 at v = 5: 12 in all, 2 and 10 by version. */
static void by_version(void) {
  tv_tape_options persistent = TV_TAPE_OPTIONS;
  persistent.persistent = true;
  tv_tensor *all, *first, *second;
  tv_variable *const v = tv_variable_new(tv_full(TV_F64, TV_SHAPE(1), tv_scalar(2)), NULL);
  tv_tape *const tape = tv_tape_begin(&persistent);
  tv_tensor *y = tv_multiply(tv_read(v), tv_scalar(2));
  tv_variable_assign_add(v, tv_scalar(3));
  y = tv_add(y, tv_square(tv_read(v)));
  tv_tape_gradient(tape, y, 1, &v, &all);
  tv_tape_gradient_at(tape, y, v, 0, &first);
  tv_tape_gradient_at(tape, y, v, 1, &second);
  tv_tape_end(tape);
  print_str(all);
  print_str(first);
  print_str(second);
  tv_variable_release(v);
}

/* 3. By a constant, by what does not matter, and with the target's own gradient given. What the
 * target does not depend on has a gradient of zeros, where TensorFlow gives None. */
static void sources(void) {
  tv_tape_options persistent = TV_TAPE_OPTIONS;
  persistent.persistent = true;
  tv_tensor *g;
  tv_variable *const v = one_two_three(), *const w = one_two_three();
  tv_tape *const tape = tv_tape_begin(&persistent);
  tv_tensor *const x = tv_full(TV_F64, TV_SHAPE(3), tv_scalar(3));
  tv_tape_watch(tape, x);
  tv_tensor *const y = tv_multiply(tv_square(tv_read(v)), x);
  tv_tape_gradient_of(tape, y, 1, &x, &g);
  print_str(g);
  tv_tape_gradient(tape, y, 1, &w, &g);
  print_str(g);
  printf("depends on w? %s\n", tv_tape_depends(tape, y, w) ? "True" : "False");
  tv_tape_gradient_with(tape, y, tv_arange(TV_F64, 0, 3, 1), 1, &v, &g);
  print_str(g);
  tv_tape_end(tape);
  tv_variable_release(w);
  tv_variable_release(v);
}

/* 4. The second derivative of x^3 at 2: one tape inside another. */
static void second_order(void) {
  tv_variable *const v = tv_variable_new(tv_full(TV_F64, TV_SHAPE(1), tv_scalar(2)), NULL);
  tv_tensor *first, *second;
  tv_tape *const outer = tv_tape_begin(NULL), *const inner = tv_tape_begin(NULL);
  tv_tensor *const x = tv_read(v);
  tv_tape_gradient(inner, tv_multiply(x, tv_square(x)), 1, &v, &first);
  tv_tape_gradient(outer, first, 1, &v, &second);
  tv_tape_end(inner);
  tv_tape_end(outer);
  print_str(first);
  print_str(second);
  tv_variable_release(v);
}

/* 5. What is not recorded: writes, what stop_gradient gives, what runs under a pause or
 * tv_no_grad. */
static void not_recorded(void) {
  tv_scope quiet;
  tv_tensor *g, *again;
  tv_variable *const v = one_two_three(), *const w = one_two_three();
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const x = tv_read(v);
  tv_tensor *const y = tv_multiply(x, tv_stop_gradient(x)); /* v, where v^2 has 2 v */
  tv_tape_pause();
  tv_tensor *const z = tv_square(x); /* a constant to the tape */
  tv_tape_resume();
  tv_scope_begin(&quiet);
  tv_no_grad(); /* until the scope ends, however it ends */
  tv_tensor *const mean = tv_mean(x, TV_ALL_AXES);
  print_str(mean);
  tv_scope_end(&quiet, NULL);
  tv_variable_assign(w, tv_square(x)); /* cuts: no gradient flows from w to v */
  tv_tape_gradient(tape, tv_add(tv_add(y, z), tv_read(w)), 1, &v, &g);
  print_str(g);
  print_refusal(tv_tape_gradient(tape, y, 1, &v, &again)); /* one, unless it is persistent */
  tv_tape_end(tape);
  tv_variable_release(w);
  tv_variable_release(v);
}

/* 6. The gradient of a few rows of a table is a few rows: tf.IndexedSlices, a sparse embedding. */
static void rows_of_a_table(void) {
  const int64_t words[] = {3, 1, 3};
  tv_sgd_options options = TV_SGD_OPTIONS;
  options.learning_rate = .5;
  tv_tensor *g, *indices, *values;
  tv_variable *const table = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(5, 2)), NULL);
  tv_optimizer *const sgd = tv_sgd_new(&options);
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const x = tv_variable_sparse_read(table, i64(TV_SHAPE(3), words));
  tv_tape_gradient(tape, sum(tv_square(x)), 1, &table, &g);
  tv_tape_end(tape);
  printf("rows? %s\n", tv_is_rows(g) ? "True" : "False");
  tv_rows_parts(g, &indices, &values);
  print_str(indices);
  tv_rows_parts(tv_rows_summed(g), &indices, &values);
  print_str(indices);
  print_str(values);
  tv_optimizer_step(sgd, 1, &table, &g); /* no dense gradient is made for it */
  print_str(tv_read(table));
  print_str(tv_to_dense(g));
  tv_optimizer_release(sgd);
  tv_variable_release(table);
}

/* 7. A gradient of one's own: log(1 + e^x), whose gradient by the formulas of its ops is infinity
 * over infinity at 100 (the example of tf.custom_gradient). */
static tv_tensor *log1pexp(void *user, int n, tv_tensor *const *in) {
  return (void)user, (void)n, tv_log(tv_add(tv_scalar(1), tv_exp(in[0])));
}
static tv_status log1pexp_back(void *user, int n, tv_tensor *const *in, tv_tensor *out,
                               tv_tensor *gradient, tv_tensor **gradients) {
  (void)user, (void)n, (void)out;
  gradients[0] = tv_multiply(gradient, tv_sigmoid(in[0]));
  return gradients[0] ? TV_OK : tv_error();
}
static void custom_gradient(void) {
  tv_custom op = TV_CUSTOM;
  tv_tensor *g;
  op.name = "log1pexp";
  op.forward = log1pexp;
  op.backward = log1pexp_back;
  op.keeps_output = false;
  tv_variable *const v = tv_variable_new(tv_full(TV_F32, TV_SHAPE(1), tv_scalar(100)), NULL);
  for (int own = 0; own < 2; own++) {
    tv_tape *const tape = tv_tape_begin(NULL);
    tv_tensor *const x = tv_read(v);
    tv_tape_gradient(tape, own ? tv_custom_op(&op, 1, &x) : log1pexp(NULL, 1, &x), 1, &v, &g);
    tv_tape_end(tape);
    print_str(g);
  }
  tv_variable_release(v);
}

/* 8. Memory for time: the tape keeps the inputs alone and runs forward again for the gradient, with
 * the values that were read the first time. TensorFlow and PyTorch compute again from what v is by
 * then, and give zeros. */
static tv_tensor *layers(void *user, int n, tv_tensor *const *in) {
  (void)n;
  tv_tensor *x = in[0];
  for (int k = 0; k < 3; k++) x = tv_multiply(x, tv_read(user));
  return x;
}
static void recompute(void) {
  tv_custom op = TV_CUSTOM;
  tv_tensor *g;
  tv_variable *const v = one_two_three();
  op.forward = layers;
  op.user = v;
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const x = tv_ones(TV_F64, TV_SHAPE(3));
  tv_tensor *const y = tv_recompute(&op, 1, &x); /* v^3 */
  tv_variable_assign(v, tv_zeros(TV_F64, TV_SHAPE(3)));
  tv_tape_gradient(tape, y, 1, &v, &g);
  tv_tape_end(tape);
  print_str(g);
  tv_variable_release(v);
}

/* 9. Where did that NaN come from? The first op that made one, as
 * tf.debugging.enable_check_numerics and torch.autograd.detect_anomaly tell. */
static void anomalies(void) {
  const float a[] = {1, 0, 4};
  tv_tape_options options = TV_TAPE_OPTIONS;
  options.anomalies = true;
  tv_variable *const v = tv_variable_new_from_memory(a, TV_F32, TV_SHAPE(3), NULL);
  tv_tape *const tape = tv_tape_begin(&options);
  tv_tensor *const x = tv_read(v);
  if (!tv_multiply(x, tv_log(x))) print_refusal(tv_error());
  tv_tape_end(tape);
  tv_variable_release(v);
}

/* 10. What a tape has recorded, for Graphviz: gradient_tour 10 | tail -n +2 | dot -Tsvg */
static void graph(void) {
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.name = "w";
  tv_variable *const w = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2, 3)), &options);
  tv_variable_assign_mul(w, tv_scalar(2));
  tv_tape *const tape = tv_tape_begin(NULL);
  sum(tv_tanh(tv_read(w)));
  tv_tape_graph(tape, stdout);
  tv_tape_end(tape);
  tv_variable_release(w);
}

/* 11. Borrowed memory that its owner writes: PyTorch's from_numpy then gives the gradient 22 24 26
 * of the loss 14, and says nothing. A guard tells; an owner who says so is believed. */
static void guards(void) {
  double a[] = {1, 2, 3};
  tv_tensor *g;
  tv_memory_options options = TV_MEMORY_OPTIONS;
  options.borrow = true;
  options.guard = TV_GUARD_FULL;
  options.name = "samples";
  tv_tensor *const x = tv_tensor_from_memory(a, TV_F64, TV_SHAPE(3), &options);
  if (!x) { /* a build without xxHash has no guards, and says so */
    print_refusal(tv_error());
    return;
  }
  tv_tape *tape = tv_tape_begin(NULL);
  tv_tape_watch(tape, x);
  tv_tensor *const y = sum(tv_square(x));
  for (int k = 0; k < 3; k++) a[k] += 10;
  print_refusal(tv_tape_gradient_of(tape, y, 1, &x, &g));
  tv_tape_end(tape);
  print_str(y);
  tv_tensor_mark_mutated(x); /* from now on these bytes are right */
  print_str(tv_square(x));
}

/* 12. The gradient of the real part of z^2 at 3 + 4i: dL/da + i dL/db, as TensorFlow and PyTorch
 * have it; JAX gives its conjugate. */
static void complex_values(void) {
  tv_tensor *g;
  tv_variable *const v =
      tv_variable_new(tv_full(TV_C128, TV_SHAPE(1), tv_scalar_complex(3, 4)), NULL);
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tape_gradient(tape, tv_real(tv_square(tv_read(v))), 1, &v, &g);
  tv_tape_end(tape);
  print_str(g);
  tv_variable_release(v);
}

static const tour_stop stops[] = {
    {"a write between forward and gradient", write_in_between},
    {"gradients by version", by_version},
    {"sources and targets", sources},
    {"second order", second_order},
    {"what is not recorded", not_recorded},
    {"rows of a table", rows_of_a_table},
    {"a gradient of one's own", custom_gradient},
    {"memory for time", recompute},
    {"anomalies", anomalies},
    {"the graph", graph},
    {"guards of borrowed memory", guards},
    {"complex values", complex_values},
};

int main(int argc, char **argv) {
  return tour_visit_all("gradient_tour", sizeof stops / sizeof *stops, stops, argc, argv);
}
