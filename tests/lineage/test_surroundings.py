"""What a receipt says of the machine, and that older receipts, which did not say it, still hold."""

import json
from pathlib import Path

from dbot.lineage import receipt as receipts
from tests.fakes import FakeProject


def test_a_receipt_says_on_what_machine_it_was_made(project: FakeProject) -> None:
    hardware = project.run(project.plan.generate("digits")).circumstances.attempts[-1].hardware
    assert hardware is not None
    assert {"system", "processor", "cores", "memory_bytes"} <= hardware.keys()


def test_a_receipt_of_before_the_machine_was_noted_still_holds(project: FakeProject) -> None:
    """A new field is no part of an older receipt's seal."""
    job = project.plan.generate("digits")
    made = project.run(job)
    attempt = made.circumstances.attempts[0].model_dump(exclude={"hardware"})
    older = receipts.make(made.identity, made.circumstances.model_validate({**made.circumstances.model_dump(), "attempts": [attempt]}))
    receipts.write(older, job.receipt)
    assert "hardware" not in json.loads(job.receipt.read_text())["circumstances"]["attempts"][0]
    assert receipts.read(job.receipt).seal == older.seal != made.seal
    assert receipts.read(Path(job.receipt)).circumstances.attempts[0].hardware is None
