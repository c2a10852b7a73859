/* SPDX-License-Identifier: MIT
 * A backend is one struct: how a device allocates, copies and computes. The CPU is one; anyone can
 * register another from outside the tree.
 *
 * The core checks everything before it calls: shapes, dtypes, indices and sizes are right, pointers
 * are the device's own. Blocks are opaque to it: it never reads or writes a byte of one. An empty
 * slot is TV_EUNSUPPORTED to the caller, naming op, dtype and device.
 *
 * A slot that fails says why with tv_backend_fail and returns that status; results are then
 * undefined and thrown away. `self` is what was registered. A NULL stream is the device's main one.
 * Work may be queued: what comes later on the same stream sees it, and `synchronize` waits for it.
 */
#ifndef TENSORVAR_BACKEND_H
#define TENSORVAR_BACKEND_H

#include <tensorvar/device.h>
#include <tensorvar/dtype.h>
#include <tensorvar/random.h>
TV_BEGIN_C

enum {
  TV_BACKEND_ABI = 1,
  TV_MAX_INPUTS = 3, /* of an elementwise op */
};

typedef struct tv_stream tv_stream;

/** Elements in memory: the first, and the bytes between neighbours along each axis of the job. */
typedef struct tv_operand {
  void *data;           /* of the device; unused if is_immediate */
  const int64_t *steps; /* [rank]; 0 along a broadcast axis */
  bool is_immediate;    /* one value everywhere, in `immediate`, of the operand's dtype */
  union {
    uint8_t bytes[16];
    double align;
  } immediate;
} tv_operand;

/** out[i] = op(in[0][i], ...). dtype is what the row of the op table runs in: of the inputs (but a
 *  condition, which is bool) and, unless it is a comparison or a part of a complex number, the
 * result. The result overlaps no input, unless it is exactly one: same data, same steps. */
typedef struct tv_elementwise {
  int op;              /* position of the row in the op table */
  const char *op_name; /* for messages */
  tv_dtype dtype;
  int rank;
  const int64_t *shape;
  int n_inputs;
  tv_operand out, in[TV_MAX_INPUTS];
} tv_elementwise;

/** out[i] = in[i], converted as tv_astype documents. Equal dtypes: a copy. No overlap. */
typedef struct tv_convert {
  tv_dtype from, to;
  int rank;
  const int64_t *shape;
  tv_operand out, in;
} tv_convert;

/** out[i] = start + i * step for 0 <= i < n, into consecutive elements. Integer dtypes use the
 * integers, with wrapping; floating ones the doubles, rounded once at the end. */
typedef struct tv_sequence {
  tv_dtype dtype;
  int64_t n;
  void *out;
  double real_start, real_step;
  int64_t int_start, int_step;
} tv_sequence;

typedef enum tv_reduction {
  TV_REDUCE_SUM,
  TV_REDUCE_MAX,
  TV_REDUCE_MIN,
  TV_REDUCE_ARGMAX, /* result int64: position in C order of the reduced axes */
  TV_REDUCE_ARGMIN
} tv_reduction;

/** One result per index of the first `kept` axes, over all indices of the others in C order.
 *  `out` is compact, in C order. For TV_REDUCE_SUM `out_dtype` may be wider: f32 for f16 and bf16;
 *  otherwise it is dtype, or int64. There is at least one element unless it is a sum.
 *  Sums: element k is added to accumulator k mod 16 of its run of 512; the accumulators, then the
 * runs, are added pairwise (see src/cpu/reduce.c): the same bits on every backend. */
typedef struct tv_reduce {
  tv_reduction reduction;
  tv_dtype dtype, out_dtype;
  int rank, kept;
  const int64_t *shape;
  tv_operand in;
  void *out;
} tv_reduce;

/** out[b] = a[b] b[b], for each of the batch. Row and column steps are in bytes, of any size and
 * sign; out is compact, in C order. */
typedef struct tv_matmul_job {
  tv_dtype dtype;
  int64_t m, n, k;
  int batch_rank;
  const int64_t *batch_shape;
  const void *a, *b;
  const int64_t *a_batch_steps, *b_batch_steps;
  int64_t a_row_step, a_column_step, b_row_step, b_column_step;
  void *out;
} tv_matmul_job;

/** Everything is compact, in C order, with elements of `item` bytes or of dtype; indices are int64,
 * 0 <= i < n. gather: out [outer, k, inner] = in [outer, indices[k], inner]. scatter_add: in order
 * of k, out [outer, indices[k], inner] += in [outer, k, inner]. */
typedef struct tv_gather {
  tv_dtype dtype;
  int64_t outer, n, k, inner;
  const void *in;
  const int64_t *indices;
  void *out;
} tv_gather;

typedef enum tv_distribution {
  TV_RANDOM_BITS,
  TV_RANDOM_UNIFORM,
  TV_RANDOM_NORMAL
} tv_distribution;

/** n consecutive elements of a draw, from element `first`; laid out as random.h says. BITS: u32 or
 * u64. */
typedef struct tv_random {
  tv_distribution distribution;
  tv_dtype dtype;
  tv_key key;
  int64_t first, n;
  void *out;
} tv_random;

typedef struct tv_backend {
  uint32_t
      size;     /* sizeof(tv_backend) where the backend was compiled; fields are added at the end */
  uint32_t abi; /* TV_BACKEND_ABI; any other is refused, naming both */

  /** Reserve bytes > 0, aligned to 64, content undefined. *out is the caller's until `release`.
   *  TV_ENOMEM: *out is NULL. */
  tv_status (*reserve)(void *self, int64_t bytes, tv_stream *stream, void **out);
  /** Take a block back; work queued on the stream may still use it. Cannot fail. */
  void (*release)(void *self, void *block, int64_t bytes, tv_stream *stream);
  /** Copy bytes to the device, or from it. The host side is free to be used when the call returns.
   *  Within a device `convert` copies. */
  tv_status (*copy_in)(void *self, void *to, const void *from_host, int64_t bytes,
                       tv_stream *stream);
  tv_status (*copy_out)(void *self, void *to_host, const void *from, int64_t bytes,
                        tv_stream *stream);
  /** Wait for all queued work; report what failed in it. */
  tv_status (*synchronize)(void *self, tv_stream *stream);

  tv_status (*elementwise)(void *self, const tv_elementwise *job, tv_stream *stream);
  tv_status (*convert)(void *self, const tv_convert *job, tv_stream *stream);
  tv_status (*sequence)(void *self, const tv_sequence *job, tv_stream *stream);
  tv_status (*reduce)(void *self, const tv_reduce *job, tv_stream *stream);
  tv_status (*matmul)(void *self, const tv_matmul_job *job, tv_stream *stream);
  tv_status (*gather)(void *self, const tv_gather *job, tv_stream *stream);
  tv_status (*scatter_add)(void *self, const tv_gather *job, tv_stream *stream);
  /** Position of the first of n consecutive int64 outside low <= i < high, or -1, and the value
   * there. Waits for the answer. */
  tv_status (*find_bad_index)(void *self, const int64_t *indices, int64_t n, int64_t low,
                              int64_t high, int64_t *position, int64_t *value, tv_stream *stream);
  tv_status (*random)(void *self, const tv_random *job, tv_stream *stream);
  /** out[0..n) = the stable ascending order of n keys: positions, int64. */
  tv_status (*argsort_u64)(void *self, const uint64_t *keys, int64_t n, int64_t *out,
                           tv_stream *stream);
} tv_backend;

/**
 * Make a backend known as a device.
 *
 * `backend` and `self` are borrowed for the life of the process; `name` is copied: letters, digits
 * and ':' ("cuda:0").
 *
 * Errors    - TV_EDEVICE  another ABI or a struct too short to be one (both numbers are named); no
 * slots for memory; a name that is malformed or taken; more than 64 devices
 */
TV_API tv_status tv_device_register(const tv_backend *backend, void *self, const char *name,
                                    tv_device *device);

/** Set the thread's first failure, as the library's own functions do, and return `status`.
 *  The text is cut at 511 bytes. */
TV_API tv_status tv_backend_fail(tv_status status, const char *format, ...) TV_PRINTF(2, 3);

/** Number of rows in the op table, and the name of one: for a backend that maps its kernels by
 * name. */
TV_API int tv_op_count(void);
TV_API const char *tv_op_name(int op);

TV_END_C
#endif
