/* SPDX-License-Identifier: MIT
 * Opening backend modules: looked for in the folders of TV_BACKEND_PATH, beside the library, and
 * where the dynamic loader looks. One that refuses to start is asked again the next time: a driver
 * may be there by then. */
#define _GNU_SOURCE
#include "module.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorvar/backend.h>
#include <unistd.h>

#include "cpu/cpu.h"
#include "memory.h"
#include "status.h"

enum { MOST = 16, PATH = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const tv_module *started[MOST];
static int n_started;

static void *lend(int64_t bytes) { return tvi_calloc(1, bytes); }
static void parallel(int64_t n, void (*task)(void *context, int64_t i), void *context) {
  tvi_parallel(n, task, context);
}
static const tv_host host = {.size = sizeof(tv_host),
                             .abi = TV_BACKEND_ABI,
                             .fail = tv_backend_fail,
                             .device_register = tv_device_register,
                             .op_count = tv_op_count,
                             .op_name = tv_op_name,
                             .parallel = parallel,
                             .alloc = lend,
                             .free = tvi_free};

/* Under the lock. */
static tv_status start(const char *path, const tv_module *module) {
  if (!module || module->abi != TV_BACKEND_ABI || module->size < sizeof *module)
    return tvi_fail_status(TV_EDEVICE, "module_load: '%.200s' has ABI %u, this library %u", path,
                           module ? (unsigned)module->abi : 0, (unsigned)TV_BACKEND_ABI);
  for (int k = 0; k < n_started; k++)
    if (started[k] == module) return TV_OK;
  if (n_started == MOST)
    return tvi_fail_status(TV_EDEVICE, "module_load: %d modules are open already", MOST);
  const tv_status status = module->start(&host);
  if (!status) started[n_started++] = module;
  return status;
}

/* The library stays open: what it made may be in use. */
static tv_status start_library(const char *path, void *library) {
  const tv_module *(*entry)(void);
  void *const address = dlsym(library, TV_MODULE_SYMBOL);
  if (!address) {
    dlclose(library);
    return tvi_fail_status(TV_EDEVICE, "module_load: '%.200s' is no module: it has no %s", path,
                           TV_MODULE_SYMBOL);
  }
  memcpy(&entry, &address, sizeof address);
  pthread_mutex_lock(&lock);
  const tv_status status = start(path, entry());
  pthread_mutex_unlock(&lock);
  return status;
}

tv_status tv_module_load(const char *path) {
  if (!path) return tvi_null_status("module_load", "path");
  void *const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return tvi_fail_status(TV_EDEVICE, "module_load: %s", dlerror());
  return start_library(path, library);
}

/* A module in a folder: true if the file is there, whatever became of it. */
static bool open_in(const char *folder, int length, const char *file, bool *is_open) {
  char path[PATH];
  const int n = snprintf(path, sizeof path, "%.*s/%s", length, folder, file);
  if (n >= (int)sizeof path || access(path, F_OK)) return false;
  *is_open = tv_module_load(path) == TV_OK;
  return true;
}

static bool open_beside(const char *file, bool *is_open) {
  Dl_info here;
  void *address;
  tv_status (*const function)(const char *) = tv_module_load;
  memcpy(&address, &function, sizeof address);
  if (!dladdr(address, &here) || !here.dli_fname) return false;
  const char *const end = strrchr(here.dli_fname, '/');
  return end && open_in(here.dli_fname, (int)(end - here.dli_fname), file, is_open);
}

bool tvi_module_open(const char *word, bool *is_found) {
  char file[64];
  bool is_open = false;
  snprintf(file, sizeof file, "libtensorvar_%s.so", word);
  *is_found = true;
  for (const char *at = getenv("TV_BACKEND_PATH"); at && *at;) {
    const int length = (int)strcspn(at, ":");
    if (length && open_in(at, length, file, &is_open)) return is_open;
    at += length + (at[length] == ':');
  }
  if (open_beside(file, &is_open)) return is_open;
  void *const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library) return start_library(file, library) == TV_OK;
  *is_found = false;
  return false;
}
