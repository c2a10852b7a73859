/* SPDX-License-Identifier: MIT
 * Tapes: gradients of what was computed while one was open on the thread.
 *
 *     tv_tape *tape = tv_tape_begin(NULL);
 *     tv_tensor *loss = tv_sum(tv_square(tv_read(v)), TV_ALL_AXES), *g;
 *     tv_tape_gradient(tape, loss, 1, &v, &g);          // 2 v, of the value that was read
 *     tv_tape_end(tape);
 *
 * A tape sees the ops of its thread from begin to end, those under inner tapes too. It watches
 * every read of a trainable floating or complex Variable, and what tv_tape_watch names. It belongs
 * to the scope that was innermost when it began, which ends it if the caller did not.
 *
 * A gradient belongs to the value that was read: a Variable written later does not change it, and
 * reads of several versions add up. Writes are not recorded. The gradient of a real loss by a
 * complex value is dL/da + i dL/db. */
#ifndef TENSORVAR_TAPE_H
#define TENSORVAR_TAPE_H

#include <stdio.h>

#include <tensorvar/variable.h>
TV_BEGIN_C

typedef struct tv_tape tv_tape;

/** What to do if a Variable was written between forward and gradient, and the gradient needs the
 * value that was read. */
typedef enum tv_mutation_policy {
  TV_MUTATION_SNAPSHOT, /* use the value that was read: right by construction */
  TV_MUTATION_ERROR     /* TV_EMUTATED, naming the Variable, both versions, and who wrote */
} tv_mutation_policy;

/** Begin with TV_TAPE_OPTIONS. */
typedef struct tv_tape_options {
  size_t size;
  bool persistent; /* gives any number of gradients, and records them while it is open */
  tv_mutation_policy mutation;
  /** To find a bug: every result that is recorded, and every gradient, is looked at as soon as it
   * is made. One that is not finite is TV_EANOMALY, naming the first op that made it, where, and
   * whether an input was so already. Costs more than the ops themselves. */
  bool anomalies;
} tv_tape_options;
#define TV_TAPE_OPTIONS \
  { sizeof(tv_tape_options), false, TV_MUTATION_SNAPSHOT, false }

/** Begin to record. NULL with TV_ESCOPE if no scope is open. */
TV_API tv_tape *tv_tape_begin(const tv_tape_options *options);

/** Stop recording and give back all that the tape holds. NULL does nothing.
 *  TV_ETAPE: it is not open on this thread. Tapes begun inside it stay open. */
TV_API tv_status tv_tape_end(tv_tape *tape);

/** Take the gradient by this tensor too. TV_EDTYPE unless floating or complex. */
TV_API tv_status tv_tape_watch(tv_tape *tape, tv_tensor *x);

/**
 * Gradients of `target` by n Variables; of its sum, if it has several elements.
 *
 * gradients[i] has the dtype and device of variables[i] and the shape of the value read: zeros if
 * the target does not depend on it. They are the innermost scope's. Where an outer tape is open it
 * records this, so gradients of gradients work; a persistent tape records it itself.
 *
 * Errors    - TV_ETAPE     not open on this thread, or not persistent and asked before
 *           - TV_EDTYPE    target is neither floating nor complex
 *           - TV_EMUTATED  under TV_MUTATION_ERROR
 *           - TV_EANOMALY  asked for by `anomalies`
 *           On any of them every gradients[i] is NULL.
 */
TV_API tv_status tv_tape_gradient(tv_tape *tape, tv_tensor *target, int n,
                                  tv_variable *const *variables, tv_tensor **gradients);

/** tv_tape_gradient by tensors that the tape watches or has computed. */
TV_API tv_status tv_tape_gradient_of(tv_tape *tape, tv_tensor *target, int n,
                                     tv_tensor *const *sources, tv_tensor **gradients);

/** tv_tape_gradient, with the gradient of the target itself given: of its shape and dtype. */
TV_API tv_status tv_tape_gradient_with(tv_tape *tape, tv_tensor *target, tv_tensor *target_gradient,
                                       int n, tv_variable *const *variables, tv_tensor **gradients);

/** tv_tape_gradient by one Variable, of the reads of one version alone: zeros if there are none.
 * The shares of all versions that were read sum to what tv_tape_gradient gives. */
TV_API tv_status tv_tape_gradient_at(tv_tape *tape, tv_tensor *target, tv_variable *variable,
                                     uint64_t version, tv_tensor **gradient);

/** Whether the target was computed from a read of the Variable on this tape. */
TV_API bool tv_tape_depends(tv_tape *tape, tv_tensor *target, tv_variable *variable);

/** Stop all recording on this thread, and go on. They nest. TV_ETAPE: resumed more often than
 * paused. */
TV_API tv_status tv_tape_pause(void);
TV_API tv_status tv_tape_resume(void);

/**
 * Stop all recording on this thread until the innermost open scope ends.
 *
 *     tv_scope_begin(&scope);
 *     tv_no_grad();
 *     tv_tensor *accuracy = …                           // no tape sees it
 *     tv_scope_end(&scope, &accuracy);
 *
 * Unlike a pause it cannot be forgotten: a scope that ends early, or with an outer one, ends it.
 *
 * Errors    - TV_ESCOPE   no scope is open
 */
TV_API tv_status tv_no_grad(void);

/**
 * What the tape has recorded, as a graph for Graphviz' `dot`, to the caller's stream.
 *
 * Reads of Variables (with name and version), watched tensors and ops, each with dtype and shape;
 * an arrow for each input that carries a gradient; of ops of one's own their names.
 *
 * Errors    - TV_ETAPE   not open on this thread, or it has given its gradient, and the graph with
 * it
 *           - TV_EIO     writing failed
 *           - TV_ENOMEM  the text
 */
TV_API tv_status tv_tape_graph(tv_tape *tape, FILE *stream);

/** x, through which no gradient flows. */
TV_API tv_tensor *tv_stop_gradient(tv_tensor *x);

TV_END_C
#endif
