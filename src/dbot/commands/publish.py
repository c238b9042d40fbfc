"""Publish results with all that proves them: checkpoints, exports for timm, receipts, executions, metrics, logs, page, terms, citation.

A bundle is a folder or a .zip; as a model repository it goes to Hugging Face's hub (HF_TOKEN), as a deposit to Zenodo (ZENODO_TOKEN).
"""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", nargs="+", metavar="ROW", help="a row, or a cell (B-B/cls, B-B/cls/seed0)")
    parser.add_argument("--to", required=True, metavar="PLACE", help="a folder, a .zip, hf://NAMESPACE/NAME, or zenodo://")
    parser.add_argument(
        "--pictures",
        choices=["open", "all"],
        default="open",
        help="those that show images: of data sets that params.yaml calls open, or of all (default: %(default)s)",
    )
    parser.add_argument("--confirm", action="store_true", help="have Zenodo publish the deposit, which can't be undone (default: a draft)")
    parser.add_argument("--private", action="store_true", help="if the repository on the hub has to be made: for its owners alone")
    parser.add_argument("--endpoint", metavar="URL", help="of another hub or Zenodo (default: HF_ENDPOINT, or the public one)")


def run(args: argparse.Namespace) -> None:
    from dbot.base.errors import UserError
    from dbot.base.files import as_output, filled_in
    from dbot.params.load import load
    from dbot.plan import Plan
    from dbot.publish.bundle import write_zips
    from dbot.publish.contents import gathered, write
    from dbot.publish.places import HUB, ZENODO

    if args.confirm and not args.to.startswith(ZENODO):
        raise UserError(f"--confirm is for Zenodo, and --to is {args.to}; leave it out")
    plan = Plan(load(args.params, args.scale))
    published = gathered(plan, args.target)
    if args.to.startswith(HUB):
        from dbot.publish.hub import upload

        upload(published, args.to.removeprefix(HUB), args.endpoint, args.private, args.pictures)
    elif args.to.startswith(ZENODO):
        from dbot.publish.zenodo import upload as to_zenodo

        to_zenodo(published, args.to.removeprefix(ZENODO), args.endpoint, args.confirm, args.pictures)
    elif args.to.endswith(".zip"):
        import tempfile

        target = as_output(Path(filled_in(args.to)))
        with tempfile.TemporaryDirectory(dir=target.parent) as room:
            write(published, Path(room, "bundle"), pictures=args.pictures)
            for path in write_zips(Path(room, "bundle"), target):
                print(f"wrote {path}")
    else:
        folder = Path(filled_in(args.to))
        bundle = write(published, folder, pictures=args.pictures)
        size = sum(file.bytes for file in bundle.files.values())
        print(f"wrote {folder}: {len(bundle.files)} files, {size / 1e6:.1f} MB, {len(published.jobs)} receipts")
        print(f"`dbot restore {folder}` puts them in place in another checkout")
