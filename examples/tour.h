/* SPDX-License-Identifier: MIT
 * What the tours share: printing as Python does, refusals, and stops that are visited by number. */
#ifndef TOUR_H
#define TOUR_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorvar/tensorvar.h>

static inline void print(tv_tensor *x) { tv_print(stdout, x); }
static inline void print_variable(tv_variable *v) { tv_variable_print(stdout, v); }

/* NumPy's str, what print() shows in Python. */
static inline void print_str(tv_tensor *x) {
  char text[2000];
  if (tv_format(x, TV_STR, text, sizeof text) >= 0) puts(text);
}

static inline void print_shape(tv_tensor *x) {
  const int rank = tv_tensor_rank(x);
  putchar('(');
  for (int k = 0; k < rank; k++)
    printf("%lld%s", (long long)tv_tensor_shape(x)[k], k + 1 < rank ? ", " : rank == 1 ? "," : "");
  puts(")");
}

static inline void print_version(tv_variable *v) {
  printf("version %llu\n", (unsigned long long)tv_variable_version(v));
}

/* A refusal is an answer too: print it, and go on as if it had not been. */
static inline void print_refusal(tv_status status) {
  printf("%s: %s\n", tv_status_name(status), tv_error_text());
  tv_error_clear();
}

static inline tv_tensor *f32(int rank, const int64_t *shape, const float *data) {
  return tv_tensor_from_memory(data, TV_F32, rank, shape, NULL);
}
static inline tv_tensor *f64(int rank, const int64_t *shape, const double *data) {
  return tv_tensor_from_memory(data, TV_F64, rank, shape, NULL);
}
static inline tv_tensor *i64(int rank, const int64_t *shape, const int64_t *data) {
  return tv_tensor_from_memory(data, TV_I64, rank, shape, NULL);
}

typedef struct {
  const char *title;
  void (*run)(void);
} tour_stop;

static inline int tour_visit(const char *tour, const tour_stop *stop, int number) {
  tv_scope scope;
  printf("%s--- %d. %s\n", number > 1 ? "\n" : "", number, stop->title);
  tv_scope_begin(&scope);
  stop->run();
  if (!tv_scope_end(&scope, NULL)) return 0;
  fprintf(stderr, "%s: stop %d: %s\n", tour, number, tv_error_text());
  return 1;
}

/* All stops, or those whose numbers are given. The exit status of the program. */
static inline int tour_visit_all(const char *tour, int n, const tour_stop *stops, int argc,
                                 char **argv) {
  int failed = 0;
  for (int k = 1; k < argc; k++) {
    const int number = (int)strtol(argv[k], NULL, 10);
    if (number < 1 || number > n) {
      fprintf(stderr, "usage: %s [1 to %d]...\n", tour, n);
      return 2;
    }
    failed |= tour_visit(tour, &stops[number - 1], number);
  }
  for (int number = 1; argc == 1 && number <= n; number++)
    failed |= tour_visit(tour, &stops[number - 1], number);
  return failed;
}

#endif
