/* SPDX-License-Identifier: MIT
 * Comparing a checkpoint with a file by its headers: everything that is missing, unexpected, or of
 * another shape, dtype or kind, before anything large is read. */
#include "difference.h"

#include <stdlib.h>
#include <string.h>
#include <tensorvar/ops.h>
#include <tensorvar/print.h>

#include "io/file.h"
#include "kept.h"
#include "memory.h"
#include "optimizer.h"
#include "status.h"
#include "variable.h"

/* The file ------------------------------------------------------------------------------------ */

bool tvi_archive_open(tvi_archive *a, const char *path) {
  *a = (tvi_archive){NULL, NULL};
  if (tvi_is_safetensors(path))
    a->safetensors = tv_safetensors_open(path);
  else
    a->npz = tv_npz_open(path, NULL);
  return a->npz || a->safetensors;
}

void tvi_archive_close(tvi_archive *a) {
  tv_npz_release(a->npz);
  tv_safetensors_release(a->safetensors);
}

static int64_t archive_count(const tvi_archive *a) {
  return a->npz ? tv_npz_count(a->npz) : tv_safetensors_count(a->safetensors);
}

static const char *archive_name(const tvi_archive *a, int64_t i) {
  return a->npz ? tv_npz_name(a->npz, i) : tv_safetensors_name(a->safetensors, i);
}

static bool archive_has(const tvi_archive *a, const char *name) {
  return a->npz ? tv_npz_has(a->npz, name) : tv_safetensors_has(a->safetensors, name);
}

/* NumPy has no bfloat16: what is 2-byte void here is one. */
static tv_status archive_info(const tvi_archive *a, const char *name, tv_npy_layout *layout) {
  tv_npy_options o = TV_NPY_OPTIONS;
  o.void2_is_bf16 = true;
  return a->npz ? tv_npz_info(a->npz, name, &o, layout)
                : tv_safetensors_info(a->safetensors, name, layout);
}

tv_tensor *tvi_archive_read(const tvi_archive *a, const char *name, tv_device device) {
  tv_npy_options o = TV_NPY_OPTIONS;
  o.void2_is_bf16 = true;
  o.device = device;
  return a->npz ? tv_npz_read(a->npz, name, &o) : tv_safetensors_read(a->safetensors, name, &o);
}

/* What is wanted ------------------------------------------------------------------------------ */

static bool is_chosen(const tvi_restoring *r, const char *name) {
  return !r->o.prefix || !strncmp(name, r->o.prefix, strlen(r->o.prefix));
}

/* A want of a name, which is taken over. */
static tvi_want *add(tvi_restoring *r, char *name, tvi_role what, int entry) {
  if (!name) return NULL;
  if (r->n == r->room) {
    const int64_t room = r->room ? 2 * r->room : 64;
    tvi_want *const larger = tvi_realloc(r->wants, room * (int64_t)sizeof *larger);
    if (!larger) {
      tvi_free(name);
      return tvi_fail(TV_ENOMEM, "%s: no memory for %lld arrays", r->who, (long long)room);
    }
    r->wants = larger;
    r->room = room;
  }
  static const tv_dtype dtypes[] = {
      [TVI_WANT_VALUE] = TV_DTYPE_NONE, [TVI_WANT_VERSION] = TV_U64,
      [TVI_WANT_KIND] = TV_U8,          [TVI_WANT_STEPS] = TV_I64,
      [TVI_WANT_RATE] = TV_F64,         [TVI_WANT_MEMBER_STEPS] = TV_I64,
      [TVI_WANT_SLOT] = TV_DTYPE_NONE,  [TVI_WANT_KEY] = TV_U64,
      [TVI_WANT_COUNTER] = TV_I64,      [TVI_WANT_NUMBER] = TV_F64,
      [TVI_WANT_WHOLE] = TV_I64,        [TVI_WANT_REAL] = TV_F64,
      [TVI_WANT_ANY] = TV_DTYPE_NONE,   [TVI_WANT_SETTING] = TV_F64};
  tvi_want *const w = &r->wants[r->n++];
  *w = (tvi_want){
      .name = name, .what = what, .entry = entry, .dtype = dtypes[what], .layout = TV_NPY_LAYOUT};
  return w;
}

static char *plain(const tvi_restoring *r, const char *name) {
  const size_t bytes = strlen(name) + 1;
  char *const copy = tvi_malloc((int64_t)bytes);
  return copy ? memcpy(copy, name, bytes) : tvi_fail(TV_ENOMEM, "%s: no memory for a name", r->who);
}

static bool want_variable(tvi_restoring *r, int k) {
  const tvi_entry *const e = &r->c->entries[k];
  tvi_want *const value = add(r, plain(r, e->name), TVI_WANT_VALUE, k);
  if (!value) return false;
  value->of = e->of.variable;
  value->dtype = e->of.variable->dtype;
  char *const version = tvi_joined(r->who, TVI_CHECKPOINT_OWN "version", e->name, NULL);
  if (version && !archive_has(&r->file, version)) { /* as in any file that is not ours */
    tvi_free(version);
    return true;
  }
  return add(r, version, TVI_WANT_VERSION, k);
}

/* What the file says of a setting, if anything: a file of an earlier release says nothing. The name
 * is taken over. */
static bool want_setting(tvi_restoring *r, int k, char *name, tv_variable *of, int slot) {
  if (!name) return false;
  if (!archive_has(&r->file, name)) {
    tvi_free(name);
    return true;
  }
  tvi_want *const w = add(r, name, TVI_WANT_SETTING, k);
  if (!w) return false;
  w->of = of;
  w->slot = slot;
  return true;
}

/* What the file keeps of a Variable, if anything. */
static bool want_member(tvi_restoring *r, int k, const tvi_entry *of) {
  const tvi_entry *const e = &r->c->entries[k];
  char *const name = tvi_joined(r->who, e->name, of->name, "steps");
  if (!name) return false;
  if (!archive_has(&r->file, name)) {
    tvi_free(name);
    return true;
  }
  tvi_want *w = add(r, name, TVI_WANT_MEMBER_STEPS, k);
  if (!w) return false;
  w->of = of->of.variable;
  for (int j = 0; j < tvi_optimizer_n_slots(e->of.optimizer); j++) {
    w = add(r, tvi_joined(r->who, e->name, of->name, tvi_optimizer_slot_name(e->of.optimizer, j)),
            TVI_WANT_SLOT, k);
    if (!w) return false;
    w->of = of->of.variable;
    w->slot = j;
    w->dtype = tvi_optimizer_slot_dtype(e->of.optimizer, of->of.variable, j);
  }
  bool is_done = true;
  for (int j = 0; j < TVI_GROUP_NUMBERS && is_done; j++)
    is_done = want_setting(r, k, tvi_joined(r->who, e->name, of->name, tvi_group_name(j)),
                           of->of.variable, j);
  return is_done;
}

static bool want_optimizer(tvi_restoring *r, int k) {
  const char *const name = r->c->entries[k].name;
  bool is_done = add(r, tvi_joined(r->who, name, "kind", NULL), TVI_WANT_KIND, k) &&
                 add(r, tvi_joined(r->who, name, "steps", NULL), TVI_WANT_STEPS, k) &&
                 add(r, tvi_joined(r->who, name, "learning_rate", NULL), TVI_WANT_RATE, k);
  for (int j = 0; j < tvi_optimizer_n_numbers() && is_done; j++)
    is_done = want_setting(r, k, tvi_joined(r->who, name, "settings", tvi_optimizer_number_name(j)),
                           NULL, j);
  for (int i = 0; i < r->c->n && is_done; i++)
    if (r->c->entries[i].kind == TVI_VARIABLE) is_done = want_member(r, k, &r->c->entries[i]);
  return is_done;
}

bool tvi_restoring_has(const tvi_restoring *r, const tvi_entry *entry, const tvi_entry *of,
                       const char *name, bool *has) {
  char *const joined = tvi_joined(r->who, entry->name, of ? of->name : name, of ? name : NULL);
  *has = joined && archive_has(&r->file, joined);
  tvi_free(joined);
  return joined != NULL;
}

bool tvi_restoring_want(tvi_restoring *r, const tvi_entry *entry, const tvi_entry *of,
                        const char *name, tvi_role what, int slot) {
  tvi_want *const w =
      add(r, tvi_joined(r->who, entry->name, of ? of->name : name, of ? name : NULL), what,
          (int)(entry - r->c->entries));
  if (!w) return false;
  w->slot = slot;
  if (!of) return true;
  w->of = of->of.variable;
  if (what == TVI_WANT_SLOT) w->dtype = tvi_slot_dtype((tvi_slot_kind){NULL, false}, w->of->dtype);
  return true;
}

static bool want_kept(tvi_restoring *r, int k) {
  const tvi_entry *const e = &r->c->entries[k];
  return add(r, tvi_joined(r->who, e->name, "kind", NULL), TVI_WANT_KIND, k) &&
         e->keeper->want(e->of.any, r, e);
}

static bool want_all(tvi_restoring *r) {
  bool is_done = true;
  int n_chosen = 0;
  for (int k = 0; k < r->c->n && is_done; k++) {
    const tvi_entry *const e = &r->c->entries[k];
    r->is_left[k] = !is_chosen(r, e->name);
    if (r->is_left[k]) continue;
    n_chosen++;
    if (e->kind == TVI_VARIABLE)
      is_done = want_variable(r, k);
    else if (e->kind == TVI_OPTIMIZER)
      is_done = want_optimizer(r, k);
    else if (e->kind == TVI_KEPT)
      is_done = want_kept(r, k);
    else
      is_done = add(r, plain(r, e->name),
                    e->kind == TVI_KEY       ? TVI_WANT_KEY
                    : e->kind == TVI_COUNTER ? TVI_WANT_COUNTER
                                             : TVI_WANT_NUMBER,
                    k);
  }
  if (!is_done || n_chosen || !r->o.prefix) return is_done;
  char text[64];
  return tvi_fail(TV_EVALUE, "%s: nothing was added under a name that begins with '%s'", r->who,
                  tvi_escape(text, sizeof text, r->o.prefix, strlen(r->o.prefix)));
}

/* Differences --------------------------------------------------------------------------------- */

void tvi_restoring_tell(tvi_restoring *r, tv_checkpoint_event event, const char *name,
                        const char *text) {
  if (r->o.report) r->o.report(r->o.user, event, name, text);
}

/* A difference is told, and listed if it refuses the file: as many as a failure's text has room
 * for.
 */
static void differ(tvi_restoring *r, bool is_refused, tv_checkpoint_event event, const char *name,
                   const char *text) {
  static const char *const words[] = {"",         "missing", "unexpected", "shape of",
                                      "dtype of", "kind of", "setting"};
  enum { MOST_LISTED = 280 };
  char shown[72];
  tvi_restoring_tell(r, event, name, text);
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
static const tv_npy_layout *new_value_of(const tvi_restoring *r, const tv_variable *v) {
  for (int64_t i = 0; i < r->n; i++)
    if (r->wants[i].what == TVI_WANT_VALUE && r->wants[i].of == v && r->wants[i].is_there)
      return &r->wants[i].layout;
  return NULL;
}

/* The shape that is wanted; with the Variable's lock held, or for a first look. */
static int shape_wanted(const tvi_restoring *r, const tvi_want *w, int64_t *shape) {
  if (w->what == TVI_WANT_KEY || w->what == TVI_WANT_KIND) {
    shape[0] = w->what == TVI_WANT_KEY ? 2 : w->layout.rank == 1 ? w->layout.shape[0] : 0;
    return 1;
  }
  if ((w->what != TVI_WANT_VALUE && w->what != TVI_WANT_SLOT) || !w->of) return 0;
  const tv_npy_layout *const fresh = w->what == TVI_WANT_SLOT ? new_value_of(r, w->of) : NULL;
  if (fresh) {
    memcpy(shape, fresh->shape, (size_t)fresh->rank * sizeof *shape);
    return fresh->rank;
  }
  const tv_variable *const v = w->of;
  for (int k = 0; k < v->rank; k++) {
    const bool is_open = w->what == TVI_WANT_VALUE && v->is_open && v->is_open[k];
    shape[k] = is_open && k < w->layout.rank ? w->layout.shape[k] : v->value->shape[k];
  }
  return v->rank;
}

bool tvi_want_fits(const tvi_restoring *r, const tvi_want *w) {
  int64_t shape[TV_MAX_RANK];
  if (w->what == TVI_WANT_ANY) return true;
  const int rank = shape_wanted(r, w, shape);
  if (rank != w->layout.rank) return false;
  for (int k = 0; k < rank; k++)
    if (shape[k] != w->layout.shape[k]) return false;
  return true;
}

static void check_shape(tvi_restoring *r, tvi_want *w) {
  char text[160];
  tvi_text there, here;
  int64_t shape[TV_MAX_RANK];
  /* If it is not to be had, this thread has it. */
  const bool is_locked = w->of && !pthread_mutex_lock(&w->of->lock);
  const bool has = tvi_want_fits(r, w);
  const int rank = shape_wanted(r, w, shape);
  if (is_locked) pthread_mutex_unlock(&w->of->lock);
  if (has) return;
  difference(text, sizeof text, tvi_shape_text(&there, w->layout.rank, w->layout.shape),
             tvi_shape_text(&here, rank, shape));
  differ(r, true, TV_CHECKPOINT_SHAPE, w->name, text);
}

static void check_dtype(tvi_restoring *r, const tvi_want *w) {
  char text[160];
  if (w->layout.dtype == w->dtype || w->what == TVI_WANT_ANY) return;
  const bool may_convert = (w->what == TVI_WANT_VALUE || w->what == TVI_WANT_SLOT) &&
                           r->o.same_kind &&
                           tv_can_cast(w->layout.dtype, w->dtype, TV_CAST_SAME_KIND);
  difference(text, sizeof text, tv_dtype_name(w->layout.dtype), tv_dtype_name(w->dtype));
  differ(r, !may_convert, TV_CHECKPOINT_DTYPE, w->name, text);
}

/* The kind is compared when it has the dtype and rank of one. */
static bool check_kind(tvi_restoring *r, tvi_want *w) {
  char there[64], text[160];
  const tvi_entry *const e = &r->c->entries[w->entry];
  const char *const kind =
      e->kind == TVI_KEPT ? e->keeper->kind : tvi_optimizer_kind(e->of.optimizer);
  if (w->layout.dtype != TV_U8 || w->layout.rank != 1) return true;
  tv_tensor *const x = tvi_archive_read(&r->file, w->name, TV_CPU);
  const char *const found = x ? tv_tensor_data(x) : NULL;
  if (!x || (w->layout.bytes && !found)) return false;
  const size_t n = (size_t)w->layout.bytes;
  if (n == strlen(kind) && !memcmp(found, kind, n)) return true;
  difference(text, sizeof text, tvi_escape(there, sizeof there, found ? found : "", n), kind);
  differ(r, true, TV_CHECKPOINT_KIND, w->name, text);
  w->is_other = true;
  return true;
}

/* Settings ------------------------------------------------------------------------------------ */

static void check_setting(tvi_restoring *r, const char *name, double there, double here) {
  char left[64] = "?", right[64] = "?", text[160];
  if (there == here) return;
  tv_format(tv_scalar_real(there), TV_STR, left, sizeof left);
  tv_format(tv_scalar_real(here), TV_STR, right, sizeof right);
  difference(text, sizeof text, left, right);
  differ(r, !r->o.allow_settings, TV_CHECKPOINT_SETTING, name, text);
}

/* The file's want of a setting, and what it says; NULL: it does not say. `after`: the want behind
 * which those of the same Variable are; -1: of the optimizer itself. */
static bool setting_of(tvi_restoring *r, int k, int64_t after, int slot, tvi_want **found,
                       double *there) {
  const tv_variable *const of = after < 0 ? NULL : r->wants[after].of;
  *found = NULL;
  for (int64_t i = after + 1; i < r->n; i++) {
    tvi_want *const w = &r->wants[i];
    if (of && (w->entry != k || w->of != of)) break;
    if (w->entry != k || w->what != TVI_WANT_SETTING || w->of != of || w->slot != slot) continue;
    *found = w;
    w->is_other = w->layout.dtype != TV_F64 || w->layout.rank != 0;
    return w->is_other || !tv_item_f64(tvi_archive_read(&r->file, w->name, TV_CPU), there);
  }
  return true;
}

/* One setting. Where the file does not say, it means `otherwise`, which is compared unless what is
 * here is `own`: that of a Variable in no group has been told already. *there: what the file says.
 */
static bool compare_setting(tvi_restoring *r, int k, int64_t after, int slot, char *name,
                            double otherwise, double own, double here, double *there) {
  tvi_want *w = NULL;
  *there = otherwise;
  const bool is_done = name && setting_of(r, k, after, slot, &w, there);
  const bool is_compared = w ? !w->is_other : here != own;
  if (is_done && is_compared) check_setting(r, name, *there, here);
  if (w) w->is_other = *there != here;
  tvi_free(name);
  return is_done;
}

/* Of a Variable's group; `otherwise` is what the file says of those outside of groups. */
static bool compare_group(tvi_restoring *r, int k, const tvi_want *steps, const double *otherwise) {
  tv_optimizer *const o = r->c->entries[k].of.optimizer;
  const int n = (int)(strlen(steps->name) - strlen("/steps"));
  double here[TVI_GROUP_NUMBERS], there;
  const double own[TVI_GROUP_NUMBERS] = {1, o->with.weight_decay, o->with.decoupled_decay};
  if (tvi_optimizer_lock(r->who, o)) return false;
  for (int j = 0; j < TVI_GROUP_NUMBERS; j++) here[j] = tvi_group_number(o, steps->of, j);
  tvi_optimizer_unlock(o);
  char *const of = tvi_malloc(n + 1);
  if (!of) return tvi_fail(TV_ENOMEM, "%s: no memory for a name", r->who);
  memcpy(of, steps->name, (size_t)n);
  of[n] = '\0';
  bool is_done = true;
  for (int j = 0; j < TVI_GROUP_NUMBERS && is_done; j++)
    is_done =
        compare_setting(r, k, steps - r->wants, j, tvi_joined(r->who, of, tvi_group_name(j), NULL),
                        otherwise[j], own[j], here[j], &there);
  tvi_free(of);
  return is_done;
}

/* Of the optimizer, then of every Variable that the file keeps something of. weight_decay is always
 * there: without it the file says nothing of settings. */
static bool compare_settings(tvi_restoring *r, int k) {
  const tvi_entry *const e = &r->c->entries[k];
  const tv_optimizer *const o = e->of.optimizer;
  double of_groups[TVI_GROUP_NUMBERS] = {1, 0, 0}, there; /* where the file does not say */
  bool is_told = false;
  bool is_done = tvi_restoring_has(r, e, NULL, "settings/weight_decay", &is_told);
  for (int j = 0; j < tvi_optimizer_n_numbers() && is_done && is_told; j++) {
    const char *const name = tvi_optimizer_number_name(j);
    is_done = compare_setting(r, k, -1, j, tvi_joined(r->who, e->name, "settings", name), 0, 0,
                              tvi_optimizer_number(o, j), &there);
    for (int i = 0; i < TVI_GROUP_NUMBERS; i++)
      if (!strcmp(name, tvi_group_name(i))) of_groups[i] = there;
  }
  for (int64_t i = 0; i < r->n && is_done && is_told; i++)
    if (r->wants[i].entry == k && r->wants[i].what == TVI_WANT_MEMBER_STEPS)
      is_done = compare_group(r, k, &r->wants[i], of_groups);
  return is_done;
}

/* What is missing, and of another shape, dtype or kind. Two passes: slots ask for their Variable.
 */
static bool compare_wants(tvi_restoring *r) {
  for (int64_t i = 0; i < r->n; i++) {
    tvi_want *const w = &r->wants[i];
    w->is_there = archive_has(&r->file, w->name);
    if (w->is_there && archive_info(&r->file, w->name, &w->layout)) return false;
    if (w->is_there) continue;
    differ(r, !r->o.allow_missing, TV_CHECKPOINT_MISSING, w->name, "");
    r->is_left[w->entry] = true;
  }
  for (int64_t i = 0; i < r->n; i++) {
    tvi_want *const w = &r->wants[i];
    if (!w->is_there || r->is_left[w->entry]) continue;
    check_shape(r, w);
    check_dtype(r, w);
    if (w->what != TVI_WANT_KIND) continue;
    if (!check_kind(r, w)) return false;
    if (!w->is_other && r->c->entries[w->entry].kind == TVI_OPTIMIZER &&
        !compare_settings(r, w->entry))
      return false;
  }
  return true;
}

static int compare_names(const void *left, const void *right) {
  return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static bool compare_unexpected(tvi_restoring *r) {
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
static bool check_format(const tvi_restoring *r) {
  static const char name[] = TVI_CHECKPOINT_OWN "format";
  int64_t format = 1;
  if (archive_has(&r->file, name) && tv_item_i64(tvi_archive_read(&r->file, name, TV_CPU), &format))
    return false;
  return format == 1 || tvi_fail(TV_EFORMAT, "%s: found a checkpoint of format %lld, expected 1",
                                 r->who, (long long)format);
}

bool tvi_restoring_compare(tvi_restoring *r) {
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
