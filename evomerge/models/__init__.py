"""Sources: what lies on disk or on the hub, turned into tensors, layers, roles and hashes.

Names here need no torch. ``resident``, ``writer``, ``finite`` and ``demo`` do, and are imported by
their own path.
"""

from evomerge.models.architecture import ROLES, TensorFacts
from evomerge.models.cache import cache_dir
from evomerge.models.checkpoint import Checkpoint
from evomerge.models.hub import Located, locate, prefetch
from evomerge.models.licences import conflicts, licence_of
from evomerge.models.lock import FolderLock, lock_folder
from evomerge.models.tokenizers import tokenizer_differences, vocabulary_difference

__all__ = [
    "ROLES",
    "Checkpoint",
    "FolderLock",
    "Located",
    "TensorFacts",
    "cache_dir",
    "conflicts",
    "licence_of",
    "locate",
    "lock_folder",
    "prefetch",
    "tokenizer_differences",
    "vocabulary_difference",
]
