"""Where bundles go to and come from beyond this machine."""

from pathlib import Path

HUB, ZENODO, DOI = "hf://", "zenodo://", "doi:"


def is_elsewhere(named: str) -> bool:
    """Whether a bundle is named that does not lie on this machine."""
    return named.startswith((HUB, ZENODO, DOI))


def fetched(named: str, endpoint: str | None, room: Path) -> Path:
    """Fetch a bundle that lies elsewhere; gives its folder or zip here.

    What was cut off goes on: what has come already lies in the room.

    Raises:
        UserError: there is none, or it can't be had.
    """
    if named.startswith(HUB):
        from dbot.publish.hub import download

        return download(named.removeprefix(HUB), endpoint, room)
    from dbot.publish.zenodo import download as from_zenodo

    return from_zenodo(named, endpoint, room)
