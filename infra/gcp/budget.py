"""A budget for what the site costs in a month."""

import dataclasses
from decimal import Decimal

import pulumi
import pulumi_gcp as gcp

from infra.deployment import Deployment
from infra.gcp.services import Services
from infra.options import child, value

LABEL = "slipway-stack"
ACTUAL, FORECAST = "CURRENT_SPEND", "FORECASTED_SPEND"
THRESHOLDS = ((ACTUAL, 0.5), (ACTUAL, 0.8), (ACTUAL, 1.0), (FORECAST, 1.0))
"""When to say that money is spent, and that it will be, as shares of the budget."""
CURRENCY = "USD"
NANOS = 10**9


@dataclasses.dataclass(frozen=True)
class BudgetArgs:
    """What `Budget` needs.

    Attributes:
        deployment: the site; its settings say how much it may cost, and which account pays.
        services: switched on before.
        project_number: the project's.
        channel: the channel of the e-mail's address.
    """

    deployment: Deployment
    services: Services
    project_number: pulumi.Input[str]
    channel: pulumi.Input[str]


class Budget(pulumi.ComponentResource):
    """A monthly budget of Cloud Billing for what bears the site's label, told to the site's address alone.

    Labels reach machines, disks, buckets, keys and tables, which is nearly all of a bill; what has none (Cloud NAT, the
    network, lines of logs, points of metrics) is not counted. Costs come with hours of delay: it warns, and limits
    nothing; `budget` in the run file does that. There is no Pub/Sub topic: messages to one come several times a day
    whether or not a threshold is reached, and are for a program, which a site does not have.

    The account's currency must be USD: the service refuses any other than the account's own. Who runs this needs
    roles/billing.costsManager on the billing account.

    Sources: https://cloud.google.com/billing/docs/how-to/budgets,
    https://cloud.google.com/billing/docs/how-to/budgets-programmatic-notifications
    """

    def __init__(self, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        deployment = args.deployment
        super().__init__("slipway:gcp:Budget", deployment.named("budget"), None, opts)
        project = deployment.settings.project
        # With a person's own credentials the service wants to know whose quota it takes.
        provider = gcp.Provider(
            deployment.named("google-billing"),
            project=project,
            billing_project=project,
            user_project_override=True,
            opts=child(self),
        )
        gcp.billing.Budget(
            deployment.named("month"),
            billing_account=value(deployment, "billing_account"),
            display_name=deployment.name,
            budget_filter={
                "projects": [pulumi.Output.concat("projects/", args.project_number)],
                "labels": {LABEL: deployment.stack},
                "calendar_period": "MONTH",
                "credit_types_treatment": "INCLUDE_ALL_CREDITS",
            },
            amount={"specified_amount": pulumi.Output.from_input(value(deployment, "budget_usd")).apply(_amount)},
            threshold_rules=[{"spend_basis": basis, "threshold_percent": share} for basis, share in THRESHOLDS],
            all_updates_rule={
                "monitoring_notification_channels": [args.channel],
                "disable_default_iam_recipients": True,
            },
            opts=child(self, provider=provider, depends_on=args.services.enabled),
        )
        self.register_outputs({})


def _amount(usd: str) -> gcp.billing.BudgetAmountSpecifiedAmountArgsDict:
    """Money as Google's APIs have it: whole units, and billionths."""
    exact = Decimal(usd)
    whole = int(exact)
    amount = gcp.billing.BudgetAmountSpecifiedAmountArgsDict(currency_code=CURRENCY, units=str(whole))
    if exact != whole:
        amount["nanos"] = int((exact - whole) * NANOS)
    return amount
