"""Bundles on Hugging Face's hub, or a server that speaks as it does: each is a model repository, and each upload one commit.

Large files go first, each once: a server says which it has already, so an upload that was cut off goes on. The token is the
library's own (HF_TOKEN, or `hf auth login`); it goes into requests only.
"""

import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbot.base.errors import UserError
from dbot.lineage.session import STATE
from dbot.publish.bundle import MARKER
from dbot.publish.contents import Pictures, Published, write

NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
ROOM = STATE / "publish"
"""Where bundles lie while they are uploaded."""


def upload(published: Published, name: str, endpoint: str | None, private: bool, pictures: Pictures) -> None:
    """Write the bundle and have the hub's repository hold it, and nothing else.

    Args:
        published: what goes into it.
        name: ``NAMESPACE/NAME`` of the repository, which is made where there is none.
        endpoint: of the server. None: the public one, or HF_ENDPOINT.
        private: make the repository for its owners alone.
        pictures: as `contents.write` says.

    Raises:
        UserError: the server refuses, or was cut off; the next upload goes on.
    """
    from huggingface_hub import HfApi

    if NAME.fullmatch(name) is None:
        raise UserError(f"--to is hf://{name}: name a repository as hf://NAMESPACE/NAME")
    folder = ROOM / name.replace("/", "--")
    bundle = write(published, folder, hub=name, pictures=pictures)
    rows = ", ".join(bundle.targets)
    with _in_a_line(f"hf://{name}", "run this again, which goes on"):
        api = HfApi(endpoint=endpoint)
        api.create_repo(name, private=private or None, exist_ok=True)
        done = api.upload_folder(
            repo_id=name,
            folder_path=folder,
            commit_message=f"Results of scale {bundle.scale}: {rows}"[:200],
            ignore_patterns=[MARKER],
            delete_patterns="*",
        )
    shutil.rmtree(folder)
    print(f"published hf://{name}: {len(bundle.files)} files, commit {done.oid}")
    print(f"`dbot restore hf://{name}@{done.oid}` puts them in place in another checkout")


def download(named: str, endpoint: str | None, room: Path) -> Path:
    """Fetch a bundle; what has come of it already, is not fetched again.

    Args:
        named: ``NAMESPACE/NAME``, or ``NAMESPACE/NAME@REVISION``.
        endpoint: of the server. None: the public one, or HF_ENDPOINT.
        room: gets a folder with it.

    Raises:
        UserError: there is none, or the server was cut off.
    """
    from huggingface_hub import snapshot_download

    name, _, revision = named.partition("@")
    if NAME.fullmatch(name) is None:
        raise UserError(f"hf://{named}: name a repository as hf://NAMESPACE/NAME, or hf://NAMESPACE/NAME@REVISION")
    with _in_a_line(f"hf://{named}", "see to its name, and to HF_TOKEN if it is private; run this again, which goes on"):
        folder = snapshot_download(name, revision=revision or None, local_dir=room / name.replace("/", "--"), endpoint=endpoint)
    return Path(folder)


@contextmanager
def _in_a_line(what: str, remedy: str) -> Iterator[None]:
    """Say in one line what the library found.

    Raises:
        UserError: it found something.
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # each attempt at a transfer that is cut off would be a line
    try:
        yield
    except (HfHubHTTPError, httpx2.HTTPError, OSError, RuntimeError, ValueError) as error:
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ is not None else error
        reason = " ".join(str(cause).split())[:200] or type(cause).__name__
        raise UserError(f"{what}: {reason}; {remedy}") from None
