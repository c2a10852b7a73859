/* SPDX-License-Identifier: MIT
 * The states of averages, loss scalers, accumulators, plateaus and L-BFGS as named arrays.
 * checkpoint.h lists the names. A state made of a file's arrays is whole before anything is locked.
 */
#include "kept.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <tensorvar/ops.h>
#include <tensorvar/rows.h>

#include "accumulator.h"
#include "average.h"
#include "lbfgs.h"
#include "memory.h"
#include "optimizer.h"
#include "rows.h"
#include "scaler.h"
#include "status.h"
#include "thread.h"
#include "variable.h"

/* Numbers of an entry, by their slots; those that the file was not asked for stay 0. */
enum { MOST_NUMBERS = 4 };
typedef struct {
  int64_t whole[MOST_NUMBERS];
  double real[MOST_NUMBERS];
} numbers;

/* No whole number here is negative, and no real one NaN; reals that only plateaus have may be
 * infinite. Those of single Variables, or beyond `MOST_NUMBERS`, are left to their keeper. */
static bool numbers_of(const tvi_restoring *r, const tvi_entry *e, bool may_be_infinite,
                       numbers *all) {
  const int entry = (int)(e - r->c->entries);
  *all = (numbers){{0}, {0}};
  for (int64_t i = 0; i < r->n; i++) {
    const tvi_want *const w = &r->wants[i];
    int64_t whole = 0;
    double real = 0;
    if (w->entry != entry || (w->what != TVI_WANT_WHOLE && w->what != TVI_WANT_REAL)) continue;
    if (w->what == TVI_WANT_WHOLE ? tv_item_i64(w->x, &whole) : tv_item_f64(w->x, &real))
      return false;
    if (whole < 0 || isnan(real) || (isinf(real) && !may_be_infinite))
      return tvi_restoring_refuse(r, w);
    if (w->of || w->slot >= MOST_NUMBERS) continue;
    if (w->what == TVI_WANT_WHOLE) all->whole[w->slot] = whole;
    if (w->what == TVI_WANT_REAL) all->real[w->slot] = real;
  }
  return true;
}

/* "y/3", "3/sum". */
typedef char numbered[32];
static const char *name_of_pair(numbered name, const char *what, int k) {
  snprintf(name, sizeof(numbered), "%s/%d", what, k);
  return name;
}
static const char *name_of_place(numbered name, int k, const char *what) {
  snprintf(name, sizeof(numbered), "%d/%s", k, what);
  return name;
}

static void *no_memory(const tvi_restoring *r, const tvi_entry *e) {
  return tvi_fail(TV_ENOMEM, "%s: no memory for the state of '%s'", r->who, e->name);
}

/* Averages ------------------------------------------------------------------------------------- */

enum { AVERAGE, VALUE };

static pthread_mutex_t *average_lock(void *object) { return &((tv_average *)object)->lock; }
static void average_release(void *object) { tv_average_release(object); }

static bool average_save(void *object, tvi_saving *s) {
  const tv_average *const a = object;
  bool is_done = tvi_save_whole(s, "updates", a->updates);
  for (int k = 0; k < a->n_members && is_done; k++) {
    const tvi_averaged *const m = &a->members[k];
    is_done = tvi_save_of(s, m->variable, "average", m->average) &&
              (!m->own || tvi_save_of(s, m->variable, "value", m->own));
  }
  return is_done;
}

static bool average_want(void *object, tvi_restoring *r, const tvi_entry *e) {
  (void)object;
  bool is_done = tvi_restoring_want(r, e, NULL, "updates", TVI_WANT_WHOLE, 0);
  for (int k = 0; k < r->c->n && is_done; k++) {
    const tvi_entry *const of = &r->c->entries[k];
    bool has = false, has_value = false;
    if (of->kind != TVI_VARIABLE) continue;
    is_done = tvi_restoring_has(r, e, of, "average", &has) &&
              tvi_restoring_has(r, e, of, "value", &has_value);
    if (is_done && (has || has_value))
      is_done = tvi_restoring_want(r, e, of, "average", TVI_WANT_SLOT, AVERAGE);
    if (!is_done || !has_value) continue;
    is_done = tvi_restoring_want(r, e, of, "value", TVI_WANT_SLOT, VALUE);
    if (is_done) r->wants[r->n - 1].dtype = of->of.variable->dtype;
  }
  return is_done;
}

typedef struct {
  int64_t updates;
  tvi_averaged *members;
  int n, room;
} averages;

static void average_discard(void *state) {
  averages *const s = state;
  tvi_averaged_release(s->members, s->n);
  tvi_free(s);
}

static void *average_prepare(void *object, const tvi_restoring *r, const tvi_entry *e) {
  (void)object;
  numbers all;
  if (!numbers_of(r, e, false, &all)) return NULL;
  averages *const s = tvi_calloc(1, sizeof *s);
  tvi_averaged *const members = tvi_calloc(r->c->n, sizeof *members);
  if (!s || !members) {
    tvi_free(s);
    tvi_free(members);
    return no_memory(r, e);
  }
  *s = (averages){.updates = all.whole[0], .members = members, .room = r->c->n};
  for (int64_t i = 0; i < r->n; i++) { /* a value follows its average */
    const tvi_want *const w = &r->wants[i];
    if (&r->c->entries[w->entry] != e || w->what != TVI_WANT_SLOT) continue;
    if (w->slot == VALUE)
      members[s->n - 1].own = tv_retain(w->x);
    else
      members[s->n++] =
          (tvi_averaged){.variable = tv_variable_retain(w->of), .average = tv_retain(w->x)};
  }
  return s;
}

static void average_commit(void *object, void *state) {
  tv_average *const a = object;
  averages *const s = state;
  const averages before = {a->updates, a->members, a->n_members, a->room};
  a->updates = s->updates;
  a->members = s->members;
  a->n_members = s->n;
  a->room = s->room;
  *s = before;
}

const tvi_keeper tvi_average_keeper = {
    "average",    "the average", TVI_AVERAGE_ORDER, average_lock,   average_release,
    average_save, average_want,  average_prepare,   average_commit, average_discard};

/* Loss scalers --------------------------------------------------------------------------------- */

static void scaler_release(void *object) { tv_scaler_release(object); }

/* Its lock is taken for these moments alone: a callback under the other locks may ask for it. */
static bool scaler_save(void *object, tvi_saving *s) {
  tv_scaler *const scaler = object;
  pthread_mutex_lock(&scaler->lock);
  const double scale = scaler->scale;
  const int64_t n_finite = scaler->n_finite;
  pthread_mutex_unlock(&scaler->lock);
  return tvi_save_real(s, "scale", scale) && tvi_save_whole(s, "n_finite", n_finite);
}

static bool scaler_want(void *object, tvi_restoring *r, const tvi_entry *e) {
  (void)object;
  return tvi_restoring_want(r, e, NULL, "scale", TVI_WANT_REAL, 0) &&
         tvi_restoring_want(r, e, NULL, "n_finite", TVI_WANT_WHOLE, 0);
}

static void *scaler_prepare(void *object, const tvi_restoring *r, const tvi_entry *e) {
  (void)object;
  numbers all;
  if (!numbers_of(r, e, false, &all)) return NULL;
  if (!(all.real[0] > 0))
    return tvi_fail(TV_EFORMAT, "%s: the scale of '%s' is not above 0", r->who, e->name);
  numbers *const state = tvi_malloc(sizeof *state);
  if (!state) return no_memory(r, e);
  *state = all;
  return state;
}

static void scaler_commit(void *object, void *state) {
  tv_scaler *const scaler = object;
  const numbers *const all = state;
  pthread_mutex_lock(&scaler->lock);
  scaler->scale = all->real[0];
  scaler->n_finite = all->whole[0];
  pthread_mutex_unlock(&scaler->lock);
}

const tvi_keeper tvi_scaler_keeper = {"scaler",       "the scaler", 0,           NULL,
                                      scaler_release, scaler_save,  scaler_want, scaler_prepare,
                                      scaler_commit,  tvi_free};

/* Accumulators --------------------------------------------------------------------------------- */

enum { DTYPE, SUM, INDICES, VALUES, OF_PLACE };

static void accumulator_release(void *object) { tv_accumulator_release(object); }

static bool accumulator_save_place(const tvi_sum *p, int k, tvi_saving *s) {
  numbered name;
  const tvi_rows *const rows = p->sum->rows;
  if (!tvi_save_text(s, name_of_place(name, k, "dtype"), tv_dtype_name(p->dtype))) return false;
  if (!rows) return tvi_save_array(s, name_of_place(name, k, "sum"), p->sum);
  return tvi_save_array(s, name_of_place(name, k, "indices"), rows->indices) &&
         tvi_save_array(s, name_of_place(name, k, "values"), rows->values) &&
         tvi_save_whole(s, name_of_place(name, k, "n"), p->sum->shape[0]);
}

static bool accumulator_save(void *object, tvi_saving *s) {
  tv_accumulator *const a = object;
  pthread_mutex_lock(&a->lock);
  bool is_done = tvi_save_whole(s, "count", a->count);
  for (int k = 0; k < a->n && is_done; k++) is_done = accumulator_save_place(&a->places[k], k, s);
  pthread_mutex_unlock(&a->lock);
  return is_done;
}

/* A place has rows or a sum: what is there of them tells which. */
static bool accumulator_want(void *object, tvi_restoring *r, const tvi_entry *e) {
  (void)object;
  numbered name;
  bool has = true, has_rows = false;
  bool is_done = tvi_restoring_want(r, e, NULL, "count", TVI_WANT_WHOLE, 0);
  for (int k = 0; is_done && has; k++) {
    const int at = OF_PLACE * k;
    is_done = tvi_restoring_has(r, e, NULL, name_of_place(name, k, "dtype"), &has);
    if (!is_done || !has) break;
    is_done = tvi_restoring_want(r, e, NULL, name, TVI_WANT_ANY, at + DTYPE) &&
              tvi_restoring_has(r, e, NULL, name_of_place(name, k, "indices"), &has_rows);
    if (is_done && has_rows)
      is_done = tvi_restoring_want(r, e, NULL, name, TVI_WANT_ANY, at + INDICES) &&
                tvi_restoring_want(r, e, NULL, name_of_place(name, k, "values"), TVI_WANT_ANY,
                                   at + VALUES) &&
                tvi_restoring_want(r, e, NULL, name_of_place(name, k, "n"), TVI_WANT_WHOLE,
                                   MOST_NUMBERS + k);
    else if (is_done)
      is_done =
          tvi_restoring_want(r, e, NULL, name_of_place(name, k, "sum"), TVI_WANT_ANY, at + SUM);
  }
  return is_done;
}

typedef struct {
  int n;
  tvi_sum *places;
  int64_t count;
} sums;

static void accumulator_discard(void *state) {
  sums *const s = state;
  tvi_sums_release(s->places, s->n);
  tvi_free(s);
}

/* The floating or complex dtype of this name. */
static tv_dtype dtype_named(tv_tensor *x) {
  static const tv_dtype all[] = {TV_F16, TV_BF16, TV_F32, TV_F64, TV_C64, TV_C128};
  if (x->dtype != TV_U8 || x->rank != 1 || x->device != TV_CPU) return TV_DTYPE_NONE;
  for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
    const char *const name = tv_dtype_name(all[k]);
    if ((size_t)x->size == strlen(name) && !memcmp(x->data, name, strlen(name))) return all[k];
  }
  return TV_DTYPE_NONE;
}

/* Arrays of one place, as they were read. */
typedef struct {
  tv_tensor *array[OF_PLACE];
  int64_t n;
} parts;

/* Half precision is summed in float32. */
static bool sum_of(const tvi_restoring *r, const tvi_entry *e, const parts *p, int k, tvi_sum *to) {
  const tv_dtype dtype = dtype_named(p->array[DTYPE]);
  tv_tensor *const values = p->array[SUM] ? p->array[SUM] : p->array[VALUES];
  const bool is_right = dtype != TV_DTYPE_NONE &&
                        values->dtype == tvi_slot_dtype((tvi_slot_kind){NULL, false}, dtype);
  if (!is_right)
    return tvi_fail(TV_EFORMAT, "%s: '%s/%d' is no sum of gradients", r->who, e->name, k);
  tv_tensor *x = values;
  if (!p->array[SUM]) {
    if (p->array[INDICES]->dtype != TV_I64 || p->array[INDICES]->rank != 1)
      return tvi_fail(TV_EFORMAT, "%s: the indices of '%s/%d' are not int64 in one axis", r->who,
                      e->name, k);
    x = tv_scatter_rows(p->array[INDICES], values, p->n);
  }
  x = x ? tvi_sum_moved(x, tvi_self.device) : NULL;
  if (!x || (!x->rows && tv_evaluate(1, &x))) return false;
  *to = (tvi_sum){tv_retain(x), dtype, true};
  return true;
}

static void *accumulator_prepare(void *object, const tvi_restoring *r, const tvi_entry *e) {
  (void)object;
  numbers all;
  int n = 0;
  if (!numbers_of(r, e, false, &all)) return NULL;
  for (int64_t i = 0; i < r->n; i++)
    n += &r->c->entries[r->wants[i].entry] == e && r->wants[i].what == TVI_WANT_ANY &&
         r->wants[i].slot % OF_PLACE == DTYPE;
  if (n && all.whole[0] == 0)
    return tvi_fail(TV_EFORMAT, "%s: '%s' has sums of no gradients", r->who, e->name);
  sums *const s = tvi_calloc(1, sizeof *s);
  parts *const found = tvi_calloc(n, sizeof *found);
  if (s) *s = (sums){n, tvi_calloc(n, sizeof *s->places), all.whole[0]};
  bool is_done = s && found && s->places;
  if (!is_done) no_memory(r, e);
  for (int64_t i = 0; i < r->n && is_done; i++) {
    const tvi_want *const w = &r->wants[i];
    if (&r->c->entries[w->entry] != e) continue;
    if (w->what == TVI_WANT_ANY) found[w->slot / OF_PLACE].array[w->slot % OF_PLACE] = w->x;
    if (w->what == TVI_WANT_WHOLE && w->slot >= MOST_NUMBERS)
      is_done = !tv_item_i64(w->x, &found[w->slot - MOST_NUMBERS].n);
  }
  for (int k = 0; k < n && is_done; k++) is_done = sum_of(r, e, &found[k], k, &s->places[k]);
  tvi_free(found);
  if (is_done) return s;
  if (s && !s->places) s->n = 0;
  if (s) accumulator_discard(s);
  return NULL;
}

static void accumulator_commit(void *object, void *state) {
  tv_accumulator *const a = object;
  sums *const s = state;
  pthread_mutex_lock(&a->lock);
  const sums before = {a->n, a->places, a->count};
  a->n = s->n;
  a->places = s->places;
  a->count = s->count;
  pthread_mutex_unlock(&a->lock);
  *s = before;
}

const tvi_keeper tvi_accumulator_keeper = {"accumulator",
                                           "the accumulator",
                                           0,
                                           NULL,
                                           accumulator_release,
                                           accumulator_save,
                                           accumulator_want,
                                           accumulator_prepare,
                                           accumulator_commit,
                                           accumulator_discard};

/* Plateaus ------------------------------------------------------------------------------------- */

static bool plateau_save(void *object, tvi_saving *s) {
  const tv_plateau *const p = object;
  return tvi_save_whole(s, "has_best", p->has_best) && tvi_save_real(s, "best", p->best) &&
         tvi_save_whole(s, "n_bad", p->n_bad) && tvi_save_whole(s, "n_cooling", p->n_cooling);
}

static bool plateau_want(void *object, tvi_restoring *r, const tvi_entry *e) {
  (void)object;
  return tvi_restoring_want(r, e, NULL, "has_best", TVI_WANT_WHOLE, 0) &&
         tvi_restoring_want(r, e, NULL, "best", TVI_WANT_REAL, 0) &&
         tvi_restoring_want(r, e, NULL, "n_bad", TVI_WANT_WHOLE, 1) &&
         tvi_restoring_want(r, e, NULL, "n_cooling", TVI_WANT_WHOLE, 2);
}

static void *plateau_prepare(void *object, const tvi_restoring *r, const tvi_entry *e) {
  (void)object;
  numbers all;
  if (!numbers_of(r, e, true, &all)) return NULL;
  numbers *const state = tvi_malloc(sizeof *state);
  if (!state) return no_memory(r, e);
  *state = all;
  return state;
}

static void plateau_commit(void *object, void *state) {
  tv_plateau *const p = object;
  const numbers *const all = state;
  p->has_best = all->whole[0] != 0;
  p->best = all->real[0];
  p->n_bad = all->whole[1];
  p->n_cooling = all->whole[2];
}

const tvi_keeper tvi_plateau_keeper = {
    "plateau",       "the plateau",  0,       NULL, NULL, plateau_save, plateau_want,
    plateau_prepare, plateau_commit, tvi_free};

/* L-BFGS --------------------------------------------------------------------------------------- */

/* Of each Variable: direction, gradient, then y and s of each pair. */
enum { DIRECTION, GRADIENT, PAIRS };

static pthread_mutex_t *lbfgs_lock(void *object) { return &((tv_lbfgs *)object)->lock; }
static void lbfgs_release(void *object) { tv_lbfgs_release(object); }

static bool lbfgs_save_of(const tv_lbfgs *l, int v, tvi_saving *s) {
  const tvi_lbfgs_memory *const m = &l->kept;
  const tv_variable *const variable = l->variables[v];
  numbered name;
  bool is_done = tvi_save_whole_of(s, variable, "place", v);
  if (is_done && m->direction)
    is_done = tvi_save_of(s, variable, "direction", m->direction->x[v]) &&
              tvi_save_of(s, variable, "gradient", m->gradient->x[v]);
  for (int k = 0; k < m->n_pairs && is_done; k++)
    is_done = tvi_save_of(s, variable, name_of_pair(name, "y", k), m->pairs[k].y->x[v]) &&
              tvi_save_of(s, variable, name_of_pair(name, "s", k), m->pairs[k].s->x[v]);
  return is_done;
}

static bool lbfgs_save(void *object, tvi_saving *s) {
  const tv_lbfgs *const l = object;
  const tvi_lbfgs_memory *const m = &l->kept;
  numbered name;
  bool is_done = tvi_save_whole(s, "iterations", m->iterations) &&
                 tvi_save_whole(s, "evaluations", m->evaluations);
  if (is_done && m->direction)
    is_done = tvi_save_real(s, "length", m->length) && tvi_save_real(s, "scale", m->scale);
  for (int k = 0; k < m->n_pairs && is_done; k++)
    is_done = tvi_save_real(s, name_of_pair(name, "inverse", k), m->pairs[k].inverse);
  for (int v = 0; v < l->n && is_done; v++) is_done = lbfgs_save_of(l, v, s);
  return is_done;
}

static bool lbfgs_want_of(tvi_restoring *r, const tvi_entry *e, const tvi_entry *of,
                          bool has_direction, int n_pairs) {
  numbered name;
  bool has = false;
  bool is_done = tvi_restoring_has(r, e, of, "place", &has);
  if (!is_done || !has) return is_done;
  is_done = tvi_restoring_want(r, e, of, "place", TVI_WANT_WHOLE, 0);
  if (is_done && has_direction)
    is_done = tvi_restoring_want(r, e, of, "direction", TVI_WANT_SLOT, DIRECTION) &&
              tvi_restoring_want(r, e, of, "gradient", TVI_WANT_SLOT, GRADIENT);
  for (int k = 0; k < n_pairs && is_done; k++)
    is_done =
        tvi_restoring_want(r, e, of, name_of_pair(name, "y", k), TVI_WANT_SLOT, PAIRS + 2 * k) &&
        tvi_restoring_want(r, e, of, name_of_pair(name, "s", k), TVI_WANT_SLOT, PAIRS + 2 * k + 1);
  return is_done;
}

/* More pairs than its history are not wanted, and so unexpected. */
static bool lbfgs_want(void *object, tvi_restoring *r, const tvi_entry *e) {
  const tv_lbfgs *const l = object;
  numbered name;
  bool has_direction = false, has = true;
  int n_pairs = 0;
  bool is_done = tvi_restoring_want(r, e, NULL, "iterations", TVI_WANT_WHOLE, 0) &&
                 tvi_restoring_want(r, e, NULL, "evaluations", TVI_WANT_WHOLE, 1) &&
                 tvi_restoring_has(r, e, NULL, "length", &has_direction);
  if (is_done && has_direction)
    is_done = tvi_restoring_want(r, e, NULL, "length", TVI_WANT_REAL, 0) &&
              tvi_restoring_want(r, e, NULL, "scale", TVI_WANT_REAL, 1);
  while (is_done && has && n_pairs < l->options.history) {
    is_done = tvi_restoring_has(r, e, NULL, name_of_pair(name, "inverse", n_pairs), &has);
    if (is_done && has)
      is_done = tvi_restoring_want(r, e, NULL, name, TVI_WANT_REAL, MOST_NUMBERS + n_pairs++);
  }
  for (int k = 0; k < r->c->n && is_done; k++)
    if (r->c->entries[k].kind == TVI_VARIABLE)
      is_done = lbfgs_want_of(r, e, &r->c->entries[k], has_direction, n_pairs);
  return is_done;
}

typedef struct {
  int n;
  tv_variable **variables;
  tvi_lbfgs_memory kept;
} history;

static void lbfgs_discard(void *state) {
  history *const s = state;
  for (int k = 0; k < s->n && s->variables; k++) tv_variable_release(s->variables[k]);
  tvi_free(s->variables);
  tvi_lbfgs_forget(&s->kept);
  tvi_free(s);
}

/* How many Variables and pairs the file has. */
static void lbfgs_count(const tvi_restoring *r, const tvi_entry *e, int *n, int *n_pairs) {
  *n = *n_pairs = 0;
  for (int64_t i = 0; i < r->n; i++) {
    const tvi_want *const w = &r->wants[i];
    if (&r->c->entries[w->entry] != e) continue;
    *n += w->what == TVI_WANT_WHOLE && w->of;
    *n_pairs += w->what == TVI_WANT_REAL && w->slot >= MOST_NUMBERS;
  }
}

/* Room for all of it, every vector empty. */
static bool lbfgs_make_room(history *s, const tvi_restoring *r, int n, int n_pairs, int most,
                            bool has_direction) {
  s->variables = n ? tvi_calloc(n, sizeof *s->variables) : NULL;
  s->kept.pairs = tvi_calloc(most, sizeof *s->kept.pairs);
  if ((n && !s->variables) || !s->kept.pairs)
    return tvi_fail(TV_ENOMEM, "%s: no memory for %d pairs", r->who, most);
  s->n = n;
  if (has_direction) {
    s->kept.direction = tvi_vector_new(r->who, n);
    s->kept.gradient = s->kept.direction ? tvi_vector_new(r->who, n) : NULL;
    if (!s->kept.gradient) return false;
  }
  while (s->kept.n_pairs < n_pairs) {
    tvi_pair *const p = &s->kept.pairs[s->kept.n_pairs++]; /* what is in it is released */
    p->y = tvi_vector_new(r->who, n);
    p->s = p->y ? tvi_vector_new(r->who, n) : NULL;
    if (!p->s) return false;
  }
  return true;
}

/* Where an array of a Variable goes: direction, gradient, or y or s of a pair. */
static tvi_vector *vector_of(const history *s, int slot) {
  if (slot == DIRECTION) return s->kept.direction;
  if (slot == GRADIENT) return s->kept.gradient;
  const tvi_pair *const pair = &s->kept.pairs[(slot - PAIRS) / 2];
  return (slot - PAIRS) % 2 == 0 ? pair->y : pair->s;
}

/* A Variable's place comes first, then its arrays. Every place is taken once. */
static bool lbfgs_fill(history *s, const tvi_restoring *r, const tvi_entry *e) {
  tv_variable **const variables = s->variables; /* NULL: the file has none */
  int64_t place = 0;
  for (int64_t i = 0; i < r->n; i++) {
    const tvi_want *const w = &r->wants[i];
    if (&r->c->entries[w->entry] != e) continue;
    if (w->what == TVI_WANT_REAL && w->slot >= MOST_NUMBERS &&
        tv_item_f64(w->x, &s->kept.pairs[w->slot - MOST_NUMBERS].inverse))
      return false;
    if (!w->of || !variables) continue;
    if (w->what == TVI_WANT_WHOLE) {
      if (tv_item_i64(w->x, &place)) return false;
      if (place >= s->n || variables[place])
        return tvi_fail(TV_EFORMAT, "%s: '%s' has two Variables in one place", r->who, e->name);
      variables[place] = tv_variable_retain(w->of);
      continue;
    }
    tvi_vector *const to = vector_of(s, w->slot);
    if (to) to->x[place] = tv_retain(w->x);
  }
  return true;
}

static void *lbfgs_prepare(void *object, const tvi_restoring *r, const tvi_entry *e) {
  const tv_lbfgs *const l = object;
  numbers all;
  int n, n_pairs;
  bool has_direction = false;
  if (!numbers_of(r, e, false, &all) || !tvi_restoring_has(r, e, NULL, "length", &has_direction))
    return NULL;
  lbfgs_count(r, e, &n, &n_pairs);
  if ((all.whole[0] > 0) != has_direction || (has_direction && n == 0) ||
      (n_pairs && !has_direction))
    return tvi_fail(TV_EFORMAT, "%s: '%s' has iterations without a direction, or the reverse",
                    r->who, e->name);
  history *const s = tvi_calloc(1, sizeof *s);
  if (!s) return no_memory(r, e);
  s->kept = (tvi_lbfgs_memory){.length = all.real[0],
                               .scale = all.real[1],
                               .iterations = all.whole[0],
                               .evaluations = all.whole[1]};
  if (lbfgs_make_room(s, r, n, n_pairs, l->options.history, has_direction) && lbfgs_fill(s, r, e))
    return s;
  lbfgs_discard(s);
  return NULL;
}

static void lbfgs_commit(void *object, void *state) {
  tv_lbfgs *const l = object;
  history *const s = state;
  const history before = {l->n, l->variables, l->kept};
  l->n = s->n;
  l->variables = s->variables;
  l->kept = s->kept;
  *s = before;
}

const tvi_keeper tvi_lbfgs_keeper = {"lbfgs",       "the L-BFGS", TVI_LBFGS_ORDER, lbfgs_lock,
                                     lbfgs_release, lbfgs_save,   lbfgs_want,      lbfgs_prepare,
                                     lbfgs_commit,  lbfgs_discard};
