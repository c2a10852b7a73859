/* SPDX-License-Identifier: MIT
 * Basic indexing, in NumPy's notation or as structs: a view of part of a tensor. The notation is
 *
 *     index    blank* term blank* (',' blank* term blank*)* (',' blank*)?
 *     term     '...' | 'None' | integer | range
 *     range    bound? blank* ':' blank* bound? (blank* ':' blank* bound?)?
 *     bound    integer | 'None', which is as no bound
 *     integer  (('+' | '-') blank*)? ('0'+ | [1-9] digit*)
 *     blank    space, tab, line feed, carriage return or form feed
 *
 * Read byte by byte, so no locale matters. An integer beyond int64 counts as the nearest one: as a
 * bound it is clipped anyway, as a position it is out of range anyway.
 *
 * What an index comes to is, for each axis of x, where it starts, how many elements it takes and
 * how far apart they are: the numbers that tapes record. */
#include "slice.h"

#include <string.h>
#include <tensorvar/index.h>
#include <tensorvar/shape.h>

#include "create.h"
#include "deferred.h"
#include "scope.h"
#include "status.h"
#include "stream.h"
#include "tensor.h"
#include "thread.h"
#include "variable/tape.h"
#include "writer.h"

/* Terms -------------------------------------------------------------------------------------- */

/* The terms of an index, one at a time, from either form. */
typedef struct {
  const char *who, *text; /* text NULL: from index */
  const tv_index *index;
  int64_t n, at; /* terms in index; the next one, or the next byte of text */
} terms;

static void skip_blanks(terms *t) {
  for (char c = t->text[t->at]; c == ' ' || (c >= '\t' && c <= '\r' && c != '\v');
       c = t->text[t->at])
    t->at++;
}

static bool skip(terms *t, const char *word) {
  const size_t length = strlen(word);
  if (strncmp(t->text + t->at, word, length)) return false;
  t->at += (int64_t)length;
  return true;
}

static int no_index(const terms *t) {
  char text[256];
  tvi_fail(TV_EVALUE, "%s: no index at character %lld of \"%s\"", t->who, (long long)t->at + 1,
           tvi_escape(text, sizeof text, t->text, strlen(t->text)));
  return -1;
}

/* 1 for an integer, 0 for something else, which is left alone, -1 for a sign alone. */
static int read_integer(terms *t, int64_t *value) {
  const char sign = t->text[t->at];
  if (sign == '+' || sign == '-') {
    t->at++;
    skip_blanks(t);
  }
  const bool is_negative = sign == '-', is_signed = sign == '-' || sign == '+';
  if (t->text[t->at] < '0' || t->text[t->at] > '9') return is_signed ? no_index(t) : 0;
  const bool begins_with_0 = t->text[t->at] == '0';
  int64_t sum = 0; /* kept negative, where there is room for one more */
  bool is_beyond = false;
  for (; t->text[t->at] >= '0' && t->text[t->at] <= '9'; t->at++) {
    const int digit = t->text[t->at] - '0';
    is_beyond = is_beyond || sum < (INT64_MIN + digit) / 10;
    if (!is_beyond) sum = 10 * sum - digit;
    if (begins_with_0 && sum) return no_index(t); /* 07 was octal once; Python takes 00 alone */
  }
  if (is_beyond) sum = INT64_MIN;
  *value = is_negative ? sum : sum == INT64_MIN ? INT64_MAX : -sum;
  return 1;
}

/* A bound, or none; then blanks. 'None' gives `is_none`. */
static bool read_bound(terms *t, int64_t *value, bool *is_there, bool *is_none) {
  *is_none = skip(t, "None");
  const int found = *is_none ? 0 : read_integer(t, value);
  *is_there = found > 0;
  skip_blanks(t);
  return found >= 0;
}

static int read_term(terms *t, tv_index *term) {
  bool has_step = false, is_none, ignored;
  *term = (tv_index)TV_ELLIPSIS;
  skip_blanks(t);
  const int64_t start = t->at;
  if (skip(t, "...")) return skip_blanks(t), 1;
  if (!read_bound(t, &term->start, &term->has_start, &is_none)) return -1;
  if (!skip(t, ":")) {
    term->kind = is_none ? TV_INDEX_NEW_AXIS : TV_INDEX_AT;
    if (is_none || term->has_start) return 1;
    t->at = start;
    return no_index(t);
  }
  term->kind = TV_INDEX_RANGE;
  skip_blanks(t);
  if (!read_bound(t, &term->stop, &term->has_stop, &ignored)) return -1;
  if (!skip(t, ":")) return 1;
  skip_blanks(t);
  int64_t step;
  if (!read_bound(t, &step, &has_step, &ignored)) return -1;
  if (has_step) term->step = step;
  return 1;
}

/* The next term: 1; 0 at the end; -1 after a failure. */
static int next(terms *t, tv_index *term) {
  if (!t->text) {
    if (t->at == t->n) return 0;
    *term = t->index[t->at++];
    return 1;
  }
  if (t->at > 0) {
    if (t->text[t->at] == '\0') return 0;
    if (!skip(t, ",")) return no_index(t);
    skip_blanks(t);
    if (t->text[t->at] == '\0') return 0;
  }
  return read_term(t, term);
}

/* What they come to --------------------------------------------------------------------------- */

/* An array as far as indices go. */
typedef struct {
  int rank;
  const int64_t *shape, *steps;
} grid;

static grid grid_of(const tv_tensor *x) { return (grid){x->rank, x->shape, x->steps}; }

/* Begin and count of a range, as Python's slice.indices; 1 for a step that takes no second element.
 */
static void range_take(const tv_index *term, int64_t size, int64_t *start, int64_t *count,
                       int64_t *step) {
  const bool up = term->step > 0;
  const int64_t low = up ? 0 : -1, high = up ? size : size - 1;
  int64_t from = term->start, to = term->stop;
  if (from < 0) from += size;
  if (to < 0) to += size;
  from = !term->has_start ? (up ? low : high) : from < low ? low : from > high ? high : from;
  to = !term->has_stop ? (up ? high : low) : to < low ? low : to > high ? high : to;
  const uint64_t way = up ? (uint64_t)(to - from) : (uint64_t)(from - to);
  const uint64_t stride = up ? (uint64_t)term->step : -(uint64_t)term->step;
  const bool is_empty = up ? to <= from : from <= to;
  *start = is_empty ? 0 : from;
  *count = is_empty ? 0 : (int64_t)((way - 1) / stride) + 1;
  *step = *count > 1 ? term->step : 1;
}

static bool add_axis(const char *who, tvi_cut *c, int64_t size, int64_t step) {
  if (c->rank == TV_MAX_RANK)
    return tvi_fail(TV_ESHAPE, "%s: the result has more than %d axes", who, TV_MAX_RANK);
  c->shape[c->rank] = size;
  c->steps[c->rank++] = step;
  return true;
}

/* Apply one term to axis *axis of x, and go to the next. */
static bool apply(const char *who, const grid *x, const tv_index *term, int *axis, tvi_cut *c) {
  if (term->kind == TV_INDEX_NEW_AXIS) return add_axis(who, c, 1, 0);
  const int64_t size = x->shape[*axis], item = x->steps[*axis];
  int64_t *const start = &c->numbers[*axis], *const count = start + x->rank,
                 *const step = count + x->rank;
  if (term->kind == TV_INDEX_AT) {
    if (term->start < -size || term->start >= size)
      return tvi_fail(TV_EINDEX, "%s: index %lld is out of range of axis %d with size %lld", who,
                      (long long)term->start, *axis, (long long)size);
    *start = term->start < 0 ? term->start + size : term->start;
    *count = *step = 1;
    ++*axis;
    return true;
  }
  if (term->step == 0) return tvi_fail(TV_EVALUE, "%s: the step of axis %d is 0", who, *axis);
  range_take(term, size, start, count, step);
  ++*axis;
  return add_axis(who, c, *count, *step * item);
}

/* Bytes from the first element to the first one taken. */
static int64_t offset_of(int rank, const int64_t *start, const int64_t *steps) {
  int64_t offset = 0;
  for (int k = 0; k < rank; k++) offset += start[k] * steps[k];
  return offset;
}

static bool cut_make(const grid *x, terms t, tvi_cut *c) {
  static const tv_index whole = TV_WHOLE_AXIS;
  tvi_text text;
  tv_index term;
  int64_t n_axes = 0, n_ellipses = 0;
  terms first = t; /* one pass to count: how many axes "..." stands for */
  int found;
  while ((found = next(&first, &term)) > 0) {
    if ((unsigned)term.kind > TV_INDEX_ELLIPSIS)
      return tvi_fail(TV_EVALUE, "%s: %d is no kind of index", t.who, (int)term.kind);
    n_axes += term.kind == TV_INDEX_AT || term.kind == TV_INDEX_RANGE;
    n_ellipses += term.kind == TV_INDEX_ELLIPSIS;
  }
  if (found < 0) return false;
  if (n_ellipses > 1) return tvi_fail(TV_EVALUE, "%s: more than one ...", t.who);
  if (n_axes > x->rank)
    return tvi_fail(TV_EINDEX, "%s: %lld indices for shape %s", t.who, (long long)n_axes,
                    tvi_shape_text(&text, x->rank, x->shape));
  int axis = 0;
  c->rank = 0;
  while (next(&t, &term) > 0) {
    int64_t times = 1;
    if (term.kind == TV_INDEX_ELLIPSIS) {
      times = x->rank - n_axes;
      term = whole;
    }
    for (; times > 0; times--)
      if (!apply(t.who, x, &term, &axis, c)) return false;
  }
  while (axis < x->rank)
    if (!apply(t.who, x, &whole, &axis, c)) return false;
  c->offset = offset_of(x->rank, c->numbers, x->steps);
  return true;
}

bool tvi_slice_cut(const char *who, int rank, const int64_t *shape, const int64_t *steps,
                   const char *text, int n, const tv_index *index, tvi_cut *cut) {
  const grid whole = {rank, shape, steps};
  return cut_make(&whole, (terms){.who = who, .text = text, .index = index, .n = n}, cut);
}

/* The ops ------------------------------------------------------------------------------------ */

static tv_tensor *view(tv_tensor *x, int rank, const int64_t *shape, const int64_t *steps,
                       int64_t offset) {
  if (tvi_settle(x)) return NULL;
  return tvi_tensor_view(x->storage, x->data ? x->data + offset : NULL, x->dtype, rank, shape,
                         steps);
}

/* What was recorded: `rank` each of starts, counts, steps. */
static void part_steps(const tv_tensor *x, const int64_t *numbers, int64_t *steps) {
  for (int k = 0; k < x->rank; k++) steps[k] = numbers[2 * x->rank + k] * x->steps[k];
}

static tv_tensor *unslice(tv_tensor *g, const tvi_spec *to, const int64_t *numbers);
static tv_tensor *part(tv_tensor *x, const int64_t *numbers);

static tv_tensor *slice_gradient(const tvi_saved *s, tv_tensor *g) {
  /* Axes that were dropped are of size 1 again, new ones go. */
  return unslice(tv_reshape(g, s->spec->rank, s->numbers + s->spec->rank), s->spec, s->numbers);
}
static tv_tensor *unslice_gradient(const tvi_saved *s, tv_tensor *g) { return part(g, s->numbers); }

static const tvi_rule slice_rule = {
    .name = "slice", .is_view = true, .in = {{TVI_USES_NONE, slice_gradient}}};
static const tvi_rule unslice_rule = {.name = "unslice", .in = {{TVI_USES_NONE, unslice_gradient}}};

/* The part that the numbers name, every axis kept. */
static tv_tensor *part(tv_tensor *x, const int64_t *numbers) {
  int64_t steps[TV_MAX_RANK];
  if (!x) return NULL;
  part_steps(x, numbers, steps);
  tv_tensor *const y =
      view(x, x->rank, numbers + x->rank, steps, offset_of(x->rank, numbers, x->steps));
  return tvi_finish(&slice_rule, y, 1, &x, 3 * x->rank, numbers);
}

/* Zeros with g in the place of that part. */
static tv_tensor *unslice(tv_tensor *g, const tvi_spec *to, const int64_t *numbers) {
  int64_t steps[TV_MAX_RANK];
  if (!g || tvi_settle(g)) return NULL;
  tv_tensor *y = tvi_zeros("unslice", tvi_tensor_on(g), g->dtype, to->rank, to->shape);
  if (y && g->size) {
    part_steps(y, numbers, steps);
    if (tvi_stream_reads(g) || tvi_write("unslice", tvi_tensor_on(g), y->dtype,
                                         y->data + offset_of(y->rank, numbers, y->steps), steps,
                                         g->rank, g->shape, g->dtype, g->data, g->steps)) {
      tv_release(y);
      y = NULL;
    }
  }
  return tvi_finish(&unslice_rule, y, 1, &g, 3 * to->rank, numbers);
}

static tv_tensor *slice(tv_tensor *x, terms t) {
  tvi_cut c;
  const grid whole = grid_of(x);
  if (!cut_make(&whole, t, &c)) return NULL;
  tv_tensor *const base = tvi_tensor_strong(t.who, x, tvi_self.device);
  tv_tensor *const y = base ? view(base, c.rank, c.shape, c.steps, c.offset) : NULL;
  tv_release(base);
  return tvi_finish(&slice_rule, y, 1, &x, 3 * x->rank, c.numbers);
}

tv_tensor *tv_slice(tv_tensor *x, const char *text) {
  if (!x || !text) return tvi_null("slice", x ? "text" : "x");
  if (!tvi_scope_is_open("slice")) return NULL;
  return slice(x, (terms){.who = "slice", .text = text});
}

tv_tensor *tv_slice_with(tv_tensor *x, int n, const tv_index *index) {
  if (!x || (n > 0 && !index)) return tvi_null("slice_with", x ? "index" : "x");
  if (!tvi_scope_is_open("slice_with")) return NULL;
  if (n < 0) return tvi_fail(TV_EVALUE, "slice_with: %d terms", n);
  return slice(x, (terms){.who = "slice_with", .index = index, .n = n});
}

tv_tensor *tvi_slice_view(const char *who, tv_tensor *x, const char *text, int n,
                          const tv_index *index) {
  tvi_cut c;
  if (!tvi_slice_cut(who, x->rank, x->shape, x->steps, text, n, index, &c)) return NULL;
  return view(x, c.rank, c.shape, c.steps, c.offset);
}
