/* SPDX-License-Identifier: MIT
 * Borrowing by DLPack: from producers that free their bytes in the deleter, so that a look at them
 * too late is one at freed memory. Real producers are in tests/conformance/test_dlpack.py. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "far.h"
#include "io/dlpack.h"
#include "memory.h"

/* A producer's block: one of the structs, its sizes, its bytes. */
typedef struct producer {
  DLManagedTensorVersioned versioned;
  DLManagedTensor legacy;
  int64_t shape[66], strides[66];
  char *bytes; /* malloc's */
} producer;

static _Atomic int deleted;

static void free_producer(producer *p) {
  deleted++;
  free(p->bytes);
  free(p);
}
static void delete_versioned(DLManagedTensorVersioned *m) { free_producer(m->manager_ctx); }
static void delete_legacy(DLManagedTensor *m) { free_producer(m->manager_ctx); }

/* `n` bytes 0, 1, 2, ... of which a tensor begins at `offset`; strides NULL: none are given. */
static producer *produce(DLDataType type, size_t n, uint64_t offset, int rank, const int64_t *shape,
                         const int64_t *strides) {
  producer *const p = calloc(1, sizeof *p);
  CHECK(p && (p->bytes = malloc(n ? n : 1)));
  for (size_t i = 0; i < n; i++) p->bytes[i] = (char)i;
  for (int k = 0; k < rank && k < 66; k++) p->shape[k] = shape[k];
  for (int k = 0; k < rank && k < 66 && strides; k++) p->strides[k] = strides[k];
  p->legacy = (DLManagedTensor){.dl_tensor = {.data = p->bytes,
                                              .device = {TVI_DL_CPU, 0},
                                              .ndim = rank,
                                              .dtype = type,
                                              .shape = p->shape,
                                              .strides = strides ? p->strides : NULL,
                                              .byte_offset = offset},
                                .manager_ctx = p,
                                .deleter = delete_legacy};
  p->versioned = (DLManagedTensorVersioned){.version = {1, 1},
                                            .manager_ctx = p,
                                            .deleter = delete_versioned,
                                            .dl_tensor = p->legacy.dl_tensor};
  deleted = 0;
  return p;
}

static const DLDataType i16 = {TVI_DL_INT, 16, 1}, u8 = {TVI_DL_UINT, 8, 1},
                        f64 = {TVI_DL_FLOAT, 64, 1};

static tv_tensor *import(producer *p) { return tv_tensor_from_dlpack(&p->versioned, NULL); }
static tv_tensor *import_with(producer *p, const tv_dlpack_import_options *o) {
  return tv_tensor_from_dlpack(&p->versioned, o);
}

/* Sharing ------------------------------------------------------------------------------------- */

TEST(bytes_are_shared_and_deleted_after_the_last_view) {
  producer *const p = produce(u8, 12, 0, TV_SHAPE(3, 4), NULL);
  bool is_shared = false;
  tv_dlpack_import_options o = TV_DLPACK_IMPORT_OPTIONS;
  o.is_shared = &is_shared;
  o.require_share = true;
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  tv_tensor *const x = import_with(p, &o);
  SHAPE_IS(x, TV_SHAPE(3, 4));
  CHECK(is_shared);
  if (tv_tensor_device(x) == TV_CPU) CHECK(tv_tensor_data(x) == p->bytes);
  tv_tensor *const view = tv_retain(tv_slice(x, "1:, ::2"));
  OK(tv_scope_end(&scope, NULL));
  EQUAL(deleted, 0);
  HOLDS(view, 4, 6, 8, 10);
  tv_release(view);
  EQUAL(deleted, 1);
}

TEST(the_old_struct_is_shared_too) {
  producer *const p = produce(u8, 12, 2, TV_SHAPE(2, 3), NULL);
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  tv_tensor *const x = tv_tensor_from_dlpack_legacy(&p->legacy, NULL);
  HOLDS(x, 2, 3, 4, 5, 6, 7);
  EQUAL(deleted, 0);
  OK(tv_scope_end(&scope, NULL));
  EQUAL(deleted, 1);
}

TEST(a_deleter_need_not_be_there) {
  static uint8_t bytes[] = {1, 2, 3};
  int64_t shape[] = {3};
  DLManagedTensorVersioned m = {
      .version = {1, 0},
      .dl_tensor = {
          .data = bytes, .device = {TVI_DL_CPU, 0}, .ndim = 1, .dtype = u8, .shape = shape}};
  HOLDS(tv_tensor_from_dlpack(&m, NULL), 1, 2, 3);
  m.version = (DLPackVersion){2, 0};
  FAILS(TV_EUNSUPPORTED, "tensor_from_dlpack: found version 2.0, expected 1",
        tv_tensor_from_dlpack(&m, NULL));
  DLManagedTensor old = {.dl_tensor = m.dl_tensor};
  HOLDS(tv_tensor_from_dlpack_legacy(&old, NULL), 1, 2, 3);
}

TEST(every_type_has_its_dtype) {
  for (int k = 0; k < TV_DTYPE_COUNT; k++) {
    const tv_dtype dtype = (tv_dtype)k;
    static const int64_t shape[] = {2};
    const size_t item = (size_t)tv_dtype_size(dtype);
    producer *const p = produce(tvi_dlpack_type(dtype), 2 * item, 0, 1, shape, NULL);
    for (size_t i = 0; dtype == TV_BOOL && i < 2; i++) p->bytes[i] = (char)i;
    char wanted[32], found[32];
    memcpy(wanted, p->bytes, 2 * item);
    tv_tensor *const x = import(p);
    EQUAL(tv_tensor_dtype(x), dtype);
    OK(tv_tensor_copy_out(x, found, sizeof found));
    CHECK(!memcmp(found, wanted, 2 * item));
  }
  /* By number, from the text of DLPack. */
  EQUAL(tvi_dlpack_dtype((DLDataType){0, 32, 1}), TV_I32);
  EQUAL(tvi_dlpack_dtype((DLDataType){1, 64, 1}), TV_U64);
  EQUAL(tvi_dlpack_dtype((DLDataType){2, 16, 1}), TV_F16);
  EQUAL(tvi_dlpack_dtype((DLDataType){4, 16, 1}), TV_BF16);
  EQUAL(tvi_dlpack_dtype((DLDataType){5, 128, 1}), TV_C128);
  EQUAL(tvi_dlpack_dtype((DLDataType){6, 8, 1}), TV_BOOL);
}

TEST(every_layout_is_read_as_it_lies) {
  HOLDS(import(produce(u8, 12, 3, TV_SHAPE(2, 3), ((int64_t[]){1, 2}))), 3, 5, 7, 4, 6, 8);
  HOLDS(import(produce(u8, 12, 11, TV_SHAPE(2, 3), ((int64_t[]){-6, -1}))), 11, 10, 9, 5, 4, 3);
  HOLDS(import(produce(u8, 12, 5, TV_SHAPE(2, 2), ((int64_t[]){0, 3}))), 5, 8, 5, 8);
  /* Strides of an axis of size 1 mean nothing. */
  tv_tensor *const one =
      import(produce(u8, 12, 1, TV_SHAPE(1, 3, 1), ((int64_t[]){INT64_MAX, 1, INT64_MIN})));
  HOLDS(one, 1, 2, 3);
  CHECK(tv_tensor_is_contiguous(one));
  tv_tensor *const number = import(produce(u8, 12, 7, TV_SCALAR_SHAPE, NULL));
  HOLDS(number, 7);
  EQUAL(tv_tensor_rank(number), 0);
}

TEST(what_is_empty_is_not_shared) {
  bool is_shared = true;
  tv_dlpack_import_options o = TV_DLPACK_IMPORT_OPTIONS;
  o.is_shared = &is_shared;
  producer *p = produce(f64, 0, 5, TV_SHAPE(3, 0, 2), ((int64_t[]){INT64_MAX, INT64_MAX, 7}));
  free(p->bytes);
  p->versioned.dl_tensor.data = p->bytes = NULL;
  tv_tensor *const x = import_with(p, &o);
  SHAPE_IS(x, TV_SHAPE(3, 0, 2));
  EQUAL(deleted, 1);
  CHECK(!is_shared);
}

TEST(misaligned_elements_are_copied_or_refused) {
  bool is_shared = true;
  tv_dlpack_import_options o = TV_DLPACK_IMPORT_OPTIONS;
  o.is_shared = &is_shared;
  producer *p = produce(i16, 26, 1, TV_SHAPE(2, 3), ((int64_t[]){6, -1}));
  p->versioned.dl_tensor.byte_offset = 5; /* of i16 in little-endian: 5 + 256 * 6 and so on */
  p->versioned.flags = TVI_DL_READ_ONLY;
  const uint16_t one = 1;
  char little;
  memcpy(&little, &one, 1);
  tv_tensor *const x = import_with(p, &o);
  EQUAL(deleted, 1);
  CHECK(!is_shared);
  if (little) HOLDS(x, 1541, 1027, 513, 4625, 4111, 3597);
  o.require_share = true;
  p = produce(i16, 32, 3, TV_SHAPE(3), NULL);
  FAILS(TV_EUNSUPPORTED, "tensor_from_dlpack: elements of int16 are not at multiples of 2 bytes",
        import_with(p, &o));
  EQUAL(deleted, 1);
}

TEST(a_copy_lets_go_at_once) {
  bool is_shared = true;
  tv_dlpack_import_options o = TV_DLPACK_IMPORT_OPTIONS;
  o.is_shared = &is_shared;
  o.copy = true;
  tv_tensor *const x = import_with(produce(u8, 12, 11, TV_SHAPE(2, 3), ((int64_t[]){-6, -1})), &o);
  EQUAL(deleted, 1);
  CHECK(!is_shared && tv_tensor_is_contiguous(x));
  HOLDS(x, 11, 10, 9, 5, 4, 3);
}

/* Writing ---------------------------------------------------------------------------------------
 */

TEST(shared_bytes_are_never_written) {
  producer *const p = produce(u8, 4, 0, TV_SHAPE(4), NULL);
  tv_scope scope;
  OK(tv_scope_begin(&scope));
  tv_variable *const v = tv_variable_new(import(p), NULL);
  OK(tv_variable_assign_add(v, tv_scalar(1)));
  HOLDS(tv_read(v), 1, 2, 3, 4);
  CHECK(p->bytes[0] == 0 && p->bytes[3] == 3);
  OK(tv_scope_end(&scope, NULL));
  EQUAL(deleted, 1);
  tv_variable_release(v);
}

/* A copy that was made for us is ours to write. */
TEST(a_producers_copy_is_our_own) {
  for (int flags = 0; flags < 4; flags++) {
    producer *const p = produce(u8, 4, 0, TV_SHAPE(4), NULL);
    p->versioned.flags = (uint64_t)flags;
    const bool is_ours = flags == TVI_DL_IS_COPIED;
    tv_scope scope;
    OK(tv_scope_begin(&scope));
    tv_variable *const v = tv_variable_new(import(p), NULL);
    OK(tv_scope_end(&scope, NULL));
    EQUAL(deleted, !is_ours);
    OK(tv_variable_assign_add(v, tv_scalar(1)));
    if (is_ours) CHECK(p->bytes[0] == 1);
    HOLDS(tv_read(v), 1, 2, 3, 4);
    tv_variable_release(v);
  }
  /* Whatever way it lies. */
  producer *const p = produce(u8, 12, 11, TV_SHAPE(2, 3), ((int64_t[]){-6, -1}));
  p->versioned.flags = TVI_DL_IS_COPIED;
  tv_tensor *const x = import(p);
  HOLDS(tv_add(x, x), 22, 20, 18, 10, 8, 6);
}

TEST(a_stream_of_the_cpu_changes_nothing) {
  tv_stream *const near = tv_stream_new(TV_CPU);
  tv_dlpack_import_options in = TV_DLPACK_IMPORT_OPTIONS;
  tv_dlpack_export_options out = TV_DLPACK_EXPORT_OPTIONS;
  in.stream = out.stream = near;
  tv_tensor *const x = import_with(produce(u8, 3, 0, TV_SHAPE(3), NULL), &in);
  HOLDS(tv_tensor_from_dlpack(tv_dlpack_new(x, &out), &in), 0, 1, 2);
  tv_stream_release(near);
}

/* An op that reads borrowed bytes runs at the call. */
TEST(ops_read_the_bytes_of_the_call) {
  static const int64_t shape[] = {200000};
  producer *const p = produce(u8, 200000, 0, 1, shape, NULL);
  tv_tensor *const x = import(p), *const y = tv_add(tv_negative(x), tv_scalar(1));
  memset(p->bytes, 7, 200000);
  double second = 0;
  OK(tv_item_f64(tv_slice(y, "2"), &second));
  EQUAL(second, 255);
}

TEST(guards_tell_what_the_producer_changed) {
  tv_dlpack_import_options o = TV_DLPACK_IMPORT_OPTIONS;
  o.guard = TV_GUARD_FULL;
  o.name = "frame";
  producer *p = produce(u8, 12, 11, TV_SHAPE(2, 3), ((int64_t[]){-6, -1}));
  tv_tensor *const x = import_with(p, &o);
  if (!x && tv_error() == TV_EUNSUPPORTED) {
    tv_error_clear();
    EQUAL(deleted, 1);
    SKIP("this build is without xxHash");
  }
  HOLDS(tv_square(tv_astype(x, TV_I32)), 121, 100, 81, 25, 16, 9);
  p->bytes[6] = 100; /* not one of its elements */
  OK(tv_negative(x));
  p->bytes[4] = 100;
  FAILS(TV_EMUTATED,
        "negative: 'frame' of 6 bytes was changed outside the library, first in bytes [0, 6): tell "
        "by tv_tensor_mark_mutated",
        tv_negative(x));
  OK(tv_tensor_mark_mutated(x));
  HOLDS(x, 11, 10, 9, 5, 100, 3);
  /* A guard makes a borrow of what would be our own. */
  p = produce(u8, 4, 0, TV_SHAPE(4), NULL);
  p->versioned.flags = TVI_DL_IS_COPIED;
  tv_tensor *const gift = import_with(p, &o);
  p->bytes[2] = 9;
  CHECK(!tv_negative(gift) && tv_error() == TV_EMUTATED);
  tv_error_clear();
  o.guard = (tv_guard)9;
  FAILS(TV_EVALUE, "tensor_from_dlpack: 9 is no guard",
        import_with(produce(u8, 1, 0, TV_SHAPE(1), NULL), &o));
  EQUAL(deleted, 1);
}

/* What is refused -------------------------------------------------------------------------------
 */

#define REFUSED(status, text, p, ...)             \
  do {                                            \
    producer *const it = p;                       \
    DLTensor *const t = &it->versioned.dl_tensor; \
    __VA_ARGS__;                                  \
    FAILS(status, text, import(it));              \
    EQUAL(deleted, 1);                            \
    (void)t;                                      \
  } while (0)

static producer *plain(void) { return produce(i16, 24, 0, TV_SHAPE(2, 3), ((int64_t[]){3, 1})); }

TEST(each_rule_that_is_broken_is_named) {
  static const char far_away[] =
      "tensor_from_dlpack: strides and offset reach beyond the address space";
  REFUSED(TV_EUNSUPPORTED, "tensor_from_dlpack: found version 2.3, expected 1", plain(),
          it->versioned.version = ((DLPackVersion){2, 3}));
  REFUSED(TV_EUNSUPPORTED, "tensor_from_dlpack: found version 0.8, expected 1", plain(),
          it->versioned.version = ((DLPackVersion){0, 8}));
  REFUSED(TV_EDEVICE, "tensor_from_dlpack: no device has DLPack's type 14 and id 0", plain(),
          t->device.device_type = 14);
  REFUSED(TV_EDEVICE, "tensor_from_dlpack: no device has DLPack's type 2 and id -1", plain(),
          t->device = ((DLDevice){2, -1}));
  REFUSED(TV_EDTYPE,
          "tensor_from_dlpack: found type code 0 of 4 bits and 1 lanes, which no dtype is", plain(),
          t->dtype.bits = 4);
  REFUSED(TV_EDTYPE,
          "tensor_from_dlpack: found type code 3 of 16 bits and 1 lanes, which no dtype is",
          plain(), t->dtype.code = 3);
  REFUSED(TV_EDTYPE,
          "tensor_from_dlpack: found type code 0 of 16 bits and 2 lanes, which no dtype is",
          plain(), t->dtype.lanes = 2);
  REFUSED(TV_EDTYPE,
          "tensor_from_dlpack: found type code 0 of 16 bits and 0 lanes, which no dtype is",
          plain(), t->dtype.lanes = 0);
  REFUSED(TV_EDTYPE,
          "tensor_from_dlpack: found type code 10 of 8 bits and 1 lanes, which no dtype is",
          plain(), t->dtype = ((DLDataType){10, 8, 1}));
  REFUSED(TV_EFORMAT, "tensor_from_dlpack: found -1 axes, expected 0 to 64", plain(), t->ndim = -1);
  REFUSED(TV_EFORMAT, "tensor_from_dlpack: found 65 axes, expected 0 to 64", plain(), t->ndim = 65);
  REFUSED(TV_EFORMAT, "tensor_from_dlpack: found no shape for 2 axes", plain(), t->shape = NULL);
  REFUSED(TV_EFORMAT, "tensor_from_dlpack: found size -2 of axis 1, expected none below 0", plain(),
          t->shape[1] = -2);
  REFUSED(
      TV_EOVERFLOW,
      "tensor_from_dlpack: shape [4611686018427387904, 3] of int16 has more than 2^63 - 1 bytes",
      plain(), t->shape[0] = (int64_t)1 << 62);
  REFUSED(TV_EVALUE, "tensor_from_dlpack: data is NULL", plain(), t->data = NULL);
  REFUSED(TV_EFORMAT, far_away, plain(), t->strides[0] = INT64_MAX);
  REFUSED(TV_EFORMAT, far_away, plain(), t->strides[0] = INT64_MIN / 2);
  REFUSED(TV_EFORMAT, far_away, plain(), t->strides[0] = INT64_MAX / 2);
  REFUSED(TV_EFORMAT, far_away, plain(), t->strides[1] = INT64_MIN / 4);
  REFUSED(TV_EFORMAT, far_away, plain(), t->strides[1] = INT64_MAX / 3);
  REFUSED(TV_EFORMAT, far_away, plain(), t->strides[0] = INT64_MAX / 4;
          t->strides[1] = INT64_MAX / 8 + 1);
  REFUSED(TV_EFORMAT, far_away, plain(), t->strides[0] = INT64_MIN / 4;
          t->strides[1] = INT64_MIN / 8 - 1);
  REFUSED(TV_EFORMAT, far_away, plain(), t->byte_offset = UINT64_MAX);
  REFUSED(TV_EFORMAT, far_away, plain(), t->byte_offset = (uint64_t)1 << 63);
}

/* Of another major version nothing behind the deleter is looked at. */
TEST(of_another_version_only_the_deleter_is_known) {
  enum { KNOWN = 24 }; /* version, manager_ctx, deleter */
  void *const cut = malloc(KNOWN);
  producer *const p = plain();
  CHECK(cut && sizeof(void *) <= 8);
  p->versioned.version.major = 3;
  memcpy(cut, &p->versioned, KNOWN);
  FAILS(TV_EUNSUPPORTED, "tensor_from_dlpack: found version 3.1, expected 1",
        tv_tensor_from_dlpack(cut, NULL));
  EQUAL(deleted, 1);
  free(cut);
}

/* A newer minor version, and flags that we do not know. */
TEST(newer_minor_versions_are_taken) {
  producer *const p = plain();
  p->versioned.version.minor = 9;
  p->versioned.flags = (uint64_t)1 << 40;
  HOLDS(import(p), 256, 770, 1284, 1798, 2312, 2826);
}

TEST(calls_without_meaning_still_end_the_loan) {
  tv_dlpack_import_options o = TV_DLPACK_IMPORT_OPTIONS;
  FAILS(TV_EVALUE, "tensor_from_dlpack: managed is NULL", tv_tensor_from_dlpack(NULL, NULL));
  FAILS(TV_EVALUE, "tensor_from_dlpack_legacy: managed is NULL",
        tv_tensor_from_dlpack_legacy(NULL, NULL));
  o.copy = o.require_share = true;
  FAILS(TV_EVALUE, "tensor_from_dlpack: both a copy and no copy are asked for",
        import_with(plain(), &o));
  EQUAL(deleted, 1);
  o.size = 0;
  CHECK(!import_with(plain(), &o) && tv_error() == TV_EVALUE);
  EQUAL(deleted, 1);
  tv_error_clear();
  producer *const p = plain();
  p->legacy.dl_tensor.ndim = -1;
  FAILS(TV_EFORMAT, "tensor_from_dlpack_legacy: found -1 axes, expected 0 to 64",
        tv_tensor_from_dlpack_legacy(&p->legacy, NULL));
  EQUAL(deleted, 1);
}

static void *import_without_scope(void *status) {
  producer *const p = plain();
  *(tv_status *)status = import(p) ? TV_OK : tv_error();
  return NULL;
}
TEST(a_scope_is_needed) {
  pthread_t thread;
  tv_status status = TV_OK;
  CHECK(!pthread_create(&thread, NULL, import_without_scope, &status));
  CHECK(!pthread_join(thread, NULL));
  EQUAL(status, TV_ESCOPE);
  EQUAL(deleted, 1);
}

/* Lifetimes --------------------------------------------------------------------------------------
 */

TEST(any_allocation_may_fail) {
  for (int way = 0; way < 5; way++) {
    int n = 0;
    for (bool is_done = false; !is_done; tv_error_clear()) {
      tv_dlpack_import_options o = TV_DLPACK_IMPORT_OPTIONS;
      o.copy = way == 1;
      producer *const p = produce(i16, 40, way == 2, TV_SHAPE(2, 3), ((int64_t[]){3, 1}));
      if (way == 3) p->versioned.flags = TVI_DL_IS_COPIED;
      if (way == 4) p->versioned.dl_tensor.shape[0] = 0;
      tv_scope scope;
      OK(tv_scope_begin(&scope));
      const int64_t live = tv_live_handles();
      tvi_memory_fail(++n, false);
      tv_tensor *const x = import_with(p, &o);
      tvi_memory_fail(0, false);
      is_done = x != NULL;
      if (!x) EQUAL(tv_error(), TV_ENOMEM);
      if (!x) EQUAL(tv_live_handles(), live);
      if (!x) tv_error_clear();
      OK(tv_scope_end(&scope, NULL));
      EQUAL(deleted, 1);
    }
    CHECK(n > 2);
  }
}

enum { VIEWS = 40 };
static void *release_views(void *views) {
  for (int i = 0; i < VIEWS; i++) tv_release(((tv_tensor **)views)[i]);
  return NULL;
}

TEST(the_last_view_of_any_thread_deletes_once) {
  for (int round = 0; round < 20; round++) {
    tv_tensor *views[3][VIEWS];
    tv_scope scope;
    OK(tv_scope_begin(&scope));
    tv_tensor *const x = import(produce(u8, 60, 0, TV_SHAPE(60), NULL));
    for (int k = 0; k < 3; k++)
      for (int i = 0; i < VIEWS; i++) views[k][i] = tv_retain(i % 2 ? tv_slice(x, "1::2") : x);
    OK(tv_scope_end(&scope, NULL));
    EQUAL(deleted, 0);
    pthread_t threads[3];
    for (int k = 0; k < 3; k++) CHECK(!pthread_create(&threads[k], NULL, release_views, views[k]));
    for (int k = 0; k < 3; k++) CHECK(!pthread_join(threads[k], NULL));
    EQUAL(deleted, 1);
  }
}

/* Another device ---------------------------------------------------------------------------------
 */

/* DLPack's "extension device". */
static void ext_dev(void *self, int32_t *type, int32_t *id) {
  (void)self;
  *type = 12;
  *id = 5;
}
static tv_device extension(void) {
  static tv_device device = TV_DEVICE_NONE;
  static tv_backend backend;
  if (device != TV_DEVICE_NONE) return device;
  backend = *far_backend();
  backend.dlpack_device = ext_dev;
  OK(tv_device_register(&backend, NULL, "extension:5", &device));
  return device;
}

TEST(bytes_of_another_device_are_shared_where_they_are) {
  tv_tensor *const x = tv_to(tv_arange(TV_F64, 0, 6, 1), extension());
  DLManagedTensorVersioned *m = tv_dlpack_new(x, NULL);
  CHECK(m && m->dl_tensor.device.device_type == 12 && m->dl_tensor.device.device_id == 5);
  void *const data = m->dl_tensor.data;
  tv_tensor *const y = tv_tensor_from_dlpack(m, NULL);
  EQUAL(tv_tensor_device(y), extension());
  HOLDS(tv_to(tv_add(y, x), TV_CPU), 0, 2, 4, 6, 8, 10);
  m = tv_dlpack_new(y, NULL);
  CHECK(m->dl_tensor.data == data);
  tv_dlpack_import_options o = TV_DLPACK_IMPORT_OPTIONS;
  o.copy = true;
  HOLDS(tv_to(tv_tensor_from_dlpack(m, &o), TV_CPU), 0, 1, 2, 3, 4, 5);
  m = tv_dlpack_new(tv_to(tv_zeros(TV_F64, TV_SHAPE(0, 3)), extension()), NULL);
  tv_tensor *const empty = tv_tensor_from_dlpack(m, NULL);
  EQUAL(tv_tensor_device(empty), extension());
  SHAPE_IS(empty, TV_SHAPE(0, 3));
  o = (tv_dlpack_import_options)TV_DLPACK_IMPORT_OPTIONS;
  o.guard = TV_GUARD_FULL;
  m = tv_dlpack_new(x, NULL);
  tv_tensor *const guarded = tv_tensor_from_dlpack(m, &o);
  CHECK(!guarded && (tv_error() == TV_EVALUE || tv_error() == TV_EUNSUPPORTED));
  tv_error_clear();
  m = tv_dlpack_new(x, NULL);
  m->dl_tensor.byte_offset = 1;
  m->dl_tensor.dtype = i16;
  FAILS(TV_EUNSUPPORTED, "tensor_from_dlpack: elements of int16 are not at multiples of 2 bytes",
        tv_tensor_from_dlpack(m, NULL));
  tv_stream *const near = tv_stream_new(TV_CPU);
  o.guard = TV_GUARD_NONE;
  o.stream = near;
  m = tv_dlpack_new(x, NULL);
  FAILS(TV_EDEVICE, "tensor_from_dlpack: the stream is of cpu, the bytes are on extension:5",
        tv_tensor_from_dlpack(m, &o));
  tv_stream_release(near);
  tv_variable *const v = tv_variable_new(y, NULL); /* as ours, it is written elsewhere */
  OK(tv_variable_assign_add(v, tv_scalar(1)));
  HOLDS(tv_to(y, TV_CPU), 0, 1, 2, 3, 4, 5);
  tv_variable_release(v);
}

TEST(pinned_memory_is_host_memory) {
  producer *const p = plain();
  p->versioned.dl_tensor.device = (DLDevice){TVI_DL_CUDA_HOST, 3};
  tv_tensor *const x = import(p);
  EQUAL(tv_tensor_device(x), TV_CPU);
  CHECK(tv_tensor_size(x) == 6);
}

TEST_MAIN("dlpack_import", CASE(bytes_are_shared_and_deleted_after_the_last_view),
          CASE(the_old_struct_is_shared_too), CASE(a_deleter_need_not_be_there),
          CASE(every_type_has_its_dtype), CASE(every_layout_is_read_as_it_lies),
          CASE(what_is_empty_is_not_shared), CASE(misaligned_elements_are_copied_or_refused),
          CASE(a_copy_lets_go_at_once), CASE(shared_bytes_are_never_written),
          CASE(a_producers_copy_is_our_own), CASE(a_stream_of_the_cpu_changes_nothing),
          CASE(ops_read_the_bytes_of_the_call), CASE(guards_tell_what_the_producer_changed),
          CASE(each_rule_that_is_broken_is_named),
          CASE(of_another_version_only_the_deleter_is_known), CASE(newer_minor_versions_are_taken),
          CASE(calls_without_meaning_still_end_the_loan), CASE(a_scope_is_needed),
          CASE(any_allocation_may_fail), CASE(the_last_view_of_any_thread_deletes_once),
          CASE(bytes_of_another_device_are_shared_where_they_are),
          CASE(pinned_memory_is_host_memory))
