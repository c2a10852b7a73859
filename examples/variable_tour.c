/* SPDX-License-Identifier: MIT
 * Twelve things that people do with tf.Variable and NumPy arrays, here in C. Each function prints
 * what TensorFlow prints for the same program; where TensorFlow refuses, or does something else
 * than people expect, it prints our refusal and the right way.
 *
 *     variable_tour            all of them
 *     variable_tour 6 9        some */
#include <stdio.h>
#include <stdlib.h>
#include <tensorvar/tensorvar.h>

static void print(tv_tensor *x) { tv_print(stdout, x); }
static void print_variable(tv_variable *v) { tv_variable_print(stdout, v); }

/* NumPy's str, what print() shows in Python. */
static void print_str(tv_tensor *x) {
  char text[2000];
  if (tv_format(x, TV_STR, text, sizeof text) >= 0) puts(text);
}

static void print_shape(tv_tensor *x) {
  const int rank = tv_tensor_rank(x);
  putchar('(');
  for (int k = 0; k < rank; k++)
    printf("%lld%s", (long long)tv_tensor_shape(x)[k], k + 1 < rank ? ", " : rank == 1 ? "," : "");
  puts(")");
}

/* A refusal is an answer too: print it, and go on as if it had not been. */
static void print_refusal(tv_status status) {
  printf("%s: %s\n", tv_status_name(status), tv_error_text());
  tv_error_clear();
}

static tv_tensor *f32(int rank, const int64_t *shape, const float *data) {
  return tv_tensor_from_memory(data, TV_F32, rank, shape, NULL);
}

/* 1. A Variable from an array of three float32. The array is copied: changing it changes nothing.
 */
static void from_array(void) {
  float a[] = {1, 2, 3};
  tv_variable *const v = tv_variable_new_from_memory(a, TV_F32, TV_SHAPE(3), NULL);
  a[0] = 100;
  print_variable(v);
  tv_variable_release(v);
}

/* 2. Random float64 numbers keep their shape and dtype: nothing becomes float32 by itself. */
static void shape_and_dtype(void) {
  tv_variable *const v =
      tv_variable_new(tv_random_uniform(tv_key_from_seed(7), TV_F64, TV_SHAPE(3, 4)), NULL);
  print_shape(tv_read(v));
  puts(tv_dtype_name(tv_variable_dtype(v)));
  tv_variable_release(v);
}

/* 3. A constraint given at creation. In TensorFlow, and here by default, only optimizers apply it;
 * on every write, creation included, is a policy, and so is to refuse. */
static void constraint(void) {
  const double a[] = {1, 2, 3, 4};
  const tv_constraint_policy policies[] = {TV_ON_STEP, TV_ON_EVERY_WRITE, TV_VALIDATE_ONLY};
  for (int k = 0; k < 3; k++) {
    tv_variable_options options = TV_VARIABLE_OPTIONS;
    options.constraint = (tv_constraint)TV_CLIP(-1, 1, policies[k]);
    tv_variable *const v = tv_variable_new_from_memory(a, TV_F64, TV_SHAPE(2, 2), &options);
    if (!v) {
      print_refusal(tv_error());
      continue;
    }
    print_variable(v);
    print_str(tv_read(v));
    tv_variable_release(v);
  }
}

/* 4. convert_to_tensor: a copy, whose bytes are the array's. */
static void to_tensor(void) {
  float a[] = {1, 2, 3, 4, 5, 6};
  tv_tensor *const x = f32(TV_SHAPE(2, 3), a);
  int64_t are_same = 0;
  print_str(f32(TV_SHAPE(2, 3), a));
  print_str(x);
  tv_item_i64(tv_min(tv_equal(x, f32(TV_SHAPE(2, 3), a)), TV_ALL_AXES), &are_same);
  printf("Are they the same? %s\n", are_same ? "True" : "False");
  a[0] = 100;
  print(x);
}

/* 5. assign_add of int64 ones to a float32 Variable: integers may become real. The other way round
 * is refused, where TensorFlow cuts the fractions of a NumPy array without a word. */
static void assign_add(void) {
  const float a[] = {1, 2, 3, 4, 5, 6};
  tv_variable *const v = tv_variable_new_from_memory(a, TV_F32, TV_SHAPE(2, 3), NULL);
  print_variable(v);
  tv_variable_assign_add(v, tv_ones(TV_I64, TV_SHAPE(2, 3)));
  print_variable(v);
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.name = "counts";
  tv_variable *const counts = tv_variable_new(tv_ones(TV_I64, TV_SHAPE(2, 3)), &options);
  print_refusal(tv_variable_assign_add(counts, tv_read(v)));
  tv_variable_release(counts);
  tv_variable_release(v);
}

static void released(void *user) { puts((const char *)user); }

/* 6. Sharing memory: tf.constant(a.data) never did. A borrow does, until its last view is gone. */
static void share_memory(void) {
  static const float a[] = {1, 2, 3, 4, 5, 6};
  tv_memory_options options = TV_MEMORY_OPTIONS;
  tv_scope scope;
  options.borrow = true;
  options.release = released;
  options.user = (void *)(uintptr_t) "the memory is the caller's again";
  tv_scope_begin(&scope);
  tv_tensor *const x = tv_tensor_from_memory(a, TV_F32, TV_SHAPE(2, 3), &options);
  print(x);
  printf("Are the bytes shared? %s\n", tv_tensor_data(x) == a ? "True" : "False");
  tv_scope_end(&scope, NULL);
}

/* 7. Read, multiply by a half, assign. An assignment is never part of a gradient. */
static void read_and_assign(void) {
  const float a[] = {1, 2, 3, 4};
  tv_variable *const v = tv_variable_new_from_memory(a, TV_F32, TV_SHAPE(2, 2), NULL);
  tv_variable_assign(v, tv_multiply(tv_read(v), tv_scalar(.5)));
  print_str(tv_read(v));
  tv_variable_release(v);
}

/* 8. Values above 5 become -1, in one call. A tape that read the Variable before keeps what it
 * read. */
static void assign_where(void) {
  tv_scope scope;
  tv_tensor *g;
  tv_variable *const v =
      tv_variable_new(tv_reshape(tv_arange(TV_F32, 0, 10, 1), TV_SHAPE(2, 5)), NULL);
  tv_scope_begin(&scope);
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const y = tv_sum(tv_square(tv_read(v)), TV_ALL_AXES);
  tv_variable_assign_where(v, tv_greater(tv_read(v), tv_scalar(5)), tv_scalar(-1));
  print_str(tv_read(v));
  tv_tape_gradient(tape, y, 1, &v, &g);
  print_str(g);
  tv_scope_end(&scope, NULL);
  tv_variable_release(v);
}

/* 9. A 2 by 8 value for a 4 by 4 Variable: refused, and nothing has changed. With axes that were
 * made open it is taken. */
static void other_shape(void) {
  tv_tensor *const square = tv_reshape(tv_arange(TV_F32, 0, 16, 1), TV_SHAPE(4, 4));
  tv_tensor *const wide = tv_reshape(tv_arange(TV_F32, 0, 32, 2), TV_SHAPE(2, 8));
  tv_variable *const fixed = tv_variable_new(square, NULL);
  print_refusal(tv_variable_assign(fixed, wide));
  printf("version %llu\n", (unsigned long long)tv_variable_version(fixed));
  const bool both[] = {true, true};
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.open_axes = both;
  tv_variable *const open = tv_variable_new(square, &options);
  tv_variable_assign(open, wide);
  print_shape(tv_read(open));
  print_variable(open);
  tv_variable_release(open);
  tv_variable_release(fixed);
}

/* 10. An int64 array as float32. */
static void convert(void) {
  const int64_t a[] = {1, 2, 3, 4, 5, 6};
  tv_tensor *const x = tv_tensor_from_memory(a, TV_I64, TV_SHAPE(2, 3), NULL);
  tv_tensor *const y = tv_astype(x, TV_F32);
  print_str(x);
  print_str(y);
  puts(tv_dtype_name(tv_tensor_dtype(y)));
}

/* 11. Shape, and size in bytes: one call each (a TensorFlow tensor has no `size`). */
static void sizes(void) {
  tv_tensor *const x = tv_zeros(TV_F64, TV_SHAPE(100, 100));
  print_shape(x);
  printf("%lld\n", (long long)tv_tensor_bytes(x));
}

/* 12. int32 kept, float64 made float32: shortest digits do not show what was lost, so count it. */
static void precision(void) {
  const int32_t a[] = {1, 2, 3, 4};
  const double b[] = {1.1, 2.2, 3.3, 4.4};
  tv_cast_report lost = TV_CAST_REPORT;
  tv_tensor *const x = tv_tensor_from_memory(a, TV_I32, TV_SHAPE(2, 2), NULL);
  tv_tensor *const wide = tv_tensor_from_memory(b, TV_F64, TV_SHAPE(2, 2), NULL);
  print_str(x);
  print_str(x);
  print_str(wide);
  print_str(tv_astype(wide, TV_F32));
  if (!tv_cast_checked(wide, TV_F32, TV_REFUSE_INEXACT, &lost)) print_refusal(tv_error());
  printf("%lld inexact, %lld overflow, the first at %lld\n", (long long)lost.n_inexact,
         (long long)lost.n_overflow, (long long)lost.first);
}

static const struct {
  const char *title;
  void (*run)(void);
} stops[] = {
    {"a Variable from an array", from_array},
    {"shape and dtype", shape_and_dtype},
    {"a constraint at creation", constraint},
    {"an array as a tensor", to_tensor},
    {"assign_add", assign_add},
    {"sharing memory", share_memory},
    {"read, change, assign", read_and_assign},
    {"change where", assign_where},
    {"assign another shape", other_shape},
    {"convert a dtype", convert},
    {"shape and bytes", sizes},
    {"precision", precision},
};
enum { STOPS = sizeof stops / sizeof *stops };

static int visit(int number) {
  tv_scope scope;
  printf("%s--- %d. %s\n", number > 1 ? "\n" : "", number, stops[number - 1].title);
  tv_scope_begin(&scope);
  stops[number - 1].run();
  if (!tv_scope_end(&scope, NULL)) return 0;
  fprintf(stderr, "variable_tour: %s\n", tv_error_text());
  return 1;
}

int main(int argc, char **argv) {
  int failed = 0;
  for (int k = 1; k < argc; k++) {
    const int number = (int)strtol(argv[k], NULL, 10);
    if (number < 1 || number > STOPS) {
      fprintf(stderr, "usage: variable_tour [1 to %d]...\n", STOPS);
      return 2;
    }
    failed |= visit(number);
  }
  for (int number = 1; argc == 1 && number <= STOPS; number++) failed |= visit(number);
  return failed;
}
