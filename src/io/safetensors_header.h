/* SPDX-License-Identifier: MIT
 * The header of a safetensors file: reading it out of hostile bytes.
 *
 * `who` begins every message: the function and the file, "safetensors_open: x.safetensors". */
#ifndef TVI_SAFETENSORS_HEADER_H
#define TVI_SAFETENSORS_HEADER_H
#include <tensorvar/npy.h>

enum { TVI_SAFETENSORS_MOST = 100000000 /* bytes of header; longer ones are refused */ };

typedef struct tvi_safetensors_entry {
  const char *name;
  tv_dtype dtype;
  int rank;
  int64_t shape_at;   /* of its first size, in the header's `sizes` */
  int64_t begin, end; /* bytes behind the header */
} tvi_safetensors_entry;

typedef struct tvi_safetensors_text {
  const char *key, *value;
} tvi_safetensors_text;

/* Texts are in `text`, decoded where they were. */
typedef struct tvi_safetensors_header {
  char *text;
  int64_t n, room, n_metadata, metadata_room, n_sizes, sizes_room;
  tvi_safetensors_entry *entries;  /* [n], in the order of their data */
  tvi_safetensors_entry **by_name; /* [n], in the order of strcmp */
  tvi_safetensors_text *metadata;
  int64_t *sizes;
} tvi_safetensors_header;

/* The name of a dtype; NULL for one that the format does not have. */
const char *tvi_safetensors_dtype(tv_dtype dtype);
/* Its place in the order in which arrays are written, from the last to the first; -1. */
int tvi_safetensors_rank(tv_dtype dtype);

/* Read n bytes of text, on the heap, which the header takes over and frees; `data` bytes are behind
 * them. TV_EFORMAT, TV_ENOMEM. Free in any case. */
tv_status tvi_safetensors_parse(tvi_safetensors_header *header, const char *who, char *text,
                                int64_t n, int64_t data);
/* NULL if there is none. */
const tvi_safetensors_entry *tvi_safetensors_find(const tvi_safetensors_header *header,
                                                  const char *name);
void tvi_safetensors_free(tvi_safetensors_header *header);

#endif
