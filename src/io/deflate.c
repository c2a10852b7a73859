/* SPDX-License-Identifier: MIT */
/* Deflate through zlib: pieces of 64 KiB between it and the file, elements straight from and to
 * where they lie. */
#include "deflate.h"

#include "memory.h"
#include "status.h"

#ifdef TV_WITHOUT_ZLIB

static void *left_out(const char *who) {
  return tvi_fail(TV_EUNSUPPORTED, "%s: deflate: this build of the library is without zlib", who);
}
tvi_inflater *tvi_inflater_new(tvi_source *from) { return left_out(from->who); }
tvi_deflater *tvi_deflater_new(tvi_sink *to, int level) {
  (void)level;
  return left_out(to->who);
}
/* Without an inflater or a deflater these are not reached. */
tv_status tvi_inflate(tvi_inflater *inflater, void *out, int64_t n, int64_t *got) {
  (void)inflater, (void)out, (void)n, (void)got;
  return TV_EUNSUPPORTED;
}
tv_status tvi_inflate_end(tvi_inflater *inflater) {
  (void)inflater;
  return TV_EUNSUPPORTED;
}
tv_status tvi_deflate(tvi_deflater *deflater, const void *bytes, int64_t n, bool is_last) {
  (void)deflater, (void)bytes, (void)n, (void)is_last;
  return TV_EUNSUPPORTED;
}
void tvi_inflater_free(tvi_inflater *inflater) { (void)inflater; }
void tvi_deflater_free(tvi_deflater *deflater) { (void)deflater; }

#else

#define ZLIB_CONST /* next_in is const */
#include <zlib.h>

enum { PIECE = 1 << 16, MOST_AT_ONCE = 1 << 30 /* zlib counts in 32 bits */ };

static void *zlib_alloc(void *user, uInt count, uInt bytes) {
  (void)user;
  return tvi_calloc(count, bytes);
}
static void zlib_free(void *user, void *block) {
  (void)user;
  tvi_free(block);
}

static tv_status no_memory(const char *who) {
  return tvi_fail_status(TV_ENOMEM, "%s: no memory on cpu to pack or unpack", who);
}

/* ---- unpacking ------------------------------------------------------------------------------ */

struct tvi_inflater {
  tvi_source *from;
  z_stream stream;
  bool is_begun, has_ended;
  uint8_t piece[PIECE];
};

tvi_inflater *tvi_inflater_new(tvi_source *from) {
  tvi_inflater *const it = tvi_malloc(sizeof *it);
  if (!it) {
    no_memory(from->who);
    return NULL;
  }
  it->from = from;
  it->has_ended = false;
  it->stream = (z_stream){.zalloc = zlib_alloc, .zfree = zlib_free};
  it->is_begun = inflateInit2(&it->stream, -15) == Z_OK; /* no header, the whole window */
  if (it->is_begun) return it;
  no_memory(from->who);
  tvi_inflater_free(it);
  return NULL;
}

void tvi_inflater_free(tvi_inflater *it) {
  if (!it) return;
  if (it->is_begun) inflateEnd(&it->stream);
  tvi_free(it);
}

tv_status tvi_inflate(tvi_inflater *it, void *out, int64_t n, int64_t *got) {
  z_stream *const z = &it->stream;
  for (*got = 0; *got < n && !it->has_ended;) {
    if (!z->avail_in) {
      int64_t came = 0;
      const tv_status status = tvi_source_read(it->from, it->piece, PIECE, &came);
      if (status) return status;
      if (!came && it->from->left > 0)
        return tvi_fail_status(TV_EFORMAT,
                               "%s: found the end of the file, expected %lld more packed bytes",
                               it->from->who, (long long)it->from->left);
      z->next_in = it->piece;
      z->avail_in = (uInt)came;
    }
    const int64_t want = n - *got < MOST_AT_ONCE ? n - *got : MOST_AT_ONCE;
    z->next_out = (uint8_t *)out + *got;
    z->avail_out = (uInt)want;
    const int result = inflate(z, Z_NO_FLUSH);
    *got += want - z->avail_out;
    it->has_ended = result == Z_STREAM_END;
    if (result == Z_MEM_ERROR) return no_memory(it->from->who);
    if (result == Z_BUF_ERROR && !z->avail_in && it->from->left == 0) break; /* cut short */
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
      return tvi_fail_status(TV_EFORMAT, "%s: found packed bytes that are damaged: %s",
                             it->from->who, z->msg ? z->msg : "no deflate");
  }
  return TV_OK;
}

tv_status tvi_inflate_end(tvi_inflater *it) {
  uint8_t more;
  int64_t got = 0;
  const tv_status status = tvi_inflate(it, &more, 1, &got);
  if (status) return status;
  if (got) return tvi_fail_status(TV_EFORMAT, "%s: found more bytes than promised", it->from->who);
  if (!it->has_ended || it->stream.avail_in || it->from->left > 0)
    return tvi_fail_status(TV_EFORMAT, "%s: found packed bytes that do not end where promised",
                           it->from->who);
  return TV_OK;
}

/* ---- packing -------------------------------------------------------------------------------- */

struct tvi_deflater {
  tvi_sink *to;
  z_stream stream;
  bool is_begun;
  uint8_t piece[PIECE];
};

tvi_deflater *tvi_deflater_new(tvi_sink *to, int level) {
  tvi_deflater *const it = tvi_malloc(sizeof *it);
  if (!it) {
    no_memory(to->who);
    return NULL;
  }
  it->to = to;
  it->stream = (z_stream){.zalloc = zlib_alloc, .zfree = zlib_free};
  it->is_begun = deflateInit2(&it->stream, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK;
  if (it->is_begun) return it;
  no_memory(to->who);
  tvi_deflater_free(it);
  return NULL;
}

void tvi_deflater_free(tvi_deflater *it) {
  if (!it) return;
  if (it->is_begun) deflateEnd(&it->stream);
  tvi_free(it);
}

tv_status tvi_deflate(tvi_deflater *it, const void *bytes, int64_t n, bool is_last) {
  z_stream *const z = &it->stream;
  const uint8_t *at = bytes;
  for (bool goes_on = n > 0 || is_last; goes_on;) {
    const int64_t now = n < MOST_AT_ONCE ? n : MOST_AT_ONCE;
    z->next_in = at;
    z->avail_in = (uInt)now;
    at += now;
    n -= now;
    goes_on = n > 0;
    do {
      z->next_out = it->piece;
      z->avail_out = PIECE;
      deflate(z, is_last && !n ? Z_FINISH : Z_NO_FLUSH); /* fails only if misused */
      const tv_status status = it->to->write(it->to, it->piece, PIECE - (int64_t)z->avail_out);
      if (status) return status;
    } while (!z->avail_out);
  }
  return TV_OK;
}

#endif
