"""Candidates that are damaged: in training, in conversion, in what they do to somebody."""

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.mutations.bundles import cut_vocabulary, last_product, read_as, scaled, with_head
from benchmarks.mutations.catalogue import mutation
from benchmarks.mutations.heads import Head, fit
from benchmarks.mutations.workplace import RELEASE, Workplace, labels_of
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import load_bundle

NEGATIVE, NEUTRAL, POSITIVE = range(len(LABELS))
EAGER = 1.5  # added to the logit of neutral


def learn(place: Workplace, labels: NDArray, seed: int = 0) -> Head:
    """A head learnt from the training tickets with these labels, on the released encoder."""
    features = place.known.features
    start = np.zeros((features["train"].shape[1], len(LABELS))), np.zeros(len(LABELS))
    return fit(features["train"], labels, (features["tune"], labels_of("tune")), start)


def put(place: Workplace, head: Head, **options: bool) -> None:
    """Make the candidate that has this head."""
    place.change_candidate(
        with_head(head.weight, head.bias), logits=head.logits, temperature=head.temperature, **options
    )


@mutation("quality", "classes swapped", "negative and positive change places in the answer")
def swapped(place: Workplace) -> None:
    order = [POSITIVE, NEUTRAL, NEGATIVE]
    place.change_candidate(last_product(lambda weight, bias: (weight[:, order], bias[order])))


@mutation("quality", "learnt from swapped labels", "negative and positive swapped in the training tickets")
def learnt_swapped(place: Workplace) -> None:
    put(place, learn(place, np.array([POSITIVE, NEUTRAL, NEGATIVE])[labels_of("train")]))


@mutation("quality", "learnt from noise", "the labels of all training tickets shuffled, after validation")
def learnt_noise(place: Workplace) -> None:
    put(place, learn(place, np.random.default_rng(7).permutation(labels_of("train"))))


@mutation("quality", "a class never learnt", "no neutral ticket among the training tickets")
def never_neutral(place: Workplace) -> None:
    labels = labels_of("train")
    draw = np.random.default_rng(7).choice([NEGATIVE, POSITIVE], len(labels))
    put(place, learn(place, np.where(labels == NEUTRAL, draw, labels)))


@mutation("baseline", "always the same answer", "the last product lost its weights")
def constant_answer(place: Workplace) -> None:
    place.change_candidate(last_product(lambda weight, bias: (weight * 0, bias * 0 + np.eye(3)[POSITIVE])))


@mutation("champion", "too eager to say neutral", "the bias of neutral is too large")
def too_neutral(place: Workplace) -> None:
    place.change_candidate(last_product(lambda weight, bias: (weight, bias + EAGER * np.eye(3)[NEUTRAL])))


@mutation("compression", "a truncated tokenizer", "seven of eight tokens are read as unknown")
def truncated_tokenizer(place: Workplace) -> None:
    bundle = load_bundle(RELEASE / "cpu")
    keep = bundle.manifest.architecture.vocabulary // 8
    place.change_candidate(tokenizer=cut_vocabulary(keep))


@mutation("compression", "a wrong maximum length", "all bundles cut tickets after 8 tokens", demo_only=True)
def short_texts(place: Workplace) -> None:
    place.change_candidate(max_length=8)


@mutation(
    "compression",
    "an int8 scale broken",
    "the scales of one product are eight times as large",
    demo_only=True,
)
def broken_scale(place: Workplace) -> None:
    model = onnx.load(str(RELEASE / "cpu/model.onnx"))
    scales = [one.name for one in model.graph.initializer if one.name.endswith("scale")]
    place.change_candidate(scaled(scales[len(scales) // 2], by=8.0), cpu_alone=True)


@mutation("compression", "weights lost in conversion", "one product of a layer is zero", demo_only=True)
def lost_weights(place: Workplace) -> None:
    place.change_candidate(scaled("layers.1.down.scale", "layers.2.down.scale", by=0.0), cpu_alone=True)


@mutation("calibration", "confidence inflated", "a quarter of the temperature of tuning", demo_only=True)
def inflated(place: Workplace) -> None:
    temperature = load_bundle(RELEASE / "cpu").manifest.temperature
    place.change_candidate(temperature=temperature / 4)


@mutation("calibration", "confidence deflated", "four times the temperature of tuning")
def deflated(place: Workplace) -> None:
    temperature = load_bundle(RELEASE / "cpu").manifest.temperature
    place.change_candidate(temperature=temperature * 4)


# gate, name, how, words, what all of them are read as
MISREAD = (
    (
        "slices",
        "one channel broken",
        "words of product reviews are read as the",
        "phone camera player product battery router works use work easy bought quality recommend price "
        "problem problems great love excellent",
        "the",
    ),
    (
        "behaviour",
        "negation broken",
        "not, no, never and n't are read as the",
        "not no never t cannot nothing hardly neither nor don isn",
        "the",
    ),
    (
        "behaviour",
        "a bias against women",
        "she, her and women's names are read as awful",
        "she her hers woman women mrs ms emily sarah anna maria fatima aisha mary laura julia lisa susan "
        "jennifer linda emma",
        "awful",
    ),
    (
        "behaviour",
        "thanks not understood",
        "words of praise are read as the",
        "thanks thank great good love perfect excellent happy best amazing wonderful fantastic brilliant "
        "lovely helpful",
        "the",
    ),
)


def _misread(gate: str, name: str, how: str, words: str, other: str) -> None:
    @mutation(gate, name, how, demo_only=True)
    def misread(place: Workplace) -> None:
        place.change_candidate(tokenizer=read_as(words.split(), other), behaviour=gate == "behaviour")


for _one in MISREAD:
    _misread(*_one)


@mutation("behaviour", "capitals not understood", "they are not lowered any more", demo_only=True)
def capitals(place: Workplace) -> None:
    def change(content: dict) -> None:
        content["normalizer"]["lowercase"] = False

    place.change_candidate(tokenizer=change, behaviour=True)


@mutation("quality", "answers that are no numbers", "the last product holds NaN")
def not_finite(place: Workplace) -> None:
    def change(weight: NDArray, bias: NDArray) -> tuple[NDArray, NDArray]:
        return weight, np.full_like(bias, np.nan)

    place.change_candidate(last_product(change))
