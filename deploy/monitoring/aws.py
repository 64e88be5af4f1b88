"""`python -m deploy.monitoring.aws`: put deploy/cloudwatch into an AWS account; once more changes nothing."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from deploy.manifests.render import ROOT
from deploy.monitoring.cloudwatch import TOPIC
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json

FOLDER = ROOT / "deploy/cloudwatch"
DASHBOARD = "ticket-sentiment"


def _filled(path: Path, topic: str) -> Any:
    return json.loads(json.dumps(read_json(path)).replace(TOPIC, topic))


def apply(topic: str, budget: bool) -> list[str]:
    """Put alarms and dashboard, and if asked the budget of the account.

    Args:
        topic: ARN of the SNS topic that tells people; its region is that of the alarms.
        budget: it is the whole account's, so that not every team may want it.

    Returns:
        A line for each thing that was put.

    Raises:
        TicketSentimentError: boto3 is missing, the topic is none, or AWS refuses.
    """
    parts = topic.split(":")
    if len(parts) != 6 or parts[2] != "sns":
        raise TicketSentimentError(f"{topic}: expected the ARN of an SNS topic")
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise TicketSentimentError("boto3 is not installed: pip install -e .[aws]") from None
    try:
        client = boto3.client("cloudwatch", region_name=parts[3])
        alarms = _filled(FOLDER / "alarms.json", topic)
        for alarm in alarms["metric"]:
            client.put_metric_alarm(**alarm)
        for alarm in alarms["composite"]:
            client.put_composite_alarm(**alarm)
        body = json.dumps(read_json(FOLDER / "dashboard.json"))
        client.put_dashboard(DashboardName=DASHBOARD, DashboardBody=body)
        put = [*(alarm["AlarmName"] for kind in alarms.values() for alarm in kind), f"dashboard {DASHBOARD}"]
        if budget:
            put.append(_put_budget(boto3.client("budgets", region_name="us-east-1"), topic, parts[4]))
    except (ClientError, BotoCoreError) as error:
        raise TicketSentimentError(f"AWS: {error}") from None
    return put


def _put_budget(client: Any, topic: str, account: str) -> str:
    wanted = _filled(FOLDER / "budget.json", topic)
    try:
        client.create_budget(AccountId=account, **wanted)
    except client.exceptions.DuplicateRecordException:  # an update would leave who is warned as it was
        client.delete_budget(AccountId=account, BudgetName=wanted["Budget"]["BudgetName"])
        client.create_budget(AccountId=account, **wanted)
    return f"budget {wanted['Budget']['BudgetName']}"


def main() -> None:
    """Put them and print their names."""
    parser = argparse.ArgumentParser(prog="python -m deploy.monitoring.aws", description=__doc__)
    parser.add_argument("topic", metavar="ARN", help="of the SNS topic that tells people")
    parser.add_argument("--budget", action="store_true", help="the account's monthly budget, too")
    arguments = parser.parse_args()
    print("\n".join(apply(arguments.topic, arguments.budget)))


if __name__ == "__main__":
    try:
        main()
    except TicketSentimentError as error:
        sys.exit(f"error: {error}")
