"""Our contracts' endpoints: what they should be against what they are, and calls that change it."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request as ApiRequest
from rest_framework.response import Response
from rest_framework.views import APIView

from arbsite.base.fields import checksummed
from arbsite.base.parsers import AddressInField, StrictSerializer, WeiField
from arbsite.base.permissions import Operator, Viewer
from arbsite.base.problems import Conflict
from contracts.asked import CHAIN_FILTER, ChainIn, NothingIn, chain_and_body
from contracts.kernel.relay_entry import tip_recipients
from contracts.models import Chain, Deployment, Token
from wallets import relay_book
from wallets.administration.overview import contract_shown, contracts_shown
from wallets.asking import AskView, answered, contract_or_404
from wallets.models import Wallet


class SweepIn(StrictSerializer):
    """Body of sweep: one token, or nothing for all that the contract holds."""

    token = AddressInField(required=False)


class LimitsIn(StrictSerializer):
    """Body of limits. ``minProfit``: by token address, raw units of that token, above zero.
    ``tipRecipient``: one that a builder of the chain names."""

    minProfit = serializers.DictField(child=WeiField(), required=False, allow_empty=False)
    treasury = AddressInField(required=False)
    tipRecipient = AddressInField(required=False)


class ContractsView(APIView):
    """GET /api/contracts: per contract the desired state, the one on chain, and the drift."""

    permission_classes = [Viewer]

    @extend_schema(parameters=[CHAIN_FILTER], responses=dict)
    def get(self, request: ApiRequest) -> Response:
        """As last read from the chain; ``observedAt`` says when that was."""
        key = request.query_params.get("chain")
        shown = contracts_shown(chain_key=str(key)[:32] if key is not None else None)
        return Response({"results": shown, "next": None})


class ContractView(APIView):
    """GET /api/contracts/{id}: one contract of ours."""

    permission_classes = [Viewer]

    @extend_schema(responses=dict)
    def get(self, request: ApiRequest, pk: int) -> Response:
        """As last read from the chain."""
        return Response(contract_shown(contract_or_404(pk, replaced_too=True)))


class _ContractAskView(AskView):
    """A call on one receiver."""

    idempotent = "accepted"
    kind = ""

    def run(self, request: ApiRequest, row: Deployment, args: dict[str, Any]) -> Response:
        """Ask for this view's kind."""
        if row.kind != "receiver":
            raise Conflict(
                "A MultiDexRouter has no owner, limits or balance: nothing to do.", reason="refused"
            )
        return answered(
            self.ask(request, kind=self.kind, chain=row.chain, deployment=row, args=args)
        )


class PauseView(_ContractAskView):
    """POST /api/contracts/{id}/pause: stop execution in the contract. The kill lets it pass."""

    permission_classes = [Operator]
    kind = "pause"
    dangerous = False

    @extend_schema(request=NothingIn, responses={201: dict, 202: dict})
    def post(self, request: ApiRequest, pk: int) -> Response:
        """By an executor where one is, so no owner's key is needed."""
        NothingIn(data=request.data).checked()
        return self.run(request, contract_or_404(pk), {})


class UnpauseView(_ContractAskView):
    """POST /api/contracts/{id}/unpause: let execution go on; the owner's call."""

    kind = "unpause"

    @extend_schema(request=NothingIn, responses={201: dict, 202: dict})
    def post(self, request: ApiRequest, pk: int) -> Response:
        """409 where it is not paused."""
        NothingIn(data=request.data).checked()
        return self.run(request, contract_or_404(pk), {})


class SweepView(_ContractAskView):
    """POST /api/contracts/{id}/sweep: bring what it holds to the treasury."""

    kind = "sweep"
    idempotent = "required"

    @extend_schema(request=SweepIn, responses={201: dict, 202: dict})
    def post(self, request: ApiRequest, pk: int) -> Response:
        """One token, or every lendable token and the native coin."""
        wanted = SweepIn(data=request.data).checked()
        row = contract_or_404(pk, replaced_too=True)
        token = wanted.get("token")
        if token and not Token.objects.filter(chain=row.chain, address=token).exists():
            raise serializers.ValidationError({"token": [f"It is no token of {row.chain_id}."]})
        return self.run(request, row, {"token": token} if token else {})


class LimitsView(_ContractAskView):
    """POST /api/contracts/{id}/limits: least profits, treasury and tip recipient, in the row and on
    chain."""

    kind = "limits"

    @extend_schema(request=LimitsIn, responses={201: dict, 202: dict})
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Recorded first; then every call that brings the contract to it is made."""
        wanted = LimitsIn(data=request.data).checked()
        row = contract_or_404(pk)
        args: dict[str, Any] = {}
        if "minProfit" in wanted:
            args["minProfit"] = _minimums(row.chain, wanted["minProfit"])
        if "treasury" in wanted:
            args["treasury"] = _treasury(row.chain, wanted["treasury"])
        if "tipRecipient" in wanted:
            args["tipRecipient"] = _tip_recipient(row.chain, wanted["tipRecipient"])
        if not args:
            raise serializers.ValidationError(
                {"body": ["Give minProfit, treasury, tipRecipient, or several."]}
            )
        return self.run(request, row, args)


def _minimums(chain: Chain, wanted: dict[str, int]) -> dict[str, str]:
    known = set(Token.objects.filter(chain=chain, lendable=True).values_list("address", flat=True))
    found = {}
    for said, raw in wanted.items():
        try:
            token = checksummed(said)
        except ValueError as error:
            raise serializers.ValidationError({"minProfit": [str(error)]}) from None
        if token not in known:
            words = f"{token} is no lendable token of {chain.key}."
            raise serializers.ValidationError({"minProfit": [words]})
        if raw == 0:
            words = f"{token}: a minimum profit is above zero."
            raise serializers.ValidationError({"minProfit": [words]})
        found[token] = str(raw)
    return found


def _treasury(chain: Chain, address: str) -> str:
    """Profits go nowhere but to what is ours already, whoever sits at this console."""
    homes = Wallet.objects.filter(chain=chain, role__in=["master", "gas_reserve"], state="active")
    if address == settings.ARB.treasuries.get(chain.key) or homes.filter(address=address).exists():
        return address
    raise serializers.ValidationError(
        {
            "treasury": [
                f"It is neither a master nor a gas reserve of {chain.key}: add it as a watch-only "
                f"master, or set ARB_TREASURY_{chain.key.upper()}."
            ]
        }
    )


def _tip_recipient(chain: Chain, address: str) -> str:
    """Tips go to builders that the market file names, to nobody else."""
    named = tip_recipients(relay_book.entries_of(chain))
    if address.lower() in named:
        return address
    raise serializers.ValidationError(
        {
            "tipRecipient": [
                f"No builder of {chain.key} names it: it is tipRecipient of none of its `relays`."
            ]
        }
    )


class MendView(_ContractAskView):
    """POST /api/contracts/{id}/mend: make every call that ends the drift."""

    kind = "mend"

    @extend_schema(request=NothingIn, responses={201: dict, 202: dict})
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Answers with what no call of ours mends. Rights are taken away by revoke alone."""
        NothingIn(data=request.data).checked()
        return self.run(request, contract_or_404(pk), {})


class ReplaceView(_ContractAskView):
    """POST /api/contracts/{id}/replace: a new receiver takes its place; the old one is emptied."""

    kind = "replace"
    idempotent = "required"

    @extend_schema(request=NothingIn, responses={201: dict, 202: dict})
    def post(self, request: ApiRequest, pk: int) -> Response:
        """Deploy, set up, authorise, switch, drain, revoke; asked again it goes on from there."""
        NothingIn(data=request.data).checked()
        return self.run(request, contract_or_404(pk, replaced_too=True), {})


class DeployView(AskView):
    """POST /api/contracts/deploy: put both contracts on a chain and set them up."""

    @extend_schema(request=ChainIn, responses={201: dict, 202: dict})
    def post(self, request: ApiRequest) -> Response:
        """Goes on where an earlier run stopped; what stands is left standing."""
        chain, _ = chain_and_body(request)
        return answered(self.ask(request, kind="deploy", chain=chain))


class ReadView(AskView):
    """POST /api/contracts/refresh: read the contracts of a chain now."""

    permission_classes = [Operator]
    idempotent = "accepted"
    dangerous = False

    @extend_schema(request=ChainIn, responses={201: dict, 202: dict})
    def post(self, request: ApiRequest) -> Response:
        """Answers with the number of differences of each."""
        chain, _ = chain_and_body(request)
        return answered(self.ask(request, kind="observe", chain=chain))
