"""The graph of rules: every edge goes to the right, boxes don't overlap, counts are those of the receipts."""

from itertools import combinations

from dbot.lineage.judge import Judge
from dbot.report.charts import BOX, graph
from tests.fabricated import Project


def test_it_shows_what_feeds_what_and_how_far_it_is(project: Project) -> None:
    project.pretend(project.plan.evaluate("B-B", "cls", 0), top1=50.0)
    jobs = project.plan.jobs()
    found = graph(jobs, Judge())
    nodes = {node.verb: node for node in found.nodes}
    assert set(nodes) == {job.verb for job in jobs}
    assert (nodes["distill"].done, nodes["finetune"].done) == (2, 1)
    assert nodes["evaluate"].jobs == sum(job.verb == "evaluate" for job in jobs)
    assert "finetune feeds evaluate" in {edge.description for edge in found.edges}
    for edge in found.edges:
        before, after = edge.description.split(" feeds ")
        assert nodes[before].x + BOX[0] < nodes[after].x
    for one, other in combinations(found.nodes, 2):
        assert abs(one.x - other.x) >= BOX[0] or abs(one.y - other.y) >= BOX[1]
    assert all(0 <= node.x <= found.width - BOX[0] and 0 <= node.y <= found.height - BOX[1] for node in found.nodes)
