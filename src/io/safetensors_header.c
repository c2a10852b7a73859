/* SPDX-License-Identifier: MIT */
/* The header of a safetensors file.
 *
 *     offset 0   N, u64 little-endian      at most 100,000,000, and what the file holds
 *            8   header, N bytes           JSON, perhaps with white space at its ends
 *          8+N   data                      to the end of the file
 *
 *     header   := '{' [member (',' member)*] '}'
 *     member   := '"__metadata__"' ':' '{' [string ':' string (',' string ':' string)*] '}'
 *               | string ':' '{' field (',' field)* '}'
 *     field    := '"dtype"' ':' string | '"shape"' ':' sizes | '"data_offsets"' ':' '[' int ',' int
 * ']' sizes    := '[' [int (',' int)*] ']' int      := '0' | [1-9][0-9]*        at most 2^63-1
 *     string   := as RFC 8259, of whole Unicode characters, without NUL
 *
 * White space as JSON has it stands between tokens. A name, a key or a field twice is refused, and
 * a field that is unknown. In the order of their offsets the arrays begin at 0, follow each other
 * without hole or overlap, and end with the file. One pass by pointer and end pointer, no
 * recursion; memory is a few times the text, which the file holds. Strings are decoded where they
 * lie: that never makes them longer, and NUL goes where the closing quote was. */
#include "safetensors_header.h"

#include <stdlib.h>
#include <string.h>

#include "dtype.h"
#include "memory.h"
#include "names.h"
#include "size.h"
#include "status.h"
#include "writer.h"

typedef struct cursor {
  const char *who;
  char *begin, *at, *end;
  tvi_safetensors_header *header;
} cursor;

enum { FOUND = 44 }; /* 40 characters, "..." and NUL */

static tv_status refuse(const cursor *in, const char *at, const char *expected) {
  char found[FOUND];
  const char *what = "the end of the header";
  if (at < in->end) {
    const char *const stops = *at == '"' ? "\"" : " {}[],:\""; /* or NUL, where a string was read */
    const char *end = at + 1;
    while (end < in->end && !strchr(stops, *end)) end++;
    if (*at == '"' && end < in->end && *end) end++;
    what = tvi_escape(found, sizeof found, at, (size_t)(end - at));
  }
  return tvi_fail_status(TV_EFORMAT, "%s: header byte %lld: found %s, expected %s", in->who,
                         (long long)(at - in->begin), what, expected);
}

static tv_status no_memory(const char *who, int64_t n) {
  return tvi_fail_status(TV_ENOMEM, "%s: no memory on cpu for %lld entries of a header", who,
                         (long long)n);
}

static void skip_space(cursor *in) {
  while (in->at < in->end &&
         (*in->at == ' ' || *in->at == '\t' || *in->at == '\r' || *in->at == '\n'))
    in->at++;
}

/* Whether c comes next, perhaps after space; then it is taken. */
static bool take(cursor *in, char c) {
  skip_space(in);
  if (in->at == in->end || *in->at != c) return false;
  in->at++;
  return true;
}

/* ---- strings -------------------------------------------------------------------------------- */

/* Four hexadecimal digits at `at`; -1 if they are none. */
static int32_t hex4(const cursor *in, const char *at) {
  int32_t x = 0;
  if (in->end - at < 4) return -1;
  for (int k = 0; k < 4; k++) {
    const char c = at[k];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return -1;
    x = x * 16 + digit;
  }
  return x;
}

/* The character of \u at `at`, its 'u' taken; *bytes of text. -1 if it is none. */
static int32_t unicode(const cursor *in, const char *at, int64_t *bytes) {
  const int32_t high = hex4(in, at);
  *bytes = 4;
  if (high < 0xD800 || high > 0xDFFF) return high;
  if (high > 0xDBFF || in->end - at < 10 || at[4] != '\\' || at[5] != 'u') return -1;
  const int32_t low = hex4(in, at + 6);
  *bytes = 10;
  return low < 0xDC00 || low > 0xDFFF ? -1 : 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

static char *put_utf8(char *out, int32_t c) {
  static const int32_t limits[] = {0x80, 0x800, 0x10000, 0x110000};
  static const int marks[] = {0, 0xC0, 0xE0, 0xF0};
  int n = 0;
  while (c >= limits[n]) n++;
  *out++ = (char)(marks[n] | c >> 6 * n);
  while (n-- > 0) *out++ = (char)(0x80 | (c >> 6 * n & 0x3F));
  return out;
}

/* What a letter behind a backslash means; -1 if nothing. */
static int32_t meaning(char letter) {
  switch (letter) {
    case '"':
    case '\\':
    case '/':
      return letter;
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return -1;
  }
}

/* An escape, at its backslash: the character, and where the text goes on; -1 if it is none. */
static int32_t escape(const cursor *in, const char **at) {
  const char *const letter = *at + 1;
  if (letter == in->end) return -1;
  if (*letter == 'u') {
    int64_t bytes = 0;
    const int32_t c = unicode(in, letter + 1, &bytes);
    *at = letter + 1 + bytes;
    return c;
  }
  *at = letter + 1;
  return meaning(*letter);
}

/* The end of a run of printable ASCII without quotes and backslashes. */
static const char *plain_end(const char *at, const char *end) {
  while (at < end && *at >= ' ' && *at <= '~' && *at != '"' && *at != '\\') at++;
  return at;
}

static tv_status take_string(cursor *in, const char *expected, const char **string) {
  skip_space(in);
  if (in->at == in->end || *in->at != '"') return refuse(in, in->at, expected);
  const char *at = ++in->at;
  char *out = in->at;
  *string = out;
  while (at < in->end && *at != '"') {
    const char *const here = at;
    if (*at == '\\') {
      const int32_t c = escape(in, &at);
      if (c < 0) return refuse(in, here, "an escape of JSON");
      if (c == 0) return refuse(in, here, "no NUL in a string");
      out = put_utf8(out, c);
      continue;
    }
    if ((unsigned char)*at < ' ') return refuse(in, here, "no control character in a string");
    const int64_t plain = plain_end(at, in->end) - at;
    const int64_t n = plain ? plain : tvi_utf8((const uint8_t *)at, in->end - at);
    if (!n) return refuse(in, here, "UTF-8");
    if (out != at) memmove(out, at, (size_t)n); /* behind an escape */
    out += n;
    at += n;
  }
  if (at == in->end) return refuse(in, at, "the closing quote");
  *out = '\0';
  in->at += at + 1 - in->at;
  return TV_OK;
}

/* ---- numbers -------------------------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static tv_status take_size(cursor *in, int64_t *size) {
  static const char expected[] = "a size: digits, at most 2^63-1";
  skip_space(in);
  const char *const begin = in->at;
  *size = 0;
  for (; in->at < in->end && is_digit(*in->at); in->at++)
    if (!tvi_mul(*size, 10, size) || !tvi_add(*size, *in->at - '0', size))
      return refuse(in, begin, expected);
  const bool is_number = in->at > begin && (*begin != '0' || in->at == begin + 1);
  return is_number ? TV_OK : refuse(in, begin, expected);
}

/* Room for one more in a list that grows by doubling. */
static bool has_room(void **list, int64_t n, int64_t *room, size_t item) {
  if (n < *room) return true;
  const int64_t wanted = *room ? 2 * *room : 16;
  void *const larger = tvi_realloc(*list, wanted * (int64_t)item);
  if (!larger) return false;
  *list = larger;
  *room = wanted;
  return true;
}

static tv_status take_shape(cursor *in, tvi_safetensors_entry *entry) {
  tvi_safetensors_header *const h = in->header;
  if (!take(in, '[')) return refuse(in, in->at, "a list of sizes");
  entry->shape_at = h->n_sizes;
  entry->rank = 0;
  if (take(in, ']')) return TV_OK;
  do {
    void *list = h->sizes;
    const bool has = has_room(&list, h->n_sizes, &h->sizes_room, sizeof *h->sizes);
    h->sizes = list;
    if (!has) return no_memory(in->who, h->n_sizes);
    if (entry->rank == TV_MAX_RANK) return refuse(in, in->at, "at most 64 sizes");
    const tv_status status = take_size(in, &h->sizes[h->n_sizes]);
    if (status) return status;
    h->n_sizes++;
    entry->rank++;
  } while (take(in, ','));
  return take(in, ']') ? TV_OK : refuse(in, in->at, "',' or ']'");
}

static tv_status take_offsets(cursor *in, tvi_safetensors_entry *entry) {
  if (!take(in, '[')) return refuse(in, in->at, "two offsets");
  tv_status status = take_size(in, &entry->begin);
  if (status) return status;
  if (!take(in, ',')) return refuse(in, in->at, "','");
  status = take_size(in, &entry->end);
  if (status) return status;
  return take(in, ']') ? TV_OK : refuse(in, in->at, "']'");
}

/* ---- dtypes --------------------------------------------------------------------------------- */

/* In the order of the reference's own list: wider ones come later. */
static const struct {
  char name[5];
  tv_dtype dtype;
} dtypes[] = {{"BOOL", TV_BOOL}, {"U8", TV_U8},   {"I8", TV_I8},     {"I16", TV_I16},
              {"U16", TV_U16},   {"F16", TV_F16}, {"BF16", TV_BF16}, {"I32", TV_I32},
              {"U32", TV_U32},   {"F32", TV_F32}, {"C64", TV_C64},   {"F64", TV_F64},
              {"I64", TV_I64},   {"U64", TV_U64}};

int tvi_safetensors_rank(tv_dtype dtype) {
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
    if (dtypes[i].dtype == dtype) return (int)i;
  return -1;
}

const char *tvi_safetensors_dtype(tv_dtype dtype) {
  const int rank = tvi_safetensors_rank(dtype);
  return rank < 0 ? NULL : dtypes[rank].name;
}

static tv_status take_dtype(cursor *in, tvi_safetensors_entry *entry) {
  const char *name = "";
  skip_space(in);
  const char *const at = in->at;
  const tv_status status = take_string(in, "a dtype in quotes", &name);
  if (status) return status;
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
    if (strcmp(name, dtypes[i].name) != 0) continue;
    entry->dtype = dtypes[i].dtype;
    return TV_OK;
  }
  char found[FOUND];
  return tvi_fail_status(TV_EFORMAT, "%s: header byte %lld: dtype '%s' is not supported", in->who,
                         (long long)(at - in->begin),
                         tvi_escape(found, sizeof found, name, strlen(name)));
}

/* ---- members -------------------------------------------------------------------------------- */

enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4, ALL_FIELDS = 7 };

static int field_of(const char *key) {
  if (!strcmp(key, "dtype")) return DTYPE;
  if (!strcmp(key, "shape")) return SHAPE;
  return strcmp(key, "data_offsets") ? 0 : OFFSETS;
}

static tv_status take_field(cursor *in, tvi_safetensors_entry *entry, int *seen) {
  const char *key = "";
  skip_space(in);
  const char *const at = in->at;
  const tv_status status = take_string(in, "a field in quotes", &key);
  if (status) return status;
  const int field = field_of(key);
  if (!field) return refuse(in, at, "the field dtype, shape or data_offsets");
  if (*seen & field) return refuse(in, at, "each field once");
  *seen |= field;
  if (!take(in, ':')) return refuse(in, in->at, "':'");
  return field == DTYPE   ? take_dtype(in, entry)
         : field == SHAPE ? take_shape(in, entry)
                          : take_offsets(in, entry);
}

static tv_status take_entry(cursor *in, const char *name) {
  tvi_safetensors_header *const h = in->header;
  void *list = h->entries;
  const bool has = has_room(&list, h->n, &h->room, sizeof *h->entries);
  h->entries = list;
  if (!has) return no_memory(in->who, h->n);
  tvi_safetensors_entry entry = {.name = name};
  const char *const at = in->at;
  int seen = 0;
  if (!take(in, '{')) return refuse(in, in->at, "'{'");
  do {
    const tv_status status = take_field(in, &entry, &seen);
    if (status) return status;
  } while (take(in, ','));
  if (!take(in, '}')) return refuse(in, in->at, "',' or '}'");
  if (seen != ALL_FIELDS) {
    return refuse(in, in->at - 1,
                  !(seen & DTYPE)   ? "the field dtype"
                  : !(seen & SHAPE) ? "the field shape"
                                    : "the field data_offsets");
  }
  tvi_text shape;
  int64_t elements = 0, bytes = 0;
  const int64_t *const sizes = h->n_sizes ? h->sizes + entry.shape_at : NULL;
  if (!tvi_product(entry.rank, sizes, tv_dtype_size(entry.dtype), &elements, &bytes) ||
      entry.end < entry.begin || bytes != entry.end - entry.begin)
    return tvi_fail_status(TV_EFORMAT,
                           "%s: header byte %lld: found data_offsets [%lld, %lld], which are not "
                           "those of shape %s of %s",
                           in->who, (long long)(at - in->begin), (long long)entry.begin,
                           (long long)entry.end, tvi_shape_text(&shape, entry.rank, sizes),
                           tv_dtype_name(entry.dtype));
  h->entries[h->n++] = entry;
  return TV_OK;
}

static tv_status take_metadata(cursor *in) {
  tvi_safetensors_header *const h = in->header;
  if (!take(in, '{')) return refuse(in, in->at, "'{'");
  if (take(in, '}')) return TV_OK;
  do {
    void *list = h->metadata;
    const bool has = has_room(&list, h->n_metadata, &h->metadata_room, sizeof *h->metadata);
    h->metadata = list;
    if (!has) return no_memory(in->who, h->n_metadata);
    tvi_safetensors_text *const text = &h->metadata[h->n_metadata];
    tv_status status = take_string(in, "a key in quotes", &text->key);
    if (status) return status;
    if (!take(in, ':')) return refuse(in, in->at, "':'");
    status = take_string(in, "a text in quotes", &text->value);
    if (status) return status;
    h->n_metadata++;
  } while (take(in, ','));
  return take(in, '}') ? TV_OK : refuse(in, in->at, "',' or '}'");
}

static tv_status take_members(cursor *in) {
  bool has_metadata = false;
  if (!take(in, '{')) return refuse(in, in->at, "'{'");
  if (take(in, '}')) return TV_OK;
  do {
    const char *name = "";
    skip_space(in);
    const char *const at = in->at;
    tv_status status = take_string(in, "a name in quotes", &name);
    if (status) return status;
    if (!take(in, ':')) return refuse(in, in->at, "':'");
    const bool is_metadata = !strcmp(name, "__metadata__");
    if (is_metadata && has_metadata) return refuse(in, at, "__metadata__ once");
    has_metadata |= is_metadata;
    status = is_metadata ? take_metadata(in) : take_entry(in, name);
    if (status) return status;
  } while (take(in, ','));
  return take(in, '}') ? TV_OK : refuse(in, in->at, "',' or '}'");
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int compare_entries(const void *left, const void *right) {
  const tvi_safetensors_entry *const a = left, *const b = right;
  if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
  if (a->end != b->end) return a->end < b->end ? -1 : 1; /* those without bytes come first */
  return strcmp(a->name, b->name);
}

static int compare_texts(const void *left, const void *right) {
  return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static int compare_names(const void *left, const void *right) {
  return strcmp((*(tvi_safetensors_entry *const *)left)->name,
                (*(tvi_safetensors_entry *const *)right)->name);
}

static tv_status refuse_twice(const char *who, const char *name) {
  char found[64];
  return tvi_fail_status(TV_EFORMAT, "%s: header: found '%s' twice, expected each name once", who,
                         tvi_escape(found, sizeof found, name, strlen(name)));
}

/* That no name and no key is there twice. */
static tv_status check_names(tvi_safetensors_header *h, const char *who) {
  tvi_safetensors_entry **const by_name = tvi_calloc(h->n, sizeof *by_name);
  const char **const keys = tvi_calloc(h->n_metadata, sizeof *keys);
  h->by_name = by_name;
  if (!by_name || !keys) {
    tvi_free(keys);
    no_memory(who, h->n + h->n_metadata);
    return TV_ENOMEM;
  }
  tv_status status = TV_OK;
  for (int64_t i = 0; i < h->n; i++) by_name[i] = &h->entries[i];
  if (h->n) qsort(by_name, (size_t)h->n, sizeof *by_name, compare_names);
  for (int64_t i = 1; i < h->n && !status; i++)
    if (!compare_names(&by_name[i - 1], &by_name[i])) status = refuse_twice(who, by_name[i]->name);
  for (int64_t i = 0; i < h->n_metadata; i++) keys[i] = h->metadata[i].key;
  if (h->n_metadata) qsort(keys, (size_t)h->n_metadata, sizeof *keys, compare_texts);
  for (int64_t i = 1; i < h->n_metadata && !status; i++)
    if (!strcmp(keys[i - 1], keys[i])) status = refuse_twice(who, keys[i]);
  tvi_free(keys);
  return status;
}

const tvi_safetensors_entry *tvi_safetensors_find(const tvi_safetensors_header *h,
                                                  const char *name) {
  int64_t low = 0, high = h->n;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    const int order = strcmp(h->by_name[middle]->name, name);
    if (order == 0) return h->by_name[middle];
    if (order < 0) low = middle + 1;
    if (order > 0) high = middle;
  }
  return NULL;
}

static tv_status check_places(const tvi_safetensors_header *h, const char *who, int64_t data) {
  char found[64];
  int64_t at = 0;
  for (int64_t i = 0; i < h->n; at = h->entries[i++].end) {
    const tvi_safetensors_entry *const e = &h->entries[i];
    if (e->begin != at)
      return tvi_fail_status(
          TV_EFORMAT,
          "%s: header: found '%s' at data offset %lld, expected %lld: arrays follow "
          "each other without hole or overlap",
          who, tvi_escape(found, sizeof found, e->name, strlen(e->name)), (long long)e->begin,
          (long long)at);
  }
  if (at == data) return TV_OK;
  return tvi_fail_status(TV_EFORMAT, "%s: found %lld bytes of data, expected %lld", who,
                         (long long)data, (long long)at);
}

tv_status tvi_safetensors_parse(tvi_safetensors_header *h, const char *who, char *text, int64_t n,
                                int64_t data) {
  *h = (tvi_safetensors_header){.text = text};
  cursor in = {who, text, text, text + n, h};
  tv_status status = take_members(&in);
  if (status) return status;
  skip_space(&in);
  if (in.at < in.end) return refuse(&in, in.at, "nothing but blanks behind '}'");
  if (h->n) qsort(h->entries, (size_t)h->n, sizeof *h->entries, compare_entries);
  status = check_names(h, who);
  return status ? status : check_places(h, who, data);
}

void tvi_safetensors_free(tvi_safetensors_header *h) {
  tvi_free(h->text);
  tvi_free(h->entries);
  tvi_free(h->by_name);
  tvi_free(h->metadata);
  tvi_free(h->sizes);
  *h = (tvi_safetensors_header){.text = NULL};
}
