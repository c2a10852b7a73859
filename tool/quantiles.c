/* SPDX-License-Identifier: MIT
 * Quantiles by counting. A number's bits, turned so that they sort as the numbers do, are looked at
 * sixteen at a time: one pass over the array counts how many numbers begin with each of 2^16 words,
 * which tells the word that each rank wanted begins with; the next pass counts the words that
 * follow those. As soon as what begins so fits into a small buffer it is taken out and sorted. So a
 * pass or two are enough as a rule, five at most, and no number is approximated.
 *
 * Between two ranks the quantile is taken linearly, as NumPy's `quantile` does at first: method 7
 * of Hyndman and Fan, Sample quantiles in statistical packages, 1996. */
#include "quantiles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"

enum { WORDS = 1 << 16, MOST_RANKS = 2 * MOST_QUANTILES, BUFFER = 1 << 20 };

typedef struct {
  uint64_t begins; /* the first `bits` bits, known so far */
  int64_t rank;    /* among the numbers that begin so */
  int64_t n;       /* how many those are */
} wanted;

typedef struct {
  char kind; /* of the numbers */
  int n_ranks, n_groups, bits;
  wanted ranks[MOST_RANKS]; /* ascending, so that ranks of one beginning are neighbours */
  uint64_t groups[MOST_RANKS];
  int64_t *counts; /* [n_groups, WORDS] */
  uint64_t *buffer;
  int64_t n_buffer;
} search;

enum { SIGN = 63 };

/* The key of the i-th number; false of NaN, which has none. */
static bool key_of(char kind, const void *numbers, int64_t i, uint64_t *key) {
  uint64_t bits; /* numbers of all kinds are eight bytes */
  memcpy(&bits, (const char *)numbers + 8 * i, sizeof bits);
  const uint64_t sign = (uint64_t)1 << SIGN;
  if (kind == 'f') {
    double x;
    memcpy(&x, &bits, sizeof x);
    if (isnan(x)) return false;
    *key = bits & sign ? ~bits : bits | sign;
  } else {
    *key = kind == 'i' ? bits ^ sign : bits;
  }
  return true;
}

static quantile number_of(char kind, uint64_t key) {
  const uint64_t sign = (uint64_t)1 << SIGN;
  if (kind == 'u') return (quantile){.kind = 'u', .value = (double)key, .u = key};
  if (kind == 'i') {
    const uint64_t bits = key ^ sign;
    int64_t i;
    memcpy(&i, &bits, sizeof i);
    return (quantile){.kind = 'i', .value = (double)i, .i = i};
  }
  const uint64_t bits = key & sign ? key ^ sign : ~key;
  quantile q = {.kind = 'f'};
  memcpy(&q.value, &bits, sizeof q.value);
  return q;
}

static uint64_t beginning(uint64_t key, int bits) { return bits ? key >> (64 - bits) : 0; }

static void find_groups(search *s) {
  s->n_groups = 0;
  for (int i = 0; i < s->n_ranks; i++) {
    if (i == 0 || s->ranks[i].begins != s->ranks[i - 1].begins) {
      s->groups[s->n_groups++] = s->ranks[i].begins;
    }
  }
}

static int group_of(const search *s, uint64_t begins) {
  int low = 0, high = s->n_groups;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (s->groups[middle] < begins) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < s->n_groups && s->groups[low] == begins ? low : -1;
}

typedef struct {
  search *search;
  int64_t row;
} pass;

static void count(void *user, const void *elements, int64_t n_rows) {
  const pass *p = user;
  search *s = p->search;
  for (int64_t i = 0; i < n_rows * p->row; i++) {
    uint64_t key;
    if (!key_of(s->kind, elements, i, &key)) continue;
    const int g = group_of(s, beginning(key, s->bits));
    if (g >= 0) s->counts[(int64_t)g * WORDS + (int64_t)(key >> (48 - s->bits) & (WORDS - 1))]++;
  }
}

static void collect(void *user, const void *elements, int64_t n_rows) {
  const pass *p = user;
  search *s = p->search;
  for (int64_t i = 0; i < n_rows * p->row; i++) {
    uint64_t key;
    if (!key_of(s->kind, elements, i, &key)) continue;
    if (group_of(s, beginning(key, s->bits)) < 0 || s->n_buffer == BUFFER) continue;
    s->buffer[s->n_buffer++] = key;
  }
}

/* The next sixteen bits of every rank. */
static void narrow(search *s) {
  for (int i = 0; i < s->n_ranks; i++) {
    wanted *w = &s->ranks[i];
    const int64_t *counts = s->counts + (int64_t)group_of(s, w->begins) * WORDS;
    int64_t word = 0;
    while (word < WORDS - 1 && w->rank >= counts[word]) w->rank -= counts[word++];
    w->begins = w->begins << 16 | (uint64_t)word;
    w->n = counts[word];
  }
  s->bits += 16;
}

static int64_t number_left(const search *s) {
  int64_t n = 0;
  for (int i = 0; i < s->n_ranks; i++) {
    if (i == 0 || s->ranks[i].begins != s->ranks[i - 1].begins) n += s->ranks[i].n;
  }
  return n;
}

static int ascending(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/* What is left is in the buffer, sorted: a rank counts from where its group begins there. */
static void settle(search *s) {
  qsort(s->buffer, (size_t)s->n_buffer, sizeof *s->buffer, ascending);
  int64_t first = 0;
  for (int i = 0; i < s->n_ranks; i++) {
    wanted *w = &s->ranks[i];
    while (first < s->n_buffer && beginning(s->buffer[first], s->bits) < w->begins) first++;
    const int64_t at = first + w->rank;
    /* Fewer than were counted: somebody wrote into the file meanwhile. */
    w->begins = s->n_buffer ? s->buffer[at < s->n_buffer ? at : s->n_buffer - 1] : 0;
  }
  s->bits = 64;
}

static bool find(search *s, rows *r) {
  pass p = {s, r->row};
  const tv_dtype wide = s->kind == 'u' ? TV_U64 : s->kind == 'i' ? TV_I64 : TV_F64;
  while (s->bits < 64) {
    find_groups(s);
    s->counts = need((size_t)s->n_groups * WORDS * sizeof *s->counts);
    const bool goes_on = rows_each(r, wide, count, &p);
    if (goes_on) narrow(s);
    free(s->counts);
    if (!goes_on) return false;
    if (s->bits < 64 && number_left(s) <= BUFFER) {
      find_groups(s);
      s->buffer = need(BUFFER * sizeof *s->buffer);
      const bool is_read = rows_each(r, wide, collect, &p);
      if (is_read) settle(s);
      free(s->buffer);
      if (!is_read) return false;
    }
  }
  return true;
}

static int by_rank(const void *a, const void *b) {
  const int64_t x = ((const wanted *)a)->rank, y = ((const wanted *)b)->rank;
  return (x > y) - (x < y);
}

static uint64_t at_rank(const search *s, const int64_t *sorted, int64_t rank) {
  int i = 0;
  while (sorted[i] != rank) i++;
  return s->ranks[i].begins;
}

/* At t from 0 to 1 between two elements. */
static quantile between(char kind, uint64_t low, uint64_t high, double t) {
  if (low == high || t == 0) return number_of(kind, low);
  const double from = number_of(kind, low).value, to = number_of(kind, high).value;
  if (from == to && kind == 'f') return number_of(kind, low); /* zeros of two signs */
  /* Keys of integers are as far apart as the integers are. */
  const double step = kind == 'f' ? to - from : (double)(high - low);
  /* From the nearer end, as NumPy does, so that both ends are exact. */
  return (quantile){.kind = 'f', .value = t < .5 ? from + step * t : to - step * (1 - t)};
}

bool quantiles(rows *r, char kind, int64_t count_all, int n, const double *at, quantile *values) {
  search s = {.kind = kind};
  int64_t sorted[MOST_RANKS] = {0};
  for (int i = 0; i < n; i++) values[i] = (quantile){.kind = 'f', .value = (double)NAN};
  if (count_all == 0 || n == 0) return true;
  const double last = (double)(count_all - 1);
  for (int i = 0; i < n; i++) {
    const int64_t low = (int64_t)floor(at[i] * last);
    s.ranks[s.n_ranks++].rank = low;
    s.ranks[s.n_ranks++].rank = low + 1 < count_all ? low + 1 : low;
  }
  qsort(s.ranks, (size_t)s.n_ranks, sizeof *s.ranks, by_rank);
  for (int i = 0; i < s.n_ranks; i++) sorted[i] = s.ranks[i].rank;
  if (!find(&s, r)) return false;
  for (int i = 0; i < n; i++) {
    const double place = at[i] * last;
    const int64_t rank = (int64_t)floor(place);
    const uint64_t low = at_rank(&s, sorted, rank);
    const uint64_t high = at_rank(&s, sorted, rank + 1 < count_all ? rank + 1 : rank);
    values[i] = between(kind, low, high, place - (double)rank);
  }
  return true;
}
