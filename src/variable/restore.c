/* SPDX-License-Identifier: MIT
 * Restoring checkpoints, in four steps of which only the last changes anything and it cannot fail:
 * compare what is wanted with what the file's headers say; read; prepare under all locks; commit.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "difference.h"
#include "io/file.h"
#include "kept.h"
#include "memory.h"
#include "optimizer.h"
#include "scope.h"
#include "status.h"
#include "thread.h"
#include "variable.h"

/* Read ---------------------------------------------------------------------------------------- */

static bool read_want(tvi_restoring *r, tvi_want *w) {
  const bool is_large = w->what == TVI_WANT_VALUE || w->what == TVI_WANT_SLOT;
  tv_tensor *const x = tvi_archive_read(&r->file, w->name, is_large ? w->of->device : TV_CPU);
  if (x && w->what == TVI_WANT_ANY) /* kept as it is, but not as a map of the file */
    w->x = tvi_scope_own(tvi_value_of(r->who, x, x->dtype, TV_CPU));
  if (!x || w->what == TVI_WANT_ANY) return w->x != NULL;
  if (!is_large) return (w->x = x) != NULL;
  /* In the dtype, and in memory, that a Variable or a slot can have. */
  tv_tensor *const converted = tv_astype(x, w->dtype);
  w->x = converted ? tvi_scope_own(tvi_value_of(r->who, converted, w->dtype, w->of->device)) : NULL;
  return w->x != NULL;
}

bool tvi_restoring_refuse(const tvi_restoring *r, const tvi_want *w) {
  char text[64];
  return tvi_fail(TV_EFORMAT, "%s: '%s' is negative or not finite", r->who,
                  tvi_escape(text, sizeof text, w->name, strlen(w->name)));
}

/* Numbers that an optimizer can have. */
static bool check_number(const tvi_restoring *r, const tvi_want *w) {
  int64_t steps = 0;
  double rate = 0;
  if ((w->what == TVI_WANT_STEPS || w->what == TVI_WANT_MEMBER_STEPS) && tv_item_i64(w->x, &steps))
    return false;
  if (w->what == TVI_WANT_RATE && tv_item_f64(w->x, &rate)) return false;
  return (steps >= 0 && rate >= 0 && isfinite(rate)) || tvi_restoring_refuse(r, w);
}

static bool read_wants(tvi_restoring *r) {
  for (int64_t i = 0; i < r->n; i++) {
    tvi_want *const w = &r->wants[i];
    if (r->is_left[w->entry] || w->what == TVI_WANT_KIND || w->what == TVI_WANT_SETTING) continue;
    if (!read_want(r, w) || !check_number(r, w)) return false;
  }
  return true;
}

/* Prepare ------------------------------------------------------------------------------------- */

/* What is put into one optimizer. */
typedef struct {
  int64_t steps_total;
  double rate;
  int n_kept, n, room; /* those that the file keeps something of come first */
  tv_variable **variables;
  int64_t *steps;
  tv_tensor **slots; /* [room, n_slots], counts of their own */
} putting;

static bool putting_new(putting *p, const char *who, int room, int n_slots) {
  *p = (putting){.room = room,
                 .variables = tvi_calloc(room, sizeof *p->variables),
                 .steps = tvi_calloc(room, sizeof *p->steps),
                 .slots = tvi_calloc((int64_t)room * n_slots, sizeof *p->slots)};
  if (p->variables && p->steps && p->slots) return true;
  return tvi_fail(TV_ENOMEM, "%s: no memory for %d Variables", who, room);
}

static void putting_free(putting *p, int n_slots) {
  for (int i = 0; p->slots && i < p->room * n_slots; i++) tv_release(p->slots[i]);
  tvi_free(p->variables);
  tvi_free(p->steps);
  tvi_free(p->slots);
}

/* Of every Variable of the collection: what the file keeps, or nothing. */
static bool gather_members(const tvi_restoring *r, int entry, putting *p) {
  tv_optimizer *const o = r->c->entries[entry].of.optimizer;
  const int n_slots = tvi_optimizer_n_slots(o);
  if (!putting_new(p, r->who, r->c->n, n_slots)) return false;
  for (int64_t i = 0; i < r->n; i++) {
    const tvi_want *const w = &r->wants[i];
    if (w->entry != entry) continue;
    if (w->what == TVI_WANT_STEPS && tv_item_i64(w->x, &p->steps_total)) return false;
    if (w->what == TVI_WANT_RATE && tv_item_f64(w->x, &p->rate)) return false;
    if (w->what == TVI_WANT_MEMBER_STEPS) { /* its slots follow */
      if (tv_item_i64(w->x, &p->steps[p->n])) return false;
      p->variables[p->n++] = w->of;
    }
    if (w->what == TVI_WANT_SLOT) p->slots[(p->n - 1) * n_slots + w->slot] = tv_retain(w->x);
  }
  p->n_kept = p->n;
  for (int k = 0; k < r->c->n; k++) {
    bool is_named = r->c->entries[k].kind != TVI_VARIABLE;
    for (int i = 0; i < p->n_kept && !is_named; i++)
      is_named = p->variables[i] == r->c->entries[k].of.variable;
    if (!is_named) p->variables[p->n++] = r->c->entries[k].of.variable;
  }
  return true;
}

/* With the lock held: leave out those that neither the file nor the optimizer has met, and make
 * room for the others. */
static bool prepare_members(const tvi_restoring *r, int entry, putting *p) {
  tv_optimizer *const o = r->c->entries[entry].of.optimizer;
  int n = p->n_kept;
  for (int i = n; i < p->n; i++)
    if (tvi_optimizer_find(o, p->variables[i], i)) p->variables[n++] = p->variables[i];
  p->n = n;
  return !tvi_optimizer_reserve(o, n);
}

/* With its lock held: the value as the Variable can have it. */
static bool prepare_value(const tvi_restoring *r, tvi_want *w) {
  tv_variable *const v = w->of;
  if (tvi_variable_writable(r->who, v)) return false;
  tv_tensor *const held = tvi_scope_own(
      tvi_constrained(r->who, &v->constraint, v->name, TVI_WRITE, w->x, NULL, &w->n_moved));
  w->x = held ? tvi_value_of(r->who, held, v->dtype, v->device) : NULL;
  return w->x != NULL; /* with a count of its own */
}

static bool prepare(tvi_restoring *r, putting *puttings) {
  for (int64_t i = 0; i < r->n; i++) { /* shapes may have changed since the first look */
    const tvi_want *const w = &r->wants[i];
    if ((w->what != TVI_WANT_VALUE && w->what != TVI_WANT_SLOT) || r->is_left[w->entry] ||
        tvi_want_fits(r, w))
      continue;
    return tvi_fail(TV_EBUSY, "%s: Variable '%s' changed its shape meanwhile", r->who, w->of->name);
  }
  for (int k = 0; k < r->c->n; k++)
    if (r->c->entries[k].kind == TVI_OPTIMIZER && !r->is_left[k] &&
        !prepare_members(r, k, &puttings[k]))
      return false;
  for (int64_t i = 0; i < r->n; i++) {
    tvi_want *const w = &r->wants[i];
    if (w->what != TVI_WANT_VALUE || r->is_left[w->entry] || prepare_value(r, w)) continue;
    tv_release(w->n_moved);
    for (int64_t j = 0; j < i; j++) { /* counts that were to move in */
      if (r->wants[j].what != TVI_WANT_VALUE || r->is_left[r->wants[j].entry]) continue;
      tv_release(r->wants[j].x);
      tv_release(r->wants[j].n_moved);
    }
    return false;
  }
  return true;
}

/* Commit -------------------------------------------------------------------------------------- */

/* Cannot fail. Old values are left in the wants and puttings, to be released after unlocking. */
static void commit(tvi_restoring *r, putting *puttings, void **states) {
  for (int64_t i = 0; i < r->n; i++) {
    tvi_want *const w = &r->wants[i];
    if (w->what == TVI_WANT_VALUE && !r->is_left[w->entry]) {
      r->c->entries[w->entry].has_saved_version = false;
      w->x = tvi_variable_put(w->of, w->x, "checkpoint_restore", w->n_moved);
    }
  }
  for (int k = 0; k < r->c->n; k++) {
    putting *const p = &puttings[k];
    if (r->c->entries[k].kind == TVI_OPTIMIZER && !r->is_left[k])
      tvi_optimizer_put(r->c->entries[k].of.optimizer, p->steps_total, p->rate, p->n, p->variables,
                        p->steps, p->slots);
    const tvi_entry *const e = &r->c->entries[k];
    if (e->kind == TVI_KEPT && !r->is_left[k]) e->keeper->commit(e->of.any, states[k]);
  }
  for (int64_t i = 0; i < r->n; i++) {
    const tvi_want *const w = &r->wants[i];
    tvi_entry *const e = &r->c->entries[w->entry];
    if (r->is_left[w->entry]) continue;
    if (w->what == TVI_WANT_VERSION) {
      memcpy(&e->saved_version, w->x->data, sizeof e->saved_version);
      e->has_saved_version = true;
    }
    if (w->what == TVI_WANT_COUNTER) memcpy(e->of.counter, w->x->data, sizeof *e->of.counter);
    if (w->what == TVI_WANT_NUMBER) memcpy(e->of.number, w->x->data, sizeof *e->of.number);
    if (w->what == TVI_WANT_KEY) memcpy(&e->of.key->seed, w->x->data, sizeof(uint64_t));
    if (w->what == TVI_WANT_KEY)
      memcpy(&e->of.key->stream, w->x->data + sizeof(uint64_t), sizeof(uint64_t));
  }
}

static bool put_back(tvi_restoring *r, putting *puttings, void **states) {
  tvi_locks locks;
  bool is_done = true;
  for (int k = 0; k < r->c->n && is_done; k++)
    if (r->c->entries[k].kind == TVI_OPTIMIZER && !r->is_left[k])
      is_done = gather_members(r, k, &puttings[k]);
  for (int k = 0; k < r->c->n && is_done; k++) {
    const tvi_entry *const e = &r->c->entries[k];
    if (e->kind != TVI_KEPT || r->is_left[k]) continue;
    states[k] = e->keeper->prepare(e->of.any, r, e);
    is_done = states[k] != NULL;
  }
  if (!is_done || tvi_locks_new(&locks, r->who, r->c)) return false;
  is_done = !tvi_lock_all(&locks, r->who);
  if (is_done) {
    is_done = prepare(r, puttings);
    tvi_swaps_take(locks.variables.n, locks.variables.sorted);
    if (is_done) commit(r, puttings, states);
    tvi_swaps_give(locks.variables.n, locks.variables.sorted);
    tvi_unlock_all(&locks);
  }
  tvi_locks_free(&locks);
  for (int64_t i = 0; i < r->n && is_done; i++) {
    const tvi_want *const w = &r->wants[i];
    if (r->is_left[w->entry]) continue;
    if (w->what == TVI_WANT_VALUE) tv_release(w->x);
    if (w->what == TVI_WANT_SETTING && w->is_other) continue; /* was told as what it is */
    tvi_restoring_tell(r, TV_CHECKPOINT_LOADED, w->name, "");
  }
  return is_done;
}

/* The whole ----------------------------------------------------------------------------------- */

static bool restore(tvi_restoring *r) {
  r->is_left = tvi_calloc(r->c->n, sizeof *r->is_left);
  putting *const puttings = tvi_calloc(r->c->n, sizeof *puttings);
  void **const states = tvi_calloc(r->c->n, sizeof *states); /* of those with a keeper */
  bool is_done = r->is_left && puttings && states;
  if (!is_done) tvi_fail(TV_ENOMEM, "%s: no memory for %d entries", r->who, r->c->n);
  is_done = is_done && tvi_restoring_compare(r) && read_wants(r) && put_back(r, puttings, states);
  for (int k = 0; puttings && k < r->c->n; k++)
    if (r->c->entries[k].kind == TVI_OPTIMIZER)
      putting_free(&puttings[k], tvi_optimizer_n_slots(r->c->entries[k].of.optimizer));
  for (int k = 0; states && k < r->c->n; k++)
    if (states[k]) r->c->entries[k].keeper->discard(states[k]);
  for (int64_t i = 0; i < r->n; i++) tvi_free(r->wants[i].name);
  tvi_free(r->wants);
  tvi_free(states);
  tvi_free(puttings);
  tvi_free(r->is_left);
  tvi_writer_free(&r->list);
  return is_done;
}

tv_status tv_checkpoint_restore(tv_checkpoint *c, const char *path,
                                const tv_checkpoint_options *options) {
  static const char verb[] = "checkpoint_restore";
  tvi_who who;
  if (!c || !path) return tvi_null_status(verb, c ? "path" : "checkpoint");
  tvi_restoring r = {.c = c, .o = TV_CHECKPOINT_OPTIONS, .list = TVI_WRITER};
  if (options) {
    if (!tvi_options_fit(verb, options->size, sizeof r.o)) return TV_EVALUE;
    memcpy(&r.o, options, options->size);
  }
  r.who = tvi_who_text(&who, verb, path);
  tv_scope scope;
  tv_status status = tvi_checkpoint_lock(verb, c);
  if (status) return status;
  status = tvi_archive_open(&r.file, path) ? tvi_scope_open(&scope) : tvi_failure();
  if (!status) {
    tvi_self.paused++;
    if (!restore(&r)) status = tvi_failure();
    tvi_self.paused--;
    tvi_scope_close(&scope);
  }
  tvi_archive_close(&r.file);
  pthread_mutex_unlock(&c->lock);
  return status;
}
