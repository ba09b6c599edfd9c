"""The table of machine types against what EC2 said of itself, against other readings of the price lists, and in itself.

Nothing here asks a provider: that today's prices are these, no test shows.
"""

import csv
import dataclasses
import gzip
import itertools
import json
from decimal import Decimal
from pathlib import Path

import moto.ec2
import pytest

from infra import machines
from infra.machines import MACHINES, find, offered, price_per_hour, reference, regions, zones
from trainer.errors import BadInput, ExitCode

ROOT = Path(__file__).parents[2]
RECORDED = Path(moto.ec2.__file__).parent / "resources"
"""Answers of EC2 that moto carries: DescribeInstanceTypes, DescribeInstanceTypeOfferings."""

# Generated for us-east-1 on 2026-01-19 by aws/karpenter-provider-aws, zz_generated.pricing_aws.go at commit 031e72b,
# from Amazon's price list service.
KARPENTER = {
    "g4dn.xlarge": "0.526000",
    "g4dn.2xlarge": "0.752000",
    "g4dn.4xlarge": "1.204000",
    "g4dn.8xlarge": "2.176000",
    "g4dn.12xlarge": "3.912000",
    "g5.xlarge": "1.006000",
    "g5.2xlarge": "1.212000",
    "g5.4xlarge": "1.624000",
    "g5.12xlarge": "5.672000",
    "g5.48xlarge": "16.288000",
    "g6.xlarge": "0.804800",
    "g6.2xlarge": "0.977600",
    "g6.4xlarge": "1.323200",
    "g6.12xlarge": "4.601600",
    "g6.48xlarge": "13.350400",
    "g6e.xlarge": "1.861000",
    "g6e.2xlarge": "2.242080",
    "g6e.4xlarge": "3.004240",
    "g6e.12xlarge": "10.492640",
    "g6e.48xlarge": "30.131180",
    "p4d.24xlarge": "21.957642",
    "p5.4xlarge": "6.880000",
    "p5.48xlarge": "55.040000",
    "t3.medium": "0.041600",
    "c7i.large": "0.089250",
    "c7i.xlarge": "0.178500",
    "c7i.2xlarge": "0.357000",
    "c7i.4xlarge": "0.714000",
    "m7i.large": "0.100800",
    "m7i.xlarge": "0.201600",
    "m7i.2xlarge": "0.403200",
    "r8i.xlarge": "0.277840",
    "r8i.2xlarge": "0.555680",
}

# Cyclenerd/google-cloud-pricing-cost-calculator, pricing.yml, made from Google's Cloud Billing Catalog: a2-highgpu-1g
# as of 2025-03-06 at commit 0166a59, the others as of 2026-09-24.
BILLING_CATALOGUE = {
    ("a2-highgpu-1g", "us-central1"): "3.673385",
    ("a2-highgpu-1g", "us-east1"): "3.673385",
    ("a2-highgpu-1g", "us-west4"): "3.934354926",
    ("a2-highgpu-1g", "europe-west4"): "3.747972",
    ("a2-highgpu-1g", "asia-northeast1"): "4.049590926",
    ("a2-highgpu-1g", "asia-northeast3"): "4.049590926",
    ("a2-highgpu-1g", "asia-southeast1"): "4.013757926",
    ("e2-standard-2", "us-central1"): "0.06701142",
    ("n2-standard-4", "us-central1"): "0.194236",
    ("g2-standard-4", "us-central1"): "0.706832255",
}

# Google's page of GPU prices, read on 2026-05-11: a T4 in us-central1 is 0.35 US dollars an hour beside its machine.
T4_IN_IOWA = Decimal("0.35")

GPU_USD_PER_HOUR = {"T4": 0.35, "L4": 0.6, "A10G": 0.8, "L40S": 1.7, "A100": 2.9, "A100-80GB": 4.4, "H100": 9.8}
"""What one is about, to find figures that lost a digit."""
VCPU_USD_PER_HOUR = 0.045


def recorded(name):
    with gzip.open(RECORDED / name, "rt", encoding="utf-8") as file:
        return json.load(file)


@pytest.fixture(scope="module")
def described():
    return recorded("instance_types.json.gz")


@pytest.mark.parametrize("cloud", machines.CLOUDS)
def test_the_file_names_each_type_and_region_once(cloud):
    with (Path(machines.__file__).parent / f"{cloud}.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert len(set(header)) == len(header)
    names = [row[0] for row in rows]
    assert len(set(names)) == len(names) == len(MACHINES[cloud])
    assert {len(row) for row in rows} == {len(header)}
    assert len(regions(cloud)) > 12


@pytest.mark.parametrize("cloud", machines.CLOUDS)
def test_every_price_is_about_what_its_parts_are(cloud):
    for region in regions(cloud):
        for machine in machines.in_region(cloud, region):
            parts = VCPU_USD_PER_HOUR * machine.vcpus + GPU_USD_PER_HOUR.get(machine.gpu, 0) * machine.gpus
            assert 0.3 < float(price_per_hour(cloud, machine.name, region)) / parts < 2.2, (machine.name, region)


def family(machine):
    return machine.name.partition(".")[0] if machine.cloud == "aws" else machine.name.partition("-")[0]


def test_amazons_families_differ_between_regions_by_one_factor():
    """So a figure read wrong in one cell shows; a family's prices are rounded, by .3 % at most."""
    home = "us-east-1"
    for _, members in itertools.groupby(MACHINES["aws"].values(), family):
        kin = list(members)
        for region in regions("aws"):
            there = [machine.name for machine in kin if offered("aws", machine.name, region)]
            factors = [float(price_per_hour("aws", n, region) / price_per_hour("aws", n, home)) for n in there]
            if factors:
                assert max(factors) / min(factors) < 1.003, (region, there, factors)
                assert 0.9 < min(factors) < 1.5, (region, there)


@pytest.mark.parametrize("cloud", machines.CLOUDS)
def test_without_gpus_a_family_is_priced_by_its_vcpus(cloud):
    cpus = [machine for machine in MACHINES[cloud].values() if not machine.gpus]
    for region in regions(cloud):
        for one, other in itertools.combinations(
            [machine for machine in cpus if offered(cloud, machine.name, region)], 2
        ):
            if family(one) == family(other):
                per_vcpu = [price_per_hour(cloud, machine.name, region) / machine.vcpus for machine in (one, other)]
                assert abs(per_vcpu[0] - per_vcpu[1]) < Decimal("1e-9"), (one.name, other.name, region)


@pytest.mark.parametrize("cloud", machines.CLOUDS)
def test_a_larger_machine_of_a_family_costs_more(cloud):
    for region in regions(cloud):
        here = machines.in_region(cloud, region)
        for small, large in itertools.permutations(here, 2):
            if family(small) == family(large) and small.vcpus < large.vcpus and small.gpus <= large.gpus:
                cheaper, dearer = (price_per_hour(cloud, machine.name, region) for machine in (small, large))
                assert cheaper < dearer, (small.name, large.name, region)


@pytest.mark.parametrize("machine", MACHINES["aws"].values(), ids=lambda machine: machine.name)
def test_amazons_types_are_as_ec2_describes_them(machine, described):
    truth = described[machine.instance_type]
    gpus = truth.get("GpuInfo", {}).get("Gpus", [])
    assert (machine.vcpus, machine.memory_gib * 1024) == (
        truth["VCpuInfo"]["DefaultVCpus"],
        truth["MemoryInfo"]["SizeInMiB"],
    )
    assert [(machine.gpu, machine.gpus)] * bool(machine.gpus) == [(gpu["Name"], gpu["Count"]) for gpu in gpus]
    assert all(gpu["Manufacturer"] == "NVIDIA" for gpu in gpus)
    assert machines.ARCHITECTURE in truth["ProcessorInfo"]["SupportedArchitectures"]
    assert machine.spot == ("spot" in truth["SupportedUsageClasses"])
    assert "on-demand" in truth["SupportedUsageClasses"]


def test_amazons_types_are_where_ec2_offers_them():
    """None is priced where it is not offered; the few that are offered without a known price are known."""
    unpriced = {("r8i.xlarge", "eu-north-1"), ("r8i.2xlarge", "eu-north-1"), ("p5.4xlarge", "eu-north-1")}
    for region in regions("aws"):
        there = {found["InstanceType"] for found in recorded(f"instance_type_offerings/region/{region}.json.gz")}
        priced = {machine.name for machine in machines.in_region("aws", region)}
        without = {name for name, where in unpriced if where == region}
        assert there & set(MACHINES["aws"]) == priced | without, region


def test_amazons_prices_are_those_that_karpenter_read():
    assert {name: price_per_hour("aws", name, "us-east-1") for name in MACHINES["aws"]} == {
        name: Decimal(usd) for name, usd in KARPENTER.items()
    }


def test_googles_prices_are_those_of_the_billing_catalogue():
    for (name, region), usd in BILLING_CATALOGUE.items():
        assert abs(price_per_hour("gcp", name, region) - Decimal(usd)) < Decimal("0.000001"), (name, region)


def test_an_attached_accelerator_is_in_the_price():
    """The two N1 sizes differ by 4 vCPUs and 15 GiB: without these the smaller one is its T4."""
    small, large = (price_per_hour("gcp", f"n1-standard-{n}+nvidia-tesla-t4", "us-central1") for n in (4, 8))
    assert small - (large - small) == T4_IN_IOWA


def test_an_attached_accelerator_has_its_own_name():
    machine = find("gcp", "n1-standard-4+nvidia-tesla-t4")
    assert (machine.instance_type, machine.accelerator, machine.attached) == ("n1-standard-4", "nvidia-tesla-t4", True)
    machine = find("gcp", "g2-standard-4")
    assert (machine.instance_type, machine.accelerator, machine.attached) == ("g2-standard-4", "nvidia-l4", False)
    for machine in MACHINES["gcp"].values():
        assert bool(machine.accelerator) == bool(machine.gpus) == bool(machine.gpu), machine.name
        assert not machine.attached or machine.name.endswith(f"+{machine.accelerator}")
    assert not any(machine.accelerator or machine.attached for machine in MACHINES["aws"].values())


def test_googles_gpus_are_in_named_zones():
    for machine in MACHINES["gcp"].values():
        for region in regions("gcp"):
            there = zones(machine, region)
            assert bool(there) == (bool(machine.gpus) and offered("gcp", machine.name, region)), (machine.name, region)
            assert all(zone.rpartition("-")[0] == region for zone in there)
    assert zones(find("gcp", "a2-ultragpu-1g"), "us-central1") == ("us-central1-a", "us-central1-c")
    assert zones(find("aws", "g5.xlarge"), "us-east-1") == ()


@pytest.mark.parametrize(
    ("call", "field", "value", "cure"),
    [
        (lambda: find("aws", "g5.xlrge"), "machine type", "g5.xlrge", "write g5.xlarge"),
        (lambda: find("gcp", "g5.xlarge", "slipway:machines"), "slipway:machines", "g5.xlarge", "take one of these"),
        (lambda: price_per_hour("aws", "g5.xlarge", "eu-west-11"), "region", "eu-west-11", "write eu-west-1"),
        (lambda: regions("gpc"), "cloud", "gpc", "write gcp"),
        (lambda: machines.in_region("azure", "westeurope"), "cloud", "azure", "name one of them"),
    ],
)
def test_what_is_unknown_is_refused_with_the_nearest(call, field, value, cure):
    with pytest.raises(BadInput) as caught:
        call()
    assert (caught.value.field, caught.value.value, caught.value.exit_code) == (field, value, ExitCode.BAD_INPUT)
    assert str(caught.value).endswith(f"fix:     {cure}")


def test_a_type_that_a_region_lacks_is_refused_with_one_like_it_and_regions_that_have_it():
    with pytest.raises(BadInput) as caught:
        price_per_hour("aws", "g6.12xlarge", "eu-west-1")
    assert "g4dn.xlarge" in str(caught.value)
    assert "eu-west-2" in str(caught.value)
    with pytest.raises(BadInput, match="take n1-standard-4\\+nvidia-tesla-t4, or one of the regions"):
        price_per_hour("gcp", "g2-standard-4", "australia-southeast1")
    with pytest.raises(BadInput, match="go to one of the regions us-central1, us-east1"):
        price_per_hour("gcp", "g2-standard-4", "europe-north1")


def test_all_errors_of_a_choice_are_found_together(monkeypatch):
    lent = dataclasses.replace(find("aws", "c7i.large"), spot=False)
    monkeypatch.setitem(MACHINES["aws"], "c7i.large", lent)
    names = ["g5.xlarge", "g55.xlarge", "c7i.large"]
    errors = machines.check("aws", "us-west-1", names, spot=True, machines_field="slipway:machines")
    assert [(error.field, error.value) for error in errors] == [
        ("slipway:machines", "g5.xlarge"),
        ("slipway:machines", "g55.xlarge"),
        ("spot", True),
    ]
    errors = machines.check("aws", "us-wets-1", ["g55.xlarge"], spot=False, region_field="aws:region")
    assert [(error.field, error.value) for error in errors] == [
        ("aws:region", "us-wets-1"),
        ("machine type", "g55.xlarge"),
    ]
    assert machines.check("aws", "us-east-1", ["g5.xlarge", "g6.xlarge"], spot=True) == []


def test_the_reference_page_is_current():
    page = ROOT / "docs" / "reference" / "machines.md"
    assert page.read_text(encoding="utf-8") == reference.page(), (
        "run `python -m infra.machines.reference > docs/reference/machines.md`"
    )
