/* SPDX-License-Identifier: MIT
 * A report of a restore that writes down what it is told. */
#ifndef TV_TESTS_HEARING_H
#define TV_TESTS_HEARING_H

#include <stdio.h>
#include <string.h>

#include "check.h"

/* What `report` was told. */
static struct {
  int64_t n[7];
  char text[2000];
} told;

static inline void hear(void *user, tv_checkpoint_event event, const char *name, const char *text) {
  CHECK(user == &told);
  told.n[event]++;
  if (event == TV_CHECKPOINT_LOADED) return;
  snprintf(told.text + strlen(told.text), sizeof told.text - strlen(told.text), "%d %s %s|", event,
           name, text);
}

static inline tv_checkpoint_options hearing(void) {
  tv_checkpoint_options o = TV_CHECKPOINT_OPTIONS;
  o.report = hear;
  o.user = &told;
  memset(&told, 0, sizeof told);
  return o;
}

#endif
