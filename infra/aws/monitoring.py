"""Who hears of what happens to the site's runs: alarms of CloudWatch, and a topic that they tell."""

import dataclasses
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from infra.aws import alarms
from infra.aws.account import Account
from infra.aws.policy_document import ANYBODY, Statement, allow, deny, document
from infra.deployment import Deployment
from infra.names import shortened
from infra.options import child, value

LONGEST_ID = 60
"""How much of a run's id names of alarms have."""


@dataclasses.dataclass(frozen=True)
class MonitoringArgs:
    """What `Monitoring` needs.

    Attributes:
        deployment: the site.
        account: where it is.
        groups: Auto Scaling groups' names by run id.
        log_group_name: where machines log.
        key_arn: of the key that encrypts what is told.
    """

    deployment: Deployment
    account: Account
    groups: Mapping[str, pulumi.Input[str]]
    log_group_name: pulumi.Input[str]
    key_arn: pulumi.Input[str]


class Monitoring(pulumi.ComponentResource):
    """An alarm for each alert and run, and a topic, from which the configured address gets e-mail.

    Whose address it is must confirm it once, by the link in the first e-mail. The alarm of a machine that is paid for
    and sends nothing makes its group empty as well: so no mistake of a machine goes on being paid for.

    Attributes:
        topic_arn: the topic's ARN; ready when its policy is.
        alarm_arns: the alarms' ARNs.
        billed_metrics: how many metrics they look at, which is what they are billed by.
    """

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:aws:Monitoring", name, None, opts)
        self._args = args
        deployment = args.deployment
        topic = aws.sns.Topic(
            deployment.named("alarms"),
            display_name=f"Slipway {deployment.stack}",
            kms_master_key_id=args.key_arn,
            opts=child(self),
        )
        policy = aws.sns.TopicPolicy(
            deployment.named("alarms"),
            arn=topic.arn,
            policy=document(*statements(deployment, args.account, topic.arn)),
            opts=child(self),
        )
        self.topic_arn: pulumi.Output[str] = policy.arn
        if deployment.settings.email is not None:
            aws.sns.TopicSubscription(
                deployment.named("alarms-email"),
                topic=self.topic_arn,
                protocol="email",
                endpoint=value(deployment, "email"),
                opts=child(self),
            )
        for count in alarms.log_counts():
            self._count(count)
        planned = list(alarms.alarms(deployment, args.groups))
        self.alarm_arns: list[pulumi.Output[str]] = [self._alarm(each) for each in planned]
        self.billed_metrics = sum(each.metrics for each in planned)
        self.register_outputs({"topic_arn": self.topic_arn, "alarm_arns": self.alarm_arns})

    def _count(self, count: alarms.LogCount) -> None:
        aws.cloudwatch.LogMetricFilter(
            self._args.deployment.named(count.metric),
            log_group_name=self._args.log_group_name,
            pattern=count.pattern,
            metric_transformation={
                "namespace": self._args.deployment.metric_namespace,
                "name": count.metric,
                "value": "1",
                "unit": "Count",
                **({"dimensions": dict(count.dimensions)} if count.dimensions else {}),
            },
            opts=child(self),
        )

    def _alarm(self, alarm: alarms.Alarm) -> pulumi.Output[str]:
        deployment = self._args.deployment
        what = f"{shortened(alarm.run.run_id, LONGEST_ID) if alarm.run else 'first-boot'}-{alarm.alert.name}"
        actions: list[pulumi.Input[str]] = [self.topic_arn]
        if alarm.stops and alarm.run:
            actions.append(self._stop(what, self._args.groups[alarm.run.run_id]))
        return aws.cloudwatch.MetricAlarm(
            deployment.named(what),
            alarm_actions=actions,
            tags={"severity": alarm.alert.severity},
            **alarm.arguments,
            opts=child(self),
        ).arn

    def _stop(self, what: str, group: pulumi.Input[str]) -> pulumi.Output[str]:
        """What an alarm does to make a group empty; its ARN."""
        return aws.autoscaling.Policy(
            self._args.deployment.named(what),
            autoscaling_group_name=group,
            policy_type="SimpleScaling",
            adjustment_type="ExactCapacity",
            scaling_adjustment=0,
            opts=child(self),
        ).arn


def statements(deployment: Deployment, account: Account, topic_arn: pulumi.Input[str]) -> tuple[Statement, ...]:
    """The topic's policy: the site's alarms and the account's budgets may tell something, and nobody without TLS."""
    from_this_account = {"StringEquals": {"aws:SourceAccount": account.account_id}}
    ours = account.arn("cloudwatch", f"alarm:{deployment.name}-*")
    return (
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
        allow(
            "Alarms",
            ["sns:Publish"],
            [topic_arn],
            principal={"Service": "cloudwatch.amazonaws.com"},
            conditions={**from_this_account, "ArnLike": {"aws:SourceArn": ours}},
        ),
        # https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-sns-policy.html
        allow(
            "Budgets",
            ["sns:Publish"],
            [topic_arn],
            principal={"Service": "budgets.amazonaws.com"},
            conditions={
                **from_this_account,
                "ArnLike": {"aws:SourceArn": f"arn:{account.partition}:budgets::{account.account_id}:*"},
            },
        ),
        deny(
            "Encrypted",
            ["sns:Publish"],
            [topic_arn],
            principal=ANYBODY,
            conditions={"Bool": {"aws:SecureTransport": "false"}},
        ),
    )
