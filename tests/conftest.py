"""Before anything imports TensorFlow: the same set-up as the product's."""

from trainer import backend

backend.prepare()
