# One image for the API and the worker; the command chooses. `docker build .` makes it, docker-compose.yml runs it.
#
#   build   the locked dependencies and Graft's wheel, in a virtual environment
#   base    that environment on a plain Python, and a user to run it
#   test    base, the test tools and the repository
#   store   MinIO with a data directory that belongs to that user
#   graft   what runs; the last stage, so the default

ARG PYTHON_IMAGE=python:3.11-slim
# Docker Hub no longer has MinIO; quay.io has, and this is the last release that MinIO built an image of.
ARG MINIO_IMAGE=quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z.hotfix.7aa24e772

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/graft
WORKDIR /src
COPY requirements.txt ./
RUN /opt/graft/bin/python -m pip install --require-hashes --no-deps --only-binary :all: -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
COPY api api
COPY worker worker
COPY graft graft
RUN /opt/graft/bin/python -m pip install --no-deps --no-build-isolation .

FROM ${PYTHON_IMAGE} AS base
RUN groupadd --gid 10001 graft \
 && useradd --uid 10001 --gid graft --no-create-home --home-dir /tmp --shell /usr/sbin/nologin graft \
 && install -d -o graft -g graft -m 0700 /var/lib/graft
COPY --from=build /opt/graft /opt/graft
ENV PATH=/opt/graft/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

FROM base AS test
ENV HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /srv/graft
COPY requirements-dev.txt ./
RUN python -m pip install --require-hashes --no-deps --only-binary :all: -r requirements-dev.txt
COPY . .
USER 10001:10001
CMD ["python", "-m", "pytest", "-p", "no:cacheprovider"]

FROM ${MINIO_IMAGE} AS store
COPY --from=base --chown=10001:10001 /var/lib/graft /store
USER 10001:10001
CMD ["minio", "server", "/store"]

FROM base AS graft
# A volume at /var/lib/graft takes uploads and the work of jobs; /tmp needs a few megabytes.
ENV GRAFT_BIND=0.0.0.0:8000 GRAFT_TEMP_DIR=/var/lib/graft
# gunicorn and Celery import from the working directory: it holds nothing, and nobody can write to it.
WORKDIR /srv
USER 10001:10001
EXPOSE 8000
CMD ["gunicorn", "--config", "python:api.gunicorn_conf"]
