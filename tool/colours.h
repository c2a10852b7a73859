/* SPDX-License-Identifier: MIT
 * Colours, as 0xRRGGBB. */
#ifndef TOOL_COLOURS_H
#define TOOL_COLOURS_H
#include <stdint.h>

enum {
  COLOUR_WHITE = 0xffffff,
  COLOUR_INK = 0x262626,
  COLOUR_GRID = 0xe0e0e0,
  COLOUR_LINE = 0x31688e, /* of viridis, a third from below */
  COLOUR_NAN = 0xe8408c   /* pink: not in viridis, and far from all of it */
};

/** The colour of a number from 0 to 1; outside that of the nearer end; of NaN COLOUR_NAN. */
uint32_t colour_of(double part);
#endif
