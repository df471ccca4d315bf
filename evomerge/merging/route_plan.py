"""What each tensor of a route's checkpoint is made of, and multiplied by."""

from collections.abc import Mapping
from dataclasses import replace

from evomerge.errors import RecipeError
from evomerge.merging.folding import Fold
from evomerge.merging.plan import Output, Place, Planner
from evomerge.merging.route_form import RouteForm
from evomerge.models.architecture import local_name
from evomerge.recipes.mergekit_stack import RouteFactors
from evomerge.recipes.recipe import Dataflow


def routed_outputs(flow: Dataflow, planner: Planner, form: RouteForm) -> list[Output]:
    """Return a route's tensors: what stands before the layers, the layers, the rest.

    Args:
        flow: The route.
        planner: Knows what the sources' and stages' tensors are made of.
        form: What the route becomes as a checkpoint.
    """
    before: list[Output] = []
    after: list[Output] = []
    for place, facts in form.ends():
        origin = flow.embedding if facts.before else flow.norm
        frame = planner.frame(origin, place) or planner.frame(form.base, place)
        assert frame is not None
        output = planner.output(place.name, facts, frame, form.end_fold(facts))
        (before if facts.before else after).append(output)
    return [*before, *_layers(flow, planner, form), *after, *_heads(flow, planner, form)]


def route_factors(form: RouteForm, n_steps: int, depths: Mapping[str, int]) -> RouteFactors:
    """Return what a route's numbers multiply its tensors by, for formats that can only multiply.

    Args:
        form: What the route becomes as a checkpoint.
        n_steps: Its length.
        depths: Source → number of its layers.

    Raises:
        RecipeError: They do more than multiply whole tensors.
    """
    steps = [form.layer_folds(index) for index in range(n_steps)]
    ends = {facts.name: form.end_fold(facts) for _, facts in form.ends()}
    after = {name: fold for name, fold in ends.items() if fold is not None}
    for name, fold in [item for folds in (*steps, after) for item in folds.items()]:
        if replace(fold, factor=1.0) != Fold(fold.shape) or fold.factor == 1.0:
            raise RecipeError(
                f"this recipe has no exact mergekit counterpart: tensor {name!r} isn't only "
                "multiplied (a part of it is, its gain is 1 + weight, or it's padded). Export it "
                "with --format hf or --format recipe."
            )
    return RouteFactors(
        tuple({name: fold.factor for name, fold in folds.items()} for folds in steps),
        {name: fold.factor for name, fold in after.items()},
        depths,
    )


def _layers(flow: Dataflow, planner: Planner, form: RouteForm) -> list[Output]:
    outputs = []
    for depth, step in enumerate(flow.steps):
        folds = form.layer_folds(depth)
        for pattern in planner.layout(step.source).patterns:
            found = planner.frame(step.source, Place(pattern, step.layer))
            if found is not None:
                fold = folds.get(local_name(found.facts.name))
                name = Place(pattern, depth).name
                outputs.append(planner.output(name, found.facts, found, fold))
    return outputs


def _heads(flow: Dataflow, planner: Planner, form: RouteForm) -> list[Output]:
    """The head, which is the embedding where the donor's own is tied to it."""
    outputs = []
    for place in form.heads():
        frame = planner.frame(flow.head, place) or planner.frame(flow.head, form.embedding())
        assert frame is not None
        outputs.append(planner.output(place.name, frame.facts, frame))
    return outputs
