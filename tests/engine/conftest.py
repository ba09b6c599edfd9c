"""What the tests with the real engine share."""

import pytest
from aws_account import serving


@pytest.fixture(scope="session")
def aws(tmp_path_factory):
    """An imitation of AWS, and how programs and the engine find it."""
    with serving(tmp_path_factory.mktemp("aws")) as account:
        yield account
