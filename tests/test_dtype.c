/* SPDX-License-Identifier: MIT
 * What a dtype is. */
#include "dtype.h"

#include "check.h"

TEST(names_sizes_kinds) {
  static const struct {
    tv_dtype dtype;
    const char *name;
    int64_t size, alignment;
    char kind;
  } all[] = {{TV_BOOL, "bool", 1, 1, 'b'},       {TV_I8, "int8", 1, 1, 'i'},
             {TV_I16, "int16", 2, 2, 'i'},       {TV_I32, "int32", 4, 4, 'i'},
             {TV_I64, "int64", 8, 8, 'i'},       {TV_U8, "uint8", 1, 1, 'u'},
             {TV_U16, "uint16", 2, 2, 'u'},      {TV_U32, "uint32", 4, 4, 'u'},
             {TV_U64, "uint64", 8, 8, 'u'},      {TV_F16, "float16", 2, 2, 'f'},
             {TV_BF16, "bfloat16", 2, 2, 'f'},   {TV_F32, "float32", 4, 4, 'f'},
             {TV_F64, "float64", 8, 8, 'f'},     {TV_C64, "complex64", 8, 4, 'c'},
             {TV_C128, "complex128", 16, 8, 'c'}};
  EQUAL(sizeof all / sizeof *all, TV_DTYPE_COUNT);
  for (int k = 0; k < TV_DTYPE_COUNT; k++) {
    EQUAL(all[k].dtype, k);
    SAME_TEXT(tv_dtype_name(all[k].dtype), all[k].name);
    EQUAL(tv_dtype_size(all[k].dtype), all[k].size);
    EQUAL(tvi_alignment(all[k].dtype), all[k].alignment);
    EQUAL(tv_dtype_kind(all[k].dtype), all[k].kind);
  }
}

TEST(what_is_no_dtype) {
  for (int d = -1; d <= TV_DTYPE_COUNT; d += TV_DTYPE_COUNT + 1) {
    SAME_TEXT(tv_dtype_name((tv_dtype)d), "none");
    EQUAL(tv_dtype_size((tv_dtype)d), 0);
    EQUAL(tv_dtype_kind((tv_dtype)d), 0);
    CHECK(!tv_can_cast((tv_dtype)d, TV_F32, TV_CAST_SAFE) &&
          !tv_can_cast(TV_F32, (tv_dtype)d, TV_CAST_SAFE));
  }
}

TEST(ranges_of_integers) {
  const tvi_weak low = {.kind = TVI_WEAK_INT, .i = -129}, edge = {.kind = TVI_WEAK_INT, .i = -128},
                 high = {.kind = TVI_WEAK_UINT, .u = UINT64_MAX},
                 most = {.kind = TVI_WEAK_INT, .i = INT64_MAX};
  CHECK(!tvi_integer_fits(&low, TV_I8) && tvi_integer_fits(&edge, TV_I8) &&
        !tvi_integer_fits(&edge, TV_U64));
  CHECK(tvi_integer_fits(&high, TV_U64) && !tvi_integer_fits(&high, TV_I64) &&
        !tvi_integer_fits(&high, TV_U32));
  CHECK(tvi_integer_fits(&most, TV_I64) && tvi_integer_fits(&most, TV_U64) &&
        !tvi_integer_fits(&most, TV_I32));
}

TEST_MAIN("dtype", CASE(names_sizes_kinds), CASE(what_is_no_dtype), CASE(ranges_of_integers))
