"""Put published results in place: receipts, executions and checkpoints of a bundle, once every digest and signature is found right.

Then Snakemake has nothing to do for these cells. A bundle that was changed, or that another plan made, is refused as a whole.
"""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bundle", metavar="BUNDLE", help="a folder or .zip of `dbot publish`, hf://NAMESPACE/NAME[@REVISION], or doi:DOI of Zenodo"
    )
    parser.add_argument("--draw", action="store_true", help="draw embedded data sets that are not here, too; their receipts stay")
    parser.add_argument("--endpoint", metavar="URL", help="of another hub or Zenodo (default: HF_ENDPOINT, or the public one)")


def run(args: argparse.Namespace) -> None:
    import shutil

    from dbot.base.errors import UserError
    from dbot.base.files import filled_in
    from dbot.publish.bundle import opened
    from dbot.publish.places import fetched, is_elsewhere
    from dbot.publish.restore import ROOM, draw_again, restore
    from dbot.versioning.keep import keep

    far = is_elsewhere(args.bundle)
    source = fetched(args.bundle, args.endpoint, ROOM) if far else Path(filled_in(args.bundle))
    with opened(source, ROOM) as folder:
        done = restore(args.params, args.scale, folder)
    print(f"restored {len(done.new)} jobs of scale {done.plan.scale}; {len(done.jobs) - len(done.new)} were here as they are")
    for name in done.targets:
        print(f"  {name}")
    if args.draw:
        for root in draw_again(done):
            print(f"drew {root}, which is as its receipt says")
    try:
        keep(done.jobs)
    except UserError as error:
        print(f"DVC does not have the files yet ({error}); `dbot record` hands them over")
    if far:
        shutil.rmtree(ROOM, ignore_errors=True)
