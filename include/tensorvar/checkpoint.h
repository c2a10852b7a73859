/* SPDX-License-Identifier: MIT
 * Checkpoints: a named collection of Variables, of what steps and watches them, and of random keys,
 * counters and numbers, saved to one file and restored from it in one call each.
 *
 * The file is an .npz, or a safetensors file if its name ends in ".safetensors". It holds plain
 * arrays, which NumPy reads:
 *
 *     w                                  the value of the Variable added as "w"
 *     rng, epoch, best                   a key (uint64 [seed, stream]), a counter (int64), a number
 *                                        (float64)
 *     adam/kind, adam/steps, adam/learning_rate    of the optimizer added as "adam"
 *     adam/w/steps, adam/w/exp_avg, ...  what it keeps of "w", by PyTorch's names
 *     adam/settings/beta1, ...           what it was told, by the names of its options, truths as
 *                                        1; what is not there is 0
 *     adam/w/rate_factor, ...            what the group of "w" was told, where that differs
 *     ema/kind, ema/updates              of the moving average added as "ema"
 *     ema/w/average, ema/w/value         of "w"; the second: what it was, where it is swapped
 *     scale/kind, scale/scale, scale/n_finite      of the loss scaler added as "scale"
 *     sums/kind, sums/count              of an accumulator
 *     sums/0/dtype, sums/0/sum           of its first gradient; or, where the sum is rows:
 *     sums/0/indices, sums/0/values, sums/0/n
 *     slow/kind, slow/has_best, slow/best, slow/n_bad, slow/n_cooling      of a plateau
 *     lbfgs/kind, lbfgs/iterations, lbfgs/evaluations, lbfgs/length, lbfgs/scale      of an L-BFGS
 *     lbfgs/inverse/0, lbfgs/w/y/0, lbfgs/w/s/0, ...   its pairs, from the oldest on
 *     lbfgs/w/place, lbfgs/w/direction, lbfgs/w/gradient   "w" among its Variables
 *     __tensorvar__/version/w            the version of "w"
 *     __tensorvar__/format               1
 *
 * Hyperparameters other than the learning rate are the program's: an optimizer is restored into one
 * made with the same options, and training goes on with the same bits as if it had never stopped.
 * The file has them to compare: one that differs is refused by name unless `allow_settings` says
 * that it may. Schedules are functions, of which a file says nothing.
 *
 * All functions may be called from any thread. Saving and restoring lock every L-BFGS, optimizer
 * and average, then all Variables, each in the order of their addresses: what is saved while other
 * threads train is one state between two steps, and a step sees all of a restored one or nothing of
 * it. (Averages and scalers are updated after a step, by themselves: whoever saves from another
 * thread may find a step that they have not met yet.) Saving holds these locks only while it takes
 * snapshots. Keys, counters, numbers and plateaus are the caller's memory: nobody may write them
 * meanwhile. A callback under these locks that asks for what they guard is told TV_EBUSY. */
#ifndef TENSORVAR_CHECKPOINT_H
#define TENSORVAR_CHECKPOINT_H

#include <tensorvar/accumulator.h>
#include <tensorvar/average.h>
#include <tensorvar/lbfgs.h>
#include <tensorvar/optimizer.h>
#include <tensorvar/random.h>
#include <tensorvar/scaler.h>
#include <tensorvar/schedule.h>
#include <tensorvar/variable.h>
TV_BEGIN_C

typedef struct tv_checkpoint tv_checkpoint;

/** What is told of an array of the file, or of one that is not in it. */
typedef enum tv_checkpoint_event {
  TV_CHECKPOINT_LOADED,
  TV_CHECKPOINT_MISSING,    /* here, not in the file */
  TV_CHECKPOINT_UNEXPECTED, /* in the file, not here */
  TV_CHECKPOINT_SHAPE,      /* another shape */
  TV_CHECKPOINT_DTYPE,      /* another dtype */
  TV_CHECKPOINT_KIND,       /* an optimizer of another kind, or another object */
  TV_CHECKPOINT_SETTING     /* of an optimizer: another number */
} tv_checkpoint_event;

/** How to save. Begin with TV_CHECKPOINT_SAVE_OPTIONS. */
typedef struct tv_checkpoint_save_options {
  size_t size;
  bool durable;    /* as tv_npy_save */
  int compression; /* as tv_npz_save; safetensors files have none */
} tv_checkpoint_save_options;
#define TV_CHECKPOINT_SAVE_OPTIONS \
  { sizeof(tv_checkpoint_save_options), true, 0 }

/** How to restore. Begin with TV_CHECKPOINT_OPTIONS. */
typedef struct tv_checkpoint_options {
  size_t size;
  bool allow_missing;    /* what the file does not have stays as it is; an optimizer as a whole */
  bool allow_unexpected; /* arrays of the file that nobody asked for are left alone */
  bool same_kind;        /* another dtype is converted, by the rule of tv_variable_assign */
  /** Not NULL: only what was added under a name that begins so; the rest of the collection stays as
   *  it is, and the rest of the file is left alone. */
  const char *prefix;
  /** Not NULL: called once for every array by its name in the file, and every difference, refused
   * or allowed; LOADED when all went well. `text` says what was found and expected, or is empty;
   * both live until the call returns. It may not use this checkpoint. */
  void (*report)(void *user, tv_checkpoint_event event, const char *name, const char *text);
  void *user;
  bool allow_settings; /* an optimizer that was told otherwise than the file's goes on as told */
} tv_checkpoint_options;
#define TV_CHECKPOINT_OPTIONS \
  { sizeof(tv_checkpoint_options), false, false, false, NULL, NULL, NULL, false }

/* Collect ------------------------------------------------------------------------------------- */

/** An empty collection. It holds what is added, until it is released. */
TV_API tv_checkpoint *tv_checkpoint_new(void);
TV_API tv_checkpoint *tv_checkpoint_retain(tv_checkpoint *checkpoint);
TV_API void tv_checkpoint_release(tv_checkpoint *checkpoint);

/**
 * Add a Variable, an optimizer, a key, a counter or a number under a name.
 *
 *     tv_checkpoint *c = tv_checkpoint_new();
 *     tv_checkpoint_add_variable(c, "w", w);
 *     tv_checkpoint_add_optimizer(c, "adam", adam);
 *     tv_checkpoint_add_key(c, "rng", &key);
 *     tv_checkpoint_add_counter(c, "epoch", &epoch);
 *     if (tv_checkpoint_restore(c, "run.npz", NULL) == TV_EIO) tv_error_clear();   (a first run)
 *
 * A NULL name of a Variable is its own. Keys, counters, numbers and plateaus are borrowed: they
 * must outlive the checkpoint. An average or L-BFGS takes back all that it kept when the file was
 * saved, and forgets the rest; one that was made anew will do. A plateau's state is restored, not
 * what it was told: factor, patience and the like. An accumulator's sums are restored onto the
 * thread's current device, and go where the next gradients are.
 *
 * Errors    - TV_EVALUE  something is NULL; the name is taken, or cannot be that of an array (see
 *                        npz.h) or begins with "__"; the Variable or optimizer is there already
 *           - TV_ENOMEM
 */
TV_API tv_status tv_checkpoint_add_variable(tv_checkpoint *checkpoint, const char *name,
                                            tv_variable *variable);
TV_API tv_status tv_checkpoint_add_optimizer(tv_checkpoint *checkpoint, const char *name,
                                             tv_optimizer *optimizer);
TV_API tv_status tv_checkpoint_add_average(tv_checkpoint *checkpoint, const char *name,
                                           tv_average *average);
TV_API tv_status tv_checkpoint_add_scaler(tv_checkpoint *checkpoint, const char *name,
                                          tv_scaler *scaler);
TV_API tv_status tv_checkpoint_add_accumulator(tv_checkpoint *checkpoint, const char *name,
                                               tv_accumulator *accumulator);
TV_API tv_status tv_checkpoint_add_lbfgs(tv_checkpoint *checkpoint, const char *name,
                                         tv_lbfgs *lbfgs);
TV_API tv_status tv_checkpoint_add_plateau(tv_checkpoint *checkpoint, const char *name,
                                           tv_plateau *plateau);
TV_API tv_status tv_checkpoint_add_key(tv_checkpoint *checkpoint, const char *name, tv_key *key);
TV_API tv_status tv_checkpoint_add_counter(tv_checkpoint *checkpoint, const char *name,
                                           int64_t *counter);
TV_API tv_status tv_checkpoint_add_number(tv_checkpoint *checkpoint, const char *name,
                                          double *number);

/* Save and restore ---------------------------------------------------------------------------- */

/**
 * Write all of it to a file, which is replaced as tv_npy_save does it: after success the new one is
 * there and durable, before it the old one.
 *
 * Errors    - TV_EVALUE  an optimizer, average or L-BFGS keeps state of a Variable that is not in
 * the collection; two arrays would have one name
 *           - TV_EBUSY   a Variable is mapped exclusively; a callback asks for the checkpoint or
 * the Variable that its thread is busy with
 *           - TV_EDTYPE  complex128 in a safetensors file
 *           - TV_EIO, TV_ENOMEM, TV_EUNSUPPORTED  as tv_npz_save and tv_safetensors_save
 */
TV_API tv_status tv_checkpoint_save(tv_checkpoint *checkpoint, const char *path,
                                    const tv_checkpoint_save_options *options);

/**
 * Put all of it back: everything is read, checked and prepared, and then committed in steps that
 * cannot fail. On any error nothing has changed.
 *
 * Every Variable that is loaded is written once: its version goes up by 1, and its constraint acts
 * as on any write. An optimizer forgets what it kept of a Variable of the collection that the file
 * keeps nothing of. Members of an .npz written by NumPy will do: versions are optional.
 *
 * Errors    - TV_EFORMAT      the file is refused as tv_npz_open and tv_safetensors_open do; or the
 *                             collection and the file differ, and the text lists every missing and
 *                             unexpected name, every other shape, dtype, kind and setting, as many
 * as fit, and how many more there are; `report` is told all of them
 *           - TV_EVALUE       nothing was added under a name that begins with `prefix`
 *           - TV_EBUSY        a Variable is mapped; a callback asks, as above
 *           - TV_ECONSTRAINT  refused under TV_VALIDATE_ONLY
 *           - TV_EINDEX, TV_ESHAPE  rows of an accumulator that do not fit together
 *           - TV_EIO, TV_ENOMEM, TV_EUNSUPPORTED
 */
TV_API tv_status tv_checkpoint_restore(tv_checkpoint *checkpoint, const char *path,
                                       const tv_checkpoint_options *options);

/** The version that a Variable had when the file was saved that it was last restored from.
 * TV_EVALUE if it was not restored, or from a file without versions. */
TV_API tv_status tv_checkpoint_saved_version(tv_checkpoint *checkpoint, const char *name,
                                             uint64_t *version);

TV_END_C
#endif
