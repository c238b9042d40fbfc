"""Whether the accounts and qualities of service of site.yaml are the user's own, and welcome where the jobs go."""

from collections.abc import Iterator, Mapping

from dbot.cluster.answers import Association
from dbot.cluster.finding import Finding, listed
from dbot.cluster.limits import JOBS, KINDS, Cluster, Demand
from dbot.params.site import Site

SOME = "<jobs>"
"""Stands for the jobs in a line that may be about those with GPUs, those without, or both."""


def check_accounts(
    cluster: Cluster, site: Site, config: Mapping[str, str], theirs: list[Association] | None, asked: list[Demand]
) -> list[Finding]:
    """Who pays for the jobs, and whether he may.

    Args:
        cluster: its partitions.
        site: what site.yaml says.
        config: of Slurm.
        theirs: what the user may charge; None where sacctmgr doesn't answer.
        asked: what jobs ask for.
    """
    if config.get("AccountingStorageType", "").endswith("/none"):
        return [Finding("ok", "accounts: this Slurm keeps none")]
    if theirs is None:
        return [Finding("?", "accounts: sacctmgr does not answer; whether yours may be charged shows with the first job")]
    enforced = config.get("AccountingStorageEnforce", "none") not in ("none", "0", "")
    who: dict[Finding, list[str]] = {}
    found: dict[Finding, None] = {}
    for kind in KINDS:
        if any(demand.kind == kind for demand in asked):
            queues = cluster.queues(site, kind)
            named = getattr(site.account, kind)
            account = named or next((each.account for each in theirs if each.is_default), None)
            # Slurm keeps the names of accounts in small letters.
            held = [each for each in theirs if account is not None and each.account.lower() == account.lower()]
            who.setdefault(_account(named, account, held, theirs, queues, enforced), []).append(JOBS[kind])
            qos = getattr(site.qos, kind)
            if qos and cluster.qualities and qos not in cluster.qualities:
                known = ", ".join(cluster.qualities)
                found[Finding("wrong", f"qos {qos}, which site.yaml names, does not exist", f"write one of these there: {known}")] = None
            elif qos and held and not any(qos in each.qos for each in held):
                theirs_are = ", ".join(sorted({name for each in held for name in each.qos}))
                what = f"qos {qos} of site.yaml is not open to account {account}"
                found[Finding("wrong", what, f"write one of these there: {theirs_are}")] = None
            found |= dict.fromkeys(_admission(cluster, queues, account, qos))
    return [*(Finding(each.level, each.what.replace(SOME, listed(jobs)), each.remedy) for each, jobs in who.items()), *found]


def _account(
    named: str | None,
    account: str | None,
    held: list[Association],
    theirs: list[Association],
    queues: list[str],
    enforced: bool,
) -> Finding:
    """Which account pays for `SOME` jobs."""
    mine = ", ".join(dict.fromkeys(each.account for each in theirs))
    if named and not held:
        remedy = f"write another there; yours are: {mine}" if mine else "leave it out, or ask the administrators: you have none"
        return Finding("wrong" if enforced else "warn", f"account {named}, which site.yaml names for {SOME}, is none of yours", remedy)
    if account is None and mine:
        return Finding(
            "warn", f"accounts: site.yaml names none for {SOME}, and you have no default", f"write `account: NAME` there: {mine}"
        )
    if account is None and enforced:
        return Finding("wrong", "accounts: you have none on this cluster", "ask the administrators for one")
    if account is None:
        return Finding("ok", "accounts: none are needed")
    if all(each.partition is not None and each.partition not in queues for each in held):
        only = listed(sorted({each.partition or "" for each in held}))
        what = f"account {account} may be charged in partition {only} alone, and {SOME} go to {listed(queues) or 'none'}"
        return Finding("wrong", what, "name another account or partition in site.yaml")
    return Finding("ok", f"accounts: {account} pays for {SOME}" + ("" if named else ", by default"))


def _admission(cluster: Cluster, queues: list[str], account: str | None, qos: str | None) -> Iterator[Finding]:
    """Whether partitions take jobs of an account and a quality of service."""
    for name in queues:
        for rule, value, noun in (("Accounts", account, "account"), ("Qos", qos, "qos")):
            if name in cluster.partitions and value:
                admitted = cluster.partitions[name].admitted
                allowed = admitted.get(f"Allow{rule}")
                if (allowed is not None and value not in allowed.split(",")) or value in admitted.get(f"Deny{rule}", "").split(","):
                    remedy = f"name another partition or {noun} in site.yaml" + (f"; it takes {allowed}" if allowed else "")
                    yield Finding("wrong", f"partition {name} does not take jobs of {noun} {value}", remedy)
