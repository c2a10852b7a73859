/* SPDX-License-Identifier: MIT
 * An axis: which numbers it shows, where they lie, and their labels. */
#ifndef TOOL_AXIS_H
#define TOOL_AXIS_H
#include <stdbool.h>

#include "picture.h"

enum { MOST_TICKS = 12, LABEL_SIZE = 24 };

typedef struct axis {
  double low, high; /* at its two ends */
  int n;
  double at[MOST_TICKS];
  char labels[MOST_TICKS][LABEL_SIZE];
} axis;

/** An axis with round numbers, 1, 2 or 5 times a power of ten apart, at most `most` of them;
 *  integers alone if so asked. */
axis axis_new(double low, double high, int most, bool of_integers);

/** The place of a number along `length` dots. */
double axis_place(const axis *a, double number, int length);

/** The width of its widest label. */
int axis_width(const picture *p, const axis *a);

/** Draw ticks and labels left of, right of, or below a box; at the left numbers go up, or down. */
void axis_left(picture *p, box b, const axis *a, bool goes_down);
void axis_right(picture *p, box b, const axis *a);
void axis_below(picture *p, box b, const axis *a);
#endif
