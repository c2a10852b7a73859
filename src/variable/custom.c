/* SPDX-License-Identifier: MIT
 * Ops of the caller's own. A call makes a rule that lives as long as a tape may ask for the
 * gradient: by the caller's backward, or by the forward run again under a tape of its own. */
#include "custom.h"

#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "record.h"
#include "scope.h"
#include "status.h"
#include "tally.h"

/* Rules -------------------------------------------------------------------------------------- */

/* Says to the tape that the inputs carry a gradient; tvi_custom_gradients computes it. */
static tv_tensor *elsewhere(const tvi_saved *s, tv_tensor *g) { return (void)s, g; }

void tvi_custom_release(tvi_custom *c) {
  if (atomic_fetch_sub_explicit(&c->count, 1, memory_order_acq_rel) != 1) return;
  for (int k = 0; k < c->reads.n; k++) {
    tv_release(c->reads.seen[k].snapshot);
    tv_variable_release(c->reads.seen[k].variable);
  }
  tvi_free(c->reads.seen);
  if (c->given.release) c->given.release(c->given.user);
  tvi_free(c);
  tvi_count(TVI_LIVE, -1);
}

static tvi_custom *custom_new(const char *who, const tv_custom *given, int n_in) {
  tvi_custom *const c = tvi_calloc(1, sizeof *c);
  if (!c) return tvi_fail(TV_ENOMEM, "%s: no memory", who);
  atomic_init(&c->count, 1);
  memcpy(&c->given, given, given->size);
  snprintf(c->name, sizeof c->name, "%s", given->name ? given->name : "custom");
  c->n_in = n_in;
  c->rule.name = c->name;
  c->rule.custom = c;
  const uint8_t uses = (uint8_t)((given->keeps_inputs ? TVI_USES_IN0 : TVI_USES_NONE) |
                                 (given->keeps_output ? TVI_USES_OUT : TVI_USES_NONE));
  for (int k = 0; k < 3; k++) {
    c->rule.in[k].uses = given->backward ? uses : TVI_USES_IN0;
    c->rule.in[k].of = elsewhere;
  }
  tvi_count(TVI_LIVE, 1);
  return c;
}

/* Reads of what is run again ----------------------------------------------------------------- */

bool tvi_reads_again(tv_variable *variable, tv_tensor **snapshot) {
  tvi_reads *reads = tvi_self.reads;
  while (reads && !reads->is_again) reads = reads->outer;
  if (!reads) return false;
  *snapshot = NULL;
  const tvi_seen *const seen = reads->next < reads->n ? &reads->seen[reads->next] : NULL;
  if (!seen || seen->variable != variable) {
    tvi_fail(TV_EVALUE, "recompute: read %d is of Variable '%s', the first time %s%s%s",
             reads->next, tv_variable_name(variable), seen ? "of '" : "there was none",
             seen ? tv_variable_name(seen->variable) : "", seen ? "'" : "");
    return true;
  }
  reads->next++;
  /* Tapes know this head: it was an input of the op. */
  *snapshot = tvi_scope_own(tv_retain(seen->snapshot));
  if (*snapshot && tvi_reads_note(variable, seen->version, *snapshot)) *snapshot = NULL;
  return true;
}

tv_status tvi_reads_note(tv_variable *variable, uint64_t version, tv_tensor *snapshot) {
  for (tvi_reads *reads = tvi_self.reads; reads; reads = reads->outer) {
    if (reads->is_again) break; /* those outside have noted it when they ran */
    if (reads->n == reads->room) {
      const int room = reads->room ? 2 * reads->room : 8;
      tvi_seen *const larger = tvi_realloc(reads->seen, room * (int64_t)sizeof *larger);
      if (!larger) return tvi_fail_status(TV_ENOMEM, "recompute: no memory for %d reads", room);
      reads->seen = larger;
      reads->room = room;
    }
    reads->seen[reads->n++] =
        (tvi_seen){tv_variable_retain(variable), version, tv_retain(snapshot)};
  }
  return TV_OK;
}

/* Calls -------------------------------------------------------------------------------------- */

/* forward, its temporaries gone; the caller has the one count. */
static tv_tensor *run_forward(const char *who, const tvi_custom *c, tv_tensor *const *in) {
  tv_scope scope;
  if (tvi_scope_open(&scope)) return NULL;
  tv_tensor *const y = tv_retain(c->given.forward(c->given.user, c->n_in, in));
  tvi_scope_close(&scope);
  if (!y) tvi_fail(TV_EVALUE, "%s: %s: forward gave NULL", who, c->name);
  return y;
}

static bool fits(const char *who, const tv_custom *given, bool has_backward, int n,
                 tv_tensor *const *in) {
  if (!given) return tvi_null(who, "custom");
  if (!tvi_options_fit(who, given->size, sizeof *given)) return false;
  if (!given->forward) return tvi_null(who, "forward");
  if (has_backward && !given->backward) return tvi_null(who, "backward");
  if (!has_backward && given->backward)
    return tvi_fail(TV_EVALUE, "%s: a backward is given: that is tv_custom_op's", who);
  const int least = has_backward ? 1 : 0; /* what is recomputed may read Variables alone */
  if (n < least) return tvi_fail(TV_EVALUE, "%s: n is %d, expected %d or more", who, n, least);
  if (n && !in) return tvi_null(who, "in");
  for (int k = 0; k < n; k++)
    if (!in[k]) return tvi_null(who, "an input");
  return tvi_scope_is_open(who);
}

/* Release what the caller handed over; for what fails before there is a rule. */
static void *refused(const tv_custom *given) {
  if (given && given->size == sizeof *given && given->release) given->release(given->user);
  return NULL;
}

/* y by another identity: tapes may know it already, as an input or from before. */
static tv_tensor *finished(tvi_custom *c, tv_tensor *y, int n_in, tv_tensor *const *in) {
  tv_tensor *const fresh = tvi_tensor_alias(y);
  if (n_in == 0) return tvi_scope_own(fresh);
  return tvi_finish(&c->rule, fresh, n_in, in, 0, NULL);
}

tv_tensor *tv_custom_op(const tv_custom *custom, int n, tv_tensor *const *in) {
  static const char who[] = "custom_op";
  if (!fits(who, custom, true, n, in)) return refused(custom);
  tvi_custom *const c = custom_new(who, custom, n);
  if (!c) return refused(custom);
  const int paused = tvi_self.paused;
  tvi_self.paused++;
  tv_tensor *y = run_forward(who, c, in);
  tvi_self.paused = paused;
  tv_tensor *const out = y ? finished(c, y, n, in) : NULL;
  tv_release(y);
  tvi_custom_release(c);
  return out;
}

/* The inputs and the snapshots as one list; the reads become leaves of the open tapes. */
static tv_tensor *recorded(tvi_custom *c, tv_tensor *y, tv_tensor *const *in) {
  const int n = c->n_in + c->reads.n;
  tv_tensor **const all = tvi_malloc(n * (int64_t)sizeof *all);
  if (!all) return tvi_fail(TV_ENOMEM, "recompute: no memory for %d inputs", n);
  if (c->n_in) memcpy(all, in, (size_t)c->n_in * sizeof *all);
  tv_status status = TV_OK;
  for (int k = 0; k < c->reads.n && !status; k++) {
    const tvi_seen *const seen = &c->reads.seen[k];
    all[c->n_in + k] = seen->snapshot;
    status = tvi_record_read(seen->variable, seen->version, seen->snapshot);
  }
  tv_tensor *const out = status ? NULL : finished(c, y, n, all);
  tvi_free(all);
  return out;
}

tv_tensor *tv_recompute(const tv_custom *custom, int n, tv_tensor *const *in) {
  static const char who[] = "recompute";
  if (!fits(who, custom, false, n, in)) return refused(custom);
  tvi_custom *const c = custom_new(who, custom, n);
  if (!c) return refused(custom);
  const int paused = tvi_self.paused;
  c->reads.outer = tvi_self.reads;
  tvi_self.reads = &c->reads;
  tvi_self.paused++;
  tv_tensor *const y = run_forward(who, c, in);
  tvi_self.paused = paused;
  tvi_self.reads = c->reads.outer;
  c->reads.outer = NULL;
  tv_tensor *const out = y ? recorded(c, y, in) : NULL;
  tv_release(y);
  tvi_custom_release(c);
  return out;
}

/* Gradients ---------------------------------------------------------------------------------- */

bool tvi_custom_fits(const tvi_custom *c, int k, const tv_tensor *d, const tvi_spec *spec) {
  tvi_text left, right;
  const bool is_dtype = d->dtype == spec->dtype;
  if (is_dtype && tvi_same_shape(d, spec->rank, spec->shape)) return true;
  return tvi_fail(is_dtype ? TV_ESHAPE : TV_EDTYPE,
                  "tape_gradient: %s: gradient of input %d is %s %s, expected %s %s", c->name, k,
                  tv_dtype_name(d->dtype), tvi_shape_text(&left, d->rank, d->shape),
                  tv_dtype_name(spec->dtype), tvi_shape_text(&right, spec->rank, spec->shape));
}

static tv_status by_backward(const tvi_custom *c, int n_in, tv_tensor *const *saved, tv_tensor *g,
                             tv_tensor **gradients) {
  const tv_status status = c->given.backward(c->given.user, n_in, saved, saved[n_in], g, gradients);
  if (status) tvi_fail(status, "tape_gradient: %s: backward failed", c->name);
  return status;
}

/* The forward again, under a tape that watches what is wanted. */
static tv_status under_tape(const tvi_custom *c, int n_in, tv_tensor *const *saved,
                            const bool *wanted, tv_tensor *g, const tv_tape_options *options,
                            tv_tensor **gradients) {
  tvi_text left, right;
  tv_tape *const tape = tv_tape_begin(options);
  if (!tape) return tvi_failure();
  for (int k = 0; k < n_in; k++)
    if (wanted[k] && tv_tape_watch(tape, saved[k])) return tvi_failure();
  tv_tensor *const y = c->given.forward(c->given.user, c->n_in, saved);
  if (!y) return tvi_null_status("recompute", "result of forward"), tvi_failure();
  if (y->dtype != g->dtype || !tvi_same_shape(y, g->rank, g->shape))
    return tvi_fail_status(TV_EVALUE, "recompute: %s gave %s %s, the first time %s %s", c->name,
                           tv_dtype_name(y->dtype), tvi_shape_text(&left, y->rank, y->shape),
                           tv_dtype_name(g->dtype), tvi_shape_text(&right, g->rank, g->shape));
  return tvi_tape_gradient_by(tape, y, g, n_in, wanted, saved, gradients);
}

/* Tapes that were paused do not see it; those that record do, for gradients of gradients. */
static tv_status by_forward(const tvi_custom *c, int n_in, tv_tensor *const *saved,
                            const bool *wanted, tv_tensor *g, const tv_tape_options *options,
                            tv_tensor **gradients) {
  tvi_reads again = {tvi_self.reads, true, c->reads.n, c->reads.n, 0, c->reads.seen};
  const int paused = tvi_self.paused;
  tv_tape *const outer = tvi_self.tape;
  if (paused) tvi_self.tape = NULL;
  tvi_self.paused = 0;
  tvi_self.reads = &again;
  const tv_status status = under_tape(c, n_in, saved, wanted, g, options, gradients);
  while (tvi_self.tape != (paused ? NULL : outer)) tv_tape_end(tvi_self.tape);
  tvi_self.reads = again.outer;
  tvi_self.paused = paused;
  tvi_self.tape = outer;
  return status;
}

tv_status tvi_custom_gradients(const tvi_custom *c, int n_in, tv_tensor *const *saved,
                               const bool *wanted, tv_tensor *g, const tv_tape_options *options,
                               tv_tensor **gradients) {
  tv_scope scope;
  tv_status status = tvi_scope_open(&scope);
  if (status) return status;
  for (int k = 0; k < n_in; k++) gradients[k] = NULL;
  status = c->given.backward ? by_backward(c, n_in, saved, g, gradients)
                             : by_forward(c, n_in, saved, wanted, g, options, gradients);
  for (int k = 0; k < n_in && !status; k++) status = tv_scope_keep(gradients[k]);
  const tv_status inside = tv_scope_end(&scope, NULL); /* an op failed, and backward went on */
  return status ? status : inside;
}
