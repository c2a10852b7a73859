/* SPDX-License-Identifier: MIT
 * A picture of coloured dots, and what is drawn on it. Places are from the top left. */
#ifndef TOOL_PICTURE_H
#define TOOL_PICTURE_H
#include <stdint.h>

typedef struct picture {
  int width, height;
  int scale;          /* dots of a dot of the font, and the width of lines */
  unsigned char *rgb; /* [height, width, 3] */
} picture;

typedef struct box {
  int x, y, width, height;
} box;

/** A white picture. */
picture picture_new(int width, int height);
void picture_free(picture *p);

void picture_fill(picture *p, box b, uint32_t colour);
/** The four edges of a box, just outside it. */
void picture_frame(picture *p, box b, uint32_t colour);
/** A smooth line between two places, not drawn outside `inside`. */
void picture_line(picture *p, box inside, double x0, double y0, double x1, double y1, double width,
                  uint32_t colour);

/** Text with its top left corner at a place; its size. */
void picture_text(picture *p, int x, int y, const char *text, uint32_t colour);
int text_width(const picture *p, const char *text);
int text_height(const picture *p);
#endif
