"""OfferContract: what every kind of offer must keep to, seen from its maker and from its consumers."""

from collections.abc import Sequence

import pytest
from pydantic import SecretBytes, SecretStr, ValidationError

from mcloud.context import read_offers, write_offers
from mcloud.offers import Offer


class OfferContract:
    """Subclass it with examples of the kinds you made up, one of each at least."""

    offers: Sequence[Offer]

    def test_its_docstring_says_what_a_consumer_may_rely_on(self) -> None:
        """A consumer knows the kind by its docstring only."""
        for offer in self.offers:
            kind = type(offer)
            assert kind.__doc__, f"{kind.__name__} has no docstring"
            assert kind.__doc__ != Offer.__doc__, f"{kind.__name__} has no docstring of its own"

    def test_it_cannot_be_changed_by_a_consumer(self) -> None:
        """All consumers see the same fact."""
        for offer in self.offers:
            for name in type(offer).model_fields:
                with pytest.raises(ValidationError):
                    setattr(offer, name, None)

    def test_it_refuses_what_it_does_not_know(self) -> None:
        """A misspelt field is an error where it is made."""
        for offer in self.offers:
            given = {name: getattr(offer, name) for name in type(offer).model_fields}
            with pytest.raises(ValidationError):
                type(offer).model_validate({**given, "surely-unknown": 1})

    def test_it_survives_the_journal_or_is_never_written(self) -> None:
        """After a restart consumers see the same as before."""
        for offer in self.offers:
            kind = type(offer)
            if not kind.volatile:
                assert read_offers(write_offers([offer]), [kind]) == (offer,), (
                    f"{kind.__name__} comes back changed"
                )

    def test_no_secret_is_in_what_is_written_down(self) -> None:
        """Only volatile kinds hold secrets."""
        for offer in self.offers:
            secret = [
                name
                for name in type(offer).model_fields
                if isinstance(getattr(offer, name), SecretStr | SecretBytes)
            ]
            assert not secret or type(offer).volatile, f"{type(offer).__name__}.{secret[0]}: mark it volatile"
