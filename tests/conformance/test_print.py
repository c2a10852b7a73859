# SPDX-License-Identifier: MIT
"""The text of tensors against NumPy's repr and str."""
