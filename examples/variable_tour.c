/* SPDX-License-Identifier: MIT
 * What people do with tf.Variable and NumPy arrays, here in C: first twelve everyday things, then
 * every way to write a Variable, and its versions. Each function prints what TensorFlow prints for
 * the same program; where TensorFlow refuses, or does something else than people expect, it prints
 * our refusal and the right way. Gradients are in gradient_tour.c, training in training_tour.c.
 *
 *     variable_tour            all of them
 *     variable_tour 6 9        some */
#include "tour.h"

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

/* 13. From a .npy file: as np.load and tf.Variable, in one call. */
static void from_file(void) {
  tv_npy_save("tour.npy", tv_reshape(tv_arange(TV_F32, 0, 6, 1), TV_SHAPE(2, 3)), NULL);
  tv_variable *const v = tv_variable_new_from_npy("tour.npy", NULL, NULL);
  print_variable(v);
  tv_variable_release(v);
  remove("tour.npy");
  if (!tv_variable_new_from_npy("tour.npy", NULL, NULL)) print_refusal(tv_error());
}

/* 14. Part of a Variable, in NumPy's notation: tf's v[1:, ::2].assign(x), which neither broadcasts
 * nor adds. A value that is a view of the Variable is taken as it was before. */
static void write_slices(void) {
  tv_variable *const v =
      tv_variable_new(tv_reshape(tv_arange(TV_F32, 0, 12, 1), TV_SHAPE(3, 4)), NULL);
  tv_variable_assign_slice(v, "0", tv_scalar(-1));
  tv_variable_assign_slice_mul(v, "1:, ::2", tv_scalar(.5));
  print_str(tv_read(v));
  tv_variable_assign_slice_add(v, "...", tv_slice(tv_read(v), "::-1"));
  print_str(tv_read(v));
  for (int64_t row = 0; row < 3; row++) { /* bounds that are computed: v[row, :row] = row */
    const tv_index part[] = {TV_AT(row), TV_RANGE(0, row, 1)};
    tv_variable_update_slice_with(v, TV_SET, 2, part, tv_scalar((int)row));
  }
  print_str(tv_read(v));
  print_refusal(tv_variable_assign_slice(v, "3", tv_scalar(0)));
  tv_variable_release(v);
}

/* 15. Where a mask is true. tf.Variable has no such write: people read, np.where and assign. */
static void write_masks(void) {
  const float a[] = {-2, -1, 0, 1, 2, 3};
  tv_variable *const v = tv_variable_new_from_memory(a, TV_F32, TV_SHAPE(2, 3), NULL);
  tv_variable_assign_where(v, tv_less(tv_read(v), tv_scalar(0)), tv_scalar(0));
  tv_variable_assign_where_add(v, tv_greater(tv_read(v), tv_scalar(1)), tv_scalar(10));
  print_str(tv_read(v));
  tv_variable_release(v);
}

/* 16. Rows by index. With one index twice, an update keeps the last and the others follow one
 * another: TensorFlow leaves the order open. A bad index writes nothing: TensorFlow's CPU has then
 * written the rows before it, and its GPU skips it. */
static void scatter(void) {
  const int64_t at[] = {0, 2, 0, -1}, bad[] = {1, 3};
  const float rows[] = {1, 1, 2, 2, 3, 3, 4, 4};
  tv_tensor *const indices = i64(TV_SHAPE(4), at), *const x = f32(TV_SHAPE(4, 2), rows);
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(3, 2)), NULL);
  tv_variable_scatter_update(v, indices, x);
  print_str(tv_read(v));
  tv_variable_scatter_add(v, indices, x);
  print_str(tv_read(v));
  tv_variable_scatter_max(v, indices, tv_scalar(8));
  print_str(tv_read(v));
  print_refusal(tv_variable_scatter_mul(v, i64(TV_SHAPE(2), bad), tv_scalar(0)));
  print_version(v);
  tv_variable_release(v);
}

/* 17. By tuples of indices, and by rows of each batch; and the reads that go with them. */
static void scatter_nd(void) {
  const int64_t at[] = {0, 1, 1, 2}, each[] = {1, 0};
  tv_tensor *const pairs = i64(TV_SHAPE(2, 2), at), *const columns = i64(TV_SHAPE(2, 1), each);
  tv_variable *const v = tv_variable_new(tv_zeros(TV_I32, TV_SHAPE(2, 3)), NULL);
  tv_variable_scatter_nd_update(v, pairs, tv_scalar(5));
  tv_variable_scatter_nd_sub(v, pairs, tv_scalar(1));
  tv_variable_batch_scatter_update(v, columns, tv_scalar(9));
  print_str(tv_read(v));
  print_str(tv_gather_nd(tv_read(v), pairs));
  print_str(tv_variable_sparse_read(v, tv_scalar(-1)));
  tv_variable_release(v);
}

/* 18. A loop of one's own over the elements, as over v.numpy(): what is written counts at unmap,
 * and readers see the whole of the old value until then. */
static void own_loop(void) {
  void *data = NULL;
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F64, TV_SHAPE(4)), NULL);
  if (tv_variable_map(v, false, &data)) return;
  for (int k = 0; k < 4; k++) ((double *)data)[k] = k * k;
  print_str(tv_read(v));
  print_refusal(tv_variable_assign_add(v, tv_scalar(1)));
  tv_variable_unmap(v);
  print_str(tv_read(v));
  print_version(v);
  tv_variable_release(v);
}

/* 19. The other arithmetic, and what it takes: the Variable's shape or a plain number, and no
 * dtype of a higher kind. */
static void arithmetic(void) {
  const int32_t a[] = {6, 7, 8};
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.name = "counts";
  tv_variable *const v = tv_variable_new_from_memory(a, TV_I32, TV_SHAPE(3), &options);
  tv_variable_assign_mul(v, tv_scalar(3));
  tv_variable_assign_sub(v, tv_ones(TV_I64, TV_SHAPE(3)));
  tv_variable_assign_min(v, tv_scalar(20));
  tv_variable_assign_max(v, tv_scalar(18));
  print_str(tv_read(v));
  print_refusal(tv_variable_assign_add(v, tv_scalar(.5)));
  print_refusal(tv_variable_assign_div(v, tv_scalar(2)));
  print_refusal(tv_variable_assign_add(v, tv_ones(TV_I32, TV_SHAPE(1))));
  print_version(v);
  tv_variable_release(v);
}

/* 20. Every write that succeeds is one version, and says who made it. */
static void versions(void) {
  tv_write_info last = TV_WRITE_INFO;
  tv_variable *const v = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), NULL);
  tv_tensor *const before = tv_read(v);
  tv_variable_assign_add(v, tv_scalar(1));
  print_refusal(tv_variable_assign(v, tv_ones(TV_F32, TV_SHAPE(3))));
  tv_variable_assign_mul(v, tv_scalar(4));
  tv_variable_last_write(v, &last);
  const char *const slash = strrchr(last.file, '/');
  printf("version %d by %s in %s\n", (int)last.version, last.verb, slash ? slash + 1 : last.file);
  print_str(before); /* a read is a snapshot */
  print_str(tv_read(v));
  tv_variable_release(v);
}

/* 21. A Variable that remembers: its last versions can be read, and made the value again. */
static void history(void) {
  tv_variable_options options = TV_VARIABLE_OPTIONS;
  options.history = 2;
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(2)), &options);
  for (int k = 1; k <= 4; k++) tv_variable_assign(v, tv_full(TV_F32, TV_SHAPE(2), tv_scalar(k)));
  print_str(tv_variable_at(v, 3));
  printf("the oldest is %d\n", (int)tv_variable_oldest(v));
  tv_variable_restore(v, 2); /* a write as any other */
  print_str(tv_read(v));
  print_version(v);
  if (!tv_variable_at(v, 1)) print_refusal(tv_error());
  tv_variable_release(v);
}

static const tour_stop stops[] = {
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
    {"a Variable from a file", from_file},
    {"write slices", write_slices},
    {"write where a mask is true", write_masks},
    {"scatter rows", scatter},
    {"scatter by tuples and batches", scatter_nd},
    {"a loop of one's own", own_loop},
    {"arithmetic", arithmetic},
    {"versions", versions},
    {"history", history},
};

int main(int argc, char **argv) {
  return tour_visit_all("variable_tour", sizeof stops / sizeof *stops, stops, argc, argv);
}
