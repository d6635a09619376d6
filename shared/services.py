"""The one composition root: builds every client and store from the settings, for the API and the workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared import database, storage
from shared.aliases import AliasStore
from shared.api_keys import ApiKeyStore
from shared.asked import AskedStore
from shared.config import Settings
from shared.database import Database
from shared.datasets import DatasetStore
from shared.deletions import Deletions
from shared.idempotency import IdempotencyStore
from shared.job_search import JobSearch
from shared.jobs import JobStore
from shared.lineage import LineageStore
from shared.models import ModelStore
from shared.overview import OverviewStore
from shared.queue_places import QueuePlaces
from shared.rates import Rates
from shared.schedules import ScheduleStore
from shared.sessions import SessionStore
from shared.shards import ShardStore
from shared.signing import Signer
from shared.storage import ObjectStore
from shared.stored import StoredBytes
from shared.tallies import TallyStore
from shared.troubles import OnTrouble
from shared.uploads import UploadStore
from shared.usage import UsageStore
from shared.webhooks.addresses import AddressPolicy
from shared.webhooks.deliveries import DeliveryStore
from shared.webhooks.endpoints import EndpointStore
from shared.workers import WorkerStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from shared.webhooks.sender import Sender

_LEASE_MARGIN_SECONDS = 10.0
"""Between the end of a webhook's attempt and the moment when another courier may take it."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a view or a task may need. Safe to share between threads."""

    settings: Settings
    database: Database
    objects: ObjectStore
    signer: Signer
    jobs: JobStore
    shards: ShardStore
    datasets: DatasetStore
    uploads: UploadStore
    models: ModelStore
    aliases: AliasStore
    deletions: Deletions
    lineage: LineageStore
    schedules: ScheduleStore
    asked: AskedStore
    workers: WorkerStore
    api_keys: ApiKeyStore
    rates: Rates
    usage: UsageStore
    stored: StoredBytes
    webhooks: EndpointStore
    deliveries: DeliveryStore
    idempotency: IdempotencyStore
    places: QueuePlaces
    sessions: SessionStore
    overview: OverviewStore
    search: JobSearch
    tallies: TallyStore


def build(settings: Settings, *, on_trouble: OnTrouble | None = None) -> Services:
    """Make all clients. Nothing is sent to any server yet.

    `on_trouble` hears of what Redis and the store fail at; if it is not given, tallies remember it.
    """
    hears = on_trouble or (lambda trouble: tallies.count_trouble(trouble))
    redis = database.connect(settings.redis_url.get_secret_value(), on_trouble=hears)
    tallies = TallyStore(redis)
    models = ModelStore(redis)
    return Services(
        settings=settings,
        database=redis,
        objects=_objects(settings, hears),
        signer=Signer(settings.signing_key.get_secret_value()),
        jobs=JobStore(
            redis,
            lease_seconds=settings.lease_seconds,
            max_live_jobs=settings.max_live_jobs,
            max_interruptions=settings.max_interruptions,
            idempotency_seconds=settings.idempotency_seconds,
            max_bytes=settings.max_project_bytes,
        ),
        shards=ShardStore(redis, lease_seconds=settings.lease_seconds),
        datasets=DatasetStore(redis, max_bytes=settings.max_project_bytes),
        uploads=UploadStore(
            redis,
            max_uploads=settings.max_uploads,
            keep_seconds=settings.upload_seconds,
            lease_seconds=settings.lease_seconds,
        ),
        models=models,
        aliases=AliasStore(redis, models),
        deletions=Deletions(redis),
        lineage=LineageStore(redis),
        schedules=ScheduleStore(
            redis,
            max_schedules=settings.max_schedules,
            idempotency_seconds=settings.idempotency_seconds,
        ),
        asked=AskedStore(redis),
        workers=WorkerStore(redis),
        api_keys=ApiKeyStore(redis, max_keys=settings.max_keys),
        rates=Rates(redis),
        usage=UsageStore(redis),
        stored=StoredBytes(redis),
        webhooks=EndpointStore(
            redis,
            _address_policy(settings),
            signing_key=settings.signing_key.get_secret_value(),
            max_webhooks=settings.max_webhooks,
        ),
        deliveries=DeliveryStore(
            redis,
            lease_seconds=settings.webhook_total_seconds + _LEASE_MARGIN_SECONDS,
            most_tries=len(settings.webhook_retry_seconds) + 1,
            disable_seconds=settings.webhook_disable_seconds,
            most_kept=settings.max_deliveries,
        ),
        idempotency=IdempotencyStore(redis),
        places=QueuePlaces(redis),
        sessions=SessionStore(redis, seconds=settings.session_seconds),
        overview=OverviewStore(redis),
        search=JobSearch(redis),
        tallies=tallies,
    )


def webhook_sender(settings: Settings) -> Sender:
    """What calls URLs that somebody else chose; workers only."""
    from shared.webhooks.sender import Sender  # with httpx, which the API has no use for

    return Sender(
        _address_policy(settings),
        connect_seconds=settings.webhook_connect_seconds,
        total_seconds=settings.webhook_total_seconds,
    )


def _address_policy(settings: Settings) -> AddressPolicy:
    return AddressPolicy(allow_private=settings.webhook_allow_private, allow_http=settings.webhook_allow_http)


def _objects(settings: Settings, on_trouble: OnTrouble) -> ObjectStore:
    def client(endpoint_url: str | None) -> S3Client:
        secret = settings.s3_secret_access_key
        return storage.connect(
            endpoint_url=endpoint_url,
            access_key_id=settings.s3_access_key_id,
            secret_access_key=secret.get_secret_value() if secret else None,
            region=settings.s3_region,
        )

    public = settings.s3_public_endpoint_url
    return ObjectStore(
        client(settings.s3_endpoint_url),
        settings.s3_bucket,
        public_client=client(public) if public else None,
        on_trouble=on_trouble,
    )
