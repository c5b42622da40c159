"""Who may do what, what was done, and what must still be told: the tables under all apps."""

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person. ``role`` orders what they may do: viewer < operator < admin."""

    role = models.CharField(
        max_length=10,
        default="viewer",
        choices=[("viewer", "Viewer"), ("operator", "Operator"), ("admin", "Admin")],
    )
    time_zone = models.CharField(max_length=64, default="UTC")


class ApiToken(models.Model):
    """A Bearer token: its SHA-256 only; the token itself is shown once, when it is made."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    digest = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=12)
    scope = models.CharField(
        max_length=10,
        choices=[("read", "Read"), ("operate", "Operate"), ("admin", "Admin")],
    )
    label = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.scope})"


class AuditEvent(models.Model):
    """One act: who, when, from where, before, after. Append-only by a database trigger."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    actor_name = models.CharField(max_length=150)
    via = models.CharField(max_length=20)
    source_ip = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    verb = models.CharField(max_length=60, db_index=True)
    target = models.CharField(max_length=120, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.verb} {self.target}"


class IdempotencyRecord(models.Model):
    """The first answer to a keyed request of one user, kept 24 h; ``status`` null while it runs."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="idempotency_one_per_key"),
        ]

    def __str__(self) -> str:
        return self.key


class Alert(models.Model):
    """Something a human must see, raised once per ``key`` until it is resolved."""

    key = models.CharField(max_length=160)
    severity = models.CharField(
        max_length=10, choices=[("info", "Info"), ("warning", "Warning"), ("critical", "Critical")]
    )
    title = models.CharField(max_length=160)
    detail = models.TextField(blank=True)
    fix = models.TextField(blank=True)
    count = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(auto_now_add=True)
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-last_seen_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["key"], condition=models.Q(resolved_at__isnull=True), name="alert_one_open"
            ),
        ]

    def __str__(self) -> str:
        return self.title


class Wakeup(models.Model):
    """A task that must be woken for a row; swept by beat when the broker was away at commit."""

    task = models.CharField(max_length=120)
    argument = models.CharField(max_length=64)
    queue = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=models.Q(sent_at__isnull=True),
                name="wakeup_unsent",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task}({self.argument})"
