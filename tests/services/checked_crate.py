"""Runs rocrate-validator in the environment of the services, with the contexts of RO-Crate from a file instead of from the web.

usage: checked_crate.py CONTEXT CRATE PROFILE; CONTEXT is what the package rocrate brings, that of version 1.3. Of what a bundle says,
1.1 names the terms of Bioschemas otherwise, and nothing else.
"""

import json
import sys
from pathlib import Path
from typing import Any

import requests
from rocrate_validator.utils.http import HttpRequester

CRATE = "https://w3id.org/ro/crate/1.1/context"
RUN = "https://w3id.org/ro/terms/workflow-run/context"
RUN_TERMS = {name: f"https://w3id.org/ro/terms/workflow-run#{name}" for name in ("sha256", "resourceUsage", "connection")}

context, crate, profile = sys.argv[1:]
TEXTS = {
    CRATE: Path(context).read_text().replace("https://bioschemas.org/terms/", "https://bioschemas.org/"),
    RUN: json.dumps({"@context": RUN_TERMS}),
}


def get(self: HttpRequester, url: str, *args: Any, **options: Any) -> requests.Response:
    """What the web would answer."""
    answer = requests.Response()
    answer.status_code = 200 if url in TEXTS else 404
    answer._content = TEXTS.get(url, "").encode()
    answer.headers["Content-Type"] = "application/ld+json"
    return answer


HttpRequester.get = HttpRequester.fetch_fresh = get

from rocrate_validator.cli import cli  # noqa: E402 - with the contexts in place

cli(["-y", "--disable-color", "validate", "--no-paging", "--no-auto-profile", "-f", "json", "-p", profile, crate])
