/* SPDX-License-Identifier: MIT
 * Tapes: what was recorded. (How gradients are computed from it is in backward.c.)
 *
 * A tape is a list of records in the order of the ops, so it needs no graph: walking it backwards
 * visits every op after all that read its result. Values are slots; a map finds the slot of a
 * tensor by its id. Small arrays lie in an arena, so that a tape of a million ops is given back
 * without recursion. */
#include "tape.h"

#include <string.h>

#include "anomaly.h"
#include "custom.h"
#include "device.h"
#include "guard.h"
#include "memory.h"
#include "record.h"
#include "scope.h"
#include "status.h"
#include "tally.h"
#include "variable.h"

static tv_status no_memory(void) { return tvi_fail_status(TV_ENOMEM, "tape: no memory to record"); }

/* Storage of a tape --------------------------------------------------------------------------- */

typedef struct tvi_chunk {
  struct tvi_chunk *next;
  int64_t used;
  char bytes[];
} chunk;
enum { CHUNK = 1 << 16 };

/* bytes <= CHUNK: at most a shape, a list of inputs, or what an op records of its arguments. */
static void *arena(tv_tape *tape, int64_t bytes) {
  bytes = (bytes + 15) / 16 * 16;
  if (!tape->arena || tape->arena->used + bytes > CHUNK) {
    chunk *const fresh = tvi_malloc((int64_t)sizeof *fresh + (bytes > CHUNK ? bytes : CHUNK));
    if (!fresh) return NULL;
    fresh->next = tape->arena;
    fresh->used = 0;
    tape->arena = fresh;
  }
  void *const at = tape->arena->bytes + tape->arena->used;
  tape->arena->used += bytes;
  return at;
}

/* The array with room for one more; NULL, and the array as it was, if there is no memory. */
static void *grown(void *array, int32_t n, int32_t *room, int64_t item) {
  if (n < *room) return array;
  if (n > INT32_MAX / 4) return NULL;
  const int32_t wanted = *room ? 2 * *room : 64;
  void *const larger = tvi_realloc(array, wanted * item);
  if (larger) *room = wanted;
  return larger;
}

static uint32_t hashed(uint64_t id) { return (uint32_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32); }

int32_t tvi_tape_slot(const tv_tape *tape, uint64_t id) {
  if (tape->map_room == 0) return -1;
  const uint32_t mask = (uint32_t)tape->map_room - 1;
  for (uint32_t at = hashed(id) & mask; tape->map[at].id; at = (at + 1) & mask)
    if (tape->map[at].id == id) return tape->map[at].slot;
  return -1;
}

static void map_put(tv_tape *tape, uint64_t id, int32_t slot) {
  const uint32_t mask = (uint32_t)tape->map_room - 1;
  uint32_t at = hashed(id) & mask;
  while (tape->map[at].id) at = (at + 1) & mask;
  tape->map[at] = (tvi_map_entry){id, slot};
}

/* At most half full; ids are never 0. */
static bool map_has_room(tv_tape *tape) {
  if (tape->n_slots < tape->map_room / 2) return true;
  tvi_map_entry *const old = tape->map;
  const int32_t room = tape->map_room;
  tvi_map_entry *const larger = tvi_calloc(room ? 2 * (int64_t)room : 256, sizeof *larger);
  if (!larger) return false;
  tape->map = larger;
  tape->map_room = room ? 2 * room : 256;
  for (int32_t k = 0; k < room; k++)
    if (old[k].id) map_put(tape, old[k].id, old[k].slot);
  tvi_free(old);
  return true;
}

/* A slot for x, or -1 with no memory. leaf: the read that it shows, or -1. */
static int32_t slot_new(tv_tape *tape, tv_tensor *x, int32_t leaf, bool is_watched) {
  tvi_slot *const slots = grown(tape->slots, tape->n_slots, &tape->slots_room, sizeof *slots);
  if (!slots) return -1;
  tape->slots = slots;
  int64_t *const shape = arena(tape, x->rank * (int64_t)sizeof *shape);
  if (!shape || !map_has_room(tape)) return -1;
  memcpy(shape, x->shape, (size_t)x->rank * sizeof *shape);
  slots[tape->n_slots] = (tvi_slot){{x->dtype, tvi_tensor_on(x), x->rank, shape}, leaf, is_watched};
  map_put(tape, x->id, tape->n_slots);
  return tape->n_slots++;
}

/* Recording ---------------------------------------------------------------------------------- */

/* Rules have three inputs; those beyond are as the third. */
static int entry(int k) { return k < 3 ? k : 2; }

uint8_t tvi_rule_uses(const tvi_rule *rule, int k) { return rule->in[entry(k)].uses; }

tvi_gradient *tvi_rule_gradient(const tvi_rule *rule, int k) { return rule->in[entry(k)].of; }

/* When the owners of borrows that are kept last said that they changed. */
static bool note_epochs(tv_tape *tape, tvi_record_entry *r) {
  for (int k = 0; k <= r->n_in; k++) {
    if (!r->saved[k] || tvi_is_deferred(r->saved[k]) || !tvi_guard_of(r->saved[k]->storage))
      continue;
    if (!r->epochs) r->epochs = arena(tape, (r->n_in + 1) * (int64_t)sizeof *r->epochs);
    if (!r->epochs) return false;
    r->epochs[k] = tvi_guard_epoch(r->saved[k]->storage);
  }
  return true;
}

static tv_status record_on(tv_tape *tape, const tvi_rule *rule, tv_tensor *out, int n_in,
                           tv_tensor *const *in, int n_numbers, const int64_t *numbers) {
  bool is_watched = false;
  uint8_t uses = 0;
  for (int k = 0; k < n_in; k++) {
    const int32_t slot = tvi_tape_slot(tape, in[k]->id);
    if (slot < 0 || !tape->slots[slot].is_watched || !tvi_rule_gradient(rule, k)) continue;
    is_watched = true;
    uses |= tvi_rule_uses(rule, k);
  }
  const int32_t first = tvi_tape_slot(tape, in[0]->id);
  const int32_t leaf = rule->is_view && first >= 0 ? tape->slots[first].leaf : -1;
  if (!is_watched && leaf < 0) return TV_OK;
  if (!is_watched) return slot_new(tape, out, leaf, false) < 0 ? no_memory() : TV_OK;
  if (tape->finds_anomalies && !tvi_is_sound(rule->name, out, n_in, in)) return tvi_failure();

  tvi_record_entry *const records =
      grown(tape->records, tape->n_records, &tape->records_room, sizeof *records);
  if (!records) return no_memory();
  tape->records = records;
  tvi_record_entry r = {.rule = rule, .n_in = n_in};
  r.in = arena(tape, n_in * (int64_t)sizeof *r.in);
  r.saved = arena(tape, (n_in + 1) * (int64_t)sizeof *r.saved);
  r.numbers = arena(tape, n_numbers * (int64_t)sizeof *r.numbers);
  if (!r.in || !r.saved || !r.numbers) return no_memory();
  for (int k = 0; k < n_in; k++) r.in[k] = tvi_tape_slot(tape, in[k]->id);
  if (n_numbers) memcpy(r.numbers, numbers, (size_t)n_numbers * sizeof *numbers);
  r.out = slot_new(tape, out, leaf, true);
  if (r.out < 0) return no_memory();
  for (int k = 0; k < n_in; k++)
    r.saved[k] = tvi_rule_reads(rule, uses, k) ? tv_retain(in[k]) : NULL;
  r.saved[n_in] = uses & TVI_USES_OUT ? tv_retain(out) : NULL;
  if (!note_epochs(tape, &r)) return no_memory();
  if (rule->custom) atomic_fetch_add_explicit(&rule->custom->count, 1, memory_order_relaxed);
  tape->records[tape->n_records++] = r;
  return TV_OK;
}

tv_status tvi_record(const tvi_rule *rule, tv_tensor *out, int n_in, tv_tensor *const *in,
                     int n_numbers, const int64_t *numbers) {
  if (!tvi_is_inexact(out->dtype)) return TV_OK;
  for (tv_tape *tape = tvi_self.tape; tape; tape = tape->outer) {
    if (tape->is_stopped) continue;
    const tv_status status = record_on(tape, rule, out, n_in, in, n_numbers, numbers);
    if (status) return status;
  }
  return TV_OK;
}

tv_tensor *tvi_finish(const tvi_rule *rule, tv_tensor *y, int n_in, tv_tensor *const *in,
                      int n_numbers, const int64_t *numbers) {
  y = tvi_scope_own(y);
  if (tvi_self.n_used && tvi_guards_check(rule->name)) return NULL;
  if (y && tvi_is_recording() && tvi_record(rule, y, n_in, in, n_numbers, numbers)) return NULL;
  return y;
}

static tv_status read_on(tv_tape *tape, tv_variable *variable, uint64_t version,
                         tv_tensor *snapshot) {
  const bool is_watched = tv_variable_is_trainable(variable) && tvi_is_inexact(snapshot->dtype);
  /* An unwatched read matters only where writing it afterwards is an error. */
  if (!is_watched && tape->mutation == TV_MUTATION_SNAPSHOT) return TV_OK;
  tvi_leaf *const leaves = grown(tape->leaves, tape->n_leaves, &tape->leaves_room, sizeof *leaves);
  if (!leaves) return no_memory();
  tape->leaves = leaves;
  const int32_t slot = slot_new(tape, snapshot, tape->n_leaves, is_watched);
  if (slot < 0) return no_memory();
  leaves[tape->n_leaves++] = (tvi_leaf){tv_variable_retain(variable), version, slot};
  return TV_OK;
}

tv_status tvi_record_read(tv_variable *variable, uint64_t version, tv_tensor *snapshot) {
  for (tv_tape *tape = tvi_self.tape; tape; tape = tape->outer) {
    if (tape->is_stopped) continue;
    const tv_status status = read_on(tape, variable, version, snapshot);
    if (status) return status;
  }
  return TV_OK;
}

/* Begin and end ------------------------------------------------------------------------------- */

tv_tape *tv_tape_begin(const tv_tape_options *options) {
  tv_tape_options o = TV_TAPE_OPTIONS;
  if (options) {
    if (!tvi_options_fit("tape_begin", options->size, sizeof o)) return NULL;
    memcpy(&o, options, options->size);
  }
  if (!tvi_scope_is_open("tape_begin")) return NULL;
  if (o.mutation != TV_MUTATION_SNAPSHOT && o.mutation != TV_MUTATION_ERROR)
    return tvi_fail(TV_EVALUE, "tape_begin: %d is no mutation policy", (int)o.mutation);
  tv_tape *const tape = tvi_calloc(1, sizeof *tape);
  if (!tape) return tvi_fail(TV_ENOMEM, "tape_begin: no memory");
  tape->id = tvi_next_id();
  tape->is_persistent = o.persistent;
  tape->mutation = o.mutation;
  tape->finds_anomalies = o.anomalies;
  tape->outer = tvi_self.tape;
  tvi_self.tape = tape;
  tvi_count(TVI_LIVE, 1);
  return tape;
}

void tvi_tape_forget(tv_tape *tape) {
  for (int32_t k = 0; k < tape->n_records; k++) {
    const tvi_record_entry *const r = &tape->records[k];
    for (int j = 0; j <= r->n_in; j++) tv_release(r->saved[j]);
    if (r->rule->custom) tvi_custom_release(r->rule->custom);
  }
  for (int32_t k = 0; k < tape->n_leaves; k++) tv_variable_release(tape->leaves[k].variable);
  tape->n_records = tape->n_leaves = tape->n_slots = 0;
  tvi_free(tape->map);
  tape->map = NULL;
  tape->map_room = 0;
  while (tape->arena) {
    chunk *const next = tape->arena->next;
    tvi_free(tape->arena);
    tape->arena = next;
  }
}

/* Where the thread's list points at the tape; NULL if it is not open here, be it a tape or not. */
static tv_tape **find(const tv_tape *tape) {
  for (tv_tape **at = &tvi_self.tape; *at; at = &(*at)->outer)
    if (*at == tape) return at;
  return NULL;
}

bool tvi_tape_is_open(const char *who, const tv_tape *tape) {
  if (!tape) return tvi_null(who, "tape");
  if (find(tape)) return true;
  return tvi_fail(TV_ETAPE, "%s: this tape is not open on this thread", who);
}

tv_status tv_tape_end(tv_tape *tape) {
  if (!tape) return TV_OK;
  if (!tvi_tape_is_open("tape_end", tape)) return TV_ETAPE;
  *find(tape) = tape->outer;
  tvi_tape_forget(tape);
  tvi_free(tape->slots);
  tvi_free(tape->records);
  tvi_free(tape->leaves);
  tvi_free(tape);
  tvi_count(TVI_LIVE, -1);
  return TV_OK;
}

void tvi_tape_end_since(uint64_t scope_id) {
  while (tvi_self.tape && tvi_self.tape->id > scope_id) tv_tape_end(tvi_self.tape);
}

tv_status tv_tape_watch(tv_tape *tape, tv_tensor *x) {
  if (!tvi_tape_is_open("tape_watch", tape)) return tvi_failure();
  if (!x) return tvi_null_status("tape_watch", "x");
  if (!tvi_is_inexact(x->dtype))
    return tvi_fail_status(TV_EDTYPE, "tape_watch: %s carries no gradient",
                           tv_dtype_name(x->dtype));
  const int32_t slot = tvi_tape_slot(tape, x->id);
  if (slot >= 0) {
    tape->slots[slot].is_watched = true;
    return TV_OK;
  }
  return slot_new(tape, x, -1, true) < 0 ? no_memory() : TV_OK;
}

tv_status tv_tape_pause(void) {
  tvi_self.paused++;
  return TV_OK;
}

tv_status tv_tape_resume(void) {
  if (tvi_self.paused == tvi_self.scoped)
    return tvi_fail_status(TV_ETAPE, "tape_resume: recording is not paused%s",
                           tvi_self.scoped ? " but by no_grad, until its scope ends" : "");
  tvi_self.paused--;
  return TV_OK;
}

tv_status tv_no_grad(void) {
  if (!tvi_scope_is_open("no_grad")) return TV_ESCOPE;
  tvi_self.frames[tvi_self.n_frames - 1].paused++;
  tvi_self.scoped++;
  tvi_self.paused++;
  return TV_OK;
}

tv_tensor *tv_stop_gradient(tv_tensor *x) {
  if (!x) return tvi_null("stop_gradient", "x");
  if (!tvi_scope_is_open("stop_gradient")) return NULL;
  return tvi_scope_own(tvi_tensor_alias(x));
}
