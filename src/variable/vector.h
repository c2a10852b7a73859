/* SPDX-License-Identifier: MIT
 * Several tensors as one vector: the values of Variables, their gradients, directions. Sums are
 * over elements in order, then over the tensors in order, in double. A function gives a new vector
 * with one count, or NULL; nothing is recorded. */
#ifndef TVI_VECTOR_H
#define TVI_VECTOR_H

#include "tensor.h"

typedef struct {
  int count; /* not atomic: its owner's lock guards it */
  int n;
  tv_tensor *x[]; /* [n], retained, settled; NULL until they are there */
} tvi_vector;

tvi_vector *tvi_vector_new(const char *who, int n);
tvi_vector *tvi_vector_retain(tvi_vector *a);
void tvi_vector_release(tvi_vector *a);

/* a by + b, b NULL: a by. */
tvi_vector *tvi_vector_sum(const char *who, const tvi_vector *a, double by, const tvi_vector *b);
/* The real part of the sum of conj(a) b. */
bool tvi_vector_dot(const tvi_vector *a, const tvi_vector *b, double *dot);
/* The largest magnitude, NaN if there is one, and the sum of magnitudes. */
bool tvi_vector_size(const tvi_vector *a, double *largest, double *sum);

#endif
