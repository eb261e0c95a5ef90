"""Completing an order with what is known only when the machines have come: settings that are asked for."""

from collections.abc import Callable

from mcloud.inputs import Inputs
from mcloud.order import Order

Gather = Callable[[Order], Inputs]
"""Plans and checks an order with the machines that take part; SettingsError with all that is wrong."""

Complete = Callable[[Order, Gather], Order]
"""Returns the order with all that was still to be said."""


def as_ordered(order: Order, _gather: Gather) -> Order:
    """Return an order that says all, as a file does."""
    return order
