"""Where models train: on the processor, or where asked for on a GPU."""

from __future__ import annotations

from recsearch.errors import UsageError

DEVICES = ("cpu", "cuda")


def need_device(device: str) -> None:
    """Check that models can train on ``device`` here; imports torch for all but the CPU.

    Raises:
        UsageError: it is no device, or PyTorch sees none.
    """
    if device not in DEVICES:
        raise UsageError(f"device {device!r}: expected one of {', '.join(DEVICES)}.")
    if device == "cpu":
        return
    import torch

    if not torch.cuda.is_available():
        built = "is built without CUDA" if torch.version.cuda is None else "sees no such device"
        raise UsageError(
            f"device {device}: PyTorch {torch.__version__} on this machine {built}.",
            hint="Search on the CPU: the same command without --device. Or go to a machine with "
            "such a GPU and install a PyTorch for it: https://pytorch.org/get-started/locally",
        )


def count_gpus(device: str) -> int:
    """GPUs that trials on ``device`` may be spread over."""
    if device == "cpu":
        return 0
    import torch

    return int(torch.cuda.device_count())
