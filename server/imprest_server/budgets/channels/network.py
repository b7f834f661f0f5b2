"""Which addresses alerts may be sent to, checked on the address that is really connected to.

A channel's owner names a host; who looks it up, when, and what it answers must not open a way into the operator's own
network. So nothing is decided by name: a socket is refused at the moment it would be made, redirects are not followed,
and proxies from the environment are not used.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Prefixes under which an IPv6 address leads to the IPv4 address in its last 32 bits.
_TRANSLATED = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
#: Translated by the local network, to whatever it likes.
_LOCAL_TRANSLATION = ipaddress.IPv6Network("64:ff9b:1::/48")
#: Not everywhere known as internal: protocol assignments and the metadata services of clouds, relays, segment routing.
_INTERNAL: tuple[Network, ...] = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("168.63.129.16/32"),
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv6Network("5f00::/16"),
    ipaddress.IPv6Network("3fff::/20"),
)


class AddressRefused(OSError):
    """Alerts are not sent to an address of this machine or a private network."""


def is_public(address: Address) -> bool:
    """Whether anybody on the internet may have this address: not private, loopback, link-local, shared, multicast …

    An IPv6 address that carries an IPv4 address (mapped, 6to4, Teredo, NAT64) is as public as what it carries.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = _carried(address)
        if inner is not None:
            return is_public(inner)
        if address in _LOCAL_TRANSLATION or address.is_site_local:
            return False
    if any(address in network for network in _INTERNAL if network.version == address.version):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _TRANSLATED):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks in CIDR notation, separated by commas. Raises ValueError."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


class Gate:
    """Lets through to public addresses, with TLS, and to the networks that the operator allows."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    @property
    def may_be_plain(self) -> bool:
        """Whether there is anywhere that an alert may be sent to without TLS."""
        return bool(self._allowed)

    def check(self, host: str, *, tls: bool) -> None:
        """Raises AddressRefused unless an alert may be sent to this numeric address."""
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        effective = mapped or address
        if any(effective in network for network in self._allowed if network.version == effective.version):
            return
        if not is_public(address):
            raise AddressRefused("the address is not public")
        if not tls:
            raise AddressRefused("http:// is for allowed networks only")
