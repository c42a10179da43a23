"""Tensor kernels for scoring: torch and triton only, no knowledge of `screen`.

Each kernel has a plain reference that says in the open what it computes, and a fused version for CUDA tensors
(`screen_kernels.device` says when). Forward only. Triton is imported when the first fused kernel runs.
"""

from screen_kernels.deepest import Inner, deepest_project, inner_of
from screen_kernels.device import available
from screen_kernels.gate import swiglu
from screen_kernels.norm import add_rms_norm, rms_norm
from screen_kernels.rope import rope_
from screen_kernels.segment import project_tokens, segment_means, segment_project

__all__ = [
    "Inner",
    "add_rms_norm",
    "available",
    "deepest_project",
    "inner_of",
    "project_tokens",
    "rms_norm",
    "rope_",
    "segment_means",
    "segment_project",
    "swiglu",
]
