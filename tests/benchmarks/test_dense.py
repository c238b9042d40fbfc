"""The work of the dense tasks as the benchmark counts it."""

from benchmarks.dense import flops

CASE = {"size": "tiny", "side": 32, "batch": 2, "proposals": 8, "precision": "fp32"}


def test_a_segmenters_work_is_what_the_forecast_says() -> None:
    for _, counted, forecast in flops(kind="segment", **CASE):
        assert abs(counted - forecast) < 0.02 * forecast


def test_a_detector_does_no_more_than_the_forecast_allows() -> None:
    (_, training, most), (_, inference, at_most) = flops(kind="detect", **CASE)
    assert 0.3 * most < training < 1.02 * most
    assert 0.5 * at_most < inference < 1.02 * at_most
