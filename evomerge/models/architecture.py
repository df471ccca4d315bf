"""Which layer and role each tensor of a checkpoint has, read off its names and configuration.

No table of model families: the layer list is the numbered module list whose length is the
configuration's number of layers; roles come from the words in the names. Free of torch.
"""

from dataclasses import dataclass

ROLES = ("embed", "attn", "mlp", "norm", "head", "other")


@dataclass(frozen=True)
class TensorFacts:
    """What is known of one tensor without reading it.

    Args:
        name: Name in the checkpoint.
        shape: Its shape.
        dtype: safetensors' name of its element type: ``F32``, ``BF16``, ``I64`` …
        layer: Index of the layer that it belongs to, None outside the layers.
        role: One of ``ROLES``. A norm inside a layer has role ``norm``.
        before: (outside the layers) it stands before the first layer, as an embedding does.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layer: int | None
    role: str
    before: bool = True

    def depth(self, n_layers: int) -> float:
        """Return the relative depth: 0 first layer and before, 1 last layer and after."""
        if self.layer is None:
            return 0.0 if self.before else 1.0
        return self.layer / max(n_layers - 1, 1)

    def block(self, size: int, n_layers: int) -> int:
        """Return the index of the group of ``size`` contiguous layers that this tensor joins."""
        if self.layer is None:
            return 0 if self.before else (max(n_layers, 1) - 1) // size
        return self.layer // size
