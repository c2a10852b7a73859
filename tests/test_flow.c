/* SPDX-License-Identifier: MIT
 * Sources and sinks: reading and passing over, where they end, what their callbacks may answer. */
#include "io/flow.h"

#include "faults.h"
#include "npy_bytes.h"

static const char text[] = "0123456789abcdefghij";

/* Read 3, pass over 4, read 5, pass over all, read on. */
static void walk(tvi_source *from) {
  char out[32] = {0};
  int64_t got = -1;
  OK(tvi_source_read(from, out, 3, &got));
  EQUAL(got, 3);
  OK(tvi_source_skip(from, 4, &got));
  EQUAL(got, 4);
  OK(tvi_source_read(from, out + 3, 5, &got));
  EQUAL(got, 5);
  SAME_TEXT(out, "012789ab");
  if (from->left >= 0) EQUAL(from->left, 8);
  OK(tvi_source_skip(from, 100, &got));
  EQUAL(got, 8);
  OK(tvi_source_read(from, out, 5, &got));
  EQUAL(got, 0);
}

TEST(every_source_is_read_and_passed_over) {
  tvi_source memory = tvi_memory_source("x", text, 20);
  walk(&memory);
  npy_bytes bytes = {(char *)(intptr_t)text, 20, 0};
  tvi_callback_source callback = tvi_callback_source_of("x", npy_bytes_read, &bytes);
  walk(&callback.source);
  folder_enter();
  file_put("x", text, 20);
  const int fd = open("x", O_RDONLY);
  tvi_source file;
  OK(tvi_file_source(&file, "x", fd));
  EQUAL(file.left, 20);
  walk(&file);
  EQUAL(lseek(fd, 0, SEEK_CUR), 20);
  tvi_source all = tvi_place_source("x", fd, 0, 20);
  walk(&all);
  EQUAL(lseek(fd, 0, SEEK_CUR), 20); /* nobody moved it */
  close(fd);
  int ends[2];
  CHECK(!pipe(ends) && write(ends[1], text, 20) == 20);
  close(ends[1]);
  OK(tvi_file_source(&file, "x", ends[0]));
  EQUAL(file.left, -1);
  walk(&file);
  close(ends[0]);
  folder_leave();
}

TEST(other_places_are_read_beside) {
  folder_enter();
  file_put("x", text, 20);
  const int fd = open("x", O_RDONLY);
  CHECK(lseek(fd, 2, SEEK_SET) == 2);
  tvi_source sources[3] = {tvi_memory_source("x", text + 2, 18), tvi_place_source("x", fd, 2, 18)};
  OK(tvi_file_source(&sources[2], "x", fd));
  for (int k = 0; k < 3; k++) {
    char out[8] = {0};
    int64_t got;
    OK(tvi_source_read(&sources[k], out, 1, &got));
    OK(tvi_source_skip(&sources[k], 2, &got));
    tvi_source beside = tvi_source_beside(&sources[k], 11);
    EQUAL(beside.left, 4);
    OK(tvi_source_read(&beside, out, 7, &got));
    SAME_TEXT(out, "ghij");
    EQUAL(got, 4);
    OK(tvi_source_read(&sources[k], out, 4, &got)); /* it goes on where it was */
    SAME_TEXT(out, "5678");
  }
  close(fd);
  folder_leave();
}

TEST(failing_files_say_so) {
  folder_enter();
  file_put("x", text, 20);
  const int fd = open("x", O_RDONLY);
  tvi_source file;
  int64_t got;
  char out[4];
  OK(tvi_file_source(&file, "x", fd));
  faults_begin(1, EIO);
  FAILS_STATUS(TV_EIO, "x: cannot go to a position: Input/output error",
               tvi_source_skip(&file, 4, &got));
  faults_begin(1, EIO);
  FAILS_STATUS(TV_EIO, "x: cannot read: Input/output error", tvi_source_read(&file, out, 4, &got));
  faults_end();
  close(fd);
  folder_leave();
}

static int64_t answer;
static int64_t answers(void *user, void *out, int64_t n) {
  (void)user;
  memset(out, 0, (size_t)n);
  return answer;
}

TEST(callbacks_that_fail_or_lie_are_refused) {
  tvi_callback_source from = tvi_callback_source_of("x", answers, NULL);
  char out[4];
  int64_t got;
  answer = -1;
  FAILS_STATUS(TV_EIO, "x: cannot read: the callback gave -1 of 4 bytes",
               tvi_source_read(&from.source, out, 4, &got));
  answer = 5;
  FAILS_STATUS(TV_EIO, "x: cannot read: the callback gave 5 of 4 bytes",
               tvi_source_skip(&from.source, 4, &got));
}

static bool refuses(void *user, const void *bytes, int64_t n) {
  (void)user;
  (void)bytes;
  return n < 4;
}

TEST(sinks_take_what_they_are_given) {
  npy_bytes bytes = {NULL, 0, 0};
  tvi_callback_sink to = tvi_callback_sink_of("x", npy_bytes_write, &bytes);
  OK(to.sink.write(&to.sink, text, 10));
  OK(tvi_sink_elements(&to.sink, text + 10, 10));
  EQUAL(bytes.n, 20);
  CHECK(!memcmp(bytes.bytes, text, 20));
  free(bytes.bytes);
  to = tvi_callback_sink_of("x", refuses, NULL);
  OK(tvi_sink_elements(&to.sink, text, 3));
  FAILS_STATUS(TV_EIO, "x: cannot write: the callback did not take 4 bytes",
               tvi_sink_elements(&to.sink, text, 4));
}

TEST_MAIN("flow", CASE(every_source_is_read_and_passed_over), CASE(other_places_are_read_beside),
          CASE(failing_files_say_so), CASE(callbacks_that_fail_or_lie_are_refused),
          CASE(sinks_take_what_they_are_given))
