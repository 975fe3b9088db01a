# The app, a server and one process that computes for it:
# docker build -t mlem-lab . && docker run --read-only --tmpfs /tmp -p 8501:8501 mlem-lab
FROM python:3.11-slim

# Where pip finds PyTorch built for the CPU alone; the default build brings gigabytes of CUDA along. A Space passes its variables
# of this name to the build.
ARG PIP_EXTRA_INDEX_URL=""

RUN useradd --uid 1000 --create-home app
WORKDIR /home/app/lab

COPY requirements.txt .
RUN pip install --no-cache-dir --no-compile -r requirements.txt

COPY app.py README.md ./
COPY .streamlit .streamlit
COPY mlem mlem
COPY pages pages
# Compiled here, since the file system is read-only when the app runs.
RUN python -m compileall -q app.py mlem pages

USER 1000
ENV PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 \
    MLEM_DEMO=1 \
    HF_HUB_OFFLINE=1 \
    HF_HUB_DISABLE_TELEMETRY=1
EXPOSE 8501

# The page has to run to its end, not just the socket to answer.
HEALTHCHECK --interval=60s --timeout=30s --start-period=60s CMD ["python", "-m", "mlem.ui.health"]

CMD ["streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true"]
