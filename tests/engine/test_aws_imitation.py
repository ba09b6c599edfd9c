"""What moto's imitation of AWS was taught answers as AWS does."""

import pytest
from botocore.exceptions import ClientError


def test_a_role_that_an_instance_profile_no_longer_has_is_not_taken_from_it_again(aws):
    iam = aws.client("iam")
    iam.create_role(RoleName="again", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="again")
    iam.add_role_to_instance_profile(InstanceProfileName="again", RoleName="again")
    iam.remove_role_from_instance_profile(InstanceProfileName="again", RoleName="again")
    assert iam.get_instance_profile(InstanceProfileName="again")["InstanceProfile"]["Roles"] == []
    with pytest.raises(ClientError) as refused:
        iam.remove_role_from_instance_profile(InstanceProfileName="again", RoleName="again")
    assert refused.value.response["Error"]["Code"] == "NoSuchEntity"
    iam.delete_instance_profile(InstanceProfileName="again")
    iam.delete_role(RoleName="again")
