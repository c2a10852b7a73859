/* SPDX-License-Identifier: MIT
 * Variables: the one thing that changes. A Variable points at its current value and counts
 * versions.
 *
 * A new Variable is at version 0. Every write that succeeds adds exactly 1, whatever it changed;
 * one that fails changes nothing: value, version and shape are as before. Readers hold snapshots,
 * which no later write touches: a write goes in place only if nobody else holds the bytes. All
 * functions may be called from any thread; writes to one Variable happen one after another, each as
 * a whole. Reads wait for a write in progress, unless the Variable has `concurrent_readers`; of
 * several Variables tv_read_all sees one moment.
 *
 * What a write accepts is NumPy's `same_kind`: bool < unsigned < integer < real < complex may only
 * go up, widths may change. */
#ifndef TENSORVAR_VARIABLE_H
#define TENSORVAR_VARIABLE_H

#include <stdio.h>

#include <tensorvar/index.h>
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

typedef enum tv_constraint_kind {
  TV_CONSTRAINT_NONE,
  TV_CONSTRAINT_CLIP,
  TV_CONSTRAINT_NON_NEGATIVE,
  TV_CONSTRAINT_UNIT_NORM,
  TV_CONSTRAINT_MAX_NORM,
  TV_CONSTRAINT_MIN_MAX_NORM,
  TV_CONSTRAINT_SIMPLEX,
  TV_CONSTRAINT_CALLBACK
} tv_constraint_kind;

enum { TV_CONSTRAINT_AXES = 8 /* that a norm is taken over, at most */ };

/** What a callback makes of a value: a tensor of the same dtype, shape and device, or NULL after a
 *  failure, which the write then has. It runs in a scope of the library's, unrecorded, while the
 *  Variable is being written: writing that Variable is TV_EBUSY, and so is asking it
 *  for anything, unless it has concurrent readers, who see the value before. Never step it there.
 */
typedef tv_tensor *tv_projection(void *user, tv_tensor *value);

/** What a Variable's value must keep to. Begin with one of the macros or functions below. */
typedef struct tv_constraint {
  size_t size;
  tv_constraint_kind kind;
  tv_constraint_policy policy;
  double low, high; /* of a clip; of norms */
  double tolerance; /* VALIDATE_ONLY: by what part of its bound a norm or a sum may be off; less
                       than 8 units in the last place of the dtype never counts */
  int n_axes;       /* that a norm is taken over; -1: all */
  int64_t axes[TV_CONSTRAINT_AXES];
  tv_projection *project;
  void *user;
  void (*release)(void *user); /* called once, with the Variable's release, or before
                                  tv_variable_new returns NULL; may be NULL */
} tv_constraint;
#define TV_CONSTRAINT_(kind, policy, low, high) \
  { sizeof(tv_constraint), (kind), (policy), (low), (high), 1e-6, 0, {0}, NULL, NULL, NULL }
#define TV_NO_CONSTRAINT TV_CONSTRAINT_(TV_CONSTRAINT_NONE, TV_ON_STEP, 0, 0)
/** min(max(w, low), high); NaN stays NaN, and VALIDATE_ONLY refuses it. Real dtypes. */
#define TV_CLIP(low, high, policy) TV_CONSTRAINT_(TV_CONSTRAINT_CLIP, policy, low, high)

/**
 * The other constraints, each a projection to the nearest value that keeps to it.
 *
 *     o.constraint = tv_constraint_max_norm(TV_ON_STEP, 2, TV_AXES(0));
 *
 * non_negative    max(w, 0); real dtypes
 * unit_norm       w / |w| over the axes; zero, which has no direction, stays zero
 * max_norm        w min(1, high / |w|)
 * min_max_norm    w clip(|w|, low, high) / |w|; zero stays zero
 * simplex         the nearest w >= 0 with a sum of 1 along the axis; floating dtypes
 * callback        what `project` makes of it; any dtype
 *
 * Norms are Euclidean, of floating and complex dtypes, computed in f64. What is right as far as its
 * dtype can tell keeps every bit, so projecting twice is projecting once. VALIDATE_ONLY refuses
 * NaN, a zero where a norm has to be above 0, and of a callback whatever it would change. A write
 * of rows, or a step of rows that leaves the others as they are (rows.h), projects these rows
 * alone, where the constraint looks at each by itself: clip and non_negative, and the others over
 * axes that are not axis 0.
 *
 * A bad bound, axis or dtype is refused by tv_variable_new.
 * Source: Keras `constraints`, which divide by |w| + 1e-7; Duchi et al. (2008) for the simplex.
 */
TV_API tv_constraint tv_constraint_non_negative(tv_constraint_policy policy);
TV_API tv_constraint tv_constraint_unit_norm(tv_constraint_policy policy, int n_axes,
                                             const int64_t *axes);
TV_API tv_constraint tv_constraint_max_norm(tv_constraint_policy policy, double high, int n_axes,
                                            const int64_t *axes);
TV_API tv_constraint tv_constraint_min_max_norm(tv_constraint_policy policy, double low,
                                                double high, int n_axes, const int64_t *axes);
TV_API tv_constraint tv_constraint_simplex(tv_constraint_policy policy, int64_t axis);
TV_API tv_constraint tv_constraint_callback(tv_constraint_policy policy, tv_projection *project,
                                            void *user, void (*release)(void *user));

/** Begin with TV_VARIABLE_OPTIONS. */
typedef struct tv_variable_options {
  size_t size;
  const char *name;        /* copied; NULL: "Variable" */
  bool trainable;          /* tapes watch reads of it, if its dtype is floating or complex */
  bool concurrent_readers; /* every write goes to fresh storage and is swapped in, so that no
                              reader ever waits for one */
  const bool *open_axes;   /* one per axis: may change size; NULL: none may */
  tv_constraint constraint;
  int history; /* versions before the current one that are kept; none is then written
                  in place */
} tv_variable_options;
#define TV_VARIABLE_OPTIONS \
  { sizeof(tv_variable_options), NULL, true, false, NULL, TV_NO_CONSTRAINT, 0 }

/* Make --------------------------------------------------------------------------------------- */

/**
 * A Variable with the value of a tensor; its dtype and shape from then on.
 *
 *     tv_variable *w = tv_variable_new(tv_random_normal(key, TV_F32, TV_SHAPE(64, 10)), NULL);
 *
 * Made without a copy where tv_variable_assign makes none. Needs no open scope.
 *
 * Errors    - TV_EVALUE       value is NULL, or options have size 0
 *           - TV_EDTYPE       a constraint that does not take the dtype
 *           - TV_EINDEX       a constraint over an axis that there is not
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

/**
 * The values of n Variables as of one moment, each as tv_read gives it.
 *
 *     tv_tensor *w[2];
 *     tv_read_all(2, (tv_variable *[]){kernel, bias}, w);
 *
 * A write of several Variables at once (a step of an optimizer, tv_average_swap,
 * tv_checkpoint_restore) is seen in all of them or in none. A Variable may be given twice. Waits
 * for writes of those without `concurrent_readers`, and for no other.
 *
 * Errors    - TV_EVALUE  something is NULL, or n is negative
 *           - TV_EBUSY   one is mapped exclusively, or being written by this very thread
 *           - TV_ESCOPE  no scope is open
 *           On any of them every values[i] is NULL.
 */
TV_API tv_status tv_read_all(int n, tv_variable *const *variables, tv_tensor **values);

/** The rows of the value now at indices: tv_take of tv_read on axis 0, which tapes see as that. */
TV_API tv_tensor *tv_variable_sparse_read(tv_variable *variable, tv_tensor *indices);

TV_API const char *tv_variable_name(tv_variable *variable);
TV_API tv_dtype tv_variable_dtype(tv_variable *variable);
TV_API tv_device tv_variable_device(tv_variable *variable);
TV_API int tv_variable_rank(tv_variable *variable);
/** Copy the rank sizes of the shape now into `shape`. TV_EVALUE if something is NULL. */
TV_API tv_status tv_variable_shape(tv_variable *variable, int64_t *shape);
TV_API bool tv_variable_is_trainable(tv_variable *variable);
TV_API uint64_t tv_variable_version(tv_variable *variable);

/** Who wrote a Variable last. Begin with TV_WRITE_INFO. */
typedef struct tv_write_info {
  size_t size;
  uint64_t version; /* that the write made; 0: it is the making of the Variable */
  const char *verb; /* the function, without its tv_: "variable_assign_add"; static text */
  const char *file; /* where it was called, as __FILE__ says; NULL: not known */
  int line;
  uint64_t thread; /* tv_thread_number() there */
} tv_write_info;
#define TV_WRITE_INFO \
  { sizeof(tv_write_info), 0, NULL, NULL, 0, 0 }

/** Fill in what is known of the last write. TV_EVALUE if something is NULL, or info has size 0. */
TV_API tv_status tv_variable_last_write(tv_variable *variable, tv_write_info *info);

/** The calling thread's number: from 1, in the order in which threads first used the library. */
TV_API uint64_t tv_thread_number(void);

/**
 * The value of an earlier version, as a snapshot: one of the last `history` ones, or the one now.
 *
 * Recorded as tv_read is. Under TV_MUTATION_ERROR a gradient that needs an earlier value is
 * refused: it is not the Variable's any more.
 *
 * Errors    - TV_EINDEX  the version is not kept, or is still to come; the text says which are
 *           - TV_EBUSY   it is the one now, and mapped exclusively
 */
TV_API tv_tensor *tv_variable_at(tv_variable *variable, uint64_t version);

/** The oldest version that tv_variable_at gives. */
TV_API uint64_t tv_variable_oldest(tv_variable *variable);

/** How many elements the constraint changed in the last write, its own change alone: 0 if it did
 * not act. Waits for them. TV_EVALUE if something is NULL. */
TV_API tv_status tv_variable_moved(tv_variable *variable, int64_t *n_moved);

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

/** What a write makes of the Variable's elements and the values that it is given. */
typedef enum tv_update {
  TV_SET,
  TV_ADD,
  TV_SUBTRACT,
  TV_MULTIPLY,
  TV_DIVIDE,  /* floating and complex Variables only: a quotient of integers is no integer */
  TV_MINIMUM, /* real Variables only; NaN if either is */
  TV_MAXIMUM
} tv_update;

/**
 * Change every element: variable = variable + value, and so on.
 *
 * One atomic read-modify-write, in place if nobody else holds the bytes. Computed in the dtype in
 * which both meet, then converted; where that is not of the Variable's kind (int64 with uint64),
 * the value is converted first.
 *
 * Shapes    value has the Variable's shape, or is a weak scalar
 * Writes    all of it; version + 1
 * Errors    as tv_variable_assign, and
 *           - TV_EDTYPE  the op does not take the Variable's dtype, or gives another kind
 *           - TV_EVALUE  no such update
 */
TV_API tv_status tv_variable_update(tv_variable *variable, tv_update how, tv_tensor *value);
/** The same by TensorFlow's names, and its two neighbours. */
TV_API tv_status tv_variable_assign_add(tv_variable *variable, tv_tensor *value);
TV_API tv_status tv_variable_assign_sub(tv_variable *variable, tv_tensor *value);
TV_API tv_status tv_variable_assign_mul(tv_variable *variable, tv_tensor *value);
TV_API tv_status tv_variable_assign_div(tv_variable *variable, tv_tensor *value);
TV_API tv_status tv_variable_assign_min(tv_variable *variable, tv_tensor *value);
TV_API tv_status tv_variable_assign_max(tv_variable *variable, tv_tensor *value);

/**
 * Change part of the Variable, named in NumPy's slice notation or, in the _with form, by n terms.
 *
 *     tv_variable_update_slice(v, TV_MULTIPLY, "1:, ::2", tv_scalar(.5));
 *
 * A value that is a view of the Variable is taken as it was before.
 *
 * Shapes    value broadcasts into the part; sizes of 1 in front of it are dropped, as in NumPy
 * Writes    the part; version + 1
 * Errors    as tv_variable_update, and those of tv_slice
 */
TV_API tv_status tv_variable_update_slice(tv_variable *variable, tv_update how, const char *slice,
                                          tv_tensor *value);
TV_API tv_status tv_variable_update_slice_with(tv_variable *variable, tv_update how, int n,
                                               const tv_index *index, tv_tensor *value);
TV_API tv_status tv_variable_assign_slice(tv_variable *variable, const char *slice,
                                          tv_tensor *value);
#define tv_variable_assign_slice_add(v, ...) tv_variable_update_slice(v, TV_ADD, __VA_ARGS__)
#define tv_variable_assign_slice_sub(v, ...) tv_variable_update_slice(v, TV_SUBTRACT, __VA_ARGS__)
#define tv_variable_assign_slice_mul(v, ...) tv_variable_update_slice(v, TV_MULTIPLY, __VA_ARGS__)
#define tv_variable_assign_slice_div(v, ...) tv_variable_update_slice(v, TV_DIVIDE, __VA_ARGS__)
#define tv_variable_assign_slice_min(v, ...) tv_variable_update_slice(v, TV_MINIMUM, __VA_ARGS__)
#define tv_variable_assign_slice_max(v, ...) tv_variable_update_slice(v, TV_MAXIMUM, __VA_ARGS__)

/**
 * Change the elements where the mask is true.
 *
 *     tv_variable_assign_where(v, tv_greater(tv_read(v), tv_scalar(5)), tv_scalar(-1));
 *
 * Shapes    mask and value broadcast to the Variable
 * Dtypes    mask: bool
 * Writes    those elements; others keep every bit; version + 1
 * Errors    as tv_variable_update, and TV_EDTYPE for another mask
 */
TV_API tv_status tv_variable_update_where(tv_variable *variable, tv_update how, tv_tensor *mask,
                                          tv_tensor *value);
TV_API tv_status tv_variable_assign_where(tv_variable *variable, tv_tensor *mask, tv_tensor *value);
#define tv_variable_assign_where_add(v, ...) tv_variable_update_where(v, TV_ADD, __VA_ARGS__)
#define tv_variable_assign_where_sub(v, ...) tv_variable_update_where(v, TV_SUBTRACT, __VA_ARGS__)
#define tv_variable_assign_where_mul(v, ...) tv_variable_update_where(v, TV_MULTIPLY, __VA_ARGS__)
#define tv_variable_assign_where_div(v, ...) tv_variable_update_where(v, TV_DIVIDE, __VA_ARGS__)
#define tv_variable_assign_where_min(v, ...) tv_variable_update_where(v, TV_MINIMUM, __VA_ARGS__)
#define tv_variable_assign_where_max(v, ...) tv_variable_update_where(v, TV_MAXIMUM, __VA_ARGS__)

/**
 * Change rows of axis 0.
 *
 *     tv_variable_scatter_add(v, tv_tensor_from_memory(at, TV_I64, TV_SHAPE(3), NULL), rows);
 *
 * Updates are converted to the Variable's dtype and applied in C order of the indices: of those
 * with one index TV_SET keeps the last, the others follow one another. Every index is checked
 * before anything is written. Same bits on every device and any number of threads.
 *
 * Shapes    indices [k...] into a Variable [n, b...]: updates [k..., b...], or 0-d for all
 * Dtypes    indices: any integer; -n <= i < n
 * Writes    those rows; version + 1, also for no index at all
 * Errors    as tv_variable_update, and
 *           - TV_EINDEX  an index out of range, naming its position and value
 * Source    TensorFlow `Variable.scatter_update`, where the order of duplicates is left open and a
 *           bad index leaves part written or is skipped.
 */
TV_API tv_status tv_variable_scatter(tv_variable *variable, tv_update how, tv_tensor *indices,
                                     tv_tensor *updates);
#define tv_variable_scatter_update(v, ...) tv_variable_scatter(v, TV_SET, __VA_ARGS__)
#define tv_variable_scatter_add(v, ...) tv_variable_scatter(v, TV_ADD, __VA_ARGS__)
#define tv_variable_scatter_sub(v, ...) tv_variable_scatter(v, TV_SUBTRACT, __VA_ARGS__)
#define tv_variable_scatter_mul(v, ...) tv_variable_scatter(v, TV_MULTIPLY, __VA_ARGS__)
#define tv_variable_scatter_div(v, ...) tv_variable_scatter(v, TV_DIVIDE, __VA_ARGS__)
#define tv_variable_scatter_min(v, ...) tv_variable_scatter(v, TV_MINIMUM, __VA_ARGS__)
#define tv_variable_scatter_max(v, ...) tv_variable_scatter(v, TV_MAXIMUM, __VA_ARGS__)

/** tv_variable_scatter by tuples of indices into the first K axes, as tv_gather_nd reads: indices
 *  [k..., K] into a Variable [n1..., nK, b...] with updates [k..., b...], or 0-d. */
TV_API tv_status tv_variable_scatter_nd(tv_variable *variable, tv_update how, tv_tensor *indices,
                                        tv_tensor *updates);
#define tv_variable_scatter_nd_update(v, ...) tv_variable_scatter_nd(v, TV_SET, __VA_ARGS__)
#define tv_variable_scatter_nd_add(v, ...) tv_variable_scatter_nd(v, TV_ADD, __VA_ARGS__)
#define tv_variable_scatter_nd_sub(v, ...) tv_variable_scatter_nd(v, TV_SUBTRACT, __VA_ARGS__)
#define tv_variable_scatter_nd_mul(v, ...) tv_variable_scatter_nd(v, TV_MULTIPLY, __VA_ARGS__)
#define tv_variable_scatter_nd_div(v, ...) tv_variable_scatter_nd(v, TV_DIVIDE, __VA_ARGS__)
#define tv_variable_scatter_nd_min(v, ...) tv_variable_scatter_nd(v, TV_MINIMUM, __VA_ARGS__)
#define tv_variable_scatter_nd_max(v, ...) tv_variable_scatter_nd(v, TV_MAXIMUM, __VA_ARGS__)

/** Set rows of each batch: variable[b..., indices[b..., i]] = updates[b..., i]. indices [b..., k]
 *  into a Variable [b..., n, c...] with updates [b..., k, c...], or 0-d. Otherwise as
 *  tv_variable_scatter. Source: TensorFlow `Variable.batch_scatter_update`. */
TV_API tv_status tv_variable_batch_scatter_update(tv_variable *variable, tv_tensor *indices,
                                                  tv_tensor *updates);

/** Make an earlier version the value again, bit for bit: a write as any other, version + 1. Copies
 *  nothing. TV_EINDEX as tv_variable_at; TV_EBUSY if it is mapped. */
TV_API tv_status tv_variable_restore(tv_variable *variable, uint64_t version);

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

/* Where a write is called -----------------------------------------------------------------------
 */

/** Say where this thread calls its next write, or its next tv_variable_new. The macros below do:
 * they make tv_variable_assign(v, x) say it first, and are the functions otherwise. The text is not
 * copied: it lives as long as the Variables that are written, as __FILE__ does. Code that is
 * unloaded earlier is compiled with TV_WITHOUT_SITES, and so is what wants no paths in it. */
TV_API void tv_site_set(const char *file, int line);

#ifndef TV_WITHOUT_SITES
#define TV_HERE(x) (tv_site_set(__FILE__, __LINE__), (x))
#define tv_variable_new(first, ...) tv_variable_new(TV_HERE(first), __VA_ARGS__)
#define tv_variable_new_from_memory(first, ...) \
  tv_variable_new_from_memory(TV_HERE(first), __VA_ARGS__)
#define tv_variable_new_from_npy(first, ...) tv_variable_new_from_npy(TV_HERE(first), __VA_ARGS__)
#define tv_variable_assign(first, ...) tv_variable_assign(TV_HERE(first), __VA_ARGS__)
#define tv_variable_update(first, ...) tv_variable_update(TV_HERE(first), __VA_ARGS__)
#define tv_variable_assign_add(first, ...) tv_variable_assign_add(TV_HERE(first), __VA_ARGS__)
#define tv_variable_assign_sub(first, ...) tv_variable_assign_sub(TV_HERE(first), __VA_ARGS__)
#define tv_variable_assign_mul(first, ...) tv_variable_assign_mul(TV_HERE(first), __VA_ARGS__)
#define tv_variable_assign_div(first, ...) tv_variable_assign_div(TV_HERE(first), __VA_ARGS__)
#define tv_variable_assign_min(first, ...) tv_variable_assign_min(TV_HERE(first), __VA_ARGS__)
#define tv_variable_assign_max(first, ...) tv_variable_assign_max(TV_HERE(first), __VA_ARGS__)
#define tv_variable_assign_slice(first, ...) tv_variable_assign_slice(TV_HERE(first), __VA_ARGS__)
#define tv_variable_update_slice(first, ...) tv_variable_update_slice(TV_HERE(first), __VA_ARGS__)
#define tv_variable_update_slice_with(first, ...) \
  tv_variable_update_slice_with(TV_HERE(first), __VA_ARGS__)
#define tv_variable_assign_where(first, ...) tv_variable_assign_where(TV_HERE(first), __VA_ARGS__)
#define tv_variable_update_where(first, ...) tv_variable_update_where(TV_HERE(first), __VA_ARGS__)
#define tv_variable_scatter(first, ...) tv_variable_scatter(TV_HERE(first), __VA_ARGS__)
#define tv_variable_scatter_nd(first, ...) tv_variable_scatter_nd(TV_HERE(first), __VA_ARGS__)
#define tv_variable_batch_scatter_update(first, ...) \
  tv_variable_batch_scatter_update(TV_HERE(first), __VA_ARGS__)
#define tv_variable_restore(first, ...) tv_variable_restore(TV_HERE(first), __VA_ARGS__)
#define tv_variable_unmap(variable) tv_variable_unmap(TV_HERE(variable))
#endif

TV_END_C
#endif
