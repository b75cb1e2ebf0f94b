# A local TaskRouter in a container: see docs/ways-to-run.md.
#
#   docker build -t taskrouter .
#   docker run --rm -p 127.0.0.1:8300:8300 -v taskrouter:/data --env-file taskrouter.env taskrouter

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ENV PIP_CONSTRAINT=/src/constraints.txt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY . .
RUN python -m pip wheel --no-deps --wheel-dir /wheels .
# Without pip: what runs the server installs nothing.
RUN python -m venv --without-pip /opt/taskrouter \
    && python -m pip --python /opt/taskrouter/bin/python install \
       "taskrouter-worker[server,storage] @ file://$(ls /wheels/taskrouter_worker-*.whl)"

FROM python:${PYTHON}-slim
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent taskrouter \
    && install --directory --owner=taskrouter --group=taskrouter --mode=0750 /data
COPY --from=build /opt/taskrouter /opt/taskrouter
ENV PATH=/opt/taskrouter/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8300
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=20s --retries=3 \
    CMD ["taskrouter-stub", "health"]
ENTRYPOINT ["taskrouter-stub"]
# It listens beyond the container, so it starts only with the secrets that the environment gives it.
CMD ["serve", "--host", "0.0.0.0", "--data", "/data/taskrouter.sqlite"]
