/* SPDX-License-Identifier: MIT
 * Scopes inside the library: giving results to the innermost one. */
#ifndef TVI_SCOPE_H
#define TVI_SCOPE_H

#include <tensorvar/scope.h>

/* Give x, whose one count is the caller's, to the innermost scope; x. NULL stays NULL. On failure x
 * is released and the result is NULL: TV_ESCOPE if none is open, TV_ENOMEM. */
tv_tensor *tvi_scope_own(tv_tensor *x);

/* Whether a scope is open; fails with TV_ESCOPE, naming `who`, if not. Asked before work is done.
 */
bool tvi_scope_is_open(const char *who);

/* As tv_scope_begin, for functions that may be called with no scope open: the thread's error stays.
 */
tv_status tvi_scope_open(tv_scope *scope);
/* As tv_scope_end without a tensor to keep, and without saying what failed inside. */
void tvi_scope_close(tv_scope *scope);

void tvi_scope_close_all(void);

#endif
