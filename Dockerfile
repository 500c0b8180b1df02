# Three targets: `embed` (onnxruntime, no TensorFlow), `train` (everything) and `train-cuda` (the same for NVIDIA's GPUs, with the
# CUDA libraries; docs/gpus.md). Exact versions come from constraints.txt, those of CUDA from TensorFlow.
#   docker build --target embed -t ecg-advmask:embed .
#   docker build --target train -t ecg-advmask:train .
#   docker run --rm -v "$PWD":/data ecg-advmask:train prepare cinc2021 prepared --format cinc2021
#   docker run --rm -v "$PWD":/data ecg-advmask:train study /opt/studies/ptbxl.toml study --data pretraining=prepared ...
# Runs as a user without rights, in /data; mount a folder there that this user (id 1000) may write to. Nothing is fetched
# when it runs. There is no health check: a container does one job, and ends with its exit code. docker/check.sh builds
# `embed` and `train` and tries them, and with CUDA=1 `train-cuda`, too.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home ecg
ENV PATH=/opt/ecg-advmask/bin:$PATH PYTHONDONTWRITEBYTECODE=1 MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /data
VOLUME /data
ENTRYPOINT ["ecg-advmask"]
CMD ["--help"]

FROM python AS embed-installed
COPY pyproject.toml constraints.txt README.md LICENSE /src/
COPY ecg_advmask /src/ecg_advmask
COPY cli /src/cli
COPY export /src/export
RUN python3 -m venv /opt/ecg-advmask \
    && /opt/ecg-advmask/bin/pip install --no-cache-dir --constraint /src/constraints.txt /src

FROM embed-installed AS train-installed
RUN /opt/ecg-advmask/bin/pip install --no-cache-dir --constraint /src/constraints.txt '/src[train]'

FROM train-installed AS cuda-installed
RUN /opt/ecg-advmask/bin/pip install --no-cache-dir --constraint /src/constraints.txt '/src[cuda]'

FROM python AS embed
COPY --from=embed-installed /opt/ecg-advmask /opt/ecg-advmask
USER ecg

FROM python AS train-cuda
COPY --from=cuda-installed /opt/ecg-advmask /opt/ecg-advmask
COPY studies /opt/studies
# What NVIDIA's container runtime makes visible.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER ecg

FROM python AS train
COPY --from=train-installed /opt/ecg-advmask /opt/ecg-advmask
COPY studies /opt/studies
USER ecg
