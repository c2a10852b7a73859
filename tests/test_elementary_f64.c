/* SPDX-License-Identifier: MIT
 * Elementary functions of f64 at every level that this computer has, against libm's of long double:
 * dense samples, special values, and angles that are hard to reduce. The bounds are here alone, in
 * units in the last place. */
#include <float.h>
#include <math.h>

#include "elementary_job.h"

static long double sigmoid(long double x) {
  return x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x));
}

/* Samples are taken from low to high, near 0 or 1, and among all doubles. Worst error with an fma,
 * and without. */
static const struct row {
  const char *name;
  int op;
  long double (*want)(long double);
  double low, high, most, most_without;
} rows[] = {
    {"exp", TVI_OP_exp, expl, -750, 715, .99, .99},
    {"expm1", TVI_OP_expm1, expm1l, -45, 715, 1.05, 1.2},
    {"log", TVI_OP_log, logl, .3, 3, .85, .88},
    {"log1p", TVI_OP_log1p, log1pl, -.7, 3, .95, .95},
    {"sin", TVI_OP_sin, sinl, -30, 30, 1.1, 1.1},
    {"cos", TVI_OP_cos, cosl, -30, 30, 1.1, 1.1},
    {"tanh", TVI_OP_tanh, tanhl, -22, 22, 1.05, 1.8},
    {"sigmoid", TVI_OP_sigmoid, sigmoid, -750, 50, 1.55, 2.3},
};

static double distance(double got, long double want) {
  const double near = (double)want;
  if (isnan(want) || isnan(got)) return isnan(want) && isnan(got) ? 0 : HUGE_VAL;
  if (!signbit(got) != !signbit(want)) return HUGE_VAL;
  if (isinf(near) || isinf(got)) return near == got ? 0 : HUGE_VAL;
  int exponent = -1021;
  if (want != 0) frexpl(want, &exponent);
  return (double)(fabsl((long double)got - want) /
                  ldexpl(1, (exponent < -1021 ? -1021 : exponent) - 53));
}

static double double_of(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

enum { N = 200000 };
static double inputs[N], outputs[N];

/* The bounds are a few thousandths above what double can show: long double has 11 bits more. */
static void errors_are_bounded(intptr_t k) {
  const struct row *const row = &rows[k];
  if (LDBL_MANT_DIG < 64) SKIP("long double is no wider than double here");
  for (int i = 0; i < N; i++) {
    const double u = (double)(cpu_random() >> 11) * 0x1p-53;
    inputs[i] = i % 4 == 0   ? double_of(cpu_random())
                : i % 4 == 1 ? row->low + (row->high - row->low) * u
                : i % 4 == 2 ? 8 * u - 4
                             : ldexp(2 * u - 1, -(i / 4 % 60)) + (row->op == TVI_OP_log);
    if ((row->op == TVI_OP_sin || row->op == TVI_OP_cos) && i % 8 == 3)
      inputs[i] =
          i % 16 == 3 ? floor(u * 6e5) * 1.57079632679489662 : (double)(int64_t)(u * 0x1p62);
  }
  ELEMENTARY_LEVELS(level, has_fma) {
    const int64_t steps[2] = {sizeof(double), sizeof(double)};
    const double most = has_fma ? row->most : row->most_without;
    for (int from = 0; from < N; from += N / 2) /* one half with step 8, one in reverse */
      for (int i = from; i < from + N / 2; i++) {
        const int64_t back[2] = {-8, -8};
        if (i == from && from == 0)
          level->loops[row->op][TV_F64](N / 2, (char *const[]){(char *)outputs, (char *)inputs},
                                        steps);
        if (i == from && from)
          level->loops[row->op][TV_F64](
              N / 2, (char *const[]){(char *)(outputs + N - 1), (char *)(inputs + N - 1)}, back);
        const double off = distance(outputs[i], row->want((long double)inputs[i]));
        if (!(off <= most))
          check_fail(CHECK_HERE, "%s of %a is %a: %g ulps, above %g", row->name, inputs[i],
                     outputs[i], off, most);
      }
  }
}

TEST(special_values_are_those_of_annex_f) {
  const double inf = (double)INFINITY, nan = (double)NAN, least = 0x1p-1074;
  const struct {
    int op;
    double x, y;
  } values[] = {
      {TVI_OP_exp, 0, 1},           {TVI_OP_exp, inf, inf},        {TVI_OP_exp, -inf, 0},
      {TVI_OP_exp, DBL_MAX, inf},   {TVI_OP_exp, -DBL_MAX, 0},     {TVI_OP_exp, nan, nan},
      {TVI_OP_exp, -745, least},    {TVI_OP_expm1, -0., -0.},      {TVI_OP_expm1, inf, inf},
      {TVI_OP_expm1, -inf, -1},     {TVI_OP_expm1, least, least},  {TVI_OP_expm1, nan, nan},
      {TVI_OP_expm1, -DBL_MAX, -1}, {TVI_OP_expm1, DBL_MAX, inf},  {TVI_OP_log, 1, 0},
      {TVI_OP_log, 0, -inf},        {TVI_OP_log, -0., -inf},       {TVI_OP_log, inf, inf},
      {TVI_OP_log, -1, nan},        {TVI_OP_log, -inf, nan},       {TVI_OP_log, nan, nan},
      {TVI_OP_log1p, 0, 0},         {TVI_OP_log1p, -0., -0.},      {TVI_OP_log1p, -1, -inf},
      {TVI_OP_log1p, inf, inf},     {TVI_OP_log1p, -2, nan},       {TVI_OP_log1p, nan, nan},
      {TVI_OP_log1p, -inf, nan},    {TVI_OP_log1p, least, least},  {TVI_OP_sin, 0, 0},
      {TVI_OP_sin, -0., -0.},       {TVI_OP_sin, inf, nan},        {TVI_OP_sin, -inf, nan},
      {TVI_OP_sin, nan, nan},       {TVI_OP_sin, -least, -least},  {TVI_OP_cos, -0., 1},
      {TVI_OP_cos, inf, nan},       {TVI_OP_cos, nan, nan},        {TVI_OP_tanh, 0, 0},
      {TVI_OP_tanh, -0., -0.},      {TVI_OP_tanh, inf, 1},         {TVI_OP_tanh, -inf, -1},
      {TVI_OP_tanh, nan, nan},      {TVI_OP_tanh, least, least},   {TVI_OP_sigmoid, -0., .5},
      {TVI_OP_sigmoid, inf, 1},     {TVI_OP_sigmoid, -inf, 0},     {TVI_OP_sigmoid, nan, nan},
      {TVI_OP_sigmoid, DBL_MAX, 1}, {TVI_OP_sigmoid, -DBL_MAX, 0},
  };
  ELEMENTARY_LEVELS(level, has_fma) {
    (void)has_fma;
    const int64_t steps[2] = {sizeof(double), sizeof(double)};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
      for (int n = 1; n <= 40; n += 39) {
        double x[40], y[40];
        for (int k = 0; k < n; k++) x[k] = values[i].x;
        level->loops[values[i].op][TV_F64](n, (char *const[]){(char *)y, (char *)x}, steps);
        for (int k = 0; k < n; k++)
          if (distance(y[k], (long double)values[i].y) > 0)
            check_fail(CHECK_HERE, "%s of %g is %g", tvi_op_info[values[i].op].name, x[k], y[k]);
      }
  }
}

/* 6381956970095103 2^797 is the double closest to a multiple of pi / 2 (Muller, "Elementary
 * functions", 3rd edition, section 11.3.2): its cosine is -4.68716592425462761112e-19. */
TEST(the_hardest_angle_is_reduced) {
  ELEMENTARY_LEVELS(level, has_fma) {
    (void)has_fma;
    const int64_t steps[2] = {sizeof(double), sizeof(double)};
    double x = 6381956970095103 * 0x1p797, y;
    level->loops[TVI_OP_cos][TV_F64](1, (char *const[]){(char *)&y, (char *)&x}, steps);
    CLOSE(y, -4.68716592425462761112e-19, 1);
  }
}

TEST(near_and_far_angles_meet) {
  for (int i = 0; i < 20000; i++) {
    const double x = 0x1p19 + (double)i * 3.14159265358979 + 1 / (double)(i + 3);
    const tvi_angle_f64 near = tvi_near_angle(x), far = tvi_far_angle(x);
    const double a = tvi_sin_of_angle(near, 0), b = tvi_sin_of_angle(far, 0);
    CLOSE(a, b, 1);
  }
}

int main(int argc, char **argv) {
  const check_case all[] = {CASE(special_values_are_those_of_annex_f),
                            CASE(the_hardest_angle_is_reduced),
                            CASE(near_and_far_angles_meet),
                            ROW(rows[0].name, errors_are_bounded, 0),
                            ROW(rows[1].name, errors_are_bounded, 1),
                            ROW(rows[2].name, errors_are_bounded, 2),
                            ROW(rows[3].name, errors_are_bounded, 3),
                            ROW(rows[4].name, errors_are_bounded, 4),
                            ROW(rows[5].name, errors_are_bounded, 5),
                            ROW(rows[6].name, errors_are_bounded, 6),
                            ROW(rows[7].name, errors_are_bounded, 7)};
  return check_main("elementary_f64", (int)(sizeof all / sizeof *all), all, argc, argv);
}
