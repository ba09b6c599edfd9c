"""Who hears of what happens to the site's runs: alert policies of Cloud Monitoring, and a channel that they tell."""

import dataclasses
import urllib.parse
from collections.abc import Mapping

import pulumi
import pulumi_gcp as gcp

from infra.deployment import Deployment
from infra.gcp import alert_policies
from infra.gcp.alert_policies import Policy
from infra.gcp.logs import Logs
from infra.gcp.services import Services
from infra.names import shortened
from infra.options import child, value

LONGEST_ID = 60
"""How much of a run's id names of policies have."""


@dataclasses.dataclass(frozen=True)
class MonitoringArgs:
    """What `Monitoring` needs.

    Attributes:
        deployment: the site.
        services: switched on before.
        logs: where machines say what goes wrong.
        groups: managed instance groups' names by run id.
    """

    deployment: Deployment
    services: Services
    logs: Logs
    groups: Mapping[str, pulumi.Input[str]]


class Monitoring(pulumi.ComponentResource):
    """A policy for each alert and run, and a channel by which the configured address gets e-mail.

    Without an address incidents are in the console alone.

    **What ends a mistake's cost.** A policy tells, and does nothing: Cloud Monitoring cannot make a group smaller, and
    a program of its own that could is more than a site should need. A machine leaves its group by itself when its run
    has ended or its first boot has failed, and the run file's `budget` bounds a run in time and money. What is left is
    a machine that hangs: `NodeSilent` says so after an hour, and a person runs `slipway cloud pause`. A limit on an
    instance's life (`maxRunDuration`) is no help, as its group would make another one. With `whenDone: stay`, a machine
    that has done its work is told of as silent, too: it is paid for.

    Attributes:
        channel: the name of the e-mail's channel; None without an address.
        policies: the policies' names.
    """

    channel: pulumi.Output[str] | None
    policies: list[pulumi.Output[str]]

    def __init__(self, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        deployment = args.deployment
        super().__init__("slipway:gcp:Monitoring", deployment.named("monitoring"), None, opts)
        self._args = args
        self.channel = None
        if deployment.settings.email is not None:
            self.channel = gcp.monitoring.NotificationChannel(
                deployment.named("email"),
                project=deployment.settings.project,
                display_name=f"Who hears of {deployment.name}",
                type="email",
                labels={"email_address": value(deployment, "email")},
                user_labels=deployment.tags,
                opts=child(self, depends_on=args.services.enabled),
            ).name
        self.policies = [self._policy(each) for each in alert_policies.policies(deployment, args.groups)]
        self.register_outputs({"channel": self.channel, "policies": self.policies})

    def _policy(self, policy: Policy) -> pulumi.Output[str]:
        deployment, alert, run = self._args.deployment, policy.alert, policy.run
        whose = run.run_id if run else "first boot"
        what = f"{shortened(run.run_id, LONGEST_ID) if run else 'first-boot'}-{alert.name}"
        strategy = gcp.monitoring.AlertPolicyAlertStrategyArgsDict(auto_close=f"{policy.close_seconds}s")
        if policy.rate_seconds:
            strategy["notification_rate_limit"] = {"period": f"{policy.rate_seconds}s"}
        name: pulumi.Output[str] = gcp.monitoring.AlertPolicy(
            deployment.named(what),
            project=deployment.settings.project,
            display_name=f"{deployment.name}, {whose}: {alert.name}",
            combiner="OR",
            conditions=[policy.condition],
            severity=policy.severity,
            documentation={
                "content": policy.text,
                "mime_type": "text/markdown",
                "subject": f"{alert.name}: {whose}",
                "links": [{"display_name": "Log", "url": log_url(str(deployment.settings.project), policy.log_filter)}],
            },
            alert_strategy=strategy,
            notification_channels=[self.channel] if self.channel is not None else [],
            user_labels=deployment.tags,
            # Lines are matched only where a sink brings them.
            opts=child(self, depends_on=[*self._args.services.enabled, self._args.logs]),
        ).name
        return name


def log_url(project: str, log_filter: str) -> str:
    """Where the console shows lines that fit a filter."""
    query = urllib.parse.quote(log_filter, safe="")
    return f"https://console.cloud.google.com/logs/query;query={query}?project={project}"
