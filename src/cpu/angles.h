/* SPDX-License-Identifier: MIT
 * sin and cos of doubles that follow each other, in runs: where all angles of a run are near, as
 * they mostly are, the branch of elementary_f64.h is left out of the loop, which then becomes
 * vector code. Same bits. Included by loops.h, and takes the place of its loops. */
enum { ANGLE_RUN = 256 };

static bool are_near(const double *x, int n) {
  const int64_t most = INT64_C(0x4130000000000000); /* TVI_NEAR_F64 */
  int64_t far = 0;
  for (int i = 0; i < n; i++) far |= (int64_t)(tvi_wide_bits_of(x[i]) << 1 >> 1) > most ? 1 : 0;
  return !far;
}

#define IN_RUNS(name)                                                                  \
  static void name##_f64_in_runs(int64_t n, char *const *p, const int64_t *step) {     \
    const bool is_flat = step[0] == sizeof(double) && step[1] == sizeof(double);       \
    for (int64_t i = 0; i < n && is_flat; i += ANGLE_RUN) {                            \
      const int run = (int)(n - i < ANGLE_RUN ? n - i : ANGLE_RUN);                    \
      double *const out = (double *)(void *)p[0] + i;                                  \
      const double *const in = (double *)(void *)p[1] + i;                             \
      if (!are_near(in, run)) {                                                        \
        name##_f64(run, (char *const[]){(char *)out, (char *)(uintptr_t)in}, step);    \
        continue;                                                                      \
      }                                                                                \
      INDEPENDENT for (int k = 0; k < run; k++) out[k] = tvi_near_##name##_f64(in[k]); \
    }                                                                                  \
    if (!is_flat) name##_f64(n, p, step);                                              \
  }
IN_RUNS(sin)
IN_RUNS(cos)
#undef IN_RUNS

/* For the table of loops. */
#define sin_f64 sin_f64_in_runs
#define cos_f64 cos_f64_in_runs
