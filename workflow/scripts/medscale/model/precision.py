"""Which precision a machine computes in: bf16, fp16 or fp32."""

import torch

from medscale.model.hardware import device


def precision(asked: str = "auto") -> str:
    """Return ``bf16``, ``fp16`` or ``fp32``.

    ``auto`` goes by compute capability (bf16 from 8.0, fp16 below) and not by ``torch.cuda.is_bf16_supported()``, which
    answers yes on a T4, where bf16 is emulated at a tenth of the speed. On a CPU it is fp32.
    """
    if asked != "auto":
        return asked
    if device().type == "cpu":
        return "fp32"
    return "bf16" if torch.cuda.get_device_capability(0) >= (8, 0) else "fp16"


def torch_dtype(name: str) -> torch.dtype:
    """Return the torch type of `precision`'s answer."""
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[name]
