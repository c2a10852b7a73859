/* SPDX-License-Identifier: MIT
 * The graph of a tape as Graphviz reads it. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "memory.h"

static char text[4096];

static tv_status graph(tv_tape *tape) {
  FILE *const file = tmpfile();
  CHECK(file);
  const tv_status status = tv_tape_graph(tape, file);
  rewind(file);
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
  return status;
}

TEST(reads_watches_and_ops_are_nodes) {
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.name = "a \"b\"\n";
  tv_variable *const v = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2, 3)), &o);
  OK(tv_variable_assign_add(v, tv_scalar(1)));
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_tensor *const w = tv_ones(TV_F32, TV_SHAPE(3));
  OK(tv_tape_watch(tape, w));
  tv_sum(tv_multiply(tv_read(v), w), TV_AXES(0));
  OK(graph(tape));
  SAME_TEXT(text,
            "digraph tape {\n"
            "  node [shape=ellipse];\n"
            "  s0 [shape=box, style=dashed, label=\"watched\\nfloat32 [3]\"];\n"
            "  s1 [shape=box, label=\"a \\\"b\\\"\\\\x0a\\nversion 1\\nfloat32 [2, 3]\"];\n"
            "  s2 [label=\"multiply\\nfloat32 [2, 3]\"];\n"
            "  s1 -> s2 [label=\"0\"];\n"
            "  s0 -> s2 [label=\"1\"];\n"
            "  s3 [label=\"sum\\nfloat32 [3]\"];\n"
            "  s2 -> s3 [label=\"0\"];\n"
            "}\n");
  tvi_memory_fail(1, false);
  FAILS_STATUS(TV_ENOMEM, "tape_graph: no memory for the text", graph(tape));
  tvi_memory_fail(0, false);
  OK(tv_tape_end(tape));
  tv_variable_release(v);
}

/* The exit status of `dot` on a file; 127 where there is none. */
static int dot(const char *path) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) {
    execlp("dot", "dot", "-Tsvg", "-o", "/dev/null", path, (char *)NULL);
    _exit(127);
  }
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(graphviz_reads_it) {
  static const char path[] = "test_graph.dot";
  tv_variable_options o = TV_VARIABLE_OPTIONS;
  o.name = "a \"b\"\\\xff";
  tv_variable *const v = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), &o);
  tv_tape *const tape = tv_tape_begin(NULL);
  tv_exp(tv_square(tv_read(v)));
  FILE *const file = fopen(path, "w");
  CHECK(file);
  OK(tv_tape_graph(tape, file));
  EQUAL(fclose(file), 0);
  const int status = dot(path);
  remove(path);
  OK(tv_tape_end(tape));
  tv_variable_release(v);
  if (status == 127) SKIP("Graphviz is not installed");
  EQUAL(status, 0);
}

TEST(what_cannot_be_drawn_is_refused) {
  tv_tensor *g;
  tv_variable *const v = tv_variable_new(tv_ones(TV_F32, TV_SHAPE(2)), NULL);
  FAILS_STATUS(TV_EVALUE, "tape_graph: tape is NULL", tv_tape_graph(NULL, stdout));
  tv_tape *const tape = tv_tape_begin(NULL);
  FAILS_STATUS(TV_EVALUE, "tape_graph: stream is NULL", tv_tape_graph(tape, NULL));
  OK(tv_tape_gradient(tape, tv_read(v), 1, &v, &g));
  FAILS_STATUS(TV_ETAPE, "tape_graph: this tape has given its gradient, and its graph with it",
               graph(tape));
  FILE *const full = fopen("/dev/full", "w");
  OK(tv_tape_end(tape));
  if (full) {
    tv_tape *const other = tv_tape_begin(NULL);
    FAILS_STATUS(TV_EIO, "tape_graph: writing failed", tv_tape_graph(other, full));
    fclose(full);
    OK(tv_tape_end(other));
  }
  tv_variable_release(v);
}

TEST_MAIN("graph", CASE(reads_watches_and_ops_are_nodes), CASE(graphviz_reads_it),
          CASE(what_cannot_be_drawn_is_refused))
