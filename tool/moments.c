/* SPDX-License-Identifier: MIT
 * Mean and spread of numbers that come in blocks. A block of 4096 numbers or fewer is summed twice,
 * for its mean and for the squares around it; two sets are then one by
 *
 *     delta = mean_b - mean_a,  n = n_a + n_b
 *     mean  = mean_a + delta n_b / n
 *     m2    = m2_a + m2_b + delta^2 n_a n_b / n
 *
 * Source: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample
 * variances, 1979, equations 2.1. */
#include "moments.h"

#include <math.h>

enum { BLOCK = 4096 };

const moments MOMENTS = {.least = HUGE_VAL,
                         .most = -HUGE_VAL,
                         .least_i = INT64_MAX,
                         .most_i = INT64_MIN,
                         .least_u = UINT64_MAX};

static void merge(moments *m, int64_t n, double mean, double m2) {
  if (n == 0) return;
  const double before = (double)m->n_finite, all = before + (double)n;
  const double delta = mean - m->mean;
  m->mean += delta * ((double)n / all);
  m->m2 += m2 + delta * delta * (before * ((double)n / all));
  m->n_finite += n;
}

static void add_reals(moments *m, const double *x, int64_t n, int64_t step) {
  double sum = 0, squares = 0;
  int64_t finite = 0;
  for (int64_t i = 0; i < n; i++) {
    const double v = x[i * step];
    if (isnan(v)) {
      m->n_nan++;
      continue;
    }
    m->n_zero += v == 0;
    if (v < m->least) m->least = v;
    if (v > m->most) m->most = v;
    if (isinf(v)) {
      *(v > 0 ? &m->n_above : &m->n_below) += 1;
    } else {
      sum += v;
      finite++;
    }
  }
  const double mean = finite ? sum / (double)finite : 0;
  for (int64_t i = 0; i < n; i++) {
    const double d = x[i * step] - mean;
    if (isfinite(d)) squares += d * d;
  }
  merge(m, finite, mean, squares);
}

#define ADD_INTEGERS(name, type, least_of, most_of)                      \
  static void name(moments *m, const type *x, int64_t n, int64_t step) { \
    double sum = 0, squares = 0;                                         \
    for (int64_t i = 0; i < n; i++) {                                    \
      const type v = x[i * step];                                        \
      m->n_zero += v == 0;                                               \
      if (v < m->least_of) m->least_of = v;                              \
      if (v > m->most_of) m->most_of = v;                                \
      sum += (double)v;                                                  \
    }                                                                    \
    const double mean = sum / (double)n;                                 \
    for (int64_t i = 0; i < n; i++) {                                    \
      const double d = (double)x[i * step] - mean;                       \
      squares += d * d;                                                  \
    }                                                                    \
    merge(m, n, mean, squares);                                          \
  }
ADD_INTEGERS(add_integers, int64_t, least_i, most_i)
ADD_INTEGERS(add_naturals, uint64_t, least_u, most_u)

void moments_add(moments *m, char kind, const void *numbers, int64_t n, int64_t step) {
  for (int64_t i = 0; i < n; i += BLOCK) {
    const int64_t block = n - i < BLOCK ? n - i : BLOCK;
    if (kind == 'f') add_reals(m, (const double *)numbers + i * step, block, step);
    if (kind == 'i') add_integers(m, (const int64_t *)numbers + i * step, block, step);
    if (kind == 'u') add_naturals(m, (const uint64_t *)numbers + i * step, block, step);
  }
}

int64_t moments_count(const moments *m) { return m->n_finite + m->n_above + m->n_below; }

double moments_mean(const moments *m) {
  if (moments_count(m) == 0 || (m->n_above && m->n_below)) return (double)NAN;
  return m->n_above ? HUGE_VAL : m->n_below ? -HUGE_VAL : m->mean;
}

double moments_deviation(const moments *m, int64_t ddof) {
  const int64_t n = m->n_finite;
  if (n == 0 || m->n_above || m->n_below || n <= ddof) return (double)NAN;
  return sqrt(m->m2 / (double)(n - ddof));
}
