/* SPDX-License-Identifier: MIT
 * sin and cos of floats that follow each other, in runs: where all angles of a run are near, as
 * they mostly are, a shorter reduction does, of doubles one without a branch, so that the loop
 * becomes vector code. Same bits. Included by loops.h, and takes the place of its loops. */
enum { ANGLE_RUN = 256 };

/* By their bits, as vectors of integers. */
static bool are_near_f32(const float *x, int n) {
  const int32_t end = (int32_t)tvi_bits_of(TVI_NEAR_F32);
  int32_t far = 0;
  for (int i = 0; i < n; i++) far |= (int32_t)(tvi_bits_of(x[i]) & 0x7fffffffu) >= end;
  return !far;
}
static bool are_near_f64(const double *x, int n) {
  const int64_t end = (int64_t)tvi_wide_bits_of(TVI_NEAR_F64);
  int64_t far = 0;
  for (int i = 0; i < n; i++)
    far |= (int64_t)(tvi_wide_bits_of(x[i]) & UINT64_C(0x7fffffffffffffff)) >= end;
  return !far;
}

#define IN_RUNS(name, tag, T)                                                                 \
  static void name##_##tag##_in_runs(int64_t n, char *const *p, const int64_t *step) {        \
    if (step[0] != sizeof(T) || step[1] != sizeof(T)) {                                       \
      name##_##tag(n, p, step);                                                               \
      return;                                                                                 \
    }                                                                                         \
    for (int64_t i = 0; i < n; i += ANGLE_RUN) {                                              \
      const int run = (int)(n - i < ANGLE_RUN ? n - i : ANGLE_RUN);                           \
      char *const of_run[2] = {p[0] + i * (int64_t)sizeof(T), p[1] + i * (int64_t)sizeof(T)}; \
      T *const out = (T *)(void *)of_run[0];                                                  \
      const T *const in = (const T *)(void *)of_run[1];                                       \
      if (!are_near_##tag(in, run)) {                                                         \
        name##_##tag(run, of_run, step);                                                      \
        continue;                                                                             \
      }                                                                                       \
      INDEPENDENT for (int k = 0; k < run; k++) out[k] = tvi_near_##name##_##tag(in[k]);      \
    }                                                                                         \
  }
IN_RUNS(sin, f32, float)
IN_RUNS(cos, f32, float)
IN_RUNS(sin, f64, double)
IN_RUNS(cos, f64, double)
#undef IN_RUNS

/* For the table of loops. */
#define sin_f32 sin_f32_in_runs
#define cos_f32 cos_f32_in_runs
#define sin_f64 sin_f64_in_runs
#define cos_f64 cos_f64_in_runs
