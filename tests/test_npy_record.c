/* SPDX-License-Identifier: MIT
 * Structured .npy files: one field of their records, and what is refused. tests/conformance holds
 * them against NumPy. */
#include <stdio.h>

#include "memory.h"
#include "npy_bytes.h"

/* A title, a gap, numbers, an array, a record, text and an array of records. */
#define TYPES                                                                     \
  "[('a', '|u1'), (('a title', 'b'), '<f4'), ('', '|V1'), ('c', '>i2', (2, 1)), " \
  "('d', [('e', '|i1'), ('f', '<f2')]), ('g', '<U1'), ('h', [('i', '|u1')], (2,))]"
#define FILE_OF(types, rest) "{'descr': " types ", 'fortran_order': False, 'shape': " rest "}"

/* a, b, a gap, c twice, e, f, g, h.i twice: 1 + 4 + 1 + 4 + 1 + 2 + 4 + 2 */
enum { RECORD = 19 };
static const unsigned char records[2 * RECORD] = {
    7,   0, 0, 0x80, 0x3f, 99, 1, 2, 0xff, 0xfe, 0xfd, 0, 0x3c, 'A', 0, 0, 0, 5, 6,
    255, 0, 0, 0,    0xc0, 98, 0, 9, 0,    8,    4,    0, 0xc0, 'B', 0, 0, 0, 7, 8};

static tv_tensor *field(const char *header, const char *name, const char *slice) {
  npy_bytes file = npy_bytes_of(header, records, sizeof records);
  tv_npy_options o = TV_NPY_OPTIONS;
  o.field = name;
  o.slice = slice;
  tv_tensor *const x = tv_npy_read_memory(file.bytes, file.n, &o);
  free(file.bytes);
  return x;
}
static const char plain[] = FILE_OF(TYPES, "(2,)");

TEST(a_field_is_read) {
  tv_tensor *x = field(plain, "a", NULL);
  EQUAL(tv_tensor_dtype(x), TV_U8);
  HOLDS(x, 7, 255);
  x = field(plain, "b", NULL);
  EQUAL(tv_tensor_dtype(x), TV_F32);
  HOLDS(x, 1, -2);
  x = field(plain, "d.e", NULL);
  HOLDS(x, -3, 4);
  x = field(plain, "d.f", NULL);
  EQUAL(tv_tensor_dtype(x), TV_F16);
  HOLDS(x, 1, -2);
}

TEST(a_field_brings_its_axes) {
  tv_tensor *x = field(plain, "c", NULL);
  EQUAL(tv_tensor_dtype(x), TV_I16);
  SHAPE_IS(x, TV_SHAPE(2, 2, 1));
  HOLDS(x, 258, -2, 9, 8);
  HOLDS(field(plain, "c", "1, ::-1"), 8, 9);
  x = field(FILE_OF(TYPES, "()"), "c", NULL);
  SHAPE_IS(x, TV_SHAPE(2, 1));
}

TEST(fields_may_have_no_bytes) {
  npy_bytes file = npy_bytes_of(FILE_OF("[('x', '<f4', (0,))]", "(3,)"), "", 0);
  tv_npy_options o = TV_NPY_OPTIONS;
  o.field = "x";
  SHAPE_IS(tv_npy_read_memory(file.bytes, file.n, &o), TV_SHAPE(3, 0));
  free(file.bytes);
  HOLDS(field(FILE_OF("[('s', '|S0'), ('u', '<U0'), ('t', '|V7'), ('a', '|u1'), ('w', '<M8[25s]')]",
                      "(2,)"),
              "a", NULL),
        2, 0xc0); /* bytes 7 and 23 */
}

TEST(layouts_tell_of_records) {
  npy_bytes file = npy_bytes_of(plain, records, sizeof records);
  tv_npy_layout layout = TV_NPY_LAYOUT;
  tv_npy_options o = TV_NPY_OPTIONS;
  o.field = "c";
  o.layout = &layout;
  OK(tv_npy_read_memory(file.bytes, file.n, &o));
  EQUAL(layout.record_bytes, RECORD);
  EQUAL(layout.field_offset, 6);
  EQUAL(layout.field_rank, 2);
  EQUAL(layout.bytes, 2 * RECORD);
  EQUAL(layout.behind, 0);
  EQUAL(layout.is_big_endian, true);
  free(file.bytes);
}

TEST(what_cannot_be_read_says_why) {
  FAILS(TV_EFORMAT,
        "npy_read_memory: header byte 10: found records, expected one dtype; ask for a field: "
        "'a', 'b', 'c', 'd', 'g', 'h'",
        field(plain, NULL, NULL));
  FAILS(TV_EVALUE, "npy_read_memory: there is no field 'x'; there are 'a', 'b', 'c', 'd', 'g', 'h'",
        field(plain, "x", NULL));
  FAILS(TV_EVALUE,
        "npy_read_memory: there is no field 'd.'; there are 'a', 'b', 'c', 'd', 'g', 'h'",
        field(plain, "d.", NULL));
  FAILS(TV_EFORMAT,
        "npy_read_memory: field 'd' is not supported (a record itself: add '.' and one of its "
        "fields)",
        field(plain, "d", NULL));
  FAILS(TV_EFORMAT, "npy_read_memory: field 'g' is not supported (text)", field(plain, "g", NULL));
  FAILS(TV_EFORMAT, "npy_read_memory: field 'h.i' is not supported (within an array of records)",
        field(plain, "h.i", NULL));
  FAILS(TV_EFORMAT,
        "npy_read_memory: field 'a.b' is not supported (two fields answer to that name)",
        field(FILE_OF("[('a.b', '|u1'), ('a', [('b', '|u1')])]", "(2,)"), "a.b", NULL));
  FAILS(TV_EVALUE, "npy_read_memory: a field is asked for, but descr '<f4' has none",
        field(FILE_OF("'<f4'", "(2,)"), "a", NULL));
}

/* Refused before anybody asks for a field; the text behind "header byte ". */
static void refused(const char *types, const char *why) {
  char header[600], message[300];
  snprintf(header, sizeof header, FILE_OF("%s", "(1,)"), types);
  snprintf(message, sizeof message, "npy_read_memory: header byte %s", why);
  FAILS(TV_EFORMAT, message, field(header, "a", NULL));
}

TEST(lists_are_checked_whole) {
  refused("[]", "11: found ], expected '(' of a field");
  refused("['<f4']", "11: found '<f4', expected '(' of a field");
  refused("[('a')]", "15: found ), expected ','");
  refused("[(a, '<f4')]", "12: found a, expected the name of a field");
  refused("[('a', '<f4'", "24: found 'fortran_order', expected a tuple of sizes");
  refused("[('a', '<f4') ('b', '<f4')]", "24: found (, expected ',' or ']'");
  refused("[('a', '<f4', 3)]", "24: found 3, expected a tuple of sizes");
  refused("[('a', '<f4', (3))]", "26: found ), expected ',' after the only size");
  refused("[('a', '<f4', (3,) 4)]", "29: found 4, expected ',' or ')'");
  refused("[('a', '<f4'), ('a', '<f4')]", "26: found 'a', expected each name once");
  refused("[(('t' 'a'), '<f4')]", "17: found 'a', expected ','");
  refused("[(('t', 3), '<f4')]", "18: found 3, expected the name of a field");
  refused("[(('t', 'a', '<f4')]", "21: found ,, expected ')'");
  refused("[('', '<f4')]", "12: found '', expected the name of a field");
  refused("[('a', '<f4'), ('b', '|O')]", "31: descr '|O' is not supported (Python objects)");
  refused("[('a', '<f4'), ('b', '<f5')]", "31: descr '<f5' is not supported (unknown)");
  refused("[('a', '<f4'), ('b', ('<f4', 2))]",
          "31: found (, expected a dtype in quotes, or records");
  refused("[('a', '<f4'), ('b', '|S2147483647')]",
          "45: found ), expected a record of at most 2^31-1 bytes");
  refused("[('a', '<f4'), ('b', '|S9', (4294967296, 4294967296))]",
          "62: found ), expected a record of at most 2^31-1 bytes");
  refused("[('a', [('b', [('c', [('d', [('e', [('f', [('g', [('h', [('i', '|u1')])])])])])])])])]",
          "66: found [, expected records at most 8 deep");
}

TEST(sizes_of_what_is_passed_over_count) {
  static const struct {
    const char *types;
    int bytes;
  } table[] = {{"'|S3'", 3},     {"'<U2'", 8},          {"'<M8[us]'", 8},
               {"'<m8'", 8},     {"'<f16'", 16},        {"'<c32'", 32},
               {"'|V5'", 5},     {"'<i8', (2, 3)", 48}, {"'a4'", 4},
               {"'<f4', ()", 4}, {"'>M8[D]'", 8},       {"[('x', '|u1'), ('y', '|S2')]", 3},
               {"'<f4',", 4},    {"'<f8', (0,)", 0}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    char header[200];
    unsigned char data[64] = {0};
    snprintf(header, sizeof header, FILE_OF("[('x', %s), ('a', '|u1')]", "(1,)"), table[i].types);
    data[table[i].bytes] = 42;
    npy_bytes file = npy_bytes_of(header, data, (size_t)table[i].bytes + 1);
    tv_npy_options o = TV_NPY_OPTIONS;
    o.field = "a";
    HOLDS(tv_npy_read_memory(file.bytes, file.n, &o), 42);
    free(file.bytes);
  }
}

TEST(many_fields_have_an_end) {
  enum { EACH = 17 };
  char *const header = malloc(EACH * 1100 + 100);
  for (int n = 999; n <= 1001; n++) {
    size_t at = (size_t)sprintf(header, "{'descr': [('a', '|u1')");
    for (int i = 1; i < n; i++) at += (size_t)sprintf(header + at, ", ('%d', '|u1')", i);
    sprintf(header + at, "], 'fortran_order': False, 'shape': (0,)}");
    tv_tensor *const x = field(header, "a", NULL);
    if (n <= 1000) {
      SHAPE_IS(x, TV_SHAPE(0));
    } else {
      CHECK(!x && strstr(tv_error_text(), "expected at most 1000 fields"));
      tv_error_clear();
    }
  }
  free(header);
}

TEST(commas_may_end_lists_and_axes_have_an_end) {
  HOLDS(field(FILE_OF("[('a', '|u1',), ('b', '|u1', (2,),),]", "(2,)"), "a", NULL), 7, 128);
  char header[600] = "{'descr': [('a', '|u1', (1,))], 'fortran_order': False, 'shape': (",
       *at = header;
  at += strlen(at);
  for (int k = 0; k < 64; k++) at += sprintf(at, "1, ");
  sprintf(at, ")}");
  FAILS(TV_EFORMAT, "npy_read_memory: header: found 65 axes with the field's, expected 64",
        field(header, "a", NULL));
}

TEST(any_allocation_may_fail) {
  tv_tensor *x = NULL;
  for (int64_t n = 1; !x; n++) {
    tvi_memory_fail(n, false);
    x = field(plain, "b", "::-1");
    tvi_memory_fail(0, false);
    if (!x) EQUAL(tv_error(), TV_ENOMEM);
    tv_error_clear();
  }
  HOLDS(x, -2, 1);
}

TEST_MAIN("npy_record", CASE(a_field_is_read), CASE(a_field_brings_its_axes),
          CASE(fields_may_have_no_bytes), CASE(layouts_tell_of_records),
          CASE(what_cannot_be_read_says_why), CASE(lists_are_checked_whole),
          CASE(sizes_of_what_is_passed_over_count), CASE(many_fields_have_an_end),
          CASE(commas_may_end_lists_and_axes_have_an_end), CASE(any_allocation_may_fail))
