"""What exists on chain: networks, tokens, exchanges, pools, our contracts, and headers seen."""

from django.db import models

from arbsite.base.fields import AddressField, HashField, Uint256Field


class Chain(models.Model):
    """One network, named by its key; ``eip155_id`` is the number that signatures cover."""

    key = models.CharField(max_length=32, primary_key=True)
    name = models.CharField(max_length=80)
    eip155_id = models.PositiveBigIntegerField()
    native_symbol = models.CharField(max_length=16)
    is_local = models.BooleanField(default=False)
    rpc_http = models.JSONField(default=list)
    rpc_ws = models.JSONField(default=list)
    block_time_ms = models.PositiveIntegerField()
    confirmations = models.PositiveIntegerField()
    fee_model = models.CharField(
        max_length=10, choices=[("legacy", "Legacy"), ("eip1559", "EIP-1559")]
    )
    min_gas_price_wei = Uint256Field()
    l1_fee = models.CharField(
        max_length=10,
        default="none",
        choices=[("none", "None"), ("op_stack", "OP stack"), ("arbitrum", "Arbitrum")],
    )
    explorer_url = models.URLField(blank=True)
    wrapped_native = AddressField()
    aave_pool = AddressField(blank=True)
    multicall3 = AddressField(blank=True)
    relays = models.JSONField(default=list)
    aave_premium_bps = models.PositiveIntegerField(null=True)
    aave_premium_rounding = models.CharField(
        max_length=8, blank=True, choices=[("half_up", "Half up"), ("ceil", "Up")]
    )
    checked_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(auto_now=True)
    # Rises with every change that a running watcher must take: see `services.registry_touch`.
    registry_revision = models.PositiveBigIntegerField(default=1)

    class Meta:
        ordering = ["key"]
        constraints = [
            # A signature made for one of two networks with one number would be good on both.
            models.UniqueConstraint(
                fields=["eip155_id"],
                condition=models.Q(is_local=False),
                name="chain_one_per_eip155_id",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Token(models.Model):
    """An ERC-20. ``risk`` is ``unproven`` until a simulated round trip gave the computed output."""

    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="tokens")
    address = AddressField()
    symbol = models.CharField(max_length=32)
    decimals = models.PositiveSmallIntegerField()
    lendable = models.BooleanField(default=False)
    atoken = AddressField(blank=True)
    denied = models.BooleanField(default=False)
    risk = models.CharField(
        max_length=10,
        default="unproven",
        choices=[("unproven", "Unproven"), ("proven", "Proven"), ("risky", "Risky")],
    )
    risk_detail = models.CharField(max_length=200, blank=True)
    proven_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["chain", "symbol", "address"]
        constraints = [
            models.UniqueConstraint(fields=["chain", "address"], name="token_one_per_address"),
            models.CheckConstraint(
                condition=models.Q(decimals__lte=36), name="token_decimals_in_range"
            ),
        ]

    def __str__(self) -> str:
        return self.symbol


class Dex(models.Model):
    """One exchange's deployment on one chain."""

    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="dexes")
    key = models.CharField(max_length=40)
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=20, choices=[("uniswap_v2", "Uniswap V2")])
    factory = AddressField()
    router = AddressField()
    fee_bps = models.PositiveIntegerField()
    callback = models.CharField(max_length=64)
    enabled = models.BooleanField(default=True)

    class Meta:
        verbose_name_plural = "DEXes"
        ordering = ["chain", "key"]
        constraints = [
            models.UniqueConstraint(fields=["chain", "key"], name="dex_one_per_key"),
            models.CheckConstraint(condition=models.Q(fee_bps__lt=10_000), name="dex_fee_in_range"),
        ]

    def __str__(self) -> str:
        return self.name


class Pair(models.Model):
    """A traded couple of tokens across exchanges, in the order the market file names them."""

    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="pairs")
    base = models.ForeignKey(Token, on_delete=models.PROTECT, related_name="+")
    quote = models.ForeignKey(Token, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=80)
    denied = models.BooleanField(default=False)

    class Meta:
        ordering = ["chain", "name"]
        constraints = [
            models.UniqueConstraint(fields=["chain", "base", "quote"], name="pair_one_per_tokens"),
        ]

    def __str__(self) -> str:
        return self.name


class Pool(models.Model):
    """One pool contract. ``quarantined`` says why its numbers are not to be used, or is empty."""

    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="pools")
    dex = models.ForeignKey(Dex, on_delete=models.PROTECT, related_name="pools")
    pair = models.ForeignKey(Pair, on_delete=models.PROTECT, related_name="pools")
    address = AddressField()
    token0 = models.ForeignKey(Token, on_delete=models.PROTECT, related_name="+")
    token1 = models.ForeignKey(Token, on_delete=models.PROTECT, related_name="+")
    fee_bps = models.PositiveIntegerField()
    quarantined = models.CharField(max_length=200, blank=True)
    quarantined_at = models.DateTimeField(null=True)
    fee_proven_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["chain", "pair", "dex"]
        constraints = [
            models.UniqueConstraint(fields=["chain", "address"], name="pool_one_per_address"),
        ]

    def __str__(self) -> str:
        return f"{self.pair} on {self.dex}"


class Deployment(models.Model):
    """One of our contracts on a chain: what it should be, and what was last read of it."""

    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="deployments")
    kind = models.CharField(
        max_length=10, choices=[("receiver", "FlashLoanReceiver"), ("router", "MultiDexRouter")]
    )
    address = AddressField()
    owner = AddressField()
    treasury = AddressField(blank=True)
    code_hash = HashField()
    tx_hash = HashField(blank=True)
    adopted = models.BooleanField(default=False)
    active = models.BooleanField(default=True)
    replaces = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="replaced_by"
    )
    emptied_at = models.DateTimeField(null=True)  # replaced, and nothing of ours is left on it
    min_profit_bps = models.PositiveIntegerField(default=5)
    observed = models.JSONField(default=dict)
    observed_block = models.PositiveBigIntegerField(null=True)
    observed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["chain", "kind", "-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["chain", "address"], name="deployment_one_per_address"),
            models.UniqueConstraint(
                fields=["chain", "kind"],
                condition=models.Q(active=True),
                name="deployment_one_active_per_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.address}"


class BlockHeader(models.Model):
    """A header as it was seen; a height that was reorganised has several, one of them canonical."""

    chain = models.ForeignKey(Chain, on_delete=models.CASCADE, related_name="+")
    number = models.PositiveBigIntegerField()
    hash = HashField()
    parent_hash = HashField()
    timestamp = models.PositiveBigIntegerField()
    canonical = models.BooleanField(default=True)
    seen_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chain", "hash"], name="header_one_per_hash"),
        ]
        indexes = [models.Index(fields=["chain", "number"], name="header_by_number")]

    def __str__(self) -> str:
        return f"{self.chain_id} {self.number}"


class RpcHealth(models.Model):
    """The last measurement of one endpoint, under its masked name."""

    chain = models.ForeignKey(Chain, on_delete=models.CASCADE, related_name="rpc_health")
    kind = models.CharField(
        max_length=6, choices=[("http", "HTTP"), ("ws", "WS"), ("send", "Send")]
    )
    position = models.PositiveSmallIntegerField()
    endpoint = models.CharField(max_length=200)
    ok = models.BooleanField()
    latency_us = models.PositiveIntegerField(null=True)
    block_number = models.PositiveBigIntegerField(null=True)
    error = models.CharField(max_length=200, blank=True)
    checked_at = models.DateTimeField()

    class Meta:
        ordering = ["chain", "kind", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["chain", "kind", "position"], name="rpc_health_one_per_endpoint"
            ),
        ]

    def __str__(self) -> str:
        return self.endpoint


class EndpointLatency(models.Model):
    """How long one endpoint took, some seconds of calls in a row. ``counts``: `kernel.latencies`.

    ``use``: ``http`` and ``ws`` for reads, ``send`` for submission; ``behind`` is no call but how
    much later than the first endpoint this one told a block. Of that use alone: ``first``, blocks
    that it told before any other; ``disputes``, those it told with other contents; ``forks``,
    those it told on another branch.
    """

    chain = models.ForeignKey(Chain, on_delete=models.CASCADE, related_name="+")
    use = models.CharField(
        max_length=6,
        choices=[("http", "HTTP"), ("ws", "WS"), ("send", "Send"), ("behind", "Behind")],
    )
    position = models.PositiveSmallIntegerField()
    endpoint = models.CharField(max_length=200)
    counts = models.JSONField()
    max_us = models.PositiveBigIntegerField()
    first = models.PositiveIntegerField(default=0)
    disputes = models.PositiveIntegerField(default=0)
    forks = models.PositiveIntegerField(default=0)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["chain", "at"], name="endpoint_latency_by_time")]

    def __str__(self) -> str:
        return f"{self.use} {self.endpoint}"
