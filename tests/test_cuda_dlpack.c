/* SPDX-License-Identifier: MIT
 * DLPack on a CUDA device: who lends is told apart by type and id, what is lent is there, or behind
 * a stream, and its deleter waits for the work that is queued on it. */
#include "cuda_device.h"
#include "io/dlpack.h"

enum { N = 3000 };

static double last_of(tv_tensor *x) {
  double value = -1;
  OK(tv_item_f64(tv_slice(x, "-1"), &value));
  return value;
}

TEST(a_gpus_tensor_is_lent_where_it_is) {
  OK(tv_device_set(cuda()));
  tv_tensor *const x = tv_arange(TV_F32, 0, N, 1);
  DLManagedTensorVersioned *m = tv_dlpack_new(x, NULL);
  CHECK(m && m->dl_tensor.device.device_type == TVI_DL_CUDA && m->dl_tensor.device.device_id == 0);
  CHECK(m->flags == TVI_DL_READ_ONLY);
  void *const data = m->dl_tensor.data;
  bool is_shared = false;
  tv_dlpack_import_options o = TV_DLPACK_IMPORT_OPTIONS;
  o.is_shared = &is_shared;
  tv_tensor *const y = tv_tensor_from_dlpack(m, &o);
  EQUAL(tv_tensor_device(y), cuda());
  CHECK(is_shared && last_of(tv_add(y, x)) == 2 * (N - 1));
  m = tv_dlpack_new(tv_slice(y, "::-1"), NULL);
  CHECK(m && m->dl_tensor.data == (char *)data + 4 * (N - 1) && m->dl_tensor.strides[0] == -1);
  o.copy = true;
  tv_tensor *const copy = tv_tensor_from_dlpack(m, &o);
  CHECK(!is_shared && last_of(copy) == 0 && tv_tensor_is_contiguous(copy));
  DLManagedTensor *const old = tv_dlpack_new_legacy(x, NULL);
  CHECK(old && old->dl_tensor.data != data);
  CHECK(last_of(tv_tensor_from_dlpack_legacy(old, NULL)) == N - 1);
  OK(tv_device_set(TV_CPU));
}

/* Memory that CUDA manages is the device's; what it pinned is the host's. */
TEST(managed_and_pinned_memory_have_their_places) {
  OK(tv_device_set(cuda()));
  DLManagedTensorVersioned *m = tv_dlpack_new(tv_arange(TV_F32, 0, N, 1), NULL);
  m->dl_tensor.device.device_type = TVI_DL_CUDA_MANAGED;
  tv_tensor *const managed = tv_tensor_from_dlpack(m, NULL);
  EQUAL(tv_tensor_device(managed), cuda());
  CHECK(last_of(managed) == N - 1);
  OK(tv_device_set(TV_CPU));
  float *const pinned = tv_pinned_new(cuda(), 12);
  CHECK(pinned);
  pinned[0] = pinned[1] = pinned[2] = 7;
  int64_t shape[] = {3};
  DLManagedTensorVersioned host = {.version = {1, 1},
                                   .dl_tensor = {.data = pinned,
                                                 .device = {TVI_DL_CUDA_HOST, 0},
                                                 .ndim = 1,
                                                 .dtype = tvi_dlpack_type(TV_F32),
                                                 .shape = shape}};
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  tv_tensor *const x = tv_tensor_from_dlpack(&host, NULL);
  EQUAL(tv_tensor_device(x), TV_CPU);
  HOLDS(x, 7, 7, 7);
  HOLDS(tv_to(tv_to(x, cuda()), TV_CPU), 7, 7, 7);
  OK(tv_scope_end(&scope, NULL));
  tv_pinned_release(cuda(), pinned);
}

/* On the driver that needs no GPU streams run only when they are waited for: what is lent without a
 * stream is there when the call returns, so nothing is left to be done. */
TEST(what_is_lent_is_there_or_behind_a_stream) {
  OK(tv_device_set(cuda()));
  tv_stream *const side = tv_stream_new(cuda()), *const theirs = tv_stream_new(cuda());
  tv_event *const done = tv_event_new(cuda());
  bool is_done = false;
  OK(tv_stream_set(side));
  tv_tensor *const x = tv_full(TV_F32, TV_SHAPE(N), tv_scalar(3));
  OK(tv_event_record(done));
  DLManagedTensorVersioned *m = tv_dlpack_new(x, NULL);
  OK(tv_event_query(done, &is_done));
  CHECK(m && is_done);
  m->deleter(m);
  /* Behind a stream: an import there, on it, needs no other order. */
  tv_tensor *const y = tv_add(x, x);
  tv_dlpack_export_options out = TV_DLPACK_EXPORT_OPTIONS;
  out.stream = theirs;
  m = tv_dlpack_new(y, &out);
  CHECK(m);
  OK(tv_stream_set(theirs));
  tv_dlpack_import_options in = TV_DLPACK_IMPORT_OPTIONS;
  in.stream = theirs;
  tv_tensor *const z = tv_multiply(tv_tensor_from_dlpack(m, &in), x);
  CHECK(last_of(z) == 18);
  OK(tv_stream_set(NULL));
  OK(tv_device_set(TV_CPU));
  out.stream = theirs;
  FAILS(TV_EDEVICE, "dlpack_new: the stream is of cuda:0, x is on cpu",
        tv_dlpack_new(tv_ones(TV_F32, TV_SHAPE(2)), &out));
  tv_event_release(done);
  tv_stream_release(side);
  tv_stream_release(theirs);
}

/* A lender that spoils its bytes when they are given back: whoever reads them later sees it. */
static struct {
  DLManagedTensorVersioned *real;
  tv_event *queued;
  int deleted;
  bool was_done;
} lender;
static void spoil(DLManagedTensorVersioned *managed) {
  OK(tv_event_query(lender.queued, &lender.was_done));
  lender.real->deleter(lender.real);
  lender.deleted++;
  (void)managed;
}

TEST(the_deleter_waits_for_what_is_queued) {
  OK(tv_device_set(cuda()));
  tv_stream *const side = tv_stream_new(cuda());
  lender.queued = tv_event_new(cuda());
  lender.real = tv_dlpack_new(tv_arange(TV_F32, 0, N, 1), NULL);
  CHECK(lender.real);
  DLManagedTensorVersioned wrapped = *lender.real;
  wrapped.deleter = spoil;
  tv_tensor *y = NULL;
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  tv_tensor *const x = tv_tensor_from_dlpack(&wrapped, NULL);
  OK(tv_stream_set(side));
  y = tv_add(x, tv_scalar(1));
  OK(tv_event_record(lender.queued));
  OK(tv_stream_set(NULL));
  OK(tv_scope_end(&scope, &y));
  EQUAL(lender.deleted, 1);
  CHECK(lender.was_done);
  CHECK(last_of(y) == N);
  OK(tv_device_set(TV_CPU));
  tv_event_release(lender.queued);
  tv_stream_release(side);
}

TEST(devices_that_are_not_there_are_refused) {
  OK(tv_device_set(cuda()));
  tv_tensor *const x = tv_arange(TV_F32, 0, N, 1);
  DLManagedTensorVersioned *m = tv_dlpack_new(x, NULL);
  m->dl_tensor.device.device_id = 63;
  CHECK(!tv_tensor_from_dlpack(m, NULL));
  EQUAL(tv_error(), TV_EDEVICE);
  CHECK(strstr(tv_error_text(), "cuda:63"));
  tv_error_clear();
  tv_dlpack_import_options o = TV_DLPACK_IMPORT_OPTIONS;
  o.guard = TV_GUARD_FULL;
  m = tv_dlpack_new(x, NULL);
  CHECK(!tv_tensor_from_dlpack(m, &o));
  CHECK(tv_error() == TV_EVALUE || tv_error() == TV_EUNSUPPORTED);
  tv_error_clear();
  OK(tv_device_set(TV_CPU));
}

TEST_MAIN("cuda_dlpack", CASE(a_gpus_tensor_is_lent_where_it_is),
          CASE(managed_and_pinned_memory_have_their_places),
          CASE(what_is_lent_is_there_or_behind_a_stream),
          CASE(the_deleter_waits_for_what_is_queued), CASE(devices_that_are_not_there_are_refused))
