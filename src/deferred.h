/* SPDX-License-Identifier: MIT
 * Deferred tensors: a head whose elements have not been computed, because nobody asked for them.
 *
 * A node says how: one elementwise op and its inputs, which may be deferred too. Nodes never
 * change. A head is settled once, under a lock: it gets its storage and loses its node. Ops over
 * deferred heads make new nodes; whoever wants bytes calls tvi_settle first (program.c). */
#ifndef TVI_DEFERRED_H
#define TVI_DEFERRED_H

#include <tensorvar/backend.h>

#include "tensor.h"

enum { TVI_NODE_ROWS = -2 }; /* of a head that is rows (rows.h): is never an input of another */

typedef struct tvi_node {
  int op;         /* a row of the op table, TV_STEP_CONVERT, or TVI_NODE_ROWS without inputs */
  tv_dtype dtype; /* that it runs in; of a conversion, what it converts from */
  int n_inputs;
  int n_steps;  /* of the program that computes it, at most: nodes reached twice count twice */
  int n_leaves; /* inputs of that program, at most */
  int64_t leaf_bytes;           /* that they hold, at most; broadcast ones by what they are */
  bool is_light;                /* no step costs more than moving its bytes */
  tv_tensor *in[TV_MAX_INPUTS]; /* retained; NULL: the value in `immediate` */
  uint8_t immediate[TV_MAX_INPUTS][16];
} tvi_node;

/* Whether an op of this result may be deferred on the device: the thread wants it, the device can,
 * and it is large enough to be worth it. */
bool tvi_may_defer(tv_device device, int rank, int64_t size, tv_dtype result);

/* For tests: results above so many bytes are deferred; -1: those that are worth it. */
void tvi_defer_above(int64_t bytes);
/* Whether so many bytes are more than that: more than the nearest cache holds. */
bool tvi_is_large(int64_t bytes);

/* Whether x, of the shape given or broadcast to it, can be an input of a node as it is. */
bool tvi_is_input(const tv_tensor *x, int rank, const int64_t *shape);

/* A deferred head. `node` holds op, dtype and inputs, which are retained here; the rest is filled
 * in. Inputs are settled first where the program would get too long. NULL with TV_ENOMEM. */
tv_tensor *tvi_deferred_new(const tvi_node *node, tv_device device, tv_dtype result, int rank,
                            const int64_t *shape);

/* x converted, in *y: NULL after a failure. False if that cannot be deferred. */
bool tvi_deferred_cast(tv_tensor *x, tv_dtype dtype, tv_tensor **y);

/* Compute a deferred head, and what else is worth storing on the way. See program.c. */
tv_status tvi_settle_deferred(tv_tensor *x);

/* Whether x is rows that are to be settled before an op reads them. */
static inline bool tvi_is_deferred_rows(const tv_tensor *x) {
  return __builtin_expect(x->rows != NULL, 0) && tvi_is_deferred(x);
}

/* Make sure that the elements of x are there. TV_ENOMEM, and what the backend says. */
static inline tv_status tvi_settle(tv_tensor *x) {
  return __builtin_expect(!tvi_is_deferred(x), 1) ? TV_OK : tvi_settle_deferred(x);
}

/* The lock over all graphs of nodes: held while one is read or a head is settled, never while
 * anything is computed or released. */
void tvi_graph_lock(void);
void tvi_graph_unlock(void);

/* With the lock held: give x its storage, whose count moves in; the node, to be freed after
 * unlocking. */
tvi_node *tvi_deferred_settled(tv_tensor *x, tvi_storage *storage);

/* Release what the node holds. NULL is none. */
void tvi_node_free(tvi_node *node);

#endif
