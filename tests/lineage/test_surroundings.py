"""What an execution says of the machine."""

from dbot.lineage.executions import execution_of
from tests.fakes import FakeProject


def test_an_execution_says_on_what_machine_it_was(project: FakeProject) -> None:
    job = project.plan.generate("digits")
    hardware = execution_of(job.receipt, project.run(job).id).attempts[-1].hardware
    assert hardware is not None
    assert {"system", "processor", "cores", "memory_bytes"} <= hardware.keys()
