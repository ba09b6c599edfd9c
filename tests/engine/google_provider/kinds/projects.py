"""What belongs to a project or its billing account: services, audit logs, budgets.

https://cloud.google.com/service-usage/docs/reference/rest, https://cloud.google.com/billing/docs/reference/budget/rest.
"""

import uuid
from collections.abc import Iterator

from google_provider.kind import Facts, Inputs, Kind, Reference, Refusal, between, matching
from google_provider.kinds.common import CHANNEL, OWN, PATH, PROVIDER, SERVICE, TOPIC

service = matching(r"[a-z0-9-]+\.googleapis\.com", "a service such as compute.googleapis.com")


def agent(facts: Facts) -> str:
    """The address of a service's agent (https://cloud.google.com/iam/docs/service-agents)."""
    short = str(facts.state["service"]).removesuffix(".googleapis.com")
    return facts.fill(f"service-{{number}}@gcp-sa-{short}.iam.gserviceaccount.com")


def whole_budget(inputs: Inputs) -> Iterator[Refusal]:
    """https://cloud.google.com/billing/docs/reference/budget/rest/v1/billingAccounts.budgets."""
    amount = inputs.get("amount") or {}
    if (amount.get("specifiedAmount") is not None) == (amount.get("lastPeriodAmount") is not None):
        yield "amount", "exactly one of specifiedAmount and lastPeriodAmount is needed"
    told = inputs.get("allUpdatesRule")
    if told is not None and not told.get("pubsubTopic") and not told.get("monitoringNotificationChannels"):
        yield "allUpdatesRule", "one of pubsubTopic and monitoringNotificationChannels is needed"
    if told is not None and len(told.get("monitoringNotificationChannels") or ()) > 5:
        yield "allUpdatesRule.monitoringNotificationChannels", "there are more than 5"
    alone = told and told.get("disableDefaultIamRecipients")
    if alone and not told.get("monitoringNotificationChannels"):
        yield "allUpdatesRule.disableDefaultIamRecipients", "needs monitoringNotificationChannels"


KINDS = (
    Kind(
        SERVICE,
        id="{project}/{service}",
        own=OWN | {
            "service": PATH,
            "checkIfServiceHasUsageOnDestroy": PROVIDER,
            "disableDependentServices": PROVIDER,
            "disableOnDestroy": PROVIDER,
        },
        rules={"service": service},
        replaces=frozenset({"project", "service"}),
        defaults={"disableOnDestroy": False},
        named="",
        remains=lambda state: "" if state.get("disableOnDestroy") else "it stays switched on",
        restorable=True,
        idempotent=True,
    ),
    Kind(
        "gcp:projects/serviceIdentity:ServiceIdentity",
        id="projects/{project}/services/{service}",
        own=OWN | {"service": PATH},
        rules={"service": service},
        replaces=frozenset({"project", "service"}),
        computed={"email": agent, "member": "serviceAccount:{email}"},
        named="",
        idempotent=True,
        brings="{email}",
    ),
    Kind(
        "gcp:projects/iAMAuditConfig:IAMAuditConfig",
        "cloudresourcemanager.v3/AuditConfig",
        "{project}/audit_config/{service}",
        own=OWN,
        rules={"service": matching(r"allServices|[a-z0-9-]+\.googleapis\.com", "a service, or allServices")},
        replaces=frozenset({"project", "service"}),
        computed={"etag": "BwY{unique:x}="},
        named="",
        idempotent=True,
    ),
    Kind(
        "gcp:billing/budget:Budget",
        "billingbudgets.v1/GoogleCloudBillingBudgetsV1Budget",
        "billingAccounts/{billingAccount}/budgets/{name}",
        renames={"allUpdatesRule": "notificationsRule"},
        own=OWN | {"billingAccount": PATH, "amount.lastPeriodAmount": "a switch; the API has an empty object"},
        rules={
            "billingAccount": matching(r"[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}", "a billing account's id"),
            "displayName": matching(r"(?s).{0,60}", "up to 60 characters"),
            "budgetFilter.projects": matching(r"projects/\S+", "projects/NUMBER"),
            "amount.specifiedAmount.currencyCode": matching(r"[A-Z]{3}", "a currency's three letters"),
            "thresholdRules.thresholdPercent": between(0, 1000),
            "allUpdatesRule.schemaVersion": matching(r"1\.0", "1.0"),
        },
        whole=whole_budget,
        replaces=frozenset({"billingAccount"}),
        computed={"name": lambda facts: str(uuid.UUID(int=facts.unique, version=4)), "ownershipScope": "ALL_USERS",
                  "budgetFilter": lambda facts: {"calendarPeriod": "MONTH"}},
        named="",
        references={
            "allUpdatesRule.monitoringNotificationChannels": Reference((CHANNEL,), holds=True),
            "allUpdatesRule.pubsubTopic": Reference((TOPIC,)),
        },
    ),
)  # fmt: skip
