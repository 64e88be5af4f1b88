"""What the job is held against, each in a process of its own: `python -m benchmarks.batch.bare KIND ...`.

    raw TICKETS BUNDLE SHARE OF    the bundle's runtime on texts that are loaded and sorted by length
    pipeline TICKETS MODEL COUNT   a loop over a transformers pipeline on the dense model

MODEL_THREADS limits torch's threads.

Says `ready`, waits for a line, works, and prints the seconds.
"""

import os
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

WARM_UP = 20


def _timed(work: object) -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    work()
    print(time.perf_counter() - start, flush=True)


def raw(tickets: str, bundle: str, share: int, of: int) -> None:
    from ticket_sentiment.model.bundle import load_bundle
    from ticket_sentiment.model.runtime import Runtime

    texts = sorted(pq.read_table(tickets, columns=["text"])["text"].to_pylist(), key=len)[share::of]
    runtime = Runtime(load_bundle(Path(bundle)))
    runtime.probabilities(texts[:WARM_UP])
    _timed(lambda: runtime.probabilities(texts))


def pipeline(tickets: str, model: str, count: int) -> None:
    import torch
    from transformers import pipeline as make

    if threads := os.environ.get("MODEL_THREADS"):
        torch.set_num_threads(int(threads))
    texts = pq.read_table(tickets, columns=["text"])["text"].to_pylist()[: count + WARM_UP]
    classify = make("text-classification", model, device="cpu")
    for text in texts[:WARM_UP]:
        classify(text, truncation=True)

    def work() -> None:
        for text in texts[WARM_UP:]:
            classify(text, truncation=True)

    _timed(work)


if __name__ == "__main__":
    kind, *given = sys.argv[1:]
    if kind == "raw":
        raw(given[0], given[1], int(given[2]), int(given[3]))
    else:
        pipeline(given[0], given[1], int(given[2]))
