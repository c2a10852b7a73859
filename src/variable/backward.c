/* SPDX-License-Identifier: MIT
 * Gradients of a tape: its records backwards, each rule made of public ops, so that an open outer
 * tape (or this one, if persistent) records them.
 *
 * Un-broadcasting and conversion to the dtype and device of an input happen here, once for all ops.
 * Only ops between a source and the target are visited. Every record works in a scope of its own:
 * what is alive at a time are the gradients still to be used, not all of them. */
#include <tensorvar/ops.h>
#include <tensorvar/reduce.h>
#include <tensorvar/shape.h>

#include "anomaly.h"
#include "custom.h"
#include "device.h"
#include "guard.h"
#include "memory.h"
#include "record.h"
#include "rows.h"
#include "scope.h"
#include "status.h"
#include "variable.h"

/* State of one request. Slots made meanwhile, by a persistent tape that records, have no entry. */
typedef struct {
  const tv_tape *tape;
  int32_t n_slots, n_records;
  const uint64_t *version; /* of Variables: the reads that count; NULL: all */
  bool *is_needed;         /* [n_slots] depends on a source */
  bool *is_source;         /* [n_slots] */
  tv_tensor **of;          /* [n_slots] gradient until now; retained, NULL: zero */
} sweep;

static bool sweep_new(sweep *s, const tv_tape *tape) {
  *s = (sweep){.tape = tape, .n_slots = tape->n_slots, .n_records = tape->n_records};
  s->is_needed = tvi_calloc(s->n_slots, sizeof *s->is_needed);
  s->is_source = tvi_calloc(s->n_slots, sizeof *s->is_source);
  s->of = tvi_calloc(s->n_slots, sizeof *s->of);
  if (s->is_needed && s->is_source && s->of) return true;
  return tvi_fail(TV_ENOMEM, "tape_gradient: no memory for %d values", (int)s->n_slots);
}

static void sweep_end(sweep *s) {
  for (int32_t k = 0; s->of && k < s->n_slots; k++) tv_release(s->of[k]);
  tvi_free(s->of);
  tvi_free(s->is_source);
  tvi_free(s->is_needed);
}

static void add_source(sweep *s, int32_t slot) {
  if (slot >= 0 && s->tape->slots[slot].is_watched) s->is_needed[slot] = s->is_source[slot] = true;
}

/* Whether a read is one of those whose gradient is wanted. */
static bool counts(const sweep *s, const tvi_leaf *leaf, const tv_variable *variable) {
  return leaf->variable == variable && (!s->version || leaf->version == *s->version);
}

static void add_variable(sweep *s, const tv_variable *variable) {
  for (int32_t k = 0; k < s->tape->n_leaves; k++)
    if (counts(s, &s->tape->leaves[k], variable)) add_source(s, s->tape->leaves[k].slot);
}

/* Records stand in the order of the ops: one pass finds all that depends on a source. */
static void find_needed(sweep *s) {
  for (int32_t r = 0; r < s->n_records; r++) {
    const tvi_record_entry *const record = &s->tape->records[r];
    for (int k = 0; k < record->n_in; k++)
      if (record->in[k] >= 0 && s->is_needed[record->in[k]] && tvi_rule_gradient(record->rule, k))
        s->is_needed[record->out] = true;
  }
}

/* Sum d over the axes along which its input was broadcast, and convert it. */
static tv_tensor *fitted(tv_tensor *d, const tvi_spec *spec) {
  if (!d) return NULL;
  if (!tvi_same_shape(d, spec->rank, spec->shape)) {
    int64_t axes[TV_MAX_RANK];
    int n = 0;
    const int added = d->rank - spec->rank;
    for (int k = 0; k < d->rank; k++)
      if (k < added || (spec->shape[k - added] == 1 && d->shape[k] != 1)) axes[n++] = k;
    d = tv_reshape(tv_sum(d, n, axes), spec->rank, spec->shape);
    if (!d) return NULL;
  }
  if (tvi_is_complex(d->dtype) && !tvi_is_complex(spec->dtype)) d = tv_real(d);
  if (d && d->dtype != spec->dtype) d = tv_astype(d, spec->dtype);
  const bool is_there = spec->device == TV_DEVICE_NONE || (d && spec->device == d->device);
  return is_there ? d : tv_to(d, spec->device);
}

/* Borrows that are kept were not marked as mutated meanwhile. */
static bool is_unmarked(const tvi_record_entry *record) {
  for (int k = 0; k <= record->n_in; k++) {
    const tv_tensor *const x = record->saved[k];
    if (x && !tvi_is_deferred(x) && tvi_guard_of(x->storage) &&
        tvi_guard_epoch(x->storage) != record->epochs[k])
      return tvi_guard_marked(record->rule->name, x->storage);
  }
  return true;
}

/* Under TV_MUTATION_ERROR: what this gradient reads is still the Variable's value. */
static bool is_unwritten(const tv_tape *tape, const tvi_record_entry *record, int k) {
  if (record->epochs && !is_unmarked(record)) return false;
  if (tape->mutation != TV_MUTATION_ERROR) return true;
  const uint8_t uses = tvi_rule_uses(record->rule, k);
  for (int j = 0; j <= record->n_in; j++) {
    const bool is_out = j == record->n_in;
    const int32_t slot = is_out ? record->out : record->in[j];
    if (slot < 0 || !(is_out ? uses & TVI_USES_OUT : tvi_rule_reads(record->rule, uses, j)))
      continue;
    const int32_t at = tape->slots[slot].leaf;
    if (at < 0) continue;
    const tvi_leaf *const leaf = &tape->leaves[at];
    if (tv_variable_version(leaf->variable) != leaf->version)
      return tvi_history_mutated("tape_gradient", record->rule->name, leaf->variable,
                                 leaf->version);
  }
  return true;
}

/* Add d, which may be NULL after a failure, to what a slot has until now. */
static bool add_share(sweep *s, int32_t slot, tv_tensor *d, const tvi_spec *spec) {
  d = fitted(d, spec);
  if (d && s->of[slot]) d = tvi_gradient_add(s->of[slot], d);
  if (!d) return false;
  tv_release(s->of[slot]);
  s->of[slot] = tv_retain(d);
  return true;
}

static bool is_wanted(const sweep *s, const tvi_record_entry *record, int k) {
  return record->in[k] >= 0 && s->is_needed[record->in[k]] && tvi_rule_gradient(record->rule, k);
}

/* The share of input k of a record. */
static bool propagate(sweep *s, const tvi_record_entry *record, int k, tv_tensor *g) {
  /* By value: a persistent tape that records this may move its slots. */
  const tvi_spec spec = s->tape->slots[record->in[k]].spec;
  const tvi_saved saved = {.in = record->saved,
                           .out = record->saved[record->n_in],
                           .k = k,
                           .spec = &spec,
                           .numbers = record->numbers};
  if (!is_unwritten(s->tape, record, k)) return false;
  tv_tensor *const d = tvi_rule_gradient(record->rule, k)(&saved, g);
  if (d && s->tape->finds_anomalies && !tvi_is_gradient_sound(record->rule->name, k, d, g))
    return false;
  return add_share(s, record->in[k], d, &spec);
}

/* The shares of all inputs of an op of the caller's. */
static bool propagate_all(sweep *s, const tvi_record_entry *record, bool *wanted,
                          tv_tensor **gradients, tv_tensor *g) {
  const tv_tape *const tape = s->tape;
  const tvi_custom *const custom = record->rule->custom;
  tv_tape_options options = TV_TAPE_OPTIONS;
  options.anomalies = tape->finds_anomalies;
  for (int k = 0; k < record->n_in; k++) {
    wanted[k] = is_wanted(s, record, k);
    if (wanted[k] && !is_unwritten(tape, record, k)) return false;
  }
  if (tvi_custom_gradients(custom, record->n_in, record->saved, wanted, g, &options, gradients))
    return false;
  for (int k = 0; k < record->n_in; k++) {
    if (!wanted[k] || !gradients[k]) continue;
    const tvi_spec spec = tape->slots[record->in[k]].spec;
    if (!tvi_custom_fits(custom, k, gradients[k], &spec)) return false;
    if (tape->finds_anomalies && !tvi_is_gradient_sound(record->rule->name, k, gradients[k], g))
      return false;
    if (!add_share(s, record->in[k], gradients[k], &spec)) return false;
  }
  return true;
}

static bool propagate_custom(sweep *s, const tvi_record_entry *record, tv_tensor *g) {
  tv_tensor **const gradients = tvi_calloc(record->n_in, sizeof *gradients);
  bool *const wanted = tvi_calloc(record->n_in, sizeof *wanted);
  const bool is_done = gradients && wanted
                           ? propagate_all(s, record, wanted, gradients, g)
                           : tvi_fail(TV_ENOMEM, "tape_gradient: no memory for %d gradients",
                                      (int)record->n_in) != NULL;
  tvi_free(wanted);
  tvi_free(gradients);
  return is_done;
}

static bool step_back(sweep *s, int32_t r) {
  const tvi_record_entry record = s->tape->records[r]; /* by value, as above */
  tv_tensor *const g = s->of[record.out];
  if (!g || !s->is_needed[record.out]) return true;
  bool is_done = true;
  tv_scope scope;
  if (tv_scope_begin(&scope)) return false;
  if (record.rule->custom)
    is_done = propagate_custom(s, &record, g);
  else
    for (int k = 0; k < record.n_in && is_done; k++)
      if (is_wanted(s, &record, k)) is_done = propagate(s, &record, k, g);
  tv_scope_end(&scope, NULL);
  if (!s->is_source[record.out]) {
    tv_release(s->of[record.out]);
    s->of[record.out] = NULL;
  }
  return is_done;
}

static bool run(sweep *s, tv_tensor *target, tv_tensor *seed) {
  const int32_t slot = tvi_tape_slot(s->tape, target->id);
  find_needed(s);
  if (slot < 0 || slot >= s->n_slots || !s->is_needed[slot]) return true;
  if (!seed) seed = tv_ones_like(target);
  if (!seed) return false;
  s->of[slot] = tv_retain(seed);
  for (int32_t r = s->n_records - 1; r >= 0; r--)
    if (!step_back(s, r)) return false;
  return true;
}

/* The sum over all reads of a Variable, in the order of reading; zeros if none reaches the target.
 */
static tv_tensor *variable_gradient(const sweep *s, tv_variable *variable) {
  tv_tensor *sum = NULL;
  const tvi_spec *seen = NULL;
  for (int32_t k = 0; k < s->tape->n_leaves; k++) {
    const tvi_leaf *const leaf = &s->tape->leaves[k];
    if (!counts(s, leaf, variable) || leaf->slot >= s->n_slots) continue;
    seen = &s->tape->slots[leaf->slot].spec;
    tv_tensor *const g = s->of[leaf->slot];
    if (g && !(sum = sum ? tvi_gradient_add(sum, g) : tvi_scope_own(tv_retain(g)))) return NULL;
  }
  if (sum) return sum;
  int64_t shape[TV_MAX_RANK];
  if (!seen && tv_variable_shape(variable, shape)) return NULL;
  tv_tensor *const zeros =
      tv_zeros(tv_variable_dtype(variable), tv_variable_rank(variable), seen ? seen->shape : shape);
  return zeros ? tv_to(zeros, tv_variable_device(variable)) : NULL;
}

static tv_tensor *tensor_gradient(const sweep *s, tv_tensor *source) {
  const int32_t slot = tvi_tape_slot(s->tape, source->id);
  if (slot >= 0 && slot < s->n_slots && s->of[slot]) return tvi_scope_own(tv_retain(s->of[slot]));
  return tv_zeros_like(source);
}

/* The request, of either kind of source. */
static tv_status gradient(tv_tape *tape, tv_tensor *target, tv_tensor *seed, int n,
                          tv_variable *const *variables, const uint64_t *version,
                          tv_tensor *const *sources, tv_tensor **gradients) {
  tvi_text left, right;
  if (n < 0) return tvi_fail_status(TV_EVALUE, "tape_gradient: n is %d", n);
  if (n && !gradients) return tvi_null_status("tape_gradient", "gradients");
  for (int k = 0; k < n; k++) gradients[k] = NULL;
  if (!tvi_tape_is_open("tape_gradient", tape)) return tvi_failure();
  if (!target) return tvi_null_status("tape_gradient", "target");
  for (int k = 0; k < n; k++)
    if (variables ? !variables[k] : !sources || !sources[k])
      return tvi_null_status("tape_gradient", "a source");
  if (tape->is_stopped)
    return tvi_fail_status(
        TV_ETAPE,
        "tape_gradient: this tape has given its gradient: begin it with persistent "
        "to ask again");
  if (!tvi_is_inexact(target->dtype))
    return tvi_fail_status(TV_EDTYPE, "tape_gradient: target is %s, which carries no gradient",
                           tv_dtype_name(target->dtype));
  if (seed && (!tvi_same_shape(seed, target->rank, target->shape) || seed->dtype != target->dtype))
    return tvi_fail_status(
        TV_ESHAPE, "tape_gradient: target is %s %s, its gradient %s %s",
        tv_dtype_name(target->dtype), tvi_shape_text(&left, target->rank, target->shape),
        tv_dtype_name(seed->dtype), tvi_shape_text(&right, seed->rank, seed->shape));
  sweep s;
  bool is_done = sweep_new(&s, tape);
  s.version = version;
  tape->is_stopped = !tape->is_persistent;
  for (int k = 0; k < n && is_done; k++)
    if (variables)
      add_variable(&s, variables[k]);
    else
      add_source(&s, tvi_tape_slot(tape, sources[k]->id));
  tv_scope scope;
  is_done = is_done && !tv_scope_begin(&scope);
  if (is_done) {
    is_done = run(&s, target, seed);
    for (int k = 0; k < n && is_done; k++) {
      gradients[k] =
          variables ? variable_gradient(&s, variables[k]) : tensor_gradient(&s, sources[k]);
      is_done = gradients[k] && !tv_scope_keep(gradients[k]);
    }
    tv_scope_end(&scope, NULL);
  }
  sweep_end(&s);
  if (!is_done) { /* what was kept already is the scope's, and goes with it */
    for (int k = 0; k < n; k++) gradients[k] = NULL;
    tape->is_stopped = false;
    return tvi_failure();
  }
  /* Its one gradient is given: let go of the values, so that Variables can be written in place. */
  if (!tape->is_persistent) tvi_tape_forget(tape);
  return TV_OK;
}

tv_status tv_tape_gradient(tv_tape *tape, tv_tensor *target, int n, tv_variable *const *variables,
                           tv_tensor **gradients) {
  if (n > 0 && !variables) return tvi_null_status("tape_gradient", "variables");
  static tv_variable *const none[1] = {NULL};
  return gradient(tape, target, NULL, n, variables ? variables : none, NULL, NULL, gradients);
}

tv_status tv_tape_gradient_of(tv_tape *tape, tv_tensor *target, int n, tv_tensor *const *sources,
                              tv_tensor **gradients) {
  return gradient(tape, target, NULL, n, NULL, NULL, sources, gradients);
}

tv_status tv_tape_gradient_with(tv_tape *tape, tv_tensor *target, tv_tensor *target_gradient, int n,
                                tv_variable *const *variables, tv_tensor **gradients) {
  if (n > 0 && !variables) return tvi_null_status("tape_gradient", "variables");
  for (int k = 0; k < n && gradients; k++) gradients[k] = NULL;
  if (!target_gradient) return tvi_null_status("tape_gradient", "target_gradient");
  return gradient(tape, target, target_gradient, n, variables, NULL, NULL, gradients);
}

tv_status tv_tape_gradient_at(tv_tape *tape, tv_tensor *target, tv_variable *variable,
                              uint64_t version, tv_tensor **g) {
  return gradient(tape, target, NULL, 1, &variable, &version, NULL, g);
}

bool tv_tape_depends(tv_tape *tape, tv_tensor *target, tv_variable *variable) {
  sweep s = {0};
  if (!tvi_tape_is_open("tape_depends", tape)) return false;
  if (!target || !variable) return tvi_null("tape_depends", target ? "variable" : "target");
  bool depends = false;
  if (sweep_new(&s, tape)) {
    const int32_t slot = tvi_tape_slot(tape, target->id);
    add_variable(&s, variable);
    find_needed(&s);
    depends = slot >= 0 && s.is_needed[slot];
  }
  sweep_end(&s);
  return depends;
}

tv_status tvi_tape_gradient_by(tv_tape *tape, tv_tensor *target, tv_tensor *seed, int n,
                               const bool *wanted, tv_tensor *const *sources,
                               tv_tensor **gradients) {
  tv_tensor **const some = tvi_calloc(2 * (int64_t)n, sizeof *some);
  if (!some) return tvi_fail_status(TV_ENOMEM, "tape_gradient: no memory for %d sources", n);
  int n_some = 0;
  for (int k = 0; k < n; k++)
    if (wanted[k]) some[n_some++] = sources[k];
  const tv_status status = gradient(tape, target, seed, n_some, NULL, NULL, some, some + n);
  for (int k = 0, at = 0; k < n && !status; k++)
    if (wanted[k]) gradients[k] = some[n + at++];
  tvi_free(some);
  return status;
}
