/* SPDX-License-Identifier: MIT
 * Statuses, and the first failure. */
#include "status.h"

#include <errno.h>
#include <string.h>

#include "check.h"

TEST(names_and_texts_are_those_of_the_header) {
  static const struct {
    tv_status status;
    const char *name;
  } all[] = {{TV_OK, "TV_OK"},
             {TV_ENOMEM, "TV_ENOMEM"},
             {TV_EVALUE, "TV_EVALUE"},
             {TV_ESHAPE, "TV_ESHAPE"},
             {TV_EDTYPE, "TV_EDTYPE"},
             {TV_EINDEX, "TV_EINDEX"},
             {TV_EDEVICE, "TV_EDEVICE"},
             {TV_ESCOPE, "TV_ESCOPE"},
             {TV_EOVERFLOW, "TV_EOVERFLOW"},
             {TV_EIO, "TV_EIO"},
             {TV_EFORMAT, "TV_EFORMAT"},
             {TV_EMUTATED, "TV_EMUTATED"},
             {TV_EBUSY, "TV_EBUSY"},
             {TV_ECONSTRAINT, "TV_ECONSTRAINT"},
             {TV_EUNSUPPORTED, "TV_EUNSUPPORTED"},
             {TV_ELOST, "TV_ELOST"},
             {TV_ETAPE, "TV_ETAPE"},
             {TV_EANOMALY, "TV_EANOMALY"},
             {TV_ECANCELED, "TV_ECANCELED"}};
  for (int k = 0; k < (int)(sizeof all / sizeof *all); k++) {
    EQUAL(all[k].status, k);
    SAME_TEXT(tv_status_name(all[k].status), all[k].name);
    CHECK(strlen(tv_status_text(all[k].status)) > 5);
  }
  SAME_TEXT(tv_status_name((tv_status)(TV_ECANCELED + 1)), "TV_?");
  SAME_TEXT(tv_status_name((tv_status)-1), "TV_?");
  SAME_TEXT(tv_status_text((tv_status)99), "no status");
}

TEST(first_failure_is_kept) {
  EQUAL(tv_error(), TV_OK);
  SAME_TEXT(tv_error_text(), "");
  CHECK(!tvi_fail(TV_ESHAPE, "first: %d", 1));
  EQUAL(tvi_fail_status(TV_EDTYPE, "second"), TV_EDTYPE);
  EQUAL(tv_error(), TV_ESHAPE);
  SAME_TEXT(tv_error_text(), "first: 1");
  EQUAL(tvi_failure(), TV_EDTYPE);
  tv_error_clear();
  SAME_TEXT(tv_error_text(), "");
}

TEST(null_keeps_an_earlier_failure) {
  FAILS(TV_EVALUE, "add: b is NULL", tv_add(tv_scalar(1), NULL));
  tvi_fail(TV_EIO, "earlier");
  CHECK(!tv_add(tv_scalar(1), NULL));
  EQUAL(tvi_null_status("who", "what"), TV_EIO);
  SAME_TEXT(tv_error_text(), "earlier");
  tv_error_clear();
}

TEST(long_text_is_cut) {
  char name[2000];
  memset(name, 'x', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  EQUAL(tv_backend_fail(TV_EIO, "%s", name), TV_EIO);
  EQUAL(strlen(tv_error_text()), 511);
  tv_error_clear();
}

TEST(shapes_as_text) {
  tvi_text text;
  int64_t many[TV_MAX_RANK];
  SAME_TEXT(tvi_shape_text(&text, 0, NULL), "[]");
  SAME_TEXT(tvi_shape_text(&text, TV_SHAPE(3)), "[3]");
  SAME_TEXT(tvi_shape_text(&text, TV_SHAPE(2, -1, 4)), "[2, -1, 4]");
  for (int k = 0; k < TV_MAX_RANK; k++) many[k] = INT64_MAX;
  tvi_shape_text(&text, TV_MAX_RANK, many);
  CHECK(strlen(text.text) < TVI_TEXT && strstr(text.text, ", ...]"));
}

TEST(system_errors_have_words) {
  SAME_TEXT(tvi_errno_text(ENOSPC), "No space left on device");
  SAME_TEXT(tvi_errno_text(123456), "unknown error");
}

TEST(version_is_that_of_the_build) { SAME_TEXT(tv_version(), "0.1.0"); }

TEST_MAIN("status", CASE(names_and_texts_are_those_of_the_header), CASE(first_failure_is_kept),
          CASE(null_keeps_an_earlier_failure), CASE(long_text_is_cut), CASE(shapes_as_text),
          CASE(system_errors_have_words), CASE(version_is_that_of_the_build))
