"""A network that is evolved from scratch, as its evaluators see it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


@dataclass
class NetworkModel:
    """One resident network, whose weights each candidate overwrites.

    Args:
        module: The network.
        device: Where it lies.
        batch_limit: Most rows of a batch; None for what the task says.
    """

    module: nn.Module
    device: str = "cpu"
    batch_limit: int | None = None

    def __post_init__(self) -> None:
        self.module = self.module.eval().requires_grad_(False).to(self.device)
        self.size = sum(parameter.numel() for parameter in self.module.parameters())

    def load(self, weights: NDArray[np.float32]) -> None:
        """Overwrite all parameters, in their order.

        Args:
            weights: Shape ``(size,)``; read only.
        """
        start = 0
        for parameter in self.module.parameters():
            part = np.array(weights[start : start + parameter.numel()])
            parameter.copy_(torch.from_numpy(part).reshape(parameter.shape))
            start += parameter.numel()
