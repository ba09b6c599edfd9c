"""What the clouds' metrics cost, at list prices without free tiers.

Prices: https://aws.amazon.com/cloudwatch/pricing/ (us-east-1) and https://cloud.google.com/stackdriver/pricing, as of
2026.
"""

from collections.abc import Collection

from trainer.metrics import catalogue

MONTH_SECONDS = 730 * 3600
METRIC_USD, REQUEST_USD = 0.30, 0.01 / 1000
"""CloudWatch: a custom metric for a month, by the hour; a `PutMetricData`."""
MEBIBYTE_USD, POINT_BYTES = 0.2580, 8
"""Cloud Monitoring: ingested data; calls that write cost nothing."""
SERIES = {"phase": 3, "sink": 1, "gpu": 1}
"""How many values a label usually has: each is a series of its own. Of sinks those count that lost something."""


def series(names: Collection[str]) -> int:
    """How many time series metrics make, each label's usual values counted."""
    count = 0
    for name in names:
        each = 1
        for label in catalogue.BY_NAME[name].labels:
            each *= SERIES[label]
        count += each
    return count


def cloudwatch_usd_per_month(names: Collection[str], interval_seconds: float) -> float:
    """Of a run that trains for a whole month; for a shorter one, that part of it."""
    return series(names) * METRIC_USD + MONTH_SECONDS / interval_seconds * REQUEST_USD


def cloud_monitoring_usd_per_month(names: Collection[str], interval_seconds: float) -> float:
    """Of a run that trains for a whole month; for a shorter one, that part of it."""
    points = series(names) * MONTH_SECONDS / interval_seconds
    return points * POINT_BYTES / 2**20 * MEBIBYTE_USD


def table() -> str:
    """Both, in Markdown, for the words that choose metrics."""
    rows = ["| `metrics` | Time series | CloudWatch | Cloud Monitoring |\n|---|---|---|---|\n"]
    for word in catalogue.CHOICES:
        names = catalogue.chosen([word])
        amazon, google = cloudwatch_usd_per_month(names, 60), cloud_monitoring_usd_per_month(names, 60)
        rows.append(f"| `[{word}]` | {series(names)} | {amazon:.2f} USD | {google:.2f} USD |\n")
    return "".join(rows)
