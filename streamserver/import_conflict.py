"""Another package called ``providers`` that hides ours: ``python -m`` looks into the current folder first."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

OURS = Path(__file__).parents[1] / "providers"


def explain_import_error(error: ModuleNotFoundError) -> ImportError | None:
    """Return an error with the reason if ``error`` means that another ``providers`` hides ours, else None."""
    if not (error.name or "").startswith("providers."):
        return None
    found = find_spec("providers")
    places = [] if found is None else [found.origin, *(found.submodule_search_locations or ())]
    place = next((place for place in places if place is not None), None)
    if place is None or OURS in (Path(place), Path(place).parent):
        return None
    return ImportError(
        f"{place} hides the package providers of streamserver: start it in another folder, or rename that"
    )
