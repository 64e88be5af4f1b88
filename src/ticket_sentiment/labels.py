"""The three classes, in the order of every probability vector, confusion matrix and model output."""

LABELS: tuple[str, str, str] = ("negative", "neutral", "positive")
LABEL_TO_ID: dict[str, int] = {label: index for index, label in enumerate(LABELS)}
