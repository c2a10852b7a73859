/* SPDX-License-Identifier: MIT
 * The program slot. Threads take chunks of a fixed size in C order, and of these a block at a time;
 * elements do not depend on each other, so nothing of this changes a bit. */
#include "program.h"

#include <string.h>

#include "plan.h"
#include "streamed.h"

enum {
  CHUNK = 16384,   /* elements that a thread takes at a time, ... */
  MANY = 16,       /* ... and so many of those where the memory is the limit */
  REGISTER = 2048, /* bytes of a block */
  LONG = 128       /* elements of a row that is worth a block of its own */
};

/* Make ready ------------------------------------------------------------------------------------
 */

/* Axes of size above 1, joined where every input walks two as one. */
static void merge(tvi_fused *f, const tv_program *job) {
  int n = 0;
  for (int axis = 0; axis < job->rank; axis++) {
    const int64_t size = job->shape[axis];
    if (size == 1) continue;
    bool joins = n > 0;
    for (int k = 0; k < f->n_inputs && joins; k++) {
      const tvi_program_input *const x = &f->inputs[k];
      const int64_t step = x->operand->is_immediate ? 0 : x->operand->steps[axis];
      joins = x->steps[n - 1] == step * size;
    }
    if (!joins) f->shape[n++] = 1;
    f->shape[n - 1] *= size;
    for (int k = 0; k < f->n_inputs; k++) {
      tvi_program_input *const x = &f->inputs[k];
      x->steps[n - 1] = x->operand->is_immediate ? 0 : x->operand->steps[axis];
    }
  }
  f->rank = n;
  if (n == 0) {
    f->rank = 1;
    f->shape[0] = 1;
    for (int k = 0; k < f->n_inputs; k++) f->inputs[k].steps[0] = 0;
  }
}

static tvi_fetch fetch_of(const tvi_fused *f, const tvi_program_input *x) {
  const int inner = f->rank - 1;
  int64_t dense = x->item;
  bool is_one = true, is_dense = true, is_same = true;
  for (int axis = inner; axis >= 0; axis--) {
    is_one = is_one && x->steps[axis] == 0;
    is_dense = is_dense && x->steps[axis] == dense;
    is_same = is_same && (axis == inner || x->steps[axis] == 0);
    dense *= f->shape[axis];
  }
  if (is_one) return TVI_ONE;
  if (is_dense || f->rank == 1) return TVI_DIRECT;
  return f->shape[inner] >= LONG ? TVI_BY_ROWS : is_same ? TVI_PERIODIC : TVI_PACKED;
}

static tvi_loop *loop_of(const tv_step *step) {
  if (step->op == TV_STEP_CONVERT) return tvi_convert_loop(step->dtype, step->result);
  const bool is_row = step->op >= 0 && step->op < TVI_OP_COUNT && step->dtype >= 0;
  return is_row ? tvi_level_here()->loops[step->op][step->dtype] : NULL;
}

/* Registers: a value has one from the step that makes it to the last that reads it. */
typedef struct {
  int n, n_free, most;
  int free[TVI_PROGRAM_VALUES];
} registers;

static int take(registers *r, int count) {
  if (count == 1 && r->n_free) return r->free[--r->n_free];
  r->n += count;
  return r->n - count;
}

static void give_out(tvi_fused *f) {
  registers r = {0};
  int last_use[TVI_PROGRAM_VALUES] = {0};
  int64_t widest = 1;
  for (int k = 0; k < f->n_steps; k++)
    for (int j = 0; j < f->steps[k].n_inputs; j++) last_use[f->steps[k].in[j]] = k;
  for (int k = 0; k < f->n_inputs; k++) {
    tvi_program_input *const x = &f->inputs[k];
    if (x->how != TVI_PERIODIC && x->how != TVI_PACKED) continue;
    x->slot = take(&r, x->how == TVI_PERIODIC ? 2 : 1);
    if (x->item > widest) widest = x->item;
  }
  for (int k = 0; k < f->n_steps; k++) {
    tvi_program_step *const s = &f->steps[k];
    const bool is_last = k == f->n_steps - 1;
    s->slot = -1;
    if (s->out ? f->stream != NULL : !is_last) s->slot = take(&r, 1);
    if (s->item > widest) widest = s->item;
    for (int j = 0; j < s->n_inputs; j++) {
      const int from = s->in[j] - f->n_inputs;
      bool is_again = false; /* given back already, for an earlier input of this step */
      for (int i = 0; i < j; i++) is_again = is_again || s->in[i] == s->in[j];
      if (from >= 0 && !is_again && last_use[s->in[j]] == k && f->steps[from].slot >= 0)
        r.free[r.n_free++] = f->steps[from].slot;
    }
  }
  f->block = REGISTER / widest;
  while (r.n * f->block * widest > TVI_SCRATCH) f->block /= 2;
  const int64_t bytes = f->block * widest;
  for (int k = 0; k < f->n_inputs; k++) {
    tvi_program_input *const x = &f->inputs[k];
    if (x->how == TVI_PERIODIC && f->shape[f->rank - 1] > f->block) x->how = TVI_PACKED;
    x->slot *= (int32_t)bytes;
  }
  for (int k = 0; k < f->n_steps; k++)
    if (f->steps[k].slot >= 0) f->steps[k].slot *= (int32_t)bytes;
  if (r.n == 0 && f->n_steps == 1) f->block = CHUNK; /* nothing is kept between two loops */
}

tv_status tvi_fused_make(tvi_fused *f, const tv_program *job, bool may_stream) {
  f->n_inputs = job->n_inputs;
  f->n_steps = job->n_steps;
  f->row = 0;
  f->size = 1;
  f->cost = 0;
  for (int axis = 0; axis < job->rank; axis++) f->size *= job->shape[axis];
  for (int k = 0; k < f->n_inputs; k++) {
    tvi_program_input *const x = &f->inputs[k];
    x->operand = &job->inputs[k];
    x->base = x->operand->is_immediate ? (char *)(uintptr_t)x->operand->immediate.bytes
                                       : x->operand->data;
    x->item = tvi_item(job->dtypes[k]);
    x->slot = 0;
  }
  merge(f, job);
  int64_t moved = 0;
  for (int k = 0; k < f->n_inputs; k++) {
    tvi_program_input *const x = &f->inputs[k];
    x->how = fetch_of(f, x);
    if (x->how == TVI_BY_ROWS) f->row = f->shape[f->rank - 1];
    if (x->how == TVI_DIRECT || x->how == TVI_PACKED) moved += f->size * x->item;
    const bool is_in_place = x->how == TVI_DIRECT || x->how == TVI_BY_ROWS;
    x->step = x->how == TVI_ONE ? 0 : is_in_place ? x->steps[f->rank - 1] : x->item;
  }
  for (int k = 0; k < f->n_steps; k++) {
    const tv_step *const from = &job->steps[k];
    tvi_program_step *const s = &f->steps[k];
    s->loop = loop_of(from);
    if (!s->loop) {
      tv_backend_fail(TV_EUNSUPPORTED, "program: the cpu has no loop for step %d", k);
      return TV_EUNSUPPORTED;
    }
    s->n_inputs = from->n_inputs;
    s->item = tvi_item(from->result);
    s->out = from->out;
    s->step[0] = s->item;
    for (int j = 0; j < s->n_inputs; j++) {
      const int value = from->in[j];
      s->in[j] = (int16_t)value;
      s->step[1 + j] =
          value < f->n_inputs ? f->inputs[value].step : f->steps[value - f->n_inputs].item;
    }
    f->cost += tvi_op_cost(from->op, from->dtype);
    if (s->out) moved += f->size * s->item;
  }
  f->result = job->steps[f->n_steps - 1].result;
  f->stream = may_stream && moved > TVI_STREAMED ? tvi_level_here()->stream : NULL;
  f->chunk = f->stream ? MANY * CHUNK : CHUNK;
  give_out(f);
  return TV_OK;
}

/* Run -------------------------------------------------------------------------------------------
 */

void tvi_fused_begin(tvi_fused_run *run, const tvi_fused *f) {
  run->fused = f;
  for (int k = 0; k < f->n_inputs; k++) {
    const tvi_program_input *const x = &f->inputs[k];
    run->at[k] = x->base;
    if (x->how != TVI_PERIODIC) continue;
    char *const p[] = {run->scratch + x->slot, x->base};
    const int64_t period = f->shape[f->rank - 1], steps[] = {x->item, x->steps[f->rank - 1]};
    tvi_copy_loop(x->item)(period, p, steps);
    const int64_t bytes = (f->block + period) * x->item;
    for (int64_t at = period * x->item; at < bytes; at *= 2) /* whole periods, twice as many */
      memcpy(p[0] + at, p[0], (size_t)(at < bytes - at ? at : bytes - at));
  }
  for (int k = 0; k < f->n_steps; k++)
    if (f->steps[k].slot >= 0) run->at[f->n_inputs + k] = run->scratch + f->steps[k].slot;
}

/* Bytes from the base to an element, in C order of the merged axes. */
static int64_t offset_of(const tvi_fused *f, const tvi_program_input *x, int64_t i) {
  int64_t at = 0;
  for (int axis = f->rank - 1; axis >= 0 && i; axis--) {
    at += i % f->shape[axis] * x->steps[axis];
    i /= f->shape[axis];
  }
  return at;
}

static void pack(const tvi_fused *f, const tvi_program_input *x, int64_t begin, int64_t n,
                 char *to) {
  const int64_t row = f->shape[f->rank - 1], steps[] = {x->item, x->steps[f->rank - 1]};
  tvi_loop *const copy = tvi_copy_loop(x->item);
  for (int64_t column = begin % row; n > 0; column = 0) {
    const int64_t count = n < row - column ? n : row - column;
    copy(count, (char *const[]){to, x->base + offset_of(f, x, begin)}, steps);
    to += count * x->item;
    begin += count;
    n -= count;
  }
}

static void fetch_inputs(tvi_fused_run *run, int64_t begin, int64_t n) {
  const tvi_fused *const f = run->fused;
  for (int k = 0; k < f->n_inputs; k++) {
    const tvi_program_input *const x = &f->inputs[k];
    switch (x->how) {
      case TVI_ONE:
        break;
      case TVI_DIRECT:
        run->at[k] = x->base + begin * x->step;
        break;
      case TVI_BY_ROWS:
        run->at[k] = x->base + offset_of(f, x, begin);
        break;
      case TVI_PERIODIC:
        run->at[k] = run->scratch + x->slot + begin % f->shape[f->rank - 1] * x->item;
        break;
      case TVI_PACKED:
        run->at[k] = run->scratch + x->slot;
        pack(f, x, begin, n, run->at[k]);
    }
  }
}

/* One block. `result`: where the last step's elements go that the program does not store. */
static void run_block(tvi_fused_run *run, int64_t begin, int64_t n, char *result) {
  const tvi_fused *const f = run->fused;
  fetch_inputs(run, begin, n);
  for (int k = 0; k < f->n_steps; k++) {
    const tvi_program_step *const s = &f->steps[k];
    char **const at = &run->at[f->n_inputs + k];
    char *const stored = s->out ? s->out + begin * s->item : NULL;
    char *const out = stored ? stored : result;
    if (s->slot < 0) *at = out;
    char *p[1 + TV_MAX_INPUTS] = {*at};
    for (int j = 0; j < s->n_inputs; j++) p[1 + j] = run->at[s->in[j]];
    s->loop(n, p, s->step);
    if (stored && s->slot >= 0) f->stream(stored, run->scratch + s->slot, n * s->item);
  }
}

static void run_range(tvi_fused_run *run, int64_t begin, int64_t end, char *result) {
  const tvi_fused *const f = run->fused;
  const int64_t item = f->steps[f->n_steps - 1].item;
  while (begin < end) {
    int64_t n = end - begin < f->block ? end - begin : f->block;
    if (f->row && n > f->row - begin % f->row) n = f->row - begin % f->row;
    run_block(run, begin, n, result);
    begin += n;
    if (result) result += n * item;
  }
}

const void *tvi_fused_fetch(tvi_fused_run *run, int64_t begin, int64_t n, void *buffer) {
  const tvi_program_step *const last = &run->fused->steps[run->fused->n_steps - 1];
  run_range(run, begin, begin + n, buffer);
  return last->out ? last->out + begin * last->item : buffer;
}

static void task(void *context, int64_t i) {
  const tvi_fused *const f = context;
  tvi_fused_run run;
  tvi_fused_begin(&run, f);
  const int64_t begin = i * f->chunk, end = begin + f->chunk;
  run_range(&run, begin, end < f->size ? end : f->size, NULL);
  if (f->stream) tvi_stream_end();
}

tv_status tvi_cpu_program(void *self, const tv_program *job, void *stream) {
  (void)self, (void)stream;
  tvi_fused f;
  const tv_status status = tvi_fused_make(&f, job, true);
  if (status || f.size == 0) return status;
  const int64_t chunks = (f.size + f.chunk - 1) / f.chunk;
  if (tvi_worth_threads((double)f.size * f.cost))
    tvi_parallel(chunks, task, &f);
  else
    for (int64_t i = 0; i < chunks; i++) task(&f, i);
  return TV_OK;
}
