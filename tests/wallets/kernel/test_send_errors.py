"""What nodes say when they refuse: eight clients and more, in their own words.

Checked against the sources: bnb-chain/bsc core/txpool/errors.go, core/txpool/validation.go and
core/error.go; maticnetwork/bor core/txpool/validation.go; ethereum-optimism/op-geth
core/txpool/errors.go and validation.go; OffchainLabs/nitro execution/gethexec/tx_pre_checker.go and
sequencer.go; foundry-rs/foundry crates/anvil/src/eth/error.rs. Not to be had: bor's errors.go, and
what nitro's forwarders answer for a nonce that is pending.
"""

import pytest

from wallets.kernel.send_errors import Verdict, classify

SAID = [
    ("geth", "already known", "already_known"),
    ("geth", "nonce too low: next nonce 5, tx nonce 3", "nonce_too_low"),
    ("geth", "replacement transaction underpriced", "replacement_underpriced"),
    ("geth", "future transaction tries to replace pending", "replacement_underpriced"),
    ("geth", "transaction underpriced: gas tip cap 0, minimum needed 1", "underpriced"),
    (
        "geth",
        "insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1",
        "insufficient",
    ),
    ("geth", "intrinsic gas too low: gas 20000, minimum needed 21000", "rejected"),
    ("geth", "exceeds block gas limit", "rejected"),
    ("geth", "tx fee (2.10 ether) exceeds the configured cap (1.00 ether)", "rejected"),
    (
        "geth",
        "max fee per gas less than block base fee: address 0x1, maxFeePerGas: 1",
        "underpriced",
    ),
    ("geth", "txpool is full", "rejected"),
    ("bsc", "transaction underpriced: tip needed 50000000, tip permitted 1", "underpriced"),
    ("bsc", "sender or to in black list", "rejected"),
    (
        "bsc",
        "transaction gas price below minimum: gas tip cap 1, minimum needed 50000000",
        "underpriced",
    ),
    # A version with pools behind the pool kept what it said this of: it may be mined.
    ("bsc", "transaction underpriced, so it is either in pool2 or pool3", "ambiguous"),
    ("bsc", "address already reserved", "rejected"),
    ("bsc", "account limit exceeded: pooled 64 txs", "rejected"),
    (
        "bsc",
        "insufficient gas for floor data gas cost: gas 30000, minimum needed 40000",
        "rejected",
    ),
    ("bsc", "transaction gas limit too high (cap: 16777216, tx: 20000000)", "rejected"),
    ("bsc", "nonce has max value", "rejected"),
    ("bsc", "max priority fee per gas higher than max fee per gas", "rejected"),
    (
        "bor",
        "transaction gas price below minimum: gas tip cap 1, minimum needed 25000000000",
        "underpriced",
    ),
    ("bor", "nonce too low: next nonce 5, tx nonce 3", "nonce_too_low"),
    ("bor", "nonce too high: tx nonce 9, gapped nonce 5", "rejected"),
    (
        "bor",
        "insufficient funds for gas * price + value: balance 1, queued cost 1, tx bumped 2, "
        "overshot 2",
        "insufficient",
    ),
    ("bor", "transaction type not supported: tx type 3 not supported by this pool", "rejected"),
    ("op-geth", "transaction underpriced: tip needed 1, tip permitted 0", "underpriced"),
    ("op-geth", "exceeds maximum per-transaction gas limit", "rejected"),
    ("op-geth", "in-flight transaction limit reached for delegated accounts", "rejected"),
    ("op-geth", "intrinsic gas too low: needed 21000, allowed 20000", "rejected"),
    ("nitro", "nonce too low: address 0xAb, tx: 3 state: 5", "nonce_too_low"),
    ("nitro", "nonce too high: address 0xAb, tx: 9 state: 5", "rejected"),
    (
        "nitro",
        "max fee per gas less than block base fee: address 0xAb, maxFeePerGas: 1 baseFee: 2",
        "underpriced",
    ),
    (
        "nitro",
        "insufficient funds for gas * price + value: address 0xAb have 1 want 2",
        "insufficient",
    ),
    ("nitro", "transaction sender is not on the whitelist", "rejected"),
    (
        "nitro",
        "currently not accepting transactions due to expected surplus being below threshold",
        "rejected",
    ),
    # It may have been queued, or forwarded, before this was said.
    ("nitro", "sequencer temporarily not available", "ambiguous"),
    ("nitro", "context deadline exceeded", "ambiguous"),
    ("erigon", "existing tx with same hash", "already_known"),
    ("erigon", "could not replace existing tx", "replacement_underpriced"),
    ("erigon", "fee too low", "underpriced"),
    ("erigon", "insufficient funds", "insufficient"),
    ("erigon", "INTERNAL_ERROR: nonce too low", "nonce_too_low"),
    ("erigon", "rlp too big", "rejected"),
    ("nethermind", "AlreadyKnown", "already_known"),
    ("nethermind", "OldNonce, Current nonce: 5, nonce of rejected tx: 3", "nonce_too_low"),
    ("nethermind", "ReplacementNotAllowed", "replacement_underpriced"),
    ("nethermind", "FeeTooLowToCompete", "replacement_underpriced"),
    ("nethermind", "FeeTooLow, MaxFeePerGas too low.", "underpriced"),
    ("nethermind", "InsufficientFunds, Balance is 0 less than sending value", "insufficient"),
    ("nethermind", "GasLimitExceeded", "rejected"),
    ("nethermind", "NonceGap, Future nonce.", "rejected"),
    ("besu", "Known transaction", "already_known"),
    ("besu", "Nonce too low", "nonce_too_low"),
    ("besu", "Replacement transaction underpriced", "replacement_underpriced"),
    ("besu", "Upfront cost exceeds account balance", "insufficient"),
    ("besu", "Gas price below configured minimum gas price", "underpriced"),
    ("besu", "Intrinsic gas exceeds gas limit", "rejected"),
    ("besu", "Transaction nonce is too distant from current sender nonce", "rejected"),
    ("reth", "already known", "already_known"),
    ("reth", "nonce too low: next nonce 9, tx nonce 1", "nonce_too_low"),
    ("reth", "replacement transaction underpriced", "replacement_underpriced"),
    ("reth", "insufficient funds for gas * price + value: have 1 want 2", "insufficient"),
    ("reth", "max fee per gas less than block base fee", "underpriced"),
    ("anvil", "transaction already imported", "already_known"),
    ("anvil", "nonce too low", "nonce_too_low"),
    ("anvil", "replacement transaction underpriced", "replacement_underpriced"),
    ("anvil", "Insufficient funds for gas * price + value", "insufficient"),
    ("anvil", "intrinsic gas too low", "rejected"),
    ("anvil", "Nonce too high", "rejected"),
    ("anvil", "insufficient funds for transfer", "insufficient"),
    ("anvil", "intrinsic gas too high -- CallerGasLimitMoreThanBlock", "rejected"),
    (
        "anvil",
        "Transaction gas limit is greater than the block gas limit, gas_limit: 2, cap: 1",
        "rejected",
    ),
    ("anvil", "Incompatible EIP-155 transaction, signed for another chain", "rejected"),
    ("anvil", "Transaction confirmation timeout", "ambiguous"),
    ("hardhat", "Known transaction: 0xabc", "already_known"),
    ("hardhat", "Nonce too low. Expected nonce to be 5 but got 3.", "nonce_too_low"),
    (
        "hardhat",
        "Sender doesn't have enough funds to send tx. The max upfront cost is",
        "insufficient",
    ),
    ("openethereum", "Transaction with the same hash was already imported.", "already_known"),
    ("openethereum", "Transaction nonce is too low. Try incrementing the nonce.", "nonce_too_low"),
    (
        "openethereum",
        "There is another transaction with same nonce in the queue. Try increasing the gas price",
        "replacement_underpriced",
    ),
    ("provider", "internal error", "ambiguous"),
    ("provider", "request timed out", "ambiguous"),
    ("provider", "rate limit exceeded", "ambiguous"),
    ("provider", "", "ambiguous"),
]


@pytest.mark.parametrize(("client", "words", "verdict"), SAID)
def test_a_clients_words_mean_what_its_source_says(client, words, verdict):
    assert classify(words) == Verdict(verdict), client


def test_case_changes_nothing():
    for _, words, verdict in SAID:
        assert classify(words.upper()) == Verdict(verdict)
