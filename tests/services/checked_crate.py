"""Runs rocrate-validator in the environment of the services, with the contexts of RO-Crate from a file instead of from the web.

usage: checked_crate.py CONTEXT CRATE PROFILE; CONTEXT is what the package rocrate brings.
"""

import json
import sys
from pathlib import Path

from rocrate_validator.utils import document_loader

CRATE = "https://w3id.org/ro/crate/1.1/context"
RUN = "https://w3id.org/ro/terms/workflow-run/context"
RUN_TERMS = {name: f"https://w3id.org/ro/terms/workflow-run#{name}" for name in ("sha256", "resourceUsage", "connection")}

context, crate, profile = sys.argv[1:]
CONTEXTS = {CRATE: json.loads(Path(context).read_text()), RUN: {"@context": RUN_TERMS}}
document_loader._fetch_json_ld = CONTEXTS.__getitem__

from rocrate_validator.cli import cli  # noqa: E402 - with the contexts in place

options = ["--no-paging", "--no-auto-profile", "-f", "json"]
cli(["-y", "--disable-color", "validate", *options, "-p", profile, crate])
