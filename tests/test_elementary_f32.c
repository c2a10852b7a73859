/* SPDX-License-Identifier: MIT
 * Elementary functions of f32 at every level that this computer has, against libm's of double: a
 * dense sample, every special value, and odd places. bench/elementary_error.c tries all 2^32. The
 * bounds are here alone, in units in the last place. */
#include <math.h>

#include "elementary_job.h"

static double sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }

/* Worst error with an fma, and without; where the next number is below 1/2, it is half as much. */
static const struct row {
  const char *name;
  int op;
  double (*want)(double);
  double most, most_without;
} rows[] = {
    {"exp", TVI_OP_exp, exp, .99, .99},     {"expm1", TVI_OP_expm1, expm1, 1.2, 1.25},
    {"log", TVI_OP_log, log, .86, .86},     {"log1p", TVI_OP_log1p, log1p, .95, .95},
    {"sin", TVI_OP_sin, sin, .504, .504},   {"cos", TVI_OP_cos, cos, .504, .504},
    {"tanh", TVI_OP_tanh, tanh, 1.05, 1.8}, {"sigmoid", TVI_OP_sigmoid, sigmoid, 1.5, 2.35},
};

static double distance(float got, double want) {
  const float near = (float)want;
  if (isnan(want) || isnan(got)) return isnan(want) && isnan(got) ? 0 : HUGE_VAL;
  if (!signbit(got) != !signbit(want)) return HUGE_VAL;
  if (isinf(near) || isinf(got)) return near == got ? 0 : HUGE_VAL;
  int exponent = -125;
  if (want != 0) frexp(want, &exponent);
  return fabs((double)got - want) / ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
}

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* Every 9973rd float, then those next to powers of 2, and next to whole numbers of quarter turns
 * and of ln 2, where the reduction changes. */
enum { STRIDE = 9973, COUNT = 430700, CLOSE_BY = 600, ALL = COUNT + 4 * CLOSE_BY * 8 };
static float inputs[ALL], outputs[ALL];
static void fill(void) {
  int n = 0;
  for (uint64_t bits = 0; bits < UINT64_C(1) << 32 && n < COUNT; bits += STRIDE)
    inputs[n++] = float_of((uint32_t)bits);
  for (int k = 0; k < CLOSE_BY; k++)
    for (int off = -4; off < 4; off++) {
      const float places[] = {(float)(k * 1.57079632679489662), (float)((k - 300) * .34657359028),
                              (float)ldexp(1, k % 278 - 149),
                              (float)(-ldexp(1, k % 278 - 149) * 1.41421356237)};
      for (int j = 0; j < 4; j++) {
        uint32_t bits;
        memcpy(&bits, &places[j], sizeof bits);
        inputs[n++] = float_of(bits + (uint32_t)off);
      }
    }
  while (n < ALL) inputs[n++] = 1;
}

static void errors_are_bounded(intptr_t k) {
  const struct row *const row = &rows[k];
  fill();
  ELEMENTARY_LEVELS(level, has_fma) {
    const int64_t steps[2] = {sizeof(float), sizeof(float)};
    level->loops[row->op][TV_F32](ALL, (char *const[]){(char *)outputs, (char *)inputs}, steps);
    const double most = has_fma ? row->most : row->most_without;
    for (int i = 0; i < ALL; i++) {
      const double off = distance(outputs[i], row->want((double)inputs[i]));
      if (!(off <= most))
        check_fail(CHECK_HERE, "%s of %a is %a: %g ulps, above %g", row->name, (double)inputs[i],
                   (double)outputs[i], off, most);
    }
  }
}

TEST(special_values_are_those_of_annex_f) {
  const float inf = INFINITY, nan = (float)NAN, least = 0x1p-149f, most = 0x1.fffffep127f;
  const struct {
    int op;
    float x, y;
  } values[] = {
      {TVI_OP_exp, 0, 1},         {TVI_OP_exp, -0.f, 1},        {TVI_OP_exp, inf, inf},
      {TVI_OP_exp, -inf, 0},      {TVI_OP_exp, most, inf},      {TVI_OP_exp, -most, 0},
      {TVI_OP_exp, nan, nan},     {TVI_OP_exp, least, 1},       {TVI_OP_exp, -103.5f, least},
      {TVI_OP_expm1, 0, 0},       {TVI_OP_expm1, -0.f, -0.f},   {TVI_OP_expm1, inf, inf},
      {TVI_OP_expm1, -inf, -1},   {TVI_OP_expm1, least, least}, {TVI_OP_expm1, most, inf},
      {TVI_OP_expm1, -most, -1},  {TVI_OP_expm1, nan, nan},     {TVI_OP_log, 1, 0},
      {TVI_OP_log, 0, -inf},      {TVI_OP_log, -0.f, -inf},     {TVI_OP_log, inf, inf},
      {TVI_OP_log, -1, nan},      {TVI_OP_log, -inf, nan},      {TVI_OP_log, -least, nan},
      {TVI_OP_log, nan, nan},     {TVI_OP_log1p, 0, 0},         {TVI_OP_log1p, -0.f, -0.f},
      {TVI_OP_log1p, -1, -inf},   {TVI_OP_log1p, inf, inf},     {TVI_OP_log1p, -2, nan},
      {TVI_OP_log1p, -inf, nan},  {TVI_OP_log1p, nan, nan},     {TVI_OP_log1p, least, least},
      {TVI_OP_sin, 0, 0},         {TVI_OP_sin, -0.f, -0.f},     {TVI_OP_sin, inf, nan},
      {TVI_OP_sin, -inf, nan},    {TVI_OP_sin, nan, nan},       {TVI_OP_sin, -least, -least},
      {TVI_OP_cos, 0, 1},         {TVI_OP_cos, -0.f, 1},        {TVI_OP_cos, inf, nan},
      {TVI_OP_cos, -inf, nan},    {TVI_OP_cos, nan, nan},       {TVI_OP_tanh, 0, 0},
      {TVI_OP_tanh, -0.f, -0.f},  {TVI_OP_tanh, inf, 1},        {TVI_OP_tanh, -inf, -1},
      {TVI_OP_tanh, nan, nan},    {TVI_OP_tanh, least, least},  {TVI_OP_tanh, -most, -1},
      {TVI_OP_sigmoid, 0, .5f},   {TVI_OP_sigmoid, -0.f, .5f},  {TVI_OP_sigmoid, inf, 1},
      {TVI_OP_sigmoid, -inf, 0},  {TVI_OP_sigmoid, nan, nan},   {TVI_OP_sigmoid, most, 1},
      {TVI_OP_sigmoid, -most, 0},
  };
  /* Known worst places: the float whose angle is closest to a quarter turn, and far ones. */
  const struct {
    float x;
    double sine;
  } angles[] = {{16367173.f * 0x1p72f, sin(16367173. * 0x1p72)}, {most, sin((double)most)}};
  ELEMENTARY_LEVELS(level, has_fma) {
    (void)has_fma;
    const int64_t steps[2] = {sizeof(float), sizeof(float)};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
      for (int n = 1; n <= 40; n += 39) { /* one, and a vector of them */
        float x[40], y[40];
        for (int k = 0; k < n; k++) x[k] = values[i].x;
        level->loops[values[i].op][TV_F32](n, (char *const[]){(char *)y, (char *)x}, steps);
        for (int k = 0; k < n; k++)
          if (distance(y[k], (double)values[i].y) > 0)
            check_fail(CHECK_HERE, "%s of %g is %g", tvi_op_info[values[i].op].name, (double)x[k],
                       (double)y[k]);
      }
    for (size_t i = 0; i < sizeof angles / sizeof *angles; i++) {
      float x = angles[i].x, y;
      level->loops[TVI_OP_sin][TV_F32](1, (char *const[]){(char *)&y, (char *)&x}, steps);
      CHECK(distance(y, angles[i].sine) <= .504);
    }
  }
}

TEST(powers_are_close_to_those_of_double) {
  enum { N = 200000 };
  static float a[N], b[N], y[N];
  for (int i = 0; i < N; i++) {
    const uint64_t bits = cpu_random();
    a[i] = float_of((uint32_t)bits);
    b[i] = float_of((uint32_t)(bits >> 32));
    if (i % 2) { /* near 1, and results of all sizes */
      a[i] = (float)exp((double)(int)(bits % 4001) * (i % 4 == 1 ? .0005 : .02) - 1);
      b[i] = (float)((double)(int)(bits >> 32 & 0x7fff) * .002 - 30);
    }
    if (i % 3 == 0) a[i] = -a[i], b[i] = roundf(b[i]);
  }
  ELEMENTARY_LEVELS(level, has_fma) {
    (void)has_fma;
    const int64_t steps[3] = {sizeof(float), sizeof(float), sizeof(float)};
    level->loops[TVI_OP_pow][TV_F32](N, (char *const[]){(char *)y, (char *)a, (char *)b}, steps);
    for (int i = 0; i < N; i++) {
      const double want = pow((double)a[i], (double)b[i]);
      if (!(distance(y[i], want) <= .52))
        check_fail(CHECK_HERE, "%a to the %a is %a, not %a", (double)a[i], (double)b[i],
                   (double)y[i], want);
    }
  }
}

TEST(special_powers_are_those_of_annex_f) {
  static const float some[] = {0,  -0.f,   1,       -1,         INFINITY,    -INFINITY, (float)NAN,
                               .5, -.5,    2,       -2,         3,           -3,        1e38f,
                               -5, 1e-45f, -1e-45f, 16777217.f, -16777215.f, 1.5f,      -1.5f};
  enum { N = sizeof some / sizeof *some };
  float a[N * N], b[N * N], y[N * N];
  for (int i = 0; i < N * N; i++) a[i] = some[i / N], b[i] = some[i % N];
  ELEMENTARY_LEVELS(level, has_fma) {
    (void)has_fma;
    const int64_t steps[3] = {sizeof(float), sizeof(float), sizeof(float)};
    level->loops[TVI_OP_pow][TV_F32](N * N, (char *const[]){(char *)y, (char *)a, (char *)b},
                                     steps);
    for (int i = 0; i < N * N; i++) {
      const double want = pow((double)a[i], (double)b[i]);
      if (!(distance(y[i], want) <= .52))
        check_fail(CHECK_HERE, "%g to the %g is %g, not %g", (double)a[i], (double)b[i],
                   (double)y[i], want);
    }
  }
}

#define BOUNDED_ROW(k) ROW(rows[k].name, errors_are_bounded, k)
int main(int argc, char **argv) {
  const check_case all[] = {CASE(special_values_are_those_of_annex_f),
                            CASE(powers_are_close_to_those_of_double),
                            CASE(special_powers_are_those_of_annex_f),
                            BOUNDED_ROW(0),
                            BOUNDED_ROW(1),
                            BOUNDED_ROW(2),
                            BOUNDED_ROW(3),
                            BOUNDED_ROW(4),
                            BOUNDED_ROW(5),
                            BOUNDED_ROW(6),
                            BOUNDED_ROW(7)};
  return check_main("elementary_f32", (int)(sizeof all / sizeof *all), all, argc, argv);
}
