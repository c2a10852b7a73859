/* SPDX-License-Identifier: MIT
 * Appending rows: the file is what saving the whole array gives, whoever reads it meanwhile. What
 * fails is in test_npy_crash.c. That NumPy writes the same bytes is shown in
 * tests/conformance/test_npy.py of tv_npy_save, whose bytes these are compared with. */
#include <pthread.h>

#include "far.h"
#include "io/endian.h"
#include "npy_rows.h"

TEST(a_grown_file_is_what_saving_the_whole_writes) {
  folder_enter();
  tv_npy_writer *const w = writer(TV_I16, TV_SHAPE(3), false);
  EQUAL(tv_npy_writer_count(w), 0);
  CHECK(is_saved(tv_zeros(TV_I16, TV_SHAPE(0, 3))));
  int64_t n = 0;
  for (int64_t more = 1; n < 130; n += more, more = more % 5 + 1) { /* through 9, 10 and 99, 100 */
    OK(tv_npy_writer_append(w, rows_between(n, n + more)));
    EQUAL(tv_npy_writer_count(w), n + more);
    CHECK(is_saved(rows_between(0, n + more)));
  }
  OK(tv_npy_writer_close(w));
  CHECK(holds_rows(n));
  folder_leave();
}

TEST(single_rows_and_scalars_and_nothing_are_rows_too) {
  folder_enter();
  tv_npy_writer *w = writer(TV_I16, TV_SHAPE(3), false);
  OK(tv_npy_writer_append(w, tv_slice(rows_between(0, 1), "0")));
  OK(tv_npy_writer_append(w, tv_zeros(TV_I16, TV_SHAPE(0, 3))));
  OK(tv_npy_writer_append(w, rows_between(1, 2)));
  OK(tv_npy_writer_close(w));
  CHECK(holds_rows(2));
  remove("x.npy");
  w = writer(TV_F32, TV_SCALAR_SHAPE, false);
  OK(tv_npy_writer_append(w, tv_scalar(.5)));
  OK(tv_npy_writer_append(w, tv_scalar(3)));
  OK(tv_npy_writer_append(w, tv_full(TV_F32, TV_SCALAR_SHAPE, tv_scalar(-1))));
  OK(tv_npy_writer_append(w, tv_arange(TV_F32, 5, 7, 1)));
  FAILS_STATUS(TV_EDTYPE, "npy_writer_append: x.npy: rows are int32, the file's float32",
               tv_npy_writer_append(w, tv_zeros(TV_I32, TV_SHAPE(2))));
  OK(tv_npy_writer_close(w));
  HOLDS(tv_npy_load("x.npy", NULL), .5, 3, -1, 5, 6);
  remove("x.npy");
  w = writer(TV_U8, TV_SCALAR_SHAPE, false);
  FAILS_STATUS(TV_EVALUE, "npy_writer_append: x.npy: 256 is out of the range of uint8",
               tv_npy_writer_append(w, tv_scalar(256)));
  OK(tv_npy_writer_close(w));
  remove("x.npy");
  w = writer(TV_F64, TV_SHAPE(2, 0), false); /* rows without bytes */
  OK(tv_npy_writer_append(w, tv_zeros(TV_F64, TV_SHAPE(7, 2, 0))));
  OK(tv_npy_writer_append(w, tv_zeros(TV_F64, TV_SHAPE(2, 0))));
  CHECK(is_saved(tv_zeros(TV_F64, TV_SHAPE(8, 2, 0))));
  OK(tv_npy_writer_close(w));
  folder_leave();
}

TEST(a_file_in_fortran_order_grows_along_its_last_axis) {
  folder_enter();
  /* [2, 3, n], the elements counted in C order of the whole */
  tv_tensor *const whole = tv_reshape(tv_arange(TV_F64, 0, 6 * 12, 1), TV_SHAPE(2, 3, 12));
  tv_npy_writer *w = writer(TV_F64, TV_SHAPE(2, 3), true);
  OK(tv_npy_writer_append(w, tv_slice(whole, "..., :4")));
  OK(tv_npy_writer_append(w, tv_slice(whole, "..., 4")));
  OK(tv_npy_writer_close(w));
  w = writer(TV_F64, TV_SHAPE(2, 3), true);
  OK(tv_npy_writer_append(w, tv_slice(whole, "..., 5:")));
  FAILS_STATUS(
      TV_ESHAPE,
      "npy_writer_append: x.npy: found shape [3, 2, 1], expected a row [2, 3], or rows along "
      "axis 2",
      tv_npy_writer_append(w, tv_zeros(TV_F64, TV_SHAPE(3, 2, 1))));
  EQUAL(tv_npy_writer_count(w), 12);
  OK(tv_npy_writer_close(w));
  SAME(tv_npy_load("x.npy", NULL), whole);
  tv_npy_layout layout = TV_NPY_LAYOUT;
  OK(tv_npy_info("x.npy", NULL, &layout));
  CHECK(layout.is_fortran && layout.offset == 128);
  tv_npy_writer *const line = tv_npy_writer_open(
      "line.npy", TV_F64, TV_SCALAR_SHAPE,
      &(tv_npy_writer_options){sizeof(tv_npy_writer_options), TV_NPY_CREATE, false, true, false});
  OK(tv_npy_writer_close(line));
  OK(tv_npy_info("line.npy", NULL, &layout));
  CHECK(!layout.is_fortran && layout.rank == 1); /* as NumPy has it */
  OK(tv_npy_info("x.npy", NULL, &layout));
  CHECK(is_saved(tv_npy_load("x.npy", NULL))); /* which is a view in Fortran order */
  FAILS(TV_ESHAPE,
        "npy_writer_open: x.npy: found [2, 3, 12] of float64 in Fortran order, expected [12, 2, 3] "
        "of float64",
        writer(TV_F64, TV_SHAPE(2, 3), false));
  folder_leave();
}

TEST(a_file_is_continued_by_what_it_says) {
  folder_enter();
  OK(tv_npy_save("x.npy", rows_between(0, 4), NULL));
  tv_npy_writer *w = writer(TV_DTYPE_NONE, TV_ROWS_OF_FILE, false);
  tv_npy_layout layout = TV_NPY_LAYOUT;
  OK(tv_npy_writer_append(w, rows_between(4, 11)));
  OK(tv_npy_writer_layout(w, &layout));
  CHECK(layout.dtype == TV_I16 && layout.rank == 2 && !layout.is_fortran);
  CHECK(layout.shape[0] == 11 && layout.shape[1] == 3 && layout.offset == 128 &&
        layout.bytes == 66);
  OK(tv_npy_writer_close(w));
  CHECK(is_saved(rows_between(0, 11)));
  w = writer(TV_I16, TV_ROWS_OF_FILE, true);
  OK(tv_npy_writer_close(w));
  w = writer(TV_DTYPE_NONE, TV_SHAPE(3), false);
  OK(tv_npy_writer_close(w));
  CHECK(holds_rows(11));
  tv_npy_writer_options o = TV_NPY_WRITER_OPTIONS;
  o.start = TV_NPY_REPLACE;
  w = tv_npy_writer_open("x.npy", TV_I16, TV_SHAPE(3), &o);
  CHECK(holds_rows(0));
  OK(tv_npy_writer_append(w, rows_between(0, 1)));
  OK(tv_npy_writer_close(w));
  CHECK(holds_rows(1));
  o.start = TV_NPY_CREATE;
  FAILS(TV_EIO, "npy_writer_open: x.npy: cannot create: there is a file",
        tv_npy_writer_open("x.npy", TV_I16, TV_SHAPE(3), &o));
  CHECK(holds_rows(1));
  remove("x.npy");
  OK(tv_npy_writer_close(tv_npy_writer_open("x.npy", TV_I16, TV_SHAPE(3), &o)));
  CHECK(holds_rows(0));
  folder_leave();
}

TEST(other_rows_than_the_file_has_are_refused) {
  folder_enter();
  OK(tv_npy_save("x.npy", rows_between(0, 4), NULL));
  FAILS(TV_EDTYPE, "npy_writer_open: x.npy: found [4, 3] of int16, expected [4, 3] of int32",
        writer(TV_I32, TV_SHAPE(3), false));
  FAILS(TV_ESHAPE, "npy_writer_open: x.npy: found [4, 3] of int16, expected [4, 2] of int16",
        writer(TV_I16, TV_SHAPE(2), false));
  FAILS(TV_ESHAPE, "npy_writer_open: x.npy: found [4, 3] of int16, expected [0] of int16",
        writer(TV_DTYPE_NONE, TV_SCALAR_SHAPE, false));
  FAILS(TV_ESHAPE,
        "npy_writer_open: x.npy: found [4, 3] of int16, expected [3, 4] of int16 in Fortran order",
        writer(TV_I16, TV_SHAPE(3), true));
  tv_npy_writer *const w = writer(TV_I16, TV_SHAPE(3), false);
  static const char *const text =
      "npy_writer_append: x.npy: found shape [2, 4], expected a row [3], or rows along axis 0";
  FAILS_STATUS(TV_ESHAPE, text, tv_npy_writer_append(w, tv_zeros(TV_I16, TV_SHAPE(2, 4))));
  FAILS_STATUS(TV_ESHAPE,
               "npy_writer_append: x.npy: found shape [], expected a row [3], or rows along axis 0",
               tv_npy_writer_append(w, tv_scalar(1)));
  FAILS_STATUS(TV_EDTYPE, "npy_writer_append: x.npy: rows are float32, the file's int16",
               tv_npy_writer_append(w, tv_zeros(TV_F32, TV_SHAPE(2, 3))));
  OK(tv_npy_writer_close(w));
  CHECK(is_saved(rows_between(0, 4)));
  OK(tv_npy_save("x.npy", tv_full(TV_F32, TV_SCALAR_SHAPE, tv_scalar(1)), NULL));
  FAILS(TV_EFORMAT, "npy_writer_open: x.npy: found shape [], expected an axis to grow along",
        writer(TV_F32, TV_ROWS_OF_FILE, false));
  folder_leave();
}

TEST(rows_come_from_any_layout_and_device) {
  folder_enter();
  tv_tensor *const x = tv_permute_dims(
      tv_reshape(tv_arange_int(TV_I64, 0, 200000, 1), TV_SHAPE(40, 10, 500)), TV_AXES(1, 0, 2));
  tv_tensor *const far = tv_to(x, far_device());
  tv_npy_writer *const w = writer(TV_I64, TV_SHAPE(40, 500), false);
  tv_memory_stats before, after;
  OK(tv_device_memory(TV_CPU, &before));
  OK(tv_npy_writer_append(w, x));
  OK(tv_npy_writer_append(w, far));
  OK(tv_device_memory(TV_CPU, &after));
  EQUAL(after.reserved, before.reserved);               /* no second array */
  OK(tv_npy_writer_append(w, tv_add(x, tv_scalar(0)))); /* deferred */
  OK(tv_npy_writer_close(w));
  SAME(tv_npy_load("x.npy", NULL), tv_concat(3, (tv_tensor *[]){x, x, x}, 0));
  folder_leave();
}

/* What others write --------------------------------------------------------------------------- */

static void continue_foreign(const char *prefix, size_t prefix_bytes, const char *text) {
  put_foreign(prefix, prefix_bytes, text, 4);
  tv_npy_writer *const w = writer(TV_I16, TV_SHAPE(3), false);
  OK(tv_npy_writer_append(w, rows_between(4, 1000)));
  OK(tv_npy_writer_close(w));
  CHECK(holds_rows(1000));
  tv_npy_layout layout = TV_NPY_LAYOUT;
  OK(tv_npy_info("x.npy", NULL, &layout));
  EQUAL(layout.version, prefix[6]);
  EQUAL(layout.offset, prefix_bytes + strlen(text));
}

#define BLANKS "                                                            "

TEST(headers_of_others_are_continued_where_they_have_room) {
  folder_enter();
  /* 60 blanks: in another order of keys, with another spelling, without a line feed, version 3. */
  continue_foreign("\x93NUMPY\1\0\0\0", 10,
                   "{\"shape\": (4,3),'fortran_order':False  , 'descr':\"<i2\"} " BLANKS "\n");
  continue_foreign("\x93NUMPY\1\0\0\0", 10,
                   "{'descr': '<i2', 'fortran_order': False, 'shape': (4, 3), " BLANKS "}");
  put_foreign("\x93NUMPY\1\0\0\0", 10, /* numbers in a line, in either order */
              "{'descr': '<i2', 'fortran_order': True, 'shape': (3,)} " BLANKS "\n", 1);
  tv_npy_writer *const w = writer(TV_I16, TV_SCALAR_SHAPE, false);
  OK(tv_npy_writer_append(w, tv_arange_int(TV_I16, 3, 5, 1)));
  OK(tv_npy_writer_close(w));
  HOLDS(tv_npy_load("x.npy", NULL), 0, 1, 2, 3, 4);
  continue_foreign("\x93NUMPY\3\0\0\0\0\0", 12,
                   "{'descr': '<i2', 'fortran_order': False, 'shape': (4, 3)} " BLANKS "\n");
  folder_leave();
}

TEST(a_header_without_room_is_told_or_rewritten) {
  folder_enter();
  put_tight();
  FAILS(TV_EFORMAT,
        "npy_writer_open: x.npy: its header has 80 bytes, any number of rows needs 88: ask for a "
        "rewrite",
        writer(TV_I16, TV_SHAPE(3), false));
  CHECK(holds_rows(4));
  tv_npy_writer_options o = TV_NPY_WRITER_OPTIONS;
  o.rewrite = true;
  tv_npy_writer *const w = tv_npy_writer_open("x.npy", TV_I16, TV_SHAPE(3), &o);
  CHECK(is_saved(rows_between(0, 4)));
  OK(tv_npy_writer_append(w, rows_between(4, 7)));
  FAILS(TV_EBUSY, "npy_writer_open: x.npy: another writer has it open",
        writer(TV_I16, TV_SHAPE(3), false));
  OK(tv_npy_writer_close(w));
  CHECK(is_saved(rows_between(0, 7)));
  EQUAL(folder_files(), 1);
  /* Words that reach far into a long header. */
  char *const text = malloc(5000);
  CHECK(text);
  memset(text, ' ', 5000);
  memcpy(text, "\x93NUMPY\1\0\x7e\x13{", 11);
  static const char dict[] = "'descr': '<i2', 'fortran_order': False, 'shape': (0, 3), }";
  memcpy(text + 3000, dict, sizeof dict - 1);
  file_put("x.npy", text, 5000);
  free(text);
  CHECK(!writer(TV_I16, TV_SHAPE(3), false) && tv_error() == TV_EFORMAT);
  tv_error_clear();
  OK(tv_npy_writer_close(tv_npy_writer_open("x.npy", TV_I16, TV_SHAPE(3), &o)));
  CHECK(is_saved(rows_between(0, 0)));
  folder_leave();
}

TEST(files_that_do_not_grow_are_refused) {
  folder_enter();
  put_foreign("\x93NUMPY\1\0\0\0", 10,
              "{'descr': '>i2', 'fortran_order': False, 'shape': (4, 3)} " BLANKS "\n", 4);
  FAILS(TV_EFORMAT, "npy_writer_open: x.npy: found big-endian elements, expected little-endian",
        writer(TV_I16, TV_SHAPE(3), false));
  file_put("x.npy", "", 0);
  FAILS(TV_EFORMAT,
        "npy_writer_open: x.npy: byte 0: found the end of the file, expected magic, version and "
        "length",
        writer(TV_I16, TV_SHAPE(3), false));
  CHECK(mkfifo("fifo", 0600) == 0 && mkdir("folder", 0700) == 0);
  FAILS(TV_EIO, "npy_writer_open: fifo: is no regular file: it has no rows to add to",
        tv_npy_writer_open("fifo", TV_I16, TV_SHAPE(3), NULL));
  FAILS(TV_EIO, "npy_writer_open: folder: cannot open: Is a directory",
        tv_npy_writer_open("folder", TV_I16, TV_SHAPE(3), NULL));
  FAILS(TV_EIO, "npy_writer_open: /dev/full: is no regular file: it has no rows to add to",
        tv_npy_writer_open("/dev/full", TV_I16, TV_SHAPE(3), NULL));
  FAILS(TV_EIO,
        "npy_writer_open: none/x: cannot create a file beside it: No such file or directory",
        tv_npy_writer_open("none/x", TV_I16, TV_SHAPE(3), NULL));
  FAILS(TV_EVALUE, "npy_writer_open: none: the dtype of a new file is not given",
        tv_npy_writer_open("none", TV_DTYPE_NONE, TV_SHAPE(3), NULL));
  FAILS(TV_EVALUE, "npy_writer_open: none: the shape of a row of a new file is not given",
        tv_npy_writer_open("none", TV_F32, TV_ROWS_OF_FILE, NULL));
  /* Links are followed, to files that are there or are not. */
  CHECK(symlink("target", "link") == 0);
  for (int64_t n = 0; n < 2; n++) {
    tv_npy_writer *const w = tv_npy_writer_open("link", TV_I16, TV_SHAPE(3), NULL);
    EQUAL(tv_npy_writer_count(w), n);
    OK(tv_npy_writer_append(w, rows_between(n, n + 1)));
    OK(tv_npy_writer_close(w));
  }
  struct stat about;
  CHECK(lstat("link", &about) == 0 && S_ISLNK(about.st_mode));
  SAME(tv_npy_load("target", NULL), rows_between(0, 2));
  CHECK(rmdir("folder") == 0);
  folder_leave();
}

TEST(arguments_without_meaning_are_refused) {
  folder_enter();
  tv_npy_writer_options o = TV_NPY_WRITER_OPTIONS;
  FAILS(TV_EVALUE, "npy_writer_open: path is NULL",
        tv_npy_writer_open(NULL, TV_F32, TV_SHAPE(3), NULL));
  FAILS(TV_EDTYPE, "npy_writer_open: x: 99 is no dtype",
        tv_npy_writer_open("x", (tv_dtype)99, TV_SHAPE(3), NULL));
  FAILS(TV_ESHAPE, "npy_writer_open: x: rows of 64 axes: 0 to 63 are possible",
        tv_npy_writer_open("x", TV_F32, 64, (int64_t[64]){0}, NULL));
  FAILS(TV_EVALUE, "npy_writer_open: x: row_shape is NULL",
        tv_npy_writer_open("x", TV_F32, 2, NULL, NULL));
  FAILS(TV_ESHAPE, "npy_writer_open: x: negative size in shape [-3]",
        tv_npy_writer_open("x", TV_F32, TV_SHAPE(-3), NULL));
  FAILS(TV_EOVERFLOW,
        "npy_writer_open: x: shape [2305843009213693952] of float32 has more than "
        "2^63 - 1 bytes",
        tv_npy_writer_open("x", TV_F32, TV_SHAPE((int64_t)1 << 61), NULL));
  o.start = (tv_npy_start)3;
  FAILS(TV_EVALUE, "npy_writer_open: start is 3, which is none",
        tv_npy_writer_open("x", TV_F32, TV_SHAPE(3), &o));
  o.size = 0;
  CHECK(!tv_npy_writer_open("x", TV_F32, TV_SHAPE(3), &o) && tv_error() == TV_EVALUE);
  tv_error_clear();
  EQUAL(folder_files(), 0);
  FAILS_STATUS(TV_EVALUE, "npy_writer_append: writer is NULL",
               tv_npy_writer_append(NULL, tv_scalar(1)));
  tv_npy_writer *const w = writer(TV_I16, TV_SHAPE(3), false);
  FAILS_STATUS(TV_EVALUE, "npy_writer_append: rows is NULL", tv_npy_writer_append(w, NULL));
  FAILS_STATUS(TV_EVALUE, "npy_writer_layout: layout is NULL", tv_npy_writer_layout(w, NULL));
  FAILS_STATUS(TV_EVALUE, "npy_writer_layout: writer is NULL", tv_npy_writer_layout(NULL, NULL));
  tv_npy_layout none = TV_NPY_LAYOUT;
  none.size = 0;
  EQUAL(tv_npy_writer_layout(w, &none), TV_EVALUE);
  tv_error_clear();
  FAILS_STATUS(TV_EVALUE, "npy_writer_sync: writer is NULL", tv_npy_writer_sync(NULL));
  OK(tv_npy_writer_close(w));
  OK(tv_npy_writer_close(NULL));
  EQUAL(tv_npy_writer_count(NULL), 0);
  remove("x.npy");
  tv_npy_writer *const huge = writer(TV_U8, TV_SHAPE(0), false);
  tv_tensor *const most = tv_zeros(TV_U8, TV_SHAPE(INT64_MAX, 0));
  OK(tv_npy_writer_append(huge, most));
  FAILS_STATUS(TV_EOVERFLOW,
               "npy_writer_append: x.npy: 9223372036854775807 rows and 1 have more than 2^63 - 1 "
               "bytes",
               tv_npy_writer_append(huge, tv_zeros(TV_U8, TV_SHAPE(0))));
  CHECK(is_saved(most));
  OK(tv_npy_writer_close(huge));
  folder_leave();
}

/* Rows whose bytes no file could hold: views of one element. */
TEST(sizes_beyond_int64_are_refused) {
  folder_enter();
  tv_npy_writer *const w = writer(TV_U8, TV_SHAPE(2), false);
  OK(tv_npy_writer_append(w, tv_zeros(TV_U8, TV_SHAPE(60, 2))));
  const int64_t most = (int64_t)1 << 62;
  tv_tensor *const one = tv_zeros(TV_U8, TV_SHAPE(1, 1));
  FAILS_STATUS(TV_EOVERFLOW,
               "npy_writer_append: x.npy: 60 rows and 4611686018427387854 have more than 2^63 - 1 "
               "bytes",
               tv_npy_writer_append(w, tv_broadcast_to(one, TV_SHAPE(most - 50, 2))));
  FAILS_STATUS(TV_EOVERFLOW,
               "npy_writer_append: x.npy: 60 rows and 4611686018427387843 have more than 2^63 - 1 "
               "bytes", /* but for the header */
               tv_npy_writer_append(w, tv_broadcast_to(one, TV_SHAPE(most - 61, 2))));
  EQUAL(tv_npy_writer_count(w), 60);
  OK(tv_npy_writer_close(w));
  CHECK(is_saved(tv_zeros(TV_U8, TV_SHAPE(60, 2))));
  folder_leave();
}

/* Several writers ------------------------------------------------------------------------------ */

static tv_status opens(void) {
  tv_npy_writer *const w = writer(TV_I16, TV_SHAPE(3), false);
  return w ? tv_npy_writer_close(w) : tv_error();
}
static tv_status opens_and_is_killed(void) {
  tv_npy_writer *const w = writer(TV_I16, TV_SHAPE(3), false);
  return w ? tv_npy_writer_append(w, rows_between(0, 1)) : TV_EVALUE;
}
static tv_npy_writer *inherited;
static tv_status uses_what_it_inherited(void) {
  const tv_status status = tv_npy_writer_append(inherited, rows_between(0, 1));
  return status == TV_EBUSY && tv_npy_writer_sync(inherited) == TV_EBUSY &&
                 tv_npy_writer_close(inherited) == TV_OK
             ? TV_OK
             : TV_EVALUE;
}

TEST(one_writer_at_a_time_has_the_file) {
  folder_enter();
  inherited = writer(TV_I16, TV_SHAPE(3), false);
  FAILS(TV_EBUSY, "npy_writer_open: x.npy: another writer has it open",
        writer(TV_I16, TV_SHAPE(3), false));
  tv_npy_writer_options o = TV_NPY_WRITER_OPTIONS;
  o.start = TV_NPY_REPLACE;
  FAILS(TV_EBUSY, "npy_writer_open: x.npy: another writer has it open",
        tv_npy_writer_open("x.npy", TV_I16, TV_SHAPE(3), &o));
  EQUAL(in_child(opens), TV_EBUSY);
  EQUAL(in_child(uses_what_it_inherited), TV_OK);
  EQUAL(in_child(opens), TV_EBUSY); /* the child that closed it has not unlocked it */
  OK(tv_npy_writer_append(inherited, rows_between(0, 1)));
  OK(tv_npy_writer_close(inherited));
  EQUAL(in_child(opens), TV_OK);
  remove("x.npy");
  EQUAL(in_child(opens_and_is_killed), TV_OK);
  OK(tv_npy_writer_close(writer(TV_I16, TV_SHAPE(3), false)));
  CHECK(holds_rows(1));
  folder_leave();
}

/* Somebody else makes the file between our look and our try. */
static int late_link(const char *from, const char *to) {
  CHECK(rename("theirs.npy", to) == 0);
  return link(from, to);
}

TEST(who_comes_second_goes_on_with_the_file_of_the_first) {
  folder_enter();
  OK(tv_npy_save("theirs.npy", rows_between(0, 4), NULL));
  const tvi_system real = tvi_sys;
  tvi_sys.link = late_link;
  tv_npy_writer *const w = writer(TV_I16, TV_SHAPE(3), false);
  tvi_sys = real;
  EQUAL(tv_npy_writer_count(w), 4);
  OK(tv_npy_writer_close(w));
  EQUAL(folder_files(), 1);
  folder_leave();
}

enum { WRITERS = 4, EACH = 50 };
static void *append_each(void *w) {
  tv_scope scope;
  tv_scope_begin(&scope);
  for (int i = 0; i < EACH; i++)
    if (tv_npy_writer_append(w, tv_ones(TV_I16, TV_SHAPE(2, 3)))) return w;
  return tv_scope_end(&scope, NULL) ? w : NULL;
}

TEST(threads_share_a_writer) {
  folder_enter();
  tv_npy_writer *const w = writer(TV_I16, TV_SHAPE(3), false);
  pthread_t threads[WRITERS];
  void *failed;
  for (int k = 0; k < WRITERS; k++) CHECK(!pthread_create(&threads[k], NULL, append_each, w));
  for (int k = 0; k < WRITERS; k++) CHECK(!pthread_join(threads[k], &failed) && !failed);
  EQUAL(tv_npy_writer_count(w), 2 * WRITERS * EACH);
  OK(tv_npy_writer_close(w));
  SAME(tv_npy_load("x.npy", NULL), tv_ones(TV_I16, TV_SHAPE(2 * WRITERS * EACH, 3)));
  folder_leave();
}

/* Beside readers ------------------------------------------------------------------------------- */

TEST(a_mapped_file_stays_mapped_while_it_grows) {
  if (tvi_host_is_big_endian()) SKIP("files are little-endian: nothing is mapped here");
  folder_enter();
  tv_npy_writer *const w = writer(TV_I16, TV_SHAPE(3), false);
  OK(tv_npy_writer_append(w, rows_between(0, 5)));
  tv_npy_options map = TV_NPY_OPTIONS;
  map.map = TV_NPY_MAP;
  map.require_map = true;
  tv_tensor *const x = tv_npy_load("x.npy", &map);
  for (int64_t n = 5; n < 3000; n += 100) OK(tv_npy_writer_append(w, rows_between(n, n + 100)));
  SAME(x, rows_between(0, 5));
  OK(tv_npy_writer_append(w, x)); /* from the file into the file */
  OK(tv_npy_writer_close(w));
  SAME(tv_slice(tv_npy_load("x.npy", NULL), "-5:"), rows_between(0, 5));
  folder_leave();
}

enum { LAST = 40000 };
/* Loads until the last row is there: each time whole rows, never fewer than before. */
static tv_status reads_until_the_last(void) {
  for (int64_t seen = 0, loads = 0; seen < LAST; loads++) {
    tv_scope scope;
    tv_scope_begin(&scope);
    tv_tensor *const x = tv_npy_load("x.npy", NULL);
    if (!x) return TV_EIO;
    const int64_t n = tv_tensor_shape(x)[0];
    const int16_t *const found = tv_tensor_data(x);
    if (n < seen) return TV_EVALUE;
    for (int64_t i = 0; i < 3 * n; i++)
      if (found[i] != (int16_t)i) return TV_EFORMAT;
    seen = n;
    tv_scope_end(&scope, NULL);
  }
  return TV_OK;
}

TEST(another_process_reads_whole_rows_meanwhile) {
  folder_enter();
  tv_npy_writer *const w = writer(TV_I16, TV_SHAPE(3), false);
  tv_tensor *const whole = rows_between(0, LAST);
  const pid_t child = fork();
  if (child == 0) _exit((int)reads_until_the_last());
  for (int64_t n = 0, more = 1; n < LAST; n += more, more = more % 7 + 1) {
    tv_scope scope;
    OK(tv_scope_begin(&scope));
    if (more > LAST - n) more = LAST - n;
    OK(tv_npy_writer_append(w,
                            tv_slice_with(whole, 1, (const tv_index[]){TV_RANGE(n, n + more, 1)})));
    OK(tv_scope_end(&scope, NULL));
  }
  int ended;
  CHECK(child > 0 && waitpid(child, &ended, 0) == child && WIFEXITED(ended));
  EQUAL(WEXITSTATUS(ended), TV_OK);
  OK(tv_npy_writer_close(w));
  folder_leave();
}

/* A tail that a killed writer left behind the rows. */
TEST(a_tail_is_overwritten_and_another_array_is_not) {
  folder_enter();
  OK(tv_npy_save("x.npy", rows_between(0, 4), NULL));
  FILE *file = fopen("x.npy", "ab");
  CHECK(file && fwrite("tail of a row", 1, 13, file) == 13 && fclose(file) == 0);
  tv_npy_writer *const w = writer(TV_I16, TV_SHAPE(3), false);
  EQUAL(tv_npy_writer_count(w), 4);
  OK(tv_npy_writer_append(w, rows_between(4, 5)));
  CHECK(holds_rows(5));
  OK(tv_npy_writer_append(w, rows_between(5, 8)));
  OK(tv_npy_writer_close(w));
  CHECK(is_saved(rows_between(0, 8)));
  file = fopen("x.npy", "ab");
  CHECK(file && fwrite("\x93NUMPY\1\0", 1, 8, file) == 8 && fclose(file) == 0);
  FAILS(TV_EFORMAT, "npy_writer_open: x.npy: byte 176: found another array behind the first",
        writer(TV_I16, TV_SHAPE(3), false));
  folder_leave();
}

TEST_MAIN("npy_writer", CASE(a_grown_file_is_what_saving_the_whole_writes),
          CASE(single_rows_and_scalars_and_nothing_are_rows_too),
          CASE(a_file_in_fortran_order_grows_along_its_last_axis),
          CASE(a_file_is_continued_by_what_it_says), CASE(other_rows_than_the_file_has_are_refused),
          CASE(rows_come_from_any_layout_and_device),
          CASE(headers_of_others_are_continued_where_they_have_room),
          CASE(a_header_without_room_is_told_or_rewritten),
          CASE(files_that_do_not_grow_are_refused), CASE(arguments_without_meaning_are_refused),
          CASE(sizes_beyond_int64_are_refused), CASE(one_writer_at_a_time_has_the_file),
          CASE(who_comes_second_goes_on_with_the_file_of_the_first), CASE(threads_share_a_writer),
          CASE(a_mapped_file_stays_mapped_while_it_grows),
          CASE(another_process_reads_whole_rows_meanwhile),
          CASE(a_tail_is_overwritten_and_another_array_is_not))
