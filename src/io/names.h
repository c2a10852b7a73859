/* SPDX-License-Identifier: MIT
 * Names of arrays in a file: what may be one, and who speaks of one. */
#ifndef TVI_NAMES_H
#define TVI_NAMES_H
#include <stdint.h>
#include <tensorvar/tensor.h>

/* Bytes of the UTF-8 character (RFC 3629) at the first of n > 0 bytes; 0 if it is none. */
int64_t tvi_utf8(const uint8_t *at, int64_t n);

/* Why a name cannot be one; NULL if it can. n bytes, which may be anything. */
const char *tvi_name_fault(const char *name, int64_t n);

/* What a function that saves n named tensors asks of them: nothing NULL, names that can be some,
 * none twice. TV_EVALUE, TV_ENOMEM. */
tv_status tvi_names_check(const char *who, int64_t n, const char *const *names,
                          tv_tensor *const *tensors);

/* "npz_read: x.npz: w", path and name escaped and cut. */
typedef struct tvi_named {
  char text[448];
} tvi_named;
const char *tvi_named_text(tvi_named *who, const char *what, const char *path, const char *name);

#endif
