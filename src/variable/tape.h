/* SPDX-License-Identifier: MIT
 * Recording: what an op tells the open tapes. A rule says, for each input, what its gradient reads
 * and how it is computed from public ops; the tape keeps what the wanted gradients read, and
 * nothing else. */
#ifndef TVI_TAPE_H
#define TVI_TAPE_H

#include <tensorvar/tape.h>

#include "tensor.h"
#include "thread.h"

/* What is known of a value without holding it. */
typedef struct {
  tv_dtype dtype;
  tv_device device;
  int rank;
  const int64_t *shape;
} tvi_spec;

/* What a gradient may look at. Only what its rule `uses` is there; the rest is NULL. */
typedef struct {
  tv_tensor *const *in;
  tv_tensor *out;
  int k;                  /* the input whose gradient is wanted */
  const tvi_spec *spec;   /* of that input */
  const int64_t *numbers; /* what the op recorded of its arguments */
} tvi_saved;

/* g is the gradient of the result. The result is as if nothing were broadcast or converted: the
 * tape sums it to the shape of the input, and gives it its dtype and device. NULL is a failure. */
typedef tv_tensor *tvi_gradient(const tvi_saved *s, tv_tensor *g);

enum { TVI_USES_NONE = 0, TVI_USES_IN0 = 1, TVI_USES_IN1 = 2, TVI_USES_IN2 = 4, TVI_USES_OUT = 8 };

typedef struct {
  const char *name;
  bool is_view; /* shows the bytes of input 0: a value read through it is the value of input 0 */
  struct {
    uint8_t uses;
    tvi_gradient *of;        /* NULL: carries no gradient */
  } in[3];                   /* inputs beyond the third are as the third */
  struct tvi_custom *custom; /* of an op of the caller's: computes them all, and keeps all inputs or
                                none (TVI_USES_IN0); else NULL */
} tvi_rule;

/* One rule per row of the op table. */
extern const tvi_rule tvi_op_rules[];

static inline bool tvi_is_recording(void) { return tvi_self.tape && !tvi_self.paused; }

/* Tell the open tapes. Nothing is recorded where no input is watched. TV_ENOMEM. */
tv_status tvi_record(const tvi_rule *rule, tv_tensor *out, int n_in, tv_tensor *const *in,
                     int n_numbers, const int64_t *numbers);

/* The end of every op: give y to the innermost scope and record it. NULL stays NULL. */
tv_tensor *tvi_finish(const tvi_rule *rule, tv_tensor *y, int n_in, tv_tensor *const *in,
                      int n_numbers, const int64_t *numbers);

/* A Variable was read: `snapshot` is its value at `version`. */
tv_status tvi_record_read(tv_variable *variable, uint64_t version, tv_tensor *snapshot);

/* End the tapes begun since a scope did. */
void tvi_tape_end_since(uint64_t scope_id);

#endif
