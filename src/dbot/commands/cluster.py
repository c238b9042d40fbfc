"""Check this Slurm cluster against what the jobs ask for, before anything is submitted, and say what to write where.

Without --scale it is the scale that the profile builds.
"""

import argparse
import json
from dataclasses import asdict

from dbot.cluster.checks import everything
from dbot.cluster.on_node import check_node, look
from dbot.cluster.profile import read_profile
from dbot.params.load import load
from dbot.params.site import load_site
from dbot.plan import Plan


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", default="slurm", metavar="NAME", help="the profile that would submit (default: %(default)s)")
    parser.add_argument("--node", action="store_true", help="also look at one compute node, in a job of a minute")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="to read, or for programs")


def run(args: argparse.Namespace) -> None:
    profile = read_profile(args.profile)
    plan = Plan(load(args.params, args.scale or profile.scale))
    site = load_site()
    found = everything(plan, site, profile)
    stuck = any(each.level == "wrong" and each.what.startswith(("commands:", "controller:")) for each in found)
    if args.node and not stuck:
        gpus = int(any(plan.resources(job).gpus for job in plan.jobs()))
        found += check_node(look(site, gpus), site, gpus)
    if args.format == "json":
        document = {"scale": plan.scale, "profile": args.profile, "findings": [asdict(each) for each in found]}
        print(json.dumps(document, indent=1))
    else:
        print(*found, sep="\n")
    if any(each.level == "wrong" for each in found):
        raise SystemExit(2)
