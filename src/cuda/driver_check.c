/* SPDX-License-Identifier: MIT
 * Compiled only where there is a cuda.h, for the assertions: driver.h says what cuda.h says. */
#include <cuda.h>

#include "driver.h"

#define SPELL_(name) #name
#define SPELL(name) SPELL_(name) /* cuda.h makes cuMemAlloc a macro for cuMemAlloc_v2 */

#define CHECK_CONSTANT(name, value) _Static_assert((int)(name) == (value), #name);
#define CHECK_CALL(name, symbol, params)                                                       \
  _Static_assert(_Generic(&name, CUresult(*) params : 1, default : 0), symbol ": parameters"); \
  _Static_assert(__builtin_strcmp(SPELL(name), symbol) == 0, symbol ": symbol");

TVI_DRIVER_CONSTANTS(CHECK_CONSTANT)
TVI_DRIVER_CALLS(CHECK_CALL)
