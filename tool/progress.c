/* SPDX-License-Identifier: MIT
 * The progress bar: on the standard error alone, if that is a terminal, after half a second, ten
 * times a second. A signal to stop is remembered here and told to the library by its callback, so
 * that the library takes its temporary file away before the program ends. */
#include "progress.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t signalled;
static bool is_wanted, is_shown;
static double began, last;

static void remember(int number) { signalled = number; }

int stop_signal(void) { return (int)signalled; }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_start(bool is_quiet) {
  const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction action = {.sa_handler = remember};
  action.sa_flags =
      (int)SA_RESETHAND; /* so that the second one ends a program that does not hear */
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < 3; i++) {
    struct sigaction old;
    if (!sigaction(numbers[i], NULL, &old) && old.sa_handler != SIG_IGN) { /* as nohup leaves it */
      sigaction(numbers[i], &action, NULL);
    }
  }
  is_wanted = !is_quiet && isatty(STDERR_FILENO);
}

bool progress_told(void *user, int64_t done, int64_t total) {
  (void)user;
  if (signalled) return false;
  if (!is_wanted) return true;
  const double t = now();
  if (done == 0 || began == 0) began = t;
  if (t - began < .5 || t - last < .1 || total <= 0) return true;
  last = t;
  is_shown = true;
  static const char full[] = "##############################";
  const double part = (double)done / (double)total;
  const int n = (int)(part * 30);
  fprintf(stderr, "\r%3d%% [%-30.*s] %.2f of %.2f GB, %.2f GB/s ", (int)(100 * part), n, full,
          1e-9 * (double)done, 1e-9 * (double)total, 1e-9 * (double)done / (t - began));
  return true;
}

void progress_end(void) {
  began = 0;
  if (!is_shown) return;
  is_shown = false;
  fprintf(stderr, "\r%79s\r", "");
}
