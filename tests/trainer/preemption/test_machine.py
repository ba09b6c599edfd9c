"""Which cloud the firmware names. The texts are those that the clouds' documents show."""

import pytest

from trainer.preemption import machine


@pytest.mark.parametrize(
    ("tables", "cloud"),
    [
        ({"sys_vendor": "Amazon EC2\n", "product_name": "p4d.24xlarge\n", "bios_version": "1.0\n"}, "ec2"),
        ({"sys_vendor": "Xen\n", "product_name": "HVM domU\n", "bios_version": "4.11.amazon\n"}, "ec2"),
        ({"sys_vendor": "Google\n", "product_name": "Google Compute Engine\n"}, "compute-engine"),
        ({"sys_vendor": "Google\n", "product_name": "Octopus\n", "bios_version": "Google_Bobba\n"}, None),
        ({"sys_vendor": "LENOVO\n", "product_name": "20XW\n", "bios_version": "N32ET75W (1.51 )\n"}, None),
        ({"sys_vendor": "QEMU\n"}, None),
        ({}, None),
    ],
)
def test_the_firmware_says_whose_a_machine_is(tmp_path, tables, cloud):
    for name, text in tables.items():
        (tmp_path / name).write_text(text)
    assert machine.cloud(tmp_path) == cloud


def test_a_machine_that_shows_no_firmware_is_nobodys(tmp_path):
    assert machine.cloud(tmp_path / "absent") is None
