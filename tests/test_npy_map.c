/* SPDX-License-Identifier: MIT
 * Loading parts of .npy files by map: which pages, what is refused, what the system is told. */
#include <stdio.h>
#include <sys/mman.h>

#include "faults.h"
#include "io/endian.h"
#include "npy_bytes.h"

static struct {
  int64_t mapped, unmapped;
  int advice;
} seen;
static tvi_system real;

static void *count_map(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
  seen.mapped += (int64_t)n;
  return real.mmap(at, n, protection, flags, fd, offset);
}
static int count_unmap(void *at, size_t n) {
  seen.unmapped += (int64_t)n;
  return real.munmap(at, n);
}
static int note_advice(void *at, size_t n, int advice) {
  seen.advice = advice;
  return real.madvise(at, n, advice);
}

static void watch(void) {
  real = tvi_sys;
  seen.mapped = seen.unmapped = 0;
  seen.advice = -1;
  tvi_sys.mmap = count_map;
  tvi_sys.munmap = count_unmap;
  tvi_sys.madvise = note_advice;
}

static tv_tensor *map(const char *slice, const char *field, bool *is_mapped) {
  tv_npy_options o = TV_NPY_OPTIONS;
  o.map = TV_NPY_MAP;
  o.slice = slice;
  o.field = field;
  o.is_mapped = is_mapped;
  return tv_npy_load("x.npy", &o);
}

TEST(a_part_maps_its_own_pages) {
  if (tvi_host_is_big_endian()) SKIP("files are little-endian: nothing is mapped here");
  folder_enter();
  tv_tensor *const x = OK(tv_reshape(tv_arange(TV_F32, 0, 1 << 20, 1), TV_SHAPE(1024, 1024)));
  OK(tv_npy_save("x.npy", x, NULL));
  static const char *const parts[] = {"10:12",   "::-1, 5",     "3, 4",        "100:200:7, ::-3",
                                      "-1, :10", "None, 5, 1:", "::1023, ::-1"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    tv_scope scope;
    bool is_mapped = false;
    OK(tv_scope_begin(&scope));
    watch();
    tv_tensor *const y = OK(map(parts[i], NULL, &is_mapped));
    tvi_sys = real;
    CHECK(is_mapped);
    SAME(y, tv_slice(x, parts[i]));
    if (!i) CHECK(seen.mapped <= 2 * 4096 + 2 * 4096);
    watch();
    OK(tv_scope_end(&scope, NULL));
    CHECK(seen.unmapped > 0);
    tvi_sys = real;
  }
  bool is_mapped = true;
  SHAPE_IS(map("5:5", NULL, &is_mapped), TV_SHAPE(0, 1024));
  CHECK(!is_mapped); /* nothing of size 0 is */
  folder_leave();
}

TEST(fields_are_mapped_where_they_are_aligned) {
  static const char header[] =
      "{'descr': [('a', '<i4'), ('b', '|b1'), ('c', '<i4')], 'fortran_order': False, 'shape': "
      "(3,)} ";
  unsigned char records[27] = {0};
  for (int i = 0; i < 3; i++) {
    records[9 * i] = (unsigned char)(i + 1);
    records[9 * i + 4] = i == 1;
  }
  folder_enter();
  npy_bytes file = npy_bytes_of(header, records, sizeof records);
  file_put("x.npy", file.bytes, (size_t)file.n);
  bool is_mapped = false;
  HOLDS(map(NULL, "b", &is_mapped), 0, 1, 0);
  CHECK(is_mapped);
  HOLDS(map(NULL, "a", &is_mapped), 1, 2, 3); /* 9 bytes apart: copied */
  CHECK(!is_mapped);
  file.bytes[file.n - 27 + 4 + 18] = 2;
  file_put("x.npy", file.bytes, (size_t)file.n);
  char message[100];
  snprintf(message, sizeof message, "npy_load: x.npy: byte %d: found 2 as bool 22, expected 0 or 1",
           (int)file.n - 5);
  FAILS(TV_EFORMAT, message, map(NULL, "b", &is_mapped));
  FAILS(TV_EFORMAT, message, map("::-1", "b", &is_mapped));
  HOLDS(map("1", "b", &is_mapped), 1); /* what is not read is not checked */
  free(file.bytes);
  folder_leave();
}

TEST(advice_is_passed_on) {
  if (tvi_host_is_big_endian()) SKIP("files are little-endian: nothing is mapped here");
  static const int told[] = {-1, POSIX_MADV_SEQUENTIAL, POSIX_MADV_RANDOM, POSIX_MADV_WILLNEED};
  folder_enter();
  OK(tv_npy_save("x.npy", tv_ones(TV_F32, TV_SHAPE(10)), NULL));
  for (int advice = TV_NPY_NORMAL; advice <= TV_NPY_WILL_NEED; advice++) {
    tv_npy_options o = TV_NPY_OPTIONS;
    o.map = TV_NPY_MAP;
    o.advice = (tv_npy_advice)advice;
    watch();
    OK(tv_npy_load("x.npy", &o));
    tvi_sys = real;
    EQUAL(seen.advice, told[advice]);
  }
  tv_npy_options o = TV_NPY_OPTIONS;
  o.advice = (tv_npy_advice)4;
  FAILS(TV_EVALUE, "npy_load: advice is 4, which is none", tv_npy_load("x.npy", &o));
  folder_leave();
}

TEST(what_a_required_map_cannot_do_is_refused) {
  if (tvi_host_is_big_endian()) SKIP("files are little-endian: nothing is mapped here");
  folder_enter();
  OK(tv_npy_save("x.npy", tv_ones(TV_F32, TV_SHAPE(10)), NULL));
  tv_npy_options o = TV_NPY_OPTIONS;
  float out[10];
  o.map = TV_NPY_MAP;
  o.require_map = true;
  o.dtype = TV_F32;
  OK(tv_npy_load("x.npy", &o)); /* the dtype that it has */
  o.dtype = TV_F64;
  FAILS(TV_EUNSUPPORTED, "npy_load: x.npy: cannot be mapped: its elements are to be converted",
        tv_npy_load("x.npy", &o));
  o.out = out;
  o.capacity = sizeof out;
  FAILS(TV_EUNSUPPORTED, "npy_load: x.npy: cannot be mapped: it goes into the caller's memory",
        tv_npy_load("x.npy", &o));
  folder_leave();
}

TEST_MAIN("npy_map", CASE(a_part_maps_its_own_pages),
          CASE(fields_are_mapped_where_they_are_aligned), CASE(advice_is_passed_on),
          CASE(what_a_required_map_cannot_do_is_refused))
