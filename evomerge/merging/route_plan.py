"""What each tensor of a route's checkpoint is made of."""

from evomerge.merging.plan import Output, Place, Planner
from evomerge.merging.route_form import RouteForm
from evomerge.models.families import local_name
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


def _layers(flow: Dataflow, planner: Planner, form: RouteForm) -> list[Output]:
    outputs = []
    for depth, step in enumerate(flow.steps):
        folds = form.layer_folds(depth)
        for pattern in planner.layout(step.source).patterns():
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
