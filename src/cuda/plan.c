/* SPDX-License-Identifier: MIT
 * Axes sorted and merged. Elements do not depend on each other, so any order gives the same bits.
 */
#include "plan.h"

#include <string.h>

static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

/* Whether axis i belongs outside of axis j: by the steps of the result, then of the inputs. */
static bool is_outside(const tvi_plan *plan, int i, int j) {
  for (int k = 0; k < plan->n_operands; k++) {
    const int64_t a = magnitude(plan->steps[k][i]), b = magnitude(plan->steps[k][j]);
    if (a != b) return a > b;
  }
  return i < j;
}

static void swap(int64_t *list, int i, int j) {
  const int64_t x = list[i];
  list[i] = list[j];
  list[j] = x;
}

static bool merges(const tvi_plan *plan, int outer, int inner) {
  for (int k = 0; k < plan->n_operands; k++)
    if (plan->steps[k][outer] != plan->steps[k][inner] * plan->shape[inner]) return false;
  return true;
}

void tvi_plan_merge(tvi_plan *plan) {
  int last = 0;
  for (int axis = 1; axis < plan->rank; axis++) {
    if (merges(plan, last, axis))
      plan->shape[last] *= plan->shape[axis];
    else
      plan->shape[++last] = plan->shape[axis];
    for (int k = 0; k < plan->n_operands; k++) plan->steps[k][last] = plan->steps[k][axis];
  }
  if (plan->rank > 0) plan->rank = last + 1;
}

void tvi_plan_make(tvi_plan *plan, int rank, const int64_t *shape, int n_operands,
                   const tv_operand *const *operands, const int64_t *items) {
  int n = 0;
  plan->n_operands = n_operands;
  plan->size = 1;
  for (int k = 0; k < n_operands; k++) {
    plan->items[k] = items[k];
    plan->base[k] = operands[k]->is_immediate ? NULL : operands[k]->data;
    plan->immediate[k] = operands[k]->immediate.bytes;
  }
  for (int axis = 0; axis < rank; axis++) {
    plan->size *= shape[axis];
    if (shape[axis] == 1) continue;
    plan->shape[n] = shape[axis];
    for (int k = 0; k < n_operands; k++)
      plan->steps[k][n] = operands[k]->is_immediate ? 0 : operands[k]->steps[axis];
    n++;
  }
  plan->rank = n;
  if (plan->size == 0) return;
  for (int axis = 0; axis < n; axis++) {
    if (plan->steps[0][axis] >= 0) continue;
    for (int k = 0; k < n_operands; k++) {
      if (plan->base[k]) plan->base[k] += plan->steps[k][axis] * (plan->shape[axis] - 1);
      plan->steps[k][axis] = -plan->steps[k][axis];
    }
  }
  for (int i = 1; i < n; i++) /* mostly in order already */
    for (int j = i; j > 0 && is_outside(plan, j, j - 1); j--) {
      swap(plan->shape, j, j - 1);
      for (int k = 0; k < n_operands; k++) swap(plan->steps[k], j, j - 1);
    }
  tvi_plan_merge(plan);
}

void tvi_plan_part(const tvi_plan *plan, int64_t begin, int64_t count, tvi_plan *part) {
  *part = *plan;
  part->shape[0] = count;
  part->size = plan->size / plan->shape[0] * count;
  for (int k = 0; k < plan->n_operands; k++)
    if (part->base[k]) part->base[k] += begin * plan->steps[k][0];
  if (count > 1 || plan->rank == 1) return;
  part->rank--;
  memmove(part->shape, part->shape + 1, (size_t)part->rank * sizeof *part->shape);
  for (int k = 0; k < plan->n_operands; k++)
    memmove(part->steps[k], part->steps[k] + 1, (size_t)part->rank * sizeof *part->steps[k]);
}
