/* SPDX-License-Identifier: MIT
 * safetensors files: named arrays there and back, mapped and refused; any call and any allocation
 * failing. Against the safetensors package in tests/conformance/test_safetensors.py. */
#include "archives.h"
#include "far.h"
#include "io/endian.h"
#include "memory.h"

static const char *const names[] = {"b", "layer/w"};

static tv_tensor *w(void) { return tv_reshape(tv_arange(TV_F32, 0, 6, 1), TV_SHAPE(2, 3)); }
static tv_tensor *b(void) { return tv_astype(tv_arange_int(TV_I64, 10, 13, 1), TV_I8); }

static tv_status save(const tv_safetensors_save_options *o) {
  return tv_safetensors_save("x", 2, names, (tv_tensor *[]){b(), w()}, o);
}

/* The bytes that the safetensors package 0.8.0 writes, but for the blanks: it pads to 8. */
TEST(the_bytes_are_those_of_the_package) {
  static const char header[] =
      "{\"__metadata__\":{\"k\":\"v\\u000a\\\"\\\\\xC3\xA9\"},"
      "\"layer/w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
      "\"b\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[24,27]}}";
  static const char *const keys[] = {"k"}, *const values[] = {"v\n\"\\\xC3\xA9"};
  folder_enter();
  tv_safetensors_save_options o = TV_SAFETENSORS_SAVE_OPTIONS;
  o.n_metadata = 1;
  o.keys = keys;
  o.values = values;
  OK(save(&o));
  const archive a = archive_of("x");
  EQUAL(a.n, 192 + 27);
  CHECK(!memcmp(a.bytes, "\xB8\0\0\0\0\0\0\0", 8)); /* 184 */
  CHECK(!memcmp(a.bytes + 8, header, sizeof header - 1));
  for (size_t i = 8 + sizeof header - 1; i < 192; i++) EQUAL(a.bytes[i], ' ');
  CHECK(!memcmp(a.bytes + 192 + 24, "\x0A\x0B\x0C", 3));
  OK(save(&o));
  CHECK(file_is("x", a.bytes, a.n));
  folder_leave();
}

TEST(names_arrays_and_texts_come_back) {
  static const char *const keys[] = {"format", "step"}, *const values[] = {"pt", "17"};
  folder_enter();
  tv_safetensors_save_options o = TV_SAFETENSORS_SAVE_OPTIONS;
  o.n_metadata = 2;
  o.keys = keys;
  o.values = values;
  OK(save(&o));
  tv_safetensors *f = tv_safetensors_open("x");
  CHECK(f);
  EQUAL(tv_safetensors_count(f), 2);
  SAME_TEXT(tv_safetensors_name(f, 0), "layer/w"); /* the wider first */
  SAME_TEXT(tv_safetensors_name(f, 1), "b");
  CHECK(tv_safetensors_has(f, "b") && !tv_safetensors_has(f, "c") && !tv_safetensors_has(f, NULL));
  EQUAL(tv_safetensors_metadata_count(f), 2);
  SAME_TEXT(tv_safetensors_metadata_key(f, 1), "step");
  SAME_TEXT(tv_safetensors_metadata_value(f, 1), "17");
  SAME_TEXT(tv_safetensors_metadata(f, "format"), "pt");
  CHECK(!tv_safetensors_metadata(f, "other"));
  tv_npy_layout layout = TV_NPY_LAYOUT;
  OK(tv_safetensors_info(f, "b", &layout));
  EQUAL(layout.dtype, TV_I8);
  EQUAL(layout.rank, 1);
  EQUAL(layout.bytes, 3);
  EQUAL((layout.offset - 24) % 64, 0);
  SAME(tv_safetensors_read(f, "b", NULL), b());
  tv_tensor *all[2];
  OK(tv_safetensors_read_all(f, NULL, all));
  SAME(all[0], w());
  SAME(all[1], b());
  tv_safetensors_release(tv_safetensors_retain(f));
  tv_safetensors_release(f);
  SAME(tv_safetensors_load("x", "layer/w", NULL), w());
  OK(tv_safetensors_save("x", 0, NULL, NULL, NULL));
  f = tv_safetensors_open("x");
  EQUAL(tv_safetensors_count(f), 0);
  OK(tv_safetensors_read_all(f, NULL, NULL));
  tv_safetensors_release(f);
  folder_leave();
}

TEST(every_kind_of_array_is_saved) {
  folder_enter();
  static const char *const all[] = {"turned", "scalar", "empty",    "back",
                                    "far",    "bf16",   "\xC2\xB5", "yes"};
  tv_tensor *const x[] = {
      tv_matrix_transpose(w()),        tv_full(TV_C64, TV_SCALAR_SHAPE, tv_scalar_complex(1, 2)),
      tv_zeros(TV_U8, TV_SHAPE(3, 0)), tv_flip(b(), TV_ALL_AXES),
      tv_to(w(), far_device()),        tv_astype(w(), TV_BF16),
      tv_astype(w(), TV_F64),          tv_greater(w(), tv_scalar(2))};
  OK(tv_safetensors_save("x", 8, all, x, NULL));
  for (int map = TV_NPY_COPY; map <= TV_NPY_MAP_WRITABLE; map++) {
    tv_npy_options o = TV_NPY_OPTIONS;
    bool is_mapped = false;
    o.map = (tv_npy_map)map;
    o.is_mapped = &is_mapped;
    for (int i = 0; i < 8; i++) {
      const bool is_swapped = tvi_host_is_big_endian() && tv_dtype_size(tv_tensor_dtype(x[i])) > 1;
      o.require_map = map != TV_NPY_COPY && !is_swapped;
      SAME(tv_safetensors_load("x", all[i], &o), tv_to(x[i], TV_CPU));
      EQUAL(is_mapped, o.require_map && i != 2);
    }
  }
  tv_npy_options o = TV_NPY_OPTIONS;
  o.device = far_device();
  tv_tensor *far = tv_safetensors_load("x", "turned", &o);
  EQUAL(tv_tensor_device(far), far_device());
  SAME(tv_to(far, TV_CPU), x[0]);
  folder_leave();
}

/* Whatever the bytes: w() and b(), or a refusal. Without checksums a changed element is another
 * one, so only those before the data are changed. */
TEST(a_file_changed_or_cut_at_any_byte_is_refused_or_the_same) {
  folder_enter();
  OK(save(NULL));
  const archive good = archive_of("x");
  int n_refused = 0, n_tried = 0;
  for (size_t i = 0; i < good.n; i++) {
    for (int way = 0; way < 3; way++) {
      archive a = good;
      if (way == 2) a.n = i;
      if (way != 2 && i >= good.n - 27) continue;
      a.bytes[i] = (unsigned char)(way == 0 ? a.bytes[i] ^ 1 : ~a.bytes[i]);
      archive_put("x", &a);
      tv_scope scope;
      tv_scope_begin(&scope);
      tv_tensor *all[2] = {NULL, NULL};
      tv_safetensors *f = tv_safetensors_open("x");
      CHECK(!f || (way != 2 && tv_safetensors_count(f) <= 2));
      if (f) tv_safetensors_read_all(f, NULL, all);
      tv_safetensors_release(f);
      CHECK(!tv_error() || tv_error() == TV_EFORMAT);
      n_refused += tv_error() != TV_OK;
      n_tried++;
      tv_error_clear();
      tv_scope_end(&scope, NULL);
    }
  }
  CHECK(n_refused > n_tried * 3 / 4); /* names may change, and blanks of other kinds */
  folder_leave();
}

TEST(lengths_that_cannot_be_are_refused) {
  folder_enter();
  file_put("x", "\2\0\0\0\0\0\0\0{}", 10);
  tv_safetensors_release(tv_safetensors_open("x"));
  OK(tv_error());
  file_put("x", "\3\0\0\0\0\0\0\0{}", 10);
  FAILS(TV_EFORMAT,
        "safetensors_open: x: byte 0: found \\x03\\x00\\x00\\x00\\x00\\x00\\x00\\x00, expected the "
        "length of a header: at most 2 bytes",
        (void *)tv_safetensors_open("x"));
  file_put("x", "\2\0\0\0\0\0\0\x80{}", 10);
  CHECK(!tv_safetensors_open("x") && tv_error() == TV_EFORMAT);
  tv_error_clear();
  file_put("x", "\2\0\0\0", 4);
  FAILS(TV_EFORMAT,
        "safetensors_open: x: byte 4: found the end of the file, expected 8 bytes of length",
        (void *)tv_safetensors_open("x"));
  CHECK(truncate("x", 0) == 0);
  FAILS(TV_EFORMAT,
        "safetensors_open: x: found no regular file, or an empty one, expected a safetensors file",
        (void *)tv_safetensors_open("x"));
  /* 100,000,001 bytes of blanks, of which the file has as many: the limit is the format's. */
  file_put("x", "\1\xE1\xF5\5\0\0\0\0{}", 10);
  CHECK(truncate("x", 200000000) == 0);
  CHECK(!tv_safetensors_open("x") && strstr(tv_error_text(), "at most 100000000 bytes"));
  tv_error_clear();
  folder_leave();
}

TEST(bools_are_0_or_1) {
  folder_enter();
  static const char *const one[] = {"m"};
  OK(tv_safetensors_save("x", 1, one, (tv_tensor *[]){tv_ones(TV_BOOL, TV_SHAPE(3))}, NULL));
  archive a = archive_of("x");
  a.bytes[a.n - 1] = 2;
  archive_put("x", &a);
  FAILS(TV_EFORMAT, "safetensors_read: x: m: byte 66: found 2 as bool 2, expected 0 or 1",
        tv_safetensors_load("x", "m", NULL));
  folder_leave();
}

TEST(any_call_may_fail) {
  static const int errors[] = {ENOSPC, EIO, EINTR, FAULT_SHORT};
  folder_enter();
  tv_tensor *const old = tv_zeros(TV_U8, TV_SHAPE(1));
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    int64_t n = 1;
    for (; OK(tv_safetensors_save("x", 1, names, &old, NULL)), faults_begin(n, errors[i]); n++) {
      const int descriptors = open_descriptors();
      const tv_status status = save(NULL);
      faults_end();
      EQUAL(open_descriptors(), descriptors);
      EQUAL(folder_files(), 1);
      const bool is_in_place = !status || strstr(tv_error_text(), "is in place, but");
      CHECK(!status || status == TV_EIO);
      tv_error_clear();
      SAME(tv_safetensors_load("x", "b", NULL), is_in_place ? b() : old);
    }
    CHECK(n > 12);
    OK(save(NULL));
    for (n = 1; faults_begin(n, errors[i]); n++) {
      const int descriptors = open_descriptors();
      tv_tensor *x = tv_safetensors_load("x", "b", NULL);
      faults_end();
      EQUAL(open_descriptors(), descriptors);
      if (x) SAME(x, b());
      if (!x) EQUAL(tv_error(), TV_EIO);
      tv_error_clear();
    }
    CHECK(n > 4);
  }
  folder_leave();
}

TEST(any_allocation_may_fail) {
  folder_enter();
  static const char *const keys[] = {"k"}, *const values[] = {"v"};
  tv_tensor *const two[] = {b(), tv_matrix_transpose(w())}, *const old =
                                                                tv_zeros(TV_U8, TV_SHAPE(1));
  tv_safetensors_save_options o = TV_SAFETENSORS_SAVE_OPTIONS;
  o.n_metadata = 1;
  o.keys = keys;
  o.values = values;
  OK(tv_safetensors_save("x", 1, names, &old, NULL));
  int64_t n = 0;
  for (tv_status status = TV_ENOMEM; status; tv_error_clear()) {
    const int64_t live = tv_live_handles();
    tvi_memory_fail(++n, false);
    status = tv_safetensors_save("x", 2, names, two, &o);
    tvi_memory_fail(0, false);
    EQUAL(tv_live_handles(), live);
    EQUAL(folder_files(), 1);
    const bool is_in_place = !status || strstr(tv_error_text(), "is in place, but");
    tv_error_clear();
    SAME(tv_safetensors_load("x", "b", NULL), is_in_place ? b() : old);
  }
  CHECK(n > 6);
  tv_tensor *x = NULL;
  for (n = 0; !x; tv_error_clear()) {
    const int64_t live = tv_live_handles();
    tvi_memory_fail(++n, false);
    x = tv_safetensors_load("x", "layer/w", NULL);
    tvi_memory_fail(0, false);
    if (!x) EQUAL(tv_error(), TV_ENOMEM);
    if (!x) EQUAL(tv_live_handles(), live);
  }
  SAME(x, two[1]);
  CHECK(n > 6);
  folder_leave();
}

TEST(arguments_without_meaning_are_refused) {
  folder_enter();
  tv_safetensors_save_options o = TV_SAFETENSORS_SAVE_OPTIONS;
  tv_npy_layout layout = TV_NPY_LAYOUT;
  tv_tensor *x = w(), *const wide = tv_zeros(TV_C128, TV_SHAPE(2));
  FAILS(TV_EVALUE, "safetensors_open: path is NULL", (void *)tv_safetensors_open(NULL));
  FAILS(TV_EIO, "safetensors_open: none: cannot open: No such file or directory",
        (void *)tv_safetensors_open("none"));
  FAILS_STATUS(TV_EVALUE, "safetensors_save: path is NULL",
               tv_safetensors_save(NULL, 0, NULL, NULL, NULL));
  FAILS_STATUS(TV_EDTYPE, "safetensors_save: 'b' is complex128, which the format does not have",
               tv_safetensors_save("x", 1, names, &wide, NULL));
  static const char *const meta[] = {"__metadata__"}, *const twice[] = {"k", "k"},
                           *const bad[] = {"\xFF"};
  FAILS_STATUS(TV_EVALUE, "safetensors_save: no tensor can be named '__metadata__'",
               tv_safetensors_save("x", 1, meta, &x, NULL));
  FAILS_STATUS(TV_EVALUE, "safetensors_save: found a name that is not UTF-8: '\\xff'",
               tv_safetensors_save("x", 1, bad, &x, NULL));
  o.n_metadata = 2;
  FAILS_STATUS(TV_EVALUE, "safetensors_save: n_metadata is 2, keys or values are NULL or none",
               save(&o));
  o.keys = o.values = twice;
  FAILS_STATUS(TV_EVALUE, "safetensors_save: the key 'k' is given twice", save(&o));
  o.n_metadata = 1;
  o.values = bad;
  FAILS_STATUS(TV_EVALUE, "safetensors_save: metadata 0 is not UTF-8", save(&o));
  o.size = 0;
  EQUAL(save(&o), TV_EVALUE);
  tv_error_clear();
  EQUAL(folder_files(), 0);
  OK(save(NULL));
  tv_safetensors *f = tv_safetensors_open("x");
  FAILS(TV_EINDEX, "safetensors_name: index 2 of 2", (void *)tv_safetensors_name(f, 2));
  FAILS(TV_EINDEX, "safetensors_metadata_key: index 0 of 0",
        (void *)tv_safetensors_metadata_key(f, 0));
  FAILS(TV_EINDEX, "safetensors_metadata_value: index -1 of 0",
        (void *)tv_safetensors_metadata_value(f, -1));
  FAILS(TV_EVALUE, "safetensors_metadata: key is NULL", (void *)tv_safetensors_metadata(f, NULL));
  FAILS(TV_EVALUE, "safetensors_read: x: v: there is no such tensor",
        tv_safetensors_read(f, "v", NULL));
  FAILS(TV_EVALUE, "safetensors_read: file is NULL", tv_safetensors_read(NULL, "v", NULL));
  FAILS_STATUS(TV_EVALUE, "safetensors_info: x: v: there is no such tensor",
               tv_safetensors_info(f, "v", &layout));
  FAILS_STATUS(TV_EVALUE, "safetensors_info: layout is NULL", tv_safetensors_info(f, "b", NULL));
  FAILS_STATUS(TV_EVALUE, "safetensors_read_all: tensors is NULL",
               tv_safetensors_read_all(f, NULL, NULL));
  EQUAL(tv_safetensors_count(NULL), 0);
  EQUAL(tv_safetensors_metadata_count(NULL), 0);
  tv_safetensors_release(f);
  tv_safetensors_release(NULL);
  folder_leave();
}

/* A writer that rewrites a file in place, and has stopped. */
TEST(a_file_that_was_shortened_since_is_refused) {
  folder_enter();
  OK(save(NULL));
  tv_safetensors *const file = tv_safetensors_open("x");
  CHECK(truncate("x", 100) == 0);
  for (int map = TV_NPY_COPY; map <= TV_NPY_MAP_WRITABLE; map++) {
    tv_npy_options o = TV_NPY_OPTIONS;
    o.map = (tv_npy_map)map;
    CHECK(!tv_safetensors_read(file, "layer/w", &o));
    EQUAL(tv_error(), TV_EFORMAT);
    CHECK(strstr(tv_error_text(), "found the end of the file, expected "));
    tv_error_clear();
  }
  tv_safetensors_release(file);
  CHECK(mkfifo("fifo", 0600) == 0);
  CHECK(!tv_safetensors_open("fifo")); /* and nobody is waited for */
  EQUAL(tv_error(), TV_EFORMAT);
  tv_error_clear();
  folder_leave();
}

TEST(maps_are_told_and_fields_refused) {
  tv_npy_options o = TV_NPY_OPTIONS;
  tv_tensor *got[2];
  o.map = TV_NPY_MAP;
  o.progress = archives_told;
  archives_seen.calls = archives_seen.stop_at = 0;
  folder_enter();
  OK(save(NULL));
  tv_safetensors *const file = tv_safetensors_open("x");
  OK(tv_safetensors_read_all(file, &o, got));
  EQUAL(archives_seen.done, archives_seen.total);
  o.field = "w";
  FAILS_STATUS(TV_EVALUE,
               "safetensors_read_all: a field is asked for, but this is no structured array",
               tv_safetensors_read_all(file, &o, got));
  FAILS(TV_EVALUE,
        "safetensors_read: x: layer/w: a field is asked for, but this is no structured array",
        tv_safetensors_read(file, "layer/w", &o));
  tv_safetensors_release(file);
  folder_leave();
}

TEST(progress_is_told_of_all_and_may_stop_it) {
  const char *const pair[] = {"p", "q"};
  tv_tensor *const x = OK(tv_zeros(TV_F32, TV_SHAPE(1 << 20)));
  tv_tensor *const two[] = {x, tv_add(x, tv_scalar(1))};
  tv_safetensors_save_options o = TV_SAFETENSORS_SAVE_OPTIONS;
  o.progress = archives_told;
  archives_seen.calls = archives_seen.stop_at = 0;
  folder_enter();
  OK(tv_safetensors_save("p", 2, pair, two, &o));
  EQUAL(archives_seen.calls, 3);
  EQUAL(archives_seen.done, 8 << 20);
  EQUAL(archives_seen.total, 8 << 20);
  archives_seen.calls = 0;
  archives_seen.stop_at = 3;
  EQUAL(tv_safetensors_save("p", 2, pair, two, &o), TV_ECANCELED);
  tv_error_clear();
  EQUAL(folder_files(), 1);
  tv_safetensors *const file = tv_safetensors_open("p");
  tv_npy_options r = TV_NPY_OPTIONS;
  tv_tensor *got[2];
  r.progress = archives_told;
  archives_seen.calls = archives_seen.stop_at = 0;
  OK(tv_safetensors_read_all(file, &r, got));
  SAME(got[1], two[1]);
  EQUAL(archives_seen.calls, 3); /* at the start, and when each is done */
  EQUAL(archives_seen.done, archives_seen.total);
  archives_seen.calls = 0;
  archives_seen.stop_at = 3;
  EQUAL(tv_safetensors_read_all(file, &r, got), TV_ECANCELED);
  CHECK(!got[0] && !got[1]);
  tv_error_clear();
  r.out = &r;
  FAILS_STATUS(TV_EVALUE, "safetensors_read_all: out is for one array",
               tv_safetensors_read_all(file, &r, got));
  tv_safetensors_release(file);
  folder_leave();
}

TEST_MAIN("safetensors", CASE(progress_is_told_of_all_and_may_stop_it),
          CASE(the_bytes_are_those_of_the_package), CASE(names_arrays_and_texts_come_back),
          CASE(every_kind_of_array_is_saved),
          CASE(a_file_changed_or_cut_at_any_byte_is_refused_or_the_same),
          CASE(lengths_that_cannot_be_are_refused), CASE(bools_are_0_or_1), CASE(any_call_may_fail),
          CASE(any_allocation_may_fail), CASE(arguments_without_meaning_are_refused),
          CASE(a_file_that_was_shortened_since_is_refused), CASE(maps_are_told_and_fields_refused))
