/* SPDX-License-Identifier: MIT
 * Loading .npy files: from paths, descriptors, memory and maps; cut, shrunk, failing and hostile.
 */
#include <pthread.h>

#include "far.h"
#include "faults.h"
#include "memory.h"

/* A file: prefix of version 1, a header padded with `blanks`, data. */
static size_t make(char *out, const char *header, int blanks, const void *data, size_t n) {
  const size_t words = strlen(header), text = words + (size_t)blanks + 1;
  static const char start[] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0};
  memcpy(out, start, sizeof start);
  out[8] = (char)(text & 255);
  out[9] = (char)(text >> 8);
  for (size_t i = 0; i < text; i++) out[10 + i] = i < words ? header[i] : ' ';
  out[10 + text - 1] = '\n';
  memcpy(out + 10 + text, data, n);
  return 10 + text + n;
}

/* As the bytes of a number lie here, and elsewhere. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OURS "<"
#define THEIRS ">"
#else
#define OURS ">"
#define THEIRS "<"
#endif
static const float six[] = {1, 2, 3, 4, 5, 6};
#define HEADER "{'descr': '" OURS "f4', 'fortran_order': False, 'shape': (2, 3), }"
#define FORTRAN "{'descr': '" OURS "f4', 'fortran_order': True, 'shape': (2, 3), }"
#define SWAPPED "{'descr': '" THEIRS "f4', 'fortran_order': False, 'shape': (2, 3), }"

/* The file of `six`, whose data begin at 80 and so are aligned. */
static size_t make_six(char *out) { return make(out, HEADER, 10, six, sizeof six); }

TEST(memory_is_read) {
  char file[200];
  const size_t n = make_six(file);
  tv_tensor *x = tv_npy_read_memory(file, (int64_t)n, NULL);
  SHAPE_IS(x, TV_SHAPE(2, 3));
  EQUAL(tv_tensor_dtype(x), TV_F32);
  HOLDS(x, 1, 2, 3, 4, 5, 6);
  memset(file, 0, sizeof file);
  HOLDS(x, 1, 2, 3, 4, 5, 6);
}

TEST(fortran_order_is_a_view) {
  char file[200];
  tv_tensor *x = tv_npy_read_memory(file, (int64_t)make(file, FORTRAN, 0, six, sizeof six), NULL);
  SHAPE_IS(x, TV_SHAPE(2, 3));
  int64_t steps[2];
  CHECK(tv_tensor_data_strided(x, steps));
  EQUAL(steps[0], 4);
  EQUAL(steps[1], 8);
  HOLDS(x, 1, 3, 5, 2, 4, 6);
}

TEST(the_other_order_is_swapped) {
  char file[200], swapped[24];
  for (int i = 0; i < 24; i++) swapped[i] = ((const char *)six)[i / 4 * 4 + 3 - i % 4];
  HOLDS(tv_npy_read_memory(file, (int64_t)make(file, SWAPPED, 3, swapped, 24), NULL), 1, 2, 3, 4, 5,
        6);
  static const char complex[] =
      "{'descr': '" THEIRS "c8', 'fortran_order': False, 'shape': (3,), }";
  tv_tensor *x = tv_npy_read_memory(file, (int64_t)make(file, complex, 0, swapped, 24), NULL);
  OK(x);
  const char *got = tv_tensor_data(x), *want = (const char *)six;
  CHECK(!memcmp(got, want, sizeof six));
}

TEST(a_file_cut_at_any_byte_is_refused) {
  char file[200];
  const size_t n = make_six(file);
  folder_enter();
  tv_npy_options mapped = TV_NPY_OPTIONS;
  mapped.map = TV_NPY_MAP;
  for (size_t cut = 0; cut < n; cut++) {
    file_put("x.npy", file, cut);
    for (int way = 0; way < 4; way++) {
      tv_npy_layout layout = TV_NPY_LAYOUT;
      const tv_tensor *x = way == 0   ? tv_npy_load("x.npy", NULL)
                           : way == 1 ? tv_npy_load("x.npy", &mapped)
                           : way == 2 ? tv_npy_read_memory(file, (int64_t)cut, NULL)
                                      : NULL;
      if (way == 3) EQUAL(tv_npy_info("x.npy", NULL, &layout), TV_EFORMAT);
      CHECK(!x);
      EQUAL(tv_error(), TV_EFORMAT);
      tv_error_clear();
    }
  }
  folder_leave();
}

/* The same file in a version whose length has 4 bytes. */
static size_t widen(char *out, const char *file, size_t n, char version) {
  memcpy(out, file, 10);
  out[6] = version;
  out[10] = out[11] = 0;
  memcpy(out + 12, file + 10, n - 10);
  return n + 2;
}

TEST(versions_2_and_3_are_read_and_refused_when_cut) {
  char file[200], wide[202];
  for (char version = 2; version <= 3; version++) {
    const size_t n = widen(wide, file, make_six(file), version);
    HOLDS(tv_npy_read_memory(wide, (int64_t)n, NULL), 1, 2, 3, 4, 5, 6);
    for (size_t cut = 0; cut < n; cut++) {
      CHECK(!tv_npy_read_memory(wide, (int64_t)cut, NULL));
      EQUAL(tv_error(), TV_EFORMAT);
      tv_error_clear();
    }
  }
}

TEST(any_device_may_be_asked_for) {
  char file[200];
  tv_npy_options o = TV_NPY_OPTIONS;
  o.device = far_device();
  tv_tensor *x = tv_npy_read_memory(file, (int64_t)make(file, FORTRAN, 0, six, sizeof six), &o);
  EQUAL(tv_tensor_device(x), far_device());
  HOLDS(tv_to(x, TV_CPU), 1, 3, 5, 2, 4, 6);
  OK(tv_device_set(far_device()));
  x = tv_npy_read_memory(file, (int64_t)make_six(file), NULL);
  OK(tv_device_set(TV_CPU));
  EQUAL(tv_tensor_device(x), far_device());
  folder_enter();
  file_put("x.npy", file, make_six(file));
  o.map = TV_NPY_MAP;
  x = tv_npy_load("x.npy", &o);
  EQUAL(tv_tensor_device(x), far_device());
  HOLDS(tv_to(x, TV_CPU), 1, 2, 3, 4, 5, 6);
  o.require_map = true;
  FAILS(TV_EUNSUPPORTED, "npy_load: x.npy: cannot be mapped: the device is not cpu",
        tv_npy_load("x.npy", &o));
  o.device = TV_CPU;
  CHECK(mkfifo("fifo", 0600) == 0);
  const int fifo = open("fifo", O_RDWR);
  CHECK(fifo >= 0 && write(fifo, file, make_six(file)) > 0);
  FAILS(TV_EUNSUPPORTED, "npy_load: fifo: cannot be mapped: it is no regular file",
        tv_npy_load("fifo", &o));
  close(fifo);
  folder_leave();
}

TEST(info_tells_the_header) {
  char file[200];
  folder_enter();
  file_put("x.npy", file, make(file, FORTRAN, 3, six, sizeof six));
  tv_npy_layout layout = TV_NPY_LAYOUT;
  OK(tv_npy_info("x.npy", NULL, &layout));
  EQUAL(layout.version, 1);
  EQUAL(layout.dtype, TV_F32);
  EQUAL(layout.is_fortran, true);
  EQUAL(layout.is_big_endian, *OURS == '>');
  EQUAL(layout.rank, 2);
  EQUAL(layout.shape[1], 3);
  EQUAL(layout.offset, 10 + (int)strlen(FORTRAN) + 4);
  EQUAL(layout.bytes, 24);
  EQUAL(layout.size, sizeof layout);
  FAILS_STATUS(TV_EIO, "npy_info: none: cannot open: No such file or directory",
               tv_npy_info("none", NULL, &layout));
  folder_leave();
}

TEST(maps_show_the_files_own_pages) {
  char file[200];
  const size_t n = make_six(file);
  folder_enter();
  file_put("x.npy", file, n);
  tv_npy_options o = TV_NPY_OPTIONS;
  tv_npy_layout layout = TV_NPY_LAYOUT;
  bool is_mapped = false;
  o.require_map = true;
  o.is_mapped = &is_mapped;
  o.layout = &layout;
  for (int map = TV_NPY_MAP; map <= TV_NPY_MAP_WRITABLE; map++) {
    tv_memory_stats before, after;
    o.map = (tv_npy_map)map;
    is_mapped = false;
    OK(tv_device_memory(TV_CPU, &before));
    tv_tensor *x = tv_npy_load("x.npy", &o);
    OK(x);
    OK(tv_device_memory(TV_CPU, &after));
    EQUAL(after.bytes, before.bytes);
    CHECK(is_mapped);
    EQUAL(layout.offset, 80);
    HOLDS(x, 1, 2, 3, 4, 5, 6);
  }
  folder_leave();
}

TEST(a_writable_map_is_written_in_place_and_the_file_keeps_its_bytes) {
  char file[200];
  const size_t n = make_six(file);
  folder_enter();
  file_put("x.npy", file, n);
  for (int map = TV_NPY_MAP; map <= TV_NPY_MAP_WRITABLE; map++) {
    tv_npy_options o = TV_NPY_OPTIONS;
    o.map = (tv_npy_map)map;
    tv_variable *v = tv_variable_new_from_npy("x.npy", &o, NULL);
    OK(v ? TV_OK : tv_error());
    OK(tv_variable_assign_add(v, tv_ones(TV_F32, TV_SHAPE(2, 3))));
    HOLDS(tv_read(v), 2, 3, 4, 5, 6, 7);
    tv_variable_release(v);
    CHECK(file_is("x.npy", file, n));
  }
  folder_leave();
}

TEST(what_cannot_be_mapped_is_copied_or_refused) {
  char file[200], swapped[24] = {0};
  folder_enter();
  tv_npy_options o = TV_NPY_OPTIONS;
  bool is_mapped = true;
  o.map = TV_NPY_MAP;
  o.is_mapped = &is_mapped;
  file_put("x.npy", file, make(file, HEADER, 9, six, sizeof six));
  HOLDS(tv_npy_load("x.npy", &o), 1, 2, 3, 4, 5, 6);
  CHECK(!is_mapped);
  o.require_map = true;
  FAILS(TV_EUNSUPPORTED, "npy_load: x.npy: cannot be mapped: its elements are misaligned",
        tv_npy_load("x.npy", &o));
  file_put("x.npy", file, make(file, SWAPPED, 10, swapped, 24));
  FAILS(TV_EUNSUPPORTED, "npy_load: x.npy: cannot be mapped: its bytes are swapped",
        tv_npy_load("x.npy", &o));
  static const char empty[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }";
  file_put("x.npy", file, make(file, empty, 0, six, 0));
  SHAPE_IS(tv_npy_load("x.npy", &o), TV_SHAPE(0, 3)); /* there is nothing to copy */
  folder_leave();
}

TEST(saving_over_a_mapped_file_is_safe) {
  char file[200];
  folder_enter();
  file_put("x.npy", file, make_six(file));
  tv_npy_options o = TV_NPY_OPTIONS;
  o.map = TV_NPY_MAP;
  tv_tensor *x = tv_npy_load("x.npy", &o);
  OK(tv_npy_save("x.npy", tv_zeros(TV_U8, TV_SHAPE(1)), NULL));
  HOLDS(x, 1, 2, 3, 4, 5, 6);
  HOLDS(tv_npy_load("x.npy", &o), 0);
  folder_leave();
}

TEST(bools_are_0_or_1) {
  static const char header[] = "{'descr': '|b1', 'fortran_order': False, 'shape': (4,), }";
  char file[200];
  folder_enter();
  const size_t n = make(file, header, 0, "\0\1\2\1", 4);
  file_put("x.npy", file, n);
  for (int map = TV_NPY_COPY; map <= TV_NPY_MAP_WRITABLE; map++) {
    tv_npy_options o = TV_NPY_OPTIONS;
    o.map = (tv_npy_map)map;
    FAILS(TV_EFORMAT, "npy_load: x.npy: byte 70: found 2 as bool 2, expected 0 or 1",
          tv_npy_load("x.npy", &o));
  }
  file[n - 2] = 0;
  HOLDS(tv_npy_read_memory(file, (int64_t)n, NULL), 0, 1, 0, 1);
  folder_leave();
}

/* A pipe that delivers n bytes in pieces. */
typedef struct feed {
  const char *bytes;
  size_t n, piece;
  int fd;
} feed;

static void *feeder(void *user) {
  const feed *f = user;
  for (size_t done = 0; done < f->n;) {
    const size_t want = f->n - done < f->piece ? f->n - done : f->piece;
    const ssize_t now = write(f->fd, f->bytes + done, want);
    if (now <= 0) break;
    done += (size_t)now;
  }
  close(f->fd);
  return NULL;
}

static tv_tensor *through_pipe(const char *bytes, size_t n, size_t piece) {
  int ends[2];
  pthread_t thread;
  CHECK(pipe(ends) == 0);
  feed f = {bytes, n, piece, ends[1]};
  CHECK(pthread_create(&thread, NULL, feeder, &f) == 0);
  tv_tensor *x = tv_npy_read_fd(ends[0], "pipe", NULL);
  char rest[4096];
  while (read(ends[0], rest, sizeof rest) > 0) continue;
  pthread_join(thread, NULL);
  close(ends[0]);
  return x;
}

TEST(streams_are_read_in_pieces) {
  char file[200];
  const size_t n = make_six(file);
  for (size_t piece = 1; piece < 100; piece += 7) {
    HOLDS(through_pipe(file, n, piece), 1, 2, 3, 4, 5, 6);
  }
  for (size_t cut = 0; cut < n; cut += 3) {
    CHECK(!through_pipe(file, cut, 64));
    EQUAL(tv_error(), TV_EFORMAT);
    tv_error_clear();
  }
}

TEST(a_stream_is_believed_as_far_as_it_delivers) {
  static const char header[] = "{'descr': '|u1', 'fortran_order': False, 'shape': (%lld,), }";
  const int64_t n = 5000001;
  char text[100], *file = malloc((size_t)n + 200);
  snprintf(text, sizeof text, header, (long long)n);
  unsigned char *data = malloc((size_t)n);
  for (int64_t i = 0; i < n; i++) data[i] = (unsigned char)(i * 7 % 251);
  const size_t size = make(file, text, 0, data, (size_t)n);
  tv_tensor *x = through_pipe(file, size, 65536);
  OK(x);
  CHECK(!memcmp(tv_tensor_data(x), data, (size_t)n));
  for (int64_t k = 1; k < 20; k++) { /* storage is made anew as it grows */
    tvi_memory_fail(k, false);
    x = through_pipe(file, size, 65536);
    tvi_memory_fail(0, false);
    CHECK(x || tv_error() == TV_ENOMEM);
    tv_error_clear();
  }
  snprintf(text, sizeof text, header, 4000000000000000000LL);
  FAILS(TV_EFORMAT, /* and not for want of memory: storage grows with what arrives */
        "npy_read_fd: pipe: byte 86: found the end of the file, expected 4000000000000000000 bytes "
        "for "
        "shape [4000000000000000000] of uint8",
        through_pipe(file, make(file, text, 0, data, 0), 100));
  free(data);
  free(file);
}

TEST(arrays_one_after_another_are_read_in_turn) {
  char file[400];
  const size_t one = make_six(file), two = make(file + one, FORTRAN, 1, six, sizeof six);
  folder_enter();
  file_put("x.npy", file, one + two);
  const int fd = open("x.npy", O_RDONLY);
  HOLDS(tv_npy_read_fd(fd, "x", NULL), 1, 2, 3, 4, 5, 6);
  HOLDS(tv_npy_read_fd(fd, "x", NULL), 1, 3, 5, 2, 4, 6);
  FAILS(TV_EFORMAT,
        "npy_read_fd: x: byte 0: found the end of the file, expected magic, version and length",
        tv_npy_read_fd(fd, "x", NULL));
  close(fd);
  folder_leave();
}

TEST(any_call_may_fail) {
  static const int errors[] = {EIO, EINTR, FAULT_SHORT};
  char file[200];
  folder_enter();
  file_put("x.npy", file, make_six(file));
  for (int map = TV_NPY_COPY; map <= TV_NPY_MAP; map++) {
    tv_npy_layout layout = TV_NPY_LAYOUT;
    for (int64_t n = 1; faults_begin(n, EIO); n++) {
      const tv_status status = tv_npy_info("x.npy", NULL, &layout);
      faults_end();
      CHECK(status == TV_EIO || n > 5);
      tv_error_clear();
    }
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
      tv_npy_options o = TV_NPY_OPTIONS;
      o.map = (tv_npy_map)map;
      int64_t n = 1;
      for (; faults_begin(n, errors[i]); n++) {
        const int descriptors = open_descriptors();
        tv_tensor *x = tv_npy_load("x.npy", &o);
        faults_end();
        EQUAL(open_descriptors(), descriptors);
        if (x) HOLDS(x, 1, 2, 3, 4, 5, 6);
        if (!x) EQUAL(tv_error(), TV_EIO);
        CHECK(x || errors[i] != FAULT_SHORT);
        tv_error_clear();
      }
      CHECK(n > 6);
    }
  }
  folder_leave();
}

/* Somebody shortens the file behind the first read. */
static ssize_t shrinking_read(int fd, void *out, size_t bytes) {
  return truncate("x.npy", 90) ? -1 : read(fd, out, bytes);
}

TEST(a_file_that_shrinks_while_it_is_read_is_refused) {
  char file[200];
  folder_enter();
  file_put("x.npy", file, make_six(file));
  const tvi_system real = tvi_sys;
  tvi_sys.read = shrinking_read;
  tv_tensor *x = tv_npy_load("x.npy", NULL);
  tvi_sys = real;
  FAILS(
      TV_EFORMAT,
      "npy_load: x.npy: byte 90: found the end of the file, expected 24 bytes for shape [2, 3] of "
      "float32",
      x);
  folder_leave();
}

TEST(any_allocation_may_fail) {
  char file[200];
  folder_enter();
  file_put("x.npy", file, make_six(file));
  for (int map = TV_NPY_COPY; map <= TV_NPY_MAP_WRITABLE; map++) {
    tv_npy_options o = TV_NPY_OPTIONS;
    o.map = (tv_npy_map)map;
    tv_tensor *x = NULL;
    for (int64_t n = 1; !x; n++) {
      const int64_t live = tv_live_handles();
      tvi_memory_fail(n, false);
      x = tv_npy_load("x.npy", &o);
      tvi_memory_fail(0, false);
      if (!x) EQUAL(tv_error(), TV_ENOMEM);
      if (!x) EQUAL(tv_live_handles(), live);
      tv_error_clear();
    }
    HOLDS(x, 1, 2, 3, 4, 5, 6);
  }
  folder_leave();
}

TEST(special_files_are_refused_at_once) {
  FAILS(TV_EIO, "npy_load: /: cannot read: Is a directory", tv_npy_load("/", NULL));
  FAILS(
      TV_EFORMAT,
      "npy_load: /dev/null: byte 0: found the end of the file, expected magic, version and length",
      tv_npy_load("/dev/null", NULL));
  FAILS(TV_EFORMAT,
        "npy_load: /dev/zero: byte 0: found \\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00 "
        "(unknown), "
        "expected the magic of a .npy file",
        tv_npy_load("/dev/zero", NULL));
  CHECK(!tv_npy_load("/proc/self/status", NULL)); /* a regular file of size 0 with bytes in it */
  EQUAL(tv_error(), TV_EFORMAT);
  tv_error_clear();
}

TEST(arguments_without_meaning_are_refused) {
  tv_npy_options o = TV_NPY_OPTIONS;
  tv_npy_layout layout = TV_NPY_LAYOUT;
  FAILS(TV_EVALUE, "npy_load: path is NULL", tv_npy_load(NULL, NULL));
  FAILS(TV_EVALUE, "npy_read_fd: name is NULL", tv_npy_read_fd(0, NULL, NULL));
  FAILS(TV_EVALUE, "npy_read_fd: fd is -1", tv_npy_read_fd(-1, "x", NULL));
  FAILS(TV_EVALUE, "npy_read_memory: bytes is NULL", tv_npy_read_memory(NULL, 1, NULL));
  FAILS(TV_EFORMAT,
        "npy_read_memory: byte 0: found the end of the file, expected magic, version and length",
        tv_npy_read_memory(NULL, 0, NULL));
  FAILS(TV_EVALUE, "npy_read_memory: size is -1", tv_npy_read_memory("", -1, NULL));
  FAILS(TV_EVALUE, "npy_read_callback: read is NULL", tv_npy_read_callback(NULL, NULL, "x", NULL));
  FAILS_STATUS(TV_EVALUE, "npy_info: path is NULL", tv_npy_info(NULL, NULL, &layout));
  FAILS_STATUS(TV_EVALUE, "npy_info: layout is NULL", tv_npy_info("x", NULL, NULL));
  o.map = (tv_npy_map)3;
  FAILS(TV_EVALUE, "npy_load: map is 3, which is none", tv_npy_load("x", &o));
  o.map = TV_NPY_COPY;
  o.n_index = -1;
  FAILS(TV_EVALUE, "npy_load: index has -1 terms, and is NULL", tv_npy_load("x", &o));
  o.n_index = 1;
  FAILS(TV_EVALUE, "npy_load: index has 1 terms, and is NULL", tv_npy_load("x", &o));
  o.index = &(tv_index)TV_AT(0);
  o.slice = "0";
  FAILS(TV_EVALUE, "npy_load: both slice and index are given", tv_npy_load("x", &o));
  o = (tv_npy_options)TV_NPY_OPTIONS;
  o.dtype = TV_DTYPE_COUNT;
  FAILS(TV_EDTYPE, "npy_load: 15 is no dtype", tv_npy_load("x", &o));
  o.dtype = TV_F32;
  o.refuse = 8;
  FAILS(TV_EVALUE, "npy_load: 8 is no sum of what may be refused", tv_npy_load("x", &o));
  o = (tv_npy_options)TV_NPY_OPTIONS;
  tv_cast_report report = {0, 0, 0, 0, 0};
  o.report = &report;
  CHECK(!tv_npy_load("x", &o));
  EQUAL(tv_error(), TV_EVALUE);
  tv_error_clear();
  o = (tv_npy_options)TV_NPY_OPTIONS;
  o.device = 1000;
  CHECK(!tv_npy_load("x", &o));
  EQUAL(tv_error(), TV_EDEVICE);
  tv_error_clear();
  o.size = 0;
  CHECK(!tv_npy_load("x", &o));
  EQUAL(tv_error(), TV_EVALUE);
  tv_error_clear();
  layout.size = 0;
  EQUAL(tv_npy_info("x", NULL, &layout), TV_EVALUE);
  tv_error_clear();
  o = (tv_npy_options)TV_NPY_OPTIONS;
  o.layout = &layout;
  CHECK(!tv_npy_load("x", &o));
  EQUAL(tv_error(), TV_EVALUE);
  tv_error_clear();
}

TEST(the_data_of_the_tree_are_read) {
  tv_tensor *images = tv_npy_load(TV_DATA "/digits_images.npy", NULL);
  SHAPE_IS(images, TV_SHAPE(1797, 8, 8));
  EQUAL(tv_tensor_dtype(images), TV_U8);
  tv_tensor *features = tv_npy_load(TV_DATA "/cancer_features.npy", NULL); /* in Fortran order */
  SHAPE_IS(features, TV_SHAPE(569, 30));
  CHECK(!tv_tensor_is_contiguous(features));
}

TEST_MAIN("npy_read", CASE(memory_is_read), CASE(fortran_order_is_a_view),
          CASE(the_other_order_is_swapped), CASE(a_file_cut_at_any_byte_is_refused),
          CASE(versions_2_and_3_are_read_and_refused_when_cut), CASE(any_device_may_be_asked_for),
          CASE(info_tells_the_header), CASE(maps_show_the_files_own_pages),
          CASE(a_writable_map_is_written_in_place_and_the_file_keeps_its_bytes),
          CASE(what_cannot_be_mapped_is_copied_or_refused), CASE(saving_over_a_mapped_file_is_safe),
          CASE(bools_are_0_or_1), CASE(streams_are_read_in_pieces),
          CASE(a_stream_is_believed_as_far_as_it_delivers),
          CASE(arrays_one_after_another_are_read_in_turn), CASE(any_call_may_fail),
          CASE(a_file_that_shrinks_while_it_is_read_is_refused), CASE(any_allocation_may_fail),
          CASE(special_files_are_refused_at_once), CASE(arguments_without_meaning_are_refused),
          CASE(the_data_of_the_tree_are_read))
