/* SPDX-License-Identifier: MIT
 * CRC-32 as zip, gzip and Ethernet have it: polynomial 0xEDB88320, reflected. */
#ifndef TVI_CRC32_H
#define TVI_CRC32_H
#include <stdint.h>

/* The checksum of what `crc` is the checksum of (0: nothing) and n bytes behind it. */
uint32_t tvi_crc32(uint32_t crc, const void *bytes, int64_t n);
/* The same by tables alone, as where there is no carry-less multiplication. For tests. */
uint32_t tvi_crc32_by_table(uint32_t crc, const void *bytes, int64_t n);

#endif
