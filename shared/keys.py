"""Every Redis key and every object key. Nothing else builds one.

Redis (`P` a project, `Q` a queue). Lists of things are sorted sets with equal scores, read in the order of
their names (ids are ULIDs, so that is the order of creation) and paged in constant time:

    graft:p:P:job:<id>                 hash    the job; the truth about it
    graft:p:P:job:<id>:events          stream  what happened to it
    graft:p:P:job:<id>:logs            stream  what its attempts logged, the newest lines
    graft:p:P:job:<id>:curve           stream  the running loss as it fell, the newest points
    graft:p:P:job:<id>.<n>             hash    one shard of it, which is claimed, leased and ended like a job
    graft:p:P:job:<id>:shards:<state>  zset    its shards, by state
    graft:p:P:job:<id>:shards:pending  zset    the queued ones that do not wait for a worker yet
    graft:p:P:jobs                     zset    the project's jobs
    graft:p:P:jobs:<field>:<value>     zset    the same, by status, type, model or schedule
    graft:p:P:idempotency:<digest>     hash    the job or schedule that an Idempotency-Key stands for
    graft:p:P:idempotency:<digest>:hold string who is being accepted under it, for half a minute at most
    graft:p:P:dataset:<id>             hash
    graft:p:P:dataset:<id>:users       set     live jobs that read it
    graft:p:P:dataset:<id>:users:ever  zset    jobs that have read it and are remembered
    graft:p:P:dataset:<id>:schedules   set     schedules whose job names it
    graft:p:P:datasets                 zset
    graft:p:P:upload:<id>              hash    a table that comes in parts
    graft:p:P:uploads                  zset
    graft:p:P:model:<name>             hash    description, tags, latest_version
    graft:p:P:model:<name>:versions    zset    version numbers
    graft:p:P:model:<name>:version:<n> hash
    graft:p:P:model:<name>:schedules   set     schedules whose job names it
    graft:p:P:model:<name>:version:<n>:users     set   live jobs that use it
    graft:p:P:model:<name>:version:<n>:users:ever zset jobs that have used it and are remembered
    graft:p:P:model:<name>:version:<n>:schedules set   schedules whose job names it
    graft:p:P:model:<name>:version:<n>:deleted   hash  what is left of a deleted one
    graft:p:P:model:<name>:version:<n>:children  zset  versions that were fine-tuned from it
    graft:p:P:model:<name>:remains     hash    what outlives the model: the last number given out, its last revision
    graft:p:P:model:<name>:version:<n>:asked:<h or d><number>  hash  what was asked of it in that hour or day since 1970
    graft:p:P:model:<name>:aliases     hash    alias → version
    graft:p:P:model:<name>:alias:<a>   stream  its history
    graft:p:P:models                   zset
    graft:p:P:lineage                  string  that its past has been indexed for lineage
    graft:p:P:schedule:<id>            hash    the schedule, and which occurrence is next
    graft:p:P:schedule:<id>:occurrences zset   nominal times that have been decided
    graft:p:P:schedule:<id>:waiting    zset    those of them that still wait for their job
    graft:p:P:schedule:<id>:occurrence:<ms> hash
    graft:p:P:schedule:<id>:users      set     its live jobs
    graft:p:P:schedules                zset
    graft:p:P:keys                     zset    its API keys
    graft:p:P:stored                   hash    bytes that it keeps: datasets, artifacts, outputs
    graft:p:P:usage:<day>              hash    what it used that day (days since 1970, UTC)
    graft:p:P:webhook:<id>             hash    an endpoint; or, as url_<digest>, a URL that jobs of the project name
    graft:p:P:webhook:<id>:deliveries  zset    its deliveries
    graft:p:P:webhook:<id>:due         zset    those of them that are to be tried, by when
    graft:p:P:webhooks                 zset    its endpoints
    graft:p:P:webhook_urls             zset    URLs of jobs that have deliveries
    graft:p:P:webhook_secret           hash    what deliveries to URLs of jobs are signed with
    graft:p:P:delivery:<id>            hash    one event for one endpoint, and what was tried

    graft:key:<id>                     hash    an API key, found before its project is known
    graft:session:<digest>             hash    a session in a browser, by the SHA-256 of its id, while it lasts
    graft:ready:Q                      zset    projects with ready jobs, by whose turn it is
    graft:served:Q                     hash    when each project last had a turn
    graft:ready:Q:P                    zset    the ready jobs of one of them, oldest first
    graft:delayed                      zset    queued jobs that wait for their retry, by when
    graft:leases                       zset    running jobs, by the deadline of their lease
    graft:claim:<token>                hash    what a claim answered, for as long as a lease
    graft:call:<token>                 string  what a change answered, for as long as it may be sent once more
    graft:projects                     set     every project that ever had a job
    graft:asked:<token>                string  a count of what was asked that has been added, for a minute
    graft:rates/…                      string  requests of a minute, as the library `limits` keeps them (rates.py)
    graft:sweep                        string  lives while no sweep is due
    graft:schedules                    zset    schedules, by when to look at them
    graft:uploads                      zset    uploads, by when they expire
    graft:webhooks                     zset    endpoints with deliveries to try, by when
    graft:webhooks:counts              hash    attempts of each project, by `P/<outcome>`
    graft:taken:<token>                hash    the delivery that a courier took, for as long as its lease
    graft:workers                      hash    each worker's last sign of life
    graft:durations                    hash    how long jobs of each type took lately, in milliseconds
    graft:tallies                      hash    what has happened so far, for Prometheus (tallies.py)
    graft:tallied:<token>              string  something that has been tallied, for as long as it may be sent once more

`graft:delayed`, `graft:leases`, `graft:schedules`, `graft:uploads` and `graft:webhooks` span projects: their members
are `P/<id>`. Wherever a job's id stands a shard's may, but for the lists of a project's jobs: those hold jobs only.
Scripts make the keys of shards from their job's (`_prelude.lua`), as a job may have thousands of them, and those of
webhooks from templates that stand before every script (`shared/lua/__init__.py`).

Objects, all but the parts of uploads immutable, below the project:

    P/datasets/<id>/data.<ext>
    P/uploads/<id>/00001, …             parts of an upload, until it is completed
    P/jobs/<id>/<token>/model.joblib
    P/jobs/<id>/<token>/output/part-00000.parquet, …, _manifest.json
    P/jobs/<id>/<token>/checkpoint/<digest>
    P/jobs/<id>/<token>/finished.json
    P/jobs/<id>.<n>/<token>/…           what a shard's attempt made; closing the job copies it into the job's output
"""

from __future__ import annotations

import re
from typing import Final

DELAYED: Final = "graft:delayed"
LEASES: Final = "graft:leases"
SCHEDULES: Final = "graft:schedules"
WORKERS: Final = "graft:workers"
DURATIONS: Final = "graft:durations"
TALLIES: Final = "graft:tallies"
PROJECTS: Final = "graft:projects"
SWEEP: Final = "graft:sweep"
RATES: Final = "graft:rates"
UPLOADS: Final = "graft:uploads"
WEBHOOKS: Final = "graft:webhooks"
WEBHOOK_COUNTS: Final = "graft:webhooks:counts"


def job(project: str, job_id: str) -> str:
    return f"graft:p:{project}:job:{job_id}"


def job_events(project: str, job_id: str) -> str:
    return f"{job(project, job_id)}:events"


def job_logs(project: str, job_id: str) -> str:
    return f"{job(project, job_id)}:logs"


def job_curve(project: str, job_id: str) -> str:
    """Scripts make it from the job's."""
    return f"{job(project, job_id)}:curve"


def shard_id(job_id: str, number: int) -> str:
    """What stands for a shard wherever a job's id may stand: `job_….00012`."""
    return f"{job_id}.{number:05d}"


def split_shard(job_id: str) -> tuple[str, int] | None:
    """(job id, number) of a shard; None for a job."""
    owner, dot, number = job_id.partition(".")
    return (owner, int(number)) if dot and number.isdecimal() else None


def shards(project: str, job_id: str, state: str) -> str:
    return f"{job(project, job_id)}:shards:{state}"


def in_state(project: str, job_id: str, state: str) -> str:
    """The index that a job is in while it is in that state; a shard is in one of its job's own."""
    shard = split_shard(job_id)
    return shards(project, shard[0], state) if shard else jobs_by(project, "status", state)


def jobs(project: str) -> str:
    return f"graft:p:{project}:jobs"


def idempotency(project: str, digest: str) -> str:
    return f"graft:p:{project}:idempotency:{digest}"


def idempotency_hold(project: str, digest: str) -> str:
    return f"{idempotency(project, digest)}:hold"


def ready(queue: str) -> str:
    return f"graft:ready:{queue}"


def ready_of(queue: str, project: str) -> str:
    return f"graft:ready:{queue}:{project}"


def served(queue: str) -> str:
    """Scripts make it from `ready`'s."""
    return f"graft:served:{queue}"


def usage(project: str, day: int) -> str:
    """Scripts that end a job make it from the job's."""
    return f"graft:p:{project}:usage:{day}"


def stored(project: str) -> str:
    """Scripts make it from any key of the project."""
    return f"graft:p:{project}:stored"


def dataset(project: str, dataset_id: str) -> str:
    return f"graft:p:{project}:dataset:{dataset_id}"


def datasets(project: str) -> str:
    return f"graft:p:{project}:datasets"


def upload(project: str, upload_id: str) -> str:
    return f"graft:p:{project}:upload:{upload_id}"


def uploads(project: str) -> str:
    return f"graft:p:{project}:uploads"


def models(project: str) -> str:
    return f"graft:p:{project}:models"


def model(project: str, name: str) -> str:
    return f"graft:p:{project}:model:{name}"


def model_versions(project: str, name: str) -> str:
    return f"{model(project, name)}:versions"


def model_version(project: str, name: str, version: int) -> str:
    return f"{model(project, name)}:version:{version}"


def model_version_template(project: str, name: str) -> str:
    """For a script that learns the number itself: %d stands for it."""
    return f"{model(project, name)}:version:%d"


def version_users(project: str, name: str, version: int) -> str:
    """Live jobs that use the version: while there is one it cannot be deleted."""
    return live_users(model_version(project, name, version))


def live_users(record: str) -> str:
    return f"{record}:users"


def ever(users: str) -> str:
    """Beside the live users of a thing: all jobs that have used it and are remembered. Lineage goes along it."""
    return f"{users}:ever"


def used(project: str, users: str) -> tuple[str, ...] | None:
    """What such a key of live users is about: (dataset id,) or (model name, number); None if it is neither."""
    match users.removeprefix(f"graft:p:{project}:").split(":"):
        case ["dataset", dataset_id, "users"]:
            return (dataset_id,)
        case ["model", name, "version", number, "users"]:
            return name, number
    return None


def naming_schedules(record: str) -> str:
    """Schedules whose job names the dataset, model or version with that key: while there is one, it stays."""
    return f"{record}:schedules"


def tombstone(project: str, name: str, version: int) -> str:
    return tombstone_of(model_version(project, name, version))


def tombstone_of(record: str) -> str:
    return f"{record}:deleted"


def version_children(project: str, name: str, version: int) -> str:
    return f"{model_version(project, name, version)}:children"


def lineage_indexed(project: str) -> str:
    return f"graft:p:{project}:lineage"


def model_remains(project: str, name: str) -> str:
    return f"{model(project, name)}:remains"


def member(project: str, job_id: str) -> str:
    """A job as a member of an index that spans projects."""
    return f"{project}/{job_id}"


def split_member(value: str) -> tuple[str, str]:
    project, _, job_id = value.partition("/")
    return project, job_id


def api_key(key_id: str) -> str:
    return f"graft:key:{key_id}"


def session(digest: str) -> str:
    return f"graft:session:{digest}"


def api_keys(project: str) -> str:
    return f"graft:p:{project}:keys"


def dataset_object(project: str, dataset_id: str, extension: str) -> str:
    return f"{project}/datasets/{dataset_id}/data.{extension}"


def upload_prefix(project: str, upload_id: str) -> str:
    """Below it lie the parts of an upload."""
    return f"{project}/uploads/{upload_id}/"


def upload_part(project: str, upload_id: str, number: int) -> str:
    return f"{upload_prefix(project, upload_id)}{number:05d}"


def split_upload_part(key: str) -> tuple[str, str, int] | None:
    """(project, upload id, number) of a part of an upload; None for any other object."""
    parts = key.split("/")
    if len(parts) != 4 or parts[1] != "uploads" or not re.fullmatch("[0-9]{5}", parts[3]):
        return None
    return parts[0], parts[2], int(parts[3])


def split_job_object(key: str) -> tuple[str, str, str] | None:
    """(project, job id, token) of an object that an attempt wrote; None for any other."""
    parts = key.split("/")
    return (parts[0], parts[2], parts[3]) if len(parts) > 4 and parts[1] == "jobs" else None


def split_dataset_object(key: str) -> tuple[str, str] | None:
    """(project, dataset id) of an uploaded dataset's object; None for any other."""
    parts = key.split("/")
    return (parts[0], parts[2]) if len(parts) == 4 and parts[1] == "datasets" else None


def job_prefix(project: str, job_id: str) -> str:
    """Below it lies everything that a job's attempts write to our bucket."""
    return f"{project}/jobs/{job_id}/"


def attempt_prefix(project: str, job_id: str, token: str) -> str:
    """Below it lies everything that one attempt writes to the store, so that a stale one harms nothing."""
    return f"{job_prefix(project, job_id)}{token}/"


def claim(token: str) -> str:
    return f"graft:claim:{token}"


def call(token: str) -> str:
    return f"graft:call:{token}"


def tallied(token: str) -> str:
    return f"graft:tallied:{token}"


def jobs_by(project: str, field: str, value: str) -> str:
    """Ids of the jobs whose `field` (type, model, schedule) is `value`."""
    return f"graft:p:{project}:jobs:{field}:{value}"


def dataset_users(project: str, dataset_id: str) -> str:
    """Live jobs that read the dataset: while there is one it cannot be deleted."""
    return f"{dataset(project, dataset_id)}:users"


def model_aliases(project: str, name: str) -> str:
    return f"{model(project, name)}:aliases"


def alias_history(project: str, name: str, alias: str) -> str:
    return f"{model(project, name)}:alias:{alias}"


def schedules(project: str) -> str:
    return f"graft:p:{project}:schedules"


def schedule(project: str, schedule_id: str) -> str:
    return f"graft:p:{project}:schedule:{schedule_id}"


def schedule_users(project: str, schedule_id: str) -> str:
    """Live jobs of the schedule."""
    return f"{schedule(project, schedule_id)}:users"


def occurrences(project: str, schedule_id: str) -> str:
    return f"{schedule(project, schedule_id)}:occurrences"


def waiting_occurrences(project: str, schedule_id: str) -> str:
    return f"{schedule(project, schedule_id)}:waiting"


def occurrence(project: str, schedule_id: str, nominal_ms: int | str) -> str:
    """`%s` stands for the nominal time in a script's template."""
    return f"{schedule(project, schedule_id)}:occurrence:{nominal_ms}"


def asked(project: str, name: str, version: int, unit: str, number: int | str) -> str:
    """`%d` stands for the number in a script's template."""
    return f"{model_version(project, name, version)}:asked:{unit}{number}"


def asked_marker(token: str) -> str:
    return f"graft:asked:{token}"


def webhooks(project: str) -> str:
    return f"graft:p:{project}:webhooks"


def webhook_urls(project: str) -> str:
    return f"graft:p:{project}:webhook_urls"


def webhook(project: str, webhook_id: str) -> str:
    return f"graft:p:{project}:webhook:{webhook_id}"


def deliveries(project: str, webhook_id: str) -> str:
    return f"{webhook(project, webhook_id)}:deliveries"


def due_deliveries(project: str, webhook_id: str) -> str:
    return f"{webhook(project, webhook_id)}:due"


def delivery(project: str, delivery_id: str) -> str:
    return f"graft:p:{project}:delivery:{delivery_id}"


def webhook_secret(project: str) -> str:
    return f"graft:p:{project}:webhook_secret"


def taken(token: str) -> str:
    return f"graft:taken:{token}"
