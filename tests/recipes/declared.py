"""Hand-made declarations, sources and a model's tensors that the recipe tests share."""

from collections.abc import Sequence

from evomerge.models.architecture import TensorFacts
from evomerge.recipes.declarations import Declaration, Parameter, WarmStart
from evomerge.recipes.recipe import Source

N_LAYERS = 6


def weights_warm(inputs: Sequence[str]) -> list[WarmStart]:
    n = len(inputs)
    parents = [
        WarmStart(f"parent:{name}", {"weights": [float(i == j) for j in range(n)]})
        for i, name in enumerate(inputs)
    ]
    uniform = WarmStart("uniform", {"weights": [1 / n] * n})
    return [WarmStart("base", {"weights": [0.0] * n}), *parents, uniform]


def linear_warm(inputs: Sequence[str]) -> list[WarmStart]:
    return weights_warm(inputs)[1:]


def slerp_warm(inputs: Sequence[str]) -> list[WarmStart]:
    return [
        WarmStart(f"parent:{inputs[0]}", {"t": 0.0}),
        WarmStart(f"parent:{inputs[1]}", {"t": 1.0}),
        WarmStart("uniform", {"t": 0.5}),
    ]


WEIGHTS = Parameter(
    "weights",
    "float",
    "Weight of each input.",
    required=True,
    search_low=0.0,
    search_high=1.5,
    searchable=True,
    per_source=True,
)
DENSITIES = Parameter(
    "densities",
    "float",
    "Share kept.",
    default=0.5,
    low=0.0,
    high=1.0,
    search_low=0.1,
    step=0.001,
    searchable=True,
    per_source=True,
)
SCALE = Parameter(
    "scale", "float", "Factor.", default=1.0, search_low=0.0, search_high=2.0, searchable=True
)
NORMALIZE = Parameter(
    "normalize", "bool", "Divide.", default=True, searchable=True, whole_model=True
)
ZERO_SIGN = Parameter(
    "zero_sign",
    "str",
    "Sign of zero.",
    default="plus",
    choices=("plus", "drop"),
    searchable=True,
    whole_model=True,
)
RESCALE = Parameter(
    "rescale",
    "str",
    "Rescaling.",
    default="inverse_density",
    choices=("inverse_density", "l1", "none"),
    whole_model=True,
)
SKIP_1D = Parameter("skip_1d", "bool", "Leave vectors.", default=True, whole_model=True)
T = Parameter("t", "float", "Place.", default=0.5, low=0.0, high=1.0, searchable=True)
NORM_MODE = Parameter(
    "norm_mode", "str", "Norms.", default="raw", choices=("raw", "geodesic"), whole_model=True
)
BOTTOM = Parameter(
    "bottom", "int", "First layers.", default=1, low=0, searchable=True, whole_model=True
)
RATIO = Parameter(
    "ratio", "float", "A ratio.", default=0.1, low=1e-6, high=10.0, scale="log", searchable=True
)
LABEL = Parameter("label", "str", "Not searchable.", default="x")


def method(name: str, *parameters: Parameter, **more: object) -> Declaration:
    return Declaration(name, f"{name}.", parameters, **more)  # type: ignore[arg-type]


DECLARATIONS = {
    d.name: d
    for d in (
        method("linear", WEIGHTS, NORMALIZE, warm_starts=linear_warm),
        method("task_arithmetic", WEIGHTS, SCALE, needs_base=True, warm_starts=weights_warm),
        method("slerp", T, NORM_MODE, min_inputs=2, max_inputs=2, warm_starts=slerp_warm),
        method(
            "ties",
            DENSITIES,
            WEIGHTS,
            SCALE,
            NORMALIZE,
            ZERO_SIGN,
            needs_base=True,
            warm_starts=weights_warm,
        ),
        method("dare_linear", DENSITIES, WEIGHTS, SCALE, RESCALE, SKIP_1D, needs_base=True),
        method(
            "dare_ties",
            DENSITIES,
            WEIGHTS,
            SCALE,
            RESCALE,
            SKIP_1D,
            NORMALIZE,
            ZERO_SIGN,
            needs_base=True,
        ),
        method("passthrough", SCALE, max_inputs=1),
        method("odd", BOTTOM, RATIO, LABEL, ZERO_SIGN),
    )
}


def sources(*names: str) -> tuple[Source, ...]:
    return tuple(Source(name, f"models/{name}", f"{name:0<64}") for name in names)


def model_tensors(n_layers: int = N_LAYERS) -> dict[str, TensorFacts]:
    """Return the tensors of a small Llama-like model, with a buffer that isn't merged."""
    facts = [TensorFacts("model.embed_tokens.weight", (8, 4), "BF16", None, "embed")]
    for layer in range(n_layers):
        prefix = f"model.layers.{layer}"
        facts += [
            TensorFacts(f"{prefix}.self_attn.q_proj.weight", (4, 4), "BF16", layer, "attn"),
            TensorFacts(f"{prefix}.self_attn.o_proj.weight", (4, 4), "BF16", layer, "attn"),
            TensorFacts(f"{prefix}.mlp.up_proj.weight", (8, 4), "BF16", layer, "mlp"),
            TensorFacts(f"{prefix}.mlp.down_proj.weight", (4, 8), "BF16", layer, "mlp"),
            TensorFacts(f"{prefix}.input_layernorm.weight", (4,), "BF16", layer, "norm"),
        ]
    facts += [
        TensorFacts("model.norm.weight", (4,), "BF16", None, "norm", before=False),
        TensorFacts("lm_head.weight", (8, 4), "BF16", None, "head", before=False),
        TensorFacts("model.position_ids", (1, 8), "I64", None, "other"),
    ]
    return {fact.name: fact for fact in facts}
