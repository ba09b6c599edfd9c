"""A Pulumi provider plugin for `aws` with the real Terraform AWS provider behind it, in front of an imitation of AWS.

The plugin translates Pulumi's provider protocol to Terraform's plugin protocol. So a program written for `pulumi_aws`
is planned by the real engine, validated and planned by the real AWS provider, and applied to moto.

What that does not show: the provider's version is 5.100.0, and pulumi-aws 7 tracks 6.x, so arguments that 6.x added are
refused here by name, and what 6.x does otherwise goes unseen. Moto enforces no quotas and few permissions; capacity,
spot prices, late deletions and eventual consistency are not there. And this plugin is no pulumi-aws: automatic names,
names of properties and the choice of what is replaced are modelled on it.

    wire.py           values as Pulumi's protocol has them
    values.py         values as Terraform's has them
    names.py          Pulumi's names and Terraform's
    shapes.py         the shape of a resource, from both schemas
    conversion.py     values of one shape in the other's; what Terraform's core would propose
    configuration.py  what the Terraform provider is told of its account
    executable.py     where it is found
    terraform.py      its process, and its calls
    provider.py       Pulumi's calls, answered by it
"""
