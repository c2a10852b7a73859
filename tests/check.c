/* SPDX-License-Identifier: MIT
 * The words of check.h, and the two drivers that run cases: cmocka where it was found, else a plain
 * loop that prints one line a case. A word that is not true leaves its case by a jump, so a driver
 * ends the case's scope itself, whichever way the case went. */
#include "check.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef TV_WITH_CMOCKA
#include <cmocka.h> /* wants the headers above before it */
#endif

/* Around a case ------------------------------------------------------------------------------- */

/* What a case must leave as it found it. */
static struct {
  tv_scope scope;
  int64_t handles, bytes;
} before;

static tv_device device; /* that each case begins on */

tv_device check_device(void) { return device; }

static int64_t bytes_in_use(void) {
  tv_memory_stats stats = {0}, there = {0};
  tv_device_memory(TV_CPU, &stats);
  if (device != TV_CPU) tv_device_memory(device, &there);
  return stats.bytes + there.bytes;
}

/* 0, or 1 after saying what is wrong. */
static int case_begin(void) {
  if (tv_device_set(device) != TV_OK) {
    fprintf(stderr, "no device for the case: %s\n", tv_error_text());
    return 1;
  }
  before.handles = tv_live_handles();
  before.bytes = bytes_in_use();
  if (tv_scope_begin(&before.scope) == TV_OK) return 0;
  fprintf(stderr, "no scope for the case: %s\n", tv_error_text());
  return 1;
}

static int case_end(void) {
  int wrong = 0;
  if (tv_scope_end(&before.scope, NULL) != TV_OK) {
    fprintf(stderr, "the case leaves a failure behind: %s\n", tv_error_text());
    wrong = 1;
  }
  tv_error_clear();
  const int64_t handles = tv_live_handles() - before.handles, bytes = bytes_in_use() - before.bytes;
  if (handles || bytes) {
    fprintf(stderr, "the case leaks %" PRId64 " handles and %" PRId64 " bytes\n", handles, bytes);
    wrong = 1;
  }
  return wrong;
}

/* What ctest takes for a skipped test: there were cases, and each was skipped. */
enum { EXIT_SKIPPED = 77 };
static int n_skipped;

static int exit_status(int n, int n_failed) {
  if (n_failed) return EXIT_FAILURE;
  return n && n == n_skipped ? EXIT_SKIPPED : EXIT_SUCCESS;
}

/* The drivers --------------------------------------------------------------------------------- */

#ifdef TV_WITH_CMOCKA

void check_fail(const char *file, int line, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprint_error(format, arguments);
  va_end(arguments);
  print_error("\n");
  _fail(file, line);
  abort(); /* _fail does not return, and does not say so */
}

void check_skip(const char *why) {
  n_skipped++;
  print_message("skipped: %s\n", why);
  skip();
  abort();
}

static void mocked_run(void **state) {
  const check_case *self = *state;
  self->run(self->argument);
}
static int mocked_begin(void **state) { return (void)state, case_begin(); }
static int mocked_end(void **state) { return (void)state, case_end(); }

static int run_cases(const char *group, int n, const check_case *const *cases) {
  struct CMUnitTest *tests = calloc((size_t)n + 1, sizeof *tests);
  if (!tests) return EXIT_FAILURE;
  for (int i = 0; i < n; i++)
    tests[i] = (struct CMUnitTest){cases[i]->name, mocked_run, mocked_begin, mocked_end,
                                   (void *)(uintptr_t)cases[i]};
  const int failed = _cmocka_run_group_tests(group, tests, (size_t)n, NULL, NULL);
  free(tests);
  return exit_status(n, failed);
}

#else

static jmp_buf out_of_case;
enum { FAILED = 1, SKIPPED = 2 };

void check_fail(const char *file, int line, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%s:%d: ", file, line);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  longjmp(out_of_case, FAILED);
}

void check_skip(const char *why) {
  n_skipped++;
  printf("skipped: %s\n", why);
  longjmp(out_of_case, SKIPPED);
}

static int run_case(const check_case *self) {
  if (case_begin()) return FAILED;
  const int jumped = setjmp(out_of_case);
  if (!jumped) self->run(self->argument);
  return case_end() ? FAILED : jumped;
}

static int run_cases(const char *group, int n, const check_case *const *cases) {
  static const char *const words[] = {"ok", "FAILED", "skipped"};
  int n_failed = 0;
  for (int i = 0; i < n; i++) {
    const int result = run_case(cases[i]);
    printf("%-7s %s.%s\n", words[result], group, cases[i]->name);
    fflush(stdout);
    n_failed += result == FAILED;
  }
  return exit_status(n, n_failed);
}

#endif

/* The device ---------------------------------------------------------------------------------- */

static bool device_find(const char *group) {
  const char *const name = getenv("TV_TEST_DEVICE");
  if (!name || tv_device_find(name, &device) == TV_OK) return true;
  fprintf(stderr, "%s: TV_TEST_DEVICE is %s: %s\n", group, name, tv_error_text());
  return false;
}

#undef tv_tensor_data
const void *check_data(tv_tensor *x) {
  const tv_device of_x = x ? tv_tensor_device(x) : TV_CPU;
  if (device == TV_CPU || of_x != device) return tv_tensor_data(x);
  tv_tensor *const near = tv_to(x, TV_CPU);
  return near ? tv_tensor_data(near) : NULL;
}

/* Which cases the arguments name: all, some, or all others. */
static bool choose(const char *group, int n_cases, const check_case *cases, int argc, char **argv,
                   bool *is_chosen) {
  const bool others = argc == 1 || argv[1][0] == '-';
  for (int i = 0; i < n_cases; i++) is_chosen[i] = others;
  for (int a = 1; a < argc; a++) {
    int i = 0;
    while (i < n_cases && strcmp(cases[i].name, argv[a] + others)) i++;
    if (i == n_cases || (argv[a][0] == '-') != others) {
      fprintf(stderr, "%s: there is no case %s\n", group, argv[a]);
      return false;
    }
    is_chosen[i] = !others;
  }
  return true;
}

int check_main(const char *group, int n_cases, const check_case *cases, int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "--list")) {
    for (int i = 0; i < n_cases; i++) puts(cases[i].name);
    return EXIT_SUCCESS;
  }
  const check_case **chosen = calloc((size_t)n_cases + 1, sizeof(check_case *));
  bool *is_chosen = calloc((size_t)n_cases + 1, sizeof(bool));
  int result = EXIT_FAILURE;
  if (chosen && is_chosen && device_find(group) &&
      choose(group, n_cases, cases, argc, argv, is_chosen)) {
    int n = 0;
    for (int i = 0; i < n_cases; i++)
      if (is_chosen[i]) chosen[n++] = &cases[i];
    result = run_cases(group, n, chosen);
  }
  free(chosen);
  free(is_chosen);
  return result;
}

/* The words ----------------------------------------------------------------------------------- */

void check_equal(const char *file, int line, const char *what, int64_t got, int64_t want) {
  if (got != want) check_fail(file, line, "%s is %" PRId64 ", not %" PRId64, what, got, want);
}

void check_same_text(const char *file, int line, const char *what, const char *got,
                     const char *want) {
  if (!got || strcmp(got, want))
    check_fail(file, line, "%s is\n%s\nnot\n%s", what, got ? got : "NULL", want);
}

void check_status_ok(const char *file, int line, const char *what, tv_status status) {
  if (status != TV_OK)
    check_fail(file, line, "%s: %s: %s", what, tv_status_name(status), tv_error_text());
}

tv_tensor *check_tensor_ok(const char *file, int line, const char *what, tv_tensor *x) {
  if (!x) check_fail(file, line, "%s: %s: %s", what, tv_status_name(tv_error()), tv_error_text());
  return x;
}

/* The thread's failure is the one wanted; it is then handled. */
static void check_failure(const char *file, int line, const char *what, tv_status status,
                          const char *text) {
  if (tv_error() != status)
    check_fail(file, line, "%s: %s (%s), not %s", what, tv_status_name(tv_error()), tv_error_text(),
               tv_status_name(status));
  check_same_text(file, line, what, tv_error_text(), text);
  tv_error_clear();
}

void check_fails(const char *file, int line, const char *what, const void *got, tv_status status,
                 const char *text) {
  if (got) check_fail(file, line, "%s: succeeds", what);
  check_failure(file, line, what, status, text);
}

void check_fails_status(const char *file, int line, const char *what, tv_status got,
                        tv_status status, const char *text) {
  if (got != status)
    check_fail(file, line, "%s: returns %s, not %s", what, tv_status_name(got),
               tv_status_name(status));
  check_failure(file, line, what, status, text);
}

static const char *shape_text(char *out, size_t room, int rank, const int64_t *shape) {
  int at = snprintf(out, room, "[");
  for (int i = 0; i < rank && at < (int)room; i++)
    at += snprintf(out + at, room - (size_t)at, i ? ", %" PRId64 : "%" PRId64, shape[i]);
  if (at < (int)room) snprintf(out + at, room - (size_t)at, "]");
  return out;
}

void check_shape(const char *file, int line, const char *what, tv_tensor *x, int rank,
                 const int64_t *shape) {
  char got[256], want[256];
  check_tensor_ok(file, line, what, x);
  const int64_t *of_x = tv_tensor_shape(x);
  if (tv_tensor_rank(x) != rank || (rank && memcmp(of_x, shape, (size_t)rank * sizeof *shape)))
    check_fail(file, line, "%s has shape %s, not %s", what,
               shape_text(got, sizeof got, tv_tensor_rank(x), of_x),
               shape_text(want, sizeof want, rank, shape));
}

/* The elements of x in C order, to be freed. */
static void *elements(const char *file, int line, const char *what, tv_tensor *x) {
  const int64_t bytes = tv_tensor_bytes(x);
  void *out = malloc(bytes ? (size_t)bytes : 1);
  if (!out) check_fail(file, line, "%s: no memory to look at it", what);
  check_status_ok(file, line, what, tv_tensor_copy_out(x, out, bytes));
  return out;
}

void check_holds(const char *file, int line, const char *what, tv_tensor *x, int64_t n,
                 const double *values) {
  check_tensor_ok(file, line, what, x);
  check_equal(file, line, what, tv_tensor_size(x), n);
  double *got = elements(file, line, what, check_tensor_ok(file, line, what, tv_astype(x, TV_F64)));
  int64_t bad = 0;
  while (bad < n && (got[bad] == values[bad] || (isnan(got[bad]) && isnan(values[bad])))) bad++;
  const double found = bad < n ? got[bad] : 0;
  free(got);
  if (bad < n)
    check_fail(file, line, "%s: element %" PRId64 " is %.17g, not %.17g", what, bad, found,
               values[bad]);
}

static void check_alike(const char *file, int line, const char *what, tv_tensor *got,
                        tv_tensor *want) {
  check_tensor_ok(file, line, what, got);
  check_tensor_ok(file, line, "what is wanted", want);
  check_same_text(file, line, what, tv_dtype_name(tv_tensor_dtype(got)),
                  tv_dtype_name(tv_tensor_dtype(want)));
  check_shape(file, line, what, got, tv_tensor_rank(want), tv_tensor_shape(want));
}

void check_same(const char *file, int line, const char *what, tv_tensor *got, tv_tensor *want) {
  check_alike(file, line, what, got, want);
  unsigned char *a = elements(file, line, what, got), *b = elements(file, line, what, want);
  const int64_t bytes = tv_tensor_bytes(got), n = tv_tensor_size(got);
  int64_t bad = 0;
  while (bad < bytes && a[bad] == b[bad]) bad++;
  free(a);
  free(b);
  if (bad < bytes)
    check_fail(file, line, "%s: element %" PRId64 " has other bytes than the one wanted", what,
               bad / (bytes / n));
}

/* Bits of precision and least exponent of a floating dtype, for its unit in the last place. */
static void format_of(tv_dtype dtype, int *precision, int *least) {
  switch (dtype) {
    case TV_F16:
      *precision = 11, *least = -14;
      break;
    case TV_BF16:
      *precision = 8, *least = -126;
      break;
    case TV_F32:
    case TV_C64:
      *precision = 24, *least = -126;
      break;
    default:
      *precision = 53, *least = -1022;
      break;
  }
}

/* How far got is from want, in units in the last place of want; infinite if not comparable. */
static double distance(tv_dtype dtype, double got, double want) {
  if (got == want || (isnan(got) && isnan(want))) return 0;
  if (!isfinite(got) || !isfinite(want)) return HUGE_VAL;
  int precision, least, exponent = 0;
  format_of(dtype, &precision, &least);
  if (want != 0) exponent = ilogb(want);
  if (want == 0 || exponent < least) exponent = least;
  return fabs(got - want) / ldexp(1, exponent - precision + 1);
}

static void check_distance(const char *file, int line, const char *what, int64_t at, tv_dtype dtype,
                           double got, double want, double ulps) {
  const double off = distance(dtype, got, want);
  if (off > ulps)
    check_fail(file, line, "%s: number %" PRId64 " is %.17g, not %.17g: %.3g ulps, above %g", what,
               at, got, want, off, ulps);
}

void check_close(const char *file, int line, const char *what, tv_tensor *got, tv_tensor *want,
                 double ulps) {
  check_alike(file, line, what, got, want);
  const tv_dtype dtype = tv_tensor_dtype(got);
  const bool is_complex = dtype == TV_C64 || dtype == TV_C128;
  const tv_dtype wide = is_complex ? TV_C128 : TV_F64; /* complex: two numbers an element */
  const int64_t n = tv_tensor_size(got) * (is_complex ? 2 : 1);
  double *a = elements(file, line, what, OK(tv_astype(got, wide)));
  double *b = elements(file, line, what, OK(tv_astype(want, wide)));
  int64_t bad = 0;
  while (bad < n && distance(dtype, a[bad], b[bad]) <= ulps) bad++;
  const double x = bad < n ? a[bad] : 0, y = bad < n ? b[bad] : 0;
  free(a);
  free(b);
  if (bad < n) check_distance(file, line, what, bad, dtype, x, y, ulps);
}

void check_close_f32(const char *file, int line, const char *what, float got, float want,
                     double ulps) {
  check_distance(file, line, what, 0, TV_F32, (double)got, (double)want, ulps);
}

void check_close_f64(const char *file, int line, const char *what, double got, double want,
                     double ulps) {
  check_distance(file, line, what, 0, TV_F64, got, want, ulps);
}
