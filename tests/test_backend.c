/* SPDX-License-Identifier: MIT
 * A second backend, whose memory the host cannot touch (far.h): everything the library does runs
 * there, to the bits of the CPU, so the core touches no byte of a device itself. And what
 * registration refuses. */
#include <stdio.h>
#include <string.h>

#include "elementwise.h"
#include "far.h"

#include "check.h" /* after ops.def, which has a kind of row of the name TEST */

static tv_tensor *far(tv_tensor *x) { return tv_to(x, far_device()); }

/* Same dtype, shape and bytes, wherever they lie; and y lies on the far device. */
static void same(const char *what, tv_tensor *y, tv_tensor *want) {
  if (!y || !want) check_fail(CHECK_HERE, "%s: %s", what, tv_error_text());
  if (tv_tensor_device(y) != far_device())
    check_fail(CHECK_HERE, "%s: not on the far device", what);
  check_same(CHECK_HERE, what, tv_to(y, TV_CPU), want);
}

/* Operands of every layout: whole, transposed, reversed, every second, broadcast, without elements,
 * 0-d. */
enum { LAYOUTS = 7 };
static tv_tensor *laid_out(tv_tensor *base /* [4, 6] */, int layout) {
  switch (layout) {
    case 0:
      return base;
    case 1:
      return tv_reshape(tv_matrix_transpose(tv_reshape(base, TV_SHAPE(6, 4))), TV_SHAPE(4, 6));
    case 2:
      return tv_flip(base, TV_AXES(0, 1));
    case 3:
      return tv_slice(tv_concat(2, (tv_tensor *[]){base, base}, 1), ":, ::2");
    case 4:
      return tv_broadcast_to(tv_slice(base, "1:2"), TV_SHAPE(4, 6));
    case 5:
      return tv_slice(base, "0:0");
    default:
      return tv_slice(base, "2, 3");
  }
}

static void row(intptr_t op) {
  const tvi_op_row *const r = &tvi_op_info[op];
  for (tv_dtype dtype = TV_BOOL; dtype < TV_DTYPE_COUNT; dtype++) {
    if (tvi_op_dtype((int)op, dtype) == TV_DTYPE_NONE) continue;
    for (int layout = 0; layout < LAYOUTS; layout++) {
      tv_scope scope;
      tv_tensor *near[3], *away[3];
      tv_scope_begin(&scope);
      for (int k = 0; k < r->n_inputs; k++) {
        const tv_dtype of = r->inputs[k] == 'c' ? TV_BOOL : dtype;
        tv_tensor *const base =
            tv_astype(tv_reshape(tv_linspace(TV_F64, k + .5, 3 - k, 24), TV_SHAPE(4, 6)), of);
        near[k] = laid_out(base, layout);
        away[k] = laid_out(far(base), layout);
      }
      same(r->name, tvi_elementwise((tvi_op)op, away), tvi_elementwise((tvi_op)op, near));
      OK(tv_scope_end(&scope, NULL));
    }
  }
}

static void casts(intptr_t unused) {
  (void)unused;
  for (tv_dtype from = TV_BOOL; from < TV_DTYPE_COUNT; from++)
    for (tv_dtype to = TV_BOOL; to < TV_DTYPE_COUNT; to++) {
      if (from >= TV_C64 && to < TV_C64) continue;
      tv_tensor *const x = tv_astype(tv_linspace(TV_F64, -4, 300, 24), from);
      same("astype", tv_astype(tv_flip(far(x), TV_ALL_AXES), to),
           tv_astype(tv_flip(x, TV_ALL_AXES), to));
    }
}

static void hand_written_ops(intptr_t unused) {
  (void)unused;
  for (int layout = 0; layout < LAYOUTS - 1; layout++) {
    tv_tensor *const base = tv_reshape(tv_linspace(TV_F32, -3, 5, 24), TV_SHAPE(4, 6));
    tv_tensor *const x = laid_out(base, layout), *const y = laid_out(far(base), layout);
    same("sum", tv_sum(y, TV_AXES(1)), tv_sum(x, TV_AXES(1)));
    same("sum", tv_sum(y, TV_ALL_AXES), tv_sum(x, TV_ALL_AXES));
    same("mean", tv_mean(tv_astype(y, TV_F16), TV_AXES(1)),
         tv_mean(tv_astype(x, TV_F16), TV_AXES(1)));
    same("matmul", tv_matmul(y, tv_matrix_transpose(y)), tv_matmul(x, tv_matrix_transpose(x)));
    same("concat", tv_concat(2, (tv_tensor *[]){y, y}, 0), tv_concat(2, (tv_tensor *[]){x, x}, 0));
    if (layout == 5) continue; /* nothing to choose from */
    same("max", tv_max(y, TV_AXES(0)), tv_max(x, TV_AXES(0)));
    same("argmin", tv_argmin(y, TV_AXES(-1)), tv_argmin(x, TV_AXES(-1)));
    tv_tensor *const index =
        tv_tensor_from_memory((const int32_t[]){-1, 0, 2}, TV_I32, TV_SHAPE(3), NULL);
    same("take", tv_take(y, far(index), 0), tv_take(x, index, 0));
    tv_tensor *const labels =
        tv_tensor_from_memory((const int64_t[]){5, 0, 3, 1}, TV_I64, TV_SHAPE(4), NULL);
    same("softmax_cross_entropy", tv_softmax_cross_entropy(y, far(labels)),
         tv_softmax_cross_entropy(x, labels));
    same("one_hot", tv_one_hot(far(labels), 6, TV_F32), tv_one_hot(labels, 6, TV_F32));
  }
}

/* Creation puts its results on the current device. */
static void creation(intptr_t unused) {
  (void)unused;
  const tv_key key = tv_key_from_seed(3);
  tv_tensor *made[2][9];
  for (int k = 0; k < 2; k++) {
    tv_device_set(k ? far_device() : TV_CPU);
    made[k][0] = tv_zeros(TV_F16, TV_SHAPE(2, 3));
    made[k][1] = tv_full(TV_C64, TV_SHAPE(2), tv_scalar_complex(1, -2));
    made[k][2] = tv_arange(TV_F32, 0, 1, .1);
    made[k][3] = tv_linspace(TV_F64, 0, 1, 7);
    made[k][4] = tv_eye(TV_I8, 3, 4, 1);
    made[k][5] = tv_random_uniform(key, TV_F32, TV_SHAPE(100));
    made[k][6] = tv_random_normal(key, TV_F64, TV_SHAPE(101));
    made[k][7] = tv_random_permutation(key, 50);
    made[k][8] = tv_npy_load(TV_DATA "/cancer_features.npy", NULL);
  }
  tv_device_set(TV_CPU);
  for (int k = 0; k < 9; k++) same("creation", made[1][k], made[0][k]);
}

static void variables_and_training(intptr_t unused) {
  (void)unused;
  tv_tensor *trained[2];
  for (int k = 0; k < 2; k++) {
    tv_device_set(k ? far_device() : TV_CPU);
    tv_variable_options o = TV_VARIABLE_OPTIONS;
    o.constraint = (tv_constraint)TV_CLIP(-.5, .5, TV_ON_EVERY_WRITE);
    tv_variable *const v =
        tv_variable_new(tv_random_normal(tv_key_from_seed(1), TV_F32, TV_SHAPE(5, 3)), &o);
    tv_optimizer *const adam = tv_adam_new(NULL);
    tv_tensor *const x = tv_random_uniform(tv_key_from_seed(2), TV_F32, TV_SHAPE(8, 5));
    OK(tv_variable_assign_slice(v, "1:3, ::-1",
                                tv_slice(tv_read(v), "0:2"))); /* overlapping views */
    OK(tv_variable_assign_where(v, tv_less(tv_read(v), tv_scalar(-.4)), tv_scalar(0)));
    for (int step = 0; step < 5; step++) {
      tv_tensor *g;
      tv_tape *const tape = tv_tape_begin(NULL);
      tv_tensor *const loss = tv_mean(tv_square(tv_tanh(tv_matmul(x, tv_read(v)))), TV_ALL_AXES);
      OK(tv_tape_gradient(tape, loss, 1, &v, &g));
      OK(tv_tape_end(tape));
      OK(tv_clip_by_global_norm(1, &g, .01, &g, NULL));
      OK(tv_optimizer_step(adam, 1, &v, &g));
      OK(tv_variable_assign_sub(v, tv_scalar(.001)));
    }
    void *data;
    OK(tv_variable_map(v, true, &data)); /* host memory, also of a far Variable */
    ((float *)data)[0] = .25f;
    OK(tv_variable_unmap(v));
    EQUAL(tv_variable_device(v), tv_device_current());
    trained[k] = tv_read(v);
    tv_optimizer_release(adam);
    tv_variable_release(v);
  }
  tv_device_set(TV_CPU);
  same("training", trained[1], trained[0]);
}

static void devices_do_not_mix(intptr_t unused) {
  (void)unused;
  tv_tensor *const x = tv_ones(TV_F32, TV_SHAPE(2)), *const y = far(x);
  FAILS(TV_EDEVICE, "add: a is on cpu, b on far:0", tv_add(x, y));
  CHECK(tv_matmul(x, y) == NULL && tv_error() == TV_EDEVICE);
  tv_error_clear();
  CHECK(!tv_tensor_data(y));
  SAME_TEXT(tv_error_text(), "tensor_data: x is on far:0: use tv_tensor_copy_out or tv_to");
  tv_error_clear();
  tv_variable *const v = tv_variable_new(x, NULL);
  FAILS_STATUS(TV_EDEVICE, "variable_assign: Variable 'Variable' is on cpu, the value on far:0",
               tv_variable_assign(v, y));
  tv_variable_release(v);
  HOLDS(tv_add(y, tv_scalar(1)), 2, 2); /* weak scalars are at home everywhere */
  double one = 0;
  OK(tv_item_f64(tv_slice(y, "0"), &one));
  CHECK(one == 1);
}

static void prints_and_saves(intptr_t unused) {
  (void)unused;
  char text[100];
  tv_tensor *const x = tv_reshape(tv_arange(TV_F32, 0, 6, 1), TV_SHAPE(2, 3));
  CHECK(tv_format(tv_matrix_transpose(far(x)), TV_STR, text, sizeof text) > 0);
  SAME_TEXT(text, "[[0. 3.]\n [1. 4.]\n [2. 5.]]");
  OK(tv_npy_save("far.npy", tv_flip(far(x), TV_AXES(0)), NULL));
  SAME(tv_npy_load("far.npy", NULL), tv_flip(x, TV_AXES(0)));
  remove("far.npy");
}

static void registration_refuses(intptr_t unused) {
  (void)unused;
  tv_device device = -7;
  tv_backend b = *far_backend();
  b.abi = 99;
  FAILS_STATUS(TV_EDEVICE, "device_register: backend has ABI 99, this library 2",
               tv_device_register(&b, NULL, "other", &device));
  b = *far_backend();
  b.size = 16;
  EQUAL(tv_device_register(&b, NULL, "other", &device), TV_EDEVICE);
  tv_error_clear();
  b = *far_backend();
  b.copy_in = NULL;
  FAILS_STATUS(TV_EDEVICE, "device_register: a slot for memory is empty",
               tv_device_register(&b, NULL, "other", &device));
  far_device();
  FAILS_STATUS(TV_EDEVICE, "device_register: far:0 is there already",
               tv_device_register(far_backend(), NULL, "far:0", &device));
  FAILS_STATUS(TV_EDEVICE, "device_register: a name is 1 to 31 letters, digits and ':'",
               tv_device_register(far_backend(), NULL, "a b", &device));
  FAILS_STATUS(TV_EVALUE, "device_register: backend is NULL",
               tv_device_register(NULL, NULL, "x", &device));
  EQUAL(device, -7);
}

/* A backend that knows less says so for each op; nothing goes to another device. */
static void empty_slots_are_unsupported(intptr_t unused) {
  (void)unused;
  static tv_device device = TV_DEVICE_NONE;
  tv_backend b = *far_backend();
  b.size = offsetof(tv_backend, sequence); /* what comes later is not there */
  b.elementwise = NULL;
  if (device == TV_DEVICE_NONE) OK(tv_device_register(&b, NULL, "poor", &device));
  tv_tensor *const x = tv_to(tv_ones(TV_F32, TV_SHAPE(2)), device);
  FAILS(TV_EUNSUPPORTED, "exp: device poor cannot do this for float32", tv_exp(x));
  FAILS(TV_EUNSUPPORTED, "sum: device poor cannot do this for float32", tv_sum(x, TV_ALL_AXES));
  FAILS(TV_EUNSUPPORTED, "matmul: device poor cannot do this for float32", tv_matmul(x, x));
}

static void jobs_ran_there(intptr_t unused) {
  (void)unused;
  const int64_t before = far_jobs();
  tv_exp(far(tv_ones(TV_F32, TV_SHAPE(2))));
  EQUAL(far_jobs(), before + 1);
}

int main(int argc, char **argv) {
  static const check_case all[] = {
#undef TEST
#define EACH(name, ...) ROW(#name, row, TVI_OP_##name),
#include "ops.def"
      ROW("casts", casts, 0),
      ROW("hand_written_ops", hand_written_ops, 0),
      ROW("creation", creation, 0),
      ROW("variables_and_training", variables_and_training, 0),
      ROW("devices_do_not_mix", devices_do_not_mix, 0),
      ROW("prints_and_saves", prints_and_saves, 0),
      ROW("registration_refuses", registration_refuses, 0),
      ROW("empty_slots_are_unsupported", empty_slots_are_unsupported, 0),
      ROW("jobs_ran_there", jobs_ran_there, 0),
  };
  return check_main("backend", (int)(sizeof all / sizeof *all), all, argc, argv);
}
