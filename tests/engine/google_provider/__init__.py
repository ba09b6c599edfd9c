"""A provider of Google Cloud for tests, behind the real Pulumi engine.

It is an executable `pulumi-resource-gcp` (`plugins/`) that speaks Pulumi's provider protocol, refuses what Google would
refuse as far as that stands in the types of Pulumi's SDK (`sdk`) and in Google's descriptions of its APIs
(`descriptions`, joined by `matching`), and keeps what was made in a file (`world`) and buckets in a server (`buckets`).

What it knows of each kind of resource beyond those two is in `kinds/`: what cannot change in place, defaults, shapes of
outputs, what refers to what. A kind that is not there is refused. A new one needs its schema's address; then
`python -m google_provider.report` says which properties have no field in the API, and each of these needs a new name,
or a reason why it has none. `fallback/` has the same for AWS without any such tables: names and types alone.

It does not show quotas, capacity, who may do what, that things take time, or any rule that Google has written into no
description.
"""
