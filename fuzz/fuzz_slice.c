/* SPDX-License-Identifier: MIT
 * The notation of slices, against a model that reads it by other means: it copies terms out of the
 * text, knows sizes of at most 5, so that numbers beyond 10^9 are all alike, and takes elements one
 * by one.
 *
 *     input   rank modulo 5, a size modulo 6 for each axis, the text up to a NUL or the end */
#include "fuzz.h"

enum { MOST_AXES = 4, MOST_SIZE = 5, MOST_TEXT = 400, BEYOND = 1000000000 };

/* The model ----------------------------------------------------------------------------------- */

typedef struct {
  int rank;
  int64_t sizes[MOST_AXES];
} shape;

typedef struct {
  enum { AT, RANGE, ELLIPSIS, NEW_AXIS, WRONG } kind;
  int64_t numbers[3]; /* index; or start, stop, step */
  bool has[3];
} term;

typedef struct {
  int rank;
  int64_t sizes[TV_MAX_RANK], n;
  int64_t elements[MOST_SIZE * MOST_SIZE * MOST_SIZE * MOST_SIZE];
} result;

static bool is_blank(char c) { return c != '\0' && strchr(" \t\n\r\f", c) != NULL; }

/* [from, to) without blanks around it. */
static void trim(const char **from, const char **to) {
  while (*from < *to && is_blank(**from)) ++*from;
  while (*from < *to && is_blank((*to)[-1])) --*to;
}

static bool is_word(const char *from, const char *to, const char *word) {
  return (size_t)(to - from) == strlen(word) && !memcmp(from, word, strlen(word));
}

/* Whether a bound is well-formed; none and 'None' are as well. */
static bool read_bound(const char *from, const char *to, int64_t *number, bool *has) {
  trim(&from, &to);
  *has = false;
  *number = 0;
  if (from == to || is_word(from, to, "None")) return true;
  const bool is_negative = *from == '-';
  if (*from == '-' || *from == '+') from++;
  trim(&from, &to);
  if (from == to) return false;
  const bool begins_with_0 = *from == '0' && to - from > 1;
  for (; from < to; from++) {
    if (*from < '0' || *from > '9') return false;
    *number = 10 * *number + (*from - '0');
    if (*number > BEYOND) *number = BEYOND;
  }
  if (begins_with_0 && *number) return false; /* as Python has it: 00 is a number, 07 is none */
  if (is_negative) *number = -*number;
  return *has = true;
}

static term read_term(const char *from, const char *to) {
  term t = {.kind = WRONG};
  trim(&from, &to);
  if (from == to) return t;
  if (is_word(from, to, "...")) return t.kind = ELLIPSIS, t;
  if (is_word(from, to, "None")) return t.kind = NEW_AXIS, t;
  int n = 0;
  for (const char *at = from;; at++) {
    if (at < to && *at != ':') continue;
    if (n == 3 || !read_bound(from, at, &t.numbers[n], &t.has[n])) return t;
    n++;
    from = at + 1;
    if (at == to) break;
  }
  t.kind = n > 1 ? RANGE : AT;
  if (t.kind == AT && !t.has[0]) t.kind = WRONG;
  return t;
}

/* Terms of a text; their number, -1 if one is wrong. */
static int read_terms(const char *text, term *terms) {
  int n = 0;
  const char *from = text;
  for (const char *at = text;; at++) {
    if (*at && *at != ',') continue;
    const char *first = from, *last = at;
    trim(&first, &last);
    if (!*at && n && first == last) return n; /* a comma may be last */
    terms[n] = read_term(from, at);
    if (terms[n].kind == WRONG) return -1;
    n++;
    if (!*at) return n;
    from = at + 1;
  }
}

/* Positions that a term takes of an axis, one by one; their number, -1 if it cannot. */
static int positions_of(const term *t, int64_t size, int64_t *positions) {
  int n = 0;
  if (t->kind == AT) {
    positions[0] = t->numbers[0] < 0 ? t->numbers[0] + size : t->numbers[0];
    return positions[0] >= 0 && positions[0] < size ? 1 : -1;
  }
  const int64_t step = t->kind == RANGE && t->has[2] ? t->numbers[2] : 1;
  if (step == 0) return -1;
  int64_t bounds[2] = {step > 0 ? 0 : size - 1, step > 0 ? size : -1};
  for (int k = 0; k < 2 && t->kind == RANGE; k++) {
    if (!t->has[k]) continue;
    bounds[k] = t->numbers[k] < 0 ? t->numbers[k] + size : t->numbers[k];
    if (bounds[k] < 0) bounds[k] = step > 0 ? 0 : -1;
    if (bounds[k] > size) bounds[k] = size;
    if (step < 0 && bounds[k] > size - 1) bounds[k] = size - 1;
  }
  for (int64_t at = bounds[0]; step > 0 ? at < bounds[1] : at > bounds[1]; at += step)
    positions[n++] = at;
  return n;
}

/* Whether the text means something for an array of 0, 1, 2, ... of this shape. */
static bool model(const shape *of, const char *text, result *out) {
  static term terms[MOST_TEXT + 1];
  int n = read_terms(text, terms), n_taken = 0, ellipsis = n;
  for (int k = 0; k < n; k++) {
    if (terms[k].kind == ELLIPSIS && ellipsis < n) return false;
    if (terms[k].kind == ELLIPSIS) ellipsis = k;
    n_taken += terms[k].kind == AT || terms[k].kind == RANGE;
  }
  if (n < 0 || n_taken > of->rank) return false;
  out->rank = 0;
  out->n = 1;
  out->elements[0] = 0;
  int axis = 0;
  for (int k = 0; k <= n; k++) { /* the last is an ellipsis, if there was none */
    const bool is_rest = k == ellipsis;
    if (k == n && !is_rest) break;
    if (!is_rest && terms[k].kind == NEW_AXIS) {
      if (out->rank == TV_MAX_RANK) return false;
      out->sizes[out->rank++] = 1;
      continue;
    }
    for (int times = is_rest ? of->rank - n_taken : 1; times > 0; times--, axis++) {
      static const term whole = {.kind = ELLIPSIS};
      const term *const t = is_rest ? &whole : &terms[k];
      int64_t positions[MOST_SIZE], before[MOST_SIZE * MOST_SIZE * MOST_SIZE];
      const int taken = positions_of(t, of->sizes[axis], positions);
      if (taken < 0) return false;
      if (t->kind != AT) {
        if (out->rank == TV_MAX_RANK) return false;
        out->sizes[out->rank++] = taken;
      }
      memcpy(before, out->elements, (size_t)out->n * sizeof *before);
      for (int64_t i = 0; i < out->n; i++)
        for (int p = 0; p < taken; p++)
          out->elements[i * taken + p] = before[i] * of->sizes[axis] + positions[p];
      out->n *= taken;
    }
  }
  return true;
}

/* The target ---------------------------------------------------------------------------------- */

static tv_tensor *array_of(const shape *of) {
  int64_t n = 1;
  for (int k = 0; k < of->rank; k++) n *= of->sizes[k];
  return tv_reshape(tv_arange(TV_I64, 0, (double)n, 1), of->rank, of->sizes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  char text[MOST_TEXT + 1];
  shape of = {.rank = n ? data[0] % (MOST_AXES + 1) : 0};
  size_t at = n ? 1 : 0;
  for (int k = 0; k < of.rank; k++) of.sizes[k] = at < n ? data[at++] % (MOST_SIZE + 1) : 1;
  const size_t length = n - at < MOST_TEXT ? n - at : MOST_TEXT;
  if (length) memcpy(text, data + at, length);
  text[length] = '\0';

  static result want;
  const bool has = model(&of, text, &want);
  fuzz_way way;
  fuzz_begin(&way);
  tv_tensor *const x = array_of(&of), *const y = tv_slice(x, text);
  HOLDS_TRUE(x && (y != NULL) == has);
  if (y) {
    HOLDS_TRUE(tv_tensor_rank(y) == want.rank && tv_tensor_size(y) == want.n);
    for (int k = 0; k < want.rank; k++) HOLDS_TRUE(tv_tensor_shape(y)[k] == want.sizes[k]);
    int64_t got[MOST_SIZE * MOST_SIZE * MOST_SIZE * MOST_SIZE];
    HOLDS_TRUE(!tv_tensor_copy_out(y, got, want.n * (int64_t)sizeof *got));
    HOLDS_TRUE(!memcmp(got, want.elements, (size_t)want.n * sizeof *got));
  }
  const outcome out = fuzz_end(&way, 0);
  HOLDS_TRUE(y ? !out.status : outcome_can_be_printed(&out));
  return 0;
}
