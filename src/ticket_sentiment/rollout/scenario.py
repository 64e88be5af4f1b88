"""What a made-up help desk is like: its traffic, and the two models as they truly are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Traffic:
    """What comes in, and what becomes of it.

    Attributes:
        tickets_per_day: mean of a Poisson number.
        customers: who send them.
        customer_spread: standard deviation of the logarithm of a customer's rate; at 1.2 the tenth with the
            most tickets sends half of all.
        label_share: of the audited tickets that ever get a label.
        label_hours: median of the delay, which is lognormal.
        label_spread: standard deviation of its logarithm.
        looks_per_day: how often the rollout is looked at.
    """

    tickets_per_day: float = 2000.0
    customers: int = 2000
    customer_spread: float = 1.2
    label_share: float = 0.8
    label_hours: float = 12.0
    label_spread: float = 1.0
    looks_per_day: int = 2


@dataclass(frozen=True)
class Scenario:
    """The two models, as they truly are.

    Attributes:
        name: of the row in the table.
        gain: challenger's accuracy minus the champion's.
        more_errors: challenger's share of failed answers minus the champion's.
        slower: challenger's times over the champion's.
        more_slow: challenger's share of answers over the objective minus the champion's, instead of `slower`.
        accuracy: of the champion.
        disagreement: share of tickets on which exactly one of the two is right.
        errors: champion's share of failed answers.
        median_ms: of the champion's answers, lognormal.
        spread_ms: standard deviation of the logarithm.
        hardship: squared coefficient of variation between customers of what goes wrong, for both models.
        taste: standard deviation between customers of the share of the disagreements that the challenger
            wins: one customer's wording may suit one model.
        lost_exposures: share of the challenger's customers that no exposure is recorded of.
        lost_labels: share of the labels of tickets that the challenger answered, that never come.
    """

    name: str
    gain: float = 0.0
    more_errors: float = 0.0
    slower: float = 1.0
    more_slow: float | None = None
    accuracy: float = 0.80
    disagreement: float = 0.10
    errors: float = 0.005
    median_ms: float = 20.0
    spread_ms: float = 0.7
    hardship: float = 0.5
    taste: float = 0.0
    lost_exposures: float = 0.0
    lost_labels: float = 0.0

    @property
    def bad(self) -> bool:
        """Whether its promotion would be a mistake; else its rollback would be one."""
        slow = self.more_slow if self.more_slow is not None else self.slower - 1
        return self.gain < 0 or self.more_errors > 0 or slow > 0
