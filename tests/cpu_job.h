/* SPDX-License-Identifier: MIT
 * For tests of the CPU backend's slots: arrays with steps, random contents, and jobs over them. */
#ifndef TV_TESTS_CPU_JOB_H
#define TV_TESTS_CPU_JOB_H

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cpu/cpu.h"
#include "scalar.h"

/* ThreadSanitizer makes these loops many times slower, and looks for races, which a part of the
 * cases shows as well: of the long sweeps every fifth is run there. */
#if defined(__SANITIZE_THREAD__)
enum { CPU_EVERY = 5 };
#else
enum { CPU_EVERY = 1 };
#endif

/* A view of a block of its own, in one of several layouts. */
typedef struct cpu_array {
  char *block, *data;
  int64_t bytes, steps[TV_MAX_RANK];
} cpu_array;

enum { DENSE, REVERSED, SPACED, FORTRAN, BROADCAST, LAYOUTS };

static uint64_t cpu_seed = 1;
static inline uint64_t cpu_random(void) { /* splitmix64, Steele et al. 2014 */
  uint64_t z = cpu_seed += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

/* A number in the domain of most ops, specials among them if `wild`. */
static inline void cpu_fill_one(tv_dtype dtype, char *at, bool wild) {
  static const double specials[] = {
      0.0, -0.0, (double)INFINITY, -(double)INFINITY, (double)NAN, 1.0, -1.0, 0.5, 3.0};
  const uint64_t bits = cpu_random();
  double x = (double)(int64_t)(cpu_random() % 8001) / 1000 - 4;
  if (wild && bits % 8 == 0) x = specials[(bits >> 8) % 9];
  const float f = (float)x;
  const double y = (double)(int64_t)(cpu_random() % 8001) / 1000 - 4;
  uint16_t half;
  switch (dtype) {
    case TV_BOOL:
      *at = (char)(bits & 1);
      return;
    case TV_F16:
      half = tvi_f16_store(f);
      memcpy(at, &half, 2);
      return;
    case TV_BF16:
      half = tvi_bf16_store(f);
      memcpy(at, &half, 2);
      return;
    case TV_F32:
      memcpy(at, &f, 4);
      return;
    case TV_F64:
      memcpy(at, &x, 8);
      return;
    case TV_C64:
      memcpy(at, &(float[2]){f, (float)y}, 8);
      return;
    case TV_C128:
      memcpy(at, &(double[2]){x, y}, 16);
      return;
    default: { /* small numbers often, so that pow and divisions have something to do */
      const uint64_t small = wild ? bits : bits % 11;
      memcpy(at, &small, (size_t)tvi_item(dtype));
    }
  }
}

/* An array of a shape. BROADCAST: step 0 along the first axis. */
static inline cpu_array cpu_array_new(tv_dtype dtype, int rank, const int64_t *shape, int layout) {
  const int64_t item = tvi_item(dtype);
  cpu_array a = {.bytes = item};
  int64_t offset = 0;
  for (int i = 0; i < rank; i++) {
    const int axis = layout == FORTRAN ? i : rank - 1 - i;
    int64_t step = a.bytes;
    if (layout == SPACED) step = a.bytes * (axis == rank - 1 ? 3 : 1);
    if (layout == SPACED && axis == rank - 1) a.bytes *= 3;
    if (layout == BROADCAST && axis == 0) {
      a.steps[axis] = 0;
      continue;
    }
    a.steps[axis] = step;
    a.bytes *= shape[axis];
    if (layout == REVERSED && shape[axis] > 0) {
      offset += step * (shape[axis] - 1);
      a.steps[axis] = -step;
    }
  }
  a.block = calloc(1, (size_t)(a.bytes ? a.bytes : 1));
  CHECK(a.block);
  a.data = a.block + offset;
  return a;
}

static inline void cpu_array_free(cpu_array *a) { free(a->block); }

static inline char *cpu_at(const cpu_array *a, int rank, const int64_t *shape, int64_t i) {
  char *at = a->data;
  for (int axis = rank - 1; axis >= 0; axis--) {
    at += i % shape[axis] * a->steps[axis];
    i /= shape[axis];
  }
  return at;
}

static inline int64_t cpu_size(int rank, const int64_t *shape) {
  int64_t n = 1;
  for (int axis = 0; axis < rank; axis++) n *= shape[axis];
  return n;
}

static inline void cpu_fill(tv_dtype dtype, const cpu_array *a, int rank, const int64_t *shape,
                            bool wild) {
  for (int64_t i = 0; i < cpu_size(rank, shape); i++)
    cpu_fill_one(dtype, cpu_at(a, rank, shape, i), wild);
}

/* The same elements in another layout. */
static inline cpu_array cpu_array_like(tv_dtype dtype, const cpu_array *from, int rank,
                                       const int64_t *shape, int layout) {
  cpu_array a = cpu_array_new(dtype, rank, shape, layout);
  for (int64_t i = 0; i < cpu_size(rank, shape); i++)
    memcpy(cpu_at(&a, rank, shape, i), cpu_at(from, rank, shape, i), (size_t)tvi_item(dtype));
  return a;
}

static inline bool cpu_is_nan(tv_dtype dtype, const char *at) {
  float f[2];
  double d[2];
  uint16_t half;
  switch (dtype) {
    case TV_F16:
      memcpy(&half, at, 2);
      return (half & 0x7fff) > 0x7c00;
    case TV_BF16:
      memcpy(&half, at, 2);
      return (half & 0x7fff) > 0x7f80;
    case TV_F32:
      memcpy(f, at, 4);
      return f[0] != f[0];
    case TV_F64:
      memcpy(d, at, 8);
      return d[0] != d[0];
    case TV_C64:
      memcpy(f, at, 8);
      return f[0] != f[0] || f[1] != f[1];
    case TV_C128:
      memcpy(d, at, 16);
      return d[0] != d[0] || d[1] != d[1];
    default:
      return false;
  }
}

/* The same bits, or both NaN: payloads and signs of NaN are not promised. */
static inline bool cpu_same(tv_dtype dtype, const char *a, const char *b) {
  return !memcmp(a, b, (size_t)tvi_item(dtype)) || (cpu_is_nan(dtype, a) && cpu_is_nan(dtype, b));
}

static inline bool cpu_same_elements(tv_dtype dtype, const cpu_array *a, const cpu_array *b,
                                     int rank, const int64_t *shape) {
  for (int64_t i = 0; i < cpu_size(rank, shape); i++)
    if (!cpu_same(dtype, cpu_at(a, rank, shape, i), cpu_at(b, rank, shape, i))) return false;
  return true;
}

#endif
