/* SPDX-License-Identifier: MIT
 * Prints include/tensorvar/ops.h, the prototypes of the op table with their comments. It is
 * committed, so that it can be read and searched; a test compares the two. Build it of this file
 * and src/op.c. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "op.h"

static const char *const heads[] = {
    [TVI_UNARY] = "Of one tensor: the dtype of x",
    [TVI_PART] = "Parts of a complex number: its real type",
    [TVI_TEST] = "Tests of one tensor: bool",
    [TVI_BINARY] = "Of two tensors: their common dtype",
    [TVI_COMPARE] = "Comparisons: bool",
    [TVI_SELECT] = "Choice: the common dtype of a and b",
    [TVI_BOUNDED] = "Bounds: the common dtype of x, a and b",
};

static const struct {
  const char *types, *text;
} classes[] = {
    {"ANY", "Any."},
    {"NUMBER", "Any but bool, which is TV_EDTYPE."},
    {"REAL", "Integers and floats; TV_EDTYPE for bool and complex."},
    {"ORDERED", "Any but complex, which is TV_EDTYPE."},
    {"POWER", "Any; bool runs as int8."},
    {"DIVISION", "Any but complex, which is TV_EDTYPE; bool runs as int8."},
    {"FLOATING",
     "Any; bool and integers of 8 bits run in float16, of 16 in float32, wider in float64."},
    {"REALFLOAT",
     "Any but complex, which is TV_EDTYPE; bool and integers of 8 bits run in float16, of 16\n"
     " *           in float32, wider in float64."},
    {"QUOTIENT", "Any; bool and integers run in float64."},
};

/* Prints text word by word from `column` on; lines end before column 100, later ones are indented.
 */
static void fill(const char *text, int column, const char *indent) {
  for (bool first = true; *text; first = false) {
    const int length = (int)strcspn(text, " ");
    if (column + 1 + length > 99)
      column = printf("\n%s", indent) - 1;
    else if (!first)
      column += printf(" ");
    column += printf("%.*s", length, text);
    text += length;
    text += *text == ' ';
  }
}

static void entry(const tvi_op_row *row) {
  puts("\n/**");
  fputs(" * ", stdout);
  char text[256];
  snprintf(text, sizeof text, " %s.", row->summary);
  const bool is_variable = !isalpha((unsigned char)text[2]);
  if (!is_variable) text[1] = (char)toupper((unsigned char)text[1]);
  fill(text + 1, 3, " * ");
  puts("\n *");
  const char *dtypes = "";
  for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
    if (!strcmp(classes[i].types, row->types)) dtypes = classes[i].text;
  printf(" * Dtypes    %s\n", dtypes);
  const char *input = row->inputs + (row->kind == TVI_SELECT);
  for (int i = 0; i < 3 && row->gradient[i]; i++) {
    const int column = printf(i ? " *           d%c = " : " * Gradient  d%c = ", input[i]);
    fill(row->gradient[i], column, " *               ");
    puts("");
  }
  fputs(" */\nTV_API tv_tensor *tv_", stdout);
  printf("%s(", row->name);
  for (const char *in = row->inputs; *in; in++)
    printf("%stv_tensor *%c", in == row->inputs ? "" : ", ", *in);
  puts(");");
}

int main(void) {
  puts(
      "/* SPDX-License-Identifier: MIT\n"
      " * Elementwise ops. Made from src/ops.def by cmake/genops.c: change the table, not this "
      "file.\n"
      " *\n"
      " * Operands broadcast, and meet in one dtype as tv_result_type tells; the condition of "
      "tv_where\n"
      " * is true where it is not zero. Every entry can fail with TV_ESHAPE (shapes do not "
      "broadcast),\n"
      " * TV_EDEVICE (operands on different devices), TV_EDTYPE (a dtype that it refuses) and "
      "TV_ENOMEM.\n"
      " * float16 and bfloat16 are computed in float32 and rounded once; integers wrap.\n"
      " *\n"
      " * A gradient is written over g, the gradient of the result y, and is summed over axes that "
      "were\n"
      " * broadcast. An entry without one gives no gradient. Names with tvi_ are internal to it.\n"
      " *\n"
      " * Source: array API 2024.12; special values as its lists and C99 Annex G. relu and sigmoid "
      "are\n"
      " * the usual ones of learning. */\n"
      "#ifndef TENSORVAR_OPS_H\n#define TENSORVAR_OPS_H\n\n"
      "#include <tensorvar/tensor.h>\nTV_BEGIN_C");
  for (int op = 0; op < TVI_OP_COUNT; op++) {
    const tvi_op_row *row = &tvi_op_info[op];
    if (op == 0 || row->kind != row[-1].kind) {
      const int column = printf("\n/* %s ", heads[row->kind]);
      for (int i = column; i < 96; i++) putchar('-');
      puts(" */");
    }
    entry(row);
  }
  puts("\nTV_END_C\n#endif");
  return 0;
}
