/* SPDX-License-Identifier: MIT
 * .npz files: named arrays there and back, mapped, limited, refused; any call and any allocation
 * failing. Against NumPy and Python's zipfile in tests/conformance/test_npz.py. */
#include <pthread.h>

#include "archives.h"
#include "far.h"
#include "io/endian.h"
#include "memory.h"

static const char *const names[] = {"w", "layer/b"};

static tv_tensor *w(void) { return tv_reshape(tv_arange(TV_F32, 0, 6, 1), TV_SHAPE(2, 3)); }
static tv_tensor *b(void) { return tv_arange_int(TV_I64, 10, 13, 1); }

static tv_status save(int compression) {
  tv_npz_save_options o = TV_NPZ_SAVE_OPTIONS;
  o.compression = compression;
  return tv_npz_save("x.npz", 2, names, (tv_tensor *[]){w(), b()}, &o);
}

/* Whether deflated members can be read and written. */
static bool has_zlib(void) {
  const bool has = save(6) == TV_OK;
  if (!has) EQUAL(tv_error(), TV_EUNSUPPORTED);
  tv_error_clear();
  return has;
}

TEST(names_and_arrays_come_back) {
  folder_enter();
  const bool packs = has_zlib();
  for (int level = 0; level <= (packs ? 9 : 0); level += 3) {
    OK(save(level));
    tv_npz *z = tv_npz_open("x.npz", NULL);
    CHECK(z);
    EQUAL(tv_npz_count(z), 2);
    SAME_TEXT(tv_npz_name(z, 0), "w");
    SAME_TEXT(tv_npz_name(z, 1), "layer/b");
    CHECK(tv_npz_has(z, "w") && !tv_npz_has(z, "w.npy") && !tv_npz_has(z, "") &&
          !tv_npz_has(z, NULL));
    SAME(tv_npz_read(z, "layer/b", NULL), b());
    tv_npy_layout layout = TV_NPY_LAYOUT;
    OK(tv_npz_info(z, "w", NULL, &layout));
    EQUAL(layout.rank, 2);
    EQUAL(layout.bytes, 24);
    EQUAL(layout.offset, 128);
    tv_tensor *all[2];
    OK(tv_npz_read_all(z, NULL, all));
    SAME(all[0], w());
    SAME(all[1], b());
    OK(tv_npz_verify(z));
    tv_npz_release(tv_npz_retain(z));
    tv_npz_release(z);
    SAME(tv_npz_load("x.npz", "w", NULL), w());
  }
  folder_leave();
}

static void *read_members(void *user) {
  intptr_t n_failed = 0;
  for (int k = 0; k < 50; k++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    tv_tensor *const x = tv_npz_read(user, k % 2 ? "w" : "layer/b", NULL);
    double share_right = 0;
    tv_item_f64(tv_mean(tv_equal(x, k % 2 ? w() : b()), TV_ALL_AXES), &share_right);
    n_failed += share_right < 1 || tv_npz_verify(user) != TV_OK;
    tv_scope_end(&scope, NULL);
  }
  return (void *)n_failed;
}

TEST(threads_read_one_archive) {
  pthread_t threads[2];
  void *n_failed;
  folder_enter();
  OK(save(0));
  tv_npz *const z = tv_npz_open("x.npz", NULL);
  for (int k = 0; k < 2; k++) CHECK(!pthread_create(&threads[k], NULL, read_members, z));
  for (int k = 0; k < 2; k++) CHECK(!pthread_join(threads[k], &n_failed) && !n_failed);
  tv_npz_release(z);
  folder_leave();
}

TEST(an_archive_of_nothing_has_22_bytes) {
  folder_enter();
  OK(tv_npz_save("x.npz", 0, NULL, NULL, NULL));
  CHECK(file_is("x.npz", "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22));
  tv_npz *z = tv_npz_open("x.npz", NULL);
  EQUAL(tv_npz_count(z), 0);
  OK(tv_npz_read_all(z, NULL, NULL));
  tv_npz_release(z);
  folder_leave();
}

TEST(every_kind_of_array_is_saved) {
  folder_enter();
  static const char *const all[] = {"turned", "scalar", "empty", "weak", "far", "bf16", "\xC2\xB5"};
  tv_tensor *const x[] = {
      tv_matrix_transpose(w()),        tv_full(TV_C128, TV_SCALAR_SHAPE, tv_scalar_complex(1, 2)),
      tv_zeros(TV_U8, TV_SHAPE(3, 0)), tv_scalar(7),
      tv_to(w(), far_device()),        tv_astype(w(), TV_BF16),
      tv_flip(b(), TV_ALL_AXES)};
  OK(tv_npz_save("x.npz", 7, all, x, NULL));
  tv_npy_options o = TV_NPY_OPTIONS;
  o.void2_is_bf16 = true;
  for (int i = 0; i < 7; i++)
    if (i != 3) SAME(tv_npz_load("x.npz", all[i], &o), tv_to(x[i], TV_CPU));
  HOLDS(tv_npz_load("x.npz", "weak", NULL), 7);
  o.device = far_device();
  tv_tensor *far = tv_npz_load("x.npz", "turned", &o);
  EQUAL(tv_tensor_device(far), far_device());
  SAME(tv_to(far, TV_CPU), x[0]);
  folder_leave();
}

TEST(stored_members_are_mapped) {
  folder_enter();
  const bool packs = has_zlib();
  bool is_mapped = false;
  tv_npy_options o = TV_NPY_OPTIONS;
  o.require_map = true;
  o.is_mapped = &is_mapped;
  OK(save(0));
  for (int map = TV_NPY_MAP; map <= TV_NPY_MAP_WRITABLE; map++) {
    o.map = (tv_npy_map)map;
    for (int i = 0; i < 2; i++) {
      is_mapped = false;
      if (tvi_host_is_big_endian()) { /* files are little-endian on every host */
        FAILS(TV_EUNSUPPORTED, "npz_read: x.npz: w: cannot be mapped: its bytes are swapped",
              tv_npz_load("x.npz", "w", &o));
        continue;
      }
      tv_tensor *x = tv_npz_load("x.npz", names[i], &o);
      SAME(x, i ? b() : w());
      CHECK(is_mapped && (uintptr_t)tv_tensor_data(x) % 64 == 0);
    }
  }
  if (packs) {
    OK(save(6));
    FAILS(TV_EUNSUPPORTED, "npz_read: x.npz: w: cannot be mapped: it is compressed",
          tv_npz_load("x.npz", "w", &o));
    o.require_map = false;
    SAME(tv_npz_load("x.npz", "w", &o), w());
    CHECK(!is_mapped);
  }
  folder_leave();
}

TEST(a_member_stays_mapped_when_the_file_is_replaced) {
  folder_enter();
  tv_npy_options o = TV_NPY_OPTIONS;
  o.map = TV_NPY_MAP;
  OK(save(0));
  tv_tensor *x = tv_npz_load("x.npz", "w", &o);
  OK(tv_npz_save("x.npz", 0, NULL, NULL, NULL));
  SAME(x, w());
  folder_leave();
}

/* A writer that rewrites a file in place, and has stopped. */
TEST(a_file_that_was_shortened_since_is_refused) {
  tv_tensor *const x = tv_random_uniform(tv_key_from_seed(1), TV_F32, TV_SHAPE(100000));
  const char *const name[] = {"x"};
  folder_enter();
  for (int level = 0; level <= (has_zlib() ? 6 : 0); level += 6) {
    tv_npz_save_options o = TV_NPZ_SAVE_OPTIONS;
    o.compression = level;
    for (int64_t n = 200; n < 300000; n += 99900) {
      OK(tv_npz_save("x.npz", 1, name, &x, &o));
      tv_npz *const z = tv_npz_open("x.npz", NULL);
      CHECK(truncate("x.npz", n) == 0);
      for (int map = TV_NPY_COPY; map <= TV_NPY_MAP_WRITABLE; map++) {
        tv_npy_options r = TV_NPY_OPTIONS;
        r.map = (tv_npy_map)map;
        CHECK(!tv_npz_read(z, "x", &r));
        EQUAL(tv_error(), TV_EFORMAT);
        CHECK(strstr(tv_error_text(), "found the end of the file, expected "));
        tv_error_clear();
      }
      EQUAL(tv_npz_verify(z), TV_EFORMAT);
      tv_error_clear();
      tv_npz_release(z);
    }
  }
  folder_leave();
}

TEST(the_longest_names_come_back) {
  static char longest[65002];
  memset(longest, 'n', 65001);
  const char *name[] = {longest};
  tv_tensor *const x = tv_ones(TV_I8, TV_SHAPE(2));
  folder_enter();
  EQUAL(tv_npz_save("x.npz", 1, name, &x, NULL), TV_EVALUE);
  tv_error_clear();
  longest[65000] = 0;
  OK(tv_npz_save("x.npz", 1, name, &x, NULL));
  SAME(tv_npz_load("x.npz", longest, NULL), x);
  folder_leave();
}

TEST(nobody_is_waited_for) {
  folder_enter();
  CHECK(mkfifo("fifo", 0600) == 0);
  FAILS(TV_EFORMAT,
        "npz_open: fifo: byte 0: found no regular file, or an empty one, expected an .npz file",
        tv_npz_open("fifo", NULL));
  folder_leave();
}

TEST(limits_are_kept) {
  folder_enter();
  OK(save(0));
  tv_npz_options o = TV_NPZ_OPTIONS;
  o.max_members = 1;
  FAILS(TV_EFORMAT, "npz_open: x.npz: found 2 members, the limit is 1",
        (void *)tv_npz_open("x.npz", &o));
  o = (tv_npz_options)TV_NPZ_OPTIONS;
  o.max_member_bytes = 151;
  FAILS(TV_EFORMAT, "npz_open: x.npz: found member 'w' of 152 bytes, the limit is 151",
        (void *)tv_npz_open("x.npz", &o));
  o = (tv_npz_options)TV_NPZ_OPTIONS;
  o.max_bytes = 303;
  FAILS(TV_EFORMAT, "npz_open: x.npz: found more than 303 bytes in all members, the limit",
        (void *)tv_npz_open("x.npz", &o));
  o.max_bytes = 304;
  tv_npz_release(tv_npz_open("x.npz", &o));
  o.max_bytes = -1;
  FAILS(TV_EVALUE, "npz_open: a limit is below 0", (void *)tv_npz_open("x.npz", &o));
  folder_leave();
}

/* Whatever the bytes, both ways of reading agree with w() and b() or refuse; no more memory is
 * taken than the file and its headers promise. */
static void read_both(bool *is_refused) {
  tv_scope scope;
  tv_scope_begin(&scope);
  tv_tensor *all[2] = {NULL, NULL};
  tv_npz *z = tv_npz_open("x.npz", NULL);
  if (z && tv_npz_count(z) <= 2) tv_npz_read_all(z, NULL, all);
  if (z) tv_npz_verify(z);
  tv_npz_release(z);
  *is_refused = tv_error() != TV_OK;
  const tv_status status = tv_error();
  CHECK(!status || status == TV_EFORMAT);
  tv_error_clear();
  if (all[0]) SAME(all[0], w());
  if (all[1]) SAME(all[1], b());
  tv_scope_end(&scope, NULL);
}

TEST(a_file_cut_at_any_byte_is_refused) {
  folder_enter();
  for (int level = 0; level <= (has_zlib() ? 6 : 0); level += 6) {
    OK(save(level));
    archive a = archive_of("x.npz");
    for (const size_t n = a.n; a.n > 0;) {
      a.n--;
      bool is_refused;
      archive_put("x.npz", &a);
      read_both(&is_refused);
      CHECK(is_refused);
      CHECK(n > a.n);
    }
  }
  folder_leave();
}

/* A bit, all bits, or one more: refused, or where it means nothing the same arrays. Names may
 * change: then they are other names of the same arrays. */
TEST(a_file_changed_at_any_byte_is_refused_or_the_same) {
  folder_enter();
  for (int level = 0; level <= (has_zlib() ? 6 : 0); level += 6) {
    OK(save(level));
    const archive good = archive_of("x.npz");
    int n_refused = 0;
    for (size_t i = 0; i < good.n; i++) {
      for (int way = 0; way < 3; way++) {
        archive a = good;
        a.bytes[i] = (unsigned char)(way == 0   ? a.bytes[i] ^ 1
                                     : way == 1 ? ~a.bytes[i]
                                                : a.bytes[i] + 1);
        bool is_refused;
        archive_put("x.npz", &a);
        read_both(&is_refused);
        n_refused += is_refused;
      }
    }
    CHECK(n_refused > (int)good.n * 2); /* of three: not paddings, dates, what zip ignores */
  }
  folder_leave();
}

TEST(any_call_may_fail_and_the_file_is_old_or_new) {
  static const int errors[] = {ENOSPC, EIO, EINTR, FAULT_SHORT};
  folder_enter();
  tv_tensor *old = tv_zeros(TV_U8, TV_SHAPE(1));
  const int levels = has_zlib() ? 2 : 1;
  for (size_t i = 0; i < (size_t)levels * (sizeof errors / sizeof *errors); i++) {
    int64_t n = 1;
    for (; OK(tv_npz_save("x.npz", 1, names, &old, NULL)),
           faults_begin(n, errors[i / (size_t)levels]);
         n++) {
      const int descriptors = open_descriptors();
      const tv_status status = save(i % (size_t)levels ? 6 : 0);
      faults_end();
      EQUAL(open_descriptors(), descriptors);
      EQUAL(folder_files(), 1);
      const bool is_in_place = !status || strstr(tv_error_text(), "is in place, but");
      CHECK(!status || status == TV_EIO);
      tv_error_clear();
      SAME(tv_npz_load("x.npz", "w", NULL), is_in_place ? w() : old);
    }
    CHECK(n > 20);
  }
  folder_leave();
}

TEST(any_call_may_fail_while_reading) {
  static const int errors[] = {EIO, EINTR, FAULT_SHORT};
  folder_enter();
  tv_npy_options o = TV_NPY_OPTIONS;
  for (int level = 0; level <= (has_zlib() ? 6 : 0); level += 6) {
    OK(save(level));
    for (size_t i = 0; i < 2 * sizeof errors / sizeof *errors; i++) {
      o.map = i % 2 ? TV_NPY_MAP : TV_NPY_COPY;
      int64_t n = 1;
      for (; faults_begin(n, errors[i / 2]); n++) {
        const int descriptors = open_descriptors();
        tv_tensor *x = tv_npz_load("x.npz", "layer/b", &o);
        faults_end();
        EQUAL(open_descriptors(), descriptors);
        if (x) SAME(x, b());
        if (!x) EQUAL(tv_error(), TV_EIO);
        CHECK(x || errors[i / 2] == EIO || errors[i / 2] == EINTR);
        tv_error_clear();
      }
      CHECK(n > 6);
    }
  }
  folder_leave();
}

TEST(any_allocation_may_fail) {
  folder_enter();
  for (int level = 0; level <= (has_zlib() ? 6 : 0); level += 6) {
    tv_tensor *const two[] = {tv_matrix_transpose(w()), b()}, *old = tv_zeros(TV_U8, TV_SHAPE(1));
    tv_npz_save_options o = TV_NPZ_SAVE_OPTIONS;
    o.compression = level;
    OK(tv_npz_save("x.npz", 1, names, &old, NULL));
    int64_t n = 0;
    for (tv_status status = TV_ENOMEM; status; tv_error_clear()) {
      const int64_t live = tv_live_handles();
      tvi_memory_fail(++n, false);
      status = tv_npz_save("x.npz", 2, names, two, &o);
      tvi_memory_fail(0, false);
      EQUAL(tv_live_handles(), live);
      EQUAL(folder_files(), 1);
      const bool is_in_place = !status || strstr(tv_error_text(), "is in place, but");
      tv_error_clear();
      SAME(tv_npz_load("x.npz", "w", NULL), is_in_place ? two[0] : old);
    }
    CHECK(n > 6);
    tv_tensor *x = NULL;
    for (n = 0; !x; tv_error_clear()) {
      const int64_t live = tv_live_handles();
      tvi_memory_fail(++n, false);
      x = tv_npz_load("x.npz", "w", NULL);
      tvi_memory_fail(0, false);
      if (!x) EQUAL(tv_error(), TV_ENOMEM);
      if (!x) EQUAL(tv_live_handles(), live);
    }
    SAME(x, two[0]);
    CHECK(n > 6);
  }
  folder_leave();
}

TEST(arguments_without_meaning_are_refused) {
  folder_enter();
  tv_npz_options o = TV_NPZ_OPTIONS;
  tv_npz_save_options s = TV_NPZ_SAVE_OPTIONS;
  tv_npy_layout layout = TV_NPY_LAYOUT;
  tv_tensor *all[2], *x = w();
  FAILS(TV_EVALUE, "npz_open: path is NULL", (void *)tv_npz_open(NULL, NULL));
  FAILS(TV_EIO, "npz_open: none: cannot open: No such file or directory",
        (void *)tv_npz_open("none", NULL));
  FAILS(TV_EIO, "npz_open: .: cannot read: Is a directory", (void *)tv_npz_open(".", NULL));
  o.size = 0;
  CHECK(!tv_npz_open("none", &o));
  EQUAL(tv_error(), TV_EVALUE);
  tv_error_clear();
  FAILS_STATUS(TV_EVALUE, "npz_save: path is NULL", tv_npz_save(NULL, 0, NULL, NULL, NULL));
  s.compression = 10;
  FAILS_STATUS(TV_EVALUE, "npz_save: compression is 10, not 0 to 9",
               tv_npz_save("x.npz", 1, names, &x, &s));
  s.size = 0;
  EQUAL(tv_npz_save("x.npz", 1, names, &x, &s), TV_EVALUE);
  tv_error_clear();
  static const char *const up[] = {"../w"};
  FAILS_STATUS(TV_EVALUE, "npz_save: found a name with '..' as a part of its path: '../w'",
               tv_npz_save("x.npz", 1, up, &x, NULL));
  EQUAL(folder_files(), 0);
  OK(save(0));
  tv_npz *z = tv_npz_open("x.npz", NULL);
  FAILS(TV_EINDEX, "npz_name: index 2 of 2 members", (void *)tv_npz_name(z, 2));
  FAILS(TV_EINDEX, "npz_name: index -1 of 2 members", (void *)tv_npz_name(z, -1));
  FAILS(TV_EVALUE, "npz_read: x.npz: v: there is no such member", tv_npz_read(z, "v", NULL));
  FAILS(TV_EVALUE, "npz_read: name is NULL", tv_npz_read(z, NULL, NULL));
  FAILS(TV_EVALUE, "npz_read: npz is NULL", tv_npz_read(NULL, "w", NULL));
  FAILS_STATUS(TV_EVALUE, "npz_info: layout is NULL", tv_npz_info(z, "w", NULL, NULL));
  FAILS_STATUS(TV_EVALUE, "npz_info: x.npz: v: there is no such member",
               tv_npz_info(z, "v", NULL, &layout));
  FAILS_STATUS(TV_EVALUE, "npz_read_all: tensors is NULL", tv_npz_read_all(z, NULL, NULL));
  FAILS_STATUS(TV_EVALUE, "npz_read_all: npz is NULL", tv_npz_read_all(NULL, NULL, all));
  FAILS_STATUS(TV_EVALUE, "npz_verify: npz is NULL", tv_npz_verify(NULL));
  EQUAL(tv_npz_count(NULL), 0);
  tv_npz_release(z);
  tv_npz_release(NULL);
  folder_leave();
}

TEST(progress_is_told_of_all_and_may_stop_it) {
  const char *const pair[] = {"p", "q"};
  tv_tensor *const x = OK(tv_zeros(TV_F32, TV_SHAPE(1 << 20)));
  tv_tensor *const two[] = {x, tv_add(x, tv_scalar(1))};
  tv_npz_save_options o = TV_NPZ_SAVE_OPTIONS;
  o.progress = archives_told;
  archives_seen.calls = archives_seen.stop_at = 0;
  folder_enter();
  OK(tv_npz_save("p", 2, pair, two, &o));
  EQUAL(archives_seen.calls, 3);
  EQUAL(archives_seen.done, 8 << 20);
  EQUAL(archives_seen.total, 8 << 20);
  archives_seen.calls = 0;
  archives_seen.stop_at = 3;
  EQUAL(tv_npz_save("p", 2, pair, two, &o), TV_ECANCELED);
  tv_error_clear();
  EQUAL(folder_files(), 1);
  tv_npz *const file = tv_npz_open("p", NULL);
  tv_npy_options r = TV_NPY_OPTIONS;
  tv_tensor *got[2];
  r.progress = archives_told;
  archives_seen.calls = archives_seen.stop_at = 0;
  OK(tv_npz_read_all(file, &r, got));
  SAME(got[1], two[1]);
  EQUAL(archives_seen.calls, 5); /* at the start, and twice each: elements, member */
  EQUAL(archives_seen.done, archives_seen.total);
  EQUAL(archives_seen.total, (8 << 20) + 256);
  archives_seen.calls = 0;
  archives_seen.stop_at = 3;
  EQUAL(tv_npz_read_all(file, &r, got), TV_ECANCELED);
  CHECK(!got[0] && !got[1]);
  tv_error_clear();
  r.out = &r;
  FAILS_STATUS(TV_EVALUE, "npz_read_all: out is for one array", tv_npz_read_all(file, &r, got));
  tv_npz_release(file);
  folder_leave();
}

TEST_MAIN("npz", CASE(progress_is_told_of_all_and_may_stop_it), CASE(names_and_arrays_come_back),
          CASE(threads_read_one_archive), CASE(an_archive_of_nothing_has_22_bytes),
          CASE(every_kind_of_array_is_saved), CASE(stored_members_are_mapped),
          CASE(a_member_stays_mapped_when_the_file_is_replaced), CASE(limits_are_kept),
          CASE(a_file_that_was_shortened_since_is_refused), CASE(the_longest_names_come_back),
          CASE(nobody_is_waited_for), CASE(a_file_cut_at_any_byte_is_refused),
          CASE(a_file_changed_at_any_byte_is_refused_or_the_same),
          CASE(any_call_may_fail_and_the_file_is_old_or_new), CASE(any_call_may_fail_while_reading),
          CASE(any_allocation_may_fail), CASE(arguments_without_meaning_are_refused))
