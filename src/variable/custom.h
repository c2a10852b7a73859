/* SPDX-License-Identifier: MIT
 * Ops of the caller's, as the tapes see them: a rule with its own end. */
#ifndef TVI_CUSTOM_H
#define TVI_CUSTOM_H

#include <tensorvar/custom.h>

#include "tape.h"

/* A read of a Variable inside a forward that is run again. */
typedef struct {
  tv_variable *variable; /* retained, as the snapshot is */
  uint64_t version;
  tv_tensor *snapshot;
} tvi_seen;

/* The reads of one forward, in their order: noted the first time, given again later. */
typedef struct tvi_reads {
  struct tvi_reads *outer; /* of the forward that this one runs in */
  bool is_again;
  int n, room, next;
  tvi_seen *seen;
} tvi_reads;

typedef struct tvi_custom {
  tvi_rule rule;
  _Atomic int64_t count; /* the call's, and one for each record of a tape */
  tv_custom given;
  char name[64];
  int n_in;        /* of the call; inputs beyond are the reads */
  tvi_reads reads; /* of what is recomputed */
} tvi_custom;

void tvi_custom_release(tvi_custom *custom);

/* gradients[n_in] for g, the innermost scope's; NULL: zero, or not wanted. `saved` is [n_in + 1],
 * the result last; `wanted` tells for which inputs. What is run again has a tape with these
 * options. */
tv_status tvi_custom_gradients(const tvi_custom *custom, int n_in, tv_tensor *const *saved,
                               const bool *wanted, tv_tensor *g, const tv_tape_options *options,
                               tv_tensor **gradients);
/* Whether that is one by input k: of its shape and dtype. TV_ESHAPE, TV_EDTYPE. */
bool tvi_custom_fits(const tvi_custom *custom, int k, const tv_tensor *gradient,
                     const tvi_spec *spec);

/* What a forward that is run again reads of a Variable, the scope's; NULL after a failure. False
 * where none is run again here. */
bool tvi_reads_again(tv_variable *variable, tv_tensor **snapshot);
/* Tell the forwards that are run for the first time. TV_ENOMEM. */
tv_status tvi_reads_note(tv_variable *variable, uint64_t version, tv_tensor *snapshot);

#endif
