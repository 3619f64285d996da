# Holotype's API, workers and command line. CPU by default; for an NVIDIA device name PyTorch's CUDA index instead:
#   docker build --build-arg TORCH_INDEX_URL=https://download.pytorch.org/whl/cu130 -t holotype .
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/holotype
COPY constraints.txt ./
# PyTorch alone in its layer: it is the big one, and it changes with its pin only.
RUN /opt/holotype/bin/pip install --constraint constraints.txt --index-url "${TORCH_INDEX_URL}" torch
COPY pyproject.toml README.md LICENSE ./
COPY service ./service
COPY workers ./workers
RUN /opt/holotype/bin/pip install --constraint constraints.txt '.[postgres,s3]'

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/holotype /opt/holotype
RUN useradd --uid 10001 --create-home holotype && install -d -m 700 -o holotype -g holotype /data /blobs
USER holotype
ENV PATH=/opt/holotype/bin:$PATH HOLOTYPE_DATA_DIR=/data HF_HOME=/data/hub PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8000
# `doctor` fails where the data directory or a server that the settings name cannot be reached.
HEALTHCHECK --interval=5m --timeout=50s --start-period=60s --retries=3 CMD ["holotype", "doctor", "--quick", "--json"]
ENTRYPOINT ["holotype"]
CMD ["--help"]
