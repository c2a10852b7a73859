/* SPDX-License-Identifier: MIT
 * The graph of a tape as text for Graphviz: a node for each read, watched tensor and op. */
#include <stdio.h>
#include <string.h>

#include "record.h"
#include "status.h"
#include "variable.h"
#include "writer.h"

/* Text between the quotes of a label. Names may hold any bytes. */
static void put_label(tvi_writer *text, const char *label) {
  char plain[256];
  tvi_escape(plain, sizeof plain, label, strlen(label));
  for (const char *c = plain; *c; c++) {
    if (*c == '"' || *c == '\\') tvi_writer_put(text, "\\", 1);
    tvi_writer_put(text, c, 1);
  }
}

/* "s3 [style, label="name\nmore\nfloat32 [2, 3]"];" of a slot. */
static void put_node(tvi_writer *text, const tv_tape *tape, int32_t slot, const char *style,
                     const char *name, const char *more) {
  const tvi_spec *const spec = &tape->slots[slot].spec;
  tvi_text shape;
  tvi_writer_put_string(text, "  s");
  tvi_writer_put_int(text, slot);
  tvi_writer_put_string(text, " [");
  tvi_writer_put_string(text, style);
  tvi_writer_put_string(text, "label=\"");
  put_label(text, name);
  tvi_writer_put_string(text, more);
  tvi_writer_put_string(text, "\\n");
  tvi_writer_put_string(text, tv_dtype_name(spec->dtype));
  tvi_writer_put_string(text, " ");
  tvi_writer_put_string(text, tvi_shape_text(&shape, spec->rank, spec->shape));
  tvi_writer_put_string(text, "\"];\n");
}

static void put_read(tvi_writer *text, const tv_tape *tape, const tvi_leaf *leaf) {
  char version[40];
  snprintf(version, sizeof version, "\\nversion %llu", (unsigned long long)leaf->version);
  put_node(text, tape, leaf->slot, "shape=box, ", tv_variable_name(leaf->variable), version);
}

static void put_op(tvi_writer *text, const tv_tape *tape, const tvi_record_entry *record) {
  char arrow[64];
  put_node(text, tape, record->out, "", record->rule->name, "");
  for (int k = 0; k < record->n_in; k++) {
    if (record->in[k] < 0 || !tape->slots[record->in[k]].is_watched) continue;
    snprintf(arrow, sizeof arrow, "  s%d -> s%d [label=\"%d\"];\n", (int)record->in[k],
             (int)record->out, k);
    tvi_writer_put_string(text, arrow);
  }
}

/* Slots are made in the order of reads, watches and ops: what neither reads nor ops made was
 * watched. */
static void put_all(tvi_writer *text, const tv_tape *tape) {
  int32_t read = 0, op = 0;
  tvi_writer_put_string(text, "digraph tape {\n  node [shape=ellipse];\n");
  for (int32_t slot = 0; slot < tape->n_slots; slot++) {
    if (read < tape->n_leaves && tape->leaves[read].slot == slot)
      put_read(text, tape, &tape->leaves[read++]);
    else if (op < tape->n_records && tape->records[op].out == slot)
      put_op(text, tape, &tape->records[op++]);
    else if (tape->slots[slot].is_watched)
      put_node(text, tape, slot, "shape=box, style=dashed, ", "watched", "");
  }
  tvi_writer_put_string(text, "}\n");
}

tv_status tv_tape_graph(tv_tape *tape, FILE *stream) {
  static const char who[] = "tape_graph";
  if (!tvi_tape_is_open(who, tape)) return tvi_failure();
  if (!stream) return tvi_null_status(who, "stream");
  if (tape->is_stopped)
    return tvi_fail_status(TV_ETAPE, "%s: this tape has given its gradient, and its graph with it",
                           who);
  tvi_writer text = TVI_WRITER;
  put_all(&text, tape);
  tv_status status = TV_OK;
  if (text.has_failed)
    status = tvi_fail_status(TV_ENOMEM, "%s: no memory for the text", who);
  else if (fwrite(text.bytes, 1, (size_t)text.n, stream) != (size_t)text.n || fflush(stream))
    status = tvi_fail_status(TV_EIO, "%s: writing failed", who);
  tvi_writer_free(&text);
  return status;
}
