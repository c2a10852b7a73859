/* SPDX-License-Identifier: MIT
 * Schedules of learning rates: pure functions of the number of steps, in double. */
#include "schedule.h"

#include <math.h>
#include <string.h>

#include "memory.h"
#include "range.h"
#include "status.h"

static const double pi = 3.14159265358979323846;

/* Check ---------------------------------------------------------------------------------------- */

static bool is_no(const char *who, const char *what) {
  return tvi_fail(TV_EVALUE, "%s: schedule: %s", who, what);
}

static bool has(const char *who, const char *field, double x, tvi_range range) {
  char name[40];
  snprintf(name, sizeof name, "schedule: %s", field);
  return tvi_in_range(who, name, x, range);
}

static bool is_piecewise(const char *who, const tv_schedule *s) {
  if (s->n_boundaries < 0 || !s->rates || (s->n_boundaries && !s->boundaries))
    return is_no(who, "boundaries or rates are NULL, or fewer than none");
  for (int k = 0; k <= s->n_boundaries; k++)
    if (!has(who, "a rate", s->rates[k], TVI_AT_LEAST_0)) return false;
  for (int k = 1; k < s->n_boundaries; k++)
    if (s->boundaries[k] <= s->boundaries[k - 1]) return is_no(who, "boundaries do not rise");
  return true;
}

/* The options of a caller who may know less of them, in *full. */
static bool is_schedule(const char *who, const tv_schedule *given, tv_schedule *full) {
  *full = (tv_schedule)TV_SCHEDULE;
  if (!given) return tvi_null(who, "schedule");
  if (!tvi_options_fit(who, given->size, sizeof *given)) return false;
  memcpy(full, given, given->size);
  const tv_schedule *const s = full;
  if ((int)s->kind < 0 || s->kind > TV_SCHEDULE_CALLBACK) return is_no(who, "that is no kind");
  if (!has(who, "warm_up_steps", (double)s->warm_up_steps, TVI_AT_LEAST_0) ||
      !has(who, "warm_up_from", s->warm_up_from, TVI_AT_LEAST_0))
    return false;
  if (s->kind == TV_SCHEDULE_CALLBACK) return s->callback || is_no(who, "callback is NULL");
  if (s->kind == TV_SCHEDULE_PIECEWISE) return is_piecewise(who, s);
  if (!has(who, "rate", s->rate, TVI_AT_LEAST_0)) return false;
  if (s->kind == TV_SCHEDULE_CONSTANT) return true;
  return has(who, "steps", (double)s->steps, TVI_AT_LEAST_1) &&
         has(who, "factor", s->factor, TVI_AT_LEAST_0) && has(who, "end", s->end, TVI_AT_LEAST_0) &&
         has(who, "power", s->power, TVI_AT_LEAST_0) &&
         has(who, "floor", s->floor, TVI_FROM_0_TO_1) &&
         has(who, "stretch", s->stretch, TVI_AT_LEAST_1) &&
         has(who, "shrink", s->shrink, TVI_AT_LEAST_0) &&
         has(who, "peak", s->peak, TVI_BETWEEN_0_AND_1) &&
         has(who, "first_divisor", s->first_divisor, TVI_ABOVE_0) &&
         has(who, "last_divisor", s->last_divisor, TVI_ABOVE_0);
}

/* Values --------------------------------------------------------------------------------------- */

/* From 1 to 0 as x goes from 0 to 1. */
static double half_wave(double x) { return (1 + cos(pi * x)) / 2; }

static double exponential(const tv_schedule *s, double t) {
  const double x = t / (double)s->steps;
  return s->rate * pow(s->factor, s->staircase ? floor(x) : x);
}

static double inverse_time(const tv_schedule *s, double t) {
  const double x = t / (double)s->steps;
  return s->rate / (1 + s->factor * (s->staircase ? floor(x) : x));
}

static double polynomial(const tv_schedule *s, double t) {
  double n = (double)s->steps;
  if (s->cycle) n *= fmax(1, ceil(t / n));
  return (s->rate - s->end) * pow(1 - fmin(t, n) / n, s->power) + s->end;
}

static double cosine(const tv_schedule *s, double t) {
  const double n = (double)s->steps;
  return s->rate * ((1 - s->floor) * half_wave(fmin(t, n) / n) + s->floor);
}

/* Periods have 1, q, q^2, ... times the length of the first; i are over. */
static double cosine_restarts(const tv_schedule *s, double t) {
  const double q = s->stretch;
  double x = t / (double)s->steps, i;
  if (q == 1) {
    i = floor(x);
    x -= i;
  } else {
    i = floor(log(1 + x * (q - 1)) / log(q));
    /* The quotient of logarithms may fall on either side of a whole number. */
    if ((pow(q, i + 1) - 1) / (q - 1) <= x) i++;
    if (i > 0 && (pow(q, i) - 1) / (q - 1) > x) i--;
    x = (x - (pow(q, i) - 1) / (q - 1)) / pow(q, i);
  }
  return s->rate * ((1 - s->floor) * pow(s->shrink, i) * half_wave(x) + s->floor);
}

static double piecewise(const tv_schedule *s, int64_t steps) {
  int k = 0;
  while (k < s->n_boundaries && steps > s->boundaries[k]) k++;
  return s->rates[k];
}

static double one_cycle(const tv_schedule *s, double t) {
  const double n = (double)s->steps, top = s->peak * n - 1, first = s->rate / s->first_divisor;
  const double last = first / s->last_divisor;
  if (t <= top) return first + (s->rate - first) * (1 - half_wave(top > 0 ? t / top : 1));
  const double x = n - 1 > top ? fmin((t - top) / (n - 1 - top), 1) : 1;
  return last + (s->rate - last) * half_wave(x);
}

static double value(const tv_schedule *s, int64_t steps) {
  const double t = (double)steps;
  switch (s->kind) {
    case TV_SCHEDULE_CONSTANT:
      return s->rate;
    case TV_SCHEDULE_EXPONENTIAL:
      return exponential(s, t);
    case TV_SCHEDULE_INVERSE_TIME:
      return inverse_time(s, t);
    case TV_SCHEDULE_POLYNOMIAL:
      return polynomial(s, t);
    case TV_SCHEDULE_COSINE:
      return cosine(s, t);
    case TV_SCHEDULE_COSINE_RESTARTS:
      return cosine_restarts(s, t);
    case TV_SCHEDULE_PIECEWISE:
      return piecewise(s, steps);
    case TV_SCHEDULE_ONE_CYCLE:
      return one_cycle(s, t);
    case TV_SCHEDULE_CALLBACK:
      break;
  }
  return s->callback(s->user, steps);
}

tv_status tvi_schedule_rate(const char *who, const tv_schedule *s, int64_t steps, double *rate) {
  const int64_t warm = s->warm_up_steps;
  double x;
  if (steps < warm)
    x = s->warm_up_from + (value(s, 0) - s->warm_up_from) * ((double)steps / (double)warm);
  else
    x = value(s, steps - warm);
  if (!tvi_in_range(who, "the schedule's rate", x, TVI_AT_LEAST_0)) return TV_EVALUE;
  *rate = x;
  return TV_OK;
}

double tv_schedule_at(const tv_schedule *schedule, int64_t steps) {
  static const char who[] = "schedule_at";
  tv_schedule s;
  double rate = (double)NAN;
  if (!is_schedule(who, schedule, &s)) return rate;
  if (steps < 0)
    tvi_fail(TV_EVALUE, "%s: steps is %lld", who, (long long)steps);
  else
    tvi_schedule_rate(who, &s, steps, &rate);
  return rate;
}

tv_schedule *tvi_schedule_copy(const char *who, const tv_schedule *schedule) {
  tv_schedule s;
  if (!is_schedule(who, schedule, &s)) return NULL;
  const int n = s.kind == TV_SCHEDULE_PIECEWISE ? s.n_boundaries : 0;
  const int n_rates = s.kind == TV_SCHEDULE_PIECEWISE ? n + 1 : 0;
  struct {
    tv_schedule s;
    int64_t more[]; /* boundaries, then rates */
  } *const copy = tvi_malloc((int64_t)sizeof s + (n + n_rates) * (int64_t)sizeof(int64_t));
  if (!copy) return tvi_fail(TV_ENOMEM, "%s: no memory for the schedule", who);
  copy->s = s;
  if (n_rates) {
    double *const rates = (double *)(void *)(copy->more + n);
    if (n) memcpy(copy->more, s.boundaries, (size_t)n * sizeof *s.boundaries);
    memcpy(rates, s.rates, (size_t)n_rates * sizeof *rates);
    copy->s.boundaries = copy->more;
    copy->s.rates = rates;
  }
  return &copy->s;
}

/* Plateau -------------------------------------------------------------------------------------- */

static bool is_better(const tv_plateau *p, double metric) {
  if (!p->has_best) return !isnan(metric);
  const double by = p->absolute ? p->threshold : p->threshold * p->best;
  return p->maximize ? metric > p->best + by : metric < p->best - by;
}

double tv_plateau_update(tv_plateau *p, double metric, double rate) {
  static const char who[] = "plateau_update";
  if (!p) return tvi_null(who, "plateau"), (double)NAN;
  if (p->size != sizeof *p) return tvi_options_fit(who, 0, sizeof *p), (double)NAN;
  if (!tvi_in_range(who, "rate", rate, TVI_AT_LEAST_0) ||
      !tvi_in_range(who, "factor", p->factor, TVI_FROM_0_BELOW_1) ||
      !tvi_in_range(who, "patience", (double)p->patience, TVI_AT_LEAST_0) ||
      !tvi_in_range(who, "cooldown", (double)p->cooldown, TVI_AT_LEAST_0) ||
      !tvi_in_range(who, "threshold", p->threshold, TVI_AT_LEAST_0) ||
      !tvi_in_range(who, "least", p->least, TVI_AT_LEAST_0))
    return (double)NAN;
  if (is_better(p, metric)) {
    p->has_best = true;
    p->best = metric;
    p->n_bad = 0;
  } else {
    p->n_bad++;
  }
  if (p->n_cooling > 0) {
    p->n_cooling--;
    p->n_bad = 0;
  }
  if (p->n_bad <= p->patience) return rate;
  p->n_cooling = p->cooldown;
  p->n_bad = 0;
  return fmin(rate, fmax(rate * p->factor, p->least));
}
