"""The gate `licence`: the base weights may be used for this."""

from collections.abc import Iterator

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.fail_closed import Limits, Looked, finding, found, gate, need
from ticket_sentiment.gates.verdict import Finding


def plain(licence: str) -> str:
    """As it is compared: "Apache 2.0" and "apache-2.0" are one."""
    return "".join(character for character in licence.lower() if character.isalnum() or character == ".")


@gate("May we use the weights it began with?", place=95)
def licence(evidence: Evidence, limits: Limits) -> Looked:
    """It began with the weights that params.yaml names, and their licence is one that is allowed."""
    weights, bundle = need(evidence.inspection).weights, need(evidence.cpu)
    base, allowed = bundle.manifest.base_model, limits.gate.licences

    def findings() -> Iterator[Finding]:
        if weights.base_model != base:
            yield finding(
                "fail",
                f"The bundle began with {base}, the licence that was looked up is that of "
                f"{weights.base_model}: run `dvc repro inspect`.",
            )
        yield found(
            plain(weights.licence) in map(plain, allowed),
            limits.missed("licences"),
            f"The base weights {base} have the licence {weights.licence}.",
            f"The licence of the base weights {base} is not among gate.licences ({', '.join(allowed)}): "
            f"{weights.licence}.",
        )

    return findings(), {"base_model": base, "licence": weights.licence}
