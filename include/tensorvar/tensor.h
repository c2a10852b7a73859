/* SPDX-License-Identifier: MIT
 * Tensors: values of one dtype and shape. Making them, asking them, giving them back. */
#ifndef TENSORVAR_TENSOR_H
#define TENSORVAR_TENSOR_H

#include <tensorvar/device.h>
#include <tensorvar/dtype.h>
TV_BEGIN_C

/** The most axes that a tensor has. */
enum { TV_MAX_RANK = 64 };

/* Make --------------------------------------------------------------------------------------- */

/** How a borrow is watched for writes behind the library's back. */
typedef enum tv_guard {
  TV_GUARD_NONE,    /* not: to keep the bytes as they are is the caller's duty */
  TV_GUARD_SAMPLED, /* 64 bytes of every 4096, elsewhere in each borrow; all of up to 4096 bytes */
  TV_GUARD_FULL     /* every byte: a look costs about as much as copying them */
} tv_guard;

/** How tv_tensor_from_memory takes bytes. Begin with TV_MEMORY_OPTIONS. */
typedef struct tv_memory_options {
  size_t size;
  /** Use the caller's bytes without copying them: they stay valid and unchanged until `release`. */
  bool borrow;
  /** Bytes between neighbours along each axis, one per axis; NULL: C order without gaps. */
  const int64_t *steps;
  /** Called once when a borrow ends, with `user`: after the last view of it, on whichever thread
   * that is, and before the call returns if the call fails. May be NULL. */
  void (*release)(void *user);
  void *user;
  /** Where a copy goes; TV_DEVICE_NONE: the thread's current device. A borrow is on TV_CPU. */
  tv_device device;
  const char *name; /* of a borrow, for messages; copied; NULL: "borrow" */
  /** Of a borrow: every op that reads it looks at the bytes afterwards, as host access and
   * gradients do; if they changed since they were borrowed, or marked, it fails with TV_EMUTATED,
   * naming the first range that did, in bytes of the elements in C order. */
  tv_guard guard;
} tv_memory_options;
#define TV_MEMORY_OPTIONS \
  { sizeof(tv_memory_options), false, NULL, NULL, NULL, TV_DEVICE_NONE, NULL, TV_GUARD_NONE }

/**
 * Tell that the owner of borrowed memory has written to it: from now on its bytes are right.
 *
 * Of tensors computed from it before nothing changes. A tape that recorded an op whose gradient
 * needs the bytes as they were gives TV_EMUTATED, at every level of guard.
 *
 * Errors    - TV_EVALUE   x is NULL, or does not show borrowed memory
 */
TV_API tv_status tv_tensor_mark_mutated(tv_tensor *x);

/**
 * A tensor of the caller's bytes: a copy, or a borrow.
 *
 *     tv_tensor *x = tv_tensor_from_memory(a, TV_F64, TV_SHAPE(3, 4), NULL);
 *
 * Errors    - TV_EVALUE     data is NULL and there are elements; or a borrow misaligned for its
 * dtype
 *           - TV_ESHAPE     negative size, or more than 64 axes
 *           - TV_EDTYPE     no dtype
 *           - TV_EDEVICE    a borrow on another device than TV_CPU
 *           - TV_EUNSUPPORTED  a guard, in a build without xxHash
 *           - TV_EOVERFLOW  more than 2^63 - 1 bytes
 */
TV_API tv_tensor *tv_tensor_from_memory(const void *data, tv_dtype dtype, int rank,
                                        const int64_t *shape, const tv_memory_options *options);

/** Weak scalars: numbers that take the dtype of the tensor they meet, as Python's do in NumPy 2.
 *  They have no device. Met by another weak scalar they are bool, int64, float64 or complex128. */
TV_API tv_tensor *tv_scalar_bool(bool value);
TV_API tv_tensor *tv_scalar_int(int64_t value);
TV_API tv_tensor *tv_scalar_uint(uint64_t value);
TV_API tv_tensor *tv_scalar_real(double value);
TV_API tv_tensor *tv_scalar_complex(double real, double imag);

/** Zeros, ones, or a value everywhere, on the current device.
 *  TV_EDTYPE, TV_ESHAPE, TV_EOVERFLOW as tv_tensor_from_memory. The value of tv_full is 0-d, a weak
 *  scalar as a rule; TV_DTYPE_NONE takes its dtype. Source: array API 2024.12. */
TV_API tv_tensor *tv_zeros(tv_dtype dtype, int rank, const int64_t *shape);
TV_API tv_tensor *tv_ones(tv_dtype dtype, int rank, const int64_t *shape);
TV_API tv_tensor *tv_full(tv_dtype dtype, int rank, const int64_t *shape, tv_tensor *value);

/** Zeros or ones with the shape, dtype and device of x. */
TV_API tv_tensor *tv_zeros_like(tv_tensor *x);
TV_API tv_tensor *tv_ones_like(tv_tensor *x);

/**
 * start, start + step, ... up to, not including, stop.
 *
 * There are max(0, ceil((stop - start) / step)) elements, counted in double; element i is
 * start + i * ((start + step) - start), rounded to dtype. The _int form counts and computes in
 * integers, exactly.
 *
 * Dtypes    any but bool; TV_DTYPE_NONE: float64, int64 in the _int form
 * Errors    - TV_EVALUE   step is 0, or a bound is not finite
 * Source    array API 2024.12 `arange`, NumPy.
 */
TV_API tv_tensor *tv_arange(tv_dtype dtype, double start, double stop, double step);
TV_API tv_tensor *tv_arange_int(tv_dtype dtype, int64_t start, int64_t stop, int64_t step);

/**
 * num numbers evenly from start to stop, both ends included; one number is start.
 *
 * Dtypes    any but bool, integers rounded towards minus infinity; TV_DTYPE_NONE: float64
 * Errors    - TV_EVALUE   num is negative, or a bound is not finite
 * Source    array API 2024.12 `linspace`, NumPy.
 */
TV_API tv_tensor *tv_linspace(tv_dtype dtype, double start, double stop, int64_t num);

/** n rows of m columns with ones on the k-th diagonal (above the main one if positive), else zeros.
 *  Source: array API 2024.12 `eye`. */
TV_API tv_tensor *tv_eye(tv_dtype dtype, int64_t n, int64_t m, int64_t k);

/* When work is done ---------------------------------------------------------------------------- */

/**
 * Whether the thread's elementwise ops run at the call, one by one.
 *
 * At first they do not, unless TV_EAGER=1 is in the environment: everything is checked at the call,
 * but the elements of large results are computed when they are asked for, a chain of ops in one
 * pass over memory. The bits are the same. What can still fail then is memory: whatever asks gives
 * TV_ENOMEM. An op that reads borrowed bytes runs at the call.
 */
TV_API tv_status tv_eager_set(bool is_eager);

/** The thread's choice. */
TV_API bool tv_eager_current(void);

/**
 * Compute what is not computed yet of n tensors, so that reading them costs no more than that.
 *
 * Errors    - TV_EVALUE   n is negative, or something is NULL
 *           - TV_ENOMEM   the others may be computed or not
 */
TV_API tv_status tv_evaluate(int n, tv_tensor *const *tensors);

/* Ask ---------------------------------------------------------------------------------------- */

/** Of NULL: TV_DTYPE_NONE, -1, NULL, 0, 0, TV_DEVICE_NONE, false, no failure. */
TV_API tv_dtype tv_tensor_dtype(tv_tensor *x);
TV_API int tv_tensor_rank(tv_tensor *x);
/** rank sizes; valid while the handle lives. */
TV_API const int64_t *tv_tensor_shape(tv_tensor *x);
/** Number of elements, and their bytes. */
TV_API int64_t tv_tensor_size(tv_tensor *x);
TV_API int64_t tv_tensor_bytes(tv_tensor *x);
/** TV_DEVICE_NONE for a weak scalar. */
TV_API tv_device tv_tensor_device(tv_tensor *x);
/** Whether the elements lie in C order without gaps. */
TV_API bool tv_tensor_is_contiguous(tv_tensor *x);
TV_API bool tv_tensor_is_weak(tv_tensor *x);
/** Whether x and y share bytes, so that one is a view of what the other shows. */
TV_API bool tv_tensor_shares(tv_tensor *x, tv_tensor *y);

/**
 * The elements in host memory, in C order without gaps; NULL if there are none.
 *
 * Valid while the handle lives. A view is compacted first, and x keeps the compact bytes.
 *
 * Errors    - TV_EDEVICE   x is on another device: use tv_tensor_copy_out or tv_to
 *           - TV_ENOMEM    compacting
 */
TV_API const void *tv_tensor_data(tv_tensor *x);

/** The first element in host memory, and through `steps` (rank of them) the bytes between
 * neighbours along each axis. TV_EDEVICE as tv_tensor_data. */
TV_API const void *tv_tensor_data_strided(tv_tensor *x, int64_t *steps);

/** Copy the elements in C order into `out`, which has room for `capacity` bytes, from any device
 * and layout. TV_EVALUE if that is less than tv_tensor_bytes: nothing is then written. */
TV_API tv_status tv_tensor_copy_out(tv_tensor *x, void *out, int64_t capacity);

/** The element of a tensor of one element, converted as tv_astype would.
 *  TV_ESHAPE if there is not exactly one; TV_EDTYPE for a complex one. */
TV_API tv_status tv_item_f64(tv_tensor *x, double *value);
TV_API tv_status tv_item_i64(tv_tensor *x, int64_t *value);

/* Change device or dtype ---------------------------------------------------------------------- */

/** x with another dtype, as NumPy converts: out of range and NaN to integer as on x86-64.
 *  The same handle if it has the dtype already. Gradient: g with the dtype of x.
 *  TV_EDTYPE from complex to real: say which part with tv_real or tv_imag. */
TV_API tv_tensor *tv_astype(tv_tensor *x, tv_dtype dtype);

/** What tv_cast_checked counted. Begin with TV_CAST_REPORT. */
typedef struct tv_cast_report {
  size_t size;
  int64_t n_overflow; /* finite elements that became infinite, or are out of an integer's range */
  int64_t n_inexact;  /* others that do not come back when converted back; -0 to 0 does */
  int64_t n_nan_to_integer; /* NaN, for which integers and bool have no value */
  int64_t first; /* position in C order of the first of all these; -1 if there are none */
} tv_cast_report;
#define TV_CAST_REPORT \
  { sizeof(tv_cast_report), 0, 0, 0, -1 }

/** What tv_cast_checked refuses: any of these, added up. */
enum {
  TV_REFUSE_OVERFLOW = 1,
  TV_REFUSE_INEXACT = 2,
  TV_REFUSE_NAN_TO_INTEGER = 4,
  TV_REFUSE_ANY_LOSS = 7
};

/**
 * tv_astype, but what is lost is counted, and refused if the caller says so.
 *
 *     tv_cast_report lost = TV_CAST_REPORT;
 *     tv_tensor *y = tv_cast_checked(x, TV_F32, TV_REFUSE_OVERFLOW, &lost);
 *
 * report, which may be NULL, is filled on a refusal too. No gradient. Errors as tv_astype, and
 * TV_EVALUE for what is refused, naming count and first position.
 */
TV_API tv_tensor *tv_cast_checked(tv_tensor *x, tv_dtype dtype, unsigned refuse,
                                  tv_cast_report *report);

/** x on another device; the same handle if it is there already. A weak scalar becomes a tensor.
 *  Gradient: g on the device of x. */
TV_API tv_tensor *tv_to(tv_tensor *x, tv_device device);

/* Release ------------------------------------------------------------------------------------- */

/** Hold a tensor beyond its scope; gives x back, whose tv_release is then the caller's. */
TV_API tv_tensor *tv_retain(tv_tensor *x);
/** Give back what tv_retain gave. NULL does nothing. From any thread. */
TV_API void tv_release(tv_tensor *x);

TV_END_C

/** A weak scalar of any C number: tv_scalar(3) is a weak integer, tv_scalar(.5) a weak real. `true`
 *  is an int before C23: for a mask say tv_scalar_bool(true). */
#ifdef __cplusplus
inline tv_tensor *tv_scalar(bool x) { return tv_scalar_bool(x); }
inline tv_tensor *tv_scalar(int x) { return tv_scalar_int(x); }
inline tv_tensor *tv_scalar(long x) { return tv_scalar_int(x); }
inline tv_tensor *tv_scalar(long long x) { return tv_scalar_int(x); }
inline tv_tensor *tv_scalar(unsigned x) { return tv_scalar_uint(x); }
inline tv_tensor *tv_scalar(unsigned long x) { return tv_scalar_uint(x); }
inline tv_tensor *tv_scalar(unsigned long long x) { return tv_scalar_uint(x); }
inline tv_tensor *tv_scalar(float x) { return tv_scalar_real(static_cast<double>(x)); }
inline tv_tensor *tv_scalar(double x) { return tv_scalar_real(x); }
#else
static inline tv_tensor *tv_scalar_float_(float x) { return tv_scalar_real((double)x); }
#define tv_scalar(x)                            \
  _Generic((x), _Bool                           \
           : tv_scalar_bool, float              \
           : tv_scalar_float_, double           \
           : tv_scalar_real, unsigned long      \
           : tv_scalar_uint, unsigned long long \
           : tv_scalar_uint, default            \
           : tv_scalar_int)(x)
#endif

#endif
