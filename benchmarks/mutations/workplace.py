"""A copy of a project in which all stages have run, to be damaged: what is damaged is looked at again.

The stages' own functions are run. Only what a damage cannot change is taken from the project: the answers of
the dense model and of the baselines, the benchmark's times, how far the GPU bundle is from PyTorch.
"""

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.mutations.bundles import Graph, Tokenizer, rewrite
from ticket_sentiment.behaviour.cases import Plan
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json, sha256_file, write_json
from ticket_sentiment.gates import behave, evaluate, inspection
from ticket_sentiment.gates.baselines import label_ids
from ticket_sentiment.gates.evidence import gather
from ticket_sentiment.gates.fail_closed import Limits
from ticket_sentiment.gates.rules import GATES
from ticket_sentiment.gates.scored import Scored, calibrated
from ticket_sentiment.gates.verdict import Verdict
from ticket_sentiment.model.bundle import Bundle, load_bundle
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.params import Params
from ticket_sentiment.tickets import prepare, validate
from ticket_sentiment.tickets.schema import TICKETS, month_files, read_tickets, write_tickets

RELEASE, CHAMPION = Path("models/release"), Path("models/champion/bundle")
OF_TICKETS = ("data", "leakage", "privacy")  # gates that look at the tickets and at no model
OF_TABLES = ("leakage", "privacy")


def labels_of(name: str) -> NDArray[np.int64]:
    """Class indices of a prepared table of the current folder."""
    return label_ids(pd.read_parquet(f"data/prepared/{name}.parquet", columns=["label"])["label"])


@dataclass
class Known:
    """What a damage of the candidate does not change, made once.

    Attributes:
        holdout: the tickets, with `known_customer`.
        scored: answers on them, by model: majority, tfidf, dense and champion.
        edge: logits of the edge bundle on them.
        suite: the behaviour suite; None where it is not asked.
        behaved: probabilities on its texts of dense and champion.
        features: what the head of the released bundle reads, by table, for heads that are learnt here.
    """

    holdout: pd.DataFrame
    scored: dict[str, Scored]
    edge: NDArray
    suite: Plan | None
    behaved: dict[str, NDArray]
    features: dict[str, NDArray]


@dataclass
class Workplace:
    """The copy, which is the current folder while it is worked on.

    Attributes:
        root: its folder.
        params: of the project.
        known: made once for all copies.
        made_anew: the gates whose evidence is as if the damaged thing had gone through the stages.
    """

    root: Path
    params: Params
    known: Known
    made_anew: set[str]

    def change_tickets(self, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        """Change all collected tickets, each row with its `month`; then validate, prepare and inspect."""
        tables = [read_tickets(path).assign(month=month) for month, path in month_files(TICKETS).items()]
        changed = change(pd.concat(tables, ignore_index=True))
        for month in month_files(TICKETS):
            rows = changed[changed["month"] == month]
            write_tickets(TICKETS / f"{month}.parquet", rows.drop(columns="month"))
        self.made_anew = set(OF_TICKETS)
        with contextlib.suppress(TicketSentimentError):  # a month that is refused is in the report
            validate.main(self.params)
            prepare.main(self.params)
            inspection.main(self.params)

    def change_table(self, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        """Change a prepared table as a `prepare` with an error in it would have left it."""
        path = Path(f"data/prepared/{name}.parquet")
        table = change(pd.read_parquet(path))
        write_tickets(path, table)
        split = read_json(Path("data/prepared/split.json"))
        split["rows"][name], split["sha256"][name] = len(table), sha256_file(path)
        write_json(Path("data/prepared/split.json"), split)
        inspection.main(self.params)
        self.made_anew = set(OF_TABLES)

    def change_candidate(
        self,
        graph: Graph | None = None,
        tokenizer: Tokenizer | None = None,
        logits: Callable[[dict[str, NDArray]], NDArray] | None = None,
        cpu_alone: bool = False,
        behaviour: bool = False,
        **fields: Any,
    ) -> Bundle:
        """Damage the candidate, and evaluate it as the stages do.

        Args:
            graph: change of the CPU bundle's graph.
            tokenizer: change of the tokenizer of all bundles.
            logits: from features to the answers, where only the head was changed: spares the encoder.
            cpu_alone: the edge bundle was made well, and is held against the damaged CPU bundle.
            behaviour: ask the behaviour suite, too, which takes a minute.
            fields: of the manifest.
        """
        bundle = rewrite(load_bundle(RELEASE / "cpu"), RELEASE / "cpu", graph, tokenizer, **fields)
        for device in ("gpu", "edge"):
            if tokenizer is not None or fields:
                rewrite(load_bundle(RELEASE / device), RELEASE / device, None, tokenizer, **fields)
        with contextlib.suppress(TicketSentimentError):  # a stage that refuses leaves the reports of before
            self.evaluate(bundle, logits, cpu_alone)
        self.made_anew = set(GATES) - {"hotfix", "drift"} - (set() if behaviour else {"behaviour"})
        if behaviour:
            self.behave(bundle, logits)
        return bundle

    def evaluate(
        self, bundle: Bundle, logits: Callable[[dict[str, NDArray]], NDArray] | None, cpu_alone: bool
    ) -> None:
        """Renew the evaluation, and the digests of the reports that a damage leaves as they were."""
        known, texts = self.known, self.known.holdout["text"].tolist()
        answers = Runtime(bundle).logits(texts) if logits is None else logits(known.features["holdout"])
        scored = {
            **known.scored,
            "compressed": calibrated(bundle.path, answers, bundle.manifest.temperature),
        }
        digests = {"compressed": bundle.digest, "champion": load_bundle(CHAMPION).digest}
        holdout = Path("data/prepared/holdout.parquet")
        months = sorted(known.holdout["created_at"].dt.strftime("%Y-%m").unique())
        rows = read_json(Path("data/prepared/split.json"))["rows"]["holdout"]
        about = {"sha256": sha256_file(holdout), "rows": rows, "months": months}
        report = evaluate.report(known.holdout, scored, digests, self.params)
        write_json(evaluate.FOLDER / "metrics.json", {"holdout": about, **report})
        compression = read_json(Path("reports/compression.json"))
        for device in ("cpu", "gpu", "edge"):
            compression[device]["digest"] = load_bundle(RELEASE / device).digest
        if cpu_alone:
            same = float(np.mean(answers.argmax(axis=1) == known.edge.argmax(axis=1)))
            compression["parity"]["edge_to_cpu"]["label_agreement"] = same
        write_json(Path("reports/compression.json"), compression)
        self.edit("benchmark.json", "bundle_digest", bundle.digest)

    def behave(self, bundle: Bundle, logits: Callable[[dict[str, NDArray]], NDArray] | None) -> None:
        """Renew the behaviour report."""
        suite = self.known.suite
        if suite is None:
            raise TicketSentimentError("the behaviour suite is not asked here")
        read = self.known.features.get("suite")
        answers = Runtime(bundle).logits(suite.texts) if logits is None else logits(read)
        ours = calibrated(bundle.path, answers, bundle.manifest.temperature).probabilities
        digests = {"compressed": bundle.digest, "champion": load_bundle(CHAMPION).digest}
        scored = {**self.known.behaved, "compressed": ours}
        write_json(behave.RESULT, behave.report(suite, scored, digests, self.params.behaviour))

    def edit(self, report: str, key: str, value: Any) -> None:
        """Set a key, written with dots, of a report; also to NaN, which no stage would write."""
        path = Path("reports") / report
        content = json.loads(path.read_text("utf-8"))
        *parents, last = key.split(".")
        place = content
        for one in parents:
            place = place[int(one)] if isinstance(place, list) else place[one]
        place[last] = value
        path.write_text(json.dumps(content), encoding="utf-8")
        self.made_anew = set(GATES) - {"hotfix"}

    def judge(self) -> dict[str, Verdict]:
        """The verdicts of the gates whose evidence was made anew, by gate."""
        evidence, limits = gather(datetime.now(UTC)), Limits.of(self.params)
        return {name: GATES[name](evidence, limits) for name in GATES if name in self.made_anew}


def copy(original: Path, target: Path) -> Path:
    """A copy of the parts of a project that are looked at; the dense model is not."""
    for name in ("data", "reports", "models/release", "models/champion", "models/frontier"):
        shutil.copytree(original / name, target / name)
    shutil.copyfile(original / "params.yaml", target / "params.yaml")
    return target
