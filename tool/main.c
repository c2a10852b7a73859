/* SPDX-License-Identifier: MIT
 * tensorvar: arrays in .npy, .npz and .safetensors files, from the command line. It stands on the
 * library's public headers alone. Its manual is tensorvar.1. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <tensorvar/tensorvar.h>

#include "failure.h"
#include "progress.h"
#include "run.h"

static int run(const arguments *a) {
  static int (*const runs[])(const arguments *) = {
#define COMMAND(name, files, fewest, most, summary) run_##name,
#include "commands.def"
  };
  const char *name = a->options[OPTION_device];
  tv_device device = TV_CPU;
  if (name && (tv_device_find(name, &device) || tv_device_set(device))) {
    library_trouble(NULL);
    return EXIT_USAGE;
  }
  return runs[a->command](a);
}

int main(int argc, char **argv) {
  arguments a;
  int status;
  if (arguments_read(&a, argc - 1, argv + 1, &status)) {
    progress_start(given(&a, OPTION_quiet));
    tv_scope scope;
    tv_scope_begin(&scope);
    status = run(&a);
    tv_scope_end(&scope, NULL);
    progress_end();
    if (stop_signal()) status = 128 + stop_signal();
  }
  arguments_free(&a);
  if (fflush(stdout) || ferror(stdout)) return trouble("standard output: %s", strerror(errno));
  return status;
}
