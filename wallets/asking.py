"""What the endpoints of wallets and contracts share: finding rows, asking a worker, answering."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response

from arbsite.base.fields import checksummed
from arbsite.base.idempotency import IdempotentView
from arbsite.base.permissions import Admin
from arbsite.base.second_factor import second_factor_require
from contracts.asked import asker, row_or_404
from contracts.models import Chain, Deployment
from wallets import listing, wishes
from wallets.models import Wallet


class ContractRef(serializers.Field[str, Any, str, Any]):
    """One of our contracts: its id, or its address."""

    def to_internal_value(self, data: Any) -> str:
        """The id in decimal digits, or the checksummed address."""
        said = str(data) if isinstance(data, int) and not isinstance(data, bool) else data
        if not isinstance(said, str):
            raise serializers.ValidationError("Must be a contract's id or address.")
        if said.isascii() and said.isdigit() and len(said) < 19:
            return said
        try:
            return checksummed(said)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None

    def to_representation(self, value: Any) -> str:
        """As it is kept."""
        return str(value)


def wallet_or_404(pk: int) -> Any:
    """A wallet with all that is shown of it. Raises: NotFound."""
    return row_or_404(listing.wallets(), pk, missing="There is no such wallet.")


def contract_or_404(pk: int, *, replaced_too: bool = False) -> Deployment:
    """One of our contracts, of those in use unless ``replaced_too``. Raises: NotFound."""
    rows = listing.deployments_ever() if replaced_too else listing.deployments()
    return row_or_404(rows, pk, missing="There is no such contract in use.")


def receiver_wanted(*, chain: Chain, ref: str | None) -> Deployment:
    """The receiver a body means; the chain's only one where it names none.

    Raises: ValidationError.
    """
    rows = listing.deployments(chain_key=chain.key).filter(kind="receiver")
    if ref is not None:
        rows = rows.filter(pk=int(ref)) if ref.isdigit() else rows.filter(address=ref)
    row = rows.first()
    if row is None:
        raise serializers.ValidationError(
            {"contract": [f"{chain.key} has no such active FlashLoanReceiver."]}
        )
    return row


class AskView(IdempotentView):
    """A view that writes a person's request and waits a little for the worker.

    ``dangerous``: it asks for the second factor where the chain is not local.
    """

    permission_classes = [Admin]
    idempotent = "required"
    dangerous = True

    def ask(
        self,
        request: ApiRequest,
        *,
        kind: str,
        chain: Chain,
        wallet: Wallet | None = None,
        deployment: Deployment | None = None,
        args: Mapping[str, Any] | None = None,
    ) -> wishes.Outcome:
        """The request as it stands after 5 s at most. Raises: Conflict with the problem."""
        if self.dangerous:
            second_factor_require(request, is_local=chain.is_local)
        made = wishes.request_make(
            kind=kind,
            chain=chain,
            wallet=wallet,
            deployment=deployment,
            args=args,
            **asker(request),
        )
        return wishes.request_await(made)


def answered(outcome: wishes.Outcome, *, body: Mapping[str, Any] | None = None) -> Response:
    """201 with the result, or 202 with the request while it runs."""
    row = outcome.request
    if outcome.http_status == 202:
        return Response(listing.request_shown(row), status=202)
    result = body if body is not None else (row.result or {})
    return Response({**result, "requestId": row.pk}, status=201)
