/* SPDX-License-Identifier: MIT
 * Deferred heads: when an op is deferred, making its node, and settling it under the lock.
 *
 * What bounds a program: its steps and inputs, and the bytes that it keeps alive beyond what the
 * result itself would. Inputs of a node that would go over are settled first. */
#include "deferred.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <tensorvar/ops.h>

#include "device.h"
#include "memory.h"
#include "op.h"
#include "status.h"
#include "thread.h"

enum {
  FEW_LEAVES = 4, /* any size of them may be held */
  FAR = 64 /* bytes: neighbours further apart are better read by the tiled engine of one op */
};
static const int64_t most_held = INT64_C(1) << 28;
/* Results up to so many bytes stay in the nearest cache, and a node would cost more than it saves.
 */
enum { SMALL = 1 << 15 };
static _Atomic int64_t above = SMALL;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

void tvi_graph_lock(void) { pthread_mutex_lock(&lock); }
void tvi_graph_unlock(void) { pthread_mutex_unlock(&lock); }

/* When ------------------------------------------------------------------------------------------
 */

static bool is_eager_at_first;
static void start(void) {
  const char *const text = getenv("TV_EAGER");
  is_eager_at_first = text && !strcmp(text, "1");
  pthread_atfork(tvi_graph_lock, tvi_graph_unlock, tvi_graph_unlock);
}

static bool is_eager(void) {
  if (__builtin_expect(tvi_self.eagerness == TVI_EAGERNESS_UNKNOWN, 0)) {
    pthread_once(&once, start);
    tvi_self.eagerness = is_eager_at_first ? TVI_EAGER : TVI_DEFERRING;
  }
  return tvi_self.eagerness == TVI_EAGER;
}

tv_status tv_eager_set(bool is_wanted) {
  is_eager(); /* the process is asked once, whatever the thread wants */
  tvi_self.eagerness = is_wanted ? TVI_EAGER : TVI_DEFERRING;
  return TV_OK;
}

bool tv_eager_current(void) { return is_eager(); }

void tvi_defer_above(int64_t bytes) { atomic_store(&above, bytes < 0 ? SMALL : bytes); }

bool tvi_is_large(int64_t bytes) {
  return bytes > atomic_load_explicit(&above, memory_order_relaxed);
}

bool tvi_may_defer(tv_device device, int rank, int64_t size, tv_dtype result) {
  return tvi_is_large(size * tv_dtype_size(result)) && rank <= TV_MAX_PROGRAM_RANK && !is_eager() &&
         tvi_device_at(device)->backend.program;
}

bool tvi_is_input(const tv_tensor *x, int rank, const int64_t *shape) {
  if (x->weak.kind) return true;
  if (tvi_is_deferred(x)) return tvi_same_shape(x, rank, shape);
  if (!x->storage || x->storage->is_borrowed) return false;
  for (int axis = x->rank - 1; axis >= 0; axis--)
    if (x->shape[axis] > 1) return x->steps[axis] < FAR && x->steps[axis] > -FAR;
  return true;
}

/* Nodes -----------------------------------------------------------------------------------------
 */

static bool is_light(int op) {
  switch (op) {
    case TVI_OP_negative:
    case TVI_OP_square:
    case TVI_OP_relu:
    case TVI_OP_abs:
    case TVI_OP_add:
    case TVI_OP_subtract:
    case TVI_OP_multiply:
    case TVI_OP_maximum:
    case TVI_OP_minimum:
    case TVI_OP_where:
    case TV_STEP_CONVERT:
      return true;
    default:
      return op >= 0 && (tvi_op_info[op].kind == TVI_COMPARE || tvi_op_info[op].kind == TVI_TEST);
  }
}

static int64_t bytes_of(const tv_tensor *x) { return x->size * tv_dtype_size(x->dtype); }

/* What the program of a node comes to, from those of its inputs. Assumes: the lock is held. */
static void measure(tvi_node *node) {
  node->n_steps = 1;
  node->n_leaves = 0;
  node->leaf_bytes = 0;
  node->is_light = is_light(node->op);
  for (int k = 0; k < node->n_inputs; k++) {
    const tv_tensor *const x = node->in[k];
    const tvi_node *const of = x ? atomic_load_explicit(&x->node, memory_order_relaxed) : NULL;
    node->n_steps += of ? of->n_steps : 0;
    node->n_leaves += of ? of->n_leaves : 1;
    node->leaf_bytes += of ? of->leaf_bytes : x ? bytes_of(x) : 0;
    node->is_light = node->is_light && (!of || of->is_light);
  }
}

static bool is_within_bounds(const tvi_node *node) {
  return node->n_steps <= TV_MAX_STEPS && node->n_leaves <= TV_MAX_PROGRAM_INPUTS &&
         (node->n_leaves <= FEW_LEAVES || node->leaf_bytes <= most_held);
}

/* Settle the input whose program is the longest. */
static tv_status shorten(const tvi_node *node) {
  tv_tensor *longest = NULL;
  int most = 0;
  tvi_graph_lock();
  for (int k = 0; k < node->n_inputs; k++) {
    tv_tensor *const x = node->in[k];
    const tvi_node *const of = x ? atomic_load_explicit(&x->node, memory_order_relaxed) : NULL;
    if (of && of->n_steps > most) {
      most = of->n_steps;
      longest = x;
    }
  }
  tvi_graph_unlock();
  return longest ? tvi_settle(longest) : TV_OK; /* settled meanwhile by another thread */
}

tv_tensor *tvi_deferred_new(const tvi_node *given, tv_device device, tv_dtype result, int rank,
                            const int64_t *shape) {
  tvi_node *const node = tvi_block_alloc(sizeof *node);
  if (!node) return tvi_fail(TV_ENOMEM, "tensor: no memory on cpu for %zu bytes", sizeof *node);
  tv_tensor *const x = tvi_tensor_head(device, result, rank, shape);
  if (!x) {
    tvi_block_free(node, sizeof *node);
    return NULL;
  }
  *node = *given;
  for (;;) {
    tvi_graph_lock();
    measure(node);
    tvi_graph_unlock();
    if (is_within_bounds(node)) break;
    if (shorten(node)) {
      tvi_block_free(node, sizeof *node);
      tv_release(x);
      return NULL;
    }
  }
  for (int k = 0; k < node->n_inputs; k++) {
    if (!node->in[k]) continue;
    tv_retain(node->in[k]);
    atomic_fetch_add_explicit(&node->in[k]->uses, 1, memory_order_relaxed);
  }
  /* Small beside what it would keep alive, a mask of large numbers: not for long. */
  const bool is_held_up =
      node->leaf_bytes > most_held && node->leaf_bytes > FEW_LEAVES * bytes_of(x);
  atomic_store_explicit(&x->node, node, memory_order_release);
  if (!is_held_up || !tvi_settle(x)) return x;
  tv_release(x);
  return NULL;
}

bool tvi_deferred_cast(tv_tensor *x, tv_dtype dtype, tv_tensor **y) {
  if (x->weak.kind || tvi_is_deferred_rows(x) ||
      !tvi_may_defer(x->device, x->rank, x->size, dtype) || !tvi_is_input(x, x->rank, x->shape))
    return false;
  const tvi_node node = {.op = TV_STEP_CONVERT, .dtype = x->dtype, .n_inputs = 1, .in = {x}};
  *y = tvi_deferred_new(&node, x->device, dtype, x->rank, x->shape);
  return true;
}

tvi_node *tvi_deferred_settled(tv_tensor *x, tvi_storage *storage) {
  tvi_node *const node = atomic_load_explicit(&x->node, memory_order_relaxed);
  x->storage = storage;
  x->data = storage->data;
  atomic_store_explicit(&x->node, NULL, memory_order_release);
  return node;
}

/* A chain of nodes is no longer than a program, so neither is the recursion. */
void tvi_node_free(tvi_node *node) {
  if (!node) return;
  for (int k = 0; k < node->n_inputs; k++) {
    if (!node->in[k]) continue;
    atomic_fetch_sub_explicit(&node->in[k]->uses, 1, memory_order_relaxed);
    tv_release(node->in[k]);
  }
  tvi_block_free(node, sizeof *node);
}
