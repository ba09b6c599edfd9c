"""A host whose firewall was loaded before another one was in the inventory: `check` lets the site grow."""

import os

import pytest
from lab import ANSIBLE, site

UP = """
- hosts: nas
  become: true
  roles: [firewall]
"""
OTHER = "table inet other { chain input { type filter hook input priority filter; tcp dport 2049 drop; }; }"
"""Rules of somebody else, who has no use for NFS."""

pytestmark = [
    pytest.mark.deep,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts of their own need root"),
]


def test_a_site_that_is_up_takes_a_new_host(tmp_path):
    (tmp_path / "up.yml").write_text(UP)
    with site("growing", {"nas-1": "trixie", "gpu-1": "bookworm"}) as made:
        nas = made.hosts["nas-1"]
        made.write_inventory({"nas": ["nas-1"]})
        made.play(tmp_path / "up.yml")
        made.write_inventory({"nas": ["nas-1"], "gpu": ["gpu-1"]}, trainer_bundle="none")
        port = "port 2049, NFS in TLS by the kernel"

        def checked():
            said = made.play(ANSIBLE / "check.yml", check=False)
            assert "Say all that is wrong" in said.output  # of other things: this site has no passphrases
            return " ".join(said.output.split())

        assert "Route: " not in checked()
        nas.run("nft", "delete", "table", "inet", "slipway")
        nas.run("nft", OTHER)
        assert f"Route: nas-1 ({nas.address}) {port}, is not reached (no answer within 4 s)" in checked()
