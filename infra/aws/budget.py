"""A budget for what the site costs in a month."""

import dataclasses

import pulumi
import pulumi_aws as aws

from infra.deployment import Deployment
from infra.options import child, value

TAG = "slipway-stack"
ACTUAL_PERCENT, FORECAST_PERCENT = (50, 80, 100), 100
"""When to say that money is spent, and that it will be."""


@dataclasses.dataclass(frozen=True)
class BudgetArgs:
    """What `Budget` needs.

    Attributes:
        deployment: the site; its settings say how much it may cost, and who hears of it.
        topic_arn: the topic that is told, too, so that whoever subscribes to it hears of everything.
    """

    deployment: Deployment
    topic_arn: pulumi.Input[str]


class Budget(pulumi.ComponentResource):
    """A monthly budget of AWS Budgets for what bears the site's tag.

    AWS counts costs by a tag only from when it was made a cost allocation tag: `slipway-stack`, once for an account,
    under Billing and Cost Management, Cost allocation tags, where it appears a day after its first use (an
    organization's management account does it for its members). Until then the budget sees no cost. Costs come with
    hours of delay: it warns, and limits nothing; `budget` in the run file does that.

    Sources: https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html,
    https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-best-practices.html
    """

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:aws:Budget", name, None, opts)
        deployment = args.deployment
        thresholds = [*(("ACTUAL", each) for each in ACTUAL_PERCENT), ("FORECASTED", FORECAST_PERCENT)]
        aws.budgets.Budget(
            deployment.named("month"),
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=value(deployment, "budget_usd"),
            limit_unit="USD",
            cost_filters=[{"name": "TagKeyValue", "values": [f"user:{TAG}${deployment.stack}"]}],
            notifications=[
                {
                    "notification_type": kind,
                    "comparison_operator": "GREATER_THAN",
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_email_addresses": [value(deployment, "email")],
                    "subscriber_sns_topic_arns": [args.topic_arn],
                }
                for kind, percent in thresholds
            ],
            opts=child(self),
        )
        self.register_outputs({})
