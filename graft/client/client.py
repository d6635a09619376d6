"""The client: where the parts come together. `graft.client.job_types` has a method for each type of job."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from types import TracebackType

from graft.client import address
from graft.client.datasets import Datasets
from graft.client.job_types import JobTypes
from graft.client.jobs import Jobs
from graft.client.keys import Keys
from graft.client.models import Models
from graft.client.retrying import RETRIES
from graft.client.schedules import Schedules
from graft.client.service import Readiness, Service
from graft.client.sources import OnProgress, Source
from graft.client.transport import Transport
from graft.client.uploads import Uploads
from graft.client.webhooks import Webhooks
from shared.contracts.datasets import Dataset
from shared.contracts.tables import Format
from shared.contracts.usage import UsageReport

TIMEOUT_SECONDS = 30.0


class Client(JobTypes):
    """Speaks with one API, with one key. Safe to share between threads; a context manager.

        client = graft.Client()                                   # GRAFT_URL, GRAFT_API_KEY, or the local stack's
        job = client.train("churn.csv", target="churned", name="churn").wait(progress=True)
        client.models["churn"].predict([{"age": 41, "plan": "basic"}]).predictions

    `datasets`, `jobs`, `models`, `schedules`, `uploads`, `webhooks` and `keys` have a method for each request of the
    API. All errors are below `graft.GraftError` (`graft.client.errors`).
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        retries: int = RETRIES,
    ) -> None:
        """url, key: else GRAFT_URL and GRAFT_API_KEY, else http://127.0.0.1:8000 and the key that `graft up` keeps in
        this folder. timeout: seconds without a byte from the server. retries: how often a call is made again
        (`graft.client.retrying`). Nothing is sent yet. Raises BadSettings.
        """
        self.url = address.find_url(url)
        self._api = Transport(self.url, address.find_key(key, self.url), timeout=timeout, retries=retries)
        self.service = Service(self._api)
        self.uploads = Uploads(self._api)
        self.datasets = Datasets(self._api, self.uploads)
        self.jobs = Jobs(self._api)
        self.models = Models(self._api, lambda: self.project)
        self.schedules = Schedules(self._api, self.jobs)
        self.keys = Keys(self._api)
        self.webhooks = Webhooks(self._api)

    def __repr__(self) -> str:
        return f"<graft.Client of {self.url}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the client is of no use then."""
        self._api.close()

    @cached_property
    def project(self) -> str:
        """The one that the key belongs to."""
        return self.usage().project

    def upload(
        self,
        source: Source,
        *,
        name: str | None = None,
        format: Format | None = None,
        part_bytes: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> Dataset:
        """As `client.datasets.upload`."""
        return self.datasets.upload(
            source, name=name, format=format, part_bytes=part_bytes, on_progress=on_progress
        )

    def usage(self, first: date | None = None, last: date | None = None) -> UsageReport:
        """What the project has used, by the day: the last 30 days, or from `first` to `last`, both included."""
        return self.service.usage(first, last)

    def healthy(self) -> bool:
        """Whether the API is there at all."""
        return self.service.healthy()

    def ready(self) -> Readiness:
        """Whether jobs can be accepted and run, and if not, what is away."""
        return self.service.ready()

    def metrics(self) -> str:
        """The API's metrics, in the text format of Prometheus. Needs the scope `admin`."""
        return self.service.metrics()
