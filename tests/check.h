/* SPDX-License-Identifier: MIT
 * What a test says. A test program is a list of cases:
 *
 *     TEST(inner_sizes_differ) { FAILS(TV_ESHAPE, "matmul: ...", tv_matmul(a, b)); }
 *     TEST_MAIN("linalg", CASE(inner_sizes_differ), CASE(leading_axes_broadcast))
 *
 * Each case runs in a scope of its own, and must leave live handles and CPU bytes as they were and
 * no failure behind. `test_foo` runs them all, `test_foo case...` those named, `test_foo -case...`
 * all others, `test_foo --list` names them; ctest shows foo.case. The first word that is not true
 * ends its case, saying file, line and both sides. From threads of its own a test may use CHECK and
 * the like only under the main thread. */
#ifndef TV_TESTS_CHECK_H
#define TV_TESTS_CHECK_H

#include <tensorvar/tensorvar.h>

typedef struct check_case {
  const char *name;
  void (*run)(intptr_t argument);
  intptr_t argument;
} check_case;

/** A case, and its place in the list. ROW gives a function of its own argument to a named case:
 * what a table such as ops.def needs, `ROW(#name, sweep, TVI_OP_##name)`. */
#define TEST(name) static void test_##name(intptr_t argument __attribute__((unused)))
#define CASE(name) \
  { #name, test_##name, 0 }
#define ROW(name, run, argument) \
  { name, run, (intptr_t)(argument) }

/** The whole main. Where the list comes from a table, write main and `return check_main(...)`. */
#define TEST_MAIN(group, ...)                                                   \
  int main(int argc, char **argv) {                                             \
    static const check_case all[] = {__VA_ARGS__};                              \
    return check_main(group, (int)(sizeof all / sizeof *all), all, argc, argv); \
  }
int check_main(const char *group, int n_cases, const check_case *cases, int argc, char **argv);

/** Where a word stands in the source. */
#define CHECK_HERE __FILE__, __LINE__

/** The condition holds. */
#define CHECK(condition) ((condition) ? (void)0 : check_fail(CHECK_HERE, "%s", #condition))

/** Two whole numbers are equal. */
#define EQUAL(got, want) check_equal(CHECK_HERE, #got, (int64_t)(got), (int64_t)(want))

/** Two texts are equal. */
#define SAME_TEXT(got, want) check_same_text(CHECK_HERE, #got, got, want)

/** A status function, or an op, succeeds. */
#define OK(call)                      \
  _Generic((call), tv_tensor *        \
           : check_tensor_ok, default \
           : check_status_ok)(CHECK_HERE, #call, call)

/** An op gives NULL, with this status and exactly this text, which is then cleared. */
#define FAILS(status, text, op) check_fails(CHECK_HERE, #op, op, status, text)

/** A status function returns this status with exactly this text, which is then cleared. */
#define FAILS_STATUS(status, text, call) check_fails_status(CHECK_HERE, #call, call, status, text)

/** A tensor's shape: SHAPE_IS(x, TV_SHAPE(2, 3)). */
#define SHAPE_IS(x, ...) check_shape(CHECK_HERE, #x, x, __VA_ARGS__)

/** A tensor's elements in C order, as doubles: HOLDS(x, 1, 2, 3). */
#define HOLDS(x, ...)                                                                         \
  check_holds(CHECK_HERE, #x, x, (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), \
              (const double[]){__VA_ARGS__})

/** Two tensors have one dtype, one shape and the same bytes. */
#define SAME(got, want) check_same(CHECK_HERE, #got, got, want)

/** Two tensors, floats or doubles differ by so many units in the last place at most; NaN is close
 * to NaN. Tensors have one dtype and shape, and are counted in units of that dtype. */
#define CLOSE(got, want, ulps)        \
  _Generic((got), tv_tensor *         \
           : check_close, float       \
           : check_close_f32, default \
           : check_close_f64)(CHECK_HERE, #got, got, want, ulps)

/** Elements that the host can read: of a tensor on another device, those of a copy. So that a
 * program runs on the device that TV_TEST_DEVICE names, if it does, as it does on the CPU. */
#define tv_tensor_data(x) check_data(x)

/** The device that cases begin on: the CPU, or what TV_TEST_DEVICE names. */
tv_device check_device(void);

/** Leave the case as skipped, saying why. A skipped case says so, and has not passed. */
#define SKIP(why) check_skip(why)

/* What the words above come to. */
void check_fail(const char *file, int line, const char *format, ...) __attribute__((noreturn))
TV_PRINTF(3, 4);
void check_skip(const char *why) __attribute__((noreturn));
const void *check_data(tv_tensor *x);
void check_equal(const char *file, int line, const char *what, int64_t got, int64_t want);
void check_same_text(const char *file, int line, const char *what, const char *got,
                     const char *want);
void check_status_ok(const char *file, int line, const char *what, tv_status status);
tv_tensor *check_tensor_ok(const char *file, int line, const char *what, tv_tensor *x);
void check_fails(const char *file, int line, const char *what, const void *got, tv_status status,
                 const char *text);
void check_fails_status(const char *file, int line, const char *what, tv_status got,
                        tv_status status, const char *text);
void check_shape(const char *file, int line, const char *what, tv_tensor *x, int rank,
                 const int64_t *shape);
void check_holds(const char *file, int line, const char *what, tv_tensor *x, int64_t n,
                 const double *values);
void check_same(const char *file, int line, const char *what, tv_tensor *got, tv_tensor *want);
void check_close(const char *file, int line, const char *what, tv_tensor *got, tv_tensor *want,
                 double ulps);
void check_close_f32(const char *file, int line, const char *what, float got, float want,
                     double ulps);
void check_close_f64(const char *file, int line, const char *what, double got, double want,
                     double ulps);

#endif
