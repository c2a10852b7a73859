/* SPDX-License-Identifier: MIT
 * Modules: backends in shared objects of their own. */
#ifndef TVI_MODULE_H
#define TVI_MODULE_H

#include <tensorvar/status.h>

/* Open libtensorvar_WORD.so from where modules are looked for, where `word` is that of a device's
 * name before ':'. True: devices may have been added. False: there is none, or (with a failure) it
 * cannot be used. */
bool tvi_module_open(const char *word, bool *is_found);

#endif
