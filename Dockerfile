# infer.py in a container.
#
#     docker build -t likeness .                                                   on a CPU
#     docker build -t likeness:cuda --build-arg TORCH_INDEX= .                     with CUDA; run it with --gpus all
#     docker run --rm -v "$PWD/photos:/photos" likeness --images /photos           results: photos/results/index.html
#     docker run --rm -v "$PWD/photos:/photos:ro" -v "$PWD/results:/results" likeness --images /photos --output /results
#
# The options are infer.py's; the settings of configs/ that refine lie in /app/configs. Mitsuba is not in the image.
# It runs as user 1000. Where the mounted folders are another user's, add --user "$(id -u):$(id -g)".
# Results in the mounted folder are not read as photographs in the next run.

FROM python:3.11.13-slim-bookworm AS base

FROM base AS packages
# Where torch and torchvision come from; empty: the package index that pip uses, whose builds bring CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /build
COPY requirements/run.txt requirements/cuda.txt ./
# The environment gets no pip of its own; the image's installs into it.
RUN python -m venv --without-pip /opt/venv \
    && grep -vE '^(torch|torchvision)==' run.txt > others.txt \
    && grep -E '^(torch|torchvision)==' run.txt > torch.txt \
    && pip --python /opt/venv/bin/python install --no-cache-dir --no-deps -r others.txt
# With dependencies, since those of the CUDA build are pinned in cuda.txt alone; all others are there by now.
RUN pip --python /opt/venv/bin/python install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
        -c cuda.txt -r torch.txt \
    && pip --python /opt/venv/bin/python check

FROM base
# Folders that a named volume takes its owner from.
RUN useradd --uid 1000 --create-home likeness \
    && install -d -o likeness -g likeness /photos /results
COPY --from=packages /opt/venv /opt/venv
COPY . /app
# The home and the compiled kernels lie where any --user may write.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/tmp/numba
USER 1000:1000
# Without --output the results go into its folder `results`.
WORKDIR /photos
ENTRYPOINT ["python", "/app/infer.py"]
CMD ["--help"]
