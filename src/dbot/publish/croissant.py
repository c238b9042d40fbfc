"""A prepared data set in Croissant 1.0 (MLCommons): what it is, its licence, and its table of images with labels and digests.

The images themselves stay where they are; the table is the manifest's ``samples.tsv``, which lies in the bundle.
"""

from typing import Any

from dbot.jobs.prepare import SAMPLES
from dbot.lineage.receipt import Receipt
from dbot.plan import Job, Plan

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
COLUMNS = {
    "split": ("sc:Text", "train or validation"),
    "path": ("sc:Text", "of the image file, relative to the root of the data set"),
    "label": ("sc:Integer", "number of the image's class, from 0; -1: it has none"),
    "bytes": ("sc:Integer", "size of the image file"),
    "digest": ("sc:Text", "SHA-256 of the image file"),
}


def described(job: Job, receipt: Receipt, plan: Plan, prepared: str) -> dict[str, Any]:
    """The description of the data set that a job prepared.

    Args:
        job: of the kind `prepare`.
        receipt: its own.
        plan: whose parameters declare the data set.
        prepared: when it was, ISO 8601.
    """
    name = job.key["dataset"]
    declared = plan.params.datasets[name]
    table = receipt.artifacts[SAMPLES]
    counts = ", ".join(f"{receipt.results[part]} {part}" for part in ("train", "validation") if part in receipt.results)
    fields = [_field(column, kind, text) for column, (kind, text) in COLUMNS.items()]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": f"{declared.title}{f': {counts} images' if counts else ''}. {declared.source}.",
        "license": declared.licence,
        "url": f"https://huggingface.co/datasets/{declared.hub}" if declared.hub else f"urn:sha256:{receipt.results['digest']}",
        "version": "1.0.0",
        "datePublished": prepared[:10],
        "citeAs": declared.source,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "samples",
                "name": "samples",
                "description": "every image of the data set: its part, place, label, size and digest",
                "contentUrl": (job.folder / SAMPLES).as_posix(),
                "encodingFormat": "text/tab-separated-values",
                "contentSize": f"{table.bytes} B",
                "sha256": table.sha256,
            }
        ],
        "recordSet": [{"@type": "cr:RecordSet", "@id": "images", "name": "images", "field": fields}],
    }


def _field(column: str, kind: str, text: str) -> dict[str, Any]:
    source = {"fileObject": {"@id": "samples"}, "extract": {"column": column}}
    return {
        "@type": "cr:Field",
        "@id": f"images/{column}",
        "name": column,
        "description": text,
        "dataType": kind,
        "source": source,
    }
