/* SPDX-License-Identifier: MIT
 * The worst error of each elementary function of f32 over all 2^32 floats, at one level of the CPU,
 * against libm's of double, whose own error is below 2^-28 of these units:
 *
 *     elementary_error [LEVEL [FUNCTION...]]      LEVEL: portable, v2, v3 or v4, the highest if
 * left out
 *
 * One line for a function: the error in units in the last place, and where. Two minutes each. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/level.h"

static double sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }

static const struct row {
  const char *name;
  int op;
  double (*want)(double);
} rows[] = {{"exp", TVI_OP_exp, exp},    {"expm1", TVI_OP_expm1, expm1},
            {"log", TVI_OP_log, log},    {"log1p", TVI_OP_log1p, log1p},
            {"sin", TVI_OP_sin, sin},    {"cos", TVI_OP_cos, cos},
            {"tanh", TVI_OP_tanh, tanh}, {"sigmoid", TVI_OP_sigmoid, sigmoid}};
enum { ROWS = sizeof rows / sizeof *rows, RUN = 4096 };

/* In units in the last place of a float where `want` is; those of subnormals are of one size. */
static double distance(float got, double want) {
  const float near = (float)want;
  if (want != want || got != got) return want != want && got != got ? 0 : HUGE_VAL;
  if (!signbit(got) != !signbit(want)) return HUGE_VAL;
  if (isinf(near) || isinf(got)) return near == got ? 0 : HUGE_VAL;
  uint64_t bits;
  memcpy(&bits, &want, sizeof bits);
  const int exponent = (int)(bits >> 52 & 2047) - 1023;
  bits = (uint64_t)((exponent < -126 ? -126 : exponent) - 23 + 1023) << 52;
  double unit;
  memcpy(&unit, &bits, sizeof unit);
  return fabs((double)got - want) / unit;
}

static void try_all(const struct row *row, tvi_loop *loop) {
  static float x[RUN], y[RUN];
  const int64_t steps[2] = {sizeof(float), sizeof(float)};
  double worst = 0;
  float at = 0, gives = 0;
  int64_t above_half = 0;
  for (uint64_t from = 0; from < UINT64_C(1) << 32; from += RUN) {
    for (uint32_t i = 0; i < RUN; i++) {
      const uint32_t bits = (uint32_t)from + i;
      memcpy(&x[i], &bits, sizeof bits);
    }
    loop(RUN, (char *const[]){(char *)y, (char *)x}, steps);
    for (int i = 0; i < RUN; i++) {
      const double off = distance(y[i], row->want((double)x[i]));
      above_half += off > .5;
      if (off > worst) worst = off, at = x[i], gives = y[i];
    }
  }
  printf("%-8s %.4f ulp at %a, which gives %a; %.3f %% are not the nearest float\n", row->name,
         worst, (double)at, (double)gives, (double)above_half / 0x1p32 * 100);
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc > 1) setenv("TV_ISA", argv[1], 1);
  for (int k = 0; k < ROWS; k++) {
    bool is_wanted = argc < 3;
    for (int i = 2; i < argc; i++) is_wanted |= !strcmp(argv[i], rows[k].name);
    if (is_wanted) try_all(&rows[k], tvi_level_here()->loops[rows[k].op][TV_F32]);
  }
  return 0;
}
