/* SPDX-License-Identifier: MIT
 * The convert slot: element types into one another (casts.h), and strided copies, which are
 * conversions of a type to itself. A copy moves bytes: it goes by size alone, so that no bit of a
 * NaN changes. */
#include <string.h>

#include "plan.h"

typedef struct {
  uint64_t words[2];
} pair;

#define COPY(name, T)                                                 \
  static void name(int64_t n, char *const *p, const int64_t *step) {  \
    const int64_t out = step[0], in = step[1];                        \
    if (out == sizeof(T) && in == sizeof(T)) {                        \
      memcpy(p[0], p[1], (size_t)n * sizeof(T));                      \
      return;                                                         \
    }                                                                 \
    if (out == sizeof(T) && in == 0) {                                \
      const T value = *(T *)(void *)p[1];                             \
      for (int64_t i = 0; i < n; i++) ((T *)(void *)p[0])[i] = value; \
      return;                                                         \
    }                                                                 \
    for (int64_t i = 0; i < n; i++)                                   \
      *(T *)(void *)(p[0] + i * out) = *(T *)(void *)(p[1] + i * in); \
  }
COPY(copy_1, uint8_t)
COPY(copy_2, uint16_t)
COPY(copy_4, uint32_t)
COPY(copy_8, tvi_eight)
COPY(copy_16, pair)

tvi_loop *tvi_copy_loop(int64_t item) {
  switch (item) {
    case 1:
      return copy_1;
    case 2:
      return copy_2;
    case 4:
      return copy_4;
    case 8:
      return copy_8;
    default:
      return copy_16;
  }
}

tvi_loop *tvi_convert_loop(tv_dtype from, tv_dtype to) {
  return from == to ? tvi_copy_loop(tvi_item(from)) : tvi_level_here()->casts[from][to];
}

tv_status tvi_cpu_convert(void *self, const tv_convert *job, void *stream) {
  (void)self, (void)stream;
  tvi_loop *const loop = tvi_convert_loop(job->from, job->to);
  if (!loop) return tv_backend_fail(TV_EUNSUPPORTED, "convert: no way from complex to real");
  const tv_operand *const operands[] = {&job->out, &job->in};
  tvi_plan plan;
  tvi_plan_make(&plan, job->rank, job->shape, 2, operands, (const tv_dtype[]){job->to, job->from});
  tvi_plan_run(&plan, loop, .03 * (double)(tvi_item(job->from) + tvi_item(job->to)));
  return TV_OK;
}
