/* SPDX-License-Identifier: MIT
 * Schedules: a learning rate as a function of the steps taken, in double.
 *
 *     tv_schedule s = TV_SCHEDULE;
 *     s.kind = TV_SCHEDULE_COSINE;
 *     s.rate = .1;
 *     s.steps = 1000;
 *     s.warm_up_steps = 100;                     // from 0 to .1 first
 *     tv_optimizer_set_schedule(sgd, &s);
 *
 * s is the number of steps taken, so the first step sees 0. Values have no state: what continues at
 * step s, a resumed run too, continues with the same rate. */
#ifndef TENSORVAR_SCHEDULE_H
#define TENSORVAR_SCHEDULE_H

#include <tensorvar/optimizer.h>
TV_BEGIN_C

/** With n = steps. Source: Keras 3 `keras.optimizers.schedules` and PyTorch `lr_scheduler`, named
 *  where they differ. */
typedef enum tv_schedule_kind {
  TV_SCHEDULE_CONSTANT,     /* rate */
  TV_SCHEDULE_EXPONENTIAL,  /* rate factor^(s / n); staircase: floor(s / n), PyTorch's StepLR */
  TV_SCHEDULE_INVERSE_TIME, /* rate / (1 + factor s / n); staircase: floor(s / n) */
  TV_SCHEDULE_POLYNOMIAL,   /* (rate - end) (1 - min(s, n) / n)^power + end; with `cycle` n is the
                               first multiple of n that is not below s. Linear with power 1 */
  TV_SCHEDULE_COSINE,       /* rate ((1 - floor) (1 + cos(pi min(s, n) / n)) / 2 + floor) */
  TV_SCHEDULE_COSINE_RESTARTS, /* again and again; each period is `stretch` times the one before,
                                  and begins at `shrink` times its rate (Keras; PyTorch: shrink 1)
                                */
  TV_SCHEDULE_PIECEWISE, /* rates[i] while s <= boundaries[i], in the end rates[n_boundaries] */
  TV_SCHEDULE_ONE_CYCLE, /* PyTorch's OneCycleLR with cosines: from rate / first_divisor to rate
                            in peak n steps, then to rate / first_divisor / last_divisor */
  TV_SCHEDULE_CALLBACK   /* what `callback` says */
} tv_schedule_kind;

/** Begin with TV_SCHEDULE. A kind reads what it names above; warm_up_steps go before any of them: s
 *  linearly from warm_up_from to the schedule's value at 0, which then begins. */
typedef struct tv_schedule {
  size_t size;
  tv_schedule_kind kind;
  double rate;
  int64_t steps;
  double factor, end, power, floor;
  bool staircase, cycle;
  double stretch, shrink;
  double peak, first_divisor, last_divisor;
  int n_boundaries;
  const int64_t *boundaries; /* [n_boundaries], rising */
  const double *rates;       /* [n_boundaries + 1] */
  double (*callback)(void *user, int64_t steps);
  void *user;
  int64_t warm_up_steps;
  double warm_up_from;
} tv_schedule;
#define TV_SCHEDULE                                                                               \
  {                                                                                               \
    sizeof(tv_schedule), TV_SCHEDULE_CONSTANT, .01, 1000, .1, 1e-4, 1, 0, false, false, 2, 1, .3, \
        25, 1e4, 0, NULL, NULL, NULL, NULL, 0, 0                                                  \
  }

/** The rate after so many steps. NaN with TV_EVALUE: the schedule is none, steps are negative, or a
 *  callback gave what is negative or not finite. */
TV_API double tv_schedule_at(const tv_schedule *schedule, int64_t steps);

/**
 * Let an optimizer's learning rate follow a schedule from its next step on; NULL: it stays where it
 * is. tv_optimizer_set_learning_rate takes the schedule off too.
 *
 * The schedule is copied with its boundaries and rates. A callback is called with the optimizer's
 * lock held, before anything is done: it may not ask the optimizer. What it gives is the rate of
 * the step; if that is none, the step fails and has changed nothing.
 *
 * Errors    - TV_EVALUE  the schedule is none
 */
TV_API tv_status tv_optimizer_set_schedule(tv_optimizer *optimizer, const tv_schedule *schedule);

/** When a metric has stopped getting better. Begin with TV_PLATEAU; the fields from `best` on are
 *  its state, which may be written down and put back. */
typedef struct tv_plateau {
  size_t size;
  double factor;    /* times the rate */
  int64_t patience; /* updates without a better one that are let pass */
  double threshold; /* better is below best (1 - threshold), or best - threshold if absolute; of
                       what is to be large, above best (1 + threshold) or best + threshold */
  bool absolute, maximize;
  int64_t cooldown; /* updates after a change of the rate in which nothing is counted */
  double least;     /* rate */
  bool has_best;
  double best;
  int64_t n_bad, n_cooling;
} tv_plateau;
#define TV_PLATEAU \
  { sizeof(tv_plateau), .1, 10, 1e-4, false, false, 0, 0, false, 0, 0, 0 }

/** The rate that a metric, say a loss after each epoch, makes of this one. NaN is never better.
 *  NaN with TV_EVALUE: plateau is NULL or none, or rate is. Source: PyTorch `ReduceLROnPlateau`. */
TV_API double tv_plateau_update(tv_plateau *plateau, double metric, double rate);

TV_END_C
#endif
