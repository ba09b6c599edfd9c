"""Pulumi's provider protocol, spoken to the provider of Google Cloud for tests without an engine."""

import grpc
import pytest
from google_provider import provider
from google_provider.wire import UNKNOWN, changes, read, write
from google_provider.world import World
from pulumi.runtime.proto import provider_pb2 as messages
from pulumi.runtime.proto import provider_pb2_grpc

NETWORK = "gcp:compute/network:Network"
ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
SEED = bytes.fromhex("0123456789abcdef")


@pytest.fixture
def world(tmp_path):
    return World.create(tmp_path / "world.json")


@pytest.fixture
def stub(world):
    server, port = provider.serve("gcp", world)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        found = provider_pb2_grpc.ResourceProviderStub(channel)
        settings = {"project": "slipway-test", "region": "us-central1", "defaultLabels": '{"stack":"dev"}'}
        assert found.Configure(messages.ConfigureRequest(args=write(settings))).supportsPreview
        yield found
    server.stop(None)


def urn(token, name="it"):
    return f"urn:pulumi:test::project::slipway:gcp:Network${token}::{name}"


def check(stub, inputs, token=NETWORK, old=None, **more):
    request = messages.CheckRequest(
        urn=urn(token, "slipway-dev"), news=write(inputs), olds=write(old or {}), randomSeed=SEED, **more
    )
    answer = stub.Check(request)
    return read(answer.inputs), [(each.property, each.reason) for each in answer.failures]


def create(stub, inputs, token=NETWORK, preview=False):
    answer = stub.Create(messages.CreateRequest(urn=urn(token), properties=write(inputs), preview=preview))
    return answer.id, read(answer.properties)


def diff(stub, old, inputs, token=NETWORK):
    return stub.Diff(messages.DiffRequest(id="it", urn=urn(token), olds=write(old), news=write(inputs)))


# ---- names -----------------------------------------------------------------------
def test_a_name_is_made_of_the_logical_one_and_kept(stub):
    inputs, failures = check(stub, {})
    assert (inputs, failures) == ({"name": "slipway-dev-0123456", "__defaults": ["name"]}, [])
    kept, _ = check(stub, {}, old={"name": "slipway-dev-aaaaaaa", "__defaults": ["name"]})
    assert kept["name"] == "slipway-dev-aaaaaaa"
    given, _ = check(stub, {"name": "mine"}, old=kept)
    assert given == {"name": "mine"}


def test_names_as_the_configuration_wants_them(stub):
    options = messages.CheckRequest.AutonamingOptions
    proposed, _ = check(stub, {}, autonaming=options(proposed_name="proposed", mode=options.Mode.PROPOSE))
    assert proposed["name"] == "proposed"
    assert check(stub, {}, autonaming=options(mode=options.Mode.DISABLE))[0] == {}


def test_a_made_name_must_fit(stub):
    properties = {"title": "t", "permissions": ["a.b.c"]}
    assert check(stub, properties, ROLE)[1] == [
        ("roleId", "'slipway-dev-0123456' is not 3 to 64 letters, digits, _ and .")
    ]


# ---- previews --------------------------------------------------------------------
def test_what_the_service_decides_is_unknown_in_a_preview(stub, world):
    id_, planned = create(stub, {"name": "net", "autoCreateSubnetworks": False}, preview=True)
    assert (id_, world.tokens) == ("", set())
    known = {name: value for name, value in planned.items() if value is not UNKNOWN}
    assert known == {
        "name": "net",
        "autoCreateSubnetworks": False,
        "deleteDefaultRoutesOnCreate": False,
        "networkFirewallPolicyEnforcementOrder": "AFTER_CLASSIC_FIREWALL",
        "deletionPolicy": "DELETE",
        "project": "slipway-test",
    }
    assert {"selfLink", "networkId", "routingMode", "mtu"} <= set(planned)
    _, made = create(stub, {"name": "net"})
    assert set(made) >= set(planned)


def test_labels_of_the_provider_are_everywhere(stub):
    _, planned = create(stub, {"labels": {"run": "a"}, "keyRing": UNKNOWN}, "gcp:kms/cryptoKey:CryptoKey", preview=True)
    assert planned["effectiveLabels"] == {"stack": "dev", "run": "a"}
    assert planned["labels"] == {"run": "a"}


# ---- differences -----------------------------------------------------------------
def test_what_changes_in_place_and_what_does_not(stub):
    inputs = {"name": "net", "__defaults": ["name"], "description": "a", "routingMode": "REGIONAL"}
    _, made = create(stub, inputs)
    assert diff(stub, made, inputs).changes == messages.DiffResponse.DIFF_NONE
    place = diff(stub, made, {**inputs, "routingMode": "GLOBAL"})
    assert (list(place.diffs), list(place.replaces), place.deleteBeforeReplace) == (["routingMode"], [], False)
    anew = diff(stub, made, {**inputs, "description": "b"})
    assert (list(anew.replaces), anew.deleteBeforeReplace) == (["description"], False)
    assert anew.detailedDiff["description"].kind == messages.PropertyDiff.UPDATE_REPLACE
    fixed = {name: value for name, value in inputs.items() if name != "__defaults"}
    assert diff(stub, made, {**fixed, "description": "b"}).deleteBeforeReplace


def test_what_was_set_and_is_no_more(stub):
    inputs = {"name": "net", "routingMode": "GLOBAL", "networkProfile": "p", "enableUlaInternalIpv6": True}
    _, made = create(stub, inputs)
    left = diff(stub, made, {"name": "net"})
    assert list(left.diffs) == ["enableUlaInternalIpv6", "networkProfile"]  # Google keeps the routing mode


def test_a_link_is_its_own_name(stub):
    _, network = create(stub, {"name": "net"})
    subnetwork = "gcp:compute/subnetwork:Subnetwork"
    inputs = {"name": "sub", "network": network["selfLink"], "ipCidrRange": "10.0.0.0/20"}
    _, made = create(stub, inputs, subnetwork)
    same = {**inputs, "network": "projects/slipway-test/global/networks/net"}
    assert diff(stub, made, same, subnetwork).changes == messages.DiffResponse.DIFF_NONE


def test_paths_of_changes():
    old = {"a": [1, {"b": 2, "c-d": 3}], "e": None}
    new = {"a": [1, {"b": 4, "c-d": 5}], "e": {"f": 1}}
    assert changes(old, new) == ["a[1].b", 'a[1]["c-d"]', "e"]
    assert changes({"a": [1]}, {"a": [1, 2]}) == ["a"]


# ---- looking again ---------------------------------------------------------------
def test_drift_is_drift_of_the_inputs_too(stub, world):
    inputs = {"name": "net", "routingMode": "REGIONAL", "deleteDefaultRoutesOnCreate": True}
    id_, made = create(stub, inputs)
    world.change(NETWORK, id_, routingMode="GLOBAL")
    look = messages.ReadRequest(id=id_, urn=urn(NETWORK), properties=write(made), inputs=write(inputs))
    seen = stub.Read(look)
    assert read(seen.inputs) == {**inputs, "routingMode": "GLOBAL"}
    assert read(seen.properties) == {**made, "routingMode": "GLOBAL"}
    assert list(diff(stub, read(seen.properties), inputs).diffs) == ["routingMode"]
    world.delete(NETWORK, id_)
    assert stub.Read(look).id == ""


def test_what_was_made_by_others_can_be_taken_over(stub):
    id_, _ = create(stub, {"name": "net", "description": "theirs"})
    found = stub.Read(messages.ReadRequest(id=id_, urn=urn(NETWORK)))
    assert read(found.inputs)["description"] == "theirs"
    assert "selfLink" not in read(found.inputs)


# ---- refusals --------------------------------------------------------------------
@pytest.mark.parametrize(
    ("token", "told"),
    [("gcp:compute/metwork:Network", "the SDK has no resource"), ("gcp:redis/instance:Instance", "does not know")],
)
def test_kinds_that_are_not_known(stub, token, told):
    with pytest.raises(grpc.RpcError, match=told):
        check(stub, {}, token)


def test_what_the_cloud_refuses_is_an_error_of_the_call(stub):
    create(stub, {"name": "net"})
    with pytest.raises(grpc.RpcError, match=r"409: Network .* already exists"):
        create(stub, {"name": "net"})


def test_a_provider_takes_what_it_knows(stub):
    answer = stub.CheckConfig(messages.CheckRequest(news=write({"project": "p", "projekt": "p"})))
    assert [each.property for each in answer.failures] == ["projekt"]
    with pytest.raises(grpc.RpcError, match="there is no project other"):
        stub.Configure(messages.ConfigureRequest(args=write({"project": "other"})))
    asked = messages.InvokeRequest(tok="gcp:compute/getZones:getZones", args=write({"region": "us-east1"}))
    assert read(getattr(stub.Invoke(asked), "return"))["names"] == [f"us-east1-{letter}" for letter in "bcd"]
    asked = messages.InvokeRequest(tok="gcp:compute/getZones:getZones", args=write({"zone": "us-east1"}))
    assert [each.property for each in stub.Invoke(asked).failures] == ["zone"]
