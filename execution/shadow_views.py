"""The shadow check as a page, and as a section for others to include."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from contracts.models import Chain
from execution import shadow_selectors


def shadow_context(chain_key: str) -> dict[str, Any]:
    """What ``execution/_shadow.html`` needs of one chain, under its own name."""
    chain = Chain.objects.filter(key=chain_key).first()
    empty = {"days": shadow_selectors.WINDOW.days, "unsent": {"count": 0}, "kinds": []}
    return {"shadow": shadow_selectors.shadow(chain=chain) if chain else empty}


def shadow_page(request: HttpRequest, *, chain: str) -> HttpResponse:
    """Unsent opportunities one and two blocks later, and simulated against realised profit."""
    return render(
        request, "execution/shadow.html", {"page": "opportunities", **shadow_context(chain)}
    )
