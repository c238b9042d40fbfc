"""Looking at one compute node from inside of a job, asked for as the jobs of the workflow are."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dbot.cluster.finding import Finding
from dbot.cluster.slurm import ask
from dbot.params.scales import Resources
from dbot.params.site import Site

PATIENCE_SECONDS = 120
"""How long the job may wait for its node, and how long it may then take."""
CLOCKS_APART_SECONDS = 60
ROOM_BYTES = 10e9
"""Free space of a scratch folder below which it is of little use."""
MARK = "dbot-node"
"""Begins the lines that count, among whatever `setup` prints."""

SHELL = r"""
say() { echo "dbot-node $*"; }
say host "$(hostname)"
say clock "$(date +%s)"
if ! cd "$1" 2> /dev/null; then say folder missing
elif (: > .dbot-node.$$) 2> /dev/null; then rm -f .dbot-node.$$; say folder writable
else say folder read-only; fi
set -eo pipefail
trap 'say setup "$BASH_COMMAND"' ERR
@SETUP@
trap - ERR
set +e
say setup ok
say gpu "$(nvidia-smi --query-gpu=driver_version,name --format=csv,noheader 2> /dev/null | head -n 1)"
say python "$("$2" --version 2>&1)"
"$2" -c "$3" "$4" 2>&1
"""
PYTHON = """
import os, shutil, sys, tempfile
def say(*words): print("dbot-node", *words, flush=True)
scratch = os.path.expanduser(os.path.expandvars(sys.argv[1]))
if "$" in scratch:
    say("scratch unset", scratch)
elif scratch:
    try:
        os.makedirs(scratch, exist_ok=True)
        with tempfile.TemporaryFile(dir=scratch):
            say("scratch", shutil.disk_usage(scratch).free, scratch)
    except OSError as error:
        say("scratch refused", scratch, f"({error.strerror})")
try:
    import torch
    say("torch", torch.__version__, torch.version.cuda or "none")
    if torch.cuda.is_available():
        torch.zeros(1, device="cuda").add(1).item()
        say("cuda ok", torch.cuda.get_device_name())
    else:
        say("cuda none")
except Exception as error:
    say("cuda failed", type(error).__name__, str(error).splitlines()[:1])
"""


@dataclass(frozen=True)
class Look:
    """A job that was to look at a node, and how it went."""

    printed: str
    errors: str
    began: float
    """When it was submitted, in seconds since 1970."""
    ended: float
    waiting: str | None = None
    """Why Slurm had found no node for it in time, in Slurm's words."""


def options(site: Site, gpus: int) -> list[str]:
    """The options of srun by which the workflow's jobs are asked for: one node, one process, some GPUs."""
    asked = {"mem_mb": 8000, **site.requests(Resources(nodes=1, gpus=gpus, threads=1, memory_gb=8, minutes=10))}
    flags = {"slurm_account": "account", "slurm_partition": "partition", "qos": "qos", "constraint": "constraint", "gres": "gres"}
    found = [f"--{flag}={asked[name]}" for name, flag in flags.items() if name in asked]
    if asked["mem_mb"]:
        found.append(f"--mem={asked['mem_mb']}")
    if "gpu" in asked:
        found.append(f"--gpus={asked['gpu_model']}:{asked['gpu']}" if "gpu_model" in asked else f"--gpus={asked['gpu']}")
    return ["--nodes=1", "--ntasks=1", "--cpus-per-task=1", "--time=10", *found, *shlex.split(str(asked.get("slurm_extra", "")))]


def look(site: Site, gpus: int, patience: float = PATIENCE_SECONDS) -> Look:
    """Run a job on a compute node that says what it finds there; one that doesn't start in time is cancelled."""
    name = f"dbot-cluster-{os.getpid()}"
    script = SHELL.replace("@SETUP@", "\n".join(site.setup))
    command = ["srun", f"--job-name={name}", *options(site, gpus), "bash", "-c", script, "bash"]
    command += [str(Path.cwd()), sys.executable, PYTHON, site.scratch or ""]
    # A shell that is in a job itself would have srun start a part of that job.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_") or key == "SLURM_CONF"}
    began, waiting, answer = time.time(), None, None
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as started:
        try:
            for _ in range(2):  # the wait for the node, and the look at it
                with suppress(subprocess.TimeoutExpired):
                    answer = started.communicate(timeout=patience)
                    break
                state = ask("squeue", "--noheader", f"--name={name}", "--format=%T|%r|%S", tries=1) or "unknown||"
                if not state.startswith("RUNNING"):
                    waiting = state
                    break
        finally:
            if answer is None:
                answer = _end(started, name)
    return Look(*answer, began, time.time(), waiting)


def _end(started: subprocess.Popen[str], name: str) -> tuple[str, str]:
    """Cancel a job and end the srun that waits for it; returns what had been printed."""
    subprocess.run(["scancel", f"--name={name}", "--me"], check=False, capture_output=True, timeout=60)
    started.terminate()
    try:
        return started.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        started.kill()
        return started.communicate()


def check_node(attempt: Look, site: Site, gpus: int, patience: float = PATIENCE_SECONDS) -> list[Finding]:
    """What was found on the node."""
    if attempt.waiting is not None:
        _, reason, start = f"{attempt.waiting}||".split("|")[:3]
        begins = f", and expects to find one at {start}" if re.match(r"\d", start) else ""
        why = f"Slurm gives as its reason: {reason or 'nothing'}{begins}"
        return [Finding("warn", f"node: none within {patience:g} s", f"{why}; try again when the queue is shorter")]
    said = _said(attempt.printed)
    if "host" not in said:
        errors = [line.removeprefix("srun: ") for line in attempt.errors.splitlines() if line.strip()]
        words = "; ".join(dict.fromkeys(errors[-3:])) or "nothing"
        what = f"node: srun {' '.join(options(site, gpus))} started nothing, and said: {words}"
        return [Finding("wrong", what, "mend what site.yaml names, or see why with that command and `hostname` behind it")]
    host = said["host"]
    return [
        Finding("ok", f"node {host}: a job asked for as site.yaml says has started there"),
        *_folder(said, host),
        *_clock(said, host, attempt),
        *(_gpus(said, host, site) if gpus else []),
        *_environment(said, host, site),
        *_scratch(said, host, site),
    ]


def _said(printed: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in printed.splitlines():
        mark, _, rest = line.partition(" ")
        if mark == MARK:
            key, _, value = rest.partition(" ")
            found.setdefault(key, value.strip())
    return found


def _folder(said: Mapping[str, str], host: str) -> list[Finding]:
    folder = Path.cwd()
    if said.get("folder") == "writable":
        return [Finding("ok", f"node {host}: {folder} can be written there")]
    what = "is not there" if said.get("folder") == "missing" else "can't be written there"
    return [
        Finding("wrong", f"node {host}: the project's folder {folder} {what}", "move the project to a file system that all nodes share")
    ]


def _clock(said: Mapping[str, str], host: str, attempt: Look) -> list[Finding]:
    clock = float(said["clock"]) if said.get("clock", "").isdigit() else attempt.began
    apart = max(0.0, attempt.began - clock, clock - attempt.ended)
    if apart <= CLOCKS_APART_SECONDS:
        return [Finding("ok", f"node {host}: its clock goes as that of this machine")]
    what = f"node {host}: its clock is {apart:.0f} s away from that of this machine"
    return [Finding("warn", what, "tell the administrators; Snakemake takes files from there for older or newer than they are")]


def _gpus(said: Mapping[str, str], host: str, site: Site) -> list[Finding]:
    driver, _, name = said.get("gpu", "").partition(", ")
    torch, _, built = said.get("torch", "").partition(" ")
    cuda = said.get("cuda", "")
    if said.get("setup") != "ok" or not torch:
        return []  # said elsewhere
    inside = " (outside of the container of site.yaml)" if site.container else ""
    if cuda.startswith("ok"):
        return [
            Finding("ok", f"node {host}: PyTorch {torch} for CUDA {built} computes on {name or cuda[3:]}, driver {driver or '?'}{inside}")
        ]
    what = f"node {host}: PyTorch {torch} can't compute on a GPU there{inside}"
    if built == "none":
        return [Finding("wrong", f"{what}, for it was built without CUDA", "install the PyTorch that pyproject.toml pins, with CUDA")]
    if not driver:
        return [
            Finding("wrong", f"{what}, and nvidia-smi shows none", "see that the partition of site.yaml has GPUs, and gpu_request is right")
        ]
    reason = f", says {cuda.removeprefix('failed ')}" if cuda.startswith("failed") else ""
    remedy = "ask the administrators for a newer driver, or install PyTorch for an older CUDA"
    return [Finding("wrong", f"{what}{reason}: it was built for CUDA {built}, and the driver of {name} is {driver}", remedy)]


def _environment(said: Mapping[str, str], host: str, site: Site) -> list[Finding]:
    if said.get("setup") != "ok":
        what = f"node {host}: a line of setup in site.yaml failed" + (f" ({said['setup']})" if said.get("setup") else "")
        return [Finding("wrong", what, "mend it; every job begins with these lines")]
    if not said.get("python", "").startswith("Python"):
        what = f"node {host}: {sys.executable} does not start there"
        return [Finding("wrong", what, "make the environment on a file system that all nodes share, with a Python that is there too")]
    if "torch" not in said:
        return [Finding("wrong", f"node {host}: PyTorch does not load there ({said.get('cuda', 'no answer').removeprefix('failed ')})")]
    return [Finding("ok", f"node {host}: the environment {sys.prefix} works there, PyTorch {said['torch'].split(' ')[0]}")]


def _scratch(said: Mapping[str, str], host: str, site: Site) -> list[Finding]:
    if site.scratch is None or "scratch" not in said:
        return []
    kind, _, place = said["scratch"].partition(" ")
    if kind == "unset":
        remedy = "name a folder of the node's own disk, or null, in site.yaml"
        return [Finding("wrong", f"node {host}: scratch is {site.scratch}, and that variable is not set there", remedy)]
    if kind == "refused":
        remedy = "name another, or null, in site.yaml; jobs read the original of the data otherwise"
        return [Finding("warn", f"node {host}: nothing can be written in the scratch folder {place}", remedy)]
    if float(kind) < ROOM_BYTES:
        return [
            Finding("warn", f"node {host}: the scratch folder {place} has {float(kind) / 1e9:.1f} GB free, which is little for a data set")
        ]
    return [Finding("ok", f"node {host}: the scratch folder {place} can be written, with {float(kind) / 1e9:,.0f} GB free")]
