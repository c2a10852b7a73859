/* SPDX-License-Identifier: MIT
 * Headers of .npy files: what is taken, and how each refusal reads. Thousands of generated files
 * are in tests/npy_corpus.py. */
#include "io/npy_header.h"

#include <stdio.h>
#include <string.h>

#include "check.h"

static tv_npy_layout layout;
static const tv_npy_options plain = TV_NPY_OPTIONS;
static const tv_npy_options bf16 = {.void2_is_bf16 = true};

static tv_status parse_bytes(int version, const char *text, int64_t n) {
  layout = (tv_npy_layout)TV_NPY_LAYOUT;
  layout.version = version;
  layout.offset = 128;
  return tvi_npy_header_parse("x", (const uint8_t *)text, n, &plain, &layout);
}

static tv_status parse(const char *text) { return parse_bytes(1, text, (int64_t)strlen(text)); }

#define HEAD "{'descr': '<f4', 'fortran_order': False, 'shape': "
#define REFUSED(message, text) FAILS_STATUS(TV_EFORMAT, "x: " message, parse(text))

TEST(numpys_own_header_is_read) {
  OK(parse("{'descr': '>c16', 'fortran_order': True, 'shape': (3, 0, 4), }            \n"));
  EQUAL(layout.dtype, TV_C128);
  EQUAL(layout.is_big_endian, true);
  EQUAL(layout.is_fortran, true);
  EQUAL(layout.rank, 3);
  EQUAL(layout.shape[0], 3);
  EQUAL(layout.shape[1], 0);
  EQUAL(layout.shape[2], 4);
  EQUAL(layout.bytes, 0);
  OK(parse("{'descr': '>u1', 'fortran_order': False, 'shape': (5,)}"));
  EQUAL(layout.is_big_endian, false); /* means nothing for one byte */
  EQUAL(layout.bytes, 5);
  OK(parse("{'descr': 'f8', 'fortran_order': False, 'shape': ()}"));
  EQUAL(layout.rank, 0);
  EQUAL(layout.bytes, 8);
}

TEST(any_spelling_of_a_writer_is_read) {
  OK(parse(" \t{\"shape\":(2,3,),\r\n\"fortran_order\" : False , 'descr':'|f4' , } \r\n\n"));
  OK(parse("{'descr': '=i2', 'fortran_order': False, 'shape': (2L, 3L)}"));
  EQUAL(layout.bytes, 12);
}

TEST(structure_is_checked) {
  REFUSED("header byte 0: found the end of the header, expected '{'", "");
  REFUSED("header byte 1: found [, expected '{'", " [");
  REFUSED("header byte 1: found }, expected a key in quotes", "{}");
  REFUSED("header byte 1: found descr, expected a key in quotes", "{descr");
  REFUSED("header byte 7: found the end of the header, expected the closing quote", "{'descr");
}

TEST(bytes_of_every_kind_are_refused_in_strings) {
  FAILS_STATUS(
      TV_EFORMAT,
      "x: header byte 3: found \\x00, expected a printable ASCII character other than backslash",
      parse_bytes(1, "{'d\0'", 6));
  REFUSED("header byte 3: found \\x5c, expected a printable ASCII character other than backslash",
          "{'d\\'");
  REFUSED("header byte 3: found \\x80, expected a printable ASCII character other than backslash",
          "{'d\x80'");
}

TEST(keys_are_there_once_each) {
  REFUSED("header byte 1: found 'x', expected the key descr, fortran_order or shape", "{'x': 1}");
  REFUSED("header byte 1: found 'shapx', expected the key descr, fortran_order or shape",
          "{'shapx'");
  REFUSED("header byte 1: found 'fortran_ordex', expected the key descr, fortran_order or shape",
          "{'fortran_ordex'");
  REFUSED("header byte 8: found 'shape', expected ':'", "{'shape''shape'");
  REFUSED("header byte 14: found 'shape', expected each key once", "{'shape': (), 'shape': ()}");
  REFUSED("header byte 12: found }, expected the key descr", "{'shape': ()}");
  REFUSED("header byte 15: found }, expected the key fortran_order", "{'descr': '<f4'}");
  REFUSED("header byte 39: found }, expected the key shape",
          "{'descr': '<f4', 'fortran_order': False}");
  REFUSED("header byte 14: found x, expected ',' or '}'", "{'shape': ()  x");
  REFUSED("header byte 13: found ,, expected a key in quotes", "{'shape': (),,");
  REFUSED("header byte 54: found x, expected nothing after '}'", HEAD "()} x");
  REFUSED("header byte 54: found  , expected no blank behind a line break", HEAD "()}\n ");
  REFUSED("header byte 1: found  , expected no blank behind a line break", "\n {");
}

TEST(shapes_are_tuples_of_sizes) {
  REFUSED("header byte 50: found [, expected a tuple of sizes", HEAD "[2]}");
  REFUSED("header byte 52: found ), expected ',' after the only size", HEAD "(2)}");
  REFUSED("header byte 51: found -1, expected a size: digits, at most 2^63-1", HEAD "(-1,)}");
  REFUSED("header byte 51: found +2, expected a size: digits, at most 2^63-1", HEAD "(+2,)}");
  REFUSED("header byte 50: found 'ab, expected a tuple of sizes", HEAD "'ab");
  REFUSED("header byte 51: found True, expected a size: digits, at most 2^63-1", HEAD "(True,)}");
  REFUSED("header byte 51: found 02, expected a size: digits, at most 2^63-1", HEAD "(02,)}");
  REFUSED("header byte 51: found 2.0, expected a size: digits, at most 2^63-1", HEAD "(2.0,)}");
  REFUSED("header byte 51: found 2LL, expected a size: digits, at most 2^63-1", HEAD "(2LL,)}");
  REFUSED("header byte 51: found 9223372036854775808, expected a size: digits, at most 2^63-1",
          HEAD "(9223372036854775808,)}");
  REFUSED("header byte 51: found 92233720368547758070, expected a size: digits, at most 2^63-1",
          HEAD "(92233720368547758070,)}");
  REFUSED("header byte 51: found ,, expected a size: digits, at most 2^63-1", HEAD "(,)}");
  REFUSED("header byte 53: found 3, expected ',' or ')'", HEAD "(2 3)}");
  REFUSED("header byte 52: found the end of the header, expected ',' or ')'", HEAD "(2");
  REFUSED("header byte 53: found the end of the header, expected a size: digits, at most 2^63-1",
          HEAD "(2,");
  static const char version3[] = HEAD "(2L,)}";
  FAILS_STATUS(TV_EFORMAT, "x: header byte 51: found 2L, expected a size: digits, at most 2^63-1",
               parse_bytes(3, version3, sizeof version3 - 1));
}

TEST(rank_is_at_most_64) {
  char text[400] = HEAD "(";
  size_t n = strlen(text);
  for (int k = 0; k < 64; k++, n += 2) memcpy(text + n, "1,", 3);
  memcpy(text + n, ")}", 3);
  OK(parse(text));
  EQUAL(layout.rank, 64);
  memcpy(text + n, "1)}", 4);
  REFUSED("header byte 179: found 1, expected at most 64 sizes", text);
}

TEST(order_is_true_or_false) {
  REFUSED("header byte 18: found true, expected True or False", "{'fortran_order': true");
  REFUSED("header byte 18: found Falsey, expected True or False", "{'fortran_order': Falsey");
  REFUSED("header byte 18: found 0, expected True or False", "{'fortran_order': 0");
  REFUSED("header byte 18: found the end of the header, expected True or False",
          "{'fortran_order': ");
  REFUSED("header byte 22: found the end of the header, expected ',' or '}'",
          "{'fortran_order': True");
}

TEST(dtypes_are_refused_by_name) {
  static const char *const table[][2] = {{"<U3", "text"},
                                         {"|S4", "text"},
                                         {"<M8[ns]", "date"},
                                         {"<m8", "time span"},
                                         {"|O", "Python objects"},
                                         {"<f16", "long double"},
                                         {"<c32", "complex long double"},
                                         {"|V8", "void"},
                                         {"<V2", "2-byte void; if this is bfloat16, ask for it"},
                                         {"<f3", "unknown"},
                                         {"", "unknown"},
                                         {"<", "unknown"},
                                         {"<<f4", "unknown"},
                                         {"float32", "unknown"}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    char text[100], message[200];
    snprintf(text, sizeof text, "{'descr': '%s'", table[i][0]);
    snprintf(message, sizeof message, "x: header byte 10: descr '%s' is not supported (%s)",
             table[i][0], table[i][1]);
    FAILS_STATUS(TV_EFORMAT, message, parse(text));
  }
  REFUSED("header byte 10: found records, expected one dtype; ask for a field: 'a'",
          "{'descr': [('a', '<f4')]");
  REFUSED("header byte 10: found (, expected a dtype in quotes, or records",
          "{'descr': ('<f4', 2)");
  REFUSED("header byte 10: found None, expected a dtype in quotes, or records", "{'descr': None");
  REFUSED("header byte 10: found the end of the header, expected a dtype in quotes, or records",
          "{'descr': ");
}

TEST(void_of_2_bytes_is_bfloat16_if_asked) {
  static const char text[] = "{'descr': '|V2', 'fortran_order': False, 'shape': (3,)}";
  layout = (tv_npy_layout)TV_NPY_LAYOUT;
  layout.version = 1;
  OK(tvi_npy_header_parse("x", (const uint8_t *)text, sizeof text - 1, &bf16, &layout));
  EQUAL(layout.dtype, TV_BF16);
  EQUAL(layout.bytes, 6);
}

TEST(sizes_do_not_overflow) {
  OK(parse(HEAD "(2305843009213693919,)}")); /* ends at 2^63 - 4, behind 128 bytes of header */
  REFUSED("header: found shape [2305843009213693920] of float32, expected at most 2^63-1 bytes",
          HEAD "(2305843009213693920,)}");
  REFUSED("header: found shape [0, 4611686018427387904] of float32, expected at most 2^63-1 bytes",
          HEAD "(0, 4611686018427387904)}");
  REFUSED("header: found shape [4294967296, 4294967296] of float32, expected at most 2^63-1 bytes",
          HEAD "(4294967296, 4294967296)}");
}

TEST(found_is_escaped_and_cut) {
  REFUSED(
      "header byte 10: descr '<faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa... is not supported "
      "(unknown)",
      "{'descr': '<faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'");
  REFUSED("header byte 0: found %, expected '{'", "%n");
}

TEST(magic_and_version_are_checked) {
  int prefix = 0;
#define MAGIC(message, bytes)             \
  FAILS_STATUS(TV_EFORMAT, "x: " message, \
               tvi_npy_magic("x", (const uint8_t *)(bytes), (int64_t)sizeof(bytes) - 1, &prefix))
  MAGIC("byte 0: found the end of the file, expected magic, version and length", "");
  MAGIC("byte 9: found the end of the file, expected magic, version and length", "\x93NUMPY\1\0v");
  MAGIC("byte 6: found version 4.0, expected 1.0, 2.0 or 3.0", "\x93NUMPY\4\0v\0");
  MAGIC("byte 6: found version 0.0, expected 1.0, 2.0 or 3.0", "\x93NUMPY\0\0v\0");
  MAGIC("byte 6: found version 1.1, expected 1.0, 2.0 or 3.0", "\x93NUMPY\1\1v\0");
#define OTHER(found, what, bytes) \
  MAGIC("byte 0: found " found " (" what "), expected the magic of a .npy file", bytes)
  OTHER("PK\\x03\\x04", "a zip archive, perhaps an .npz", "PK\3\4");
  OTHER("\\x1f\\x8b\\x08", "compressed by gzip", "\x1f\x8b\x08");
  OTHER("\\x89HDF\\x0d", "HDF5", "\x89HDF\r");
  OTHER("version ht", "a git-lfs pointer: the data are elsewhere", "version ht");
  OTHER("\\xc2\\x93NUMPY", "a .npy file damaged by conversion to UTF-8", "\xc2\x93NUMPY");
  OTHER("\\x80\\x04\\x95", "a Python pickle", "\x80\4\x95");
  OTHER("\\x80\\x01", "unknown", "\x80\1");
  OTHER("\\x80\\x06", "unknown", "\x80\6");
  OTHER("(\\x00\\x00\\x00\\x00\\x00\\x00\\x00{\"", "perhaps safetensors", "(\0\0\0\0\0\0\0{\"");
  OTHER("a\\x0a", "text", "a\n");
  OTHER("\\xff", "unknown", "\xff");
  OTHER("\\x0e", "unknown", "\x0e");
  OK(tvi_npy_magic("x", (const uint8_t *)"\x93NUMPY\1\0v\0", 10, &prefix));
  EQUAL(prefix, 10);
  OK(tvi_npy_magic("x", (const uint8_t *)"\x93NUMPY\3\0v\0", 10, &prefix));
  EQUAL(prefix, 12);
}

TEST(header_length_is_bounded) {
  int64_t n = 0;
  OK(tvi_npy_header_length("x", (const uint8_t *)"12345678\xff\xff", 10, -1, &n));
  EQUAL(n, 65535);
  OK(tvi_npy_header_length("x", (const uint8_t *)"12345678\2\1\0\0", 12, 258, &n));
  EQUAL(n, 258);
  FAILS_STATUS(TV_EFORMAT, "x: byte 8: found a header of 258 bytes, expected at most the 257 left",
               tvi_npy_header_length("x", (const uint8_t *)"12345678\2\1\0\0", 12, 257, &n));
  FAILS_STATUS(TV_EFORMAT, "x: byte 8: found a header of 65536 bytes, expected at most 65535",
               tvi_npy_header_length("x", (const uint8_t *)"12345678\0\0\1\0", 12, -1, &n));
  FAILS_STATUS(TV_EFORMAT, "x: byte 8: found a header of 4294967295 bytes, expected at most 65535",
               tvi_npy_header_length("x", (const uint8_t *)"12345678\xff\xff\xff\xff", 12, -1, &n));
}

TEST(the_file_holds_what_the_header_promises) {
  OK(parse(HEAD "(2, 3)}"));
  OK(tvi_npy_size_check("x", &layout, -1));
  OK(tvi_npy_size_check("x", &layout, 152));
  FAILS_STATUS(TV_EFORMAT, "x: byte 128: found 23 bytes, expected 24 for shape [2, 3] of float32",
               tvi_npy_size_check("x", &layout, 151));
}

TEST(written_headers_are_numpys) {
  char out[TVI_NPY_HEADER_ROOM];
  EQUAL(tvi_npy_header_write(TV_F32, false, false, TV_SHAPE(3, 4), out), 128);
  CHECK(!memcmp(
      out, "\x93NUMPY\1\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   ", 72));
  EQUAL(out[127], '\n');
  EQUAL(tvi_npy_header_write(TV_BOOL, false, false, TV_SCALAR_SHAPE, out), 128);
  CHECK(!memcmp(out + 10, "{'descr': '|b1', 'fortran_order': False, 'shape': (), }", 54));
}

TEST(every_written_header_is_read_back) {
  char out[TVI_NPY_HEADER_ROOM];
  for (int dtype = 0; dtype < TV_DTYPE_COUNT; dtype++) {
    for (int rank = 0; rank <= TV_MAX_RANK; rank++) {
      int64_t shape[TV_MAX_RANK], n = 0;
      for (int k = 0; k < rank; k++) shape[k] = k == rank / 2 ? 1 << (rank % 20) : 1;
      if (rank == 64) /* the longest: zeros keep it from overflowing */
        for (int k = 0; k < rank; k++) shape[k] = k ? 1 : INT64_MAX / 32;
      const int size = tvi_npy_header_write((tv_dtype)dtype, false, rank % 2, rank, shape, out);
      EQUAL(size % 64, 0);
      int prefix;
      OK(tvi_npy_magic("x", (const uint8_t *)out, 10, &prefix));
      OK(tvi_npy_header_length("x", (const uint8_t *)out, prefix, size - prefix, &n));
      EQUAL(n, size - prefix);
      layout = (tv_npy_layout)TV_NPY_LAYOUT;
      layout.version = 1;
      layout.offset = size;
      OK(tvi_npy_header_parse("x", (const uint8_t *)out + prefix, n, &bf16, &layout));
      EQUAL(layout.dtype, dtype);
      EQUAL(layout.is_fortran, rank % 2);
      EQUAL(layout.rank, rank);
      CHECK(!rank || !memcmp(layout.shape, shape, (size_t)rank * sizeof *shape));
    }
  }
}

TEST_MAIN("npy_header", CASE(numpys_own_header_is_read), CASE(any_spelling_of_a_writer_is_read),
          CASE(structure_is_checked), CASE(bytes_of_every_kind_are_refused_in_strings),
          CASE(keys_are_there_once_each), CASE(shapes_are_tuples_of_sizes),
          CASE(rank_is_at_most_64), CASE(order_is_true_or_false), CASE(dtypes_are_refused_by_name),
          CASE(void_of_2_bytes_is_bfloat16_if_asked), CASE(sizes_do_not_overflow),
          CASE(found_is_escaped_and_cut), CASE(magic_and_version_are_checked),
          CASE(header_length_is_bounded), CASE(the_file_holds_what_the_header_promises),
          CASE(written_headers_are_numpys), CASE(every_written_header_is_read_back))
