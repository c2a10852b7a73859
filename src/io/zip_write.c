/* SPDX-License-Identifier: MIT */
/* Writing zip archives, as NumPy's savez does: each member has a zip64 field however small it is,
 * and the date that zip begins with, so that the same arrays give the same bytes.
 *
 * Stored data begin at multiples of 64, by an extra field of zeros (0xD935, as zipalign has it),
 * and so do the elements behind a .npy header: they can be mapped. Sizes and sum of a member are
 * known when it is written, and then put into its header; where that cannot be, in a FIFO, they
 * follow the data instead. */
#include <string.h>

#include "crc32.h"
#include "memory.h"
#include "status.h"
#include "zip.h"

enum {
  FLAG_UTF8 = 1 << 11,
  FLAG_FOLLOWS = 1 << 3, /* sizes and sum are behind the data */
  NEEDED = 45,           /* the version of zip64 */
  MADE_BY = 3 << 8 | 45, /* Unix: names have slashes */
  FIRST_DAY = 0x21,      /* 1980-01-01 */
  FILE_MODE = 0100600,
  ALIGNMENT = 64,
  PIECE = 1 << 18 /* summed and written while it is in the cache */
};
static const int64_t narrow16 = 0xFFFF, narrow32 = 0xFFFFFFFF;

static void put(tvi_writer *to, int64_t x, int bytes) {
  char out[8];
  for (int i = 0; i < bytes; i++) out[i] = (char)((uint64_t)x >> 8 * i);
  tvi_writer_put(to, out, bytes);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static tv_status write_file(tvi_sink *to, const void *bytes, int64_t n) {
  tvi_zip_out *const zip = (tvi_zip_out *)((char *)to - offsetof(tvi_zip_out, file));
  zip->at += n;
  return tvi_file_write(zip->out, bytes, n);
}

static tv_status write_member(tvi_sink *to, const void *bytes, int64_t n) {
  tvi_zip_out *const zip = (tvi_zip_out *)to;
  tv_status status = TV_OK;
  for (int64_t done = 0; !status && done < n; done += PIECE) {
    const char *const piece = (const char *)bytes + done;
    const int64_t now = least(n - done, PIECE);
    zip->crc = tvi_crc32(zip->crc, piece, now);
    status = zip->deflater ? tvi_deflate(zip->deflater, piece, now, false)
                           : write_file(&zip->file, piece, now);
  }
  zip->bytes += n;
  return status;
}

void tvi_zip_begin(tvi_zip_out *zip, tvi_file_out *out, int level) {
  *zip = (tvi_zip_out){.sink = {.who = out->who, .write = write_member},
                       .file = {.who = out->who, .write = write_file},
                       .out = out,
                       .level = level,
                       .directory = TVI_WRITER,
                       .header = TVI_WRITER};
}

void tvi_zip_out_free(tvi_zip_out *zip) {
  tvi_deflater_free(zip->deflater);
  tvi_writer_free(&zip->directory);
  tvi_writer_free(&zip->header);
}

static bool is_ascii(const char *name) {
  for (; *name; name++)
    if (*name & 0x80) return false;
  return true;
}

/* What the header of a member and its entry in the directory have in common. */
static void put_common(tvi_zip_out *zip, tvi_writer *to, int64_t packed, int64_t bytes,
                       int extra_bytes) {
  const bool follows = !tvi_file_can_patch(zip->out);
  put(to, NEEDED, 2);
  put(to, (is_ascii(zip->name) ? 0 : FLAG_UTF8) | (follows ? FLAG_FOLLOWS : 0), 2);
  put(to, zip->level ? 8 : 0, 2);
  put(to, 0, 2);
  put(to, FIRST_DAY, 2);
  put(to, zip->crc, 4);
  put(to, packed, 4);
  put(to, bytes, 4);
  put(to, (int64_t)strlen(zip->name) + 4, 2);
  put(to, extra_bytes, 2);
}

static void put_name(const tvi_zip_out *zip, tvi_writer *to) {
  tvi_writer_put_string(to, zip->name);
  tvi_writer_put_string(to, ".npy");
}

/* The header of the member begun, as far as its sizes are known; always as long. */
static tv_status make_header(tvi_zip_out *zip, int64_t packed) {
  tvi_writer *const to = &zip->header;
  const int64_t fixed = 30 + (int64_t)strlen(zip->name) + 4 + 20 + 6; /* 6: of the padding */
  const int padding =
      zip->level ? 0 : (int)((ALIGNMENT - (zip->begun_at + fixed) % ALIGNMENT) % ALIGNMENT);
  to->n = 0;
  tvi_writer_put(to, "PK\3\4", 4);
  put_common(zip, to, narrow32, narrow32, 20 + (zip->level ? 0 : 6 + padding));
  put_name(zip, to);
  put(to, 1, 2); /* zip64 */
  put(to, 16, 2);
  put(to, zip->bytes, 8);
  put(to, packed, 8);
  if (!zip->level) {
    put(to, 0xD935, 2);
    put(to, 2 + padding, 2);
    put(to, ALIGNMENT, 2);
    tvi_writer_put_repeated(to, '\0', padding);
  }
  if (!to->has_failed) return TV_OK;
  return tvi_fail_status(TV_ENOMEM, "%s: no memory on cpu for the header of a member",
                         zip->sink.who);
}

tv_status tvi_zip_add(tvi_zip_out *zip, const char *name) {
  zip->name = name;
  zip->begun_at = zip->at;
  zip->bytes = 0;
  zip->crc = 0;
  if (zip->level && !(zip->deflater = tvi_deflater_new(&zip->file, zip->level)))
    return tvi_failure();
  tv_status status = make_header(zip, 0);
  if (!status) status = write_file(&zip->file, zip->header.bytes, zip->header.n);
  zip->data_at = zip->at;
  return status;
}

/* Its entry in the directory: 64 bits only for what needs them, as Python's zipfile. */
static void put_entry(tvi_zip_out *zip, int64_t packed) {
  tvi_writer *const to = &zip->directory;
  const int64_t wide[] = {zip->bytes, packed, zip->begun_at};
  int n_wide = 0;
  for (int k = 0; k < 3; k++) n_wide += wide[k] >= narrow32;
  tvi_writer_put(to, "PK\1\2", 4);
  put(to, MADE_BY, 2);
  put_common(zip, to, least(packed, narrow32), least(zip->bytes, narrow32),
             n_wide ? 4 + 8 * n_wide : 0);
  put(to, 0, 2); /* no comment, disk 0, no text */
  put(to, 0, 2);
  put(to, 0, 2);
  put(to, (int64_t)FILE_MODE << 16, 4);
  put(to, least(zip->begun_at, narrow32), 4);
  put_name(zip, to);
  if (n_wide) {
    put(to, 1, 2);
    put(to, 8 * n_wide, 2);
    for (int k = 0; k < 3; k++)
      if (wide[k] >= narrow32) put(to, wide[k], 8);
  }
}

tv_status tvi_zip_added(tvi_zip_out *zip) {
  tv_status status = zip->deflater ? tvi_deflate(zip->deflater, "", 0, true) : TV_OK;
  tvi_deflater_free(zip->deflater);
  zip->deflater = NULL;
  const int64_t packed = zip->at - zip->data_at;
  if (!status) status = make_header(zip, packed);
  if (status) return status;
  put_entry(zip, packed);
  zip->n++;
  if (tvi_file_can_patch(zip->out))
    return tvi_file_patch(zip->out, zip->begun_at, zip->header.bytes, zip->header.n, zip->at);
  tvi_writer *const to = &zip->header;
  to->n = 0;
  tvi_writer_put(to, "PK\7\10", 4);
  put(to, zip->crc, 4);
  put(to, packed, 8);
  put(to, zip->bytes, 8);
  return write_file(&zip->file, to->bytes, to->n);
}

tv_status tvi_zip_finish(tvi_zip_out *zip) {
  tvi_writer *const to = &zip->directory;
  const int64_t at = zip->at, bytes = to->n;
  if (zip->n >= narrow16 || at >= narrow32 || bytes >= narrow32) {
    tvi_writer_put(to, "PK\6\6", 4);
    put(to, 44, 8); /* bytes that follow */
    put(to, MADE_BY, 2);
    put(to, NEEDED, 2);
    put(to, 0, 8); /* both disks */
    put(to, zip->n, 8);
    put(to, zip->n, 8);
    put(to, bytes, 8);
    put(to, at, 8);
    tvi_writer_put(to, "PK\6\7", 4);
    put(to, 0, 4);
    put(to, at + bytes, 8);
    put(to, 1, 4);
  }
  tvi_writer_put(to, "PK\5\6", 4);
  put(to, 0, 4); /* both disks */
  put(to, least(zip->n, narrow16), 2);
  put(to, least(zip->n, narrow16), 2);
  put(to, least(bytes, narrow32), 4);
  put(to, least(at, narrow32), 4);
  put(to, 0, 2); /* no comment */
  if (to->has_failed)
    return tvi_fail_status(TV_ENOMEM, "%s: no memory on cpu for the directory", zip->sink.who);
  return write_file(&zip->file, to->bytes, to->n);
}
