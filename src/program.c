/* SPDX-License-Identifier: MIT
 * Programs: what a deferred head comes to when somebody asks for it.
 *
 * The graph behind it, back to what has bytes, becomes one list of steps, and the backend runs it
 * in one pass. Stored are the head itself and, on the way, what is known to be wanted again: what
 * other nodes read, what somebody else than a scope holds (a tape, a Variable, the caller), and
 * what was computed once before without being stored; so nothing is computed more than twice. Not
 * stored is what costs no more to compute again than to read: light ops over few bytes.
 *
 * No lock is held while the backend runs: two threads may compute one head, with the same bits, and
 * the first to come back settles it. */
#include "program.h"

#include <string.h>

#include "deferred.h"
#include "device.h"
#include "elementwise.h"
#include "op.h"
#include "rows.h"
#include "status.h"
#include "stream.h"

enum { STEP = 1 << 16 }; /* added to the number of a step until that of the inputs is known */

typedef struct {
  tv_program job;
  tv_operand inputs[TV_MAX_PROGRAM_INPUTS];
  tv_dtype dtypes[TV_MAX_PROGRAM_INPUTS];
  tv_tensor *leaves[TV_MAX_PROGRAM_INPUTS]; /* retained; NULL: an immediate value */
  int64_t broadcast[TV_MAX_PROGRAM_INPUTS][TV_MAX_PROGRAM_RANK];
  tv_step steps[TV_MAX_STEPS];
  tv_tensor *heads[TV_MAX_STEPS]; /* of the steps, retained; the last is what was asked for */
  int inner_uses[TV_MAX_STEPS];   /* by steps of this program */
  bool is_stored[TV_MAX_STEPS];
  tvi_storage *storages[TV_MAX_STEPS];
} program;

/* Collect ---------------------------------------------------------------------------------------
 */

static int add_immediate(program *p, const tvi_node *node, int k) {
  tv_operand *const operand = &p->inputs[p->job.n_inputs];
  *operand = (tv_operand){.is_immediate = true};
  memcpy(operand->immediate.bytes, node->immediate[k], sizeof node->immediate[k]);
  p->dtypes[p->job.n_inputs] = tvi_op_info[node->op].inputs[k] == 'c' ? TV_BOOL : node->dtype;
  p->leaves[p->job.n_inputs] = NULL;
  return p->job.n_inputs++;
}

static int add_leaf(program *p, tv_tensor *x) {
  for (int k = 0; k < p->job.n_inputs; k++)
    if (p->leaves[k] == x) return k;
  const int at = p->job.n_inputs++;
  const bool is_whole = tvi_same_shape(x, p->job.rank, p->job.shape);
  if (!is_whole) tvi_broadcast_steps(x, p->job.rank, p->broadcast[at]);
  p->inputs[at] = (tv_operand){.data = x->data, .steps = is_whole ? x->steps : p->broadcast[at]};
  p->dtypes[at] = x->dtype;
  p->leaves[at] = tv_retain(x);
  return at;
}

/* The value of x. Assumes: the lock is held. */
static int add(program *p, tv_tensor *x) {
  const tvi_node *const node = atomic_load_explicit(&x->node, memory_order_relaxed);
  if (!node) return add_leaf(p, x);
  for (int k = 0; k < p->job.n_steps; k++)
    if (p->heads[k] == x) {
      p->inner_uses[k]++;
      return STEP + k;
    }
  tv_step step = {
      .op = node->op, .dtype = node->dtype, .result = x->dtype, .n_inputs = node->n_inputs};
  for (int k = 0; k < node->n_inputs; k++)
    step.in[k] = node->in[k] ? add(p, node->in[k]) : add_immediate(p, node, k);
  const int at = p->job.n_steps++;
  p->steps[at] = step;
  p->heads[at] = tv_retain(x);
  p->inner_uses[at] = 1;
  return STEP + at;
}

/* Whether it pays to store what step k computes, of which this call holds `own` counts. Assumes:
 * the lock is held. */
static bool is_worth_storing(const program *p, int k, int own) {
  const tv_tensor *const x = p->heads[k];
  const tvi_node *const node = atomic_load_explicit(&x->node, memory_order_relaxed);
  const int64_t bytes = x->size * tv_dtype_size(x->dtype);
  if (node->is_light && node->leaf_bytes <= bytes) return false;
  const int uses = atomic_load_explicit(&x->uses, memory_order_relaxed);
  const int64_t holds = atomic_load_explicit(&x->count, memory_order_relaxed) - uses - own;
  if (uses > p->inner_uses[k] || x->was_passed) return true;
  return holds > 1 /* a scope usually is one */ &&
         !(node->is_light && node->leaf_bytes <= 2 * bytes);
}

static void collect(program *p, tv_tensor *x) {
  p->job = (tv_program){.rank = x->rank,
                        .shape = x->shape,
                        .inputs = p->inputs,
                        .dtypes = p->dtypes,
                        .steps = p->steps};
  add(p, x);
  for (int k = 0; k < p->job.n_steps; k++) {
    for (int j = 0; j < p->steps[k].n_inputs; j++)
      if (p->steps[k].in[j] >= STEP) p->steps[k].in[j] += p->job.n_inputs - STEP;
    p->storages[k] = NULL;
    p->is_stored[k] = k == p->job.n_steps - 1 || is_worth_storing(p, k, 1);
  }
}

/* Run -------------------------------------------------------------------------------------------
 */

/* Room for what is stored, and the inputs ready to be read. */
static tv_status prepare(program *p, tv_device device) {
  tv_status status = TV_OK;
  for (int k = 0; k < p->job.n_inputs && !status; k++)
    if (p->leaves[k]) status = tvi_stream_reads(p->leaves[k]);
  for (int k = 0; k < p->job.n_steps && !status; k++) {
    if (!p->is_stored[k]) continue;
    const tv_tensor *const x = p->heads[k];
    p->storages[k] = tvi_storage_new(device, x->size * tv_dtype_size(x->dtype));
    if (!p->storages[k]) return tvi_failure();
    p->steps[k].out = p->storages[k]->data;
  }
  return status;
}

/* Give the heads what was computed for them, but for those that another thread has settled. */
static void settle(program *p) {
  tvi_node *spent[TV_MAX_STEPS];
  tvi_graph_lock();
  for (int k = 0; k < p->job.n_steps; k++) {
    tv_tensor *const x = p->heads[k];
    spent[k] = NULL;
    if (!atomic_load_explicit(&x->node, memory_order_relaxed)) continue;
    if (p->storages[k]) {
      spent[k] = tvi_deferred_settled(x, p->storages[k]);
      p->storages[k] = NULL;
    } else {
      x->was_passed = true;
    }
  }
  tvi_graph_unlock();
  for (int k = 0; k < p->job.n_steps; k++) tvi_node_free(spent[k]);
}

static void finish(program *p) {
  for (int k = 0; k < p->job.n_steps; k++) {
    if (p->storages[k]) tvi_storage_release(p->storages[k]);
    tv_release(p->heads[k]);
  }
  for (int k = 0; k < p->job.n_inputs; k++) tv_release(p->leaves[k]);
}

/* False if x has been settled by another thread meanwhile. */
static bool begin(program *p, tv_tensor *x) {
  tvi_graph_lock();
  const bool is_left = tvi_is_deferred(x);
  if (is_left) collect(p, x);
  tvi_graph_unlock();
  return is_left;
}

static tv_status run(program *p, const tv_tensor *x) {
  const int op = p->steps[p->job.n_steps - 1].op;
  const tv_status status = prepare(p, x->device);
  return status ? status
                : TVI_CALL(tvi_device_at(x->device), program,
                           op == TV_STEP_CONVERT ? "astype" : tvi_op_info[op].name, x->dtype,
                           &p->job, tvi_stream_now(x->device));
}

tv_status tvi_settle_deferred(tv_tensor *x) {
  program p;
  if (x->rows) return tvi_rows_settle(x);
  if (!begin(&p, x)) return TV_OK;
  const tv_status status = run(&p, x);
  if (!status) settle(&p);
  finish(&p);
  return status;
}

tv_status tvi_program_reduce(const char *who, tv_tensor *x, tv_reduce *job, bool *is_left) {
  program p;
  *is_left = begin(&p, x);
  if (!*is_left) return TV_OK;
  const int last = p.job.n_steps - 1;
  tvi_graph_lock();
  /* Its own use is not one of this program's. */
  p.inner_uses[last] = 0;
  p.is_stored[last] = tvi_is_deferred(x) && is_worth_storing(&p, last, 2);
  tvi_graph_unlock();
  tv_status status = prepare(&p, x->device);
  job->program = &p.job;
  job->in.data = NULL;
  if (!status)
    status =
        TVI_CALL(tvi_device_at(x->device), reduce, who, job->dtype, job, tvi_stream_now(x->device));
  job->program = NULL;
  if (!status) settle(&p);
  finish(&p);
  return status;
}

tv_status tvi_program_into(tv_tensor *x, tv_tensor *out) {
  program p;
  if (!begin(&p, x)) /* it has been settled, and is copied */
    return tvi_write("program", x->device, x->dtype, out->data, out->steps, x->rank, x->shape,
                     x->dtype, x->data, x->steps);
  const int last = p.job.n_steps - 1;
  p.is_stored[last] = false;
  p.steps[last].out = out->data;
  const tv_status status = run(&p, x);
  if (!status) settle(&p);
  finish(&p);
  return status;
}

tv_status tv_evaluate(int n, tv_tensor *const *tensors) {
  if (n < 0) return tvi_fail_status(TV_EVALUE, "evaluate: n is %d", n);
  if (n && !tensors) return tvi_null_status("evaluate", "tensors");
  for (int k = 0; k < n; k++)
    if (!tensors[k]) return tvi_null_status("evaluate", "a tensor");
  tv_status status = TV_OK;
  for (int k = 0; k < n && !status; k++) status = tvi_settle(tensors[k]);
  return status;
}
