/* SPDX-License-Identifier: MIT
 * Zip archives of arrays: their directory, members read and written in order.
 *
 * `who` begins every message: the function and the file, "npz_open: x.npz". */
#ifndef TVI_ZIP_H
#define TVI_ZIP_H
#include "deflate.h"
#include "file.h"
#include "writer.h"

/* Read, zip_read.c ----------------------------------------------------------------------------- */

typedef struct tvi_zip_member {
  const char *name;   /* less ".npy"; NUL at its end */
  const uint8_t *raw; /* as in the directory, raw_bytes of them */
  int64_t raw_bytes;
  int64_t at, end;       /* its local header; what comes next */
  int64_t packed, bytes; /* in the file, and unpacked */
  uint32_t crc;
  bool is_deflated;
} tvi_zip_member;

typedef struct tvi_zip {
  int fd;
  int64_t n;
  tvi_zip_member *members;  /* [n], in the order of the directory */
  tvi_zip_member **by_name; /* [n], in the order of strcmp */
  uint8_t *directory;
  char *names;
} tvi_zip;

/* Read and check the directory of an open file, which stays the caller's, of so many members at
 * most: memory is taken for no more. TV_EFORMAT, TV_ENOMEM, TV_EIO; then there is nothing to free.
 */
tv_status tvi_zip_open(tvi_zip *zip, const char *who, int fd, int64_t max_members);
void tvi_zip_free(tvi_zip *zip);
/* NULL if there is none. */
const tvi_zip_member *tvi_zip_find(const tvi_zip *zip, const char *name);

/* The bytes of a member. Does not move. */
typedef struct tvi_zip_source {
  tvi_source source;
  tvi_source packed; /* as they are in the file */
  const tvi_zip_member *member;
  tvi_inflater *inflater;
  uint32_t crc;
} tvi_zip_source;

/* On success tvi_zip_member_end follows. */
tv_status tvi_zip_member_begin(tvi_zip_source *from, const char *who, const tvi_zip *zip,
                               const tvi_zip_member *member);
void tvi_zip_member_end(tvi_zip_source *from);

/* Write, zip_write.c --------------------------------------------------------------------------- */

typedef struct tvi_zip_out {
  tvi_sink sink; /* where the bytes of the member begun go */
  tvi_sink file; /* as they are */
  tvi_file_out *out;
  int64_t at; /* bytes of the file until now */
  int level;  /* of deflate; 0: stored */
  int64_t n;
  tvi_writer directory, header;
  const char *name; /* of the member begun */
  int64_t begun_at, data_at, bytes;
  uint32_t crc;
  tvi_deflater *deflater;
} tvi_zip_out;

/* Members go into a file that has been begun and is still empty. tvi_zip_out_free follows. */
void tvi_zip_begin(tvi_zip_out *zip, tvi_file_out *out, int level);
/* A member `name`.npy; its bytes then go to zip->sink. */
tv_status tvi_zip_add(tvi_zip_out *zip, const char *name);
tv_status tvi_zip_added(tvi_zip_out *zip);
/* The directory: the end. */
tv_status tvi_zip_finish(tvi_zip_out *zip);
void tvi_zip_out_free(tvi_zip_out *zip);

#endif
