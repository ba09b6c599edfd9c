"""Before anything imports TensorFlow: the same set-up as the product's."""

from hypothesis import settings

from trainer import backend

backend.prepare()

# On a busy machine any example may take long: a test fails by what it finds, never by the clock.
settings.register_profile("slipway", deadline=None)
settings.load_profile("slipway")
