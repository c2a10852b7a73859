/* SPDX-License-Identifier: MIT
 * The curve of a vector over its index. Up to two elements a dot of width are joined by lines; of
 * more, each column of dots shows the least and the largest of its elements, so that no peak is
 * lost. NaN are gaps with a mark at the bottom; infinities are marks at the top or the bottom. */
#include <math.h>
#include <stdlib.h>

#include "colours.h"
#include "failure.h"
#include "plot.h"

/* The elements that one place across stands for. */
typedef struct {
  double least, most; /* of finite ones; least > most if there are none */
  bool has_nan, has_above, has_below;
} place;

typedef struct {
  plot *f;
  int64_t n, at; /* elements in all, and taken */
  int64_t n_places;
  place *places;
} curve;

static void take(void *user, const void *elements, int64_t n_rows) {
  curve *c = user;
  const double *x = elements;
  for (int64_t i = 0; i < n_rows; i++, c->at++) {
    /* n_places is below 2^14, so the product stays below 2^63 for all that fits a disk. */
    place *p = c->places + c->at * c->n_places / c->n;
    plot_count(c->f, x[i]);
    if (isnan(x[i])) {
      p->has_nan = true;
    } else if (isinf(x[i])) {
      *(x[i] > 0 ? &p->has_above : &p->has_below) = true;
    } else {
      if (x[i] < p->least) p->least = x[i];
      if (x[i] > p->most) p->most = x[i];
    }
  }
}

static double height_of(const axis *up, const box *area, double x) {
  return area->y + area->height - axis_place(up, x, area->height);
}

static void draw_points(plot *f, const curve *c, const axis *up) {
  const double apart = c->n > 1 ? (double)f->area.width / (double)(c->n - 1) : 0;
  const double thick = 1.2 * f->p.scale;
  for (int64_t i = 0; i < c->n; i++) {
    const place *p = c->places + i, *q = p + 1;
    if (p->least > p->most) continue;
    const double x = c->n > 1 ? f->area.x + apart * (double)i : f->area.x + f->area.width / 2.;
    const double y = height_of(up, &f->area, p->least);
    const bool is_alone =
        (i == 0 || p[-1].least > p[-1].most) && (i + 1 == c->n || q->least > q->most);
    if (c->n <= 60 || is_alone) {
      picture_line(&f->p, f->area, x, y, x, y, 3.5 * f->p.scale, COLOUR_LINE);
    }
    if (i + 1 < c->n && q->least <= q->most) {
      picture_line(&f->p, f->area, x, y, x + apart, height_of(up, &f->area, q->least), thick,
                   COLOUR_LINE);
    }
  }
}

static int inside(const plot *f, double y) {
  return (int)fmin(f->area.y + f->area.height, fmax(f->area.y, y));
}

static void draw_columns(plot *f, const curve *c, const axis *up) {
  for (int64_t i = 0; i < c->n_places; i++) {
    const place *p = c->places + i;
    if (p->least > p->most) continue;
    double least = p->least, most = p->most;
    if (i > 0 && p[-1].least <= p[-1].most) { /* joined to its neighbour */
      least = fmin(least, p[-1].most);
      most = fmax(most, p[-1].least);
    }
    /* Whole dots, at least as many as a line is thick. */
    const double half = .5 * f->p.scale;
    const int above = inside(f, floor(height_of(up, &f->area, most) - half));
    const int below = inside(f, ceil(height_of(up, &f->area, least) + half));
    picture_fill(&f->p, (box){f->area.x + (int)i, above, 1, below - above}, COLOUR_LINE);
  }
}

/* Marks of what has no height. */
static void draw_marks(plot *f, const curve *c) {
  const int high = 4 * f->p.scale;
  for (int64_t i = 0; i < c->n_places; i++) {
    const place *p = c->places + i;
    const double last = (double)(c->n_places - 1), half = c->n_places == c->n ? .5 : 0;
    const double apart = last > 0 ? f->area.width / (half > 0 ? last : last + 1) : f->area.width;
    const int from = (int)fmax(0, ((double)i - half) * apart);
    const int to = (int)fmin(f->area.width, ceil(((double)i + 1 - half) * apart));
    const int x = f->area.x + from, width = to > from ? to - from : 1;
    const int bottom = f->area.y + f->area.height - high;
    if (p->has_nan || p->has_below) picture_fill(&f->p, (box){x, bottom, width, high}, COLOUR_NAN);
    if (p->has_above) picture_fill(&f->p, (box){x, f->area.y, width, high}, COLOUR_NAN);
  }
}

static void draw(plot *f, const curve *c) {
  plot_range(f);
  const double room = f->has_range ? 0 : f->high > f->low ? .04 * (f->high - f->low) : .5;
  const int most = f->area.height / (4 * text_height(&f->p)) + 2;
  const axis up = axis_new(f->low - room, f->high + room, most, false);
  const axis across =
      axis_new(0, (double)(c->n > 1 ? c->n - 1 : 1), f->area.width / (70 * f->p.scale) + 2, true);
  for (int i = 0; i < up.n; i++) {
    const int y = (int)floor(height_of(&up, &f->area, up.at[i]));
    picture_fill(&f->p, (box){f->area.x, y, f->area.width, 1}, COLOUR_GRID);
  }
  if (c->n_places == c->n) {
    draw_points(f, c, &up);
  } else {
    draw_columns(f, c, &up);
  }
  draw_marks(f, c);
  picture_frame(&f->p, f->area, COLOUR_INK);
  axis_left(&f->p, f->area, &up, false);
  axis_below(&f->p, f->area, &across);
}

bool draw_curve(plot *f) {
  plot_layout(f, 12 * f->p.scale);
  curve c = {.f = f, .n = view_size(&f->v)};
  c.n_places = c.n <= 2 * (int64_t)f->area.width ? c.n : f->area.width;
  f->across = c.n_places, f->down = 1;
  c.places = need((size_t)c.n_places * sizeof *c.places);
  for (int64_t i = 0; i < c.n_places; i++) {
    c.places[i].least = HUGE_VAL;
    c.places[i].most = -HUGE_VAL;
  }
  rows r;
  rows_begin_view(&r, &f->v, f->part, false);
  const bool is_read = rows_each(&r, TV_F64, take, &c);
  if (is_read) draw(f, &c);
  free(c.places);
  return is_read;
}
