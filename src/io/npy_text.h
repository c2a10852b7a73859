/* SPDX-License-Identifier: MIT
 * The text of a .npy header, token by token, out of hostile bytes: no NUL at the end, any inside.
 * Functions that take something leave `at` behind it; those that give false or fail, before it. */
#ifndef TVI_NPY_TEXT_H
#define TVI_NPY_TEXT_H
#include <stdbool.h>
#include <stdint.h>
#include <tensorvar/status.h>

typedef struct tvi_npy_text {
  const char *who; /* begins every message: the function and the file, "npy_load: x.npy" */
  const uint8_t *begin, *at, *end;
} tvi_npy_text;

enum { TVI_NPY_FOUND = 44 }; /* 40 characters, "..." and NUL */

/* The token at `at`, escaped and cut. */
const char *tvi_npy_found(const tvi_npy_text *in, const uint8_t *at, char out[TVI_NPY_FOUND]);
/* TV_EFORMAT: what was found at `at`, and what was expected. */
tv_status tvi_npy_refuse(const tvi_npy_text *in, const uint8_t *at, const char *expected);

void tvi_npy_skip_space(tvi_npy_text *in);
/* White space before the dict or behind it. TV_EFORMAT. */
tv_status tvi_npy_skip_edge(tvi_npy_text *in);

/* Whether c comes next, perhaps after space; then it is taken. */
bool tvi_npy_take(tvi_npy_text *in, char c);
/* The word `name` and no longer one. */
bool tvi_npy_take_word(tvi_npy_text *in, const char *name);
/* A string in quotes, of which n bytes are inside. */
tv_status tvi_npy_take_string(tvi_npy_text *in, const char *expected, const uint8_t **text,
                              int64_t *n);
/* A tuple of at most 64 sizes; 'L' may follow them. */
tv_status tvi_npy_take_shape(tvi_npy_text *in, bool may_have_l, int *rank, int64_t *shape);

#endif
