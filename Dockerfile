# Debian and Python are the ones that the tests run on.
FROM docker.io/library/python:3.11-slim-bookworm AS build

WORKDIR /src
RUN python -m venv --without-pip /opt/streamserver
COPY . .
# Bytecode is compiled now, since the server can write none into a read-only file system. It does not import the SDKs
# to serve: without theirs the image is 40 MB smaller.
RUN python -m pip --python /opt/streamserver/bin/python install --no-cache-dir --no-compile '.[redis,otel]' \
    && /opt/streamserver/bin/python -m compileall -q -x '/(anthropic|openai)/' /opt/streamserver


FROM docker.io/library/python:3.11-slim-bookworm

LABEL org.opencontainers.image.title="llm-streamserver" \
      org.opencontainers.image.description="Streams tokens from language models over Server-Sent Events" \
      org.opencontainers.image.licenses="Apache-2.0"

# A number, so that Kubernetes can tell that it is not root. The user owns nothing but its working directory.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /srv/streamserver --shell /usr/sbin/nologin streamserver \
    && install -d -o streamserver -g streamserver -m 0755 /srv/streamserver
COPY --from=build /opt/streamserver /opt/streamserver
COPY deploy/docker/healthcheck.py /opt/streamserver/healthcheck.py

ENV PATH=/opt/streamserver/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PORT=8080
WORKDIR /srv/streamserver
USER 10001:10001
EXPOSE 8080

HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-I", "-S", "/opt/streamserver/healthcheck.py"]

# In exec form: the server is the container's first process, and gets its signals.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-P", "-m", "streamserver.container"]
