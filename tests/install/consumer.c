/* A program outside the tree, in C: a gradient and a step, through the installed headers. */
#include <stdio.h>
#include <tensorvar/tensorvar.h>

int main(void) {
  tv_scope outer, pass;
  double w_now = 0, slope = 0;
  tv_scope_begin(&outer);
  tv_variable *w = tv_variable_new(tv_full(TV_F64, TV_SHAPE(3), tv_scalar(2)), NULL);
  tv_optimizer *sgd = tv_sgd_new(NULL);

  tv_scope_begin(&pass);
  tv_tape *tape = tv_tape_begin(NULL);
  tv_tensor *g, *w_read = tv_read(w);
  tv_tape_gradient(tape, tv_sum(tv_multiply(w_read, w_read), TV_ALL_AXES), 1, &w, &g);
  tv_tape_end(tape);
  tv_scope_keep(g);
  tv_scope_end(&pass, NULL);

  tv_item_f64(tv_slice(g, "0"), &slope);
  tv_optimizer_step(sgd, 1, &w, &g);
  tv_item_f64(tv_slice(tv_read(w), "0"), &w_now);
  tv_optimizer_release(sgd);
  tv_variable_release(w);
  const bool is_right = slope == 4 && w_now == 2 - 0.01 * 4;
  const tv_status status = tv_scope_end(&outer, NULL);
  printf("C: libtensorvar %s: %s%s\n", tv_version(), is_right ? "right" : "WRONG", tv_error_text());
  return status != TV_OK || !is_right;
}
