/* SPDX-License-Identifier: MIT
 * The lines of JSON that a worker is told, and its answers. Objects are flat, their values are
 * strings without escapes: compare.py writes no others. */
#define _GNU_SOURCE /* clock_gettime, getrusage */
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

double worker_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct rusage used(void) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage)) memset(&usage, 0, sizeof usage);
  return usage;
}

static int64_t page_faults(const struct rusage *u) {
  return (int64_t)u->ru_minflt + (int64_t)u->ru_majflt;
}

static double busy(const struct rusage *u) {
  return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
         1e-6 * (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec);
}

/* The most memory that this process has had, in bytes; -1 where the system does not tell. */
static int64_t peak_memory(void) {
  char line[256];
  long long kib = -1;
  FILE *const status = fopen("/proc/self/status", "r");
  if (!status) return -1;
  while (fgets(line, sizeof line, status))
    if (sscanf(line, "VmHWM: %lld", &kib) == 1) break;
  fclose(status);
  return kib < 0 ? -1 : kib * 1024;
}

/* The value of a key, copied; "" if the line has none. */
static const char *field(const char *line, const char *key, char *value, size_t room) {
  char quoted[64];
  value[0] = 0;
  snprintf(quoted, sizeof quoted, "\"%s\":\"", key);
  const char *const start = strstr(line, quoted);
  if (!start) return value;
  const char *const from = start + strlen(quoted);
  const size_t length = strcspn(from, "\"");
  snprintf(value, room, "%.*s", (int)(length < room ? length : room - 1), from);
  return value;
}

static void refuse(const char *why) {
  fputs("{\"ok\":false,\"why\":\"", stdout);
  for (; *why; why++) putchar(*why == '"' || *why == '\\' ? '\'' : *why < ' ' ? ' ' : *why);
  puts("\"}");
}

typedef struct times {
  int64_t calls, faults, held;
  double took, busy;
} times;

static const char *time_some(const worker *w, int64_t calls, times *t) {
  const int64_t held = w->held();
  const struct rusage before = used();
  const double start = worker_now();
  const char *const wrong = w->run(calls);
  t->took = worker_now() - start;
  const struct rusage after = used();
  t->calls = calls;
  t->faults = page_faults(&after) - page_faults(&before);
  t->held = w->held() - held;
  t->busy = busy(&after) - busy(&before);
  return wrong;
}

/* As many calls as last for so many seconds, by the time of those that warm up. Calls that are long
 * themselves are not repeated: `check` was their first. */
static const char *time_calls(const worker *w, double seconds) {
  times t;
  const char *wrong = time_some(w, 1, &t);
  while (!wrong && t.took < seconds / 8)
    wrong = time_some(w, t.calls * (t.took > seconds / 64 ? 2 : 8), &t);
  if (!wrong && t.took < 2 * seconds)
    wrong = time_some(w, (int64_t)((double)t.calls * seconds / t.took) + 1, &t);
  if (!wrong)
    printf(
        "{\"ok\":true,\"seconds\":%.9g,\"calls\":%lld,\"faults\":%lld,\"held\":%lld,"
        "\"processors\":%.3f}\n",
        t.took / (double)t.calls, (long long)t.calls, (long long)t.faults, (long long)t.held,
        t.busy / t.took);
  return wrong;
}

static void serve_line(const worker *w, const char *line) {
  char what[32], op[64], size[64], path[4096], seconds[64];
  field(line, "do", what, sizeof what);
  const char *wrong = NULL;
  if (!strcmp(what, "prepare")) {
    wrong = w->prepare(field(line, "op", op, sizeof op), field(line, "size", size, sizeof size));
    if (!wrong) puts("{\"ok\":true,\"variants\":[\"\"]}");
  } else if (!strcmp(what, "check")) {
    wrong = w->check(field(line, "path", path, sizeof path));
    if (!wrong) puts("{\"ok\":true}");
  } else if (!strcmp(what, "time")) {
    wrong = time_calls(w, strtod(field(line, "seconds", seconds, sizeof seconds), NULL));
  } else if (!strcmp(what, "drop")) {
    w->drop();
    puts("{\"ok\":true}");
  } else if (!strcmp(what, "peak")) {
    printf("{\"ok\":true,\"bytes\":%lld}\n", (long long)peak_memory());
  } else {
    wrong = "no such command";
  }
  if (wrong) refuse(wrong);
}

int worker_serve(const worker *w) {
  char line[8192];
  printf("{\"ok\":true,\"name\":\"%s\"%s}\n", w->name, w->hello());
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    serve_line(w, line);
    fflush(stdout);
  }
  return 0;
}
