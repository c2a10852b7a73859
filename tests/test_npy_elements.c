/* SPDX-License-Identifier: MIT
 * The elements of .npy files by copy: slices held against those of the whole array in memory,
 * through every door; conversions, the caller's memory, devices, progress. */
#include <math.h>

#include "far.h"
#include "faults.h"
#include "memory.h"
#include "npy_bytes.h"

/* 0 .. n - 1 in a shape */
static tv_tensor *counted(tv_dtype dtype, int rank, const int64_t *shape) {
  int64_t n = 1;
  for (int k = 0; k < rank; k++) n *= shape[k];
  tv_tensor *const x = tv_arange(TV_I64, 0, (double)n, 1);
  if (dtype == TV_BOOL)
    return tv_reshape(tv_equal(tv_remainder(x, tv_scalar(3)), tv_scalar(1)), rank, shape);
  return tv_astype(tv_reshape(tv_remainder(x, tv_scalar(120)), rank, shape), dtype);
}

enum { DOORS = 5 };

static tv_tensor *through(int door, npy_bytes *file, const tv_npy_options *o) {
  tv_tensor *x = NULL;
  if (door == 0) return tv_npy_read_memory(file->bytes, file->n, o);
  if (door == 1) {
    file->at = 0;
    return tv_npy_read_callback(npy_bytes_read, file, "short", o);
  }
  file_put("x.npy", file->bytes, (size_t)file->n);
  tv_npy_options mapped = *o;
  mapped.map = TV_NPY_MAP;
  if (door == 2) return tv_npy_load("x.npy", o);
  if (door == 3) return tv_npy_load("x.npy", &mapped);
  const int fd = open("x.npy", O_RDONLY);
  x = tv_npy_read_fd(fd, "x.npy", o);
  EQUAL(lseek(fd, 0, SEEK_CUR), file->n); /* behind the array, whatever part was read */
  close(fd);
  return x;
}

static const char *const slices[] = {
    "...",         "1:3",     "-1",          "::-1",          "0:0",          "2, 1",
    ":, 2",        ":, ::-2", "..., 4:1:-1", "1::2, 1:, ::3", "None, ..., 0", "::-1, ::-1, ::-1",
    ":, 1:3, 2:4", "3, :, 0", "3, 4, 5",     "..., 5:5",      "1:, None, 2",  "::3, 4::-3, 1"};

TEST(slices_are_those_of_the_whole) {
  static const tv_dtype dtypes[] = {TV_BOOL, TV_I8,  TV_F16, TV_BF16,
                                    TV_F32,  TV_U64, TV_C64, TV_C128};
  folder_enter();
  for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
    for (int form = 0; form < 4; form++) {
      tv_scope scope;
      OK(tv_scope_begin(&scope));
      const bool is_big = form % 2 && dtypes[d] != TV_BF16;
      tv_tensor *const x = counted(dtypes[d], TV_SHAPE(4, 5, 6));
      npy_bytes file = npy_bytes_saved(x, form / 2 ? TV_NPY_ORDER_FORTRAN : TV_NPY_ORDER_C, is_big);
      for (size_t s = 0; s < sizeof slices / sizeof *slices; s++) {
        tv_npy_options o = TV_NPY_OPTIONS;
        o.slice = slices[s];
        o.void2_is_bf16 = true;
        tv_tensor *const want = OK(tv_slice(x, slices[s]));
        for (int door = 0; door < DOORS; door++) SAME(through(door, &file, &o), want);
      }
      free(file.bytes);
      OK(tv_scope_end(&scope, NULL));
    }
  }
  folder_leave();
}

TEST(terms_are_taken_as_well_as_text) {
  tv_tensor *const x = counted(TV_F32, TV_SHAPE(6, 3));
  npy_bytes file = npy_bytes_saved(x, TV_NPY_ORDER_C, false);
  const tv_index terms[] = {TV_RANGE(1, 5, 2), TV_AT(-1)};
  tv_npy_options o = TV_NPY_OPTIONS;
  o.n_index = 2;
  o.index = terms;
  HOLDS(through(0, &file, &o), 5, 11);
  free(file.bytes);
}

/* Rows and gaps larger than a block, and blocks that end within both. */
TEST(large_arrays_are_read_in_blocks) {
  tv_tensor *const x = OK(tv_reshape(tv_arange(TV_I32, 0, 1200000, 1), TV_SHAPE(3, 4, 100000)));
  npy_bytes file = npy_bytes_saved(x, TV_NPY_ORDER_C, true);
  static const char *const parts[] = {"...",
                                      "1",
                                      "::2",
                                      ":, 1::2",
                                      "..., ::7",
                                      "..., 99999",
                                      ":, ::3, 5",
                                      "..., 70000:20:-1",
                                      "::-1, :, 9:99990",
                                      ":, 2"};
  folder_enter();
  for (size_t s = 0; s < sizeof parts / sizeof *parts; s++) {
    for (int wide = 0; wide < 2; wide++) {
      tv_npy_options o = TV_NPY_OPTIONS;
      o.slice = parts[s];
      o.dtype = wide ? TV_F64 : TV_DTYPE_NONE;
      tv_tensor *want = tv_slice(x, parts[s]);
      if (wide) want = tv_astype(want, TV_F64);
      for (int door = 0; door < DOORS; door += 2) SAME(through(door, &file, &o), want);
    }
  }
  folder_leave();
  free(file.bytes);
}

TEST(only_what_is_wanted_is_read) {
  tv_tensor *const x = OK(tv_reshape(tv_arange(TV_U8, 0, 1, 0.0000001), TV_SHAPE(-1, 1000000)));
  folder_enter();
  OK(tv_npy_save("x.npy", x, NULL));
  tv_npy_options o = TV_NPY_OPTIONS;
  o.slice = "5:7, 10";
  faults_begin(1, FAULT_SHORT); /* opening knows no short; calls are counted */
  OK(tv_npy_load("x.npy", &o));
  const int64_t calls = faults.calls;
  faults_end();
  CHECK(calls < 20);
  folder_leave();
}

TEST(dtypes_are_converted_while_reading) {
  const double values[] = {0, 1.5, -2.25, 1e300, -1e300, 70000, 3};
  tv_tensor *const x = OK(tv_tensor_from_memory(values, TV_F64, TV_SHAPE(7), NULL));
  npy_bytes file = npy_bytes_saved(x, TV_NPY_ORDER_C, true);
  tv_cast_report lost = TV_CAST_REPORT;
  tv_npy_options o = TV_NPY_OPTIONS;
  o.dtype = TV_F32;
  o.slice = "::-1";
  FAILS(TV_EVALUE, "npy_read_memory: from float64 to float32: overflow, first at 3",
        through(0, &file, &o));
  o.report = &lost;
  o.refuse = 0;
  folder_enter();
  for (int door = 0; door < DOORS; door++) {
    tv_tensor *const y = OK(through(door, &file, &o));
    EQUAL(tv_tensor_dtype(y), TV_F32);
    SAME(y, tv_astype(tv_slice(x, "::-1"), TV_F32));
    EQUAL(lost.n_overflow, 2);
    EQUAL(lost.n_inexact, 0);
    EQUAL(lost.first, 3); /* -1e300: the first of them in the file */
  }
  folder_leave();
  o.slice = "5:";
  SAME(through(0, &file, &o), tv_slice(tv_astype(x, TV_F32), "5:"));
  EQUAL(lost.n_overflow, 0);
  EQUAL(lost.first, -1);
  o.slice = NULL;
  o.dtype = TV_I32;
  o.refuse = TV_REFUSE_INEXACT;
  FAILS(TV_EVALUE,
        "npy_read_memory: from float64 to int32: 2 overflow, 2 inexact, 0 NaN to integer; first at "
        "1",
        through(0, &file, &o));
  EQUAL(lost.n_inexact, 2);
  free(file.bytes);
}

/* Every pair of dtypes, in blocks, as tv_cast_checked. */
TEST(every_conversion_is_that_of_cast_checked) {
  for (int from = 0; from < TV_DTYPE_COUNT; from++) {
    if (from == TV_BF16) continue;
    tv_tensor *x = counted((tv_dtype)from, TV_SHAPE(3, 50));
    if (tv_tensor_dtype(x) == TV_F32 || tv_tensor_dtype(x) == TV_F64)
      x = tv_divide(tv_subtract(x, tv_scalar(60)), tv_astype(tv_scalar(.0001), (tv_dtype)from));
    npy_bytes file = npy_bytes_saved(x, TV_NPY_ORDER_KEEP, false);
    for (int to = 0; to < TV_DTYPE_COUNT; to++) {
      tv_cast_report lost = TV_CAST_REPORT, want = TV_CAST_REPORT;
      tv_npy_options o = TV_NPY_OPTIONS;
      o.dtype = (tv_dtype)to;
      o.refuse = 0;
      o.report = &lost;
      const bool is_complex = from >= TV_C64 && to < TV_C64 && to != TV_BOOL;
      tv_tensor *const y = through(0, &file, &o), *const z = is_complex
                                                                 ? NULL
                                                                 : tv_cast_checked(x, (tv_dtype)to,
                                                                                   0, &want);
      if (is_complex) {
        EQUAL(tv_error(), TV_EDTYPE);
        tv_error_clear();
        continue;
      }
      SAME(y, z);
      EQUAL(lost.n_overflow, want.n_overflow);
      EQUAL(lost.n_inexact, want.n_inexact);
      EQUAL(lost.first, want.first);
      for (unsigned refuse = TV_REFUSE_OVERFLOW; refuse <= TV_REFUSE_ANY_LOSS; refuse++) {
        const bool is_bad = (refuse & TV_REFUSE_OVERFLOW && want.n_overflow) ||
                            (refuse & TV_REFUSE_INEXACT && want.n_inexact) ||
                            (refuse & TV_REFUSE_NAN_TO_INTEGER && want.n_nan_to_integer);
        o.refuse = refuse;
        o.report = NULL;
        EQUAL(through(0, &file, &o) != NULL, !is_bad);
        EQUAL(tv_error(), is_bad ? TV_EVALUE : TV_OK);
        tv_error_clear();
      }
    }
    free(file.bytes);
  }
}

TEST(nan_to_integer_is_refused) {
  const float values[] = {1, 2, NAN};
  npy_bytes file = npy_bytes_saved(tv_tensor_from_memory(values, TV_F32, TV_SHAPE(3), NULL),
                                   TV_NPY_ORDER_C, false);
  tv_npy_options o = TV_NPY_OPTIONS;
  for (int to = TV_BOOL; to <= TV_U64; to++) {
    o.dtype = (tv_dtype)to;
    CHECK(!through(0, &file, &o));
    EQUAL(tv_error(), TV_EVALUE);
    tv_error_clear();
  }
  o.dtype = TV_F16;
  CHECK(through(0, &file, &o));
  free(file.bytes);
}

TEST(the_callers_memory_is_filled) {
  tv_tensor *const x = counted(TV_F64, TV_SHAPE(4, 5, 6));
  folder_enter();
  for (int fortran = 0; fortran < 2; fortran++) {
    npy_bytes file = npy_bytes_saved(x, fortran ? TV_NPY_ORDER_FORTRAN : TV_NPY_ORDER_C, fortran);
    for (size_t s = 0; s < sizeof slices / sizeof *slices; s++) {
      for (int door = 0; door < DOORS; door++) {
        float out[120];
        for (int i = 0; i < 120; i++) out[i] = -1;
        tv_npy_options o = TV_NPY_OPTIONS;
        o.slice = slices[s];
        o.dtype = TV_F32;
        o.out = out;
        o.capacity = sizeof out;
        tv_tensor *const want = tv_astype(tv_slice(x, slices[s]), TV_F32);
        tv_tensor *const y = through(door, &file, &o);
        SAME(y, want);
        const int64_t n = tv_tensor_size(want);
        if (n) CHECK(tv_tensor_data(y) == out);
        if (n) CHECK(!memcmp(out, tv_tensor_data(want), (size_t)n * 4));
        for (int64_t i = n; i < 120; i++) EQUAL(out[i], -1);
      }
    }
    free(file.bytes);
  }
  folder_leave();
}

TEST(memory_that_does_not_do_is_refused) {
  double out[3];
  npy_bytes file = npy_bytes_saved(counted(TV_F64, TV_SHAPE(3)), TV_NPY_ORDER_C, false);
  tv_npy_options o = TV_NPY_OPTIONS;
  o.out = out;
  o.capacity = 23;
  FAILS(TV_EVALUE, "npy_read_memory: out has 23 bytes, expected 24 or more", through(0, &file, &o));
  o.capacity = 24;
  o.out = (char *)out + 1;
  FAILS(TV_EVALUE, "npy_read_memory: out is misaligned for float64", through(0, &file, &o));
  o.out = out;
  o.device = far_device();
  FAILS(TV_EDEVICE, "npy_read_memory: out is on cpu, the device asked for is another",
        through(0, &file, &o));
  o.capacity = -1;
  FAILS(TV_EVALUE, "npy_read_memory: capacity is -1", through(0, &file, &o));
  free(file.bytes);
}

TEST(devices_get_elements_block_by_block) {
  tv_tensor *const x = OK(tv_reshape(tv_arange(TV_I32, 0, 600000, 1), TV_SHAPE(2, 3, 100000)));
  folder_enter();
  for (int fortran = 0; fortran < 2; fortran++) {
    npy_bytes file = npy_bytes_saved(x, fortran ? TV_NPY_ORDER_FORTRAN : TV_NPY_ORDER_C, true);
    for (int wide = 0; wide < 2; wide++) {
      for (int door = 0; door < DOORS; door++) {
        tv_npy_options o = TV_NPY_OPTIONS;
        o.device = far_device();
        o.slice = "::-1, 1:";
        o.dtype = wide ? TV_F64 : TV_DTYPE_NONE;
        tv_tensor *want = tv_slice(x, "::-1, 1:");
        if (wide) want = tv_astype(want, TV_F64);
        if (door == 1 && fortran) continue; /* 7 bytes a time take long */
        tv_tensor *const y = OK(through(door, &file, &o));
        EQUAL(tv_tensor_device(y), far_device());
        SAME(tv_to(y, TV_CPU), want);
      }
    }
    free(file.bytes);
  }
  folder_leave();
}

typedef struct watch {
  int calls, stop_at;
  int64_t last, total;
} watch;

static bool note(void *user, int64_t done, int64_t total) {
  watch *const w = user;
  CHECK(done >= w->last && done <= total);
  w->last = done;
  w->total = total;
  return ++w->calls != w->stop_at;
}

TEST(progress_is_told_and_may_stop_it) {
  const int64_t n = 3 << 20;
  npy_bytes file = npy_bytes_saved(OK(tv_zeros(TV_F32, TV_SHAPE(n))), TV_NPY_ORDER_C, false);
  folder_enter();
  for (int door = 0; door < DOORS; door++) {
    watch w = {0, 0, 0, 0};
    tv_npy_options o = TV_NPY_OPTIONS;
    o.progress = note;
    o.progress_user = &w;
    OK(through(door, &file, &o));
    if (door == 3) continue; /* a map reads nothing */
    EQUAL(w.calls, 4);       /* at 0, 4, 8 and 12 MiB */
    EQUAL(w.last, 4 * n);
    EQUAL(w.total, 4 * n);
    for (int stop = 1; stop <= 3; stop++) {
      w = (watch){0, stop, 0, 0};
      CHECK(!through(door == 4 ? 2 : door, &file, &o));
      EQUAL(tv_error(), TV_ECANCELED);
      CHECK(strstr(tv_error_text(), "stopped by the caller after"));
      EQUAL(w.calls, stop);
      tv_error_clear();
    }
  }
  folder_leave();
  free(file.bytes);
}

/* Several threads, of large files
 * ------------------------------------------------------------------ */

enum { LARGE = 3 << 18 }; /* elements: 6 MiB of f64 */

static tv_tensor *large(void) {
  tv_tensor *const x = tv_add(tv_arange(TV_F64, 0, LARGE, 1), tv_scalar(0.125));
  return OK(tv_reshape(x, TV_SHAPE(-1, 1024)));
}

TEST(threads_read_what_one_reads) {
  static const struct {
    tv_npy_order order;
    bool is_big;
    tv_dtype saved, dtype;
    unsigned refuse;
    const char *slice;
  } cases[] = {{TV_NPY_ORDER_C, false, TV_F64, TV_DTYPE_NONE, 0, NULL},
               {TV_NPY_ORDER_C, true, TV_F64, TV_DTYPE_NONE, 0, "3:"},
               {TV_NPY_ORDER_FORTRAN, true, TV_F64, TV_F32, TV_REFUSE_OVERFLOW, NULL},
               {TV_NPY_ORDER_C, false, TV_F64, TV_I32, TV_REFUSE_OVERFLOW, NULL},
               {TV_NPY_ORDER_C, false, TV_F64, TV_C64, 0, "::-1, 1:"},
               {TV_NPY_ORDER_C, false, TV_F64, TV_DTYPE_NONE, 0, "1:, ::3"},
               {TV_NPY_ORDER_FORTRAN, false, TV_F64, TV_F32, 0, "5:, ::-2"},
               {TV_NPY_ORDER_C, true, TV_C128, TV_DTYPE_NONE, 0, "..., 1::511"}};
  /* And rows of more than is read between two tellings. */
  static const char *const wide[] = {"1:", ":, 1:", ":, :100000:7"};
  folder_enter();
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    tv_scope scope;
    OK(tv_scope_begin(&scope));
    tv_tensor *const x = OK(tv_astype(large(), cases[c].saved));
    npy_bytes file = npy_bytes_saved(x, cases[c].order, cases[c].is_big);
    tv_tensor *want = cases[c].slice ? OK(tv_slice(x, cases[c].slice)) : x;
    if (cases[c].dtype != TV_DTYPE_NONE) want = OK(tv_astype(want, cases[c].dtype));
    tv_npy_options o = TV_NPY_OPTIONS;
    o.slice = cases[c].slice;
    o.dtype = cases[c].dtype;
    o.refuse = cases[c].refuse;
    for (int threads = 1; threads <= 4; threads++) {
      OK(tv_threads_set(threads));
      for (int door = 0; door < DOORS; door += 2) SAME(through(door, &file, &o), want);
      void *const out = calloc(1, (size_t)tv_tensor_bytes(want));
      o.out = out;
      o.capacity = tv_tensor_bytes(want);
      SAME(OK(through(2, &file, &o)), want);
      o.out = NULL;
      free(out);
    }
    free(file.bytes);
    OK(tv_scope_end(&scope, NULL));
  }
  tv_tensor *const rows = OK(tv_reshape(tv_arange(TV_I32, 0, 5 << 20, 1), TV_SHAPE(2, -1)));
  for (int k = 0; k < 3; k++) {
    npy_bytes file = npy_bytes_saved(rows, TV_NPY_ORDER_C, k == 1);
    watch w = {0, 0, 0, 0};
    tv_npy_options o = TV_NPY_OPTIONS;
    o.slice = wide[k];
    o.dtype = k == 2 ? TV_F64 : TV_DTYPE_NONE;
    tv_tensor *const want = OK(tv_astype(tv_slice(rows, wide[k]), k == 2 ? TV_F64 : TV_I32));
    for (int threads = 1; threads <= 4; threads++) {
      OK(tv_threads_set(threads));
      o.progress = NULL;
      SAME(OK(through(2, &file, &o)), want);
      o.progress = note;
      o.progress_user = &w;
      w = (watch){0, 0, 0, 0};
      SAME(OK(through(2, &file, &o)), want);
      CHECK(w.calls >= 1 + w.total / (8 << 20) && w.last == w.total);
    }
    free(file.bytes);
  }
  OK(tv_threads_set(0));
  folder_leave();
}

TEST(threads_fail_as_one_does) {
  double *const values = calloc(LARGE, sizeof *values);
  const int64_t first[] = {LARGE - 1, 700000, 300001, 300000};
  folder_enter();
  for (int k = 0; k < 4; k++) {
    values[first[k]] = -1e300;
    tv_tensor *const x = OK(tv_tensor_from_memory(values, TV_F64, TV_SHAPE(LARGE), NULL));
    npy_bytes file = npy_bytes_saved(x, TV_NPY_ORDER_C, k % 2);
    tv_cast_report lost[4];
    char said[4][512];
    for (int threads = 1; threads <= 4; threads++) {
      lost[threads - 1] = (tv_cast_report)TV_CAST_REPORT;
      OK(tv_threads_set(threads));
      tv_npy_options o = TV_NPY_OPTIONS;
      o.dtype = TV_F32;
      CHECK(!through(2, &file, &o));
      EQUAL(tv_error(), TV_EVALUE);
      memcpy(said[threads - 1], tv_error_text(), strlen(tv_error_text()) + 1);
      SAME_TEXT(said[threads - 1], said[0]);
      tv_error_clear();
      o.refuse = 0;
      OK(through(2, &file, &o)); /* nobody asks */
      o.report = &lost[threads - 1];
      OK(through(2, &file, &o));
      EQUAL(lost[threads - 1].n_overflow, k + 1);
      EQUAL(lost[threads - 1].first, first[k]);
    }
    snprintf(said[1], sizeof said[1], ": overflow, first at %lld", (long long)first[k]);
    CHECK(strstr(said[0], said[1]));
    free(file.bytes);
  }
  free(values);
  uint8_t *const bools = calloc(9 << 20, 1);
  bools[8 << 20] = 3;
  bools[5000001] = 2;
  static const char header[] = "{'descr': '|b1', 'fortran_order': False, 'shape': (9437184,), }";
  npy_bytes file = npy_bytes_of(header, bools, 9 << 20);
  for (int threads = 1; threads <= 4; threads++) {
    OK(tv_threads_set(threads));
    FAILS(TV_EFORMAT, "npy_load: x.npy: byte 5000075: found 2 as bool 5000001, expected 0 or 1",
          through(2, &file, &(tv_npy_options)TV_NPY_OPTIONS));
  }
  OK(tv_threads_set(0));
  free(file.bytes);
  free(bools);
  folder_leave();
}

/* The file ends while it is read. */
static bool shorten(void *user, int64_t done, int64_t total) {
  (void)user;
  (void)total;
  CHECK(truncate("x.npy", 5000000) == 0);
  return done >= 0;
}

/* A call of the system that fails once may be made again; one that fails on is told, once. */
TEST(threads_tell_failing_reads) {
  tv_tensor *const x = large();
  OK(tv_threads_set(3));
  folder_enter();
  OK(tv_npy_save("x.npy", x, NULL));
  for (int error = 0; error < 2; error++) {
    for (int every = 0; every < 2; every++) {
      tv_tensor *y = NULL;
      const int open = open_descriptors();
      for (int64_t n = 1; faults_begin(n, error ? EIO : FAULT_SHORT); n++) {
        faults.is_every = every && error;
        y = tv_npy_load("x.npy", NULL);
        faults_end();
        EQUAL(tv_error(), y ? TV_OK : TV_EIO);
        if (!error) CHECK(y);
        if (y) SAME(y, x);
        tv_error_clear();
      }
      CHECK(y);
      EQUAL(open_descriptors(), open);
    }
  }
  tv_npy_options o = TV_NPY_OPTIONS;
  o.progress = shorten;
  FAILS(TV_EFORMAT,
        "npy_load: x.npy: byte 5000000: found the end of the file, expected 6291456 bytes for "
        "shape [768, 1024] of float64",
        tv_npy_load("x.npy", &o));
  OK(tv_threads_set(0));
  folder_leave();
}

TEST(a_callback_may_fail_or_end) {
  npy_bytes file = npy_bytes_saved(counted(TV_F32, TV_SHAPE(50)), TV_NPY_ORDER_C, false);
  file.n -= 3;
  FAILS(TV_EFORMAT,
        "npy_read_callback: short: byte 325: found the end of the file, expected 200 bytes for "
        "shape [50] of float32",
        through(1, &file, &(tv_npy_options)TV_NPY_OPTIONS));
  free(file.bytes);
}

TEST(any_allocation_may_fail) {
  tv_tensor *const x = counted(TV_F64, TV_SHAPE(4, 5, 6));
  npy_bytes file = npy_bytes_saved(x, TV_NPY_ORDER_FORTRAN, false);
  float out[120];
  for (int way = 0; way < 3; way++) {
    tv_npy_options o = TV_NPY_OPTIONS;
    o.slice = "1:, ::-1, ::2";
    o.dtype = TV_F32;
    o.refuse = TV_REFUSE_ANY_LOSS;
    if (way == 1) o.out = out;
    if (way == 1) o.capacity = sizeof out;
    if (way == 2) o.device = far_device();
    tv_tensor *y = NULL;
    for (int64_t n = 1; !y; n++) {
      const int64_t live = tv_live_handles();
      tvi_memory_fail(n, false);
      y = through(way == 0, &file, &o);
      tvi_memory_fail(0, false);
      if (!y) EQUAL(tv_error(), TV_ENOMEM);
      if (!y) EQUAL(tv_live_handles(), live);
      tv_error_clear();
    }
    SAME(tv_to(y, TV_CPU), tv_astype(tv_slice(x, o.slice), TV_F32));
  }
  free(file.bytes);
}

TEST_MAIN("npy_elements", CASE(slices_are_those_of_the_whole),
          CASE(terms_are_taken_as_well_as_text), CASE(large_arrays_are_read_in_blocks),
          CASE(only_what_is_wanted_is_read), CASE(dtypes_are_converted_while_reading),
          CASE(every_conversion_is_that_of_cast_checked), CASE(nan_to_integer_is_refused),
          CASE(the_callers_memory_is_filled), CASE(memory_that_does_not_do_is_refused),
          CASE(devices_get_elements_block_by_block), CASE(progress_is_told_and_may_stop_it),
          CASE(threads_read_what_one_reads), CASE(threads_fail_as_one_does),
          CASE(threads_tell_failing_reads), CASE(a_callback_may_fail_or_end),
          CASE(any_allocation_may_fail))
