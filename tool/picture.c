/* SPDX-License-Identifier: MIT
 * Drawing. Lines are smooth: a dot takes as much of the colour as the line, whose ends are round,
 * covers of it. */
#include "picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "colours.h"
#include "failure.h"
#include "font.h"

picture picture_new(int width, int height) {
  picture p = {.width = width, .height = height};
  const int smaller = width < height ? width : height;
  p.scale = smaller / 300 > 1 ? smaller / 300 : 1;
  const size_t bytes = (size_t)width * (size_t)height * 3;
  p.rgb = need(bytes);
  memset(p.rgb, 0xff, bytes);
  return p;
}

void picture_free(picture *p) {
  free(p->rgb);
  p->rgb = NULL;
}

/* Mix a share of a colour into a dot. */
static void blend(picture *p, int x, int y, double share, uint32_t colour) {
  if (x < 0 || y < 0 || x >= p->width || y >= p->height) return;
  unsigned char *dot = p->rgb + 3 * ((size_t)y * (size_t)p->width + (size_t)x);
  for (int k = 0; k < 3; k++) {
    const double old = dot[k], new = colour >> (16 - 8 * k) & 255;
    dot[k] = (unsigned char)lround(old + share * (new - old));
  }
}

void picture_fill(picture *p, box b, uint32_t colour) {
  for (int y = b.y; y < b.y + b.height; y++) {
    for (int x = b.x; x < b.x + b.width; x++) blend(p, x, y, 1, colour);
  }
}

void picture_frame(picture *p, box b, uint32_t colour) {
  picture_fill(p, (box){b.x - 1, b.y - 1, b.width + 2, 1}, colour);
  picture_fill(p, (box){b.x - 1, b.y + b.height, b.width + 2, 1}, colour);
  picture_fill(p, (box){b.x - 1, b.y, 1, b.height}, colour);
  picture_fill(p, (box){b.x + b.width, b.y, 1, b.height}, colour);
}

static int clipped(double x, int low, int high) { return x < low ? low : x > high ? high : (int)x; }

void picture_line(picture *p, box inside, double x0, double y0, double x1, double y1, double width,
                  uint32_t colour) {
  const double dx = x1 - x0, dy = y1 - y0, length = dx * dx + dy * dy, reach = width / 2 + 1;
  const int left = clipped(fmin(x0, x1) - reach, inside.x, inside.x + inside.width - 1);
  const int right = clipped(fmax(x0, x1) + reach, inside.x, inside.x + inside.width - 1);
  const int top = clipped(fmin(y0, y1) - reach, inside.y, inside.y + inside.height - 1);
  const int bottom = clipped(fmax(y0, y1) + reach, inside.y, inside.y + inside.height - 1);
  for (int y = top; y <= bottom; y++) {
    for (int x = left; x <= right; x++) {
      const double px = x + .5 - x0, py = y + .5 - y0;
      const double t = length > 0 ? fmin(1, fmax(0, (px * dx + py * dy) / length)) : 0;
      const double share = width / 2 + .5 - hypot(px - t * dx, py - t * dy);
      if (share > 0) blend(p, x, y, fmin(1, share), colour);
    }
  }
}

void picture_text(picture *p, int x, int y, const char *text, uint32_t colour) {
  for (; *text; text++, x += (FONT_WIDTH + 1) * p->scale) {
    for (int row = 0; row < FONT_HEIGHT + FONT_DEPTH; row++) {
      for (int column = 0; column < FONT_WIDTH; column++) {
        if (!font_dot(*text, column, row)) continue;
        picture_fill(p, (box){x + column * p->scale, y + row * p->scale, p->scale, p->scale},
                     colour);
      }
    }
  }
}

int text_width(const picture *p, const char *text) {
  const int n = (int)strlen(text);
  return n ? (n * (FONT_WIDTH + 1) - 1) * p->scale : 0;
}

int text_height(const picture *p) { return FONT_HEIGHT * p->scale; }
