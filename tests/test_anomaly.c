/* SPDX-License-Identifier: MIT
 * The first op that makes NaN or infinity is named, on the way there and on the way back. */
#include <math.h>

#include "check.h"

static tv_tape *looking(void) {
  tv_tape_options o = TV_TAPE_OPTIONS;
  o.anomalies = true;
  return tv_tape_begin(&o);
}
static tv_variable *of(int n, const double *values) {
  return tv_variable_new_from_memory(values, TV_F64, TV_SHAPE(n), NULL);
}

TEST(results_name_op_place_and_value) {
  tv_variable *const v = of(3, (double[]){4, -1, 0});
  tv_tape *const tape = looking();
  tv_tensor *const x = tv_read(v);
  HOLDS(tv_square(x), 16, 1, 0);
  FAILS(TV_EANOMALY, "anomaly: sqrt: result is nan at [1], and what it is made of is finite",
        tv_sqrt(x));
  FAILS(TV_EANOMALY, "anomaly: log: result is nan at [1], and what it is made of is finite",
        tv_log(x));
  FAILS(TV_EANOMALY, "anomaly: divide: result is inf at [2], and what it is made of is finite",
        tv_divide(tv_ones(TV_F64, TV_SHAPE(3)), x));
  FAILS(TV_EANOMALY, "anomaly: multiply: result is nan at [0]: input 1 is nan at [] already",
        tv_multiply(x, tv_scalar((double)NAN)));
  HOLDS(tv_sqrt(tv_stop_gradient(x)), 2, (double)NAN, 0); /* of what the tape does not see */
  OK(tv_tape_end(tape));
  tv_variable_release(v);
}

TEST(gradients_name_op_input_and_place) {
  tv_variable *const v = of(2, (double[]){1, 0});
  tv_tensor *g = NULL;
  tv_tape *const tape = looking();
  tv_tensor *const y = tv_sqrt(tv_read(v)); /* 0 is finite, its slope is not */
  FAILS_STATUS(TV_EANOMALY,
               "anomaly: sqrt: gradient by input 0 is inf at [1], and what it is made of is finite",
               tv_tape_gradient(tape, y, 1, &v, &g));
  CHECK(!g);
  OK(tv_tape_end(tape));
  tv_variable_release(v);
}

static tv_tensor *root(void *user, int n, tv_tensor *const *in) {
  return (void)user, (void)n, tv_sqrt(in[0]);
}
static tv_status infinite(void *user, int n, tv_tensor *const *in, tv_tensor *out,
                          tv_tensor *gradient, tv_tensor **gradients) {
  (void)user, (void)n, (void)in, (void)out;
  gradients[0] = tv_divide(gradient, tv_scalar(0));
  return TV_OK;
}

TEST(ops_of_ones_own_are_looked_at_too) {
  tv_variable *const v = of(2, (double[]){1, 0});
  tv_custom c = TV_CUSTOM;
  tv_tensor *g = NULL;
  c.name = "root";
  c.forward = root;
  c.backward = infinite;
  tv_tape *tape = looking();
  tv_tensor *x = tv_read(v);
  FAILS_STATUS(TV_EANOMALY,
               "anomaly: root: gradient by input 0 is inf at [0], and what it is made of is finite",
               tv_tape_gradient(tape, tv_custom_op(&c, 1, &x), 1, &v, &g));
  OK(tv_tape_end(tape));
  c.backward = NULL; /* inside what is run again as well */
  tape = looking();
  x = tv_read(v);
  FAILS_STATUS(TV_EANOMALY,
               "anomaly: sqrt: gradient by input 0 is inf at [1], and what it is made of is finite",
               tv_tape_gradient(tape, tv_recompute(&c, 1, &x), 1, &v, &g));
  OK(tv_tape_end(tape));
  tv_variable_release(v);
}

TEST(sound_programs_go_on) {
  tv_variable *const v = of(2, (double[]){1, 2});
  tv_tensor *g;
  tv_tape *const tape = looking();
  OK(tv_tape_gradient(tape, tv_log(tv_read(v)), 1, &v, &g));
  HOLDS(g, 1, .5);
  OK(tv_tape_end(tape));
  tv_variable_release(v);
}

TEST_MAIN("anomaly", CASE(results_name_op_place_and_value), CASE(gradients_name_op_input_and_place),
          CASE(ops_of_ones_own_are_looked_at_too), CASE(sound_programs_go_on))
