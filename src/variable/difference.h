/* SPDX-License-Identifier: MIT
 * What a checkpoint wants from a file, and where the two differ. */
#ifndef TVI_DIFFERENCE_H
#define TVI_DIFFERENCE_H

#include <tensorvar/npz.h>
#include <tensorvar/safetensors.h>

#include "checkpoint.h"
#include "writer.h"

/* One of the two. */
typedef struct {
  tv_npz *npz;
  tv_safetensors *safetensors;
} tvi_archive;

bool tvi_archive_open(tvi_archive *file, const char *path);
void tvi_archive_close(tvi_archive *file);
/* The scope's. NumPy has no bfloat16: what is 2-byte void in its files is one. */
tv_tensor *tvi_archive_read(const tvi_archive *file, const char *name, tv_device device);

typedef enum {
  TVI_WANT_VALUE,
  TVI_WANT_VERSION,
  TVI_WANT_KIND,
  TVI_WANT_STEPS,
  TVI_WANT_RATE,
  TVI_WANT_MEMBER_STEPS,
  TVI_WANT_SLOT,
  TVI_WANT_KEY,
  TVI_WANT_COUNTER,
  TVI_WANT_NUMBER,
  TVI_WANT_WHOLE,   /* of an object with a keeper: int64, */
  TVI_WANT_REAL,    /* float64 */
  TVI_WANT_ANY,     /* an array of any shape and dtype */
  TVI_WANT_SETTING, /* of an optimizer, or of a Variable's group: compared, not put back */
} tvi_role;

/* An array that the collection wants from the file. */
typedef struct {
  char *name;
  tvi_role what;
  int entry;       /* of the checkpoint */
  tv_variable *of; /* whose steps or slot it is */
  int slot;        /* which; what a keeper knows it by */
  tv_dtype dtype;  /* here; what is read is converted to it */
  bool is_there;
  bool is_other;        /* a kind or setting that differs */
  tv_npy_layout layout; /* in the file */
  tv_tensor *x;         /* the scope's */
  tv_tensor *n_moved;   /* by the constraint; retained until committed */
} tvi_want;

typedef struct tvi_restoring {
  const char *who;
  tv_checkpoint *c;
  tv_checkpoint_options o;
  tvi_archive file;
  tvi_want *wants;
  int64_t n, room;
  bool *is_left; /* [c->n], entries that stay as they are */
  /* Differences that refuse the file: how many, and the text that lists them. */
  int64_t n_refused, n_listed;
  tvi_writer list;
} tvi_restoring;

/* Fill in the wants, with what the headers of the file say of them, and which entries stay as they
 * are. False if that failed, or if the file is refused: the text then lists why. */
bool tvi_restoring_compare(tvi_restoring *r);
/* Whether the array in the file has the shape that its Variable or slot has. With the lock of the
 * Variable held. */
bool tvi_want_fits(const tvi_restoring *r, const tvi_want *w);
void tvi_restoring_tell(tvi_restoring *r, tv_checkpoint_event event, const char *name,
                        const char *text);

/* For keepers: whether the file has entry/name, or entry/of/name; and to want it. `of` is an entry
 * that is a Variable; NULL: none. */
bool tvi_restoring_has(const tvi_restoring *r, const tvi_entry *entry, const tvi_entry *of,
                       const char *name, bool *has);
bool tvi_restoring_want(tvi_restoring *r, const tvi_entry *entry, const tvi_entry *of,
                        const char *name, tvi_role what, int slot);

#endif
