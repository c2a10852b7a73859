/* SPDX-License-Identifier: MIT
 * Restoring checkpoints, in four steps of which only the last changes anything and it cannot fail:
 * compare what is wanted with what the file's headers say; read; prepare under all locks; commit.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tensorvar/npz.h>
#include <tensorvar/safetensors.h>

#include "checkpoint.h"
#include "io/file.h"
#include "memory.h"
#include "optimizer.h"
#include "scope.h"
#include "status.h"
#include "thread.h"
#include "variable.h"
#include "writer.h"

/* The file ------------------------------------------------------------------------------------ */

/* One of the two. */
typedef struct {
  tv_npz *npz;
  tv_safetensors *safetensors;
} archive;

static bool archive_open(archive *a, const char *path) {
  *a = (archive){NULL, NULL};
  if (tvi_is_safetensors(path))
    a->safetensors = tv_safetensors_open(path);
  else
    a->npz = tv_npz_open(path, NULL);
  return a->npz || a->safetensors;
}

static void archive_close(archive *a) {
  tv_npz_release(a->npz);
  tv_safetensors_release(a->safetensors);
}

static int64_t archive_count(const archive *a) {
  return a->npz ? tv_npz_count(a->npz) : tv_safetensors_count(a->safetensors);
}

static const char *archive_name(const archive *a, int64_t i) {
  return a->npz ? tv_npz_name(a->npz, i) : tv_safetensors_name(a->safetensors, i);
}

static bool archive_has(const archive *a, const char *name) {
  return a->npz ? tv_npz_has(a->npz, name) : tv_safetensors_has(a->safetensors, name);
}

/* NumPy has no bfloat16: what is 2-byte void here is one. */
static tv_status archive_info(const archive *a, const char *name, tv_npy_layout *layout) {
  tv_npy_options o = TV_NPY_OPTIONS;
  o.void2_is_bf16 = true;
  return a->npz ? tv_npz_info(a->npz, name, &o, layout)
                : tv_safetensors_info(a->safetensors, name, layout);
}

static tv_tensor *archive_read(const archive *a, const char *name, tv_device device) {
  tv_npy_options o = TV_NPY_OPTIONS;
  o.void2_is_bf16 = true;
  o.device = device;
  return a->npz ? tv_npz_read(a->npz, name, &o) : tv_safetensors_read(a->safetensors, name, &o);
}

/* What is wanted ------------------------------------------------------------------------------ */

typedef enum {
  VALUE,
  VERSION,
  KIND,
  STEPS,
  RATE,
  MEMBER_STEPS,
  SLOT,
  KEY,
  COUNTER,
} role;

/* An array that the collection wants from the file. */
typedef struct {
  char *name;
  role what;
  int entry;       /* of the checkpoint */
  tv_variable *of; /* whose steps or slot it is */
  int slot;
  tv_dtype dtype; /* here; what is read is converted to it */
  bool is_there;
  tv_npy_layout layout; /* in the file */
  tv_tensor *x;         /* the scope's */
} want;

typedef struct {
  const char *who;
  tv_checkpoint *c;
  tv_checkpoint_options o;
  archive file;
  want *wants;
  int64_t n, room;
  bool *is_left; /* [c->n], entries that stay as they are */
  /* Differences that refuse the file: how many, and the text that lists them. */
  int64_t n_refused, n_listed;
  tvi_writer list;
} restoring;

static bool is_chosen(const restoring *r, const char *name) {
  return !r->o.prefix || !strncmp(name, r->o.prefix, strlen(r->o.prefix));
}

/* A want of a name, which is taken over. */
static want *add(restoring *r, char *name, role what, int entry) {
  if (!name) return NULL;
  if (r->n == r->room) {
    const int64_t room = r->room ? 2 * r->room : 64;
    want *const larger = tvi_realloc(r->wants, room * (int64_t)sizeof *larger);
    if (!larger) {
      tvi_free(name);
      return tvi_fail(TV_ENOMEM, "%s: no memory for %lld arrays", r->who, (long long)room);
    }
    r->wants = larger;
    r->room = room;
  }
  static const tv_dtype dtypes[] = {[VERSION] = TV_U64,      [KIND] = TV_U8,  [STEPS] = TV_I64,
                                    [RATE] = TV_F64,         [KEY] = TV_U64,  [COUNTER] = TV_I64,
                                    [MEMBER_STEPS] = TV_I64, [SLOT] = TV_F32, [VALUE] = TV_F32};
  want *const w = &r->wants[r->n++];
  *w = (want){
      .name = name, .what = what, .entry = entry, .dtype = dtypes[what], .layout = TV_NPY_LAYOUT};
  return w;
}

static char *plain(const restoring *r, const char *name) {
  const size_t bytes = strlen(name) + 1;
  char *const copy = tvi_malloc((int64_t)bytes);
  return copy ? memcpy(copy, name, bytes) : tvi_fail(TV_ENOMEM, "%s: no memory for a name", r->who);
}

static bool want_variable(restoring *r, int k) {
  const tvi_entry *const e = &r->c->entries[k];
  want *const value = add(r, plain(r, e->name), VALUE, k);
  if (!value) return false;
  value->of = e->of.variable;
  value->dtype = e->of.variable->dtype;
  char *const version = tvi_joined(r->who, TVI_CHECKPOINT_OWN "version", e->name, NULL);
  if (version && !archive_has(&r->file, version)) { /* as in any file that is not ours */
    tvi_free(version);
    return true;
  }
  return add(r, version, VERSION, k);
}

/* What the file keeps of a Variable, if anything. */
static bool want_member(restoring *r, int k, const tvi_entry *of) {
  const tvi_entry *const e = &r->c->entries[k];
  char *const name = tvi_joined(r->who, e->name, of->name, "steps");
  if (!name) return false;
  if (!archive_has(&r->file, name)) {
    tvi_free(name);
    return true;
  }
  want *w = add(r, name, MEMBER_STEPS, k);
  if (!w) return false;
  w->of = of->of.variable;
  for (int j = 0; j < tvi_optimizer_n_slots(e->of.optimizer); j++) {
    w = add(r, tvi_joined(r->who, e->name, of->name, tvi_optimizer_slot_name(e->of.optimizer, j)),
            SLOT, k);
    if (!w) return false;
    w->of = of->of.variable;
    w->slot = j;
    w->dtype = tvi_optimizer_slot_dtype(e->of.optimizer, of->of.variable, j);
  }
  return true;
}

static bool want_optimizer(restoring *r, int k) {
  const char *const name = r->c->entries[k].name;
  bool is_done = add(r, tvi_joined(r->who, name, "kind", NULL), KIND, k) &&
                 add(r, tvi_joined(r->who, name, "steps", NULL), STEPS, k) &&
                 add(r, tvi_joined(r->who, name, "learning_rate", NULL), RATE, k);
  for (int i = 0; i < r->c->n && is_done; i++)
    if (r->c->entries[i].kind == TVI_VARIABLE) is_done = want_member(r, k, &r->c->entries[i]);
  return is_done;
}

static bool want_all(restoring *r) {
  bool is_done = true;
  for (int k = 0; k < r->c->n && is_done; k++) {
    const tvi_entry *const e = &r->c->entries[k];
    r->is_left[k] = !is_chosen(r, e->name);
    if (r->is_left[k]) continue;
    if (e->kind == TVI_VARIABLE)
      is_done = want_variable(r, k);
    else if (e->kind == TVI_OPTIMIZER)
      is_done = want_optimizer(r, k);
    else
      is_done = add(r, plain(r, e->name), e->kind == TVI_KEY ? KEY : COUNTER, k);
  }
  return is_done;
}

/* Differences --------------------------------------------------------------------------------- */

static void tell(restoring *r, tv_checkpoint_event event, const char *name, const char *text) {
  if (r->o.report) r->o.report(r->o.user, event, name, text);
}

/* A difference is told, and listed if it refuses the file: as many as a failure's text has room
 * for.
 */
static void differ(restoring *r, bool is_refused, tv_checkpoint_event event, const char *name,
                   const char *text) {
  static const char *const words[] = {"",         "missing",  "unexpected",
                                      "shape of", "dtype of", "kind of"};
  enum { MOST_LISTED = 280 };
  char shown[72];
  tell(r, event, name, text);
  if (!is_refused) return;
  r->n_refused++;
  if (r->list.n > MOST_LISTED) return;
  r->n_listed++;
  if (r->list.n) tvi_writer_put_string(&r->list, "; ");
  tvi_writer_put_string(&r->list, words[event]);
  tvi_writer_put_string(&r->list, " '");
  tvi_writer_put_string(&r->list, tvi_escape(shown, sizeof shown, name, strlen(name)));
  tvi_writer_put_string(&r->list, "'");
  if (*text) tvi_writer_put_string(&r->list, ": ");
  tvi_writer_put_string(&r->list, text);
}

/* "[2, 3] in the file, [3] here". */
static void difference(char *text, size_t room, const char *there, const char *here) {
  const char *const parts[] = {there, " in the file, ", here, " here"};
  size_t at = 0;
  for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
    const size_t n = strlen(parts[k]), fits = n < room - 1 - at ? n : room - 1 - at;
    memcpy(text + at, parts[k], fits);
    at += fits;
  }
  text[at] = '\0';
}

/* The shape in the file of a Variable's new value: what its slots must have. NULL: it stays. */
static const tv_npy_layout *new_value_of(const restoring *r, const tv_variable *v) {
  for (int64_t i = 0; i < r->n; i++)
    if (r->wants[i].what == VALUE && r->wants[i].of == v && r->wants[i].is_there)
      return &r->wants[i].layout;
  return NULL;
}

/* The shape that is wanted; with the Variable's lock held, or for a first look. */
static int shape_wanted(const restoring *r, const want *w, int64_t *shape) {
  if (w->what == KEY || w->what == KIND) {
    shape[0] = w->what == KEY ? 2 : w->layout.rank == 1 ? w->layout.shape[0] : 0;
    return 1;
  }
  if ((w->what != VALUE && w->what != SLOT) || !w->of) return 0;
  const tv_npy_layout *const fresh = w->what == SLOT ? new_value_of(r, w->of) : NULL;
  if (fresh) {
    memcpy(shape, fresh->shape, (size_t)fresh->rank * sizeof *shape);
    return fresh->rank;
  }
  const tv_variable *const v = w->of;
  for (int k = 0; k < v->rank; k++) {
    const bool is_open = w->what == VALUE && v->is_open && v->is_open[k];
    shape[k] = is_open && k < w->layout.rank ? w->layout.shape[k] : v->value->shape[k];
  }
  return v->rank;
}

static bool has_shape(const restoring *r, const want *w) {
  int64_t shape[TV_MAX_RANK];
  const int rank = shape_wanted(r, w, shape);
  if (rank != w->layout.rank) return false;
  for (int k = 0; k < rank; k++)
    if (shape[k] != w->layout.shape[k]) return false;
  return true;
}

static void check_shape(restoring *r, want *w) {
  char text[160];
  tvi_text there, here;
  int64_t shape[TV_MAX_RANK];
  if (w->of) pthread_mutex_lock(&w->of->lock);
  const bool has = has_shape(r, w);
  const int rank = shape_wanted(r, w, shape);
  if (w->of) pthread_mutex_unlock(&w->of->lock);
  if (has) return;
  difference(text, sizeof text, tvi_shape_text(&there, w->layout.rank, w->layout.shape),
             tvi_shape_text(&here, rank, shape));
  differ(r, true, TV_CHECKPOINT_SHAPE, w->name, text);
}

static void check_dtype(restoring *r, const want *w) {
  char text[160];
  if (w->layout.dtype == w->dtype) return;
  const bool may_convert = (w->what == VALUE || w->what == SLOT) && r->o.same_kind &&
                           tv_can_cast(w->layout.dtype, w->dtype, TV_CAST_SAME_KIND);
  difference(text, sizeof text, tv_dtype_name(w->layout.dtype), tv_dtype_name(w->dtype));
  differ(r, !may_convert, TV_CHECKPOINT_DTYPE, w->name, text);
}

/* The kind is compared when it has the dtype and rank of one. */
static bool check_kind(restoring *r, const want *w) {
  char there[64], text[160];
  const char *const kind = tvi_optimizer_kind(r->c->entries[w->entry].of.optimizer);
  if (w->layout.dtype != TV_U8 || w->layout.rank != 1) return true;
  tv_tensor *const x = archive_read(&r->file, w->name, TV_CPU);
  const char *const found = x ? tv_tensor_data(x) : NULL;
  if (!x || (w->layout.bytes && !found)) return false;
  const size_t n = (size_t)w->layout.bytes;
  if (n == strlen(kind) && !memcmp(found, kind, n)) return true;
  difference(text, sizeof text, tvi_escape(there, sizeof there, found ? found : "", n), kind);
  differ(r, true, TV_CHECKPOINT_KIND, w->name, text);
  return true;
}

/* What is missing, and of another shape, dtype or kind. Two passes: slots ask for their Variable.
 */
static bool compare_wants(restoring *r) {
  for (int64_t i = 0; i < r->n; i++) {
    want *const w = &r->wants[i];
    w->is_there = archive_has(&r->file, w->name);
    if (w->is_there && archive_info(&r->file, w->name, &w->layout)) return false;
    if (w->is_there) continue;
    differ(r, !r->o.allow_missing, TV_CHECKPOINT_MISSING, w->name, "");
    r->is_left[w->entry] = true;
  }
  for (int64_t i = 0; i < r->n; i++) {
    want *const w = &r->wants[i];
    if (!w->is_there || r->is_left[w->entry]) continue;
    check_shape(r, w);
    check_dtype(r, w);
    if (w->what == KIND && !check_kind(r, w)) return false;
  }
  return true;
}

static int compare_names(const void *left, const void *right) {
  return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static bool compare_unexpected(restoring *r) {
  const char **const names = tvi_calloc(r->n, sizeof *names);
  if (!names) return tvi_fail(TV_ENOMEM, "%s: no memory for %lld names", r->who, (long long)r->n);
  for (int64_t i = 0; i < r->n; i++) names[i] = r->wants[i].name;
  if (r->n) qsort(names, (size_t)r->n, sizeof *names, compare_names);
  for (int64_t i = 0; i < archive_count(&r->file); i++) {
    const char *const name = archive_name(&r->file, i);
    const bool is_own = !strncmp(name, TVI_CHECKPOINT_OWN, sizeof TVI_CHECKPOINT_OWN - 1);
    if (is_own || !is_chosen(r, name)) continue;
    if (r->n && bsearch(&name, names, (size_t)r->n, sizeof *names, compare_names)) continue;
    differ(r, !r->o.allow_unexpected, TV_CHECKPOINT_UNEXPECTED, name, "");
  }
  tvi_free(names);
  return true;
}

/* A file of a later format may mean anything. */
static bool check_format(const restoring *r) {
  static const char name[] = TVI_CHECKPOINT_OWN "format";
  int64_t format = 1;
  if (archive_has(&r->file, name) && tv_item_i64(archive_read(&r->file, name, TV_CPU), &format))
    return false;
  return format == 1 || tvi_fail(TV_EFORMAT, "%s: found a checkpoint of format %lld, expected 1",
                                 r->who, (long long)format);
}

static bool compare(restoring *r) {
  if (!check_format(r) || !want_all(r) || !compare_wants(r) || !compare_unexpected(r)) return false;
  if (!r->n_refused) return true;
  char more[40] = "";
  if (r->n_listed < r->n_refused) {
    static const char and[] = "; and more: ";
    memcpy(more, and, sizeof and-1);
    const int n =
        tvi_integer_text((uint64_t)(r->n_refused - r->n_listed), false, more + sizeof and-1);
    more[sizeof and-1 + (size_t)n] = '\0';
  }
  if (r->list.has_failed)
    return tvi_fail(TV_ENOMEM, "%s: no memory to list %lld differences", r->who,
                    (long long)r->n_refused);
  return tvi_fail(TV_EFORMAT, "%s: %.*s%s", r->who, (int)r->list.n, r->list.bytes, more);
}

/* Read ---------------------------------------------------------------------------------------- */

static bool read_want(restoring *r, want *w) {
  const bool is_large = w->what == VALUE || w->what == SLOT;
  tv_tensor *const x = archive_read(&r->file, w->name, is_large ? w->of->device : TV_CPU);
  if (!x || !is_large) return (w->x = x) != NULL;
  /* In the dtype, and in memory, that a Variable or a slot can have. */
  tv_tensor *const converted = tv_astype(x, w->dtype);
  w->x = converted ? tvi_scope_own(tvi_value_of(r->who, converted, w->dtype, w->of->device)) : NULL;
  return w->x != NULL;
}

/* Numbers that an optimizer can have. */
static bool check_number(const restoring *r, const want *w) {
  int64_t steps = 0;
  double rate = 0;
  if ((w->what == STEPS || w->what == MEMBER_STEPS) && tv_item_i64(w->x, &steps)) return false;
  if (w->what == RATE && tv_item_f64(w->x, &rate)) return false;
  if (steps >= 0 && rate >= 0 && isfinite(rate)) return true;
  char text[64];
  return tvi_fail(TV_EFORMAT, "%s: '%s' is negative or not finite", r->who,
                  tvi_escape(text, sizeof text, w->name, strlen(w->name)));
}

static bool read_wants(restoring *r) {
  for (int64_t i = 0; i < r->n; i++) {
    want *const w = &r->wants[i];
    if (r->is_left[w->entry] || w->what == KIND) continue;
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
static bool gather_members(const restoring *r, int entry, putting *p) {
  tv_optimizer *const o = r->c->entries[entry].of.optimizer;
  const int n_slots = tvi_optimizer_n_slots(o);
  if (!putting_new(p, r->who, r->c->n, n_slots)) return false;
  for (int64_t i = 0; i < r->n; i++) {
    const want *const w = &r->wants[i];
    if (w->entry != entry) continue;
    if (w->what == STEPS && tv_item_i64(w->x, &p->steps_total)) return false;
    if (w->what == RATE && tv_item_f64(w->x, &p->rate)) return false;
    if (w->what == MEMBER_STEPS) { /* its slots follow */
      if (tv_item_i64(w->x, &p->steps[p->n])) return false;
      p->variables[p->n++] = w->of;
    }
    if (w->what == SLOT) p->slots[(p->n - 1) * n_slots + w->slot] = tv_retain(w->x);
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
static bool prepare_members(const restoring *r, int entry, putting *p) {
  tv_optimizer *const o = r->c->entries[entry].of.optimizer;
  int n = p->n_kept;
  for (int i = n; i < p->n; i++)
    if (tvi_optimizer_find(o, p->variables[i], i)) p->variables[n++] = p->variables[i];
  p->n = n;
  return !tvi_optimizer_reserve(o, n);
}

/* With its lock held: the value as the Variable can have it. */
static bool prepare_value(const restoring *r, want *w) {
  tv_variable *const v = w->of;
  if (tvi_variable_writable(r->who, v)) return false;
  tv_tensor *const held =
      tvi_scope_own(tvi_constrained(r->who, &v->constraint, v->name, TVI_WRITE, w->x));
  w->x = held ? tvi_value_of(r->who, held, v->dtype, v->device) : NULL;
  return w->x != NULL; /* with a count of its own */
}

static bool prepare(restoring *r, putting *puttings) {
  for (int64_t i = 0; i < r->n; i++) { /* shapes may have changed since the first look */
    const want *const w = &r->wants[i];
    if ((w->what != VALUE && w->what != SLOT) || r->is_left[w->entry] || has_shape(r, w)) continue;
    return tvi_fail(TV_EBUSY, "%s: Variable '%s' changed its shape meanwhile", r->who, w->of->name);
  }
  for (int k = 0; k < r->c->n; k++)
    if (r->c->entries[k].kind == TVI_OPTIMIZER && !r->is_left[k] &&
        !prepare_members(r, k, &puttings[k]))
      return false;
  for (int64_t i = 0; i < r->n; i++) {
    want *const w = &r->wants[i];
    if (w->what != VALUE || r->is_left[w->entry] || prepare_value(r, w)) continue;
    for (int64_t j = 0; j < i; j++) { /* counts that were to move in */
      if (r->wants[j].what == VALUE && !r->is_left[r->wants[j].entry]) tv_release(r->wants[j].x);
    }
    return false;
  }
  return true;
}

/* Commit -------------------------------------------------------------------------------------- */

/* Cannot fail. Old values are left in the wants and puttings, to be released after unlocking. */
static void commit(restoring *r, putting *puttings) {
  for (int64_t i = 0; i < r->n; i++) {
    want *const w = &r->wants[i];
    if (w->what == VALUE && !r->is_left[w->entry]) {
      r->c->entries[w->entry].has_saved_version = false;
      w->x = tvi_variable_commit(w->of, w->x, "checkpoint_restore");
    }
  }
  for (int k = 0; k < r->c->n; k++) {
    putting *const p = &puttings[k];
    if (r->c->entries[k].kind == TVI_OPTIMIZER && !r->is_left[k])
      tvi_optimizer_put(r->c->entries[k].of.optimizer, p->steps_total, p->rate, p->n, p->variables,
                        p->steps, p->slots);
  }
  for (int64_t i = 0; i < r->n; i++) {
    const want *const w = &r->wants[i];
    tvi_entry *const e = &r->c->entries[w->entry];
    if (r->is_left[w->entry]) continue;
    if (w->what == VERSION) {
      memcpy(&e->saved_version, w->x->data, sizeof e->saved_version);
      e->has_saved_version = true;
    }
    if (w->what == COUNTER) memcpy(e->of.counter, w->x->data, sizeof *e->of.counter);
    if (w->what == KEY) memcpy(&e->of.key->seed, w->x->data, sizeof(uint64_t));
    if (w->what == KEY) memcpy(&e->of.key->stream, w->x->data + sizeof(uint64_t), sizeof(uint64_t));
  }
}

static bool put_back(restoring *r, putting *puttings) {
  tvi_locks locks;
  bool is_done = true;
  for (int k = 0; k < r->c->n && is_done; k++)
    if (r->c->entries[k].kind == TVI_OPTIMIZER && !r->is_left[k])
      is_done = gather_members(r, k, &puttings[k]);
  if (!is_done || tvi_locks_new(&locks, r->who, r->c)) return false;
  tvi_lock_all(&locks);
  is_done = prepare(r, puttings);
  if (is_done) commit(r, puttings);
  tvi_unlock_all(&locks);
  tvi_locks_free(&locks);
  for (int64_t i = 0; i < r->n && is_done; i++) {
    const want *const w = &r->wants[i];
    if (r->is_left[w->entry]) continue;
    if (w->what == VALUE) tv_release(w->x);
    tell(r, TV_CHECKPOINT_LOADED, w->name, "");
  }
  return is_done;
}

/* The whole ----------------------------------------------------------------------------------- */

static bool restore(restoring *r) {
  r->is_left = tvi_calloc(r->c->n, sizeof *r->is_left);
  putting *const puttings = tvi_calloc(r->c->n, sizeof *puttings);
  bool is_done = r->is_left && puttings;
  if (!is_done) tvi_fail(TV_ENOMEM, "%s: no memory for %d entries", r->who, r->c->n);
  is_done = is_done && compare(r) && read_wants(r) && put_back(r, puttings);
  for (int k = 0; puttings && k < r->c->n; k++)
    if (r->c->entries[k].kind == TVI_OPTIMIZER)
      putting_free(&puttings[k], tvi_optimizer_n_slots(r->c->entries[k].of.optimizer));
  for (int64_t i = 0; i < r->n; i++) tvi_free(r->wants[i].name);
  tvi_free(r->wants);
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
  restoring r = {.c = c, .o = TV_CHECKPOINT_OPTIONS, .list = TVI_WRITER};
  if (options) {
    if (!tvi_options_fit(verb, options->size, sizeof r.o)) return TV_EVALUE;
    memcpy(&r.o, options, options->size);
  }
  r.who = tvi_who_text(&who, verb, path);
  if (!archive_open(&r.file, path)) return tvi_failure();
  tv_scope scope;
  tv_status status = tvi_scope_open(&scope);
  if (!status) {
    tvi_self.paused++;
    pthread_mutex_lock(&c->lock);
    if (!restore(&r)) status = tvi_failure();
    pthread_mutex_unlock(&c->lock);
    tvi_self.paused--;
    tvi_scope_close(&scope);
  }
  archive_close(&r.file);
  return status;
}
