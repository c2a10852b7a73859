/* SPDX-License-Identifier: MIT
 * Scopes: who owns temporaries.
 *
 *     tv_scope scope;
 *     tv_scope_begin(&scope);
 *     tv_tensor *y = tv_tanh(tv_add(tv_matmul(x, w), b));
 *     tv_status status = tv_scope_end(&scope, &y);     // y lives on in the enclosing scope
 *
 * Every op gives its result to the innermost open scope of its thread, which releases it at its
 * end. A tv_scope holds only a number, so leaving a block early leaves nothing that dangles: ending
 * an outer scope ends those left open inside it first, and says so. */
#ifndef TENSORVAR_SCOPE_H
#define TENSORVAR_SCOPE_H

#include <tensorvar/dtype.h>
TV_BEGIN_C

typedef struct tv_scope {
  uint64_t id;
} tv_scope;

/** Open a scope inside the one that is open. Beginning an outermost scope clears the thread's
 * error. TV_ENOMEM: nothing was opened. */
#define tv_scope_begin(scope) tv_scope_begin_at((scope), __FILE__, __LINE__)
TV_API tv_status tv_scope_begin_at(tv_scope *scope, const char *file, int line);

/**
 * Close a scope, releasing what it owns, and report the thread's first failure since it began.
 *
 * *kept, if kept is not NULL, moves to the enclosing scope; a tensor that this scope does not own
 * stays where it is. Tapes begun in the scope and not ended are ended.
 *
 * Errors    - TV_ESCOPE   this scope is not open on this thread; or scopes inside it were still
 * open, which have now been closed (the text says where they began); or *kept was this scope's and
 * no scope encloses it: *kept is then released and set to NULL (use tv_retain)
 *           - any other   the first failure since the scope began
 */
TV_API tv_status tv_scope_end(tv_scope *scope, tv_tensor **kept);

/**
 * Move a tensor from the innermost scope to the enclosing one, before the innermost ends.
 *
 * Does nothing, and succeeds, for a tensor that the innermost scope does not own, and for NULL.
 *
 * Errors    - TV_ESCOPE   no scope is open, or none encloses the innermost
 */
TV_API tv_status tv_scope_keep(tv_tensor *tensor);

TV_END_C
#endif
