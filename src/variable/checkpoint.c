/* SPDX-License-Identifier: MIT
 * Checkpoints: collecting and saving. A save locks everything while it takes snapshots, which cost
 * no copy, and writes the file when all are unlocked. Restoring is in restore.c. */
#include "checkpoint.h"

#include <stdlib.h>
#include <string.h>
#include <tensorvar/npz.h>
#include <tensorvar/safetensors.h>

#include "io/names.h"
#include "kept.h"
#include "memory.h"
#include "optimizer.h"
#include "scope.h"
#include "status.h"
#include "tally.h"
#include "thread.h"
#include "variable.h"
#include "writer.h"

/* Make ---------------------------------------------------------------------------------------- */

tv_status tvi_checkpoint_lock(const char *who, tv_checkpoint *c) {
  return tvi_lock_take(who, "the checkpoint", &c->lock);
}

tv_checkpoint *tv_checkpoint_new(void) {
  tv_checkpoint *const c = tvi_calloc(1, sizeof *c);
  if (!c || !tvi_lock_make(&c->lock)) {
    tvi_free(c);
    return tvi_fail(TV_ENOMEM, "checkpoint_new: no memory");
  }
  atomic_init(&c->count, 1);
  tvi_count(TVI_LIVE, 1);
  return c;
}

tv_checkpoint *tv_checkpoint_retain(tv_checkpoint *c) {
  if (c) atomic_fetch_add(&c->count, 1);
  return c;
}

void tv_checkpoint_release(tv_checkpoint *c) {
  if (!c || atomic_fetch_sub(&c->count, 1) != 1) return;
  for (int k = 0; k < c->n; k++) {
    tvi_entry *const e = &c->entries[k];
    if (e->kind == TVI_VARIABLE) tv_variable_release(e->of.variable);
    if (e->kind == TVI_OPTIMIZER) tv_optimizer_release(e->of.optimizer);
    if (e->kind == TVI_KEPT && e->keeper->release) e->keeper->release(e->of.any);
    tvi_free(e->name);
  }
  pthread_mutex_destroy(&c->lock);
  tvi_free(c->entries);
  tvi_free(c);
  tvi_count(TVI_LIVE, -1);
}

/* Collect ------------------------------------------------------------------------------------- */

static tv_status check_name(const char *who, const char *name) {
  char text[64];
  const size_t n = strlen(name);
  const char *fault = tvi_name_fault(name, (int64_t)n);
  if (!fault && !strncmp(name, "__", 2)) fault = "a name that begins with '__'";
  if (!fault) return TV_OK;
  return tvi_fail_status(TV_EVALUE, "%s: found %s: '%s'", who, fault,
                         tvi_escape(text, sizeof text, name, n));
}

/* With the lock held: that neither the name nor the object is there. */
static tv_status check_new(const tv_checkpoint *c, const char *who, const tvi_entry *fresh) {
  char text[64], other[64];
  for (int k = 0; k < c->n; k++) {
    const tvi_entry *const e = &c->entries[k];
    if (!strcmp(e->name, fresh->name))
      return tvi_fail_status(TV_EVALUE, "%s: the name '%s' is taken", who,
                             tvi_escape(text, sizeof text, e->name, strlen(e->name)));
    if (e->of.any == fresh->of.any)
      return tvi_fail_status(TV_EVALUE, "%s: '%s' is there already, as '%s'", who,
                             tvi_escape(text, sizeof text, fresh->name, strlen(fresh->name)),
                             tvi_escape(other, sizeof other, e->name, strlen(e->name)));
  }
  return TV_OK;
}

/* With the lock held. Objects are retained by whoever calls, when it went well. */
static tv_status append(tv_checkpoint *c, const char *who, const tvi_entry *fresh) {
  tv_status status = check_new(c, who, fresh);
  if (status) return status;
  if (c->n == c->room) {
    const int room = c->room ? 2 * c->room : 16;
    tvi_entry *const larger = tvi_realloc(c->entries, room * (int64_t)sizeof *larger);
    if (!larger) return tvi_fail_status(TV_ENOMEM, "%s: no memory for %d entries", who, room);
    c->entries = larger;
    c->room = room;
  }
  const size_t bytes = strlen(fresh->name) + 1;
  char *const name = tvi_malloc((int64_t)bytes);
  if (!name) return tvi_fail_status(TV_ENOMEM, "%s: no memory for a name", who);
  c->entries[c->n] = *fresh;
  c->entries[c->n++].name = memcpy(name, fresh->name, bytes);
  return status;
}

static tv_status add(tv_checkpoint *c, const char *who, const char *name, tvi_entry fresh) {
  if (!c) return tvi_null_status(who, "checkpoint");
  if (!name) return tvi_null_status(who, "name");
  tv_status status = check_name(who, name);
  if (status) return status;
  fresh.name = (char *)(uintptr_t)name; /* copied */
  status = tvi_checkpoint_lock(who, c);
  if (status) return status;
  status = append(c, who, &fresh);
  pthread_mutex_unlock(&c->lock);
  return status;
}

tv_status tv_checkpoint_add_variable(tv_checkpoint *c, const char *name, tv_variable *variable) {
  static const char who[] = "checkpoint_add_variable";
  if (!variable) return tvi_null_status(who, "variable");
  const char *const own = tv_variable_name(variable);
  const tv_status status =
      add(c, who, name ? name : own, (tvi_entry){.kind = TVI_VARIABLE, .of.variable = variable});
  if (!status) tv_variable_retain(variable);
  return status;
}

tv_status tv_checkpoint_add_optimizer(tv_checkpoint *c, const char *name, tv_optimizer *optimizer) {
  static const char who[] = "checkpoint_add_optimizer";
  if (!optimizer) return tvi_null_status(who, "optimizer");
  const tv_status status =
      add(c, who, name, (tvi_entry){.kind = TVI_OPTIMIZER, .of.optimizer = optimizer});
  if (!status) tv_optimizer_retain(optimizer);
  return status;
}

tv_status tv_checkpoint_add_key(tv_checkpoint *c, const char *name, tv_key *key) {
  static const char who[] = "checkpoint_add_key";
  if (!key) return tvi_null_status(who, "key");
  return add(c, who, name, (tvi_entry){.kind = TVI_KEY, .of.key = key});
}

/* An object that is retained if its keeper counts it. */
static tv_status add_kept(tv_checkpoint *c, const char *who, const char *name, void *object,
                          const tvi_keeper *keeper) {
  if (!object) return tvi_null_status(who, keeper->kind);
  return add(c, who, name, (tvi_entry){.kind = TVI_KEPT, .keeper = keeper, .of.any = object});
}

tv_status tv_checkpoint_add_average(tv_checkpoint *c, const char *name, tv_average *average) {
  const tv_status status =
      add_kept(c, "checkpoint_add_average", name, average, &tvi_average_keeper);
  if (!status) tv_average_retain(average);
  return status;
}

tv_status tv_checkpoint_add_scaler(tv_checkpoint *c, const char *name, tv_scaler *scaler) {
  const tv_status status = add_kept(c, "checkpoint_add_scaler", name, scaler, &tvi_scaler_keeper);
  if (!status) tv_scaler_retain(scaler);
  return status;
}

tv_status tv_checkpoint_add_accumulator(tv_checkpoint *c, const char *name,
                                        tv_accumulator *accumulator) {
  const tv_status status =
      add_kept(c, "checkpoint_add_accumulator", name, accumulator, &tvi_accumulator_keeper);
  if (!status) tv_accumulator_retain(accumulator);
  return status;
}

tv_status tv_checkpoint_add_lbfgs(tv_checkpoint *c, const char *name, tv_lbfgs *lbfgs) {
  const tv_status status = add_kept(c, "checkpoint_add_lbfgs", name, lbfgs, &tvi_lbfgs_keeper);
  if (!status) tv_lbfgs_retain(lbfgs);
  return status;
}

tv_status tv_checkpoint_add_plateau(tv_checkpoint *c, const char *name, tv_plateau *plateau) {
  static const char who[] = "checkpoint_add_plateau";
  if (plateau && plateau->size != sizeof *plateau)
    return tvi_options_fit(who, 0, sizeof *plateau) ? TV_EVALUE : tvi_failure();
  return add_kept(c, who, name, plateau, &tvi_plateau_keeper);
}

tv_status tv_checkpoint_add_counter(tv_checkpoint *c, const char *name, int64_t *counter) {
  static const char who[] = "checkpoint_add_counter";
  if (!counter) return tvi_null_status(who, "counter");
  return add(c, who, name, (tvi_entry){.kind = TVI_COUNTER, .of.counter = counter});
}

tv_status tv_checkpoint_add_number(tv_checkpoint *c, const char *name, double *number) {
  static const char who[] = "checkpoint_add_number";
  if (!number) return tvi_null_status(who, "number");
  return add(c, who, name, (tvi_entry){.kind = TVI_NUMBER, .of.number = number});
}

tv_status tv_checkpoint_saved_version(tv_checkpoint *c, const char *name, uint64_t *version) {
  static const char who[] = "checkpoint_saved_version";
  if (!c || !name) return tvi_null_status(who, c ? "name" : "checkpoint");
  if (!version) return tvi_null_status(who, "version");
  bool has = false;
  const tv_status status = tvi_checkpoint_lock(who, c);
  if (status) return status;
  for (int k = 0; k < c->n; k++) {
    if (!c->entries[k].has_saved_version || strcmp(c->entries[k].name, name) != 0) continue;
    *version = c->entries[k].saved_version;
    has = true;
  }
  pthread_mutex_unlock(&c->lock);
  char text[64];
  if (has) return TV_OK;
  return tvi_fail_status(TV_EVALUE, "%s: no Variable '%s' was restored with a version", who,
                         tvi_escape(text, sizeof text, name, strlen(name)));
}

/* Locks --------------------------------------------------------------------------------------- */

static int compare_locks(const void *left, const void *right) {
  const tvi_object_lock *const a = left, *const b = right;
  return a->order != b->order ? a->order - b->order : tvi_compare_addresses(&a->lock, &b->lock);
}

tv_status tvi_locks_new(tvi_locks *locks, const char *who, const tv_checkpoint *c) {
  int n = 0, n_variables = 0;
  tv_variable **const variables = tvi_calloc(c->n, sizeof *variables);
  tvi_object_lock *const objects = tvi_calloc(c->n, sizeof *objects);
  *locks = (tvi_locks){.objects = objects};
  if (!objects || !variables) {
    tvi_free(variables);
    tvi_locks_free(locks);
    return tvi_fail_status(TV_ENOMEM, "%s: no memory for %d entries", who, c->n);
  }
  for (int k = 0; k < c->n; k++) {
    const tvi_entry *const e = &c->entries[k];
    if (e->kind == TVI_VARIABLE) variables[n_variables++] = e->of.variable;
    if (e->kind == TVI_OPTIMIZER)
      objects[n++] =
          (tvi_object_lock){TVI_OPTIMIZER_ORDER, "the optimizer", &e->of.optimizer->lock};
    if (e->kind == TVI_KEPT && e->keeper->lock)
      objects[n++] =
          (tvi_object_lock){e->keeper->order, e->keeper->what, e->keeper->lock(e->of.any)};
  }
  qsort(objects, (size_t)n, sizeof *objects, compare_locks);
  locks->n = n;
  const tv_status status = tvi_together_new(&locks->variables, who, n_variables, variables);
  tvi_free(variables);
  if (status) tvi_locks_free(locks);
  return status;
}

void tvi_locks_free(tvi_locks *locks) {
  tvi_free(locks->objects);
  tvi_together_free(&locks->variables);
  *locks = (tvi_locks){.n = 0};
}

tv_status tvi_lock_all(const tvi_locks *locks, const char *who) {
  int k = 0;
  tv_status status = TV_OK;
  for (; k < locks->n; k++) {
    status = tvi_lock_take(who, locks->objects[k].what, locks->objects[k].lock);
    if (status) break;
  }
  if (!status) status = tvi_together_lock(&locks->variables, who);
  while (status && k > 0) pthread_mutex_unlock(locks->objects[--k].lock);
  return status;
}

void tvi_unlock_all(const tvi_locks *locks) {
  tvi_together_unlock(&locks->variables);
  for (int k = 0; k < locks->n; k++) pthread_mutex_unlock(locks->objects[k].lock);
}

/* Names --------------------------------------------------------------------------------------- */

char *tvi_joined(const char *who, const char *a, const char *b, const char *c) {
  const size_t first = strlen(a), second = strlen(b), third = c ? strlen(c) + 1 : 0;
  char *const name = tvi_malloc((int64_t)(first + second + third + 2));
  if (!name) return tvi_fail(TV_ENOMEM, "%s: no memory for a name", who);
  memcpy(name, a, first);
  name[first] = '/';
  memcpy(name + first + 1, b, second + 1);
  if (c) name[first + 1 + second] = '/';
  if (c) memcpy(name + first + second + 2, c, third);
  return name;
}

bool tvi_is_safetensors(const char *path) {
  static const char end[] = ".safetensors";
  const size_t n = strlen(path);
  return n >= sizeof end - 1 && !strcmp(path + n - (sizeof end - 1), end);
}

/* Save ---------------------------------------------------------------------------------------- */

/* The arrays of a file, the names tvi_malloc's, the tensors the scope's. */
typedef struct tvi_saving {
  const char *who;
  const tv_checkpoint *c;
  char **names;
  tv_tensor **tensors;
  int64_t n, room;
  const tvi_entry *entry; /* that a keeper is asked for */
} gathered;

/* Takes the name over. */
static bool put(gathered *g, char *name, tv_tensor *x) {
  if (g->n == g->room && name && x) {
    const int64_t room = g->room ? 2 * g->room : 64;
    char **const names = tvi_realloc(g->names, room * (int64_t)sizeof *names);
    if (names) g->names = names;
    tv_tensor **const tensors =
        names ? tvi_realloc(g->tensors, room * (int64_t)sizeof *tensors) : NULL;
    if (tensors) g->tensors = tensors;
    if (tensors) g->room = room;
    if (!tensors) tvi_fail(TV_ENOMEM, "%s: no memory for %lld arrays", g->who, (long long)room);
  }
  if (!name || !x || g->n == g->room) {
    tvi_free(name);
    return false;
  }
  g->names[g->n] = name;
  g->tensors[g->n++] = x;
  return true;
}

static tv_tensor *small(tv_dtype dtype, const void *data, int rank, int64_t size) {
  tv_memory_options here = TV_MEMORY_OPTIONS;
  here.device = TV_CPU;
  return tv_tensor_from_memory(data, dtype, rank, &size, &here);
}

static char *copied(const char *who, const char *name) {
  const size_t bytes = strlen(name) + 1;
  char *const copy = tvi_malloc((int64_t)bytes);
  return copy ? memcpy(copy, name, bytes) : tvi_fail(TV_ENOMEM, "%s: no memory for a name", who);
}

static bool put_variable(gathered *g, const tvi_entry *e) {
  tv_variable *const v = e->of.variable;
  if (v->mapping == TVI_MAPPED_EXCLUSIVELY)
    return tvi_fail(TV_EBUSY, "%s: Variable '%s' is mapped exclusively", g->who, v->name);
  const uint64_t version = atomic_load(&v->version);
  return put(g, copied(g->who, e->name), tvi_scope_own(tvi_tensor_alias(v->value))) &&
         put(g, tvi_joined(g->who, TVI_CHECKPOINT_OWN "version", e->name, NULL),
             small(TV_U64, &version, 0, 0));
}

/* The name of a Variable of which something keeps a state; NULL: the checkpoint does not hold it.
 */
static const char *name_of(const gathered *g, const tvi_entry *e, const tv_variable *v) {
  for (int k = 0; k < g->c->n; k++)
    if (g->c->entries[k].kind == TVI_VARIABLE && g->c->entries[k].of.variable == v)
      return g->c->entries[k].name;
  return tvi_fail(
      TV_EVALUE, "%s: %s '%s' keeps state of Variable '%s', which the checkpoint does not hold",
      g->who, e->kind == TVI_OPTIMIZER ? "optimizer" : e->keeper->kind, e->name, v->name);
}

bool tvi_save_whole(tvi_saving *g, const char *name, int64_t x) {
  return put(g, tvi_joined(g->who, g->entry->name, name, NULL), small(TV_I64, &x, 0, 0));
}

bool tvi_save_real(tvi_saving *g, const char *name, double x) {
  return put(g, tvi_joined(g->who, g->entry->name, name, NULL), small(TV_F64, &x, 0, 0));
}

bool tvi_save_array(tvi_saving *g, const char *name, tv_tensor *x) {
  return put(g, tvi_joined(g->who, g->entry->name, name, NULL), tvi_scope_own(tvi_tensor_alias(x)));
}

bool tvi_save_text(tvi_saving *g, const char *name, const char *text) {
  return put(g, tvi_joined(g->who, g->entry->name, name, NULL),
             small(TV_U8, text, 1, (int64_t)strlen(text)));
}

bool tvi_save_whole_of(tvi_saving *g, const tv_variable *v, const char *name, int64_t x) {
  const char *const of = name_of(g, g->entry, v);
  return of && put(g, tvi_joined(g->who, g->entry->name, of, name), small(TV_I64, &x, 0, 0));
}

bool tvi_save_of(tvi_saving *g, const tv_variable *v, const char *name, tv_tensor *x) {
  const char *const of = name_of(g, g->entry, v);
  return of &&
         put(g, tvi_joined(g->who, g->entry->name, of, name), tvi_scope_own(tvi_tensor_alias(x)));
}

/* What is put back only into an object of the same kind. */
static bool put_kind(gathered *g, const tvi_entry *e, const char *kind) {
  return put(g, tvi_joined(g->who, e->name, "kind", NULL),
             small(TV_U8, kind, 1, (int64_t)strlen(kind)));
}

/* What an optimizer keeps of one Variable. */
static bool put_member(gathered *g, const tvi_entry *e, const tv_variable *v) {
  tv_optimizer *const o = e->of.optimizer;
  const int n_slots = tvi_optimizer_n_slots(o);
  tv_tensor *slots[TVI_MOST_SLOTS] = {NULL};
  int64_t steps = 0;
  if (tvi_optimizer_state(o, v, &steps, slots)) return false;
  bool is_done = true;
  for (int j = 0; j < n_slots; j++) {
    const bool has = slots[j] != NULL;
    slots[j] = tvi_scope_own(slots[j]);
    is_done &= has == (slots[j] != NULL);
  }
  if (!is_done || steps == 0) return is_done;
  const char *const of = name_of(g, e, v);
  if (!of) return false;
  is_done = put(g, tvi_joined(g->who, e->name, of, "steps"), small(TV_I64, &steps, 0, 0));
  for (int j = 0; j < n_slots && is_done; j++)
    if (slots[j])
      is_done = put(g, tvi_joined(g->who, e->name, of, tvi_optimizer_slot_name(o, j)), slots[j]);
  const double otherwise[TVI_GROUP_NUMBERS] = {1, o->with.weight_decay, o->with.decoupled_decay};
  for (int j = 0; j < TVI_GROUP_NUMBERS && is_done; j++) {
    const double x = tvi_group_number(o, v, j);
    if (x != otherwise[j])
      is_done = put(g, tvi_joined(g->who, e->name, of, tvi_group_name(j)), small(TV_F64, &x, 0, 0));
  }
  return is_done;
}

/* Those that are not 0, and weight_decay: that it is there says that settings were saved. */
static bool put_settings(gathered *g, const tvi_entry *e) {
  bool is_done = true;
  for (int k = 0; k < tvi_optimizer_n_numbers() && is_done; k++) {
    const char *const name = tvi_optimizer_number_name(k);
    const double x = tvi_optimizer_number(e->of.optimizer, k);
    if (x != 0 || !strcmp(name, "weight_decay"))
      is_done = put(g, tvi_joined(g->who, e->name, "settings", name), small(TV_F64, &x, 0, 0));
  }
  return is_done;
}

static bool put_optimizer(gathered *g, const tvi_entry *e) {
  tv_optimizer *const o = e->of.optimizer;
  const int64_t steps = tvi_optimizer_steps(o);
  const double rate = tvi_optimizer_learning_rate(o);
  bool is_done =
      put_kind(g, e, tvi_optimizer_kind(o)) &&
      put(g, tvi_joined(g->who, e->name, "steps", NULL), small(TV_I64, &steps, 0, 0)) &&
      put(g, tvi_joined(g->who, e->name, "learning_rate", NULL), small(TV_F64, &rate, 0, 0)) &&
      put_settings(g, e);
  for (int k = 0; k < tvi_optimizer_n_variables(o) && is_done; k++)
    is_done = put_member(g, e, tvi_optimizer_variable(o, k));
  return is_done;
}

static bool put_entry(gathered *g, const tvi_entry *e) {
  switch (e->kind) {
    case TVI_VARIABLE:
      return put_variable(g, e);
    case TVI_OPTIMIZER:
      return put_optimizer(g, e);
    case TVI_KEY:
      return put(g, copied(g->who, e->name),
                 small(TV_U64, (const uint64_t[]){e->of.key->seed, e->of.key->stream}, 1, 2));
    case TVI_KEPT:
      g->entry = e;
      return put_kind(g, e, e->keeper->kind) && e->keeper->save(e->of.any, g);
    case TVI_COUNTER:
      return put(g, copied(g->who, e->name), small(TV_I64, e->of.counter, 0, 0));
    default:
      return put(g, copied(g->who, e->name), small(TV_F64, e->of.number, 0, 0));
  }
}

static bool gather(gathered *g, const tvi_locks *locks) {
  const int64_t format = 1;
  bool is_done = put(g, copied(g->who, TVI_CHECKPOINT_OWN "format"), small(TV_I64, &format, 0, 0));
  if (!is_done || tvi_lock_all(locks, g->who)) return false;
  for (int k = 0; k < g->c->n && is_done; k++) is_done = put_entry(g, &g->c->entries[k]);
  tvi_unlock_all(locks);
  return is_done;
}

static tv_status write_file(const gathered *g, const char *path,
                            const tv_checkpoint_save_options *o) {
  const char *const *const names = (const char *const *)g->names;
  if (tvi_is_safetensors(path)) {
    tv_safetensors_save_options save = TV_SAFETENSORS_SAVE_OPTIONS;
    save.durable = o->durable;
    return tv_safetensors_save(path, g->n, names, g->tensors, &save);
  }
  tv_npz_save_options save = TV_NPZ_SAVE_OPTIONS;
  save.durable = o->durable;
  save.compression = o->compression;
  return tv_npz_save(path, g->n, names, g->tensors, &save);
}

tv_status tv_checkpoint_save(tv_checkpoint *c, const char *path,
                             const tv_checkpoint_save_options *options) {
  static const char who[] = "checkpoint_save";
  tv_checkpoint_save_options o = TV_CHECKPOINT_SAVE_OPTIONS;
  if (!c || !path) return tvi_null_status(who, c ? "path" : "checkpoint");
  if (options) {
    if (!tvi_options_fit(who, options->size, sizeof o)) return TV_EVALUE;
    memcpy(&o, options, options->size);
  }
  if (o.compression < 0 || o.compression > 9)
    return tvi_fail_status(TV_EVALUE, "%s: compression is %d, not 0 to 9", who, o.compression);
  tv_scope scope;
  tvi_locks locks;
  tv_status status = tvi_checkpoint_lock(who, c);
  if (status) return status;
  status = tvi_scope_open(&scope);
  if (status) {
    pthread_mutex_unlock(&c->lock);
    return status;
  }
  gathered g = {.who = who, .c = c};
  tvi_self.paused++;
  status = tvi_locks_new(&locks, who, c);
  if (!status) {
    status = gather(&g, &locks) ? write_file(&g, path, &o) : tvi_failure();
    tvi_locks_free(&locks);
  }
  pthread_mutex_unlock(&c->lock);
  tvi_self.paused--;
  for (int64_t i = 0; i < g.n; i++) tvi_free(g.names[i]);
  tvi_free(g.names);
  tvi_free(g.tensors);
  tvi_scope_close(&scope);
  return status;
}
