/* SPDX-License-Identifier: MIT
 * Saving .npy files: every layout, any failure. The bytes are compared with NumPy's in
 * tests/conformance/test_npy.py. */
#include "far.h"
#include "faults.h"
#include "memory.h"
#include "npy_bytes.h"

static const int16_t elements[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                   12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

/* A view of `elements` from position `at`. */
static tv_tensor *view(int at, const int64_t *steps, int rank, const int64_t *shape) {
  const tv_memory_options borrow = {sizeof borrow, true,           steps, NULL,
                                    NULL,          TV_DEVICE_NONE, NULL,  TV_GUARD_NONE};
  return tv_tensor_from_memory(elements + at, TV_I16, rank, shape, &borrow);
}

static tv_tensor *saved(tv_tensor *x) {
  OK(tv_npy_save("x.npy", x, NULL));
  EQUAL(folder_files(), 1);
  return tv_npy_load("x.npy", NULL);
}

static bool is_fortran(void) {
  tv_npy_layout layout = TV_NPY_LAYOUT;
  OK(tv_npy_info("x.npy", NULL, &layout));
  EQUAL(layout.offset % 64, 0);
  return layout.is_fortran;
}

TEST(every_layout_is_saved_in_its_order) {
  folder_enter();
  tv_tensor *x = view(0, NULL, TV_SHAPE(2, 3));
  SAME(saved(x), x);
  CHECK(!is_fortran());
  x = view(0, (const int64_t[]){2, 4}, TV_SHAPE(2, 3));
  SAME(saved(x), x);
  CHECK(is_fortran());
  x = view(23, (const int64_t[]){-12, -2}, TV_SHAPE(4, 6)); /* backwards */
  SAME(saved(x), x);
  CHECK(!is_fortran());
  x = view(1, (const int64_t[]){0, 4, 0}, TV_SHAPE(3, 5, 2)); /* broadcast */
  SAME(saved(x), x);
  x = view(0, (const int64_t[]){2, 24, 4},
           TV_SHAPE(2, 1, 3)); /* an axis of size 1 may step anywhere */
  SAME(saved(x), x);
  CHECK(is_fortran());
  x = view(5, NULL, TV_SCALAR_SHAPE);
  SAME(saved(x), x);
  x = view(0, NULL, TV_SHAPE(3, 0, 2));
  SAME(saved(x), x);
  CHECK(!is_fortran());
  HOLDS(saved(tv_scalar(7)), 7); /* a weak scalar becomes one */
  folder_leave();
}

TEST(strided_arrays_larger_than_the_buffer_are_streamed) {
  folder_enter();
  tv_tensor *x = tv_permute_dims(
      tv_reshape(tv_arange_int(TV_I64, 0, 200000, 1), TV_SHAPE(10, 40, 500)), TV_AXES(1, 0, 2));
  tv_memory_stats before, after;
  OK(tv_device_memory(TV_CPU, &before));
  OK(tv_npy_save("x.npy", x, NULL));
  OK(tv_device_memory(TV_CPU, &after));
  EQUAL(after.reserved, before.reserved); /* no second array */
  SAME(tv_npy_load("x.npy", NULL), x);
  folder_leave();
}

TEST(tensors_of_another_device_are_fetched_in_pieces) {
  folder_enter();
  tv_tensor *x = tv_reshape(tv_arange_int(TV_I64, 0, 200000, 1), TV_SHAPE(400, 500));
  SAME(saved(tv_to(x, far_device())), x);
  tv_tensor *turned = tv_matrix_transpose(tv_to(x, far_device()));
  SAME(saved(turned), tv_to(turned, TV_CPU));
  x = tv_zeros(TV_F32, TV_SHAPE(0, 3));
  SAME(saved(tv_to(x, far_device())), x);
  tv_tensor *far = tv_to(tv_ones(TV_F32, TV_SHAPE(3)), far_device());
  int64_t n = 0;
  for (tv_status status = TV_ENOMEM; status; tv_error_clear()) {
    tvi_memory_fail(++n, false);
    status = tv_npy_save("x.npy", far, NULL);
    tvi_memory_fail(0, false);
    EQUAL(folder_files(), 1);
  }
  CHECK(n > 3);
  HOLDS(tv_npy_load("x.npy", NULL), 1, 1, 1);
  folder_leave();
}

TEST(scratch_files_are_not_synced) {
  folder_enter();
  tv_npy_save_options scratch = TV_NPY_SAVE_OPTIONS;
  scratch.durable = false;
  faults_begin(1, 0);
  faults.at = -1;
  OK(tv_npy_save("x.npy", view(0, NULL, TV_SHAPE(3)), NULL));
  const int64_t durable = faults.calls;
  faults.calls = 0;
  OK(tv_npy_save("x.npy", view(0, NULL, TV_SHAPE(3)), &scratch));
  EQUAL(faults.calls, durable - 4 + 2); /* no fsync, no directory opened, synced, closed; but the
                                           old file's rights are asked for and given on */
  faults_end();
  HOLDS(tv_npy_load("x.npy", NULL), 0, 1, 2);
  folder_leave();
}

TEST(any_call_may_fail_and_the_file_is_old_or_new) {
  static const int errors[] = {ENOSPC, EIO, EINTR, FAULT_SHORT};
  folder_enter();
  tv_tensor *old = view(0, NULL, TV_SHAPE(3)), *plain = view(3, NULL, TV_SHAPE(4));
  tv_tensor *odd = view(3, (const int64_t[]){4}, TV_SHAPE(4));
  for (size_t i = 0; i < 2 * sizeof errors / sizeof *errors; i++) {
    tv_tensor *fresh = i % 2 ? odd : plain;
    int64_t n = 1;
    for (; OK(tv_npy_save("x.npy", old, NULL)), faults_begin(n, errors[i / 2]); n++) {
      const int descriptors = open_descriptors();
      const tv_status status = tv_npy_save("x.npy", fresh, NULL);
      faults_end();
      EQUAL(open_descriptors(), descriptors);
      EQUAL(folder_files(), 1);
      const bool is_in_place = !status || strstr(tv_error_text(), "is in place, but");
      CHECK(!status || status == TV_EIO);
      tv_error_clear();
      SAME(tv_npy_load("x.npy", NULL), is_in_place ? fresh : old);
    }
    CHECK(n > 12);
  }
  folder_leave();
}

TEST(any_allocation_may_fail) {
  folder_enter();
  tv_tensor *old = view(0, NULL, TV_SHAPE(3)), *odd = view(3, (const int64_t[]){4}, TV_SHAPE(4));
  OK(tv_npy_save("x.npy", old, NULL));
  int64_t n = 0;
  for (tv_status status = TV_ENOMEM; status; tv_error_clear()) {
    const int64_t live = tv_live_handles();
    tvi_memory_fail(++n, false);
    status = tv_npy_save("x.npy", odd, NULL);
    tvi_memory_fail(0, false);
    EQUAL(tv_live_handles(), live);
    const bool is_in_place = !status || strstr(tv_error_text(), "is in place, but");
    tv_error_clear();
    SAME(tv_npy_load("x.npy", NULL), is_in_place ? odd : old);
    EQUAL(folder_files(), 1);
  }
  CHECK(n > 4);
  folder_leave();
}

TEST(full_disks_are_told) {
  FAILS_STATUS(TV_EIO, "npy_save: /dev/full: cannot write: No space left on device",
               tv_npy_save("/dev/full", view(0, NULL, TV_SHAPE(3)), NULL));
}

TEST(orders_may_be_asked_for) {
  tv_tensor *const x = OK(tv_reshape(tv_arange(TV_I16, 0, 24, 1), TV_SHAPE(2, 3, 4)));
  for (int device = 0; device < 2; device++) {
    tv_tensor *const y = device ? tv_to(x, far_device()) : x;
    for (int order = TV_NPY_ORDER_KEEP; order <= TV_NPY_ORDER_FORTRAN; order++) {
      for (int big = 0; big < 2; big++) {
        npy_bytes file = npy_bytes_saved(y, (tv_npy_order)order, big);
        tv_npy_options o = TV_NPY_OPTIONS;
        tv_npy_layout layout = TV_NPY_LAYOUT;
        o.layout = &layout;
        SAME(tv_npy_read_memory(file.bytes, file.n, &o), x);
        EQUAL(layout.is_fortran, order == TV_NPY_ORDER_FORTRAN);
        EQUAL(layout.is_big_endian, big);
        if (order == TV_NPY_ORDER_FORTRAN) EQUAL(file.bytes[128 + 2 + big], 12); /* x[1, 0, 0] */
        free(file.bytes);
      }
    }
  }
}

TEST(descriptors_and_callbacks_get_the_same_bytes) {
  tv_tensor *const x = OK(tv_reshape(tv_arange(TV_I16, 0, 24, 1), TV_SHAPE(2, 3, 4)));
  npy_bytes file = npy_bytes_saved(x, TV_NPY_ORDER_KEEP, false);
  folder_enter();
  OK(tv_npy_save("x.npy", x, NULL));
  CHECK(file_is("x.npy", file.bytes, (size_t)file.n));
  const int fd = open("two.npy", O_RDWR | O_CREAT, 0600);
  OK(tv_npy_write_fd(fd, "two.npy", x, NULL));
  OK(tv_npy_write_fd(fd, "two.npy", tv_slice(x, "1"), NULL));
  CHECK(lseek(fd, 0, SEEK_SET) == 0);
  SAME(tv_npy_read_fd(fd, "two.npy", NULL), x);
  SAME(tv_npy_read_fd(fd, "two.npy", NULL), tv_slice(x, "1"));
  close(fd);
  folder_leave();
  free(file.bytes);
}

typedef struct watch {
  int calls, stop_at;
  int64_t done, total;
} watch;

static bool note(void *user, int64_t done, int64_t total) {
  watch *const w = user;
  w->done = done;
  w->total = total;
  return ++w->calls != w->stop_at;
}

TEST(progress_is_told_and_may_stop_it) {
  const int64_t n = 3 << 20;
  tv_tensor *const x = OK(tv_zeros(TV_F32, TV_SHAPE(n)));
  tv_tensor *const parts[] = {
      x, tv_reshape(tv_to(x, far_device()), TV_SHAPE(1024, -1)),
      tv_permute_dims(tv_reshape(x, TV_SHAPE(1024, 3, -1)), TV_AXES(1, 0, 2))};
  folder_enter();
  OK(tv_npy_save("x.npy", tv_ones(TV_F32, TV_SHAPE(2)), NULL));
  for (int i = 0; i < 3; i++) {
    watch w = {0, 2, 0, 0};
    tv_npy_save_options o = TV_NPY_SAVE_OPTIONS;
    o.progress = note;
    o.progress_user = &w;
    FAILS_STATUS(TV_ECANCELED,
                 "npy_save: x.npy: stopped by the caller after 4194304 of 12582912 bytes",
                 tv_npy_save("x.npy", parts[i], &o));
    HOLDS(tv_npy_load("x.npy", NULL), 1, 1);
    EQUAL(folder_files(), 1);
    w = (watch){0, 0, 0, 0};
    OK(tv_npy_save("y.npy", parts[i], &o));
    EQUAL(w.calls, 4);
    EQUAL(w.done, 4 * n);
    EQUAL(w.total, 4 * n);
    unlink("y.npy");
  }
  folder_leave();
}

TEST(arguments_without_meaning_are_refused) {
  tv_npy_save_options o = TV_NPY_SAVE_OPTIONS;
  o.size = 0;
  FAILS_STATUS(TV_EVALUE, "npy_save: path is NULL", tv_npy_save(NULL, tv_scalar(1), NULL));
  FAILS_STATUS(TV_EVALUE, "npy_save: x is NULL", tv_npy_save("x", NULL, NULL));
  EQUAL(tv_npy_save("x", tv_scalar(1), &o), TV_EVALUE);
  tv_error_clear();
  FAILS_STATUS(TV_EVALUE, "npy_write_fd: name is NULL",
               tv_npy_write_fd(1, NULL, tv_scalar(1), NULL));
  FAILS_STATUS(TV_EVALUE, "npy_write_fd: fd is -1", tv_npy_write_fd(-1, "x", tv_scalar(1), NULL));
  FAILS_STATUS(TV_EVALUE, "npy_write_callback: write is NULL",
               tv_npy_write_callback(NULL, NULL, "x", tv_scalar(1), NULL));
  FAILS_STATUS(TV_EVALUE, "npy_write_callback: x is NULL",
               tv_npy_write_callback(npy_bytes_write, NULL, "x", NULL, NULL));
  o = (tv_npy_save_options)TV_NPY_SAVE_OPTIONS;
  o.order = (tv_npy_order)3;
  FAILS_STATUS(TV_EVALUE, "npy_save: order is 3, which is none",
               tv_npy_save("x", tv_scalar(1), &o));
  o = (tv_npy_save_options)TV_NPY_SAVE_OPTIONS;
  o.big_endian = true;
  FAILS_STATUS(TV_EDTYPE, "npy_save: bfloat16 is V2 in the file, which has no byte order",
               tv_npy_save("x", tv_ones(TV_BF16, TV_SHAPE(1)), &o));
}

TEST_MAIN("npy_write", CASE(every_layout_is_saved_in_its_order),
          CASE(tensors_of_another_device_are_fetched_in_pieces),
          CASE(strided_arrays_larger_than_the_buffer_are_streamed),
          CASE(scratch_files_are_not_synced), CASE(any_call_may_fail_and_the_file_is_old_or_new),
          CASE(any_allocation_may_fail), CASE(full_disks_are_told), CASE(orders_may_be_asked_for),
          CASE(descriptors_and_callbacks_get_the_same_bytes),
          CASE(progress_is_told_and_may_stop_it), CASE(arguments_without_meaning_are_refused))
