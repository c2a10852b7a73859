/* SPDX-License-Identifier: MIT
 * Lending by DLPack: what the structs say, whose the bytes are, and how long. Real consumers are in
 * tests/conformance/test_dlpack.py. */
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "far.h"
#include "io/dlpack.h"
#include "memory.h"

static const tv_dlpack_export_options a_copy = {sizeof a_copy, true, NULL};

static bool is_list(const int64_t *got, int n, const int64_t *want) {
  return !memcmp(got, want, (size_t)n * sizeof *got);
}

TEST(a_tensor_is_lent_to_be_read) {
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  tv_tensor *const x = tv_reshape(tv_arange(TV_F32, 0, 6, 1), TV_SHAPE(2, 3));
  DLManagedTensorVersioned *const m = tv_dlpack_new(x, NULL);
  CHECK(m && m->dl_tensor.data == tv_tensor_data(x));
  const DLTensor *const t = &m->dl_tensor;
  OK(tv_scope_end(&scope, NULL));
  CHECK(m->version.major == 1 && m->version.minor == 1 && m->flags == TVI_DL_READ_ONLY);
  CHECK(t->device.device_type == TVI_DL_CPU && t->device.device_id == 0 && t->byte_offset == 0);
  CHECK(t->dtype.code == TVI_DL_FLOAT && t->dtype.bits == 32 && t->dtype.lanes == 1);
  CHECK(t->ndim == 2 && is_list(t->shape, 2, (int64_t[]){2, 3}));
  CHECK(is_list(t->strides, 2, (int64_t[]){3, 1}));
  CHECK(((const float *)t->data)[5] == 5);
  m->deleter(m);
}

TEST(a_copy_is_the_consumers) {
  tv_tensor *const x = tv_matrix_transpose(tv_reshape(tv_arange(TV_F32, 0, 6, 1), TV_SHAPE(2, 3)));
  DLManagedTensorVersioned *const m = tv_dlpack_new(x, &a_copy);
  DLManagedTensor *const old = tv_dlpack_new_legacy(x, NULL);
  CHECK(m && m->flags == TVI_DL_IS_COPIED && old);
  CHECK(is_list(m->dl_tensor.strides, 2, (int64_t[]){2, 1}));
  CHECK(is_list(old->dl_tensor.shape, 4, (int64_t[]){3, 2, 2, 1})); /* strides lie behind */
  float *const mine = m->dl_tensor.data, *const theirs = old->dl_tensor.data;
  CHECK(mine[1] == 3 && theirs[1] == 3);
  memset(mine, 0, 24);
  memset(theirs, 0, 24);
  HOLDS(x, 0, 3, 1, 4, 2, 5);
  m->deleter(m);
  old->deleter(old);
}

TEST(every_layout_is_lent_as_it_lies) {
  static const struct {
    const char *slice;
    int64_t first, strides[3];
  } views[] = {{"::-1", 18, {-6, 3, 1}},
               {":, 1:2, ::2", 3, {6, 2, 2}}, /* an axis of size 1 as in C order */
               {"..., 1:1", -1, {3, 1, 1}},
               {"1:3, ::-1, 2:", 11, {6, -3, 1}}};
  tv_tensor *const x = tv_reshape(tv_arange_int(TV_I16, 0, 24, 1), TV_SHAPE(4, 2, 3));
  for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
    tv_tensor *const view = tv_slice(x, views[i].slice);
    DLManagedTensorVersioned *const m = tv_dlpack_new(view, NULL);
    CHECK(m && m->flags == TVI_DL_READ_ONLY);
    CHECK(is_list(m->dl_tensor.shape, 3, tv_tensor_shape(view)));
    if (views[i].first < 0) {
      CHECK(!m->dl_tensor.data);
    } else {
      CHECK((const char *)m->dl_tensor.data ==
            (const char *)tv_tensor_data(x) + 2 * views[i].first);
    }
    for (int k = 0; k < 3; k++)
      if (views[i].first >= 0 && m->dl_tensor.shape[k] > 1)
        EQUAL(m->dl_tensor.strides[k], views[i].strides[k]);
    m->deleter(m);
  }
  DLManagedTensorVersioned *m = tv_dlpack_new(tv_broadcast_to(x, TV_SHAPE(2, 4, 2, 3)), NULL);
  CHECK(m && is_list(m->dl_tensor.strides, 4, (int64_t[]){0, 6, 3, 1}));
  m->deleter(m);
  m = tv_dlpack_new(tv_slice(x, "1, 1, 1"), NULL);
  CHECK(m && m->dl_tensor.ndim == 0 && *(const int16_t *)m->dl_tensor.data == 10);
  m->deleter(m);
}

TEST(weak_scalars_and_deferred_results_are_lent) {
  DLManagedTensorVersioned *m = tv_dlpack_new(tv_scalar(2.5), NULL);
  CHECK(m && m->flags == TVI_DL_IS_COPIED && m->dl_tensor.ndim == 0);
  CHECK(m->dl_tensor.dtype.bits == 64 && *(const double *)m->dl_tensor.data == 2.5);
  m->deleter(m);
  tv_tensor *const x = tv_arange(TV_F64, 0, 100000, 1);
  m = tv_dlpack_new(tv_multiply(tv_add(x, tv_scalar(1)), tv_scalar(2)), NULL);
  CHECK(m && ((const double *)m->dl_tensor.data)[9] == 20);
  m->deleter(m);
}

/* Elements of 16 bytes, 24 bytes apart: no whole number of elements. */
TEST(steps_that_are_no_whole_elements_are_copied) {
  static const double bytes[] = {1, 2, 0, 3, 4, 0, 5, 6};
  tv_memory_options o = TV_MEMORY_OPTIONS;
  o.borrow = true;
  o.steps = (const int64_t[]){24};
  tv_tensor *const x = tv_tensor_from_memory(bytes, TV_C128, TV_SHAPE(3), &o);
  DLManagedTensorVersioned *const m = tv_dlpack_new(x, NULL);
  CHECK(m && m->flags == TVI_DL_IS_COPIED && m->dl_tensor.strides[0] == 1);
  const double *const lent = m->dl_tensor.data;
  CHECK(lent[0] == 1 && lent[2] == 3 && lent[5] == 6);
  m->deleter(m);
}

/* Writes go elsewhere while somebody else shows the bytes. */
TEST(what_is_lent_does_not_change) {
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  tv_variable *const v = tv_variable_new(tv_zeros(TV_F32, TV_SHAPE(3)), NULL);
  DLManagedTensorVersioned *const m = tv_dlpack_new(tv_read(v), NULL);
  OK(tv_scope_end(&scope, NULL));
  CHECK(m);
  OK(tv_variable_assign_add(v, tv_scalar(1)));
  OK(tv_variable_assign_slice(v, ":1", tv_scalar(5)));
  CHECK(((const float *)m->dl_tensor.data)[0] == 0 && ((const float *)m->dl_tensor.data)[2] == 0);
  m->deleter(m);
  HOLDS(tv_read(v), 5, 1, 1);
  tv_variable_release(v);
}

static void *delete_it(void *managed) {
  DLManagedTensorVersioned *const m = managed;
  m->deleter(m);
  return NULL;
}
TEST(any_thread_may_give_it_back) {
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  DLManagedTensorVersioned *const m = tv_dlpack_new(tv_ones(TV_F32, TV_SHAPE(1000)), NULL);
  OK(tv_scope_end(&scope, NULL));
  pthread_t thread;
  CHECK(m && !pthread_create(&thread, NULL, delete_it, m) && !pthread_join(thread, NULL));
}

TEST(devices_without_a_type_are_refused) {
  FAILS(TV_EUNSUPPORTED, "dlpack_new: device far:0 has no type in DLPack: use tv_to",
        tv_dlpack_new(tv_to(tv_ones(TV_F32, TV_SHAPE(2)), far_device()), NULL));
  FAILS(TV_EUNSUPPORTED, "dlpack_new_legacy: device far:0 has no type in DLPack: use tv_to",
        tv_dlpack_new_legacy(tv_to(tv_ones(TV_F32, TV_SHAPE(2)), far_device()), NULL));
}

TEST(arguments_without_meaning_are_refused) {
  tv_dlpack_export_options o = TV_DLPACK_EXPORT_OPTIONS;
  FAILS(TV_EVALUE, "dlpack_new: x is NULL", tv_dlpack_new(NULL, NULL));
  FAILS(TV_EVALUE, "dlpack_new_legacy: x is NULL", tv_dlpack_new_legacy(NULL, NULL));
  tv_stream *const far = tv_stream_new(far_device());
  o.stream = far;
  FAILS(TV_EDEVICE, "dlpack_new: the stream is of far:0, x is on cpu",
        tv_dlpack_new(tv_zeros(TV_F32, TV_SHAPE(1)), &o));
  tv_stream_release(far);
  o.size = 0;
  CHECK(!tv_dlpack_new(tv_scalar(1), &o) && tv_error() == TV_EVALUE);
  tv_error_clear();
}

TEST(a_borrow_that_changed_is_not_lent) {
  double bytes[] = {1, 2, 3};
  tv_memory_options o = TV_MEMORY_OPTIONS;
  o.borrow = true;
  o.guard = TV_GUARD_FULL;
  tv_tensor *const x = tv_tensor_from_memory(bytes, TV_F64, TV_SHAPE(3), &o);
  if (!x && tv_error() == TV_EUNSUPPORTED) {
    tv_error_clear();
    SKIP("this build is without xxHash");
  }
  bytes[1] = 5;
  static const char text[] =
      "dlpack_new: 'borrow' of 24 bytes was changed outside the library, first in bytes [0, 24): "
      "tell by tv_tensor_mark_mutated";
  FAILS(TV_EMUTATED, text, tv_dlpack_new(x, NULL));
  FAILS(TV_EMUTATED, text, tv_dlpack_new(x, &a_copy));
}

TEST(any_allocation_may_fail) {
  tv_tensor *const x = tv_slice(tv_arange(TV_F64, 0, 100, 1), "::2");
  for (int way = 0; way < 4; way++) {
    int n = 0;
    for (bool is_done = false; !is_done; tv_error_clear()) {
      const int64_t live = tv_live_handles();
      DLManagedTensorVersioned *m = NULL;
      DLManagedTensor *old = NULL;
      tvi_memory_fail(++n, false);
      if (way < 2) m = tv_dlpack_new(x, way ? &a_copy : NULL);
      if (way == 2) old = tv_dlpack_new_legacy(x, NULL);
      if (way == 3) m = tv_dlpack_new(tv_scalar(1), NULL);
      tvi_memory_fail(0, false);
      is_done = m || old;
      if (!is_done) EQUAL(tv_error(), TV_ENOMEM);
      if (m) m->deleter(m);
      if (old) old->deleter(old);
      if (way < 3) EQUAL(tv_live_handles(), live); /* else a weak scalar is there too */
    }
    CHECK(n > (way ? 2 : 1));
  }
}

TEST_MAIN("dlpack_export", CASE(a_tensor_is_lent_to_be_read), CASE(a_copy_is_the_consumers),
          CASE(every_layout_is_lent_as_it_lies), CASE(weak_scalars_and_deferred_results_are_lent),
          CASE(steps_that_are_no_whole_elements_are_copied), CASE(what_is_lent_does_not_change),
          CASE(any_thread_may_give_it_back), CASE(devices_without_a_type_are_refused),
          CASE(arguments_without_meaning_are_refused), CASE(a_borrow_that_changed_is_not_lent),
          CASE(any_allocation_may_fail))
