/* SPDX-License-Identifier: MIT
 * Variables: the one thing that changes. A Variable points at its current value and counts
 * versions.
 *
 * A new Variable is at version 0. Every write that succeeds adds exactly 1, whatever it changed;
 * one that fails changes nothing: value, version and shape are as before. Readers hold snapshots,
 * which no later write touches: a write goes in place only if nobody else holds the bytes. All
 * functions may be called from any thread; writes to one Variable happen one after another, each as
 * a whole.
 *
 * What a write accepts is NumPy's `same_kind`: bool < unsigned < integer < real < complex may only
 * go up, widths may change. */
#ifndef TENSORVAR_VARIABLE_H
#define TENSORVAR_VARIABLE_H

#include <stdio.h>

#include <tensorvar/npy.h>
#include <tensorvar/tensor.h>
TV_BEGIN_C

typedef struct tv_variable tv_variable;

/** When a constraint acts. */
typedef enum tv_constraint_policy {
  TV_ON_STEP,        /* after an optimizer's step, as in TensorFlow */
  TV_ON_EVERY_WRITE, /* on every write, creation included */
  TV_VALIDATE_ONLY /* never changes a value: a write that would break it is refused, creation too */
} tv_constraint_policy;

typedef enum tv_constraint_kind { TV_CONSTRAINT_NONE, TV_CONSTRAINT_CLIP } tv_constraint_kind;

/** What a Variable's value must keep to. Begin with TV_NO_CONSTRAINT or TV_CLIP. */
typedef struct tv_constraint {
  size_t size;
  tv_constraint_kind kind;
  tv_constraint_policy policy;
  double low, high; /* CLIP: min(max(w, low), high); NaN stays NaN, and VALIDATE_ONLY refuses it */
} tv_constraint;
#define TV_NO_CONSTRAINT \
  { sizeof(tv_constraint), TV_CONSTRAINT_NONE, TV_ON_STEP, 0, 0 }
#define TV_CLIP(low, high, policy) \
  { sizeof(tv_constraint), TV_CONSTRAINT_CLIP, (policy), (low), (high) }

/** Begin with TV_VARIABLE_OPTIONS. */
typedef struct tv_variable_options {
  size_t size;
  const char *name;         /* copied; NULL: "Variable" */
  bool trainable;           /* tapes watch reads of it, if its dtype is floating or complex */
  bool concurrent_readers;  /* every write goes to fresh storage, so that no reader ever waits for
                               one */
  const bool *open_axes;    /* one per axis: may change size; NULL: none may */
  tv_constraint constraint; /* real dtypes only */
} tv_variable_options;
#define TV_VARIABLE_OPTIONS \
  { sizeof(tv_variable_options), NULL, true, false, NULL, TV_NO_CONSTRAINT }

/* Make --------------------------------------------------------------------------------------- */

/**
 * A Variable with the value of a tensor; its dtype and shape from then on.
 *
 *     tv_variable *w = tv_variable_new(tv_random_normal(key, TV_F32, TV_SHAPE(64, 10)), NULL);
 *
 * Made without a copy where tv_variable_assign makes none. Needs no open scope.
 *
 * Errors    - TV_EVALUE       value is NULL, or options have size 0
 *           - TV_EDTYPE       a constraint on a complex or bool dtype
 *           - TV_ECONSTRAINT  refused under TV_VALIDATE_ONLY, naming constraint, first index and
 * value
 */
TV_API tv_variable *tv_variable_new(tv_tensor *value, const tv_variable_options *options);

/** A Variable of bytes (copied) or of a .npy file; as tv_tensor_from_memory and tv_npy_load, then
 *  tv_variable_new. */
TV_API tv_variable *tv_variable_new_from_memory(const void *data, tv_dtype dtype, int rank,
                                                const int64_t *shape,
                                                const tv_variable_options *options);
TV_API tv_variable *tv_variable_new_from_npy(const char *path, const tv_npy_options *load,
                                             const tv_variable_options *options);

/* Ask ---------------------------------------------------------------------------------------- */

/** The value now, as a snapshot that later writes do not touch. No bytes are copied. Recorded by
 * the open tapes of this thread if the Variable is trainable and floating or complex. TV_EBUSY
 * while it is mapped exclusively. */
TV_API tv_tensor *tv_read(tv_variable *variable);

TV_API const char *tv_variable_name(tv_variable *variable);
TV_API tv_dtype tv_variable_dtype(tv_variable *variable);
TV_API tv_device tv_variable_device(tv_variable *variable);
TV_API int tv_variable_rank(tv_variable *variable);
/** Copy the rank sizes of the shape now into `shape`. TV_EVALUE if something is NULL. */
TV_API tv_status tv_variable_shape(tv_variable *variable, int64_t *shape);
TV_API bool tv_variable_is_trainable(tv_variable *variable);
TV_API uint64_t tv_variable_version(tv_variable *variable);

/* Change ------------------------------------------------------------------------------------- */

/**
 * Give the Variable a new value.
 *
 * Takes the storage of `value` without a copy if that is dense, in C order, all of its storage, of
 * the same dtype and device, and not borrowed; otherwise copies.
 *
 * Writes    all of it; version + 1
 * Errors    - TV_ESHAPE       shapes differ on an axis that is not open, naming the Variable and
 * both
 *           - TV_EDTYPE       not same_kind, naming both
 *           - TV_EDEVICE      value is on another device
 *           - TV_EBUSY        mapped
 *           - TV_ECONSTRAINT  refused under TV_VALIDATE_ONLY
 */
TV_API tv_status tv_variable_assign(tv_variable *variable, tv_tensor *value);

/** Add to the Variable, or subtract from it: one atomic read-modify-write, in place if nobody else
 *  holds the bytes. The shape must be the Variable's; a weak scalar is also taken. Errors as
 * assign. */
TV_API tv_status tv_variable_assign_add(tv_variable *variable, tv_tensor *value);
TV_API tv_status tv_variable_assign_sub(tv_variable *variable, tv_tensor *value);

/** Write into part of the Variable, in NumPy's slice notation; value broadcasts into it. A value
 * that is a view of the Variable is taken as it was before. Errors as assign, and those of
 * tv_slice. */
TV_API tv_status tv_variable_assign_slice(tv_variable *variable, const char *slice,
                                          tv_tensor *value);

/** Write where the mask is true. The mask is bool and broadcasts to the Variable, and so does
 * value. */
TV_API tv_status tv_variable_assign_where(tv_variable *variable, tv_tensor *mask, tv_tensor *value);

/**
 * A pointer to the Variable's elements, in C order in host memory, for the caller's own loop.
 *
 * The bytes are a private copy: readers see the old value until unmap. With `exclusive` they are
 * the Variable's own where nobody else holds them and they lie on TV_CPU, and reads fail with
 * TV_EBUSY until unmap. Other writes fail with TV_EBUSY in either case.
 *
 * Errors    - TV_EBUSY   mapped already
 */
TV_API tv_status tv_variable_map(tv_variable *variable, bool exclusive, void **data);

/** Make what was written through the map the value; version + 1. The pointer ends here, also on a
 *  failure (then the value is as before the map, but for an exclusive one without a constraint).
 *  TV_EVALUE if it is not mapped; TV_ECONSTRAINT under TV_VALIDATE_ONLY. */
TV_API tv_status tv_variable_unmap(tv_variable *variable);

/* Release ------------------------------------------------------------------------------------ */

TV_API tv_variable *tv_variable_retain(tv_variable *variable);
TV_API void tv_variable_release(tv_variable *variable);

TV_END_C
#endif
