"""Run files as validated models: what they may hold, how they are read, their schema for editors.

Torch-free. Only the shape is checked here; ``runs`` checks names of methods, tasks and sources.
"""

from evomerge.config.load import dump_config, load_config, parse_config
from evomerge.config.run import (
    SCHEMA_VERSION,
    DataflowConfig,
    EvaluatorConfig,
    ExecutionConfig,
    NetworkConfig,
    ObjectiveConfig,
    RecipeConfig,
    RunConfig,
    SourceConfig,
    StageConfig,
)
from evomerge.config.schema import json_schema
from evomerge.config.search import (
    MeasureConfig,
    PhaseConfig,
    ScalariseConfig,
    SearchConfig,
    StopConfig,
)
from evomerge.config.yaml_text import dump_yaml, parse_yaml, read_yaml

__all__ = [
    "SCHEMA_VERSION",
    "DataflowConfig",
    "EvaluatorConfig",
    "ExecutionConfig",
    "MeasureConfig",
    "NetworkConfig",
    "ObjectiveConfig",
    "PhaseConfig",
    "RecipeConfig",
    "RunConfig",
    "ScalariseConfig",
    "SearchConfig",
    "SourceConfig",
    "StageConfig",
    "StopConfig",
    "dump_config",
    "dump_yaml",
    "json_schema",
    "load_config",
    "parse_config",
    "parse_yaml",
    "read_yaml",
]
