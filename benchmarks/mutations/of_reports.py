"""Reports that are old, of something else, or hold no numbers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.mutations.catalogue import mutation
from benchmarks.mutations.workplace import CHAMPION, RELEASE, Workplace
from ticket_sentiment.files import read_json
from ticket_sentiment.gates.rules import GATES

OTHER = "0" * 64
EVALUATION, COMPRESSION, BENCHMARK = "evaluation/metrics.json", "compression.json", "benchmark.json"


MACRO_F1 = "models.compressed.macro_f1.value"
DIFFERENCE = "differences.compressed_minus_champion.macro_f1.low"
PARITY = "parity.fp16.label_agreement"
SPEED = "champion.ratio.throughput.median"
NAN = float("nan")

# gate, name, report, key, value
EDITS = (
    ("integrity", "an evaluation of another bundle", EVALUATION, "bundle_digest", OTHER),
    ("integrity", "an evaluation on another holdout", EVALUATION, "holdout.sha256", OTHER),
    ("champion", "a champion compared on other data", EVALUATION, "holdout.sha256", "1" * 64),
    ("champion", "another champion compared", EVALUATION, "champion_digest", OTHER),
    ("champion", "no champion compared", EVALUATION, "champion_digest", None),
    ("quality", "NaN metrics", EVALUATION, MACRO_F1, NAN),
    ("champion", "a NaN difference", EVALUATION, DIFFERENCE, NAN),
    ("calibration", "a null calibration error", EVALUATION, "models.compressed.calibration_error", None),
    ("integrity", "a benchmark of another bundle", BENCHMARK, "bundle_digest", OTHER),
    ("integrity", "a compression report of another bundle", COMPRESSION, "gpu.digest", OTHER),
    ("compression", "a GPU bundle that answers otherwise", COMPRESSION, PARITY, 0.9),
    ("behaviour", "a behaviour report of another bundle", "behaviour.json", "bundle_digest", OTHER),
    ("drift", "a drift report of another month", "drift.json", "current.sha256", OTHER),
    ("drift", "a drift report about another champion", "drift.json", "champion_digest", OTHER),
    ("benchmark", "a benchmark beside another champion", BENCHMARK, "champion_digest", OTHER),
    ("benchmark", "a model that needs more memory", BENCHMARK, "variants.cpu_bundle.peak_memory_mb", 900.0),
    ("benchmark", "a model that is slower than the champion", BENCHMARK, SPEED, 0.5),
    ("licence", "base weights of another licence", "inspection.json", "weights.licence", "cc-by-nc-4.0"),
    ("licence", "base weights without a licence", "inspection.json", "weights.licence", "not stated"),
    ("licence", "other base weights", "inspection.json", "weights.base_model", "package:another"),
    ("privacy", "an inspection of other tickets", "inspection.json", "prepared_sha256", OTHER),
)


def _edit(gate: str, name: str, report: str, key: str, value: object) -> None:
    said = "another hash" if key.endswith(("digest", "sha256")) and value else str(value)

    @mutation(gate, name, f"`{key}` of reports/{report}: {said}")
    def edit(place: Workplace) -> None:
        place.edit(report, key, value)


for _one in EDITS:
    _edit(*_one)


@mutation("benchmark", "a stale benchmark", "it was measured forty days ago")
def stale_benchmark(place: Workplace) -> None:
    place.edit(BENCHMARK, "measured_at", (datetime.now(UTC) - timedelta(days=40)).isoformat())


@mutation("benchmark", "no faster than before compression", "as fast as the dense model")
def slow(place: Workplace) -> None:
    speed = dict.fromkeys(("median", "low", "high"), 1.0)
    place.edit(BENCHMARK, "ratios.cpu_bundle_over_dense_torch_fp32.throughput", speed)


@mutation("quality", "an evaluation that broke off", "half of the file is there")
def truncated(place: Workplace) -> None:
    path = Path("reports") / EVALUATION
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    place.made_anew = set(GATES) - {"hotfix"}


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@mutation("integrity", "a bit of the model flipped", "in the middle of the CPU bundle's model.onnx")
def flipped(place: Workplace) -> None:
    _flip(RELEASE / "cpu/model.onnx")
    place.made_anew = set(GATES) - {"hotfix"}


@mutation("champion", "a champion that is damaged", "a bit of its model.onnx flipped")
def damaged_champion(place: Workplace) -> None:
    _flip(CHAMPION / "model.onnx")
    place.made_anew = set(GATES) - {"hotfix"}


@mutation("integrity", "another shape than was chosen", "the compression report names another one")
def another_shape(place: Workplace) -> None:
    attempts = read_json(Path("reports") / COMPRESSION)["attempts"]
    chosen = attempts[-1] | {"shape": "2x6x384-e96-v1"}
    place.edit(COMPRESSION, "attempts", [*attempts[:-1], chosen])
