/* SPDX-License-Identifier: MIT
 * L-BFGS. A step works on a copy of what is kept (vectors are counted, so a copy is cheap) and puts
 * it in place when it has succeeded; the values from before are held until then, and going back to
 * them takes nothing that can fail. */
#include "lbfgs.h"

#include <math.h>
#include <string.h>
#include <tensorvar/ops.h>

#include "memory.h"
#include "optimizer.h"
#include "range.h"
#include "scope.h"
#include "status.h"
#include "tally.h"
#include "thread.h"
#include "together.h"
#include "variable.h"

static const char who[] = "lbfgs_step";

typedef tvi_pair pair;
typedef tvi_lbfgs_memory memory;

/* Make ----------------------------------------------------------------------------------------- */

tv_lbfgs *tv_lbfgs_new(const tv_lbfgs_options *options) {
  static const char name[] = "lbfgs_new";
  tv_lbfgs_options o = TV_LBFGS_OPTIONS;
  if (options) {
    if (!tvi_options_fit(name, options->size, sizeof o)) return NULL;
    memcpy(&o, options, options->size);
  }
  if (!tvi_in_range(name, "learning_rate", o.learning_rate, TVI_AT_LEAST_0) ||
      !tvi_in_range(name, "least_gradient", o.least_gradient, TVI_AT_LEAST_0) ||
      !tvi_in_range(name, "least_change", o.least_change, TVI_AT_LEAST_0) ||
      !tvi_in_range(name, "evaluations", o.evaluations, TVI_AT_LEAST_0) ||
      !tvi_in_range(name, "iterations", o.iterations, TVI_AT_LEAST_1) ||
      !tvi_in_range(name, "history", o.history, TVI_AT_LEAST_1))
    return NULL;
  if (o.evaluations == 0) o.evaluations = (int)((int64_t)o.iterations * 5 / 4);
  tv_lbfgs *const l = tvi_calloc(1, sizeof *l);
  if (!l || !tvi_lock_make(&l->lock)) {
    tvi_free(l);
    return tvi_fail(TV_ENOMEM, "%s: no memory", name);
  }
  atomic_init(&l->count, 1);
  l->options = o;
  tvi_count(TVI_LIVE, 1);
  return l;
}

static void forget_pair(pair *p) {
  tvi_vector_release(p->y);
  tvi_vector_release(p->s);
}

void tvi_lbfgs_forget(memory *m) {
  for (int k = 0; k < m->n_pairs; k++) forget_pair(&m->pairs[k]);
  tvi_free(m->pairs);
  tvi_vector_release(m->direction);
  tvi_vector_release(m->gradient);
  *m = (memory){0};
}

static bool copy(const memory *m, int history, memory *to) {
  *to = *m;
  to->pairs = tvi_calloc(history, sizeof *to->pairs);
  if (!to->pairs) return tvi_fail(TV_ENOMEM, "%s: no memory for %d pairs", who, history);
  for (int k = 0; k < m->n_pairs; k++)
    to->pairs[k] = (pair){tvi_vector_retain(m->pairs[k].y), tvi_vector_retain(m->pairs[k].s),
                          m->pairs[k].inverse};
  tvi_vector_retain(m->direction);
  tvi_vector_retain(m->gradient);
  return true;
}

tv_lbfgs *tv_lbfgs_retain(tv_lbfgs *l) {
  if (l) atomic_fetch_add_explicit(&l->count, 1, memory_order_relaxed);
  return l;
}

void tv_lbfgs_release(tv_lbfgs *l) {
  if (!l || atomic_fetch_sub_explicit(&l->count, 1, memory_order_acq_rel) != 1) return;
  for (int k = 0; k < l->n; k++) tv_variable_release(l->variables[k]);
  tvi_free(l->variables);
  tvi_lbfgs_forget(&l->kept);
  pthread_mutex_destroy(&l->lock);
  tvi_free(l);
  tvi_count(TVI_LIVE, -1);
}

static tv_status lock(const char *name, tv_lbfgs *l) {
  return tvi_lock_take(name, "the L-BFGS", &l->lock);
}

int64_t tv_lbfgs_iterations(tv_lbfgs *l) {
  if (!l || lock("lbfgs_iterations", l)) return 0;
  const int64_t iterations = l->kept.iterations;
  pthread_mutex_unlock(&l->lock);
  return iterations;
}

int64_t tv_lbfgs_evaluations(tv_lbfgs *l) {
  if (!l || lock("lbfgs_evaluations", l)) return 0;
  const int64_t evaluations = l->kept.evaluations;
  pthread_mutex_unlock(&l->lock);
  return evaluations;
}

/* The Variables -------------------------------------------------------------------------------- */

/* A step. */
typedef struct {
  const tv_lbfgs_options *options;
  int n;
  tv_variable *const *variables;
  tvi_together together;
  tv_loss_callback callback;
  void *user;
  int64_t evaluations;
} search;

static tv_dtype inside(tv_dtype dtype) {
  return tvi_slot_dtype((tvi_slot_kind){NULL, false}, dtype);
}

/* Make these heads the values, as far as Variables are not mapped; what they were is released. The
 * locks can be had: this thread held none of them when the step began. */
static void put(const search *s, tvi_vector *heads) {
  const bool is_locked = !tvi_together_lock(&s->together, who);
  if (is_locked) tvi_swaps_take(s->n, s->together.sorted);
  for (int k = 0; k < s->n && is_locked; k++)
    if (s->variables[k]->mapping == TVI_NOT_MAPPED)
      heads->x[k] = tvi_variable_put(s->variables[k], heads->x[k], who, NULL);
  if (is_locked) {
    tvi_swaps_give(s->n, s->together.sorted);
    tvi_together_unlock(&s->together);
  }
  tvi_vector_release(heads);
}

/* Write a point: heads of their own with the Variables' dtypes first, then all of them. */
static bool write(const search *s, const tvi_vector *point) {
  tvi_vector *const heads = tvi_vector_new(who, s->n);
  bool is_done = heads != NULL;
  for (int k = 0; k < s->n && is_done; k++) {
    const tv_variable *const v = s->variables[k];
    heads->x[k] = tvi_tensor_copy(who, point->x[k], v->dtype, v->device);
    is_done = heads->x[k] != NULL;
  }
  const bool is_locked = is_done && !tvi_together_lock(&s->together, who);
  is_done = is_locked;
  for (int k = 0; k < s->n && is_done; k++) is_done = !tvi_variable_writable(who, s->variables[k]);
  if (is_locked) tvi_together_unlock(&s->together);
  if (is_done)
    put(s, heads);
  else
    tvi_vector_release(heads);
  return is_done;
}

static bool fits(const tv_variable *v, tv_tensor *g, const tv_tensor *value) {
  tvi_text left, right;
  if (!g) return tvi_null(who, "a gradient of the callback");
  if (g->dtype != v->dtype)
    return tvi_fail(TV_EDTYPE, "%s: Variable '%s' is %s, its gradient %s", who, v->name,
                    tv_dtype_name(v->dtype), tv_dtype_name(g->dtype));
  if (!tvi_same_shape(g, value->rank, value->shape))
    return tvi_fail(TV_ESHAPE, "%s: Variable '%s' has shape %s, its gradient %s", who, v->name,
                    tvi_shape_text(&left, value->rank, value->shape),
                    tvi_shape_text(&right, g->rank, g->shape));
  if (tvi_tensor_on(g) != v->device)
    return tvi_fail(TV_EDEVICE, "%s: Variable '%s' and its gradient are on different devices", who,
                    v->name);
  return true;
}

/* Ask the callback, where the Variables are. `point` has their shapes. */
static tvi_vector *ask(search *s, const tvi_vector *point, double *loss) {
  tvi_vector *const g = tvi_vector_new(who, s->n);
  tv_tensor **const given = tvi_calloc(s->n, sizeof *given);
  tv_scope scope;
  bool is_done = g && given && !tvi_scope_open(&scope);
  const bool is_open = is_done;
  s->evaluations++;
  if (is_open) {
    *loss = (double)NAN;
    const tv_status status = s->callback(s->user, s->n, s->variables, loss, given);
    if (status) tvi_fail(status, "%s: the callback failed", who);
    is_done = !status;
  } else {
    tvi_fail(TV_ENOMEM, "%s: no memory for %d gradients", who, s->n);
  }
  tvi_self.paused++;
  for (int k = 0; k < s->n && is_done; k++) {
    tv_tensor *x = fits(s->variables[k], given[k], point->x[k])
                       ? tv_astype(given[k], inside(given[k]->dtype))
                       : NULL;
    is_done = x && !tv_evaluate(1, &x);
    if (is_done) g->x[k] = tv_retain(x);
  }
  tvi_self.paused--;
  if (is_open) tvi_scope_close(&scope);
  tvi_free(given);
  if (is_done) return g;
  tvi_vector_release(g);
  return NULL;
}

/* Line search ---------------------------------------------------------------------------------- */

/* Somewhere along the direction. */
typedef struct {
  double t, loss, slope;
  tvi_vector *g;
} place;

static place same_place(const place *p) {
  tvi_vector_retain(p->g);
  return *p;
}
static void replace(place *to, const place *from) {
  const place copied = same_place(from);
  tvi_vector_release(to->g);
  *to = copied;
}

static bool look(search *s, const tvi_vector *start, const tvi_vector *d, double t, place *to) {
  tvi_vector *const point = tvi_vector_sum(who, d, t, start);
  place p = {.t = t};
  bool is_done = point && write(s, point);
  if (is_done) p.g = ask(s, point, &p.loss);
  is_done = p.g && tvi_vector_dot(p.g, d, &p.slope);
  tvi_vector_release(point);
  if (is_done) replace(to, &p);
  tvi_vector_release(p.g);
  return is_done;
}

/* The least of the cubic through two places, within bounds; in their middle if there is none. */
static double cubic(const place *a, const place *b, double low, double high) {
  const double d1 = a->slope + b->slope - 3 * (a->loss - b->loss) / (a->t - b->t);
  const double square = d1 * d1 - a->slope * b->slope;
  const place *const near = a->t <= b->t ? a : b, *const far = near == a ? b : a;
  const double d2 = sqrt(square);
  const double t =
      far->t - (far->t - near->t) * ((far->slope + d2 - d1) / (far->slope - near->slope + 2 * d2));
  return square >= 0 && isfinite(t) ? fmin(fmax(t, low), high) : (low + high) / 2;
}

enum { MOST_LOOKS = 25 };
static const double armijo = 1e-4, curvature = .9;

/* Narrow what lies between two places down; b[low] is the better one. Nocedal and Wright, 3.6. */
static bool zoom(search *s, const tvi_vector *start, const tvi_vector *d, const place *from,
                 double largest, int looks, place *b, int *low) {
  bool is_stuck = false;
  place next = {0};
  bool is_done = true;
  while (is_done && looks < MOST_LOOKS) {
    const int high = 1 - *low;
    const double least = fmin(b[0].t, b[1].t), most = fmax(b[0].t, b[1].t);
    if ((most - least) * largest < s->options->least_change) break;
    double t = cubic(&b[0], &b[1], least, most);
    /* Too near to one end: once may be chance. */
    const double margin = .1 * (most - least);
    const bool is_near = fmin(most - t, t - least) < margin;
    if (is_near && (is_stuck || t >= most || t <= least)) {
      t = fabs(t - most) < fabs(t - least) ? most - margin : least + margin;
      is_stuck = false;
    } else {
      is_stuck = is_near;
    }
    is_done = look(s, start, d, t, &next);
    looks++;
    if (!is_done) break;
    if (!(next.loss <= from->loss + armijo * t * from->slope) || next.loss >= b[*low].loss) {
      replace(&b[high], &next);
      *low = b[0].loss <= b[1].loss ? 0 : 1;
      continue;
    }
    const bool is_flat = fabs(next.slope) <= -curvature * from->slope;
    if (!is_flat && next.slope * (b[high].t - b[*low].t) >= 0) replace(&b[high], &b[*low]);
    replace(&b[*low], &next);
    if (is_flat) break;
  }
  tvi_vector_release(next.g);
  return is_done;
}

/* A place where the strong Wolfe conditions hold, or the best that was found. 3.5, 3.6. */
static bool line_search(search *s, const tvi_vector *start, const tvi_vector *d, const place *from,
                        double t, place *found) {
  place before = same_place(from), now = {0}, b[2] = {now, now};
  double largest, sum;
  int looks = 0, low = 0;
  bool is_flat = false, is_bracketed = false;
  bool is_done = tvi_vector_size(d, &largest, &sum) && look(s, start, d, t, &now);
  while (is_done && looks < MOST_LOOKS && !is_flat && !is_bracketed) {
    const bool is_high = !(now.loss <= from->loss + armijo * now.t * from->slope) ||
                         (looks > 1 && now.loss >= before.loss);
    is_flat = !is_high && fabs(now.slope) <= -curvature * from->slope;
    is_bracketed = is_high || (!is_flat && now.slope >= 0);
    if (is_flat || is_bracketed) break;
    t = cubic(&before, &now, now.t + .01 * (now.t - before.t), now.t * 10);
    replace(&before, &now);
    is_done = look(s, start, d, t, &now);
    looks++;
  }
  if (is_done && is_flat) {
    replace(found, &now);
  } else if (is_done) {
    replace(&b[0], is_bracketed ? &before : from);
    replace(&b[1], &now);
    low = b[0].loss <= b[1].loss ? 0 : 1;
    is_done = zoom(s, start, d, from, largest, looks, b, &low);
    if (is_done) replace(found, &b[low]);
  }
  tvi_vector_release(before.g);
  tvi_vector_release(now.g);
  tvi_vector_release(b[0].g);
  tvi_vector_release(b[1].g);
  return is_done;
}

/* Iterations ----------------------------------------------------------------------------------- */

/* Keep what the last iteration changed, if it curves upwards. */
static bool remember(memory *m, int history, const tvi_vector *g) {
  tvi_vector *const y = tvi_vector_sum(who, m->gradient, -1, g);
  tvi_vector *const s = y ? tvi_vector_sum(who, m->direction, m->length, NULL) : NULL;
  double ys = 0, yy = 0;
  const bool is_done = s && tvi_vector_dot(y, s, &ys) && tvi_vector_dot(y, y, &yy);
  if (!is_done || !(ys > 1e-10)) {
    tvi_vector_release(y);
    tvi_vector_release(s);
    return is_done;
  }
  if (m->n_pairs == history) {
    forget_pair(&m->pairs[0]);
    m->n_pairs--;
    memmove(m->pairs, m->pairs + 1, (size_t)m->n_pairs * sizeof *m->pairs);
  }
  m->pairs[m->n_pairs++] = (pair){y, s, 1 / ys};
  m->scale = ys / yy;
  return true;
}

/* q + by x, in place of q. */
static bool add_to(tvi_vector **q, double by, const tvi_vector *x) {
  tvi_vector *const sum = tvi_vector_sum(who, x, by, *q);
  tvi_vector_release(*q);
  *q = sum;
  return sum != NULL;
}

/* Minus the inverse Hessian, as far as it is known, times g: two loops over the pairs. 7.4. */
static tvi_vector *direction_of(const memory *m, const tvi_vector *g, double *alpha) {
  tvi_vector *q = tvi_vector_sum(who, g, -1, NULL);
  bool is_done = q != NULL;
  for (int k = m->n_pairs - 1; k >= 0 && is_done; k--) {
    const pair *const p = &m->pairs[k];
    is_done = tvi_vector_dot(p->s, q, &alpha[k]);
    alpha[k] *= p->inverse;
    is_done = is_done && add_to(&q, -alpha[k], p->y);
  }
  tvi_vector *r = is_done ? tvi_vector_sum(who, q, m->scale, NULL) : NULL;
  is_done = r != NULL;
  for (int k = 0; k < m->n_pairs && is_done; k++) {
    const pair *const p = &m->pairs[k];
    double beta = 0;
    is_done = tvi_vector_dot(p->y, r, &beta) && add_to(&r, alpha[k] - beta * p->inverse, p->s);
  }
  tvi_vector_release(q);
  if (is_done) return r;
  tvi_vector_release(r);
  return NULL;
}

/* One iteration from `now`, which is moved. *point is where that is. *is_over: there is no more to
 * do. */
static bool iterate(search *s, memory *m, bool is_last, tvi_vector **point, place *now,
                    double *alpha, bool *is_over) {
  const tv_lbfgs_options *const o = s->options;
  double largest, sum, slope;
  *is_over = true;
  if (!tvi_vector_size(now->g, &largest, &sum)) return false;
  const bool is_first = m->iterations++ == 0;
  if (is_first)
    m->scale = 1;
  else if (!remember(m, o->history, now->g))
    return false;
  tvi_vector *const d = direction_of(m, now->g, alpha);
  if (!d) return false;
  tvi_vector_release(m->direction);
  m->direction = d;
  tvi_vector_release(m->gradient);
  m->gradient = tvi_vector_retain(now->g);
  m->length = o->learning_rate * (is_first ? fmin(1, 1 / sum) : 1);
  if (!tvi_vector_dot(now->g, d, &slope)) return false;
  if (slope > -o->least_change) return true;
  const double loss = now->loss;
  now->slope = slope;
  now->t = 0;
  place found = {0};
  if (o->line_search && !line_search(s, *point, d, now, m->length, &found)) {
    tvi_vector_release(found.g);
    return false;
  }
  if (found.g) {
    m->length = found.t;
    replace(now, &found);
  }
  tvi_vector_release(found.g);
  if (!add_to(point, m->length, d) || !write(s, *point)) return false;
  if (!o->line_search && !is_last) { /* the loss at the end is asked for by the next step */
    tvi_vector *const g = ask(s, *point, &now->loss);
    if (!g) return false;
    tvi_vector_release(now->g);
    now->g = g;
  }
  double change;
  if (!tvi_vector_size(d, &change, &sum) || !tvi_vector_size(now->g, &largest, &sum)) return false;
  *is_over = is_last || s->evaluations >= o->evaluations || largest <= o->least_gradient ||
             change * fabs(m->length) <= o->least_change ||
             fabs(now->loss - loss) < o->least_change;
  return true;
}

static bool run(search *s, memory *m, const tvi_vector *before, double *loss) {
  tvi_vector *point = tvi_vector_new(who, s->n);
  double *const alpha = tvi_calloc(s->options->history, sizeof *alpha);
  place now = {0};
  double largest = 0, sum = 0;
  bool is_done = point && alpha;
  if (!alpha) tvi_fail(TV_ENOMEM, "%s: no memory for %d pairs", who, s->options->history);
  for (int k = 0; k < s->n && is_done; k++) {
    const tv_variable *const v = s->variables[k];
    point->x[k] = tvi_tensor_copy(who, before->x[k], inside(v->dtype), v->device);
    is_done = point->x[k] != NULL;
  }
  if (is_done) now.g = ask(s, point, &now.loss);
  is_done = now.g && tvi_vector_size(now.g, &largest, &sum);
  if (is_done && (!isfinite(now.loss) || !isfinite(sum)))
    is_done = tvi_fail(TV_EVALUE, "%s: the loss or its gradient is not finite", who);
  *loss = now.loss;
  bool is_over = is_done && largest <= s->options->least_gradient;
  for (int k = 1; k <= s->options->iterations && is_done && !is_over; k++)
    is_done = iterate(s, m, k == s->options->iterations, &point, &now, alpha, &is_over);
  m->evaluations += s->evaluations;
  tvi_vector_release(now.g);
  tvi_vector_release(point);
  tvi_free(alpha);
  return is_done;
}

/* The step ------------------------------------------------------------------------------------- */

/* Heads of the values as they are; none of the Variables is constrained, or mapped. */
static tvi_vector *values_of(const search *s) {
  tvi_vector *const heads = tvi_vector_new(who, s->n);
  const bool is_locked = heads && !tvi_together_lock(&s->together, who);
  bool is_done = is_locked;
  for (int k = 0; k < s->n && is_done; k++) {
    tv_variable *const v = s->variables[k];
    if (!tvi_is_inexact(v->dtype))
      is_done = tvi_fail(TV_EDTYPE, "%s: Variable '%s' is %s, which has no gradient", who, v->name,
                         tv_dtype_name(v->dtype));
    else if (v->constraint.kind != TV_CONSTRAINT_NONE)
      is_done = tvi_fail(TV_ECONSTRAINT, "%s: Variable '%s' has a constraint", who, v->name);
    else
      is_done = !tvi_variable_writable(who, v) && (heads->x[k] = tvi_tensor_alias(v->value));
  }
  if (is_locked) tvi_together_unlock(&s->together);
  if (is_done) return heads;
  tvi_vector_release(heads);
  return NULL;
}

/* With l's lock held. */
static bool knows(tv_lbfgs *l, int n, tv_variable *const *variables) {
  if (l->variables) {
    bool is_same = n == l->n;
    for (int k = 0; k < n && is_same; k++) is_same = variables[k] == l->variables[k];
    return is_same || tvi_fail(TV_EVALUE, "%s: other Variables than in the first step", who);
  }
  l->variables = tvi_calloc(n, sizeof(tv_variable *));
  if (!l->variables) return tvi_fail(TV_ENOMEM, "%s: no memory for %d Variables", who, n);
  for (l->n = 0; l->n < n; l->n++) l->variables[l->n] = tv_variable_retain(variables[l->n]);
  return true;
}

static bool step(tv_lbfgs *l, search *s, double *loss) {
  memory next = {0};
  tvi_vector *const before = values_of(s);
  if (!before) return false;
  const bool is_done = knows(l, s->n, s->variables) && copy(&l->kept, l->options.history, &next) &&
                       run(s, &next, before, loss);
  if (is_done) {
    memory old = l->kept;
    l->kept = next;
    tvi_lbfgs_forget(&old);
    tvi_vector_release(before);
  } else {
    tvi_lbfgs_forget(&next);
    put(s, before);
  }
  return is_done;
}

tv_status tv_lbfgs_step(tv_lbfgs *l, int n, tv_variable *const *variables,
                        tv_loss_callback callback, void *user, double *loss) {
  double first = (double)NAN;
  if (!l) return tvi_null_status(who, "lbfgs");
  if (n < 1) return tvi_fail_status(TV_EVALUE, "%s: n is %d", who, n);
  if (!variables || !callback) return tvi_null_status(who, variables ? "callback" : "variables");
  for (int k = 0; k < n; k++)
    if (!variables[k]) return tvi_null_status(who, "a Variable");
  search s = {
      .options = &l->options, .n = n, .variables = variables, .callback = callback, .user = user};
  tv_status status = tvi_together_new(&s.together, who, n, variables);
  if (status) return status;
  status = lock(who, l);
  const bool is_done = !status && step(l, &s, &first);
  if (!status) pthread_mutex_unlock(&l->lock);
  tvi_together_free(&s.together);
  if (!is_done) return tvi_failure();
  if (loss) *loss = first;
  return TV_OK;
}
