/* SPDX-License-Identifier: MIT
 * The kernels that an opened OpenBLAS runs: which it took, which it should, and the change. */
#ifndef TVI_CPU_OPENBLAS_CORE_H
#define TVI_CPU_OPENBLAS_CORE_H

#include "cpu.h"

/* What decides: vector instructions that both the processor and the system's kernel have. */
typedef enum tvi_vectors { TVI_VECTORS_ANY, TVI_VECTORS_AVX2, TVI_VECTORS_AVX512 } tvi_vectors;

/* Of this computer, all extensions that the compiler may use for OpenBLAS' kernels included. */
tvi_vectors tvi_vectors_here(void);

/* The core to take where OpenBLAS took `core`, in its own words; NULL: that one is right. */
const char *tvi_openblas_core_wanted(const char *core, tvi_vectors vectors);

/* Let an OpenBLAS that nobody else uses yet take the right kernels for this processor, unless
 * OPENBLAS_CORETYPE names some. Leaves it as it is where that cannot be done. */
void tvi_openblas_core_choose(void *handle);

/* Whether these kernels take small products without copying the operands first. */
bool tvi_openblas_core_is_direct(const char *core);

/* The name of its kernels now; "" where it does not tell. */
const char *tvi_openblas_core(void *handle);

#endif
