# One image for every role: the command says which. docs/deployment.md describes it, scripts/build-image.sh builds it
# where there is no container engine.

FROM python:3.11-slim-bookworm AS builder

ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/headwater \
    UV_PYTHON=python3.11 \
    UV_PYTHON_DOWNLOADS=never

RUN python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir uv==0.13.8

WORKDIR /src

# The dependencies first: a change of the code alone does not install them again.
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv sync --frozen --no-dev --extra s3 --no-install-project

COPY LICENSE README.md ./
COPY bounded_contexts bounded_contexts
COPY headwater headwater
COPY infra infra
COPY sagas sagas
COPY schemas schemas
COPY shared_kernel shared_kernel
RUN /opt/uv/bin/uv sync --frozen --no-dev --extra s3 --no-editable


FROM python:3.11-slim-bookworm AS runtime

RUN groupadd --gid 1001 headwater \
    && useradd --uid 1001 --gid 1001 --no-create-home --home-dir /var/lib/headwater --shell /usr/sbin/nologin headwater \
    && install --directory --owner headwater --group headwater --mode 0750 /var/lib/headwater /var/lib/headwater/documents

# Owned by root: a process cannot change its own program.
COPY --from=builder /opt/headwater /opt/headwater

ENV PATH=/opt/headwater/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HEADWATER_HOME=/var/lib/headwater \
    HEADWATER_HOST=0.0.0.0 \
    HEADWATER_PORT=8080

ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Headwater" \
      org.opencontainers.image.description="A self-hostable, event-driven application backend centred on Apache Kafka." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

WORKDIR /var/lib/headwater
USER 1001:1001
EXPOSE 8080

# Liveness only: a container is not to be restarted because the broker or the database is away.
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['HEADWATER_PORT']), timeout=2); c.request('GET', '/health/live'); sys.exit(c.getresponse().status != 200)"]

ENTRYPOINT ["headwater"]
CMD ["run", "web", "realtime.delivery"]
