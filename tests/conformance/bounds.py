# SPDX-License-Identifier: MIT
"""How far results may lie from the true ones, in ulps of the result: the one place to see a bound loosened.

What is not here is exact: the same bits as the reference. Complex errors are measured against the
magnitude, in ulps of the part's type: one part of a complex result may lose all its digits."""

# float16 and bfloat16: computed in float32, rounded once.
HALF = 0.51

# op: (float32, float64). On a processor without an fma; with one, tanh is below 1.05 and sigmoid below 1.5. tests/test_elementary_*.c are stricter.
REAL = {
    "exp": (1, 1), "expm1": (1.2, 1.2), "log": (1, 1), "log1p": (1, 1), "sin": (1, 1), "cos": (1, 1), "tanh": (1.8, 1.8),
    "pow": (1, 1), "sigmoid": (2.4, 2.4), "abs": (1, 1),  # abs: of complex
}

# op: (complex64, complex128)
COMPLEX = {
    "exp": (3, 3), "expm1": (4, 4), "log": (3, 3), "log1p": (4, 4), "sin": (3, 3), "cos": (3, 3), "tanh": (5, 5),
    "sqrt": (3, 3), "sign": (3, 3), "multiply": (2, 2), "square": (2, 2), "divide": (5, 5), "pow": (8, 8),
}


def pow_growth(log_of_result):
    """Further ulps of a complex power by exponential and logarithm: the error of b log a is absolute."""
    return 4 * abs(log_of_result)


def sum_error(n):
    """Error of a sum, in eps of the sum of magnitudes."""
    import math

    return 32 + math.log2(max(n, 1))


def matmul_error(k):
    """Error of a product of matrices, in eps of the product of magnitudes."""
    return max(k, 1) + 1


# Gradients: relative error against PyTorch.
GRADIENT = {"float32": 2e-4, "float64": 1e-9, "complex64": 5e-4, "complex128": 1e-9}
# ... and against central differences in float64.
DIFFERENCES = 1e-6
