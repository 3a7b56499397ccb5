# The service, without torch and without a model: the bundle is mounted (or copied by an image built on this one).
#
#     docker build -t absa .
#     docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/bundle:/bundle:ro" absa
#     docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/bundle:/bundle:ro" absa --host 0.0.0.0 --queue 256
#
# A graceful stop answers what was accepted, which takes up to --timeout and --read-timeout together (40 s by default),
# and docker kills after 10 s: give it `docker run --stop-timeout 45`. The health check asks port 8000, so leave --port
# as it is and map another one with -p (or give --health-cmd).

FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv /opt/absa
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN /opt/absa/bin/pip install --no-cache-dir -c constraints.txt '.[serve]'

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin absa
COPY --from=build /opt/absa /opt/absa
ENV PATH=/opt/absa/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["absa", "serve", "/bundle"]
CMD ["--host", "0.0.0.0"]
