"""Stage `drift`: three questions about the newest month, each with an answer of its own.

- incoming: has what comes in changed against the months that the model was trained on? A person is told.
- holdout: does the holdout look like live traffic? If not, its quality says little about the service.
- answers: would the candidate answer live traffic very differently from the champion?

Evidently judges; this module says on what. What a gate makes of it is in rules.py.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import evidently
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ticket_sentiment.files import replacing, sha256_file, write_json, write_text
from ticket_sentiment.gates.drift_evidently import CHANGED, Side, compare
from ticket_sentiment.gates.drift_features import (
    ANSWER_COLUMNS,
    BUNDLE_COLUMNS,
    EMBEDDING,
    REQUIRED,
    TICKET_COLUMNS,
    TableRuntime,
    answer_columns,
    bundle_columns,
    months_of,
    require_rows,
    sample,
    shape_columns,
    ticket_columns,
)
from ticket_sentiment.gates.drift_limits import Limit, learn, learn_embedding
from ticket_sentiment.gates.drift_live import CHANNEL, PROFILE_SCHEMA, Live, live_columns, live_of
from ticket_sentiment.gates.tables import read_prepared
from ticket_sentiment.model.bundle import MANIFEST, load_bundle
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.params import Drift, Params
from ticket_sentiment.tickets.schema import NO_CHANNEL

REFERENCE = Path("data/prepared/train.parquet")
UNSEEN = Path("data/prepared/tune.parquet")
CURRENT = Path("data/prepared/holdout.parquet")
BUNDLE = Path("models/release/cpu")
CHAMPION = Path("models/champion/bundle")
RESULT = Path("reports/drift.json")
PAGES = {name: Path(f"reports/drift/{name}.html") for name in ("incoming", "holdout", "answers")}
PROFILE = Path("reports/drift/reference.parquet")
NOTHING = "<!doctype html><meta charset='utf-8'><title>Drift</title><p>There was nothing to compare.</p>\n"

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
Compared = tuple[dict[str, dict[str, Any]], str]


def incoming(
    tables: dict[str, pd.DataFrame], runtime: Runtime, embed: Embed, drift: Drift, language: str
) -> Compared:
    """Compare the newest month with the tickets that the model was made with.

    Args:
        tables: tickets of `reference` (the training months), `unseen` (the tuning month, the reference
            for what the bundle makes of a text) and `current` (the newest month).
        runtime: the released CPU bundle.
        embed: texts to vectors, [texts, hidden].
        drift: methods, limits, rows, seed.
        language: that is expected.

    Returns:
        The measures of reports/drift.json, and Evidently's page.

    Raises:
        TicketSentimentError: a table cannot be judged.
    """
    for name, table in tables.items():
        require_rows(len(table), name)
    # Evidently takes one reference table, so its two halves are drawn with equal numbers of rows. Their
    # limits are learnt before, from all of each.
    seen, unseen, now = (
        sample(tables[name], drift.max_rows, drift.seed) for name in ("reference", "unseen", "current")
    )
    ours, theirs = ticket_columns(seen, language), bundle_columns(unseen, runtime)
    limits = learn(ours, seen["created_at"], TICKET_COLUMNS, len(now), drift)
    limits |= learn(theirs, unseen["created_at"], BUNDLE_COLUMNS, len(now), drift)
    rows = min(len(seen), len(unseen))
    some, some_now = (sample(table, min(drift.embedding_rows, rows), drift.seed) for table in (seen, now))
    vectors, vectors_now = (embed(table["text"].tolist()) for table in (some, some_now))
    limits[EMBEDDING] = learn_embedding(vectors, some["created_at"], drift)
    reference = pd.concat([sample(half, rows, drift.seed) for half in (ours, theirs)], axis=1)
    current = pd.concat([ticket_columns(now, language), bundle_columns(now, runtime)], axis=1)
    return compare(
        Side("reference", reference, vectors), Side("current", current, vectors_now), limits, drift
    )


def holdout(
    table: pd.DataFrame, live: Live, runtime: Runtime, embed: Embed, drift: Drift, language: str
) -> Compared | None:
    """Compare live traffic with the holdout of the same month; None where there is none.

    Args:
        table: the newest month of the holdout.
        live: what there is to compare with.
        runtime: the champion's bundle for recorded answers, which are its own; else the candidate's.
        embed, drift, language: as of `incoming`.
    """
    if live.table is None:
        return None
    held, seen = (sample(part, drift.max_rows, drift.seed) for part in (table, live.table))
    columns: tuple[str, ...]
    if live.kind == "predictions":
        ours, vectors, limits = answered(held, runtime), (None, None), {}
        columns = live_columns(ours, seen)
        sides = ours[list(columns)], seen[list(columns)]
    else:
        columns = tuple(name for name in (*TICKET_COLUMNS, *BUNDLE_COLUMNS) if name != "label")
        sides = tuple(
            pd.concat(
                [
                    ticket_columns(part.drop(columns="label", errors="ignore"), language),
                    bundle_columns(part, runtime),
                ],
                axis=1,
            )
            for part in (held, seen)
        )
        some, some_seen = (sample(part, drift.embedding_rows, drift.seed) for part in (held, seen))
        vectors = embed(some["text"].tolist()), embed(some_seen["text"].tolist())
        limits = {EMBEDDING: learn_embedding(vectors[0], some["created_at"], drift)}
    limits = learn(sides[0], held["created_at"], columns, len(seen), drift) | limits
    return compare(Side("holdout", sides[0], vectors[0]), Side("live", sides[1], vectors[1]), limits, drift)


def answers(tickets: pd.DataFrame, candidate: Runtime, champion: Runtime, drift: Drift) -> Compared:
    """Compare what two bundles answer to the same tickets.

    Args:
        tickets: all of the newest month, labelled or not.
        candidate: the released CPU bundle; champion: the present one.
        drift: as of `incoming`.
    """
    asked = sample(tickets, drift.max_rows, drift.seed)
    texts = asked["text"].tolist()
    before, now = (answer_columns(runtime.probabilities(texts)) for runtime in (champion, candidate))
    limits = learn(before, asked["created_at"], ANSWER_COLUMNS, len(asked), drift)
    limits[CHANGED] = Limit(drift.max_changed_answers, None, drift.max_changed_answers)
    return compare(Side("champion", before), Side("candidate", now), limits, drift)


def answered(table: pd.DataFrame, runtime: Runtime) -> pd.DataFrame:
    """LIVE_COLUMNS and CHANNEL, where the source named one, of tickets that a bundle answers now."""
    texts = table["text"].tolist()
    columns = pd.concat([shape_columns(texts), answer_columns(runtime.probabilities(texts))], axis=1)
    named = table[CHANNEL].where(table[CHANNEL] != NO_CHANNEL)
    return columns.assign(**{CHANNEL: named.array})


def profile(table: pd.DataFrame, runtime: Runtime) -> pa.Table:
    """What the candidate answers to the holdout, without a text, and the right label: its live reference."""
    own = {name: table[name].array for name in ("created_at", "label")}
    columns = answered(table, runtime).assign(**own, bundle_digest=runtime.bundle.digest)
    return pa.Table.from_pandas(columns, schema=PROFILE_SCHEMA, preserve_index=False)


def base_embedding(base_model: str, max_length: int) -> Embed:
    """The mean-pooled last hidden state of the base encoder, as it was before any fine-tuning.

    The fine-tuned one has seen the reference texts and not the newest ones, and is another one each
    month; the base encoder is a yardstick that stays.
    """
    from ticket_sentiment.model.classifier import base_model_path, embed, load_base, load_tokenizer

    model, tokenizer = load_base(base_model), load_tokenizer(base_model_path(base_model))
    return lambda texts: embed(model, tokenizer, texts, max_length, batch_size=32)


def main(params: Params) -> None:
    """Stage `drift`: tickets, bundles and recorded answers to reports/drift.json and reports/drift/."""
    paths = {"reference": REFERENCE, "unseen": UNSEEN, "current": CURRENT}
    tables = {name: read_prepared(path, REQUIRED) for name, path in paths.items()}
    for name, path in paths.items():
        require_rows(len(tables[name]), str(path))
    about: dict[str, Any] = {
        name: {
            "sha256": sha256_file(path),
            "rows": len(tables[name]),
            "months": sorted(months_of(tables[name]).unique()),
        }
        for name, path in paths.items()
    }
    newest = about["current"]["month"] = about["current"].pop("months")[-1]
    held = tables["current"] = tables["current"][months_of(tables["current"]) == newest]
    candidate = TableRuntime(load_bundle(BUNDLE))
    champion = TableRuntime(load_bundle(CHAMPION)) if (CHAMPION / MANIFEST).exists() else None
    digest = champion.bundle.digest if champion else None
    wanted = ("text", "channel", "created_at")
    live = live_of(newest, digest, params.drift.min_live_rows, wanted, params.prepare)
    embed = base_embedding(params.train.base_model, params.train.max_length)
    drift, language = params.drift, params.validate_.language
    asked = champion if champion and live.kind == "predictions" else candidate
    found: dict[str, Compared | None] = {
        "incoming": incoming(tables, candidate, embed, drift, language),
        "holdout": holdout(held, live, asked, embed, drift, language),
        "answers": answers(live.tickets, candidate, champion, drift)
        if champion and digest != candidate.bundle.digest
        else None,
    }
    for name, path in PAGES.items():
        write_text(path, (found[name] or ({}, NOTHING))[1])
    with replacing(PROFILE) as temporary:
        pq.write_table(profile(held, candidate), temporary, compression="zstd")
    measures = {name: compared[0] if compared else None for name, compared in found.items()}
    rows = 0 if live.table is None else len(live.table)
    about |= measures | {
        "live": {"kind": live.kind, "rows": rows, "labelled_share": round(live.labelled_share, 6)},
        "bundle_digest": candidate.bundle.digest,
        "champion_digest": digest,
        "evidently": evidently.__version__,
    }
    write_json(RESULT, about)
