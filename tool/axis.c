/* SPDX-License-Identifier: MIT
 * Axes with round numbers, as in Heckbert, Nice numbers for graph labels, Graphics Gems, 1990. */
#include "axis.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "colours.h"

static double round_step(double span, int most) {
  const double rough = span / (most > 1 ? most - 1 : 1);
  const double ten = pow(10, floor(log10(rough)));
  const double steps[] = {1, 2, 5, 10};
  int i = 0;
  while (i < 3 && steps[i] * ten < rough * (1 - 1e-9)) i++;
  return steps[i] * ten;
}

axis axis_new(double low, double high, int most, bool of_integers) {
  axis a = {.low = low, .high = high};
  if (!(high > low) || !isfinite(high - low)) {
    a.n = 1;
    a.at[0] = low;
    snprintf(a.labels[0], LABEL_SIZE, "%.6g", low);
    return a;
  }
  if (most > MOST_TICKS) most = MOST_TICKS;
  double step = round_step(high - low, most);
  if (of_integers && step < 1) step = 1;
  const double largest = fmax(fabs(low), fabs(high));
  /* Digits until the last one that a step changes. */
  const int digits = (int)fmax(1, floor(log10(largest)) - floor(log10(step) + 1e-9) + 1);
  const bool is_plain = (largest < 1e6 || (of_integers && largest < 1e9)) && step >= 1e-5;
  const int places = (int)fmax(0, -floor(log10(step) + 1e-9));
  const double first = ceil(low / step - 1e-9);
  while (a.n < MOST_TICKS) {
    const double k = first + a.n, at = k == 0 ? 0 : k * step;
    if (at > high + step * 1e-9) break;
    a.at[a.n] = at;
    if (is_plain) {
      snprintf(a.labels[a.n], LABEL_SIZE, "%.*f", places, at);
    } else {
      snprintf(a.labels[a.n], LABEL_SIZE, "%.*g", digits > 9 ? 9 : digits, at);
    }
    a.n++;
  }
  return a;
}

double axis_place(const axis *a, double number, int length) {
  return a->high > a->low ? (number - a->low) / (a->high - a->low) * length : length / 2.;
}

int axis_width(const picture *p, const axis *a) {
  int width = 0;
  for (int i = 0; i < a->n; i++) {
    const int one = text_width(p, a->labels[i]);
    if (one > width) width = one;
  }
  return width;
}

enum { TICK = 4 };

void axis_left(picture *p, box b, const axis *a, bool goes_down) {
  for (int i = 0; i < a->n; i++) {
    const double along = axis_place(a, a->at[i], b.height);
    const int y = b.y + (int)floor(goes_down ? along : b.height - along);
    picture_fill(p, (box){b.x - 1 - TICK * p->scale, y, TICK * p->scale, 1}, COLOUR_INK);
    picture_text(p, b.x - 1 - (TICK + 3) * p->scale - text_width(p, a->labels[i]),
                 y - text_height(p) / 2, a->labels[i], COLOUR_INK);
  }
}

void axis_right(picture *p, box b, const axis *a) {
  for (int i = 0; i < a->n; i++) {
    const int y = b.y + (int)floor(b.height - axis_place(a, a->at[i], b.height));
    picture_fill(p, (box){b.x + b.width + 1, y, TICK * p->scale, 1}, COLOUR_INK);
    picture_text(p, b.x + b.width + 1 + (TICK + 3) * p->scale, y - text_height(p) / 2, a->labels[i],
                 COLOUR_INK);
  }
}

void axis_below(picture *p, box b, const axis *a) {
  int free_from = 0; /* labels do not touch */
  for (int i = 0; i < a->n; i++) {
    const int x = b.x + (int)floor(axis_place(a, a->at[i], b.width));
    picture_fill(p, (box){x, b.y + b.height + 1, 1, TICK * p->scale}, COLOUR_INK);
    int left = x - text_width(p, a->labels[i]) / 2;
    if (left + text_width(p, a->labels[i]) > p->width)
      left = p->width - text_width(p, a->labels[i]);
    if (left < free_from) continue;
    free_from = left + text_width(p, a->labels[i]) + 6 * p->scale;
    picture_text(p, left, b.y + b.height + 1 + (TICK + 3) * p->scale, a->labels[i], COLOUR_INK);
  }
}
