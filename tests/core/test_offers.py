"""The shared vocabulary keeps the contract of offers."""

import inspect

from mcloud import (
    JoinToken,
    NetworkAccess,
    NetworkUplink,
    Offer,
    StorageAccess,
    StoragePool,
    VirtualNetworks,
    offers,
)
from mcloud.testing import OfferContract

EXAMPLES = (
    JoinToken(value="a token"),
    StoragePool(name="remote", driver="ceph", source="rbd", options={"ceph.user.name": "admin"}),
    NetworkUplink(
        parents={"n1": "eth1"},
        ipv4_gateway="192.0.2.1/24",
        ipv4_range="192.0.2.100-192.0.2.200",
        ipv6_gateway="2001:db8::1/64",
        dns_servers=("192.0.2.53",),
    ),
    VirtualNetworks(
        driver="ovn", connection="ssl:10.0.0.1:6641", ca_file="/ca", certificate_file="/cert", key_file="/key"
    ),
    StorageAccess(driver="ceph"),
    NetworkAccess(driver="ovn"),
)


class TestVocabulary(OfferContract):
    offers = EXAMPLES


def test_each_kind_of_the_vocabulary_has_an_example():
    kinds = {
        kind
        for _name, kind in inspect.getmembers(offers, inspect.isclass)
        if issubclass(kind, Offer) and kind is not Offer
    }
    assert {type(example) for example in EXAMPLES} == kinds


def test_no_kind_is_named_after_a_product():
    names = " ".join(type(example).__name__ for example in EXAMPLES).lower()
    assert not any(product in names for product in ("ceph", "ovn", "lxd", "linstor", "incus"))
