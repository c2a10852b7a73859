/* SPDX-License-Identifier: MIT
 * Deflate, raw as zip has it (RFC 1951), through zlib. In a build without zlib both `new` fail with
 * TV_EUNSUPPORTED. */
#ifndef TVI_DEFLATE_H
#define TVI_DEFLATE_H
#include "flow.h"

enum { TVI_DEFLATE_MOST = 1032 }; /* the format cannot pack more bytes than that into one */

typedef struct tvi_inflater tvi_inflater;

/* `from` delivers packed bytes, and is kept by the inflater; NULL with TV_ENOMEM, TV_EUNSUPPORTED.
 */
tvi_inflater *tvi_inflater_new(tvi_source *from);
/* Up to n bytes, fewer only where the packed ones end. TV_EFORMAT. */
tv_status tvi_inflate(tvi_inflater *inflater, void *out, int64_t n, int64_t *got);
/* That the packed bytes end here, all of them used. TV_EFORMAT. */
tv_status tvi_inflate_end(tvi_inflater *inflater);
void tvi_inflater_free(tvi_inflater *inflater);

typedef struct tvi_deflater tvi_deflater;

/* Packed bytes go to `to`. level 1 to 9. */
tvi_deflater *tvi_deflater_new(tvi_sink *to, int level);
tv_status tvi_deflate(tvi_deflater *deflater, const void *bytes, int64_t n, bool is_last);
void tvi_deflater_free(tvi_deflater *deflater);

#endif
