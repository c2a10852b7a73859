/* SPDX-License-Identifier: MIT
 * A write in progress, from taking the Variable's lock to committing: what all verbs share.
 *
 *     tvi_writing w;
 *     const tv_status status = tvi_writing_begin(&w, "variable_assign", v);
 *     if (status) return status;
 *     bool is_done = tvi_writing_takes(&w, value) && ...;
 *     return tvi_writing_end(&w, is_done && tvi_writing_commit(&w, prepared));
 */
#ifndef TVI_WRITE_H
#define TVI_WRITE_H

#include <tensorvar/scope.h>

#include "op.h"
#include "variable.h"

typedef struct {
  const char *who; /* the verb; static text */
  tv_variable *v;
  tv_scope scope;
  tv_tensor *rows; /* that the write touches, as tvi_constrained takes them; NULL: any */
  tv_tensor *old;  /* to be released after unlocking */
} tvi_writing;

/* Take the lock, in a scope of the library's own, and record nothing. On failure there is nothing
 * to end. TV_EVALUE if v is NULL. */
tv_status tvi_writing_begin(tvi_writing *w, const char *who, tv_variable *v);
/* Unlock; the status of the write. */
tv_status tvi_writing_end(tvi_writing *w, bool is_done);

/* What holds for the value of every write: nothing mapped, same kind, same device. */
bool tvi_writing_takes(const tvi_writing *w, tv_tensor *value);
/* Whether bytes may change in place: nobody else holds them, and no constraint may refuse. */
bool tvi_writing_is_in_place(const tvi_writing *w);
/* TV_ESHAPE, naming the Variable and both shapes. false. */
bool tvi_writing_misfit(const tvi_writing *w, const char *what, tv_tensor *value);

/* Constrain a prepared value of the right dtype, shape and device, and make it the Variable's. */
bool tvi_writing_commit(tvi_writing *w, tv_tensor *prepared);
/* The bytes of the value have changed in place. */
bool tvi_writing_commit_in_place(tvi_writing *w);

/* The op of an update other than TV_SET. */
tvi_op tvi_update_op(tv_update how);
/* Whether it is an update that the Variable's dtype takes: TV_EVALUE, TV_EDTYPE. Integers have no
 * quotient of their own kind. */
bool tvi_writing_updates(const tvi_writing *w, tv_update how);
/* x as the op meets it: in the Variable's dtype where their common one is not of the same kind,
 * which is int64 with uint64. Weak scalars stay. */
tv_tensor *tvi_writing_meets(const tvi_writing *w, tv_tensor *x);

/* The verb of an update in a row of names, one for each. */
typedef const char *tvi_verbs[TV_MAXIMUM + 1];
static inline const char *tvi_verb(const tvi_verbs verbs, tv_update how) {
  return verbs[(unsigned)how <= TV_MAXIMUM ? how : TV_SET];
}

#endif
