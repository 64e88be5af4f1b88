"""Which tickets are worth a person's label: an audit drawn by chance, and those that teach most.

Only the audit says how good the model is: its tickets are drawn with a known probability, whatever the model
said about them. The others are chosen for what the model does not know (Settles 2009, "Active Learning
Literature Survey"), so that they are not like all and must not be counted as if they were.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from ticket_sentiment.params import Labelling
from ticket_sentiment.rollout.audit import audited

REASONS = ("audit", "doubted", "disagreement", "drifted", "uncertain")


def shuffled(ids: Iterable[str], seed: int, purpose: Literal["draw", "order"] = "draw") -> list[int]:
    """A number for each id, 0 to 2**64 - 1, which depends on nothing but the id, the seed and the purpose."""
    key = str(seed).encode()
    return [
        int.from_bytes(
            hashlib.blake2b(
                id_.encode("utf-8", "replace"), digest_size=8, key=key, person=f"queue {purpose}".encode()
            ).digest(),
            "big",
        )
        for id_ in ids
    ]


def choose(
    candidates: pd.DataFrame,
    suspects: Sequence[str],
    count: int,
    settings: Labelling,
    audit_salt: str,
    audit_share: float,
) -> pd.DataFrame:
    """Pick up to `count` tickets.

    The audit has its quota first, and in it those tickets that count for the rollout that is on: it waits for
    their labels, and older ones would take their places for weeks. Where more were drawn than it holds,
    chance decides once more within each kind, and the probability says so (two phases: Särndal, Swensson and
    Wretman 1992, "Model Assisted Survey Sampling", chapter 9). The rest of the draw waits for another queue
    and is not taken for another reason, or those audited tickets that have a label would be those of which
    the model was unsure.

    Args:
        candidates: ticket_id, margin (0 to 1), disagree, novelty (NaN where unknown), counts (whether it was
            answered in the rollout that is on).
        suspects: ids of labelled tickets whose label seems wrong, the worst first; none of the candidates.
        count: of the queue.
        settings: `quotas` and `seed` are read.
        audit_salt: `rollout.audit_salt`.
        audit_share: `rollout.audit_share`.

    Returns:
        The chosen ones in an order that tells nothing, with `why` (one of REASONS) and `probability`, with
        which the ticket was drawn; NaN for all but the audit.
    """
    drawn = [audited(id_, audit_salt, audit_share) for id_ in candidates["ticket_id"]]
    rows = candidates.assign(
        place=shuffled(candidates["ticket_id"], settings.seed), drawn=np.array(drawn, dtype=bool)
    ).sort_values(["place", "ticket_id"])
    drawn, others = rows[rows["drawn"]], rows[~rows["drawn"]]

    def quota(share: float) -> int:
        return int(count * share + 1e-9)

    picked, places = [], quota(settings.quotas.audit)
    for kind in (drawn[drawn["counts"]], drawn[~drawn["counts"]]):
        audit = kind.head(places)
        picked.append(audit.assign(why="audit", probability=audit_share * len(audit) / max(len(kind), 1)))
        places -= len(audit)

    doubted = pd.DataFrame({"ticket_id": list(suspects[: quota(settings.quotas.doubted)])}, dtype=object)
    picked.append(doubted.assign(why="doubted", probability=float("nan")))

    def pick(why: str, pool: pd.DataFrame, size: int) -> pd.DataFrame:
        found = pool.head(size)
        picked.append(found.assign(why=why, probability=float("nan")))
        return others.drop(found.index)

    others = pick("disagreement", others[others["disagree"]], quota(settings.quotas.disagreement))
    unlike = others[others["novelty"].notna()].sort_values("novelty", ascending=False, kind="stable")
    others = pick("drifted", unlike, quota(settings.quotas.drifted))
    unsure = others.sort_values("margin", kind="stable")
    pick("uncertain", unsure, count - sum(map(len, picked)))
    # In the order of the draw the audit would come first.
    chosen = pd.concat(picked)
    chosen["place"] = shuffled(chosen["ticket_id"], settings.seed, "order")
    return chosen.sort_values(["place", "ticket_id"]).drop(columns=["place", "drawn", "counts"])
