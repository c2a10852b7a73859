/* SPDX-License-Identifier: MIT
 * A main for a fuzz target where there is no libFuzzer:
 *
 *     replay_npy FILE.inputs...     each line is an input
 *     replay_npy -f FILE...      each file is one
 *
 * In a line, bytes that are no printable ASCII, and backslashes, are \xHH; a line that begins with
 * # says something about the next. */
#include "fuzz.h"

static int digit_of(char c) {
  static const char digits[] = "0123456789abcdef";
  const char *const found = c ? strchr(digits, c) : NULL;
  return found ? (int)(found - digits) : -1;
}

/* Bytes of a line, in place; their number, -1 if it is none. */
static int64_t unescape(char *line, size_t n) {
  char *out = line;
  for (size_t at = 0; at < n; at++) {
    if (line[at] != '\\') {
      *out++ = line[at];
      continue;
    }
    const int high = n - at > 3 && line[at + 1] == 'x' ? digit_of(line[at + 2]) : -1;
    const int low = high < 0 ? -1 : digit_of(line[at + 3]);
    if (low < 0) return -1;
    *out++ = (char)(high * 16 + low);
    at += 3;
  }
  return out - line;
}

static char *read_file(const char *path, size_t *n) {
  FILE *const file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) return NULL;
  *n = (size_t)ftell(file);
  rewind(file);
  char *const bytes = malloc(*n + 1);
  const bool has = bytes && fread(bytes, 1, *n, file) == *n;
  fclose(file);
  return has ? bytes : NULL;
}

/* From a block of its own size, so that a sanitizer sees who reads behind it. */
static void run(const char *bytes, size_t n) {
  uint8_t *const input = malloc(n ? n : 1);
  if (!input) exit(2);
  memcpy(input, bytes, n);
  LLVMFuzzerTestOneInput(input, n);
  free(input);
}

static int64_t run_lines(const char *path, char *text, size_t n) {
  int64_t n_inputs = 0;
  for (char *at = text, *const end = text + n; at < end; n_inputs++) {
    char *const line_end = memchr(at, '\n', (size_t)(end - at));
    const size_t length = (size_t)((line_end ? line_end : end) - at);
    if (*at == '#') {
      n_inputs--;
    } else {
      const int64_t bytes = unescape(at, length);
      if (bytes < 0) {
        fprintf(stderr, "%s: input %lld: no escape\n", path, (long long)n_inputs);
        exit(2);
      }
      run(at, (size_t)bytes);
    }
    at += length + 1;
  }
  return n_inputs;
}

int main(int argc, char **argv) {
  const bool are_files = argc > 1 && !strcmp(argv[1], "-f");
  int64_t n_inputs = 0;
  for (int k = 1 + are_files; k < argc; k++) {
    size_t n = 0;
    char *const bytes = read_file(argv[k], &n);
    if (!bytes) {
      fprintf(stderr, "%s: cannot be read\n", argv[k]);
      return 2;
    }
    if (are_files) {
      run(bytes, n);
      n_inputs++;
    } else {
      n_inputs += run_lines(argv[k], bytes, n);
    }
    free(bytes);
  }
  printf("%lld inputs\n", (long long)n_inputs);
  return n_inputs == 0;
}
