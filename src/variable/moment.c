/* SPDX-License-Identifier: MIT
 * One moment of several Variables: values that one write makes of them are seen together, and a
 * read of several sees all of such a write or nothing.
 *
 * The order of locks, which everybody keeps: first `lock`s, then `swap`s, each kind by rising
 * address. A write of several holds all their locks, and commits under all their swaps; a reader
 * takes of each Variable the one that keeps writers of it out. */
#include "custom.h"
#include "memory.h"
#include "scope.h"
#include "status.h"
#include "tape.h"
#include "thread.h"
#include "variable.h"

void tvi_swaps_take(int n, tv_variable *const *sorted) {
  for (int k = 0; k < n; k++)
    if (sorted[k]->has_concurrent_readers) pthread_mutex_lock(&sorted[k]->swap);
}

void tvi_swaps_give(int n, tv_variable *const *sorted) {
  for (int k = 0; k < n; k++)
    if (sorted[k]->has_concurrent_readers) pthread_mutex_unlock(&sorted[k]->swap);
}

/* Reads --------------------------------------------------------------------------------------- */

static const char who[] = "read_all";

/* The same ones by rising address, each once; how many. Insertion: models are read in one order,
 * and their Variables mostly lie in the order in which they were made. */
static int sort_by_address(int n, tv_variable *const *variables, tv_variable **sorted) {
  int n_sorted = 0;
  for (int k = 0; k < n; k++) {
    int at = n_sorted;
    while (at && (uintptr_t)sorted[at - 1] > (uintptr_t)variables[k]) at--;
    if (at && sorted[at - 1] == variables[k]) continue;
    for (int j = n_sorted++; j > at; j--) sorted[j] = sorted[j - 1];
    sorted[at] = variables[k];
  }
  return n_sorted;
}

static void give_locks(int n, tv_variable *const *sorted) {
  for (int k = 0; k < n; k++)
    if (!sorted[k]->has_concurrent_readers) pthread_mutex_unlock(&sorted[k]->lock);
}

/* Keep out whoever writes one of them. All, or none. */
static tv_status take(int n, tv_variable *const *sorted) {
  for (int k = 0; k < n; k++) {
    if (sorted[k]->has_concurrent_readers) continue;
    const tv_status status = tvi_variable_lock(who, sorted[k]);
    if (!status) continue;
    give_locks(k, sorted);
    return status;
  }
  tvi_swaps_take(n, sorted);
  return TV_OK;
}

static void give(int n, tv_variable *const *sorted) {
  tvi_swaps_give(n, sorted);
  give_locks(n, sorted);
}

/* With all of them taken: retained. False after a failure, for which values may be NULL. */
static bool look(int n, tv_variable *const *variables, uint64_t *versions, tv_tensor **values) {
  for (int k = 0; k < n; k++) {
    tv_variable *const v = variables[k];
    if (v->mapping == TVI_MAPPED_EXCLUSIVELY)
      return tvi_fail(TV_EBUSY, "%s: Variable '%s' is mapped exclusively", who, v->name);
    versions[k] = atomic_load_explicit(&v->version, memory_order_relaxed);
    values[k] = tvi_tensor_alias(v->value);
    if (!values[k]) return false;
  }
  return true;
}

/* `sorted` and `versions` have room for n. */
static tv_status read_all(int n, tv_variable *const *variables, tv_variable **sorted,
                          uint64_t *versions, tv_tensor **values) {
  const int n_sorted = sort_by_address(n, variables, sorted);
  const tv_status status = take(n_sorted, sorted);
  if (status) return status;
  bool is_done = look(n, variables, versions, values);
  give(n_sorted, sorted);
  if (!is_done) {
    for (int k = 0; k < n; k++) tv_release(values[k]);
    return tvi_failure();
  }
  for (int k = 0; k < n; k++) {
    tv_tensor *const snapshot = tvi_scope_own(values[k]);
    values[k] = is_done ? tvi_variable_was_read(variables[k], versions[k], snapshot) : NULL;
    is_done = values[k] != NULL;
  }
  return is_done ? TV_OK : tvi_failure();
}

/* Inside a forward that is run again: what it saw. False where none is. */
static bool read_again(int n, tv_variable *const *variables, tv_tensor **values,
                       tv_status *status) {
  *status = TV_OK;
  for (int k = 0; k < n; k++) {
    if (!tvi_reads_again(variables[k], &values[k])) return false;
    if (!values[k]) {
      *status = tvi_failure();
      break;
    }
  }
  return n > 0;
}

tv_status tv_read_all(int n, tv_variable *const *variables, tv_tensor **values) {
  enum { FEW = 16 };
  tv_variable *few[FEW];
  uint64_t few_versions[FEW];
  if (n < 0) return tvi_fail_status(TV_EVALUE, "%s: n is %d", who, n);
  if (n && (!variables || !values)) return tvi_null_status(who, variables ? "values" : "variables");
  for (int k = 0; k < n; k++) values[k] = NULL;
  for (int k = 0; k < n; k++)
    if (!variables[k]) return tvi_null_status(who, "a Variable");
  if (!tvi_scope_is_open(who)) return TV_ESCOPE;
  tv_status status;
  if (!tvi_self.reads || !read_again(n, variables, values, &status)) {
    tv_variable **const sorted = n > FEW ? tvi_calloc(n, sizeof *sorted) : few;
    uint64_t *const versions = n > FEW ? tvi_calloc(n, sizeof *versions) : few_versions;
    status = sorted && versions
                 ? read_all(n, variables, sorted, versions, values)
                 : tvi_fail_status(TV_ENOMEM, "%s: no memory for %d Variables", who, n);
    if (n > FEW) {
      tvi_free(sorted);
      tvi_free(versions);
    }
  }
  for (int k = 0; k < n && status; k++) values[k] = NULL;
  return status;
}
