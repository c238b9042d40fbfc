"""What `deterministic` sets on a GPU, for as long as a training lasts, and what it says where that can't be."""

import os

import pytest
import torch

from dbot.base.errors import UserError
from dbot.train.determinism import WORKSPACE, determinism

GPU = torch.device("cuda")
"""Only named: nothing here computes on it."""


def settings() -> dict[str, object]:
    from torch._inductor import config

    return {
        "algorithms": torch.are_deterministic_algorithms_enabled(),
        "cuDNN attention": torch.backends.cuda.cudnn_sdp_enabled(),
        "cuDNN": torch.backends.cudnn.deterministic,
        "search": torch.backends.cudnn.benchmark,
        "compiler": config.deterministic,
        "workspace": os.environ.get(WORKSPACE),
    }


@pytest.fixture(autouse=True)
def no_workspace(monkeypatch):
    monkeypatch.setenv(WORKSPACE, "")  # so that it is as before in the end
    monkeypatch.delenv(WORKSPACE)


@pytest.mark.parametrize(("wanted", "device"), [(False, GPU), (True, torch.device("cpu"))])
def test_nothing_is_different_unless_it_is_wanted_on_a_gpu(wanted, device):
    before = settings()
    with determinism(wanted, device):
        assert settings() == before


def test_a_gpu_computes_with_kernels_of_one_order_alone_and_as_before_afterwards():
    before = settings()
    with determinism(True, GPU):
        wanted = {"algorithms": True, "cuDNN attention": False, "cuDNN": True, "search": False, "compiler": True, "workspace": ":4096:8"}
        assert settings() == wanted
        assert not torch.is_deterministic_algorithms_warn_only_enabled(), "only refusing makes attention take another backward pass"
    assert settings() == {**before, "workspace": ":4096:8"}


def test_a_setting_of_cublas_that_contradicts_is_refused(monkeypatch):
    monkeypatch.setenv(WORKSPACE, ":0:0")
    before = settings()
    with (
        pytest.raises(UserError, match=r"^CUBLAS_WORKSPACE_CONFIG is ':0:0', .* unset it, or set it to :4096:8 or :16:8$"),
        determinism(True, GPU),
    ):
        pass
    assert settings() == before


def test_an_operation_without_such_a_kernel_is_named_in_one_line():
    torchs = "put_ does not have a deterministic implementation, but you set 'torch.use_deterministic_algorithms(True)'. You can turn off …"
    with (
        pytest.raises(UserError, match=r"^put_ is not deterministic on a GPU; set deterministic: false in the recipe$"),
        determinism(True, GPU),
    ):
        raise RuntimeError(torchs)
    with pytest.raises(RuntimeError, match=r"^another$"), determinism(True, GPU):
        raise RuntimeError("another")
    assert not torch.are_deterministic_algorithms_enabled()
