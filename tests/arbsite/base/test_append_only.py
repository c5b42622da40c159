"""What was written down stays as it was written."""

import pytest
from django.db import DatabaseError, transaction

from arbsite.base import audit
from arbsite.base.models import AuditEvent

pytestmark = pytest.mark.django_db


def test_an_audit_event_cannot_be_changed_or_deleted():
    event = audit.record(verb="test", target="x", after={"a": 1})

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditEvent.objects.filter(pk=event.pk).update(verb="other")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditEvent.objects.filter(pk=event.pk).delete()

    assert AuditEvent.objects.get().verb == "test"
