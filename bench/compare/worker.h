/* SPDX-License-Identifier: MIT
 * A worker of bench/compare: told by lines of JSON on its input what to prepare, check and time,
 * and answering each with one line. compare.py says what the lines are. */
#ifndef TV_COMPARE_WORKER_H
#define TV_COMPARE_WORKER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct worker {
  const char *name;
  /* More to say at the start, as fields of JSON that begin with a comma; may be "". */
  const char *(*hello)(void);
  /* Each gives NULL, or what went wrong. `drop` follows every `prepare`, failed ones too. */
  const char *(*prepare)(const char *op, const char *size);
  const char *(*check)(const char *path); /* the result of a call, as .npy */
  const char *(*run)(int64_t calls);
  void (*drop)(void);
  int64_t (*held)(void); /* bytes that it has of the system for tensors */
} worker;

/* Serve until the input ends. Gives the exit status of the process. */
int worker_serve(const worker *w);

/* Seconds on a clock that only goes forward. */
double worker_now(void);

#endif
