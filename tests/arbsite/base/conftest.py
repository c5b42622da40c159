"""What the ground's tests share: Celery's tasks, bound once before any of them is imported."""

import warnings

from celery.exceptions import CDeprecationWarning

from arbsite.celery import app

with warnings.catch_warnings():
    # Met half-way through the binding, a warning that is an error leaves the other tasks out.
    warnings.simplefilter("ignore", CDeprecationWarning)
    app.loader.import_default_modules()
    app.finalize()
