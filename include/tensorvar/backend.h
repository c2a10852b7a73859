/* SPDX-License-Identifier: MIT
 * A backend is one struct: how a device allocates, copies and computes. The CPU is one; anyone can
 * register another from outside the tree.
 *
 * The core checks everything before it calls: shapes, dtypes, indices and sizes are right, pointers
 * are the device's own. Blocks are opaque to it: it never reads or writes a byte of one. An empty
 * slot is TV_EUNSUPPORTED to the caller, naming op, dtype and device.
 *
 * A slot that fails says why with tv_backend_fail and returns that status; results are then
 * undefined and thrown away. `self` is what was registered. A stream is what `stream_open` gave, or
 * NULL for the device's main one. Work may be queued: what comes later on the same stream sees it,
 * and `synchronize` waits for it. The core orders streams by `stream_wait`.
 */
#ifndef TENSORVAR_BACKEND_H
#define TENSORVAR_BACKEND_H

#include <tensorvar/device.h>
#include <tensorvar/dtype.h>
#include <tensorvar/linalg.h>
#include <tensorvar/random.h>
TV_BEGIN_C

enum {
  TV_BACKEND_ABI = 2,
  TV_MAX_INPUTS = 3, /* of an elementwise op */
  TV_MAX_STEPS = 32, /* of a program */
  TV_MAX_PROGRAM_INPUTS = 32,
  TV_MAX_PROGRAM_RANK = 8,
  TV_STEP_CONVERT = -1
};

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

/** One op of a program, over values by number: the inputs' come first, then those of the steps. */
typedef struct tv_step {
  int op;          /* as of tv_elementwise; TV_STEP_CONVERT: to `result`, as tv_astype documents */
  tv_dtype dtype;  /* as of tv_elementwise; what TV_STEP_CONVERT converts from */
  tv_dtype result; /* of the step's value */
  int n_inputs, in[TV_MAX_INPUTS];
  void *out; /* where the value goes, compact, in C order; NULL: it is read by later steps alone */
} tv_step;

/** Elementwise ops over one shape, as if each were run by itself: the same bits. 1 <= n_steps <=
 *  TV_MAX_STEPS, n_inputs <= TV_MAX_PROGRAM_INPUTS, rank <= TV_MAX_PROGRAM_RANK. Results overlap no
 * input, unless it is exactly one and that is compact. */
typedef struct tv_program {
  int rank;
  const int64_t *shape;
  int n_inputs;
  const tv_operand *inputs;
  const tv_dtype *dtypes; /* [n_inputs] */
  int n_steps;
  const tv_step *steps;
} tv_program;

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
  /* Not NULL, and then the slot `program` is there: `in` is the value of the last step, as if it
   * were stored in C order; in.data is NULL. Results of steps are stored as they say. Never of
   * ARGMAX and ARGMIN. */
  const tv_program *program;
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
  tv_matmul_precision precision; /* of f32 */
  /* What follows for each element; set only where the backend `takes_epilogue`, of f32 and f64. */
  const void *bias; /* [n], compact: added to each row; NULL: none */
  tv_activation activation;
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

/** Rows by index, in order of k: out [n, inner] at row indices[k] becomes in [k, inner] (op -1), or
 * `out op in` of a binary op of the op table that gives dtype. Everything is compact, in C order;
 * 0 <= index < n. With in_is_row `in` is one row, for every k. */
typedef struct tv_scatter {
  tv_dtype dtype;
  int op;
  bool in_is_row;
  int64_t n, k, inner;
  const void *in;
  const int64_t *indices;
  void *out;
} tv_scatter;

/** Rows chosen by a mask, where it is not 0; everything is compact, in C order. starts[r]: how many
 *  of the first r * run rows are chosen; of the device, written by `select_count`, read by
 *  `select`, for which `count` of all is known. */
typedef struct tv_select {
  int64_t n, row_bytes, run;
  const void *mask; /* [n], bool */
  int64_t *starts;  /* [ceil(n / run)] */
  int64_t count;
  bool is_inverse; /* false: out [count] = the chosen rows of in [n]
                      true: out [n], where chosen, = in [count] in order; other bytes are 0 */
  const void *in;
  void *out;
} tv_select;

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

typedef enum tv_row_op {
  TV_ROWS_SOFTMAX,                /* out [rows, columns]: exp(z) / sum exp(z) */
  TV_ROWS_LOG_SOFTMAX,            /* out [rows, columns]: z - log(sum exp(z)) */
  TV_ROWS_CROSS_ENTROPY,          /* out [rows]: log(sum exp(z)) - z[label] */
  TV_ROWS_CROSS_ENTROPY_GRADIENT, /* out [rows, columns]: g (softmax - one_hot(label)) */
  /* Only of backends that say so in `more_rows`: */
  TV_ROWS_LAYER_NORM /* out [rows, columns]: (x - mean) / sqrt(variance + epsilon) gamma + beta */
} tv_row_op;

/** Whole rows in one pass; z is a row less its largest element. f32 and f64, and f16 and bf16,
 * which are computed in f32 and rounded once. Everything is compact, in C order; columns > 0. The
 * bits are those of the public ops that src/softmax.c, src/loss.c and src/norm.c compose where
 * the slot is empty. */
typedef struct tv_rows {
  tv_row_op op;
  tv_dtype dtype; /* of x, g and out */
  int64_t rows, columns;
  const void *x, *g;     /* g [rows]: of the gradient only */
  const int64_t *labels; /* [rows], 0 <= label < columns: of cross entropy and its gradient only */
  void *out;
  const void *gamma, *beta; /* [columns], or NULL: of layer norm only */
  double epsilon;
} tv_rows;

/** One tensor of an optimizer's step: n consecutive elements each. Slots are of dtype f32 for f16
 * and bf16. A result may be exactly what it comes from: value_out = value, slot_out = slot. */
typedef struct tv_optimize_tensor {
  tv_dtype dtype;
  int64_t n;
  const void *value, *gradient; /* gradient NULL: zeros, where no step is_plain */
  const void *slot[3];          /* momentum, or the moments; NULL before the first step */
  void *value_out, *slot_out[3];
  double unbias1, unbias2; /* Adam: 1 - beta1^t, 1 - beta2^t; Adagrad: 1 + (t - 1) rate_decay, 0 */
} tv_optimize_tensor;

/** Kinds from the third on are asked for only of backends that name them in `more_steps`. */
typedef enum tv_optimize_kind {
  TV_OPTIMIZE_SGD,
  TV_OPTIMIZE_ADAM,
  TV_OPTIMIZE_RMSPROP,
  TV_OPTIMIZE_ADAGRAD,
  TV_OPTIMIZE_ADADELTA,
  TV_OPTIMIZE_LION,
  TV_OPTIMIZE_KINDS
} tv_optimize_kind;

/** One step for all tensors. The bits are those of the ops that src/variable/method.c composes
 * where the slot is empty; of slots, what is below the smallest normal number becomes 0. */
typedef struct tv_optimize {
  tv_optimize_kind kind;
  double learning_rate;
  double momentum; /* SGD */
  bool nesterov;
  double beta1, beta2, epsilon; /* Adam */
  int n;
  const tv_optimize_tensor *tensors;
  bool is_plain; /* nothing of what follows is asked for; else only of `more_steps` */
  double dampening;
  bool rate_in_momentum, amsgrad; /* as in optimizer.h; slot 2 is amsgrad's */
  bool epsilon_inside;            /* Adam: epsilon_hat */
  double decay, initial;          /* RMSprop and Adadelta, Adagrad */
  bool centered;                  /* RMSprop: the last slot is the mean */
  double weight_decay, decoupled_decay;
  bool maximize;
} tv_optimize;

typedef struct tv_backend {
  uint32_t
      size;     /* sizeof(tv_backend) where the backend was compiled; fields are added at the end */
  uint32_t abi; /* TV_BACKEND_ABI; any other is refused, naming both */

  /** Reserve bytes > 0, aligned to 64, content undefined. *out is the caller's until `release`.
   *  TV_ENOMEM: *out is NULL. */
  tv_status (*reserve)(void *self, int64_t bytes, void *stream, void **out);
  /** Take back a block that was reserved on `stream`. Work queued there may still use it, and so
   * may work queued on the n_users other streams. Cannot fail. */
  void (*release)(void *self, void *block, int64_t bytes, void *stream, int n_users,
                  void *const *users);
  /** Copy bytes to the device, or from it. The host side is free to be used when the call returns.
   *  Within a device `convert` copies. */
  tv_status (*copy_in)(void *self, void *to, const void *from_host, int64_t bytes, void *stream);
  tv_status (*copy_out)(void *self, void *to_host, const void *from, int64_t bytes, void *stream);
  /** Wait for all work queued on the stream; report what failed in it. */
  tv_status (*synchronize)(void *self, void *stream);

  tv_status (*elementwise)(void *self, const tv_elementwise *job, void *stream);
  tv_status (*convert)(void *self, const tv_convert *job, void *stream);
  tv_status (*sequence)(void *self, const tv_sequence *job, void *stream);
  tv_status (*reduce)(void *self, const tv_reduce *job, void *stream);
  tv_status (*matmul)(void *self, const tv_matmul_job *job, void *stream);
  tv_status (*gather)(void *self, const tv_gather *job, void *stream);
  tv_status (*scatter_add)(void *self, const tv_gather *job, void *stream);
  /** Position of the first of n consecutive int64 outside low <= i < high, or -1, and the value
   * there. Waits for the answer. */
  tv_status (*find_bad_index)(void *self, const int64_t *indices, int64_t n, int64_t low,
                              int64_t high, int64_t *position, int64_t *value, void *stream);
  tv_status (*random)(void *self, const tv_random *job, void *stream);
  /** out[0..n) = the stable ascending order of n keys: positions, int64. */
  tv_status (*argsort_u64)(void *self, const uint64_t *keys, int64_t n, int64_t *out, void *stream);

  /* What a backend may leave empty, and the core then does without. */

  tv_status (*rows)(void *self, const tv_rows *job, void *stream);
  tv_status (*optimize)(void *self, const tv_optimize *job, void *stream);

  /* Streams and events; empty: work is done when a slot returns. All or none of these. A stream
   * lives as long as the device. */

  tv_status (*stream_open)(void *self, void **stream);
  /** What is queued on `stream` from now on comes after all that is queued on `other` until now. */
  tv_status (*stream_wait)(void *self, void *stream, void *other);
  tv_status (*event_open)(void *self, void **event);
  void (*event_release)(void *self, void *event);
  tv_status (*event_record)(void *self, void *event, void *stream);
  /** Make a stream wait for the event, or the calling thread. */
  tv_status (*event_wait)(void *self, void *event, void *stream);
  tv_status (*event_synchronize)(void *self, void *event);
  tv_status (*event_query)(void *self, void *event, bool *is_done);
  /** Milliseconds from one recorded event to another, both done. */
  tv_status (*event_elapsed)(void *self, void *from, void *to, double *milliseconds);

  /* Memory. */

  /** As copy_out, but queued: the host side is busy until the stream comes there. */
  tv_status (*copy_out_later)(void *self, void *to_host, const void *from, int64_t bytes,
                              void *stream);
  /** Host memory that the device copies from and to without a detour. */
  tv_status (*pinned_reserve)(void *self, int64_t bytes, void **out);
  void (*pinned_release)(void *self, void *block);
  /** Fill in what the allocator holds: held, held_peak, held_free, largest_free, limit. */
  tv_status (*memory)(void *self, tv_memory_stats *stats);
  /** The device was asked for by name: make it ready, or say in one sentence why it cannot be used.
   */
  tv_status (*ready)(void *self);
  /** Give what is cached and free back to the system. */
  tv_status (*trim)(void *self);
  /** Hold at most so many bytes from now on; 0 takes the limit away. */
  tv_status (*limit)(void *self, int64_t bytes);

  /** Run a program. Where it is empty, every elementwise op runs at its call. */
  tv_status (*program)(void *self, const tv_program *job, void *stream);
  /** Whether `matmul` looks at bias and activation. */
  bool takes_epilogue;
  /** What `rows` takes beyond the cross entropy's gradient: bit k says tv_row_op k. */
  uint64_t more_rows;

  /** Choose rows by a mask; both of these or none. The first waits for its answer. */
  tv_status (*select_count)(void *self, const tv_select *job, int64_t *count, void *stream);
  tv_status (*select)(void *self, const tv_select *job, void *stream);

  /** Write rows, or what an op makes of them; where it is empty, gather and scatter_add do it in
   * rounds. */
  tv_status (*scatter)(void *self, const tv_scatter *job, void *stream);
  /** Where `optimize` looks at what follows `is_plain`: bit k says tv_optimize_kind k. */
  uint64_t more_steps;

  /** DLPack's type and id of the device; where it is empty, its memory is not exchanged by DLPack.
   */
  void (*dlpack_device)(void *self, int32_t *type, int32_t *id);
} tv_backend;

/* Modules: backends in a shared object of their own.
 *
 * libtensorvar_NAME.so is opened when a device "NAME" or "NAME:0" is first asked for. It links
 * nothing of the library: what it needs comes through a table, so it serves the shared and the
 * static library alike. It exports one symbol, tv_backend_module. */

/** What the library lends a module. */
typedef struct tv_host {
  uint32_t size, abi; /* as of tv_backend */
  tv_status (*fail)(tv_status status, const char *format, ...)
      TV_PRINTF(2, 3); /* tv_backend_fail */
  tv_status (*device_register)(const tv_backend *backend, void *self, const char *name,
                               tv_device *device);
  int (*op_count)(void);
  const char *(*op_name)(int op);
  /** Call task(context, i) for 0 <= i < n on the library's threads, and wait for all. */
  void (*parallel)(int64_t n, void (*task)(void *context, int64_t i), void *context);
  /** Host memory, zeroed; NULL if there is none. */
  void *(*alloc)(int64_t bytes);
  void (*free)(void *block);
} tv_host;

typedef struct tv_module {
  uint32_t size, abi;
  /** Register the devices there are; called once, unless it fails. Nothing is touched before.
   * TV_EDEVICE, in one sentence, if there is none to use. `host` lives as long as the process. */
  tv_status (*start)(const tv_host *host);
} tv_module;

/** The symbol that a module exports: `const tv_module *tv_backend_module(void)`. */
#define TV_MODULE_SYMBOL "tv_backend_module"

/**
 * Open a module by its path, and register its devices.
 *
 * tv_device_find does it by itself for the modules it finds: in the folders of TV_BACKEND_PATH
 * (separated by ':'), beside the library, and where the dynamic loader looks.
 *
 * Errors    - TV_EDEVICE  the file cannot be opened, is no module, has another ABI, or says that
 *                         there is no device to use: why, in one sentence
 */
TV_API tv_status tv_module_load(const char *path);

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
