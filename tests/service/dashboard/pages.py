"""The dashboard's pages, for tests that hold on each of them."""

from tests.service.dashboard.conftest import UNKNOWN_RUN, Site


def addresses(site: Site) -> dict[str, str]:
    """Return page's name → address, on the run in which there is most to show."""
    plain, niched, routed, broken = (
        f"/runs/{site.runs[name]}" for name in ("plain", "niched", "routed", "broken")
    )
    return {
        "runs": "/",
        "jobs": "/jobs",
        "compare runs": f"/compare?run={site.runs['plain']}&run={site.runs['niched']}",
        "new run": "/new",
        "live": plain,
        "front": f"{plain}/front",
        "candidates": f"{plain}/candidates",
        "candidate": f"{plain}/candidates/0-0",
        "compare candidates": f"{plain}/compare?candidate=0-0&candidate=0-1",
        "candidate with route": f"{routed}/candidates/1-0",
        "niches": f"{niched}/niches",
        "no niches": f"{plain}/niches",
        "parameters": f"{plain}/parameters",
        "workers": f"{plain}/workers",
        "talk": f"{plain}/talk?candidate=0-0",
        "broken live": broken,
        "broken front": f"{broken}/front",
        "broken candidates": f"{broken}/candidates",
        "broken candidate": f"{broken}/candidates/0-0",
        "broken niches": f"{broken}/niches",
        "broken parameters": f"{broken}/parameters",
        "unknown run": f"/runs/{UNKNOWN_RUN}/front",
    }
