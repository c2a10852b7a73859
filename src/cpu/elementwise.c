/* SPDX-License-Identifier: MIT
 * The elementwise slot: finds the loop of op and dtype, and runs it over the operands.
 *
 * One element, and operands that are all contiguous or one value, need no plan: small tensors must
 * cost nanoseconds. All else is planned (plan.c). */
#include "level.h"
#include "plan.h"

enum { TINY = 1024 }; /* elements that no op is worth a thread for */

static tv_dtype dtype_of(const tv_elementwise *job, int k) {
  if (k == 0) return tvi_op_result(job->op, job->dtype);
  return k == 1 && tvi_op_info[job->op].kind == TVI_SELECT ? TV_BOOL : job->dtype;
}

double tvi_op_cost(int op, tv_dtype dtype) {
  const double light = .015 * (double)tvi_item(dtype) + (dtype == TV_F16 ? .2 : 0);
  if (op == TV_STEP_CONVERT) return 2 * light;
  const tvi_op_row *const row = &tvi_op_info[op];
  if (op == TVI_OP_pow || op == TVI_OP_floor_divide || op == TVI_OP_remainder) return 4;
  if (row->missing != TVI_MISSING_SMALLEST || op == TVI_OP_sqrt) return light;
  return dtype >= TV_C64 ? 20 : dtype == TV_F64 ? .8 : .4; /* an elementary function */
}

/* Whether the operand's elements follow each other in C order, or are all the same one. */
static bool is_flat(const tv_operand *operand, int rank, const int64_t *shape, int64_t item,
                    int64_t *step) {
  *step = 0;
  if (operand->is_immediate) return true;
  int64_t want = item;
  bool is_dense = true, is_one = true;
  for (int axis = rank - 1; axis >= 0; axis--) {
    if (shape[axis] == 1) continue;
    is_dense = is_dense && operand->steps[axis] == want;
    is_one = is_one && operand->steps[axis] == 0;
    want *= shape[axis];
  }
  *step = is_dense ? item : 0;
  return is_dense || is_one;
}

tv_status tvi_cpu_elementwise(void *self, const tv_elementwise *job, void *stream) {
  (void)self, (void)stream;
  tvi_loop *const loop = job->op < 0 || job->op >= TVI_OP_COUNT || job->dtype < 0
                             ? NULL
                             : tvi_level_here()->loops[job->op][job->dtype];
  if (!loop)
    return tv_backend_fail(TV_EUNSUPPORTED, "%s: the cpu has no loop for it", job->op_name);
  const tv_operand *operands[TVI_PLAN_OPERANDS] = {&job->out, &job->in[0], &job->in[1],
                                                   &job->in[2]};
  char *p[TVI_PLAN_OPERANDS];
  int64_t steps[TVI_PLAN_OPERANDS], size = 1;
  for (int axis = 0; axis < job->rank; axis++) size *= job->shape[axis];
  if (size == 0) return TV_OK;

  bool all_flat = true;
  for (int k = 0; k <= job->n_inputs && all_flat; k++) {
    const tv_operand *operand = operands[k];
    steps[k] = 0;
    p[k] = operand->is_immediate ? (char *)(uintptr_t)operand->immediate.bytes : operand->data;
    if (size > 1)
      all_flat = is_flat(operand, job->rank, job->shape, tvi_item(dtype_of(job, k)), &steps[k]);
  }
  if (all_flat && size <= TINY) {
    loop(size, p, steps);
    return TV_OK;
  }
  const double cost = tvi_op_cost(job->op, job->dtype);
  if (all_flat && !tvi_worth_threads((double)size * cost)) {
    loop(size, p, steps);
    return TV_OK;
  }
  tv_dtype dtypes[TVI_PLAN_OPERANDS];
  for (int k = 0; k <= job->n_inputs; k++) dtypes[k] = dtype_of(job, k);
  tvi_plan plan;
  tvi_plan_make(&plan, job->rank, job->shape, 1 + job->n_inputs, operands, dtypes);
  tvi_plan_run(&plan, loop, cost);
  return TV_OK;
}
