/* SPDX-License-Identifier: MIT
 * The CPU backend, and what its files share.
 *
 * A kernel does one slot of tv_backend. It depends on no number of threads: work is cut into chunks
 * whose size follows from shapes and dtypes, and chunks write apart from each other. */
#ifndef TVI_CPU_H
#define TVI_CPU_H

#include <tensorvar/backend.h>

#include "memory.h"

/* The backend that device.c registers as "cpu". */
const tv_backend *tvi_cpu_backend(void);

/* The slots: `self` and the stream mean nothing here, all work is done when a call returns. */
tv_status tvi_cpu_reserve(void *self, int64_t bytes, void *stream, void **out);
void tvi_cpu_release(void *self, void *block, int64_t bytes, void *stream, int n_users,
                     void *const *users);
tv_status tvi_cpu_memory(void *self, tv_memory_stats *stats);
tv_status tvi_cpu_trim(void *self);
tv_status tvi_cpu_limit(void *self, int64_t bytes);
tv_status tvi_cpu_elementwise(void *self, const tv_elementwise *job, void *stream);
tv_status tvi_cpu_convert(void *self, const tv_convert *job, void *stream);
tv_status tvi_cpu_program(void *self, const tv_program *job, void *stream);
tv_status tvi_cpu_sequence(void *self, const tv_sequence *job, void *stream);
tv_status tvi_cpu_reduce(void *self, const tv_reduce *job, void *stream);
tv_status tvi_cpu_matmul(void *self, const tv_matmul_job *job, void *stream);
tv_status tvi_cpu_gather(void *self, const tv_gather *job, void *stream);
tv_status tvi_cpu_scatter(void *self, const tv_scatter *job, void *stream);
tv_status tvi_cpu_scatter_add(void *self, const tv_gather *job, void *stream);
tv_status tvi_cpu_find_bad_index(void *self, const int64_t *indices, int64_t n, int64_t low,
                                 int64_t high, int64_t *position, int64_t *value, void *stream);
tv_status tvi_cpu_random(void *self, const tv_random *job, void *stream);
tv_status tvi_cpu_argsort_u64(void *self, const uint64_t *keys, int64_t n, int64_t *out,
                              void *stream);
tv_status tvi_cpu_rows(void *self, const tv_rows *job, void *stream);
tv_status tvi_cpu_select_count(void *self, const tv_select *job, int64_t *count, void *stream);
tv_status tvi_cpu_select(void *self, const tv_select *job, void *stream);
tv_status tvi_cpu_optimize(void *self, const tv_optimize *job, void *stream);

/* threads.c ------------------------------------------------------------------------------------ */

/* Calls run(context, i) once for each i of [0, n), on the caller and the pool's threads, in no
 * order. Back when all are done. From within a chunk, or while another thread has the pool: on the
 * caller alone. Chunks must not fail: they note failures in the context. */
typedef void tvi_chunk(void *context, int64_t i);
void tvi_parallel(int64_t n, tvi_chunk *run, void *context);

/* Whether work of so many nanoseconds on one thread is worth the pool. */
bool tvi_worth_threads(double nanoseconds);

/* Bytes of an element. */
static inline int64_t tvi_item(tv_dtype dtype) {
  static const int8_t items[TV_DTYPE_COUNT] = {
      [TV_BOOL] = 1, [TV_I8] = 1,  [TV_I16] = 2, [TV_I32] = 4, [TV_I64] = 8,
      [TV_U8] = 1,   [TV_U16] = 2, [TV_U32] = 4, [TV_U64] = 8, [TV_F16] = 2,
      [TV_BF16] = 2, [TV_F32] = 4, [TV_F64] = 8, [TV_C64] = 8, [TV_C128] = 16};
  return items[dtype];
}

#endif
