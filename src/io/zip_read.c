/* SPDX-License-Identifier: MIT */
/* Reading zip archives.
 *
 *     member     PK\3\4, 26 bytes, name, extra fields, data        as often as there are members
 *     directory  PK\1\2, 42 bytes, name, extra fields, comment     once for each
 *     zip64 end  PK\6\6, 52 bytes; PK\6\7, 16 bytes                if something needs 64 bits
 *     end        PK\5\6, 18 bytes, comment
 *
 * The directory is the truth; of a member's own header only what finds its data is read, and must
 * agree. What two readers could read in two ways is refused: a name twice, bytes in front of the
 * archive or between directory and end, members that overlap. Memory is that of the directory,
 * which the file holds. Source: APPNOTE.TXT 6.3.10, PKWARE; and Python's zipfile for what writers
 * do. */
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "memory.h"
#include "names.h"
#include "size.h"
#include "status.h"
#include "zip.h"

enum {
  END = 22,
  END64 = 56,
  LOCATOR = 20,
  ENTRY = 46,
  MOST_ENTRY = ENTRY + 3 * 65535,
  LOCAL = 30,
  MOST_COMMENT = 65535,
  PIECE = 1 << 18 /* read and summed while it is in the cache */
};

static int64_t get(const uint8_t *at, int bytes) {
  uint64_t x = 0;
  for (int i = bytes - 1; i >= 0; i--) x = x << 8 | at[i];
  return x > INT64_MAX ? INT64_MAX : (int64_t)x; /* more than any file has */
}

static bool is_sign(const uint8_t *at, char third, char fourth) {
  return at[0] == 'P' && at[1] == 'K' && at[2] == (uint8_t)third && at[3] == (uint8_t)fourth;
}

static tv_status refuse(const char *who, int64_t at, const char *found, const char *expected) {
  return tvi_fail_status(TV_EFORMAT, "%s: byte %lld: found %s, expected %s", who, (long long)at,
                         found, expected);
}

static tv_status read_all(const char *who, int fd, int64_t at, void *out, int64_t n) {
  int64_t got = 0;
  const tv_status status = tvi_file_read_at(who, fd, at, out, n, &got);
  if (status || got == n) return status;
  return refuse(who, at + got, "the end of the file", "the rest of what it held before");
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Where the directory is. */
typedef struct {
  int64_t n, at, bytes;
} extent;

/* The position of the end record in the last n bytes of the file; -1 if there is none. As Python
 * does: without a comment first, else the last signature, whose comment must reach the end. */
static int64_t find_end(const uint8_t *tail, int64_t n) {
  if (n >= END && is_sign(tail + n - END, 5, 6) && !tail[n - 2] && !tail[n - 1]) return n - END;
  for (int64_t at = n - END; at >= 0; at--)
    if (is_sign(tail + at, 5, 6)) return get(tail + at + 20, 2) == n - END - at ? at : -1;
  return -1;
}

/* What the zip64 records before the end record at `end` say, if they are there. */
static tv_status read_end64(const char *who, int fd, int64_t end, extent *found, int64_t *first) {
  uint8_t locator[LOCATOR], record[END64];
  if (end < LOCATOR) return TV_OK;
  tv_status status = read_all(who, fd, end - LOCATOR, locator, LOCATOR);
  if (status || !is_sign(locator, 6, 7)) return status;
  const int64_t at = end - LOCATOR - END64;
  if (at < 0 || get(locator + 8, 8) != at || get(locator + 4, 4) != 0 || get(locator + 16, 4) != 1)
    return refuse(who, end - LOCATOR, "a zip64 locator of another place or of several disks",
                  "the record just before it");
  status = read_all(who, fd, at, record, END64);
  if (status) return status;
  if (!is_sign(record, 6, 6) || get(record + 4, 8) != END64 - 12)
    return refuse(who, at, "other bytes", "a zip64 end record of 56 bytes");
  if (get(record + 16, 4) || get(record + 20, 4) || get(record + 24, 8) != get(record + 32, 8))
    return refuse(who, at, "an archive of several disks", "one");
  const extent wide = {get(record + 32, 8), get(record + 48, 8), get(record + 40, 8)};
  /* The narrow record says the same, or that it cannot. */
  if ((found->n != 0xFFFF && found->n != wide.n) ||
      (found->at != 0xFFFFFFFF && found->at != wide.at) ||
      (found->bytes != 0xFFFFFFFF && found->bytes != wide.bytes))
    return refuse(who, at, "a zip64 end record that disagrees with the end record", "one truth");
  *found = wide;
  *first = at;
  return TV_OK;
}

static tv_status read_end(const char *who, int fd, int64_t size, extent *found) {
  const int64_t n = size < END + MOST_COMMENT ? size : END + MOST_COMMENT;
  uint8_t *const tail = tvi_malloc(n);
  if (!tail) return tvi_no_memory(who, n);
  tv_status status = read_all(who, fd, size - n, tail, n);
  const int64_t at = status ? -1 : find_end(tail, n), end = size - n + at;
  int64_t first = end;
  if (!status && at < 0) {
    status = refuse(who, 0,
                    n >= 6 && n == size && !memcmp(tail, "\x93NUMPY", 6)
                        ? "a .npy file"
                        : "no end record of a zip archive",
                    "an .npz file");
  } else if (!status) {
    *found = (extent){get(tail + at + 10, 2), get(tail + at + 16, 4), get(tail + at + 12, 4)};
    const bool is_one =
        !get(tail + at + 4, 2) && !get(tail + at + 6, 2) && get(tail + at + 8, 2) == found->n;
    status = is_one ? read_end64(who, fd, end, found, &first)
                    : refuse(who, end, "an archive of several disks", "one");
  }
  tvi_free(tail);
  if (status) return status;
  if (found->bytes > first || found->at != first - found->bytes)
    return refuse(who, end, "a directory that does not end where the end record begins",
                  "nothing between them and nothing in front of the archive");
  if (found->n > found->bytes / ENTRY)
    return tvi_fail_status(TV_EFORMAT, "%s: byte %lld: found %lld members in %lld bytes", who,
                           (long long)end, (long long)found->n, (long long)found->bytes);
  return TV_OK;
}

/* ---- the directory -------------------------------------------------------------------------- */

/* The sizes and the place of a member, where the narrow fields say that they are in its zip64
 * field.
 */
static const char *read_extra(const uint8_t *at, int64_t n, tvi_zip_member *m, int64_t *disk) {
  bool has_wide = false;
  while (n >= 4) {
    const int64_t id = get(at, 2), bytes = get(at + 2, 2);
    const uint8_t *field = at + 4;
    int64_t left = bytes;
    if (bytes > n - 4) return "an extra field that is cut short";
    if (id == 0x7075) return "a second name in an extra field";
    if (id == 1 && has_wide) return "two zip64 fields";
    if (id == 1) {
      has_wide = true;
      int64_t *const wide[] = {&m->bytes, &m->packed, &m->at};
      for (int k = 0; k < 3; k++) {
        if (*wide[k] != 0xFFFFFFFF) continue;
        if (left < 8) return "a zip64 field that is cut short";
        *wide[k] = get(field, 8);
        field += 8;
        left -= 8;
      }
      if (*disk == 0xFFFF && left >= 4) *disk = get(field, 4);
    }
    at += 4 + bytes;
    n -= 4 + bytes;
  }
  return NULL;
}

/* Bytes of the name less ".npy". */
static int64_t name_bytes(const tvi_zip_member *m) {
  const bool is_npy = m->raw_bytes >= 4 && !memcmp(m->raw + m->raw_bytes - 4, ".npy", 4);
  return m->raw_bytes - (is_npy ? 4 : 0);
}

/* What is wrong with an entry of `bytes` bytes and more; NULL if nothing is. */
static const char *read_entry(const uint8_t *at, int64_t left, tvi_zip_member *m, int64_t *bytes) {
  if (left < ENTRY || !is_sign(at, 1, 2)) return "no entry of the directory";
  const int64_t flags = get(at + 8, 2), method = get(at + 10, 2), name = get(at + 28, 2),
                extra = get(at + 30, 2), comment = get(at + 32, 2);
  int64_t disk = get(at + 34, 2);
  *bytes = ENTRY + name + extra + comment;
  if (*bytes > left) return "an entry that is cut short";
  *m = (tvi_zip_member){.raw = at + ENTRY,
                        .raw_bytes = name,
                        .at = get(at + 42, 4),
                        .packed = get(at + 20, 4),
                        .bytes = get(at + 24, 4),
                        .crc = (uint32_t)get(at + 16, 4),
                        .is_deflated = method == 8};
  if (get(at + 6, 2) % 256 > 63) return "a member for readers after version 6.3";
  if (flags & (1 | 1 << 6 | 1 << 13)) return "a member that is encrypted";
  if (flags & 1 << 5) return "a member that is a patch";
  if (method != 0 && method != 8) return "a member packed neither as stored nor as deflated";
  const char *fault = read_extra(m->raw + name, extra, m, &disk);
  /* NumPy writes ".npy" alone for a name without characters. */
  const int64_t bare = name_bytes(m);
  if (!fault) fault = tvi_name_fault((const char *)m->raw, bare ? bare : name);
  if (fault) return fault;
  if (disk) return "a member on another disk";
  for (int64_t i = 0; i < name && !(flags & 1 << 11); i++)
    if (m->raw[i] > 0x7F) return "a name beyond ASCII that is not said to be UTF-8";
  if (!m->is_deflated && m->packed != m->bytes) return "a stored member of two sizes";
  /* A bomb: more than any deflate can give. */
  if (m->is_deflated && m->bytes / TVI_DEFLATE_MOST > m->packed)
    return "a member that claims to unpack to more than 1032 times its size";
  return NULL;
}

static tv_status read_entries(tvi_zip *zip, const char *who, const extent *where) {
  char *names = zip->names;
  int64_t at = 0;
  for (int64_t i = 0; i < zip->n; i++) {
    tvi_zip_member *const m = &zip->members[i];
    int64_t bytes = 0;
    const char *const fault = read_entry(zip->directory + at, where->bytes - at, m, &bytes);
    if (fault) return refuse(who, where->at + at, fault, "an array's member");
    const int64_t name = name_bytes(m);
    m->name = memcpy(names, m->raw, (size_t)name);
    names[name] = '\0';
    names += name + 1;
    zip->by_name[i] = m;
    at += bytes;
  }
  if (at == where->bytes) return TV_OK;
  return refuse(who, where->at + at, "bytes behind the last member", "the end of the directory");
}

static int compare_places(const void *left, const void *right) {
  const int64_t a = (*(tvi_zip_member *const *)left)->at, b = (*(tvi_zip_member *const *)right)->at;
  return (a > b) - (a < b);
}

static int compare_names(const void *left, const void *right) {
  return strcmp((*(tvi_zip_member *const *)left)->name, (*(tvi_zip_member *const *)right)->name);
}

/* That no two members share a byte or a name. */
static tv_status check_members(tvi_zip *zip, const char *who, int64_t directory_at) {
  char text[64];
  const size_t n = (size_t)zip->n;
  if (n == 0) return TV_OK;
  qsort(zip->by_name, n, sizeof(void *), compare_places);
  for (size_t i = 0; i < n; i++) {
    tvi_zip_member *const m = zip->by_name[i];
    m->end = i + 1 < n ? zip->by_name[i + 1]->at : directory_at;
    if (m->end - m->at < LOCAL + m->raw_bytes || m->end - m->at - LOCAL - m->raw_bytes < m->packed)
      return tvi_fail_status(
          TV_EFORMAT, "%s: byte %lld: found member '%s', which overlaps the next", who,
          (long long)m->at, tvi_escape(text, sizeof text, m->name, strlen(m->name)));
  }
  if (zip->by_name[0]->at != 0)
    return refuse(who, 0, "bytes in front of the first member", "nothing");
  qsort(zip->by_name, n, sizeof(void *), compare_names);
  for (size_t i = 1; i < n; i++) {
    const char *const name = zip->by_name[i]->name;
    if (!strcmp(name, zip->by_name[i - 1]->name))
      return tvi_fail_status(TV_EFORMAT, "%s: found '%s' twice, expected each name once", who,
                             tvi_escape(text, sizeof text, name, strlen(name)));
  }
  return TV_OK;
}

/* What begins with anything else other readers, NumPy for one, take for no archive. */
static tv_status check_start(const tvi_zip *zip, const char *who) {
  uint8_t first[4];
  const tv_status status = read_all(who, zip->fd, 0, first, 4);
  if (status || (zip->n ? is_sign(first, 3, 4) : is_sign(first, 5, 6))) return status;
  return refuse(who, 0, "no signature of a member, or of an archive without any", "one");
}

tv_status tvi_zip_open(tvi_zip *zip, const char *who, int fd, int64_t max_members) {
  *zip = (tvi_zip){.fd = fd};
  extent where = {0, 0, 0};
  int64_t size = 0;
  tv_status status = tvi_file_left(who, fd, &size, NULL);
  if (!status && size < 0)
    status = refuse(who, 0, "no regular file, or an empty one", "an .npz file");
  if (!status) status = read_end(who, fd, size, &where);
  if (status) return status;
  if (where.n > max_members)
    return tvi_fail_status(TV_EFORMAT, "%s: found %lld members, the limit is %lld", who,
                           (long long)where.n, (long long)max_members);
  if (where.bytes / MOST_ENTRY > where.n)
    return refuse(who, where.at, "a directory larger than its entries can be", "theirs");
  zip->n = where.n;
  zip->directory = tvi_malloc(where.bytes);
  zip->names = tvi_malloc(where.bytes);
  zip->members = tvi_calloc(zip->n, sizeof *zip->members);
  zip->by_name = tvi_calloc(zip->n, sizeof *zip->by_name);
  if (!zip->directory || !zip->names || !zip->members || !zip->by_name) {
    tvi_zip_free(zip);
    tvi_no_memory(who, where.bytes);
    return TV_ENOMEM;
  }
  status = read_all(who, fd, where.at, zip->directory, where.bytes);
  if (!status) status = read_entries(zip, who, &where);
  if (!status) status = check_members(zip, who, where.at);
  if (!status) status = check_start(zip, who);
  if (status) tvi_zip_free(zip);
  return status;
}

void tvi_zip_free(tvi_zip *zip) {
  tvi_free(zip->by_name);
  tvi_free(zip->members);
  tvi_free(zip->names);
  tvi_free(zip->directory);
  *zip = (tvi_zip){.fd = -1};
}

const tvi_zip_member *tvi_zip_find(const tvi_zip *zip, const char *name) {
  int64_t low = 0, high = zip->n;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    const int order = strcmp(zip->by_name[middle]->name, name);
    if (order == 0) return zip->by_name[middle];
    if (order < 0) low = middle + 1;
    if (order > 0) high = middle;
  }
  return NULL;
}

/* ---- a member ------------------------------------------------------------------------------- */

/* Unpacked and summed. */
static tv_status read_member(tvi_source *source, void *out, int64_t n, int64_t *got) {
  tvi_zip_source *const from = (tvi_zip_source *)source;
  tv_status status = TV_OK;
  if (n > source->left) n = source->left;
  for (*got = 0; !status && *got < n;) {
    const int64_t want = n - *got < PIECE ? n - *got : PIECE;
    char *const piece = (char *)out + *got;
    int64_t now = 0;
    status = from->inflater ? tvi_inflate(from->inflater, piece, want, &now)
                            : tvi_source_read(&from->packed, piece, want, &now);
    from->crc = tvi_crc32(from->crc, piece, now);
    *got += now;
    if (now < want) break;
  }
  return status;
}

/* Read what is behind the array, which may be anything, and compare the sum of all. */
static tv_status finish_member(tvi_source *source) {
  tvi_zip_source *const from = (tvi_zip_source *)source;
  uint8_t rest[4096];
  tv_status status = TV_OK;
  while (!status && source->left > 0) {
    int64_t got = 0;
    status = tvi_source_read(source, rest, sizeof rest, &got);
    if (!status && !got)
      return tvi_fail_status(TV_EFORMAT, "%s: found %lld bytes less than promised", source->who,
                             (long long)source->left);
  }
  if (!status && from->inflater) status = tvi_inflate_end(from->inflater);
  if (!status && from->crc != from->member->crc)
    status = tvi_fail_status(TV_EFORMAT, "%s: found CRC-32 %08x, expected %08x", source->who,
                             from->crc, from->member->crc);
  return status;
}

tv_status tvi_zip_member_begin(tvi_zip_source *from, const char *who, const tvi_zip *zip,
                               const tvi_zip_member *m) {
  uint8_t local[LOCAL];
  tv_status status = read_all(who, zip->fd, m->at, local, LOCAL);
  if (status) return status;
  uint8_t *const name = tvi_malloc(m->raw_bytes);
  if (!name) return tvi_no_memory(who, m->raw_bytes);
  const int64_t at = m->at + LOCAL + m->raw_bytes + get(local + 28, 2);
  const bool is_same = is_sign(local, 3, 4) && get(local + 26, 2) == m->raw_bytes &&
                       get(local + 8, 2) == (m->is_deflated ? 8 : 0) && !(local[6] & 1);
  if (is_same) status = read_all(who, zip->fd, m->at + LOCAL, name, m->raw_bytes);
  if (!status && (!is_same || memcmp(name, m->raw, (size_t)m->raw_bytes) != 0))
    status = refuse(who, m->at, "a member's header that disagrees with the directory", "one truth");
  else if (!status && (at > m->end || m->end - at < m->packed))
    status = refuse(who, m->at, "a member that overlaps the next", "none that does");
  tvi_free(name);
  if (status) return status;
  *from = (tvi_zip_source){.source = {.who = who,
                                      .left = m->bytes,
                                      .fd = m->is_deflated ? -1 : zip->fd,
                                      .base = at,
                                      .read = read_member,
                                      .finish = finish_member},
                           .packed = tvi_place_source(who, zip->fd, at, m->packed),
                           .member = m};
  if (m->is_deflated && !(from->inflater = tvi_inflater_new(&from->packed))) return tvi_failure();
  return TV_OK;
}

void tvi_zip_member_end(tvi_zip_source *from) { tvi_inflater_free(from->inflater); }
