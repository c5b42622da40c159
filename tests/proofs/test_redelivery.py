"""Tasks delivered again, at once and hours late: each effect comes once. PROVE_DELIVERIES: 300."""

import os
import random
import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from contracts import adapters as contracts_adapters
from tests.wallets.conftest import (  # noqa: F401  fixtures
    CHAIN_ID,
    FEES,
    await_no_sessions,
    channel_layer,
    desk,
    make_bench,
)
from tests.wallets.strict_node import strict_node
from wallets import adapters, tasks
from wallets.models import Attempt, Balance, StatusChange, Transaction

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.e2e, pytest.mark.timeout(5400)]

DELIVERIES = int(os.environ.get("PROVE_DELIVERIES", "300"))
AT_ONCE = 4
PER_BLOCK = 5  # of each task and thread
WHOLE_STORY = ["planned", "simulated", "signed", "submitted", "included", "confirmed"]


@pytest.fixture
def bench(transactional_db, desk, settings):  # noqa: F811
    settings.SIGNER_SOCKET = desk.client.path
    with strict_node(CHAIN_ID) as node:
        made = make_bench(anvil=node, desk=desk)
        made.node = node
        yield made
        adapters._senders.pop((made.chain.key, str(desk.client.path))).close()
        adapters._signers.pop(str(desk.client.path)).close()
        contracts_adapters.rpc(made.chain).close()
        made.sender.close()
        made.rpc.close()
        await_no_sessions("test-sender")
        await_no_sessions("arb-sender")


def deliver(done):
    """What a worker gets in one thread: each message several times, in any order."""
    messages = [tasks.settle_receipts, tasks.refresh_balances] * PER_BLOCK
    random.shuffle(messages)
    try:
        for task in messages:
            answer = task.apply(args=("local",))
            assert answer.successful(), answer.result
            done.append(task.name)
    finally:
        connection.close()


def test_each_effect_comes_once_however_often_a_task_is_delivered(bench):
    done, sent, blocks = [], [], 0
    while len(done) < DELIVERIES:
        for _ in range(2):
            planned = bench.plan()
            bench.sender.send(planned.pk, fees=FEES)
            sent.append(planned.pk)
        if blocks % 3 == 2:
            bench.node.forget_pool()  # the same bytes go out again, from whoever comes first
            Attempt.objects.filter(status="accepted").update(
                sent_at=F("sent_at") - timedelta(seconds=30)
            )
        else:
            bench.node.mine()
        blocks += 1
        threads = [threading.Thread(target=deliver, args=(done,)) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    for _ in range(6):
        Attempt.objects.filter(status="accepted").update(
            sent_at=timezone.now() - timedelta(hours=5)
        )
        tasks.settle_receipts.apply(args=("local",))
        bench.node.mine(2)
    tasks.settle_receipts.apply(args=("local",))
    stories = {}
    rows = StatusChange.objects.order_by("id").values_list("transaction_id", "new")
    for pk, new in rows:
        stories.setdefault(pk, []).append(new)
    told = Counter(tuple(_without_bumps(story)) for story in stories.values())
    assert set(told) == {tuple(WHOLE_STORY)}
    assert Transaction.objects.filter(pk__in=sent, status="confirmed").count() == len(sent)
    assert len(list(bench.node.mined())) == len(sent)
    balances = Counter(Balance.objects.values_list("wallet_id", "block_hash"))
    assert max(balances.values()) == 1
    print({"deliveries": len(done), "transactions": len(sent), "blocks": blocks})


def _without_bumps(story):
    """An unknown that was found again tells the same story."""
    return [new for new in story if new != "unknown"]
